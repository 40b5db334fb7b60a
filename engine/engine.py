"""The asynchronous engine: a stepper, and remote models that are asked while events go on.

    engine = Engine.load("policies")
    decision = await engine.decide(b'{"type": "message_create", …}')
    await engine.close()

Events are counted in the order in which `decide` is called; a decision that needs no remote answer is made
at once, without giving up the thread. One that waits lets others pass, and its effects are visible to what
is admitted after it is made. Both numbers are on the decision, `seq` and `decided`, so that a concurrent
run can be made again one event at a time (recorded.py). An engine is for one event loop.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from quell.engine.asking import late_event, remotes_of
from quell.engine.decision import Acted, Decision, Refused, Reply
from quell.engine.events import Decoded, Refusal
from quell.engine.figures import Figures
from quell.engine.hand import HAND, Carried, HandAction, LabelError, entry_of
from quell.engine.hand_calls import HandCalls, Time
from quell.engine.pending import Pending, report
from quell.engine.schema import Field
from quell.engine.stepper import Event, Stepper
from quell.engine.waiting import Waiting
from quell.grammar.literals import spell_path
from quell.signals.remote_types import Answer, RemoteSpec, Request
from quell.signals.remote_types import Figures as RemoteFigures
from quell.signals.show import show_time

IN_FLIGHT = 10_000
"""Decisions that may wait at once; beyond them an event is refused before anything counts it."""
MOST_ECHOES = 4
"""Late answers that may lead to one another: each is an event, which may ask, and be answered late."""
_LONGEST = 1e9
"""Seconds: a longer deadline is none."""
BUSY = "the engine has too much under way"
CLOSING = "the engine is closing"
BY_HAND = "by-hand"
"""The kind of a refusal of a label by hand where none may be."""
_STEP = 256
"""Decisions made at once before others on the event loop get their turn."""

Watcher = Callable[[Reply], None]


class Recorder(Protocol):
    """Hears of all that changes an engine's memory, in the order in which it does, before whoever asked is
    answered. It must not raise."""

    def decided(self, event: Event, reply: Reply) -> None:
        """An event was decided at once, or deciding it failed inside Quell once it was counted, or a label by
        hand was carried out."""
        ...

    def admitted(self, event: Event, waiting: Waiting) -> None:
        """An event was counted, and its decision waits."""
        ...

    def finished(self, waiting: Waiting, reply: Decision | Refused) -> None:
        """The decision of an event that waited was made."""
        ...


class Asking(Protocol):
    """What asks remote models: `signals.remote.Remotes`, or a stand-in."""

    def ask(
        self, request: Request, deadline: float | None = None, token: Any = None
    ) -> asyncio.Future[Answer]:
        """A future that is always resolved, by `deadline` on the loop's clock at the latest."""
        ...

    def stats(self) -> dict[str, RemoteFigures]:
        """Figures by target."""
        ...

    async def close(self) -> None:
        """End what is under way."""
        ...


