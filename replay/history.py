"""A history as columns: every event that a bundle takes, in the order in which it is replayed.

`ingest` reads files of events into tables of a DuckDB schema. Each row is what the bundle's own decoder made
of a record, so what online refuses is refused here, with the same words.

========== ==========================================================================================
`all`      n, event, at, id, file, row, and the extras: every admitted event (`n` counts from 1 in order)
`e0`, `e1` n, at, f0, f1, …: the events of one type (by the place of its schema) with the fields that the
           bundle reads (by the place in the schema), as `history_types` says
`hands`    n, at, action: labels by hand, as JSON
`problems` n, kind, field, path, expected, got: optional values of the wrong kind, missing to the rules
`refused`  file, row, event, kind, path, message, place
========== ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa

from quell.engine.compile import Build
from quell.engine.event_problems import Refusal
from quell.engine.events import Decoded
from quell.engine.hand import HAND, HandAction, LabelError, check
from quell.engine.schema import EventSchema, Field, Segment
from quell.engine.source_base import Payload
from quell.engine.sources import open_source, read_record
from quell.replay.database import Database, quoted
from quell.replay.history_types import arrow_type, to_column
from quell.replay.train_labels import follow, record_of

Order = Literal["time", "given"]
"""By time, equal times as the files have them; or just as the files have them, late events and all."""
Extras = Mapping[str, tuple[Segment, ...]]
"""Values to read beside what policies read: a column's name, and the path into the record. Columns hold
JSON."""
BATCH = 8_192


@dataclass(slots=True)
class History:
    """What `ingest` made: the schema of the database that holds the tables, and figures of the files.

    `late` counts the events that came after later ones in the order of the files; `sorted` says that the
    order of the tables is that of time.
    """

    db: Database
    schema: str
    build: Build
    files: list[str]
    extras: tuple[str, ...]
    order: Order
    records: int = 0
    events: int = 0
    hands: int = 0
    refused: int = 0
    problems: int = 0
    late: int = 0
    sorted: bool = True
    columns: dict[str, list[tuple[str, Field]]] = field(default_factory=dict)
    """By event type: the columns of its table with the fields they hold."""

    def table(self, name: str) -> str:
        """A table as SQL names it."""
        return f"{quoted(self.schema)}.{quoted(name)}"

    def of(self, event: str) -> str:
        """The table of an event type."""
        return self.table(f"e{list(self.build.analysis.symbols.schemas).index(event)}")


def principal(schema: EventSchema) -> Field | None:
    """The field whose entity an event is about: the first that is one entity."""
    return next((f for f in schema.fields if f.type.kind == "entity"), None)


def ingest(
    db: Database,
    schema: str,
    build: Build,
    files: Sequence[str | Path],
    *,
    order: Order = "time",
    format: Any = None,
    extras: Extras | None = None,
    tell: Callable[[int, int | None], None] = lambda done, of: None,
) -> History:
    """Read files of events into a new schema of the database. Raises SourceError."""
    paths = [str(f) for f in files]
    history = History(db, schema, build, paths, tuple(extras or ()), order)
    writer = _Writer(history, dict(extras or {}))
    for number, path in enumerate(paths):
        with open_source(
            path,
            format=format,
            columns=None if extras else build.decoder.columns(),
            max_bytes=build.decoder.max_bytes,
        ) as source:
            for row, payload in source:
                writer.take(number, row, payload, source.place)
                if history.records % 1024 == 0:
                    tell(source.position, source.total)
    writer.finish()
    return history


def read_entry(payload: Payload, build: Build) -> Decoded | HandAction | Refusal:
    """One record as a bundle takes it. A label by hand that the bundle does not declare is refused."""
    entry = read_record(payload, build.decoder)
    if isinstance(entry, HandAction):
        try:
            check(build.analysis.symbols, entry.entity, entry.label)
        except LabelError as error:
            return Refusal(kind="bad-label", message=f"`{HAND}` refused: {error}", event=HAND)
    return entry


class _Writer:
    """Puts records into tables as they come, some thousands at a time."""

    def __init__(self, history: History, extras: Extras) -> None:
        self.history, self.extras = history, extras
        self.con = history.db.con
        self.con.execute(f"CREATE SCHEMA {quoted(history.schema)}")
        build = history.build
        self._ids, self._readers, self._schemas = [], [], []
        for name, spec in build.analysis.symbols.schemas.items():
            used = [(f"f{i}", f) for i, f in enumerate(spec.fields) if self._is_read(name, f)]
            history.columns[name] = used
            self._ids.append(build.identifier(name))
            self._readers.append(
                [(c, build.reader(name, f.name), to_column(f.type, f.record)) for c, f in used]
            )
            columns = [("n", pa.int64()), ("at", pa.int64())]
            columns += [(c, arrow_type(f.type, f.record)) for c, f in used]
            self._schemas.append(pa.schema(columns))
        self._all_schema = pa.schema(
            [("n", pa.int64()), ("event", pa.string()), ("at", pa.int64()), ("id", pa.string()),
             ("file", pa.int32()), ("row", pa.int64()), *((e, pa.string()) for e in extras)]
        )  # fmt: skip
        self._tables: dict[str, tuple[pa.Schema, list[list[Any]]]] = {
            "all": (self._all_schema, []),
            "hands": (
                pa.schema(
                    [
                        ("n", pa.int64()),
                        ("at", pa.int64()),
                        ("action", pa.string()),
                        ("file", pa.int32()),
                        ("row", pa.int64()),
                    ]
                ),
                [],
            ),
            "problems": (
                pa.schema(
                    [
                        ("n", pa.int64()),
                        *((c, pa.string()) for c in ("kind", "field", "path", "expected", "got")),
                    ]
                ),
                [],
            ),
            "refused": (
                pa.schema(
                    [
                        ("file", pa.int32()),
                        ("row", pa.int64()),
                        *((c, pa.string()) for c in ("event", "kind", "path", "message", "place")),
                    ]
                ),
                [],
            ),
            **{f"e{i}": (s, []) for i, s in enumerate(self._schemas)},
        }
        for name, (arrow, _) in self._tables.items():
            self.con.register("_empty", arrow.empty_table())
            self.con.execute(f"CREATE TABLE {history.table(name)} AS SELECT * FROM _empty")
        self._n = 0
        self._newest: int | None = None

    def _is_read(self, event: str, f: Field) -> bool:
        try:
            self.history.build.decoder.loader(event, f.name)
        except KeyError:
            return False
        return True

    def take(self, file: int, row: int, payload: Any, place: Callable[[int], str]) -> None:
        history = self.history
        history.records += 1
        entry = read_entry(payload, history.build)
        if isinstance(entry, Refusal):
            history.refused += 1
            self._put(
                "refused", [file, row, entry.event or None, entry.kind, entry.path, str(entry), place(row)]
            )
            return
        self._n += 1
        if self._newest is not None and entry.at < self._newest:
            history.late += 1
        else:
            self._newest = entry.at
        if isinstance(entry, HandAction):
            history.hands += 1
            self._put("hands", [self._n, entry.at, msgspec.json.encode(entry).decode(), file, row])
            return
        history.events += 1
        extras = []
        if self.extras:
            record = record_of(payload)
            for path in self.extras.values():
                value = follow(record, path)
                extras.append(None if value is None else msgspec.json.encode(value, enc_hook=str).decode())
        id = self._ids[entry.index](entry.e, entry.at)
        self._put("all", [self._n, entry.event, entry.at, id, file, row, *extras])
        values = [self._n, entry.at]
        for _, read, make in self._readers[entry.index]:
            value = read(entry.e, entry.at)
            values.append(value if make is None or value is None else make(value))
        self._put(f"e{entry.index}", values)
        for p in entry.problems:
            history.problems += 1
            self._put("problems", [self._n, p.kind, p.field, p.path, p.expected, p.got])

    def _put(self, name: str, row: list[Any]) -> None:
        held = self._tables[name][1]
        held.append(row)
        if len(held) >= BATCH:
            self._flush(name)

    def _flush(self, name: str) -> None:
        schema, held = self._tables[name]
        if not held:
            return
        arrays = [pa.array(c, f.type) for c, f in zip(zip(*held, strict=True), schema, strict=True)]
        self.con.register("_batch", pa.Table.from_arrays(arrays, schema=schema))
        self.con.execute(f"INSERT INTO {self.history.table(name)} SELECT * FROM _batch")
        self.con.unregister("_batch")
        held.clear()

    def finish(self) -> None:
        """Write what is held, and put the rows in order."""
        for name in self._tables:
            self._flush(name)
        history = self.history
        history.sorted = history.late == 0
        if history.order == "time" and not history.sorted:
            self._sort()
            history.sorted = True

    def _sort(self) -> None:
        table = self.history.table
        self.con.execute(
            f'CREATE TEMP TABLE _order AS SELECT n AS was, row_number() OVER (ORDER BY "at", n) AS n FROM '
            f'(SELECT n, "at" FROM {table("all")} UNION ALL SELECT n, "at" FROM {table("hands")})'
        )
        for name in self._tables:
            if name == "refused":
                continue
            self.con.execute(
                f"CREATE OR REPLACE TABLE {table(name)} AS SELECT o.n, t.* EXCLUDE (n) FROM {table(name)} t "
                f"JOIN _order o ON o.was = t.n ORDER BY o.n"
            )
        self.con.execute("DROP TABLE _order")
