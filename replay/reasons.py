"""Why two versions decide an event otherwise, in a few lines for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quell.engine.explanation import Explanation, Part, RuleResult
from quell.replay.report_data import Comparison, Near, Sample

MOST_LINES = 4
_HOW = {"fired": "fired", "shadow": "would have fired, were it live", "held": "was held back"}


def renamed(made: Comparison) -> dict[str, str]:
    """New names of rules by old ones."""
    return {rule.was: rule.rule for rule in made.rules if rule.was is not None}


def both(sample: Sample, names: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The reasons of before and of now, each empty where it is not known. `names` are new names of rules by
    old ones."""
    before, now = _explanation(sample.other), _explanation(sample.explanation)
    old = {} if before is None else {names.get(r.rule, r.rule): r for r in before.rules}
    new = {} if now is None else {r.rule: r for r in now.rules}
    return (
        [] if before is None else reasons(before, old, new),
        [] if now is None else reasons(now, new, old),
    )


def nearly(near: Near) -> str:
    """How near a rule came to catching an event, in a line."""
    why = "; ".join(near.why)
    if near.outcome in _HOW:
        return f"{near.rule} {_HOW[near.outcome]}{': ' + why if why else ''}"
    return f"{near.rule}: {near.holds} of {near.of} {'holds' if near.of == 1 else 'hold'}; {why}"


def _explanation(data: dict[str, Any] | None) -> Explanation | None:
    return None if data is None else msgspec.convert(data, Explanation)


def reasons(of: Explanation, mine: Mapping[str, RuleResult], other: Mapping[str, RuleResult]) -> list[str]:
    """What one version says: first of rules that do something else in the other, then what both fire. Rules
    by their names of now."""
    messages = {f.rule: f.message for f in (*of.decision.fired, *of.decision.shadow)}
    out, alike = [], []
    for name, rule in mine.items():
        there = other.get(name)
        if rule.outcome in _HOW and (there is None or there.outcome != rule.outcome):
            message = messages.get(rule.rule)
            out.append(f"{rule.rule} {_HOW[rule.outcome]}{': ' + message if message else ''}")
        elif rule.outcome == "fired":
            alike.append(rule.rule)
        elif rule.outcome not in _HOW and there is not None and there.outcome in _HOW:
            out.append(f"{rule.rule} did not match: {_why(rule)}")
    more = len(out) - MOST_LINES
    lines = [line[:300] for line in out[:MOST_LINES]] + ([f"and {more} more"] if more > 0 else [])
    if alike:
        lines.append(f"{'as in the other version' if out else 'fired'}: {', '.join(alike)}")
    return lines or ["no rule fired"]


def _why(rule: RuleResult) -> str:
    """The part of a condition that decided, with the values in it."""
    return decided(rule.condition if rule.outcome == "missing" else rule.deciding())


def decided(part: Part) -> str:
    """What a part of a condition is, with the values in it: `spam >= 95% is false (spam: 0.9)`."""
    values = dict.fromkeys(_values(part))
    told = f" ({', '.join(values)})" if values else ""
    return f"{part.text} is {part.state or part.shown}{told}"


def _values(part: Part) -> list[str]:
    """The values of what an innermost condition compares."""
    return [f"{p.text}: {p.shown}" for p in part.parts if p.kind != "literal" and p.text != p.shown][:3]
