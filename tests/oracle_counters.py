"""What each counter gives, by brute force over all that was counted in its window, with exact fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.types import Type
from quell.signals.functions import REGISTRY
from tests.oracle_values import LONGEST, Span, Time, key_of

EVENTS = ("first", "last")
PAST = ("first", "last", "since_last")
"""Words that never see the present event."""


class Counted(NamedTuple):
    """One event's share in a counter under one key: `at` is the time it counts as of."""

    seq: int
    key: tuple[Any, ...]
    at: int
    values: tuple[Any, ...]


def given(
    node: tree.Counter, window: Sequence[Counted], at: int, within: int | None, per: int, spans: bool
) -> Any:
    """What a counter gives that found these in its window, which ends at `at`; `spans` says that durations
    are counted."""
    values = [v for c in window for v in c.values]
    match node.function.name:
        case "count":
            return float(len(window))
        case "rate":
            assert within is not None
            return float(Fraction(len(window) * per, within))
        case "since_last":
            return Span(at - window[-1].at) if window else None
        case "first" | "last" as word:
            chosen = window[0 if word == "first" else -1] if window else None
            return None if chosen is None else chosen.values[0] if node.value is not None else Time(chosen.at)
        case "distinct":
            return float(len({key_of(v) for v in values}))
        case "values":
            return newest(values)
        case "sum":
            return added(values, spans)
        case "mean":
            return middle(values, spans)
        case "min" | "max" as word:
            return (min if word == "min" else max)(values) if values else None
        case "stddev":
            return spread(values)
    raise AssertionError(node.function.name)


def newest(values: list[Any]) -> list[Any]:
    """The different values, the one counted last first, at most a hundred."""
    out: dict[Any, Any] = {}
    for value in reversed(values):
        out.setdefault(key_of(value), value)
    return list(out.values())[:100]


def rounded(exact: Fraction) -> float | None:
    """The double nearest to a number; missing beyond the largest."""
    try:
        return float(exact)
    except OverflowError:
        return None


def added(values: list[Any], spans: bool) -> Any:
    """The exact sum, rounded once; of durations in whole microseconds."""
    total = sum((Fraction(v) for v in values), Fraction())
    if not spans:
        return rounded(total)
    return Span(int(total)) if abs(total) <= LONGEST else None


def middle(values: list[Any], spans: bool) -> Any:
    """The exact mean, rounded once; of durations to the nearest microsecond, halves to even."""
    if not values:
        return None
    exact = sum((Fraction(v) for v in values), Fraction()) / len(values)
    return Span(round(exact)) if spans else rounded(exact)


def spread(values: list[Any]) -> float | None:
    """The sample standard deviation: the root of the exact variance rounded once."""
    if len(values) < 2:
        return None
    exact = [Fraction(v) for v in values]
    mean = sum(exact, Fraction()) / len(exact)
    variance = rounded(sum(((v - mean) ** 2 for v in exact), Fraction()) / (len(exact) - 1))
    return None if variance is None else math.sqrt(variance)


def start_of(window: int | None, resolution: int | None, end: int) -> int | None:
    """The time after which what is counted lies in a window that ends at `end`; None for ever."""
    if window is None:
        return None
    low = end - window
    return low if resolution is None else low // resolution * resolution


# -------------------------------------------------------- durations or numbers


def counts_spans(node: tree.Counter, symbols: Symbols) -> bool:
    """Whether a counter's values are durations: of an empty sum that cannot be seen from the values."""
    assert node.value is not None
    return kind_of(node.value, _counted(node, symbols), {}, symbols) == "duration"


def kind_of(node: tree.Expr, event: str, names: dict[str, str], symbols: Symbols) -> str:
    """`duration`, `time`, `number` or another kind; of a list, that of its elements. For values of counters:
    what stands there as a condition or a text is of no interest."""

    def kind(inner: tree.Expr) -> str:
        return kind_of(inner, event, names, symbols)

    match node:
        case tree.Duration():
            return "duration"
        case tree.Number():
            return "number"
        case tree.Group():
            return kind(node.inner)
        case tree.Unary():
            return kind(node.operand)
        case tree.Filter():
            return kind(node.source)
        case tree.ListLiteral():
            return next((k for i in node.items if (k := kind(i)) != "missing"), "missing")
        case tree.Binary():
            return _of_binary(node.op, kind(node.left), kind(node.right))
        case tree.Name():
            return _of_name(node.name, event, names, symbols)
        case tree.Counter():
            return _of_counter(node, symbols)
        case tree.Call():
            return _of_call(node, event, names, symbols)
        case tree.Attribute():
            return _of_attribute(node, symbols)
        case tree.Missing():
            return "missing"
    return "other"


def _of_attribute(node: tree.Attribute, symbols: Symbols) -> str:
    """That of a field or let of a counted event, or of a field of a record or column of a table, which no
    two have in different kinds."""
    name, target = node.name.name, node.target
    while not isinstance(target, tree.Counter):
        if isinstance(target, tree.Group):
            target = target.inner
        elif isinstance(target, tree.Name) and target.name in symbols.lets:
            target = symbols.lets[target.name].body
        else:
            break
    if isinstance(target, tree.Counter) and target.function.name in EVENTS:
        return "time" if name == "at" else kind_of(tree.Name(name), _counted(target, symbols), {}, symbols)
    fields = [f for fields in symbols.shape_fields.values() for f in fields if f.name == name]
    columns = [c for listed in symbols.lists.values() for c in listed.columns if c.name.name == name]
    return _plain(fields[0].type) if fields else columns[0].type.name if columns else "other"


def _counted(node: tree.Counter, symbols: Symbols) -> str:
    """One of the events that a counter counts."""
    source = node.events[0]
    named = source.name if isinstance(source, tree.Name) else ""
    if isinstance(source, tree.Fired):
        named = symbols.rules[source.rule.name].events[0].name
    return symbols.members[named][0]


def _of_binary(op: str, left: str, right: str) -> str:
    if op == "??":
        return right if left == "missing" else left
    if op in ("+", "-"):
        if "time" in (left, right):
            return "duration" if left == right else "time"
        return left
    if op == "*" and "duration" in (left, right):
        return "duration"
    return "duration" if op == "/" and left == "duration" != right else "number"


def _plain(type_: Type) -> str:
    return type_.element.kind if type_.element is not None else type_.kind


def _of_name(name: str, event: str, names: dict[str, str], symbols: Symbols) -> str:
    if name in names:
        return names[name]
    field = symbols.schemas[event].field(name)
    if field is not None:
        return _plain(field.type)
    return kind_of(symbols.lets[name].body, event, {}, symbols) if name in symbols.lets else "number"


def _of_counter(node: tree.Counter, symbols: Symbols) -> str:
    word = node.function.name
    if word == "since_last":
        return "duration"
    if word in ("sum", "mean", "min", "max") and counts_spans(node, symbols):
        return "duration"
    return "number"


def _of_call(node: tree.Call, event: str, names: dict[str, str], symbols: Symbols) -> str:
    name = node.function.name
    let = symbols.lets.get(name)
    args = [kind_of(a, event, names, symbols) for a in node.args]
    if let is not None:
        inner = {p.name.name: k for p, k in zip(let.parameters or (), args, strict=True)}
        return kind_of(let.body, event, inner, symbols)
    row = REGISTRY.get(name)
    if row is None:
        return "other"
    kind = _plain(row.result)
    return args[0] if kind == "var" else kind
