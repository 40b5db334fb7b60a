"""What came of many events: counts of decisions, firings, effects and everything that went wrong.

A `Summary` is fed one answer at a time; it holds counts and a few samples, however many events there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quell.engine.decision import Acted, Decision, Refused, Reply
from quell.engine.symbols import Symbols
from quell.grammar import tree

SAMPLES = 3
"""How many refusals and problems of each kind are kept to show."""
MOST_KINDS = 1_000
"""Different problems that are told apart; any further are counted together."""


@dataclass(slots=True)
class RuleCount:
    """How often a rule fired, would have fired in shadow, or was held back, and by what. `does` names the
    verdict and the kinds of other effects that it has."""

    rule: str
    events: tuple[str, ...]
    mode: str
    does: tuple[str, ...]
    fired: int = 0
    shadow: int = 0
    held: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    @property
    def matched(self) -> int:
        """How often its condition was true."""
        return self.fired + self.shadow + self.held.total()


@dataclass(slots=True)
class Trouble:
    """Events refused for one reason, or values of one kind that count as missing; `samples` are places
    and messages."""

    kind: str
    count: int = 0
    samples: list[tuple[str, str]] = field(default_factory=list)

    def note(self, place: str, message: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.samples) < SAMPLES:
            self.samples.append((place, message))


_KINDS: dict[type, str] = {
    tree.SetLabel: "label",
    tree.RemoveLabel: "unlabel",
    tree.Send: "send",
    tree.Exempt: "exempt",
}


def _does(effect: tree.Effect) -> str:
    return effect.name.name if isinstance(effect, tree.Verdict) else _KINDS[type(effect)]


class Summary:
    """Counts answers as they come, in the order of the events."""

    def __init__(self, symbols: Symbols) -> None:
        self.order = verdict_order(symbols)
        self.events: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.labels: Counter[tuple[str, str, bool]] = Counter()
        self.sends: Counter[str] = Counter()
        self.acted: Counter[str] = Counter()
        self.outranked: Counter[str] = Counter()
        self.cold: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        self.full: Counter[str] = Counter()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.unanswered: dict[tuple[str, str], str] = {}
        self.refused: dict[str, Trouble] = {}
        self.problems: dict[tuple[str, str, str], Trouble] = {}
        self.first: int | None = None
        self.last: int | None = None
        self.rules = {
            name: RuleCount(
                name,
                events_of(rule.events, symbols),
                rule.mode.name if rule.mode else "live",
                tuple(dict.fromkeys(_does(e) for e in rule.effects)),
            )
            for name, rule in symbols.rules.items()
        }

    def add(self, answer: Reply, place: str = "") -> None:
        """Count one answer; `place` says where its event stands."""
        if isinstance(answer, Acted):
            self.acted[answer.action] += 1
            return
        if isinstance(answer, Refused):
            self._trouble(answer.kind).note(place, answer.message)
            return
        self.events[answer.event] += 1
        self.verdicts[answer.verdict] += 1
        at = answer.at
        if self.first is None or at < self.first:
            self.first = at
        if self.last is None or at > self.last:
            self.last = at
        if answer.fired or answer.shadow or answer.held:
            self._hits(answer)
        for change in answer.labels:
            self.labels[change.entity, change.label, change.on] += 1
        self.cold.update(answer.cold)
        for asked in answer.outranked:
            self.outranked[asked.rule] += 1
        for sent in answer.sends:
            self.sends[sent.sink] += 1
        for problem in answer.problems:
            self._problem(answer.event, problem.field, problem.kind).note(place, problem.message)
        self.late.update(answer.late)
        self.full.update(answer.full)
        for question in answer.asked:
            self.asked[question.model, question.status] += 1
            if question.reason:
                self.unanswered.setdefault((question.model, question.status), question.reason)

    def _hits(self, answer: Decision) -> None:
        for hit in answer.fired:
            rule = self.rules[hit.rule]
            rule.fired += 1
            if hit.verdict is not None:
                rule.asked[hit.verdict] += 1
        for hit in answer.shadow:
            self.rules[hit.rule].shadow += 1
        for held in answer.held:
            self.rules[held.rule].held[held.by] += 1

    def _trouble(self, kind: str) -> Trouble:
        return self.refused.setdefault(kind, Trouble(kind))

    def _problem(self, event: str, name: str, kind: str) -> Trouble:
        key = (event, name, kind)
        if key not in self.problems and len(self.problems) >= MOST_KINDS:
            key = ("", "", kind)
        return self.problems.setdefault(key, Trouble(kind))

    @property
    def decided(self) -> int:
        """Events that were decided."""
        return self.events.total()

    @property
    def turned_away(self) -> int:
        """Events that were refused."""
        return sum(t.count for t in self.refused.values())

    @property
    def total(self) -> int:
        """All events, and labels by hand."""
        return self.decided + self.turned_away + self.acted.total()

    @property
    def hit_rules(self) -> list[RuleCount]:
        """The rules that matched, the most frequent first."""
        hit = [r for r in self.rules.values() if r.matched]
        return sorted(hit, key=lambda r: (-r.fired, -r.matched, r.rule))

    @property
    def silent_rules(self) -> list[str]:
        """The rules that never matched."""
        return sorted(r.rule for r in self.rules.values() if not r.matched and r.mode != "off")

    def as_json(self) -> dict[str, Any]:
        """All of it, JSON-ready; rules that never matched too."""
        by_matches = [*self.hit_rules, *(self.rules[name] for name in self.silent_rules)]
        return {
            "events": self.total,
            "decided": self.decided,
            "refused": self.turned_away,
            "by_event": ordered(self.events),
            "verdicts": {v: self.verdicts[v] for v in self.order if self.verdicts[v]},
            "rules": [
                {
                    "rule": r.rule,
                    "events": list(r.events),
                    "mode": r.mode,
                    "fired": r.fired,
                    "shadow": r.shadow,
                    "held": ordered(r.held),
                    "asked": ordered(r.asked),
                }
                for r in by_matches
            ],
            "labels": [
                {"entity": entity, "label": label, "on": on, "count": n}
                for (entity, label, on), n in sorted(self.labels.items())
            ],
            "sends": ordered(self.sends),
            "by_hand": ordered(self.acted),
            "outranked": ordered(self.outranked),
            "cold": ordered(self.cold),
            "refusals": [_told(t) for t in by_count(self.refused.values())],
            "problems": [
                {"event": event, "field": name, **_told(t)}
                for (event, name, _), t in sorted(self.problems.items(), key=lambda p: (-p[1].count, p[0]))
            ],
            "late": ordered(self.late),
            "full": ordered(self.full),
            "remote": [
                {"model": model, "status": status, "count": n}
                for (model, status), n in sorted(self.asked.items())
            ],
        }


def _told(trouble: Trouble) -> dict[str, Any]:
    return {
        "kind": trouble.kind,
        "count": trouble.count,
        "samples": [{"place": place, "message": message} for place, message in trouble.samples],
    }


def by_count(troubles: Iterable[Trouble]) -> list[Trouble]:
    """The most frequent first."""
    return sorted(troubles, key=lambda t: (-t.count, t.kind))


def ordered(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent first, then by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def verdict_order(symbols: Symbols) -> list[str]:
    """Every verdict of every ladder, from the mildest; the default ladder's come first."""
    ladders = [symbols.ladders[""], *(symbols.ladders[e] for e in symbols.schemas)]
    return list(dict.fromkeys(v for ladder in ladders for v in ladder.verdicts))


def events_of(named: Iterable[Any], symbols: Symbols) -> tuple[str, ...]:
    """The event types that a rule's `on` stands for."""
    return tuple(dict.fromkeys(e for ident in named for e in symbols.members.get(ident.name, ())))
