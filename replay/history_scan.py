"""A table as events, by SQL: which type each row is, its columns, and the rows that the decoder must read.

`scan_of` makes of a table's columns and what is read of the events one expression for each column of the
history. `Scan.survey` looks once at the whole file to find the odd rows; where that is not worth while there
is no scan, and the decoder reads the file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from quell.engine.hand import HAND
from quell.engine.schema import EventSchema, Segment
from quell.grammar.types import TEXT
from quell.replay.database import Database, quoted, text_literal
from quell.replay.history_reading import EventReading, Reading
from quell.replay.history_sources import Opened, Rows, Table
from quell.replay.history_sql import NOTHING, Columns, Kind, Value, either, json_of, kind_of, literal
from quell.replay.history_types import sql_type

ODD, UNMATCHED = -1, -2
"""What stands for a row's event type where the decoder must look, and where the row's own type says that it
is no event of the bundle."""
_OURS = {"_row", "_code"}
MOST_TAGS = 1_000
"""At most so many different types that no event has are told without the decoder."""
FEW = 2_000
SHARE = 0.3
"""More odd rows than both, and the decoder reads the whole file."""
_EXACT = 1 << 53


@dataclass(slots=True)
class Scan:
    """A table as events. `code` gives a row's event type by its number, ODD or UNMATCHED; `at` and `columns`
    are by event type, `extras` by number. They hold for rows whose code is the event's. `later` are looks, of
    those for the longest texts, that can be taken at a column of the only event type as well."""

    table: Table
    code: str
    tag: str
    at: list[str]
    columns: list[dict[str, str]]
    extras: list[str]
    longest: list[str]
    others: list[str]
    odd: np.ndarray[Any, Any]
    later: dict[str, str]
    taken: int = 0
    unmatched: int = 0
    _span: tuple[int, int] | None = None

    def select(self, wanted: str, where: str = "true") -> str:
        """A query over the rows in which `_row` is the number and `_code` the event type."""
        source = f"SELECT _t.*, {self.table.row} AS _row, {self.code} AS _code FROM {self.table.relation} _t"
        return f"SELECT {wanted} FROM ({source}) _t WHERE {where}"

    def simple(self, event: int, wanted: str) -> str:
        """The same for the rows of one event type, where every row has one."""
        only = "" if len(self.at) == 1 else f" WHERE {self.code} = {event}"
        source = f"SELECT _t.*, {self.table.row} AS _row FROM {self.table.relation} _t"
        return f"SELECT {wanted} FROM ({source}{only}) _t"

    def times(self) -> str:
        """A query of the times of all rows as `_at`, in their order; NULL for rows that have none."""
        if self.unmatched == 0 and len(set(self.at)) == 1:
            return f"SELECT {self.at[0]} AS _at FROM {self.table.relation} _t"
        return self.select(f"{self.time()} AS _at")

    def time(self) -> str:
        """The time of a row, NULL where it has none that is sure."""
        cases = " ".join(f"WHEN {i} THEN {sql}" for i, sql in enumerate(self.at))
        return f"CASE _t._code {cases} END"

    def in_order(self, db: Database) -> tuple[int, int] | None:
        """The first and the last time where every row has one and none is before that of an earlier row."""
        if self._span is not None:
            return self._span
        first, last, back = db.run(
            f"SELECT min(_at), max(_at), count(*) FILTER ((_at >= _before) IS NOT TRUE) FROM "
            f"(SELECT _at, lag(_at) OVER () AS _before FROM ({self.times()}))"
        )[0]
        self._span = (first, last) if back == 1 else None  # the first row comes after no other one
        return self._span

    def survey(
        self, db: Database, most: int, tell: Callable[[float], None], without: Collection[str] = ()
    ) -> bool:
        """Look at all rows, `without` some of the looks; false where the decoder should read the file
        instead."""
        longest = [look for look in self.longest if look not in without]
        looks = ", ".join(["0", *longest, *self.others])
        query = (
            f"SELECT count(*), count(*) FILTER (_code >= 0), count(*) FILTER (_code = {UNMATCHED}), {looks} "
            f"FROM ({self.select('*')}) _t"
        )
        total, self.taken, self.unmatched, _, *found = db.run(query, tell)[0]
        if total != self.table.rows or any(n is not None and n > most for n in found[: len(longest)]):
            return False
        odd = total - self.taken - self.unmatched
        if odd > max(FEW, SHARE * total):
            return False
        if self.unmatched and len(self.tags(db)) > MOST_TAGS:
            return False
        if odd:
            rows = db.run(self.select("_row", f"_code = {ODD}") + " ORDER BY _row")
            self.odd = np.array([r for (r,) in rows], dtype=np.int64)
        return True

    def tags(self, db: Database) -> list[Any]:
        """The different types of UNMATCHED rows, as they stand in the table; a few too many at most."""
        query = self.select(f"DISTINCT {self.tag}", f"_code = {UNMATCHED}")
        return [tag for (tag,) in db.run(f"{query} LIMIT {MOST_TAGS + 1}")]


def choice(by_event: list[str], type_: str) -> str:
    """One expression of those of all event types, for rows that have one."""
    if len(by_event) == 1:
        return by_event[0]
    cases = " ".join(f"WHEN {i} THEN {sql}" for i, sql in enumerate(by_event))
    return f"CAST(CASE _t._code {cases} END AS {type_})"


class Unsure(Exception):
    """SQL cannot tell the event types of a table apart as the decoder does."""


def declared_columns(opened: Opened) -> Columns | None:
    """The columns of a table, for fields that are not read with the others; None where SQL cannot say."""
    if opened.table is None or not isinstance(opened.source, Rows):
        return None
    table = opened.table
    try:
        return Columns(
            _tree(
                {f.name: kind_of(f.type, table.duck[f.name]) for f in table.arrow},
                opened.source.nested(),
                opened.hive,
            )
        )
    except Unsure:
        return None


def scan_of(opened: Opened, reading: Reading) -> Scan | None:
    """A table as events; None where there is no table, or SQL is not sure of it as a whole."""
    table, source = opened.table, opened.source
    if table is None or not isinstance(source, Rows) or not table.rows or table.duck.keys() & _OURS:
        return None
    kinds = {f.name: kind_of(f.type, table.duck[f.name]) for f in table.arrow}
    try:
        tree = _tree(kinds, source.nested(), opened.hive)
        columns = Columns(tree)
        code, tag = _Coder(reading, columns).code()
        read = source.read()
        longest = _longest(kinds, list(kinds) if read is None else read)
    except Unsure:
        return None
    extras = [_extra(columns, path) for path in reading.extras.values()]
    made = [_event_columns(e, columns) for e in reading.events]
    odd = either(*(v.odd for v in extras))
    if odd is not None:
        code = f"CASE WHEN {odd} THEN {ODD} ELSE {code} END"
    return Scan(
        table,
        f"CAST({code} AS TINYINT)",
        tag,
        [columns.field(e.at).sql for e in reading.events],
        [{c: v.sql for c, v in one.items()} for one in made],
        [v.sql for v in extras],
        longest,
        _validated(made, extras),
        np.empty(0, np.int64),
        _later(made[0], longest, [c for c, _ in reading.events[0].columns]) if len(made) == 1 else {},
    )


def _later(made: Mapping[str, Value], longest: list[str], shown: list[str]) -> dict[str, str]:
    """The looks at texts that columns of the history's own table show whole."""
    texts = {made[c].sql.removeprefix("CAST(").removesuffix(" AS VARCHAR)"): c for c in shown if c in made}
    return {f"max({look})": texts[x] for x in texts for look in [_length(x)] if f"max({look})" in longest}


