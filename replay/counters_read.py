"""The readings of counters over a whole history, equal event for event to those of the online stores.

Most go by columns (`counters_columns`): sorting by key once and bisecting takes half of the processor's time
that SQL takes for a count and a third for distinct values, and one more reading of the same rows, or one more
store of the same keys, takes little of that again (`python -m tests.bench.replay_counters`). SQL would add up
doubles as they come, too, where online sums are exact. What columns cannot hold goes through the store itself
(`counters_stepped`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from quell.engine.graph import Node
from quell.engine.lowered import Store
from quell.replay.counters_load import Cache, Load, Part, lists_of, names
from quell.replay.counters_rows import Asked, Readings, Source, column
from quell.replay.counters_stepped import step_counters, width
from quell.replay.counters_sums import TooWide
from quell.replay.counters_windows import in_columns
from quell.replay.database import Database, quoted
from quell.replay.report_data import Way
from quell.signals.counters_base import MOST_AT_ONCE

ROWS = 3_000_000
"""So many rows are taken into memory at once; of more, the keys are parted."""


def read_counters(
    db: Database,
    spec: Store,
    sources: Sequence[Source],
    asked: Sequence[Asked],
    sorted: bool,
    began: int | None,
    prefix: str,
    cache: Cache | None = None,
) -> list[Readings]:
    """Work out all readings of one store; gives one `Readings` for each of `asked`.

    `sources` are those that are fed, in the order of the store's own. `sorted` says that `now` never runs
    backwards with n, `began` is the time of the history's first event in microseconds. The names of all
    tables begin with `prefix`. A `cache` that several calls on the same history share keeps sorted rows."""
    work = _Work(db, spec, sources, asked, sorted, began, prefix, cache or Cache())
    return [work.readings(i) for i in range(len(asked))]


class _Work:
    """One store: which of its nodes go by columns, and the tables of either way."""

    def __init__(
        self,
        db: Database,
        spec: Store,
        sources: Sequence[Source],
        asked: Sequence[Asked],
        in_order: bool,
        began: int | None,
        prefix: str,
        cache: Cache,
    ) -> None:
        self.db, self.spec, self.sources, self.asked = db, spec, sources, asked
        self.in_order, self.began, self.prefix = in_order, began, prefix
        self.cache = cache
        self.lists = [self._listed(a) for a in asked]
        self.why = self._hindrance()
        self.columns = self._some() if not self.why else [None] * len(asked)
        tables: list[str | None] = [None] * len(asked)
        try:
            tables = self._by_columns()
        except TooWide as error:
            self.why = str(error)
            self.columns = [None] * len(asked)
        self.by_columns = tables
        self.by_store = self._by_store()

    def _some(self) -> list[Asked | None]:
        out: list[Asked | None] = []
        for a in self.asked:
            nodes = [n for n in a.nodes if in_columns(n)]
            out.append(replace(a, nodes=nodes) if nodes else None)
        return out

    def _listed(self, asked: Asked) -> int | None:
        """Which of the keys of a reading is a list."""
        schema = self.db.con.sql(f"SELECT * FROM ({asked.query}) LIMIT 0").to_arrow_table().schema
        keys = [schema.field(k).type for k in names(width(asked))]
        return next((i for i, t in enumerate(keys) if pa.types.is_list(t)), None)

    def _hindrance(self) -> str:
        """Why nothing of the store can go by columns; nothing where it can."""
        if not self.sources:
            return "nothing is counted"
        if any(self._crowded(s) for s in self.sources):
            return "one event counts more than is taken of it"
        return ""

    def _crowded(self, source: Source) -> bool:
        """Whether an event may add more entries to a store than it takes."""
        lists = lists_of(self.spec, source)
        if not lists:
            return False
        most = self.db.value(f"SELECT max({' * '.join(f'len({c})' for c in lists)}) FROM ({source.query})")
        return most is not None and most > MOST_AT_ONCE

    # ------------------------------------------------------------------------------- by columns

    def _by_columns(self) -> list[str | None]:
        held = [(i, a) for i, a in enumerate(self.columns) if a is not None]
        if not held:
            return [None] * len(self.asked)
        queries = [s.query for s in self.sources] + [a.query for _, a in held if a.same is None]
        rows = sum(self.db.value(f"SELECT count(*) FROM ({q})") for q in queries)
        number = -(-rows // ROWS) or 1
        raw = [f"{self.prefix}{i}_raw" for i, _ in held]
        for part in range(number):
            load = Load(
                self.db,
                self.spec,
                self.sources,
                [a for _, a in held],
                [self.lists[i] for i, _ in held],
                self.in_order,
                Part(part, number),
                self.cache,
            )
            for name, made in zip(raw, load.read(self.began), strict=True):
                self._put(name, made, first=part == 0)
        out: list[str | None] = [None] * len(self.asked)
        for (i, a), name in zip(held, raw, strict=True):
            out[i] = self._finished(i, a, name, number)
        return out

    def _put(self, name: str, made: pa.Table, first: bool) -> None:
        self.db.con.register("_readings", made)
        how = f"CREATE OR REPLACE TABLE {quoted(name)} AS" if first else f"INSERT INTO {quoted(name)}"
        self.db.con.execute(f"{how} SELECT * FROM _readings")
        self.db.con.unregister("_readings")

    def _finished(self, place: int, asked: Asked, raw: str, parts: int) -> str:
        """The table of one row for every row of a query, in order of n."""
        name, con = f"{self.prefix}{place}_columns", self.db.con
        if self.lists[place] is None:
            if parts == 1:
                return raw
            con.execute(f"CREATE TABLE {quoted(name)} AS SELECT * FROM {quoted(raw)} ORDER BY n")
        else:
            columns = [column(n) for n in asked.nodes]
            each = "".join(f", list({c} ORDER BY p) FILTER ({c} IS NOT NULL) AS {c}" for c in columns)
            there = " AND ".join(f"q.{k} IS NOT NULL" for k in names(width(asked)))
            told = "".join(f", CASE WHEN {there} THEN coalesce(r.{c}, []) END AS {c}" for c in columns)
            con.execute(
                f"CREATE TABLE {quoted(name)} AS SELECT q.n{told} FROM ({asked.query}) q LEFT JOIN "
                f"(SELECT n{each} FROM {quoted(raw)} GROUP BY n) r ON r.n = q.n ORDER BY q.n"
            )
        con.execute(f"DROP TABLE {quoted(raw)}")
        return name

    # --------------------------------------------------------------------------------- by store

    def _by_store(self) -> list[str | None]:
        out: list[str | None] = [None] * len(self.asked)
        rest = []
        for i, (a, done) in enumerate(zip(self.asked, self.columns, strict=True)):
            known = {n.id for n in done.nodes} if done is not None else set()
            left = [n for n in a.nodes if n.id not in known]
            if left:
                rest.append((i, replace(a, nodes=left)))
        wanted = [a for _, a in rest]
        made = step_counters(self.db, self.spec, self.sources, wanted, self.began, self.prefix + "_store")
        for (i, _), name in zip(rest, made, strict=True):
            out[i] = name
        return out

    def readings(self, place: int) -> Readings:
        """What is read by one of `asked`."""
        asked, mine, stores = self.asked[place], self.by_columns[place], self.by_store[place]
        known = {n.id for n in done.nodes} if (done := self.columns[place]) is not None else set()
        ways = [self._way(n, n.id in known) for n in asked.nodes]
        table = mine or stores
        assert table is not None
        if mine and stores:
            table = f"{self.prefix}{place}"
            self.db.con.execute(
                f"CREATE TABLE {quoted(table)} AS "
                f"SELECT * FROM {quoted(mine)} JOIN {quoted(stores)} USING (n) ORDER BY n"
            )
            for old in (mine, stores):
                self.db.con.execute(f"DROP TABLE {quoted(old)}")
        return Readings(table, [column(n) for n in asked.nodes], ways)

    def _way(self, node: Node, in_columns: bool) -> Way:
        if in_columns:
            return Way(self.spec.text, "python", "windows are stretches of columns sorted by key")
        why = self.why or f"`{node.data[1]}` is read from the counter's own store, row by row"
        return Way(self.spec.text, "store", why)
