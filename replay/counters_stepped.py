"""Counters replayed by their own stores: all that a store counts and all that reads it, in order of n.

Exact whatever happens, as it calls what the generated function calls: histories out of order, keys with
more entries than a store holds, words that no column can say. It takes some microseconds a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from quell.engine.counter_words import word_of
from quell.engine.link import make_store, present_of, rises, without
from quell.engine.lowered import Store
from quell.replay.counters_rows import Asked, Source, column
from quell.replay.database import Database, quoted
from quell.replay.history_types import arrow_type
from quell.signals.counters import keys_of
from quell.signals.memory import Memory

BATCH = 16_384

Columns = list[list[Any]]
Read = Callable[[Any, int], Any]
"""A reading under a key at a time."""
Step = Callable[[Columns, int], None]
"""Takes one row of a batch, by its place."""


def step_counters(
    db: Database, spec: Store, sources: Sequence[Source], asked: Sequence[Asked], began: int | None, to: str
) -> list[str]:
    """Step a store through a history; gives a table for each of `asked`, named `to` and its number.

    `began` is the time of the history's first event in microseconds, None if it has none."""
    if not asked:
        return []
    stepper = _Stepper(spec, sources, asked, began)
    query, take = _merged(sources, asked), stepper.take
    if _is_paired(sources, asked):
        query, take = f"SELECT * FROM ({sources[0].query}) ORDER BY n", stepper.take_pairs
    for batch in db.con.sql(query).to_arrow_reader(BATCH):
        take(batch)
        stepper.flush()
    tables = []
    for i, out in enumerate(stepper.out):
        db.con.register("_readings", out.table())
        tables.append(f"{to}{i}")
        db.con.execute(f"CREATE TABLE {quoted(tables[-1])} AS SELECT * FROM _readings")
        db.con.unregister("_readings")
    return tables


def _merged(sources: Sequence[Source], asked: Sequence[Asked]) -> str:
    """One query for all rows in the order in which they count: `o` says whose a row is, and each has columns
    of its own."""
    parts = []
    for i, source in enumerate(sources):
        keys = "".join(f", k{j} AS s{i}k{j}" for j in range(len(source.keys)))
        value = f", v AS s{i}v" if source.value is not None else ""
        parts.append(f"SELECT n, {i} AS o, now{keys}{value} FROM ({source.query}) WHERE counted")
    for i, one in enumerate(asked):
        keys = "".join(f", k{j} AS a{i}k{j}" for j in range(width(one)))
        parts.append(f"SELECT n, {len(sources) + i} AS o, now{keys} FROM ({one.query})")
    return " UNION ALL BY NAME ".join(parts) + " ORDER BY n, o"


def _is_paired(sources: Sequence[Source], asked: Sequence[Asked]) -> bool:
    """Whether all rows are those of one source, which read what they have just counted under one key."""
    if len(sources) != 1 or len(asked) != 1 or asked[0].same is not sources[0]:
        return False
    return all(t.kind != "list" for t in sources[0].keys)


def width(asked: Asked) -> int:
    """How many keys a reading has: the last argument of its node is the clock."""
    return len(asked.nodes[0].args) - 1


class _Out:
    """The readings of one `Asked`, turned into columns batch by batch."""

    def __init__(self, asked: Asked) -> None:
        self.schema = pa.schema([("n", pa.int64()), *((column(n), arrow_type(n.type)) for n in asked.nodes)])
        self.rows: list[list[Any]] = [[] for _ in self.schema]
        self._batches: list[pa.RecordBatch] = []

    def flush(self) -> None:
        """Turn what is held into columns."""
        arrays = [pa.array(c, f.type) for c, f in zip(self.rows, self.schema, strict=True)]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self.schema))
        for held in self.rows:
            held.clear()

    def table(self) -> pa.Table:
        """All of them."""
        return pa.Table.from_batches(self._batches, self.schema)


