"""Arithmetic in SQL: IEEE doubles, times and durations in microseconds, what is not finite missing."""

from __future__ import annotations

from collections.abc import Sequence

from quell.engine.graph import Node
from quell.engine.operations import EARLIEST, EXACT, LARGEST, LATEST, LONGEST
from quell.replay.sql_form import Around, Form, No, plain
from quell.replay.sql_values import plain_literal

NUMBERS: dict[str, Form] = {}
"""The forms of arithmetic."""


def _finite(text: str) -> str:
    return f"CASE WHEN isfinite({text}) THEN {text} END"


def _between(text: str, low: int, high: int) -> str:
    return f"CASE WHEN {text} BETWEEN {low} AND {high} THEN {text} END"


_SIGNS = {
    "add": "+", "subtract": "-", "multiply": "*", "time_add": "+", "time_subtract": "-", "time_between": "-",
    "duration_add": "+", "duration_subtract": "-",
}  # fmt: skip


def _arithmetic(w: Around, node: Node, a: Sequence[str]) -> str:
    text = f"({a[0]} {_SIGNS[node.op]} {a[1]})"
    low, high = node.bounds
    kind = node.type.kind
    if node.op == "time_between":
        return text
    if kind == "number":
        return text if low > -LARGEST and high < LARGEST else _finite(text)
    least, most = (EARLIEST, LATEST) if kind == "time" else (-LONGEST, LONGEST)
    return text if least < low and high < most else _between(text, least, most)


for _name in _SIGNS:
    NUMBERS[_name] = _arithmetic


def _double(w: Around, number: int, text: str) -> str:
    """A number, or a duration as one."""
    return text if w.graph[number].type.kind == "number" else f"({text})::DOUBLE"


def _divisor(w: Around, node: Node) -> float | None:
    value = w.graph.value(node.args[1]) if w.graph.is_const(node.args[1]) else None
    return None if value is None else float(value)


def _divide(w: Around, node: Node, a: Sequence[str]) -> str:
    x, y = (_double(w, n, t) for n, t in zip(node.args, a, strict=True))
    divisor = _divisor(w, node)
    if divisor is not None and abs(divisor) >= 1:
        return f"({x} / {y})"
    return f"CASE WHEN {y} <> 0e0 AND isfinite({x} / {y}) THEN {x} / {y} END"


def _modulo(w: Around, node: Node, a: Sequence[str]) -> str:
    # DuckDB's remainder has the sign of what is divided, Python's that of the divisor.
    x, y = a
    rest = f"({x} % {y})"
    divisor = _divisor(w, node)
    if divisor is not None and divisor > 0:
        return f"CASE WHEN {rest} < 0e0 THEN {rest} + {y} ELSE {rest} END"
    return (
        f"CASE WHEN {y} <> 0e0 THEN CASE WHEN {rest} <> 0e0 AND ({rest} < 0e0) <> ({y} < 0e0)"
        f" THEN {rest} + {y} ELSE {rest} END END"
    )


def _floor_divide(w: Around, node: Node, a: Sequence[str]) -> str | No:
    """As C Python works it out: the remainder first, then what is left is divided, and is nearly whole."""
    x, y = (_double(w, n, t) for n, t in zip(node.args, a, strict=True))
    rest = f"({x} % {y})"
    whole = (
        f"(({x} - {rest}) / {y} - CASE WHEN {rest} <> 0e0 AND ({rest} < 0e0) <> ({y} < 0e0)"
        " THEN 1e0 ELSE 0e0 END)"
    )
    near = f"(floor({whole}) + CASE WHEN {whole} - floor({whole}) > 0.5e0 THEN 1e0 ELSE 0e0 END)"
    return f"CASE WHEN {y} <> 0e0 AND isfinite({whole}) THEN {near} END"


def _scale(sign: str) -> Form:
    def form(w: Around, node: Node, a: Sequence[str]) -> str:
        # The cast rounds halves to even; what is too long is left out before.
        product = f"(({a[0]})::DOUBLE {sign} {a[1]})"
        guard = f"{a[1]} <> 0e0 AND " if sign == "/" else ""
        return f"CASE WHEN {guard}abs({product}) <= 4e18 THEN {product}::BIGINT END"

    return form


def _rate(w: Around, node: Node, a: Sequence[str]) -> str | No:
    per, within = node.data
    if within % per == 0:
        return f"({a[0]} / {plain_literal(within // per, 'number')})"
    high = w.graph[node.args[0]].bounds[1]
    if high * per <= EXACT and within <= EXACT:
        return f"({a[0]} * {plain_literal(per, 'number')} / {plain_literal(within, 'number')})"
    return No("a rate per a time that does not part its window is rounded once, which Python does")


NUMBERS |= {
    "divide": _divide,
    "modulo": _modulo,
    "floor_divide": _floor_divide,
    "negate": plain("(-{0})"),
    "duration_scale": _scale("*"),
    "duration_shrink": _scale("/"),
    "rate": _rate,
}
