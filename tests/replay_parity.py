"""Two replays of one history compared: by columns, and by the online engine event for event."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quell.engine.agreement import PROBE, spell
from quell.engine.compile import Build
from quell.engine.source_base import SourceError
from quell.replay.choosing import why_not_columns
from quell.replay.columnar import Columnar
from quell.replay.database import Database
from quell.replay.dependence import Dependence
from quell.replay.history import History, Order
from quell.replay.history_ingest import ingest
from quell.replay.outcome import Outcome
from quell.replay.stepping import step
from quell.signals.clock import BLOCK

TABLES = ("decisions", "hits", "labels", "sends", "outranked")
SHOWN = 3
"""Differences of one table that are told."""
Row = tuple[Any, ...]


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


def differences(stepped: Outcome, columnar: Outcome) -> list[str]:
    """What only one outcome has: the event with its place, and for probes the node, as its operations."""
    telling, out = Telling(stepped), list[str]()
    for name in TABLES:
        a, b = _only(stepped, columnar, name), _only(columnar, stepped, name)
        if name == "sends":
            out += telling.values(a, b)
        for rows, told in ((a, "stepped"), (b, "columnar")):
            out += [f"{name}, only {told}: {telling.row(name, row)}" for row in rows[:SHOWN]]
            if len(rows) > SHOWN:
                out.append(f"{name}, only {told}: {len(rows) - SHOWN} more rows")
    return out


def _only(here: Outcome, there: Outcome, name: str) -> list[Row]:
    query = f"SELECT * FROM {here.table(name)} EXCEPT ALL SELECT * FROM {there.table(name)} ORDER BY ALL"
    return here.db.rows(query)


class Telling:
    """Says of a row which event it is about, and of a probe's row which node."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome, self.history = outcome, outcome.history

    def event(self, n: int) -> str:
        """An event or a label by hand, by its `n`: where it stands in the files."""
        return f"event {n}" + (f" ({self.history.place(n)})" if self.history.places else "")

    def values(self, stepped: list[Row], columnar: list[Row]) -> list[str]:
        """The values that differ in the payloads of probes, which are taken out of the rows."""
        a, b = _payloads(stepped), _payloads(columnar)
        found = [
            f"{self.event(n)}: {self._spelled(n, node)}: stepped gives {a[n][node]!r}, columns {b[n][node]!r}"
            for n in sorted(a.keys() & b.keys())
            for node in a[n]
            if a[n][node] != b[n][node]
        ]
        for rows in (stepped, columnar):
            rows[:] = [r for r in rows if r[1] != PROBE or not (r[0] in a and r[0] in b)]
        more = len(found) - 2 * SHOWN
        return found[: 2 * SHOWN] + ([f"{more} more values"] if more > 0 else [])

    def row(self, name: str, row: Row) -> str:
        """A row of a table."""
        said = f"{self.event(row[0])}: {row[1:]}"
        probe = row[3].split() if name == "hits" else [""]
        if probe[0] == PROBE and len(probe) == 3:  # "~ true 12"
            said += f", that is {self._spelled(row[0], probe[2])} is {probe[1]}"
        return said

    def _spelled(self, n: int, node: str) -> str:
        event = self.history.db.value(f"SELECT event FROM {self.history.table('all')} WHERE n = {n}")
        return spell(self.history.build.analysis.lowerer.graph(event), int(node))


def _payloads(rows: list[Row]) -> dict[int, dict[str, Any]]:
    return {n: json.loads(payload) for n, sink, _, payload in rows if sink == PROBE}
