"""The simulated day: the same for ever, in order, and with everything in it that was promised."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from quell.replay import simulate as day

SIZE = 24_000
DIGEST = "20f4981e0ac552f37d995075693bdfa3955464fdbebd17c9d4a27a12b690de5a"
"""SHA-256 of the lines of `simulate_lines(7, SIZE)`; a change to the simulation changes it on purpose."""

Event = dict[str, Any]


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(day.simulate(events=SIZE))


def well_formed(events: list[Event]) -> list[Event]:
    return [e for e in events if e["truth"]["campaign"] != "malformed"]


def moment(event: Event) -> datetime:
    return datetime.fromisoformat(event["created_at"])


def digest(seed: int) -> str:
    found = hashlib.sha256()
    for line in day.simulate_lines(seed, SIZE):
        found.update(line)
    return found.hexdigest()


def test_the_day_is_the_same_on_every_machine_and_python() -> None:
    # CI runs this on 3.11 to 3.13: one digest for all of them.
    assert digest(7) == DIGEST


def test_the_day_does_not_depend_on_the_hash_seed() -> None:
    program = (
        f"from quell.replay.simulate import simulate_lines as s; import hashlib; "
        f"print(hashlib.sha256(b''.join(s(7, {SIZE}))).hexdigest())"
    )
    for hash_seed in ("0", "1"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == DIGEST


def test_another_seed_gives_another_day() -> None:
    assert digest(8) != DIGEST


def test_lines_are_the_events(events: list[Event]) -> None:
    for event, line in zip(events, day.simulate_lines(events=SIZE), strict=True):
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert json.loads(line) == event


def test_there_are_as_many_events_as_asked_for(events: list[Event]) -> None:
    assert len(events) == SIZE
    assert sum(1 for _ in day.simulate(events=30_001)) == 30_001


def test_events_stand_in_order_of_time_and_within_the_day(events: list[Event]) -> None:
    moments = [moment(e) for e in well_formed(events)]
    assert all(a <= b for a, b in pairwise(moments))
    start = datetime.fromisoformat(day.DEFAULT_START)
    assert start <= moments[0]
    assert moments[-1] < start + timedelta(days=1)
    assert moments[-1] - moments[0] > timedelta(hours=23)


def test_another_start_moves_the_day() -> None:
    first = next(iter(day.simulate(events=SIZE, start="2027-01-01T02:00:00+02:00")))
    assert first["created_at"].startswith("2027-01-01T00:00:")


def test_ids_are_exact_only_as_integers_and_unique(events: list[Event]) -> None:
    ids = [e["id"] for e in well_formed(events)]
    assert all(type(i) is int and 2**53 < i < 2**63 for i in ids)
    assert len(set(ids)) == len(ids)
    assert all(a < b for a, b in pairwise(ids))


def test_every_kind_of_abuse_and_trap_is_there(events: list[Event]) -> None:
    labels = {(e["truth"]["label"], e["truth"]["kind"]) for e in events}
    assert {kind for label, kind in labels if label == "abuse"} == set(day.ABUSE_KINDS)
    traps = {kind for label, kind in labels if label == "benign" and kind}
    assert len(traps) == 13
    assert all(kind.startswith("trap_") for kind in traps)


def test_most_of_the_day_is_ordinary(events: list[Event]) -> None:
    abuse = sum(e["truth"]["label"] == "abuse" for e in events)
    assert 0.02 < abuse / len(events) < 0.10
    types = Counter(e["type"] for e in events)
    assert set(types) == {
        "message_create",
        "signup",
        "profile_update",
        "report",
        "direct_message",
        "member_join",
    }
    assert types["message_create"] > 0.75 * len(events)


def test_the_night_is_quieter_than_the_evening(events: list[Event]) -> None:
    hours = Counter(moment(e).hour for e in well_formed(events) if e["truth"]["kind"] == "")
    assert max(hours.values()) > 2 * min(hours.values())


def test_people_say_different_things(events: list[Event]) -> None:
    said = [e["message"]["content"] for e in well_formed(events) if e["type"] == "message_create"]
    long = [text for text in said if len(text) > 40]
    assert len(long) > 0.3 * len(said)
    assert len(set(long)) > 0.75 * len(long)


def test_a_campaign_is_described_as_it_happens(events: list[Event]) -> None:
    seen: Counter[str] = Counter()
    times: dict[str, list[str]] = {}
    for event in events:
        truth = event["truth"]
        if truth["kind"]:
            seen[truth["campaign"]] += 1
            times.setdefault(truth["campaign"], []).append(event["created_at"])
    told = day.describe(events=SIZE)
    assert {c.name: c.events for c in told} == dict(seen)
    for campaign in told:
        assert (campaign.start, campaign.end) == (times[campaign.name][0], times[campaign.name][-1])
        assert campaign.accounts > 0
        assert campaign.what


def test_a_larger_day_has_more_campaigns_not_longer_ones() -> None:
    small, large = (Counter(c.kind for c in day.describe(events=n)) for n in (30_000, 210_000))
    assert small["link_spam"] == 1
    assert large["link_spam"] == 7
    assert large["slow_scam"] == 9


def test_broken_events_are_broken_in_ways_a_decoder_must_name(events: list[Event]) -> None:
    broken = [e for e in events if e["truth"]["campaign"] == "malformed"]
    assert len(broken) == day.MALFORMED == 20
    assert sum("id" not in e for e in broken) >= 2
    assert sum("created_at" not in e for e in broken) >= 2
    assert sum(e.get("created_at") == "yesterday" for e in broken) >= 2
    assert sum(not isinstance(e["author"], dict) for e in broken) >= 2


def test_what_cannot_be_simulated_is_said_at_once() -> None:
    with pytest.raises(ValueError, match="at least 8,000 events"):
        day.simulate(events=100)
    with pytest.raises(ValueError, match="not 'tomorrow'"):
        day.simulate(start="tomorrow")
    with pytest.raises(ValueError, match="offset from UTC"):
        day.simulate(start="2026-03-02T00:00:00")
    with pytest.raises(ValueError, match="before July 2024"):
        day.simulate(start="2020-01-01T00:00:00Z")
