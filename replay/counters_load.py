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
from quell.replay.counters_columns import Entries, Rows, ascending, codes, encoded, rows
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

    def where(self, keys: Sequence[str], types: Sequence[pa.DataType]) -> str:
        """The rows of the part, as a condition on the names of keys of these types."""
        if self.of == 1:
            return "true"
        if not keys:
            return f"{self.number} = 0"
        said = ", ".join(f"{k}::{_SQL.get(t, 'VARCHAR')}" for k, t in zip(keys, types, strict=True))
        return f"hash({said}) % {self.of} = {self.number}"


_SQL = {pa.float64(): "DOUBLE", pa.int64(): "BIGINT", pa.bool_(): "BOOLEAN"}
"""What keys that are no text are in SQL: equal ones of different types have different hashes."""


def key_types(spec: Store, sources: Sequence[Source]) -> list[pa.DataType]:
    """The column types of a store's keys: where a source has none at all, those of another."""
    out = []
    for i in range(len(spec.sources[0].keys)):
        types = [one(s.keys[i]) for s in sources]
        out.append(next((t for t in types if not pa.types.is_null(t)), pa.string()))
    return out


def one(type_: Type) -> pa.DataType:
    """The column type of one key or value: a list stands for its elements."""
    made = arrow_type(type_)
    return made.value_type if pa.types.is_list(made) else made


def names(number: int) -> list[str]:
    """The columns of so many keys."""
    return [f"k{i}" for i in range(number)]


def source_query(spec: Store, source: Source, where: str, keyed: bool) -> str:
    """The rows that a source may count: one for each key and, but for events, value; without the keys and the
    times where those are `keyed` already."""
    keys = names(len(source.keys))
    inner = f"({source.query})"
    value = ["v"] if source.value is not None else []
    for name in lists_of(spec, source):  # each on its own level: side by side they would be taken in step
        inner = f"(SELECT * REPLACE (unnest({name}) AS {name}) FROM {inner} WHERE counted)"
    wanted = ["n", *value, "counted"] if keyed else ["n", "now", *keys, *value, "counted"]
    return f"SELECT {', '.join(wanted)} FROM {inner} WHERE {where}"


def lists_of(spec: Store, source: Source) -> list[str]:
    """The columns that hold lists whose elements count each for itself."""
    lists = [f"k{i}" for i, t in enumerate(source.keys) if t.kind == "list"]
    if spec.kind != "event" and source.value is not None and source.value.kind == "list":
        lists.append("v")
    return lists


def asked_query(asked: Asked, number: int, listed: int | None, where: str) -> str:
    """The rows of readings; under a list one for each element, `p` its place."""
    keys, inner, place = names(number), f"({asked.query})", []
    if listed is not None:
        name, place = keys[listed], ["p"]
        made = f"unnest({name}) AS {name}, generate_subscripts({name}, 1) AS p"
        inner = f"(SELECT * EXCLUDE ({name}), {made} FROM {inner})"
    return f"SELECT {', '.join(['n', 'now', *keys, *place])} FROM {inner} WHERE {where}"


@dataclass(slots=True)
class Keyed:
    """The rows of the sources of a store and of its readings, sorted by key. `ns` are the n of the answers of
    all their queries, `whole` the rows of all sources, `mine` those of each reading of its own, `places` the
    place of the elements of readings under lists."""

    ns: list[Array]
    whole: Rows
    span: int
    seen: tuple[Array, Array]
    mine: list[Rows]
    places: list[Any]


class Cache:
    """Sorted rows that other stores have too, the latest of them, up to so many rows."""

    def __init__(self, most: int = 6_000_000) -> None:
        self.most = most
        self._held: dict[tuple[str, ...], Keyed] = {}

    def get(self, names: tuple[str, ...]) -> Keyed | None:
        """The rows of queries of these names."""
        found = self._held.pop(names, None)
        if found is not None:
            self._held[names] = found
        return found

    def put(self, names: tuple[str, ...], keyed: Keyed) -> None:
        """Keep the rows, and let go of the ones not asked for longest."""
        self._held[names] = keyed
        while len(self._held) > 1 and sum(len(n) for k in self._held.values() for n in k.ns) > self.most:
            del self._held[next(iter(self._held))]


