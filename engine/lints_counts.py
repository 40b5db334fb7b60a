"""`count(…) == 300`, where `reaches` is meant: a counter passes a number by, or stays at it for a while. And
a resolution where the same is counted exactly as well, so that it only adds to what is held. And what is
compared with the greatest or least of itself and others."""

from __future__ import annotations

from collections.abc import Mapping

from quell.engine.lints_world import World
from quell.engine.lints_written import Texts, bare
from quell.engine.lowered import Store
from quell.grammar import tree
from quell.grammar.diagnostics import Diagnostic, Report

_COUNTS = ("count", "distinct")
_LEAST = 2
"""`== 0` asks whether there was none, and `== 1` for the first: both are good."""


def counted_equals(
    compare: tree.Compare, made: Mapping[tuple[str, int], int], worlds: Mapping[str, World], texts: Texts
) -> Diagnostic | None:
    """The finding about a comparison with ``==``, when one side is a counter and the other a number."""
    left, right = bare(compare.first), bare(compare.rest[0][1])
    for term, number in ((left, right), (right, left)):
        for event, world in worlds.items():
            node, edge = made.get((event, id(term))), made.get((event, id(number)))
            if node is None or edge is None or not world.graph.is_const(edge):
                continue
            value, read = world.graph.value(edge), world.graph[node]
            counted = read.op == "counter" and read.data[1] in _COUNTS and read.type.kind == "number"
            if counted and isinstance(value, int | float) and value >= _LEAST:
                return _finding(compare, term, number, _reachable(world, node), texts)
    return None


def lint_resolutions(stores: Mapping[str, Store], report: Report) -> None:
    """Report every resolution that saves nothing."""
    for store in stores.values():
        exact = stores.get(store.exact)
        if exact is None:
            continue
        if exact.longest is None or (store.longest is not None and exact.longest >= store.longest):
            report.add(
                "idle-resolution",
                f"`{exact.text}` is also read without a resolution, as far back, so this one saves nothing",
                store.span,
                hint="leave it out",
            )


def lint_extremes(worlds: Mapping[str, World], texts: Texts, report: Report) -> None:
    """Report `x > max(x of E …)` and `x < min(x of E …)` on an E: the present event's x is one of those."""
    for world in worlds.values():
        graph = world.graph
        for node in graph.nodes:
            if node.op not in ("gt", "lt") or node.id not in graph.spans:
                continue
            greater, smaller = node.args if node.op == "gt" else node.args[::-1]
            if _is_among(world, greater, smaller, "max") or _is_among(world, smaller, greater, "min"):
                span = graph.spans[node.id]
                report.add(
                    "never-true",
                    f"`{texts.shown(span)}` is never true: the present event is among those counted",
                    span,
                    hint="leave it out: write before this in the counter",
                )


def _is_among(world: World, value: int, counter: int, word: str) -> bool:
    """Whether a counter reads a word over a value of the present event, among others."""
    read = world.graph[counter]
    if read.op != "counter" or read.data[1] != word or read.data[3] != 0:
        return False
    store = world.stores.get(read.data[0])
    return store is not None and any(
        (s.event, s.rule, s.where, s.value, s.keys) == (world.graph.event, None, None, value, read.args[:-1])
        for s in store.sources
    )


def _reachable(world: World, counter: int) -> bool:
    """Whether the counter counts events such as the one that reads it, up to the present one."""
    identity, _, _, before = world.graph[counter].data
    store = world.stores.get(identity)
    return before == 0 and store is not None and any(s.event == world.graph.event for s in store.sources)


def _finding(
    compare: tree.Compare, term: tree.Expr, number: tree.Expr, reachable: bool, texts: Texts
) -> Diagnostic:
    said, shown, edge = texts.at(term.span), texts.shown(term.span), texts.shown(number.span)
    if not reachable:
        message = f"`{shown}` may step over {edge}, and then this is never true"
        return Diagnostic("equals-count", message, compare.span, f"write {shown} >= {edge}")
    message = f"`{shown}` may step over {edge}, or stay at it for several events"
    replacement = f"{said} reaches {texts.at(number.span)}" if said else None
    return Diagnostic("equals-count", message, compare.span, f"write {shown} reaches {edge}", (), replacement)
