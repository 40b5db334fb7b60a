"""Every store of counters against an oracle that looks at all earlier events each time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.signals import (
    counters,
    counters_coarse,
    counters_distinct,
    counters_event,
    counters_ever,
    counters_number,
)
from quell.signals.counters_base import BaseStore
from quell.signals.memory import Memory
from quell.signals.stores import make_store
from tests import counters_oracle
from tests.counters_oracle import History, Key, different, mean, newest_first, stddev, total

KEYS: tuple[Key, ...] = ("a", "b", ("a", 1), ())
WINDOWS = (1, 3, 7, 12)
AGO = (1, 4, 9)
LONGEST = 12 + 9
LATENESS = 5
"""How far behind the newest event another may be: the horizon of these histories."""


@dataclass(frozen=True, slots=True)
class Step:
    """An event, and where and how the counter is read after it."""

    later: int
    keys: tuple[Key, ...]
    value: Any
    key: Key
    shift: int
    within: int
    ago: int


def steps(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Step]]:
    """Histories with late events, events of one time, and pauses long enough for keys to leave."""
    later = st.one_of(st.integers(-6, 6), st.sampled_from([*WINDOWS, LONGEST, 40]))
    keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True).map(tuple)
    step = st.builds(
        Step,
        later,
        keys,
        values,
        st.sampled_from(KEYS),
        st.one_of(st.just(0), st.integers(-6, 9)),
        st.sampled_from(WINDOWS),
        st.sampled_from(AGO),
    )
    return st.lists(step, min_size=1, max_size=30)


Reading = tuple[str, Any, Any]
"""The name of a reading, what the store says and what it should."""
Readings = Callable[[Any, History, Step, int, bool], Iterator[Reading]]


@dataclass(slots=True)
class Kind:
    """How a kind of store is made, filled and read."""

    make: Callable[[Memory, int | None], Any]
    readings: Readings
    valued: bool = True
    spread: bool = True


def play(
    kind: Kind,
    history: list[Step],
    longest: int | None = LONGEST,
    *,
    start: int = 1_000,
    left: int | None = None,
    reload: int = -1,
) -> Iterator[tuple[Reading, Memory, Any, Step]]:
    """Run a history through a store; gives every reading, with what the memory reported for it."""
    memory = Memory()
    if left is not None:
        memory.left = left
    store, oracle = kind.make(memory, longest), History(kind.spread)
    at, horizon = start, start - LATENESS
    for number, step in enumerate(history):
        at += step.later
        horizon = max(at - LATENESS, horizon)
        at = max(at, horizon)
        memory.horizon = horizon
        if store.began is None:
            store.began = at
        oracle.add(step.keys, step.value, at)
        store.add_each(step.keys, *((step.value,) if kind.valued else ()), at)
        if left is None:
            assert memory.late == [store.name] * oracle.was_late()
        memory.late.clear()
        now = max(at + step.shift, horizon) if step.shift else at  # the event's own time is the same object
        for key in {step.key, step.keys[0]}:
            skip = key in step.keys and (not kind.spread or bool(different(step.value)))
            read = Step(step.later, step.keys, step.value, key, step.shift, step.within, step.ago)
            for reading in kind.readings(store, oracle, read, now, skip):
                yield reading, memory, store, read
                memory.full.clear()
        if number == reload:
            dumped = msgspec.msgpack.decode(msgspec.msgpack.encode(store.dump()))
            memory = Memory(horizon=horizon, left=memory.left + store.keys())
            store = kind.make(memory, longest)
            store.load(dumped)


def count_readings(store: Any, h: History, s: Step, at: int, skip: bool) -> Iterator[Reading]:
    key, within = s.key, s.within
    yield "count", store.count(key, at, within), len(h.window(key, at, within))
    yield "count of the longest", store.count(key, at, LONGEST), len(h.window(key, at, LONGEST))
    for reach in (within, None) if store.longest is None else (within,):
        times = [e.time for e in h.window(key, at, reach, skip)]
        yield "first_at", store.first_at(key, at, reach, skip), times[0] if times else None
        yield "last_at", store.last_at(key, at, reach, skip), times[-1] if times else None
        since = h.now(key, at) - times[-1] if times else None
        yield "since_last", store.since_last(key, at, reach, skip), since
        watched = h.watched(key, at, reach, s.ago)
        times = [e.time for e in h.window(key, at, reach, ago=s.ago)]
        yield "count_ago", store.count_ago(key, at, reach, s.ago), len(times) if watched else None
        some = times if watched and times else [None]
        yield "first_at_ago", store.first_at_ago(key, at, reach, s.ago), some[0]
        yield "last_at_ago", store.last_at_ago(key, at, reach, s.ago), some[-1]
    if store.longest is None:
        yield "total", store.total(key), len(h.entries(key))


def distinct_readings(store: Any, h: History, s: Step, at: int, skip: bool) -> Iterator[Reading]:
    key = s.key
    for reach in (s.within, None) if store.longest is None else (s.within,):
        now = different([e.value for e in h.window(key, at, reach)])
        found = store.total(key) if reach is None else store.count(key, at, reach)
        yield "distinct", found, len(now)
        before = different([e.value for e in h.window(key, at, reach, skip)])
        if (
            skip and h.entries(key)[-1].time >= at
        ):  # it is read with the present event, which is in the window
            yield "new", store.new(key, at, reach), len(now) - len(before)
        wanted = newest_first(h.window(key, at, reach, skip))
        yield "values", store.values(key, at, reach, skip), wanted
        yield "values", store.values(key, at, reach, False), newest_first(h.window(key, at, reach))
        watched = h.watched(key, at, reach, s.ago)
        then = h.window(key, at, reach, ago=s.ago)
        number = len(different([e.value for e in then])) if watched else None
        yield "count_ago", store.count_ago(key, at, reach, s.ago), number
        yield "values_ago", store.values_ago(key, at, reach, s.ago), newest_first(then) if watched else None


def number_readings(store: Any, h: History, s: Step, at: int, skip: bool) -> Iterator[Reading]:
    key = s.key
    words: dict[str, Callable[[list[Any]], Any]] = {
        "sum": total,
        "mean": mean,
        "stddev": stddev,
        "min": lambda v: min(v, default=None),
        "max": lambda v: max(v, default=None),
    }
    if store.recent is not None:
        words = {word: words[word] for word in FIVE[:3]}
    for reach in (s.within, None) if store.longest is None else (s.within,):
        now = [e.value for e in h.window(key, at, reach)]
        before = [e.value for e in h.window(key, at, reach, skip)]
        then = [e.value for e in h.window(key, at, reach, ago=s.ago)]
        watched = h.watched(key, at, reach, s.ago)
        for word, work in words.items():
            yield word, getattr(store, word)(key, at, reach, False), work(now)
            yield f"{word} before this", getattr(store, word)(key, at, reach, skip), work(before)
            found = getattr(store, f"{word}_ago")(key, at, reach, s.ago)
            yield f"{word}_ago", found, work(then) if watched else None


def event_readings(store: Any, h: History, s: Step, at: int, skip: bool) -> Iterator[Reading]:
    key = s.key
    for reach in (s.within, None) if store.longest is None else (s.within,):
        held = [e.value for e in h.window(key, at, reach, skip)] or [None]
        yield "first", store.first(key, at, reach, skip), held[0]
        yield "last", store.last(key, at, reach, skip), held[-1]
        held = [e.value for e in h.window(key, at, reach, ago=s.ago)] or [None]
        if not h.watched(key, at, reach, s.ago):
            held = [None]
        yield "first_ago", store.first_ago(key, at, reach, s.ago), held[0]
        yield "last_ago", store.last_ago(key, at, reach, s.ago), held[-1]


RESOLUTION = 4


def coarse_readings(store: Any, h: History, s: Step, at: int, skip: bool) -> Iterator[Reading]:
    """Windows whose start is rounded down and whose end, before the present, is rounded up."""
    key, entries, now = s.key, h.entries(s.key), h.now(s.key, at)
    words: dict[str, Callable[[list[Any]], Any]] = {"sum": total, "mean": mean}
    for reach in (s.within, None) if store.longest is None else (s.within,):
        low = -math.inf if reach is None else (now - reach) // RESOLUTION * RESOLUTION
        inside = [e for e in entries if e.time > low]
        past = -math.inf if reach is None else (now - s.ago - reach) // RESOLUTION * RESOLUTION
        end = -((s.ago - now) // RESOLUTION) * RESOLUTION
        then = [e.value for e in entries if past < e.time <= end]
        watched = h.watched(key, at, reach, s.ago)
        before = [e.value for e in inside if not (skip and e.event == len(h.events) - 1)]
        if store.kind == "coarse-count":
            found = store.total(key) if reach is None else store.count(key, at, reach)
            yield "count", found, len(inside)
            yield "count_ago", store.count_ago(key, at, reach, s.ago), len(then) if watched else None
            exact = len(h.window(key, at, reach))
            assert exact <= len(inside) <= exact + sum(low < e.time <= low + RESOLUTION for e in entries)
            continue
        for word, work in words.items():
            yield word, getattr(store, word)(key, at, reach, False), work([e.value for e in inside])
            if now == entries[-1].time if entries else True:
                yield f"{word} before this", getattr(store, word)(key, at, reach, skip), work(before)
            found = getattr(store, f"{word}_ago")(key, at, reach, s.ago)
            yield f"{word}_ago", found, work(then) if watched else None


NUMBERS = st.sampled_from([0, 1, -2, 3, 0.5, 0.1, -0.1, 1e308, -1e308, 5e-324, 2**53, 1e-9])
TEXTS = st.sampled_from("wxyz")
VALUES = {
    "count": st.none(),
    "distinct": st.one_of(TEXTS, st.lists(TEXTS, max_size=4)),
    "number": st.one_of(NUMBERS, st.lists(NUMBERS, max_size=3)),
    "count for ever": st.none(),
    "number for ever": st.one_of(NUMBERS, st.lists(NUMBERS, max_size=3)),
    "coarse-count": st.none(),
    "coarse-number": st.one_of(NUMBERS, st.lists(NUMBERS, max_size=3)),
    "event": st.one_of(TEXTS, st.none(), st.lists(TEXTS, max_size=2)),
}
FIVE = ("sum", "mean", "stddev", "min", "max")
KINDS = {
    "count": Kind(lambda m, w: make_store("count", "c", w, memory=m), count_readings, valued=False),
    "distinct": Kind(
        lambda m, w: make_store("distinct", "d", w, ("count", "values"), True, memory=m), distinct_readings
    ),
    "number": Kind(lambda m, w: make_store("number", "n", w, FIVE, True, memory=m), number_readings),
    "coarse-count": Kind(
        lambda m, w: make_store("count", "q", w, resolution=RESOLUTION, memory=m),
        coarse_readings,
        valued=False,
    ),
    "coarse-number": Kind(
        lambda m, w: make_store("number", "p", w, ("sum", "mean"), resolution=RESOLUTION, memory=m),
        coarse_readings,
    ),
    "count for ever": Kind(
        lambda m, w: make_store("count", "c", None, memory=m, recent=LONGEST), count_readings, valued=False
    ),
    "number for ever": Kind(
        lambda m, w: make_store("number", "n", None, FIVE[:3], True, memory=m, recent=LONGEST),
        number_readings,
    ),
    "event": Kind(lambda m, w: make_store("event", "e", w, memory=m), event_readings, spread=False),
}


def same(found: Any, wanted: Any) -> bool:
    """Whether two readings are the same: missing only missing, numbers to the last bit."""
    if found is None or wanted is None:
        return found is wanted
    return bool(found == wanted) and (not isinstance(found, float) or math.isfinite(found))


@pytest.fixture(params=[False, True], ids=["as it is", "short of room"], autouse=True)
def hasty(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both ways of letting go of old times, one by one and many at once; and lists of values that are cut."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            patch.setattr(counters_ever, "KEEP", 2)
            patch.setattr(counters, "_EAGER", 6)
            patch.setattr(counters, "_SLACK", 2)
            patch.setattr(counters_distinct, "SHOWN", 2)
            patch.setattr(counters_oracle, "SHOWN", 2)
        yield


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_a_store_says_what_looking_at_everything_says(name: str, data: st.DataObject) -> None:
    history = data.draw(steps(VALUES[name]))
    longest = data.draw(st.sampled_from([LONGEST, None]))
    reload = data.draw(st.integers(-1, len(history)))
    start = data.draw(st.sampled_from([1_000, 0, -50]))
    readings = play(KINDS[name], history, longest, start=start, reload=reload)
    for (word, found, wanted), memory, _, step in readings:
        assert same(found, wanted), (word, step)
        assert memory.full == []


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_a_full_memory_makes_nothing_wrong_in_silence(name: str, data: st.DataObject) -> None:
    history = data.draw(steps(VALUES[name]))
    longest = data.draw(st.sampled_from([LONGEST, None]))
    left = data.draw(st.integers(0, 3))
    reload = data.draw(st.integers(-1, len(history)))
    readings = play(KINDS[name], history, longest, left=left, reload=reload)
    for (word, found, wanted), memory, store, step in readings:
        if word != "new":  # it is taken from a count, which is missing
            assert same(found, wanted) or (found is None and memory.full == [store.name]), (word, step)
        assert store.keys() <= left


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_a_key_with_too_many_entries_gives_a_lower_bound_and_says_so(name: str, data: st.DataObject) -> None:
    history = data.draw(steps(VALUES[name]))
    longest = data.draw(st.sampled_from([LONGEST, None]))
    with pytest.MonkeyPatch.context() as patch:
        for module in (counters, counters_coarse, counters_distinct, counters_event, counters_number):
            patch.setattr(module, "MOST", 4)
        for (word, found, wanted), memory, store, step in play(KINDS[name], history, longest):
            if word != "new":
                assert same(found, wanted) or memory.full == [store.name], (word, step)
            if word in ("count", "distinct", "total", "count_ago") and wanted is not None:
                assert found <= wanted, step
            assert store.entries() <= store.keys() * 16


def test_every_kind_of_store_is_one() -> None:
    for kind in KINDS.values():
        assert isinstance(kind.make(Memory(), None), BaseStore)
