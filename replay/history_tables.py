"""The tables of a history as others see them, over rows from the decoder, from a scan, or from both.

Where every file is a table in the right order of which SQL is sure, they are views of the files themselves,
and nothing is copied. Rows that the decoder wrote in the right order stay as they are. Everything else is put
in order once, into one table in which the columns of all event types share their places (`_rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from quell.engine.schema import Field
from quell.replay.database import Database, quoted, text_literal
from quell.replay.history_reading import EventReading, Reading, principal
from quell.replay.history_rows import FILE_SQL, ROW_SQL, RowWriter, key_of
from quell.replay.history_scan import Scan, choice
from quell.replay.history_sql import literal
from quell.replay.history_types import sql_type

AT = '"at"'


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows of one event type stand: the query, and the expressions for their parts. `columns` are
    those that a table keeps."""

    source: str
    where: str
    n: str
    at: str
    file: str
    row: str
    columns: Mapping[str, str]
    extras: Sequence[str]


def _value(place: Place, column: str, f: Field) -> str:
    """A field from the column that holds it, its default put in."""
    sql = place.columns[column]
    return sql if f.default is None else f"coalesce({sql}, {literal(f.type, f.default, f.record)})"


def _event(e: EventReading, place: Place, defaults: bool = True) -> str:
    """The query of an event type's own table, or of the same without defaults."""
    columns = [f"{place.n} AS n", f"{place.at} AS {AT}"]
    for name, f in e.columns:
        at = f.name == e.schema.at
        sql = place.at if at else _value(place, name, f) if defaults else place.columns[name]
        columns.append(f"{sql} AS {name}")
    return f"SELECT {', '.join(columns)} FROM {place.source} {place.where}"


def _all(e: EventReading, place: Place, extras: Sequence[str]) -> str:
    """The query of what the table of all events says of one type."""
    main, known = principal(e.schema), dict(e.columns)
    entity = id_ = "CAST(NULL AS VARCHAR)"
    if main is not None:
        entity = _value(place, e.entity, main)
    if e.id:
        id_ = _value(place, e.id, known[e.id])
    columns = [
        f"{place.n} AS n",
        f"CAST({text_literal(e.schema.name)} AS VARCHAR) AS event",
        f"{place.at} AS {AT}",
        f"{id_} AS id",
        f"{place.file} AS file",
        f"{place.row} AS row",
        f"{entity} AS entity",
        *(f"{sql} AS {quoted(name)}" for name, sql in zip(extras, place.extras, strict=True)),
    ]
    return f"SELECT {', '.join(columns)} FROM {place.source} {place.where}"


