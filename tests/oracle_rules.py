"""The oracle's rules: what holds them back, and how labels, limits and sends come of those that fired."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quell.engine.symbols import Symbols
from quell.grammar import tree
from tests.oracle_labels import Deed, LabelKey, Seen, seen
from tests.oracle_values import LATEST, Span, key_of, plain, sent, share_of, time_text


@dataclass(frozen=True, slots=True)
class Outcome:
    """One rule on one event: whether it matched, and if so what held it back and the values it needs.

    `targets` are the values of the effects, `limits` the keys of their limits, `spans` how long the label
    of each lasts and how long its limit looks back.
    """

    rule: tree.Rule
    live: bool
    matched: bool
    held: str | None = None
    message: str | None = None
    targets: tuple[Any, ...] = ()
    limits: tuple[list[Any], ...] = ()
    spans: tuple[tuple[int | None, int | None], ...] = ()


@dataclass(slots=True)
class Decided:
    """A decision, in plain values."""

    verdict: str
    fired: list[tuple[Any, ...]] = field(default_factory=list)
    shadow: list[tuple[Any, ...]] = field(default_factory=list)
    held: list[tuple[str, str]] = field(default_factory=list)
    labels: list[tuple[Any, ...]] = field(default_factory=list)
    sends: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    late: bool = False
    outranked: list[tuple[Any, ...]] = field(default_factory=list)


def held_by_rollout(first_name: str, share: float, keys: list[Any]) -> str | None:
    """`rollout` for keys outside the share; a missing key is outside every share."""
    place = share_of(first_name, keys)
    inside = place is not None and (place < share or share >= 1)
    return None if inside else "rollout"


class Settling:
    """Labels and limits, and the decisions that change them."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self.deeds: dict[LabelKey, list[Deed]] = {}
        self.allowed: dict[tuple[Any, ...], list[int]] = {}

    def carries(self, kind: str, id: str, label: str, at: int) -> bool:
        """Whether an entity carries a label at a time."""
        return self.seen((kind, plain(id), label), at).on

    def age(self, kind: str, id: str, label: str, at: int) -> Span | None:
        """How long it has; missing when it does not."""
        found = self.seen((kind, plain(id), label), at)
        return Span(max(0, at - found.since)) if found.on else None

    def seen(self, key: LabelKey, at: int) -> Seen:
        """What is to be seen of a label at a time."""
        return seen(self.deeds.get(key, []), at)

    def do(self, key: LabelKey, deed: Deed) -> None:
        """Note what was done to a label."""
        self.deeds.setdefault(key, []).append(deed)

    def settle(self, event: str, at: int, matched: Sequence[Outcome], late: bool) -> Decided:
        """The decision that rules, in order of name, make."""
        ladder = self.symbols.ladders[event].verdicts
        decided = Decided(ladder[0], late=late)
        on: dict[LabelKey, Asked] = {}
        off: dict[LabelKey, str] = {}
        highest = 0
        for outcome in matched:
            name = outcome.rule.name.name
            if outcome.held is not None:
                decided.held.append((name, outcome.held))
                continue
            verdict = None
            for i, effect in enumerate(outcome.rule.effects):
                if isinstance(effect, tree.Exempt) or outcome.targets[i] in (None, []):
                    continue
                if not self._allows(outcome, i, effect, at):
                    continue
                if isinstance(effect, tree.Verdict):
                    verdict = effect.name.name
                elif outcome.live and isinstance(effect, tree.Send):
                    payload = {k: sent(v) for k, v in outcome.targets[i].items()}
                    decided.sends.append((effect.sink.plain or "", name, payload))
                elif outcome.live:
                    _note(effect, outcome.targets[i], outcome.spans[i][0], at, name, on, off)
            if verdict is not None and outcome.live:
                highest = max(highest, ladder.index(verdict))
            (decided.fired if outcome.live else decided.shadow).append(_told(outcome, verdict))
        decided.verdict = ladder[highest]
        self._change(decided, on, off, at)
        return decided

    def _allows(self, outcome: Outcome, index: int, effect: tree.Effect, at: int) -> bool:
        if effect.limit is None:
            return True
        every = outcome.spans[index][1]
        assert every is not None
        keys = tuple(None if k is None else key_of(k) for k in outcome.limits[index])
        times = self.allowed.setdefault((outcome.rule.name.name, index, keys), [])
        now = max([at, *times])
        if len([t for t in times if t > now - every]) >= effect.limit.count:
            return False
        times.append(now)
        return True

    def _change(self, decided: Decided, on: dict[LabelKey, Asked], off: dict[LabelKey, str], at: int) -> None:
        for key, asked in on.items():
            longest = max(asked, key=lambda a: math.inf if a[0] is None else a[0])
            hand = self.seen(key, at).hand
            for until, _ in asked:
                self.do(key, Deed("set", at, until))
            if hand is not None and hand.what == "take":
                decided.outranked.append((*key, True, longest[1], hand.by))
                continue
            until = self.seen(key, at).until
            shown = None if until is None or until > LATEST else time_text(until)
            decided.labels.append((*key, True, longest[1], shown))
        for key, rule in off.items():
            if key in on:
                continue
            before = self.seen(key, at)
            self.do(key, Deed("off", at))
            if before.hand is not None and before.hand.what == "put":
                decided.outranked.append((*key, False, rule, before.hand.by))
            elif before.on:
                decided.labels.append((*key, False, rule, None))
        decided.labels.sort(key=lambda c: c[:3])
        decided.outranked.sort(key=lambda c: c[:3])


Asked = list[tuple[int | None, str]]
"""Until when rules want a label, in order of the rules."""


def _note(
    effect: tree.Effect,
    target: Any,
    lasts: int | None,
    at: int,
    rule: str,
    on: dict[LabelKey, Asked],
    off: dict[LabelKey, str],
) -> None:
    """Note a label put on or taken off."""
    assert isinstance(effect, tree.SetLabel | tree.RemoveLabel)
    for id in target if isinstance(target, list) else [] if target is None else [target]:
        key = (id.kind, plain(id), effect.label.plain or "")
        if isinstance(effect, tree.RemoveLabel):
            off.setdefault(key, rule)
            continue
        on.setdefault(key, []).append((None if lasts is None else at + lasts, rule))


def _told(outcome: Outcome, verdict: str | None) -> tuple[Any, ...]:
    rule = outcome.rule
    severity = rule.severity.name if rule.severity is not None else None
    return rule.name.name, verdict, outcome.message, tuple(t.plain or "" for t in rule.tags), severity
