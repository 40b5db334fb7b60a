"""Files of a history as records: those of `quell.engine.sources`, tables of DuckDB files besides.

A table knows its rows in two ways: as Python values for the decoder, and by name for SQL (`Table`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa

from quell.engine.event_problems import Refusal
from quell.engine.source_base import Payload, Source, SourceError
from quell.engine.source_parquet import Parquet
from quell.engine.source_streams import BROKEN, broken
from quell.engine.sources import cannot_open, open_source
from quell.replay.database import Database, quoted, text_literal
from quell.replay.history_files import Found
from quell.replay.history_journal import JournalSource
from quell.replay.history_reading import Reading
from quell.replay.history_rows import Record

_PARQUET = (".parquet", ".pq")
_GLOBBED = "*?[]{}"
"""What DuckDB takes for a pattern in a file's name."""


@dataclass(frozen=True, slots=True)
class Table:
    """A file as SQL reads it: what stands behind FROM, a row's number from 1, its columns with both their
    types, and how many rows there are."""

    relation: str
    row: str
    arrow: pa.Schema
    duck: dict[str, Any]
    rows: int


class Rows(Parquet):
    """Rows of a Parquet file. `wider` are columns that are read besides, which count in no row's size."""

    def wider(self, columns: Collection[str]) -> None:
        """Read these columns too, and refuse no row for its size."""
        if self._columns is not None:
            names = [str(n) for n in self._file.schema_arrow.names]
            self._columns = [n for n in names if n in self._columns or n in columns]
        self._max_bytes = 1 << 62

    def schema(self) -> pa.Schema:
        """The columns that there are."""
        return self._file.schema_arrow

    def nested(self) -> dict[str, tuple[str, ...]]:
        """The paths of columns with dotted names, where they are paths."""
        return self._nested

    def read(self) -> list[str] | None:
        """The columns that count in a row's size; None for all."""
        return self._columns

    def pick(self, wanted: np.ndarray[Any, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Some rows, by their numbers in order."""
        first = 1
        for group in range(self._groups()):
            rows = self._group_rows(group)
            inside = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, first + rows)]
            if len(inside):
                yield from self._picked(group, first, inside)
            first += rows

    def _groups(self) -> int:
        return int(self._file.metadata.num_row_groups)

    def _group_rows(self, group: int) -> int:
        return int(self._file.metadata.row_group(group).num_rows)

    def _group(self, group: int) -> Iterator[pa.RecordBatch]:
        yield from self._file.iter_batches(batch_size=16_384, row_groups=[group], columns=self._columns)

    def _picked(
        self, group: int, first: int, wanted: np.ndarray[Any, Any]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for batch in self._group(group):
            end = first + batch.num_rows
            inside = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, end)]
            if len(inside):
                taken = batch.take(pa.array(inside - first))
                yield from zip(inside.tolist(), self._rows(taken), strict=True)
            first = end


class _Batches:
    """A DuckDB table in the shape that `Parquet` reads."""

    def __init__(self, db: Database, relation: str, rows: int) -> None:
        self._db, self._relation = db, relation
        self.rows = rows
        self.schema_arrow = db.con.sql(f"SELECT * FROM {relation} LIMIT 0").to_arrow_table().schema

    def iter_batches(self, batch_size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        wanted = "*" if columns is None else ", ".join(map(quoted, columns))
        query = f"SELECT {wanted or '1'} FROM {self._relation}"
        reader = self._db.con.cursor().sql(query).to_arrow_reader(batch_size)
        yield from (batch.select([]) if columns == [] else batch for batch in reader)


class DuckRows(Rows):
    """Rows of a table of a DuckDB file."""

    def __init__(
        self, db: Database, relation: str, rows: int, name: str, columns: Collection[str], max_bytes: int
    ) -> None:
        self.name, self._max_bytes, self._position = name, max_bytes, 0
        self._file = _Batches(db, relation, rows)
        self.total = rows
        self._choose(columns)

    def _groups(self) -> int:
        return 1

    def _group_rows(self, group: int) -> int:
        return self.total or 0

    def _group(self, group: int) -> Iterator[pa.RecordBatch]:
        yield from self._file.iter_batches(16_384, self._columns)

    def close(self) -> None:
        """There is nothing to let go of."""


class Opened:
    """A file of a history, opened. `table` is there for those that SQL reads too."""

    def __init__(self, db: Database, schema: str, number: int, found: Found, reading: Reading, format: Any):
        self._db, self._found, self._reading, self._format = db, found, reading, format
        self._relation, self._count = "", 0
        self.table: Table | None = None
        if found.is_duckdb and format is None:
            self._relation, self._count = _attached(db, schema, number, found)
        self.source = self._open()
        if isinstance(self.source, Rows):
            self.table = self._table(self.source)
        self.hive = {k: v for k, v in found.hive if k in reading.wide and v is not None}

    def _open(self) -> Source:
        columns, most = self._reading.columns, self._reading.decoder.max_bytes
        path = Path(self._found.path)
        if self._found.journal:
            return JournalSource(str(path), self._db.journals.get(str(path)))
        if self._relation:
            return DuckRows(self._db, self._relation, self._count, self._found.name, columns, most)
        if (self._format or path.suffix.lower()) in (*_PARQUET, "parquet"):
            try:
                stream = path.open("rb")
            except (OSError, ValueError) as error:
                raise cannot_open(path, error) from error
            try:
                return Rows(stream, path.name, columns, most)
            except BaseException:
                stream.close()
                raise
        return open_source(path, format=self._format, columns=self._reading.wide, max_bytes=most)

    def _table(self, source: Rows) -> Table | None:
        """The file as SQL reads it; None where SQL cannot name it."""
        path = self._found.path
        if self._relation:
            relation, row = self._relation, "_t.rowid + 1"
        elif any(c in path for c in _GLOBBED):
            return None
        else:
            relation = f"read_parquet({text_literal(path)}, file_row_number=true, hive_partitioning=false)"
            row = "_t.file_row_number + 1"
        try:
            made = self._db.con.sql(f"SELECT * FROM {relation}")
        except duckdb.Error:
            return None
        duck = dict(zip(made.columns, made.types, strict=True))
        duck.pop("file_row_number", None)
        if list(duck) != source.schema().names or len({n.lower() for n in duck}) < len(duck):
            return None
        return Table(relation, row, source.schema(), duck, source.total or 0)

    def records(self) -> Iterator[Record]:
        """Every record. Raises SourceError where the file breaks off."""
        try:
            yield from self._hived(self._records())
        except duckdb.Error as error:
            raise SourceError(f"`{self.source.name}` cannot be read to its end", "make it again") from error

    def _records(self) -> Iterator[Record]:
        source = self.source
        if not isinstance(source, Rows) or self._reading.wide <= self._reading.columns:
            for row, payload in source:
                yield row, payload, payload
            return
        with self._open() as other:
            assert isinstance(other, Rows)
            other.wider(self._reading.wide)
            for (row, payload), (_, wide) in zip(source, other, strict=True):
                yield row, payload if isinstance(payload, Refusal) else wide, wide

    def pick(self, wanted: np.ndarray[Any, Any]) -> Iterator[Record]:
        """Some rows of a table, by their numbers in order."""
        with self._open() as source:
            assert isinstance(source, Rows)
            source.wider(self._reading.wide)
            try:
                yield from self._hived((row, values, values) for row, values in source.pick(wanted))
            except BROKEN as error:
                raise broken(source.name, error) from error

    def _hived(self, records: Iterator[Record]) -> Iterator[Record]:
        """The same records with what the folders say."""
        if not self.hive:
            yield from records
            return
        head = msgspec.json.encode(self.hive)[:-1]
        for row, payload, record in records:
            if isinstance(payload, bytes):
                payload = self._with_head(head, payload)
            elif isinstance(payload, dict):
                for key, value in self.hive.items():
                    payload.setdefault(key, value)
            yield row, payload, record

    def _with_head(self, head: bytes, line: bytes) -> Payload:
        """An object of JSON with some more members, which its own ones outrank. What is refused for its
        bytes is refused as it stands."""
        bare = line.lstrip()
        rest = bare[1:].lstrip()
        if not bare.startswith(b"{") or len(line) > self._reading.decoder.max_bytes:
            return line
        made = head + (b"}" if rest == b"}" else b"," + rest)
        refused = self._reading.decoder.decode(made)
        told = isinstance(refused, Refusal) and refused.kind in (
            "not-json",
            "not-utf8",
            "too-large",
            "too-deep",
        )
        return line if told else made

    def close(self) -> None:
        """Let go of the file."""
        self.source.close()


# ------------------------------------------------------------------ DuckDB files


def _attached(db: Database, schema: str, number: int, found: Found) -> tuple[str, int]:
    """A table of a DuckDB file as SQL names it, and its rows, which have the numbers 0, 1, … without a gap.
    Raises SourceError."""
    path = Path(found.path)
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
    except (OSError, ValueError) as error:
        raise cannot_open(path, error) from error
    if head[8:] != b"DUCK":
        raise SourceError(f"`{path.name}` is no DuckDB file", "give it the ending of what it is")
    try:
        alias = _alias(db, str(path.resolve()))
        relation, is_table = _relation(db, alias, found)
        if is_table and (count := _dense(db, relation)) is not None:
            return relation, count
        copy = f"{quoted(schema)}.{quoted(f'_source{number}')}"
        db.run(f"CREATE OR REPLACE TABLE {copy} AS SELECT * FROM {relation}")
        return copy, int(db.value(f"SELECT count(*) FROM {copy}"))
    except duckdb.Error as error:
        said = str(error).splitlines()[0].partition(": ")[2] or "it is damaged"
        if "conflicting lock" in str(error).lower():
            raise SourceError(f"`{path.name}` is open in another program", "close it there") from error
        raise SourceError(f"`{path.name}` cannot be read as a DuckDB file", f"DuckDB says: {said}") from error


def _alias(db: Database, path: str) -> str:
    known = db.rows("SELECT path, database_name FROM duckdb_databases()")
    for where, name in known:
        if where == path:
            return str(name)
    alias = f"quell source {len(known)}"
    db.con.execute(f"ATTACH {text_literal(path)} AS {quoted(alias)} (READ_ONLY)")
    return alias


def _relation(db: Database, alias: str, found: Found) -> tuple[str, bool]:
    """The table or view that is meant, and whether it is a table."""
    names = [
        (f"{s}.{t}" if s != "main" else str(t), f"{quoted(alias)}.{quoted(s)}.{quoted(t)}", bool(is_table))
        for s, t, is_table in db.rows(
            "SELECT schema_name, table_name, true FROM duckdb_tables() "
            "WHERE database_name = ? AND NOT internal "
            "UNION ALL SELECT schema_name, view_name, false FROM duckdb_views() "
            "WHERE database_name = ? AND NOT internal ORDER BY ALL",
            alias,
            alias,
        )
    ]
    listed = ", ".join(f"`{name}`" for name, _, _ in names[:6])
    for name, relation, is_table in names:
        if found.table == name or (not found.table and len(names) == 1):
            return relation, is_table
    file = Path(found.path).name
    if not names:
        raise SourceError(f"`{file}` holds no table")
    if not found.table:
        raise SourceError(f"`{file}` holds several tables: {listed}", f"name one: {file}:{names[0][0]}")
    raise SourceError(f"`{file}` has no table `{found.table}`", f"it has {listed}")


def _dense(db: Database, relation: str) -> int | None:
    """How many rows a table has, if they are numbered without a gap."""
    count, last = db.rows(f"SELECT count(*), max(rowid) FROM {relation}")[0]
    return int(count) if last is None or last + 1 == count else None
