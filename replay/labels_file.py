"""Labels in a file of their own: JSON lines, CSV or Parquet, each row one label.

What a row belongs to is told by its columns, the first of these that are there:

================== =====================================================================================
`place`            the event at a place of the history, such as `day.jsonl:12`
`entity` and `id`  the events of an entity: its kind, such as `User`, and its id
`id`               the event with this id, of the type in the column `event` where there is one
a kind's name      the events of an entity of that kind: a column `User` or `user` with its id
none of them       row n of the labels belongs to row n of the history, which is then one file
================== =====================================================================================

The label stands in the column `label`, or in the only other column there is: true or false, or a text of
which `positive` says which is positive (`spam`, or `kind=raid` to name the column as well). Where no column
is left each row is positive.

Two columns tell times. `from` says since when an entity is what its label says: its earlier events have no
label, and a later row of the same entity takes over. `known_at` says when the label became known. That
changes nothing about what was true, so such a label counts for all events; reports tell how many were caught
before it was known, and `known_by` leaves out what was found out after that time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from quell.engine.compile import Build
from quell.engine.event_problems import Refusal
from quell.engine.source_base import Source
from quell.engine.sources import open_source
from quell.grammar.diagnostics import did_you_mean
from quell.replay.backtest_values import Beside
from quell.replay.database import Database, quoted
from quell.replay.history import History
from quell.replay.labels import Labels, LabelsError, Truth
from quell.replay.train_labels import record_of, spelled, yes_or_no
from quell.signals.values import Unfit, micros

By = Literal["place", "entity", "id", "row"]
BATCH = 50_000
_PLACE = re.compile(r".+(?::| row )[0-9]{1,18}", re.ASCII | re.DOTALL)
TIMES = ("from", "known_at")
ROWS = pa.schema(
    [("kind", pa.string()), ("key", pa.string()), ("row", pa.int64()), ("label", pa.bool_()),
     ("since", pa.int64()), ("known", pa.int64())]
)  # fmt: skip


@dataclass(slots=True)
class Shape:
    """What a file's columns say: what rows belong to, by which columns, and where the label stands. `kind` is
    the entity's, where a column is named as one."""

    by: By
    key: str = ""
    scope: str | None = None
    kind: str = ""
    label: str | None = None


@dataclass(slots=True)
class FileLabels(Labels):
    """Labels in a file, read when the command begins: what is wrong with it is told before any work."""

    text: str
    build: Build
    beside: Beside
    positive: tuple[str, ...] = ()
    known_by: int | None = None
    last: int = 0
    """The number of the file's last record, once it was read."""
    shape: Shape = field(init=False)
    _columns: list[str] = field(init=False)

    def __post_init__(self) -> None:
        from quell.replay.labels_join import entity_fields

        with open_source(self.text) as source:
            first = _some(_records(source))
        if not first:
            raise LabelsError(f"`{self.text}` holds no label")
        self._columns = list(dict.fromkeys(name for record in first for name in record))
        self.shape = shape_of(self._columns, self.build, self.positive)
        if self.known_by is not None and "known_at" not in self._columns:
            raise LabelsError(f"`{self.text}` has no column `known_at`, which --known-by asks for")
        self._check_values(first)
        if self.shape.by == "entity":
            for _, event, of in entity_fields(self.build, self.shape.kind):
                self.beside.field(event, of)

    def _check_values(self, first: list[dict[str, Any]]) -> None:
        """Refuse a column of texts, where nobody says which are positive, before any work is done."""
        name = self.shape.label
        if self.positive or name is None:
            return
        seen = Counter(said for record in first if (said := _text(record.get(name))) is not None)
        unclear = [said for said, _ in seen.most_common() if yes_or_no(said) is None]
        if unclear:
            told = ", ".join(f"`{said}`" for said in sorted(unclear[:6]))
            raise LabelsError(
                f"the column `{name}` of `{self.text}` is neither true nor false: it holds {told}",
                "say which value is positive: --positive VALUE (may be repeated)",
            )

    def attach(self, history: History) -> Truth:
        from quell.replay.labels_join import join

        rows = f"{history.schema}_label_rows"
        left_out = self._load(history.db, rows)
        return join(history, self, quoted(rows), left_out)

    def _load(self, db: Database, name: str) -> int:
        """Put the file's rows in a table; gives how many were found out later than is asked for."""
        db.con.register("_empty", ROWS.empty_table())
        db.con.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS SELECT * FROM _empty")
        db.con.unregister("_empty")
        read = _Reader(self)
        with open_source(self.text) as source:
            for batch in read.batches(source):
                db.con.register("_batch", batch)
                db.con.execute(f"INSERT INTO {quoted(name)} SELECT * FROM _batch")
                db.con.unregister("_batch")
        read.check()
        self.last = read.last
        return read.later


def _some(records: Iterator[tuple[int, dict[str, Any], str]], most: int = 20_000) -> list[dict[str, Any]]:
    out = []
    for _, record, _ in records:
        out.append(record)
        if len(out) >= most:
            break
    return out


def _records(source: Source) -> Iterator[tuple[int, dict[str, Any], str]]:
    """The records of a file of labels with their numbers and places. Raises LabelsError for what is none."""
    for number, payload in source:
        record = record_of(payload)
        if not isinstance(record, dict):
            told = str(payload) if isinstance(payload, Refusal) else "a label is an object with named values"
            raise LabelsError(f"{source.place(number)} is no label: {told}")
        yield number, record, source.place(number)


# ------------------------------------------------------------------------------------ the columns


