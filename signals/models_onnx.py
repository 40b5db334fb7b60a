"""ONNX models, run by onnxruntime on one thread, a row at a time.

Its kernels may round differently for one row than for many, so many rows are so many calls: the same
numbers either way. What a run refuses or gives that is no number is missing.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quell.signals.models import Feature, Predictor, encode
from quell.signals.models_file import BadModel
from quell.signals.models_onnx_file import check_onnx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INSTALL = "pip install 'quell[onnx]'"
NAMES, OUTPUT = "feature_names", "output"
"""The properties of a model that name its features, and say that its output is a probability."""
MAX_FEATURES = 10_000
CALL = 8.0
"""Microseconds that a run takes by itself; each node is taken for one more."""
_FLOATS = {"tensor(float)": "float32", "tensor(double)": "float64"}
_ADD = 'add them: model.metadata_props.add(key="feature_names", value="length, links, …")'

Answer = Callable[[Any], float | None]
"""The number in what the runtime gives for the output."""


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An ONNX model. See quell.signals.models.Model."""

    features: tuple[Feature, ...]
    bounds: tuple[float, float]
    probability: bool
    digest: str
    session: Any
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    output: str
    answer: Answer
    cost: float
    certain: bool = False
    kind: str = "ONNX"
    _own: threading.local = field(default_factory=threading.local)

    def predictor(self) -> Predictor:
        """A function for one row of floats, for one thread."""
        import numpy as np

        feed = {name: np.zeros(shape, kind) for name, kind, shape in self.inputs}
        flat = [array.reshape(-1) for array in feed.values()]
        whole = flat[0] if len(flat) == 1 else None
        run, wanted, answer = self.session.run, [self.output], self.answer

        def predict(*row: float) -> float | None:
            with np.errstate(over="ignore"):  # a double too large for the model's floats is infinite there
                if whole is not None:
                    whole[:] = row
                else:
                    for array, value in zip(flat, row, strict=True):
                        array[0] = value
            try:
                return answer(run(wanted, feed)[0])
            except Exception:  # the runtime's own errors have no common class
                return None

        return predict

    def predict(self, row: Sequence[Any]) -> float | None:
        """The number for one row of values as policies have them."""
        made: Predictor | None = getattr(self._own, "predictor", None)
        if made is None:
            made = self._own.predictor = self.predictor()
        return made(*encode(self.features, row))

    def contributions(self, row: Sequence[Any]) -> list[float] | None:
        """An ONNX model cannot tell."""
        return None

    def predict_rows(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The numbers for rows of floats; what is not finite is NaN."""
        import numpy as np

        predict = self.predictor()
        found = [predict(*row) for row in np.asarray(matrix, np.float64).tolist()]
        return np.array([math.nan if v is None else v for v in found], np.float64)


def load_onnx(data: bytes, digest: str) -> OnnxModel:
    """A model from the bytes of an ONNX file. Raises BadModel."""
    said = check_onnx(data)
    session = _session(data)
    names, inputs = _inputs(session, said.properties)
    output, zipped = _output(session)
    raw = _trial(session, inputs, output)
    answer, probability = _answer(raw, zipped, said.properties.get(OUTPUT) == "probability")
    bounds = (0.0, 1.0) if probability else (-math.inf, math.inf)
    features = tuple(Feature(n) for n in names)
    return OnnxModel(
        features, bounds, probability, digest, session, inputs, output, answer, CALL + said.nodes
    )


def _session(data: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise BadModel(
            "an ONNX model needs the package onnxruntime, which is not installed", INSTALL
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own errors have no common class
        hint = "a model of a newer ONNX needs a newer onnxruntime"
        raise BadModel(f"onnxruntime does not take the model: {_told(error)}", hint) from None


def _told(error: Exception) -> str:
    text = " ".join(str(error).split())
    text = "".join(c if c.isprintable() and c != "`" else "?" for c in text)
    return text if len(text) <= 160 else text[:159] + "…"


def _inputs(
    session: Any, properties: Mapping[str, str]
) -> tuple[list[str], tuple[tuple[str, str, tuple[int, ...]], ...]]:
    """The names of the features, and the name, type and shape of one row of each input."""
    inputs = session.get_inputs()
    for each in inputs:
        if each.type not in _FLOATS:
            raise BadModel(
                f"the input `{each.name}` is a {each.type}, and Quell gives floats and doubles",
                "let the model take numbers only",
            )
    if len(inputs) != 1:
        wide = [each.name for each in inputs if any(isinstance(d, int) and d != 1 for d in each.shape)]
        if wide or not inputs:
            what = f"`{wide[0]}` takes several numbers" if wide else "there are none"
            raise BadModel(f"the inputs are neither one row nor one number each: {what}")
        named = [each.name for each in inputs]
        return _checked(named), tuple((i.name, _FLOATS[i.type], (1,) * len(i.shape)) for i in inputs)
    (only,) = inputs
    width = only.shape[-1] if only.shape else 1
    names = _names(properties)
    if names is None and width == 1:
        names = [only.name]
    if names is None:
        raise BadModel("the model does not name its features", _ADD)
    if isinstance(width, int) and width != len(names):
        raise BadModel(f"the model has {width} features, and its `{NAMES}` names {len(names)}", _ADD)
    shape = (*(1,) * (len(only.shape) - 1), len(names)) if only.shape else ()
    return _checked(names), ((only.name, _FLOATS[only.type], shape),)


def _names(properties: Mapping[str, str]) -> list[str] | None:
    said = properties.get(NAMES)
    if said is None:
        return None
    try:
        names = json.loads(said) if said.lstrip().startswith("[") else [n.strip() for n in said.split(",")]
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        raise BadModel(f"the property `{NAMES}` of the model is no list of names", _ADD)
    return names


def _checked(names: list[str]) -> list[str]:
    if len(names) > MAX_FEATURES:
        raise BadModel(f"the model has {len(names):,} features, and {MAX_FEATURES:,} are allowed")
    for name in names:
        if not name.isprintable() or "`" in name:
            raise BadModel("a feature of the model has a character that no name can have")
    if len(set(names)) != len(names):
        raise BadModel("the model has two features with one name")
    return names


def _output(session: Any) -> tuple[str, bool]:
    """The output that holds the number, and whether it is a map of classes."""
    outputs = session.get_outputs()
    zipped = [o.name for o in outputs if o.type.startswith("seq(map(")]
    numbers = [o.name for o in outputs if o.type in _FLOATS]
    found = zipped or numbers
    if len(found) != 1:
        have = ", ".join(f"`{o.name}`" for o in outputs)
        raise BadModel(f"the model has {len(found)} outputs that may be its number: {have}", "leave one")
    return found[0], bool(zipped)


def _trial(session: Any, inputs: tuple[tuple[str, str, tuple[int, ...]], ...], output: str) -> Any:
    import numpy as np

    try:
        return session.run([output], {n: np.zeros(shape, kind) for n, kind, shape in inputs})[0]
    except Exception as error:  # the runtime's own errors have no common class
        raise BadModel(f"the model does not run on a row of zeros: {_told(error)}") from None


def _answer(raw: Any, zipped: bool, said: bool) -> tuple[Answer, bool]:
    """How the number is found in what a run gives, told from one answer, and whether it is a probability."""
    if zipped:
        classes = list(raw[0]) if len(raw) == 1 else []
        one = next((c for c in classes if str(c) in ("1", "True")), None)
        if len(classes) != 2 or one is None:
            raise BadModel("the model does not tell class 0 from class 1", "train it on labels 0 and 1")
        return lambda got: _within(float(got[0][one])), True
    if raw.size > 2 or not raw.size:
        raise BadModel(
            f"the model gives {raw.size} numbers, and a model of a policy gives one",
            "train a model of two classes",
        )
    if raw.size == 2:
        return lambda got: _within(float(got.reshape(-1)[1])), True
    if said:
        return lambda got: _within(float(got.reshape(-1)[0])), True
    return lambda got: _finite(float(got.reshape(-1)[0])), False


def _within(value: float) -> float | None:
    """A probability; what is none is missing."""
    return value if 0.0 <= value <= 1.0 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
