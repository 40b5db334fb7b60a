"""ONNX files read as far as needed to refuse what a policy must not run, before the runtime sees them.

An ONNX file is a protocol buffer. What matters here: tensors kept in other files (nothing outside the
bundle is opened), operators that draw random numbers (one event, one answer), and loops without an end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from quell.signals.models_file import BadModel

MAX_MESSAGES = 2_000_000
MAX_DEPTH = 200
RANDOM = frozenset(
    (
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
    )
)  # fmt: skip
ENDLESS = frozenset(("Loop",))
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 14: "property", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Which fields of which message hold which other messages, by the numbers in onnx.proto."""
_OP_TYPE, _EXTERNAL, _LOCATION = 4, 13, 14


@dataclass(slots=True)
class OnnxFile:
    """What a file says: the operators that it uses, the number of its nodes and graphs, its properties."""

    operators: set[str] = field(default_factory=set)
    nodes: int = 0
    graphs: int = 0
    external: bool = False
    properties: dict[str, str] = field(default_factory=dict)


class _Broken(Exception):
    """A message that ends before its fields do."""


def check_onnx(data: bytes) -> OnnxFile:
    """Read an ONNX file. Raises BadModel for what is none, and for what a policy must not run."""
    try:
        found = _read(memoryview(data))
    except _Broken:
        raise BadModel("the file is not a whole ONNX model", "copy it again") from None
    if not found.graphs:
        raise BadModel("the file is not a whole ONNX model", "copy it again")
    if found.external:
        raise BadModel(
            "the model keeps its numbers in another file, and nothing outside the file is read",
            "save it in one file: onnx.save(model, path, save_as_external_data=False)",
        )
    if found.operators & RANDOM:
        name = min(found.operators & RANDOM)
        raise BadModel(
            f"the model draws random numbers ({name}), and one event must have one answer", "take them out"
        )
    if found.operators & ENDLESS:
        raise BadModel("the model has a loop, and nothing in a policy runs without a bound", "unroll it")
    return found


def _read(data: memoryview) -> OnnxFile:
    out = OnnxFile()
    todo, seen = [("model", data, 0)], 0
    while todo:
        kind, message, depth = todo.pop()
        seen += 1
        if seen > MAX_MESSAGES or depth > MAX_DEPTH:
            raise BadModel("the model has more parts than Quell reads")
        if kind == "property":
            key, said = _property(message)
            out.properties[key] = said
            continue
        inside = _INSIDE.get(kind, {})
        for number, value in _fields(message):
            if number in inside and isinstance(value, memoryview):
                out.graphs += kind == "model" and number == 7
                todo.append((inside[number], value, depth + 1))
            elif kind == "node" and number == _OP_TYPE and isinstance(value, memoryview):
                out.nodes += 1
                out.operators.add(bytes(value).decode(errors="replace"))
            elif kind == "tensor" and (number == _EXTERNAL or (number == _LOCATION and value)):
                out.external = True
    return out


def _property(message: memoryview) -> tuple[str, str]:
    said = {n: bytes(v).decode(errors="replace") for n, v in _fields(message) if isinstance(v, memoryview)}
    return said.get(1, ""), said.get(2, "")


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: numbers, each with a whole number or the bytes it holds."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        length = 8 if wire == _FIXED64 else 4
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire not in (_FIXED64, _FIXED32):
            raise _Broken
        if at + length > end or not number:
            raise _Broken
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise _Broken
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
