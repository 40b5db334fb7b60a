"""A service within the process of a test: what it has done by other processes is done in threads, and it can
be ended as by a kill, at once and without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quell.engine.checkpoint import Data, checkpoint
from quell.engine.explain_past import NoDecision, NotThere, explain_past
from quell.engine.fill import Done, Filler, Order, Ready, _last
from quell.engine.filling import TRIES, FillFigures, Filling
from quell.engine.idempotency import Bounds
from quell.engine.journal_format import JournalError
from quell.engine.outbox_types import Delivery, Message, Retry
from quell.engine.reload import Reloader
from quell.engine.reload_check import Checked, check
from quell.engine.reload_settle import Patience
from quell.engine.remake import RemakeError
from quell.engine.serving import Serving
from quell.engine.snapshot import SnapshotError


class CheckedHere:
    """Checks bundles as `reload_process.Checker` does, without a process."""

    async def check(self, folder: Path, against: Path | None = None, tests: bool = True) -> Checked:
        """Check a bundle."""
        return await asyncio.to_thread(check, folder, against, tests)


async def run_here(module: str, arguments: Sequence[str], within: float) -> bytes:
    """Does what `children.run_module` does, without a process."""
    return await asyncio.to_thread(_run, module, list(arguments))


def _run(module: str, arguments: list[str]) -> bytes:
    data = Data(Path(arguments[0]))
    try:
        if module == "quell.engine.checkpoint":
            return msgspec.json.encode(checkpoint(data, Bounds(*map(int, arguments[1:]))))
        return msgspec.json.encode(explain_past(data, int(arguments[1])))
    except NoDecision as error:
        return msgspec.json.encode({"absent": str(error)})
    except (NotThere, RemakeError, JournalError, SnapshotError, OSError) as error:
        return msgspec.json.encode({"problem": str(error)})


class FillerHere:
    """Stands for the process that goes through the journal to fill counters."""

    filler: Filler

    async def ask(self, what: Order | int) -> Ready | Done:
        """What the process says to a line."""
        if isinstance(what, int):
            return await asyncio.to_thread(_last, self.filler, what)
        self.filler = await asyncio.to_thread(Filler, self.data, what)
        await asyncio.to_thread(self.filler.go_on)
        return Ready(self.filler.reached)

    def __init__(self, data: Data) -> None:
        self.data = data


async def _fill_here(filling: Filling, order: Order) -> FillFigures:
    process: Any = FillerHere(filling._data)
    await process.ask(order)
    for _ in range(TRIES):
        figures = await filling._take(process)
        if figures is not None:
            return figures
    return FillFigures(problem="there was no moment without a decision under way")


async def _ask_here(process: Any, what: Order | int) -> Ready | Done:
    said: Ready | Done = await process.ask(what)
    return said


async def _fill_nothing(filling: Filling) -> None:
    """New counters stay cold."""


async def _watch_nothing(reloader: Reloader) -> None:
    reloader._patience = Patience(quiet=0.0)


def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have services of this test take other policies only when asked: whoever watches the files may be first,
    and then nothing changes any more for whoever asks."""
    monkeypatch.setattr(Reloader, "watch", _watch_nothing)


def here(monkeypatch: pytest.MonkeyPatch, *, fills: bool = True) -> None:
    """Have services of this test start no processes, and take other policies only when asked. New counters
    are filled from the journal if it says so: when is a matter of chance."""
    monkeypatch.setattr("quell.engine.filling._ask", _ask_here)
    monkeypatch.setattr(Filling, "_filled", _fill_here)
    if not fills:
        monkeypatch.setattr(Filling, "run", _fill_nothing)
    unwatched(monkeypatch)
    monkeypatch.setattr("quell.engine.serving.Checker", lambda seconds: CheckedHere())
    monkeypatch.setattr("quell.engine.snapshots.run_module", run_here)
    monkeypatch.setattr("quell.engine.serving.run_module", run_here)


async def kill(running: Serving) -> None:
    """End a service as SIGKILL does: what the operating system has stays, and nothing more is written. Leave
    `serving` after it."""
    running.closing = True  # so that `close` does nothing
    service, journal = running.service, running.journal
    service.journal = service.taker = None
    tasks = [*running._tasks, *([service._ticking] if service._ticking is not None else [])]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await running.reloader.close()
    if service.engine.remotes is not None:
        await service.engine.remotes.close()
    journal._closed = True
    journal._keeper.close()
    if journal._syncer is not None:
        journal._syncer.close()
    journal._writer.close()
    running.outbox._store._log.close()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds: threads have their own time."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.005)


class Collecting:
    """A sink in memory, which outlives the service: what was delivered by key. It fails at times."""

    delivery = Delivery(base=0.001, most=0.01)

    def __init__(self, fails_each: int = 0) -> None:
        self.delivered: dict[str, list[Message]] = {}
        self.tries = 0
        self._fails_each = fails_each

    async def deliver(self, message: Message) -> None:
        """Take a message. Raises Retry."""
        self.tries += 1
        await asyncio.sleep(0)
        if self._fails_each and self.tries % self._fails_each == 0:
            raise Retry("not now", 0.0)
        self.delivered.setdefault(message.key, []).append(message)
