"""Models and inexact sums asked about batches of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from quell.engine.operations import total
from quell.signals.models import NAN, Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MASK_BITS = 60
"""Conditions whose truth one whole number of 64 bits carries."""


def model_batch(model: Model, places: Sequence[int], coded: Sequence[int]) -> Callable[..., pa.Array]:
    """A function from columns, for the features at `places`, to the model's numbers; features that no column
    gives are missing. `coded` are the features whose values the model's file numbers."""
    import numpy as np

    readers = [_coder(model, p) if p in coded else _floats for p in places]
    width = len(model.features)

    def predict(*columns: Any) -> pa.Array:
        matrix = np.full((len(columns[0]), width), NAN)
        for place, read, column in zip(places, readers, columns, strict=True):
            matrix[:, place] = read(column)
        return pa.array(model.predict_rows(matrix), pa.float64(), from_pandas=True)

    return predict


def _floats(column: Any) -> NDArray[np.float64]:
    found: NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return found


def _coder(model: Model, place: int) -> Callable[[Any], NDArray[np.float64]]:
    import numpy as np

    codes = model.features[place].codes

    def read(column: Any) -> NDArray[np.float64]:
        return np.array([NAN if v is None else codes.get(v, NAN) for v in column.to_pylist()], np.float64)

    return read


def points_batch(points: Sequence[float]) -> Callable[..., pa.Array]:
    """A function from columns of whole numbers, whose bits say which conditions are true, to the exact sum of
    their points."""
    known: dict[tuple[int, ...], float] = {}

    def add(*masks: int) -> float:
        if masks not in known:
            if len(known) > 100_000:
                known.clear()
            held = [masks[i // MASK_BITS] >> i % MASK_BITS & 1 for i in range(len(points))]
            known[masks] = float(total([p for p, h in zip(points, held, strict=True) if h]))
        return known[masks]

    def batch(*columns: Any) -> pa.Array:
        return pa.array(map(add, *(c.to_pylist() for c in columns)), pa.float64())

    return batch
