"""Bundles whose model is yet to be trained: the model stands for missing, and all else runs as it will.

A model is trained on what the policies see, and the policies name the model: so that one can be made for
the first time, and is made the same when it is made anew, a stand-in takes the place of its file. Rules
that ask it do not match on it, as the language says of whatever is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from quell.engine.bundle import Files
from quell.engine.compile import Analysis, analyse
from quell.engine.models import load_models
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Report, did_you_mean
from quell.replay.named_values import NotAValue, Wanted
from quell.signals.models import Feature, Predictor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AnyFeature(Feature):
    """A feature that takes whatever a model can take."""

    def takes(self) -> frozenset[str]:
        """The kinds of values that the feature can be given."""
        return frozenset(("number", "bool", "text"))


@dataclass(frozen=True, slots=True)
class Untrained:
    """A model that gives nothing. See quell.signals.models.Model."""

    features: tuple[Feature, ...]
    bounds: tuple[float, float] = (0.0, 1.0)
    probability: bool = True
    certain: bool = False
    kind: str = "not trained yet"
    cost: float = 8.0
    digest: str = "untrained"

    def predictor(self) -> Predictor:
        """A function that gives nothing for any row."""
        return lambda *row: None

    def predict(self, row: Sequence[Any]) -> float | None:
        """Nothing."""
        return None

    def contributions(self, row: Sequence[Any]) -> list[float] | None:
        """Nothing."""
        return None

    def predict_rows(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Nothing, once a row."""
        import numpy as np

        return np.full(len(matrix), np.nan)


def untrained(model: str, *, only_if_absent: bool = False) -> Callable[[Files, Report], Analysis]:
    """How a bundle is read with a stand-in for one model; with `only_if_absent` only where its file cannot be
    read. A file outside the bundle is an error all the same: a model may be written there. Raises NotAValue
    for a model that the bundle does not have, or whose answers come from elsewhere."""

    def read(files: Files, report: Report) -> Analysis:
        symbols = analyse(files, Report(), lints=False, models={}).symbols
        declared = local_model(symbols, model)
        place = Report()
        absent = files.read(declared.source.plain or "", declared.source.span, place) is None
        for found in place.found:  # a file that is not there yet is no error, a place outside the bundle is
            if found.code == "outside-bundle":
                report.add(found.code, found.message, found.span, hint=found.hint)
        if only_if_absent and not absent:
            return analyse(files, report, lints=False)
        others = {name: m for name, m in symbols.models.items() if name != model}
        models = load_models(replace(symbols, models=others), files, report)
        features = tuple(AnyFeature(name.name, True, ()) for name, _ in declared.inputs)
        return analyse(files, report, lints=False, models={**models, model: Untrained(features)})

    return read


def local_model(symbols: Symbols, name: str) -> tree.Model:
    """The declaration of a model that a file gives. Raises NotAValue."""
    declared = symbols.models.get(name)
    if declared is None:
        hint = did_you_mean(name, symbols.models)
        raise NotAValue(f"the policies declare no model `{name}`", hint or _DECLARE)
    if declared.remote:
        raise NotAValue(f"`{name}` is a remote model, which is trained where it runs")
    if not declared.inputs:
        raise NotAValue(f"`{name}` names no inputs", f"{_DECLARE}, with a line `name = value` for each")
    return declared


_DECLARE = 'write model spam from "models/spam.lgb" in the policies'


def inputs_of(analysis: Analysis, name: str) -> list[Wanted]:
    """The inputs that the declaration of a model gives it, in order. Raises NotAValue."""
    return [Wanted(ident.name, expr) for ident, expr in local_model(analysis.symbols, name).inputs]
