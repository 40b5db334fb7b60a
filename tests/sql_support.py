"""Nodes of a bundle's graphs worked out in SQL and by the interpreter, for the tests of the SQL back end."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pyarrow as pa

from quell.engine.compile import Build
from quell.engine.events import Decoded
from quell.engine.graph import Node
from quell.engine.interpret import Evaluator
from quell.engine.lower import EXTENT
from quell.engine.sources import read_record
from quell.grammar.types import Type
from quell.replay.database import Database
from quell.replay.sql_expressions import LEAVES, Translator
from quell.replay.sql_values import Columns
from quell.signals.patterns import search

Values = dict[int, Any]
"""Values of nodes that are given: fields, the clock, and whatever a state would know."""


def events_of(made: Build, payloads: Sequence[Any]) -> dict[str, list[Any]]:
    """The events that the bundle's decoder takes, by type."""
    out: dict[str, list[Any]] = {}
    for payload in payloads:
        entry = read_record(payload, made.decoder)
        if isinstance(entry, Decoded):
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


def checkable(translator: Translator) -> list[int]:
    """The nodes that stand by themselves, and need no state that a list's element decides."""
    graph = translator.graph
    hard: set[int] = set()
    for node in graph.nodes:
        if (node.op in LEAVES and node.binders) or any(a in hard for a in node.args):
            hard.add(node.id)
    return [n.id for n in graph.nodes if not n.binders and n.id not in hard and n.type.kind != "regex"]


def hold(db: Database, translator: Translator, rows: Sequence[Values]) -> dict[int, str]:
    """The rows as a table `held`, and what its columns hold."""
    given = given_nodes(translator)
    types, graph = translator.types, translator.graph
    arrays = [pa.array(range(len(rows)), pa.int64())]
    for number in given:
        make = types.to_column(graph[number].type)
        column = [r[number] for r in rows]
        if make is not None:
            column = [None if v is None else make(v) for v in column]
        arrays.append(pa.array(column, types.arrow(graph[number].type)))
    db.con.register("given", pa.Table.from_arrays(arrays, names=["n", *(f"c{i}" for i in given)]))
    db.con.execute("CREATE OR REPLACE TABLE held AS SELECT * FROM given")
    db.con.unregister("given")
    return {i: f"c{i}" for i in given}


def worked_out(
    db: Database, translator: Translator, relation: str, texts: Sequence[str], wanted: Sequence[int]
) -> list[list[Any]]:
    """For each row of a relation the values of the wanted nodes, whose SQL is given."""
    backs = [translator.types.from_column(translator.graph[w].type) for w in wanted]
    out: list[list[Any]] = []
    for start in range(0, len(wanted), 60):
        part = ", ".join(texts[start : start + 60])
        found = db.rows(f"SELECT {part} FROM {relation} ORDER BY n")
        out = out or [[] for _ in found]
        for line, row in zip(out, found, strict=True):
            makes = backs[start : start + 60]
            line += [v if b is None or v is None else b(v) for v, b in zip(row, makes, strict=True)]
    return out


def differences(
    db: Database, translator: Translator, rows: Sequence[Values], wanted: Sequence[int] | None = None
) -> list[str]:
    """Where SQL, in any of its ways, and the interpreter do not give the same."""
    wanted = checkable(translator) if wanted is None else wanted
    conditions = [w for w in wanted if translator.graph[w].type.kind == "bool"]
    columns = hold(db, translator, rows)
    shared = translator.over("held", wanted, columns)
    ways = [
        ("held", [translator.sql(w, columns) for w in wanted], wanted, False),
        ("held", [translator.true(w, columns) for w in conditions], conditions, True),
        (shared.relation, [translator.sql(w, shared.columns) for w in wanted], wanted, False),
        (shared.relation, [translator.true(w, shared.columns) for w in conditions], conditions, True),
    ]
    judges = [judged(translator.build, translator.event, row) for row in rows]
    out = []
    for relation, texts, nodes, truth in ways:
        if not nodes:
            continue
        values = worked_out(db, translator, relation, texts, nodes)
        for given, judge, line in zip(rows, judges, values, strict=True):
            for number, text, got in zip(nodes, texts, line, strict=True):
                expected = judge.value(number)
                alike = (got is True) is (expected is True) if truth else same(got, expected)
                if not alike:
                    out.append(told(translator, number, given, got, expected, text))
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


def told(translator: Translator, number: int, given: Values, got: Any, expected: Any, text: str) -> str:
    """A difference, with all that made it."""
    node = translator.graph[number]
    inputs = {f"c{i}": v for i, v in given.items()}
    return (
        f"node {number}, {node.op} {node.data!r}: SQL gives {got!r}, the language {expected!r}\n"
        f"  {text[:2000]}\n  {inputs!r}"
    )


def drawn(rng: Random, node: Node, columns: Columns) -> Any:
    """Some value that a part of the state might have."""
    return _value(rng, node.type, node.bounds, node.whole, columns)


def _value(rng: Random, type_: Type, bounds: tuple[float, float], whole: bool, columns: Columns) -> Any:
    if type_.kind == "missing" or (type_.optional and rng.random() < 0.25):
        return None
    if type_.kind == "list":
        assert type_.element is not None
        several = (_value(rng, type_.element, bounds, whole, columns) for _ in range(rng.randrange(4)))
        return [v for v in several if v is not None]
    if type_.kind == "record":
        return {
            name: _value(rng, t, EXTENT.get(t.kind, bounds), False, columns)
            for name, t in columns.record(type_.name)
        }
    if type_.kind == "number":
        found = rng.choice(WHOLE if whole else (*WHOLE, *PARTS))
        return found if bounds[0] <= found <= bounds[1] else max(bounds[0], min(bounds[1], 1))
    return rng.choice(PLAIN.get(type_.kind, TEXTS))


WHOLE = (0, 1, 2, 3, 5, 10, 100, -1, 12345, 2**53)
PARTS = (0.5, -2.5, 0.1, 1e300, -1e300, 5e-324)
TEXTS = ("u1", "u2", "a", "", "\u00e9", "10.0.0.1", "red", "\0", "\U0001f600 free")
PLAIN: dict[str, tuple[Any, ...]] = {
    "bool": (True, False),
    "time": (1_772_323_200_000_000, 1_772_236_800_000_001, 0, -1),
    "event": (1_772_323_200_000_000, 0),
    "duration": (0, 1, -1, 3_600_000_000, 2_592_000_000_000),
}
