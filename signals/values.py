"""From values as events and remote models carry them to values at run time: times, durations, ids, numbers.

Each converter takes a present value, returns the run-time value of `quell.grammar.types`, and raises
`Unfit` where the value is of the wrong kind. Those for times, durations and addresses are also called
by the generated decoders, so both ways of decoding share one meaning.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from quell.grammar.literals import LARGEST_DURATION, LiteralError, duration
from quell.grammar.types import Type

MAX_DIGITS = 4300
"""An integer that stands for text has at most this many digits (msgspec's and Python's own limit)."""
_TOO_LONG = 10**MAX_DIGITS

UTC = timezone.utc  # noqa: UP017 - msgspec gives this very object, and `is` is what the fast path tests
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_NAIVE = datetime(1970, 1, 1)
EARLIEST = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z in microseconds."""
LATEST = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z in microseconds."""

SECONDS_BELOW = 100_000_000_000
MILLIS_BELOW = 100_000_000_000_000
MICROS_BELOW = 100_000_000_000_000_000
NANOS_BELOW = 100_000_000_000_000_000_000

TIME_WORDS = "an ISO 8601 time such as 2024-05-01T12:00:00Z, or a number since 1970"
DURATION_WORDS = "a number of seconds, or text such as 1h30m or PT1H30M"
IP_WORDS = "an IP address"
TEXT_WORDS = "text or an integer"
ID_WORDS = "an id, as text or an integer"
NUMBER_WORDS = "a number"
BOOL_WORDS = "true or false"


class Unfit(Exception):
    """A value is not what its field must be: `kind` as in `KINDS` of engine/event_problems.py, `expected` a
    phrase for people."""

    def __init__(self, kind: str, expected: str) -> None:
        super().__init__(kind, expected)
        self.kind = kind
        self.expected = expected


class Cell(str):
    """A cell of a CSV file: text that may stand for a value of any type."""

    __slots__ = ()


_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d++))?)?"
    r" ?(Z|z|UTC|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SPELLED = re.compile(r"(-?)((?:\d+(?:\.\d+)?(?:us|ms|s|m|h|d|w))+)", re.ASCII)
_ISO_DURATION = re.compile(
    r"(-?)\+?P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII
)


def micros(value: Any) -> int:
    """A time as microseconds since 1970 UTC.

    A datetime or ISO 8601 text without a zone is UTC; a date is its midnight. Digits beyond the sixth
    of a second are rounded half up. A number is read by its size: below 1e11 it counts seconds, below
    1e14 milliseconds, below 1e17 microseconds, below 1e20 nanoseconds (each reaches from early 1970,
    or 1973, to the year 5138; negative ones mirror them). Anything outside the years 1 to 9999 is
    Unfit.
    """
    if value.__class__ is str:
        found = _time_of_text(value)
    elif isinstance(value, datetime):
        since = value - EPOCH if value.tzinfo is not None else value - EPOCH_NAIVE
        found = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found = _epoch(value)
    elif isinstance(value, str):
        found = _time_of_cell(value) if isinstance(value, Cell) else _time_of_text(str.__str__(value))
    elif isinstance(value, date):
        found = (value.toordinal() - EPOCH.toordinal()) * 86_400_000_000
    elif isinstance(value, Decimal):
        found = _epoch(float(value))
    else:
        raise Unfit("wrong-type", TIME_WORDS)
    if not EARLIEST <= found <= LATEST:
        raise Unfit("bad-time", "a time in the years 1 to 9999")
    return found


def _epoch(value: int | float) -> int:
    size = abs(value)
    if size < SECONDS_BELOW:
        return value * 1_000_000 if isinstance(value, int) else round(value * 1e6)
    if size < MILLIS_BELOW:
        return value * 1_000 if isinstance(value, int) else round(value * 1e3)
    if size < MICROS_BELOW:
        return value if isinstance(value, int) else round(value)
    if size < NANOS_BELOW:
        return int(value) // 1_000
    raise Unfit("bad-time", "a time in the years 1 to 9999")


def _time_of_cell(cell: Cell) -> int:
    text = cell.strip()
    if not _NUMBER.fullmatch(text):
        return _time_of_text(text)
    whole = text.lstrip("+-").isdigit() and len(text) < 40
    return _epoch(int(text) if whole else float(text))


def _time_of_text(text: str) -> int:
    try:
        return micros(msgspec.convert(text, datetime))
    except (msgspec.ValidationError, UnicodeEncodeError):
        pass  # less common spellings, and wrong ones, are read here
    match = _TIME.fullmatch(text)
    if match is None:
        raise Unfit("bad-time", TIME_WORDS)
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        midnight = date(int(year), int(month), int(day)).toordinal() - EPOCH.toordinal()
    except ValueError as error:
        raise Unfit("bad-time", "a date that exists") from error
    parts = (int(hour or 0), int(minute or 0), int(second or 0))
    if parts[0] > 23 or parts[1] > 59 or parts[2] > 59:
        raise Unfit("bad-time", "hours up to 23, minutes and seconds up to 59")
    seconds = midnight * 86_400 + parts[0] * 3_600 + parts[1] * 60 + parts[2]
    seconds -= _offset(zone or "Z")
    digits = (fraction or "").ljust(7, "0")
    return seconds * 1_000_000 + int(digits[:6]) + (digits[6] >= "5")


def _offset(zone: str) -> int:
    if zone in ("Z", "z", "UTC"):
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise Unfit("bad-time", "a zone between -23:59 and +23:59")
    seconds = hours * 3_600 + minutes * 60
    return -seconds if zone[0] == "-" else seconds


def span(value: Any) -> int:
    """A duration as microseconds: a number of seconds, a timedelta, or text.

    Text is spelled as in policies (``1h30m``, ``800ms``) or in ISO 8601 with weeks, days, hours,
    minutes and seconds (``PT1H30M``; months and years have no fixed length), either with a minus in
    front. At most 100,000 days, as in policies.
    """
    if isinstance(value, timedelta):
        found = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
    elif isinstance(value, bool):
        raise Unfit("wrong-type", DURATION_WORDS)
    elif isinstance(value, int):
        found = value * 1_000_000
    elif isinstance(value, (float, Decimal)):
        found = _seconds(float(value))
    elif isinstance(value, str):
        text = value.strip() if isinstance(value, Cell) else value
        number = isinstance(value, Cell) and _NUMBER.fullmatch(text)
        found = _seconds(float(text)) if number else _span_of_text(text)
    else:
        raise Unfit("wrong-type", DURATION_WORDS)
    if abs(found) > LARGEST_DURATION:
        raise Unfit("bad-duration", "a duration of at most 100,000 days")
    return found


def _seconds(value: float) -> int:
    if not abs(value) < 1e12:
        raise Unfit("bad-duration", "a duration of at most 100,000 days")
    return round(value * 1e6)


def _span_of_text(text: str) -> int:
    spelled = _SPELLED.fullmatch(text) if len(text) < 100 else None
    if spelled is None:
        sign, parts = _iso_parts(text)
    else:
        sign, parts = spelled[1], spelled[2]
    try:
        found = duration(parts)
    except LiteralError as error:
        raise Unfit("bad-duration", "a duration of at most 100,000 days") from error
    return -found if sign else found


def _iso_parts(text: str) -> tuple[str, str]:
    match = _ISO_DURATION.fullmatch(text) if len(text) < 100 else None
    if match is None or text[-1] in "PT":
        raise Unfit("bad-duration", DURATION_WORDS)
    sign, *amounts = match.groups()
    return sign, "".join(a + unit for a, unit in zip(amounts, "wdhms", strict=True) if a)


@lru_cache(maxsize=8192)
def _address(text: str) -> str | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            return None
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
    return str(found)


def address(value: Any) -> str:
    """An IP address in canonical spelling; an IPv4 address inside an IPv6 one is the IPv4 address.

    A zone (``fe80::1%eth0``), a port, brackets or a prefix length make it Unfit.
    """
    if isinstance(value, str):
        text = value.strip() if isinstance(value, Cell) else value
        found = _address(text) if len(text) <= 45 else None
    elif isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        found = _address(str(value))
    else:
        raise Unfit("wrong-type", IP_WORDS)
    if found is None:
        raise Unfit("bad-ip", IP_WORDS)
    return found


def named(value: Any) -> str:
    """An id that the fast path decoded, as text; the empty text is no id."""
    if value == "":
        raise Unfit("missing-field", ID_WORDS)
    return str(value) if value.__class__ is int else value


def fit(value: Any) -> None:
    """Raise Unfit for what msgspec takes from Python for text and JSON could not have carried: half
    surrogate pairs, integers of too many digits, subclasses of str."""
    if value.__class__ is str:
        if not value.isascii():
            text(value)
    elif value is not None:
        if value.__class__ is not int:
            raise Unfit("wrong-type", TEXT_WORDS)
        text(value)


def ordered(record: Any, path: tuple[str, ...]) -> None:
    """Raise Unfit where the value at a path is a set, which msgspec takes for a list of any order."""
    for key in path:
        if record is None:
            return
        record = record.get(key)
    if isinstance(record, (set, frozenset)):
        raise Unfit("wrong-type", "a list")


def nth(values: list[Any] | None, index: int) -> Any:
    """The element at `index` (from the end where negative), or None where there is none."""
    if values is None or not -len(values) <= index < len(values):
        return None
    return values[index]


def text(value: Any, words: str = TEXT_WORDS) -> str:
    """Text from text, an integer or a whole decimal, exactly; bytes are read as UTF-8."""
    if isinstance(value, str):
        found = str.__str__(value)
    elif isinstance(value, bool):
        raise Unfit("wrong-type", words)
    elif isinstance(value, int):
        if not -_TOO_LONG < value < _TOO_LONG:
            raise Unfit("too-large", f"an integer of at most {MAX_DIGITS:,} digits")
        return f"{value}"
    elif isinstance(value, Decimal):
        if value.is_finite() and value.as_tuple().exponent == 0:
            return f"{value}"
        raise Unfit("wrong-type", words)
    elif isinstance(value, (bytes, bytearray)):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise Unfit("not-utf8", "text in UTF-8") from error
    else:
        raise Unfit("wrong-type", words)
    if not found.isascii():
        try:
            found.encode()
        except UnicodeEncodeError as error:
            raise Unfit("bad-text", "text without half surrogate pairs") from error
    return found


def ident(value: Any) -> str | None:
    """An id: text as `text` reads it. The empty text is no id and counts as absent."""
    return text(value, ID_WORDS) or None


def number(value: Any) -> float:
    """A finite double from a number (not from text or a bool)."""
    if isinstance(value, Cell):
        bare = value.strip()
        if not _NUMBER.fullmatch(bare):
            raise Unfit("wrong-type", NUMBER_WORDS)
        found = float(bare)
    elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        try:
            found = float(value)
        except (OverflowError, ValueError) as error:
            raise Unfit("not-finite", "a finite number") from error
    else:
        raise Unfit("wrong-type", NUMBER_WORDS)
    if not abs(found) <= 1.7976931348623157e308:
        raise Unfit("not-finite", "a finite number")
    return found


_CELL_BOOLS = {"true": True, "1": True, "false": False, "0": False}


def boolean(value: Any) -> bool:
    """true or false; in a CSV cell also 1 or 0, in any case."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Cell):
        found = _CELL_BOOLS.get(value.strip().lower())
        if found is not None:
            return found
    raise Unfit("wrong-type", BOOL_WORDS)


