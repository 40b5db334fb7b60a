"""What can be true together: facts gathered while the parts of a condition are read.

`Facts.assume` takes a condition of the graph as true, false, missing or not one of these, and says
whether that can be beside everything taken so far. It is sound and not complete: "cannot be" is certain,
and much that cannot be passes. Kleene's logic throughout: a comparison that does not hold is false or
missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from quell.engine.graph import Graph, Node
from quell.engine.lints_values import FLIPPED, TEXT_OPS, Values
from quell.engine.lowered import Store
from quell.engine.operations import OPERATIONS

TRUE, FALSE, MISSING = 1, 2, 4
"""What a condition can come to; sets of them are sums."""
NOT_TRUE, NOT_FALSE = FALSE | MISSING, TRUE | MISSING
COMPARISONS = frozenset(FLIPPED)
_JOINED = frozenset(("and", "or", "not"))
_LESS, _EQUAL, _MORE = 1, 2, 4
_RELATION = {
    "eq": _EQUAL,
    "ne": _LESS | _MORE,
    "lt": _LESS,
    "le": _LESS | _EQUAL,
    "gt": _MORE,
    "ge": _MORE | _EQUAL,
}
MAX_DEPTH = 100
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

    `seen` names the rules whose firing can be seen here: by a live reader (False), by a shadow one (True).
    """

    graph: Graph
    stores: Mapping[str, Store]
    seen: Mapping[bool, Collection[str]]
    effort: Effort = field(default_factory=Effort)
    _values: dict[int, Values] = field(default_factory=dict)
    _counters: dict[tuple[str, tuple[int, ...], int | None], int] = field(default_factory=dict)
    _outcomes: dict[int, int] = field(default_factory=dict)
    _subjects: dict[int, frozenset[object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.graph.nodes:
            if node.op == "counter" and node.data[2] == 0:
                self._counters[(node.data[0], node.args, node.data[1])] = node.id

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
        identity, _, before = node.data
        store = self.stores.get(identity)
        if before != 0 or store is None:
            return False
        for source in store.sources:
            if source.event != self.graph.event or source.rule is not None or source.where is not None:
                continue
            counted = self.graph[source.value].type if source.value is not None else None
            certain = counted is None or (counted.kind != "list" and not counted.optional)
            if certain and source.keys == node.args[:-1]:
                return True
        return False

    def counter(self, identity: str, args: tuple[int, ...], within: int | None) -> int | None:
        """The node that reads a counter up to the present event."""
        return self._counters.get((identity, args, within))

    def outcomes(self, condition: int) -> int:
        """What a condition can come to by itself."""
        if condition in self._outcomes:
            return self._outcomes[condition]
        for inner in self.conditions(condition, self._outcomes):
            node = self.graph[inner]
            known = self._quick_outcomes(node)
            if known is None:
                known = self.first_outcomes(node)
                if node.op in _ACT:
                    likely = [o for o in (TRUE, FALSE, MISSING) if known & o]
                    known = sum(o for o in likely if Facts(self).assume(inner, o))
            self._outcomes[inner] = known
        return self._outcomes[condition]

    def conditions(self, condition: int, known: Collection[int] = ()) -> list[int]:
        """A condition and the conditions it is joined of that are not known yet, inner before outer: so that
        policies may nest as deeply as they like."""
        if self.graph[condition].op not in _JOINED:
            return [condition]
        found: list[int] = []
        stack = [condition]
        while stack:
            top = stack.pop()
            if top not in known:
                found.append(top)
                node = self.graph[top]
                if node.op in _JOINED:
                    stack.extend(node.args)
        return sorted(set(found))

    def _quick_outcomes(self, node: Node) -> int | None:
        """The same without gathering facts, for conditions so plain that there is nothing to gather."""
        if node.op in ("and", "or"):
            of = [self.outcomes(a) for a in node.args]
            return None if self.related(node.args) else _joined(node.op, of)
        if node.op == "not":
            return _turned(self.outcomes(node.args[0]))
        if node.op in TEXT_OPS:
            plain = self.values(node.args[0]).allowed is None and self.graph[node.args[1]].data != ("",)
            return self.first_outcomes(node) if plain else None
        if node.op not in COMPARISONS:
            return None
        edge, term = self.graph[node.args[1]], self.graph[node.args[0]]
        if edge.op != "const" or edge.data[0] is None or term.op == "const" or term.type.kind == "bool":
            return None
        values = self.values(node.args[0])
        if values.allowed is not None:
            return None
        if type(edge.data[0]) in (int, float):
            low, high = _sides(node.op, values, edge.data[0])
            return (TRUE if low else 0) | (FALSE if high else 0) | (MISSING if node.type.optional else 0)
        return self.first_outcomes(node)

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
        return TRUE | FALSE | (MISSING if node.type.optional else 0)

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
            return frozenset(((node.data[0], node.args),))
        if node.op in COMPARISONS or node.op in TEXT_OPS or node.op == "in_set":
            out: set[object] = set()
            for a in node.args:
                of = self.graph[a]
                if of.type.kind == "bool":
                    out |= self.subjects(a)
                elif of.op == "counter":
                    out.add((of.data[0], of.args))
                elif of.op != "const":
                    out.add(a)
            return frozenset(out)
        return frozenset((node.id,))


def _open_end(bound: float) -> float:
    """An end of a whole type as no end at all: 2**53 messages are as good as any number."""
    return math.copysign(math.inf, bound) if abs(bound) >= 2**53 else bound


class Facts:
    """What was taken as true so far. A contradiction leaves it unusable: work on a copy."""

    __slots__ = ("depth", "known", "lacking", "present", "relations", "values", "world")

    def __init__(self, world: World) -> None:
        self.world = world
        self.known: dict[int, int] = {}
        self.values: dict[int, Values] = {}
        self.relations: dict[tuple[int, int], int] = {}
        self.present: set[int] = set()
        self.lacking: set[int] = set()
        self.depth = 0

    def copy(self) -> Facts:
        """The same facts, to add others to."""
        made = Facts(self.world)
        made._become(self)
        return made

    def _become(self, other: Facts) -> None:
        self.known = dict(other.known)
        self.values = dict(other.values)
        self.relations = dict(other.relations)
        self.present = set(other.present)
        self.lacking = set(other.lacking)

    # ---------------------------------------------------------- conditions

    def allows(self, condition: int, outcomes: int) -> bool:
        """Whether a condition can come to one of these beside the facts."""
        return self.copy().assume(condition, outcomes)

    def assume(self, condition: int, outcomes: int) -> bool:
        """Take it that a condition comes to one of these; False when it cannot."""
        world = self.world
        world.effort.take()
        node = world.graph[condition]
        before = self.known.get(condition)
        left = (world.first_outcomes(node) if before is None else before) & outcomes
        if not left:
            return False
        if left == before:
            return True
        self.known[condition] = left
        if not left & MISSING and node.type.optional and not self._require_present(condition):
            return False
        if left == MISSING and not self._require_lacking(condition):
            return False
        act = _ACT.get(node.op)
        if act is None:
            return True
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Enough
        done = act(self, node, left)
        self.depth -= 1
        return done

    def join(self, node: Node, left: int) -> bool:
        """What `and` and `or` coming to something says of their parts."""
        neutral, decisive = (TRUE, FALSE) if node.op == "and" else (FALSE, TRUE)
        if left & decisive:
            return left & neutral != 0 or self._some(node, left)
        if not all(self.assume(a, left | neutral) for a in self.plain_first(node.args)):
            return False
        return left != MISSING or self._some(node, MISSING)

    def plain_first(self, conditions: tuple[int, ...]) -> list[int]:
        """Simple conditions before those that are joined of others, which can only be judged beside them."""
        graph = self.world.graph
        return sorted(conditions, key=lambda c: graph[c].op in ("and", "or"))

    def _some(self, node: Node, outcomes: int) -> bool:
        """At least one part comes to this; if only one can, it does."""
        only: Facts | None = None
        for part in node.args:
            trial = self.copy()
            trial.depth = self.depth
            if trial.assume(part, outcomes):
                if only is not None:
                    return True
                only = trial
        if only is None:
            return False
        self._become(only)
        return True

    def negation(self, node: Node, left: int) -> bool:
        """`not`."""
        return self.assume(node.args[0], _turned(left))

    def lack(self, node: Node, left: int) -> bool:
        """`is missing`."""
        return self._require_lacking(node.args[0]) if left == TRUE else self._require_present(node.args[0])

    # --------------------------------------------------------- comparisons

    def compare(self, node: Node, left: int) -> bool:
        """A comparison that holds, or does not."""
        holds = _holds(left)
        if holds is None:
            return True
        (a, b), op, graph = node.args, node.op, self.world.graph
        if graph.is_const(a):
            a, b, op = b, a, FLIPPED[op]
        if not graph.is_const(b):
            return self._relate(op, a, b, holds)
        value = graph.value(b)
        if value is None or isinstance(value, tuple):
            return True
        if isinstance(value, bool):
            equal = holds is (op == "eq")
            return self.assume(a, (TRUE if equal is value else FALSE) | (left & MISSING))
        return self._constrain(a, op, value, holds)

    def inside(self, node: Node, left: int) -> bool:
        """`contains`, `starts with`, `ends with` and `in`."""
        holds = _holds(left)
        if holds is None:
            return True
        graph = self.world.graph
        if node.op == "in_set":
            return self._constrain(node.args[0], "in_set", node.data, holds)
        if not graph.is_const(node.args[1]) or not isinstance(graph.value(node.args[1]), str):
            return True
        return self._constrain(node.args[0], node.op, graph.value(node.args[1]), holds)

    def reach(self, node: Node, left: int) -> bool:
        """A counter that reaches a number is at least that."""
        if left != TRUE:
            return True
        if not all(self._require_present(a) for a in node.args):
            return False
        identity, within, threshold = node.data
        counter = self.world.counter(identity, node.args, within)
        return counter is None or self._constrain(counter, "ge", threshold, True)

    def now(self, term: int) -> Values:
        """What a value can still be."""
        known = self.values.get(term)
        return self.world.values(term) if known is None else known

    def _constrain(self, term: int, op: str, value: object, holds: bool) -> bool:
        if term not in self.values and not self._learn(term):
            return self._require_lacking(term)
        left = self.now(term).add(op, value, holds)
        if left is None:
            return self._require_lacking(term)
        self.values[term] = left
        return self.world.graph[term].op != "counter" or self._tell_windows(term, left)

    def _learn(self, term: int) -> bool:
        """Begin to keep facts of a value; a counter has those of its shorter and longer windows."""
        left: Values | None = self.world.values(term)
        for other, longer in self._windows(term):
            known = self.values[other]
            assert left is not None
            left = left.add("le", known.high, True) if longer else left.add("ge", known.low, True)
            if left is None:
                return False
        assert left is not None
        self.values[term] = left
        return True

    def _tell_windows(self, term: int, left: Values) -> bool:
        """A longer window has counted at least as much, a shorter one at most."""
        for other, longer in self._windows(term):
            known = self.values[other]
            told = known.add("ge", left.low, True) if longer else known.add("le", left.high, True)
            if told is None:
                return self._require_lacking(other)
            self.values[other] = told
        return True

    def _windows(self, term: int) -> list[tuple[int, bool]]:
        """The counters that facts are kept of and that count the same over another time; True for a
        longer one."""
        graph = self.world.graph
        node = graph[term]
        if node.op != "counter" or node.data[2] != 0 or len(self.values) < 1:
            return []
        out: list[tuple[int, bool]] = []
        for other in self.values:
            of = graph[other]
            same = of.op == "counter" and (of.data[0], of.data[2], of.args) == (node.data[0], 0, node.args)
            if same and other != term:
                out.append((other, _span(of.data[1]) >= _span(node.data[1])))
        return out

    def _relate(self, op: str, a: int, b: int, holds: bool) -> bool:
        mask = _RELATION[op] if holds else 7 ^ _RELATION[op]
        if a > b:
            a, b = b, a
            mask = (mask & _EQUAL) | (_MORE if mask & _LESS else 0) | (_LESS if mask & _MORE else 0)
        known = self.relations.get((a, b))
        left = mask & (self._first_relation(a, b) if known is None else known)
        if left:
            self.relations[(a, b)] = left
            return True
        open_ends = [t for t in dict.fromkeys((a, b)) if self._can_lack(t)]
        if len(open_ends) == 1:
            return self._require_lacking(open_ends[0])
        return bool(open_ends)

    def _first_relation(self, a: int, b: int) -> int:
        if a == b:
            return _EQUAL
        if self.world.graph[a].type.kind not in ("number", "time", "duration"):
            return 7
        one, two = self.now(a), self.now(b)
        if one.high < two.low:
            return _LESS
        if one.low > two.high:
            return _MORE
        return 7 if one.high != two.low and one.low != two.high else self._touching(one, two)

    @staticmethod
    def _touching(one: Values, two: Values) -> int:
        left = 7
        if one.high == two.low and math.isfinite(one.high):
            left &= _LESS | _EQUAL
        if one.low == two.high and math.isfinite(one.low):
            left &= _MORE | _EQUAL
        return left

    # ------------------------------------------------------ there or missing

    def _can_lack(self, term: int) -> bool:
        return self.world.graph[term].type.optional and term not in self.present

    def _require_present(self, term: int) -> bool:
        """Take it that a value is there, and with it whatever it is made of."""
        graph = self.world.graph
        stack = [term]
        while stack:
            top = stack.pop()
            if top in self.lacking:
                return False
            node = graph[top]
            if top in self.present or (not node.type.optional and node.type.kind != "missing"):
                continue
            if node.op == "const" and node.data[0] is None:
                return False
            if node.type.kind == "bool":
                left = self.known.get(top, 7) & (TRUE | FALSE)
                if not left:
                    return False
                self.known[top] = left
            self.present.add(top)
            stack.extend(needs(node))
        return True

    def _require_lacking(self, term: int) -> bool:
        """Take it that a value is missing."""
        node = self.world.graph[term]
        if not node.type.optional or term in self.present:
            return False
        if node.op == "const":
            return node.data[0] is None
        if node.type.kind == "bool" and not self.known.get(term, 7) & MISSING:
            return False
        self.lacking.add(term)
        return True


def needs(node: Node) -> tuple[int, ...]:
    """The arguments without which a value is missing."""
    row = OPERATIONS[node.op]
    if not row.strict:
        return ()
    return node.args[:1] if row.binds else node.args


def _turned(outcomes: int) -> int:
    """What `not` makes of outcomes."""
    return (outcomes & MISSING) | (TRUE if outcomes & FALSE else 0) | (FALSE if outcomes & TRUE else 0)


def _joined(op: str, of: list[int]) -> int:
    """What `and` or `or` of conditions that have nothing to do with each other can come to."""
    neutral, decisive = (TRUE, FALSE) if op == "and" else (FALSE, TRUE)
    out = neutral if all(o & neutral for o in of) else 0
    if any(o & decisive for o in of):
        out |= decisive
    if any(o & MISSING for o in of) and all(o & (neutral | MISSING) for o in of):
        out |= MISSING
    return out


def _sides(op: str, values: Values, edge: float) -> tuple[bool, bool]:
    """Whether a comparison with a number can hold, and whether it can fail."""
    low, high = values.low, values.high
    below = low < edge or (low == edge == -math.inf)
    above = high > edge
    at = low <= edge <= high
    if op in ("eq", "ne"):
        fails = below or above
        return (at, fails) if op == "eq" else (fails, at)
    holds = {"lt": below, "le": below or at, "gt": above, "ge": above or at}[op]
    fails = {"lt": above or at, "le": above, "gt": below or at, "ge": below}[op]
    return holds, fails


def _holds(left: int) -> bool | None:
    """Whether a comparison that comes to one of these holds wherever it is not missing; None: who knows."""
    certain = left & (TRUE | FALSE)
    return None if certain in (0, TRUE | FALSE) else certain == TRUE


def _span(within: int | None) -> float:
    return math.inf if within is None else within


_ACT: dict[str, Callable[[Facts, Node, int], bool]] = {
    "and": Facts.join,
    "or": Facts.join,
    "not": Facts.negation,
    "is_missing": Facts.lack,
    "reaches": Facts.reach,
    "in_set": Facts.inside,
    **dict.fromkeys(COMPARISONS, Facts.compare),
    **dict.fromkeys(TEXT_OPS, Facts.inside),
}
