"""A small bundle and history for backtests, and the same figures counted by hand from decisions."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from quell.engine.decision import Decision
from quell.engine.stepper import Stepper
from quell.replay.report_data import Quality

POLICIES = """entity User labels "noisy"
entity Room

event message from "message"
  id text = $.id
  at time = $.at
  author User = $.author
  room Room = $.room
  content text = $.content default ""
  score number? = $.score
  reach number? = $.reach

event join from "join"
  id text = $.id
  at time = $.at
  user User = $.user
  room Room = $.room

verdicts allow < flag < review < block

let burst = count(message by author within 10m)
let week  = count(message by room within 6h before 1h ago)

# Many messages.
rule flood on message
  when burst >= 3
  then review
       label author "noisy" for 1h
       send "queue" { author: author } limit 1 per author every 1h
  because "{burst} messages"
  tag "volume"
  owner "team"

rule high on message
  when score > 70
  then block
  because "a score of {score}"

rule quiet_room on message
  when week == 0 and score > 90
  then flag

rule noisy_again on message
  when author labelled "noisy" and score > 20
  then flag
  rollout 50% by author

rule tried on message
  when score > 50
  then review
  mode shadow

rule joins on join
  when count(join by room within 30m) >= 2
  then flag

rule never on join
  when user == User("nobody")
  then block

rule switched_off on message
  when true
  then block
  mode off
"""

BEGIN = datetime(2026, 3, 1, 20, tzinfo=UTC)
USERS, ROOMS = ("ann", "bob", "cem", "dora", "eve"), ("r1", "r2")


def make_events(count: int = 400, seed: int = 4) -> list[dict[str, Any]]:
    """A history over some hours: two event types, ties in time, missing values, records that are refused."""
    draw, at, out = random.Random(seed), BEGIN, []
    for i in range(count):
        at += timedelta(seconds=draw.choice((0, 20, 60, 300)))
        when = at.isoformat().replace("+00:00", "Z")
        event: dict[str, Any] = {"id": f"e{i}", "at": when, "room": draw.choice(ROOMS)}
        if draw.random() < 0.2:
            event |= {"type": "join", "user": draw.choice(USERS)}
        else:
            event |= {"type": "message", "author": draw.choice(USERS), "content": "x" * draw.randrange(9)}
            if draw.random() < 0.9:
                event["score"] = draw.randrange(100)
            event["reach"] = draw.randrange(1_000) / 8
        if draw.random() < 0.7:
            event["label"] = "spam" if draw.random() < 0.3 + event.get("score", 0) / 200 else "ham"
        if draw.random() < 0.03:
            event["at"] = "yesterday"
        out.append(event)
    return out


def make_history(folder: Path, events: Iterable[dict[str, Any]] | None = None) -> tuple[Path, Path]:
    """A bundle and its history in a folder."""
    policies, history = folder / "policies", folder / "events.jsonl"
    policies.mkdir(parents=True)
    (policies / "p.quell").write_text(POLICIES, encoding="utf-8")
    lines = [json.dumps(event) for event in (make_events() if events is None else events)]
    history.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return policies, history


@dataclass(frozen=True)
class Seen:
    """An event with its decision, and what was fired, shadow firings included."""

    event: dict[str, Any]
    decision: Decision
    row: int

    @property
    def who(self) -> str:
        """The entity that the event is about."""
        return str(self.event["user"] if self.decision.event == "join" else self.event["author"])

    @property
    def live(self) -> set[str]:
        """The rules that fired."""
        return {f.rule for f in self.decision.fired}

    @property
    def hit(self) -> set[str]:
        """Those, and the shadow rules that would have."""
        return self.live | {f.rule for f in self.decision.shadow}


def decided(policies: Path, events: Iterable[dict[str, Any]]) -> list[Seen]:
    """Every event that is taken, decided one after another in order of time."""
    stepper = Stepper.load(policies)
    numbered = list(enumerate(events, 1))
    usable = [(n, e) for n, e in numbered if e["at"] != "yesterday"]
    usable.sort(key=lambda pair: str(pair[1]["at"]))
    out = []
    for row, event in usable:
        decision = stepper.decide(json.dumps(event).encode())
        assert isinstance(decision, Decision), decision
        out.append(Seen(event, decision, row))
    return out


Say = Callable[[Seen], bool | None]
"""What an event was: true, false, or None for unknown."""


def judged(
    seen: Iterable[Seen], caught: Callable[[Seen], bool], truth: Say
) -> tuple[int, int, int, int, int]:
    """Right, wrong, unlabelled among what was caught; missed and spared."""
    counts: Counter[tuple[bool, bool | None]] = Counter((caught(s), truth(s)) for s in seen)
    return (
        counts[True, True], counts[True, False], counts[True, None],
        counts[False, True], counts[False, False],
    )  # fmt: skip


def figures(quality: Quality | None) -> tuple[int, int, int, int, int]:
    """The same five of a report."""
    assert quality is not None
    return (quality.right, quality.wrong, quality.unlabelled, quality.missed, quality.spared)
