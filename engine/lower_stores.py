"""What is counted: the events of a counter, their keys and values, as a store that its readings share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quell.engine.lower_operators import common
from quell.engine.lowered import Store, StoreKind, StoreSource
from quell.engine.resolve import events_named
from quell.grammar import tree
from quell.grammar.diagnostics import did_you_mean
from quell.grammar.printer import print_expression
from quell.grammar.types import NUMBER, TEXT, Type, is_textual

if TYPE_CHECKING:
    from quell.engine.lower import Lowerer


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reading asks of a store: what is kept, the value that is counted or remembered, what windows
    are rounded to, and whether the firings that shadow rules keep for the record count."""

    kind: StoreKind
    value: tree.Expr | None
    resolution: int | None
    shadow: bool


def store_of(low: Lowerer, node: tree.Counter, wanted: Wanted) -> Store | None:
    """The store that a counter is read from; None, and reported, when it cannot be filled."""
    sources: list[StoreSource] = []
    failed = False
    for event, rule in _events(low, node):
        made = _source(low, node, wanted, event, rule)
        failed = failed or made is None
        if made is not None:
            sources.append(made)
    if failed or not sources or not _sources_agree(low, node, wanted, sources):
        return None
    twice = wanted.kind in ("distinct", "number") and len({s.event for s in sources}) < len(sources)
    if twice:
        low.report.add(
            "bad-counter",
            "one event would be looked at twice here",
            node.span,
            hint="name either the event or the rule that fires on it; for several rules, count the firings "
            "of one more rule that looks at them",
        )
        return None
    sources.sort(key=lambda s: (s.event, s.rule or ""))
    shadow = wanted.shadow and any(s.rule is not None for s in sources)
    identity = _identity(low, wanted, sources, shadow)
    known = low.stores.get(identity)
    if known is not None:
        return known
    store = Store(
        identity, wanted.kind, tuple(sources), _text(low, node, wanted, sources), wanted.resolution,
        shadow=shadow,
    )  # fmt: skip
    if wanted.resolution is not None:
        store.span = node.resolution.span if node.resolution is not None else node.span
        store.exact = _identity(low, replace(wanted, resolution=None), sources, shadow)
    low.stores[identity] = store
    return store


def _text(low: Lowerer, node: tree.Counter, wanted: Wanted, sources: list[StoreSource]) -> str:
    """What is counted, in the words of the reading that says most plainly what is kept."""
    word = {"count": "count", "distinct": "distinct", "number": "sum", "event": "last"}[wanted.kind]
    if wanted.kind == "number" and value_type(low, sources).kind == "time":
        word = "max"
    plain = replace(
        node, function=tree.Ident(word), within=None, ever=False, per=None, before=None, reading=()
    )
    if wanted.kind == "event":
        assert isinstance(wanted.value, tree.Name)
        return print_expression(tree.Attribute(plain, tree.Ident(wanted.value.name)))
    return print_expression(plain)


