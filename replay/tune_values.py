"""An open condition worked out for many events at once, setting by setting.

A `Batch` holds the values of the border nodes of some thousands of events. What depends on a constant is
worked out with NumPy where that gives what `quell.engine.operations` gives to the bit; every other operation
runs as the Python it is, once for each different combination of its values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quell.engine.compile import Analysis
from quell.engine.graph import Graph, Node
from quell.engine.interpret import Evaluator
from quell.engine.lower_lists import with_columns
from quell.engine.operations import EARLIEST, EXACT, LARGEST, LATEST, LONGEST
from quell.replay.tune_columns import from_column_value
from quell.replay.tune_lower import Part
from quell.signals.patterns import search

Array = NDArray[Any]


class Values(NamedTuple):
    """A node's value for each event (or one for all), and where it is present."""

    of: Array
    there: Array


_YES = np.asarray(True)
_NO = np.asarray(False)


Setting = Mapping[int, Any]
"""A value for the node of each constant: one for all events, or an array with one for each."""


class OneByOne(Exception):
    """A node that Python works out cannot be asked with a value for each event."""


class Batch:
    """The columns of `size` events. `columns` are the values of `part.needs`, in that order."""

    def __init__(self, analysis: Analysis, part: Part, columns: Sequence[pa.Array], size: int) -> None:
        self.analysis, self.part, self.size = analysis, part, size
        self._columns = dict(zip(part.needs, columns, strict=True))
        self._known: dict[int, Values] = {}
        self._kept: dict[tuple[int, tuple[float, ...]], Values] = {}
        self._groups: dict[int, _Groups] = {}

    def matches(self, setting: Setting) -> NDArray[np.bool_]:
        """Which events match. Raises OneByOne where a value for each event is too much to ask."""
        found = self._value(self.part.root, setting)
        return np.broadcast_to(found.of.astype(np.bool_) & found.there, (self.size,))

    # ----------------------------------------------------------------------------------- nodes

    def _value(self, n: int, setting: Setting) -> Values:
        on = self.part.depends.get(n)
        if on is None:
            return self._border(n)
        # With one constant every setting is worked out once; with two, what hangs on one of them is kept.
        given = [setting[p] for p in sorted(on)]
        if len(on) == len(setting) or not all(isinstance(v, float) for v in given):
            return self._work_out(n, setting)
        key = (n, tuple(given))
        if key not in self._kept:
            self._kept[key] = self._work_out(n, setting)
        return self._kept[key]

    def _work_out(self, n: int, setting: Setting) -> Values:
        node = self.part.graph[n]
        if n in setting:
            whole = node.type.kind == "duration"
            return Values(np.asarray(setting[n], np.int64 if whole else np.float64), _YES)
        operation = _OPERATIONS.get(node.op)
        if operation is None or not _plain(self.part.graph, node):
            return self._one_by_one(node, setting)
        arguments = [self._value(a, setting) for a in node.args]
        with np.errstate(all="ignore"):
            return operation(node, arguments)

    def _border(self, n: int) -> Values:
        if n not in self._known:
            node = self.part.graph[n]
            self._known[n] = _constant(node) if node.op == "const" else _from_arrow(self._columns[n])
        return self._known[n]

    # -------------------------------------------------------------------------- one by one

    def _one_by_one(self, node: Node, setting: Setting) -> Values:
        if not all(isinstance(setting[p], float) for p in self.part.depends[node.id]):
            raise OneByOne
        if node.id not in self._groups:
            self._groups[node.id] = self._grouped(node.id)
        groups = self._groups[node.id]
        graph = self.part.graph
        made = [_Alone(self.analysis, graph, held, setting).value(node.id) for held in groups.values]
        there = np.array([v is not None for v in made], np.bool_)
        kind = _KINDS.get(node.type.kind, np.object_)
        of = np.empty(len(made), kind)
        for i, value in enumerate(made):
            of[i] = (0 if kind is not np.object_ else None) if value is None else value
        return Values(of[groups.codes], there[groups.codes])

    def _grouped(self, root: int) -> _Groups:
        """The different combinations of what a node is worked out from, and which one each event has."""
        border = [n for n in self.part.needs if n in set(self.part.graph.reach([root]))]
        lists = [self._python(n) for n in border]
        known: dict[Any, int] = {}
        codes = np.empty(self.size, np.int64)
        values: list[dict[int, Any]] = []
        for i, row in enumerate(zip(*lists, strict=True) if lists else [()] * self.size):
            key = repr(row)
            code = known.setdefault(key, len(values))
            if code == len(values):
                values.append(dict(zip(border, row, strict=True)))
            codes[i] = code
        return _Groups(codes, values)

    def _python(self, n: int) -> list[Any]:
        node = self.part.graph[n]
        make = from_column_value(with_columns(self.analysis.lowerer, node.type), node.whole)
        return [None if v is None else make(v) for v in self._columns[n].to_pylist()]


