"""Fields of events as SQL over columns of a table: what the decoder would read, and where SQL is not sure.

Each expression comes with the rows it does not answer for (`Value.odd`): those go through the decoder itself.
A column of a type that no rule here is for is odd wherever it has a value. So what SQL answers is what the
decoder would have said, and what may be a problem or a refusal is always the decoder's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pyarrow as pa

from quell.engine.event_layout import MAX_LIST, element_type
from quell.engine.schema import Field, Segment
from quell.grammar.literals import LARGEST_DURATION
from quell.grammar.types import Type
from quell.replay.database import text_literal
from quell.replay.history_types import sql_type
from quell.signals.values import EARLIEST, LATEST

_TEXTUAL = ("varchar", "uuid", "enum")
_WHOLE = ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint")
_EXACT_DIGITS = 15
"""Decimals of so many digits are a whole number and a power of ten that a double holds exactly."""
_DURATIONS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_OCTET = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"({_OCTET}\.){{3}}{_OCTET}"
_TIME = r"\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)?"
_PLAIN_FLOAT = (0.001, 1e15)
"""Between these, doubles are written as plain decimals, by SQL as by JSON."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column holds: `text`, `whole`, `float`, `bool`, `time`, `date`, `decimal`, `duration`, `list`,
    `struct`, `nothing`, or `other`. `arrow` and `duck` are its types as the decoder and as SQL see it."""

    name: str
    arrow: Any = None
    duck: str = ""
    inner: Kind | None = None
    fields: Mapping[str, Kind] = field(default_factory=dict)


NOTHING = Kind("nothing")


@dataclass(frozen=True, slots=True)
class Value:
    """An expression, NULL for missing, and the condition under which it is not to be believed (None: never).
    The condition is never NULL. Where it holds, the expression may be anything but an error."""

    sql: str
    odd: str | None = None


def kind_of(arrow: pa.DataType, duck: Any) -> Kind:
    """What a column holds, going by both its types; `other` where the two do not stand for the same
    values."""
    types, id_ = pa.types, duck.id
    if types.is_dictionary(arrow):
        arrow = arrow.value_type
    name = "other"
    if types.is_string(arrow) or types.is_large_string(arrow) or types.is_string_view(arrow):
        name = "text" if id_ in _TEXTUAL else name
    elif types.is_integer(arrow):
        name = "whole" if id_ in _WHOLE else name
    elif types.is_float32(arrow) or types.is_float64(arrow):
        name = "float" if id_ in ("float", "double") else name
    elif types.is_boolean(arrow):
        name = "bool" if id_ == "boolean" else name
    elif types.is_timestamp(arrow):
        name = "time" if id_.startswith("timestamp") else name
    elif types.is_date32(arrow):
        name = "date" if id_ == "date" else name
    elif types.is_decimal(arrow):
        name = "decimal" if id_ == "decimal" and arrow.precision <= _EXACT_DIGITS else name
    elif types.is_duration(arrow):
        name = "duration" if id_ == "bigint" and arrow.unit in _DURATIONS else name
    elif types.is_null(arrow):
        name = "nothing"
    elif types.is_list(arrow) or types.is_large_list(arrow):
        if id_ == "list":
            return Kind("list", arrow, id_, kind_of(arrow.value_type, duck.children[0][1]))
    elif types.is_struct(arrow) and id_ == "struct":
        return _struct(arrow, duck)
    return Kind(name, arrow, id_)


def _struct(arrow: Any, duck: Any) -> Kind:
    inside = [(f.name, f.type) for f in arrow]
    names = [name for name, _ in inside]
    if names != [name for name, _ in duck.children] or len({n.lower() for n in names}) < len(names):
        return Kind("other", arrow, duck.id)
    kinds = {n: kind_of(t, d) for (n, t), (_, d) in zip(inside, duck.children, strict=True)}
    return Kind("struct", arrow, duck.id, fields=kinds)


def either(*conditions: str | None) -> str | None:
    """Where any of some conditions holds; None for never."""
    held = [f"({c})" for c in dict.fromkeys(conditions) if c is not None]
    return " OR ".join(held) if held else None


def _unsure(x: str, type_: str) -> Value:
    return Value(f"CAST(NULL AS {type_})", f"{x} IS NOT NULL")


# ------------------------------------------------------------------ one scalar


def scalar(type_: Type, kind: Kind, x: str) -> Value:
    """A scalar of a type from a column's value `x`."""
    made = None
    if kind.name == "nothing":
        return Value(f"CAST(NULL AS {sql_type(type_)})")
    if type_.kind in ("text", "entity", "enum", "ip"):
        made = _textual(type_, kind, x)
    elif type_.kind == "number":
        made = _number(kind, x)
    elif type_.kind == "bool":
        made = Value(x) if kind.name == "bool" else None
    elif type_.kind == "time":
        made = _time(kind, x)
    elif type_.kind == "duration":
        made = _duration(kind, x)
    return _unsure(x, sql_type(type_)) if made is None else made


