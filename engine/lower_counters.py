"""Counters: what is counted becomes a store, and each use a reading of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from quell.engine.counter_words import (
    COUNTERS,
    MOST,
    CounterWord,
    method,
    result_bounds,
    result_type,
    spelled,
    word_of,
)
from quell.engine.graph import ELEMENTS
from quell.engine.lower_operators import common
from quell.engine.lower_stores import Wanted, element, store_of, value_bounds, value_type
from quell.engine.lower_windows import Window, window_of
from quell.engine.lowered import Store
from quell.grammar import tree
from quell.grammar.diagnostics import did_you_mean
from quell.grammar.types import BOOL, NUMBER, Type, list_of

if TYPE_CHECKING:
    from quell.engine.lower import Lowerer, Scope


def counter(low: Lowerer, node: tree.Counter, scope: Scope) -> int | None:
    """A counter read on the event of the scope."""
    word = _word(low, node)
    if word is None:
        return None
    window = window_of(low, node, word, scope)
    wanted = Wanted(word.store, node.value, window.resolution if window else None, scope.shadow)
    store = store_of(low, node, wanted)
    if window is None or store is None or not _takes(low, node, word, store):
        return None
    keys = _reading_keys(low, node, store, scope)
    if keys is None or not _no_nested_list(low, node, word, keys, scope):
        return None
    made = _read(low, word, store, keys, window, scope)
    if word.name in ("first", "last"):
        low.counted[(scope.event, made)] = (node, scope)
    return _rate(low, made, window, scope) if word.name == "rate" else made


def _word(low: Lowerer, node: tree.Counter) -> CounterWord | None:
    """The row of the counter's word, when its parts go with it."""
    name = node.function.name
    word = COUNTERS.get(name)
    if word is None:
        low.report.add(
            "unknown-function",
            f"there is no counter `{name}`",
            node.function.span,
            hint=did_you_mean(name, COUNTERS) or f"there are {spelled(list(COUNTERS))}",
        )
        return None
    problems = [
        p for p in (_value_problem(node, word), _per_problem(node, word), _ago_problem(node, word)) if p
    ]
    for written, message, hint in problems:
        low.report.add("bad-counter", message, written.span, hint=hint)
    return None if problems else word


Problem = tuple[tree.Node, str, str]


def _value_problem(node: tree.Counter, word: CounterWord) -> Problem | None:
    name = word.name
    if word.takes and node.value is None:
        return node, f"`{name}` needs a value before `of`", f"such as {word.example}"
    if not word.takes and node.value is not None:
        if word.name in ("first", "last"):
            hint = f"take the value of the event that it gives: {_asked_of(node, name)}"
        elif word.name == "count":
            hint = "write distinct(x of …) to count different values"
        else:
            hint = f"such as {word.example}"
        return node, f"`{name}` takes no value before `of`", hint
    return None


def _asked_of(node: tree.Counter, name: str) -> str:
    """`last(x of payment …)` as it is meant, as far as that can be said: `last(payment by …).x`."""
    event, value = node.events[0], node.value
    counted = event.name if isinstance(event, tree.Name) else "message"
    return f"{name}({counted} by …).{value.name if isinstance(value, tree.Name) else 'content'}"


def _per_problem(node: tree.Counter, word: CounterWord) -> Problem | None:
    if word.name != "rate":
        return (node.per, "`per` belongs to rate", "leave it out") if node.per is not None else None
    if node.per is None:
        return node, "this rate does not say per how long", f"such as {word.example}"
    if node.ever:
        return node, "a rate is taken over a window, and `ever` is none", "write within 30d"
    return None


def _ago_problem(node: tree.Counter, word: CounterWord) -> Problem | None:
    if word.ago or not isinstance(node.before, tree.Expr):
        return None
    hint = "leave it out, or take the difference yourself: at - last(…).at"
    return node.before, f"`{word.name}` is seen from the present event and has no `before … ago`", hint


