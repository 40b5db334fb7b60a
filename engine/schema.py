"""What the compiler knows of an event's shape, as the decoder, the test runner and replay need it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from quell.grammar.types import Type

Segment = str | int | None
"""One step of a JSON path: a key, an index, or None for every element (``[*]``)."""


@dataclass(frozen=True, slots=True)
class Field:
    """A declared field: where it stands in the JSON and what it must be.

    `default` is a run-time value used when the field is absent or null (then `type` is not optional);
    `has_default` tells a default from none. A field of a list of records has `record` set: the fields of
    each element, their paths relative to it.
    """

    name: str
    type: Type
    path: tuple[Segment, ...]
    default: Any = None
    has_default: bool = False
    record: tuple[Field, ...] = ()

    @property
    def required(self) -> bool:
        """Whether an event without this field is refused."""
        return not self.type.optional and not self.has_default


@dataclass(frozen=True, slots=True)
class EventSchema:
    """An event declaration after resolving shapes: `at` names the field that is the event's time."""

    name: str
    wire: str | None
    when: tuple[tuple[tuple[Segment, ...], str | int | float | bool], ...]
    fields: tuple[Field, ...]
    at: str
    _by_name: dict[str, Field] = field(init=False, repr=False, compare=False, hash=False)

    def field(self, name: str) -> Field | None:
        """The field called `name`, or None."""
        return self._by_name.get(name)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {f.name: f for f in self.fields})
