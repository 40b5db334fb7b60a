"""Positives that policies let through: which events they are, and which rules came nearest to them."""

from __future__ import annotations

from dataclasses import dataclass

from quell.engine.explanation import Explanation, Part, RuleResult, joined, junction
from quell.grammar import tree
from quell.grammar.parser import parse_expression
from quell.replay.backtest_frame import Frame
from quell.replay.database import text_literal
from quell.replay.reasons import decided
from quell.replay.report_data import Near

MOST_NEAR = 3
MOST_LACKS = 3
LONGEST = 300
"""Characters of what is said of one part of a condition."""
_HELD = ("held", "shadow")


def missed(frame: Frame, most: int) -> tuple[int, list[int]]:
    """How many positives of the period got the mildest verdict, and the places `n` of up to `most` of them:
    those whose digest is least, so that they lie all over the history and stay the same at every run."""
    if frame.truth is None:
        return 0, []
    ladders = frame.outcome.history.build.analysis.symbols.ladders
    mild = " OR ".join(
        f"(t.event = {text_literal(event)} AND t.verdict = {text_literal(ladder.verdicts[0])})"
        for event, ladder in ladders.items()
    )
    found = f"""arg_min(n, md5('missed ' || a.file || ':' || a."row"), {most})""" if most else "NULL"
    count, ns = frame.db.rows(
        f"SELECT count(*), {found} FROM ({frame.events}) t JOIN {frame.outcome.table('all')} a USING (n) "
        f"WHERE t.label AND ({mild})"
    )[0]
    return count, sorted(ns or [])


# ------------------------------------------------------------------------------------ nearest rules


@dataclass(slots=True)
class _Gap:
    """What a condition lacks: the parts that do not hold, how far they are from it together, and how many
    parts hold."""

    lacks: list[Part]
    far: float = 0.0
    holds: int = 0


def nearest(explanation: Explanation) -> tuple[Near, ...]:
    """The rules that came nearest to catching an event, of those that ask for a verdict: first what matched
    and was held back or is in shadow, then by how far the parts that do not hold are from it: two numbers as
    far as they are apart, anything else a whole part. What is that far and holds nothing is not near."""
    asking = [r for r in explanation.rules if any(does.startswith("verdict ") for does in r.does)]
    found = [(-1.0, 0, _held(r)) for r in asking if r.outcome in _HELD]
    for rule in asking:
        if rule.outcome in ("missing", "not matched"):
            gap = _gap(rule.condition)
            if gap.lacks and (gap.holds or gap.far < 1):
                found.append((gap.far, -gap.holds, _lacking(rule, gap)))
    found.sort(key=lambda near: (near[0], near[1], near[2].rule))
    return tuple(near for _, _, near in found[:MOST_NEAR])


def _held(rule: RuleResult) -> Near:
    return Near(rule.rule, rule.outcome, why=(rule.held[:LONGEST],) if rule.held else ())


def _lacking(rule: RuleResult, gap: _Gap) -> Near:
    why = tuple(decided(part)[:LONGEST] for part in gap.lacks[:MOST_LACKS])
    return Near(rule.rule, rule.outcome, gap.holds, gap.holds + len(gap.lacks), why)


def _gap(part: Part) -> _Gap:
    if part.state == "true":
        return _Gap([], holds=1)
    op = junction(part)
    inner = [_gap(child) for child in joined(part, op) if child.state] if op else []
    if inner and op == "or":
        return min(inner, key=lambda gap: (gap.far, -gap.holds))
    if inner:
        lacks = [lacking for gap in inner for lacking in gap.lacks]
        return _Gap(lacks, sum(gap.far for gap in inner), sum(gap.holds for gap in inner))
    while part.kind == "let" and len(part.parts) == 1 and part.parts[0].state == part.state:
        part = part.parts[0]
    return _Gap([part], _far(part))


def _far(part: Part) -> float:
    """How far two numbers or durations are from standing in the order that a part asks for, as a share of the
    larger; 1 for any other part."""
    written = parse_expression(part.text) if part.kind == "compare" else None
    if not isinstance(written, tree.Compare) or len(written.rest) != 1 or written.rest[0][0] in ("==", "!="):
        return 1.0
    both = (_number(written.first), _number(written.rest[0][1]))
    sides = [side for side in both if side is not None]
    sides += [inner.value for inner in part.parts if type(inner.value) in (int, float)]
    if len(sides) != 2:
        return 1.0
    a, b = sides
    most = max(abs(a), abs(b))
    return min(1.0, abs(a - b) / most) if most else 1.0


def _number(side: tree.Expr) -> float | None:
    """A number, or the seconds of a duration, as it is written; None where something else stands there."""
    if isinstance(side, tree.Duration):
        return side.micros / 1_000_000
    return side.value if isinstance(side, tree.Number) else None