class Load:
    """A part of a store's history in columns, and what is read of it. `lists` says for each of `asked` which
    of its keys is a list."""

    def __init__(
        self,
        db: Database,
        spec: Store,
        sources: Sequence[Source],
        asked: Sequence[Asked],
        lists: Sequence[int | None],
        in_order: bool,
        part: Part,
        cache: Cache,
    ) -> None:
        self.db, self.spec, self.sources, self.in_order, self.part = db, spec, sources, in_order, part
        self.types = key_types(spec, sources)
        self.where = part.where(names(len(self.types)), self.types)
        self.asked = list(zip(asked, lists, strict=True))
        self.apart = [(a, listed) for a, listed in self.asked if not self._is_shared(a, listed)]
        self.keyed, self.tables = self._load(cache)

    def _load(self, cache: Cache) -> tuple[Keyed, list[Any]]:
        """The sorted rows, and what the queries of the sources give."""
        names = self._names()
        keyed = cache.get(names) if names else None
        tables = [
            self._fetch(source_query(self.spec, s, self.where, keyed is not None)) for s in self.sources
        ]
        if keyed is None:
            keyed = self._sorted(tables)
            if names:
                cache.put(names, keyed)
        assert [t.num_rows for t in tables] == [len(n) for n in keyed.ns[: len(tables)]]
        return keyed, tables

    def _names(self) -> tuple[str, ...]:
        """What the sorted rows are kept by; nothing where they are not kept."""
        held = [s.rows for s in self.sources] + [a.rows for a, _ in self.apart]
        plain = not any(lists_of(self.spec, s) for s in self.sources)
        plain = plain and self.part.of == 1 and all(listed is None for _, listed in self.apart)
        # Rows that are counted in one store may be only read in another: the same queries, parted otherwise.
        few = str(len(self.sources))
        return (few, *(n for n in held if n is not None)) if plain and None not in held else ()

    def _fetch(self, query: str) -> Any:
        """What a query gives, in order of n."""
        table = self.db.con.sql(query).to_arrow_table()
        n = table.column("n").to_numpy()
        return table if ascending(n) else table.take(pa.array(np.argsort(n, kind="stable")))

    def _sorted(self, tables: Sequence[Any]) -> Keyed:
        few = len(tables)
        asked = [self._fetch(asked_query(a, len(self.types), listed, self.where)) for a, listed in self.apart]
        tables = [*tables, *asked]
        code = codes(tables, self.types)
        n = [t.column("n").to_numpy() for t in tables]
        now = [t.column("now").to_numpy() for t in tables]
        all_n, all_now = _joined(n[:few]), _joined(now[:few])
        seen = (all_n, all_now)
        if not ascending(all_n):
            order = np.argsort(all_n, kind="stable")
            seen = (all_n[order], all_now[order])
        places = [
            t.column("p") if listed is not None else None
            for t, (_, listed) in zip(asked, self.apart, strict=True)
        ]
        mine = []
        for i, p in enumerate(places, few):
            kept = None if p is None else _once([code[i], n[i]], p.to_numpy())
            mine.append(rows(code[i], n[i], now[i], kept))
        span = 2 + max((int(some.max(initial=0)) for some in n), default=0)
        return Keyed(n, rows(_joined(code[:few]), all_n, all_now), span, seen, mine, places)

    def read(self, began: int | None) -> list[pa.Table]:
        """The readings of every row, in the order of n: `n`, for readings under lists `p`, and a column for
        each node. Raises TooWide for what columns cannot hold."""
        keyed, few = self.keyed, len(self.sources)
        counts = self._counts()
        windows = self._windows(counts, began)
        out, apart = [], 0
        for a, listed in self.asked:
            if self._is_shared(a, listed):
                reader = Reader(windows, keyed.whole, np.cumsum(counts), counts.astype(np.int64))
                out.append(_filled(a, keyed.ns[0], None, reader))
                continue
            reader = Reader(windows, keyed.mine[apart])
            out.append(_filled(a, keyed.ns[few + apart], keyed.places[apart], reader))
            apart += 1
        return out

    def _is_shared(self, asked: Asked, listed: int | None) -> bool:
        """Whether readings are of the very rows of the only source."""
        if len(self.sources) != 1 or asked.same is not self.sources[0] or listed is not None:
            return False
        value = self.sources[0].value
        return self.spec.kind == "event" or value is None or value.kind != "list"

    def _counts(self) -> Array:
        """Which of the rows of all sources count, in order of key and n."""
        kept = [self._kept(s, t) for s, t in zip(self.sources, self.tables, strict=True)]
        return _joined(kept, bool)[self.keyed.whole.place]

    def _kept(self, source: Source, table: Any) -> Array:
        """Which rows of a source count: once under each key, and for numbers once each."""
        kept = pc.fill_null(table.column("counted"), False).to_numpy()
        if source.value is not None and self.spec.kind != "event" and table.column("v").null_count:
            kept = kept & table.column("v").is_valid().to_numpy()
        lists = lists_of(self.spec, source)
        if lists and self.spec.kind != "distinct":  # twice seen is seen
            names = [name for name in table.column_names if name.startswith("k")]
            alike = [encoded(table.column(c))[0] for c in (*names, *(["v"] if "v" in lists else []))]
            kept = kept & _once([table.column("n").to_numpy(), *alike], ~kept)
        return kept

    def _windows(self, counts: Array, began: int | None) -> Windows:
        held = self.keyed.whole
        if not counts.all():
            held = Rows(held.code[counts], held.n[counts], held.now[counts], held.place[counts], held.given)
        values = self._values() if any(s.value is not None for s in self.sources) else None
        made = Entries(held, values, self.keyed.span, self.in_order, self.keyed.seen)
        return Windows(self.spec, made, began)

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
    for one_of in alike:
        first[1:] |= np.diff(one_of[order]) != 0
    out = np.zeros(len(order), bool)
    out[order[first]] = True
    return out


def _filled(asked: Asked, n: Array, places: Any, reader: Reader) -> pa.Table:
    """The readings for all rows of a query, those that lack a key included."""
    back = np.full(len(n), -1)
    back[reader.rows.place] = np.arange(len(reader.rows.place))
    absent = back < 0
    missing = bool(absent.any())
    indices = pa.array(back, mask=absent) if missing else pa.array(back)
    columns: dict[str, Any] = {"n": pa.array(n)}
    if places is not None:
        columns["p"] = places
    for node in asked.nodes:
        type_ = arrow_type(node.type)
        made = reader.value(node).cast(type_ if places is None else type_.value_type).take(indices)
        if node.op == "reaches" and missing:
            made = pc.call_function("if_else", [pa.array(absent), False, made])
        columns[column(node)] = made
    return pa.table(columns)
