"""Pictures over time. Shapes stand at shares of the width, so that they fit a phone as well as a desk, and
texts keep their size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from math import ceil

from quell.replay.page_html import Html, join, share, tag
from quell.replay.page_words import bucket, day, moment, signed
from quell.replay.report_data import Timeline

MOST_COLUMNS = 96
"""Columns of a picture; more buckets are put together."""
MOST_TICKS = 9
"""Times that are named below a picture."""
_MONTH = 30 * 86400
_STEPS = (60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 2 * 86400, 7 * 86400, 14 * 86400)


@dataclass(frozen=True, slots=True)
class Axis:
    """The buckets as they are drawn: `together` of the report's own in one column."""

    timeline: Timeline
    together: int

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return ceil(len(self.timeline.starts) / self.together)

    @property
    def seconds(self) -> int:
        """How long a column is."""
        return self.timeline.seconds * self.together

    def fold(self, values: Sequence[int]) -> list[int]:
        """The values of the buckets, summed by column."""
        return [sum(values[i : i + self.together]) for i in range(0, len(values), self.together)]

    def name(self, column: int) -> str:
        """The time of a column, for a tip."""
        return bucket(self.timeline.starts[column * self.together], self.seconds)


def axis(timeline: Timeline) -> Axis:
    """The axis of all pictures of a report."""
    return Axis(timeline, max(1, ceil(len(timeline.starts) / MOST_COLUMNS)))


@dataclass(frozen=True, slots=True)
class Series:
    """What is stacked: its name, its class (which gives the colour), and one value for each bucket."""

    name: str
    style: str
    values: Sequence[int]


def stacked(axis: Axis, series: Sequence[Series], label: str, height: int = 190) -> Html:
    """Columns over time, the first series at the bottom."""
    folded = [(s, axis.fold(s.values)) for s in series]
    totals = [sum(v[i] for _, v in folded) for i in range(axis.columns)]
    ticks = scale(max(totals, default=0), 5 if height > 100 else 2)
    made = [_column(axis, folded, i, ticks[-1], height) for i in range(axis.columns)]
    return framed(axis, join(grid(ticks, height), made), ticks, label, height)


def _column(axis: Axis, folded: Sequence[tuple[Series, list[int]]], i: int, top: float, height: int) -> Html:
    wide, at, marks = 1 / axis.columns, float(height), []
    for s, values in folded:
        tall = values[i] / top * (height - 6)
        if values[i]:
            at -= tall
            marks.append(
                tag("rect", x=share((i + 0.08) * wide), y=at, width=share(wide * 0.84), height=max(tall, 0.6),
                    class_=s.style)
            )  # fmt: skip
    told = [f"{s.name}\t{v[i]:,}" for s, v in reversed(folded)]
    hit = tag("rect", x=share(i * wide), y=0, width=share(wide), height=height, class_="hit")
    return tag("g", marks, hit, data_tip="\n".join([axis.name(i), *told]))


def differences(axis: Axis, values: Sequence[int], label: str, height: int = 110) -> Html:
    """Columns over time that go up where there is more than before, and down where there is less."""
    folded = axis.fold(values)
    step = max(scale(max(abs(v) for v in folded))[-1], 1)
    low, high = (-step if min(folded) < 0 else 0), (step if max(folded) > 0 else 0)
    ticks = [t for t in (low, 0, high) if t or low <= 0 <= high]
    per = (height - 6) / (high - low)
    wide, marks = 1 / axis.columns, []
    for i, value in enumerate(folded):
        top = 3 + (high - max(value, 0)) * per
        x, width = share((i + 0.08) * wide), share(wide * 0.84)
        bar = tag("rect", x=x, y=top, width=width, height=abs(value) * per, class_="hits") if value else None
        hit = tag("rect", x=share(i * wide), y=0, width=share(wide), height=height, class_="hit")
        marks.append(tag("g", bar, hit, data_tip=f"{axis.name(i)}\nafter minus before\t{signed(value)}"))
    lines = [tag("line", x1=0, x2="100%", y1=3 + (high - t) * per, y2=3 + (high - t) * per,
                 class_="grid" if t else "base") for t in dict.fromkeys(ticks)]  # fmt: skip
    numbers = [
        tag("text", signed(int(t)), x=44, y=7 + (high - t) * per, text_anchor="end")
        for t in dict.fromkeys(ticks)
    ]
    return _frame(axis, join(lines, marks), numbers, label, height)


def framed(axis: Axis, marks: Html, ticks: Sequence[float], label: str, height: int) -> Html:
    """A picture with its axes."""
    numbers = [
        tag("text", f"{t:,.0f}", x=44, y=place(t, ticks, height) + 4, text_anchor="end") for t in ticks
    ]
    return _frame(axis, marks, numbers, label, height)


