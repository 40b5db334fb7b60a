"""Counters: what is counted becomes a store, and each use a reading of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from quell.engine.lower_calls import NOT_YET
from quell.engine.lower_operators import common
from quell.engine.lowered import Store, StoreSource
from quell.engine.resolve import events_named
from quell.grammar import tree
from quell.grammar.diagnostics import did_you_mean
from quell.grammar.printer import print_expression
from quell.grammar.types import NUMBER, TEXT, Type, is_textual, list_of

if TYPE_CHECKING:
    from quell.engine.lower import Lowerer, Scope

MAX_WINDOW = 3_660 * 86_400_000_000
"""The longest window, about ten years; `ever` is for longer."""


def counter(low: Lowerer, node: tree.Counter, scope: Scope) -> int | None:
    """A counter read on the event of the scope."""
    function = node.function.name
    if not _known(low, node, function):
        return None
    window = _window(low, node, scope)
    store = _store(low, node, scope)
    if window is None or store is None:
        return None
    within, before = window
    keys = _reading_keys(low, node, store, scope)
    if keys is None:
        return None
    store.widen(within, before if isinstance(before, int) else 0)
    return _read(low, store, keys, within, before, scope)


def _known(low: Lowerer, node: tree.Counter, function: str) -> bool:
    if function in ("count", "distinct"):
        if node.per is not None:
            low.report.add("bad-counter", "`per` belongs to rate", node.per.span, hint="leave it out")
            return False
        if (function == "distinct") != (node.value is not None):
            hint = (
                "write distinct(x of …)"
                if function == "distinct"
                else "write distinct(x of …) to count different values"
            )
            needs = "needs a value before" if node.value is None else "takes no value before"
            low.report.add(
                "bad-counter",
                f"`{function}` {needs} `of`",
                node.span,
                hint=hint,
            )
            return False
        return True
    if function in NOT_YET:
        low.report.add(
            "not-yet",
            f"the counter `{function}` does not run in this version yet",
            node.span,
            hint="count and distinct do",
        )
        return False
    low.report.add(
        "unknown-function",
        f"there is no counter `{function}`",
        node.function.span,
        hint=did_you_mean(function, ["count", "distinct", *NOT_YET]),
    )
    return False


def _window(low: Lowerer, node: tree.Counter, scope: Scope) -> tuple[int | None, int | str] | None:
    if node.within is None and not node.ever:
        low.report.add(
            "bad-counter",
            "this counter does not say how far back it looks",
            node.span,
            hint="write within 1h, or ever",
        )
        return None
    within: int | None = None
    if node.within is not None:
        within = low.constant(node.within, scope, "duration", "a window")
        if within is None or not _positive(low, within, node.within, "a window"):
            return None
    before: int | str = 0
    if node.before == "this":
        before = "this"
    elif isinstance(node.before, tree.Expr):
        ago = low.constant(node.before, scope, "duration", "what follows `before`")
        if ago is None or not _positive(low, ago, node.before, "what follows `before`"):
            return None
        before = ago
    return within, before


def _positive(low: Lowerer, value: int, written: tree.Expr, what: str) -> bool:
    if 0 < value <= MAX_WINDOW:
        return True
    hint = "write ever for a window without end" if value > 0 else "write a duration such as 10m"
    low.report.add(
        "bad-window", f"{what} must be longer than nothing and at most 3660d", written.span, hint=hint
    )
    return False


# --------------------------------------------------------------- what counts


def _store(low: Lowerer, node: tree.Counter, scope: Scope) -> Store | None:
    sources: list[StoreSource] = []
    failed = False
    for event, rule in _events(low, node):
        made = _source(low, node, event, rule, scope.shadow)
        failed = failed or made is None
        if made is not None:
            sources.append(made)
    if failed or not sources:
        return None
    if not _sources_agree(low, node, sources):
        return None
    if node.value is not None and len({s.event for s in sources}) < len(sources):
        low.report.add(
            "bad-counter",
            "one event would be looked at twice here",
            node.span,
            hint="name either the event or the rule that fires on it",
        )
        return None
    sources.sort(key=lambda s: (s.event, s.rule or ""))
    shadow = scope.shadow and any(s.rule is not None for s in sources)
    identity = _identity(low, node.function.name, sources, shadow)
    known = low.stores.get(identity)
    if known is not None:
        return known
    text = print_expression(replace(node, within=None, ever=False, before=None, reading=()))
    store = Store(identity, node.function.name, tuple(sources), text, shadow=shadow)  # type: ignore[arg-type]  # _known let only these two pass
    low.stores[identity] = store
    return store


def _events(low: Lowerer, node: tree.Counter) -> list[tuple[str, str | None]]:
    out: dict[tuple[str, str | None], None] = {}
    for written in node.events:
        if isinstance(written, tree.Name):
            ident = tree.Ident(written.name, span=written.span)
            for event in events_named(ident, low.symbols, low.report):
                out[(event, None)] = None
        elif isinstance(written, tree.Fired):
            name = written.rule.name
            rule = low.symbols.rules.get(name)
            if rule is None:
                low.report.add(
                    "unknown-rule",
                    f"there is no rule `{name}`",
                    written.rule.span,
                    hint=did_you_mean(name, low.symbols.rules),
                )
                continue
            for ident in rule.events:
                for event in low.symbols.members.get(ident.name, ()):
                    out[(event, name)] = None
        else:
            low.report.add(
                "bad-counter",
                "a counter counts events, shapes or `fired rule`",
                written.span,
                hint="write count(message by author within 1h)",
            )
    return list(out)


def _source(
    low: Lowerer, node: tree.Counter, event: str, rule: str | None, shadow: bool
) -> StoreSource | None:
    from quell.engine.lower import Scope

    scope = Scope(event, shadow=shadow, counting=True)
    keys = [low.typed(k, scope) for k in node.by]
    value = low.typed(node.value, scope) if node.value is not None else None
    where = low.condition(node.where, scope, "what follows `where`") if node.where is not None else None
    if (
        any(k is None for k in keys)
        or (node.value is not None and value is None)
        or (node.where is not None and where is None)
    ):
        return None
    lists = 0
    for made, written in zip(keys, node.by, strict=True):
        assert made is not None
        if not _countable(low, made[1], written, "a key"):
            return None
        lists += made[1].kind == "list"
    if lists > 1:
        low.report.add("bad-counter", "only one of a counter's keys may be a list", node.by[0].span)
        return None
    if (
        value is not None
        and node.value is not None
        and not _countable(low, value[1], node.value, "what is counted")
    ):
        return None
    return StoreSource(
        event, rule, tuple(k[0] for k in keys if k is not None), value[0] if value else None, where
    )


def _countable(low: Lowerer, type_: Type, written: tree.Expr, what: str) -> bool:
    element = _element(type_)
    if is_textual(element) or element.kind in ("number", "bool", "time", "duration"):
        return True
    low.report.add("bad-counter", f"{what} cannot be a {type_}", written.span)
    return False


def _sources_agree(low: Lowerer, node: tree.Counter, sources: list[StoreSource]) -> bool:
    first = sources[0]
    for other in sources[1:]:
        for i, written in enumerate(node.by):
            a = _element(low.graph(first.event)[first.keys[i]].type)
            b = _element(low.graph(other.event)[other.keys[i]].type)
            if common(a, b) is None:
                low.report.add(
                    "entity-mismatch",
                    f"this key is a {a.present()} on `{first.event}` and a {b.present()} on `{other.event}`",
                    written.span,
                )
                return False
        if node.value is not None and first.value is not None and other.value is not None:
            a = _element(low.graph(first.event)[first.value].type)
            b = _element(low.graph(other.event)[other.value].type)
            if common(a, b) is None:
                low.report.add(
                    "entity-mismatch",
                    f"what is counted is a {a.present()} on `{first.event}` "
                    f"and a {b.present()} on `{other.event}`",
                    node.value.span,
                )
                return False
    return True


def _element(type_: Type) -> Type:
    if type_.kind != "list" or type_.element is None:
        return type_
    return TEXT if type_.element.kind == "missing" else type_.element  # of `[]`, which may be of anything


def _identity(low: Lowerer, function: str, sources: list[StoreSource], shadow: bool) -> str:
    parts = [function, "shadow" if shadow else "live"]
    for s in sources:
        graph = low.graph(s.event)
        schema = low.symbols.schemas[s.event]
        rule = low.symbols.rules[s.rule] if s.rule is not None else None
        oldest = (rule.formerly[-1].name if rule.formerly else rule.name.name) if rule is not None else ""
        parts.append(repr((schema.wire, schema.when, oldest)))
        parts.extend(graph[n].identity for n in (*s.keys, *((s.value,) if s.value is not None else ())))
        parts.append(graph[s.where].identity if s.where is not None else "")
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


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
    if not node.reading and not _has_names(low, node, scope):
        return None
    typed = [low.typed(k, reading) for k in written]
    if any(t is None for t in typed):
        return None
    first = store.sources[0]
    lists = 0
    for i, made in enumerate(typed):
        assert made is not None
        counted = _element(low.graph(first.event)[first.keys[i]].type)
        lists += made[1].kind == "list"
        if not _readable(counted, _element(made[1])):
            low.report.add(
                "entity-mismatch",
                f"this counter's key is a {counted.present()}, and it is read under a {made[1]}",
                written[i].span,
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


def _read_here(key: tree.Expr) -> Iterator[tree.Name]:
    """The names that a key reads on the reading event. Inside a counter they are the counted event's."""
    stack: list[tree.Node] = [key]
    while stack:
        top = stack.pop()
        if isinstance(top, tree.Name):
            yield top
        stack.extend((top.reading or top.by) if isinstance(top, tree.Counter) else tree.children(top))


def _has_names(low: Lowerer, node: tree.Counter, scope: Scope) -> bool:
    """Whether the reading event has what the key names; else say that `as` is wanted."""
    schema = low.symbols.schemas.get(scope.event)
    for key in node.by:
        for inner in _read_here(key):
            if inner.name not in low.symbols.field_events:
                continue
            if schema is not None and schema.field(inner.name) is None:
                low.report.add(
                    "not-on-event",
                    f"`{scope.event}` has no `{inner.name}` to read this counter under",
                    key.span,
                    hint=f"say which of its fields to use: by {inner.name} as …",
                )
                return False
    return True


def _read(low: Lowerer, store: Store, keys: list[int], within: int | None, before: Any, scope: Scope) -> int:
    graph = low.graph(scope.event)
    clock = low.clock(scope.event)
    types = [graph[k].type for k in keys]
    listed = any(t.kind == "list" for t in types)
    maybe = any(t.optional for t in types) or (isinstance(before, int) and before > 0)
    type_ = list_of(NUMBER) if listed else NUMBER
    return graph.add(
        "counter",
        (*keys, clock),
        (store.identity, within, before),
        type_.maybe() if maybe else type_,
        bounds=(0, 2**53),
        whole=True,
    )
