"""The values of a history's events as a table: what a model is trained on, as the engine saw it.

`walk` decides a history and gives the values of each event; `FeatureWriter` puts them in a Parquet file as
they come. Columns are `seq`, `event`, `id`, `at` (as in the decision), then the values: numbers are
doubles, times UTC timestamps in microseconds, durations doubles in seconds, entities, addresses and `one
of` are text, lists are lists, records structs; missing is null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quell.engine.decision import Decision, Reply
from quell.engine.decision_summary import Summary
from quell.engine.events import Decoded
from quell.engine.source_base import Payload, Source
from quell.engine.sources import read_record
from quell.engine.stepper import Stepper
from quell.grammar.types import Type
from quell.replay.named_values import NotAValue, Tap, Tapped

BATCH = 8_192
"""Rows that are held before they are written."""
FIRST_COLUMNS = ("seq", "event", "id", "at")
_SECOND = 1_000_000


class Row(NamedTuple):
    """One event: its decision, its values in the order of the columns, and the record it was read from."""

    decision: Decision
    values: tuple[Any, ...]
    number: int
    payload: Payload


def walk(
    tapped: Tapped, source: Source, summary: Summary, tell: Callable[[int], None], limit: int | None = None
) -> Iterator[Row]:
    """Decide a history in order, labels by hand included; gives the events that have values. Every answer
    goes to `summary`, and `tell` is called after each with how many there were. Raises SourceError."""
    stepper, tap, decoder = Stepper(tapped.build), Tap(tapped), tapped.build.decoder
    for done, (number, payload) in enumerate(source, 1):
        event = read_record(payload, decoder)
        if isinstance(event, Decoded):
            answer: Reply = stepper.decide_decoded(event, tap.observe)
        else:
            answer = stepper.reply(event)
        if not isinstance(answer, Decision):
            summary.add(answer, source.place(number))
        else:
            summary.add(answer, source.place(number) if answer.problems else "")
            if tap.row is not None:
                yield Row(answer, tap.row, number, payload)
        tell(done)
        if done == limit:
            return


# ---------------------------------------------------------------------------------------- columns


def arrow_type(type_: Type, name: str = "") -> pa.DataType:
    """The column type that holds a value. Raises NotAValue for what no table can hold."""
    if type_.kind == "list":
        element = type_.element
        empty = element is None or element.kind in ("missing", "var")
        return pa.list_(pa.null() if element is None or empty else arrow_type(element, name))
    if type_.kind == "record":
        return pa.struct([(column, arrow_type(inner, name)) for column, inner in type_.columns])
    found = _ARROW.get(type_.kind)
    if found is None:
        raise NotAValue(f"`{name}` is a {type_}, which a table cannot hold")
    return found


_ARROW: Mapping[str, pa.DataType] = {
    "bool": pa.bool_(),
    "number": pa.float64(),
    "duration": pa.float64(),
    "time": pa.timestamp("us", "UTC"),
    "text": pa.string(),
    "ip": pa.string(),
    "entity": pa.string(),
    "enum": pa.string(),
    "missing": pa.null(),
}


def converter(type_: Type) -> Callable[[Any], Any] | None:
    """What makes a present value ready for its column; None where it is as it should be."""
    if type_.kind == "duration":
        return lambda value: value / _SECOND
    if type_.kind == "list" and type_.element is not None:
        inner = converter(type_.element)
        return None if inner is None else lambda values: [inner(v) for v in values]
    if type_.kind == "record":
        inside = [(name, converter(t)) for name, t in type_.columns]
        return lambda value: {n: _with(c, value.get(n)) for n, c in inside}
    return None


def _with(convert: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if convert is None or value is None else convert(value)


def schema_of(types: Mapping[str, Type]) -> pa.Schema:
    """The table's columns. Raises NotAValue where a value has the name of one that is always there."""
    taken = next((name for name in types if name in FIRST_COLUMNS), None)
    if taken is not None:
        raise NotAValue(f"`{taken}` is a column already", "leave it out, or give the value another name")
    first = [("seq", pa.int64()), ("event", pa.string()), ("id", pa.string())]
    at = ("at", pa.timestamp("us", "UTC"))
    return pa.schema([*first, at, *((name, arrow_type(t, name)) for name, t in types.items())])


@dataclass(slots=True)
class Profile:
    """What was written of one column: how many values are missing, and of numbers the range."""

    type: Type
    missing: int = 0
    least: float | None = None
    most: float | None = None

    def note(self, column: pa.Array) -> None:
        """Take in one batch."""
        self.missing += column.null_count
        if self.type.kind not in ("number", "duration") or column.null_count == len(column):
            return
        found = pc.call_function("min_max", [column]).as_py()
        self.least = found["min"] if self.least is None else min(self.least, found["min"])
        self.most = found["max"] if self.most is None else max(self.most, found["max"])


class FeatureWriter:
    """Writes rows to a Parquet file as they come, holding at most `BATCH` of them. The file is whole once
    `close` was called, or the block that it opens is left. `types` are the columns after the first four;
    raises NotAValue for one that a table cannot hold."""

    def __init__(self, stream: IO[bytes], types: Mapping[str, Type]) -> None:
        self.schema = schema_of(types)
        self.profiles = {name: Profile(t) for name, t in types.items()}
        self.rows = 0
        self._writer = pq.ParquetWriter(stream, self.schema, compression="zstd")
        self._convert = [converter(t) for t in types.values()]
        self._held: list[Row] = []

    def write(self, row: Row) -> None:
        """Write one row."""
        self._held.append(row)
        if len(self._held) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        decisions = [row.decision for row in self._held]
        columns: list[list[Any]] = [
            [d.seq for d in decisions],
            [d.event for d in decisions],
            [d.id for d in decisions],
            [d.at for d in decisions],
        ]
        values = zip(*(row.values for row in self._held), strict=True)
        for convert, column in zip(self._convert, values, strict=True):
            columns.append(list(column) if convert is None else [_with(convert, v) for v in column])
        arrays = [pa.array(c, f.type) for c, f in zip(columns, self.schema, strict=True)]
        for profile, array in zip(self.profiles.values(), arrays[len(FIRST_COLUMNS) :], strict=True):
            profile.note(array)
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self.schema))
        self.rows += len(self._held)
        self._held.clear()

    def close(self) -> None:
        """Write what is held, and the end of the file."""
        self._flush()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._writer.close()  # what it leaves is no file that anybody keeps
