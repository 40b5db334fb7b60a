"""What a history reads of each event: the fields that the bundle reads, as columns, and a decoder for them.

Besides what the bundle itself reads there are the entity that an event is about, and values that a report
wants. Neither may change which events are taken: the bundle's own decoder says so, and this one is the same
but for defaults, which are put in when a table is looked at, so that what an event lacks can be counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pyarrow as pa

from quell.engine.compile import Build
from quell.engine.event_expressions import HELPERS, chain
from quell.engine.event_layout import Clash, Node, add_leaf, build_struct
from quell.engine.event_plan import draft
from quell.engine.event_problems import Unread
from quell.engine.events import Decoder
from quell.engine.schema import EventSchema, Field, Segment
from quell.grammar.types import is_textual
from quell.replay.history_types import arrow_type, to_column
from quell.replay.train_labels import follow

Extras = Mapping[str, tuple[Segment, ...]]
"""Values to read beside what policies read: a column's name, and the path into the record. Columns hold
JSON."""
ENTITY = "its entity"
"""The field that is read besides, where no policy reads an event's entity. No policy can spell it."""
Row = Callable[[Any, int, int, int], tuple[Any, ...]]


def principal(schema: EventSchema) -> Field | None:
    """The field whose entity an event is about: the first that is one entity."""
    return next((f for f in schema.fields if f.type.kind == "entity"), None)


@dataclass(frozen=True, slots=True)
class EventReading:
    """What is read of one event type. `columns` are its fields with the columns that hold them, `stored`
    those that a table keeps (without `at`), as the fields are before defaults; `constants` are fields that
    the event's type tells. `entity` and `id` name the columns that hold them, or are empty."""

    index: int
    schema: EventSchema
    columns: tuple[tuple[str, Field], ...]
    stored: tuple[tuple[str, Field], ...]
    at: Field
    constants: Mapping[str, str]
    entity: str
    id: str
    row: Row

    def arrow(self, extras: int) -> pa.Schema:
        """The columns of a table of such events: `n`, `key`, `at`, the fields, the extras."""
        names = [("n", pa.int64()), ("key", pa.int64()), ("at", pa.int64())]
        names += [(c, arrow_type(f.type, f.record)) for c, f in self.stored]
        return pa.schema([*names, *((f"x{i}", pa.string()) for i in range(extras))])


class Reading:
    """What is read of all event types of a bundle, and how."""

    def __init__(self, build: Build, extras: Extras) -> None:
        self.build, self.extras = build, dict(extras)
        schemas = build.analysis.symbols.schemas
        settings = build.analysis.files.settings
        self.type_path = settings.type_path
        bare, used, plans = [], {}, []
        for name, schema in schemas.items():
            read = [f.name for f in schema.fields if build.reads(name, f.name)]
            main = principal(schema)
            more = () if main is None or main.name in read else (_entity(main),)
            bare.append(replace(schema, fields=(*(_bare(f, schema.at) for f in schema.fields), *more)))
            used[name] = [*read, *(f.name for f in more)]
            plans.append((schema, read, main, bool(more)))
        self.decoder = Decoder(bare, used, settings.type_path, settings.max_bytes)
        reader = replace(build, decoder=self.decoder)
        self.events = [
            self._event(i, plans[i], bare[i], used[name], reader) for i, name in enumerate(schemas)
        ]
        self.columns = build.decoder.columns()
        inside = {p[0] for p in self.extras.values() if p and isinstance(p[0], str) and "." not in p[0]}
        self.wide = frozenset((*self.columns, *self.decoder.columns(), *inside))

    def _event(
        self, index: int, plan: Any, bare: EventSchema, used: list[str], reader: Build
    ) -> EventReading:
        schema, read, main, apart = plan
        columns = tuple((f"f{i}", f) for i, f in enumerate(schema.fields) if f.name in read)
        stored = [(c, bare.fields[int(c[1:])]) for c, f in columns if f.name != schema.at]
        place = {f.name: c for c, f in columns}
        if apart:
            stored.append(("entity", bare.fields[-1]))
        entity = "" if main is None else place.get(main.name, "entity")
        id_ = schema.field("id")
        return EventReading(
            index,
            schema,
            columns,
            tuple(stored),
            next(f for f in schema.fields if f.name == schema.at),
            draft(index, bare, used, self.type_path).constants,
            entity,
            place["id"] if id_ is not None and is_textual(id_.type) else "",
            _row(reader, bare, [f for _, f in stored]),
        )


def _entity(main: Field) -> Field:
    return Field(ENTITY, main.type.maybe(), main.path)


def _bare(f: Field, at: str) -> Field:
    """A field without its default: missing where the default would be put in."""
    if not f.has_default or f.name == at:
        return f
    return replace(f, type=f.type.maybe(), default=None, has_default=False)


def _row(build: Build, schema: EventSchema, fields: list[Field]) -> Row:
    """The function of a decoded event that gives its row of a table."""
    helpers: dict[str, Any] = {}
    parts = []
    for i, f in enumerate(fields):
        leaf, make = build.decoder.loader(schema.name, f.name), to_column(f.type, f.record)
        helpers |= leaf.helpers
        if make is None:
            parts.append(f"({leaf.source})")
        else:
            helpers[f"_make{i}"] = make
            parts.append(f"(None if (_m := ({leaf.source})) is None else _make{i}(_m))")
    made: Row = eval(f"lambda e, at, n, key: (n, key, at, {', '.join(parts)})", helpers)
    return made


class Besides:
    """Reads the extras of a record as JSON, from its bytes without reading all of it, or from its values."""

    def __init__(self, extras: Extras) -> None:
        self._paths = list(extras.values())
        self._decode, self._get = None, None
        root = Node(role="object")
        try:
            for path in self._paths:
                if not path or not all(isinstance(s, str) for s in path):
                    return
                add_leaf(root, path, "any", Any, False)
            struct = build_struct(root, "besides")
        except (Clash, TypeError):
            return
        self._decode = msgspec.json.Decoder(struct).decode
        source = ", ".join(chain("e", root, path)[0] for path in self._paths)
        self._get = eval(f"lambda e: ({source},)", dict(HELPERS))

    def of(self, payload: Any, record: Any) -> tuple[str | None, ...]:
        """The values of a record, JSON bytes or values; `record` has more of a table's columns."""
        if isinstance(payload, bytes):
            if self._decode is not None and self._get is not None:
                try:
                    return tuple(map(_spelled, self._get(self._decode(payload))))
                except (msgspec.DecodeError, RecursionError):
                    pass  # some value on the way is no object
            try:
                record = msgspec.json.decode(payload)
            except (msgspec.DecodeError, RecursionError):
                record = None
        return tuple(_spelled(follow(record, path)) for path in self._paths)


def _spelled(value: Any) -> str | None:
    if value is None or isinstance(value, Unread):
        return None
    return msgspec.json.encode(value, enc_hook=_odd).decode()


def _odd(value: Any) -> str | None:
    return None if isinstance(value, Unread) else str(value)
