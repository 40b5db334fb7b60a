"""The main job of a demonstration: a simulated day, decided by the starter bundle, judged by its truth.

The truth of an event never reaches the engine: it is taken off before the event is encoded, and looked
at only once the decision is made.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from quell.engine.decision import Decision, Reply
from quell.engine.decision_summary import Summary
from quell.engine.stepper import Stepper
from quell.replay.quality import Quality, Tally
from quell.replay.simulate import ABUSE_KINDS, describe, simulate
from quell.replay.simulate_campaigns import Campaign
from quell.replay.simulate_world import Event

CHUNK = 1_000
"""Events that are made, then decided, then judged together, so that each of the three can be timed."""
HOUR = 3_600_000_000
ACTS_FROM = "review"
"""The mildest verdict that counts as having caught something; a flag is for the record only."""


@dataclass(slots=True)
class Pursuit:
    """How a campaign of abuse went: its events, those caught, and when the first was, in microseconds and
    as the number of the campaign's event; None when none was."""

    campaign: Campaign
    events: int = 0
    caught: int = 0
    began: int | None = None
    delay: int | None = None
    nth: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A decision worth showing: the first event of a kind of abuse that was caught."""

    at: int
    id: str | None
    kind: str
    text: str
    decision: Decision


@dataclass(slots=True)
class Day:
    """What came of the day. `hours` are counts by hour of the day: all events, those that were abuse, those
    acted on. Times in seconds: of making the events, of deciding them."""

    seed: int
    summary: Summary
    positive: tuple[str, ...]
    pursuits: dict[str, Pursuit]
    quality: Quality
    hours: dict[str, list[int]]
    samples: list[Sample]
    missed: Counter[str]
    making: float = 0.0
    deciding: float = 0.0


Sink = Callable[[bytes, dict[str, str], Reply], None]
"""Takes each event as it went over the wire, its truth, and the answer."""


def run_day(
    engine: Stepper,
    events: int,
    seed: int,
    sink: Sink | None = None,
    tell: Callable[[int], None] | None = None,
) -> Day:
    """Simulate a day and have it decided, one event after another. Raises ValueError for a day that is too
    short to hold its campaigns."""
    symbols = engine.bundle.analysis.symbols
    positive = acting(symbols.ladders[""].verdicts)
    judge = _Judge(positive, describe(seed, events))
    summary = Summary(symbols)
    encode = msgspec.json.Encoder().encode
    stream, done, making, deciding = simulate(seed, events), 0, 0.0, 0.0
    while True:
        began = time.perf_counter()
        chunk = list(islice(stream, CHUNK))
        lines = [encode(bare(event)) for event in chunk]
        made = time.perf_counter()
        answers = list(engine.decide_many(lines))
        deciding += time.perf_counter() - made
        making += made - began
        if not chunk:
            break
        for event, line, answer in zip(chunk, lines, answers, strict=True):
            done += 1
            summary.add(answer, f"event {done}")
            judge.add(event, answer)
            if sink is not None:
                sink(line, event["truth"], answer)
        if tell is not None:
            tell(done)
    return judge.day(seed, summary, making, deciding)


def bare(event: Event) -> Event:
    """An event without its truth, as a platform would send it."""
    return {key: value for key, value in event.items() if key != "truth"}


def acting(verdicts: Sequence[str]) -> tuple[str, ...]:
    """The verdicts of a ladder that do something: those from `ACTS_FROM` up, or all but the mildest."""
    first = verdicts.index(ACTS_FROM) if ACTS_FROM in verdicts else 1
    return tuple(verdicts[first:])


class _Judge:
    """Compares answers with the truth."""

    def __init__(self, positive: tuple[str, ...], campaigns: Iterable[Campaign]) -> None:
        self._positive = frozenset(positive)
        self._order = positive
        self._tally = Tally(positive)
        self._pursuits = {c.name: Pursuit(c) for c in campaigns if c.label == "abuse"}
        self._hours = {"events": [0] * 24, "abuse": [0] * 24, "acted": [0] * 24}
        self._samples: dict[str, Sample] = {}
        self._missed: Counter[str] = Counter()

    def add(self, event: Event, answer: Reply) -> None:
        """Judge one answer. Refused events have no decision to be judged."""
        if not isinstance(answer, Decision):
            return
        truth = event["truth"]
        abuse = truth["label"] == "abuse"
        caught = answer.verdict in self._positive
        self._tally.add(answer.verdict, [f.rule for f in answer.fired], truth)
        hour = answer.at // HOUR % 24
        self._hours["events"][hour] += 1
        self._hours["abuse"][hour] += abuse
        self._hours["acted"][hour] += caught
        if not abuse:
            return
        self._pursue(self._pursuits[truth["campaign"]], answer.at, caught)
        if not caught:
            self._missed[truth["kind"]] += 1
        elif truth["kind"] not in self._samples:
            self._samples[truth["kind"]] = Sample(answer.at, answer.id, truth["kind"], said(event), answer)

    def _pursue(self, pursuit: Pursuit, at: int, caught: bool) -> None:
        pursuit.events += 1
        pursuit.caught += caught
        if pursuit.began is None:
            pursuit.began = at
        if caught and pursuit.delay is None:
            pursuit.delay, pursuit.nth = at - pursuit.began, pursuit.events

    def day(self, seed: int, summary: Summary, making: float, deciding: float) -> Day:
        """What came of it."""
        samples = [self._samples[kind] for kind in ABUSE_KINDS if kind in self._samples]
        return Day(
            seed,
            summary,
            self._order,
            self._pursuits,
            self._tally.quality(),
            self._hours,
            samples,
            self._missed,
            making,
            deciding,
        )


def said(event: Event) -> str:
    """What an event says, for a person to read."""
    for found in _texts(event):
        if found:
            return str(found)
    return ""


def _texts(event: Event) -> Iterator[Any]:
    message, account = event.get("message"), event.get("account")
    yield message.get("content") if isinstance(message, dict) else None
    yield event.get("content")
    yield event.get("display_name")
    if isinstance(account, dict):
        yield " ".join(str(account[key]) for key in ("name", "email") if account.get(key))


@dataclass(frozen=True, slots=True)
class KindResult:
    """How one kind of abuse fared: its events, how many of its campaigns were caught, and how soon: the
    median of the times to the first action in microseconds, and of the events before it."""

    kind: str
    events: int
    caught: int
    campaigns: int
    found: int
    delay: int | None
    nth: int | None
    delays: tuple[int, ...] = field(repr=False, default=())


def kind_results(day: Day) -> list[KindResult]:
    """Every kind of abuse of the day, in the order of `ABUSE_KINDS`."""
    out = []
    for kind in ABUSE_KINDS:
        quality = day.quality.kind(kind)
        if quality is None:
            continue
        mine = [p for p in day.pursuits.values() if p.campaign.kind == kind and p.events]
        delays = sorted(p.delay for p in mine if p.delay is not None)
        nths = sorted(p.nth for p in mine if p.nth is not None)
        out.append(
            KindResult(
                kind,
                quality.caught.of,
                quality.caught.hits,
                len(mine),
                len(delays),
                middle(delays),
                middle(nths),
                tuple(delays),
            )
        )
    return out


def middle(values: Sequence[int]) -> int | None:
    """The median of sorted values, the lower of two; None when there are none."""
    return values[(len(values) - 1) // 2] if values else None


@dataclass(frozen=True, slots=True)
class TrapResult:
    """Ordinary behaviour that a hasty rule takes for abuse: how many events, how many of them were acted
    on all the same."""

    kind: str
    what: str
    events: int
    alarms: int


def trap_results(day: Day, campaigns: Iterable[Campaign]) -> list[TrapResult]:
    """Every trap of the day, the worst first."""
    whats = {c.kind: c.what for c in campaigns if c.label == "benign"}
    found = [
        TrapResult(k.kind, whats.get(k.kind, ""), k.caught.of, k.caught.hits)
        for k in day.quality.kinds
        if k.label == "benign"
    ]
    return sorted(found, key=lambda t: (-t.alarms, t.kind))