def _frame(axis: Axis, marks: Html, numbers: Sequence[Html], label: str, height: int) -> Html:
    return tag(
        "div",
        tag("svg", numbers, width=50, height=height, class_="axis", aria_hidden="true"),
        tag("svg", marks, height=height, class_="area", role="img", aria_label=label),
        times(axis),
        class_="plot", tabindex=0, data_marks=True,
    )  # fmt: skip


def place(value: float, ticks: Sequence[float], height: int) -> float:
    """Where a value stands, from above."""
    return height - value / ticks[-1] * (height - 6)


def grid(ticks: Sequence[float], height: int) -> list[Html]:
    """The lines behind a picture."""
    at = [max(0.5, place(t, ticks, height) - 0.5) for t in ticks]
    return [tag("line", x1=0, x2="100%", y1=y, y2=y, class_="grid") for y in at]


def scale(top: float, most: int = 5) -> list[float]:
    """Round numbers from 0 to at least `top`, in at most so many steps."""
    if top <= 0:
        return [0, 1]
    step, factors = 1.0, (2, 2.5, 2)
    turn = 0
    while step * most < top:
        step *= factors[turn % 3]
        turn += 1
    return [step * i for i in range(ceil(top / step) + 1)]


def times(axis: Axis) -> Html:
    """The times under a picture; on a narrow screen every other one."""
    marks = []
    for number_, (at, name) in enumerate(_ticks(axis)):
        anchor = "start" if at < 0.02 else "end" if at > 0.97 else "middle"
        marks.append(
            tag("text", name, x=share(at), y=15, text_anchor=anchor, class_="odd" if number_ % 2 else None)
        )
        marks.append(tag("line", x1=share(at), x2=share(at), y1=0, y2=4, class_="tick"))
    return tag("svg", marks, height=20, class_="axis times", aria_hidden="true")


def _ticks(axis: Axis) -> Iterator[tuple[float, str]]:
    """Where round times stand, as shares of the width, and what they are called."""
    if not axis.columns:
        return
    first = moment(axis.timeline.starts[0])
    whole = axis.seconds * axis.columns
    year = 0
    for at in _round_times(first, whole):
        yield (at - first).total_seconds() / whole, _called(at, whole, at.year != year)
        year = at.year


def _round_times(first: datetime, whole: int) -> Iterator[datetime]:
    """Times that are round, about eight of them."""
    step = next((s for s in _STEPS if whole / s <= MOST_TICKS), None)
    last = first + timedelta(seconds=whole)
    at = first.replace(hour=0, minute=0, second=0, microsecond=0)
    if step is not None:
        while at < last:
            if at >= first:
                yield at
            at += timedelta(seconds=step)
        return
    months = ceil(whole / (MOST_TICKS * _MONTH))
    at = at.replace(day=1)
    while at < last:
        if at >= first:
            yield at
        later = at.month - 1 + months
        at = at.replace(year=at.year + later // 12, month=later % 12 + 1)


def _called(at: datetime, whole: int, with_year: bool) -> str:
    if whole > MOST_TICKS * _STEPS[-1]:
        name = day(at).partition(" ")[2]
        return f"{name} {at.year}" if with_year else name
    if whole > MOST_TICKS * 43200 or (at.hour, at.minute) == (0, 0):
        return day(at)
    return f"{at:%H:%M}"


def spark(axis: Axis, values: Sequence[int], style: str = "") -> Html:
    """A small outline of values over time, without axes; negative ones hang from its line."""
    folded = axis.fold(values)
    high, low = max([*folded, 0]), min([*folded, 0])
    reach = max(high - low, 1)
    base = 4 + round(76 * high / reach) if high or low else 80
    steps = "".join(f"V{base - round(76 * v / reach)}h{len(list(same))}" for v, same in groupby(folded))
    drawn = tag("path", d=f"M0 {base}{steps}V{base}z") if any(folded) else None
    line = tag("line", x1=0, x2=len(folded), y1=base, y2=base, class_="base")
    return tag(
        "svg",
        line,
        drawn,
        viewBox=f"0 0 {max(len(folded), 1)} 84",
        preserveAspectRatio="none",
        class_=f"spark {style}".strip(),
        data_tip=peak(axis, values),
        aria_hidden="true",
    )


def peak(axis: Axis, values: Sequence[int]) -> str:
    """Where a series is highest, for a tip."""
    folded = axis.fold(values)
    if not any(folded):
        return "never"
    at = max(range(len(folded)), key=lambda i: abs(folded[i]))
    return f"most: {folded[at]:,}\n{axis.name(at)}"
