"""Events as rows of a Parquet file, some thousands at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quell.engine.event_pick import refuse_size
from quell.engine.source_base import Payload, Source, SourceError
from quell.engine.source_columns import python_values
from quell.engine.source_streams import BROKEN, broken

BATCH_ROWS = 2048


class Parquet(Source):
    """A Parquet file: integers and times as they are, nested columns as objects and lists.

    Times keep microseconds (finer digits are cut off) and their zone counts; one without a zone is UTC.
    A column called ``author.id`` is read as ``id`` within ``author``, unless a field asks for the whole
    of it as one key.
    """

    unit = "rows"

    def __init__(self, stream: BinaryIO, name: str, columns: Collection[str] | None, max_bytes: int) -> None:
        self.name, self._max_bytes = name, max_bytes
        self._stream, self._position = stream, 0
        try:
            self._file = pq.ParquetFile(stream)
        except BROKEN as error:
            raise _not_parquet(name, stream) from error
        self.total: int | None = self._file.metadata.num_rows
        self._choose(columns)

    def _choose(self, columns: Collection[str] | None) -> None:
        """Find out which columns to read, and which have paths for names."""
        names = [str(n) for n in self._file.schema_arrow.names]
        self._nested = {n: tuple(n.split(".")) for n in names if "." in n and n not in (columns or ())}
        outermost = {n: self._nested.get(n, (n,))[0] for n in names}
        self._columns = None
        if columns is not None and not self._nested:
            self._columns = [n for n in names if outermost[n] in columns]

    def __iter__(self) -> Iterator[tuple[int, Payload]]:
        batches = self._file.iter_batches(batch_size=BATCH_ROWS, columns=self._columns)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                rows, longest = self._rows(batch), max(map(_longest, batch.columns), default=0)
            except BROKEN as error:
                raise broken(self.name, error, f", after row {self._position}") from error
            for i, row in enumerate(rows):
                self._position += 1
                size = 0 if longest <= self._max_bytes else batch.slice(i, 1).nbytes
                yield self._position, refuse_size(size, self._max_bytes) if size > self._max_bytes else row

    def _rows(self, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        """The rows of a batch as dicts of plain Python values."""
        columns = {name: _values(batch.column(i)) for i, name in enumerate(batch.schema.names)}
        if batch.num_columns == 0:
            return [{} for _ in range(batch.num_rows)]
        names = list(columns)
        rows = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        if self._nested:
            for row in rows:
                _nest(row, self._nested)
        return rows

    @property
    def position(self) -> int:
        return self._position

    def close(self) -> None:
        self._stream.close()

    def place(self, number: int) -> str:
        return f"{self.name} row {number}"


def _nest(row: dict[str, Any], paths: dict[str, tuple[str, ...]]) -> None:
    """Put the values of columns with dotted names where their paths lead."""
    for name, path in paths.items():
        value = row.pop(name, None)
        target: Any = row
        for key in path[:-1]:
            inner = target.get(key)
            if inner is None:
                inner = target[key] = {}
            target = inner
            if not isinstance(target, dict):
                break
        if isinstance(target, dict):
            target.setdefault(path[-1], value)


def _values(column: pa.Array) -> list[Any]:
    """A column as Python values; a value that Python cannot hold as `Unread`."""
    exact = _python_type(column.type)
    return python_values(column if exact.equals(column.type) else column.cast(exact, safe=False))


def _longest(column: pa.Array) -> int:
    """The bytes of the longest text in a column, whatever it stands in."""
    kind, types = column.type, pa.types
    if types.is_struct(kind):
        return max(map(_longest, column.flatten()), default=0)
    if types.is_list(kind) or types.is_large_list(kind):
        return _longest(column.flatten())
    if types.is_dictionary(kind):
        return _longest(column.dictionary)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind):
        lengths = pc.call_function("binary_length", [column])
        return int(pc.call_function("max", [lengths]).as_py() or 0)
    return 0


def _python_type(kind: pa.DataType) -> pa.DataType:
    """The type whose values become plain Python values: no nanoseconds, no zone but UTC, no
    dictionaries. Whatever is inside counts too."""
    types = pa.types
    if types.is_timestamp(kind):
        return pa.timestamp("us" if kind.unit == "ns" else kind.unit, None if kind.tz is None else "UTC")
    if types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if types.is_time64(kind):
        return pa.time64("us")
    if types.is_dictionary(kind):
        return _python_type(kind.value_type)
    if types.is_struct(kind):
        return pa.struct([f.with_type(_python_type(f.type)) for f in kind])
    if types.is_list(kind) or types.is_large_list(kind):
        item = kind.value_field.with_type(_python_type(kind.value_type))
        return pa.large_list(item) if types.is_large_list(kind) else pa.list_(item)
    if types.is_map(kind):
        return pa.map_(_python_type(kind.key_type), _python_type(kind.item_type))
    return kind


def _not_parquet(name: str, stream: BinaryIO) -> SourceError:
    stream.seek(0)
    if stream.read(4) == b"PAR1":
        return SourceError(f"`{name}` is Parquet, but ends too early or is damaged", "copy or make it again")
    return SourceError(f"`{name}` is not Parquet", "give it the ending of what it is, such as .jsonl or .csv")
