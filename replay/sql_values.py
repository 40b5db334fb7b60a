"""Types and literals of the language as DuckDB spells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from quell.engine.lower import Lowerer
from quell.engine.lower_lists import record_columns
from quell.grammar.types import Type
from quell.replay.database import text_literal

_SQL = {"bool": "BOOLEAN", "number": "DOUBLE", "time": "BIGINT", "event": "BIGINT", "duration": "BIGINT"}
_ARROW = {
    "bool": pa.bool_(),
    "number": pa.float64(),
    "time": pa.int64(),
    "event": pa.int64(),
    "duration": pa.int64(),
}
Make = Callable[[Any], Any]
"""From a value of the language to what its column holds, or back."""


class Columns:
    """The types of columns that hold values of a bundle, as `history_types` lays them out. What is known to
    be missing, and the elements of `[]`, count as text."""

    def __init__(self, lowerer: Lowerer) -> None:
        self._lowerer = lowerer
        self._records: dict[str, tuple[tuple[str, Type], ...]] = {}

    def record(self, name: str) -> tuple[tuple[str, Type], ...]:
        """The fields of a record by the name of its shape, table or remote model, with their types."""
        if name not in self._records:
            self._records[name] = tuple(record_columns(self._lowerer, name).items())
        return self._records[name]

    def place(self, name: str, field: str) -> str:
        """The column of a struct that holds a field of a record."""
        return f"r{next(i for i, (known, _) in enumerate(self.record(name)) if known == field)}"

    def sql(self, type_: Type) -> str:
        """The column type as SQL names it."""
        if type_.kind == "list":
            assert type_.element is not None
            return self.sql(type_.element) + "[]"
        if type_.kind == "record":
            inside = (f"r{i} {self.sql(t)}" for i, (_, t) in enumerate(self.record(type_.name)))
            return f"STRUCT({', '.join(inside)})"
        return _SQL.get(type_.kind, "VARCHAR")

    def arrow(self, type_: Type) -> pa.DataType:
        """The column type in Arrow."""
        if type_.kind == "list":
            assert type_.element is not None
            return pa.list_(self.arrow(type_.element))
        if type_.kind == "record":
            return pa.struct([(f"r{i}", self.arrow(t)) for i, (_, t) in enumerate(self.record(type_.name))])
        return _ARROW.get(type_.kind, pa.string())

    def to_column(self, type_: Type) -> Make | None:
        """What makes a value ready for its column; None where it is as it stands."""
        return self._through(type_, lambda name, place: name, lambda name, place: place)

    def from_column(self, type_: Type) -> Make | None:
        """The way back; None where a column's value is the value."""
        return self._through(type_, lambda name, place: place, lambda name, place: name)

    def _through(
        self, type_: Type, read: Callable[[str, str], str], write: Callable[[str, str], str]
    ) -> Make | None:
        if type_.kind == "list":
            assert type_.element is not None
            inner = self._through(type_.element, read, write)
            return None if inner is None else lambda values: [inner(v) for v in values]
        if type_.kind != "record":
            return None
        parts = [
            (read(name, f"r{i}"), write(name, f"r{i}"), self._through(t, read, write))
            for i, (name, t) in enumerate(self.record(type_.name))
        ]
        return lambda value: {
            there: v if make is None or v is None else make(v)
            for here, there, make in parts
            for v in (value.get(here),)
        }

    def literal(self, value: Any, type_: Type) -> str:
        """A value as SQL spells it, of the column's type."""
        if value is None:
            return "NULL" if type_.kind == "missing" else f"NULL::{self.sql(type_)}"
        if type_.kind == "list":
            assert type_.element is not None
            inside = ", ".join(self.literal(v, type_.element) for v in value)
            return f"[{inside}]::{self.sql(type_)}" if not inside else f"[{inside}]"
        if type_.kind == "record":
            pairs = ", ".join(
                f"r{i} := {self.literal(value.get(name), t)}"
                for i, (name, t) in enumerate(self.record(type_.name))
            )
            return f"struct_pack({pairs})"
        return plain_literal(value, type_.kind)


def plain_literal(value: Any, kind: str) -> str:
    """A number, text, truth, time or duration as SQL spells it: numbers as doubles."""
    if isinstance(value, str):
        return text_literal(value)
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if kind == "number":
        text = repr(float(value))
        text = text if "e" in text else text + "e0"
    else:
        text = f"{value}::BIGINT" if abs(value) < 2**31 else str(value)
    return f"({text})" if text.startswith("-") else text
