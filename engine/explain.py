"""Explaining a decision: each rule's condition part by part, what decided it, what came of it.

    explainer = Explainer(engine)
    explanation = explainer.decide(event)

The event is decided as ever, and changes the engine's memory as ever. Its values are taken in between,
when it is counted and nothing else has changed: the moment that the decision rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quell.engine.agreement import effect_values, held_back
from quell.engine.decision import Acted, Decision, Refused
from quell.engine.events import Decoded, Refusal
from quell.engine.explain_missing import why_missing
from quell.engine.explain_notes import tell
from quell.engine.explain_parts import PartMaker, Piece, Pieces
from quell.engine.explain_roles import settle
from quell.engine.explanation import (
    OUTCOMES,
    EffectResult,
    Explanation,
    FieldValue,
    Outcome,
    Part,
    RuleResult,
    Value,
)
from quell.engine.hand import HandAction
from quell.engine.interpret import FieldReaders, Interpreter, NotRead
from quell.engine.lower import Scope
from quell.engine.lowered import LoweredEffect, LoweredRule
from quell.engine.plan import Block, Costs, arrange, conjuncts
from quell.engine.settle import Hit, ready, shown_until
from quell.engine.stepper import Event, Stepper
from quell.grammar import tree
from quell.grammar.diagnostics import place
from quell.grammar.literals import spell_duration
from quell.grammar.types import TEXT
from quell.signals.counters import each
from quell.signals.limits import LimitStore
from quell.signals.rollout import bucket
from quell.signals.show import show_time


class Explainer:
    """Explains decisions of one engine. What the plan asks first is worked out once per event type."""

    def __init__(self, engine: Stepper) -> None:
        self.engine = engine
        self._readers = FieldReaders(engine.bundle)
        self._plans: dict[str, dict[str, dict[int, int]]] = {}
        self._costs: dict[str, Costs] = {}
        self._pieces: Pieces = {}
        self._names: dict[str, tree.Name] = {}

    def decide(self, event: Event | Decoded) -> Explanation | Acted | Refused:
        """The decision for an event, explained, or why the event was refused; a label by hand has nothing to
        explain."""
        decoded = event if isinstance(event, Decoded) else self.engine.decode(event)
        if isinstance(decoded, HandAction):
            return self.engine.act(decoded)
        if isinstance(decoded, Refusal):
            return self.engine.refuse(decoded)
        taken: list[Account] = []
        decision = self.engine.decide_decoded(
            decoded, lambda decoded, hits: taken.append(self.account(decoded, hits))
        )
        return decision if isinstance(decision, Refused) else taken[0].explanation(decision)

    def account(self, decoded: Decoded, hits: list[Hit]) -> Account:
        """What is to be said of an event, taken while it is decided."""
        interpreter = self.interpreter(decoded, hits)
        sources = self.engine.bundle.analysis.files.sources
        lowerer = self.engine.bundle.analysis.lowerer
        maker = PartMaker(interpreter, lowerer, sources, known=self._pieces)
        return Account(self, interpreter, maker)

    def interpreter(self, decoded: Decoded, hits: list[Hit]) -> Interpreter:
        """The interpreter of an event."""
        engine = self.engine
        return Interpreter(
            engine.bundle, engine.state, decoded, hits, engine.injected, self._readers, engine.asked
        )

    def name(self, declared: tree.Ident) -> tree.Name:
        """A declared name as an expression, the same one every time."""
        return self._names.setdefault(declared.name, tree.Name(declared.name, span=declared.span))

    def asked(self, event: str, rule: str) -> dict[int, int]:
        """In which place the plan asks for each part of a rule's condition."""
        if event not in self._plans:
            analysis = self.engine.bundle.analysis
            graph, found = analysis.lowerer.graph(event), dict[str, dict[int, int]]()
            for stage in analysis.stages[event]:
                _places(arrange(graph, stage), (), found)
            self._plans[event] = found
        return self._plans[event].get(rule, {})

    def costs(self, event: str) -> Costs:
        """What the nodes of an event cost."""
        if event not in self._costs:
            self._costs[event] = Costs(self.engine.bundle.analysis.lowerer.graph(event))
        return self._costs[event]


def _places(blocks: Sequence[Block], above: tuple[int, ...], out: dict[str, dict[int, int]]) -> None:
    for block in blocks:
        conditions = (*above, *block.conditions)
        if block.rule is not None:
            out[block.rule.name] = {c: i for i, c in reversed(list(enumerate(conditions)))}
        _places(block.blocks, conditions, out)


@dataclass(slots=True)
class _Effect:
    """An effect of a rule that matched, before it was settled."""

    lowered: LoweredEffect
    written: tree.Effect
    values: list[Any]
    left: int | None


