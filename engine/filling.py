"""Filling the counters that a reload brought while a service runs: a process goes through the journal
(`fill.py`), and events are held up only while it takes the last of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os

import msgspec

from quell.engine.checkpoint import Data
from quell.engine.children import ChildError, start_module
from quell.engine.fill import Done, Order, Ready
from quell.engine.logs import tell
from quell.engine.remake import NO_SECTIONS
from quell.engine.service import Service
from quell.engine.snapshot import SnapshotError, read_sections

LOG = logging.getLogger("quell.serving")
LONGEST = 3_600.0
"""Seconds that going through the journal may take; counters stay cold after that."""
HELD = 10.0
"""Seconds that events may be held up for the last of it."""
QUIET = 2.0
TRIES = 3
PAUSES = (5.0, 60.0)
"""Seconds before it is tried again where the process ended, as when the system takes the memory of one."""
ENDED = "the process that goes through the journal ended"


class FillFigures(msgspec.Struct, frozen=True, omit_defaults=True):
    """How filling stands: whether it is `busy`, the `counters` that were filled last, how long events were
    `held` up for that in seconds, and why the last try came to nothing."""

    busy: bool = False
    counters: tuple[str, ...] = ()
    held: float = 0.0
    problem: str = ""


class _Failed(Exception):
    """Filling that came to nothing, and why."""


class Filling:
    """Fills cold counters of a service, whenever it is told that there may be some."""

    def __init__(self, data: Data, service: Service) -> None:
        self.figures = FillFigures()
        self._data, self._service = data, service
        self._wanted = asyncio.Event()
        self._under_way: asyncio.Task[None] | None = None

    def want(self) -> None:
        """There may be cold counters: another version decides. What is under way for the one before ends."""
        self._wanted.set()
        if self._under_way is not None:
            self._under_way.cancel()

    async def run(self) -> None:
        """Fill what is wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._under_way = asyncio.ensure_future(self.fill())
            try:
                await asyncio.wait([self._under_way])
            finally:
                self._under_way.cancel()
                await asyncio.gather(self._under_way, return_exceptions=True)
            if not self._under_way.cancelled() and (error := self._under_way.exception()) is not None:
                LOG.error("filling counters ended by a defect of Quell, please report it", exc_info=error)
                self.figures = FillFigures(problem=f"it failed inside Quell: {type(error).__name__}: {error}")

    async def fill(self) -> None:
        """Fill the counters that are cold now; what comes of it is in the figures."""
        problem = await self._try()
        for pause in PAUSES:
            if problem != ENDED:
                break
            self.figures = FillFigures(problem=problem)
            await asyncio.sleep(pause)
            problem = await self._try()
        if problem:
            self.figures = FillFigures(problem=problem)
            tell("counters.cold", problem=problem)

    async def _try(self) -> str:
        """Try it once; gives why it came to nothing, or empty."""
        cold = self.cold()
        if not cold:
            return ""
        self.figures = FillFigures(busy=True)
        try:
            async with asyncio.timeout(LONGEST):
                self.figures = await self._filled(Order(self._service.number, cold))
            tell("counters.filled", counters=self.figures.counters, held=round(self.figures.held, 3))
            return ""
        except TimeoutError:
            return f"going through the journal takes longer than {LONGEST:g} seconds"
        except (_Failed, ChildError, OSError, SnapshotError, msgspec.MsgspecError, *NO_SECTIONS) as error:
            return str(error) or type(error).__name__
        finally:
            if self.figures.busy:
                self.figures = FillFigures()

    def cold(self) -> tuple[str, ...]:
        """The identities of the counters that have not watched their longest window whole."""
        state = self._service.engine.stepper.state
        horizon, found = state.clock.horizon, []
        for identity, store in sorted(state.stores.items()):
            if store.began is None or store.began == state.began:
                continue
            if store.longest is None or horizon is None or horizon < store.began + store.longest:
                found.append(identity)
        return tuple(found)

    async def _filled(self, order: Order) -> FillFigures:
        process = await start_module("quell.engine.fill", [str(self._data.root)], asyncio.subprocess.DEVNULL)
        try:
            ready = await _ask(process, order)
            if isinstance(ready, Done):
                raise _Failed(ready.problem)
            with contextlib.suppress(OSError, AttributeError):
                os.setpriority(os.PRIO_PROCESS, process.pid, 0)  # from here on events may wait for it
            for _ in range(TRIES):
                figures = await self._take(process)
                if figures is not None:
                    return figures
            raise _Failed("there was no moment without a decision under way")
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _take(self, process: asyncio.subprocess.Process) -> FillFigures | None:
        """Take over what was counted up to now. None if something happened meanwhile."""
        service, loop = self._service, asyncio.get_running_loop()
        began = loop.time()
        async with service.held():
            quiet = await service.engine.quiet(QUIET)
            number = service.engine.stepper.seq
            if not quiet or (service.journal is not None and not service.journal.flush()):
                return None
            try:
                done = await asyncio.wait_for(_ask(process, number), HELD)
            except TimeoutError:
                raise _Failed(f"the last of the journal takes longer than {HELD:g} seconds") from None
            if isinstance(done, Ready) or done.problem:
                raise _Failed(done.problem if isinstance(done, Done) else "it tells what was not asked")
            if service.engine.stepper.seq != number or service.engine.waiting:
                return None  # a label by hand, or the late answer of a remote model
            if done.filled is None:
                raise _Failed("the journal says nothing of the time before")
            service.take_filled(done.filled, read_sections(self._data.fills / done.filled.file))
        return FillFigures(counters=done.filled.counters, held=loop.time() - began)


async def _ask(process: asyncio.subprocess.Process, what: Order | int) -> Ready | Done:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(what) + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
    except ConnectionError:
        line = b""
    if not line:
        raise _Failed(ENDED)
    if line.startswith(b'{"ready"'):
        return msgspec.json.decode(line, type=Ready)
    return msgspec.json.decode(line, type=Done)
