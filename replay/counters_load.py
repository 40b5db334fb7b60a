"""The rows of a store's sources and readings, out of the database and into columns, and readings back in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quell.engine.lowered import Store
from quell.grammar.types import Type
from quell.replay.counters_columns import Rows, codes, encoded, entries, rows
from quell.replay.counters_rows import Asked, Source, column
from quell.replay.counters_sums import Array
from quell.replay.counters_windows import Reader, Windows
from quell.replay.database import Database
from quell.replay.history_types import arrow_type


@dataclass(frozen=True, slots=True)
class Part:
    """One of `of` parts of a history: the rows under some of the keys."""

    number: int = 0
    of: int = 1

    def where(self, keys: Sequence[str]) -> str:
        """The rows of the part, as a condition on the names of keys."""
        if self.of == 1:
            return "true"
        return f"hash({', '.join(keys)}) % {self.of} = {self.number}" if keys else f"{self.number} = 0"


def one(type_: Type) -> pa.DataType:
    """The column type of one key or value: a list stands for its elements."""
    made = arrow_type(type_)
    return made.value_type if pa.types.is_list(made) else made


def names(number: int) -> list[str]:
    """The columns of so many keys."""
    return [f"k{i}" for i in range(number)]


def source_query(spec: Store, source: Source, part: Part) -> str:
    """The rows that a source may count: one for each key and, but for events, value."""
    keys = names(len(source.keys))
    inner = f"({source.query})"
    lists = [k for k, t in zip(keys, source.keys, strict=True) if t.kind == "list"]
    value = ["v"] if source.value is not None else []
    if spec.kind != "event" and source.value is not None and source.value.kind == "list":
        lists += value
    for name in lists:  # each on its own level: side by side they would be taken in step
        inner = f"(SELECT * REPLACE (unnest({name}) AS {name}) FROM {inner} WHERE counted)"
    return f"SELECT {', '.join(['n', 'now', *keys, *value, 'counted'])} FROM {inner} WHERE {part.where(keys)}"


def asked_query(asked: Asked, number: int, listed: int | None, part: Part) -> str:
    """The rows of readings; under a list one for each element, `p` its place."""
    keys, inner, place = names(number), f"({asked.query})", []
    if listed is not None:
        name, place = keys[listed], ["p"]
        made = f"unnest({name}) AS {name}, generate_subscripts({name}, 1) AS p"
        inner = f"(SELECT * EXCLUDE ({name}), {made} FROM {inner})"
    return f"SELECT {', '.join(['n', 'now', *keys, *place])} FROM {inner} WHERE {part.where(keys)}"


class Load:
    """A part of a store's history in columns, and what is read of it."""

    def __init__(
        self, db: Database, spec: Store, sources: Sequence[Source], in_order: bool, part: Part
    ) -> None:
        self.db, self.spec, self.sources, self.in_order, self.part = db, spec, sources, in_order, part
        self.tables = [self._fetch(source_query(spec, s, part)) for s in sources]

    def _fetch(self, query: str) -> Any:
        return self.db.con.sql(query).to_arrow_table()

    def read(self, asked: Sequence[Asked], lists: Sequence[int | None], began: int | None) -> list[pa.Table]:
        """The readings of every row, in the order of n: `n`, for readings under lists `p`, and a column for
        each node. Raises TooWide for what columns cannot hold."""
        width = len(self.spec.sources[0].keys)
        shared = [self._is_shared(a, listed) for a, listed in zip(asked, lists, strict=True)]
        tables = list(self.tables)
        for a, listed, same in zip(asked, lists, shared, strict=True):
            if not same:
                tables.append(self._fetch(asked_query(a, width, listed, self.part)))
        keyed = codes(tables, self._key_types(width))
        ns = [t.column("n").to_numpy() for t in tables]
        span = 2 + max((int(n.max(initial=0)) for n in ns), default=0)
        whole, counts = self._counted(tables, keyed, ns, span)
        windows = self._windows(whole, counts, span, began)
        out, later = [], len(self.tables)
        for a, listed, same in zip(asked, lists, shared, strict=True):
            if same:
                reader = Reader(windows, whole, np.cumsum(counts), counts.astype(np.int64))
                out.append(_filled(a, self.tables[0], ns[0], reader))
                continue
            table, code, n = tables[later], keyed[later], ns[later]
            kept = None if listed is None else _once([code, n], table.column("p").to_numpy())
            mine = rows(code, n, table.column("now").to_numpy(), span, kept)
            out.append(_filled(a, table, n, Reader(windows, mine), listed is not None))
            later += 1
        return out

    def _is_shared(self, asked: Asked, listed: int | None) -> bool:
        """Whether readings are of the very rows of the only source."""
        if len(self.sources) != 1 or asked.same is not self.sources[0] or listed is not None:
            return False
        value = self.sources[0].value
        return self.spec.kind == "event" or value is None or value.kind != "list"

    def _key_types(self, width: int) -> list[pa.DataType]:
        """The column types of the keys: where a source has none at all, those of another."""
        out = []
        for i in range(width):
            types = [one(s.keys[i]) for s in self.sources]
            out.append(next((t for t in types if not pa.types.is_null(t)), pa.null()))
        return out

    def _counted(
        self, tables: Sequence[Any], keyed: Sequence[Array], ns: Sequence[Array], span: int
    ) -> tuple[Rows, Array]:
        """The rows of all sources that have keys, and which of them count."""
        kept = [self._kept(*of) for of in zip(self.sources, tables, keyed, ns, strict=False)]
        few = slice(0, len(self.sources))
        now = [t.column("now").to_numpy() for t in self.tables]
        whole = rows(_joined(keyed[few]), _joined(ns[few]), _joined(now), span)
        return whole, _joined(kept, bool)[whole.place]

    def _kept(self, source: Source, table: Any, code: Array, n: Array) -> Array:
        """Which rows of a source count: once under each key, and for numbers once each."""
        kept = pc.fill_null(table.column("counted"), False).to_numpy().copy()
        valued = source.value is not None and self.spec.kind != "event"
        if valued and table.column("v").null_count:
            kept &= table.column("v").is_valid().to_numpy()
        lists = [t for t in source.keys if t.kind == "list"]
        in_value = valued and source.value is not None and source.value.kind == "list"
        if (lists or in_value) and self.spec.kind != "distinct":  # twice seen is seen
            values = [encoded(table.column("v"))[0]] if in_value else []
            kept &= _once([code, n, *values], ~kept)
        return kept

    def _windows(self, whole: Rows, kept: Array, span: int, began: int | None) -> Windows:
        counted = whole
        if not kept.all():
            counted = Rows(whole.code[kept], whole.n[kept], whole.now[kept], whole.place[kept])
        values = None
        if any(s.value is not None for s in self.sources):
            values = self._values()
        return Windows(self.spec, entries(counted, values, self.in_order, span), began)

    def _values(self) -> Any:
        """The values of all sources, one after the other."""
        plain = self.spec.kind == "event"
        types = [arrow_type(s.value) if plain else one(s.value) for s in self.sources if s.value is not None]
        type_ = next((t for t in types if not pa.types.is_null(t)), pa.float64())
        columns = [t.column("v") for t in self.tables]
        if not plain or len({c.type for c in columns}) > 1:
            columns = [c.cast(type_) for c in columns]
        return pa.chunked_array([c for column in columns for c in column.chunks], columns[0].type)