class Account:
    """Everything that is to be said of one event but what settling it brings."""

    def __init__(self, explainer: Explainer, interpreter: Interpreter, maker: PartMaker) -> None:
        self._explainer = explainer
        self._analysis = explainer.engine.bundle.analysis
        self.interpreter = interpreter
        self.maker = maker
        self.event = interpreter.decoded.event
        self.fields = self._fields()
        rules = [self._rule(rule) for rule in interpreter.rules.values()]
        order = list(OUTCOMES)
        self.rules = sorted(rules, key=lambda r: (order.index(r.outcome), r.rule))
        self.values = self._values()
        self.looked_at: dict[int, Part] = {}

    def explanation(self, decision: Decision) -> Explanation:
        """The whole of it, with the decision."""
        messages = {f.rule: f.message for f in (*decision.fired, *decision.shadow)}
        for rule in self.rules:
            rule.because = messages.get(rule.rule, rule.because)
        return Explanation(
            decision,
            show_time(decision.at),
            self.fields,
            self.rules,
            self.values,
            [p.message for p in decision.problems],
            [f"`{name}` took the event as of a later time, its key's newest" for name in decision.late],
        )

    def look_at(self, key: int, condition: tree.Expr, scope: Scope) -> None:
        """Take one more condition apart, to be found in `looked_at`; its named values join the others."""
        piece = self.maker.piece(condition, scope)
        costs = self._explainer.costs(self.event)
        settle(piece, self.maker.value, lambda n: _cost(costs, n), lambda n: _cost(costs, n))
        self.looked_at[key] = self.maker.part(piece)
        self.values = self._values()

    # --------------------------------------------------------------- values

    def _fields(self) -> list[FieldValue]:
        out = []
        graph, lowerer = self.interpreter.graph, self._analysis.lowerer
        for declared in self._analysis.symbols.schemas[self.event].fields:
            node = lowerer.field(self.event, declared.name)
            try:
                value = self.interpreter.value(node)
            except NotRead:
                continue
            why = why_missing(self.interpreter, node, self.maker.sources) if value is None else ""
            type_ = graph[node].type
            out.append(FieldValue(declared.name, str(type_), ready(value, type_), tell(value, type_), why))
        return out

    def _values(self) -> list[Value]:
        """Every let, score and model that the rules lead to, each after those that lead to it."""
        out: list[Value] = []
        while len(out) < len(self.maker.named):  # each may lead to others, which then stand at the end
            out.append(self._value(list(self.maker.named)[len(out)]))
        return out

    def _value(self, name: str) -> Value:
        symbols, scope = self._analysis.symbols, Scope(self.event)
        let = symbols.lets.get(name)
        declared = let or symbols.scores.get(name) or symbols.models[name]
        where = place(declared.name.span, self.maker.sources)
        if let is None or name in self.interpreter.injected:
            part = self.maker.part(self.maker.piece(self._explainer.name(declared.name), scope))
            text = "supplied by the test" if name in self.interpreter.injected else self._file(name)
        else:
            part = self.maker.part(self.maker.piece(let.body, scope))
            text = part.text
        return Value(name, part.value, part.shown, text, where, part.why, part)

    def _file(self, name: str) -> str:
        """The file that a model is, and what identifies it."""
        declared, model = self._analysis.symbols.models.get(name), self._analysis.models.get(name)
        if declared is None or model is None:
            return ""
        return f"{declared.source.plain} ({model.kind}, {model.digest[:16]})"

    # ---------------------------------------------------------------- rules

    def _rule(self, rule: LoweredRule) -> RuleResult:
        interpreter, maker = self.interpreter, self.maker
        assert rule.rule.condition is not None
        piece = maker.piece(rule.rule.condition, Scope(self.event, shadow=not rule.live))
        self._settle(rule, piece)
        value = interpreter.value(rule.condition)
        held = held_back(interpreter, rule) if value is True else None
        outcome = _outcome(rule, value, held)
        written = rule.rule
        result = RuleResult(
            rule.name,
            outcome,
            place(written.name.span, maker.sources),
            maker.part(piece),
            mode="live" if rule.live else "shadow",
            tags=[t.plain or "" for t in written.tags],
            owner=written.owner.plain if written.owner is not None else None,
            severity=written.severity.name if written.severity is not None else None,
            does=[f"{e.kind} {e.name}" for e in rule.effects],
        )
        if value is not True:
            result.decided = result.deciding().text
            return result
        result.because = interpreter.value(rule.because) if rule.because is not None else None
        result.rollout = self._rollout(rule)
        result.held = _held(held, result.rollout)
        result.effects = self._effects(rule, held is not None)
        return result

    def _settle(self, rule: LoweredRule, piece: Piece) -> None:
        graph, costs = self.interpreter.graph, self._explainer.costs(self.event)
        places = self._explainer.asked(self.event, rule.name)

        def rank(node: int | None) -> float:
            if node is None:
                return -1
            asked = [c for c in conjuncts(graph, node) if self.maker.value(c)[1] is not True] or [node]
            return min((places[c] for c in asked if c in places), default=-1)

        settle(piece, self.maker.value, rank, lambda n: _cost(costs, n))

    def _rollout(self, rule: LoweredRule) -> str:
        if rule.share is None or rule.rule.rollout is None:
            return ""
        keys = [self.interpreter.value(k) for k in rule.bucket]
        types = [self.interpreter.graph[k].type for k in rule.bucket]
        shown = ", ".join(tell(k, t) for k, t in zip(keys, types, strict=True))
        share = f"{rule.share * 100:g}%"
        where = bucket(rule.first_name, keys)
        if where is None:
            return f"the key is missing, so it is outside the {share}"
        side = "inside" if where < rule.share or rule.share >= 1 else "outside"
        return f"{shown} stands at {where * 100:.2f}%, {side} the {share}"

    def _effects(self, rule: LoweredRule, held: bool) -> list[EffectResult]:
        written = [e for e in rule.rule.effects if not isinstance(e, tree.Exempt)]
        settler = self._explainer.engine.settler(self.event)
        bound = settler.effects[[r.name for r in settler.rules].index(rule.name)]
        out = []
        for effect, expr, keeper in zip(rule.effects, written, bound, strict=True):
            out.append(self._effect(rule, effect, expr, keeper.limit, held))
        for expr in rule.rule.effects:
            if isinstance(expr, tree.Exempt):
                text = self.maker.spell_node(expr)
                out.append(EffectResult("exempt", text, done=not held and rule.live))
        return out

    def _effect(
        self,
        rule: LoweredRule,
        effect: LoweredEffect,
        written: tree.Effect,
        limit: LimitStore | None,
        held: bool,
    ) -> EffectResult:
        values = effect_values(self.interpreter, effect)
        result = EffectResult(effect.kind, self.maker.spell_node(written), done=False)
        result.value = self._effect_value(effect, values[0])
        if held:
            return result
        allowed = True
        if limit is not None and effect.limit is not None:
            left = limit.left(values[1], self.interpreter.now)
            allowed = left > 0
            if not allowed:
                result.why = f"the limit of {limit.count} every {spell_duration(limit.every)} is used up"
        if effect.kind in ("label", "unlabel") and values[0] is None:
            result.why = "there is nobody to label: the target is missing"
        elif not rule.live:
            result.why = result.why or "the rule is in shadow, so nothing leaves"
        else:
            over = self._outranked(effect, values[0])
            result.done = allowed and (not over or len(over) < len(each(values[0])))
            if allowed and over:
                result.why = "what a person said outranks it: " + ", ".join(over)
        return result

    def _outranked(self, effect: LoweredEffect, value: Any) -> list[str]:
        """The entities of a label effect for which a person's word stands against it, and whose it is."""
        labels = self.interpreter.state.labels.get((effect.entity, effect.name))
        if effect.target is None or labels is None or value is None:
            return []
        said = [(id, labels.hand(id, self.interpreter.now)) for id in each(value)]
        return [
            f"{hand.by} {'put it on' if hand.on else 'took it off'} {tell(id, TEXT)}"
            for id, hand in said
            if hand is not None and hand.on == (effect.kind == "unlabel")
        ]

    def _effect_value(self, effect: LoweredEffect, value: Any) -> Any:
        if effect.kind == "send":
            return {name: ready(value[name], type_) for name, _, type_ in effect.payload}
        if effect.target is not None:
            type_ = self.interpreter.graph[effect.target].type
            until = None if effect.lasts is None else self.interpreter.now + effect.lasts
            return {"on": ready(value, type_), "until": None if until is None else shown_until(until)}
        return effect.name


def _cost(costs: Costs, node: int | None) -> float:
    return -1 if node is None else costs.cost(node)


def _outcome(rule: LoweredRule, value: bool | None, held: str | None) -> Outcome:
    if value is None:
        return "missing"
    if value is False:
        return "not matched"
    if held is not None:
        return "held"
    return "fired" if rule.live else "shadow"


def _held(why: str | None, rollout: str) -> str:
    if why is None:
        return ""
    return f"rollout: {rollout}" if why == "rollout" else why
