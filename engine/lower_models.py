"""Models as nodes: their inputs, checked against what each feature takes, and what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quell.grammar import tree
from quell.grammar.source import Span
from quell.grammar.types import NUMBER, Type
from quell.signals.models import Feature, Model

if TYPE_CHECKING:
    from quell.engine.lower import Lowerer, Scope

_TAKEN = {"number": "number", "bool": "bool", "text": "text", "enum": "text", "entity": "text", "ip": "text"}
"""How a type of the language reaches a model."""


def model(low: Lowerer, name: str, scope: Scope) -> int | None:
    """The node of a model on an event; None, and silent, for one that did not load.

    Its inputs stand in the order of the model's features. It gives a number whatever is missing.
    """
    loaded, declared = low.models.get(name), low.symbols.models[name]
    if loaded is None or not low.enter(name, declared.name.span):
        return None
    written = {ident.name: expr for ident, expr in declared.inputs}
    made = [_input(low, f, written[f.name], scope) for f in loaded.features]
    low.leave()
    inputs = [m for m in made if m is not None]
    if len(inputs) < len(made):
        return None
    type_ = NUMBER if loaded.certain else NUMBER.maybe()
    coded = tuple(i for i, f in enumerate(loaded.features) if f.categories is not None)
    # What a model is called is no part of what it says: counters over it stay themselves.
    said = (declared.source.plain or "",)
    return low.graph(scope.event).add(
        "model", inputs, (name, coded, loaded.cost), type_, bounds=loaded.bounds, said=said
    )


def _input(low: Lowerer, feature: Feature, expr: tree.Expr, scope: Scope) -> int | None:
    typed = low.typed(expr, scope)
    if typed is None:
        return None
    made, type_ = typed
    if type_.kind == "missing" or _TAKEN.get(type_.kind) in feature.takes():
        return made
    message, hint = _refusal(feature, type_)
    low.report.add("type-mismatch", message, expr.span, hint=hint)
    return None


def _refusal(feature: Feature, type_: Type) -> tuple[str, str | None]:
    what = f"the feature `{feature.name}` takes a number, and this is a {type_}"
    if type_.kind == "duration":
        return what, "divide by a unit: … / 1d"
    if type_.kind == "time":
        return what, "say how long ago it was: (at - x) / 1d"
    if type_.kind == "list":
        return what, "size(…) is how many elements a list has"
    if feature.categories is not None:
        known = ", ".join(repr(c) if not isinstance(c, str) else f'"{c}"' for c in feature.categories[:5])
        what = f"the feature `{feature.name}` is one of the model's own categories, and this is a {type_}"
        return what, f"they are {known}" + (", …" if len(feature.categories) > 5 else "")
    if _TAKEN.get(type_.kind) == "text":
        return what, "train the model with this column as a category, or give it something counted"
    return what, None


def compares_raw(
    low: Lowerer, sides: tuple[int, int], written: tuple[tree.Expr, tree.Expr], scope: Scope, span: Span
) -> bool:
    """Report a model's number that is no probability and is compared with a percentage."""
    graph = low.graph(scope.event)
    for side, other in ((sides[0], written[1]), (sides[1], written[0])):
        node = graph[side]
        if node.op == "injected" and node.args:
            node = graph[node.args[0]]
        loaded: Model | None = low.models.get(node.data[0]) if node.op == "model" else None
        while isinstance(other, tree.Group):
            other = other.inner
        if loaded is not None and not loaded.probability and isinstance(other, tree.Number) and other.percent:
            low.report.add(
                "type-mismatch",
                f"`{node.data[0]}` gives a raw score, not a probability ({loaded.kind})",
                span,
                hint=f"compare with a number, such as {other.value:g}, or train it as a binary model",
            )
            return True
    return False
