"""A state in a changed bundle: what means the same is kept, what is new says that it is cold."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine import Decision, Stepper
from quell.engine.carry import SnapshotReport, carry, restore, sections
from quell.engine.compile import Build, build
from quell.signals.clock import Clock
from quell.signals.memory import Memory
from quell.signals.state import State
from tests.bundles import sound

NOON = 1_767_268_800_000_000
MINUTE = 60_000_000
SCHEMA = """
entity User labels "spammer"{more}
event message from "message"
  id text = $.id
  at time = $.at
  author User = $.author
  content text = $.content
event login from "login"
  at time = $.at
  author User = $.author
"""
OLD = (
    SCHEMA.format(more=', "old"')
    + """
let burst = count(message by author within 10m)
let texts = distinct(content of message by author within 20m)
let gone = count(login by author within 1h)
rule fast on message
  when burst >= 3
  then label author "spammer" for 20m
       send "queue" limit 1 per author every 10m
rule old on message
  when gone > 99 and texts > 99
  then label author "old"
       send "old" limit 1 per author every 10m
rule every on message
  when true
  then label author "old"
       send "each" limit 1 every 1h
"""
)
NEW = (
    SCHEMA.format(more="")
    + """
let burst = count(message by author within 10m)
let renamed = distinct(content of message by author within 20m)
let longer = count(message by author within 30m)
let before = count(message by author within 10m before 10m ago)
let fresh = count(message by content within 15m)
rule quick on message
  when burst >= 3
  then label author "spammer" for 20m
       send "queue" limit 1 per author every 10m
  formerly fast
rule told on message
  when true
  then send "probe" {
         burst: burst, renamed: renamed, longer: longer, before: before, fresh: fresh,
         labelled: author labelled "spammer",
       }
rule every on message
  when true
  then send "each" limit 1 per author every 1h
"""
)
COUNT, DISTINCT, FRESH = (
    "count(message by author)",
    "distinct(content of message by author)",
    "count(message by content)",
)


def fresh(bundle: Build, block: int = 256) -> Stepper:
    return Stepper(bundle, State(clock=Clock(10 * MINUTE, block), memory=Memory()))


def by_copy(old: Stepper, bundle: Build, block: int = 256) -> tuple[Stepper, SnapshotReport]:
    new = fresh(bundle, block)
    told = (msgspec.msgpack.decode(msgspec.msgpack.encode(s)) for s in sections(old))
    return new, restore(new, told)


def by_hand_over(old: Stepper, bundle: Build, block: int = 256) -> tuple[Stepper, SnapshotReport]:
    return carry(old, bundle)


WAYS = pytest.mark.parametrize("way", [by_copy, by_hand_over])
Way = Callable[[Stepper, Build, int], tuple[Stepper, SnapshotReport]]


@cache
def built(text: str) -> Build:
    return build(sound(text))


@pytest.fixture
def old() -> Build:
    return built(OLD)


@pytest.fixture
def new() -> Build:
    return built(NEW)


def message(minute: float, author: str = "u1", content: str = "a") -> dict[str, Any]:
    at = NOON + round(minute * MINUTE)
    return {"type": "message", "id": "1", "at": at, "author": author, "content": content}


def probe(stepper: Stepper, event: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the counters say at an event, and which are cold."""
    made = stepper.decide(event)
    assert isinstance(made, Decision)
    return next(s.payload for s in made.sends if s.sink == "probe"), made.cold


@WAYS
def test_what_means_the_same_is_kept_and_the_rest_is_told(old: Build, new: Build, way: Way) -> None:
    first = fresh(old)
    first.decide(message(0))
    for minute in range(20, 25):
        made = first.decide(message(minute))
        assert isinstance(made, Decision)
        assert made.cold == ()
    first.decide({"type": "login", "at": NOON, "author": "u1"})
    second, report = way(first, new, 256)
    assert report == SnapshotReport(
        first.version,
        kept=('User "spammer"', DISTINCT, "limit of fast: send queue per author"),
        longer=(COUNT,),
        cold=(FRESH,),
        dropped=('User "old"', "count(login by author)", "limit of every: send each per"),
    )
    assert second.seq == 7
    values, cold = probe(second, message(25))
    assert (values["burst"], values["renamed"], values["labelled"], values["fresh"]) == (6, 1, True, 1)
    assert values["before"] is None
    assert cold == (COUNT, FRESH)
    made = second.decide({"type": "login", "at": NOON, "author": "u1"})
    assert isinstance(made, Decision)
    assert (made.cold, made.seq) == ((), 9)


@WAYS
def test_a_cold_counter_warms_up(old: Build, new: Build, way: Way) -> None:
    first = fresh(old)
    for minute in range(0, 60, 2):
        first.decide(message(minute))
    second, _ = way(first, new, 256)
    # What counted messages looked back 10 minutes from minute 58, and 30 are wanted now.
    assert probe(second, message(60))[1] == (COUNT, FRESH)
    assert probe(second, message(73))[1] == (COUNT, FRESH)
    assert probe(second, message(73.01))[1] == (COUNT,)
    assert probe(second, message(78))[1] == (COUNT,)
    values, cold = probe(second, message(78.01))
    assert cold == ()
    assert values["before"] == 1  # that of minute 60: the window ends at 68 and begins after 58


