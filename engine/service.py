"""The service around an engine: every answer is in the journal before it is given.

    service = Service(Stepper(build), journal=Journal.open(folder))
    reply, encoded = await service.decide(b'{"type": "message_create", …}')

It knows nothing of HTTP. Events are decided in the order in which `begin` is called. While another version
of the bundle is put in place events wait at the gate, in order, for as long as the decisions under way take
to end. A service is for one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from quell.engine.asking import remotes_of
from quell.engine.carry import Section, SnapshotReport, carry
from quell.engine.compile import Build
from quell.engine.decision import Reply
from quell.engine.engine import BUSY, IN_FLIGHT, Asking, Engine
from quell.engine.event_problems import Refusal
from quell.engine.hand import Carried, HandAction, LabelError, entry_of
from quell.engine.hand_calls import Time
from quell.engine.idempotency import Known
from quell.engine.once import Once
from quell.engine.pending import report
from quell.engine.remake import fill
from quell.engine.service_keeping import (
    Done,
    Keeping,
    Made,
    Taker,
    Writing,
    as_json,
    encode,
    on_disk,
)
from quell.engine.service_types import Filled, Note, VersionInfo
from quell.engine.stepper import Event, Stepper
from quell.signals.remote_types import RemoteSpec, Request

AHEAD = 300.0
"""Seconds that an event may be dated ahead of the server's clock."""
PATIENCE = 2.0
"""Seconds that decisions under way get to end before another version of the bundle takes over."""
TICK = 0.25
"""Seconds between two times that watchers are told."""
MOST_AT_GATE = 20_000
"""Events that may wait while another version is put in place."""
_note = tuple.__new__
"""Makes a Note in half the time that its own `__new__` takes."""


