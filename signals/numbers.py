"""Functions of numbers, several of which take durations and times as well."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from quell.grammar.types import NUMBER, TEXT, variable
from quell.signals.exact import ln
from quell.signals.registry import Example, Function, Parameter

LARGEST = 1.7976931348623157e308
"""The largest finite double."""
_WHOLE = 2.0**52
"""From here on every double is whole."""
_MAX_DIGITS = 15
_LONGEST = 400

_AMOUNT = variable("N", "number", "duration")
_ORDERED = variable("N", "number", "duration", "time")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def half_away(x: float) -> float:
    """The nearest whole number, halves away from zero. `x - int(x)` is exact, so nothing is rounded twice."""
    if isinstance(x, int) or abs(x) >= _WHOLE:
        return x
    whole = int(x)
    rest = x - whole
    if rest >= 0.5:
        return whole + 1
    return whole - 1 if rest <= -0.5 else whole


def rounder(digits: float) -> Callable[[float], float]:
    """The rounding of `round` for a number of decimals. Raises ValueError unless it is 0 to 15."""
    if digits != int(digits) or not 0 <= digits <= _MAX_DIGITS:
        raise ValueError(f"`digits` of `round` is a whole number from 0 to {_MAX_DIGITS}")
    if digits == 0:
        return half_away
    scale = 10.0 ** int(digits)

    def rounded(x: float) -> float:
        if isinstance(x, int):
            return x
        scaled = x * scale
        if not abs(scaled) < _WHOLE:
            return x
        return half_away(scaled) / scale

    return rounded


def _rounded_sql(digits: float) -> str:
    if digits == 0:
        return "round({0})"
    scaled = f"({{0}} * 1e{int(digits)})"
    return (
        f"CASE WHEN abs({scaled}) < 4503599627370496e0 THEN round({scaled}) / 1e{int(digits)} ELSE {{0}} END"
    )


def floor(x: float) -> float:
    """The largest whole number that is not above `x`."""
    return x if isinstance(x, int) or abs(x) >= _WHOLE else math.floor(x)


def ceil(x: float) -> float:
    """The smallest whole number that is not below `x`."""
    return x if isinstance(x, int) or abs(x) >= _WHOLE else math.ceil(x)


def log(x: float) -> float | None:
    """The natural logarithm, or None for zero and below."""
    return ln(float(x)) if x > 0 else None


def sqrt(x: float) -> float | None:
    """The square root, or None below zero."""
    return math.sqrt(x) if x >= 0 else None


def clamp(x: float, low: float, high: float) -> float:
    """`x`, or the end of low..high that it lies beyond; `high` where the two ends cross."""
    return min(max(x, low), high)


def number(text: str) -> float | None:
    """The number that a text spells in decimal digits, or None."""
    bare = text.strip(" \t\n\r")
    if len(bare) > _LONGEST or not _NUMBER.fullmatch(bare):
        return None
    value = float(bare)
    if not abs(value) <= LARGEST:
        return None
    return int(value) if value.is_integer() and abs(value) <= 2**53 else value


_X = Parameter("x", NUMBER)

ROWS: tuple[Function, ...] = (
    Function(
        name="abs",
        group="numbers",
        doc="The number or duration without its sign.",
        parameters=(Parameter("x", _AMOUNT),),
        result=_AMOUNT,
        call=abs,
        inline="abs({0})",
        sql="abs({0})",
        cost=0.05,
        bounds=(0, LARGEST),
        signature="abs(x: number or duration) -> the same kind",
        examples=(Example("abs(-3)", "3"), Example("abs(1h - 2h)", "1h")),
    ),
    Function(
        name="min",
        group="numbers",
        doc="The least of two or more numbers, durations or times; missing when one of them is. (Over events"
        " it is a counter: `min(amount of payment by card within 1h)`.)",
        parameters=(Parameter("x", _ORDERED), Parameter("y", _ORDERED)),
        result=_ORDERED,
        call=min,
        sql="least({all})",
        variadic=True,
        cost=0.13,
        signature="min(x: number, duration or time, y, …) -> the same kind",
        examples=(Example("min(3, 1, 2)", "1"), Example("min(90s, 1h)", "90s")),
    ),
    Function(
        name="max",
        group="numbers",
        doc="The greatest of two or more numbers, durations or times; missing when one of them is. (Over"
        " events it is a counter: `max(amount of payment by card within 1h)`.)",
        parameters=(Parameter("x", _ORDERED), Parameter("y", _ORDERED)),
        result=_ORDERED,
        call=max,
        sql="greatest({all})",
        variadic=True,
        cost=0.13,
        signature="max(x: number, duration or time, y, …) -> the same kind",
        examples=(Example("max(3, 1, 2)", "3"), Example("max(90s, 1h)", "1h")),
    ),
    Function(
        name="clamp",
        group="numbers",
        doc="The value itself, or the end of the range `low` to `high` that it lies beyond. Where `low` is"
        " above `high`, it is `high`.",
        parameters=(Parameter("x", _ORDERED), Parameter("low", _ORDERED), Parameter("high", _ORDERED)),
        result=_ORDERED,
        call=clamp,
        sql="least(greatest({0}, {1}), {2})",
        cost=0.3,
        signature="clamp(x: number, duration or time, low, high) -> the same kind",
        examples=(Example("clamp(120, 0, 100)", "100"), Example("clamp(5m, 10m, 1h)", "10m")),
    ),
    Function(
        name="round",
        group="numbers",
        doc="The nearest whole number, or the nearest number of `digits` decimals (0 to 15, written out)."
        " Halves go away from zero: 2.5 is 3 and -2.5 is -3. With decimals the number is multiplied by a"
        " power of ten, rounded and divided again, in doubles; numbers too large to have such decimals stay"
        " as they are.",
        parameters=(_X, Parameter("digits", NUMBER, literal=True, default=0)),
        result=NUMBER,
        prepare=rounder,
        sql=_rounded_sql,
        cost=0.3,
        signature="round(x: number, digits: number = 0) -> number",
        examples=(
            Example("round(2.5)", "3"),
            Example("round(-2.5)", "-3"),
            Example("round(3.14159, 2)", "3.14"),
        ),
    ),
    Function(
        name="floor",
        group="numbers",
        doc="The largest whole number that is not above `x`.",
        parameters=(_X,),
        result=NUMBER,
        call=floor,
        sql="floor({0})",
        cost=0.15,
        examples=(Example("floor(2.9)", "2"), Example("floor(-2.1)", "-3")),
    ),
    Function(
        name="ceil",
        group="numbers",
        doc="The smallest whole number that is not below `x`.",
        parameters=(_X,),
        result=NUMBER,
        call=ceil,
        sql="ceil({0})",
        cost=0.15,
        examples=(Example("ceil(2.1)", "3"), Example("ceil(-2.9)", "-2")),
    ),
    Function(
        name="log",
        group="numbers",
        doc="The natural logarithm; missing for zero and below. For another base divide: `log(x) / log(10)`."
        " It is computed from the basic operations alone, so that every machine gives the same last digit.",
        parameters=(_X,),
        result=NUMBER.maybe(),
        call=log,
        cost=0.8,
        bounds=(-745.2, 709.8),
        examples=(
            Example("log(1)", "0"),
            Example("log(0)", "missing"),
            Example("round(log(100), 6)", "4.60517"),
        ),
    ),
    Function(
        name="sqrt",
        group="numbers",
        doc="The square root; missing below zero.",
        parameters=(_X,),
        result=NUMBER.maybe(),
        call=sqrt,
        sql="CASE WHEN {0} >= 0 THEN sqrt({0}) END",
        cost=0.1,
        bounds=(0, 1.4e154),
        examples=(Example("sqrt(9)", "3"), Example("sqrt(-1)", "missing")),
    ),
    Function(
        name="number",
        group="numbers",
        doc="The number that a text spells: digits, with a sign, a decimal point or an exponent, white space"
        " around it allowed. Anything else (`1,000`, `0x1f`, `12 km`) is missing, as is what no double can"
        " hold.",
        parameters=(Parameter("x", TEXT),),
        result=NUMBER.maybe(),
        call=number,
        cost=0.55,
        examples=(
            Example('number("12.50")', "12.5"),
            Example('number("1e3")', "1000"),
            Example('number("twelve")', "missing"),
        ),
    ),
)