def _textual(type_: Type, kind: Kind, x: str) -> Value | None:
    if kind.name == "text":
        text = x if kind.duck == "varchar" else f"CAST({x} AS VARCHAR)"
    elif kind.name == "whole" and type_.kind != "ip":
        text = f"CAST({x} AS VARCHAR)"
    else:
        return None
    if type_.kind == "entity":
        return Value(f"nullif({text}, '')")
    if type_.kind == "enum":
        members = ", ".join(text_literal(v) for v in type_.values)
        # Unlike IN, the function is asked once for each entry of a column's dictionary.
        return Value(text, f"({text} IS NOT NULL AND list_position([{members}], {text}) IS NULL)")
    if type_.kind == "ip":
        return Value(text, f"coalesce(NOT regexp_full_match({text}, {text_literal(_IPV4)}), false)")
    return Value(text)


def _number(kind: Kind, x: str) -> Value | None:
    if kind.name in ("whole", "decimal"):
        return Value(f"CAST({x} AS DOUBLE)")
    if kind.name == "float":
        return Value(f"CAST({x} AS DOUBLE)", f"coalesce(NOT isfinite({x}), false)")
    return None


def _checked(x: str, found: str, low: int, high: int) -> Value:
    """A number of microseconds that must lie between two."""
    return Value(found, f"{x} IS NOT NULL AND coalesce({found} NOT BETWEEN {low} AND {high}, true)")


def _time(kind: Kind, x: str) -> Value | None:
    if kind.name == "time":
        return _timestamp(kind, x)
    if kind.name == "date":
        return _checked(x, f"epoch_us({x})", EARLIEST, LATEST)
    if kind.name == "whole":
        return _checked(x, _epoch_of_whole(x), EARLIEST, LATEST)
    if kind.name == "float":
        return _checked(x, _epoch_of_float(x), EARLIEST, LATEST)
    if kind.name == "text" and kind.duck == "varchar":
        sure = f"CASE WHEN regexp_full_match({x}, {text_literal(_TIME)}) THEN {x} END"
        return _checked(x, f"epoch_us(TRY_CAST({sure} AS TIMESTAMPTZ))", EARLIEST, LATEST)
    return None


def _timestamp(kind: Kind, x: str) -> Value | None:
    """Nanoseconds are cut towards 1970, which SQL does only where it keeps them itself."""
    if kind.arrow.unit != "ns":
        return _checked(x, f"epoch_us({x})", EARLIEST, LATEST)
    if kind.duck.endswith("_ns"):
        return _checked(x, f"(epoch_ns({x}) // 1000)", EARLIEST, LATEST)
    return _checked(x, f"epoch_us({x})", 0, LATEST)


def _epoch_of_whole(x: str) -> str:
    """A number by its size: seconds, milliseconds, microseconds, or (later than 1970) nanoseconds."""
    n = f"TRY_CAST({x} AS BIGINT)"
    return (
        f"CASE WHEN {n} BETWEEN -99999999999 AND 99999999999 THEN {n} * 1000000 "
        f"WHEN {n} BETWEEN -99999999999999 AND 99999999999999 THEN {n} * 1000 "
        f"WHEN {n} BETWEEN -99999999999999999 AND 99999999999999999 THEN {n} "
        f"WHEN {n} > 0 THEN {n} // 1000 END"
    )


