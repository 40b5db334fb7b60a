"""Values as the oracle holds them, and what operators and text make of them.

A value knows its kind at run time, so that the oracle needs no types: numbers are `float`, times `Time`,
durations `Span`, ids `Id`, addresses `Address`, other text `str`, records `dict`, lists `list`, missing
`None`. Written from the language's description alone; nothing here is shared with the compiler.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from quell.engine.schema import Field
from quell.grammar.types import Type

EARLIEST = -62_135_596_800 * 10**6
LATEST = 253_402_300_800 * 10**6 - 1
LONGEST = 4 * 10**18


class Time(int):
    """Microseconds since 1970."""


class Span(int):
    """A duration in microseconds."""


class Address(str):
    """An IP address in its canonical spelling."""

    __slots__ = ()


class Id(str):
    """The id of an entity."""

    __slots__ = ("kind",)
    kind: str

    def __new__(cls, kind: str, id: str) -> Id:
        made = super().__new__(cls, id)
        made.kind = kind
        return made


def tagged(value: Any, type_: Type, record: tuple[Field, ...] = ()) -> Any:
    """A decoded value of a declared type as the oracle holds it."""
    if value is None:
        return None
    kind = type_.kind
    if kind == "number":
        return float(value)
    if kind == "time":
        return Time(value)
    if kind == "duration":
        return Span(value)
    if kind == "ip":
        return Address(value)
    if kind == "entity":
        return Id(type_.name, value)
    if kind == "list":
        assert type_.element is not None
        return [tagged(v, type_.element, record) for v in value]
    if kind == "record":
        return {f.name: tagged(value.get(f.name), f.type, f.record) for f in record}
    return value


def plain(value: Any) -> Any:
    """A value without its kind, for functions that know what they take."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Time | Span):
        return int(value)
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def like(sample: Any, value: Any) -> Any:
    """A plain number given the kind of a sample."""
    if isinstance(sample, Time | Span):
        return type(sample)(value)
    return float(value)


# --------------------------------------------------------------- arithmetic


def finite(value: float) -> float | None:
    """A double, or missing when it is none of the finite ones."""
    return value if math.isfinite(value) else None


def in_range(value: int, kind: type[Time] | type[Span]) -> Any:
    """A time of the years 1 to 9999, or a duration that 64 bits hold; missing beyond."""
    low, high = (EARLIEST, LATEST) if kind is Time else (-LONGEST, LONGEST)
    return kind(value) if low <= value <= high else None


def nearest(value: float) -> Any:
    """The duration nearest to a number of microseconds, halves to even."""
    return in_range(round(value), Span) if math.isfinite(value) else None


