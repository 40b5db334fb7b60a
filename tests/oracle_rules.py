"""The oracle's rules: what holds them back, and how labels, limits and sends come of those that fired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quell.engine.symbols import Symbols
from quell.grammar import tree
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


def held_by_rollout(first_name: str, share: float, keys: list[Any]) -> str | None:
    """`rollout` for keys outside the share; a missing key is outside every share."""
    place = share_of(first_name, keys)
    inside = place is not None and (place < share or share >= 1)
    return None if inside else "rollout"


LabelKey = tuple[str, str, str]
"""An entity's kind, its id, the label."""


class Settling:
    """Labels and limits, and the decisions that change them."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self.labels: dict[LabelKey, tuple[int, int | None]] = {}
        self.allowed: dict[tuple[Any, ...], list[int]] = {}

    def carries(self, kind: str, id: str, label: str, at: int) -> bool:
        """Whether an entity carries a label at a time."""
        held = self.labels.get((kind, plain(id), label))
        return held is not None and (held[1] is None or at < held[1])

    def age(self, kind: str, id: str, label: str, at: int) -> Span | None:
        """How long it has; missing when it does not."""
        if not self.carries(kind, id, label, at):
            return None
        return Span(max(0, at - self.labels[(kind, plain(id), label)][0]))

    def settle(self, event: str, at: int, matched: Sequence[Outcome], late: bool) -> Decided:
        """The decision that rules, in order of name, make."""
        ladder = self.symbols.ladders[event].verdicts
        decided = Decided(ladder[0], late=late)
        on: dict[LabelKey, tuple[int | None, str]] = {}
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
        decided.labels = self._change(on, off, at)
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

    def _change(
        self, on: dict[LabelKey, tuple[int | None, str]], off: dict[LabelKey, str], at: int
    ) -> list[tuple[Any, ...]]:
        out: list[tuple[Any, ...]] = []
        for key, (until, rule) in on.items():
            since = at
            if self.carries(*key, at):
                since, known = self.labels[key]
                until = None if known is None or until is None else max(known, until)
            self.labels[key] = (since, until)
            shown = None if until is None or until > LATEST else time_text(until)
            out.append((*key, True, rule, shown))
        for key, rule in off.items():
            if key in on:
                continue
            if self.carries(*key, at):
                out.append((*key, False, rule, None))
            self.labels.pop(key, None)
        return sorted(out, key=lambda c: c[:3])


def _note(
    effect: tree.Effect,
    target: Any,
    lasts: int | None,
    at: int,
    rule: str,
    on: dict[LabelKey, tuple[int | None, str]],
    off: dict[LabelKey, str],
) -> None:
    """Note a label put on or taken off; the longest lasting wins, and of equals the first."""
    assert isinstance(effect, tree.SetLabel | tree.RemoveLabel)
    for id in target if isinstance(target, list) else [] if target is None else [target]:
        key = (id.kind, plain(id), effect.label.plain or "")
        if isinstance(effect, tree.RemoveLabel):
            off.setdefault(key, rule)
            continue
        until = None if lasts is None else at + lasts
        known = on.get(key)
        if known is None or (known[0] is not None and (until is None or until > known[0])):
            on[key] = (until, rule)


def _told(outcome: Outcome, verdict: str | None) -> tuple[Any, ...]:
    rule = outcome.rule
    severity = rule.severity.name if rule.severity is not None else None
    return rule.name.name, verdict, outcome.message, tuple(t.plain or "" for t in rule.tags), severity
