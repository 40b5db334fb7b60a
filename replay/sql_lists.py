"""Lists and records in SQL, whose elements are never NULL."""

from __future__ import annotations

from collections.abc import Sequence

from quell.engine.graph import Node
from quell.replay.sql_form import Around, Form, element, maybe, plain
from quell.replay.sql_values import plain_literal


def _list(w: Around, node: Node, a: Sequence[str]) -> str:
    assert node.type.element is not None
    text = f"[{', '.join(w.like(n, node.type.element) for n in node.args)}]"
    if any(w.graph[n].type.optional for n in node.args):
        return f"list_filter({text}, lambda el_p: el_p IS NOT NULL)"
    return text


def _has(w: Around, node: Node, a: Sequence[str]) -> str:
    found = f"list_contains({a[0]}, {a[1]})"
    # An empty list holds nothing, says DuckDB, whatever is looked for.
    return f"CASE WHEN {a[1]} IS NOT NULL THEN {found} END" if maybe(w, node.args[1]) else found


def _in_set(w: Around, node: Node, a: Sequence[str]) -> str:
    kind = w.graph[node.args[0]].type.kind
    if not node.data:
        return f"CASE WHEN {a[0]} IS NOT NULL THEN FALSE END"
    return f"({a[0]} IN ({', '.join(plain_literal(v, kind) for v in node.data)}))"


def _get(w: Around, node: Node, a: Sequence[str]) -> str:
    return f"struct_extract({a[0]}, '{w.columns.place(w.graph[node.args[0]].type.name, node.data[0])}')"


def _map(w: Around, node: Node, a: Sequence[str]) -> str:
    text = f"list_transform({a[0]}, lambda {element(node)}: {a[1]})"
    if w.graph[node.args[1]].type.optional:
        return f"list_filter({text}, lambda el_p: el_p IS NOT NULL)"
    return text


def _filter(w: Around, node: Node, a: Sequence[str]) -> str:
    return f"list_filter({a[0]}, lambda {element(node)}: {a[1]})"


def some(node: Node, xs: str, body: str) -> str:
    """How many elements of a list have a condition."""
    return f"len(list_filter({xs}, lambda {element(node)}: {body}))"


def _listed(w: Around, node: Node, xs: str) -> str | None:
    """`any` of elements that equal a value, as DuckDB's own search of a list."""
    body = w.graph[node.args[1]]
    sides = [n for n in body.args if w.graph[n].op != "element" or w.graph[n].data != node.data]
    if body.type.optional or len(sides) == len(body.args):
        return None
    if body.op == "eq" and len(sides) == 1 and not w.graph[sides[0]].binders:
        return f"list_contains({xs}, {w.like(sides[0], body.type)})"
    return None


def _any(w: Around, node: Node, a: Sequence[str]) -> str:
    xs, body = a
    listed = _listed(w, node, xs)
    if listed is not None:
        return listed
    found = f"({some(node, xs, body)} > 0)"
    if not w.graph[node.args[1]].type.optional:
        return found
    unsure = f"({some(node, xs, f'{body} IS NULL')} > 0)"
    return f"CASE WHEN {found} THEN TRUE WHEN {unsure} THEN NULL WHEN {xs} IS NOT NULL THEN FALSE END"


def _all(w: Around, node: Node, a: Sequence[str]) -> str:
    xs, body = a
    failed = some(node, xs, f"NOT {body}")
    if not w.graph[node.args[1]].type.optional:
        return f"({failed} = 0)"
    unsure = f"({some(node, xs, f'{body} IS NULL')} > 0)"
    return f"CASE WHEN {failed} > 0 THEN FALSE WHEN {unsure} THEN NULL WHEN {xs} IS NOT NULL THEN TRUE END"


LISTS: dict[str, Form] = {
    "list": _list,
    "has": _has,
    "in_set": _in_set,
    "get": _get,
    "as_entity": plain("{0}"),
    "map": _map,
    "filter": _filter,
    "any": _any,
    "all": _all,
}
"""The forms of lists and records."""
