"""What the events of a history really were, for judging what a bundle decided.

`--labels` takes one of three things:

* a path into the record: `$.label == "spam"`, `$.kind in ["raid", "flood"]`, or `$.reported` where its value
  is true or false;
* an expression of the policy language over what policies declare: `reports > 3`;
* a file of labels (`quell.replay.labels_file`), keyed by event, by place, by entity, or line by line.

A label judges what was true of an event, so it counts whenever it became known; `known_at` in a file tells
how much was caught before, and `known_by` leaves out what was found out later. An event without a label
enters no rate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from quell.engine.compile import Build
from quell.replay.backtest_values import Beside
from quell.replay.database import quoted
from quell.replay.history import History
from quell.replay.report_data import Labelled
from quell.replay.train_labels import RecordLabel

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".pq", ".gz", ".zst")


class LabelsError(Exception):
    """Labels that cannot judge a history. `hint` is what to try."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(slots=True)
class Truth:
    """The labels of a history's events: a table (n, label, known), what to say of them."""

    table: str
    labelled: Labelled
    notes: list[str] = field(default_factory=list)
    timed: bool = False
    """Whether the labels say when they became known."""


class Labels(ABC):
    """Labels as the command line names them; `attach` finds the events that have one."""

    text: str

    @abstractmethod
    def attach(self, history: History) -> Truth:
        """Put the labels of a history's events in a table. Raises LabelsError, SourceError, NotAValue."""


def read_labels(
    text: str,
    build: Build,
    beside: Beside,
    *,
    positive: Sequence[str] = (),
    known_by: int | None = None,
    format: Any = None,
) -> Labels:
    """Labels by what the command line says they are. What they need of the records goes to `beside`; `format`
    is the history's. Raises NotAValue, LabelsError, SourceError."""
    from quell.replay.labels_file import FileLabels
    from quell.replay.labels_rules import RuleLabels
    from quell.replay.train_labels import read_label

    if is_file(text):
        return FileLabels(text, build, beside, tuple(positive), known_by)
    for given, option in ((positive, "--positive"), (known_by is not None, "--known-by")):
        if given:
            value = positive[0].rpartition("=")[2] if positive else "spam"
            hint = f"write what the label is where it is positive: '{text} == \"{value}\"'"
            raise LabelsError(
                f"`{option}` belongs to a file of labels, and `{text}` is none",
                hint if text.startswith("$") and "==" not in text else "",
            )
    label = read_label(text, build.analysis)
    if isinstance(label, RecordLabel):
        return PathLabels(label, beside.path(label.path))
    return RuleLabels(label, build, format)


def is_file(text: str) -> bool:
    """Whether what was said names a file: one that is there, or what is spelled like one."""
    if text.startswith("$"):
        return False
    try:
        return Path(text).is_file() or text.lower().endswith(ENDINGS)
    except (OSError, ValueError):
        return False


def truth_of(history: History, text: str, rows: str) -> Truth:
    """Put the labels of a history's events in a table. `rows` is a query that gives n, label and known (NULL
    where nothing says when), `text` what the labels are called."""
    table = quoted(f"{history.schema}_truth")
    history.db.con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {rows}")
    positive, negative, timed = history.db.rows(
        f"SELECT count(*) FILTER (label), count(*) FILTER (NOT label), count(known) > 0 FROM {table}"
    )[0]
    unlabelled = history.events - positive - negative
    return Truth(table, Labelled(text, positive, negative, unlabelled), timed=timed)


@dataclass(slots=True)
class PathLabels(Labels):
    """Labels by what stands at a path of the record, which is a column of the history."""

    label: RecordLabel
    column: str

    @property
    def text(self) -> str:  # type: ignore[override]  # an attribute of the others
        """The label as it was written."""
        return self.label.text

    def attach(self, history: History) -> Truth:
        column = quoted(self.column)
        values = history.db.rows(
            f"SELECT DISTINCT {column} FROM {history.table('all')} WHERE {column} IS NOT NULL ORDER BY ALL"
        )
        said = [(value, self.label.said(msgspec.json.decode(value))) for (value,) in values]
        if not any(label is not None for _, label in said):
            raise self._nothing()
        columns = {
            "value": pa.array([v for v, _ in said]),
            "label": pa.array([x for _, x in said], pa.bool_()),
        }
        history.db.con.register("_said", pa.table(columns))
        found = truth_of(
            history,
            self.text,
            f"SELECT n, label, NULL::BIGINT AS known FROM {history.table('all')} "
            f"JOIN _said ON {column} = value WHERE label IS NOT NULL",
        )
        history.db.con.unregister("_said")
        if self.label.values and not found.labelled.positive:
            seen = ", ".join(f"`{value}`" for value in sorted(self.label.seen)[:5])
            raise LabelsError(f"the label `{self.text}` is true of no event", f"the values there are {seen}")
        return found

    def _nothing(self) -> LabelsError:
        if self.label.unclear:
            seen = ", ".join(f"`{value}`" for value in sorted(self.label.unclear)[:5])
            hint = f"compare it, such as {self.text} == {sorted(self.label.unclear)[0]}"
            return LabelsError(f"the label `{self.text}` is neither true nor false: it is {seen}", hint)
        return LabelsError(f"no event of the history has the label `{self.text}`", "look at a record of it")