def _takes(low: Lowerer, node: tree.Counter, word: CounterWord, store: Store) -> bool:
    """Whether the counted values are of a kind that the word works with."""
    if node.value is None or word.takes == ("any",):
        return True
    kind = value_type(low, store.sources).kind
    if kind in word.takes:
        return True
    takes = " or ".join(f"{k}s" for k in word.takes)
    hint = "distinct(x of …) and values(x of …) take any kind"
    if kind == "bool":
        hint = "count the events of which it is true: count(… where …)"
    elif kind in ("duration", "time"):
        hint = "min and max take times and durations, sum and mean durations"
    low.report.add(
        "bad-counter", f"`{word.name}` takes {takes}, and this is a {kind}", node.value.span, hint=hint
    )
    return False


def _no_nested_list(
    low: Lowerer, node: tree.Counter, word: CounterWord, keys: list[int], scope: Scope
) -> bool:
    if word.name != "values" or not any(low.graph(scope.event)[k].type.kind == "list" for k in keys):
        return True
    low.report.add(
        "bad-counter",
        "`values` under a list of keys would make a list of lists",
        node.span,
        hint="read it under one key: by … as …",
    )
    return False


# ------------------------------------------------------------------- reading


def _reading_keys(low: Lowerer, node: tree.Counter, store: Store, scope: Scope) -> list[int] | None:
    written = node.reading or node.by
    if node.reading and len(node.reading) != len(node.by):
        low.report.add(
            "bad-counter",
            f"`as` gives {len(node.reading)} and `by` {len(node.by)} keys, and each needs its own",
            node.reading[0].span,
        )
        return None
    reading = scope if node.reading else replace(scope, names={}, depth=0)
    if not node.reading and not _has_names(low, node, store, scope):
        return None
    typed = [low.typed(k, reading) for k in written]
    if any(t is None for t in typed):
        return None
    first = store.sources[0]
    lists = 0
    for i, made in enumerate(typed):
        assert made is not None
        counted = element(low.graph(first.event)[first.keys[i]].type)
        lists += made[1].kind == "list"
        if not _readable(counted, element(made[1])):
            like = _keys_like(low, node.by[i], counted, scope.event)
            low.report.add(
                "entity-mismatch",
                f"this counter's key is a {counted.present()}, and it is read under a {made[1]}",
                written[i].span,
                hint=f"read it {like}" if like else None,
            )
            return None
    if lists > 1:
        low.report.add(
            "bad-counter", "only one of the keys that a counter is read under may be a list", written[0].span
        )
        return None
    return [t[0] for t in typed if t is not None]


def _readable(counted: Type, read: Type) -> bool:
    if read.kind == "missing":
        return False
    if counted.kind == "entity" and read.kind == "entity":
        return counted.name == read.name
    return common(counted, read) is not None


def _keys_like(low: Lowerer, key: tree.Expr, counted: Type, event: str) -> str | None:
    """How to read a counter under fields of `event` of the same kind of entity, where there are any."""
    schema = low.symbols.schemas.get(event)
    if schema is None or counted.kind != "entity" or not isinstance(key, tree.Name):
        return None
    alike = [f.name for f in schema.fields if f.type.kind == "entity" and f.type.name == counted.name]
    return " or ".join(f"by {key.name} as {name}" for name in alike[:3]) or None


def _read_here(key: tree.Expr) -> Iterator[tree.Name]:
    """The names that a key reads on the reading event. Inside a counter they are the counted event's."""
    stack: list[tree.Node] = [key]
    while stack:
        top = stack.pop()
        if isinstance(top, tree.Name):
            yield top
        stack.extend((top.reading or top.by) if isinstance(top, tree.Counter) else tree.children(top))


def _has_names(low: Lowerer, node: tree.Counter, store: Store, scope: Scope) -> bool:
    """Whether the reading event has what the key names; else say that `as` is wanted."""
    schema = low.symbols.schemas.get(scope.event)
    first = store.sources[0]
    for key, counted in zip(node.by, first.keys, strict=True):
        for inner in _read_here(key):
            if inner.name not in low.symbols.field_events:
                continue
            if schema is not None and schema.field(inner.name) is None:
                like = _keys_like(low, key, element(low.graph(first.event)[counted].type), scope.event)
                low.report.add(
                    "not-on-event",
                    f"`{scope.event}` has no `{inner.name}` to read this counter under",
                    key.span,
                    hint="say which of its fields to use: " + (like or f"by {inner.name} as …"),
                )
                return False
    return True


