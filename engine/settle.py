"""From the rules that matched to a decision: verdict, firings, labels, sends, limits.

A rule's effects are settled after every rule was decided, so that within one decision nothing but
`fired` is visible.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from quell.engine.decision import Decision, Fired, Held, LabelChange, Outranked, Sent
from quell.engine.lowered import LoweredEffect, LoweredRule
from quell.engine.operations import EXACT
from quell.engine.symbols import Ladder
from quell.grammar import tree
from quell.grammar.printer import print_expression
from quell.grammar.types import Type
from quell.signals.counters import each
from quell.signals.labels import FOR_GOOD
from quell.signals.limits import LimitStore
from quell.signals.show import show_time
from quell.signals.state import State

Hit = tuple[int, str | None, str | None, tuple[tuple[Any, ...], ...]]
"""A rule that matched: its number, what holds it back, its message, the values of its effects."""


_NUMBER = itemgetter(0)


@dataclass(slots=True)
class _Effect:
    """An effect bound to its limit's memory."""

    spec: LoweredEffect
    limit: LimitStore | None


@dataclass(slots=True)
class Settler:
    """Settles the hits of one event type."""

    rules: tuple[LoweredRule, ...]
    ladder: Ladder
    state: State
    effects: tuple[tuple[_Effect, ...], ...] = ()
    limits: set[str] = field(default_factory=set)
    """What the limits of its rules are called in the state."""
    _plain: tuple[Fired | None, ...] = ()
    _ranks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.effects = tuple(tuple(self._bound(r, i, e) for i, e in enumerate(r.effects)) for r in self.rules)
        self._plain = tuple(_plain(r) for r in self.rules)
        self._ranks = tuple(
            max((self.ladder.rank(e.name) for e in r.effects if e.kind == "verdict"), default=0)
            for r in self.rules
        )

    def _bound(self, rule: LoweredRule, number: int, effect: LoweredEffect) -> _Effect:
        if effect.limit is None:
            return _Effect(effect, None)
        shadow = "" if rule.live else " in shadow"
        same = [
            e
            for e in rule.effects[:number]
            if (e.kind, e.name, e.entity) == (effect.kind, effect.name, effect.entity)
        ]
        written = [e for e in rule.rule.effects if not isinstance(e, tree.Exempt)][number].limit
        keys = ", ".join(print_expression(k) for k in written.keys) if written is not None else ""
        what = f"{effect.kind} {effect.entity} {effect.name}"
        identity = f"{rule.first_name}{shadow}: {what} per {keys} {len(same)}"
        self.limits.add(identity)
        return _Effect(effect, self.state.limit(identity, effect.limit.count, effect.limit.every))

    def settle(self, decision: Decision, hits: list[Hit], now: int) -> None:
        """Fill in a decision from the hits and change the state as of `now`. The order of hits is of no
        account."""
        if len(hits) > 1:
            hits.sort(key=_NUMBER)
        fired: list[Fired] = []
        best = 0
        for hit in hits:
            known = self._plain[hit[0]]
            if known is None:
                self._settle(decision, hits, now)
                return
            fired.append(known)
            rank = self._ranks[hit[0]]
            if rank > best:
                best = rank
        decision.fired = tuple(fired)
        decision.verdict = self.ladder.verdicts[best]

    def _settle(self, decision: Decision, hits: list[Hit], now: int) -> None:
        """The same for rules of every kind."""
        fired: list[Fired] = []
        shadow: list[Fired] = []
        held: list[Held] = []
        changes = _Changes(now)
        sends: list[Sent] = []
        best = 0
        for index, why, message, values in hits:
            rule = self.rules[index]
            if why is not None:
                held.append(Held(rule.name, why))
                continue
            verdict = self._effects(index, values, now, changes if rule.live else None, sends)
            (fired if rule.live else shadow).append(fired_as(rule, verdict, message))
            if rule.live and verdict is not None:
                best = max(best, self._ranks[index])
        decision.verdict = self.ladder.verdicts[best]
        decision.fired, decision.shadow, decision.held = tuple(fired), tuple(shadow), tuple(held)
        decision.sends = tuple(sends)
        changes.apply(self.state, decision)

    def _effects(
        self,
        index: int,
        values: tuple[tuple[Any, ...], ...],
        at: int,
        changes: _Changes | None,
        sends: list[Sent],
    ) -> str | None:
        """Carry out the effects of a fired rule that their limits allow; a shadow rule's change nothing.
        Gives the verdict it asked for."""
        rule = self.rules[index]
        verdict: str | None = None
        for effect, value in zip(self.effects[index], values, strict=True):
            spec, given = effect.spec, value[0]
            if spec.target is not None and given in (None, []):
                continue  # on nobody: nothing happens, so it uses up nothing
            if effect.limit is not None and not effect.limit.allow(value[1], at):
                continue
            if spec.kind == "verdict":
                verdict = spec.name
            elif changes is None:
                continue
            elif spec.kind == "send":
                payload = {name: ready(given[name], type_) for name, _, type_ in spec.payload}
                sends.append(Sent(spec.name, rule.name, payload))
            else:
                changes.note(rule, spec, each(given))
        return verdict


