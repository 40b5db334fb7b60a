"""How well decisions agree with the truth: precision, recall and false alarms, with their intervals.

Feed a `Tally` one decision at a time and ask it for the `Quality`. A decision counts as *caught* when its
verdict is one of those named as positive. Truths are dicts as `quell.replay.simulate` writes them; a
decision without one is counted apart and enters no rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import sqrt

Z95 = 1.959963984540054
"""The standard normal quantile of a two-sided 95 % interval."""


def wilson(hits: int, of: int, z: float = Z95) -> tuple[float, float]:
    """The Wilson score interval for a proportion of `hits` in `of` trials; (0, 1) when there were none.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    Raises ValueError unless 0 <= hits <= of.
    """
    if not 0 <= hits <= of:
        raise ValueError(f"hits must be between 0 and the number of trials, not {hits} of {of}")
    if of == 0:
        return 0.0, 1.0
    share, room = hits / of, z * z / of
    middle = (share + room / 2) / (1 + room)
    half = z / (1 + room) * sqrt(share * (1 - share) / of + room / (4 * of))
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == of else min(1.0, middle + half)
    return low, high


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` in `of` trials."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        """The proportion; None when there were no trials."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval."""
        return wilson(self.hits, self.of)


@dataclass(frozen=True, slots=True)
class RuleQuality:
    """What one rule's firings hit. `precision` is the share on abuse; `kinds` counts what it fired on:
    kinds of abuse, kinds of traps, and ``benign`` for ordinary life."""

    rule: str
    precision: Rate
    kinds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class KindQuality:
    """One kind of abuse or trap: how many of its events were `caught` (for a trap: false alarms), in how
    many of its campaigns anything was, and which verdicts they got."""

    kind: str
    label: str
    caught: Rate
    campaigns: Rate
    verdicts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Quality:
    """All of it. Rules and kinds are in order of name."""

    decisions: int
    unlabelled: int
    precision: Rate
    recall: Rate
    false_positives: Rate
    rules: tuple[RuleQuality, ...]
    kinds: tuple[KindQuality, ...]

    def kind(self, name: str) -> KindQuality | None:
        """The kind called `name`, or None when no decision was of it."""
        return next((k for k in self.kinds if k.kind == name), None)

    def rule(self, name: str) -> RuleQuality | None:
        """The rule called `name`, or None when it fired on nothing labelled."""
        return next((r for r in self.rules if r.rule == name), None)


@dataclass(slots=True)
class _Kind:
    label: str
    caught: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    campaigns: set[str] = field(default_factory=set)
    found: set[str] = field(default_factory=set)


class Tally:
    """Counts decisions against their truth as they come. `positive` are the verdicts that count as caught."""

    def __init__(self, positive: Collection[str]) -> None:
        if not positive:
            raise ValueError("name at least one verdict that counts as caught")
        self._positive = frozenset(positive)
        self._decisions = 0
        self._unlabelled = 0
        self._outcomes: Counter[tuple[bool, bool]] = Counter()
        self._kinds: dict[str, _Kind] = {}
        self._rules: dict[str, Counter[str]] = {}
        self._on_abuse: Counter[str] = Counter()

    def add(self, verdict: str, rules: Iterable[str], truth: Mapping[str, str] | None) -> None:
        """Count one decision: its verdict, the rules that fired, and the event's truth (None: unknown).

        Raises ValueError for a truth whose label is neither ``abuse`` nor ``benign``.
        """
        self._decisions += 1
        if truth is None:
            self._unlabelled += 1
            return
        label = truth.get("label", "")
        if label not in ("abuse", "benign"):
            raise ValueError(f'the label of a truth is "abuse" or "benign", not {label!r}')
        abuse, caught = label == "abuse", verdict in self._positive
        self._outcomes[abuse, caught] += 1
        name = truth.get("kind") or label
        for rule in rules:
            self._rules.setdefault(rule, Counter())[name] += 1
            self._on_abuse[rule] += abuse
        if truth.get("kind"):
            self._add_kind(name, label, verdict, caught, truth.get("campaign", ""))

    def _add_kind(self, name: str, label: str, verdict: str, caught: bool, campaign: str) -> None:
        kind = self._kinds.setdefault(name, _Kind(label))
        kind.verdicts[verdict] += 1
        kind.caught += caught
        if campaign:
            kind.campaigns.add(campaign)
            if caught:
                kind.found.add(campaign)

    def quality(self) -> Quality:
        """The rates of everything counted so far."""
        hit, missed = self._outcomes[True, True], self._outcomes[True, False]
        false, left = self._outcomes[False, True], self._outcomes[False, False]
        return Quality(
            decisions=self._decisions,
            unlabelled=self._unlabelled,
            precision=Rate(hit, hit + false),
            recall=Rate(hit, hit + missed),
            false_positives=Rate(false, false + left),
            rules=tuple(
                RuleQuality(name, Rate(self._on_abuse[name], kinds.total()), _ordered(kinds))
                for name, kinds in sorted(self._rules.items())
            ),
            kinds=tuple(
                KindQuality(
                    name,
                    kind.label,
                    Rate(kind.caught, kind.verdicts.total()),
                    Rate(len(kind.found), len(kind.campaigns)),
                    _ordered(kind.verdicts),
                )
                for name, kind in sorted(self._kinds.items())
            ),
        )


def _ordered(counts: Counter[str]) -> dict[str, int]:
    """Most frequent first, then by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