def _validated(made: list[dict[str, Value]], extras: list[Value]) -> list[str]:
    """What reads the texts that only reports look at, so that one that is not UTF-8 shows itself in time."""
    entities = [one["entity"].sql for one in made if "entity" in one]
    return [f"max({_length(sql)})" for sql in dict.fromkeys([*entities, *(v.sql for v in extras)])]


def _tree(
    kinds: Mapping[str, Kind], nested: Mapping[str, tuple[str, ...]], hive: Mapping[str, str | int]
) -> dict[str, Any]:
    """The columns as a record has them: dotted names lead into objects. Raises Unsure where two columns want
    one place."""
    tree: dict[str, Any] = {}
    for name, kind in kinds.items():
        path = nested.get(name, (name,))
        here = tree
        for key in path[:-1]:
            here = here.setdefault(key, {})
            if not isinstance(here, dict):
                raise Unsure
        if path[-1] in here:
            raise Unsure
        here[path[-1]] = (f"_t.{quoted(name)}", kind)
    for key, value in hive.items():
        number = isinstance(value, int)
        arrow: Any = pa.int64() if number else pa.string()
        kind = Kind("whole", arrow, "bigint") if number else Kind("text", arrow, "varchar")
        sql = f"CAST({value} AS BIGINT)" if number else f"CAST({text_literal(str(value))} AS VARCHAR)"
        tree.setdefault(key, (sql, kind))
    return tree


