"""What a service's answers add up to: plain counts by names of the bundle, kept without a look at the clock.

Told of its answers four times a second, a tally costs a service well under a microsecond for each: nothing
but dictionaries is touched here, and the metrics are made of them when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from quell.engine.compile import Build
from quell.engine.decision import Acted, Decision, Refused, Reply
from quell.engine.metrics_rows import Labels, Spread
from quell.engine.service_types import Note
from quell.signals.state import HISTORY

_EVENT, _VERDICT = attrgetter("event"), attrgetter("verdict")
"""Of a decision."""
BOUNDS = (
    *(0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005),
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)
"""Upper ends of the buckets of latency, in seconds: a decision takes from some 20 µs to what remote models
are waited for."""


@dataclass(slots=True)
class Timed:
    """Times in buckets of `bounds`, and their sum, in seconds."""

    bounds: Sequence[float] = BOUNDS
    counts: list[int] = field(default_factory=list)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def add_all(self, seconds: Iterable[float]) -> None:
        """Many more, with one look at each bucket."""
        ordered, counts, before = sorted(seconds), self.counts, 0
        for place, bound in enumerate(self.bounds):
            until = bisect_right(ordered, bound, before)
            counts[place] += until - before
            before = until
        counts[-1] += len(ordered) - before
        self.sum += sum(ordered)

    def spread(self) -> Spread:
        """As a histogram's values."""
        return Spread(tuple(self.counts), self.sum)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a bundle by which it is counted; what bears none of these is of an earlier bundle."""

    events: frozenset[str]
    verdicts: frozenset[tuple[str, str]]
    rules: frozenset[str]
    models: frozenset[str]
    counters: frozenset[str]
    fields: frozenset[tuple[str, str]]
    sinks: frozenset[str]
    labels: frozenset[tuple[str, str]]

    def and_of(self, other: Names) -> Names:
        """The names of either."""
        return Names(*(getattr(self, f) | getattr(other, f) for f in self.__slots__))


def names_of(bundle: Build) -> Names:
    """The names of a bundle."""
    analysis, symbols = bundle.analysis, bundle.analysis.symbols
    rules = [r for of_event in analysis.rules.values() for r in of_event]
    effects = [e for r in rules for e in r.effects]
    return Names(
        frozenset(symbols.schemas),
        frozenset((event, v) for event in symbols.schemas for v in symbols.ladders[event].verdicts),
        frozenset(r.name for r in rules),
        frozenset(symbols.models),
        frozenset(s.text for s in analysis.lowerer.stores.values()) | {HISTORY},
        frozenset((event, f.name) for event, schema in symbols.schemas.items() for f in schema.fields),
        frozenset(e.name for e in effects if e.kind == "send"),
        frozenset((e.entity, e.name) for e in effects if e.kind in ("label", "unlabel")),
    )


class Tally:
    """The counts since the start, each by the labels of its metric."""

    def __init__(self) -> None:
        self.verdicts: Counter[Labels] = Counter()
        self.refusals: Counter[Labels] = Counter()
        self.defects: dict[str, str] = {}
        """What was said last of a decision that failed inside Quell, by event type."""
        self.acts: Counter[Labels] = Counter()
        self.hits: Counter[Labels] = Counter()
        self.changes: Counter[Labels] = Counter()
        self.sends: Counter[Labels] = Counter()
        self.questions: Counter[Labels] = Counter()
        self.incomplete: Counter[Labels] = Counter()
        self.problems: Counter[Labels] = Counter()
        self.took: defaultdict[str, Timed] = defaultdict(Timed)

    def take(self, notes: Iterable[Note]) -> int:
        """Count the answers. Gives how many were decisions."""
        decisions: list[Decision] = []
        seconds: list[float] = []
        for _, took, _, _, reply in notes:
            if type(reply) is Decision:
                decisions.append(reply)
                seconds.append(took)
            else:
                self._other(reply)
        events = list(map(_EVENT, decisions))
        self.verdicts.update(zip(events, map(_VERDICT, decisions), strict=True))
        for event in set(events):
            self.took[event].add_all([s for e, s in zip(events, seconds, strict=True) if e == event])
        for reply in decisions:
            if reply.fired or reply.shadow or reply.held:
                self._rules(reply)
            if reply.asked or reply.problems or reply.late or reply.full or reply.cold:
                self._missing(reply)
        return len(decisions)

    def _other(self, reply: Reply) -> None:
        if isinstance(reply, Acted):
            self.acts[reply.action,] += 1
        elif isinstance(reply, Refused):
            self.refusals[reply.event or "", reply.kind] += 1
            if reply.kind == "internal":
                self.defects[reply.event or ""] = reply.message

    def _rules(self, reply: Decision) -> None:
        hits = self.hits
        for fired in reply.fired:
            hits[fired.rule, "live"] += 1
        for fired in reply.shadow:
            hits[fired.rule, "shadow"] += 1
        for held in reply.held:
            hits[held.rule, "held"] += 1
        for change in reply.labels:
            self.changes[change.entity, change.label, "on" if change.on else "off"] += 1
        for sent in reply.sends:
            self.sends[sent.sink,] += 1

    def _missing(self, reply: Decision) -> None:
        for asked in reply.asked:
            self.questions[asked.model, asked.status] += 1
        for problem in reply.problems:
            self.problems[reply.event, problem.field] += 1
        incomplete = self.incomplete
        for counter in reply.late:
            incomplete[counter, "late"] += 1
        for counter in reply.full:
            incomplete[counter, "full"] += 1
        for counter in reply.cold:
            incomplete[counter, "cold"] += 1

    def keep(self, names: Names) -> None:
        """Forget whatever bears other names, so that a service that is reloaded for months does not grow."""
        _prune(self.verdicts, lambda k: k in names.verdicts)
        _prune(self.refusals, lambda k: k[0] in names.events or k[0] in ("", "quell.label"))
        _prune(self.hits, lambda k: k[0] in names.rules)
        _prune(self.changes, lambda k: (k[0], k[1]) in names.labels)
        _prune(self.sends, lambda k: k[0] in names.sinks)
        _prune(self.questions, lambda k: k[0] in names.models)
        _prune(self.incomplete, lambda k: k[0] in names.counters)
        _prune(self.problems, lambda k: k in names.fields)
        for gone in set(self.took) - names.events:
            del self.took[gone]
        for gone in set(self.defects) - names.events - {""}:
            del self.defects[gone]


def _prune(counts: Counter[Labels], stays: Callable[[Labels], bool]) -> None:
    for gone in [k for k in counts if not stays(k)]:
        del counts[gone]
