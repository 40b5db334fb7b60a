"""Two bundles replayed over the same files: read once where both read events alike, decided, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quell.engine.compile import Build
from quell.engine.source_base import SourceError
from quell.replay.backtest_frame import Frame
from quell.replay.backtest_report import Asked, Prepared, backtest_of, frame_of, prepare, read, silent
from quell.replay.comparing import Side, compare
from quell.replay.database import Database, quoted
from quell.replay.history import History
from quell.replay.outcome import Outcome
from quell.replay.report_data import Comparison
from quell.replay.run import RunWay, Tell, decide


@dataclass(slots=True)
class Pair:
    """Both bundles with what was asked of them: `before` is compared with, `after` what would be in force."""

    before: Prepared
    after: Prepared

    @classmethod
    def of(cls, before: Build, after: Build, asked: Asked, other: str) -> Pair:
        """Work out what has to be read. `other` is what the bundle of before is called on a command line.
        Raises as `prepare`."""
        return cls(prepare(before, replace(asked, policies=other)), prepare(after, asked))


@dataclass(slots=True)
class Compared:
    """A comparison and what its figures are made of on each side."""

    before: Frame
    after: Frame
    comparison: Comparison


def histories(
    db: Database, pair: Pair, files: Sequence[str | Path], tell: Tell = silent
) -> tuple[History, History]:
    """The history as each bundle reads it, of before and after. Raises SourceError."""
    after = read(db, "after", pair.after, files, tell)
    if read_alike(pair):
        return shared(after, "before_history", pair.before.build), after
    try:
        return read(db, "before", pair.before, files, tell), after
    except SourceError as error:  # the policies of now did read it
        raise SourceError(f"{error.message} by {pair.before.asked.policies}", error.hint) from error


def compared(
    pair: Pair,
    before: History,
    after: History,
    *,
    explained: bool = True,
    against: str = "",
    way: RunWay = "auto",
    tell: Tell = silent,
) -> Compared:
    """Decide both histories and compare what came out; `explained` that the events shown come with the
    reasons of both. Raises ValueError for a history without events, and as `frame_of`."""
    outcomes = [
        decide(history, name, way=way, tell=tell) for history, name in ((before, "before"), (after, "after"))
    ]
    frames = _frames(pair, outcomes)
    asked = pair.after.asked
    sides = [  # commands name the policies of now, which a person has at hand
        Side(frame, backtest_of(outcome, prepared, tell, frame), asked.policies)
        for outcome, prepared, frame in zip(outcomes, (pair.before, pair.after), frames, strict=True)
    ]
    made = compare(*sides, samples=asked.samples, explained=explained, against=against, tell=tell)
    return Compared(frames[0], frames[1], made)


def _frames(pair: Pair, outcomes: Sequence[Outcome]) -> list[Frame]:
    """What the figures of both are made of: the same period, the later beginning where windows are left to
    fill first, over one timeline."""
    prepared = (pair.before, pair.after)
    frames = [frame_of(outcome, p) for outcome, p in zip(outcomes, prepared, strict=True)]
    starts = {frame.start for frame in frames}
    if len(starts) > 1:
        latest = max(start for start in starts if start is not None)
        for p, frame in zip(prepared, frames, strict=True):
            p.asked = replace(p.asked, start=latest)
            frame.start = latest
            frame.make()
    if len({frame.buckets for frame in frames}) > 1:  # one refuses the other's first or last event
        first, last = min(f.first for f in frames), max(f.last for f in frames)
        for frame in frames:
            frame.first, frame.last = first, last
            frame.make()
    return frames


# --------------------------------------------------------------------------- reading once for both


def read_alike(pair: Pair) -> bool:
    """Whether both bundles make the same of every record: what they declare of events, which fields they
    decode, and what is read beside. A field more that is decoded could refuse an event."""
    one, other = pair.before.build, pair.after.build
    a, b = one.analysis.files.settings, other.analysis.files.settings
    return (
        list(one.analysis.symbols.schemas.values()) == list(other.analysis.symbols.schemas.values())
        and _decoded(one) == _decoded(other)
        and (a.type_path, a.max_bytes) == (b.type_path, b.max_bytes)
        and pair.before.beside.extras == pair.after.beside.extras
    )


def _decoded(build: Build) -> set[tuple[str, str]]:
    schemas = build.analysis.symbols.schemas.items()
    return {(event, f.name) for event, s in schemas for f in s.fields if build.reads(event, f.name)}


def shared(history: History, schema: str, build: Build) -> History:
    """The same history for another bundle that reads it alike, under another schema: views of its tables, so
    that what each replay adds is its own."""
    con = history.db.con
    con.execute(f"CREATE SCHEMA {quoted(schema)}")
    made = replace(history, schema=schema, build=build)
    tables = history.db.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = ? ORDER BY table_name",
        history.schema,
    )
    for (name,) in tables:
        con.execute(f"CREATE VIEW {made.table(name)} AS FROM {history.table(name)}")
    return made
