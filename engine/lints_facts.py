"""What can be true together: facts gathered while the parts of a condition are read.

`Facts.assume` takes a condition of the graph as true, false, missing or not one of these, and says
whether that can be beside everything taken so far. It is sound and not complete: "cannot be" is certain,
and much that cannot be passes. Kleene's logic throughout: a comparison that does not hold is false or
missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from quell.engine.graph import Node
from quell.engine.lints_values import FLIPPED, TEXT_OPS, Values
from quell.engine.lints_world import COMPARISONS, FALSE, MISSING, TRUE, Enough, World, needs

MAX_DEPTH = 100
"""How deeply conditions nest that are taken apart."""
_LESS, _EQUAL, _MORE = 1, 2, 4
_RELATION = {
    "eq": _EQUAL,
    "ne": _LESS | _MORE,
    "lt": _LESS,
    "le": _LESS | _EQUAL,
    "gt": _MORE,
    "ge": _MORE | _EQUAL,
}


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
        if not left & MISSING and world.may_lack(condition) and not self._require_present(condition):
            return False
        if left == MISSING and not self._require_lacking(condition):
            return False
        act = ACT.get(node.op)
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
        return self.assume(node.args[0], turned(left))

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
        identity, word, within, threshold = node.data
        counter = self.world.counter(identity, word, node.args, within)
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
        counts = node.op == "counter" and node.data[1] in ("count", "distinct") and node.data[3] == 0
        if not counts or not self.values:
            return []
        out: list[tuple[int, bool]] = []
        for other in self.values:
            of = graph[other]
            same = of.op == "counter" and of.args == node.args and _counts(of) == _counts(node)
            if same and other != term:
                out.append((other, _span(of.data[2]) >= _span(node.data[2])))
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
        return self.world.may_lack(term) and term not in self.present

    def _require_present(self, term: int) -> bool:
        """Take it that a value is there, and with it whatever it is made of."""
        graph = self.world.graph
        stack = [term]
        while stack:
            top = stack.pop()
            if top in self.lacking:
                return False
            node = graph[top]
            if top in self.present or (not self.world.may_lack(top) and node.type.kind != "missing"):
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
        if not self.world.may_lack(term) or term in self.present:
            return False
        if node.op == "const":
            return node.data[0] is None
        if node.type.kind == "bool" and not self.known.get(term, 7) & MISSING:
            return False
        self.lacking.add(term)
        return True


def turned(outcomes: int) -> int:
    """What `not` makes of outcomes."""
    return (outcomes & MISSING) | (TRUE if outcomes & FALSE else 0) | (FALSE if outcomes & TRUE else 0)


def _holds(left: int) -> bool | None:
    """Whether a comparison that comes to one of these holds wherever it is not missing; None: who knows."""
    certain = left & (TRUE | FALSE)
    return None if certain in (0, TRUE | FALSE) else certain == TRUE


def _counts(counter: Node) -> tuple[object, ...]:
    """What a reading counts, apart from the window."""
    return counter.data[0], counter.data[1], counter.data[3]


def _span(within: int | None) -> float:
    return math.inf if within is None else within


ACT: dict[str, Callable[[Facts, Node, int], bool]] = {
    "and": Facts.join,
    "or": Facts.join,
    "not": Facts.negation,
    "is_missing": Facts.lack,
    "reaches": Facts.reach,
    "in_set": Facts.inside,
    **dict.fromkeys(COMPARISONS, Facts.compare),
    **dict.fromkeys(TEXT_OPS, Facts.inside),
}
