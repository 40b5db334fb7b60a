"""How values of the language stand in columns: Arrow's types, and values there and back.

========== =============================================================
bool       BOOLEAN
number     DOUBLE
time       BIGINT, microseconds since 1970 UTC; `event` likewise
duration   BIGINT, microseconds
textual    VARCHAR: text, entities, addresses, `one of`
list<T>    a list of T
record     a struct whose fields are `r0`, `r1`, … in the order of the shape
missing    NULL
========== =============================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from quell.engine.schema import Field
from quell.grammar.types import Type

_PLAIN: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "number": pa.float64(),
    "time": pa.int64(),
    "event": pa.int64(),
    "duration": pa.int64(),
    "text": pa.string(),
    "entity": pa.string(),
    "enum": pa.string(),
    "ip": pa.string(),
    "missing": pa.null(),
    "var": pa.null(),
}


def arrow_type(type_: Type, record: tuple[Field, ...] = ()) -> pa.DataType:
    """The column type of a value; `record` are the fields of a record, or of a list's elements."""
    if type_.kind == "list":
        return pa.list_(pa.null() if type_.element is None else arrow_type(type_.element, record))
    if type_.kind == "record":
        parts = enumerate(_inside(type_, record))
        return pa.struct([(f"r{i}", arrow_type(t, r)) for i, (_, t, r) in parts])
    return _PLAIN[type_.kind]


_SQL = {"bool": "BOOLEAN", "number": "DOUBLE", "time": "BIGINT", "event": "BIGINT", "duration": "BIGINT"}


def sql_type(type_: Type, record: tuple[Field, ...] = ()) -> str:
    """The same as SQL spells it."""
    if type_.kind == "list":
        return ("INTEGER" if type_.element is None else sql_type(type_.element, record)) + "[]"
    if type_.kind == "record":
        inside = [(f.type, f.record) for f in record] or [(t, ()) for _, t in type_.columns]
        return "STRUCT(" + ", ".join(f"r{i} {sql_type(t, r)}" for i, (t, r) in enumerate(inside)) + ")"
    return _SQL.get(type_.kind, "VARCHAR")


def to_column(type_: Type, record: tuple[Field, ...] = ()) -> Callable[[Any], Any] | None:
    """What makes a present value ready for its column; None where it is as it stands."""
    if type_.kind == "list" and type_.element is not None:
        inner = to_column(type_.element, record)
        return None if inner is None else lambda values: [inner(v) for v in values]
    if type_.kind == "record":
        inside = enumerate(_inside(type_, record))
        parts = [(f"r{i}", name, to_column(t, r)) for i, (name, t, r) in inside]
        return lambda value: {c: _with(make, value.get(name)) for c, name, make in parts}
    return None


def from_column(type_: Type, record: tuple[Field, ...] = ()) -> Callable[[Any], Any] | None:
    """The way back; None where a column's value is the value."""
    if type_.kind == "list" and type_.element is not None:
        inner = from_column(type_.element, record)
        return None if inner is None else lambda values: [inner(v) for v in values]
    if type_.kind == "record":
        inside = enumerate(_inside(type_, record))
        parts = [(f"r{i}", name, from_column(t, r)) for i, (name, t, r) in inside]
        return lambda value: {name: _with(make, value[c]) for c, name, make in parts}
    return None


def _inside(type_: Type, record: tuple[Field, ...]) -> list[tuple[str, Type, tuple[Field, ...]]]:
    """What a record holds: as the field declares it, else as its type says (`with_columns`)."""
    if record:
        return [(f.name, f.type, f.record) for f in record]
    return [(name, t, ()) for name, t in type_.columns]


def _with(make: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if make is None or value is None else make(value)
