"""The types of the language.

A type is a small immutable value; `optional` says that it may be missing. Values at run time:

========== =====================================================================
bool       ``bool``
number     ``int`` or ``float``, finite; compares and divides as IEEE double
text       ``str`` without lone surrogates
time       ``int``, microseconds since 1970-01-01T00:00:00Z
duration   ``int``, microseconds
ip         ``str``, the canonical spelling of the address
entity     ``str``
one of     ``str``
list       ``list`` of present values
record     ``dict`` from field name to value (an element of a list of a shape)
table row  ``dict`` from column name to value
event      ``int``, the time it counts as of: what `first(…)` and `last(…)` stand for
missing    ``None``, for every type
========== =====================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

Kind = Literal[
    "bool",
    "number",
    "text",
    "time",
    "duration",
    "ip",
    "entity",
    "enum",
    "list",
    "record",
    "event",
    "regex",
    "missing",
    "var",
]


@dataclass(frozen=True, slots=True)
class Type:
    """One type. `name` is the entity, shape or type variable; `values` the members of an enum, or
    the kinds a type variable may stand for (empty: any). `columns` are a record's fields with their types,
    known where its values are shown, and no part of what makes two types equal."""

    kind: Kind
    name: str = ""
    element: Type | None = None
    values: tuple[str, ...] = ()
    optional: bool = False
    columns: tuple[tuple[str, Type], ...] = field(default=(), compare=False, repr=False)

    def maybe(self) -> Type:
        """This type, possibly missing."""
        return self if self.optional else replace(self, optional=True)

    def present(self) -> Type:
        """This type, never missing."""
        return replace(self, optional=False) if self.optional else self

    def __str__(self) -> str:
        mark = "?" if self.optional and self.kind != "missing" else ""
        if self.kind == "list":
            empty = self.element is not None and self.element.kind == "missing"
            return f"list{mark}" if empty else f"list<{self.element}>{mark}"
        if self.kind == "enum":
            return "one of [" + ", ".join(f'"{v}"' for v in self.values) + "]" + mark
        if self.kind in ("entity", "record", "var"):
            return self.name + mark
        return self.kind + mark


BOOL = Type("bool")
NUMBER = Type("number")
TEXT = Type("text")
TIME = Type("time")
DURATION = Type("duration")
IP = Type("ip")
EVENT = Type("event")
REGEX = Type("regex")
MISSING = Type("missing", optional=True)

PLAIN: dict[str, Type] = {
    "bool": BOOL,
    "number": NUMBER,
    "text": TEXT,
    "time": TIME,
    "duration": DURATION,
    "ip": IP,
}


def list_of(element: Type) -> Type:
    """The type of lists whose elements are present values of `element`."""
    return Type("list", element=element.present())


def entity(name: str) -> Type:
    """The nominal kind of text called `name`."""
    return Type("entity", name=name)


def record(name: str) -> Type:
    """An element shaped by the shape (or table) called `name`."""
    return Type("record", name=name)


def variable(name: str, *kinds: Kind) -> Type:
    """A type variable of a function's signature, standing for one of `kinds` (any when empty)."""
    return Type("var", name=name, values=kinds)


def is_event(t: Type) -> bool:
    """Whether values of `t` stand for a counted event, or are a list of such."""
    return t.kind == "event" or (t.kind == "list" and t.element is not None and t.element.kind == "event")


def is_textual(t: Type) -> bool:
    """Whether values of `t` are text at run time and may be used where text is expected."""
    return t.kind in ("text", "entity", "enum", "ip")
