"""What may come of a condition whose residual parts are not known yet, as SQL.

`may` is true wherever a condition can be true, whatever the residual parts are; `must` only where it is true
whatever they are. Kleene's logic is monotone, so both follow from the parts. Rows on which no rule may match
and no residual counter may count need not be decided in order: nothing happens on them.

A `Reach` narrows it down: an entity can carry a label only if somebody may have put it on, and a counter of
firings is above nothing only under a key that may have been counted. It is found by going round until nothing
is added, beginning with nothing: whatever really happens has a first cause.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from quell.engine.counter_words import word_of
from quell.engine.graph import Graph, Node
from quell.engine.lowered import LoweredRule

Say = Callable[[int], str]
"""A columnar node as SQL."""

_TRUE, _FALSE = "TRUE", "FALSE"
_COMPARED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


@dataclass(slots=True)
class Reach:
    """The tables of what may have happened: by label the ids that may carry it, by store the keys that it may
    have counted. What has no table may be anything."""

    labels: Mapping[tuple[str, str], str] = field(default_factory=dict)
    stores: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Possible:
    """Conditions of one event type. `residual` tells whether a node is; `say` gives columnar ones as SQL."""

    graph: Graph
    rules: Mapping[str, LoweredRule]
    residual: Callable[[int], bool]
    say: Say
    reach: Reach = field(default_factory=Reach)

    def may(self, number: int) -> str:
        """True wherever the condition can be."""
        return self._bound(number, True)

    def must(self, number: int) -> str:
        """True only where the condition is, whatever the residual parts are."""
        return self._bound(number, False)

    def _bound(self, number: int, may: bool) -> str:
        node = self.graph[number]
        if node.op == "const":
            return _TRUE if node.data[0] is True else _FALSE
        if not self.residual(number):
            return _FALSE if node.type.kind == "missing" else self.say(number)
        if node.op == "and":
            return _joined("AND", _TRUE, _FALSE, [self._bound(a, may) for a in node.args])
        if node.op == "or":
            return _joined("OR", _FALSE, _TRUE, [self._bound(a, may) for a in node.args])
        if node.op == "not":
            return _negated(self._bound(node.args[0], not may))
        return self._may_hold(node) if may else _FALSE

    def _may_hold(self, node: Node) -> str:
        if node.op == "labelled":
            return self._may_carry(node)
        if node.op == "fired":
            rule = self.rules.get(node.data[0])
            if rule is None or not (rule.live or node.data[1]):
                return _FALSE
            return self.may(rule.condition)
        if node.op == "reaches":
            return self._counted(node)
        if node.op in _COMPARED:
            return self._may_compare(node)
        return _TRUE

    def _may_carry(self, node: Node) -> str:
        table, who = self.reach.labels.get(node.data), node.args[0]
        if table is None or node.binders or self.residual(who):
            return _TRUE
        return f"{self.say(who)} IN (SELECT k0 FROM {table})"

    def _may_compare(self, node: Node) -> str:
        a, b = node.args
        op = node.op
        if self.graph.is_const(a):
            a, b, op = b, a, _COMPARED[op]
        if not self.graph.is_const(b) or self.graph[a].binders:
            return _TRUE
        limit = self.graph.value(b)
        left = self.graph[a]
        if isinstance(limit, bool) or not isinstance(limit, int | float):
            return _TRUE
        if left.op == "counter":
            return self._counted(left) if _never_at_rest(left, op, limit) else _TRUE
        if left.op == "rate" and self.graph[left.args[0]].op == "counter":
            inner = self.graph[left.args[0]]
            return self._counted(inner) if _never_at_rest(inner, op, limit) else _TRUE
        if left.op == "score" and op in ("ge", "gt", "lt", "le"):
            return self._may_score(left, op, float(limit))
        return _TRUE

    def _counted(self, node: Node) -> str:
        """Whether the reading's key may have been counted at all."""
        table, keys = self.reach.stores.get(node.data[0]), node.args[:-1]
        plain = all(not self.residual(k) and self.graph[k].type.kind != "list" for k in keys)
        if table is None or node.binders or not keys or not plain:
            return _TRUE
        said = [self._as_text(k) for k in keys]
        if len(said) == 1:
            return f"{said[0]} IN (SELECT k0 FROM {table})"
        columns = ", ".join(f"k{i}" for i in range(len(said)))
        return f"({', '.join(said)}) IN (SELECT {columns} FROM {table})"

    def _as_text(self, number: int) -> str:
        """A key as the tables of keys have it; there is one zero."""
        said = self.say(number)
        return as_text(said, self.graph[number].type.kind)

    def _may_score(self, node: Node, op: str, limit: float) -> str:
        """A score by its greatest possible sum, or its least; a little room, as the sum is rounded once."""
        most = op in ("ge", "gt")
        terms = []
        for points, held in zip(node.data, node.args, strict=True):
            bound = self.may(held) if (points > 0) is most else self.must(held)
            terms.append(f"CASE WHEN {bound} THEN {float(points)!r}::DOUBLE ELSE 0 END")
        room = 1e-9 * (1 + abs(limit) + sum(abs(p) for p in node.data))
        total = " + ".join(terms)
        return f"({total}) >= {limit - room!r}" if most else f"({total}) <= {limit + room!r}"


def as_text(said: str, kind: str) -> str:
    """A key of any kind as text, equal where the keys are equal: there is one zero."""
    return f"({said} + 0)::VARCHAR" if kind == "number" else f"{said}::VARCHAR"


def _never_at_rest(node: Node, op: str, limit: float) -> bool:
    """Whether a comparison is not true of a counter that counted nothing."""
    if word_of(node.data[1]).unseen != "0":
        return True  # it is missing then, and so is the comparison
    if node.type.kind == "list":
        return False
    return not {
        "eq": limit == 0,
        "ne": limit != 0,
        "lt": limit > 0,
        "le": limit >= 0,
        "gt": limit < 0,
        "ge": limit <= 0,
    }[op]


def _joined(word: str, neutral: str, decisive: str, parts: list[str]) -> str:
    if decisive in parts:
        return decisive
    left = list(dict.fromkeys(p for p in parts if p != neutral))
    if not left:
        return neutral
    return left[0] if len(left) == 1 else "(" + f" {word} ".join(f"({p})" for p in left) + ")"


def _negated(bound: str) -> str:
    if bound in (_TRUE, _FALSE):
        return _FALSE if bound == _TRUE else _TRUE
    return f"NOT ({bound})"
