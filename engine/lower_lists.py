"""Lists, records, tables, quantifiers and scores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from quell.engine.graph import ELEMENTS
from quell.engine.lower_operators import common, list_identity, maybe, negate
from quell.engine.operations import EXACT, total
from quell.grammar import tree
from quell.grammar.diagnostics import did_you_mean
from quell.grammar.types import BOOL, NUMBER, TEXT, Type, is_event, is_textual, list_of, record
from quell.signals.functions import REGISTRY

if TYPE_CHECKING:
    from quell.engine.lower import Lowerer, Scope

MAX_DEPTH = 16
"""How many element variables may stand inside one another."""
_ELEMENT = "\0element"
_EMPTY = list_of(Type("missing"))
"""The type of `[]`, which goes with a list of anything."""


def literal(low: Lowerer, node: tree.ListLiteral, scope: Scope) -> int | None:
    """`[a, b]`."""
    plain = [i.plain for i in node.items if isinstance(i, tree.Text)]
    if node.items and len(plain) == len(node.items) and None not in plain:
        return low.graph(scope.event).const(tuple(plain), list_of(TEXT))  # most lists are of words
    made = [low.typed(i, scope) for i in node.items]
    if any(m is None for m in made):
        return None
    items = [m for m in made if m is not None]
    if not items:
        return low.graph(scope.event).const((), _EMPTY)
    element: Type | None = items[0][1]
    for (_, type_), written in zip(items[1:], node.items[1:], strict=True):
        assert element is not None
        joined = common(element, type_)
        if joined is None:
            low.report.add(
                "type-mismatch", f"this is a {type_} in a list of {element.present()}", written.span
            )
            return None
        element = joined
    assert element is not None
    if element.kind in ("regex", "missing", "list"):
        low.report.add("type-mismatch", f"a list cannot hold a {element}", node.span)
        return None
    graph = low.graph(scope.event)
    if all(graph.is_const(n) for n, _ in items):
        return graph.const(
            tuple(v for v in (graph.value(n) for n, _ in items) if v is not None), list_of(element)
        )
    return graph.add("list", [n for n, _ in items], (), list_of(element))


def stray_record(low: Lowerer, node: tree.Record, scope: Scope) -> int | None:
    """`{ … }` where no record can stand."""
    low.report.add("type-mismatch", "a record stands only after `given …` and `send …`", node.span)
    return None


# --------------------------------------------------------------- attributes


def attribute(low: Lowerer, node: tree.Attribute, scope: Scope) -> int | None:
    """`x.name`: a field of a record or table row, or a function of one argument; over a list, of each."""
    target = low.typed(node.target, scope, events=True)
    if target is None:
        return None
    made, type_ = target
    if is_event(type_):
        from quell.engine.lower_counted_events import of_event

        return of_event(low, made, node.name, scope)
    if type_.kind != "list":
        return _attribute(low, made, node.name, scope)
    element = type_.element
    assert element is not None
    if element.kind == "list":
        low.report.add("unknown-field", f"a list of lists has no `{node.name.name}`", node.name.span)
        return None
    variable = _bind(low, made, element, scope, node)
    if variable is None:
        return None
    inner = replace(scope, depth=scope.depth + 1)
    body = _attribute(low, variable, node.name, inner)
    if body is None:
        return None
    graph = low.graph(scope.event)
    result = graph[body].type
    if result.kind == "list":
        low.report.add("type-mismatch", f"`.{node.name.name}` would make a list of lists", node.name.span)
        return None
    return graph.add("map", (made, body), graph[variable].data, maybe(list_of(result), type_))


def _bind(low: Lowerer, source: int, element: Type, scope: Scope, node: tree.Expr) -> int | None:
    if scope.depth >= MAX_DEPTH:
        low.report.add(
            "too-deep", f"more than {MAX_DEPTH} lists are gone through inside one another", node.span
        )
        return None
    graph = low.graph(scope.event)
    known = TEXT if element.kind == "missing" else element.present()  # nothing is ever in `[]`
    return graph.add("element", (), (source * ELEMENTS + scope.depth,), known)


def _attribute(low: Lowerer, target: int, name: tree.Ident, scope: Scope) -> int | None:
    graph = low.graph(scope.event)
    type_ = graph[target].type
    if type_.kind == "record":
        columns = record_columns(low, type_.name)
        if name.name not in columns:
            low.report.add(
                "unknown-field",
                f"`{type_.name}` has no `{name.name}`",
                name.span,
                hint=did_you_mean(name.name, columns) or f"it has {', '.join(columns)}",
            )
            return None
        found = columns[name.name]
        return graph.add("get", (target,), (name.name,), maybe(found, type_))
    row = REGISTRY.get(name.name)
    if row is not None and row.attribute and is_textual(type_):
        from quell.engine.lower_calls import apply

        return apply(low, row, [(target, type_)], scope, name.span)
    attributes = [r.name for r in REGISTRY.rows() if r.attribute]
    if is_textual(type_):
        low.report.add(
            "unknown-field",
            f"a {type_.present()} has no `{name.name}`",
            name.span,
            hint=_instead_of_attribute(name.name, type_, attributes),
        )
    else:
        low.report.add("unknown-field", f"a {type_.present()} has no `{name.name}`", name.span)
    return None


def record_columns(low: Lowerer, name: str) -> dict[str, Type]:
    """The fields of a shape, or the columns of a table, with their types."""
    if name in low.symbols.shape_fields:
        return {f.name: f.type for f in low.symbols.shape_fields[name]}
    from quell.engine.resolve import named_type

    if name in low.remotes:
        return dict(low.remotes[name].gives)
    declared = low.symbols.lists[name]
    columns: dict[str, Type] = {}
    for column in declared.columns:
        type_ = named_type(column.type, low.symbols, low.report)
        columns[column.name.name] = (type_ or TEXT).maybe()
    return columns


def with_columns(low: Lowerer, type_: Type) -> Type:
    """The type with the columns of the records in it, as showing or sending its values needs them."""
    if type_.kind == "list" and type_.element is not None:
        return replace(type_, element=with_columns(low, type_.element))
    if type_.kind != "record":
        return type_
    columns = record_columns(low, type_.name).items()
    return replace(type_, columns=tuple((name, with_columns(low, column)) for name, column in columns))


def index(low: Lowerer, node: tree.Index, scope: Scope) -> int | None:
    """`table[key]`."""
    target = node.target
    if (
        not isinstance(target, tree.Name)
        or target.name not in low.symbols.lists
        or target.name in scope.names
    ):
        made = (
            low.typed(target, scope)
            if not (isinstance(target, tree.Name) and target.name in low.symbols.lists)
            else None
        )
        if made is not None:
            hint = (
                "first(…), last(…) and [x of … where …] look into lists" if made[1].kind == "list" else None
            )
            low.report.add("type-mismatch", f"a {made[1]} has no rows to look up", node.span, hint=hint)
        return None
    declared = low.symbols.lists[target.name]
    if not declared.columns:
        low.report.add(
            "type-mismatch",
            f"`{target.name}` has no columns to look up",
            node.span,
            hint=f"write … in {target.name}, or declare it from a CSV with `gives`",
        )
        return None
    key = low.typed(node.key, scope)
    if key is None:
        return None
    if not is_textual(key[1]):
        low.report.add(
            "type-mismatch",
            f"rows of `{target.name}` are looked up by text, and this is a {key[1]}",
            node.key.span,
        )
        return None
    said = list_identity(low, target.name)
    return low.graph(scope.event).add(
        "list_row", (key[0],), (target.name,), record(target.name).maybe(), said=said
    )


# -------------------------------------------------------------- quantifiers


def quantified(low: Lowerer, node: tree.Quantified, scope: Scope) -> int | None:
    """`any xs > 3`, `all links.domain in good`, `none flags`."""
    inner = node.operand
    while isinstance(inner, tree.Group):
        inner = inner.inner
    if isinstance(inner, tree.Quantified):
        low.report.add(
            "syntax", f"`{node.quantifier}` stands directly before `{inner.quantifier}`", node.span
        )
        return None
    subject = _subject(inner)
    source = low.typed(subject, scope)
    if source is None:
        return None
    made, type_ = source
    if type_.kind != "list":
        low.report.add(
            "type-mismatch",
            f"`{node.quantifier}` goes through a list, and this is a {type_}",
            subject.span,
            hint=f"leave out `{node.quantifier}`",
        )
        return None
    element = type_.element
    assert element is not None
    variable = _bind(low, made, element, scope, node)
    if variable is None:
        return None
    name = f"{_ELEMENT}{scope.depth}"
    body = low.condition(
        _with_subject(inner, tree.Name(name, span=subject.span)), scope.bind(name, variable), "an element"
    )
    if body is None:
        return None
    return _quantify(low, node.quantifier, made, variable, body, scope)


def _quantify(low: Lowerer, quantifier: str, source: int, variable: int, body: int, scope: Scope) -> int:
    graph = low.graph(scope.event)
    type_ = maybe(BOOL, graph[source].type, graph[body].type)
    op = "all" if quantifier == "all" else "any"
    made = graph.add(op, (source, body), graph[variable].data, type_)
    return negate(low, made, scope) if quantifier == "none" else made


def _subject(node: tree.Expr) -> tree.Expr:
    if isinstance(node, tree.Compare):
        return node.first
    if isinstance(node, tree.Word):
        return node.left
    if isinstance(node, tree.Is):
        return node.operand
    return node


def _with_subject(node: tree.Expr, subject: tree.Expr) -> tree.Expr:
    if isinstance(node, tree.Compare):
        return replace(node, first=subject)
    if isinstance(node, tree.Word):
        return replace(node, left=subject)
    if isinstance(node, tree.Is):
        return replace(node, operand=subject)
    return subject


def filtered(low: Lowerer, node: tree.Filter, scope: Scope) -> int | None:
    """`[x of xs where C]`."""
    source = low.typed(node.source, scope)
    if source is None:
        return None
    made, type_ = source
    if type_.kind != "list" or type_.element is None:
        low.report.add(
            "type-mismatch", f"elements are taken from a list, and this is a {type_}", node.source.span
        )
        return None
    if node.condition is None:
        return made
    name = node.variable.name
    if name in scope.names or name in low.symbols.values():
        low.report.add(
            "shadowed-name",
            f"`{name}` is also the name of something else",
            node.variable.span,
            hint="give this one another name",
        )
    variable = _bind(low, made, type_.element, scope, node)
    if variable is None:
        return None
    body = low.condition(node.condition, scope.bind(name, variable), "what follows `where`")
    if body is None:
        return None
    graph = low.graph(scope.event)
    return graph.add("filter", (made, body), graph[variable].data, type_)


# ------------------------------------------------------------------- scores


def score(low: Lowerer, declared: tree.Score, scope: Scope) -> int | None:
    """The points of every line whose condition is true."""
    if not low.enter(declared.name.name, declared.name.span):
        return None
    try:
        held = [low.condition(i.condition, scope, "what follows `when`") for i in declared.items]
    finally:
        low.leave()
    if any(h is None for h in held):
        return None
    points = tuple(i.points for i in declared.items)
    try:
        least, most = total([p for p in points if p < 0]), total([p for p in points if p > 0])
    except OverflowError:
        low.report.add("bad-number", "these points add up to more than a number can be", declared.name.span)
        return None
    whole = all(isinstance(p, int) for p in points) and least >= -EXACT and most <= EXACT
    return low.graph(scope.event).add(
        "score", [h for h in held if h is not None], points, NUMBER, bounds=(least, most), whole=whole
    )


def reasons(low: Lowerer, declared: tree.Score, scope: Scope) -> int | None:
    """The reasons of every line whose condition is true and that gives one."""
    from quell.engine.lower import template

    args: list[int] = []
    for item in declared.items:
        if item.because is None:
            continue
        held = low.condition(item.condition, scope, "what follows `when`")
        text = template(low, item.because, scope, "tell")
        if held is None or text is None:
            return None
        args.extend((held, text))
    if not args:
        return low.graph(scope.event).const((), list_of(TEXT))
    return low.graph(scope.event).add("reasons", args, (), list_of(TEXT))


def _instead_of_attribute(name: str, type_: Type, attributes: list[str]) -> str:
    if type_.kind == "entity" and name == "id":
        return f"a {type_.present()} is its id: leave `.id` out"
    return did_you_mean(name, attributes) or f"text has {', '.join(attributes)}"