class _Groups(NamedTuple):
    codes: Array
    values: list[dict[int, Any]]


class _Alone(Evaluator):
    """The interpreter for one combination of values: border nodes are known, and what is not in the state is
    asked of patterns and lists."""

    def __init__(self, analysis: Analysis, graph: Graph, known: Mapping[int, Any], setting: Setting) -> None:
        super().__init__(graph, self._static)
        self._analysis = analysis
        self._memo[0].update(known)
        for n, value in setting.items():
            if not isinstance(value, float):
                continue
            exact = graph[n].type.kind == "duration" or (value.is_integer() and abs(value) <= EXACT)
            self._memo[0][n] = int(value) if exact else value

    def _static(self, node: Node, values: Sequence[Any]) -> Any:
        if any(v is None for v in values):
            return None
        if node.op == "match":
            return bool(search(*node.data)(values[0]))
        listed = self._analysis.lists[node.data[0]]
        if node.op == "list_in":
            return listed.contains(values[0])
        if node.op == "list_match":
            return bool(listed.found(values[0]))
        return listed.found(values[0]) if node.op == "list_found" else listed.row(values[0])


# ------------------------------------------------------------------------------------- columns


def _from_arrow(column: pa.Array) -> Values:
    there = column.is_valid().to_numpy(zero_copy_only=False)
    type_ = column.type
    if pa.types.is_null(type_):
        return Values(np.zeros(len(column)), there)
    if pa.types.is_boolean(type_):
        return Values(column.fill_null(False).to_numpy(zero_copy_only=False), there)
    if pa.types.is_floating(type_) or pa.types.is_integer(type_):
        return Values(column.fill_null(0).to_numpy(zero_copy_only=False), there)
    return Values(column.to_numpy(zero_copy_only=False), there)


def _constant(node: Node) -> Values:
    value = node.data[0]
    if value is None:
        zero = np.int64 if node.type.kind in ("duration", "time") else np.float64
        return Values(np.asarray(0, np.bool_ if node.type.kind in ("bool", "missing") else zero), _NO)
    if isinstance(value, bool):
        return Values(np.asarray(value), _YES)
    if node.type.kind in ("duration", "time"):
        return Values(np.asarray(value, np.int64), _YES)
    return Values(np.asarray(float(value)) if isinstance(value, int | float) else np.asarray(value), _YES)


_KINDS: dict[str, Any] = {
    "number": np.float64,
    "duration": np.int64,
    "time": np.int64,
    "bool": np.bool_,
}
_NUMERIC = frozenset(("number", "duration", "time", "bool", "missing"))


def _plain(graph: Graph, node: Node) -> bool:
    """Whether NumPy holds a node and its arguments as the language does."""
    if node.binders or not all(graph[a].type.kind in _NUMERIC and not graph[a].binders for a in node.args):
        return False
    return node.op != "score" or all(isinstance(p, int) and abs(p) < 2**40 for p in node.data)


# ---------------------------------------------------------------------------------- operations