@WAYS
def test_the_same_bundle_keeps_all_of_it(old: Build, way: Way) -> None:
    first, whole = fresh(old), fresh(old)
    events = [message(n * 1.5, "abc"[n % 3], "xy"[n % 2]) for n in range(40)]
    expected = [whole.decide(e) for e in events]
    got = [first.decide(e) for e in events[:20]]
    second, report = way(first, old, 256)
    assert (report.longer, report.cold, report.dropped) == ((), (), ())
    assert got + [second.decide(e) for e in events[20:]] == expected


def test_what_is_handed_over_is_not_copied_and_the_rest_is_given_back(old: Build, new: Build) -> None:
    first = fresh(old)
    first.state.memory.left = 100
    for n in range(10):
        first.decide(message(n, f"u{n}"))
        first.decide({"type": "login", "at": NOON, "author": f"u{n}"})
    assert first.state.memory.left == 70
    same = {id(s) for s in first.state.stores.values() if s.name == DISTINCT}
    second, _ = carry(first, new)
    assert {id(s) for s in second.state.stores.values() if s.name == DISTINCT} == same
    held = sum(s.keys() for s in second.state.stores.values())
    assert (held, second.state.memory.left) == (20, 80)


def test_before_any_event_nothing_is_cold(old: Build, new: Build) -> None:
    second, report = by_copy(fresh(old), new)
    assert (report.cold, report.longer) == ((), ())
    assert probe(second, message(0))[1] == ()


def test_a_counter_for_ever_that_is_younger_than_the_history_stays_cold(old: Build) -> None:
    ever = build(
        sound(OLD + "rule all_time on message\n  when count(message by content ever) > 3\n  then flag\n")
    )
    first = fresh(old)
    first.decide(message(0))
    second, _ = carry(first, ever)
    for minute in (1, 10_000):
        made = second.decide(message(minute))
        assert isinstance(made, Decision)
        assert made.cold == (FRESH,)
    # And it is so after a restart.
    third, report = by_copy(second, ever)
    assert report.cold == ()
    made = third.decide(message(10_001))
    assert isinstance(made, Decision)
    assert made.cold == (FRESH,)


@WAYS
def test_what_needs_more_than_was_kept_begins_anew(way: Way) -> None:
    """How many texts there are now can be told without each one's times; how many there were cannot."""
    policy = SCHEMA.format(more="") + "let texts = distinct(content of message by author within 20m{0})\n"
    policy += "rule r on message\n  when texts > 3\n  then flag\n"
    first = fresh(built(policy.format("")))
    first.decide(message(0))
    _, report = way(first, built(policy.format(" before 20m ago")), 256)
    assert (report.cold, report.kept, report.longer) == ((DISTINCT,), (), ())


@WAYS
@pytest.mark.parametrize(
    ("before", "after", "kept"), [("5m", "20m", False), ("20m", "5m", True), ("5m", "5m", True)]
)
def test_a_counter_for_ever_keeps_the_times_that_its_windows_need(
    way: Way, before: str, after: str, kept: bool
) -> None:
    """What lies further back is a number only, which no longer window can be told from."""
    policy = SCHEMA.format(more="") + "let all_time = count(message by author ever)\n"
    policy += "let window = count(message by author within {0})\n"
    policy += 'rule r on message\n  when true\n  then send "probe" {{ a: all_time, w: window }}\n'
    first = fresh(built(policy.format(before)), 3)
    for minute in range(30):
        first.decide(message(minute))
    second, report = way(first, built(policy.format(after)), 3)
    assert (report.kept, report.cold) == (((COUNT,), ()) if kept else ((), (COUNT,)))
    values, cold = probe(second, message(30))
    assert cold == report.cold
    assert values == ({"a": 31, "w": 5} if kept else {"a": 1, "w": 1})


STEPS = st.lists(
    st.tuples(st.integers(-9, 14), st.sampled_from("ab"), st.sampled_from("xyz")), min_size=2, max_size=60
)


@WAYS
@given(steps=STEPS, cut=st.integers(0, 60))
@settings(max_examples=60)
def test_no_counter_that_is_not_cold_says_less_than_there_was(
    way: Way, steps: list[tuple[int, str, str]], cut: int
) -> None:
    """Against the new bundle having run from the beginning; times wander, and keys leave at once."""
    new = built(NEW)
    whole, first = fresh(new, 3), fresh(built(OLD), 3)
    minute, events = 0, []
    for step, author, content in steps:
        minute += step
        events.append(message(minute, author, content))
    for event in events[:cut]:
        whole.decide(event)
        first.decide(event)
    second, _ = way(first, new, 3)
    for event in events[cut:]:
        (expected, none), (got, cold) = probe(whole, event), probe(second, event)
        assert none == ()
        assert (got["burst"], got["renamed"]) == (expected["burst"], expected["renamed"])
        if COUNT not in cold:
            assert (got["longer"], got["before"]) == (expected["longer"], expected["before"])
        if got["before"] is not None:
            assert got["before"] == expected["before"]
        if FRESH not in cold:
            assert got["fresh"] == expected["fresh"]


COUNTED = """
let shares = count(message by author within 1h where any words(content) == author)
rule many on message
  when shares > 3
  then label author "spammer"
"""
OTHER = """
rule another on message
  when length(content) * 2 > 7 and content starts with "x"
  then label author "spammer"
"""


def test_what_else_the_policies_say_is_no_part_of_a_counter_over_elements() -> None:
    alone, beside = (sound(SCHEMA.format(more="") + t) for t in (COUNTED, OTHER + COUNTED))
    assert len(alone.lowerer.stores) == 1
    assert set(alone.lowerer.stores) == set(beside.lowerer.stores)
