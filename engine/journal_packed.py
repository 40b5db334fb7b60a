"""Closed segments of a journal as Parquet files: smaller, and open to any tool that reads tables.

A row is an entry. Beside what the entry says stand its `number`, and, from the reply, the event's `type`, its
`id`, the `verdict` and the `rules` that fired. `event` and `reply` are JSON text; bytes that are no UTF-8
stand in `raw_event` and `raw_reply`, and the other is null. `key` is the digest of an Idempotency-Key in
hexadecimal, null where there was none; files from before there were keys have no such column. The file's
metadata holds the segment's head, and a checksum of the entries as they were records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any
from zlib import crc32

import msgspec

from quell.engine.journal_format import (
    FORMAT,
    Damage,
    Head,
    JournalError,
    Salt,
    number_of,
    pack_record,
)
from quell.engine.journal_records import Tell
from quell.engine.plain_files import stream_plain
from quell.engine.service_types import Entry

_KEY = b"quell.journal"
_PLAIN = (
    "kind",
    "seq",
    "decided",
    "at",
    "version",
    "wall",
    "event",
    "raw_event",
    "reply",
    "raw_reply",
    "key",
)


class Packed(msgspec.Struct, frozen=True):
    """What a file says of itself: its segment's head, the byte where the segment ended, its entries, the
    number of the last, and the checksum of all."""

    format: int
    id: str
    mark: str
    seed: int
    ordinal: int
    first: int
    previous: int
    previous_end: int
    before: int
    began: int
    end: int
    entries: int
    last: int
    check: int

    def head(self) -> Head:
        """The head of the segment that it was."""
        salt = Salt(self.id, bytes.fromhex(self.mark), self.seed)
        return Head(salt, self.ordinal, self.first, self.previous, self.previous_end, self.before, self.began)


def packed_of(head: Head, end: int, entries: int, last: int, check: int) -> Packed:
    """The same, put together."""
    id_, mark, seed = head.salt
    told = (head.ordinal, head.first, head.previous, head.end, head.before, head.began)
    return Packed(FORMAT, id_, mark.hex(), seed, *told, end, entries, last, check)


def checksum(entries: Iterable[Entry], salt: Salt, check: int = 0) -> int:
    """The checksum of entries, going on from those before."""
    for entry in entries:
        check = crc32(pack_record(salt, entry), check)
    return check


class _Said(msgspec.Struct):
    """What is taken out of a reply for a column of its own."""

    event: str | None = None
    id: str | None = None
    verdict: str | None = None
    fired: list[_Fired] = []


class _Fired(msgspec.Struct):
    rule: str = ""


_said = msgspec.json.Decoder(_Said)


def _look(reply: bytes) -> _Said:
    try:
        return _said.decode(reply) if reply else _Said()
    except msgspec.MsgspecError:  # a reply of another kind
        return _Said()


# ------------------------------------------------------------------ writing


def schema() -> Any:
    """The columns, as a pyarrow schema."""
    import pyarrow as pa

    time, text = pa.timestamp("us", "UTC"), pa.string()
    return pa.schema(
        [
            ("number", pa.int64()),
            ("kind", text),
            ("seq", pa.int64()),
            ("decided", pa.int64()),
            ("at", time),
            ("wall", time),
            ("version", pa.int64()),
            ("type", text),
            ("id", text),
            ("verdict", text),
            ("rules", pa.list_(text)),
            ("event", text),
            ("raw_event", pa.binary()),
            ("reply", text),
            ("raw_reply", pa.binary()),
            ("key", text),
        ]
    )


class PackedWriter:
    """Writes entries as a Parquet file, a group of rows for each list of them."""

    def __init__(self, stream: IO[bytes]) -> None:
        import pyarrow.parquet as pq

        self._schema = schema()
        self._writer = pq.ParquetWriter(
            stream, self._schema, compression="zstd", compression_level=6, write_page_checksum=True
        )

    def write(self, entries: list[Entry]) -> None:
        """Write some entries."""
        if entries:
            self._writer.write_table(_table(entries, self._schema))

    def close(self, packed: Packed | None = None) -> None:
        """Write what the file says of itself, and end it. Once more does nothing."""
        if packed is not None:
            self._writer.add_key_value_metadata({_KEY.decode(): msgspec.json.encode(packed).decode()})
        self._writer.close()


def _table(entries: list[Entry], schema: Any) -> Any:
    import pyarrow as pa

    kinds, seqs, decided, ats, versions, walls, events, replies, keys = zip(*entries, strict=True)
    said = [_look(reply) for reply in replies]
    time = schema.field("at").type
    columns = [
        [number_of(entry) for entry in entries],
        list(kinds),
        list(seqs),
        list(decided),
        pa.array(ats, pa.int64()).cast(time),
        pa.array(walls, pa.int64()).cast(time),
        list(versions),
        [s.event for s in said],
        [s.id for s in said],
        [s.verdict for s in said],
        [[fired.rule for fired in s.fired] for s in said],
        *_texts(events),
        *_texts(replies),
        [key.hex() if key else None for key in keys],
    ]
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _texts(values: tuple[bytes, ...]) -> tuple[list[str | None], list[bytes | None]]:
    """Those that are UTF-8 as text, the others as they are."""
    texts: list[str | None] = []
    raws: list[bytes | None] = [None] * len(values)
    for i, value in enumerate(values):
        try:
            texts.append(value.decode())
        except UnicodeDecodeError:
            texts.append(None)
            raws[i] = value
    return texts, raws


# ------------------------------------------------------------------ reading


def packed_head(path: Path) -> Head | None:
    """The head of the segment that a Parquet file was; None where it cannot be read. Raises OSError where
    there is no file, and JournalError for a newer format."""
    file = PackedFile(path)
    file.close()
    return file.head


class PackedFile:
    """A packed segment, open for reading. `packed` is what it says of itself, None where the file is damaged;
    `count` are the entries passed, of which the first `leave_out` are not given. Raises OSError where there
    is none, and JournalError for a newer format."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.packed: Packed | None = None
        self._stream = stream_plain(path)
        self._file: Any = None
        self._groups: Iterator[int] = iter(())
        try:
            self._read_footer()
        except BaseException:
            self.close()
            raise
        self._told = False
        self.count = 0
        self.leave_out = 0

    def _read_footer(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(self._stream, page_checksum_verification=True)
            self.packed = msgspec.json.decode(self._file.metadata.metadata[_KEY], type=Packed)
        except (pa.ArrowException, OSError, LookupError, TypeError, msgspec.MsgspecError):
            return
        if self.packed.format > FORMAT:
            told = f"`{self.path}` was written by a newer Quell (format {self.packed.format})"
            raise JournalError(told, "read it with that version")
        self._groups = iter(range(self._file.metadata.num_row_groups))

    @property
    def head(self) -> Head | None:
        """The head of the segment that it was."""
        return self.packed.head() if self.packed is not None else None

    def size(self) -> int:
        """Bytes of the segment that it was."""
        return self.packed.end if self.packed is not None else 0

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def piece(self, after: int, end: int | None, tell: Tell, every: bool = False) -> list[Entry] | None:
        """The entries with greater numbers in the next group of rows, None after the last. `end` says
        nothing, as it is whole. With `every` the columns are looked at that reading needs not."""
        import pyarrow as pa

        if self.packed is None:
            if not self._told:
                size = self.path.stat().st_size if self.path.exists() else 0
                tell(Damage(str(self.path), 0, size, "the file is no whole segment"))
            self._told = True
            return None
        group = next(self._groups, None)
        if group is None:
            return None
        rows = self._file.metadata.row_group(group)
        self.count += rows.num_rows
        left, self.leave_out = self.leave_out, max(0, self.leave_out - rows.num_rows)
        if _greatest(rows) <= after or left >= rows.num_rows:
            return []
        try:
            plain = [name for name in _PLAIN if name in self._file.schema_arrow.names]
            table = self._file.read_row_group(group, columns=None if every else plain)
            return _entries(table.slice(left), after)
        except (pa.ArrowException, OSError, ValueError, LookupError, TypeError):
            what = f"{rows.num_rows:,} entries cannot be read"
            tell(Damage(str(self.path), rows.column(0).data_page_offset, rows.total_byte_size, what))
            return []

    def columns(self, names: Iterable[str]) -> Iterator[Any]:
        """Some columns of each group of rows, as pyarrow tables; None for a group that cannot be read."""
        import pyarrow as pa

        for group in self._groups:
            try:
                yield self._file.read_row_group(group, columns=list(names))
            except (pa.ArrowException, OSError):
                yield None


def _greatest(rows: Any) -> int:
    """The greatest number in a group of rows, as far as that is noted."""
    statistics = rows.column(0).statistics
    return int(statistics.max) if statistics is not None and statistics.has_min_max else (1 << 63) - 1


def _keys(table: Any) -> list[bytes]:
    if "key" not in table.column_names:
        return [b""] * table.num_rows
    return [bytes.fromhex(key) if key else b"" for key in table.column("key").to_pylist()]


def _entries(table: Any, after: int) -> list[Entry]:
    import pyarrow as pa

    def integers(name: str) -> list[int]:
        return list(table.column(name).cast(pa.int64()).to_pylist())

    def blobs(name: str) -> list[bytes]:
        found: list[bytes | None] = table.column(name).cast(pa.binary()).to_pylist()
        raw: list[bytes] = table.column(f"raw_{name}").to_pylist()
        return [r if text is None else text for text, r in zip(found, raw, strict=True)]

    columns = (
        table.column("kind").to_pylist(),
        *(integers(name) for name in ("seq", "decided", "at", "version", "wall")),
        blobs("event"),
        blobs("reply"),
        _keys(table),
    )
    entries = map(Entry._make, zip(*columns, strict=True))
    return [entry for entry in entries if number_of(entry) > after]
