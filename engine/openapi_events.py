"""The event types of a bundle as JSON schemas, and an example of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quell.engine.schema import EventSchema, Field, Segment
from quell.grammar.literals import spell_path
from quell.grammar.types import Type

Json = dict[str, Any]
EXAMPLE_TIME = "2026-01-01T12:00:00Z"
MAX_INDEX = 50
"""Elements of an example list before the one that a path names."""
_TIME_NUMBER: Json = {
    "type": "number",
    "minimum": -62_135_596_800_000_000,
    "maximum": 253_402_300_799_999_999,
    "description": "since 1970: seconds, milliseconds or microseconds, told apart by its size",
}
_SCALARS: dict[str, tuple[Json, Any]] = {
    "bool": ({"type": "boolean"}, False),
    "number": ({"type": "number"}, 1),
    "text": ({"type": ["string", "integer"]}, ""),
    "entity": ({"type": ["string", "integer"], "minLength": 1}, ""),
    "time": (
        {"anyOf": [{"type": "string", "format": "date-time"}, _TIME_NUMBER]},
        EXAMPLE_TIME,
    ),
    "duration": (
        {"anyOf": [{"type": "string", "description": "such as 1h30m, or ISO 8601"}, {"type": "number"}]},
        60,
    ),
    "ip": ({"type": "string"}, "203.0.113.7"),
}
"""The schema and an example of every type that is neither a list, a record nor one of several texts."""
_EXAMPLES = {"content": "hello", "name": "Ann", "email": "ann@example.org", "url": "https://example.org/"}


@dataclass(slots=True)
class _Node:
    """A place in the JSON of an event: what stands there, or what is inside."""

    schema: Json | None = None
    example: Any = None
    members: dict[str, _Node] = field(default_factory=dict)
    elements: _Node | None = None
    index: int = 0
    required: bool = False

    def at(self, path: tuple[Segment, ...], required: bool) -> _Node:
        """The place at a path below; what is required makes all above it required, up to a list."""
        node = self
        for segment in path:
            if isinstance(segment, str):
                node = node.members.setdefault(segment, _Node())
            else:
                node.elements = node.elements or _Node()
                node.index = max(node.index, segment or 0)
                node, required = node.elements, False
            node.required = node.required or required
        return node

    def put(self, schema: Json, example: Any) -> None:
        """Say what stands here; what was said first holds."""
        if self.schema is None:
            self.schema, self.example = schema, example

    def as_schema(self) -> Json:
        if self.members:
            kind = "object" if self.required else ["object", "null"]
            made: Json = {"type": kind, "properties": {k: n.as_schema() for k, n in self.members.items()}}
            required = [k for k, n in self.members.items() if n.required]
            return {**made, "required": required} if required else made
        if self.elements is not None:
            kind = "array" if self.required else ["array", "null"]
            return {"type": kind, "items": self.elements.as_schema()}
        return self.schema or {}

    def as_example(self) -> Any:
        if self.members:
            return {name: node.as_example() for name, node in self.members.items()}
        if self.elements is not None:
            return [self.elements.as_example()] * (min(self.index, MAX_INDEX) + 1)
        return self.example


def event_schema(schema: EventSchema, type_path: tuple[Segment, ...]) -> tuple[Json, Json]:
    """The JSON schema of an event type, and an example that it decodes."""
    root = _Node(required=True)
    if schema.wire is not None:
        root.at(type_path, True).put({"const": schema.wire}, schema.wire)
    for path, value in schema.when:
        root.at(path, True).put({"const": value}, value)
    for declared in schema.fields:
        _add(root, declared)
    made = root.as_schema()
    example = root.as_example()
    if not isinstance(example, dict):  # an event without a single named field
        example = {}
    return {**made, "title": schema.name, "examples": [example]}, example


def _add(root: _Node, declared: Field) -> None:
    node = root.at(declared.path, declared.required)
    kind = declared.type.present()
    if None in declared.path:  # the elements of a list are collected
        kind = kind.element or kind
    schema, example = _of(kind, declared)
    about = f"field `{declared.name}`, {declared.type}, at `{spell_path(declared.path)}`"
    if declared.has_default:
        about += "; may be left out"
    if not declared.required:
        schema = {"anyOf": [schema, {"type": "null"}]}
    node.put({**schema, "description": about}, example)


def _of(kind: Type, declared: Field) -> tuple[Json, Any]:
    if kind.kind == "list" and kind.element is not None:
        inner, example = _of(kind.element, declared)
        return {"type": "array", "items": {"anyOf": [inner, {"type": "null"}]}}, [example]
    if kind.kind == "record":
        return _record(declared)
    if kind.kind == "enum":
        return {"enum": list(kind.values)}, kind.values[0] if kind.values else ""
    schema, example = _SCALARS[kind.kind]
    if kind.kind == "text":
        example = _EXAMPLES.get(declared.name, f"{declared.name}-1")
    elif kind.kind == "entity":
        example = f"{kind.name.lower()}-1"
    return dict(schema), example


def _record(declared: Field) -> tuple[Json, Any]:
    root = _Node(required=True)
    for inner in declared.record:
        _add(root, inner)
    return root.as_schema(), root.as_example()


def event_schemas(schemas: Mapping[str, EventSchema], type_path: tuple[Segment, ...]) -> tuple[Json, Json]:
    """The schemas of all event types by the name of their component, and examples by event type."""
    components, examples = {}, {}
    for name, schema in schemas.items():
        components[f"event.{name}"], examples[name] = event_schema(schema, type_path)
    return components, examples