class Tables:
    """Makes the tables of one history."""

    def __init__(self, db: Database, schema: str, reading: Reading, writer: RowWriter) -> None:
        self.db, self.schema, self.reading, self.writer = db, schema, reading, writer

    def table(self, name: str) -> str:
        """A table as SQL names it."""
        return f"{quoted(self.schema)}.{quoted(name)}"

    def _view(self, places: Mapping[int, Sequence[Place]]) -> None:
        """Make the views of all event types over where their rows stand."""
        extras, everything = list(self.reading.extras), []
        for e in self.reading.events:
            here = places[e.index]
            for name, defaults in (("e", True), ("bare", False)):
                query = " UNION ALL ".join(_event(e, p, defaults) for p in here)
                self.db.con.execute(f"CREATE VIEW {self.table(f'{name}{e.index}')} AS {query}")
            everything += [_all(e, p, extras) for p in here]
        self.db.con.execute(f"CREATE VIEW {self.table('all')} AS {' UNION ALL '.join(everything)}")

    def _small(self, name: str, columns: str, n: str, more: str) -> None:
        """Make one of the small tables."""
        query = f"SELECT {n}, {columns} FROM {self.table(f'_{name}')} t {more} ORDER BY ALL"
        self.db.con.execute(f"CREATE TABLE {self.table(name)} AS {query}")

    def _smalls(self, n: str = "t.n", more: str = "") -> None:
        place = f"{FILE_SQL} AS file, {ROW_SQL} AS row".replace("key", "t.key")
        self._small("hands", f"t.{AT}, t.action, {place}", n, more)
        self._small("problems", "t.nth, t.kind, t.field, t.path, t.expected, t.got", n, more)

    def over_files(self, scans: Mapping[int, Scan]) -> None:
        """Views of the files: their order is the history's, and every row is an event."""
        places: dict[int, list[Place]] = {e.index: [] for e in self.reading.events}
        before = 0
        for file, scan in scans.items():
            for i, columns in enumerate(scan.columns):
                source = f"({scan.simple(i, '*')}) _t"
                n = f"_t._row + {before}" if before else "_t._row"
                places[i].append(
                    Place(
                        source, "", n, scan.at[i], f"CAST({file} AS INTEGER)", "_t._row", columns, scan.extras
                    )
                )
            before += scan.table.rows
        self._view(places)
        self._smalls()

    def over_rows(self) -> None:
        """Views of the decoder's rows: they stand in the history's order."""
        places = {}
        for e in self.reading.events:
            columns = {c: c for c, _ in e.stored}
            extras = [f"x{i}" for i in range(len(self.reading.extras))]
            source = self.table(f"_e{e.index}")
            places[e.index] = [Place(source, "", "n", AT, FILE_SQL, ROW_SQL, columns, extras)]
        self._view(places)
        self._smalls()

    # -- one table in order ------------------------------------------------------------------------

    def gather(
        self, scans: Mapping[int, Scan], by_time: bool, tell: Callable[[float], None] = lambda share: None
    ) -> None:
        """Put all rows in order, into one table."""
        slots = _slots(self.reading)
        parts = [self._scanned(file, scan, slots) for file, scan in scans.items()]
        parts += [self._decoded(e, slots) for e in self.reading.events]
        parts.append(f"SELECT key, {AT}, CAST(-1 AS TINYINT) AS code FROM {self.table('_hands')}")
        order = f"{AT}, key" if by_time else "key"
        self.db.run(
            f"CREATE TABLE {self.table('_rows')} AS SELECT row_number() OVER (ORDER BY {order}) AS n, * FROM "
            f"({' UNION ALL BY NAME '.join(parts)})",
            tell,
        )
        places = {}
        for e in self.reading.events:
            columns = {c: slots[e.index, c][0] for c, _ in e.stored}
            extras = [f"x{i}" for i in range(len(self.reading.extras))]
            source, where = self.table("_rows"), f"WHERE code = {e.index}"
            places[e.index] = [Place(source, where, "n", AT, FILE_SQL, ROW_SQL, columns, extras)]
        self._view(places)
        self._smalls("r.n", f"JOIN {self.table('_rows')} r USING (key)")
        for name in ("_hands", "_problems", *(f"_e{e.index}" for e in self.reading.events)):
            self.db.con.execute(f"DROP TABLE {self.table(name)}")

    def _scanned(self, file: int, scan: Scan, slots: Mapping[tuple[int, str], tuple[str, str]]) -> str:
        by_slot: dict[tuple[str, str], dict[int, str]] = {}
        for (event, column), slot in slots.items():
            by_slot.setdefault(slot, {})[event] = scan.columns[event][column]
        columns = [
            f"{key_of(file, 0)} + _t._row AS key",
            f"{choice(scan.at, 'BIGINT')} AS {AT}",
            "_t._code AS code",
            *(f"{sql} AS x{i}" for i, sql in enumerate(scan.extras)),
        ]
        for (name, type_), by_event in by_slot.items():
            sqls = [by_event.get(i, "NULL") for i in range(len(scan.at))]
            columns.append(f"{choice(sqls, type_)} AS {name}")
        return scan.select(", ".join(columns), "_t._code >= 0")

    def _decoded(self, e: EventReading, slots: Mapping[tuple[int, str], tuple[str, str]]) -> str:
        columns = ["key", AT, f"CAST({e.index} AS TINYINT) AS code"]
        columns += [f"x{i}" for i in range(len(self.reading.extras))]
        columns += [f"{c} AS {slots[e.index, c][0]}" for c, _ in e.stored]
        return f"SELECT {', '.join(columns)} FROM {self.table(f'_e{e.index}')}"


def _slots(reading: Reading) -> dict[tuple[int, str], tuple[str, str]]:
    """The columns that all event types share: which one, of which type, holds an event's column."""
    kinds: dict[str, int] = {}
    slots = {}
    for e in reading.events:
        used: dict[str, int] = {}
        for name, f in e.stored:
            type_ = sql_type(f.type, f.record)
            kind = kinds.setdefault(type_, len(kinds))
            used[type_] = used.get(type_, 0) + 1
            slots[e.index, name] = (f"s{kind}_{used[type_]}", type_)
    return slots
