"""A bundle's programs over columns: what was worked out before stands in for the operations it came of.

The graph of an event is written anew with pseudo-fields, called `c12` after the node they hold, in the place
of whatever a column has. The engine's own back end then makes a function of it, so that firings, exemptions,
rollouts, messages, effects, limits and labels are decided by the very code that decides online.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from quell.engine.compile import Analysis
from quell.engine.graph import ELEMENTS, Graph, Node
from quell.engine.link import Linked, link
from quell.engine.lowered import LoweredEffect, LoweredLimit, LoweredRule, StoreSource
from quell.engine.order import Stage, Write
from quell.engine.python_backend import generate
from quell.engine.waves import Schedule


@dataclass(frozen=True, slots=True)
class _Column:
    """How a pseudo-field is read: an attribute of the row."""

    source: str
    raw: bool = True

    @property
    def helpers(self) -> Mapping[str, object]:
        """Nothing else is needed."""
        return {}


@dataclass(frozen=True, slots=True)
class Reduced:
    """The program of one event type over columns. `columns` are the nodes whose values it takes, in the order
    in which `row` takes them."""

    linked: Linked
    columns: tuple[int, ...]
    row: Callable[..., Any]


def reduce(
    analysis: Analysis, event: str, held: Callable[[int], bool], kept: Callable[[str], bool]
) -> Reduced:
    """The program of an event. `held` tells whether a node's value stands in a column (asked from the outside
    in); `kept` whether a store, by its identity, is one that the program keeps itself."""
    rewriter = _Rewriter(analysis.lowerer.graph(event), held)
    stages = tuple(rewriter.stage(stage, kept) for stage in analysis.stages[event])
    columns = tuple(sorted(rewriter.columns))
    program = generate(
        event,
        rewriter.made,
        Schedule(tuple(s for s in stages if s.writes or s.rules)),
        lambda name: _Column(f"e.{name}"),
        {},
        {},
    )
    names = [f"c{n}" for n in columns]
    make: Any = namedtuple
    row = make("Row", names)
    return Reduced(link(program, analysis.lists, analysis.models), columns, row._make)


class _Rewriter:
    """Writes a graph anew; nodes of the old one to nodes of the new one."""

    def __init__(self, graph: Graph, held: Callable[[int], bool]) -> None:
        self.graph = graph
        self.made = Graph(graph.event)
        self.columns: set[int] = set()
        self._held = held
        self._new: dict[int, int] = {}

    def node(self, number: int) -> int:
        """The new node for an old one."""
        stack = [number]
        while stack:
            top = stack[-1]
            if top in self._new:
                stack.pop()
                continue
            node = self.graph[top]
            column = not node.binders and node.op not in ("const", "clock") and self._held(top)
            waiting = [] if column else [a for a in self._needed(node) if a not in self._new]
            if waiting:
                stack.extend(waiting)
                continue
            self._new[top] = self._column(top) if column else self._copy(top)
            stack.pop()
        return self._new[number]

    @staticmethod
    def _needed(node: Node) -> tuple[int, ...]:
        """What must be written before a node; an element needs its list, after which it is called."""
        if node.op == "element":
            return (node.data[0] // ELEMENTS,)
        return () if node.op == "remote" else node.args

    def _column(self, number: int) -> int:
        node = self.graph[number]
        self.columns.add(number)
        whole = node.whole and node.type.kind != "number"  # a column of numbers has doubles
        return self.made.add("field", (), (f"c{number}",), node.type, bounds=node.bounds, whole=whole)

    def _copy(self, number: int) -> int:
        node = self.graph[number]
        if node.op == "const":
            return self.made.const(node.data[0], node.type)
        if node.op == "remote":  # a history without recorded answers has none
            return self.made.const(None, node.type.maybe())
        args = [self._new[a] for a in node.args]
        data = node.data
        if node.op == "element" or node.operation.binds:
            source, depth = divmod(data[0], ELEMENTS)
            data = (self._new[source] * ELEMENTS + depth, *data[1:])
        return self.made.add(node.op, args, data, node.type, bounds=node.bounds)

    def stage(self, stage: Stage, kept: Callable[[str], bool]) -> Stage:
        """A stage over new nodes, with the writes of the stores that are kept."""
        writes = tuple(Write(w.store, self._source(w.source)) for w in stage.writes if kept(w.store.identity))
        return Stage(writes, tuple(self._rule(r) for r in stage.rules))

    def _source(self, source: StoreSource) -> StoreSource:
        return replace(
            source,
            keys=tuple(self.node(k) for k in source.keys),
            value=None if source.value is None else self.node(source.value),
            where=None if source.where is None else self.node(source.where),
        )

    def _rule(self, rule: LoweredRule) -> LoweredRule:
        return replace(
            rule,
            condition=self.node(rule.condition),
            effects=tuple(self._effect(e) for e in rule.effects),
            because=None if rule.because is None else self.node(rule.because),
            bucket=tuple(self.node(b) for b in rule.bucket),
        )

    def _effect(self, effect: LoweredEffect) -> LoweredEffect:
        limit = effect.limit
        return replace(
            effect,
            target=None if effect.target is None else self.node(effect.target),
            payload=tuple((name, self.node(n), t) for name, n, t in effect.payload),
            limit=None
            if limit is None
            else LoweredLimit(limit.count, tuple(self.node(k) for k in limit.keys), limit.every),
        )
