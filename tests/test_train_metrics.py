"""How good probabilities are: against hand-worked cases, and against the plain definition."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.replay.quality import Z95
from quell.replay.train_metrics import (
    at_thresholds,
    auc,
    auc_interval,
    average_precision,
    brier,
    calibration_error,
    histogram,
    log_loss,
    midranks,
    reliability,
    spread,
)

# Ten events, worked by hand: positives at 0.9, 0.8, 0.6, 0.35, negatives at 0.7, 0.6, 0.4, 0.3, 0.2, 0.1.
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], np.bool_)
SCORES = np.array([0.9, 0.8, 0.6, 0.35, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert midranks(np.array([10.0, 20.0, 10.0, 5.0, 10.0])).tolist() == [3, 5, 3, 1, 3]
    assert midranks(np.array([-np.inf, 1.0, -np.inf])).tolist() == [1.5, 3, 1.5]


def test_the_area_counts_the_pairs() -> None:
    # 0.9 and 0.8 are above 6 each, 0.6 above 4 and even with 1, 0.35 above 3: 19.5 of 24.
    assert auc(LABELS, SCORES) == (6 + 6 + 4.5 + 3) / 24
    assert auc(LABELS, np.zeros(10)) == 0.5
    assert auc(LABELS, LABELS.astype(float)) == 1
    assert auc(~LABELS, LABELS.astype(float)) == 0


def test_the_interval_is_delongs() -> None:
    # V10 of the positives: 1, 1, 4.5/6, 3/6; V01 of the negatives: what of the positives is above each.
    v10 = [1, 1, 0.75, 0.5]
    v01 = [2 / 4, 2.5 / 4, 3 / 4, 1, 1, 1]
    spread = np.var(v10, ddof=1) / 4 + np.var(v01, ddof=1) / 6
    low, high = auc_interval(LABELS, SCORES) or (0, 0)
    assert low == pytest.approx(19.5 / 24 - Z95 * sqrt(spread))
    assert high == 1.0
    assert auc_interval(LABELS, LABELS.astype(float)) is None
    assert auc_interval(np.array([True, False, False]), np.array([0.2, 0.1, 0.3])) is None


def test_average_precision_by_hand() -> None:
    # At 0.9: 1/1, 0.8: 2/2, 0.6 (both of that score): 3/5, 0.35: 4/7; each step gains a quarter of recall.
    assert average_precision(LABELS, SCORES) == pytest.approx((1 + 1 + 3 / 5 + 4 / 7) / 4)
    assert average_precision(LABELS, np.zeros(10)) == pytest.approx(0.4)  # the share of positives


def test_log_loss_and_brier_by_hand() -> None:
    labels, scores = np.array([True, False, True]), np.array([0.5, 0.25, 0.0])
    assert log_loss(labels, scores) == pytest.approx(-(log(0.5) + log(0.75) + log(1e-15)) / 3)
    assert brier(labels, scores) == pytest.approx((0.25 + 0.0625 + 1) / 3)


def test_thresholds() -> None:
    half, none = at_thresholds(LABELS, SCORES, (0.6, 0.95))
    assert (half.precision.hits, half.precision.of) == (3, 5)  # 0.6 itself is acted on
    assert (half.recall.hits, half.recall.of) == (3, 4)
    assert (half.false_positives.hits, half.false_positives.of) == (2, 6)
    assert none.precision.value is None
    assert none.recall.value == 0


def test_calibration_by_hand() -> None:
    labels = np.array([True, False, True, True, False])
    scores = np.array([0.05, 0.15, 0.95, 1.0, 0.95])
    bins = reliability(labels, scores)
    told = [(b.low, b.positive.hits, b.positive.of) for b in bins if b.positive.of]
    assert told == [(0.0, 1, 1), (0.1, 0, 1), (0.9, 2, 3)]
    assert bins[9].mean == pytest.approx(2.9 / 3)
    assert calibration_error(bins) == pytest.approx((0.95 + 0.15 + (2.9 - 2)) / 5)
    assert histogram(scores, 4) == [2, 0, 0, 3]
    assert len(histogram(scores)) == 20


@given(st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.25, 1.0]), min_size=1))
def test_a_spread_holds_every_score_once(values: list[float]) -> None:
    scores = np.array(values)
    bins = spread(scores)
    upto = [end for end, _ in bins]
    assert upto == sorted(set(upto))
    assert upto[-1] == 1
    below = -1.0
    for end, count in bins[:-1]:
        assert count == int(((scores > below) & (scores <= end)).sum())
        below = end
    assert bins[-1][1] == int((scores > below).sum())


def test_a_spread_has_tenths_and_a_fine_upper_end() -> None:
    bins = spread(np.arange(1, 1_001) / 1_000)
    assert [count for _, count in bins] == [*[100] * 9, 50, 40, 10]
    assert spread(np.zeros(5)) == [(0.0, 5), (1.0, 0)]


def test_one_class_has_no_area() -> None:
    for measure in (auc, auc_interval, average_precision):
        with pytest.raises(ValueError, match="both classes"):
            measure(np.ones(3, np.bool_), np.zeros(3))


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])), min_size=2))
def test_area_and_interval_are_their_definitions(rows: list[tuple[bool, float]]) -> None:
    labels, scores = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    yes, no = scores[labels], scores[~labels]
    if not len(yes) or not len(no):
        return
    pairs = (yes[:, None] > no[None, :]) + 0.5 * (yes[:, None] == no[None, :])
    assert auc(labels, scores) == pytest.approx(pairs.mean())
    interval = auc_interval(labels, scores)
    if len(yes) < 2 or len(no) < 2:
        assert interval is None
        return
    spread = pairs.mean(1).var(ddof=1) / len(yes) + pairs.mean(0).var(ddof=1) / len(no)
    if interval is None:
        assert spread == pytest.approx(0, abs=1e-12)
    else:
        half = Z95 * sqrt(spread)
        assert interval == pytest.approx((max(0, pairs.mean() - half), min(1, pairs.mean() + half)))
