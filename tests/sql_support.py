"""Nodes of a bundle's graphs worked out in SQL and by the interpreter, for the tests of the SQL back end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from quell.engine.compile import Analysis, Build, build
from quell.engine.graph import Node
from quell.engine.interpret import Evaluator
from quell.engine.sources import read_record
from quell.replay.database import Database
from quell.replay.sql_expressions import LEAVES, Translator
from quell.signals.patterns import search

Values = dict[int, Any]
"""Values of nodes that are given: fields, the clock, and whatever a state would know."""


def events_of(made: Build, payloads: Sequence[Any]) -> dict[str, list[Any]]:
    """The events that the bundle's decoder takes, by type."""
    out: dict[str, list[Any]] = {}
    for payload in payloads:
        entry = read_record(payload, made.decoder)
        if hasattr(entry, "e"):
            out.setdefault(entry.event, []).append(entry)
    return out


def given_nodes(translator: Translator) -> list[int]:
    """The nodes that columns hold: fields, the clock, and the state that no list's element decides."""
    return [n.id for n in translator.graph.nodes if n.op in LEAVES and not n.binders]


def judged(made: Build, event: str, values: Values) -> Evaluator:
    """The interpreter with given values."""
    lists, models = made.analysis.lists, made.analysis.models

    def leaf(node: Node, args: Sequence[Any]) -> Any:
        if node.id in values:
            return values[node.id]
        if any(a is None for a in args) and node.op != "model":
            return None
        if node.op == "match":
            return search(*node.data)(args[0])
        if node.op == "model":
            return models[node.data[0]].predict(args)
        listed = lists[node.data[0]]
        if node.op == "list_in":
            return listed.contains(args[0])
        if node.op == "list_match":
            return bool(listed.found(args[0]))
        return listed.found(args[0]) if node.op == "list_found" else listed.row(args[0])

    return Evaluator(made.analysis.lowerer.graph(event), leaf)


def field_values(made: Build, translator: Translator, entry: Any) -> Values:
    """The fields and the clock of an event."""
    out: Values = {}
    for number in given_nodes(translator):
        node = translator.graph[number]
        if node.op == "field":
            out[number] = made.reader(entry.event, node.data[0])(entry.e, entry.at)
        elif node.op == "clock":
            out[number] = entry.at
    return out


def testable(translator: Translator) -> list[int]:
    """The nodes that stand by themselves, and need no state that a list's element decides."""
    graph = translator.graph
    hard: set[int] = set()
    for node in graph.nodes:
        if (node.op in LEAVES and node.binders) or any(a in hard for a in node.args):
            hard.add(node.id)
    return [n.id for n in graph.nodes if not n.binders and n.id not in hard and n.type.kind != "regex"]


def in_sql(
    db: Database, translator: Translator, rows: Sequence[Values], wanted: Sequence[int], true: bool = False
) -> list[list[Any]]:
    """For each row the values of the wanted nodes, by SQL."""
    given = given_nodes(translator)
    types, graph = translator.types, translator.graph
    arrays = [pa.array(range(len(rows)), pa.int64())]
    for number in given:
        make = types.to_column(graph[number].type)
        column = [r[number] for r in rows]
        if make is not None:
            column = [None if v is None else make(v) for v in column]
        arrays.append(pa.array(column, types.arrow(graph[number].type)))
    table = pa.Table.from_arrays(arrays, names=["n", *(f"c{i}" for i in given)])
    db.con.register("given", table)
    db.con.execute("CREATE OR REPLACE TABLE held AS SELECT * FROM given")
    columns = {i: f"c{i}" for i in given}
    out: list[list[Any]] = [[] for _ in rows]
    for start in range(0, len(wanted), 60):
        part = wanted[start : start + 60]
        says = translator.true if true else translator.sql
        texts = [says(w, columns) for w in part]
        found = db.rows(f"SELECT {', '.join(texts)} FROM held ORDER BY n")
        backs = [types.from_column(graph[w].type) for w in part]
        for line, row in zip(out, found, strict=True):
            line += [v if b is None or v is None else b(v) for v, b in zip(row, backs, strict=True)]
    return out


def differences(
    db: Database, translator: Translator, rows: Sequence[Values], wanted: Sequence[int] | None = None
) -> list[str]:
    """Where SQL and the interpreter do not give the same."""
    wanted = testable(translator) if wanted is None else wanted
    graph = translator.graph
    conditions = [w for w in wanted if graph[w].type.kind == "bool"]
    values = in_sql(db, translator, rows, wanted)
    truths = in_sql(db, translator, rows, conditions, true=True)
    columns = {i: f"c{i}" for i in given_nodes(translator)}
    out = []
    for given, value, truth in zip(rows, values, truths, strict=True):
        judge = judged(translator.build, translator.event, given)
        expected = {w: judge.value(w) for w in wanted}
        for number, got in zip(wanted, value, strict=True):
            if not same(got, expected[number]):
                out.append(told(translator, number, columns, given, got, expected[number]))
        for number, got in zip(conditions, truth, strict=True):
            if (got is True) is not (expected[number] is True):
                out.append("true: " + told(translator, number, columns, given, got, expected[number]))
    return out


def same(got: Any, expected: Any) -> bool:
    """Whether two values are one to the language: numbers by value, and -0 is 0."""
    if isinstance(expected, bool) or isinstance(got, bool) or expected is None or got is None:
        return got is expected
    if isinstance(expected, list):
        return len(got) == len(expected) and all(map(same, got, expected))
    if isinstance(expected, dict):
        return got.keys() == expected.keys() and all(same(got[k], expected[k]) for k in expected)
    return bool(got == expected)


def told(
    translator: Translator, number: int, columns: Mapping[int, str], given: Values, got: Any, expected: Any
) -> str:
    """A difference, with all that made it."""
    node = translator.graph[number]
    inputs = {f"c{i}": v for i, v in given.items()}
    return (
        f"node {number}, {node.op} {node.data!r}: SQL gives {got!r}, the language {expected!r}\n"
        f"  {translator.sql(number, columns)[:2000]}\n  {inputs!r}"
    )


def translated(analysis: Analysis, db: Database, event: str, made: Build | None = None) -> Translator:
    """A translator over a bundle's event that reads every field."""
    return Translator(db, made or build(analysis, all_fields=True), event)
