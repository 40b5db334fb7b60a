"""A slow oracle: policies decided straight from their tree, by the book and by brute force.

It shares the parser, the names (`resolve`), the reading of fields, the lists and the functions of the
registry with the engine, and nothing of types, graph, plan, generated code or state: counters look
through all that was counted before, labels and limits are plain dictionaries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from quell.engine.event_reader import Misfit, Reader, walk
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.signals.functions import REGISTRY
from quell.signals.patterns import search
from quell.signals.policy_lists import PolicyList
from tests.oracle_counters import EVENTS, PAST, Counted, counts_spans, given, start_of
from tests.oracle_labels import deed_of, said_by_hand
from tests.oracle_rules import Decided, Outcome, Settling, held_by_rollout
from tests.oracle_values import (
    Address,
    Id,
    Span,
    Time,
    all_of,
    any_of,
    arithmetic,
    compared,
    key_of,
    like,
    negate,
    plain,
    tagged,
    told,
    total,
)

REFUSED = "refused"


class Handled(NamedTuple):
    """What came of a label by hand: whether it was on before, and after."""

    action: str
    entity: str
    id: str
    label: str
    was: bool
    on: bool


CounterKey = tuple[tree.Counter, bool]
"""What is counted, without how it is read; and whether shadow rules' firings count."""


@dataclass(slots=True)
class Now:
    """One event while it is decided, and what was worked out about it."""

    event: str
    at: int
    seq: int
    values: dict[str, Any]
    lets: dict[tuple[str, bool], Any] = field(default_factory=dict)
    shares: dict[CounterKey, list[tuple[tuple[Any, ...], tuple[Any, ...]]]] = field(default_factory=dict)
    rules: dict[str, Outcome] = field(default_factory=dict)


class Scope(NamedTuple):
    """The event, the element variables and parameters, and whether a shadow rule is reading."""

    now: Now
    names: Mapping[str, Any]
    shadow: bool


def essence(counter: tree.Counter) -> tree.Counter:
    """A counter without what belongs to one reading of it."""
    return replace(counter, reading=(), per=None, within=None, ever=False, resolution=None, before=None)


