"""Records to rows by the decoder, one after another: exact for whatever a record holds, and the judge of what
is faster.

Rows stand in tables of one event type each, with `n`, their place among what was taken, and `key`, their
place in the files (`key_of`). `hands`, `problems` and `refused` are as `quell.replay.history` says, with a
key.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pyarrow as pa

from quell.engine.event_problems import Problem, Refusal
from quell.engine.events import Decoded, Decoder
from quell.engine.hand import HAND, HandAction, LabelError, check
from quell.engine.source_base import Payload
from quell.engine.sources import read_record
from quell.engine.symbols import Symbols
from quell.replay.database import Database, quoted
from quell.replay.history_files import as_text
from quell.replay.history_reading import ENTITY, Besides, Reading

PACK = 4_096
"""Records whose rows become columns at once."""
BATCH = 32 * PACK
"""Records whose rows are put into tables at once: fewer of them, and writing costs more than reading."""
_SHIFT = 40
_N, _TEXT = pa.int64(), pa.string()
_TABLES: dict[str, pa.Schema] = {
    "_hands": pa.schema([("n", _N), ("key", _N), ("at", _N), ("action", _TEXT)]),
    "_problems": pa.schema(
        [
            ("n", _N),
            ("key", _N),
            ("index", pa.int8()),
            ("nth", pa.int32()),
            *((c, _TEXT) for c in Problem.__struct_fields__),
        ]
    ),
    "refused": pa.schema(
        [
            ("file", pa.int32()),
            ("row", _N),
            *((c, _TEXT) for c in ("event", "kind", "path", "message", "place")),
        ]
    ),
}
Record = tuple[int, Any, Any]
"""A record's number, its payload, and its values beside them (None where the payload has them all)."""


def key_of(file: int, row: int) -> int:
    """One number for a place in the files, in their order."""
    return (file << _SHIFT) + row


FILE_SQL, ROW_SQL = f"CAST(key >> {_SHIFT} AS INTEGER)", f"(key & {(1 << _SHIFT) - 1})"
"""Such a number's file and row."""


def read_entry(payload: Payload, decoder: Decoder, symbols: Symbols) -> Decoded | HandAction | Refusal:
    """One record as a bundle takes it. A label by hand that the bundle does not declare is refused, as the
    engine refuses it."""
    entry = read_record(payload, decoder)
    if isinstance(entry, HandAction):
        try:
            check(symbols, entry.entity, entry.label)
        except LabelError as error:
            return Refusal(kind="bad-label", message=f"`{HAND}` refused: {error}", event=HAND)
    return entry


class RowWriter:
    """Puts records into tables as they come, some thousands at a time.

    `n` counts what was taken, `late` what was older than something before it, `events` by type. Where
    `counted` is false the rows are some of many, and what `n` and `late` say means nothing.
    """

    def __init__(self, db: Database, schema: str, reading: Reading) -> None:
        self.db, self.schema, self.reading = db, schema, reading
        self.n = self.late = self.records = self.refused = self.problems = self.hands = 0
        self._newest: int | None = None
        self._besides = Besides(reading.extras) if reading.extras else None
        extras = len(reading.extras)
        arrow = {**_TABLES, **{f"_e{e.index}": e.arrow(extras) for e in reading.events}}
        self._tables: dict[str, tuple[pa.Schema, list[Any], list[pa.RecordBatch]]] = {
            name: (s, [], []) for name, s in arrow.items()
        }
        for name, (made, _, _) in self._tables.items():
            db.con.register("_empty", made.empty_table())
            db.con.execute(f"CREATE TABLE {self.table(name)} AS SELECT * FROM _empty")
            db.con.unregister("_empty")

    def table(self, name: str) -> str:
        """A table as SQL names it."""
        return f"{quoted(self.schema)}.{quoted(name)}"

    def take(
        self,
        file: int,
        records: Iterable[Record],
        place: Callable[[int], str],
        tell: Callable[[], None] = lambda: None,
    ) -> int:
        """Read the records of a file; gives how many were taken."""
        # Nothing here has circles, and looking for them among thousands of rows costs a third of the time.
        collects = gc.isenabled()
        gc.disable()
        try:
            return self._take(file, records, place, tell)
        finally:
            if collects:
                gc.enable()

    def _take(
        self, file: int, records: Iterable[Record], place: Callable[[int], str], tell: Callable[[], None]
    ) -> int:
        decoder, besides, base, before = self.reading.decoder, self._besides, key_of(file, 0), self.n
        symbols = self.reading.build.analysis.symbols
        decode, makes = decoder.decode, [e.row for e in self.reading.events]
        rows = [self._tables[f"_e{e.index}"][1] for e in self.reading.events]
        count = 0
        for row, payload, record in records:
            count += 1
            if not count % PACK:
                self._pack_all(count % BATCH == 0)
                tell()
            entry: Any = decode(payload) if payload.__class__ is bytes else None
            if entry.__class__ is not Decoded:
                entry = read_entry(payload, decoder, symbols)
                if isinstance(entry, Refusal):
                    self.refuse(file, row, entry, place(row))
                    continue
            at, key = entry.at, base + row
            self.n = n = self.n + 1
            if self._newest is None or at >= self._newest:
                self._newest = at
            else:
                self.late += 1
            if isinstance(entry, HandAction):
                self.hands += 1
                self._tables["_hands"][1].append((n, key, at, msgspec.json.encode(entry).decode()))
                continue
            made = makes[entry.index](entry.e, at, n, key)
            rows[entry.index].append(made if besides is None else made + besides.of(payload, record))
            if entry.problems:
                self._note(n, key, entry)
        self.records += count
        self.flush()
        return self.n - before

    def refuse(self, file: int, row: int, entry: Refusal, place: str) -> None:
        """Note a record that was not taken."""
        self.refused += 1
        said = (file, row, entry.event or None, entry.kind, entry.path, str(entry), as_text(place))
        held = self._tables["refused"][1]
        held.append(said)

    def _note(self, n: int, key: int, entry: Decoded) -> None:
        held = self._tables["_problems"][1]
        for nth, p in enumerate(entry.problems, 1):
            if p.field != ENTITY:
                self.problems += 1
                held.append((n, key, entry.index, nth, p.kind, p.field, p.path, p.expected, p.got))

    def flush(self) -> None:
        """Write what is held."""
        self._pack_all(True)

    def _pack_all(self, write: bool) -> None:
        for name in self._tables:
            self._pack(name)
            if write:
                self._write(name)

    def _pack(self, name: str) -> None:
        """Make columns of the rows that are held."""
        schema, held, packed = self._tables[name]
        if held:
            arrays = [pa.array(c, f.type) for c, f in zip(zip(*held, strict=True), schema, strict=True)]
            packed.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
            held.clear()

    def _write(self, name: str) -> None:
        schema, _, packed = self._tables[name]
        if packed:
            self.db.con.register("_batch", pa.Table.from_batches(packed, schema=schema))
            self.db.con.execute(f"INSERT INTO {self.table(name)} SELECT * FROM _batch")
            self.db.con.unregister("_batch")
            packed.clear()