def _longest(kinds: Mapping[str, Kind], names: list[str]) -> list[str]:
    """The bytes of the longest text in each column that counts in a row's size. They are counted so that the
    text is read, and looked at, as a whole."""
    found: list[str] = []
    for name in names:
        found += _lengths(kinds[name], f"_t.{quoted(name)}", outermost=True)
    return [f"max({sql})" for sql in found]


def _length(x: str) -> str:
    """The bytes of a text, which is read for it: `strlen` alone does without."""
    return f"octet_length(encode({x}))"


def _is_plain(kind: Kind) -> bool:
    return kind.name == "text" and kind.duck == "varchar"


def _lengths(kind: Kind, x: str, outermost: bool = False) -> list[str]:
    if outermost and _is_plain(kind):
        return [_length(x)]
    if kind.name == "text":
        text = x if kind.duck == "varchar" else f"CAST({x} AS VARCHAR)"
        return [f"greatest(strlen({text}), length({text}))"]
    if kind.name == "struct":
        return [
            s
            for k, inner in kind.fields.items()
            for s in _lengths(inner, f"struct_extract({x}, {text_literal(k)})")
        ]
    if kind.name == "list" and kind.inner is not None:
        v = f"_l{x.count('_l')}"
        return [f"list_max(list_transform({x}, lambda {v}: {sql}))" for sql in _lengths(kind.inner, v)]
    if kind.name == "other":
        if pa.types.is_binary(kind.arrow) and kind.duck == "blob":
            return [f"octet_length({x})"]
        if _holds_text(kind.arrow):
            raise Unsure
    return []


def _holds_text(arrow: Any) -> bool:
    """Whether a text in a column of this type counts in a row's size."""
    types = pa.types
    if types.is_struct(arrow):
        return any(_holds_text(f.type) for f in arrow)
    if types.is_list(arrow) or types.is_large_list(arrow):
        return _holds_text(arrow.value_type)
    if types.is_dictionary(arrow):
        return _holds_text(arrow.value_type)
    return bool(types.is_string(arrow) or types.is_large_string(arrow) or types.is_binary(arrow))


def _extra(columns: Columns, path: tuple[Segment, ...]) -> Value:
    found = columns.place(path)
    if found is None:
        return Value("CAST(NULL AS VARCHAR)")
    value = json_of(found[1], found[0])
    return Value(value.sql, either(found[2], value.odd))


def _event_columns(e: EventReading, columns: Columns) -> dict[str, Value]:
    """The columns that a table of the event keeps."""
    made = {}
    for name, f in e.stored:
        if f.name in e.constants:
            made[name] = Value(literal(TEXT, e.constants[f.name]))
        else:
            value = columns.field(f)
            made[name] = Value(f"CAST({value.sql} AS {sql_type(f.type, f.record)})", value.odd)
    return made


# ------------------------------------------------------------------ telling event types apart


