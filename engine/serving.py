"""All parts of a service over a data folder, put together and taken apart.

    async with serving("policies", "quell-data") as running:
        reply, encoded = await running.service.decide(event)

On opening, the memory comes back: the newest snapshot, what the journal says since, and then the bundle as it
is now. What was to be sent and was not acknowledged is sent again. On closing, what was admitted is decided
and written, and the memory is left in a snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from quell.engine.asking import remotes_of
from quell.engine.carry import SnapshotReport, carry
from quell.engine.checkpoint import (
    KEEP,
    Checkpoint,
    Data,
    Recovered,
    builds_of,
    drop_fills,
    greatest_version,
    oldest,
    recover,
    remove_parts,
)
from quell.engine.children import NoSuchDecision, NothingFound, run_module
from quell.engine.engine import IN_FLIGHT
from quell.engine.filling import Filling
from quell.engine.idempotency import BOUNDS, Bounds, Known
from quell.engine.journal import SEGMENT_BYTES, Durability, Journal
from quell.engine.journal_find import find, reply_of
from quell.engine.journal_format import JournalError
from quell.engine.lock import held
from quell.engine.once import Past
from quell.engine.outbox import Outbox
from quell.engine.outbox_reading import decisions_of
from quell.engine.outbox_types import Sink
from quell.engine.reload import Reloader
from quell.engine.reload_process import TIME, Checker
from quell.engine.reload_start import Started, start
from quell.engine.remake import RemakeError
from quell.engine.service import AHEAD, Service
from quell.engine.service_types import ReloadOutcome
from quell.engine.sinks_named import sinks_named
from quell.engine.snapshot import SnapshotError
from quell.engine.snapshots import Snapshots
from quell.engine.stepper import Stepper
from quell.engine.versions import Versions

LOG = logging.getLogger("quell.serving")
COLLECT = (20_000, 10, 10)
"""When garbage is looked for. By default that is after 700 objects: with the notes of a quarter of a second,
which are let go all at once, that took 5 % of the time, and each look at everything stops all for 0.2 s where
there are a million keys."""
GRACE = 5.0
"""Seconds that sends get to go out when the service ends; the rest goes out after the next start."""
EXPLAINING = 120.0
"""Seconds that the explanation of a past decision may take."""
ALL = (1 << 63) - 1
"""Greater than any number."""
AT_ONCE = 2
"""Explanations that are made at once: each is a process with a memory of its own."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How a service is to be kept. `sinks` by name; `functions` and `environ` as `Engine.load` takes them;
    `keep_age` (microseconds) and `keep_bytes` bound the journal, `snapshots_every` is in numbers of the
    journal (None: as often as a restart stays quick), `checking` is how many seconds checking the policies
    and running their tests may take. `keys` bounds the Idempotency-Keys that are remembered. `tell` hears of
    every reload."""

    durability: Durability = "batch"
    segment_bytes: int = SEGMENT_BYTES
    keep_age: int | None = None
    keep_bytes: int | None = None
    snapshots_every: int | None = None
    snapshots_kept: int = KEEP
    ahead: float | None = AHEAD
    deadline: float | None = None
    checking: float = TIME
    in_flight: int = IN_FLIGHT
    keys: Bounds = BOUNDS
    sinks: Mapping[str, Sink] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any]] | None = None
    environ: Mapping[str, str] | None = None
    tell: Callable[[ReloadOutcome], None] = lambda outcome: None


class Restart(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came back at the start: the number of the `snapshot` (0 for none), how many entries of the journal
    were `made` again after it and how many came out `differing`, how many decisions that waited were
    `finished`, how many decisions' sends go out again, what was kept where the bundle changed meanwhile, in
    how many seconds, and what else is to be told."""

    snapshot: int = 0
    made: int = 0
    differing: int = 0
    finished: int = 0
    sends: int = 0
    state: SnapshotReport | None = None
    seconds: float = 0.0
    told: tuple[str, ...] = ()


