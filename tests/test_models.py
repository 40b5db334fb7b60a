"""Models by themselves: the same numbers as the library's, alone and among many, to the last bit."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest

from quell.signals.models import Feature, Model, encode, load_model
from tests.model_files import model_of

SAID = """
objective: binary
features: length, links, country
categories of country: "de", "fr", "us"
links > 1: 2
country in "de", "us": -1.5
always: 0.25
"""

Row = list[float]
KINDS: dict[str, dict[str, Any]] = {
    "binary": {"objective": "binary"},
    "many trees": {"objective": "binary", "rounds": 400, "num_leaves": 63},
    "unbalanced": {"objective": "binary", "is_unbalance": True, "sigmoid": 2.5},
    "forest": {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
    "dart": {"objective": "binary", "boosting": "dart"},
    "cross entropy": {"objective": "cross_entropy"},
    "cross entropy, lambda": {"objective": "cross_entropy_lambda"},
    "regression": {"objective": "regression"},
    "regression of roots": {"objective": "regression", "reg_sqrt": True},
    "linear leaves": {"objective": "regression", "linear_tree": True},
    "median": {"objective": "regression_l1"},
    "quantile": {"objective": "quantile", "alpha": 0.8},
    "poisson": {"objective": "poisson"},
    "gamma": {"objective": "gamma"},
    "tweedie": {"objective": "tweedie"},
    "ranking": {"objective": "lambdarank", "group": [500, 500]},
    "zero is missing": {"objective": "binary", "zero_as_missing": True},
    "no missing": {"objective": "binary", "use_missing": False},
    "one leaf": {"objective": "binary", "min_data_in_leaf": 10_000},
}
BOUNDS = {
    "binary": (0, 1),
    "cross_entropy": (0, 1),
    "poisson": (0, math.inf),
    "gamma": (0, math.inf),
    "tweedie": (0, math.inf),
    "cross_entropy_lambda": (0, math.inf),
}


def rows(seed: int, count: int) -> Any:
    """Rows of five numbers and two categories, with missing values, zeros, and very large and small ones."""
    dice = np.random.default_rng(seed)
    out = dice.normal(size=(count, 7)) * 10.0 ** dice.integers(-3, 4, (count, 1))
    out[:, 5] = dice.integers(0, 9, count)
    out[:, 6] = dice.integers(0, 300, count)
    out[dice.random(out.shape) < 0.15] = math.nan
    out[dice.random(out.shape) < 0.1] = 0
    out[dice.random(out.shape) < 0.01] = 1e300
    out[dice.random(out.shape) < 0.01] = 1e-40
    return out


def trained(objective: Any = "binary", rounds: int = 20, group: Any = None, **more: Any) -> bytes:
    """A model of the library's own making."""
    x = rows(1, 1_000)
    y = np.maximum(np.nan_to_num(np.tanh(x[:, 0] / 10) + (x[:, 5] > 4) * np.sign(x[:, 1]) + 2.5) / 6, 0.01)
    if objective == "binary":
        y = (y > 0.4).astype(float)
    elif objective == "lambdarank":
        y = np.floor(y * 4)
    data = lightgbm.Dataset(
        x, y, group=group, categorical_feature=[5, 6], feature_name=[f"x{i}" for i in range(7)],
        params={"verbose": -1, "linear_tree": more.get("linear_tree", False)},
    )  # fmt: skip
    settings = {"objective": objective, "verbose": -1, "num_threads": 1, "num_leaves": 15, **more}
    made: str = lightgbm.train(settings, data, rounds).model_to_string()
    return made.encode()


def loaded(data: bytes, name: str = "m.lgb") -> Model:
    """A model that must load."""
    found = load_model(name, data)
    assert found.model is not None, found.problem
    return found.model


def plain(row: Row) -> list[float | None]:
    """A row as policies have it."""
    return [None if math.isnan(v) else v for v in row]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_alone_among_many_and_from_the_library(kind: str) -> None:
    data, x = trained(**KINDS[kind]), rows(2, 1_500)
    model = loaded(data)
    library = np.asarray(lightgbm.Booster(model_str=data.decode()).predict(x, num_threads=1))
    library = np.where(np.isfinite(library), library, math.nan)
    many, one = model.predict_rows(x), model.predictor()
    alone = [model.predict(plain(row)) for row in x.tolist()]
    fast = [one(*row) for row in x.tolist()]
    assert np.array_equal(many, library, equal_nan=True)
    assert fast == alone == [None if math.isnan(v) else v for v in many.tolist()]
    assert np.array_equal(model.predict_rows(x[:7]), many[:7], equal_nan=True)
    assert len(model.predict_rows(x[:0])) == 0
    if kind != "one leaf":
        assert len(set(fast)) > 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_stays_within_what_it_says(kind: str) -> None:
    settings = KINDS[kind]
    model = loaded(trained(**settings))
    low, high = BOUNDS.get(settings["objective"], (-math.inf, math.inf))
    assert model.bounds == (low, high)
    assert model.probability == ((low, high) == (0, 1))
    found = model.predict_rows(rows(3, 2_000))
    assert all(low <= v <= high for v in found if not math.isnan(v))
    assert model.certain == (kind != "linear leaves")
    assert not model.certain or np.isfinite(found).all()