def fired_as(rule: LoweredRule, verdict: str | None, message: str | None) -> Fired:
    """What a decision says of a rule that fired."""
    tags = tuple(t.plain or "" for t in rule.rule.tags)
    severity = rule.rule.severity.name if rule.rule.severity is not None else None
    return Fired(rule.name, verdict, message, tags, severity)


def _plain(rule: LoweredRule) -> Fired | None:
    """What a rule always gives when it matches, where that is the same each time: a live rule that nothing
    holds back, without a message, and with no effect but a verdict."""
    held = rule.share is not None or rule.exempt_by or not rule.live or rule.because is not None
    if held or any(e.kind != "verdict" or e.limit is not None for e in rule.effects):
        return None
    return fired_as(rule, rule.effects[0].name if rule.effects else None, None)


class _Changes:
    """The labels that one decision puts on and takes off: putting on beats taking off, the longest wins."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._on: dict[tuple[str, str, str], dict[str, tuple[int, str]]] = {}
        self._off: dict[tuple[str, str, str], str] = {}
        self._changed: list[LabelChange] = []
        self._outranked: list[Outranked] = []

    def note(self, rule: LoweredRule, spec: LoweredEffect, ids: list[str]) -> None:
        """Note one effect on entities. Each rule's reason is one, under the name it had first."""
        for id in ids:
            key = (spec.entity, id, spec.name)
            if spec.kind == "unlabel":
                self._off.setdefault(key, rule.name)
                continue
            until = FOR_GOOD if spec.lasts is None else self._at + spec.lasts
            reasons = self._on.setdefault(key, {})
            known = reasons.get(rule.first_name)
            if known is None or until > known[0]:
                reasons[rule.first_name] = (until, rule.name)

    def apply(self, state: State, decision: Decision) -> None:
        """Change the state, and say in the decision what changed and what a person's word outranks."""
        for key, reasons in self._on.items():
            self._put(state, key, reasons)
        for key, rule in self._off.items():
            if key not in self._on:
                self._take(state, key, rule)
        decision.labels = tuple(sorted(self._changed, key=lambda c: (c.entity, c.id, c.label)))
        decision.outranked = tuple(sorted(self._outranked, key=lambda o: (o.entity, o.id, o.label)))

    def _put(self, state: State, key: tuple[str, str, str], reasons: dict[str, tuple[int, str]]) -> None:
        kind, id, label = key
        labels = state.label(kind, label)
        hand = labels.hand(id, self._at)
        _, rule = max(reasons.values(), key=itemgetter(0))
        for first_name, (until, _) in reasons.items():
            labels.set(id, self._at, until, first_name)
        if hand is not None and not hand.on:
            self._outranked.append(Outranked(kind, id, label, True, rule, hand.by))
            return
        holds = labels.until(id)
        shown = None if holds is None else shown_until(holds)
        self._changed.append(LabelChange(kind, id, label, True, rule, shown))

    def _take(self, state: State, key: tuple[str, str, str], rule: str) -> None:
        kind, id, label = key
        labels = state.label(kind, label)
        hand = labels.hand(id, self._at)
        if labels.remove(id, self._at):
            self._changed.append(LabelChange(kind, id, label, False, rule))
        elif hand is not None and hand.on:
            self._outranked.append(Outranked(kind, id, label, False, rule, hand.by))


def shown_until(until: int) -> str | None:
    """A time in ISO 8601; None when it lies past the year 9999."""
    return show_time(until) if until <= 253_402_300_799_999_999 else None


def ready(value: Any, type_: Type) -> Any:
    """A value as JSON has it: times in ISO 8601, durations in seconds, whole numbers without a decimal
    point, missing as null."""
    if value is None:
        return None
    if type_.kind == "number" and value.__class__ is float and value.is_integer() and abs(value) <= EXACT:
        return int(value)
    if type_.kind in ("time", "event"):
        return show_time(value)
    if type_.kind == "duration":
        return value / 1_000_000
    if type_.kind == "list" and type_.element is not None:
        return [ready(v, type_.element) for v in value]
    if type_.kind == "record":
        return {name: ready(value.get(name), column) for name, column in type_.columns}
    return value
