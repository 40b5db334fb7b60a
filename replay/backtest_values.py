"""Values of events that figures need and policies may not read: whom an event is about, what it weighs.

A field that the bundle reads is a column of the history already. Any other is read by its path beside them,
as JSON: decoding it too would let it refuse events that online nobody refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quell.engine.compile import Build
from quell.engine.schema import Field, Segment
from quell.grammar.literals import spell_path
from quell.replay.database import quoted, text_literal
from quell.replay.history import History, principal


@dataclass(slots=True)
class Beside:
    """The paths that have to be read beside what a bundle reads; `extras` is what `ingest` takes."""

    build: Build
    extras: dict[str, tuple[Segment, ...]] = field(default_factory=dict)

    def field(self, event: str, of: Field) -> None:
        """Have a field of an event at hand."""
        if not self.build.reads(event, of.name):
            self.path(of.path)

    def path(self, path: tuple[Segment, ...]) -> str:
        """Have what stands at a path of the record at hand; gives the name of its column of `all`."""
        name = spell_path(path)
        self.extras[name] = path
        return name


def principals(build: Build) -> Mapping[str, Field]:
    """By event type: the field whose entity an event is about. A type without one is left out."""
    found = {name: principal(schema) for name, schema in build.analysis.symbols.schemas.items()}
    return {name: f for name, f in found.items() if f is not None}


def text_of(history: History, fields: Mapping[str, Field]) -> str:
    """A query that gives `n` and `value`, a field's value as text, of the event types that have one."""
    parts = []
    for event, of in fields.items():
        column = next((c for c, f in history.columns[event] if f.name == of.name), None)
        if column is not None:
            parts.append(f"SELECT n, {column} AS value FROM {history.of(event)}")
        else:
            value = f"json_extract_string({quoted(spell_path(of.path))}, '$')"
            where = f"event = {text_literal(event)}"
            parts.append(f"SELECT n, {value} AS value FROM {history.table('all')} WHERE {where}")
    return " UNION ALL ".join(parts) or "SELECT 0::BIGINT AS n, NULL::VARCHAR AS value WHERE false"


def number_of(history: History, fields: Mapping[str, Field]) -> str:
    """Like `text_of` for a number; what is none, or not finite, is NULL."""
    return (
        f"SELECT n, CASE WHEN isfinite(v) THEN v END AS value "
        f"FROM (SELECT n, try_cast(value AS DOUBLE) AS v FROM ({text_of(history, fields)}))"
    )