class Engine(HandCalls):
    """Decides events while remote models are asked.

    `deadline` is how long a decision may take at most, in seconds: what has not answered by then is missing.
    `in_flight` is how many decisions may wait at once. `on_decision` sees every decision, label by hand and
    refusal in the order in which they are made; what it raises goes to the event loop's exception handler, as
    the decision holds all the same. `recorder` hears of all that is remembered. `latest`, which a server
    moves along with its clock, is the time in microseconds beyond which events are refused. Raises ValueError
    for a deadline that is no number.
    """

    def __init__(
        self,
        stepper: Stepper,
        remotes: Asking | None = None,
        *,
        deadline: float | None = None,
        in_flight: int = IN_FLIGHT,
        on_decision: Watcher | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.stepper = stepper
        self.remotes = remotes
        self.deadline = None if deadline is None else seconds(deadline)
        self.in_flight = in_flight
        self.on_decision = on_decision
        self.recorder = recorder
        self.latest: int | None = None
        self.no_memory: Callable[[], None] = lambda: None
        """Called where memory ran out while a decision that waited was made: who keeps the engine has it."""
        self._open: set[Pending] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: asyncio.Future[None] | None = None
        self._made: asyncio.Future[None] | None = None
        self._closing = False

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        environ: Mapping[str, str] | None = None,
        deadline: float | None = None,
        in_flight: int = IN_FLIGHT,
        on_decision: Watcher | None = None,
    ) -> Engine:
        """An engine for the bundle in a folder.

        `functions` answer the remote models whose target quell.toml calls `callable`, by the target's name;
        each takes a list of inputs, a dict each, and gives, or awaits to, a list of answers. `environ` holds
        the secrets that quell.toml names. Raises PolicyError, with every reason, if the bundle has errors,
        and SetupError if a remote model has nobody to answer it.
        """
        made = cls(Stepper.load(folder), deadline=deadline, in_flight=in_flight, on_decision=on_decision)
        made.remotes = remotes_of(made.stepper.bundle, functions, environ, made.take_late)
        return made

    @property
    def version(self) -> str:
        """A digest of the policies, lists, models and settings that decide."""
        return self.stepper.version

    @property
    def waiting(self) -> int:
        """How many decisions wait for remote answers."""
        return len(self._open)

    def figures(self) -> Figures:
        """What is held and what waits: keys, entries and bytes of every counter, label and limit, and what
        became of the questions to remote models. Takes milliseconds."""
        remote = self.remotes.stats() if self.remotes is not None else {}
        return msgspec.structs.replace(self.stepper.figures(), waiting=len(self._open), remote=remote)

    # -------------------------------------------------------------- deciding

    async def decide(self, event: Event, deadline: float | None = None) -> Reply:
        """The decision for one event, given as JSON or as a mapping.

        The event is counted when this is first awaited. If the caller gives up, the decision is made all the
        same and its effects hold. Never raises for what is in the event; raises ValueError, before the event
        is counted, for a deadline that is no number.
        """
        answer = self.begin(event, deadline)
        return await answer if isinstance(answer, asyncio.Future) else answer

    async def decide_many(
        self, events: Iterable[Event] | AsyncIterable[Event], deadline: float | None = None
    ) -> AsyncIterator[Reply]:
        """The decisions for events, in their order; up to `in_flight` of them wait at once. None is refused
        because too much is under way: the next event is taken when there is room for it."""
        under_way: deque[Reply | asyncio.Future[Reply]] = deque()
        at_once = 0
        async for event in _each(events):
            while under_way and (len(under_way) >= self.in_flight or _is_done(under_way[0])):
                yield await _settled(under_way.popleft())
            while len(self._open) >= self.in_flight > 0 and not self._closing:  # others decide as well
                if under_way:
                    yield await _settled(under_way.popleft())
                else:
                    await self._room()
            under_way.append(self.begin(event, deadline))
            at_once += 1
            if at_once % _STEP == 0:
                await asyncio.sleep(0)
        while under_way:
            yield await _settled(under_way.popleft())

    async def _room(self) -> None:
        """Wait until a decision that waited is made."""
        if self._made is None or self._made.done():
            self._made = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._made)

    def begin(
        self, event: Event, deadline: float | None = None, echoes: int = 0, by_hand: bool = True
    ) -> Reply | asyncio.Future[Reply]:
        """Admit an event; gives its decision, or a future of it where it waits for remote answers. Labels by
        hand are refused unless `by_hand`. Raises as `decide` does."""
        within = self.deadline if deadline is None else seconds(deadline)
        decoded = self.stepper.decode(event)
        if not isinstance(decoded, Decoded):
            return self._no_event(event, decoded, by_hand)
        if self._closing or len(self._open) >= self.in_flight:
            kind, why = ("closing", CLOSING) if self._closing else ("busy", BUSY)
            return self._refused(Refusal(kind, why, event=decoded.event))
        if self.latest is not None and decoded.at > self.latest:
            schema = self.stepper.bundle.analysis.symbols.schemas[decoded.event]
            return self._refused(_ahead(decoded.at, decoded.event, schema.field(schema.at)))
        answer = self.stepper.admit(decoded)
        if not isinstance(answer, Waiting):
            if self.recorder is not None:
                self.recorder.decided(event, answer)
            return answer if self.on_decision is None else self._told(answer)
        answer.echoes = echoes
        if self.recorder is not None:
            self.recorder.admitted(event, answer)
        return self._wait(answer, within)

    def _no_event(self, event: Event, entry: Refusal | HandAction, by_hand: bool) -> Reply:
        """The reply to what is no event: a label by hand, or what cannot be read."""
        if not by_hand and (isinstance(entry, HandAction) or entry.event == HAND):
            return self._refused(Refusal(BY_HAND, "a label by hand is not taken from here", event=HAND))
        if isinstance(entry, Refusal):
            return self._refused(entry)
        if self._closing:
            return self._refused(Refusal("closing", CLOSING, event=HAND))
        if self.latest is not None and entry.at > self.latest:
            return self._refused(_ahead(entry.at, HAND, None))
        answer = self.stepper.act(entry)
        if self.recorder is not None and isinstance(answer, Acted):
            self.recorder.decided(event, answer)
        return self._told(answer)

    def _refused(self, refusal: Refusal) -> Reply:
        return self._told(self.stepper.refuse(refusal))

    def _wait(self, answer: Waiting, within: float | None) -> asyncio.Future[Reply]:
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Reply] = loop.create_future()
        self._loop = loop
        pending = Pending(self, answer, None if within is None else loop.time() + within, made)
        self._open.add(pending)
        pending.ask()
        return made

    def _told(self, answer: Reply) -> Reply:
        if self.on_decision is not None:
            try:
                self.on_decision(answer)
            except Exception as error:  # it holds, and whoever asked must have it
                report("what sees the decisions failed", error)
        return answer

    def ran_out(self, pending: Pending, made: asyncio.Future[Reply], error: MemoryError) -> None:
        """Memory ran out while a decision that waited was made: there is none, and whoever asked has the
        exception."""
        self._open.discard(pending)
        self.no_memory()
        if not made.done():
            made.set_exception(error)
        self._wake()

    def finish(self, pending: Pending, made: asyncio.Future[Reply], answer: Decision | Refused) -> None:
        """Hand over a decision that waited."""
        self._open.discard(pending)
        if self.recorder is not None:
            self.recorder.finished(pending.waiting, answer)
        self._told(answer)
        if not made.done():  # else whoever asked has given up
            made.set_result(answer)
        self._wake()

    def _wake(self) -> None:
        """Let those go on who wait for a decision to be made, or for all."""
        if self._made is not None and not self._made.done():
            self._made.set_result(None)
        if self._idle is not None and not self._open and not self._idle.done():
            self._idle.set_result(None)

    # --------------------------------------------------------------- by hand

    def carry_out(self, action: HandAction) -> Acted:
        """Carry out a label by hand, at once. Raises LabelError where its label is not declared, and once the
        engine closes: whoever keeps its state may have done so."""
        if self._closing:
            raise LabelError(CLOSING)
        acted = self.stepper.carry_out(action)
        if self.recorder is not None:
            self.recorder.decided(entry_of(acted), acted)
        self._told(acted)
        return acted

    def labels_of(self, entity: str, id: str, at: Time) -> list[Carried]:
        """The labels of an entity at a time, with their reasons. Changes nothing. Raises LabelError for an
        entity that is not declared."""
        return self.stepper.labels_of(entity, id, at)

    def take_late(self, spec: RemoteSpec, request: Request, value: Any, token: Any) -> None:
        """Take an answer that came too late for its decision into the history, as an event of its own, of the
        type that quell.toml gives the target's late answers; without one it is dropped. So is one that such
        events have led to over and over, else an answer that is always late would ask for itself for ever."""
        if token.echoes >= MOST_ECHOES:
            return
        settings = self.stepper.bundle.analysis.files.settings
        target = settings.remote.get(spec.target)
        if target is not None and target.late:
            event = late_event(spec, request, value, token, target.late, settings.type_path)
            self.begin(event, None, token.echoes + 1)

    # --------------------------------------------------------------- closing

    async def quiet(self, within: float) -> bool:
        """Wait until no decision waits, so many seconds at most; gives whether that came to be. Whoever calls
        this lets no event in meanwhile."""
        if self._open:
            if self._idle is None or self._idle.done():
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._idle], timeout=within)
        return not self._open

    async def still(self, within: float) -> None:
        """As `quiet`, and what waits even then is decided without the answers that have not come."""
        await self.quiet(within)
        while self._open:  # going on may ask once more
            for pending in sorted(self._open, key=lambda p: p.waiting.seq):
                pending.give_up()

    async def close(self) -> None:
        """Take no more events, make the decisions that wait, and end what remote models still do. In another
        event loop than the one that decided, what waits there is given up."""
        self._closing = True
        if self._open and self._loop is asyncio.get_running_loop():
            if self._idle is None or self._idle.done():
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)  # several may close, and one of them give up
        if self.remotes is not None:
            await self.remotes.close()

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *about: object) -> None:
        await self.close()


def _ahead(at: int, event: str, field: Field | None) -> Refusal:
    return Refusal(
        "ahead",
        f"the event is dated {show_time(at)}, further ahead of the server's clock than it allows",
        "at" if field is None else spell_path(field.path),
        event=event,
    )


def seconds(deadline: float) -> float:
    """A deadline as seconds that a loop's clock can be put forward by. Raises ValueError."""
    if not isinstance(deadline, bool) and isinstance(deadline, int | float):
        found = float(max(min(deadline, _LONGEST), 0.0))  # in this order what is no number stays none
        if not math.isnan(found):
            return found
    raise ValueError("a deadline is a number of seconds")


async def _each(events: Iterable[Event] | AsyncIterable[Event]) -> AsyncIterator[Event]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event


def _is_done(made: Reply | asyncio.Future[Reply]) -> bool:
    return not isinstance(made, asyncio.Future) or made.done()


async def _settled(made: Reply | asyncio.Future[Reply]) -> Reply:
    return await made if isinstance(made, asyncio.Future) else made
