"""The values that a sweep needs, event by event, as tables: one replay, whatever is swept.

`columns_of` gives a table for each `Request`. How the values come about is its own affair. Where the replay
went by columns they are selected from those. Else the online engine is stepped once more through the history,
and a rule that nobody has written hands the values out. The parts of the condition that no setting changes
are that rule's condition, so that only events which some setting may match leave a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from quell.engine.compile import Build, build
from quell.engine.events import Decoded
from quell.engine.lower_lists import with_columns
from quell.engine.lowered import LoweredEffect, LoweredRule
from quell.engine.order import order
from quell.engine.settle import Hit
from quell.engine.stepper import Observer, Stepper
from quell.engine.waves import schedule
from quell.grammar import tree
from quell.grammar.types import Type
from quell.replay.database import quoted
from quell.replay.history import History
from quell.replay.history_types import arrow_type
from quell.replay.named_values import TAP
from quell.replay.outcome import Outcome
from quell.replay.sql_expressions import NotAColumn
from quell.replay.stepping import Steps, decided

BATCH = 8_192


@dataclass(frozen=True, slots=True)
class Request:
    """Values of an event type's nodes, on those events where the node `where` is true."""

    event: str
    nodes: tuple[int, ...]
    where: int


def columns_of(
    outcome: Outcome,
    requests: Sequence[Request],
    tell: Callable[[int], None] = lambda done: None,
) -> list[str]:
    """For each request a table, as SQL names it: n, and c0, c1, … with the values of its nodes in order, as
    `history_types` says. Nodes are those of the graphs of the outcome's history's bundle."""
    found = [_selected(outcome, request, number) for number, request in enumerate(requests)]
    left = [request for request, table in zip(requests, found, strict=True) if table is None]
    stepped = iter(_stepped(outcome, left, tell) if left else ())
    return [next(stepped) if table is None else table for table in found]


def _selected(outcome: Outcome, request: Request, number: int) -> str | None:
    """The table of a request from the columns of the replay; None where they do not tell."""
    if outcome.columnar is None:
        return None
    columnar = outcome.columnar
    relation = columnar.relations[request.event]
    nodes = (request.where, *request.nodes)
    if any(columnar.dependence.is_residual(request.event, n) for n in nodes):
        return None
    try:
        values = "".join(f", {relation.sql(n)} AS c{i}" for i, n in enumerate(request.nodes))
        where = relation.true(request.where)
    except NotAColumn:  # a counter that no rule leads to
        return None
    table = outcome.history.table(_free(outcome.history, number))
    outcome.db.run(f"CREATE TABLE {table} AS SELECT n{values} FROM ({relation.text}) WHERE {where}")
    return table


def _stepped(outcome: Outcome, requests: Sequence[Request], tell: Callable[[int], None]) -> list[str]:
    """The tables of requests by stepping."""
    history = outcome.history
    tables = [_Table(history, request, number) for number, request in enumerate(requests)]
    made = _tapped(history.build, [t.request for t in tables])
    stepper = Stepper(made)
    places = _places(made, tables)

    def observe(n: int) -> Observer:
        def look(decoded: Decoded, hits: list[Hit]) -> None:
            for place in range(len(hits) - 1, -1, -1):
                table = places.get((decoded.event, hits[place][0]))
                if table is not None:
                    table.add(n, hits.pop(place)[3][0][0].values())

        return look

    steps = Steps(replace(history, build=made), stepper)
    for done, (n, entry, answer) in enumerate(steps.made(observe), 1):
        if isinstance(entry, Decoded):
            decided(n, answer)
        if done % 1024 == 0:
            tell(done)
    return [table.close() for table in tables]


def _tapped(base: Build, requests: Sequence[Request]) -> Build:
    """The bundle with a rule for each request that hands its values out."""
    analysis = base.analysis
    low = analysis.lowerer
    rules, stages = dict(analysis.rules), dict(analysis.stages)
    for number, request in enumerate(requests):
        rules[request.event] = [*rules[request.event], _rule(base, request, number)]
    for event in {r.event for r in requests}:
        stages[event] = order(event, low.graph(event), rules[event], low.stores, low.report)
        schedule(low.graph(event), stages[event], low.report)
    return build(replace(analysis, rules=rules, stages=stages))


