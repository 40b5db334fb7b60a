"""What a history's tables must hold, record by record through the bundle's own decoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from quell.engine.compile import Build
from quell.engine.event_problems import Refusal, Unread
from quell.engine.event_reader import Reader
from quell.engine.hand import HandAction
from quell.engine.schema import Field
from quell.engine.source_base import Payload
from quell.engine.sources import open_source, read_record
from quell.replay.history import Extras, History, Order, principal
from quell.replay.history_types import to_column
from quell.replay.train_labels import follow, record_of

Place = tuple[int, int, str, Payload, Payload]
"""A record: the file's number, its own, where it stands, its payload, and its payload with all columns."""
Tables = dict[str, list[Any]]


def records(paths: Sequence[Any], build: Build) -> list[Place]:
    """The records of some files, as the decoder is given them."""
    out = []
    for number, path in enumerate(paths):
        with (
            open_source(path, columns=build.decoder.columns(), max_bytes=build.decoder.max_bytes) as source,
            open_source(path, max_bytes=1 << 62) as whole,
        ):
            for (row, payload), (_, wide) in zip(source, whole, strict=True):
                out.append((number, row, source.place(row), payload, wide))
    return out


def expected(
    build: Build, found: Iterable[Place], order: Order = "time", extras: Extras | None = None
) -> Tables:
    """The rows of all tables, in order."""
    taken: list[tuple[Any, Place]] = []
    tables: Tables = {name: [] for name in ("all", "hands", "problems", "refused")}
    schemas = build.analysis.symbols.schemas
    tables |= {f"e{i}": [] for i in range(len(schemas))}
    for place in found:
        entry = read_record(place[3], build.decoder)
        if isinstance(entry, Refusal):
            said = (entry.event or None, entry.kind, entry.path, str(entry))
            tables["refused"].append((place[0], place[1], *said, place[2]))
        else:
            taken.append((entry, place))
    if order == "time":
        taken.sort(key=lambda t: t[0].at)
    for n, (entry, (file, row, _, _, wide)) in enumerate(taken, 1):
        if isinstance(entry, HandAction):
            tables["hands"].append((n, entry.at, msgspec.json.encode(entry).decode(), file, row))
            continue
        schema, record = schemas[entry.event], record_of(wide)
        more = [_json(follow(record, path)) for path in (extras or {}).values()]
        id_ = build.identifier(entry.event)(entry.e, entry.at)
        tables["all"].append(
            (n, entry.event, entry.at, id_, file, row, _entity(principal(schema), record), *more)
        )
        values: list[Any] = [n, entry.at]
        for f in schema.fields:
            try:
                value = build.reader(entry.event, f.name)(entry.e, entry.at)
            except KeyError:
                continue
            make = to_column(f.type, f.record)
            values.append(value if make is None or value is None else make(value))
        tables[f"e{entry.index}"].append(tuple(values))
        for nth, p in enumerate(entry.problems, 1):
            tables["problems"].append((n, nth, p.kind, p.field, p.path, p.expected, p.got))
    return {name: [repr(row) for row in rows] for name, rows in tables.items()}


def _entity(main: Field | None, record: Any) -> str | None:
    if main is None:
        return None
    bare = Field(main.name, main.type.maybe(), main.path, main.default, main.has_default)
    found: str | None = Reader([bare]).read(record)[0][main.name]
    return found


def _json(value: Any) -> str | None:
    if value is None or isinstance(value, Unread):
        return None
    return msgspec.json.encode(value, enc_hook=lambda v: None if isinstance(v, Unread) else str(v)).decode()


def found_in(history: History) -> Tables:
    """The rows of all tables of a history, in order."""
    names = ["all", "hands", "problems", *(f"e{i}" for i in range(len(history.columns)))]
    tables = {name: history.db.rows(f"SELECT * FROM {history.table(name)} ORDER BY n") for name in names}
    tables["problems"].sort()
    tables["refused"] = history.db.rows(f"SELECT * FROM {history.table('refused')} ORDER BY file, row")
    return {name: [repr(row) for row in rows] for name, rows in tables.items()}