def member(values: tuple[str, ...]) -> Callable[[Any], str]:
    """The converter to one of `values`."""
    allowed = frozenset(values)
    shown = ", ".join(f'"{v}"' for v in values[:8]) + (", …" if len(values) > 8 else "")
    words = f"one of {shown}"

    def convert(value: Any) -> str:
        found = text(value, words)
        if found not in allowed:
            raise Unfit("not-a-member", words)
        return found

    return convert


_SCALARS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "bool": (boolean, BOOL_WORDS),
    "number": (number, NUMBER_WORDS),
    "text": (text, TEXT_WORDS),
    "time": (micros, TIME_WORDS),
    "duration": (span, DURATION_WORDS),
    "ip": (address, IP_WORDS),
    "entity": (ident, ID_WORDS),
}


def scalar(kind: Type) -> tuple[Callable[[Any], Any], str]:
    """The converter for values of a type that is neither a list nor a record, and what it expects."""
    if kind.kind == "enum":
        shown = ", ".join(f'"{v}"' for v in kind.values[:8]) + (", …" if len(kind.values) > 8 else "")
        return member(kind.values), f"one of {shown}"
    if kind.kind not in _SCALARS:
        raise ValueError(f"no event can carry a {kind.kind}")
    return _SCALARS[kind.kind]


def words_for(kind: Type) -> str:
    """What a field of this type expects, for people."""
    if kind.kind == "list":
        return "a list"
    if kind.kind == "record":
        return "an object"
    return scalar(kind)[1]


def plain(value: Any) -> Any:
    """A Python value as one of the plain kinds the converters know, where it is a wrapped one.

    NumPy scalars and arrays, Arrow scalars and UUIDs become int, float, str, list and so on, and what
    pandas calls missing None; what is already plain, or unknown, comes back as it is.
    """
    kind = type(value)
    module = kind.__module__
    if module == "numpy":
        if kind.__name__ == "datetime64":
            return value.astype("datetime64[us]").item()
        if kind.__name__ == "timedelta64":
            return value.astype("timedelta64[us]").item()
        return value.tolist()
    if module.startswith("pyarrow"):
        return value.as_py() if hasattr(value, "as_py") else value
    if module.startswith("pandas") and kind.__name__ in ("NaTType", "NAType"):
        return None
    return str(value) if module == "uuid" else value