def _rule(base: Build, request: Request, number: int) -> LoweredRule:
    low = base.analysis.lowerer
    graph = low.graph(request.event)
    payload = tuple((str(i), n, with_columns(low, graph[n].type)) for i, n in enumerate(request.nodes))
    rule = tree.Rule(tree.Ident(_name(number)), (tree.Ident(request.event),), tree.Bool(True), ())
    effect = LoweredEffect("send", TAP, payload=payload)
    return LoweredRule(rule, request.event, request.where, (effect,), None, None, (), True)


def _name(number: int) -> str:
    return f"{TAP} {number:06d}"


def _places(made: Build, tables: Sequence[_Table]) -> dict[tuple[str, int], _Table]:
    """Which hit of which event type belongs to which table."""
    out = {}
    for number, table in enumerate(tables):
        event = table.request.event
        names = [r.name for r in made.programs[event].program.rules]
        out[(event, names.index(_name(number)))] = table
    return out


class _Table:
    """Writes the values of one request as they come."""

    def __init__(self, history: History, request: Request, number: int) -> None:
        self.request = request
        self.name = f"{quoted(history.schema)}.{quoted(_free(history, number))}"
        self._con = history.db.con
        low = history.build.analysis.lowerer
        graph = low.graph(request.event)
        types = [with_columns(low, graph[n].type) for n in request.nodes]
        self._make = [column_value(t) for t in types]
        columns = [("n", pa.int64()), *((f"c{i}", arrow_type(t)) for i, t in enumerate(types))]
        self._schema = pa.schema(columns)
        self._rows: list[list[Any]] = []
        self._con.register("_empty", self._schema.empty_table())
        self._con.execute(f"CREATE TABLE {self.name} AS SELECT * FROM _empty")
        self._con.unregister("_empty")

    def add(self, n: int, values: Any) -> None:
        self._rows.append(
            [n, *(None if v is None else make(v) for v, make in zip(values, self._make, strict=True))]
        )
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, self._schema, strict=True)]
        self._con.register("_batch", pa.Table.from_arrays(arrays, schema=self._schema))
        self._con.execute(f"INSERT INTO {self.name} SELECT * FROM _batch")
        self._con.unregister("_batch")
        self._rows.clear()

    def close(self) -> str:
        self._flush()
        return self.name


def _free(history: History, number: int) -> str:
    """A name for a table that is not taken."""
    rows = history.db.rows("SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE 'columns %'")
    return f"columns {rows[0][0]} {number}"


def column_value(type_: Type) -> Callable[[Any], Any]:
    """What makes a present value ready for its column."""
    if type_.kind == "number":
        return float
    if type_.kind == "list" and type_.element is not None:
        inner = column_value(type_.element)
        return lambda values: [inner(v) for v in values]
    if type_.kind == "record":
        parts = [(f"r{i}", name, column_value(t)) for i, (name, t) in enumerate(type_.columns)]
        return lambda value: {
            c: None if (held := value.get(name)) is None else make(held) for c, name, make in parts
        }
    return lambda value: value


def from_column_value(type_: Type, whole: bool) -> Callable[[Any], Any]:
    """The way back. Whole numbers are ints again, as the engine has them."""
    if type_.kind == "number":
        return (lambda v: int(v) if v.is_integer() else v) if whole else (lambda v: v)
    if type_.kind == "list" and type_.element is not None:
        inner = from_column_value(type_.element, True)
        return lambda values: [inner(v) for v in values]
    if type_.kind == "record":
        parts = [(f"r{i}", name, from_column_value(t, True)) for i, (name, t) in enumerate(type_.columns)]
        return lambda value: {name: None if value[c] is None else make(value[c]) for c, name, make in parts}
    return lambda value: value
