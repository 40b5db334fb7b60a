"""What a bundle decided on a history, as tables of a DuckDB schema. Everything that reports reads these.

=========== =========================================================================================
`decisions` n, seq, verdict: the events on which a rule matched; `seq` is `n`, or over a journal the number
            that the event had in service
`hits`      n, event, at, rule, outcome (`fired`, `shadow`, `held`), verdict, message, by: one row a rule
`labels`    n, entity, id, label, on, rule, until: what changed, labels by hand included (rule NULL)
`sends`     n, sink, rule, payload (JSON)
`outranked` n, entity, id, label, on, rule, by
`late`      n, counter: filled only where the online engine was stepped
`missing`   event, rule, missing, looked: on how many events, of those looked at, a condition was missing
=========== =========================================================================================

Beside them stand the tables of the history (`quell.replay.history`): `all` has every event. An event without
a row in `decisions` got its ladder's first verdict; the view `verdicts` (n, event, at, verdict) has them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from quell.engine.decision import Acted, Decision
from quell.replay.database import Database, quoted, text_literal
from quell.replay.history import History
from quell.replay.report_data import Way

_TEXT, _N = pa.string(), pa.int64()
_TABLES: dict[str, pa.Schema] = {
    "decisions": pa.schema([("n", _N), ("seq", _N), ("verdict", _TEXT)]),
    "hits": pa.schema(
        [("n", _N), ("event", _TEXT), ("at", _N), ("rule", _TEXT), ("outcome", _TEXT), ("verdict", _TEXT),
         ("message", _TEXT), ("by", _TEXT)]
    ),
    "labels": pa.schema(
        [("n", _N), ("entity", _TEXT), ("id", _TEXT), ("label", _TEXT), ("on", pa.bool_()), ("rule", _TEXT),
         ("until", _TEXT)]
    ),
    "sends": pa.schema([("n", _N), ("sink", _TEXT), ("rule", _TEXT), ("payload", _TEXT)]),
    "outranked": pa.schema(
        [("n", _N), ("entity", _TEXT), ("id", _TEXT), ("label", _TEXT), ("on", pa.bool_()), ("rule", _TEXT),
         ("by", _TEXT)]
    ),
    "late": pa.schema([("n", _N), ("counter", _TEXT)]),
    "missing": pa.schema([("event", _TEXT), ("rule", _TEXT), ("missing", _N), ("looked", _N)]),
}  # fmt: skip
BATCH = 8_192


@dataclass(slots=True)
class Outcome:
    """One replay: its history and the schema that holds its tables. `ways` says which way each part went."""

    history: History
    schema: str
    ways: list[Way] = field(default_factory=list)
    seconds: float = 0.0
    columnar: Any = None
    """The `quell.replay.columnar.Columnar` that decided it; None where the online engine was stepped."""
    recorded: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    """By remote model, how many questions a journal had the answer of, and how many not."""

    @property
    def db(self) -> Database:
        """The database of the tables."""
        return self.history.db

    def table(self, name: str) -> str:
        """A table of the outcome, or one of its history, as SQL names it."""
        if name in _TABLES or name == "verdicts":
            return f"{quoted(self.schema)}.{quoted(name)}"
        return self.history.table(name)


class OutcomeWriter:
    """Writes the tables of an outcome, decision by decision in order of `n`."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._con = outcome.db.con
        self._held: dict[str, list[Sequence[Any]]] = {name: [] for name in _TABLES}
        self._con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(outcome.schema)}")
        for name, schema in _TABLES.items():
            self._con.register("_empty", schema.empty_table())
            self._con.execute(f"CREATE TABLE {outcome.table(name)} AS SELECT * FROM _empty")
            self._con.unregister("_empty")

    def add(self, n: int, decision: Decision) -> None:
        """One decision. Those on which no rule matched leave no row but what was late."""
        at, event = decision.at, decision.event
        for name in decision.late:
            self.put("late", (n, name))
        if not (decision.fired or decision.shadow or decision.held):
            return
        self.put("decisions", (n, decision.seq, decision.verdict))
        for outcome, rules in (("fired", decision.fired), ("shadow", decision.shadow)):
            for f in rules:
                self.put("hits", (n, event, at, f.rule, outcome, f.verdict, f.message, None))
        for h in decision.held:
            self.put("hits", (n, event, at, h.rule, "held", None, None, h.by))
        for c in decision.labels:
            self.put("labels", (n, c.entity, c.id, c.label, c.on, c.rule, c.until))
        for s in decision.sends:
            self.put("sends", (n, s.sink, s.rule, msgspec.json.encode(s.payload).decode()))
        for o in decision.outranked:
            self.put("outranked", (n, o.entity, o.id, o.label, o.on, o.rule, o.by))

    def act(self, n: int, acted: Acted) -> None:
        """A label by hand, where it changed something."""
        if acted.on != acted.was:
            self.put("labels", (n, acted.entity, acted.id, acted.label, acted.on, None, acted.until))

    def put(self, name: str, row: Sequence[Any]) -> None:
        """One row of a table."""
        held = self._held[name]
        held.append(row)
        if len(held) >= BATCH:
            self._flush(name)

    def _flush(self, name: str) -> None:
        held, schema = self._held[name], _TABLES[name]
        if held:
            arrays = [pa.array(c, f.type) for c, f in zip(zip(*held, strict=True), schema, strict=True)]
            self._con.register("_batch", pa.Table.from_arrays(arrays, schema=schema))
            self._con.execute(f"INSERT INTO {self.outcome.table(name)} SELECT * FROM _batch")
            self._con.unregister("_batch")
            held.clear()

    def close(self) -> None:
        """Write what is held, and make the view of all verdicts."""
        for name in _TABLES:
            self._flush(name)
        outcome = self.outcome
        if outcome.history.numbered:
            self._con.execute(
                f"UPDATE {outcome.table('decisions')} SET seq = a.row FROM {outcome.table('all')} a "
                "WHERE a.n = decisions.n"
            )
        symbols = outcome.history.build.analysis.symbols
        first = " ".join(
            f"WHEN {text_literal(event)} THEN {text_literal(symbols.ladders[event].verdicts[0])}"
            for event in symbols.schemas
        )
        self._con.execute(
            f"CREATE VIEW {outcome.table('verdicts')} AS SELECT a.n, a.event, a.at, "
            f"coalesce(d.verdict, CASE a.event {first} END) AS verdict "
            f"FROM {outcome.table('all')} a LEFT JOIN {outcome.table('decisions')} d USING (n)"
        )
