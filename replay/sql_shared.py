"""What several expressions need, worked out once in columns of an inner SELECT.

DuckDB finds what expressions of one SELECT have in common, but not inside the parts of an AND or a CASE. So
what is costly and needed twice becomes a column, and where many patterns are looked for in one text, so does
a gate: one pattern that finds a text in which any of them may be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quell.engine.graph import Graph
from quell.replay.database import text_literal
from quell.replay.sql_patterns import alternation, gateable
from quell.replay.sql_truths import tier

BEHIND = 0.25
"""The share of the rows that is left for what stands behind something cheaper in an AND, about."""
GATE_FROM = 6
"""Patterns in one text from which a gate before them pays."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A relation with the shared columns beside its own, and every node or gate that a column holds."""

    relation: str
    columns: dict[int, str]


class Source(Protocol):
    """The SQL of nodes over some columns, and the nodes whose SQL is in that of another."""

    @property
    def graph(self) -> Graph: ...
    def value(self, number: int) -> str: ...
    def needs(self, number: int) -> Sequence[int]: ...


def gate_key(text: int) -> int:
    """Under what a gate before the patterns of a text stands among columns: no node has this number."""
    return -1 - text


def visible(source: Source, roots: Sequence[int], columns: Mapping[int, str]) -> dict[int, int]:
    """The nodes whose SQL is in that of the roots, with how often each is needed, columns left out."""
    for root in roots:
        source.value(root)
    uses = dict.fromkeys(roots, 1)
    seen: set[int] = set()
    stack = list(uses)
    while stack:
        top = stack.pop()
        if top in seen or top in columns:
            continue
        seen.add(top)
        text = source.value(top)
        for a in dict.fromkeys(source.needs(top)):
            # Some operations say an argument twice.
            often = 1 if source.graph[a].binders else max(1, min(2, text.count(source.value(a))))
            uses[a] = uses.get(a, 0) + often
            stack.append(a)
    return {n: uses[n] for n in sorted(seen)}


def shared_nodes(
    source: Source, roots: Sequence[int], columns: Mapping[int, str], asked: bool = False
) -> list[int]:
    """The nodes that are costly and needed more than once, each after those that it needs. Where they are
    `asked` in a WHERE, what stands behind something cheaper in an AND is needed on few rows."""
    uses = visible(source, roots, columns)
    often = [n for n, count in uses.items() if count > 1]
    if asked and often:
        rows = _rows(source, roots, list(uses))
        often = [n for n in often if rows[n] > 1]
    return [n for n in often if not source.graph[n].binders and tier(source.value(n))]


def _rows(source: Source, roots: Sequence[int], nodes: Sequence[int]) -> dict[int, float]:
    """For how many times the rows each node is worked out in a WHERE."""
    out = dict.fromkeys(nodes, 0.0) | dict.fromkeys(roots, 1.0)
    for n in reversed(nodes):  # what needs a node has a higher number
        tiers = {a: tier(source.value(a)) for a in dict.fromkeys(source.needs(n))}
        for a, costly in tiers.items():
            behind = source.graph[n].op == "and" and costly > min(tiers.values())
            if a in out:
                out[a] += out[n] * (BEHIND if behind else 1.0)
    return out


def shared_columns(
    write: Callable[[Mapping[int, str]], Source],
    relation: str,
    roots: Sequence[int],
    columns: Mapping[int, str],
    prefix: str,
    asked: bool = False,
) -> Shared:
    """A relation with columns for what roots share, in as many SELECTs inside one another as it takes."""
    held = dict(columns)
    while True:
        source = write(held)
        made = {n: (f"{prefix}{n}", source.value(n)) for n in _ready(source, roots, held, asked)}
        made |= {
            gate_key(text): (f"{prefix}g{text}", f"regexp_matches({held[text]}, {text_literal(gate)})")
            for text, gate in _gates(source, roots, held).items()
        }
        if not made:
            return Shared(relation, held)
        new = ", ".join(f"{sql} AS {name}" for name, sql in made.values())
        relation = f"(SELECT *, {new} FROM {relation})"
        held |= {n: name for n, (name, _) in made.items()}


def _ready(source: Source, roots: Sequence[int], held: Mapping[int, str], asked: bool) -> list[int]:
    """The shared nodes that need no other one."""
    wanted = shared_nodes(source, roots, held, asked)
    above: set[int] = set()
    for n in wanted:
        inside = visible(source, [n], held)
        if any(m in inside for m in wanted if m != n):
            above.add(n)
    return [n for n in wanted if n not in above]


def _gates(source: Source, roots: Sequence[int], held: Mapping[int, str]) -> dict[int, str]:
    """For each text in a column in which many patterns are looked for, the pattern of its gate."""
    graph = source.graph
    texts = {graph[n].args[0] for n in visible(source, roots, held) if graph[n].op == "match"}
    wanted: dict[int, set[tuple[str, str]]] = {}
    for node in graph.nodes:
        text = node.args[0] if node.op == "match" else -1
        if text in texts and text in held and gate_key(text) not in held and gateable(*node.data):
            wanted.setdefault(text, set()).add(node.data)
    found = {t: alternation(tuple(sorted(p))) for t, p in sorted(wanted.items()) if len(p) >= GATE_FROM}
    return {t: gate for t, gate in found.items() if gate is not None}
