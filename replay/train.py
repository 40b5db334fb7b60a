"""Fitting a LightGBM model on point-in-time values, and judging it on what came later.

The same rows give the same model to the byte: one thread, one order of summation, fixed seeds, and no
clock. How many trees there are is decided on the last part of the training period: the error there is
watched while the part before it is fitted, and then all of the training period is fitted with as many
trees. The test period has no say in anything. Classes are not weighed, so that what the model gives are
probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quell.replay.train_data import Matrix, Rows, Split
from quell.replay.train_metrics import auc
from quell.signals.models import load_model

HELD = 0.15
"""The share of the training rows, the last ones, that decides how many trees there are."""
PATIENCE = 50
"""Trees without a smaller error after which fitting ends."""
ROUNDS = 1_000
"""Trees at most."""
UNWATCHED = 100
"""Trees where the watched rows are of one class and so cannot decide."""
LEAVES = 31
RATE = 0.05
LEAST_ROWS = 100
"""Rows that the training period needs."""
LEAST_OF_CLASS = 10
"""Rows of each class that the training period needs; the test period needs one."""
SUSPICIOUS = 0.99
"""A feature that alone tells the classes apart this well (area under the curve) may know the label."""


class Untrainable(ValueError):
    """Rows that no model can be fitted on or judged by. `hint` is what to try."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is fitted: trees at most, leaves of a tree, step, seed."""

    rounds: int = ROUNDS
    leaves: int = LEAVES
    rate: float = RATE
    seed: int = 1

    def parameters(self, rows: int) -> dict[str, Any]:
        """LightGBM's parameters for so many training rows."""
        leaf = max(5, min(50, rows // 100))
        return {
            "objective": "binary",
            "metric": "binary_logloss",
            "learning_rate": self.rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": leaf,
            "min_data_per_group": leaf,
            "lambda_l2": 1.0,
            "feature_fraction": 0.8,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model as text, as its file holds it, and how it came about. `scores` are the probabilities that it
    gives to all rows; `watched` says whether the number of trees was decided by rows held back."""

    text: str
    trees: int
    watched: bool
    parameters: Mapping[str, Any]
    gains: tuple[float, ...]
    scores: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Others:
    """Scores of unlabelled events after the split, each of which stands for `weight` events."""

    scores: NDArray[np.float64]
    weight: float


def score_others(fitted: Fitted, values: NDArray[np.float64], weight: float) -> Others:
    """The scores of unlabelled events, by the model as its file has it."""
    loaded = load_model("model.lgb", fitted.text.encode())
    assert loaded.model is not None, loaded.problem
    return Others(loaded.model.predict_rows(values), weight)


def check_rows(rows: Rows, split: Split) -> None:
    """Raise Untrainable unless there is enough of both classes on both sides of the split."""
    parts = (("training", rows.labels[: split.train]), ("test", rows.labels[split.train :]))
    for name, labels in parts:
        if len(labels) == 0:
            raise Untrainable(
                f"the {name} period has no labelled event",
                "move --split, or widen the period with --from and --until",
            )
        positives = int(labels.sum())
        if positives in (0, len(labels)):
            only = "positive" if positives else "negative"
            raise Untrainable(
                f"every labelled event of the {name} period is {only} ({len(labels):,} events)",
                "a model needs both kinds: look at --label, or move --split",
            )
    labels = parts[0][1]
    positives = int(labels.sum())
    fewest = min(positives, len(labels) - positives)
    if len(labels) < LEAST_ROWS or fewest < LEAST_OF_CLASS:
        raise Untrainable(
            f"the training period has {len(labels):,} labelled events, {positives:,} of them positive,"
            f" and needs {LEAST_ROWS} with {LEAST_OF_CLASS} of each kind",
            "give a longer history",
        )


def fit(rows: Rows, split: Split, data: Matrix, settings: Settings) -> Fitted:
    """Fit a model on the rows before the split."""
    parameters = settings.parameters(split.train)
    trees, watched = _trees(rows, split, data, settings, parameters)
    booster = _train(data, rows.labels, split.train, parameters, trees)
    booster.pandas_categorical = [list(names) for names in data.categories.values()] or None
    text = booster.model_to_string()
    gains = tuple(float(g) for g in booster.feature_importance("gain"))
    # What is judged is the file, read as the engine reads it.
    loaded = load_model("model.lgb", text.encode())
    assert loaded.model is not None, loaded.problem
    scores = loaded.model.predict_rows(data.values)
    return Fitted(text, int(booster.num_trees()), watched, parameters, gains, scores)


def _trees(
    rows: Rows, split: Split, data: Matrix, settings: Settings, parameters: Mapping[str, Any]
) -> tuple[int, bool]:
    """How many trees, and whether that was decided by the rows held back."""
    import lightgbm as lgb

    before, held = rows.labels[: split.stop], rows.labels[split.stop : split.train]
    if any(len(part) == 0 or part.all() or not part.any() for part in (before, held)):
        return min(settings.rounds, UNWATCHED), False
    fitted = _dataset(data, rows.labels, slice(0, split.stop), parameters)
    watch = fitted.create_valid(
        data.values[split.stop : split.train], rows.labels[split.stop : split.train].astype(np.float64)
    )
    booster = lgb.train(
        dict(parameters),
        fitted,
        settings.rounds,
        valid_sets=[watch],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    return max(1, int(booster.best_iteration or settings.rounds)), True


def _train(
    data: Matrix, labels: NDArray[np.bool_], train: int, parameters: Mapping[str, Any], trees: int
) -> Any:
    import lightgbm as lgb

    return lgb.train(dict(parameters), _dataset(data, labels, slice(0, train), parameters), trees)


def _dataset(data: Matrix, labels: NDArray[np.bool_], part: slice, parameters: Mapping[str, Any]) -> Any:
    import lightgbm as lgb

    return lgb.Dataset(
        data.values[part],
        labels[part].astype(np.float64),
        feature_name=list(data.names),
        categorical_feature=[i for i, name in enumerate(data.names) if name in data.categories],
        params=dict(parameters),
    )


def alone(rows: Rows, split: Split, data: Matrix) -> list[float]:
    """How well each feature alone tells the classes of the training period apart: the area under the curve,
    whichever way round is better, a missing value lying below all others; 0.5 is not at all. Categories
    are ranked by their share of positives in that period."""
    labels = rows.labels[: split.train]
    out = []
    for i, name in enumerate(data.names):
        values = data.values[: split.train, i]
        values = np.where(np.isnan(values), -np.inf, values)
        if name in data.categories:
            values = _shares(values, labels)
        area = auc(labels, values)
        out.append(max(area, 1 - area))
    return out


def _shares(values: NDArray[np.float64], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each value the share of positives among its equals."""
    _, place = np.unique(values, return_inverse=True)
    share: NDArray[np.float64] = np.bincount(place, labels) / np.bincount(place)
    return share[place]