class _Stepper:
    """One store on its way through a history. `own` are the keys under which the present event, `n`, was
    counted in it."""

    def __init__(
        self, spec: Store, sources: Sequence[Source], asked: Sequence[Asked], began: int | None
    ) -> None:
        self.memory = Memory(began=began)
        self.store: Any = make_store(spec, self.memory)
        self.own: list[Any] = []
        self.n: int | None = None
        self.out = [_Out(one) for one in asked]
        self._names: list[list[str]] = []
        self._steps: list[Step] = []
        self._widths, self._needed = (0, False), False
        self._reads: list[list[tuple[Read, bool | None]]] = []
        for i, source in enumerate(sources):
            held = ["n", "now", *(f"s{i}k{j}" for j in range(len(source.keys)))]
            self._names.append([*held, f"s{i}v"] if source.value is not None else held)
            self._steps.append(self._writing(spec, source))
        for i, one in enumerate(asked):
            self._names.append(["n", "now", *(f"a{i}k{j}" for j in range(width(one)))])
            self._steps.append(self._reading(one, self.out[i]))

    def take(self, batch: pa.RecordBatch) -> None:
        """Count and read a batch of rows."""
        made = {name: batch.column(name).to_pylist() for name in batch.schema.names}
        columns = [[made[name] for name in names] for names in self._names]
        for row, (n, whose) in enumerate(zip(made["n"], made["o"], strict=True)):
            if n != self.n:
                self.n = n
                self.own.clear()
            self._steps[whose](columns[whose], row)

    def take_pairs(self, batch: pa.RecordBatch) -> None:
        """Count and read a batch of rows of the only source, as one row after the other does both."""
        number, valued = self._widths
        columns = [batch.column(f"k{j}").to_pylist() for j in range(number)]
        keys = columns[0] if number == 1 else list(zip(*columns, strict=True)) or [()] * batch.num_rows
        values = batch.column("v").to_pylist() if valued else keys
        times, counted = (batch.column(c).to_pylist() for c in ("now", "counted"))
        add, own, needed = self.store.add, self.own, self._needed
        ns, *held = self.out[0].rows
        ns.extend(batch.column("n").to_pylist())
        reads = [(out.append, *of) for out, of in zip(held, self._reads[0], strict=True)]
        for key, value, now, counts in zip(keys, values, times, counted, strict=True):
            if key is None or (number > 1 and None in key):
                for append, _, unread in reads:
                    append(unread)
                continue
            own.clear()
            if counts and not (needed and (value is None or value == [])):
                if valued:
                    add(key, value, now)
                else:
                    add(key, now)
                own.append(key)
            for append, read, _ in reads:
                append(read(key, now))

    def flush(self) -> None:
        """Turn what was read into columns."""
        for out in self.out:
            out.flush()
        self.memory.late.clear()
        self.memory.full.clear()

    def _writing(self, spec: Store, source: Source) -> Step:
        """How a row of a source counts."""
        store, own = self.store, self.own
        number, valued = len(source.keys), source.value is not None
        needed = valued and spec.kind != "event"
        self._widths, self._needed = (number, valued), needed

        def write(columns: Columns, row: int) -> None:
            value = columns[-1][row] if valued else None
            if needed and (value is None or value == []):
                return
            parts = [c[row] for c in columns[2 : 2 + number]]
            keys = keys_of(*parts) if parts else [()]
            if not keys:
                return
            now = columns[1][row]
            if valued:
                store.add_each(keys, value, now)
            else:
                store.add_each(keys, now)
            own.extend(keys)

        return write

    def _reading(self, asked: Asked, out: _Out) -> Step:
        """How a row reads the store."""
        number = width(asked)
        reads = [self._node(node.op, node.data) for node in asked.nodes]
        unread = [False if node.op == "reaches" else None for node in asked.nodes]
        self._reads.append(list(zip(reads, unread, strict=True)))

        def read(columns: Columns, row: int) -> None:
            out.rows[0].append(columns[0][row])
            parts = [c[row] for c in columns[2 : 2 + number]]
            at = columns[1][row]
            if any(p is None for p in parts):
                for held, value in zip(out.rows[1:], unread, strict=True):
                    held.append(value)
            elif any(isinstance(p, list) for p in parts):
                keys = keys_of(*parts)
                for held, one in zip(out.rows[1:], reads, strict=True):
                    held.append(present_of([one(k, at) for k in keys]))
            else:
                key = parts[0] if number == 1 else tuple(parts)
                for held, one in zip(out.rows[1:], reads, strict=True):
                    held.append(one(key, at))

        return read

    def _node(self, op: str, data: tuple[Any, ...]) -> Read:
        """A reading under one key, as a function of the key and the time."""
        _, word, within, last = data
        if op == "reaches":
            now, before = self._read(word, within, 0), self._read(word, within, "this")
            own = self.own
            return lambda key, at: key in own and rises(now(key, at), before(key, at), last)
        return self._read(word, within, last)

    def _read(self, word: str, within: int | None, before: Any) -> Read:
        store, own = self.store, self.own
        ago = before if isinstance(before, int) else 0
        counts = word in ("count", "distinct")
        if ago:
            method = getattr(store, "count_ago" if counts else f"{word}_ago")
            return lambda key, at: method(key, at, within, ago)
        if counts:
            now = (lambda key, at: store.total(key)) if within is None else _bound(store.count, within)
            if before != "this":
                return now
            if word == "count":
                return lambda key, at: without(now(key, at), own.count(key))
            new = store.new
            return lambda key, at: without(now(key, at), new(key, at, within) if key in own else 0)
        method = getattr(store, word)
        if word_of(word).past:  # they never see the present event
            return lambda key, at: method(key, at, within, own.count(key))
        if before == "this":
            return lambda key, at: method(key, at, within, key in own)
        return lambda key, at: method(key, at, within, False)


def _bound(method: Callable[[Any, int, int], Any], within: int) -> Read:
    return lambda key, at: method(key, at, within)