def shape_of(columns: Sequence[str], build: Build, positive: Sequence[str]) -> Shape:
    """What the columns of a file say. Raises LabelsError."""
    made = _keyed(columns, build)
    named = {part.split("=", 1)[0] for part in positive if "=" in part and part.split("=", 1)[0] in columns}
    if len(named) > 1:
        told = " and ".join(f"`{name}`" for name in sorted(named))
        raise LabelsError(f"`--positive` names two columns, {told}", "a label stands in one column")
    used = {made.key, made.scope, *TIMES}
    left = [name for name in columns if name not in used]
    if named:
        made.label = next(iter(named))
    elif "label" in columns:
        made.label = "label"
    elif len(left) == 1:
        made.label = left[0]
    elif left:
        told = ", ".join(f"`{name}`" for name in left[:6])
        raise LabelsError(
            f"the file of labels has no column `label`, and {told} could be meant",
            f"name the column with its value: --positive {left[0]}=VALUE",
        )
    if made.label is None and made.by == "row":
        raise LabelsError("the file of labels has no column that says what it labels")
    return made


def _keyed(columns: Sequence[str], build: Build) -> Shape:
    if "place" in columns:
        return Shape("place", "place")
    if "entity" in columns:
        if "id" not in columns:
            raise LabelsError("the labels have a column `entity` and none called `id`", "name both")
        return Shape("entity", "id", "entity")
    if "id" in columns:
        return Shape("id", "id", "event" if "event" in columns else None)
    kinds = {name: kind for kind in build.analysis.symbols.entities for name in (kind, kind.lower())}
    found = [name for name in columns if name in kinds]
    if len(found) > 1:
        told = " and ".join(f"`{name}`" for name in found)
        raise LabelsError(
            f"the labels have a column for each of {told}", "label one kind of entity in a file"
        )
    if found:
        return Shape("entity", found[0], None, kinds[found[0]])
    return Shape("row")


# --------------------------------------------------------------------------------------- the rows


class _Reader:
    """Makes rows of the table of the records of a file."""

    def __init__(self, labels: FileLabels) -> None:
        self._file, self._shape, self._known_by = labels.text, labels.shape, labels.known_by
        self._entities = list(labels.build.analysis.symbols.entities)
        name = f"{self._shape.label}="
        self._positive = {p.removeprefix(name) for p in labels.positive}
        self._seen: Counter[str] = Counter()
        self.later = self.last = 0

    def batches(self, source: Source) -> Iterator[pa.Table]:
        """All rows, some thousands at a time. Raises LabelsError, SourceError."""
        held: list[tuple[Any, ...]] = []
        for number, record, place in _records(source):
            self.last = number
            row = self._row(number, record, place)
            if row is None:
                continue
            held.append(row)
            if len(held) >= BATCH:
                yield _table(held)
                held = []
        if held:
            yield _table(held)

    def _row(self, number: int, record: dict[str, Any], place: str) -> tuple[Any, ...] | None:
        """One row; None for a record that labels nothing."""
        shape = self._shape
        label = self._label(record, place)
        known = _time(record, "known_at", place)
        if label is None:
            return None
        if self._known_by is not None and (known is None or known > self._known_by):
            self.later += 1
            return None
        kind, key, row = shape.kind, None, number
        if shape.by != "row":
            key = _text(record.get(shape.key))
            if key is None:
                return None
        if shape.by == "place":
            _check_place(key or "", place)
        elif shape.scope is not None:
            kind = _text(record.get(shape.scope)) or ""
            if shape.by == "entity" and kind not in self._entities:
                near = did_you_mean(kind, self._entities) or "the policies declare " + ", ".join(
                    f"`{name}`" for name in self._entities[:6]
                )
                raise LabelsError(f"there is no entity `{kind}` ({place})", near)
        return kind, key, row, label, _time(record, "from", place), known

    def _label(self, record: dict[str, Any], place: str) -> bool | None:
        name = self._shape.label
        if name is None:
            return True
        value = record.get(name)
        if value is None or value == "":
            return None
        said = _text(value)
        if said is None:
            raise LabelsError(f"the label at {place} is {spelled(value)}, not true, false or a text")
        if len(self._seen) < 1_000 or said in self._seen:
            self._seen[said] += 1
        if self._positive:
            return said in self._positive
        label = yes_or_no(said)
        if label is not None:
            return label
        raise LabelsError(
            f"the column `{name}` of `{self._file}` is neither true nor false: it is `{said}` ({place})",
            "say which value is positive: --positive VALUE (may be repeated)",
        )

    def check(self) -> None:
        """Refuse a file whose values are none of those that are positive."""
        absent = sorted(self._positive - set(self._seen))
        column = absent[0].partition("=")[0] if absent else ""
        if absent and "=" in absent[0] and column.isidentifier():
            raise LabelsError(
                f"`{self._file}` has no column `{column}`", f"its labels stand in `{self._shape.label}`"
            )
        if absent:
            most = ", ".join(f"`{value}`" for value, _ in self._seen.most_common(6)) or "nothing"
            raise LabelsError(
                f"no label of `{self._file}` is `{absent[0]}`",
                f"its column `{self._shape.label}` holds {most}",
            )


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    arrays = [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), ROWS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=ROWS)


def _text(value: Any) -> str | None:
    """A key or value as text: ids that are whole numbers too, exactly."""
    if value is None or value == "" or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _check_place(key: str, place: str) -> None:
    if not _PLACE.fullmatch(key):
        hint = "write the file and the line: day.jsonl:12"
        raise LabelsError(f"`{key}` is no place of an event ({place})", hint)


def _time(record: dict[str, Any], column: str, place: str) -> int | None:
    value = record.get(column)
    if value is None or value == "":
        return None
    try:
        return int(micros(value))
    except (Unfit, OverflowError, ValueError) as error:
        raise LabelsError(f"`{column}` at {place} is {spelled(value)}, which is no time") from error
