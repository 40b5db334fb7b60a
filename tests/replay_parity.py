"""Two replays of one history compared: by columns, and by the online engine event for event."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quell.engine.compile import Build
from quell.engine.source_base import SourceError
from quell.replay.choosing import why_not_columns
from quell.replay.columnar import Columnar
from quell.replay.database import Database
from quell.replay.dependence import Dependence
from quell.replay.history import History, Order, ingest
from quell.replay.outcome import Outcome
from quell.replay.stepping import step
from quell.signals.clock import BLOCK

TABLES = ("decisions", "hits", "labels", "sends", "outranked")
SHOWN = 3
"""Differences of one table that are told."""


def parity(
    build: Build, files: Sequence[str | Path], order: Order = "time", block: int = BLOCK
) -> tuple[list[str], Outcome | None]:
    """What differs between the two ways, told row by row; nothing where they agree. The columnar outcome is
    None where the bundle can only be stepped; its database is closed."""
    with Database() as db:
        try:
            history = ingest(db, "history", build, files, order=order)
        except SourceError:
            return [], None  # none of the events can be taken
        return compare_ways(history, block)


def compare_ways(history: History, block: int = BLOCK) -> tuple[list[str], Outcome | None]:
    """The same for a history that was read."""
    dependence = Dependence(history.build.analysis)
    if why_not_columns(history, dependence):
        return [], None
    judge, columnar = Outcome(history, "stepped"), Outcome(history, "columnar")
    step(judge, block=block)
    Columnar(columnar, dependence, block=block).run()
    return differences(judge, columnar), columnar


def differences(a: Outcome, b: Outcome) -> list[str]:
    """The rows that only one outcome has."""
    out: list[str] = []
    for name in TABLES:
        for here, there, told in ((a, b, "stepped"), (b, a, "columnar")):
            query = (
                f"SELECT * FROM {here.table(name)} EXCEPT ALL SELECT * FROM {there.table(name)} ORDER BY ALL"
            )
            rows = a.db.rows(query)
            out += [f"{name}, only {told}: {row}" for row in rows[:SHOWN]]
            if len(rows) > SHOWN:
                out.append(f"{name}, only {told}: {len(rows) - SHOWN} more rows")
    return out
