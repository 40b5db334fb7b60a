"""Counters in columns against the stores, on random rows: every word, every kind of key, any order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.counter_words import word_of
from quell.engine.graph import Node
from quell.engine.lowered import Store, StoreKind, StoreSource
from quell.grammar.types import BOOL, DURATION, NUMBER, TEXT, TIME, Type, list_of
from quell.replay import counters_read, counters_windows
from quell.replay.counters_load import Cache, Keyed
from quell.replay.counters_read import read_counters
from quell.replay.counters_rows import Asked, Source, column
from quell.replay.counters_stepped import step_counters
from quell.replay.counters_sums import Sums, TooWide, extreme
from quell.replay.database import Database
from quell.replay.history_types import arrow_type
from quell.signals.counters_entries import quotient, rounded, scaled, whole_mean

WORDS: dict[StoreKind, tuple[str, ...]] = {
    "count": ("count", "count", "since_last", "first_at", "last_at"),
    "distinct": ("distinct", "distinct", "distinct", "values"),
    "number": ("sum", "sum", "mean", "min", "max", "stddev"),
    "event": ("first", "last"),
}
WINDOWS = (1, 3, 10, 25, 1_000, None)
AGOS = (1, 2, 7, 40)
NUMBERS: tuple[Any, ...] = (0.0, -0.0, 1.0, 2.0, 2.0, -3.0, 0.1, 19.99, 0.5, 1e15 + 0.3, -7.25, 2.0**53)
KEYS: dict[str, tuple[Any, ...]] = {
    "text": ("a", "b", "b", "ä", ""),
    "number": (0.0, -0.0, 1.0, 1.5),
    "bool": (True, False),
}


_profile = settings.default
EXAMPLES = _profile.max_examples if _profile is not None and _profile.max_examples > 100 else 25
"""Each takes a tenth of a second."""


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    with Database(threads=1) as made:
        yield made


@dataclass(slots=True)
class Tables:
    """A store with random rows that it counts and that read it."""

    dice: Random
    sizes: int = 30
    spec: Store = field(init=False)
    sources: list[Source] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    in_order: bool = True
    began: int | None = None
    made: list[str] = field(default_factory=list)

    def make(self, db: Database) -> None:
        """Draw everything."""
        dice = self.dice
        kind: StoreKind = dice.choice(list(WORDS))
        events = dice.choice((["e"], ["e"], ["e", "f"]))
        keys = [dice.choice(list(KEYS)) for _ in range(dice.choice((0, 1, 1, 1, 2)))]
        listed = dice.randrange(len(keys)) if keys and dice.random() < 0.25 else None
        value = self._value_type(kind)
        resolution = (
            5 if kind in ("count", "number") and value in (None, NUMBER) and dice.random() < 0.15 else None
        )
        places = tuple(range(len(keys)))
        fed = tuple(StoreSource(e, None, places, None if value is None else 9, None) for e in events)
        self.spec = Store("s", kind, fed, "a counter", resolution)
        nodes = self._nodes(kind, value, len(keys), resolution)
        times = self._times()
        of = [dice.choice([*events, "g"]) for _ in times]
        for event in events:
            rows = [(n, t) for n, (t, e) in enumerate(zip(times, of, strict=True), 1) if e == event]
            types = [list_of(_type(k)) if i == listed else _type(k) for i, k in enumerate(keys)]
            self._source(db, event, rows, keys, types, value)
            self._asked(db, event, rows, keys, nodes, same=self.sources[-1] if listed is None else None)
        other = [(n, t) for n, (t, e) in enumerate(zip(times, of, strict=True), 1) if e == "g"]
        self._asked(db, "g", other, keys, [n for n in nodes if n.op == "counter"], same=None)

    def _value_type(self, kind: StoreKind) -> Type | None:
        if kind == "count":
            return None
        if kind == "number":
            return self.dice.choice((NUMBER, NUMBER, DURATION, list_of(NUMBER)))
        if kind == "distinct":
            return self.dice.choice((TEXT, NUMBER, list_of(TEXT)))
        return self.dice.choice((TEXT, NUMBER, BOOL, list_of(NUMBER)))

    def _times(self) -> list[int]:
        dice = self.dice
        start = dice.choice((0, 1_700_000_000_000_000))
        times = [start + dice.randrange(60) for _ in range(dice.randrange(self.sizes))]
        self.in_order = dice.random() < 0.6
        times = sorted(times) if self.in_order else times
        self.began = times[0] if times else None
        return times

    def _nodes(self, kind: StoreKind, value: Type | None, keys: int, resolution: int | None) -> list[Node]:
        dice, out = self.dice, []
        for number in range(dice.randrange(1, 5)):
            word = dice.choice(WORDS[kind])
            if resolution and word not in ("count", "sum", "mean"):
                continue
            within = dice.choice([w for w in WINDOWS if not resolution or (w and w > resolution)])
            past = word_of(word).past
            before: Any = "this" if past or dice.random() < 0.3 else 0
            if word != "since_last" and dice.random() < 0.3:
                before = dice.choice([a for a in AGOS if not resolution or a >= resolution])
            op, type_ = "counter", self._type(word, value)
            if word in ("count", "distinct", "sum") and before == 0 and dice.random() < 0.4:
                op, type_, before = "reaches", BOOL, dice.choice((1, 2, 3))
            if word in ("sum", "mean") and value == DURATION:
                word += "_whole"
            ago = before if isinstance(before, int) and op == "counter" else 0
            self.spec.widen(word_of(word).name, within, ago)
            data = ("s", word, within, before)
            args = tuple(range(keys + 1))
            out.append(Node(number, op, args, data, type_.maybe(), frozenset(), (0, 0), False, ""))
        return out

    def _type(self, word: str, value: Type | None) -> Type:
        if word in ("count", "distinct", "stddev"):
            return NUMBER
        if word in ("since_last", "first_at", "last_at") or value is None:
            return DURATION if word == "since_last" else TIME
        plain = value.element if value.kind == "list" and value.element is not None else value
        if word == "values":
            return list_of(plain)
        return value if word in ("first", "last") else plain

    def _source(
        self, db: Database, event: str, rows: list[tuple[int, int]], keys: list[str], types: list[Type],
        value: Type | None,
    ) -> None:  # fmt: skip
        columns: dict[str, list[Any]] = {"n": [n for n, _ in rows], "now": [t for _, t in rows]}
        fields = [("n", pa.int64()), ("now", pa.int64())]
        for i, (kind, type_) in enumerate(zip(keys, types, strict=True)):
            columns[f"k{i}"] = [self._drawn(KEYS[kind], type_) for _ in rows]
            fields.append((f"k{i}", arrow_type(type_)))
        if value is not None:
            columns["v"] = [self._drawn(self._pool(value), value) for _ in rows]
            fields.append(("v", arrow_type(value)))
        columns["counted"] = [self.dice.choice((True, True, True, False, None)) for _ in rows]
        fields.append(("counted", pa.bool_()))
        name = self._table(db, columns, fields)
        self.sources.append(Source(event, f"SELECT * FROM {name}", types, value, f"{event} own"))

    def _pool(self, value: Type) -> tuple[Any, ...]:
        kind = value.element.kind if value.kind == "list" and value.element is not None else value.kind
        if kind == "duration":
            return (0, 1, 2, 3, 5, -4, 3_600_000_000)
        return NUMBERS if kind == "number" else (True, False) if kind == "bool" else ("x", "y", "z", "")

    def _drawn(self, pool: tuple[Any, ...], type_: Type) -> Any:
        if self.dice.random() < 0.1:
            return None
        if type_.kind == "list":
            return [self.dice.choice(pool) for _ in range(self.dice.randrange(4))]
        return self.dice.choice(pool)

    def _asked(
        self, db: Database, event: str, rows: list[tuple[int, int]], keys: list[str], nodes: list[Node],
        same: Source | None,
    ) -> None:  # fmt: skip
        if not nodes:
            return
        if same is not None and self.dice.random() < 0.7:
            self.asked.append(Asked(event, same.query, nodes, same, f"{event} own"))
            return
        listed = self.dice.randrange(len(keys)) if keys and self.dice.random() < 0.3 else None
        if listed is not None:
            able = [n for n in nodes if n.op == "counter" and n.type.kind != "list"]
            nodes = [_listing(n) for n in able]
            if not nodes:
                return
        types = [list_of(_type(k)) if i == listed else _type(k) for i, k in enumerate(keys)]
        columns: dict[str, list[Any]] = {"n": [n for n, _ in rows], "now": [t for _, t in rows]}
        fields = [("n", pa.int64()), ("now", pa.int64())]
        for i, (kind, type_) in enumerate(zip(keys, types, strict=True)):
            columns[f"k{i}"] = [self._drawn(KEYS[kind], type_) for _ in rows]
            fields.append((f"k{i}", arrow_type(type_)))
        name = self._table(db, columns, fields)
        self.asked.append(Asked(event, f"SELECT * FROM {name}", nodes, None, f"{event} {name}"))

    def _table(self, db: Database, columns: dict[str, Any], fields: list[Any]) -> str:
        name = f"rows{len(self.made)}"
        self.made.append(name)
        db.con.register(
            "_rows", pa.table([pa.array(columns[c], t) for c, t in fields], names=[c for c, _ in fields])
        )
        order = self.dice.choice(("n", "n", "n DESC"))
        db.con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM _rows ORDER BY {order}")
        db.con.unregister("_rows")
        return name


def _type(kind: str) -> Type:
    return {"text": TEXT, "number": NUMBER, "bool": BOOL}[kind]


def _listing(node: Node) -> Node:
    """The same reading under a list of keys."""
    return Node(
        node.id, node.op, node.args, node.data, list_of(node.type.present()).maybe(), node.binders,
        node.bounds, node.whole, node.identity,
    )  # fmt: skip


def found(db: Database, asked: list[Asked], tables: list[str]) -> list[Any]:
    """All readings, by row."""
    out = []
    for a, table in zip(asked, tables, strict=True):
        out.append(db.rows(f"SELECT n, {', '.join(column(n) for n in a.nodes)} FROM {table}"))
    return out


def check(db: Database, seed: int, rows: int, sizes: int = 30, safe: int = 500_000) -> None:
    """Random rows go either way, and both give the same. `rows` are taken at once, and no more than `safe`
    under one key."""
    tables = Tables(Random(seed), sizes)
    db.con.execute("CREATE SCHEMA tried")
    db.con.execute("SET schema = 'tried'")
    was = counters_read.ROWS, counters_windows.SAFE
    counters_read.ROWS, counters_windows.SAFE = rows, safe
    try:
        tables.make(db)
        wanted = found(
            db, tables.asked, step_counters(db, tables.spec, tables.sources, tables.asked, tables.began, "a")
        )
        cache = Cache()
        for prefix in ("b", "c"):  # the second time the rows are sorted already
            got = read_counters(
                db, tables.spec, tables.sources, tables.asked, tables.in_order, tables.began, prefix, cache
            )
            assert found(db, tables.asked, [g.table for g in got]) == wanted, (seed, tables.spec)
    finally:
        counters_read.ROWS, counters_windows.SAFE = was
        db.con.execute("SET schema = 'main'")
        db.con.execute("DROP SCHEMA tried CASCADE")


@given(
    seed=st.integers(0, 2**40),
    rows=st.sampled_from((4_000_000, 4_000_000, 7)),
    safe=st.sampled_from((500_000, 500_000, 3)),
)
@settings(max_examples=EXAMPLES)
def test_columns_give_what_the_stores_give(db: Database, seed: int, rows: int, safe: int) -> None:
    check(db, seed, rows, safe=safe)


# -------------------------------------------------------------------------------------- exact sums

_DOUBLES = st.one_of(
    st.sampled_from(NUMBERS),
    st.floats(-1e6, 1e6),
    st.integers(-(2**53), 2**53).map(float),
    st.decimals(-10_000, 10_000, places=2).map(float),
)


@given(values=st.lists(_DOUBLES, min_size=1, max_size=30), most=st.integers(30, 500_000), data=st.data())
def test_sums_and_means_are_rounded_once(values: list[float], most: int, data: st.DataObject) -> None:
    try:
        sums = Sums(np.array(values), most)
    except TooWide:
        exponents = [math.frexp(v)[1] for v in values if v]
        # Numbers close to zero or to the largest double are left to the store, however close together.
        assert max(exponents) - min(exponents) > 10 or max(abs(e) for e in exponents) > 800
        return
    start = data.draw(st.integers(0, len(values) - 1))
    end = data.draw(st.integers(start + 1, len(values)))
    total = sum((Fraction(v) for v in values[start:end]), Fraction(0))
    scale = total.denominator.bit_length() - 1
    top = scaled(float(0), 0) + total.numerator
    assert sums.sum(np.array([start]), np.array([end]))[0] == rounded(top, scale)
    assert sums.mean(np.array([start]), np.array([end]))[0] == quotient(top, (end - start) << scale)


@given(values=st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=20), data=st.data())
def test_durations_are_summed_whole(values: list[int], data: st.DataObject) -> None:
    sums = Sums(np.array(values), 20)
    start = data.draw(st.integers(0, len(values) - 1))
    end = data.draw(st.integers(start + 1, len(values)))
    total, (a, b) = sum(values[start:end]), (np.array([start]), np.array([end]))
    whole, told = sums.sum_whole(a, b)
    assert (whole[0], told[0]) == (total, abs(total) <= 4 * 10**18)
    assert sums.mean_whole(a, b)[0] == whole_mean(total, 0, end - start)


def test_numbers_too_far_apart_are_not_summed() -> None:
    with pytest.raises(TooWide):
        Sums(np.array([1e300, 0.1]), 2)
    with pytest.raises(TooWide):
        Sums(np.array([5e-324]), 2)


@given(values=st.lists(st.integers(-9, 9), min_size=1, max_size=40), data=st.data())
def test_extremes_of_stretches(values: list[int], data: st.DataObject) -> None:
    places = st.integers(0, len(values))
    pairs = data.draw(st.lists(st.tuples(places, places).map(sorted), min_size=1, max_size=20))
    start, end = (np.array(c) for c in zip(*pairs, strict=True))
    for greatest, best in ((True, max), (False, min)):
        got = extreme(np.array(values), start, end, greatest).tolist()
        assert got == [best(values[a:b], default=0) for a, b in pairs]


# ------------------------------------------------------------------------- what columns cannot hold


def _one_store(
    db: Database, kind: StoreKind, word: str, value: Type | None, rows: pa.Table
) -> tuple[Any, str]:
    """One reading without end of a store that counts the rows under `k0`, and which way it went."""
    spec = Store("s", kind, (StoreSource("e", None, (0,), None if value is None else 1, None),), "a counter")
    spec.widen(word, None, 0)
    node = Node(5, "counter", (0, 1), ("s", word, None, 0), NUMBER.maybe(), frozenset(), (0, 0), False, "")
    db.con.register("_rows", rows)
    db.con.execute("CREATE OR REPLACE TABLE crowd AS SELECT * FROM _rows")
    db.con.unregister("_rows")
    source = Source("e", "SELECT * FROM crowd", [TEXT], value)
    asked = Asked("e", "SELECT * FROM crowd", [node], source)
    ((got),) = read_counters(db, spec, [source], [asked], True, 0, f"crowded_{kind}_{word}_")
    told = [v for (v,) in db.rows(f"SELECT c5 FROM {got.table} ORDER BY n")]
    db.con.execute(f"DROP TABLE {got.table}")
    return told, got.ways[0].way


def test_what_a_store_would_cut_goes_through_the_store(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quell.replay.counters_windows.SAFE", 3)
    columns: dict[str, list[Any]] = {
        "n": [1, 2, 3, 4],
        "now": [1, 2, 3, 4],
        "k0": ["a"] * 4,
        "counted": [True] * 4,
    }
    few, many = pa.table({c: v[:3] for c, v in columns.items()}), pa.table(columns)
    assert _one_store(db, "distinct", "distinct", TEXT, few.append_column("v", few["k0"])) == (
        [1, 1, 1],
        "python",
    )
    told = _one_store(db, "distinct", "distinct", TEXT, many.append_column("v", many["k0"]))
    assert told == ([1, 1, 1, 1], "store")
    # Of counts for ever old times stay as a number, so there are never too many.
    assert _one_store(db, "count", "count", None, many) == ([1, 2, 3, 4], "python")


@pytest.mark.parametrize(("size", "way", "told"), [(9_999, "python", 9_999), (10_001, "store", 10_000)])
def test_an_event_that_counts_too_much(db: Database, size: int, way: str, told: int) -> None:
    values = pa.array([[f"v{i}" for i in range(size)]])
    rows = pa.table({"n": [1], "now": [1], "k0": ["a"], "v": values, "counted": [True]})
    assert _one_store(db, "distinct", "distinct", list_of(TEXT), rows) == ([told], way)


def test_numbers_that_limbs_cannot_hold(db: Database) -> None:
    columns = {"n": [1, 2], "now": [1, 2], "k0": ["a", "a"], "v": [1e300, 1e-300], "counted": [True, True]}
    assert _one_store(db, "number", "sum", NUMBER, pa.table(columns)) == ([1e300, 1e300], "store")


def test_the_cache_lets_go_of_what_was_not_asked_for_longest() -> None:
    cache = Cache(most=5)
    held = [Keyed([np.zeros(2)], None, 0, None, [], []) for _ in range(3)]  # type: ignore[arg-type]  # of no interest
    cache.put(("a",), held[0])
    cache.put(("b",), held[1])
    assert cache.get(("a",)) is held[0]
    cache.put(("c",), held[2])
    assert cache.get(("b",)) is None
    assert cache.get(("a",)) is held[0]
    assert cache.get(("c",)) is held[2]


def _counts(db: Database, counted: str, asked: str, cache: Cache) -> dict[str, list[int]]:
    """How many rows of the tables `counted` the rows of the tables `asked` read under their key, by table."""
    events = tuple(StoreSource(name, None, (0,), None, None) for name in counted)
    spec = Store("s", "count", events, "a counter")
    spec.widen("count", None, 0)
    node = Node(5, "counter", (0, 1), ("s", "count", None, 0), NUMBER, frozenset(), (0, 0), False, "")
    sources = [Source(name, f"SELECT * FROM parted_{name}", [TEXT], None, name) for name in counted]
    readings = [Asked(name, f"SELECT * FROM parted_{name}", [node], None, name) for name in asked]
    made = read_counters(db, spec, sources, readings, True, 0, f"parted_{counted}_", cache)
    return {
        name: [v for (v,) in db.rows(f"SELECT c5 FROM {got.table} ORDER BY n")]
        for name, got in zip(asked, made, strict=True)
    }


def test_rows_counted_by_one_store_and_only_read_by_another_are_sorted_for_each(db: Database) -> None:
    for name, rows in {"x": "(1, 'a'), (4, 'a')", "y": "(2, 'a'), (5, 'b')", "z": "(3, 'a')"}.items():
        db.con.execute(
            f"CREATE OR REPLACE TABLE parted_{name} AS "
            f"SELECT n, n AS now, k0, true AS counted FROM (VALUES {rows}) t(n, k0)"
        )
    cache = Cache()
    assert _counts(db, "xy", "z", cache) == {"z": [2]}
    assert _counts(db, "x", "yz", cache) == {"y": [1, 0], "z": [1]}
    assert _counts(db, "xy", "z", cache) == {"z": [2]}
