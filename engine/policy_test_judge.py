"""Whether an expectation holds, and what to say when it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from quell.engine.decision import Decision, Fired
from quell.engine.explanation import Explanation, Part, RuleResult
from quell.engine.policy_test_expect import Expectation
from quell.engine.policy_test_report import TestValue
from quell.grammar import tree

MAX_TOLD = 3
"""Rules that one line names."""


@dataclass(slots=True)
class Seen:
    """What was seen of one event: `results` are the values of expectations' nodes and the labels looked for,
    by the expectation's identity."""

    number: int
    event: str
    clock: int
    decision: Decision
    results: dict[int, Any] = field(default_factory=dict)
    explanation: Explanation | None = None
    conditions: dict[int, Part] = field(default_factory=dict)


@dataclass(slots=True)
class SoFar:
    """What holds when an expectation stands: everything sent by then, and whether a label is on."""

    sends: Counter[str]
    labelled: bool = False


def holds(expectation: Expectation, seen: Seen | None, so_far: SoFar) -> bool:
    """Whether an expectation holds."""
    written = expectation.written
    if isinstance(written, tree.ExpectValue):
        assert seen is not None
        return seen.results[id(expectation)] is (not written.negated)
    return _affirmed(expectation, seen, so_far) != written.negated


def _affirmed(expectation: Expectation, seen: Seen | None, so_far: SoFar) -> bool:
    written = expectation.written
    if isinstance(written, tree.ExpectLabel):
        return (
            bool(seen.results[id(expectation)]) if expectation.index is not None and seen else so_far.labelled
        )
    if isinstance(written, tree.ExpectSend):
        times = sent(written, expectation, seen, so_far)
        return times >= 1 if written.times is None else times == written.times
    assert seen is not None
    decision = seen.decision
    if isinstance(written, tree.ExpectVerdict):
        if decision.verdict != written.verdict.name:
            return False
        return written.rule is None or any(
            f.rule == written.rule.name and f.verdict == decision.verdict for f in decision.fired
        )
    assert isinstance(written, tree.ExpectFired | tree.ExpectMessage)
    found = _firing(decision, written.rule.name)
    if isinstance(written, tree.ExpectFired):
        return found is not None
    return found is not None and found.message == seen.results[id(expectation)]


def sent(written: tree.ExpectSend, expectation: Expectation, seen: Seen | None, so_far: SoFar) -> int:
    """How often something went to the sink: at the event spoken of, or so far."""
    sink = written.sink.plain or ""
    if expectation.index is None or seen is None:
        return so_far.sends[sink]
    return sum(s.sink == sink for s in seen.decision.sends)


def _firing(decision: Decision, rule: str) -> Fired | None:
    return next((f for f in (*decision.fired, *decision.shadow) if f.rule == rule), None)


# ------------------------------------------------------------------ telling


def happened(expectation: Expectation, seen: Seen | None, so_far: SoFar) -> str:
    """What was there instead, in one line. `seen` has its explanation."""
    written = expectation.written
    match written:
        case tree.ExpectVerdict():
            return _verdict(written, seen)
        case tree.ExpectFired():
            return _rule_line(_result(seen, written.rule.name), written.rule.name)
        case tree.ExpectMessage():
            return _message(written, seen)
        case tree.ExpectLabel():
            who = f'{written.entity.kind.name} "{written.entity.id.plain}"'
            label = f'"{written.label.plain}"'
            if written.negated:
                return f"{who} carries {label}"
            return f"{who} does not carry {label}{_others(concerned(expectation, seen))}"
        case tree.ExpectSend():
            return _sent_line(written, expectation, seen, so_far)
    return _value(written, expectation, seen)


def _verdict(written: tree.ExpectVerdict, seen: Seen | None) -> str:
    assert seen is not None
    decision = seen.decision
    by = [f.rule for f in decision.fired if f.verdict == decision.verdict]
    line = f"the verdict is {decision.verdict}" + (f" by {', '.join(by)}" if by else "")
    if written.rule is not None:
        return f"{line}; {_rule_line(_result(seen, written.rule.name), written.rule.name)}"
    if written.negated or not seen.explanation:
        return line
    wanted = f"verdict {written.verdict.name}"
    return line + _others([r for r in seen.explanation.rules if wanted in r.does and r.rule not in by])


def _others(rules: list[RuleResult]) -> str:
    """The rules that could have done it, and why they did not."""
    told = [_rule_line(r, r.rule) for r in rules[:MAX_TOLD]]
    if len(rules) > MAX_TOLD:
        told.append(f"and {len(rules) - MAX_TOLD} more rules")
    return "; " + "; ".join(told) if told else ""


def _result(seen: Seen | None, rule: str) -> RuleResult | None:
    rules = seen.explanation.rules if seen is not None and seen.explanation is not None else []
    return next((r for r in rules if r.rule == rule), None)


