"""Cells of a table's columns to values at run time."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from typing import Any

from quell.grammar.literals import LARGEST_DURATION, LiteralError, duration, number, percent
from quell.grammar.types import Type

_NUMBER = re.compile(r"([+-]?)((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(%?)")
_DURATION = re.compile(r"(-?)((?:[0-9]+(?:\.[0-9]+)?(?:us|ms|s|m|h|d|w))+)")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?(Z|z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_BOOLS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
_EPOCH = date(1970, 1, 1).toordinal()
_EARLIEST = -62_135_596_800_000_000
_LATEST = 253_402_300_799_999_999


class BadCell(ValueError):
    """A cell that says no value of its column's type; the message says what was expected."""


def reader(type_: Type) -> Callable[[str], Any]:
    """The function from a cell that is not empty to a value of the type.

    It raises BadCell. A type that no cell can hold (a list, a shape) raises BadCell here.
    """
    if type_.kind == "enum":
        return _member(type_.values)
    found = _READERS.get(type_.kind)
    if found is None:
        raise BadCell(f"a column cannot be a {type_.present()}")
    return found


def _text(cell: str) -> str:
    return cell


def _number(cell: str) -> float:
    match = _NUMBER.fullmatch(cell)
    if match is None:
        raise BadCell("a number such as 3, 0.5 or 80%")
    sign, digits, mark = match.groups()
    if mark and "e" in digits.lower():
        raise BadCell("a number such as 3, 0.5 or 80%")
    try:
        value = percent(digits + mark) if mark else number(digits)
    except LiteralError:
        raise BadCell("a number that is not too large") from None
    return -value if sign == "-" else value


def _bool(cell: str) -> bool:
    value = _BOOLS.get(cell.lower())
    if value is None:
        raise BadCell("true or false")
    return value


def _time(cell: str) -> int:
    match = _TIME.fullmatch(cell)
    if match is None:
        raise BadCell("a time such as 2024-05-01 or 2024-05-01T12:00:00Z")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH
    except ValueError:
        raise BadCell("a date that exists") from None
    clock = (int(hour or 0), int(minute or 0), int(second or 0))
    offset = _offset(zone or "Z")
    if clock[0] > 23 or clock[1] > 59 or clock[2] > 59 or offset is None:
        raise BadCell("a time of day that exists")
    seconds = days * 86_400 + clock[0] * 3_600 + clock[1] * 60 + clock[2] - offset
    # Rounded half up at the microsecond, as the times of events are.
    decimals = (fraction or "").ljust(7, "0")
    found = seconds * 1_000_000 + int(decimals[:6]) + (decimals[6] >= "5")
    if not _EARLIEST <= found <= _LATEST:
        raise BadCell("a time in the years 1 to 9999")
    return found


def _offset(zone: str) -> int | None:
    if zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        return None
    seconds = hours * 3_600 + minutes * 60
    return -seconds if zone[0] == "-" else seconds


def _duration(cell: str) -> int:
    match = _DURATION.fullmatch(cell)
    if match is None or len(cell) > 100:
        raise BadCell("a duration such as 90s, 10m or 1h30m")
    try:
        found = duration(match[2])
    except LiteralError:
        raise BadCell(f"a duration of at most {LARGEST_DURATION // 86_400_000_000:,} days") from None
    return -found if match[1] else found


def _ip(cell: str) -> str:
    try:
        found = ipaddress.ip_address(cell)
    except ValueError:
        raise BadCell("an IP address") from None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            raise BadCell("an IP address without a zone")
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
    return str(found)


def _member(values: tuple[str, ...]) -> Callable[[str], str]:
    allowed = frozenset(values)
    shown = ", ".join(values[:8]) + (", …" if len(values) > 8 else "")

    def read(cell: str) -> str:
        if cell not in allowed:
            raise BadCell(f"one of {shown}")
        return cell

    return read


_READERS: dict[str, Callable[[str], Any]] = {
    "text": _text,
    "entity": _text,
    "number": _number,
    "bool": _bool,
    "time": _time,
    "duration": _duration,
    "ip": _ip,
}
