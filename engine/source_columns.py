"""Columns of Arrow as Python values, read from their buffers.

Arrow's own `to_pylist` makes an object of its own for each value first, which costs a row of twenty
columns some 80 µs; reading the buffers costs a tenth. Types that are rare in events still go that way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from struct import calcsize, unpack_from
from typing import Any

import pyarrow as pa

from quell.engine.event_problems import Unread
from quell.signals.values import EPOCH_NAIVE

_FORMATS: dict[Any, str] = {
    pa.int8(): "b",
    pa.int16(): "h",
    pa.int32(): "i",
    pa.int64(): "q",
    pa.uint8(): "B",
    pa.uint16(): "H",
    pa.uint32(): "I",
    pa.uint64(): "Q",
    pa.float32(): "f",
    pa.float64(): "d",
}
_MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def python_values(array: pa.Array) -> list[Any]:
    """The values of an array: None, bool, int, float, str, bytes, datetime without zone (UTC), list,
    dict, and what else `to_pylist` gives. What Python cannot hold is an `Unread`."""
    if array.null_count == len(array):
        return [None] * len(array)
    values = _reader(array.type)(array)
    if array.null_count == 0:
        return values
    present = _numbers(array.is_valid().cast(pa.uint8()))
    return [value if ok else None for value, ok in zip(values, present, strict=True)]


def _reader(kind: pa.DataType) -> Callable[[pa.Array], list[Any]]:
    types = pa.types
    if kind in _FORMATS:
        return _numbers
    if types.is_boolean(kind):
        return lambda array: [value == 1 for value in _numbers(array.cast(pa.uint8()))]
    if types.is_timestamp(kind) and kind.unit in _MICROS:
        return _times
    if types.is_string(kind) or types.is_large_string(kind):
        return _texts
    if types.is_struct(kind):
        return _objects
    if types.is_list(kind) or types.is_large_list(kind):
        return _lists
    return _any


def _buffer(array: pa.Array, which: int, form: str, more: int = 0) -> list[Any]:
    """The numbers of one of an array's buffers, from the array's first, and `more` than it has."""
    start = array.offset * calcsize("<" + form)
    return list(unpack_from(f"<{len(array) + more}{form}", array.buffers()[which], start))


def _numbers(array: pa.Array) -> list[Any]:
    return _buffer(array, 1, _FORMATS[array.type])


def _times(array: pa.Array) -> list[Any]:
    unit = _MICROS[array.type.unit]
    return [_time(value * unit) for value in _numbers(array.view(pa.int64()))]


def _time(micros: int) -> datetime | Unread:
    try:
        return EPOCH_NAIVE + timedelta(microseconds=micros)
    except OverflowError:
        return Unread("bad-time", "a time outside the years 1 to 9999")


def _texts(array: pa.Array) -> list[Any]:
    form = "q" if pa.types.is_large_string(array.type) else "i"
    ends = _buffer(array, 1, form, 1)
    data = array.buffers()[2]
    first = ends[0]
    whole = b"" if data is None else bytes(memoryview(data)[first : ends[-1]])
    if whole.isascii():
        text = whole.decode("ascii")
        return [text[a - first : b - first] for a, b in pairwise(ends)]
    return [_text(whole[a - first : b - first]) for a, b in pairwise(ends)]


def _text(data: bytes) -> str | Unread:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Unread("not-utf8", f"{len(data)} bytes that are not UTF-8")


def _objects(array: pa.Array) -> list[Any]:
    names = [field.name for field in array.type]
    columns = [python_values(column) for column in array.flatten()]
    if not columns:
        return [{} for _ in range(len(array))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _lists(array: pa.Array) -> list[Any]:
    ends = array.offsets.to_pylist()
    values = python_values(array.values.slice(ends[0], ends[-1] - ends[0]))
    return [values[a - ends[0] : b - ends[0]] for a, b in pairwise(ends)]


def _any(array: pa.Array) -> list[Any]:
    try:
        return list(array.to_pylist(maps_as_pydicts="lossy"))
    except (ValueError, OverflowError, pa.ArrowException):
        return [_value(array, i) for i in range(len(array))]


def _value(array: pa.Array, index: int) -> Any:
    try:
        return array[index].as_py(maps_as_pydicts="lossy")
    except (ValueError, OverflowError, pa.ArrowException):
        return Unread("wrong-type", "a value that Python cannot hold")
