"""The operations of the evaluation graph: one row each, with what it means.

`run` is the meaning, on values; the interpreter behind `explain` and the tests calls it, constants are
folded by it, and back ends must agree with it. A `strict` operation is missing when an argument is; the
others see missing arguments themselves. Operations on state have no `run`: the interpreter asks the
state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quell.signals.characters import TEXT_CAP
from quell.signals.functions import REGISTRY
from quell.signals.show import show

Bounds = tuple[float, float]

LARGEST = 1.7976931348623157e308
"""The largest finite double: what lies beyond is missing."""
EXACT = 2**53
"""Up to here every whole number is a double; beyond, a number at run time is never an int."""
EARLIEST = -62_135_596_800_000_000
LATEST = 253_402_300_799_999_999
"""Times run from the start of year 1 to the end of year 9999, in microseconds."""
LONGEST = 4_000_000_000_000_000_000
"""Durations stay inside 64 bits of microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One kind of node. `cost` is microseconds on a small machine; `likely` how often a condition holds."""

    name: str
    arity: tuple[int, int | None]
    run: Callable[..., Any] | None = None
    strict: bool = True
    pure: bool = True
    binds: bool = False
    condition: bool = False
    cost: float = 0.03
    likely: float = 0.5
    bounds: Callable[[Sequence[Bounds]], Bounds] | None = None
    whole: Callable[[Sequence[bool]], bool] | None = None
    leaf_bounds: bool = False


OPERATIONS: dict[str, Operation] = {}


def _row(name: str, arity: int | tuple[int, int | None], **more: Any) -> None:
    span = (arity, arity) if isinstance(arity, int) else arity
    OPERATIONS[name] = Operation(name=name, arity=span, **more)


def evaluate_pure(row: Operation, data: tuple[Any, ...], values: Sequence[Any]) -> Any:
    """What a pure operation without an element variable gives for these arguments."""
    assert row.run is not None
    if row.strict and any(v is None for v in values):
        return None
    return row.run(data, *values)


# -------------------------------------------------------------- arithmetic


def finite(value: Any) -> Any:
    """What Python gives for a sum, difference or product, as a double: a whole number past 2**53 is
    rounded to the nearest, and what is not finite is missing.

    Whole numbers up to 2**53 are doubles exactly, so rounding what Python works out of them without
    rounding is what IEEE 754 asks for.
    """
    if type(value) is int and not -EXACT <= value <= EXACT:
        return float(value)
    return value if -LARGEST <= value <= LARGEST else None


def add(data: tuple[Any, ...], a: Any, b: Any) -> Any:
    """IEEE sum."""
    return finite(a + b)


def subtract(data: tuple[Any, ...], a: Any, b: Any) -> Any:
    """IEEE difference."""
    return finite(a - b)


def multiply(data: tuple[Any, ...], a: Any, b: Any) -> Any:
    """IEEE product."""
    return finite(a * b)


def total(points: Sequence[Any]) -> Any:
    """The exact sum, rounded once, so that no order can change it. Raises OverflowError past the largest."""
    return finite(sum(points)) if all(type(p) is int for p in points) else math.fsum(points)


def divide(data: tuple[Any, ...], a: Any, b: Any) -> Any:
    """IEEE quotient; by zero is missing."""
    return finite(float(a) / float(b)) if b else None


def floor_divide(data: tuple[Any, ...], a: Any, b: Any) -> Any:
    """The quotient rounded down; by zero is missing."""
    return finite(float(a) // float(b)) if b else None


def modulo(data: tuple[Any, ...], a: Any, b: Any) -> Any:
    """What is left after `floor_divide`, with the divisor's sign; by zero is missing."""
    return finite(float(a) % float(b)) if b else None


def in_time(value: int) -> int | None:
    """A time, or missing outside the years 1 to 9999."""
    return value if EARLIEST <= value <= LATEST else None


def in_duration(value: int) -> int | None:
    """A duration, or missing when too long."""
    return value if -LONGEST <= value <= LONGEST else None


def scale(data: tuple[Any, ...], duration: int, factor: Any) -> int | None:
    """A duration times a number, to the nearest microsecond, halves to even."""
    product = finite(float(duration) * float(factor))
    return None if product is None else in_duration(round(product))


def shrink(data: tuple[Any, ...], duration: int, divisor: Any) -> int | None:
    """A duration divided by a number, to the nearest microsecond, halves to even."""
    if not divisor:
        return None
    quotient = finite(float(duration) / float(divisor))
    return None if quotient is None else in_duration(round(quotient))


