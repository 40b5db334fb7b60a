"""Precision, recall and false-positive rate with their intervals, from counts by label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from quell.replay.backtest_frame import WEIGHT
from quell.replay.quality import wilson
from quell.replay.report_data import Quality, Rate


class Cell(NamedTuple):
    """Events with one label: how many, what they weigh (None: nothing to weigh), how many of them were not
    yet known to be what they were (None: the labels tell no time)."""

    label: bool | None
    events: int
    weight: int | None
    early: int | None


@dataclass(slots=True)
class Tally:
    """Counts by label, added up."""

    positive: int = 0
    negative: int = 0
    unlabelled: int = 0
    early: int | None = None
    positive_weight: int | None = None
    negative_weight: int | None = None

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> Tally:
        """The sum of cells."""
        made = cls()
        for cell in cells:
            if cell.label is None:
                made.unlabelled += cell.events
            elif cell.label:
                made.positive += cell.events
                made.early = _plus(made.early, cell.early)
                made.positive_weight = _plus(made.positive_weight, cell.weight)
            else:
                made.negative += cell.events
                made.negative_weight = _plus(made.negative_weight, cell.weight)
        return made


def _plus(a: int | None, b: int | None) -> int | None:
    return a if b is None else b + (a or 0)


def rate_of(hits: int, of: int) -> Rate:
    """A proportion with its interval."""
    low, high = wilson(hits, of)
    return Rate(hits, of, hits / of if of else None, low, high)


def quality_of(caught: Tally, all_: Tally) -> Quality:
    """How well what was caught agrees with the labels; `all_` are the events that might have been."""
    right, wrong = caught.positive, caught.negative
    weights = (caught.positive_weight or 0, caught.negative_weight or 0)
    weighed = all_.positive_weight is not None or all_.negative_weight is not None
    return Quality(
        right=right,
        wrong=wrong,
        unlabelled=caught.unlabelled,
        missed=all_.positive - right,
        spared=all_.negative - wrong,
        precision=rate_of(right, right + wrong),
        recall=rate_of(right, all_.positive),
        false_positives=rate_of(wrong, all_.negative),
        early=caught.early,
        volume_precision=_share(weights[0], sum(weights)) if weighed else None,
        volume_recall=_share(weights[0], all_.positive_weight) if weighed else None,
        volume_false_positives=_share(weights[1], all_.negative_weight) if weighed else None,
    )


def _share(part: int, of: int | None) -> float | None:
    return part / of if of else None


def volume(weights: Iterable[int | None]) -> float | None:
    """Weights added up, as numbers again; None where nothing was weighed."""
    found = [w for w in weights if w is not None]
    return sum(found) / WEIGHT if found else None
