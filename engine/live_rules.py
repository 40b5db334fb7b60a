"""The rules of a bundle in rows, and which version changed each of them last."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from quell.engine.compile import Analysis
from quell.engine.live_types import Edit, RuleRow, RuleText, Rung
from quell.engine.lowered import LoweredRule
from quell.engine.service_types import VersionInfo
from quell.engine.symbols import Ladder
from quell.grammar import tree

LEVELS = 8
"""The level of the gravest verdict of a ladder; the mildest has 0."""
_OF_RULE = re.compile(r"rule `([^`]+)`")


def rungs(ladders: Sequence[Ladder]) -> list[Rung]:
    """The verdicts of all ladders, mildest first; one that stands in several is as grave as it gets."""
    levels: dict[str, int] = {}
    for ladder in ladders:
        for verdict in ladder.verdicts:
            levels[verdict] = max(levels.get(verdict, 0), level(ladder, verdict))
    return [Rung(verdict, grave) for verdict, grave in sorted(levels.items(), key=lambda item: item[1])]


def level(ladder: Ladder, verdict: str) -> int:
    """How grave a verdict is: 0 for the first of its ladder, from 1 to `LEVELS` for the others."""
    if verdict not in ladder.verdicts:
        return 0
    rank, last = ladder.rank(verdict), len(ladder.verdicts) - 1
    return max(1, round(LEVELS * rank / last)) if rank else 0


def described(analysis: Analysis) -> list[RuleRow]:
    """Every rule of a bundle by name, with nothing counted yet."""
    lowered: dict[str, list[LoweredRule]] = {}
    for rules in analysis.rules.values():
        for rule in rules:
            lowered.setdefault(rule.name, []).append(rule)
    levels = {r.verdict: r.level for r in rungs(list(analysis.symbols.ladders.values()))}
    declared = analysis.symbols.rules
    return [_row(analysis, rule, lowered.get(name, []), levels) for name, rule in declared.items()]


def _row(
    analysis: Analysis, rule: tree.Rule, lowered: list[LoweredRule], levels: Mapping[str, int]
) -> RuleRow:
    asked = (e.name.name for e in rule.effects if isinstance(e, tree.Verdict))
    grave, verdict = max(((levels.get(name, 0), name) for name in asked), default=(0, ""))
    events = [r.event for r in lowered]
    return RuleRow(
        name=rule.name.name,
        mode=rule.mode.name if rule.mode is not None else "live",
        events=events or [e.name for e in rule.events],
        minute=0,
        hour=0,
        total=0,
        held=0,
        of=0,
        owner=rule.owner.plain if rule.owner is not None else None,
        severity=rule.severity.name if rule.severity is not None else None,
        tags=[t.plain or "" for t in rule.tags],
        does=list(dict.fromkeys(_does(rule))),
        verdict=verdict,
        level=grave,
        rollout=rule.rollout.share if rule.rollout is not None else None,
        place=place(analysis, rule),
    )


def _does(rule: tree.Rule) -> Iterator[str]:
    """What a rule does when it fires, in a few words each."""
    for effect in rule.effects:
        if isinstance(effect, tree.Verdict):
            yield effect.name.name
        elif isinstance(effect, tree.SetLabel):
            yield f"label {effect.label.plain}"
        elif isinstance(effect, tree.RemoveLabel):
            yield f"unlabel {effect.label.plain}"
        elif isinstance(effect, tree.Send):
            yield f"send {effect.sink.plain}"
        elif isinstance(effect, tree.Exempt):
            yield "exempt from " + ", ".join(_target(t) for t in effect.targets)


def _target(target: tree.Target) -> str:
    return {"all": "all rules", "tag": f"tag {target.name}"}.get(target.kind, target.name)


def place(analysis: Analysis, rule: tree.Rule) -> str:
    """Where a rule stands: its file and line."""
    span = rule.name.span
    source = analysis.files.sources.get(span.file)
    return f"{span.file}:{source.position(span.start).line}" if source is not None else span.file


def text_of(analysis: Analysis, name: str) -> RuleText | None:
    """A rule as it is written; None where the bundle has no such rule."""
    rule = analysis.symbols.rules.get(name)
    if rule is None:
        return None
    source = analysis.files.sources.get(rule.span.file)
    written = source.text[rule.span.start : rule.span.end] if source is not None else ""
    return RuleText(name, place(analysis, rule), rule.doc, written.rstrip())


def edits(history: Sequence[VersionInfo]) -> dict[str, Edit]:
    """By rule the newest change that a version says of it: lines such as "rule `name` changed: when"."""
    found: dict[str, Edit] = {}
    for version in sorted(history, key=lambda v: v.number):
        for change in version.changed:
            told = _OF_RULE.match(change)
            if told is not None:
                found[told[1]] = Edit(version.number, version.at, version.by, change)
    return found


def unchanged(history: Sequence[VersionInfo]) -> Edit | None:
    """What is said of a rule that no version changed: it is as it was in the first that is known."""
    first = min(history, key=lambda v: v.number, default=None)
    return None if first is None else Edit(first.number, first.at, first.by, "")