def _epoch_of_float(x: str) -> str:
    n = f"CAST({x} AS DOUBLE)"
    size = f"abs({n})"
    return (
        f"CASE WHEN {size} < 1e11 THEN TRY_CAST({n} * 1e6 AS BIGINT) "
        f"WHEN {size} < 1e14 THEN TRY_CAST({n} * 1e3 AS BIGINT) "
        f"WHEN {size} < 1e17 THEN TRY_CAST({n} AS BIGINT) "
        f"WHEN {n} > 0 AND {n} < 9e18 THEN TRY_CAST(trunc({n}) AS BIGINT) // 1000 END"
    )


def _duration(kind: Kind, x: str) -> Value | None:
    bound = LARGEST_DURATION
    if kind.name == "duration":
        unit = _DURATIONS[kind.arrow.unit]
        return _checked(x, f"CASE WHEN {x} BETWEEN {-bound} AND {bound} THEN {x} * {unit} END", -bound, bound)
    if kind.name == "whole":
        n, most = f"TRY_CAST({x} AS BIGINT)", bound // 1_000_000
        return _checked(x, f"CASE WHEN {n} BETWEEN {-most} AND {most} THEN {n} * 1000000 END", -bound, bound)
    if kind.name == "float":
        n = f"CAST({x} AS DOUBLE)"
        seconds = f"CASE WHEN abs({n}) < 1e12 THEN TRY_CAST({n} * 1e6 AS BIGINT) END"
        return _checked(x, seconds, -bound, bound)
    return None


# ------------------------------------------------------------------ paths, lists and records


_OBJECT = ("true", Kind("other"), "true")
"""An object made of columns with dotted names: there in every record, and left to the decoder."""


