"""What holds on one event whatever the event says: the starting point of every lint of conditions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from quell.engine.counter_words import always_given
from quell.engine.graph import Graph, Node
from quell.engine.lints_values import FLIPPED, TEXT_OPS, Values
from quell.engine.lowered import Store
from quell.engine.operations import OPERATIONS

TRUE, FALSE, MISSING = 1, 2, 4
"""What a condition can come to; sets of them are sums."""
NOT_TRUE = FALSE | MISSING
COMPARISONS = frozenset(FLIPPED)
JOINED = frozenset(("and", "or", "not"))
MAX_STEPS = 200_000
"""Conditions looked at in one bundle; beyond it nothing more is concluded, so that none is slow to check."""


class Enough(Exception):
    """The policy asks for more reasoning than is sensible."""


@dataclass(slots=True)
class Effort:
    """The steps that are left for a bundle."""

    left: int = MAX_STEPS

    def take(self) -> None:
        """Use one step."""
        self.left -= 1
        if self.left < 0:
            raise Enough


@dataclass(slots=True)
class World:
    """One event's graph and what holds on it whatever the event says.

    `seen` names the rules whose firing can be seen here: by a live reader (False), by a shadow one (True);
    `known` what conditions can come to, once that was worked out.
    """

    graph: Graph
    stores: Mapping[str, Store]
    seen: Mapping[bool, Collection[str]]
    effort: Effort = field(default_factory=Effort)
    _values: dict[int, Values] = field(default_factory=dict)
    _counters: dict[tuple[str, str, tuple[int, ...], int | None], int] = field(default_factory=dict)
    known: dict[int, int] = field(default_factory=dict)
    _subjects: dict[int, frozenset[object]] = field(default_factory=dict)
    _lacks: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        for node in self.graph.nodes:
            if node.op == "counter" and node.data[3] == 0:
                self._counters[(node.data[0], node.data[1], node.args, node.data[2])] = node.id

    def values(self, term: int) -> Values:
        """What a value can be before anything is taken as true."""
        known = self._values.get(term)
        if known is None:
            known = self._values[term] = self._first_values(self.graph[term])
        return known

    def _first_values(self, node: Node) -> Values:
        if node.type.kind == "enum":
            return Values(allowed=frozenset(node.type.values))
        if node.type.kind not in ("number", "time", "duration"):
            return Values()
        low, high = node.bounds
        if node.op == "counter" and self.counts_itself(node):
            low = max(low, 1)
        return Values(_open_end(low), _open_end(high), whole=node.whole)

    def counts_itself(self, node: Node) -> bool:
        """Whether a counter has always counted the event that reads it."""
        identity, word, _, before = node.data
        store = self.stores.get(identity)
        if before != 0 or store is None or word not in ("count", "distinct"):
            return False
        for source in store.sources:
            if source.event != self.graph.event or source.rule is not None or source.where is not None:
                continue
            counted = self.graph[source.value].type if source.value is not None else None
            certain = counted is None or (counted.kind != "list" and not counted.optional)
            if certain and source.keys == node.args[:-1]:
                return True
        return False

    def counter(self, identity: str, word: str, args: tuple[int, ...], within: int | None) -> int | None:
        """The node that reads a counter up to the present event."""
        return self._counters.get((identity, word, args, within))

    def conditions(self, condition: int, known: Collection[int] = ()) -> list[int]:
        """A condition and the conditions it is joined of that are not known yet, inner before outer: so that
        policies may nest as deeply as they like."""
        if self.graph[condition].op not in JOINED:
            return [condition]
        found: list[int] = []
        stack = [condition]
        while stack:
            top = stack.pop()
            if top not in known:
                found.append(top)
                node = self.graph[top]
                if node.op in JOINED:
                    stack.extend(node.args)
        return sorted(set(found))

    def related(self, conditions: Sequence[int]) -> bool:
        """Whether two conditions speak of one thing, so that it is worth while to hold them together."""
        seen: set[object] = set()
        count = 0
        for condition in conditions:
            subjects = self.subjects(condition)
            seen |= subjects
            count += len(subjects)
            if len(seen) < count or ("missing" in seen and len(conditions) > 1):
                return True
        return False

    def first_outcomes(self, node: Node) -> int:
        """What a condition can come to, going by its kind alone."""
        if node.op == "const":
            value = node.data[0]
            return MISSING if value is None else TRUE if value is True else FALSE
        if node.op == "fired" and node.data[0] not in self.seen[node.data[1]]:
            return FALSE
        if node.type.kind == "missing":
            return MISSING
        return TRUE | FALSE | (MISSING if self.may_lack(node.id) else 0)

    def may_lack(self, number: int) -> bool:
        """Whether a value is missing now and then. A count that is missing only because memory is full does
        not count as such: no policy is written for that."""
        while len(self._lacks) <= number:
            self._lacks.append(self._first_lack(self.graph[len(self._lacks)]))
        return self._lacks[number]

    def _first_lack(self, node: Node) -> bool:
        if not node.type.optional:
            return False
        if node.op == "counter":
            return not always_given(node) or any(self._lacks[a] for a in node.args)
        if node.op == "reaches":
            return False
        if node.op in COMPARISONS or node.op in JOINED or node.op in TEXT_OPS or node.op == "in_set":
            return any(self._lacks[a] for a in node.args)
        return True

    def subjects(self, condition: int) -> frozenset[object]:
        """What a condition speaks of: two that share no subject say nothing about each other."""
        if condition not in self._subjects:
            for inner in self.conditions(condition, self._subjects):
                self._subjects[inner] = self._find_subjects(self.graph[inner])
        return self._subjects[condition]

    def _find_subjects(self, node: Node) -> frozenset[object]:
        if node.op == "const":
            return frozenset()
        if node.op in ("and", "or", "not"):
            return frozenset().union(*(self.subjects(a) for a in node.args))
        if node.op == "is_missing":
            return frozenset((node.args[0], "missing"))
        if node.op == "reaches":
            return frozenset(((node.data[0], node.data[1], node.args),))
        if node.op in COMPARISONS or node.op in TEXT_OPS or node.op == "in_set":
            out: set[object] = set()
            for a in node.args:
                of = self.graph[a]
                if of.type.kind == "bool":
                    out |= self.subjects(a)
                elif of.op == "counter":
                    out.add((of.data[0], of.data[1], of.args))
                elif of.op != "const":
                    out.add(a)
            return frozenset(out)
        return frozenset((node.id,))


def _open_end(bound: float) -> float:
    """An end of a whole type as no end at all: 2**53 messages are as good as any number."""
    return math.copysign(math.inf, bound) if abs(bound) >= 2**53 else bound


def needs(node: Node) -> tuple[int, ...]:
    """The arguments without which a value is missing."""
    row = OPERATIONS[node.op]
    if not row.strict:
        return ()
    return node.args[:1] if row.binds else node.args
