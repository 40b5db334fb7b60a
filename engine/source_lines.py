"""Events as JSON: one object a line, or one list of objects in a file of moderate size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec

from quell.engine.event_pick import say_json, too_deep
from quell.engine.source_base import Payload, Source, SourceError
from quell.engine.source_streams import BOM, BROKEN, Joined, Opened, broken, buffered, lines_of, peek

MAX_WHOLE = 64 << 20
"""A JSON file that is not JSON lines is read as a whole, up to this many bytes."""


class JsonLines(Source):
    """JSON lines: each line that is not blank is a record."""

    def __init__(self, opened: Opened, max_bytes: int) -> None:
        self.name, self.total = opened.name, opened.total
        self._opened, self._max_bytes = opened, max_bytes

    def __iter__(self) -> Iterator[tuple[int, Payload]]:
        return lines_of(self._opened.reader, self.name, self._max_bytes)

    @property
    def position(self) -> int:
        return self._opened.told()

    def close(self) -> None:
        self._opened.close()


class JsonElements(Source):
    """The elements of a list, read before."""

    unit = "rows"

    def __init__(self, values: list[msgspec.Raw], opened: Opened) -> None:
        self.name, self.total = opened.name, len(values)
        self._values, self._opened, self._position = values, opened, 0

    def __iter__(self) -> Iterator[tuple[int, Payload]]:
        for value in self._values:
            self._position += 1
            yield self._position, bytes(value)

    @property
    def position(self) -> int:
        return self._position

    def close(self) -> None:
        self._opened.close()

    def place(self, number: int) -> str:
        return f"{self.name}[{number - 1}]"


def open_json(opened: Opened, max_bytes: int) -> Source:
    """The source for a .json file: JSON lines, or one object, or one list whose elements are the records.

    The last two are read as a whole, so they may have at most MAX_WHOLE bytes. Raises SourceError.
    """
    reader, name = opened.reader, opened.name
    head = peek(reader, name, 1 << 16)
    first, end, _ = head.partition(b"\n")
    if end and _is_json(first):
        return JsonLines(opened, max_bytes)
    try:
        data = reader.read(MAX_WHOLE + 1)
    except BROKEN as error:
        raise broken(name, error) from error
    bare = data.removeprefix(BOM).strip()
    if bare.startswith(b"["):
        return JsonElements(_elements(bare, name), opened)
    if len(data) <= MAX_WHOLE and _is_json(bare):
        return JsonElements([msgspec.Raw(bare)] if bare else [], opened)
    again = buffered(Joined(data, reader))
    return JsonLines(replace(opened, reader=again), max_bytes)


def _elements(data: bytes, name: str) -> list[msgspec.Raw]:
    if len(data) > MAX_WHOLE:
        raise SourceError(
            f"`{name}` is one JSON list of more than {MAX_WHOLE >> 20} MiB",
            "turn it into JSON lines: jq -c '.[]' FILE > FILE.jsonl",
        )
    if too_deep(data):
        raise SourceError(f"`{name}` has lists and objects that stand too deep in one another")
    try:
        return msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise SourceError(
            f"`{name}` begins as a JSON list and is none: {say_json(str(error))}",
            "write one event per line and name the file .jsonl",
        ) from error


def _is_json(data: bytes) -> bool:
    if not data.strip():
        return True
    try:
        msgspec.json.decode(data.removeprefix(BOM), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