class Service(Keeping):
    """Decides events, puts them in a journal, and changes the bundle while it runs.

    `number` is that of the bundle's version. `taker` gets what decisions send. `watchers` are told four times
    a second of the answers since, some at a time; what they raise is reported and forgotten. `ahead` is how
    many seconds an event may be dated ahead of the clock, None for no limit; `known` the keys that came
    before. `once` decides events under keys. Raises SetupError as `Engine.load` does.
    """

    def __init__(
        self,
        stepper: Stepper,
        number: int = 1,
        journal: Writing | None = None,
        *,
        taker: Taker | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        environ: Mapping[str, str] | None = None,
        deadline: float | None = None,
        in_flight: int = IN_FLIGHT,
        ahead: float | None = AHEAD,
        clock: Callable[[], int] = time.time_ns,
        known: Known | None = None,
    ) -> None:
        super().__init__(number, journal, taker, known)
        self._functions, self._environ = functions, environ
        self._ahead, self._clock = ahead, clock
        self._turn: list[tuple[Done, Made]] = []
        self._closing: set[asyncio.Future[None]] = set()
        self._gate: deque[asyncio.Future[None]] | None = None
        self._changing = asyncio.Lock()
        self._ticking: asyncio.Task[None] | None = None
        self.no_memory: Callable[[], None] = lambda: None
        """Called where memory ran out while an event was decided, or a label by hand carried out: what is
        remembered may be half changed, and only making the journal again mends that. Whoever does either
        raises MemoryError then."""
        self._began = time.perf_counter()
        self.engine = Engine(stepper, deadline=deadline, in_flight=in_flight, recorder=self)
        self.engine.no_memory = lambda: self.no_memory()
        self.engine.remotes = remotes_of(stepper.bundle, functions, environ, self._take_late)
        self.once = Once(self)
        self.move_clock()

    @property
    def bundle(self) -> Build:
        """The bundle that decides."""
        return self.engine.stepper.bundle

    # -------------------------------------------------------------- deciding

    def begin(
        self, event: bytes, deadline: float | None = None, by_hand: bool = True
    ) -> Made | asyncio.Future[Made]:
        """The decision for an event and its JSON, or a future of them where it waits: for remote answers, for
        the disk, or at the gate. Labels by hand are refused unless `by_hand`. Raises ValueError, before the
        event is counted, for a deadline that is no number of seconds."""
        if self._gate is not None:
            return asyncio.ensure_future(self._through_gate(event, self._key, deadline, by_hand))
        if self.journal is not None and self.journal.problem and not self.journal.flush():
            return self._unwritten()
        began = time.perf_counter()
        reply = self._begun(event, deadline, by_hand)
        if isinstance(reply, asyncio.Future):
            return asyncio.ensure_future(self._later(event, reply, began, self.number))
        made = reply, self._encoded or encode(reply)
        self._notes.append(_note(Note, (self.wall, time.perf_counter() - began, self.number, event, reply)))
        return self._written(made) if self._encoded else made

    def _begun(self, event: bytes, deadline: float | None, by_hand: bool) -> Reply | asyncio.Future[Reply]:
        """Have the engine decide, and keep in `_encoded` what goes into the journal."""
        self._encoded = b""
        try:
            return self.engine.begin(event, deadline, 0, by_hand)
        except MemoryError:
            self.no_memory()
            raise

    @contextlib.contextmanager
    def _all_or_end(self) -> Iterator[None]:
        """The same for what is not done a hundred thousand times a second."""
        try:
            yield
        except MemoryError:
            self.no_memory()
            raise

    def _take_late(self, spec: RemoteSpec, request: Request, value: Any, token: Any) -> None:
        """Take a late answer of a remote model into the history."""
        with self._all_or_end():
            self.engine.take_late(spec, request, value, token)

    def begin_keyed(
        self, event: bytes, key: bytes, deadline: float | None = None, by_hand: bool = True
    ) -> Made | asyncio.Future[Made]:
        """As `begin`, with the digest of a key that goes into the journal with the event; whether it came
        before is for `once` to say."""
        self._key = key
        try:
            return self.begin(event, deadline, by_hand)
        finally:
            self._key = b""

    def begin_soon(self, event: bytes, done: Done) -> bool | asyncio.Future[Made]:
        """As `begin`, for an event that is no label by hand, with one write to the journal for all that the
        event loop has at hand. True: it is decided, and `done` is called before the loop waits again, with
        the answer as the journal has it or with why it is not there. A future where it waits. False: nothing
        happened, and `begin` says why or has to wait."""
        journal = self.journal
        if self._gate is not None:
            return False
        if journal is not None and (journal.problem or journal.durability == "each"):
            return False
        began = time.perf_counter()
        reply = self._begun(event, None, False)
        if isinstance(reply, asyncio.Future):
            return asyncio.ensure_future(self._later(event, reply, began, self.number))
        if not self._encoded:  # it was refused
            return False
        self._notes.append(_note(Note, (self.wall, time.perf_counter() - began, self.number, event, reply)))
        if not self._turn:
            asyncio.get_running_loop().call_soon(self.end_turn)
        self._turn.append((done, (reply, self._encoded)))
        return True

    def end_turn(self) -> None:
        """Hand the journal over and answer all that `begin_soon` decided since the last time."""
        turn, self._turn = self._turn, []
        journal = self.journal
        if not turn:
            return
        if journal is None or journal.durability != "off":
            written = journal is None or journal.flush()
            if not written:
                turn = [(done, self._unwritten()) for done, _ in turn]
            elif self._sends:
                self._send(self._sent())
        for done, made in turn:
            try:
                done(made)
            except Exception as error:  # the others have their answers all the same
                report("giving an answer failed", error)

    def begin_many(
        self, events: Sequence[bytes], by_hand: bool = True
    ) -> list[Made] | asyncio.Future[list[Made]]:
        """The decisions for events, in order, with one write to the journal for those that need not wait."""
        if self._gate is not None:
            return asyncio.ensure_future(self._many_through_gate(events, by_hand))
        journal = self.journal
        if journal is not None and journal.problem and not journal.flush():
            return [self._unwritten() for _ in events]
        made: list[Made | asyncio.Future[Made]] = []
        begin, note, clock = self._begun, self._notes.append, time.perf_counter
        wall, number, future = self.wall, self.number, asyncio.Future
        began = clock()
        for event in events:
            reply = begin(event, None, by_hand)
            if isinstance(reply, future):
                made.append(asyncio.ensure_future(self._later(event, reply, began, number)))
                continue
            made.append((reply, self._encoded or encode(reply)))
            ended = clock()
            note(_note(Note, (wall, ended - began, number, event, reply)))
            began = ended
        return self._all_written(made)

    async def decide(self, event: Event, deadline: float | None = None) -> Made:
        """The decision for an event, given as JSON or as a mapping, and its JSON. Raises ValueError as
        `begin` does, and TypeError for a mapping that is no JSON."""
        made = self.begin(as_json(event), deadline)
        return await made if isinstance(made, asyncio.Future) else made

    async def _later(self, event: bytes, reply: asyncio.Future[Reply], began: float, number: int) -> Made:
        """The answer to an event that waits for remote answers."""
        answer = await reply
        made = answer, encode(answer)
        self._notes.append(Note(self.wall, time.perf_counter() - began, number, event, answer))
        written = self._written(made)
        return await written if isinstance(written, asyncio.Future) else written

    # --------------------------------------------------------------- by hand

    async def label(self, action: HandAction) -> Made:
        """Carry out a label by hand. Raises LabelError where its label is not declared, where it is dated too
        far ahead, and while the journal cannot be written."""
        latest, journal = self.engine.latest, self.journal
        if latest is not None and action.at > latest:
            raise LabelError("`at` lies further ahead of the server's clock than it allows")
        if journal is not None and journal.problem and not journal.flush():
            raise LabelError(f"the journal cannot be written: {journal.problem}")
        with self._all_or_end():
            acted = self.engine.carry_out(action)
        self._notes.append(Note(self.wall, 0.0, self.number, encode(entry_of(acted)), acted))
        written = self._written((acted, self._encoded))
        return await written if isinstance(written, asyncio.Future) else written

    def labels_of(self, entity: str, id: str, at: Time | None = None) -> list[Carried]:
        """The labels of an entity at a time, by default now, with their reasons. Raises LabelError for an
        entity that is not declared."""
        return self.engine.labels_of(entity, id, self._clock() // 1000 if at is None else at)

    # -------------------------------------------------------------- changing

    async def swap(self, build: Build, info: VersionInfo) -> tuple[SnapshotReport, float]:
        """Let another version of the bundle decide from the next event on, with the memory of the one before;
        gives what was kept, and how many seconds events were held up. Raises SetupError, with nothing
        changed, if one of its remote models has nobody to answer it."""
        remotes = remotes_of(build, self._functions, self._environ, self._take_late)
        began = time.perf_counter()
        async with self.held():
            await self.engine.still(PATIENCE)
            kept = self._change(build, info, remotes)
        return kept, time.perf_counter() - began

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold events up at the gate; one at a time does so."""
        async with self._changing:
            self._gate = deque()
            try:
                yield
            finally:
                self._open_gate()

    def _change(self, build: Build, info: VersionInfo, remotes: Asking | None) -> SnapshotReport:
        engine, former = self.engine, self.engine.remotes
        stepper, kept = carry(engine.stepper, build)
        engine.stepper, engine.remotes = stepper, remotes
        self.note_version(info)
        if former is not None:
            self._closing.add(task := asyncio.ensure_future(former.close()))
            task.add_done_callback(self._closing.discard)
        return kept

    def note_version(self, info: VersionInfo) -> None:
        """Put down which version decides from here on: a change is a step of the history of its own."""
        self.number = info.number
        self.engine.stepper.seq += 1
        self._append("version", self.engine.stepper.seq, 0, 0, b"", encode(info))
        if self.journal is not None:
            self.journal.flush()

    async def quiet(self, within: float) -> bool:
        """Hold events up until no decision waits, at most so many seconds; gives whether there was such a
        moment. From the journal's entry before it all that is remembered can be told."""
        if not self.engine.waiting:
            return True
        async with self.held():
            return await self.engine.quiet(within)

    def take_filled(self, filled: Filled, told: Iterable[Section]) -> None:
        """Let counters remember what they were filled with, as a step of the history of its own."""
        stepper = self.engine.stepper
        fill(stepper, told)
        stepper.seq += 1
        self._append("filled", stepper.seq, stepper.seq, 0, b"", encode(filled))
        if self.journal is not None:
            self.journal.flush()

    def _open_gate(self) -> None:
        gate, self._gate = self._gate, None
        for waiting in gate or ():
            if not waiting.done():
                waiting.set_result(None)

    async def _at_gate(self) -> bool:
        """Wait until the gate is open; False if too many do."""
        while self._gate is not None:
            if len(self._gate) >= MOST_AT_GATE:
                return False
            waiting = asyncio.get_running_loop().create_future()
            self._gate.append(waiting)
            await waiting
        return True

    async def _through_gate(self, event: bytes, key: bytes, deadline: float | None, by_hand: bool) -> Made:
        if not await self._at_gate():
            return self._busy()
        made = self.begin_keyed(event, key, deadline, by_hand)
        return await made if isinstance(made, asyncio.Future) else made

    async def _many_through_gate(self, events: Sequence[bytes], by_hand: bool) -> list[Made]:
        if not await self._at_gate():
            return [self._busy()] * len(events)
        made = self.begin_many(events, by_hand)
        return await made if isinstance(made, asyncio.Future) else made

    def _busy(self) -> Made:
        refused = self.engine.stepper.refuse(Refusal("busy", BUSY))
        return refused, encode(refused)

    # --------------------------------------------------------------- running

    def start(self) -> None:
        """Begin to tell watchers, and to move the clock. Needs the event loop."""
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().create_task(self._tick())

    def move_clock(self) -> None:
        """Look at the clock: nothing else in deciding does, and this decides only what is refused."""
        self.wall = self._clock() // 1000
        if self._ahead is not None:
            self.engine.latest = self.wall + int(self._ahead * 1e6)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self.move_clock()
            if self.journal is not None and self.journal.flush() and self._sends:
                self._send_once(self.journal.synced())
            await self.tell_slowly()

    async def close(self) -> None:
        """Take no more events, make the decisions that wait, and write all that is left."""
        self.end_turn()
        await self.engine.close()
        if self._ticking is not None:
            self._ticking.cancel()
        if self.journal is None:
            self._send(self._sent())
        elif self.journal.flush():  # else nobody is to hear of what the journal does not say
            synced = self.journal.synced()
            self._send_once(synced)
            if synced is not None:
                await on_disk(synced)
        self.tell()
        for task in list(self._closing):
            await task
