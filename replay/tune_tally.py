"""What each setting of a sweep hits, counted over the columns: one pass over them, whatever the settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quell.engine.lower_lists import with_columns
from quell.engine.schema import Field
from quell.grammar.literals import spell_path
from quell.replay.backtest_quality import Tally, quality_of
from quell.replay.backtest_values import principals, text_of
from quell.replay.database import quoted, text_literal
from quell.replay.outcome import Outcome
from quell.replay.report_data import Quality
from quell.replay.tune_columns import Request, from_column_value
from quell.replay.tune_lower import Part, Sweep, always_true
from quell.replay.tune_values import Batch
from quell.signals.rollout import inside

ROWS = 65_536
"""Events that are worked out at once."""
SAMPLE = 30_000
"""Events that settings are chosen by."""
MOST_MARKS = 1 << 26
"""Marks of entities by setting that are held at once, a byte each."""

Chosen = tuple[float, ...]
"""A value for each constant of a sweep, in order."""


def requests(sweep: Sweep) -> list[Request]:
    """The values that a sweep needs, for each event type of the rule."""
    return [
        Request(part.event, (*part.needs, *part.rule.bucket), always_true(sweep.analysis, part))
        for part in sweep.parts
    ]


@dataclass(slots=True)
class Slice:
    """Some events of one event type: their values, labels (1, 0, -1 for none) and entities (-1 for none)."""

    batch: Batch
    part: Part
    fires: NDArray[np.bool_]
    """Where the rollout lets a match fire."""
    labels: NDArray[np.int8]
    entities: NDArray[np.int64]

    def hits(self, sweep: Sweep, chosen: Sequence[Any]) -> NDArray[np.bool_]:
        """On which events the rule fires with these values of the constants."""
        setting = {
            self.part.places[c.number]: value
            for c, value in zip(sweep.constants, chosen, strict=True)
            if c.number in self.part.places
        }
        return self.batch.matches(setting) & self.fires


@dataclass(slots=True)
class Counts:
    """What settings hit, in their order. `entities` is None where no event has one."""

    hits: NDArray[np.int64]
    right: NDArray[np.int64]
    wrong: NDArray[np.int64]
    newly: NDArray[np.int64]
    no_longer: NDArray[np.int64]
    entities: NDArray[np.int64] | None

    @classmethod
    def of(cls, many: int) -> Counts:
        """Nothing counted yet."""
        zeros = np.zeros((5, many), np.int64)
        return cls(zeros[0], zeros[1], zeros[2], zeros[3], zeros[4], None)


@dataclass(slots=True)
class Asked:
    """The events that a rule was asked about: how many, and by their labels (None without labels)."""

    events: int
    positive: int | None = None
    negative: int | None = None


@dataclass(slots=True)
class Rows:
    """The columns of a sweep, each event with its label and entity, ready to be counted."""

    outcome: Outcome
    sweep: Sweep
    tables: list[str]
    codes: str
    asked: Asked
    entities: int | None
    """How many different entities the columns have; None where events have none."""
    _sample: list[Slice] = field(default_factory=list)

    @classmethod
    def of(
        cls, outcome: Outcome, sweep: Sweep, columns: Sequence[str], truth: str | None, within: str = "true"
    ) -> Rows:
        """Join labels and entities to the columns. `truth` is a table (n, label); `within` a condition
        over `e.at` that the counted events meet."""
        db, history = outcome.db, outcome.history
        about = _about(outcome)
        who = text_of(history, about)
        tables = []
        for part, table in zip(sweep.parts, columns, strict=True):
            label = "l.label" if truth is not None else "NULL::BOOLEAN"
            join = f"LEFT JOIN {truth} l ON l.n = t.n" if truth is not None else ""
            made = f"{quoted(history.schema)}.{quoted('rows of ' + table)}"
            db.con.execute(
                f"CREATE OR REPLACE TABLE {made} AS SELECT t.*, w.value AS entity, {label} AS label "
                f"FROM {table} t JOIN {history.of(part.event)} e ON e.n = t.n "
                f"LEFT JOIN ({who}) w ON w.n = t.n {join} WHERE {within}"
            )
            tables.append(made)
        known = any(part.event in about for part in sweep.parts)
        codes = f"{quoted(history.schema)}.{quoted('codes of ' + ' '.join(columns))}"
        entities = _number_entities(outcome, tables, codes)
        asked = _asked(outcome, sweep, truth, within)
        return cls(outcome, sweep, tables, codes, asked, entities if known else None)

    def slices(self, every: int = 1) -> Iterator[Slice]:
        """All events, or each `every`-th."""
        for part, table in zip(self.sweep.parts, self.tables, strict=True):
            count = len(part.needs) + len(part.rule.bucket)
            values = "".join(f"t.c{i}, " for i in range(count))
            some = f"WHERE t.n % {every} = 0" if every > 1 else ""
            cursor = self.outcome.db.con.cursor()
            reader = cursor.sql(
                f"SELECT {values}coalesce(t.label::TINYINT, -1) AS label, coalesce(w.code, -1) AS code "
                f"FROM {table} t LEFT JOIN {self.codes} w USING (entity) {some} ORDER BY t.n"
            ).to_arrow_reader(ROWS)
            for batch in reader:
                yield self._slice(part, batch, count)

    def _slice(self, part: Part, batch: pa.RecordBatch, count: int) -> Slice:
        needs = len(part.needs)
        columns = [batch.column(i) for i in range(count)]
        worked = Batch(self.sweep.analysis, part, columns[:needs], batch.num_rows)
        labels, codes = batch.column(count), batch.column(count + 1)
        fires = self._inside(part, columns[needs:], batch.num_rows)
        return Slice(
            worked,
            part,
            fires,
            labels.to_numpy(zero_copy_only=False),
            codes.to_numpy(zero_copy_only=False),
        )

    def _inside(self, part: Part, columns: Sequence[pa.Array], size: int) -> NDArray[np.bool_]:
        rule = part.rule
        if rule.share is None:
            return np.ones(size, np.bool_)
        types = [with_columns(self.sweep.analysis.lowerer, part.graph[n].type) for n in rule.bucket]
        makes = [from_column_value(t, part.graph[n].whole) for t, n in zip(types, rule.bucket, strict=True)]
        lists = [
            [None if v is None else make(v) for v in column.to_pylist()]
            for make, column in zip(makes, columns, strict=True)
        ]
        share, name = rule.share, rule.first_name
        return np.fromiter((inside(name, share, keys) for keys in zip(*lists, strict=True)), np.bool_, size)

    def sample(self) -> list[Slice]:
        """Some thousands of events, evenly over the history, that settings are chosen by."""
        if not self._sample:
            total = sum(self.outcome.db.value(f"SELECT count(*) FROM {t}") for t in self.tables)
            self._sample = list(self.slices(max(1, total // SAMPLE)))
        return self._sample

    def count(self, settings: Sequence[Chosen]) -> Counts:
        """What each setting hits; newly and no longer are told against the values in the policy."""
        many = len(settings)
        now = tuple(c.value for c in self.sweep.constants)
        made = Counts.of(many)
        size = self.entities
        at_once = many if size is None else max(1, min(many, MOST_MARKS // max(size, 1)))
        marks = np.zeros(many, np.int64)
        for start in range(0, many, at_once):
            stop = min(start + at_once, many)
            seen = np.zeros((stop - start, size or 0), np.bool_)
            for piece in self.slices():
                self._count(piece, settings, range(start, stop), now, made, seen)
            marks[start:stop] = seen.sum(axis=1)
        made.entities = marks if size is not None else None
        return made

    def _count(
        self,
        piece: Slice,
        settings: Sequence[Chosen],
        places: range,
        now: Chosen,
        made: Counts,
        seen: NDArray[np.bool_],
    ) -> None:
        base = piece.hits(self.sweep, now)
        for i in places:
            hits = piece.hits(self.sweep, settings[i])
            labels = piece.labels[hits]
            made.hits[i] += len(labels)
            made.right[i] += np.count_nonzero(labels == 1)
            made.wrong[i] += np.count_nonzero(labels == 0)
            made.newly[i] += np.count_nonzero(hits & ~base)
            made.no_longer[i] += np.count_nonzero(base & ~hits)
            if seen.shape[1]:
                codes = piece.entities[hits]
                seen[i - places.start, codes[codes >= 0]] = True

    def quality(self, counts: Counts, place: int) -> Quality | None:
        """How well one setting's hits agree with the labels; None without labels."""
        if self.asked.positive is None or self.asked.negative is None:
            return None
        right, wrong = int(counts.right[place]), int(counts.wrong[place])
        caught = Tally(right, wrong, int(counts.hits[place]) - right - wrong)
        return quality_of(caught, Tally(self.asked.positive, self.asked.negative))