def rate(data: tuple[Any, ...], count: int) -> float:
    """So many events in a window as how many they are per some shorter time, rounded once; `data` are that
    time and the window in microseconds."""
    per, within = data
    exact: float = count * per / within
    return exact  # of whole numbers Python rounds the exact quotient, however large


def _span(*corners: float) -> Bounds:
    known = [0.0 if math.isnan(c) else c for c in corners]
    low, high = min(known), max(known)
    return (-math.inf if low <= -LARGEST else low, math.inf if high >= LARGEST else high)


def _wide(x: float) -> float:
    return float(x) if abs(x) < LARGEST else math.copysign(math.inf, x)


def _add_bounds(of: Sequence[Bounds]) -> Bounds:
    (a, b), (c, d) = of
    return _span(_wide(a) + _wide(c), _wide(b) + _wide(d))


def _subtract_bounds(of: Sequence[Bounds]) -> Bounds:
    (a, b), (c, d) = of
    return _span(_wide(a) - _wide(d), _wide(b) - _wide(c))


def _multiply_bounds(of: Sequence[Bounds]) -> Bounds:
    (a, b), (c, d) = of
    pairs = ((a, c), (a, d), (b, c), (b, d))
    return _span(*(0.0 if 0 in p else _wide(p[0]) * _wide(p[1]) for p in pairs))


def _negate_bounds(of: Sequence[Bounds]) -> Bounds:
    (a, b) = of[0]
    return (-b, -a)


def _either_bounds(of: Sequence[Bounds]) -> Bounds:
    return (min(a for a, _ in of), max(b for _, b in of))


def _all_whole(of: Sequence[bool]) -> bool:
    return all(of)


def _always(of: Sequence[bool]) -> bool:
    return True


_row("add", 2, run=add, bounds=_add_bounds, whole=_all_whole)
_row("subtract", 2, run=subtract, bounds=_subtract_bounds, whole=_all_whole)
_row("multiply", 2, run=multiply, bounds=_multiply_bounds, whole=_all_whole)
_row("divide", 2, run=divide, cost=0.06)
_row("floor_divide", 2, run=floor_divide, cost=0.08)
_row("modulo", 2, run=modulo, cost=0.08)
_row("negate", 1, run=lambda data, a: -a, bounds=_negate_bounds, whole=_all_whole)
_row("time_add", 2, run=lambda data, a, b: in_time(a + b), bounds=_add_bounds, whole=_always)
_row("time_subtract", 2, run=lambda data, a, b: in_time(a - b), bounds=_subtract_bounds, whole=_always)
_row("time_between", 2, run=lambda data, a, b: a - b, bounds=_subtract_bounds, whole=_always)
_row("duration_add", 2, run=lambda data, a, b: in_duration(a + b), bounds=_add_bounds, whole=_always)
_row(
    "duration_subtract", 2, run=lambda data, a, b: in_duration(a - b), bounds=_subtract_bounds, whole=_always
)
_row("duration_scale", 2, run=scale, cost=0.15, whole=_always)
_row("duration_shrink", 2, run=shrink, cost=0.15, whole=_always)
_row("rate", 1, run=rate, cost=0.06, leaf_bounds=True)

# -------------------------------------------------------------- conditions


def kleene_and(data: tuple[Any, ...], *values: Any) -> bool | None:
    """False if any is, else missing if any is, else true."""
    if any(v is False for v in values):
        return False
    return None if any(v is None for v in values) else True


def kleene_or(data: tuple[Any, ...], *values: Any) -> bool | None:
    """True if any is, else missing if any is, else false."""
    if any(v is True for v in values):
        return True
    return None if any(v is None for v in values) else False


_COMPARISONS: dict[str, tuple[Callable[..., bool], float]] = {
    "eq": (lambda data, a, b: a == b, 0.1),
    "ne": (lambda data, a, b: a != b, 0.9),
    "lt": (lambda data, a, b: a < b, 0.4),
    "le": (lambda data, a, b: a <= b, 0.4),
    "gt": (lambda data, a, b: a > b, 0.4),
    "ge": (lambda data, a, b: a >= b, 0.4),
}
for _name, (_run, _likely) in _COMPARISONS.items():
    _row(_name, 2, run=_run, condition=True, likely=_likely)

_row("and", (2, None), run=kleene_and, strict=False, condition=True, cost=0.01)
_row("or", (2, None), run=kleene_or, strict=False, condition=True, cost=0.01)
_row("not", 1, run=lambda data, a: not a, condition=True, cost=0.01)
_row("is_missing", 1, run=lambda data, a: a is None, strict=False, condition=True, likely=0.1, cost=0.02)
_row(
    "coalesce",
    2,
    run=lambda data, a, b: b if a is None else a,
    strict=False,
    bounds=_either_bounds,
    whole=_all_whole,
)

