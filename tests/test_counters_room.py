"""How much counters hold: idle keys leave, a full memory refuses and says so, what is dumped comes back."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest

from quell.signals import counters, counters_base
from quell.signals.counters import CountStore, keys_of
from quell.signals.counters_base import MOST_AT_ONCE
from quell.signals.counters_distinct import DistinctStore
from quell.signals.counters_number import NumberStore
from quell.signals.memory import Memory
from quell.signals.state import State
from quell.signals.stores import make_store

HOUR = 3_600_000_000
FIVE = ("sum", "mean", "min", "max", "stddev")
KINDS = [
    ("count", 0),
    ("distinct", 0),
    ("number", 0),
    ("event", 0),
    ("count", 60_000_000),
    ("number", 60_000_000),
]


def made(kind: str, resolution: int, memory: Memory, longest: int | None = HOUR) -> Any:
    return make_store(kind, "it", longest, FIVE if kind == "number" else (), False, resolution, memory)


def add(store: Any, key: Any, at: int) -> None:
    """One event with any value there must be."""
    store.add(key, *(() if store.kind in ("count", "coarse-count") else (1,)), at)


@pytest.fixture(params=KINDS, ids=lambda k: f"{k[0]} {'coarse' if k[1] else 'exact'}")
def kind(request: pytest.FixtureRequest) -> tuple[str, int]:
    found: tuple[str, int] = request.param
    return found


def test_idle_keys_leave_and_give_their_room_back(kind: tuple[str, int]) -> None:
    memory = Memory(left=10_000)
    store = made(*kind, memory)
    most = 0
    for n in range(20_000):  # each key once, 100 of them an hour
        at = n * HOUR // 100
        memory.horizon = at - HOUR
        add(store, f"k{n}", at)
        most = max(most, store.keys())
    assert most <= 5 * 100
    assert memory.left == 10_000 - store.keys()
    assert store.bytes() < 400_000
    add(store, "k19999", 19_999 * HOUR // 100)
    assert store.keys() <= most


def test_a_key_leaves_not_a_microsecond_too_early() -> None:
    memory = Memory()
    for kind in ("count", "distinct", "number", "event"):
        store = made(kind, 0, memory)
        add(store, "old", 0)
        add(store, "edge", 1)
        memory.horizon = HOUR
        store.sweep(2)
        assert store.keys() == 1
        memory.horizon = HOUR + 1
        store.sweep(2)
        assert store.keys() == 0


def test_a_coarse_key_stays_while_a_window_rounded_down_reaches_it() -> None:
    memory, minute = Memory(), 60_000_000
    store = made("count", minute, memory)
    add(store, "old", 1 - 10 * minute)
    add(store, "edge", 1)
    memory.horizon = HOUR + minute - 1
    store.sweep(2)
    assert store.keys() == 1
    assert store.count("edge", memory.horizon, HOUR) == 1
    memory.horizon = HOUR + 3 * minute
    store.sweep(2)
    assert store.keys() == 0


def test_keys_that_stay_busy_never_leave(kind: tuple[str, int]) -> None:
    memory = Memory()
    store = made(*kind, memory)
    for n in range(3_000):
        at = n * HOUR // 100
        memory.horizon = at - HOUR
        add(store, f"busy{n % 50}", at)
        add(store, f"once{n}", at)
        assert store.keys() >= min(n + 1, 50)
        assert memory.late == []
    assert all(store.sweep(1) is None for _ in range(10_000))
    assert store.keys() <= 50 + 2 * 100 + 10


def test_nothing_leaves_without_a_horizon_or_for_ever(kind: tuple[str, int]) -> None:
    for longest, horizon in ((HOUR, None), (None, 10**18)):
        memory = Memory(horizon=horizon)
        store = made(*kind, memory, longest)
        for n in range(200):
            add(store, n, n * HOUR)
        store.sweep(1_000)
        assert store.keys() == store.entries() == 200


def test_the_state_sweeps_stores_that_get_no_new_keys() -> None:
    state = State()
    store = CountStore("c", HOUR, state.memory)
    state.stores["c"] = store
    for n in range(100):
        store.add(n, state.admit(0))
    for n in range(40 * 256):
        store.add(0, state.admit(10 * HOUR + n))
    assert store.keys() == 1


def test_a_full_memory_refuses_new_keys_and_says_so(kind: tuple[str, int]) -> None:
    memory = Memory(left=2)
    store = made(*kind, memory)
    read = {"count": "count", "distinct": "count", "number": "sum", "event": "last"}[kind[0]]
    rest = (False,) if read in ("sum", "last") else ()

    def reading(key: str, at: int) -> tuple[Any, list[str]]:
        found = getattr(store, read)(key, at, HOUR, *rest), list(memory.full)
        memory.full.clear()
        return found

    nothing = None if kind[0] == "event" else 0
    assert reading("c", 1) == (nothing, [])
    for at, key in enumerate(("a", "b", "c")):
        memory.horizon = at - HOUR
        add(store, key, at)
    assert (store.keys(), memory.left) == (2, 0)
    assert reading("a", 2) == (1, [])  # it was held all along
    assert reading("c", 2) == (None, ["it"])
    assert reading("d", 2) == (None, ["it"])  # nobody knows whose event was refused
    later = 10 * HOUR
    memory.horizon = later - HOUR
    add(store, "c", later)  # the others are idle by now
    assert reading("c", later) == (1, [])
    assert reading("d", later) == (nothing, [])


def test_a_key_that_comes_after_a_refusal_is_in_doubt_until_the_window_has_passed() -> None:
    memory = Memory(left=1)
    store = CountStore("it", HOUR, memory)
    store.add("a", 0)
    store.add("b", HOUR - 2)
    memory.left = 1
    store.add("b", HOUR)
    assert store.count("b", HOUR, HOUR) is None
    assert store.count("b", HOUR, 2) == 1  # the refusal lies before the window
    assert store.count("b", 2 * HOUR - 3, HOUR) is None
    assert store.count("b", 2 * HOUR - 2, HOUR) == 1
    store.add("b", 3 * HOUR)
    assert store.count("b", 3 * HOUR, HOUR) == 1
    assert memory.full == ["it", "it"]
    assert store._marks == {}


def test_a_key_with_too_many_entries_drops_its_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counters_base.MOST == 1_000_000
    monkeypatch.setattr(counters, "MOST", 1_000)
    memory = Memory()
    store = CountStore("it", HOUR, memory)
    for n in range(1_500):
        store.add("a", n)
    held = store.count("a", 1_499, HOUR)
    assert held is not None
    assert 1_000 - 1_000 // 64 <= held <= 1_000
    assert memory.full == ["it"]
    assert store.count("a", 1_499, 500) == 500
    assert memory.full == ["it"]  # the shorter window has lost nothing
    store.add("a", 3 * HOUR)
    assert store.count("a", 3 * HOUR, HOUR) == 1
    assert memory.full == ["it"]


def test_events_counted_twice_under_a_key_are_left_out_twice() -> None:
    store = CountStore("strikes", HOUR, Memory())
    store.add("a", 5)
    store.add("a", 9)
    store.add("a", 9)
    assert store.last_at("a", 9, HOUR, 2) == 5
    assert store.since_last("a", 9, HOUR, 2) == 4
    assert store.first_at("a", 9, HOUR, 3) is None


def test_sums_are_exact_where_doubles_are_not() -> None:
    store = NumberStore("n", HOUR, Memory())
    for value in (1e308, 1e308, 0.1, 0.2, -1e308):
        store.add("a", value, 1)
    assert store.sum("a", 1, HOUR, False) == 1e308
    assert store.mean("a", 1, HOUR, False) == 2e307
    store.add("a", 1e308, 2)
    assert store.sum("a", 2, HOUR, False) is None  # beyond the largest double
    assert store.mean("a", 2, HOUR, False) == 1e308 / 3  # (1 + 1 + 1 - 1) / 6 of it
    few = NumberStore("n", None, Memory())
    for value in (0.1,) * 10:
        few.add("a", value, 1)
    assert few.sum("a", 1, None, False) == 1.0
    assert few.stddev("a", 1, None, False) == 0.0
    assert few.sum("b", 1, None, False) == 0
    assert few.mean("b", 1, None, False) is None


def test_whole_sums_are_whole_numbers() -> None:
    store = NumberStore("n", HOUR, Memory())
    for value in (0.5, 2.5):
        store.add("a", value, 1)
    found = store.sum("a", 1, HOUR, False)
    assert (found, type(found)) == (3, int)
    store.add("b", 2**53, 1)
    store.add("b", 2**53, 1)
    found = store.sum("b", 1, HOUR, False)
    assert (found, type(found)) == (2.0**54, float)


def test_figures_are_estimated_from_a_thousand_keys() -> None:
    store = CountStore("it", HOUR, Memory())
    for n in range(5_000):
        for _ in range(10):
            store.add(n, 1)
    assert store.keys() == 5_000
    assert store.entries() == 50_000
    assert 5_000 * 150 < store.bytes() < 5_000 * 300


def test_what_a_store_does_not_hold_it_is_not_filled_with() -> None:
    memory = Memory()
    plain, logged = DistinctStore("d", HOUR, memory), DistinctStore("d", HOUR, memory, log=True)
    with pytest.raises(ValueError, match="the counter `d` cannot be filled"):
        logged.load(plain.dump())
    plain.load(logged.dump())
    with pytest.raises(ValueError, match="cannot be filled"):
        plain.load(CountStore("c", HOUR, memory).dump())
    least = NumberStore("n", HOUR, memory, ("min",))
    least.add("a", 3, 1)
    with pytest.raises(ValueError, match="cannot be filled"):
        NumberStore("n", HOUR, memory, ("sum",)).load(least.dump())
    whole = NumberStore("n", HOUR, memory, ("sum",))
    whole.add("a", 3, 1)
    least.load(whole.dump())
    assert least.min("a", 1, HOUR, False) == 3


def test_loading_takes_the_place_of_all_and_of_the_room(kind: tuple[str, int]) -> None:
    memory = Memory(left=100)
    store, other = made(*kind, memory), made(*kind, Memory())
    for n in range(10):
        add(store, n, n)
    for n in range(3):
        add(other, (n, "x"), n)
    dumped = msgspec.json.decode(msgspec.json.encode(other.dump()))
    store.load(dumped)
    assert store.keys() == 3
    assert memory.left == 97
    assert store.dump() == other.dump()


def test_no_store_is_of_a_kind_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="no counter is kept as `median`"):
        make_store("median", "m", HOUR)


def test_keys_of_parts() -> None:
    assert keys_of("a") == ["a"]
    assert keys_of("a", None) == []
    assert keys_of(["a", "b", "a"], 1) == [("a", 1), ("b", 1)]
    assert keys_of(["a", "a"]) == ["a"]


def test_stores_of_one_shape_can_stand_in_for_each_other() -> None:
    memory = Memory()
    shapes = [
        make_store(kind, "a", longest, needs, log, resolution, memory, recent)
        for kind, longest, needs, log, resolution, recent in (
            ("count", HOUR, (), False, 0, None),
            ("count", None, (), False, 0, None),
            ("count", None, (), False, 0, HOUR),
            ("count", HOUR, (), False, 60_000_000, None),
            ("count", HOUR, (), False, 1_000_000, None),
            ("distinct", HOUR, (), False, 0, None),
            ("distinct", HOUR, (), True, 0, None),
            ("distinct", HOUR, ("values",), True, 0, None),
            ("number", HOUR, ("sum",), False, 0, None),
            ("number", HOUR, ("sum", "max"), False, 0, None),
            ("number", HOUR, ("sum", "max"), True, 0, None),
            ("number", None, ("sum",), False, 0, HOUR),
            ("event", HOUR, (), False, 0, None),
        )
    ]
    assert len({s.shape for s in shapes}) == len(shapes)
    assert make_store("count", "b", HOUR, memory=memory).shape == shapes[0].shape


def test_what_was_summed_up_does_not_fill_a_store_that_looks_further_back() -> None:
    for kind, needs in (("count", ()), ("number", ("sum",))):
        near, far, all_of_it = (
            make_store(kind, "it", None, needs, memory=Memory(), recent=r) for r in (HOUR, 2 * HOUR, None)
        )
        windowed = make_store(kind, "it", 2 * HOUR, needs, memory=Memory())
        for store in (far, all_of_it, windowed):
            with pytest.raises(ValueError, match="the counter `it` cannot be filled"):
                store.load(near.dump())
        near.load(far.dump())
        far.load(all_of_it.dump())
        make_store(kind, "it", HOUR, needs, memory=Memory()).load(far.dump())


def test_a_count_for_ever_is_bounded_by_what_is_recent() -> None:
    store = make_store("count", "it", None, memory=Memory(), recent=100)
    sums: Any = make_store("number", "it", None, ("sum", "mean"), memory=Memory(), recent=100)
    store.began = 0
    assert isinstance(store, CountStore)
    for n in range(10_000):
        store.add("a", n)
        sums.add("a", n, n)
    assert store.entries() < 500
    assert sums.entries() < 500
    assert store.total("a") == 10_000
    assert store.count("a", 9_999, 100) == 100
    assert store.count_ago("a", 9_999, None, 50) == 9_950
    assert store.first_at("a", 9_999, None, 1) == 0
    assert store.last_at("a", 9_999, None, 1) == 9_998
    assert store.last_at_ago("a", 50_000, None, 100) == 9_999
    assert sums.sum("a", 9_999, None, False) == sum(range(10_000))
    assert sums.mean("a", 9_999, None, True) == sum(range(9_999)) / 9_999


def test_durations_for_ever_keep_what_was_let_go() -> None:
    """Nothing else is read, so that no time is recent."""
    store: Any = make_store("number", "it", None, ("sum", "mean"), memory=Memory(), recent=0)
    for n in range(1, 50):
        store.add("u", n, 10 * n)
        total = n * (n + 1) // 2
        assert store.sum_whole("u", 10 * n, None, False) == total
        assert store.sum_whole("u", 10 * n, None, True) == total - n
        assert store.mean_whole("u", 10 * n, None, False) == round(Fraction(total, n))


@pytest.mark.parametrize(("kind", "resolution"), [("distinct", 0), ("number", 0), ("number", 1_000_000)])
def test_one_event_cannot_fill_the_memory_with_a_product_of_lists(kind: str, resolution: int) -> None:
    memory = Memory()
    store: Any = make_store(kind, "it", 3_600_000_000, ("sum",), False, resolution, memory)
    word = store.total if kind == "distinct" else lambda key: store.sum(key, 10_000_000, 3_600_000_000, False)
    store.add_each(["a", "b"], [1, 2, 3], 10_000_000)
    assert (word("a"), memory.full) == (3 if kind == "distinct" else 6, [])
    store.add_each(["a", *map(str, range(1_999))], list(range(4, 4_000)), 10_000_000)
    assert store.entries() <= 6 + MOST_AT_ONCE
    assert (word("a"), memory.full) == (8 if kind == "distinct" else 6 + 4 + 5 + 6 + 7 + 8, ["it"])
    memory.full.clear()
    assert (word("b"), memory.full) == (3 if kind == "distinct" else 6, [])  # it had no part in it
    assert (word("nobody"), memory.full) == (0, [])
