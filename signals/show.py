"""Values as a reader sees them, in messages and other text made from parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from quell.grammar.literals import MICROS, spell_number
from quell.grammar.types import Type

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_ITEMS = 20
"""Elements of a list that a text shows before it says how many more there are."""


def show(value: Any, type_: Type) -> str:
    """A value of a type as text: numbers in shortest form, durations in their two largest units, times in
    ISO 8601 UTC, lists joined by commas, records as `name: value`, missing as a question mark."""
    if value is None:
        return "?"
    kind = type_.kind
    if kind == "bool":
        return "true" if value else "false"
    if kind == "number":
        return spell_number(value)
    if kind == "duration":
        return show_duration(value)
    if kind in ("time", "event"):
        return show_time(value)
    if kind == "list":
        element = type_.element
        assert element is not None
        shown = ", ".join(show(v, element) for v in value[:MAX_ITEMS])
        return shown + (f" and {len(value) - MAX_ITEMS} more" if len(value) > MAX_ITEMS else "")
    if kind == "record":
        columns = dict(type_.columns)
        pairs = ((k, show(v, columns[k]) if k in columns else str(v)) for k, v in value.items())
        return ", ".join(f"{name}: {text}" for name, text in pairs)
    return str(value)


def show_duration(micros: int) -> str:
    """A duration in its two largest units, rounded down: `2d3h`, `45s`, `0s`."""
    rest = abs(micros)
    out: list[str] = []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        if out and unit in ("ms", "us"):
            break
        amount, rest = divmod(rest, MICROS[unit])
        if amount:
            out.append(f"{amount}{unit}")
        if len(out) == 2 or (out and not amount):
            break
    return ("-" if micros < 0 else "") + ("".join(out) or "0s")


def show_time(micros: int) -> str:
    """A time in ISO 8601 UTC, with as many decimals as it has: `2026-01-01T00:00:00Z`."""
    moment = EPOCH + timedelta(microseconds=micros)
    base = moment.replace(microsecond=0, tzinfo=None).isoformat()
    if moment.microsecond == 0:
        return base + "Z"
    fraction = f"{moment.microsecond:06d}"
    return f"{base}.{fraction[:3] if fraction.endswith('000') else fraction}Z"


def dated(time: int) -> int | str:
    """A time for an event's JSON: microseconds where a number of that size is read as such, else ISO 8601."""
    return time if 10**14 <= time < 10**17 else show_time(time)
