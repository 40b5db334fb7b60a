"""Remote models: checked where they are declared, and a leaf of the graph where they are used.

A remote model is asked only when its gate is true and a rule or counter that uses it is still open. Its
answer is a number, or a record of what `gives` names; without one it is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quell.grammar import tree
from quell.grammar.types import NUMBER, Type, record
from quell.signals.remote_types import RemoteSpec

if TYPE_CHECKING:
    from quell.engine.lower import Lowerer, Scope

MAX_WAIT = 60_000_000
"""The longest that a decision may wait for a remote model, in microseconds."""
DEFAULT_WAIT = 1_000_000
MAX_INPUTS = 100
_SENT = ("bool", "number", "text", "time", "duration", "ip", "entity", "enum")


def declare_remotes(low: Lowerer) -> None:
    """Check every remote model's declaration; those that hold are kept in `low.remotes`."""
    for name, model in low.symbols.models.items():
        if not model.remote:
            continue
        low.here = model.name.span
        wait = _wait(low, model)
        gives = _gives(low, model)
        sound = _clauses_ok(low, model)
        if wait is not None and gives is not None and sound:
            inputs = tuple(i.name for i, _ in model.inputs)
            low.remotes[name] = RemoteSpec(name, model.source.plain or "", inputs, gives, wait)


def remote(low: Lowerer, name: str, scope: Scope) -> int | None:
    """The leaf of a remote model on the event of the scope; its arguments are its gate and its inputs."""
    model = low.symbols.models[name]
    if model.gate is None or not low.enter(name, model.name.span):
        return None
    try:
        gate = low.condition(model.gate, scope, "what follows `when`")
        inputs = [_input(low, written, scope) for _, written in model.inputs]
    finally:
        low.leave()
    declared = low.remotes.get(name)
    if gate is None or declared is None or any(i is None for i in inputs):
        return None
    type_ = record(name) if declared.gives else NUMBER
    args = [gate, *(i for i in inputs if i is not None)]
    return low.graph(scope.event).add("remote", args, (name,), type_.maybe())


def _input(low: Lowerer, written: tree.Expr, scope: Scope) -> int | None:
    made = low.typed(written, scope)
    if made is None:
        return None
    node, type_ = made
    element = type_.element if type_.kind == "list" and type_.element is not None else type_
    if element.kind in _SENT or (type_.kind == "list" and element.kind == "missing"):
        return node
    hint = "send its parts as inputs of their own" if element.kind == "record" else None
    low.report.add("bad-input", f"an input cannot be a {type_}", written.span, hint=hint)
    return None


# ------------------------------------------------------------- the declaration


def _clauses_ok(low: Lowerer, model: tree.Model) -> bool:
    name, before = model.name.name, len(low.report.found)
    if not model.source.plain:
        low.report.add(
            "bad-remote",
            f"`{name}` does not say what it asks",
            model.source.span,
            hint='write model … from remote "scam-classifier", and name the same in quell.toml',
        )
    if model.gate is None:
        low.report.add(
            "bad-remote",
            f"`{name}` does not say when it is asked",
            model.name.span,
            hint="write when … on a line of its own, or when true to ask it for every event",
        )
    if not model.inputs:
        low.report.add(
            "bad-remote", f"`{name}` has no inputs", model.name.span, hint="such as content = content"
        )
    if len(model.inputs) > MAX_INPUTS:
        low.report.add("bad-remote", f"`{name}` has more than {MAX_INPUTS} inputs", model.name.span)
    seen: set[str] = set()
    for ident, _ in model.inputs:
        if ident.name in seen:
            low.report.add("declared-twice", f"`{ident.name}` is already an input", ident.span)
        seen.add(ident.name)
    return len(low.report.found) == before


def _gives(low: Lowerer, model: tree.Model) -> tuple[tuple[str, Type], ...] | None:
    from quell.engine.resolve import named_type

    out: dict[str, Type] = {}
    for column in model.gives:
        type_ = named_type(column.type, low.symbols, low.report)
        if type_ is None:
            return None
        element = type_.element if type_.kind == "list" and type_.element is not None else type_
        if element.kind not in _SENT:
            low.report.add("bad-remote", f"an answer cannot hold a {type_}", column.type.span)
            return None
        if type_.optional:
            low.report.add(
                "bad-remote",
                "whatever a remote model gives may be missing",
                column.type.span,
                hint="leave out the `?`",
            )
            return None
        if column.name.name in out:
            low.report.add("declared-twice", f"`{column.name.name}` is already given", column.name.span)
            return None
        out[column.name.name] = type_.maybe()
    return tuple(out.items())


def _wait(low: Lowerer, model: tree.Model) -> int | None:
    if model.wait is None:
        return DEFAULT_WAIT
    from quell.engine.lower import Scope as OwnScope

    event = next(iter(low.symbols.schemas), None)
    if event is None:
        return DEFAULT_WAIT
    wait = low.constant(model.wait, OwnScope(event), "duration", "what follows `wait`")
    if wait is None:
        return None
    if not 1_000 <= wait <= MAX_WAIT:
        low.report.add(
            "bad-window", "a decision waits from 1ms to 60s", model.wait.span, hint="write wait 800ms"
        )
        return None
    return int(wait)