def arithmetic(op: str, a: Any, b: Any) -> Any:
    """`a op b` of present values."""
    if isinstance(a, Time) or isinstance(b, Time):
        return _of_times(op, a, b)
    if isinstance(a, Span) or isinstance(b, Span):
        return _of_spans(op, a, b)
    assert isinstance(a, float) and isinstance(b, float), (op, a, b)
    if op in ("/", "//", "%") and b == 0:
        return None
    if op == "/":
        return finite(a / b)
    if op == "//":
        return finite(a // b)
    if op == "%":
        return finite(a % b)
    return finite({"+": a + b, "-": a - b, "*": a * b}[op])


def _of_times(op: str, a: Any, b: Any) -> Any:
    if op == "-" and isinstance(a, Time) and isinstance(b, Time):
        return in_range(int(a) - int(b), Span)
    assert op in "+-" and (isinstance(b, Span) or op == "+"), (op, a, b)
    return in_range(int(a) + int(b) if op == "+" else int(a) - int(b), Time)


def _of_spans(op: str, a: Any, b: Any) -> Any:
    if op in "+-" and isinstance(a, Span) and isinstance(b, Span):
        return in_range(int(a) + int(b) if op == "+" else int(a) - int(b), Span)
    if op == "*":
        return nearest(float(a) * float(b))
    assert op in ("/", "//") and isinstance(a, Span), (op, a, b)
    if b == 0:
        return None
    if isinstance(b, Span):
        return finite(float(a) / float(b) if op == "/" else float(a) // float(b))
    assert op == "/", (op, a, b)
    return nearest(float(a) / float(b))


def total(points: list[float]) -> float | None:
    """The exact sum, rounded once."""
    try:
        return math.fsum(points)
    except OverflowError:
        return None


# ------------------------------------------------------------------- logic


def negate(value: bool | None) -> bool | None:
    """Kleene's not."""
    return None if value is None else not value


def all_of(values: Sequence[bool | None]) -> bool | None:
    """Kleene's and."""
    if any(v is False for v in values):
        return False
    return None if any(v is None for v in values) else True


def any_of(values: Sequence[bool | None]) -> bool | None:
    """Kleene's or."""
    if any(v is True for v in values):
        return True
    return None if any(v is None for v in values) else False


def compared(op: str, a: Any, b: Any) -> bool | None:
    """`a op b`, missing when one side is."""
    if a is None or b is None:
        return None
    if op == "==":
        return bool(a == b)
    if op == "!=":
        return bool(a != b)
    return bool({"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op])


# -------------------------------------------------------------------- text


def number_text(value: float) -> str:
    """A number in its shortest form."""
    if value == int(value) and abs(value) < 1e16:
        return str(int(value))
    return repr(value)


def span_text(micros: int) -> str:
    """A duration in its largest unit and the one below it, rounded down; below a second in one unit."""
    sizes = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000, 1)
    names = ("d", "h", "m", "s", "ms", "us")
    size = abs(micros)
    largest = next((i for i, s in enumerate(sizes) if size >= s), None)
    if largest is None:
        return "0s"
    sign = "-" if micros < 0 else ""
    shown = f"{size // sizes[largest]}{names[largest]}"
    below = largest + 1
    if below <= 3:
        rest = size % sizes[largest] // sizes[below]
        shown += f"{rest}{names[below]}" if rest else ""
    return sign + shown


def time_text(micros: int) -> str:
    """A time in ISO 8601 UTC, with milliseconds or microseconds where it has them."""
    days, rest = divmod(micros, 86_400 * 10**6)
    year, month, day = _civil(days)
    seconds, fraction = divmod(rest, 10**6)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    digits = "" if not fraction else f".{fraction:06d}" if fraction % 1000 else f".{fraction // 1000:03d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}{digits}Z"


def _civil(days: int) -> tuple[int, int, int]:
    """The date of a day since 1970, by counting (Howard Hinnant's days_from_civil, turned round)."""
    days += 719_468
    era, of_era = divmod(days, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    moved = (5 * of_year + 2) // 153
    month = moved + 3 if moved < 10 else moved - 9
    return year + era * 400 + (month <= 2), month, of_year - (153 * moved + 2) // 5 + 1


def told(value: Any) -> str:
    """A value as text shows it; missing is a question mark."""
    if value is None:
        return "?"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Time):
        return time_text(value)
    if isinstance(value, Span):
        return span_text(value)
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, list):
        more = f" and {len(value) - 20} more" if len(value) > 20 else ""
        return ", ".join(told(v) for v in value[:20]) + more
    if isinstance(value, dict):
        return ", ".join(f"{k}: {told(v)}" for k, v in value.items())
    return str.__str__(value)


def sent(value: Any) -> Any:
    """A value as a payload holds it."""
    if isinstance(value, Time):
        return time_text(value)
    if isinstance(value, Span):
        return int(value) / 1_000_000
    if isinstance(value, list):
        return [sent(v) for v in value]
    if isinstance(value, float):
        return int(value) if value == int(value) and abs(value) <= 2**53 else value
    if isinstance(value, Mapping):
        return {k: sent(v) for k, v in value.items()}
    return plain(value)


def key_of(value: Any) -> tuple[str, Any]:
    """A value as part of a key: what differs in kind is different."""
    if isinstance(value, str):
        return "text", str.__str__(value)
    if isinstance(value, float):
        return "number", value
    return type(value).__name__, value if isinstance(value, bool) else int(value)


def share_of(name: str, keys: list[Any]) -> float | None:
    """Where keys stand among a rule's rollout buckets, from 0 to 1."""
    digest = sha256()
    for part in (name, *keys):
        if part is None:
            return None
        if isinstance(part, bool):
            text = str(part)
        elif isinstance(part, str):
            text = str.__str__(part)
        else:
            text = number_text(float(part)) if isinstance(part, float) else _whole_text(int(part))
        raw = text.encode()
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return int.from_bytes(digest.digest()[:8], "big") / 2**64


def _whole_text(value: int) -> str:
    return str(value) if abs(value) < 10**16 else repr(float(value))
