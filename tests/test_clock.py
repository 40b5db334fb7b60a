"""The watermark: wrong clocks do not move it, and nothing older than its horizon counts as such."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.compile import build, used_fields
from quell.engine.decision import Decision
from quell.engine.stepper import Stepper
from quell.signals.clock import Clock
from quell.signals.state import State
from tests.bundles import sound
from tests.oracle import Oracle
from tests.oracle_rules import Decided

HOUR = 3_600_000_000
START = 1_772_323_200_000_000
POLICY = """
entity User labels "seen"

event message from "message"
  id      text = $.id
  at      time = $.at
  author  User = $.author

rule counts on message
  when count(message by author within 1h) >= 2
  then label author "seen" for 2h
       flag limit 1 per author every 1h
  because "{count(message by author within 1h)}, {count(message by author ever)}, {label_age(author, "seen")}"
"""


def test_the_horizon_is_the_least_of_a_block_less_the_lateness() -> None:
    clock = Clock(lateness=10, block=3)
    assert [clock.see(at) for at in (100, 90, 95)] == [100, 90, 95]
    assert clock.horizon == 80
    assert clock.see(79) == 80
    assert clock.see(80) == 80
    assert clock.newest == 80


def test_a_wrong_clock_moves_nothing() -> None:
    clock = Clock(lateness=10, block=3)
    for at in (10, 10_000, 10_000, 11, 10_000, 12):
        assert clock.see(at) == at
    assert clock.horizon == 1


def test_the_horizon_stops_where_it_is_held() -> None:
    clock = Clock(lateness=10, block=2)
    clock.see(100)
    for _ in range(2):
        clock.hold(95)
    clock.see(120)
    assert clock.horizon == 90
    for let_go, horizon in ((False, 95), (True, 95), (True, 190), (True, 190)):
        if let_go:
            clock.let_go(95)
        clock.see(200)
        clock.see(210)
        assert clock.horizon == horizon


def test_it_goes_on_from_what_was_dumped() -> None:
    first = Clock(lateness=10, block=3)
    for at in (5, 7, 30, 8):
        first.see(at)
    second = Clock(lateness=10, block=3)
    second.load(first.dump())
    for at in (50, 60, 2, 70):
        assert first.see(at) == second.see(at)
    assert first.dump() == second.dump()


@pytest.mark.parametrize(
    "rubbish",
    [
        [],
        [1, 2, 0, None, 2],
        [1, 2, 4, None, 2],
        [1.0, 2, 3, 4, 2],
        [1, 2, None, 4, 2],
        [1, 2, 3, 4],
    ],
)
def test_what_no_clock_dumped_is_refused(rubbish: list[int | None]) -> None:
    with pytest.raises(ValueError, match="no clock"):
        Clock(block=3).load(rubbish)


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from("ab")), min_size=10, max_size=60))
@settings(max_examples=60)
def test_an_engine_counts_late_events_as_the_oracle_does(steps: list[tuple[int, str]]) -> None:
    """Times wander over four hundred minutes, the lateness is an hour and a block three events."""
    analysis = sound(POLICY)
    stepper = Stepper(build(analysis), State(clock=Clock(HOUR, 3)))
    oracle = Oracle(
        analysis.symbols,
        analysis.lists,
        {"message": used_fields(analysis, "message")},
        block=3,
        lateness=HOUR,
    )
    for i, (minutes, author) in enumerate(steps):
        at = START + minutes * HOUR // 60
        event = json.dumps({"type": "message", "id": str(i), "at": at, "author": author}).encode()
        got, expected = stepper.decide(event), oracle.decide(event)
        assert isinstance(got, Decision)
        assert isinstance(expected, Decided)
        assert (got.verdict, [f.message for f in got.fired], bool(got.late)) == (
            expected.verdict,
            [f[2] for f in expected.fired],
            expected.late,
        )
        assert [(c.id, c.until) for c in got.labels] == [(c[1], c[5]) for c in expected.labels]