def _joined(arrays: Sequence[Array], type_: Any = np.int64) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate([np.zeros(0, type_), *arrays])


def _once(alike: Sequence[Array], by: Array) -> Array:
    """Of the rows that are alike in all columns, the first one in the order of another."""
    order = np.lexsort((by, *alike))
    first = np.zeros(len(order), bool)
    first[:1] = True
    for column in alike:
        first[1:] |= np.diff(column[order]) != 0
    out = np.zeros(len(order), bool)
    out[order[first]] = True
    return out


def _filled(asked: Asked, table: Any, n: Array, reader: Reader, listed: bool = False) -> pa.Table:
    """The readings for all rows of a table, those that lack a key included, in order of n."""
    order = None if (np.diff(n) > 0).all() else np.argsort(n, kind="stable")
    back = np.full(len(n), -1)
    back[reader.rows.place] = np.arange(len(reader.rows.place))
    if order is not None:
        n, back = n[order], back[order]
    absent = back < 0
    places = pa.array(back, mask=absent)
    columns: dict[str, Any] = {"n": pa.array(n)}
    if listed:
        p = table.column("p")
        columns["p"] = p if order is None else p.take(pa.array(order))
    for node in asked.nodes:
        type_ = arrow_type(node.type)
        made = reader.value(node).cast(type_.value_type if listed else type_).take(places)
        if node.op == "reaches" and absent.any():
            made = pc.if_else(pa.array(absent), False, made)
        columns[column(node)] = made
    return pa.table(columns)