# -------------------------------------------------------------------- text

_row("contains", 2, run=lambda data, a, b: b in a, condition=True, likely=0.05, cost=0.05)
_row("starts_with", 2, run=lambda data, a, b: a.startswith(b), condition=True, likely=0.05, cost=0.06)
_row("ends_with", 2, run=lambda data, a, b: a.endswith(b), condition=True, likely=0.05, cost=0.06)


def join(data: tuple[Any, ...], *values: Any) -> str:
    """Text made of parts: `data` holds the plain ones and, as a Type, the place of each value.

    Cut at TEXT_CAP characters, so that texts made of one another cannot grow without bound.
    """
    rest = iter(values)
    return "".join(p if isinstance(p, str) else show(next(rest), p) for p in data)[:TEXT_CAP]


def tell(data: tuple[Any, ...], *values: Any) -> str:
    """`join` for a message, in which a missing value prints as a question mark."""
    return join(data, *values)


_row("join", (1, None), run=join, cost=0.4)
_row("tell", (1, None), run=tell, strict=False, cost=0.4)
_row("fold", 1, run=lambda data, a: a.casefold(), cost=0.08)
_row("match", 1, condition=True, likely=0.05, cost=2.5, pure=False)
_row("list_match", 1, condition=True, likely=0.05, cost=2.0, pure=False)
_row("list_found", 1, cost=2.5, pure=False)
_row("list_in", 1, condition=True, likely=0.05, cost=0.15, pure=False)
_row("list_row", 1, cost=0.3, pure=False)

# ------------------------------------------------------------------- lists

_row(
    "list", (0, None), run=lambda data, *values: [v for v in values if v is not None], strict=False, cost=0.05
)
_row("has", 2, run=lambda data, a, b: b in a, condition=True, likely=0.1, cost=0.08)
_row("in_set", 1, run=lambda data, a: a in data, condition=True, likely=0.1, cost=0.04)
_row("get", 1, run=lambda data, a: a.get(data[0]), cost=0.04)
_row("as_entity", 1, run=lambda data, a: a, cost=0.0)
_row("element", 0, pure=False, cost=0.01)
_row("map", 2, binds=True, cost=0.3)
_row("filter", 2, binds=True, cost=0.3)
_row("any", 2, binds=True, condition=True, cost=0.3, likely=0.1)
_row("all", 2, binds=True, condition=True, cost=0.3, likely=0.5)

# --------------------------------------------------- leaves, state, scores

_row("const", 0, cost=0.0)
_row("field", 0, pure=False, cost=0.03, leaf_bounds=True)
_row("clock", 0, pure=False, cost=0.0, leaf_bounds=True)
_row("injected", (0, 1), pure=False, cost=0.05, leaf_bounds=True)
_row("remote", (2, None), pure=False, strict=False, cost=1000.0)
_row("fired", 0, pure=False, condition=True, likely=0.02, cost=0.01)
_row("labelled", 2, pure=False, condition=True, likely=0.05, cost=0.1)
_row("label_age", 2, pure=False, cost=0.15, whole=_always)
_row("model", (1, None), strict=False, pure=False, cost=8.0, leaf_bounds=True)
_row("counter", (1, None), pure=False, cost=0.35, leaf_bounds=True)
_row("reaches", (1, None), pure=False, condition=True, likely=0.02, cost=0.5)
_row(
    "score",
    (1, None),
    strict=False,
    cost=0.05,
    leaf_bounds=True,
    run=lambda data, *held: total([p for p, h in zip(data, held, strict=True) if h is True]),
)
_row(
    "reasons",
    (2, None),
    strict=False,
    cost=0.3,
    run=lambda data, *values: [
        t for h, t in zip(values[::2], values[1::2], strict=True) if h is True and t is not None
    ],
)


def call(data: tuple[Any, ...], *values: Any) -> Any:
    """A function of the registry; `data` is its name and its literal arguments."""
    return bind(data)(*values)


_BOUND: dict[str, Callable[..., Any]] = {}


def bind(data: tuple[Any, ...]) -> Callable[..., Any]:
    """The callable behind a `call` node, prepared once per set of literal arguments."""
    key = repr(data)
    found = _BOUND.get(key)
    if found is None:
        row = REGISTRY.get(data[0])
        assert row is not None
        if row.prepare is not None:
            found = row.prepare(*data[1:])
        else:
            assert row.call is not None
            found = row.call
        if len(_BOUND) > 10_000:
            _BOUND.clear()
        _BOUND[key] = found
    return found


_row("call", (1, None), run=call, cost=0.3, leaf_bounds=True)
