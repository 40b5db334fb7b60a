"""`first(…)` and `last(…)`: a counted event, and its fields and lets as they stood when it was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quell.engine.lower_counters import reading
from quell.engine.lower_stores import Wanted, store_of, value_bounds, value_type
from quell.grammar import tree
from quell.grammar.types import TIME

if TYPE_CHECKING:
    from quell.engine.graph import Node
    from quell.engine.lower import Lowerer, Scope


def refuse(low: Lowerer, written: tree.Expr, made: int, event: str) -> None:
    """Report a counted event that stands where a value is needed."""
    while isinstance(written, tree.Group):
        written = written.inner
    said = "it"
    if isinstance(written, tree.Name | tree.Counter):
        said = written.name if isinstance(written, tree.Name) else f"{written.function.name}(…)"
    of = low.graph(event)[made]
    kind = "a list of counted events" if of.type.kind == "list" else "a counted event"
    low.report.add(
        "type-mismatch",
        f"`{said}` is {kind}, and a value is needed here",
        written.span,
        hint=f"take something of it, such as {said}.at or {said}.{_some_field(low, of)}, or ask whether it "
        "is missing",
    )


def _some_field(low: Lowerer, of: Node) -> str:
    """A field of the events that are counted, to show how it is asked for."""
    if of.op != "counter":
        return "id"
    fields = [f.name for f in low.symbols.schemas[low.stores[of.data[0]].sources[0].event].fields]
    return next((f for f in fields if f not in ("id", "at")), "id")


def of_event(low: Lowerer, made: int, name: tree.Ident, scope: Scope) -> int | None:
    """The node of `.name` after a counted event: its time, or a field or let of it."""
    from quell.engine.lower import EXTENT

    graph = low.graph(scope.event)
    event = graph[made]
    if event.op != "counter":
        low.report.add(
            "bad-test",
            "a test cannot supply a counted event",
            name.span,
            hint="let the test's events make it",
        )
        return None
    _, at_word, within, before = event.data
    args, span = event.args, (within, before)
    node, told_in = low.counted[(scope.event, made)]
    if name.name == "at":
        store = low.stores[event.data[0]]
        return reading(low, store, at_word, args, span, TIME, scope.event, bounds=EXTENT["time"], whole=True)
    value = tree.Name(name.name, span=name.span)
    found = store_of(low, node, Wanted("event", value, None, told_in.shadow))
    if found is None:
        return None
    type_ = value_type(low, found.sources, whole=True).present()
    if type_.kind == "list" and event.type.kind == "list":
        low.report.add("bad-counter", f"`.{name.name}` would make a list of lists", name.span)
        return None
    bounds, whole = value_bounds(low, found)
    number = type_.kind in ("number", "time", "duration")
    return reading(
        low,
        found,
        at_word.removesuffix("_at"),
        args,
        span,
        type_,
        scope.event,
        bounds=bounds if number else None,
        whole=whole,
    )