class Oracle:
    """Decides the events of one history. `used` names the fields that events are checked for."""

    def __init__(
        self,
        symbols: Symbols,
        lists: Mapping[str, PolicyList],
        used: Mapping[str, AbstractSet[str]],
        type_path: Sequence[Any] = ("type",),
        block: int = 256,
        lateness: int = 3_600_000_000,
    ) -> None:
        self.symbols = symbols
        self.lists = lists
        self.type_path = tuple(type_path)
        self.readers = {name: Reader(schema.fields) for name, schema in symbols.schemas.items()}
        self.checked = {
            name: Reader([f for f in schema.fields if f.name in used[name]])
            for name, schema in symbols.schemas.items()
        }
        self.modes = {n: r.mode.name if r.mode is not None else "live" for n, r in symbols.rules.items()}
        self.exempters = self._exempters()
        self.counters = self._counters()
        self.history: dict[CounterKey, list[Counted]] = {key: [] for key in self.counters}
        self.settling = Settling(symbols)
        self.began: int | None = None
        self.times: list[int] = []
        self.block, self.lateness = block, lateness
        self.seq = 0

    # ------------------------------------------------------------- decisions

    def decide(self, data: bytes) -> Decided | Handled | str:
        """The decision for one event, what came of a label by hand, or `REFUSED`."""
        read = self._read(data)
        if read is None:
            said = said_by_hand(data)
            return REFUSED if said is None else self._by_hand(said)
        event, values = read
        self.seq += 1
        at = int(values["at"])
        if self.began is None:
            self.began = at
        self.times.append(at)
        horizon = self._horizon()
        behind = horizon is not None and at < horizon
        at = horizon if horizon is not None and behind else at
        now = Now(event, at, self.seq, values)
        outcomes = [self._rule(now, name) for name in sorted(self.symbols.rules) if self._is_on(name, event)]
        late = self._commit(now) or behind
        return self.settling.settle(event, at, [o for o in outcomes if o.matched], late)

    def _by_hand(self, said: dict[str, Any]) -> Handled | str:
        """Do what a person said."""
        found = deed_of(said, self.symbols)
        if found is None:
            return REFUSED
        key, deed = found
        at = max(deed.at, self._horizon() or deed.at)
        before = self.settling.seen(key, at).on
        self.settling.do(key, deed._replace(at=at))
        return Handled(said["action"], *key, before, self.settling.seen(key, at).on)

    def _horizon(self) -> int | None:
        """The oldest time at which an event counts."""
        whole = range(0, len(self.times) - self.block + 1, self.block)
        return max((min(self.times[i : i + self.block]) - self.lateness for i in whole), default=None)

    def unread(self, data: bytes) -> bool:
        """Whether the event lacks a required field that nothing reads: the engine does not look at it."""
        try:
            record = json.loads(data)
        except ValueError:
            return False
        matching = [s for s in self.symbols.schemas.values() if self._describes(s.wire, s.when, record)]
        return any(
            self.readers[s.name].read(record)[1] and not self.checked[s.name].read(record)[1]
            for s in matching
        )

    def _read(self, data: bytes) -> tuple[str, dict[str, Any]] | None:
        try:
            record = json.loads(data)
        except ValueError:
            return None
        if not isinstance(record, dict):
            return None
        matching = [s for s in self.symbols.schemas.values() if self._describes(s.wire, s.when, record)]
        if len(matching) != 1:
            return None
        schema = matching[0]
        if self.checked[schema.name].read(record)[1]:
            return None
        found = self.readers[schema.name].read(record)[0]
        out = {}
        for name, value in found.items():
            declared = schema.field(name)
            assert declared is not None
            out[name] = tagged(value, declared.type, declared.record)
        return schema.name, out

    def _describes(self, wire: str | None, when: Sequence[tuple[Any, Any]], record: Any) -> bool:
        if wire is not None and _at_path(record, self.type_path) != wire:
            return False
        found = ((_at_path(record, path), wanted) for path, wanted in when)
        return all(
            value == wanted and isinstance(value, bool) == isinstance(wanted, bool) for value, wanted in found
        )

    def _commit(self, now: Now) -> bool:
        """Note what the event counts in; whether some counter took it as of a later time."""
        late = False
        shares = {key: self._share(now, key) for key in self.counters}  # all, before any is noted
        for key, made in shares.items():
            for under, values in made:
                newest = self._newest(key, under)
                late = late or (newest is not None and now.at < newest)
                at = now.at if newest is None else max(now.at, newest)
                self.history[key].append(Counted(now.seq, under, at, values))
        return late

    # ------------------------------------------------------------------ rules

    def _is_on(self, rule: str, event: str) -> bool:
        if self.modes[rule] == "off":
            return False
        return any(event in self.symbols.members[i.name] for i in self.symbols.rules[rule].events)

    def _rule(self, now: Now, name: str) -> Outcome:
        if name in now.rules:
            return now.rules[name]
        rule, live = self.symbols.rules[name], self.modes[name] == "live"
        scope = Scope(now, {}, not live)
        assert rule.condition is not None
        if self.value(rule.condition, scope) is not True:
            made = Outcome(rule, live, False)
        else:
            held = self._held(now, name, scope)
            message = self._text(rule.because, scope, "?") if rule.because is not None else None
            targets = tuple(self._target(e, scope) for e in rule.effects)
            limits = tuple(
                [self.value(k, scope) for k in e.limit.keys] if e.limit is not None else []
                for e in rule.effects
            )
            spans = tuple(self._lasting(e, scope) for e in rule.effects)
            made = Outcome(rule, live, True, held, message, targets, limits, spans)
        now.rules[name] = made
        return made

    def _held(self, now: Now, name: str, scope: Scope) -> str | None:
        for other in self.exempters.get(name, ()):
            if self._fired(now, other, False):
                return f"exempt by {other}"
        rule = self.symbols.rules[name]
        if rule.rollout is None:
            return None
        first = rule.formerly[-1].name if rule.formerly else name
        keys = [self.value(k, scope) for k in rule.rollout.keys]
        return held_by_rollout(first, rule.rollout.share, keys)

    def _target(self, effect: tree.Effect, scope: Scope) -> Any:
        if isinstance(effect, tree.SetLabel | tree.RemoveLabel):
            return self.value(effect.target, scope)
        if isinstance(effect, tree.Send) and effect.payload is not None:
            return {i.name: self.value(e, scope) for i, e in effect.payload.pairs}
        return {}

    def _lasting(self, effect: tree.Effect, scope: Scope) -> tuple[int | None, int | None]:
        """How long a label lasts, and how long a limit's window is."""
        lasts = effect.duration if isinstance(effect, tree.SetLabel) else None
        every = effect.limit.every if effect.limit is not None else None
        return (
            None if lasts is None else int(self.value(lasts, scope)),
            None if every is None else int(self.value(every, scope)),
        )

    def _fired(self, now: Now, name: str, shadow: bool) -> bool:
        if not self._is_on(name, now.event):
            return False
        if self.modes[name] != "live" and not shadow:
            return False
        outcome = self._rule(now, name)
        return outcome.matched and outcome.held is None

    def _exempters(self) -> dict[str, list[str]]:
        rules = self.symbols.rules
        exempting = {n for n, r in rules.items() if any(isinstance(e, tree.Exempt) for e in r.effects)}
        out: dict[str, list[str]] = {}
        for name in sorted(exempting):
            targets = [t for e in rules[name].effects if isinstance(e, tree.Exempt) for t in e.targets]
            for other, rule in rules.items():
                tags = {t.plain for t in rule.tags}
                hit = any(
                    t.kind == "all"
                    or t.name == (other if t.kind == "rule" else None)
                    or (t.kind == "tag" and t.name in tags)
                    for t in targets
                )
                if other not in exempting and hit:
                    out.setdefault(other, []).append(name)
        return out

    # --------------------------------------------------------------- counters

    def _counters(self) -> list[CounterKey]:
        """Every counter that the policies name, as seen by live and by shadow rules."""
        symbols = self.symbols
        roots: list[tuple[tree.Node, bool]] = [
            (d, False) for d in (*symbols.lets.values(), *symbols.scores.values())
        ]
        roots += [(r, self.modes[n] != "live") for n, r in symbols.rules.items()]
        seen: set[tuple[str, bool]] = set()
        out: dict[CounterKey, None] = {}
        while roots:
            root, shadow = roots.pop()
            for node in tree.walk(root):
                if isinstance(node, tree.Counter):
                    out[(essence(node), shadow)] = None
                name = ""
                if isinstance(node, tree.Attribute):
                    event = self._event_of(node.target)
                    if event is not None:
                        name = node.name.name
                        out[(essence(_with_value(event[0], name)), shadow)] = None
                elif isinstance(node, tree.Name):
                    name = node.name
                elif isinstance(node, tree.Call):
                    name = node.function.name
                named = symbols.lets.get(name) or symbols.scores.get(name)
                if named is not None and (name, shadow) not in seen:
                    seen.add((name, shadow))
                    roots.append((named, shadow))
        return list(out)

    def _share(self, now: Now, key: CounterKey) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """What the present event adds to a counter: keys, and under each the different values."""
        if key not in now.shares:
            counter, shadow = key
            made = []
            for rule in self._sources(counter, now.event):
                if rule is None or self._fired(now, rule, shadow):
                    made.extend(self._share_of(counter, Scope(now, {}, shadow)))
            now.shares[key] = made
        return now.shares[key]

    def _sources(self, counter: tree.Counter, event: str) -> list[str | None]:
        """As what the event is counted: as itself, and as a firing of each rule named."""
        out: dict[str | None, None] = {}
        for written in counter.events:
            if isinstance(written, tree.Name) and event in self.symbols.members[written.name]:
                out[None] = None
            elif isinstance(written, tree.Fired) and self._is_on(written.rule.name, event):
                out[written.rule.name] = None
        return list(out)

    def _share_of(self, counter: tree.Counter, scope: Scope) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        if counter.where is not None and self.value(counter.where, scope) is not True:
            return []
        values: tuple[Any, ...] = ()
        if counter.value is not None and counter.function.name in EVENTS:
            values = (self.value(counter.value, scope),)
        elif counter.value is not None:
            values = tuple(_each(self.value(counter.value, scope)))
            if not values:
                return []
        return [(key, values) for key in _keys([self.value(k, scope) for k in counter.by])]

    def _event_of(self, node: tree.Expr) -> tuple[tree.Counter, bool] | None:
        """The `first(…)` or `last(…)` that an expression stands for, and whether a let says so; None when it
        stands for a value."""
        named = False
        while not isinstance(node, tree.Counter):
            if isinstance(node, tree.Group):
                node = node.inner
            elif isinstance(node, tree.Name) and node.name in self.symbols.lets:
                node, named = self.symbols.lets[node.name].body, True
            else:
                return None
        return (node, named) if node.function.name in EVENTS else None

    def _newest(self, key: CounterKey, under: tuple[Any, ...]) -> int | None:
        return max((c.at for c in self.history[key] if c.key == under), default=None)

    def _counter(self, node: tree.Counter, scope: Scope) -> Any:
        parts = [self.value(k, scope) for k in node.reading] if node.reading else None
        if parts is None:
            parts = [self.value(k, scope._replace(names={})) for k in node.by]
        if any(p is None for p in parts):
            return None
        read = [self._reading(node, key, scope) for key in _keys(parts)]
        if any(isinstance(p, list) for p in parts):
            return [r for r in read if r is not None]
        return read[0]

    def _reading(
        self, node: tree.Counter, under: tuple[Any, ...], scope: Scope, before_this: bool = False
    ) -> Any:
        now, key = scope.now, (essence(node), scope.shadow)
        newest = self._newest(key, under)
        at = now.at if newest is None else max(now.at, newest)
        ago, within, per, resolution = (
            None if e is None else int(self.value(e, scope))
            for e in (
                node.before if isinstance(node.before, tree.Expr) else None,
                node.within,
                node.per,
                node.resolution,
            )
        )
        assert self.began is not None
        if ago is not None and at - ago - (within or 0) < self.began:
            return None
        counted = [c for c in self.history[key] if c.key == under]
        if not before_this and node.before is None and node.function.name not in PAST:
            counted += [Counted(now.seq, k, at, v) for k, v in self._share(now, key) if k == under]
        end = at - (ago or 0)
        low = start_of(within, resolution, end)
        if ago is not None and resolution is not None:
            end = -(-end // resolution) * resolution
        window = [c for c in counted if c.at <= end and (low is None or c.at > low)]
        spans = node.function.name in ("sum", "mean") and counts_spans(node, self.symbols)
        return given(node, window, at, within, per or 0, spans)

    def _reaches(self, node: tree.Counter, threshold: float, scope: Scope) -> bool | None:
        keys = [
            self.value(k, scope if node.reading else scope._replace(names={}))
            for k in node.reading or node.by
        ]
        if any(k is None for k in keys):
            return False
        (under,) = _keys(keys)
        if all(k != under for k, _ in self._share(scope.now, (essence(node), scope.shadow))):
            return False
        now, before = self._reading(node, under, scope), self._reading(node, under, scope, True)
        return None if now is None or before is None else bool(now >= threshold > before)

    # ------------------------------------------------------------ expressions

    def value(self, node: tree.Expr, scope: Scope) -> Any:
        """The value of an expression; None for missing."""
        match node:
            case tree.Number():
                return float(node.value)
            case tree.Bool():
                return node.value
            case tree.Duration():
                return Span(node.micros)
            case tree.Missing():
                return None
            case tree.Regex():
                return (node.pattern, node.flags)
            case tree.Group():
                return self.value(node.inner, scope)
            case tree.Text():
                return self._text(node, scope, None)
            case tree.Name():
                return self._name(node.name, scope)
            case tree.Fired():
                return self._fired(scope.now, node.rule.name, scope.shadow)
            case tree.Unary():
                value = self.value(node.operand, scope)
                return negate(value) if node.op == "not" else None if value is None else like(value, -value)
            case tree.Binary():
                return self._binary(node, scope)
            case tree.Compare():
                return self._compare(self.value(node.first, scope), node, scope)
            case tree.Junction():
                values = [self.value(i, scope) for i in node.items]
                return all_of(values) if node.op == "and" else any_of(values)
            case tree.Is():
                return self._is(self.value(node.operand, scope), node)
            case tree.Word():
                return (
                    self._counter_word(node, scope)
                    if node.op == "reaches"
                    else self._word(self.value(node.left, scope), node, scope)
                )
        return self._of_lists(node, scope)

    def _of_lists(self, node: tree.Expr, scope: Scope) -> Any:
        match node:
            case tree.ListLiteral():
                return [v for v in (self.value(i, scope) for i in node.items) if v is not None]
            case tree.Attribute():
                event = self._event_of(node.target)
                if event is None or (isinstance(node.target, tree.Name) and node.target.name in scope.names):
                    return self._attribute(self.value(node.target, scope), node.name.name)
                inner = scope._replace(names={}) if event[1] else scope
                return self._counter(_with_value(event[0], node.name.name), inner)
            case tree.Index():
                assert isinstance(node.target, tree.Name)
                return self._row(node.target.name, self.value(node.key, scope))
            case tree.Quantified():
                return self._quantified(node, scope)
            case tree.Filter():
                return self._filtered(node, scope)
            case tree.Call():
                return self._call(node, scope)
            case tree.Counter():
                return self._counter(node, scope)
        raise AssertionError(f"the oracle does not know {type(node).__name__}")

    def _text(self, node: tree.Text, scope: Scope, missing: str | None) -> str | None:
        out = []
        for part in node.parts:
            if isinstance(part, str):
                out.append(part)
                continue
            value = self.value(part, scope)
            if value is None and missing is None:
                return None
            out.append(told(value))
        return "".join(out)

    def _name(self, name: str, scope: Scope) -> Any:
        if name in scope.names:
            return scope.names[name]
        if self.symbols.schemas[scope.now.event].field(name) is not None:
            return scope.now.values[name]
        key = (name, scope.shadow)
        if key not in scope.now.lets:
            inner = scope._replace(names={})
            if name in self.symbols.lets:
                made = self.value(self.symbols.lets[name].body, inner)
            else:
                items = self.symbols.scores[name].items
                made = total([float(i.points) for i in items if self.value(i.condition, inner) is True])
            scope.now.lets[key] = made
        return scope.now.lets[key]

    def _binary(self, node: tree.Binary, scope: Scope) -> Any:
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        if node.op == "??":
            return right if left is None else left
        return None if left is None or right is None else arithmetic(node.op, left, right)

    def _compare(self, first: Any, node: tree.Compare, scope: Scope) -> bool | None:
        """A chain of comparisons whose first value is known."""
        values = [first, *(self.value(e, scope) for _, e in node.rest)]
        return all_of(
            [compared(op, *_alike(values[i], values[i + 1])) for i, (op, _) in enumerate(node.rest)]
        )

    @staticmethod
    def _is(value: Any, node: tree.Is) -> bool:
        return (value is None) == ((node.what == "missing") != node.negated)

    def _word(self, left: Any, node: tree.Word, scope: Scope) -> bool | None:
        """A word whose left value is known."""
        made = self._word_value(left, node, scope)
        return negate(made) if node.negated else made

    def _word_value(self, left: Any, node: tree.Word, scope: Scope) -> bool | None:
        if left is None:
            return None
        right = node.right.inner if isinstance(node.right, tree.Group) else node.right
        if isinstance(right, tree.Name) and right.name in self.lists and right.name not in scope.names:
            listed = self.lists[right.name]
            return bool(listed.found(plain(left)) if node.op == "matches" else listed.contains(plain(left)))
        if node.op == "labelled":
            assert isinstance(right, tree.Text)
            assert isinstance(left, Id)
            return self.settling.carries(left.kind, left, right.plain or "", scope.now.at)
        value = self.value(right, scope)
        if value is None:
            return None
        if node.op == "matches":
            return bool(search(*value)(plain(left)))
        if node.op == "in":
            return _holds(value, left)
        if node.op == "contains":
            return _holds(left, value) if isinstance(left, list) else plain(value) in plain(left)
        return bool(left.startswith(value) if node.op == "starts with" else left.endswith(value))

    def _counter_word(self, node: tree.Word, scope: Scope) -> bool | None:
        counter, inner = node.left, scope
        while not isinstance(counter, tree.Counter):
            if isinstance(counter, tree.Group):
                counter = counter.inner
                continue
            assert isinstance(counter, tree.Name)
            counter, inner = self.symbols.lets[counter.name].body, scope._replace(names={})
        made = self._reaches(counter, self.value(node.right, scope), inner)
        return negate(made) if node.negated else made

    # ------------------------------------------------------------------ lists

    def _attribute(self, target: Any, name: str) -> Any:
        if target is None:
            return None
        if isinstance(target, list):
            return [v for v in (self._attribute(t, name) for t in target) if v is not None]
        if isinstance(target, dict):
            return target[name]
        return self._apply(name, [target])

    def _row(self, table: str, key: Any) -> Any:
        row = None if key is None else self.lists[table].row(plain(key))
        if row is None:
            return None
        columns = {c.name.name: c.type.name for c in self.symbols.lists[table].columns}
        return {name: _cell(value, columns[name], self.symbols) for name, value in row.items()}

    def _quantified(self, node: tree.Quantified, scope: Scope) -> bool | None:
        inner = node.operand
        while isinstance(inner, tree.Group):
            inner = inner.inner
        match inner:
            case tree.Compare():
                elements = self.value(inner.first, scope)
                held = [self._compare(e, inner, scope) for e in elements or ()]
            case tree.Word():
                elements = self.value(inner.left, scope)
                held = [self._word(e, inner, scope) for e in elements or ()]
            case tree.Is():
                elements = self.value(inner.operand, scope)
                held = [self._is(e, inner) for e in elements or ()]
            case _:
                elements = self.value(inner, scope)
                held = list(elements or ())
        if elements is None:
            return None
        if node.quantifier == "all":
            return all_of(held)
        return negate(any_of(held)) if node.quantifier == "none" else any_of(held)

    def _filtered(self, node: tree.Filter, scope: Scope) -> Any:
        elements = self.value(node.source, scope)
        if elements is None or node.condition is None:
            return elements
        name, condition = node.variable.name, node.condition
        return [
            e
            for e in elements
            if self.value(condition, scope._replace(names={**scope.names, name: e})) is True
        ]

    # ------------------------------------------------------------------ calls

    def _call(self, node: tree.Call, scope: Scope) -> Any:
        name = node.function.name
        if name in self.symbols.lets:
            let = self.symbols.lets[name]
            given = [self.value(a, scope) for a in node.args]
            names = {p.name.name: v for p, v in zip(let.parameters or (), given, strict=True)}
            return self.value(let.body, scope._replace(names=names))
        if name in self.symbols.entities:
            id = self.value(node.args[0], scope)
            return None if id is None else Id(name, str.__str__(id))
        if name == "reasons":
            assert isinstance(node.args[0], tree.Name)
            return self._reasons(node.args[0].name, scope)
        first = self.value(node.args[0], scope)
        if name == "found":
            assert isinstance(node.args[1], tree.Name)
            return None if first is None else self.lists[node.args[1].name].found(plain(first))
        if name == "label_age":
            assert isinstance(node.args[1], tree.Text)
            return (
                None
                if first is None
                else self.settling.age(first.kind, first, node.args[1].plain or "", scope.now.at)
            )
        return self._apply(name, [first, *(self.value(a, scope) for a in node.args[1:])])

    def _reasons(self, score: str, scope: Scope) -> list[str]:
        inner = scope._replace(names={})
        items = [i for i in self.symbols.scores[score].items if i.because is not None]
        held = [i for i in items if self.value(i.condition, inner) is True]
        return [self._text(i.because, inner, "?") or "" for i in held if i.because is not None]

    def _apply(self, name: str, args: list[Any]) -> Any:
        """A function of the registry."""
        row = REGISTRY.get(name)
        assert row is not None, name
        if any(a is None for a in args):
            return None
        given = [*args, *(p.default for p in row.parameters[len(args) :] if p.default is not None)]
        parameters = [row.parameters[min(i, len(row.parameters) - 1)] for i in range(len(given))]
        pairs = list(zip(parameters, given, strict=True))
        ready = [(p, a if _generic(p.type) else plain(a)) for p, a in pairs]
        if row.prepare is not None:
            made = row.prepare(*(a for p, a in ready if p.literal))(*(a for p, a in ready if not p.literal))
        else:
            assert row.call is not None
            made = row.call(*(a for _, a in ready))
        if made is None:
            return None
        if row.result.kind == "var":
            return made if isinstance(made, Time | Span | bool | str | dict | list) else like(args[0], made)
        if row.result.kind == "list" and row.result.element is not None and row.result.element.kind == "var":
            return made
        return tagged(made, row.result)


# -------------------------------------------------------------------- helpers


def _with_value(counter: tree.Counter, name: str) -> tree.Counter:
    """What `.name` after a counted event gives, as a counter of that field or let; of `.at` its time."""
    return counter if name == "at" else replace(counter, value=tree.Name(name))


def _generic(type_: Any) -> bool:
    return bool(type_.kind == "var" or (type_.kind == "list" and type_.element.kind == "var"))


def _at_path(record: Any, path: Sequence[Any]) -> Any:
    try:
        return walk(record, path)
    except Misfit:
        return None


def _each(value: Any) -> list[Any]:
    """The different values that a value stands for; none for missing."""
    if value is None:
        return []
    if not isinstance(value, list):
        return [value]
    out: list[Any] = []
    for element in value:
        if all(key_of(element) != key_of(other) for other in out):
            out.append(element)
    return out


def _keys(parts: list[Any]) -> list[tuple[Any, ...]]:
    """The keys that parts stand for, none when one is missing; at most one part is a list."""
    keys: list[tuple[Any, ...]] = [()]
    for part in parts:
        keys = [(*key, key_of(element)) for key in keys for element in _each(part)]
    return keys


def _alike(a: Any, b: Any) -> tuple[Any, Any]:
    """Two values to be compared: text beside an address is read as one, where it is one."""
    if isinstance(a, Address) == isinstance(b, Address) or not (isinstance(a, str) and isinstance(b, str)):
        return a, b
    row = REGISTRY.get("ip")
    assert row is not None
    assert row.call is not None
    return row.call(plain(a)) or a, row.call(plain(b)) or b


def _holds(values: list[Any], value: Any) -> bool:
    return any(compared("==", *_alike(value, v)) is True for v in values)


def _cell(value: Any, kind: str, symbols: Symbols) -> Any:
    if value is None:
        return None
    if kind in symbols.entities:
        return Id(kind, value)
    made = {"number": float, "time": Time, "duration": Span, "ip": Address}.get(kind)
    return value if made is None else made(value)
