"""The settings that a constant is tried at, and how each is written in a policy.

Values are as the engine has them: durations in microseconds, percentages as shares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from quell.grammar import tree
from quell.grammar.literals import (
    LARGEST_DURATION,
    MICROS,
    spell_duration,
    spell_number,
    spell_percent,
)
from quell.grammar.parser import parse_expression
from quell.replay.tune_constants import Constant, Kind, NoSweep

MOST = 60
"""Settings of a curve."""
MOST_OF_GRID = 25
"""Settings of each constant of a grid."""
FEW = 13
"""Round values below which some are added where many events turn."""
STEPS = 20
"""Settings between `--from` and `--to` unless said otherwise."""
FARTHEST = 1e12
"""How far from nothing a number is tried, at least."""

_S, _M, _H, _D = MICROS["s"], MICROS["m"], MICROS["h"], MICROS["d"]
_DURATIONS = (
    *(n * MICROS["ms"] for n in (1, 10, 100, 200, 500)),
    *(n * _S for n in (1, 2, 3, 5, 10, 15, 20, 30, 45)),
    *(n * _M for n in (1, 2, 3, 5, 10, 15, 20, 30, 45)),
    *(n * _H for n in (1, 2, 3, 4, 6, 8, 12, 18)),
    *(
        n * _D
        for n in (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365, 545, 730, 1095, 1825, 3650)
    ),
)
_PERCENTS = (
    0.005, 0.01, 0.02, 0.03, *(n / 20 for n in range(1, 20)), 0.93, 0.97, 0.98, 0.99, 0.995, 0.999, 1.0
)  # fmt: skip
MatchesAt = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
"""Which events match, each at its own value of a constant."""
_NAMES: dict[Kind, str] = {
    "number": "a number, such as 12",
    "percent": "a percentage, such as 85%",
    "duration": "a duration, such as 10m",
}


# ------------------------------------------------------------------------------------ as written


def read(constant: Constant, text: str) -> float:
    """A value for a constant as the command line gives it. Raises NoSweep."""
    found = parse_expression(text)
    negative = isinstance(found, tree.Unary) and found.op == "-"
    inner = found.operand if isinstance(found, tree.Unary) and negative else found
    wanted = _NAMES[constant.kind]
    if constant.kind == "duration":
        if not isinstance(inner, tree.Duration) or negative:
            hint = f"say the unit: {text}s, {text}m, …" if isinstance(inner, tree.Number) else None
            raise NoSweep(f"`{constant.text}` is a duration, and `{text}` is none", hint or f"write {wanted}")
        return float(inner.micros)
    if not isinstance(inner, tree.Number):
        raise NoSweep(f"`{text}` is no value for `{constant.text}`", f"write {wanted}")
    return float(-inner.value if negative else inner.value)


def spell(constant: Constant, value: float) -> str:
    """A value as the policy would have it, in the spelling of the constant that stands there."""
    if value == constant.value:
        return constant.text
    if constant.kind == "percent":
        return spell_percent(_plain(value))
    if constant.kind == "duration":
        return _spell_duration(constant.text, int(value))
    text = spell_number(_plain(value))
    return f"{int(value):_}" if "_" in constant.text and value.is_integer() else text


def _plain(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) <= 2**53 else value


def _spell_duration(like: str, micros: int) -> str:
    """In the one unit of the spelling that stood there, where that has no fraction and few digits."""
    unit = re.fullmatch(r"[0-9_.]+(us|ms|s|m|h|d|w)", like)
    plain = spell_duration(micros)
    if unit is None or not micros or micros % MICROS[unit[1]]:
        return plain
    whole = f"{micros // MICROS[unit[1]]}{unit[1]}"
    simple = re.fullmatch(r"[0-9]+[a-z]+", plain)
    return plain if simple and len(plain) < len(whole) else whole


def told(constant: Constant, value: float) -> float:
    """A value as reports give it: durations in seconds."""
    return value / 1_000_000 if constant.kind == "duration" else value


# ------------------------------------------------------------------------------------ which ones


def ends(constant: Constant) -> tuple[float, float]:
    """The least and the greatest value that a constant is tried at."""
    if constant.kind == "duration":
        return 0.0, float(LARGEST_DURATION)
    far = max(FARTHEST, min(2 * abs(constant.value), 1e307))
    return -far, far


def between(constant: Constant, start: str, stop: str, steps: int, most: int) -> list[float]:
    """Settings from one value to another. Raises NoSweep."""
    low, high = sorted((read(constant, start), read(constant, stop)))
    if low == high:
        raise NoSweep(f"`{start}` to `{stop}` is one value", "say two different ones")
    if not 2 <= steps <= most:
        raise NoSweep(f"a sweep has 2 to {most} steps here, not {steps}")
    step = (high - low) / (steps - 1)
    whole = constant.kind == "duration" or all(v.is_integer() for v in (low, high, constant.value))
    made = [low, *(_rounded(low + i * step, step, whole) for i in range(1, steps - 1)), high]
    return sorted({*(v for v in made if low <= v <= high), constant.value})


def _rounded(value: float, step: float, whole: bool) -> float:
    """A value as round as the step allows: to a thousandth of it, or a whole number where all are."""
    if whole and step >= 1:
        unit = 10.0 ** max(0, int(np.floor(np.log10(step))) - 1)
        unit = max((float(u) for u in (*MICROS.values(), unit) if u <= step / 4 or u == 1), default=1.0)
        return float(round(value / unit) * unit) if unit > 1 else float(round(value))
    digits = 2 - int(np.floor(np.log10(step)))
    return float(round(Decimal(repr(value)), digits))


def natural(constant: Constant, turns: NDArray[np.float64] | None, most: int) -> list[float]:
    """Settings that suit the data: `turns` are the values at which events begin or cease to match, None where
    that is not known. Round ones, some where many events turn, and the one that stands there."""
    low, high = _span(constant, turns)
    round_ = [v for v in _ladder(constant, low, high) if low <= v <= high]
    found = {constant.value, *round_}
    if turns is not None and _whole(constant) and len(each := np.unique(turns)) <= most - FEW:
        found.update(each.tolist())
    elif turns is not None and len(turns) and len(round_) < FEW:
        step = (float(turns.max()) - float(turns.min())) / FEW
        for share in np.linspace(0.02, 0.98, FEW):
            found.add(_snapped(constant, float(np.quantile(turns, share)), step))
    least, greatest = ends(constant)
    if constant.value >= 0:
        least = max(least, 0.0)
    inside = sorted(v for v in found if least <= v <= greatest or v == constant.value)
    return thinned(inside, {inside.index(constant.value)}, most)


def _span(constant: Constant, turns: NDArray[np.float64] | None) -> tuple[float, float]:
    """From where to where settings make a difference."""
    now = constant.value
    if turns is None or not len(turns):
        wide = 30 if constant.kind == "duration" else 8
        return (now / wide, now * wide) if now > 0 else (now * wide - 10, abs(now) * wide + 10)
    low, high = float(turns.min()), float(turns.max())
    if constant.kind != "duration" and len(turns) > 100:
        far = float(np.quantile(turns, 0.995))
        high = max(min(high, 4 * far), min(high, 4 * now))
    # One step beyond either end, where everything matches or nothing does.
    if constant.kind == "duration":
        return min(now, low / 2), max(now, high * 2)
    step = 1.0 if _whole(constant) else 0.0
    return min(low - step, now), max(high + step, now)


def _whole(constant: Constant) -> bool:
    return constant.kind == "number" and constant.value.is_integer()


def _ladder(constant: Constant, low: float, high: float) -> Iterable[float]:
    if constant.kind == "duration":
        return [float(v) for v in _DURATIONS]
    if constant.kind == "percent" and 0 <= constant.value <= 1:
        return _PERCENTS
    if _whole(constant) and high - low <= MOST - 15:
        return [float(v) for v in range(int(np.ceil(low)), int(np.floor(high)) + 1)]
    return _round_numbers(low, high, _whole(constant))


def _round_numbers(low: float, high: float, whole: bool) -> list[float]:
    """1, 2, 5, 10, … and their negatives, between two values."""
    out = [0.0]
    for power in range(0 if whole else -4, 13):
        for digit in (1, 1.5, 2, 3, 5, 7):
            value = float(Decimal(repr(digit)).scaleb(power))
            if not whole or value.is_integer():
                out += [value, -value]
    return [v for v in out if low <= v <= high]


def _snapped(constant: Constant, value: float, step: float) -> float:
    """A round value near a value of the data, where others are `step` away."""
    if constant.kind == "duration":
        unit = next((MICROS[u] for u in ("d", "h", "m", "s", "ms") if step >= MICROS[u]), 1)
        return float(round(value / unit) * unit)
    if value == 0 or step <= 0:
        return value
    digits = max(-int(np.floor(np.log10(step))), 0 if _whole(constant) else -12)
    return float(round(Decimal(repr(value)), 0 if _whole(constant) and step < 10 else digits))


def thinned(values: Sequence[float], keep: set[int], most: int) -> list[float]:
    """At most `most` of some sorted values, spread evenly, with those at `keep` among them."""
    return [values[i] for i in spread(len(values), keep, most)]


def spread(size: int, keep: Iterable[int], most: int) -> list[int]:
    """At most `most` places of `size`, evenly spread, the ends and `keep` among them."""
    if size <= most:
        return list(range(size))
    kept = {0, size - 1, *keep}
    for place in np.linspace(0, size - 1, most).round().astype(int):
        if len(kept) < most:
            kept.add(int(place))
    return sorted(kept)


# ------------------------------------------------------------------------ where events turn


def turning(matches: MatchesAt, size: int, constant: Constant, most_first: bool) -> NDArray[np.float64]:
    """For each event that some values of a constant hit and some do not, the value at which it turns.

    `matches` takes one value for each event. With `most_first` lower values hit more. Found by halving the
    order of the doubles, which is exact for a condition that turns once; for a constant that is a whole
    number, the whole number next to it that still hits.
    """
    low, high = (np.full(size, v) for v in ends(constant))
    at_low, at_high = matches(low), matches(high)
    turns = at_low != at_high
    a, b = _ordered(low), _ordered(high)
    while np.any((middle := (a >> 1) + (b >> 1) + (a & b & 1)) != a):
        same = matches(_value(middle, constant)) == at_low
        a, b = np.where(same, middle, a), np.where(same, b, middle)
    found: NDArray[np.float64] = _value(a if most_first else b, constant)[turns]
    if _whole(constant):
        found = np.floor(found) if most_first else np.ceil(found)
    return found


def _ordered(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Doubles as whole numbers of the same order."""
    bits = values.view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)


def _value(order: NDArray[np.int64], constant: Constant) -> NDArray[np.float64]:
    bits = np.where(order < 0, np.int64(-(2**63)) - order, order)
    value: NDArray[np.float64] = bits.view(np.float64)
    if constant.kind == "duration":
        value = np.floor(value)
    return value
