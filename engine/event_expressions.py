"""Pieces of generated Python: how a raw value is reached, and the helpers that generated code calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from quell.engine.event_layout import MAX_LIST, Node
from quell.engine.schema import Segment
from quell.grammar.types import Type
from quell.signals.values import Unfit, address, fit, micros, named, nth, ordered, span


def bounded(values: list[Any] | None) -> list[Any] | None:
    """`values`, unless ``[*]`` twice made more of them than a list may hold: then Unfit."""
    if values is not None and len(values) > MAX_LIST:
        raise Unfit("too-many", f"at most {MAX_LIST:,} elements")
    return values


def must(value: Any) -> Any:
    """`value`, which a record cannot be without."""
    if value is None:
        raise Unfit("missing-field", "a value")
    return value


HELPERS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (micros, span, address, named, nth, bounded, must, fit, ordered)
}


def chain(base: str, node: Node, path: Sequence[Segment]) -> tuple[str, Node, bool]:
    """The source of the raw value at `path` below `base` (present), its node, and whether it can be
    None. The path has no ``[*]``."""
    expression, guards, maybe = base, list[str](), False
    for segment in path:
        if isinstance(segment, str):
            if maybe:
                guards.append(expression)
            node = node.children[segment]
            expression, maybe = f"{expression}.{node.attr}", not node.required
        else:
            whole = " and ".join([*guards, expression])
            node = node.element()
            expression, guards, maybe = f"nth({whole}, {segment})", [], True
    return " and ".join([*guards, expression]), node, maybe or bool(guards)


def wrap(source: str) -> str:
    return source if is_chain(source) else f"({source})"


def is_chain(source: str) -> bool:
    return source.replace(".", "_").isidentifier()


def present(x: str, element: Type, name: str = "") -> str:
    if element.kind == "entity":
        return f'{x} is not None and {name or x} != ""'
    return f"{x} is not None"


def plain_name(name: str) -> str:
    """`name` with only what may stand in a Python name."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


class _Nested(Exception):
    """Lists stand inside lists."""


def sound_source(root: Node) -> str | None:
    """The source of ``sound(e, record)``, which raises Unfit where a Struct that msgspec made of a
    Python dict holds what none made of JSON could; None where lists stand inside lists."""
    try:
        lines = _sound(root, "e", ())
    except _Nested:
        return None
    return "def sound(e, record):\n" + "".join(f"    {line}\n" for line in lines or ["return"])


def _sound(node: Node, x: str, path: tuple[str, ...] | None) -> list[str]:
    """The lines for a node that is present at `x`; `path` leads to it from the record, unless a list
    stands between."""
    if node.role == "leaf":
        return [f"fit({x})"] if node.kind in ("text", "plain") or node.kind.startswith("enum") else []
    if node.role == "list":
        if path is None:
            raise _Nested
        inner = _guarded("x", node.element(), None)
        loop = [f"for x in {x} or ():", *(f"    {line}" for line in inner)] if inner else []
        return [f"ordered(record, {path!r})", *loop]
    lines: list[str] = []
    for key, child in node.children.items():
        lines += _guarded(f"{x}.{child.attr}", child, None if path is None else (*path, key))
    return lines


def _guarded(x: str, node: Node, path: tuple[str, ...] | None) -> list[str]:
    lines = _sound(node, x, path)
    if node.role != "object" or (node.required and path is not None) or not lines:
        return lines
    return [f"if {x} is not None:", *(f"    {line}" for line in lines)]
