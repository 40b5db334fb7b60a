"""How good probabilities are: discrimination, calibration, and what each threshold would do.

Labels are arrays of bool, scores of doubles from 0 to 1, one each per event. Every measure of two classes
needs both: ValueError otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from quell.replay.quality import Z95, Rate

Labels = NDArray[np.bool_]
Scores = NDArray[np.float64]

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""The thresholds that a card tells of."""
BINS = 10
"""Bins of equal width that calibration is judged in."""
HISTOGRAM = 20
"""Bins of the histogram of scores."""
_LEAST = 1e-15
"""The least probability that log loss takes, so that no single mistake makes it infinite."""


def midranks(scores: Scores) -> Scores:
    """The rank of each score from 1, equal ones sharing the mean of theirs."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    new = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    group = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    last = np.concatenate((first[1:], [len(scores)]))
    out = np.empty(len(scores))
    out[order] = ((first + last + 1) / 2)[group]
    return out


def auc(labels: Labels, scores: Scores) -> float:
    """The area under the ROC curve: how often a positive scores above a negative, ties counting half."""
    positives, negatives = _both(labels)
    total = float(midranks(scores)[labels].sum())
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def auc_interval(labels: Labels, scores: Scores) -> tuple[float, float] | None:
    """The 95 % interval of the area after DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988), within 0
    and 1. None where it says nothing: the classes are told apart without a mistake, or one has one event."""
    positives, negatives = _both(labels)
    if positives < 2 or negatives < 2:
        return None
    among_all = midranks(scores)
    # For each positive the share of negatives below it, for each negative that of positives above it.
    above = (among_all[labels] - midranks(scores[labels])) / negatives
    below = 1 - (among_all[~labels] - midranks(scores[~labels])) / positives
    variance = float(above.var(ddof=1)) / positives + float(below.var(ddof=1)) / negatives
    if variance <= 0:
        return None
    middle, half = float(above.mean()), Z95 * sqrt(variance)
    return max(0.0, middle - half), min(1.0, middle + half)


def average_precision(labels: Labels, scores: Scores) -> float:
    """The area under the steps of the curve of precision over recall; equal scores are one step."""
    positives, _ = _both(labels)
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(labels[order])
    ordered = scores[order]
    last = np.flatnonzero(np.concatenate((ordered[1:] != ordered[:-1], [True])))
    gained = np.diff(np.concatenate(([0], hits[last]))) / positives
    return float((gained * hits[last] / (last + 1)).sum())


def log_loss(labels: Labels, scores: Scores) -> float:
    """The mean of −log of the probability that was given to what came."""
    given = np.clip(np.where(labels, scores, 1 - scores), _LEAST, 1)
    return float(-np.log(given).mean())


def brier(labels: Labels, scores: Scores) -> float:
    """The mean squared difference of probability and outcome."""
    return float(((scores - labels) ** 2).mean())


def _both(labels: Labels) -> tuple[int, int]:
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        raise ValueError("both classes are needed")
    return positives, negatives


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What acting from a threshold on would do: of the events acted on how many are positive, of the
    positives and of the negatives how many are acted on."""

    threshold: float
    precision: Rate
    recall: Rate
    false_positives: Rate


def at_thresholds(
    labels: Labels, scores: Scores, thresholds: Sequence[float] = THRESHOLDS
) -> list[AtThreshold]:
    """What each threshold would do; an event is acted on when its score is at least the threshold."""
    positives, out = int(labels.sum()), []
    for threshold in thresholds:
        acted = scores >= threshold
        hits, alarms = int((acted & labels).sum()), int((acted & ~labels).sum())
        out.append(
            AtThreshold(
                threshold,
                Rate(hits, hits + alarms),
                Rate(hits, positives),
                Rate(alarms, len(labels) - positives),
            )
        )
    return out


@dataclass(frozen=True, slots=True)
class Bin:
    """Events whose score lies from `low` up to `high`: the mean score, and how many are positive."""

    low: float
    high: float
    mean: float | None
    positive: Rate


def reliability(labels: Labels, scores: Scores, bins: int = BINS) -> list[Bin]:
    """The events in bins of equal width, the last with 1 itself."""
    place = np.minimum((scores * bins).astype(np.int64), bins - 1)
    out = []
    for i in range(bins):
        inside = place == i
        n = int(inside.sum())
        mean = float(scores[inside].mean()) if n else None
        out.append(Bin(i / bins, (i + 1) / bins, mean, Rate(int(labels[inside].sum()), n)))
    return out


def calibration_error(bins: Sequence[Bin]) -> float:
    """The expected calibration error: how far mean score and share of positives lie apart in a bin, the
    bins weighed by their events."""
    total = sum(b.positive.of for b in bins)
    apart = (
        abs(b.mean - b.positive.hits / b.positive.of) * b.positive.of for b in bins if b.mean is not None
    )
    return sum(apart) / total


def histogram(scores: Scores, bins: int = HISTOGRAM) -> list[int]:
    """How many scores lie in each of so many bins of equal width from 0 to 1."""
    place = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    return [int(n) for n in np.bincount(place, minlength=bins)]


QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Where a card cuts its scores into bins for whoever watches whether they change: tenths, and the upper end
finer, since rules act on high scores."""


def spread(scores: Scores, weights: Scores | None = None) -> list[tuple[float, int]]:
    """The scores in bins of about equal numbers: the upper end of each (included) and how many lie in it,
    each counting as much as it weighs. Equal ends are one; the last is 1. Ends have six digits after the
    point, as all that a card says."""
    weights = np.ones(len(scores)) if weights is None else weights
    ends = np.quantile(scores, QUANTILES, weights=weights, method="inverted_cdf")
    upto = [*sorted({round(float(e), 6) for e in ends} - {1.0}), 1.0]
    place = np.minimum(np.searchsorted(np.array(upto), scores, side="left"), len(upto) - 1)
    counts = np.bincount(place, weights, minlength=len(upto))
    return [(end, round(float(n))) for end, n in zip(upto, counts, strict=True)]