def _rule_line(result: RuleResult | None, name: str) -> str:
    if result is None:
        return f"{name} is not on this event"
    if result.outcome == "held":
        return f"{name} matched, and is held back: {result.held}"
    if result.outcome in ("fired", "shadow"):
        where = "fired" if result.outcome == "fired" else "fired in shadow, so it asks for nothing"
        undone = [
            f"{e.text} was not done: {e.why}" for e in result.effects if e.why and result.outcome == "fired"
        ]
        asked = [e.text for e in result.effects if e.kind == "verdict" and e.done]
        return (
            f"{name} {where}"
            + (f" and asked for {asked[0]}" if asked else "")
            + "".join(f", {u}" for u in undone)
        )
    part = result.deciding()
    values = ", ".join(dict.fromkeys(_told(p) for p in leaves(part)))
    if result.outcome == "missing":
        return f"{name} did not match: {part.text} is missing" + (f", since {part.why}" if part.why else "")
    return f"{name} did not match: {part.text} is false" + (f" ({values})" if values else "")


def leaves(part: Part) -> list[Part]:
    """The values that a condition compares, without conditions and literals."""
    out: list[Part] = []
    for child in part.parts:
        out.extend(leaves(child) if child.state and child.parts else [child])
    return out[:MAX_TOLD]


def _told(part: Part) -> str:
    """A value, and for a score what it is made of."""
    added = [f"{p.points:+g} {p.text}" for p in part.parts if p.points is not None and p.state == "true"]
    return f"{part.text} = {part.shown}" + (f" ({', '.join(added)})" if added else "")


def _message(written: tree.ExpectMessage, seen: Seen | None) -> str:
    assert seen is not None
    found = _firing(seen.decision, written.rule.name)
    if found is None:
        return _rule_line(_result(seen, written.rule.name), written.rule.name)
    return f'the message is "{found.message}"'


def _sent_line(written: tree.ExpectSend, expectation: Expectation, seen: Seen | None, so_far: SoFar) -> str:
    times = sent(written, expectation, seen, so_far)
    spelled = {0: "nothing was", 1: "one thing was"}.get(times, f"{times} things were")
    when = " so far" if expectation.index is None else " at this event"
    line = f'{spelled} sent to "{written.sink.plain}"{when}'
    wanted = 1 if written.times is None else written.times
    return line + (_others(concerned(expectation, seen)) if times < wanted and not written.negated else "")


def _value(written: tree.Expect, expectation: Expectation, seen: Seen | None) -> str:
    assert isinstance(written, tree.ExpectValue) and seen is not None
    value = seen.results[id(expectation)]
    part = seen.conditions.get(id(expectation))
    if part is None:
        return f"it is {'missing' if value is None else str(value).lower()}"
    if value is None:
        return "it is missing" + (f", since {part.why}" if part.why else "")
    told = dict.fromkeys(_told(p) for p in leaves(part))
    return f"it is {str(value).lower()}" + (f": {', '.join(told)}" if told else "")


# ----------------------------------------------------------- what concerns it


def concerned(expectation: Expectation, seen: Seen | None) -> list[RuleResult]:
    """The rules that an expectation is about: the one it names, or those that could do what it expects."""
    if seen is None or seen.explanation is None:
        return []
    written, rules = expectation.written, seen.explanation.rules
    if isinstance(written, tree.ExpectFired | tree.ExpectMessage) or (
        isinstance(written, tree.ExpectVerdict) and written.rule is not None
    ):
        name = written.rule.name if written.rule is not None else ""
        return [r for r in rules if r.rule == name]
    if isinstance(written, tree.ExpectVerdict):
        wanted = [f"verdict {written.verdict.name}"]
        fired = {f.rule for f in seen.decision.fired if f.verdict is not None}
        return [r for r in rules if r.rule in fired or _does(r, wanted)]
    if isinstance(written, tree.ExpectLabel):
        return [
            r for r in rules if _does(r, [f"label {written.label.plain}", f"unlabel {written.label.plain}"])
        ]
    if isinstance(written, tree.ExpectSend):
        return [r for r in rules if _does(r, [f"send {written.sink.plain}"])]
    return []


def _does(rule: RuleResult, effects: list[str]) -> bool:
    return any(e in rule.does for e in effects)


def values_of(explanation: Explanation, roots: Iterable[Part]) -> list[TestValue]:
    """The fields and named values that conditions rest on, through others too, fields first."""
    named = {v.name: v for v in explanation.values}
    names: dict[str, None] = {}
    stack = list(roots)
    while stack:
        part = stack.pop()
        stack.extend(part.parts)
        if part.kind in ("field", "let", "score") and part.text not in names:
            names[part.text] = None
            inner = named[part.text].part if part.text in named else None
            stack.extend([inner] if inner is not None else [])
    out = [TestValue(f.name, f.value, f.shown, why=f.why) for f in explanation.fields if f.name in names]
    out += [TestValue(v.name, v.value, v.shown, v.text, v.why) for v in explanation.values if v.name in names]
    return out
