"""Events as rows of text: CSV, and the same with tabs.

The first row names the columns by the path of their value without the ``$.``: ``author.id``. A cell
stands for a value of whatever type its field has; an empty one for none; a list or an object is written
as JSON in its cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from typing import Any

from quell.engine.event_pick import refuse_size
from quell.engine.event_problems import Refusal
from quell.engine.source_base import Payload, Source, SourceError
from quell.engine.source_streams import BROKEN, Opened, broken
from quell.signals.values import Cell

MAX_COLUMNS = 10_000


class Row(dict[str, Any]):
    """A row whose values are `Cell`s, or objects of them."""

    __slots__ = ()


class _TooLong(Exception):
    """A row is longer than an event may be."""


class _Lines:
    """The lines of a CSV file, such that no row of them can outgrow `limit`."""

    def __init__(self, reader: io.BufferedReader, limit: int) -> None:
        self._text = io.TextIOWrapper(reader, "utf-8-sig", errors="surrogateescape", newline="")
        self._limit = limit
        self.size = 0
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._limit + 2)
        if not line:
            raise StopIteration
        self.number += 1
        self.size += len(line)
        whole = line.endswith(("\n", "\r"))
        while not whole and (part := self._text.readline(1 << 16)):
            self.size += len(part)
            whole = part.endswith(("\n", "\r"))
        if self.size > self._limit + 2:
            raise _TooLong
        return line


class Csv(Source):
    """A CSV file with a header."""

    def __init__(
        self, opened: Opened, columns: Collection[str] | None, delimiter: str, max_bytes: int
    ) -> None:
        self.name, self.total = opened.name, opened.total
        self._opened, self._max_bytes = opened, max_bytes
        self._lines = _Lines(opened.reader, max_bytes)
        csv.field_size_limit(max(csv.field_size_limit(), max_bytes))
        self._rows = csv.reader(self._lines, delimiter=delimiter, strict=True)
        header = self._header(delimiter)
        self._width = len(header)
        self._targets = _targets(header, self.name, columns)

    def _header(self, delimiter: str) -> list[str]:
        try:
            header = [cell.strip() for cell in next(self._rows, [])]
        except (csv.Error, _TooLong) as error:
            raise SourceError(f"the first row of `{self.name}` is no header of a CSV file") from error
        except BROKEN as error:
            raise broken(self.name, error) from error
        if not any(header):
            raise SourceError(f"`{self.name}` has no header", "the first row names the columns")
        if len(header) > MAX_COLUMNS:
            raise SourceError(f"`{self.name}` has more than {MAX_COLUMNS:,} columns")
        other = next((d for d in ";\t|" if d in header[0] and d != delimiter), None)
        if len(header) == 1 and other is not None:
            shown = "a tab" if other == "\t" else f"`{other}`"
            raise SourceError(
                f"the cells of `{self.name}` seem to be separated by {shown}",
                "name it .tsv" if other == "\t" else "separate them by commas",
            )
        return header

    def __iter__(self) -> Iterator[tuple[int, Payload]]:
        while True:
            number = self._lines.number + 1
            self._lines.size = 0
            try:
                row = next(self._rows, None)
            except _TooLong:
                yield number, refuse_size(self._lines.size, self._max_bytes)
                continue
            except csv.Error as error:
                yield number, Refusal(kind="wrong-row", message=f"the row cannot be read: {error}")
                continue
            except BROKEN as error:
                raise broken(self.name, error, f", after line {number - 1}") from error
            if row is None:
                return
            if len(row) == self._width:
                yield number, self._record(row)
            elif row:
                yield number, _wrong_width(self._width, len(row))

    def _record(self, row: list[str]) -> Row:
        record = Row()
        for index, parents, key in self._targets:
            cell = row[index]
            if not cell or cell.isspace():
                continue
            target: dict[str, Any] = record
            for parent in parents:
                target = target.setdefault(parent, {})
            target[key] = Cell(cell)
        return record

    @property
    def position(self) -> int:
        return self._opened.told()

    def close(self) -> None:
        self._opened.close()


def _wrong_width(expected: int, got: int) -> Refusal:
    return Refusal(
        kind="wrong-row",
        message=f"the row has {got} cells, and the header names {expected}",
        expected=f"{expected} cells",
        got=f"{got} cells",
        hint="put a cell that holds commas or line ends in double quotes",
    )


def _targets(
    header: list[str], name: str, columns: Collection[str] | None
) -> list[tuple[int, tuple[str, ...], str]]:
    """Where each column that is asked for goes: its index, the objects around it, its key.

    A name with dots is a path, unless a field asks for the whole of it as one key.
    """
    found: dict[tuple[str, ...], int] = {}
    for index, title in enumerate(header):
        bare = title.removeprefix("$.")
        path = (bare,) if columns is not None and bare in columns else tuple(bare.split("."))
        if path in found:
            raise SourceError(f"`{name}` has two columns called `{title}`")
        if title:
            found[path] = index
    for path in found:
        for end in range(1, len(path)):
            if path[:end] in found:
                raise SourceError(
                    f"`{name}` has the columns `{'.'.join(path[:end])}` and `{'.'.join(path)}`",
                    "a value cannot be an object and something else",
                )
    return [(i, path[:-1], path[-1]) for path, i in found.items() if columns is None or path[0] in columns]
