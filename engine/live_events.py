"""Entities and the id of an event, read out of its JSON when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from quell.engine.compile import Build
from quell.engine.events import Decoded, Decoder
from quell.engine.live_types import CUT, Entity, EventText
from quell.engine.schema import EventSchema, Field
from quell.grammar.types import Type

MOST_ENTITIES = 200
"""Entities of one event that are told."""
MOST_TEXT = 200_000
"""Characters of an event that are shown."""

Reader = Callable[[Any, int], Any]


class Entities:
    """Reads the entities of events as one version of a bundle declares them."""

    def __init__(self, bundle: Build) -> None:
        analysis = bundle.analysis
        schemas = list(analysis.symbols.schemas.values())
        fields = {s.name: [f for f in s.fields if _kinds(f)] for s in schemas}
        used = {s.name: {s.at, *(f.name for f in fields[s.name])} for s in schemas}
        settings = analysis.files.settings
        self._decoder = Decoder(schemas, used, settings.type_path, settings.max_bytes)
        self._readers = {s.name: [(f, self._reader(s, f)) for f in fields[s.name]] for s in schemas}
        self.fixed = frozenset(s.name for s in schemas if any(_has_default(f) for f in fields[s.name]))
        """Events whose entities need not stand in their JSON, as a default may give them."""

    def _reader(self, schema: EventSchema, field: Field) -> Reader:
        leaf = self._decoder.loader(schema.name, field.name)
        made: Reader = eval(f"lambda e, at: {leaf.source}", dict(leaf.helpers))
        return made

    def of(self, event: bytes, most: int = MOST_ENTITIES) -> list[Entity]:
        """The entities that an event names, in the order of its fields, each once; none where it cannot be
        read."""
        decoded = self._decoder.decode(event)
        if not isinstance(decoded, Decoded):
            return []
        found: dict[Entity, None] = {}
        for field, read in self._readers[decoded.event]:
            for entity in _entities(field.name, field, read(decoded.e, decoded.at)):
                found[entity] = None
                if len(found) == most:
                    return list(found)
        return list(found)


def _kinds(field: Field) -> bool:
    """Whether a field can hold entities."""
    return _entity(field.type) is not None or any(_kinds(inside) for inside in field.record)


def _has_default(field: Field) -> bool:
    return field.has_default or any(_has_default(inside) for inside in field.record)


def _entity(type_: Type) -> str | None:
    if type_.kind == "list" and type_.element is not None:
        type_ = type_.element
    return type_.name if type_.kind == "entity" else None


def _entities(path: str, field: Field, value: Any) -> Iterator[Entity]:
    if value is None:
        return
    kind = _entity(field.type)
    for one in value if isinstance(value, list) else [value]:
        if kind is not None:
            yield Entity(path, kind, one)
        elif isinstance(one, dict):
            for inside in field.record:
                if _kinds(inside):
                    yield from _entities(f"{path}.{inside.name}", inside, one.get(inside.name))


def shortened(entities: list[Entity]) -> list[Entity]:
    """The same with ids cut to what a summary holds."""
    return [e if len(e.id) <= CUT else Entity(e.field, e.kind, e.id[:CUT]) for e in entities]


def shown(event: bytes, most: int = MOST_TEXT) -> EventText:
    """An event as people read it: numbers and escapes as they came, laid out over lines where it is JSON."""
    try:
        event.decode()
        text, json = msgspec.json.format(event, indent=2).decode(), True
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text, json = event[: 4 * most].decode(errors="replace"), False
    return EventText(text[:most], json, len(event), len(text) > most)