class _Coder:
    """Writes the expression for a row's event type."""

    def __init__(self, reading: Reading, columns: Columns) -> None:
        self._reading, self._columns = reading, columns
        self._wires = [e.schema.wire for e in reading.events]
        self._raw = self._told(reading.type_path) if any(w is not None for w in self._wires) else None
        self._tag = None if self._raw is None else f"CAST({self._raw} AS VARCHAR)"

    def _told(self, path: tuple[Segment, ...]) -> str | None:
        """What tells the type; None where no row says it."""
        found = self._columns.place(path)
        if found is None or found[1].name == "nothing":
            return None
        x, kind, odd = found
        if kind.name not in ("text", "whole") or odd is not None:
            raise Unsure
        return x

    def code(self) -> tuple[str, str]:
        """The code of a row, and what stands where its type does, if that can be UNMATCHED."""
        matches = [self._matches(e.schema) for e in self._reading.events]
        parts = [
            f"WHEN {m} THEN {self._taken(e)}" for e, m in zip(self._reading.events, matches, strict=True)
        ]
        cases = " ".join(parts)
        if len(matches) > 1 and not self._apart():
            several = " + ".join(f"CAST({m} AS INTEGER)" for m in matches)
            cases = f"WHEN {several} > 1 THEN {ODD} {cases}"
        if None in self._wires or not all(isinstance(s, str) for s in self._reading.type_path):
            return f"CASE {cases} ELSE {ODD} END", "NULL"
        if self._tag is None or self._raw is None:
            return f"{UNMATCHED}", "NULL"
        known = ", ".join(text_literal(w) for w in sorted({HAND, *(w for w in self._wires if w is not None)}))
        strange = f"coalesce({self._tag} NOT IN ({known}), true)"
        return f"CASE {cases} WHEN {strange} THEN {UNMATCHED} ELSE {ODD} END", self._raw

    def _apart(self) -> bool:
        return None not in self._wires and len(set(self._wires)) == len(self._wires)

    def _taken(self, e: EventReading) -> str:
        """The event's number where nothing of it is odd."""
        conditions: list[str | None] = []
        for f in [e.at, *(f for _, f in e.stored)]:
            if f.name in e.constants:
                continue
            value = self._columns.field(f)
            conditions.append(value.odd)
            if f.required or f is e.at:
                conditions.append(f"{value.sql} IS NULL")
        odd = either(*conditions)
        return f"{e.index}" if odd is None else f"CASE WHEN {odd} THEN {ODD} ELSE {e.index} END"

    def _matches(self, schema: EventSchema) -> str:
        conditions = [] if schema.wire is None else [self._wired(schema.wire)]
        conditions += [self._same(path, want) for path, want in schema.when]
        return "(" + (" AND ".join(conditions) or "true") + ")"

    def _wired(self, wire: str) -> str:
        return "false" if self._tag is None else f"coalesce({self._tag} = {text_literal(wire)}, false)"

    def _same(self, path: tuple[Segment, ...], want: Any) -> str:
        found = self._columns.place(path)
        x, kind, odd = found if found is not None else ("NULL", NOTHING, None)
        if kind.name in ("other", "decimal"):
            raise Unsure
        same = _equal(kind, x, want)
        return "false" if same is None else f"(coalesce({same}, false) AND NOT ({odd or 'false'}))"


def _equal(kind: Kind, x: str, want: Any) -> str | None:
    """Whether a value is what a `when` asks for; None for never."""
    if isinstance(want, bool):
        return f"{x} = {str(want).lower()}" if kind.name == "bool" else None
    if isinstance(want, str):
        return f"CAST({x} AS VARCHAR) = {text_literal(want)}" if kind.name in ("text", "whole") else None
    if abs(want) > _EXACT:
        raise Unsure
    if kind.name == "whole":
        return f"{x} = {int(want)}" if want == int(want) else None
    return f"CAST({x} AS DOUBLE) = CAST('{float(want)!r}' AS DOUBLE)" if kind.name == "float" else None
