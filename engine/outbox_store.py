"""What the outbox brings to disk: acknowledgements and dead letters, in batches, by one thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from quell.engine.decision import Decision
from quell.engine.outbox_acks import AckLog, Place, Settled, State, Tried, reason
from quell.engine.outbox_dead import MOST_BYTES, Letters
from quell.engine.outbox_lane import Item, Lane, item_of, message_of
from quell.engine.outbox_types import NO_TAG, Dead, DeadLetter, OutboxError, tag_of

Offload = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function elsewhere, and gives what it returns or raises."""

BATCH = 0.05
"""Seconds over which what is to be written is gathered."""
POLL = 1.0
"""Seconds between two looks for dead letters that somebody asks to be sent again, and between two attempts
where something could not be written."""
QUIET = 5.0
"""Seconds after which `done_upto` is written where nothing was acknowledged."""
MOST_UNSYNCED = 20_000
"""Acknowledgements and dead letters that may wait for the disk before nothing more is delivered."""
MOST_FETCHED = 1_000
"""Dead letters of a sink that are taken up at a time, to be sent again."""
_MOST_STATES = 8


class Every:
    """Says of a time whether so many seconds have passed since it last said so."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = float("-inf")

    def due(self, now: float) -> bool:
        """Whether it is time again."""
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


class Store:
    """The outbox on disk. Raises OutboxError where its folder cannot be used."""

    def __init__(self, folder: Path, journal_id: str, last: int | None, most_bytes: int = MOST_BYTES) -> None:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            hint = "see that Quell may write there, and that there is space"
            raise OutboxError(f"`{folder}` cannot be made: {reason(error)}", hint) from error
        self._journal = journal_id
        self.letters = Letters(folder, most_bytes)
        self._log = AckLog(folder, journal_id)
        self.told = [said for said in (self._log.repaired, self.letters.begin()) if said]
        self.settled: Settled = self._log.settled
        if last is not None and self._reaches_beyond(last):
            self._void_above(last)
        self.done_upto = self.settled.upto
        self.dropped = 0
        self.counts = self.letters.counts()
        self._looked: object = None
        self.problems: dict[str, str] = {}
        self._records: list[list[Any]] = []
        self._dying: list[tuple[Lane, Item, DeadLetter]] = []
        self._delivered: list[str] = []
        self._failing: dict[str, DeadLetter] = {}
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()

    def _reaches_beyond(self, last: int) -> bool:
        numbers = [self.settled.upto, *(state.top for state in self.settled.states)]
        return max(numbers + [place[0] for place in (*self.settled.acks, *self.settled.tried)]) > last

    def _void_above(self, last: int) -> None:
        self.told.append("the journal lost its end, so what was acknowledged of it holds no more")
        self.settled.forget_above(last)
        try:
            self._log.renew(self.settled.records(), keep=False)
        except OSError as error:
            raise OutboxError(f"the acknowledgements cannot be written: {reason(error)}") from error

    # ------------------------------------------------------------------ what is to be written

    def ack(self, item: Item) -> None:
        """A send is settled, or a dead letter was delivered."""
        if item.letter is not None:
            self._delivered.append(item.letter.message.key)
        else:
            self._records.append(["ack", item.number, item.index, item.tag])
        self._wake.set()

    def tried(self, item: Item) -> None:
        """A send, or a dead letter sent again, failed and is to be tried again."""
        if item.letter is None:
            said = (item.number, item.index, item.attempts, item.first_tried, item.first_error)
            self._records.append(["tried", *said])
        else:
            attempts = item.attempts + item.letter.attempts
            told = replace(item.letter, attempts=attempts, last_error=item.last_error)
            self._failing[told.message.key] = told
        self._wake.set()

    def give_up(self, lane: Lane, item: Item, why: str, wall: int) -> None:
        """A message was given up: it is settled once it is a dead letter on disk."""
        with contextlib.suppress(Dead):
            message_of(item, self._journal)
        message, before = item.message, item.letter
        assert message is not None
        lane.given_up = why
        letter = DeadLetter(
            message,
            why,
            item.attempts + (before.attempts if before is not None else 0),
            before.first_error if before is not None and before.attempts else item.first_error,
            item.last_error,
            item.taken if before is None else before.taken,
            before.first_tried if before is not None and before.attempts else item.first_tried,
            wall,
        )
        self._dying.append((lane, item, letter))
        self._wake.set()

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    @property
    def unsynced(self) -> int:
        """What waits to be written."""
        return len(self._records) + len(self._dying) + len(self._delivered) + len(self._failing)

    @property
    def full(self) -> bool:
        """Whether so much waits to be written that nothing more should be delivered."""
        return self.unsynced >= MOST_UNSYNCED

    @property
    def problem(self) -> str:
        """Why something cannot be written, or ""."""
        return "; ".join(self.problems.values())

    # ------------------------------------------------------------------ writing

    async def wait(self) -> None:
        """Until there is something to write, but at most for a while, and then as long as a batch takes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL):
                await self._wake.wait()
        self._wake.clear()
        await asyncio.sleep(POLL if self.problems else BATCH)

    async def sync(self, lanes: dict[str, Lane], seen: int, offload: Offload, idle: bool) -> None:
        """Bring to disk what waits for it: dead letters first, as their sends are acknowledged after. With
        `idle` the progress alone is worth it too."""
        async with self._writing:
            await self._sync(lanes, seen, offload, idle)

    async def _sync(self, lanes: dict[str, Lane], seen: int, offload: Offload, idle: bool) -> None:
        await self._sync_letters(offload)
        firsts = [first for lane in lanes.values() if (first := lane.first_open()) is not None]
        upto = min([*firsts, seen + 1]) - 1
        records, self._records = self._records, []
        moved = upto != self.done_upto and (bool(records) or idle)
        if moved:
            records.insert(0, ["upto" if upto > self.done_upto else "back", upto])
        if not records:
            return
        try:
            await offload(lambda: self._log.write(records))
        except OSError as error:
            self._records[:0] = records[moved:]
            self._cannot_acknowledge(error)
            if isinstance(error, FileNotFoundError):
                await self._renew(lanes, seen, offload)
            return
        self.problems.pop("acks", None)
        self.done_upto = upto if moved else self.done_upto
        if self._log.large:
            await self._renew(lanes, seen, offload)

    def _cannot_acknowledge(self, error: OSError) -> None:
        self.problems["acks"] = f"acknowledgements cannot be written: {reason(error)}"

    async def _sync_letters(self, offload: Offload) -> None:
        dying, self._dying = self._dying, []
        delivered, self._delivered = self._delivered, []
        failing, self._failing = self._failing, {}
        try:
            if failing:
                await offload(lambda: self.letters.failing(failing.values()))
                failing = {}
            if dying:
                new = [letter for _, item, letter in dying if item.letter is None]
                again = [letter for _, item, letter in dying if item.letter is not None]
                self.dropped += await offload(lambda: self.letters.bury(new, again))
            for lane, item, _ in dying:
                lane.buried(item)
                if item.letter is None:
                    self.counts[lane.name] = self.counts.get(lane.name, 0) + 1
                    self.ack(item)
            dying = []
            if delivered:
                await offload(lambda: self.letters.delivered(delivered))
        except OutboxError as error:
            self._dying[:0] = dying
            self._delivered[:0] = delivered
            self._failing = failing | self._failing
            self.problems["dead"] = error.message
        else:
            self.problems.pop("dead", None)

    async def _renew(self, lanes: dict[str, Lane], seen: int, offload: Offload) -> None:
        """Make the log anew. What earlier runs said is needed for as long as sends of theirs are to be read
        from the journal again."""
        missed = [lane.missed[0][0] for lane in lanes.values() if lane.missed is not None]
        first = min(missed, default=seen + 1)
        old = self.settled
        old.upto = self.done_upto
        old.states = [state for state in old.states if state.top >= first][-_MOST_STATES:]
        old.acks = {place: tag for place, tag in old.acks.items() if place[0] >= first}
        items = [item for lane in lanes.values() for item in lane.open_items()]
        now = State(seen, {n: at for n, lane in lanes.items() if (at := lane.start()) is not None})
        now.open = {item.place for item in items}
        old.tried = {place: t for place, t in old.tried.items() if place[0] >= first}
        old.tried |= {
            i.place: Tried(i.attempts, i.first_tried or 0, i.first_error) for i in items if i.attempts
        }
        records = Settled(self.done_upto, [*old.states, now], old.acks, old.tried).records()
        try:
            await offload(lambda: self._log.renew(records))
        except OSError as error:
            self._cannot_acknowledge(error)

    async def asked_again(self, lanes: dict[str, Lane], offload: Offload, thorough: bool) -> list[DeadLetter]:
        """Dead letters that somebody asked to be sent again, as many as there is room for, and a new count of
        those there are; if it need not be `thorough`, only where the file has changed."""
        stamp = self.letters.stamp()
        if stamp == self._looked and not thorough:
            return []
        room = {
            name: min(lane.room, MOST_FETCHED)
            for name, lane in lanes.items()
            if lane.sink is not None and lane.room > 0
        }
        try:
            found: list[DeadLetter] = await offload(lambda: self.letters.fetch(room))
            self.counts = await offload(self.letters.counts)
        except OutboxError as error:
            self.problems["dead"] = error.message
            return []
        self._looked = None if found else stamp
        return found

    # ------------------------------------------------------------------ what earlier runs said

    def is_settled(self, sink: str, place: Place, decision: Decision) -> bool:
        """Whether an earlier run settled a send."""
        said = self.settled.has(sink, place)
        return said if isinstance(said, bool) else said in (NO_TAG, tag_of(decision, place[1]))

    def item(self, number: int, index: int, decision: Decision, taken: int) -> Item:
        """A send that is to be delivered, with what an earlier run met."""
        item = item_of(number, index, decision, taken)
        known = self.settled.tried.get(item.place)
        if known is not None:
            item.attempts, item.first_tried, item.first_error = known.attempts, known.first, known.why
        return item

    async def settle(self, lanes: dict[str, Lane], seen: int, offload: Offload) -> None:
        """Bring all to disk that can be, after whatever is being written at present, and let go of the
        files."""
        await self.sync(lanes, seen, offload, True)
        async with self._writing:
            self.close()

    def close(self) -> None:
        """Let go of the files as they are."""
        self._log.close()
