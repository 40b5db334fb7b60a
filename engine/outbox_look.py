"""How an outbox on disk stands, for whoever looks at the folder while a server runs, or none does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from quell.engine.decision import Decision
from quell.engine.journal_format import JournalError
from quell.engine.outbox_acks import Settled, read_log, reason
from quell.engine.outbox_dead import Letters
from quell.engine.outbox_reading import decisions_of
from quell.engine.outbox_types import OutboxError, tag_of

_HINT = "name the data folder of `quell serve`"


class SinkSeen(msgspec.Struct):
    """What is known of a sink: sends that wait for it, when the oldest of them was taken (microseconds since
    1970), how many were tried and failed; its dead letters, how many of them are sent `again`; and what the
    first of those that were tried and failed, or else of those that are sent again, met with."""

    waiting: int = 0
    oldest: int | None = None
    tried: int = 0
    first_error: str = ""
    dead: int = 0
    again: int = 0


class Seen(msgspec.Struct):
    """How an outbox stands: its sinks by name, all that have something; the number up to which all is
    settled; and why the journal could not be read for what waits, or ""."""

    sinks: dict[str, SinkSeen]
    done_upto: int
    unread: str = ""


def outbox_in(folder: str | Path) -> Path:
    """The folder of an outbox: the one given, or `outbox` in it. Raises OutboxError if there is none."""
    folder = Path(folder)
    for place in (folder / "outbox", folder):
        if (place / "acks.log").exists() or (place / "dead.sqlite").exists():
            return place
    if not folder.is_dir():
        raise OutboxError(f"there is no folder `{folder}`", _HINT)
    raise OutboxError(f"there is no outbox in `{folder}`", _HINT)


def look(outbox: Path, tell: Callable[[int], None] = lambda done: None) -> Seen:
    """How the outbox in a folder stands. What waits is read from the journal beside it; `tell` hears how many
    decisions were read. Raises OutboxError."""
    try:
        found = read_log(outbox)
    except OSError as error:
        raise OutboxError(f"`{outbox}` cannot be read: {reason(error)}") from error
    settled = found.settled()
    letters = Letters(outbox)
    seen = Seen({name: SinkSeen(dead=dead) for name, dead in letters.counts().items()}, settled.upto)
    try:
        _add_waiting(seen, settled, outbox.parent / "journal", tell)
    except JournalError as error:
        seen.unread = error.message
    for name, (again, met) in letters.again().items():
        sink = seen.sinks.setdefault(name, SinkSeen(dead=again))
        sink.again, sink.first_error = again, sink.first_error or met
    seen.sinks = dict(sorted(seen.sinks.items()))
    return seen


def _add_waiting(seen: Seen, settled: Settled, journal: Path, tell: Callable[[int], None]) -> None:
    reader = decisions_of(journal)
    for done, (number, decision, *taken) in enumerate(reader(settled.upto + 1, 1 << 62)):
        for index in range(len(decision.sends)):
            if not _is_settled(settled, number, index, decision):
                sink = seen.sinks.setdefault(decision.sends[index].sink, SinkSeen())
                sink.waiting += 1
                sink.oldest = taken[0] if sink.oldest is None else sink.oldest
                tried = settled.tried.get((number, index))
                if tried is not None:
                    sink.tried += 1
                    sink.first_error = sink.first_error or tried.why
        if done % 1_000 == 0:
            tell(done)


def _is_settled(settled: Settled, number: int, index: int, decision: Decision) -> bool:
    said = settled.has(decision.sends[index].sink, (number, index))
    return said if isinstance(said, bool) else said == tag_of(decision, index)