class Serving:
    """The parts of a running service."""

    @staticmethod
    def open(
        policies: str | Path, data: str | Path, setup: Setup = Setup()
    ) -> contextlib.AbstractAsyncContextManager[Serving]:
        """As `serving`."""
        return serving(policies, data, setup)

    def __init__(
        self,
        policies: Path,
        data: Data,
        setup: Setup,
        service: Service,
        journal: Journal,
        outbox: Outbox,
        versions: Versions,
        started: Started,
        restart: Restart,
    ) -> None:
        self.data, self.setup, self.service, self.journal = data, setup, service, journal
        self.outbox, self.versions, self.started, self.restart = outbox, versions, started, restart
        self.reloader = Reloader(
            policies, versions, service.swap, self.told, started=started, checker=Checker(setup.checking)
        )
        self.snapshots = Snapshots(
            data, service, self.keep, every=setup.snapshots_every, keep=setup.snapshots_kept
        )
        self.filling = Filling(data, service)
        self.closing = False
        self._kept = 0
        self.began = time.time_ns() // 1000
        self._explaining = asyncio.Semaphore(AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []

    def go(self) -> None:
        """Begin with what runs beside deciding."""
        self.service.once.past = self.past
        self.service.watchers.append(self._pass)
        self.service.start()
        self.filling.want()
        for work in (self.outbox.run(), self.reloader.watch(), self.snapshots.run(), self.filling.run()):
            self.beside(work)

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done beside deciding; it is given up when the service closes."""
        self._tasks.append(asyncio.ensure_future(_watched(work)))

    def told(self, outcome: ReloadOutcome) -> None:
        """What came of a reload: counters that it brought are filled from the journal."""
        if outcome.result == "live":
            self.filling.want()
            self.outbox.named = sinks_named(self.service.bundle.analysis)
        self.setup.tell(outcome)

    async def past(self, number: int) -> Past | None:
        """What the journal has of an event and its answer, None where that was dropped. Raises JournalError,
        also for an answer that this Quell cannot read."""
        found = await asyncio.to_thread(find, self.data.journal, number)
        if found is not None:
            try:
                return Past(found.event, (reply_of(found), found.reply))
            except msgspec.MsgspecError as error:
                raise JournalError(f"the answer under the number {number} cannot be read: {error}") from error
        if number < self.journal.figures().first:
            return None
        raise JournalError(f"the journal does not say what was decided under the number {number}")

    async def explain(self, seq: int) -> bytes:
        """Why the event of a number was decided as it was, as JSON: an Explanation, Acted or Refused. Raises
        ChildError, which says why there is none; NoSuchDecision where the journal does not hold it."""
        async with self._explaining:
            out = await run_module("quell.engine.explain_past", [str(self.data.root), str(seq)], EXPLAINING)
        if out.startswith(b'{"absent":'):
            raise NoSuchDecision(msgspec.json.decode(out)["absent"])
        if out.startswith(b'{"problem":'):
            raise NothingFound(msgspec.json.decode(out)["problem"])
        return out.rstrip()

    def keep(self, number: int, made: Checkpoint) -> None:
        """Let go of what nobody needs up to a number of the oldest snapshot, after another was `made`: of the
        journal as far as its settings want it gone and the outbox needs it no more."""
        self._kept = number
        self._pass()
        left = oldest(self.data)
        self.versions.keep_from = min(made.version, left.version if left is not None else made.version)
        drop_fills(self.data, made.first)

    def _pass(self, *notes: object) -> None:
        """Let the outbox know how far it has been given everything, as decisions that send nothing do not
        reach it, and the journal what is needed no more: by a restart, and by the outbox."""
        if not self.service.unsent:
            self.outbox.passed(self.journal.last)
        self.journal.keep_from = min(self._kept, self.outbox.done_upto)

    async def close(self, grace: float = GRACE) -> None:
        """Decide and write what was admitted, let sends go out for so many seconds, and leave the memory in a
        snapshot."""
        if self.closing:
            return
        self.closing = True
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks[1:], return_exceptions=True)
        await self.reloader.close()  # whoever asked may be gone; what goes live now would be in no journal
        await self.service.close()
        self._pass()
        await self.outbox.close(grace)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.journal.close()
        if self.journal.problem:  # a snapshot would remember what the journal does not say
            LOG.error("no snapshot is left: %s", self.journal.problem)
            return
        try:
            self.snapshots.leave()
        except SnapshotError as error:
            LOG.error("%s", error)


async def _watched(work: Any) -> None:
    """Run what runs beside deciding; a defect in it is told, and ends nothing else."""
    try:
        await work
    except Exception:
        LOG.exception("a part of the service ended by a defect of Quell, please report it")


@contextlib.asynccontextmanager
async def serving(policies: str | Path, data: str | Path, setup: Setup = Setup()) -> AsyncIterator[Serving]:
    """A service for the bundle in a folder, with its memory in a data folder.

    Raises LockError where another process serves that, StartError and HistoryError where no version of the
    bundle can decide, JournalError, OutboxError and RemakeError for a data folder that is not whole.
    """
    where = Data(Path(data))
    with held(where.root):
        running = await _opened(Path(policies), where, setup)
        try:
            running.go()
            yield running
        finally:
            await running.close()


async def _opened(policies: Path, data: Data, setup: Setup) -> Serving:
    for folder in (data.states, data.fills):
        remove_parts(folder)
    versions = Versions.open(data.versions)
    if versions.repaired or not versions.history():  # else the history of versions says it
        versions.used = greatest_version(data)
    usable = lambda build: _answerable(build, setup)  # noqa: E731
    started = await start(policies, versions, usable=usable, checker=Checker(setup.checking))
    journal = Journal.open(
        data.journal,
        durability=setup.durability,
        segment_bytes=setup.segment_bytes,
        keep_age=setup.keep_age,
        keep_bytes=setup.keep_bytes,
    )
    try:
        outbox = _outbox(data, journal, setup)  # before numbers that a power cut took are given out again
        service, restart = _recovered(data, journal, started, setup)
        sends, told = _restored(data, outbox)
        restart = msgspec.structs.replace(restart, sends=sends, told=(*restart.told, *told))
        outbox.passed(journal.last)
    except BaseException:
        journal.close()
        raise
    service.taker = outbox.take
    outbox.named = sinks_named(service.bundle.analysis)
    running = Serving(policies, data, setup, service, journal, outbox, versions, started, restart)
    gc.collect()
    gc.freeze()  # what is here now stays: it need not be looked at again and again
    gc.set_threshold(*COLLECT)
    return running


def _answerable(build: Any, setup: Setup) -> None:
    """Raises SetupError for a bundle with remote models that nobody can answer."""
    remotes_of(build, setup.functions, setup.environ)


def _recovered(data: Data, journal: Journal, started: Started, setup: Setup) -> tuple[Service, Restart]:
    """A service that remembers what the journal says, and decides by the bundle as it is now."""
    began = time.perf_counter()
    builds = builds_of(data)
    known = started.info.number
    keys = Known(setup.keys)
    found = recover(data, lambda n: started.build if n == known else builds(n), known=keys)
    left = found.remaker.finish()
    stepper, state = _with_bundle(found, started)
    service = Service(
        stepper,
        found.remaker.number or started.info.number,
        journal,
        functions=setup.functions,
        environ=setup.environ,
        deadline=setup.deadline,
        in_flight=setup.in_flight,
        ahead=setup.ahead,
        known=keys,
    )
    for waiting, reply in left:
        service.finished(waiting, reply)
    if found.remaker.number != started.info.number:
        service.note_version(started.info)
    service.forget_sends()  # the outbox finds them in the journal
    if not journal.flush():
        raise RemakeError(f"the journal cannot be written: {journal.problem}")
    told = [t for t in (journal.repaired, *found.told, *found.remaker.told) if t]
    remaker = found.remaker
    return service, Restart(
        found.began,
        remaker.made,
        remaker.differing,
        len(left),
        state=state,
        seconds=time.perf_counter() - began,
        told=tuple(told),
    )


def _with_bundle(found: Recovered, started: Started) -> tuple[Stepper, SnapshotReport | None]:
    """The stepper that was found again, with the bundle as it is now; what waited is decided before."""
    remaker = found.remaker
    if not remaker.begun:
        return Stepper(started.build), None
    if remaker.number == started.info.number:
        return remaker.stepper, None
    return carry(remaker.stepper, started.build)


def _outbox(data: Data, journal: Journal, setup: Setup) -> Outbox:
    return Outbox(data.outbox, setup.sinks, journal.id, last=journal.last, reader=decisions_of(data.journal))


def _restored(data: Data, outbox: Outbox) -> tuple[int, list[str]]:
    """Give the outbox what the journal says was to be sent, and is not known to have been. Gives how many
    decisions' sends that is, and what to say of damaged places: a snapshot may remember what decisions there
    did, but what they sent stands nowhere else."""
    number, told = 0, []

    def missing(error: JournalError) -> None:
        told.append(f"{error.message}; what was still to be sent from there is not known any more")

    reader = decisions_of(data.journal, missing)
    for decided, decision, *wall in reader(outbox.done_upto + 1, ALL):
        outbox.restore(decided, decision, *wall)
        number += 1
    return number, told
