"""Models: what every one offers, whatever library runs it, and reading one from its file.

A model takes one number per feature, NaN for what is missing, and gives one number; what is not finite
is missing. The same row gives the same number to the last bit, alone or among many.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from quell.signals.models_file import BadModel, ModelProblem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_MODEL_BYTES = 256 << 20
"""Bytes of a model file; reading one takes several times as much."""
NAN = math.nan

Category = str | float | bool
Predictor = Callable[..., float | None]
"""Takes one float per feature, in order, and gives the model's number, None where that is not finite."""


@dataclass(frozen=True, slots=True)
class Feature:
    """An input of a model. `categories` are the values that the model file itself numbers, in order; None
    where it has none, and then a categorical feature's values are numbers as they are."""

    name: str
    categorical: bool = False
    categories: tuple[Category, ...] | None = None
    codes: Mapping[Category, float] = field(init=False, repr=False, compare=False)
    """The number of each category."""

    def __post_init__(self) -> None:
        codes = {c: float(i) for i, c in enumerate(self.categories or ())}
        object.__setattr__(self, "codes", codes)

    def takes(self) -> frozenset[str]:
        """The kinds of values that the feature can be given: text, number, bool."""
        if self.categories is None:
            return frozenset(("number", "bool"))
        kinds = {str: "text", bool: "bool"}
        return frozenset(kinds.get(type(c), "number") for c in self.categories)


class Model(Protocol):
    """A model that is loaded. It may be used by many threads, a predictor by one."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """The inputs in the model's order."""
        ...

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest number that it gives; infinite where the model does not say."""
        ...

    @property
    def probability(self) -> bool:
        """Whether what it gives is a probability."""
        ...

    @property
    def certain(self) -> bool:
        """Whether it surely gives a number for every row."""
        ...

    @property
    def kind(self) -> str:
        """The library's name and what the model was trained for, for people."""
        ...

    @property
    def cost(self) -> float:
        """About how many microseconds one row takes on a small machine."""
        ...

    @property
    def digest(self) -> str:
        """The SHA-256 of the file, in hexadecimal."""
        ...

    def predictor(self) -> Predictor:
        """A function for one row of floats, for one thread."""
        ...

    def predict(self, row: Sequence[Any]) -> float | None:
        """The number for one row of values as policies have them; None is missing, there and back."""
        ...

    def contributions(self, row: Sequence[Any]) -> list[float] | None:
        """How much each feature moves the raw score for a row of values, from what it is on average
        (SHAP values); None where the model cannot tell."""
        ...

    def predict_rows(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The numbers for rows of floats, one column per feature; what is not finite is NaN."""
        ...


def encode(features: Sequence[Feature], row: Sequence[Any]) -> list[float]:
    """A row of values as the numbers that a model takes: NaN for missing, and for a category that the
    model does not know."""
    out = []
    for feature, value in zip(features, row, strict=True):
        if value is None:
            out.append(NAN)
        elif feature.categories is None:
            out.append(float(value))
        else:
            out.append(feature.codes.get(value, NAN))
    return out


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model, or why its file gives none."""

    model: Model | None
    problem: ModelProblem | None = None


def load_model(file: str, data: bytes) -> LoadedModel:
    """Read a model from the bytes of its file. Nothing in them raises, or harms the process."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        if file.lower().endswith(".onnx"):
            from quell.signals.models_onnx import load_onnx

            return LoadedModel(load_onnx(data, digest))
        from quell.signals.models_lightgbm import load_lightgbm

        return LoadedModel(load_lightgbm(data, digest))
    except BadModel as error:
        return LoadedModel(None, error.problem)