def _read(
    low: Lowerer, word: CounterWord, store: Store, keys: list[int], window: Window, scope: Scope
) -> int:
    """The node of a reading. A rate is read as a count."""
    valued = store.kind != "count"
    bounds, whole = value_bounds(low, store) if valued else ((0.0, 0.0), True)
    type_ = result_type(word, value_type(low, store.sources) if valued else None)
    return reading(
        low,
        store,
        method(word, type_, valued),
        (*keys, low.clock(scope.event)),
        (window.within, window.before),
        type_,
        scope.event,
        bounds=result_bounds(word, window.within, bounds),
        whole=_whole(word, type_, whole),
    )


def _whole(word: CounterWord, type_: Type, values: bool) -> bool:
    """Whether a reading that gives a number gives a Python int."""
    if word.name in ("count", "distinct", "rate"):
        return True
    if type_.kind == "number":
        return word.name in ("min", "max") and values
    return type_.kind in ("duration", "time", "event")


def reading(
    low: Lowerer,
    store: Store,
    word: str,
    args: tuple[int, ...],
    span: tuple[int | None, int | Literal["this"]],
    type_: Type,
    event: str,
    *,
    bounds: tuple[float, float] | None = None,
    whole: bool = False,
) -> int:
    """A node that reads a store on an event: `args` are the keys and the clock, `span` the window.

    A reading under one key may be missing: when the key is, when nothing was counted that could be given,
    when the window was not watched whole, and when memory is full. Under a list of keys it is left out.
    """
    graph = low.graph(event)
    within, before = span
    store.widen(word_of(word).name, within, before if isinstance(before, int) else 0)
    listed = any(graph[a].type.kind == "list" for a in args)
    made = list_of(type_) if listed else type_.maybe()
    if any(graph[a].type.optional for a in args):
        made = made.maybe()
    return graph.add(
        "counter", args, (store.identity, word, within, before), made, bounds=bounds, whole=whole
    )


def _rate(low: Lowerer, counted: int, window: Window, scope: Scope) -> int:
    """The node of a rate: a count, times `per`, over the window."""
    graph = low.graph(scope.event)
    data = (window.per, window.within)
    assert window.per is not None and window.within is not None
    bounds = (0, MOST * window.per / window.within)
    if graph[counted].type.kind != "list":
        return graph.add("rate", (counted,), data, NUMBER.maybe(), bounds=bounds)
    variable = counted * ELEMENTS + scope.depth
    one = graph.add("element", (), (variable,), NUMBER)
    each = graph.add("rate", (one,), data, NUMBER, bounds=bounds)
    type_ = list_of(NUMBER)
    return graph.add(
        "map", (counted, each), (variable,), type_.maybe() if graph[counted].type.optional else type_
    )


# ------------------------------------------------------------------- reaches


def reaches(low: Lowerer, node: tree.Word, scope: Scope) -> int | None:
    """`counter reaches N`."""
    made = low.expr(node.left, scope)
    if made is None:
        return None
    graph = low.graph(scope.event)
    read = graph[made]
    able = [w.name for w in COUNTERS.values() if w.reaches]
    reached = read.op == "counter" and word_of(read.data[1]).reaches and read.type.kind != "list"
    if not reached:
        low.report.add(
            "bad-counter",
            f"only a {', a '.join(able[:-1])} or a {able[-1]} reaches a number",
            node.left.span,
            hint="write count(…) reaches 10",
        )
        return None
    threshold = low.constant(node.right, scope, read.type.kind, "what follows `reaches`")
    if threshold is None:
        return None
    identity, word, within, before = read.data
    if before != 0:
        low.report.add(
            "bad-counter",
            "`reaches` looks at the present event, so its counter has no `before`",
            node.left.span,
        )
        return None
    if threshold <= 0 and word_of(word).name != "sum":
        low.report.add("bad-window", "a counter reaches a number above zero", node.right.span)
        return None
    if scope.event not in {s.event for s in low.stores[identity].sources}:
        counted = ", ".join(sorted({s.event for s in low.stores[identity].sources}))
        low.report.add(
            "bad-counter",
            f"`{scope.event}` is not counted here, so the counter cannot reach anything on it",
            node.span,
            hint=f"put the rule on {counted}, or write >=",
        )
        return None
    return graph.add("reaches", read.args, (identity, word, within, threshold), BOOL.maybe())