# -------------------------------------------------------------------- events


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
    low: Lowerer, node: tree.Counter, wanted: Wanted, event: str, rule: str | None
) -> StoreSource | None:
    from quell.engine.lower import Scope

    scope = Scope(event, shadow=wanted.shadow, counting=True)
    keys = [low.typed(k, scope) for k in node.by]
    value = low.typed(wanted.value, scope) if wanted.value is not None else None
    where = low.condition(node.where, scope, "what follows `where`") if node.where is not None else None
    if (
        any(k is None for k in keys)
        or (wanted.value is not None and value is None)
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
    if value is not None and wanted.value is not None and not _fits(low, wanted, value[1], wanted.value):
        return None
    return StoreSource(
        event, rule, tuple(k[0] for k in keys if k is not None), value[0] if value else None, where
    )


def _fits(low: Lowerer, wanted: Wanted, type_: Type, written: tree.Expr) -> bool:
    if wanted.kind != "event":
        return _countable(low, type_, written, "what is counted")
    if type_.kind not in ("missing", "regex"):
        return True
    low.report.add("bad-counter", f"a {type_} cannot be remembered of an event", written.span)
    return False


def _countable(low: Lowerer, type_: Type, written: tree.Expr, what: str) -> bool:
    inner = element(type_)
    if is_textual(inner) or inner.kind in ("number", "bool", "time", "duration"):
        return True
    low.report.add("bad-counter", f"{what} cannot be a {type_}", written.span)
    return False


def _sources_agree(low: Lowerer, node: tree.Counter, wanted: Wanted, sources: list[StoreSource]) -> bool:
    first = sources[0]
    for other in sources[1:]:
        for i, written in enumerate(node.by):
            a = element(low.graph(first.event)[first.keys[i]].type)
            b = element(low.graph(other.event)[other.keys[i]].type)
            if common(a, b) is None:
                low.report.add(
                    "entity-mismatch",
                    f"this key is a {a.present()} on `{first.event}` and a {b.present()} on `{other.event}`",
                    written.span,
                )
                return False
        if wanted.value is None or first.value is None or other.value is None:
            continue
        a, b = (low.graph(s.event)[s.value or 0].type for s in (first, other))
        if wanted.kind != "event":
            a, b = element(a), element(b)
        if common(a, b) is None:
            what = "what is counted" if wanted.kind != "event" else f"`{_name(wanted.value)}`"
            low.report.add(
                "entity-mismatch",
                f"{what} is a {a.present()} on `{first.event}` and a {b.present()} on `{other.event}`",
                wanted.value.span,
            )
            return False
    return True


def _name(written: tree.Expr) -> str:
    return written.name if isinstance(written, tree.Name) else "this"


def element(type_: Type) -> Type:
    """The type of one key or value: a list stands for its elements."""
    if type_.kind != "list" or type_.element is None:
        return type_
    return TEXT if type_.element.kind == "missing" else type_.element  # of `[]`, which may be of anything


def value_type(
    low: Lowerer, sources: list[StoreSource] | tuple[StoreSource, ...], whole: bool = False
) -> Type:
    """The type of one counted value, on all sources; with `whole`, of the value as it stands, a list as a
    list."""
    out: Type | None = None
    for source in sources:
        assert source.value is not None
        type_ = low.graph(source.event)[source.value].type
        here = type_ if whole else element(type_)
        out = here if out is None else common(out, here)
        assert out is not None  # `_sources_agree` held
    assert out is not None
    return out


def total_type(low: Lowerer, store: Store) -> Type:
    """The type of what a count, a distinct or a sum of a store gives."""
    return value_type(low, store.sources) if store.kind == "number" else NUMBER


def value_bounds(low: Lowerer, store: Store) -> tuple[tuple[float, float], bool]:
    """The least and greatest value that a store counts, and whether all are whole; a list's elements may be
    any."""
    low_end, high_end, whole = float("inf"), float("-inf"), True
    for source in store.sources:
        assert source.value is not None
        node = low.graph(source.event)[source.value]
        bounds, here = node.bounds, node.whole
        if node.type.kind == "list":
            from quell.engine.lower import EXTENT

            kind = element(node.type).kind
            bounds, here = EXTENT.get(kind, (float("-inf"), float("inf"))), kind != "number"
        low_end, high_end, whole = min(low_end, bounds[0]), max(high_end, bounds[1]), whole and here
    return (low_end, high_end), whole


def _identity(low: Lowerer, wanted: Wanted, sources: list[StoreSource], shadow: bool) -> str:
    parts = [wanted.kind, "shadow" if shadow else "live"]
    if wanted.resolution is not None:
        parts.append(f"resolution {wanted.resolution}")
    for s in sources:
        graph = low.graph(s.event)
        schema = low.symbols.schemas[s.event]
        rule = low.symbols.rules[s.rule] if s.rule is not None else None
        oldest = (rule.formerly[-1].name if rule.formerly else rule.name.name) if rule is not None else ""
        parts.append(repr((schema.wire, schema.when, oldest)))
        parts.extend(graph[n].identity for n in (*s.keys, *((s.value,) if s.value is not None else ())))
        parts.append(graph[s.where].identity if s.where is not None else "")
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
