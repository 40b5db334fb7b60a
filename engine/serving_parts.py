"""What the HTTP side of a running service is made over: its parts, wired to the addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from quell.engine.children import ChildError, NoSuchDecision, NothingFound, run_module
from quell.engine.filling import FillFigures
from quell.engine.http_access import Access
from quell.engine.http_app import allowed
from quell.engine.http_parts import Parts
from quell.engine.http_pressure import Limits, Pressure
from quell.engine.http_problem import refuse
from quell.engine.http_read import PastDecision
from quell.engine.journal import JournalFigures
from quell.engine.journal_find import find as find_entry
from quell.engine.live import Live
from quell.engine.live_recall import Recalled
from quell.engine.live_routes import live_routes
from quell.engine.once import OnceFigures
from quell.engine.outbox_types import OutboxFigures
from quell.engine.reload import Status as ReloadStatus
from quell.engine.serving import Restart, Serving
from quell.engine.sinks_named import not_set_up
from quell.engine.snapshots import SnapshotFigures

RECALLING = 120.0
"""Seconds that reading the journal for the live page may take."""


class ServingStatus(msgspec.Struct, frozen=True):
    """How the parts of a service stand: since when it runs (`began`, microseconds since 1970), how it came
    back (`restart`), the journal, the outbox, snapshots, the filling of new counters, reloads,
    Idempotency-Keys (`once`); and what is wrong at the moment, a sentence each."""

    began: int
    restart: Restart
    journal: JournalFigures
    outbox: OutboxFigures
    snapshots: SnapshotFigures
    filling: FillFigures
    reload: ReloadStatus
    once: OnceFigures
    warnings: tuple[str, ...]


def status_of(running: Serving, access: Access | None = None) -> ServingStatus:
    """How the parts of a service stand, and the file of its keys."""
    journal, outbox = running.journal.figures(), running.outbox.figures()
    snapshots, reload = running.snapshots.figures, running.reloader.status
    warnings = list(running.started.warnings) if reload.last is None else []
    if access is not None and access.keys is not None and access.keys.problem:
        warnings.append(f"the API keys are as they were: {access.keys.problem}")
    if journal.problem:
        warnings.append(f"the journal cannot be written: {journal.problem}")
    if outbox.problem:
        warnings.append(f"the outbox cannot be written: {outbox.problem}")
    for name, sink in outbox.sinks.items():
        if sink.unset:
            told = not_set_up(name, sink.rules or ())
            warnings.append(f"{told.message} ({told.hint})")
        elif sink.configured and sink.trouble:
            warnings.append(f"the sink `{name}` takes nothing: {sink.trouble}")
    if snapshots.problem:
        warnings.append(f"no snapshot can be made: {snapshots.problem}")
    if running.filling.figures.problem:
        warnings.append(f"counters of this version stay cold: {running.filling.figures.problem}")
    if snapshots.differing or running.restart.differing:
        number = snapshots.differing + running.restart.differing
        warnings.append(f"{number:,} decisions came out otherwise when they were made again")
    if reload.last is not None and reload.last.result == "refused":
        warnings.append("the policies as they are now were refused: an earlier version decides")
    if reload.last is not None and reload.last.result == "failed":
        warnings.append("the policies as they are now could not be checked: an earlier version decides")
    return ServingStatus(
        running.began,
        running.restart,
        journal,
        outbox,
        snapshots,
        running.filling.figures,
        reload,
        running.service.once.figures(),
        tuple(warnings),
    )


def find(running: Serving, seq: int) -> PastDecision | None:
    """What the journal has of the event that was admitted with a number; takes long for old ones."""
    entry = find_entry(running.data.journal, seq)
    if entry is None:
        return None
    event, reply = msgspec.Raw(entry.event), msgspec.Raw(entry.reply)
    return PastDecision(seq, entry.decided, entry.version, entry.wall, event, reply)


class _Letters:
    """The outbox's dead letters, as the HTTP side asks for them."""

    def __init__(self, running: Serving) -> None:
        self._outbox = running.outbox

    def dead(self, sink: str | None, most: int, after: str) -> Any:
        return self._outbox.dead(sink, most, after)

    def resend(self, keys: Any) -> int:
        return self._outbox.resend(keys)


def _live(running: Serving) -> Live:
    """What the live page looks at: all that is decided from now on, and soon what the journal remembers."""
    service = running.service
    live = Live(
        lambda: service.bundle,
        lambda: service.wall,
        running.versions.history,
        lambda: service.engine.waiting,
        recalling=True,
    )
    service.tell()  # what was answered already is in the journal
    service.watchers.append(live.watch)
    running.beside(_recall(running, live, running.journal.last))
    return live


async def _recall(running: Serving, live: Live, upto: int) -> None:
    """Have a process read what the journal remembers up to a number, and let the page know, bit by bit."""
    verdicts = msgspec.json.encode(list(live.verdicts())).decode()
    arguments = [str(running.data.root), str(upto), str(running.service.wall), verdicts]
    try:
        out = await run_module("quell.engine.live_recall", arguments, RECALLING)
        recalled = msgspec.msgpack.decode(out, type=Recalled)
    except (ChildError, OSError, msgspec.MsgspecError) as error:
        live.recall_nothing(str(error))
        return
    for _ in live.recall(recalled):
        await asyncio.sleep(0)


def parts_of(running: Serving, access: Access, limits: Limits, metrics: Any = None) -> Parts:
    """The parts of a running service for its HTTP side; `metrics` gives their text for an Accept header."""
    live = _live(running)

    async def decision(seq: int) -> Any:
        return await asyncio.to_thread(find, running, seq)

    async def explain(seq: int) -> Any:
        if seq > running.service.engine.stepper.seq:
            return None  # no process is started for what was never decided
        try:
            return msgspec.Raw(await running.explain(seq))
        except NoSuchDecision:
            return None
        except NothingFound as error:
            raise refuse("not-found", f"decision {seq} cannot be explained: {error}") from error
        except ChildError as error:
            raise refuse("internal", f"decision {seq} cannot be explained: {error}") from error

    def status() -> Mapping[str, Any]:
        told: Mapping[str, Any] = msgspec.to_builtins(status_of(running, access))
        return told

    return Parts(
        running.service,
        access,
        Pressure(limits),
        status=status,
        status_type=ServingStatus,
        metrics=metrics,
        decision=decision,
        explain=explain,
        versions=running.versions.history,
        reload=lambda by: running.reloader.reload(by, "asked for"),
        put_back=running.reloader.put_back,
        outbox=_Letters(running),
        live=live_routes(live, status, allowed(access, "read"), decision),
    )
