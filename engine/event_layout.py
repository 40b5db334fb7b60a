"""The shape of an event's used fields: a tree of JSON keys, and the msgspec Structs made from it.

Every used field is a leaf of the tree. Types that nest are part of the tree too: a ``list<T>`` at
``$.tags`` stands at the same place as ``$.tags[*]``, and the fields of a record below its element. So
two fields that read the same list share one node. Fields that need the same place to hold values of
different kinds cannot share a Struct: `Clash` says so, and such an event is decoded the slow way.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from quell.engine.schema import Field, Segment
from quell.grammar.types import Type

MAX_LIST = 10_000
"""The most elements a list of an event may have, before and after ``[*]`` has flattened it."""

_LARGEST = 1.7976931348623157e308
_FINITE: Any = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
"""JSON has no other numbers; the bounds are for those of Python."""

_ID = re.compile(
    r"(?:^|[_\-.])(?:id|ids|key|number|no|num|code|zip|ref)s?$|[a-z](?:Id|ID|Ids|IDs|Number|Code)$"
)
_WHOLE = re.compile(r"-?[1-9][0-9]{0,17}|0")


class Clash(Exception):
    """Two uses of one place in the JSON that no single Struct can hold."""


@dataclass(slots=True)
class Node:
    """One place in the JSON. `role` is "" until something is put there, then "leaf", "object" or
    "list"; `kind` tells leaves apart; `attr` is the Struct attribute that holds the value."""

    role: str = ""
    kind: str = ""
    annotation: Any = None
    required: bool = False
    attr: str = ""
    children: dict[str, Node] = field(default_factory=dict)
    item: Node | None = None
    struct: type[msgspec.Struct] | None = None

    def _become(self, role: str) -> None:
        if self.role not in ("", role):
            raise Clash
        self.role = role

    def child(self, key: str) -> Node:
        """The node of `key` in this object, made where it is new."""
        self._become("object")
        return self.children.setdefault(key, Node())

    def element(self) -> Node:
        """The node that all elements of this list share."""
        self._become("list")
        if self.item is None:
            self.item = Node()
        return self.item

    def leaf(self, kind: str, annotation: Any) -> None:
        """Make this a place for one scalar."""
        self._become("leaf")
        if self.kind == "plain" and kind == "text":
            self.kind = ""  # a text and an id in one place: what both accept
        if self.kind == "text" and kind == "plain":
            return
        if self.kind not in ("", kind):
            raise Clash
        self.kind, self.annotation = kind, annotation


def add_field(root: Node, declared: Field) -> None:
    """Put the leaves of a field below `root`. Raises Clash where they do not fit, ValueError for a
    field whose path and type cannot go together."""
    node = _descend(root, declared.path, declared.required)
    _add_type(node, element_type(declared) if None in declared.path else declared.type, declared)


def element_type(declared: Field) -> Type:
    """The type of what ``[*]`` in a field's path collects."""
    if declared.type.kind != "list" or declared.type.element is None:
        raise ValueError(f"field {declared.name}: a path with [*] needs a list type")
    return declared.type.element


def add_leaf(root: Node, path: Iterable[Segment], kind: str, annotation: Any, required: bool) -> None:
    """Put one scalar at `path` that is no declared field (the event's type, a condition)."""
    _descend(root, path, required).leaf(kind, annotation)


def _descend(root: Node, path: Iterable[Segment], required: bool) -> Node:
    """The node at `path`. What is required makes every object above it required, up to a list:
    elements may be null."""
    node = root
    node._become("object")
    demanded = required
    for segment in path:
        node = node.child(segment) if isinstance(segment, str) else node.element()
        if not isinstance(segment, str):
            demanded = False
        node.required = node.required or demanded
    if node is root:
        raise Clash
    return node


def _add_type(node: Node, kind: Type, declared: Field) -> None:
    if kind.kind == "list" and kind.element is not None:
        _add_type(node.element(), kind.element, declared)
    elif kind.kind == "record":
        node._become("object")
        for inner in declared.record:
            add_field(node, inner)
    elif kind.kind == "text" and declared.type is kind and not _like_an_id(declared):
        node.leaf("plain", str)
    else:
        node.leaf(*_leaf(kind))


def _like_an_id(declared: Field) -> bool:
    """Whether a text may well arrive as an integer, going by the name of its place. Other texts that do
    are read the slow way, to the same value: the fast way is spared looking at the class of each."""
    keys = [s for s in declared.path if isinstance(s, str)]
    return bool(keys) and _ID.search(keys[-1]) is not None


def _leaf(kind: Type) -> tuple[str, Any]:
    """The name and annotation of a scalar's raw form: one name, one annotation."""
    if kind.kind == "enum":
        wholes = tuple(int(v) for v in kind.values if _WHOLE.fullmatch(v))
        return f"enum {kind.values!r}", Literal[(*kind.values, *wholes)]
    raw: Mapping[str, tuple[str, Any]] = {
        "text": ("text", int | str),
        "entity": ("text", int | str),
        "number": ("number", _FINITE),
        "bool": ("bool", bool),
        "time": ("time", datetime | int | float),
        "duration": ("duration", int | float | str),
        "ip": ("ip", str),
    }
    if kind.kind not in raw:
        raise ValueError(f"no event can carry a {kind.kind}")
    return raw[kind.kind]


def enum_has_integers(kind: Type) -> bool:
    """Whether a member of the enum is spelled as an integer, so that JSON integers can stand for it."""
    return any(_WHOLE.fullmatch(v) for v in kind.values)


def build_struct(node: Node, name: str, spare: Iterable[str] = (), **config: Any) -> type[msgspec.Struct]:
    """Make the Structs of an object node, innermost first, and name the attributes of its children.

    `spare` are attributes that hold no JSON: typed None, so that a key of that name in an event either
    changes nothing (null) or fails and is decoded the slow way. Raises Clash for a key that no Struct
    can name.
    """
    taken = set(spare)
    fields: list[tuple[str, Any, Any] | tuple[str, Any]] = []
    rename: dict[str, str] = {}
    optional: list[tuple[str, Any, Any]] = [(attr, type(None), None) for attr in taken]
    optional.sort(key=lambda row: row[0])
    for key, child in node.children.items():
        child.attr = _attribute(key, taken)
        rename[child.attr] = key
        shape = _annotate(child, f"{name}_{child.attr}")
        if child.required:
            fields.append((child.attr, shape))
        else:
            optional.append((child.attr, shape | None, None))
    try:
        node.struct = msgspec.defstruct(name, [*fields, *optional], rename=rename, gc=False, **config)
    except (ValueError, UnicodeError) as error:
        raise Clash from error
    return node.struct


def _annotate(node: Node, name: str) -> Any:
    if node.role == "leaf":
        return node.annotation
    if node.role == "object":
        return build_struct(node, name)
    if node.item is None:
        raise Clash
    element: Any = _annotate(node.item, name)
    return Annotated[list[element | None], msgspec.Meta(max_length=MAX_LIST)]


def _attribute(key: str, taken: set[str]) -> str:
    """An attribute name close to `key`, new among `taken`, and added to them."""
    base = re.sub(r"[^A-Za-z0-9_]", "_", key)
    if not base or not base[0].isalpha():
        base = "k_" + base.lstrip("_")
    if keyword.iskeyword(base):
        base += "_"
    attr, count = base, 2
    while attr in taken:
        attr, count = f"{base}_{count}", count + 1
    taken.add(attr)
    return attr