def _all_there(of: Sequence[Values]) -> Array:
    there = of[0].there
    for each in of[1:]:
        there = there & each.there
    return there


def _compared(run: Callable[[Array, Array], Array]) -> Callable[[Node, list[Values]], Values]:
    return lambda node, of: Values(run(of[0].of, of[1].of), _all_there(of))


def _within(low: float, high: float, run: Callable[[Array, Array], Array]) -> Callable[..., Values]:
    def work_out(node: Node, of: list[Values]) -> Values:
        made = run(of[0].of, of[1].of)
        return Values(made, _all_there(of) & (made >= low) & (made <= high))

    return work_out


def _divide(node: Node, of: list[Values]) -> Values:
    a, b = of[0].of.astype(np.float64), of[1].of.astype(np.float64)
    made = a / np.where(b == 0, 1.0, b)
    return Values(made, _all_there(of) & (b != 0) & (np.abs(made) <= LARGEST))


def _to_micros(product: Array, there: Array) -> Values:
    sound = there & (np.abs(product) <= LARGEST)
    rounded = np.rint(np.where(sound, product, 0.0))
    sound = sound & (np.abs(rounded) <= LONGEST)
    return Values(np.where(sound, rounded, 0.0).astype(np.int64), sound)


def _scale(node: Node, of: list[Values]) -> Values:
    return _to_micros(of[0].of.astype(np.float64) * of[1].of.astype(np.float64), _all_there(of))


def _shrink(node: Node, of: list[Values]) -> Values:
    a, b = of[0].of.astype(np.float64), of[1].of.astype(np.float64)
    return _to_micros(a / np.where(b == 0, 1.0, b), _all_there(of) & (b != 0))


def _and(node: Node, of: list[Values]) -> Values:
    false, there = np.asarray(False), np.asarray(True)
    for each in of:
        false = false | (each.there & ~each.of.astype(np.bool_))
        there = there & each.there
    return Values(~false, false | there)


def _or(node: Node, of: list[Values]) -> Values:
    true, there = np.asarray(False), np.asarray(True)
    for each in of:
        true = true | (each.there & each.of.astype(np.bool_))
        there = there & each.there
    return Values(true, true | there)


def _coalesce(node: Node, of: list[Values]) -> Values:
    a, b = of
    return Values(np.where(a.there, a.of, b.of), a.there | b.there)


def _score(node: Node, of: list[Values]) -> Values:
    total = np.asarray(0.0)
    for points, held in zip(node.data, of, strict=True):
        total = total + np.where(held.there & held.of.astype(np.bool_), float(points), 0.0)
    return Values(total, _YES)


_OPERATIONS: dict[str, Callable[[Node, list[Values]], Values]] = {
    "lt": _compared(np.less),
    "le": _compared(np.less_equal),
    "gt": _compared(np.greater),
    "ge": _compared(np.greater_equal),
    "eq": _compared(np.equal),
    "ne": _compared(np.not_equal),
    "and": _and,
    "or": _or,
    "not": lambda node, of: Values(~of[0].of.astype(np.bool_), of[0].there),
    "is_missing": lambda node, of: Values(~of[0].there, _YES),
    "coalesce": _coalesce,
    "add": _within(-LARGEST, LARGEST, np.add),
    "subtract": _within(-LARGEST, LARGEST, np.subtract),
    "multiply": _within(-LARGEST, LARGEST, np.multiply),
    "divide": _divide,
    "negate": lambda node, of: Values(-of[0].of, of[0].there),
    "time_add": _within(EARLIEST, LATEST, np.add),
    "time_subtract": _within(EARLIEST, LATEST, np.subtract),
    "time_between": lambda node, of: Values(of[0].of - of[1].of, _all_there(of)),
    "duration_add": _within(-LONGEST, LONGEST, np.add),
    "duration_subtract": _within(-LONGEST, LONGEST, np.subtract),
    "duration_scale": _scale,
    "duration_shrink": _shrink,
    "score": _score,
}
