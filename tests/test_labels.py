"""Labels and limits against what brute force says: reasons, people's words, expiry, ages, forgetting."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.signals.clock import Clock
from quell.signals.labels import LabelSet
from quell.signals.limits import LimitStore
from tests.oracle_labels import Deed, seen

IDS = ("a", "b", "c")
RULES = ("r", "s")


def copied(labels: LabelSet, clock: Clock) -> LabelSet:
    """The labels as a snapshot brings them back."""
    made = LabelSet(clock)
    made.load(msgspec.msgpack.decode(msgspec.msgpack.encode(labels.dump())))
    return made


Step = tuple[str, str, int, int | None, str]
"""What is done, to whom, how long after the horizon, for how long, and by which rule."""
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("set", "set", "off", "put", "take", "release", "wait", "snapshot")),
        st.sampled_from(IDS),
        st.integers(0, 12),
        st.one_of(st.none(), st.integers(1, 15)),
        st.sampled_from(RULES),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=400)
def test_labels_are_what_all_that_was_done_comes_to(steps: list[Step]) -> None:
    """The horizon moves on `wait`; nothing is done or read before it."""
    clock = Clock()
    clock.horizon = 0
    labels = LabelSet(clock)
    deeds: dict[str, list[Deed]] = defaultdict(list)
    for what, id, after, lasts, rule in steps:
        at = clock.horizon + after
        until = None if lasts is None else at + lasts
        before = seen(deeds[id], at)
        if what == "wait":
            clock.horizon += after
        elif what == "snapshot":
            labels = copied(labels, clock)
        else:
            deeds[id].append(Deed(what, at, until, rule))
            after_it = seen(deeds[id], at)
            if what == "set":
                assert labels.set(id, at, until, rule) == after_it.until
            elif what == "off":
                assert labels.remove(id, at) == (before.on and not after_it.on)
            elif what == "put":
                labels.put(id, at, until, rule)
            elif what == "take":
                labels.take(id, at, until, rule)
            else:
                assert labels.release(id, at) == (before.hand is not None)
        for other in IDS:
            for t in range(clock.horizon, clock.horizon + 30):
                expected = seen(deeds[other], t)
                hand = labels.hand(other, t)
                assert labels.has(other, t) == expected.on
                assert labels.age(other, t) == (max(0, t - expected.since) if expected.on else None)
                assert (hand and (hand.on, hand.since, hand.by)) == (
                    expected.hand and (expected.hand.what == "put", expected.hand.at, expected.hand.by)
                )
                if expected.on:
                    assert labels.until(other) == expected.until


@given(STEPS)
@settings(max_examples=200)
def test_a_reason_of_one_rule_is_one_and_never_shortened(steps: list[Step]) -> None:
    labels = LabelSet(Clock())
    expected: dict[str, dict[str, float]] = defaultdict(dict)
    for what, id, at, lasts, rule in steps:
        until = None if lasts is None else at + lasts
        if what == "set":
            labels.set(id, at, until, rule)
            end = float("inf") if until is None else float(until)
            expected[id][rule] = max(end, expected[id].get(rule, end))
        elif what in ("off", "take"):
            labels.remove(id, at)
            expected[id].clear()
    for id in IDS:
        held = labels.held(id)
        got = {} if held is None else {r.rule: r.until for r in held.reasons}
        # Beyond 15 + 12 nothing but what holds for good can stand; earlier, only what stands is compared.
        for t in range(30):
            standing = {r for r, u in expected[id].items() if t < u}
            assert standing - {r for r, u in got.items() if t < u} <= {
                r for r, u in expected[id].items() if u < 30
            }
        assert {r for r, u in got.items() if u > 2**60} == {
            r for r, u in expected[id].items() if u == float("inf")
        }
        assert all(expected[id][r] == u for r, u in got.items() if u < 2**60)


def test_what_is_over_leaves_a_little_at_a_time() -> None:
    clock = Clock()
    clock.horizon = 0
    labels = LabelSet(clock)
    for n in range(10_000):
        clock.horizon = n * 10
        labels.set(f"u{n}", n * 10, n * 10 + 1_000, "r")
        assert labels.keys() <= 310
    for n in range(1_000):
        labels.set("again", clock.horizon + n, clock.horizon + n + 1_000, "r")
        labels.remove("again", clock.horizon + n)
    assert labels.keys() <= 310
    labels.set("for good", 0, None, "r")
    clock.horizon = 10**9
    labels.sweep(1_000)
    assert labels.ids() == ["for good"]
    assert labels.has("for good", 10**9)
    assert labels.bytes() > 200


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 12), st.integers(0, 4)), max_size=60),
    st.integers(0, 3),
)
@settings(max_examples=200)
def test_a_limit_allows_so_many_in_any_window(steps: list[tuple[str, int, int]], count: int) -> None:
    """Against all times that were allowed; the horizon moves, and a snapshot is taken, now and then."""
    clock = Clock()
    clock.horizon = 0
    limit = LimitStore(count, 10, clock)
    allowed: dict[str, list[int]] = defaultdict(list)
    for key, after, forward in steps:
        at = clock.horizon + after
        now = max([at, *allowed[key]])
        free = count - sum(t > now - 10 for t in allowed[key])
        assert limit.left((key, 1.5, None), at) == free
        assert limit.allow((key, 1.5, None), at) == (free > 0)
        if free > 0:
            allowed[key].append(now)
        clock.horizon += forward
        if forward == 4:
            dumped = msgspec.msgpack.decode(msgspec.msgpack.encode(limit.dump()))
            limit = LimitStore(count, 10, clock)
            limit.load(dumped)


def test_idle_keys_of_a_limit_leave() -> None:
    clock = Clock()
    clock.horizon = 0
    limit = LimitStore(1, 1_000, clock)
    for n in range(10_000):
        clock.horizon = n * 10
        assert limit.allow(n, n * 10)
        assert limit.keys() <= 310
    assert 200 * limit.keys() < limit.bytes() < 1_000 * limit.keys()


RUBBISH: tuple[Any, ...] = (
    None, 3, [1], [[1]], [["a", "b", [], None]], [["a", 1, [["r", 1]], None]], [["a", 1, [], [True, 1]]],
)  # fmt: skip


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_what_no_store_dumped_is_refused_and_changes_nothing(rubbish: Any) -> None:
    labels, limit = LabelSet(Clock()), LimitStore(1, 10, Clock())
    labels.set("u1", 0, None)
    limit.allow("u1", 0)
    with pytest.raises((TypeError, ValueError)):
        labels.load(rubbish)
    with pytest.raises((TypeError, ValueError)):
        limit.load(cast("list[Any]", rubbish))
    assert labels.has("u1", 0)
    assert limit.left("u1", 0) == 0
