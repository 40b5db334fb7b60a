"""The events that figures are made of, ready to be counted: which of them, in which bucket, with which label.

A `Frame` lays a history's period over a timeline of round buckets, and joins to each event and hit what
the figures ask for. Everything is counted by DuckDB; only sums come back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from quell.replay.database import Database, quoted
from quell.replay.outcome import Outcome
from quell.replay.report_data import Labelled, Timeline
from quell.signals.show import show_time

SECOND = 1_000_000
DAY = 86_400
MOST_BUCKETS = 60
WIDTHS = (
    1, 5, 15, 60, 300, 900, 3_600, 21_600, DAY, 7 * DAY, 28 * DAY, 91 * DAY, 364 * DAY, 3_640 * DAY,
    36_400 * DAY, 364_000 * DAY,
)  # fmt: skip
"""Seconds of a bucket. From a week on they begin on a Monday."""
_MONDAY = 4 * DAY
"""1970 began on a Thursday; its first Monday was the fifth."""
_YEAR_ONE = -62_135_596_800
WEIGHT = 1_000_000
"""Weights are summed as whole millionths, so that the order of adding changes nothing."""
HEAVIEST = 1_000_000_000_000


@dataclass(frozen=True, slots=True)
class Buckets:
    """`count` buckets of `width` seconds, the first beginning at `start` (seconds since 1970)."""

    start: int
    width: int
    count: int

    @classmethod
    def over(cls, first: int, last: int) -> Buckets:
        """The narrowest that cover two times (microseconds) with at most `MOST_BUCKETS`."""
        low, high = first // SECOND, last // SECOND
        for width in WIDTHS:
            shift = _MONDAY if width >= 7 * DAY else 0
            start = max((low - shift) // width * width + shift, _YEAR_ONE)
            count = (high - start) // width + 1
            if count <= MOST_BUCKETS:
                return cls(start, width, count)
        raise AssertionError(f"times that no calendar has: {first} to {last}")

    def column(self, table: str) -> str:
        """The bucket of a row of a table that has times, as SQL."""
        return f'(({table}."at" - {self.start * SECOND}) // {self.width * SECOND})::INTEGER'

    def timeline(self, events: list[int]) -> Timeline:
        """The buckets for a report."""
        starts = [show_time((self.start + i * self.width) * SECOND) for i in range(self.count)]
        return Timeline(starts, self.width, events)

    def spread(self, counts: dict[int, int]) -> list[int]:
        """Counts by bucket as a list."""
        return [counts.get(i, 0) for i in range(self.count)]


@dataclass(slots=True)
class Frame:
    """What is counted of an outcome: the events from `start` until `until` (microseconds; None: all).

    `truth` is a table (n, label, known) and `weights` one (n, weight), where there are labels and weights.
    `hits` is the table that `make` puts the hits of the period in: n, event, rule, outcome, verdict, message,
    place (`file:row`), bucket, entity, and label, early (it was known later only) and weight, NULL without.
    """

    outcome: Outcome
    first: int
    last: int
    start: int | None = None
    until: int | None = None
    truth: str | None = None
    weights: str | None = None
    labelled: Labelled | None = None
    timed: bool = False
    notes: list[str] = field(default_factory=list)
    buckets: Buckets = Buckets(0, 1, 1)

    @property
    def db(self) -> Database:
        """The database of all tables."""
        return self.outcome.db

    @property
    def hits(self) -> str:
        """The table of hits."""
        return quoted(f"{self.outcome.schema}_hits")

    def make(self) -> None:
        """Lay the timeline, and gather the hits."""
        low = self.first if self.start is None else max(self.first, self.start)
        high = self.last if self.until is None else min(self.last, self.until - 1)
        self.buckets = Buckets.over(low, max(low, high))
        outcome = self.outcome
        self.db.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {self.hits} AS SELECT t.n, t.event, t.rule, t.outcome, t.verdict, "
            f"t.message, a.file || ':' || a.row AS place, {self.buckets.column('t')} AS bucket, "
            f"a.entity, {self._given} FROM {outcome.table('hits')} t "
            f"JOIN {outcome.table('all')} a USING (n) {self._joins} "
            f"WHERE {self.within('t')}"
        )

    def within(self, table: str) -> str:
        """That a row of a table that has times is in the period, as SQL."""
        bounds = []
        if self.start is not None:
            bounds.append(f'{table}."at" >= {self.start}')
        if self.until is not None:
            bounds.append(f'{table}."at" < {self.until}')
        return " AND ".join(bounds) or "true"

    @property
    def events(self) -> str:
        """A query: n, event, verdict, bucket, label, early and weight of each event of the period."""
        return (
            f'SELECT t.n, t.event, t."at", t.verdict, '
            f"{self.buckets.column('t')} AS bucket, {self._given} "
            f"FROM {self.outcome.table('verdicts')} t {self._joins} WHERE {self.within('t')}"
        )

    @property
    def _given(self) -> str:
        label = "NULL::BOOLEAN AS label, NULL::BOOLEAN AS early"
        if self.truth:
            label = 'truth.label, truth.known > t."at" AS early'
        weight = "weights.weight" if self.weights else "NULL::BIGINT AS weight"
        return f"{label}, {weight}"

    @property
    def _joins(self) -> str:
        joins = f"LEFT JOIN {self.truth} truth USING (n) " if self.truth else ""
        return joins + (f"LEFT JOIN {self.weights} weights USING (n) " if self.weights else "")