def test_a_custom_objective_gives_a_raw_score() -> None:
    def objective(given: Any, data: Any) -> Any:
        return given - data.get_label(), np.ones_like(given)

    model = loaded(trained(objective))
    assert (model.bounds, model.probability, model.kind) == ((-math.inf, math.inf), False, "LightGBM, custom")


def test_a_model_written_by_hand_does_what_is_said() -> None:
    model = loaded(model_of(SAID))
    assert model.features == (
        Feature("length"),
        Feature("links"),
        Feature("country", True, ("de", "fr", "us")),
    )

    def odds(total: float) -> float:
        return 1 / (1 + math.exp(-total))

    assert model.predict([0, 1, "us"]) == odds(-1.25)
    assert model.predict([0, 2, "fr"]) == odds(2.25)
    # What the model does not know is to it as what is missing.
    assert model.predict([0, 2, "atlantis"]) == model.predict([0, 2, None]) == odds(2.25)
    assert model.predict([None, None, None]) == odds(0.25)
    assert model.predict([True, True, "de"]) == odds(-1.25)


def test_rows_are_encoded_as_the_model_numbers_them() -> None:
    features = [Feature("a"), Feature("b", True, ("x", 10, True)), Feature("c", True)]
    codes = [encode(features, [2, v, 3])[1] for v in ("x", 10, 10.0, "y", None)]
    assert codes[:3] == [0, 1, 1]
    assert all(math.isnan(c) for c in codes[3:])
    assert encode(features, [True, "x", 3]) == [1, 0, 3]
    assert [sorted(f.takes()) for f in features] == [
        ["bool", "number"],
        ["bool", "number", "text"],
        ["bool", "number"],
    ]


def test_what_is_not_finite_is_missing() -> None:
    model = loaded(model_of("objective: poisson\nfeatures: x\nx > 0: 800\nx > 10: -inf"))
    assert not model.certain
    assert [model.predict([v]) for v in (0, 1)] == [1.0, None]
    assert np.array_equal(model.predict_rows(np.array([[0.0], [1.0]])), [1.0, math.nan], equal_nan=True)


def test_contributions_add_up_to_the_raw_score() -> None:
    data = trained("regression")
    model, x = loaded(data), rows(4, 20)
    library = np.asarray(lightgbm.Booster(model_str=data.decode()).predict(x, pred_contrib=True))
    for row, expected in zip(x.tolist(), library, strict=True):
        parts = model.contributions(plain(row))
        assert parts is not None
        assert parts == expected[:-1].tolist()
        assert sum(parts) + expected[-1] == pytest.approx(model.predict(plain(row)), abs=1e-9)
    assert loaded(trained("regression", linear_tree=True)).contributions(plain(x[0].tolist())) is None


def test_threads_do_not_disturb_each_other() -> None:
    model, x = loaded(trained()), rows(5, 400)
    expected = [None if math.isnan(v) else v for v in model.predict_rows(x).tolist()]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(5):
            found = [model.predict(plain(row)) for row in x.tolist()]
            wrong.extend(i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_predictors_outlive_their_model_and_leave_nothing() -> None:
    data = model_of(SAID)
    predictors = [loaded(data).predictor() for _ in range(50)]
    assert {p(1.0, 2.0, math.nan) for p in predictors} == {1 / (1 + math.exp(-2.25))}


def test_more_trees_cost_more() -> None:
    costs = [loaded(trained(rounds=rounds)).cost for rounds in (1, 20, 200)]
    assert costs == sorted(set(costs))


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    import hashlib

    data = model_of(SAID)
    assert loaded(data).digest == hashlib.sha256(data).hexdigest()


def test_libraries_are_loaded_only_for_a_model() -> None:
    code = (
        "import sys, quell.engine.compile, quell.engine.stepper, quell.replay.cli\n"
        "assert not {'lightgbm', 'onnxruntime', 'numpy'} & set(sys.modules), 'loaded'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