def _asked(outcome: Outcome, sweep: Sweep, truth: str | None, within: str) -> Asked:
    events = ", ".join(text_literal(part.event) for part in sweep.parts)
    table = outcome.history.table("all")
    where = f"e.event IN ({events}) AND {within}" if events else "false"
    if truth is None:
        return Asked(outcome.db.value(f"SELECT count(*) FROM {table} e WHERE {where}"))
    row = outcome.db.rows(
        f"SELECT count(*), count(*) FILTER (l.label), count(*) FILTER (NOT l.label) "
        f"FROM {table} e LEFT JOIN {truth} l USING (n) WHERE {where}"
    )[0]
    return Asked(*row)


def _about(outcome: Outcome) -> dict[str, Field]:
    """By event type: the field whose entity an event is about, where the history has it."""
    history = outcome.history
    return {
        event: f
        for event, f in principals(history.build).items()
        if any(f.name == read.name for _, read in history.columns[event])
        or spell_path(f.path) in history.extras
    }


def _number_entities(outcome: Outcome, tables: Sequence[str], codes: str) -> int:
    """Give each entity of the columns a number; how many there are."""
    each = " UNION ".join(f"SELECT DISTINCT entity FROM {t} WHERE entity IS NOT NULL" for t in tables)
    outcome.db.con.execute(
        f"CREATE OR REPLACE TABLE {codes} AS SELECT entity, row_number() OVER (ORDER BY entity) - 1 AS code "
        f"FROM ({each or 'SELECT NULL::VARCHAR AS entity WHERE false'})"
    )
    found: int = outcome.db.value(f"SELECT count(*) FROM {codes}")
    return found
