"""Functions of time. Zones come from the pinned `tzdata` package, never from the machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from quell.grammar.diagnostics import did_you_mean
from quell.grammar.types import NUMBER, TEXT, TIME
from quell.signals.registry import Example, Function, Parameter

EARLIEST = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z in microseconds."""
LATEST = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z in microseconds."""
DAY = 86_400_000_000
HOUR = 3_600_000_000
QUARTER = 900_000_000
_MANY_QUARTERS = 50_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
    r" ?(Z|z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)


def time(text: str) -> int | None:
    """The time that ISO 8601 text says, in microseconds, read as the field of an event would be; or None.

    Without a zone it is UTC, a date is its midnight, and digits beyond the sixth are rounded half up.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    offset = _offset(zone or "Z")
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    if h > 23 or m > 59 or s > 59 or offset is None:
        return None
    digits = (fraction or "").ljust(7, "0")
    micros = int(digits[:6]) + (digits[6] >= "5")
    found = (days * 86_400 + h * 3_600 + m * 60 + s - offset) * 1_000_000 + micros
    return found if EARLIEST <= found <= LATEST else None


def _offset(zone: str) -> int | None:
    if zone[0] not in "+-":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        return None
    seconds = hours * 3_600 + minutes * 60
    return -seconds if zone[0] == "-" else seconds


# -------------------------------------------------------------------- zones


@cache
def zone_names() -> frozenset[str]:
    """The names of all time zones."""
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


@cache
def zone(name: str) -> ZoneInfo:
    """The time zone called `name`. Raises ValueError, with a suggestion, when there is none."""
    if name not in zone_names():
        like = did_you_mean(name, sorted(zone_names()))
        more = like or "they are called after a continent and a city, as in Europe/Paris, or UTC"
        raise ValueError(f"there is no time zone `{name}`: {more}")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def _moment(micros: int) -> datetime:
    # A day inside both ends, so that no zone leads out of the years 1 to 9999.
    return _EPOCH + timedelta(microseconds=min(max(micros, EARLIEST + DAY), LATEST - DAY))


def _local(name: str) -> Callable[[int], int]:
    """From a time to the microseconds that the zone's clocks show, since 1970 on those clocks."""
    place = zone(name)

    def offset_at(at: int) -> int:
        offset = _moment(at).astimezone(place).utcoffset()
        assert offset is not None
        return (offset.days * 86_400 + offset.seconds) * 1_000_000

    def offset_of(quarter: int) -> int | None:
        first, last = offset_at(quarter * QUARTER), offset_at(quarter * QUARTER + QUARTER - 1)
        return first if first == last else None

    known: dict[int, int | None] = {}

    def local(at: int) -> int:
        # Most times share their quarter of an hour with others, and clocks are seldom put forward in one.
        quarter = at // QUARTER
        if quarter not in known:
            if len(known) >= _MANY_QUARTERS:
                known.clear()
            known[quarter] = offset_of(quarter)
        offset = known.get(quarter)
        shown = at + (offset_at(at) if offset is None else offset)
        return min(max(shown, EARLIEST), LATEST)

    return local


def _in_zone(name: str, part: Callable[[int], Any]) -> Callable[[int], Any]:
    if name == "UTC":
        return part
    local = _local(name)
    return lambda at: part(local(at))


def hour_of_day(name: str) -> Callable[[int], int]:
    """From a time to the hour that the zone's clocks show, 0 to 23."""
    return _in_zone(name, lambda at: at // HOUR % 24)


def day_of_week(name: str) -> Callable[[int], int]:
    """From a time to the day of the week in the zone, 1 for Monday to 7 for Sunday."""
    return _in_zone(name, lambda at: (at // DAY + 3) % 7 + 1)


def date_in(name: str) -> Callable[[int], str]:
    """From a time to the date in the zone, as in 2026-01-31."""
    return _in_zone(name, lambda at: date.fromordinal(at // DAY + _EPOCH_DAY).isoformat())


_IN_DAY = f"((({{0}} % {DAY}) + {DAY}) % {DAY})"
_DAYS = f"(({{0}} - {_IN_DAY}) // {DAY})"


def _utc(sql: str) -> Callable[[str], str | None]:
    """What is in SQL only for UTC: zone data are Quell's own."""
    return lambda name: sql if name == "UTC" else None


_AT = Parameter("at", TIME)
_ZONE = Parameter("zone", TEXT, literal=True, default="UTC")

ROWS: tuple[Function, ...] = (
    Function(
        name="time",
        group="time",
        doc="The time that a text says in ISO 8601: a date, or a date and a time of day, with a zone (`Z`,"
        " `+02:00`) or in UTC without one. Missing when it says none, or a day that does not exist.",
        parameters=(Parameter("x", TEXT),),
        result=TIME.maybe(),
        call=time,
        cost=2.5,
        examples=(
            Example('time("2026-01-01T12:00:00+02:00")', 'time("2026-01-01T10:00:00Z")'),
            Example('time("2026-01-01")', 'time("2026-01-01T00:00:00Z")'),
            Example('time("yesterday")', "missing"),
        ),
    ),
    Function(
        name="hour_of_day",
        group="time",
        doc="The hour that clocks show at a time, 0 to 23, in UTC or in the zone named (as in"
        " `Europe/Paris`, written out).",
        parameters=(_AT, _ZONE),
        result=NUMBER,
        prepare=hour_of_day,
        sql=_utc(f"({_IN_DAY} // {HOUR})::DOUBLE"),
        cost=2.0,
        signature='hour_of_day(at: time, zone: text = "UTC") -> number',
        bounds=(0, 23),
        examples=(
            Example('hour_of_day(time("2026-07-01T22:30:00Z"))', "22"),
            Example('hour_of_day(time("2026-07-01T22:30:00Z"), "Europe/Paris")', "0"),
        ),
    ),
    Function(
        name="day_of_week",
        group="time",
        doc="The day of the week at a time, 1 for Monday to 7 for Sunday, in UTC or in the zone named.",
        parameters=(_AT, _ZONE),
        result=NUMBER,
        prepare=day_of_week,
        sql=_utc(f"(({_DAYS} + 7000003) % 7 + 1)::DOUBLE"),
        cost=2.0,
        signature='day_of_week(at: time, zone: text = "UTC") -> number',
        bounds=(1, 7),
        examples=(
            Example('day_of_week(time("2026-01-01"))', "4"),
            Example('day_of_week(time("2026-01-04T23:30:00Z"), "Asia/Tokyo")', "1"),
        ),
    ),
    Function(
        name="date",
        group="time",
        doc="The date at a time as text, year first, in UTC or in the zone named: a key for what happens"
        " once a day.",
        parameters=(_AT, _ZONE),
        result=TEXT,
        prepare=date_in,
        sql=_utc(f"(DATE '1970-01-01' + ({_DAYS})::INTEGER)::VARCHAR"),
        cost=2.5,
        signature='date(at: time, zone: text = "UTC") -> text',
        examples=(
            Example('date(time("2026-07-01T22:30:00Z"))', '"2026-07-01"'),
            Example('date(time("2026-07-01T22:30:00Z"), "Europe/Paris")', '"2026-07-02"'),
        ),
    ),
)
