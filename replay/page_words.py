"""What the page says in words: numbers, times, and the sentence at its top."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from quell.engine.cli_output import count, percent
from quell.replay.headline import headline
from quell.replay.report_data import Backtest, Comparison, Rate, VerdictRow

_AS_VERBS = """
allow approve ban block challenge decline delay delete demote deny escalate filter flag hide hold ignore limit
log mute notify pass quarantine queue reject remove restrict review shadowban suspend throttle warn
"""
_VERBS = frozenset(_AS_VERBS.split())
"""Verdicts that read as a verb in a sentence; of others the sentence says that they are given."""


def share(value: float | None, digits: int = 1) -> str:
    """A share between 0 and 1 as a percentage; a dash where it cannot be told."""
    return "–" if value is None else percent(value, 1, digits)


def signed(value: int) -> str:
    """`+12`, `−3`, `0`."""
    return f"+{value:,}" if value > 0 else f"−{-value:,}" if value else "0"


def volume(value: float | None) -> str:
    """What events weigh together: `9.3 M`, `12,400`, `3.25`."""
    if value is None:
        return "–"
    for size, name in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.1f} {name}"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.2f}"


def interval(rate: Rate) -> str:
    """`97.5% (95% interval 94.9% to 98.8%; 271 of 278)`."""
    if rate.value is None:
        return "cannot be told: no events to judge by"
    within = f"95% interval {share(rate.low)} to {share(rate.high)}"
    return f"{share(rate.value)} ({within}; {rate.hits:,} of {rate.of:,})"


def listed(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


# ---------------------------------------------------------------------------------------------- times


MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
"""Spelt here, since Python's own depend on the locale."""


def day(at: datetime, *, whole: bool = False) -> str:
    """`2 Mar`, or `2 March`."""
    name = MONTHS[at.month - 1]
    return f"{at.day} {name if whole else name[:3]}"


def moment(iso: str) -> datetime:
    """A time of the report."""
    made = datetime.fromisoformat(iso.replace("Z", "+00:00"))
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def stamp(iso: str, *, seconds: bool = False) -> str:
    """`2 Mar 2026, 14:30`."""
    at = moment(iso)
    return f"{day(at)} {at.year}, {at:%H:%M:%S}" if seconds else f"{day(at)} {at.year}, {at:%H:%M}"


def span(first: str | None, last: str | None) -> str:
    """The time that a history covers, in words."""
    if first is None or last is None:
        return ""
    a, b = moment(first), moment(last)
    if a.date() == b.date():
        return f"on {day(a, whole=True)} {a.year}, {a:%H:%M} to {b:%H:%M} UTC"
    return f"from {day(a, whole=True)} {a.year} to {day(b, whole=True)} {b.year}"


def length(seconds: int) -> str:
    """The length of a bucket: `30 minutes`, `1 hour`, `7 days`."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds % size == 0 and seconds:
            return count(seconds // size, name)
    return count(seconds, "second")


def per(seconds: int) -> str:
    """As in `events per hour`, `events per 30 minutes`."""
    return length(seconds).removeprefix("1 ")


def bucket(start: str, seconds: int) -> str:
    """A bucket's time, `2 Mar 2026, 14:30–15:00`."""
    a = moment(start)
    b = a + timedelta(seconds=seconds)
    if seconds % 86_400 == 0:
        last = b - timedelta(days=1)
        return f"{day(a)} {a.year}" + ("" if last == a else f" – {day(last)} {last.year}")
    return f"{stamp(start)}–{b:%H:%M}" if a.date() == b.date() or seconds <= 86_400 else stamp(start)


# ------------------------------------------------------------------------------------------ headlines


def title(report: Backtest | Comparison) -> str:
    """What the report says, in a sentence or two."""
    return headline(report) if isinstance(report, Comparison) else decided(report)


def judged(report: Backtest) -> int:
    """The events that the figures are of."""
    return report.events or report.source.events


def decided(report: Backtest) -> str:
    """`Of 19,980 events on 2 March 2026, …, these policies would block 915 (4.6%) and review 3 (<0.1%).`"""
    events = count(judged(report), "event")
    if not judged(report):
        return "The history holds no event that these policies take, so there is nothing to decide."
    when = span(report.source.first, report.source.last)
    given = [row for row in reversed(report.verdicts[1:]) if row.count]
    if not given:
        first = report.verdicts[0].verdict if report.verdicts else "the first verdict"
        return f"Of {events} {when}, all would be left at “{first}”: no rule asked for more."
    return f"Of {events} {when}, these policies would {listed([_does(row) for row in given])}."


def _does(row: VerdictRow) -> str:
    figures = f"{row.count:,} ({share(row.share)})"
    return f"{row.verdict} {figures}" if row.verdict in _VERBS else f"give “{row.verdict}” to {figures}"
