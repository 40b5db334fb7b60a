"""How the rules of an event are decided: what first, what together, what only when needed.

A rule matches only when every part of its condition is true, so the parts may be asked in any order.
Each is ranked by what it costs against how often it ends the matter. A part that several rules share is
asked once, around them, where that saves more than it costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from quell.engine.graph import Graph
from quell.engine.lowered import LoweredRule
from quell.engine.order import Stage
from quell.signals.functions import REGISTRY
from quell.signals.patterns import required_literal

MAX_NESTING = 12
"""How deeply blocks nest in the generated code."""
_ELEMENTS = 5
"""How many elements a list is taken to have when costs are reckoned."""


@dataclass(frozen=True, slots=True)
class Block:
    """Conditions asked in order, and what happens when all are true: a rule matches, or more blocks."""

    conditions: tuple[int, ...]
    rule: LoweredRule | None
    blocks: tuple[Block, ...] = ()


@dataclass(slots=True)
class Costs:
    """What each node of a graph costs, in microseconds, and how likely each condition is."""

    graph: Graph
    _cost: dict[int, float] = field(default_factory=dict)
    _likely: dict[int, float] = field(default_factory=dict)

    def cost(self, number: int) -> float:
        """Microseconds to work a node out with everything below it, shared or not."""
        for inner in self.graph.reach([number]):
            if inner not in self._cost:
                node = self.graph[inner]
                own = node.operation.cost
                if node.op == "call":
                    row = REGISTRY.get(node.data[0])
                    own = row.cost if row is not None else own
                elif node.op == "model":
                    own = node.data[2]
                below = [self._cost[a] for a in node.args]
                if node.operation.binds:
                    below[1] *= _ELEMENTS
                self._cost[inner] = own + sum(below)
        return self._cost[number]

    def likely(self, number: int) -> float:
        """How often a condition is true, as far as its form tells."""
        if number not in self._likely:
            node = self.graph[number]
            if node.op == "const":
                value = 1.0 if node.data[0] is True else 0.0
            elif node.op == "not":
                value = 1 - self.likely(node.args[0])
            elif node.op == "and":
                value = 1.0
                for a in node.args:
                    value *= self.likely(a)
            elif node.op == "or":
                value = 1.0
                for a in node.args:
                    value *= 1 - self.likely(a)
                value = 1 - value
            else:
                value = node.operation.likely if node.operation.condition else 0.5
            self._likely[number] = min(max(value, 0.001), 0.999)
        return self._likely[number]

    def rank(self, number: int) -> tuple[float, int]:
        """Lowest first: what costs little and is seldom true ends the matter soonest."""
        return self.cost(number) / (1 - self.likely(number)), number

    def expected(self, conditions: Sequence[int]) -> float:
        """What asking conditions in order costs on average."""
        total, reached = 0.0, 1.0
        for c in conditions:
            total += reached * self.cost(c)
            reached *= self.likely(c)
        return total


def conjuncts(graph: Graph, condition: int) -> list[int]:
    """The parts that must all be true, with a cheap necessary one before each pattern that has one."""
    node = graph[condition]
    out: list[int] = []
    for part in node.args if node.op == "and" else (condition,):
        out.extend(_guard(graph, part))
        out.append(part)
    return out


def _guard(graph: Graph, part: int) -> Iterable[int]:
    node = graph[part]
    if node.op != "match":
        return ()
    pattern, flags = node.data
    literal = required_literal(pattern, flags)
    if literal is None or len(literal) < 2:
        return ()
    text = node.args[0]
    if "i" in flags:
        text = graph.add("fold", (text,), (), graph[text].type)
    sought = graph.const(literal, graph[text].type.present())
    return (graph.add("contains", (text, sought), (), node.type),)


def arrange(graph: Graph, stage: Stage) -> tuple[Block, ...]:
    """The blocks that decide a stage's rules."""
    costs = Costs(graph)
    waiting = {
        r.name: (r, sorted(dict.fromkeys(conjuncts(graph, r.condition)), key=costs.rank)) for r in stage.rules
    }
    return tuple(_blocks(waiting, costs, 0))


Waiting = dict[str, tuple[LoweredRule, list[int]]]


def _blocks(waiting: Waiting, costs: Costs, depth: int) -> list[Block]:
    out: list[Block] = []
    left = dict(waiting)
    while depth < MAX_NESTING:
        shared = _best_shared(left, costs)
        if shared is None:
            break
        inside = {n: (r, [c for c in cs if c != shared]) for n, (r, cs) in left.items() if shared in cs}
        for name in inside:
            del left[name]
        out.append(Block((shared,), None, tuple(_blocks(inside, costs, depth + 1))))
    out.extend(Block(tuple(conditions), rule) for rule, conditions in left.values())
    return out


def _best_shared(left: Waiting, costs: Costs) -> int | None:
    """The condition that saves most when asked once around all the rules that have it, if any saves."""
    users: dict[int, list[str]] = {}
    for name, (_, conditions) in left.items():
        for c in conditions:
            users.setdefault(c, []).append(name)
    best: tuple[float, int] | None = None
    for c, names in users.items():
        if len(names) < 2:
            continue
        alone = sum(costs.expected(left[n][1]) for n in names)
        inside = sum(costs.expected([x for x in left[n][1] if x != c]) for n in names)
        saved = alone - costs.cost(c) - costs.likely(c) * inside
        if saved > 1e-9 and (best is None or (saved, -c) > (best[0], -best[1])):
            best = (saved, c)
    return best[1] if best is not None else None
