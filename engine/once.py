"""Deciding an event once, however often it is sent: under an Idempotency-Key.

    answered = await service.once.decide(event, "order-77")
    answered.replayed  # whether it is the answer that the first event under this key had

The association of key and decision is part of the journal's record, so it is there exactly if the decision
is. What is remembered is what was counted: an event that was refused before leaves its key free, and one
whose answer could not be given, because the journal could not be written, keeps its decision for the next
try.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from quell.engine.decision import Refused, Reply
from quell.engine.engine import seconds
from quell.engine.event_problems import Refusal
from quell.engine.idempotency import digest_of, is_key
from quell.engine.service_keeping import Made, as_json, encode
from quell.engine.stepper import Event

if TYPE_CHECKING:
    from quell.engine.service import Service

RECENT = 10_000
RECENT_BYTES = 16 << 20
"""Answers that are kept at hand, and bytes of them with their events; others are read from the journal."""
AT_ONCE = 4
"""Answers that are read from the journal at once."""
OTHER_EVENT = "other-event"
UNDER_WAY = "under-way"
"""Kinds of refusals: another event came under the key; its first one is not decided in time."""
_OTHER = "this Idempotency-Key came with another event before; each event takes a key of its own"
_SLOW = "the answer to the first event under this Idempotency-Key is not there yet"


class Answered(NamedTuple):
    """An answer: the reply and its JSON, and whether it was given before."""

    reply: Reply
    encoded: bytes
    replayed: bool = False


class Past(NamedTuple):
    """What the journal has of an event and its answer."""

    event: bytes
    made: Made


class OnceFigures(msgspec.Struct, frozen=True):
    """Idempotency-Keys: how many are held (`keys`), how many events were `repeated` and got the answer of the
    first, came under the key of another event (`other`), and were not answered as the first one took too
    long (`slow`)."""

    keys: int = 0
    repeated: int = 0
    other: int = 0
    slow: int = 0


class Once:
    """Decides events under keys for a service. `past` reads what the journal has of a number, None where that
    was dropped; without it an answer is forgotten once it is not at hand any more. For the event loop of the
    service."""

    def __init__(self, service: Service) -> None:
        self.past: Callable[[int], Awaitable[Past | None]] | None = None
        self._service = service
        self._under_way: dict[bytes, tuple[bytes, asyncio.Future[Made]]] = {}
        self._recent: OrderedDict[int, Past] = OrderedDict()
        self._recent_bytes = 0
        self._reads: dict[int, asyncio.Future[Past | None]] = {}
        self._reading = asyncio.Semaphore(AT_ONCE)
        self._repeated = self._other = self._slow = 0

    def figures(self) -> OnceFigures:
        """How it stands."""
        return OnceFigures(len(self._service.known), self._repeated, self._other, self._slow)

    async def decide(
        self,
        event: Event,
        key: str,
        deadline: float | None = None,
        *,
        by_hand: bool = True,
        whose: str = "",
    ) -> Answered:
        """The decision for an event, given as JSON or as a mapping: the one that the first event under its
        key got, if there was one. The same key of somebody else (`whose`) is another key.

        A repeat waits for the first within its own `deadline` in seconds, and is refused as `under-way` after
        that; another event under a key is refused as `other-event`. Raises ValueError as `Service.decide`
        does, and for a key that is not 1 to 200 visible ASCII characters; JournalError where the answer is
        not to be read from the journal any more.
        """
        if not is_key(key):
            raise ValueError("an Idempotency-Key is 1 to 200 visible ASCII characters")
        within = self._service.engine.deadline if deadline is None else seconds(deadline)
        plain, digest = as_json(event), digest_of(key, whose)
        until = None if within is None else asyncio.get_running_loop().time() + within
        while True:
            if (first := self._under_way.get(digest)) is not None:
                if first[0] != plain:
                    return self._refused_other()
                if not await _done(first[1], until):
                    return self._refused_slow()
            elif (number := self._service.known.get(digest, self._service.wall)) is None:
                return await self._first(plain, digest, deadline, by_hand)
            elif (answered := await self._again(plain, number, until)) is not None:
                return answered
            else:
                self._service.known.forget(digest, number)

    async def _first(self, event: bytes, digest: bytes, deadline: float | None, by_hand: bool) -> Answered:
        """Decide an event whose key is free."""
        made = self._service.begin_keyed(event, digest, deadline, by_hand)
        if isinstance(made, asyncio.Future):
            self._under_way[digest] = event, made
            made.add_done_callback(lambda done: self._was_made(event, digest, done))
            return Answered(*await asyncio.shield(made))  # it is made and kept even if who asked goes away
        self._keep_first(event, digest, made)
        return Answered(*made)

    def _was_made(self, event: bytes, digest: bytes, done: asyncio.Future[Made]) -> None:
        del self._under_way[digest]
        if not done.cancelled() and done.exception() is None:
            self._keep_first(event, digest, done.result())

    def _keep_first(self, event: bytes, digest: bytes, made: Made) -> None:
        number = self._service.known.get(digest, self._service.wall)
        if number is not None and not isinstance(made[0], Refused):
            self._keep(number, Past(event, made))

    async def _again(self, event: bytes, number: int, until: float | None) -> Answered | None:
        """The answer that was given to a number, None where it is not there any more."""
        past = self._recent.get(number)
        if past is None:
            if (unwritten := self._service.unwritten()) is not None:
                return Answered(*unwritten)
            reading = self._reads.get(number) or self._begin_reading(number)
            if not await _done(reading, until):
                return self._refused_slow()
            past = reading.result()
            if past is None:
                return None
        if past.event != event:
            return self._refused_other()
        made = self._service.once_more(past.made)
        made = await made if isinstance(made, asyncio.Future) else made
        self._repeated += made is past.made
        return Answered(*made, made is past.made)

    def _begin_reading(self, number: int) -> asyncio.Future[Past | None]:
        """Read an answer from the journal, once for all who wait for it."""
        self._reads[number] = reading = asyncio.ensure_future(self._read(number))
        reading.add_done_callback(lambda done: self._has_read(number, done))
        return reading

    def _has_read(self, number: int, done: asyncio.Future[Past | None]) -> None:
        del self._reads[number]
        if not done.cancelled():
            done.exception()  # nobody may wait for it any more

    async def _read(self, number: int) -> Past | None:
        if self.past is None:
            return None
        async with self._reading:
            past = await self.past(number)
        if past is not None:
            self._keep(number, past)
        return past

    def _keep(self, number: int, past: Past) -> None:
        """Keep an answer at hand."""
        recent = self._recent
        if number in recent:
            return
        recent[number] = past
        self._recent_bytes += _size(past)
        while len(recent) > RECENT or self._recent_bytes > RECENT_BYTES:
            _, left = recent.popitem(last=False)
            self._recent_bytes -= _size(left)

    def _refused_other(self) -> Answered:
        self._other += 1
        return self._refused(OTHER_EVENT, _OTHER)

    def _refused_slow(self) -> Answered:
        self._slow += 1
        return self._refused(UNDER_WAY, _SLOW)

    def _refused(self, kind: str, why: str) -> Answered:
        refused = self._service.engine.stepper.refuse(Refusal(kind, why))
        return Answered(refused, encode(refused))


def _size(past: Past) -> int:
    return len(past.event) + len(past.made[1])


async def _done(first: asyncio.Future[Any], until: float | None) -> bool:
    """Wait for something until a time on the loop's clock; gives whether it came to an end."""
    left = None if until is None else max(0.0, until - asyncio.get_running_loop().time())
    await asyncio.wait([first], timeout=left)
    return first.done()
