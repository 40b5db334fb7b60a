"""Lets, scores, models and functions on every event that has what they use: all are checked and shown."""

from __future__ import annotations

from quell.engine.lower import EXTENT, Lowerer, Scope
from quell.engine.lowered import NamedValue
from quell.engine.resolve import named_type
from quell.grammar import tree

Named = tree.Let | tree.Score | tree.Model


def lower_everything(low: Lowerer) -> dict[str, list[NamedValue]]:
    """Every named value of every event, in order of name."""
    out: dict[str, list[NamedValue]] = {event: [] for event in low.symbols.schemas}
    named: dict[str, Named] = {**low.symbols.lets, **low.symbols.scores, **low.symbols.models}
    for name, declared in sorted(named.items()):
        low.here = declared.name.span
        events = [e for e in low.symbols.schemas if not missing_names(low, declared, e)]
        if not events and low.symbols.schemas:
            _nowhere(low, name, declared)
        for event in events:
            made = _lower(low, name, declared, event)
            if made is not None:
                out[event].append(NamedValue(name, made, declared.name.span))
    return out


def _lower(low: Lowerer, name: str, declared: Named, event: str) -> int | None:
    scope = Scope(event)
    if not isinstance(declared, tree.Let):
        return low.name(tree.Name(name, span=declared.name.span), scope)
    if declared.parameters is None:
        return low.name(tree.Name(name, span=declared.name.span), scope)
    names: dict[str, int] = {}
    for i, parameter in enumerate(declared.parameters):
        type_ = named_type(parameter.type, low.symbols, low.report, shapes=True)
        if type_ is None:
            return None
        if parameter.name.name in low.symbols.values():
            low.report.add(
                "shadowed-name",
                f"`{parameter.name.name}` is also the name of something else",
                parameter.name.span,
                hint="give this one another name",
            )
        data = (f"parameter {name} {i}",)
        names[parameter.name.name] = low.graph(event).add(
            "injected", (), data, type_, bounds=EXTENT.get(type_.kind)
        )
    if low.enter(name, declared.name.span):
        low.expr(declared.body, Scope(event, names))
        low.leave()
    return None


def missing_names(low: Lowerer, declared: Named, event: str) -> set[str]:
    """The fields that a let, score or model needs, through other lets too, and that an event does not have.

    What stands inside a counter is the counted event's and asks nothing of the reading one, but for the
    keys that it is read under.
    """
    schema = low.symbols.schemas[event]
    out: set[str] = set()
    seen: set[str] = set()
    stack: list[tree.Node] = [declared]
    bound = {p.name.name for p in declared.parameters or ()} if isinstance(declared, tree.Let) else set()
    while stack:
        for inner in _outer_names(stack.pop()):
            if inner in bound or inner in seen:
                continue
            seen.add(inner)
            symbols = low.symbols
            if inner in symbols.field_events and schema.field(inner) is None:
                out.add(inner)
            elif inner in symbols.lets:
                stack.append(symbols.lets[inner])
                bound |= {p.name.name for p in symbols.lets[inner].parameters or ()}
            elif inner in symbols.scores:
                stack.append(symbols.scores[inner])
            elif inner in symbols.models:
                stack.append(symbols.models[inner])
    return out


def _outer_names(node: tree.Node) -> list[str]:
    out: list[str] = []
    stack: list[tree.Node] = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, tree.Counter):
            stack.extend(top.reading or top.by)
        elif isinstance(top, tree.Filter):
            stack.append(top.source)
            if top.condition is not None:
                out.extend(n for n in _outer_names(top.condition) if n != top.variable.name)
        else:
            if isinstance(top, tree.Name):
                out.append(top.name)
            elif isinstance(top, tree.Call):
                out.append(top.function.name)
            stack.extend(tree.children(top))
    return out


def _nowhere(low: Lowerer, name: str, declared: Named) -> None:
    """Report a let that no event has everything for."""
    event = min(low.symbols.schemas, key=lambda e: (len(missing_names(low, declared, e)), e))
    lacking = ", ".join(f"`{n}`" for n in sorted(missing_names(low, declared, event)))
    low.report.add(
        "not-on-event",
        f"no event has everything that `{name}` uses: `{event}` has no {lacking}",
        declared.name.span,
        hint="put the fields in one event, or split the let",
    )