class Columns:
    """The columns of a table as the outermost keys of a record. `names` gives the SQL of each; a dotted name
    is in the tree as the object its path leads into."""

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._tree = tree
        self._fresh = count(1)

    def field(self, declared: Field) -> Value:
        """A field of an event: NULL where it is missing. Its default is not put in, its being required not
        asked for."""
        return self._field(declared, self._tree, None)

    def place(self, path: tuple[Segment, ...]) -> tuple[str, Kind, str | None] | None:
        """The value at a path without ``[*]``: its SQL, what it is, and where it is not to be believed; None
        where no record has such a place."""
        return self._walk(path, self._tree, None)

    def _name(self) -> str:
        return f"_v{next(self._fresh)}"

    def _field(self, declared: Field, tree: Mapping[str, Any] | None, at: tuple[str, Kind] | None) -> Value:
        path, missing = declared.path, Value(f"CAST(NULL AS {sql_type(declared.type, declared.record)})")
        star = path.index(None) if None in path else len(path)
        found = self._walk(path[:star], tree, at)
        if found is None:
            return missing
        x, kind, odd = found
        if kind.name == "nothing":
            return missing
        if star == len(path):
            value = self._convert(declared.type, declared, kind, x)
        else:
            value = self._collect(declared, path[star + 1 :], kind, x)
        return Value(value.sql, either(odd, value.odd))

    def _walk(
        self, path: tuple[Segment, ...], tree: Mapping[str, Any] | None, at: tuple[str, Kind] | None
    ) -> tuple[str, Kind, str | None] | None:
        odd: str | None = None
        for segment in path:
            if tree is not None:
                if not isinstance(segment, str):
                    return _OBJECT
                inner = tree.get(segment)
                if inner is None:
                    return None
                tree, at = (inner, None) if isinstance(inner, dict) else (None, inner)
                continue
            assert at is not None
            x, kind = at
            if isinstance(segment, str) and kind.name == "struct":
                if segment not in kind.fields:
                    return None
                at = (f"struct_extract({x}, {text_literal(segment)})", kind.fields[segment])
            elif not isinstance(segment, str) and kind.name == "list" and kind.inner is not None:
                odd = either(odd, _too_many(x))
                place = (segment or 0) + 1 if (segment or 0) >= 0 else segment
                at = (f"list_extract({x}, {place})", kind.inner)
            elif kind.name == "nothing":
                return None
            else:
                return x, Kind("other"), f"{x} IS NOT NULL"
        if at is None:
            return _OBJECT
        return at[0], at[1], odd

    def _convert(self, type_: Type, declared: Field, kind: Kind, x: str) -> Value:
        if type_.kind == "list" and type_.element is not None:
            return self._list(type_.element, declared, kind, x)
        if type_.kind == "record":
            return self._record(declared, kind, x)
        return scalar(type_, kind, x)

    def _list(self, element: Type, declared: Field, kind: Kind, x: str) -> Value:
        if kind.name != "list" or kind.inner is None:
            return _unsure(x, sql_type(Type("list", element=element), declared.record))
        return self._each(x, lambda v: self._convert(element, declared, kind.inner or NOTHING, v))

    def _collect(self, declared: Field, rest: tuple[Segment, ...], kind: Kind, x: str) -> Value:
        if kind.name != "list" or kind.inner is None or None in rest:
            return _unsure(x, sql_type(declared.type, declared.record))
        element, inner = element_type(declared), kind.inner

        def one(v: str) -> Value:
            found = self._walk(rest, None, (v, inner))
            if found is None:
                return Value(f"CAST(NULL AS {sql_type(element, declared.record)})")
            value = self._convert(element, declared, found[1], found[0])
            return Value(value.sql, either(found[2], value.odd))

        return self._each(x, one)

    def _each(self, x: str, convert: Callable[[str], Value]) -> Value:
        """A list with each element converted, what is missing left out."""
        v, w = self._name(), self._name()
        value = convert(v)
        odd = (
            None
            if value.odd is None
            else f"coalesce(list_bool_or(list_transform({x}, lambda {v}: {value.odd})), false)"
        )
        made = x if value.sql == v else f"list_transform({x}, lambda {v}: {value.sql})"
        return Value(f"list_filter({made}, lambda {w}: {w} IS NOT NULL)", either(_too_many(x), odd))

    def _record(self, declared: Field, kind: Kind, x: str) -> Value:
        if kind.name != "struct":
            return _unsure(x, sql_type(declared.type, declared.record))
        parts, odd = [], list[str | None]()
        for i, f in enumerate(declared.record):
            value = self._field(f, None, (x, kind))
            sql = f"CAST({value.sql} AS {sql_type(f.type, f.record)})"
            if f.has_default and f.default is not None:
                sql = f"coalesce({sql}, {literal(f.type, f.default, f.record)})"
            parts.append(f"r{i} := {sql}")
            odd += [value.odd, f"{value.sql} IS NULL" if f.required else None]
        some = either(*odd)
        packed = f"CASE WHEN {x} IS NOT NULL THEN struct_pack({', '.join(parts)}) END"
        return Value(packed, None if some is None else f"{x} IS NOT NULL AND ({some})")


def _too_many(x: str) -> str:
    return f"coalesce(len({x}) > {MAX_LIST}, false)"


# ------------------------------------------------------------------ literals and JSON


def literal(type_: Type, value: Any, record: tuple[Field, ...] = ()) -> str:
    """A run-time value as SQL spells it."""
    whole = sql_type(type_, record)
    if value is None:
        return f"CAST(NULL AS {whole})"
    if type_.kind == "list" and type_.element is not None:
        inside = ", ".join(literal(type_.element, v, record) for v in value)
        return f"CAST([{inside}] AS {whole})"
    if isinstance(value, str):
        return text_literal(value)
    return f"CAST({text_literal(str(value).lower())} AS {whole})"


def json_of(kind: Kind, x: str) -> Value:
    """A value as the text of its JSON, as `msgspec` spells it."""
    if kind.name == "nothing":
        return Value("CAST(NULL AS VARCHAR)")
    if kind.name == "text":
        control = f"coalesce(regexp_matches({x}, '[\\x00-\\x1f]'), false)"
        return Value(f"CAST(to_json(CAST({x} AS VARCHAR)) AS VARCHAR)", control)
    if kind.name in ("whole", "bool"):
        return Value(f"CAST({x} AS VARCHAR)")
    if kind.name == "float" and kind.duck == "double":
        low, high = _PLAIN_FLOAT
        plain = f"{x} = 0 OR abs({x}) BETWEEN {low} AND {high}"
        return Value(f"CAST({x} AS VARCHAR)", f"coalesce(NOT ({plain}), false)")
    return _unsure(x, "VARCHAR")
