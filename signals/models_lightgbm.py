"""LightGBM models: one row through the library's fast single-row call, many through its batch call."""

from __future__ import annotations

import ctypes
import math
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Any

from quell.signals.models import Feature, Predictor, encode
from quell.signals.models_file import BadModel
from quell.signals.models_text import TextModel, read_text_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LARGEST = 1.7976931348623157e308
_PARAMETERS = b"num_threads=1 verbosity=-1"
_NORMAL, _DOUBLE = 0, 1
"""The library's numbers for a prediction that is not raw, and for rows of doubles."""
_PROBABILITIES = frozenset(("binary", "cross_entropy"))
_POSITIVE = frozenset(("poisson", "gamma", "tweedie", "cross_entropy_lambda"))
_TOO_LARGE = 700.0
"""Whose exponential is still a number, with room to spare."""


@dataclass(frozen=True, slots=True)
class LightGbmModel:
    """A LightGBM model. See quell.signals.models.Model."""

    features: tuple[Feature, ...]
    bounds: tuple[float, float]
    probability: bool
    certain: bool
    kind: str
    digest: str
    booster: Any
    explains: bool
    cost: float
    _own: threading.local = field(default_factory=threading.local)

    def predictor(self) -> Predictor:
        """A function for one row of floats, for one thread. Its buffer and configuration live as long."""
        return _fast(self.booster, len(self.features))

    def predict(self, row: Sequence[Any]) -> float | None:
        """The number for one row of values as policies have them."""
        made: Predictor | None = getattr(self._own, "predictor", None)
        if made is None:
            made = self._own.predictor = self.predictor()
        return made(*encode(self.features, row))

    def contributions(self, row: Sequence[Any]) -> list[float] | None:
        """How much each feature moves the raw score for a row of values; None where that cannot be told."""
        if not self.explains:
            return None
        rows = [encode(self.features, row)]
        found = self.booster.predict(rows, num_iteration=-1, num_threads=1, pred_contrib=True)
        return [float(v) for v in found[0][:-1]]

    def predict_rows(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The numbers for rows of floats; what is not finite is NaN."""
        import numpy as np

        if not len(matrix):
            return np.empty(0)
        # Without a thread limit the library starts one thread per core for a handful of rows.
        found = self.booster.predict(np.asarray(matrix, np.float64), num_iteration=-1, num_threads=1)
        return np.where(np.isfinite(found), found, np.nan)


def load_lightgbm(data: bytes, digest: str) -> LightGbmModel:
    """A model from the bytes of a text model. Raises BadModel."""
    read = read_text_model(data)
    bounds, probability = output_of(read.objective)
    try:
        import lightgbm
    except (ImportError, OSError):
        raise BadModel(
            "LightGBM, which runs the model, does not load on this machine", "pip install lightgbm"
        ) from None
    try:
        booster = lightgbm.Booster(model_str=read.text)
        loaded = booster.num_trees(), booster.num_feature()
    except lightgbm.basic.LightGBMError as error:
        raise BadModel(f"LightGBM does not take the model: {str(error).splitlines()[0]}") from None
    if loaded != (read.trees, len(read.features)):
        raise BadModel("LightGBM reads another number of trees or features than the file has")
    return LightGbmModel(
        read.features,
        bounds,
        probability,
        _certain(read),
        f"LightGBM, {read.objective[0]}",
        digest,
        booster,
        read.explains,
        read.cost,
    )


def output_of(objective: Sequence[str]) -> tuple[tuple[float, float], bool]:
    """What a model trained for an objective gives: its bounds, and whether it is a probability."""
    name = objective[0]
    if name in _PROBABILITIES:
        return (0.0, 1.0), True
    return (0.0 if name in _POSITIVE else -math.inf, math.inf), False


def _certain(read: TextModel) -> bool:
    """Whether the sum of the trees, and what the objective makes of it, is a number whatever the row."""
    name = read.objective[0]
    if read.largest is None:
        return False
    if name in _PROBABILITIES:
        return read.largest < _LARGEST
    if name in _POSITIVE:
        return read.largest < _TOO_LARGE
    return read.largest < (1e150 if "sqrt" in read.objective else 1e300)


def _fast(booster: Any, width: int) -> Predictor:
    from lightgbm.basic import _LIB  # type: ignore[attr-defined]  # the library as loaded; no public name

    handle = ctypes.c_void_p()
    if _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, ctypes.c_int(_NORMAL), ctypes.c_int(0), ctypes.c_int(-1), ctypes.c_int(_DOUBLE),
        ctypes.c_int(width), ctypes.c_char_p(_PARAMETERS), ctypes.byref(handle),
    ):  # fmt: skip
        raise RuntimeError(_said(_LIB))
    buffer = ctypes.create_string_buffer(8 * width)
    length, result = ctypes.c_int64(), ctypes.c_double()
    call, fill, lib = _LIB.LGBM_BoosterPredictForMatSingleRowFast, Struct(f"{width}d").pack_into, _LIB
    to_length, to_result = ctypes.byref(length), ctypes.byref(result)

    def predict(*row: float) -> float | None:
        fill(buffer, 0, *row)
        if call(handle, buffer, to_length, to_result):
            raise RuntimeError(_said(lib))
        value = result.value
        return value if -_LARGEST <= value <= _LARGEST else None

    weakref.finalize(predict, _free, lib, handle, booster)
    return predict


def _free(lib: Any, handle: ctypes.c_void_p, booster: Any) -> None:
    """Give a configuration back to the library. `booster` is here to outlive it."""
    lib.LGBM_FastConfigFree(handle)


def _said(lib: Any) -> str:
    return f"LightGBM could not predict: {lib.LGBM_GetLastError()}"
