"""Goals: which of the settings is the best, said in one figure that must hold.

precision>=95%     of the settings that are so precise, the one that recalls most
recall>=80%        of those that recall so much, the most precise
hits<=0.1%         of those that hit no more than this share of the events asked about, the one that
recalls most
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from quell.replay.report_data import CurvePoint, GridPoint, Quality
from quell.replay.tune_constants import NoSweep

Figure = Literal["precision", "recall", "hits"]
_BEST: dict[Figure, str] = {
    "precision": "finds most",
    "recall": "is the most precise",
    "hits": "finds most",
}
Point = CurvePoint | GridPoint
_GOAL = re.compile(r"\s*(precision|recall|hits)\s*(>=|<=)\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*")
_HINT = "write precision>=95%, recall>=80% or hits<=0.1%"


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and the bound that it must keep; `bound` of hits is a share, or with `count` how many."""

    text: str
    figure: Figure
    bound: float
    count: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """What a goal comes to: the place of the best setting, None where no setting reaches the goal; and what
    to say about it."""

    place: int | None
    text: str
    cautions: tuple[str, ...] = ()


def read_goal(text: str) -> Goal:
    """A goal as the command line gives it. Raises NoSweep."""
    found = _GOAL.fullmatch(text)
    if found is None:
        raise NoSweep(f"the goal `{text}` cannot be read", _HINT)
    figure, relation, number, percent = found.groups()
    if (relation == "<=") != (figure == "hits"):
        raise NoSweep(f"the goal `{text}` asks for the wrong side", _HINT)
    bound = float(number) / 100 if percent else float(number)
    count = figure == "hits" and not percent
    if not count and bound > 1:
        hint = _HINT if percent else f"say {figure}{relation}{number}%"
        raise NoSweep(f"the goal `{text}` is more than all", hint)
    return Goal(text.strip(), figure, bound, count)  # type: ignore[arg-type]  # one of the three


def advise(goal: Goal, points: Sequence[Point], of: int, now: int) -> Advice:
    """The best of the points for a goal; `now` is the place of the one in the policy. Of equally good ones
    the nearest to it is taken."""
    able = [i for i, p in enumerate(points) if _reaches(goal, p, of)]
    if not able:
        best = _closest(goal, points)
        return Advice(None, f"no setting reaches {goal.text}" + (f": {best}" if best else ""))
    chosen = max(able, key=lambda i: (_worth(goal, points[i]), -abs(i - now)))
    point, quality = points[chosen], points[chosen].quality
    assert quality is not None
    cautions = []
    if goal.figure == "precision" and quality.precision.low < goal.bound:
        cautions.append(
            f"with {quality.precision.of:,} labelled hits its precision may be as low as "
            f"{quality.precision.low:.1%}"
        )
    if goal.figure == "recall" and quality.recall.low < goal.bound:
        cautions.append(
            f"with {quality.recall.of:,} positives its recall may be as low as {quality.recall.low:.1%}"
        )
    if quality.unlabelled > quality.right + quality.wrong:
        cautions.append(f"{quality.unlabelled:,} of its {point.hits:,} hits have no label")
    return Advice(chosen, f"{_BEST[goal.figure]} of the settings with {goal.text}", tuple(cautions))


def _reaches(goal: Goal, point: Point, of: int) -> bool:
    if goal.figure == "hits":
        return point.hits <= (goal.bound if goal.count else goal.bound * of)
    value = _rate(goal.figure, point.quality)
    return value is not None and value >= goal.bound


def _rate(figure: Figure, quality: Quality | None) -> float | None:
    if quality is None:
        return None
    return quality.precision.value if figure == "precision" else quality.recall.value


def _worth(goal: Goal, point: Point) -> tuple[float, float]:
    """What is made as great as can be, and what decides between equals."""
    quality = point.quality
    if quality is None:
        return 0.0, 0.0
    precision = -1.0 if quality.precision.value is None else quality.precision.value
    recall = -1.0 if quality.recall.value is None else quality.recall.value
    return (precision, recall) if goal.figure == "recall" else (recall, precision)


def _closest(goal: Goal, points: Sequence[Point]) -> str:
    """How near the settings come."""
    if goal.figure == "hits":
        return f"the fewest hits are {min((p.hits for p in points), default=0):,}"
    rates = [r for p in points if (r := _rate(goal.figure, p.quality)) is not None]
    return f"the highest {goal.figure} is {max(rates):.1%}" if rates else "no hit has a label"
