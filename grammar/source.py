"""Source text and places in it."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

_LINE_END = re.compile(r"\r\n?|\n")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one file, in characters: `start` included, `end` not."""

    file: str
    start: int
    end: int

    def to(self, other: Span) -> Span:
        """The stretch from here to the end of `other`."""
        return Span(self.file, min(self.start, other.start), max(self.end, other.end))


NOWHERE = Span("", 0, 0)
"""The place of what no file says, such as a default."""


@dataclass(frozen=True, slots=True)
class Position:
    """A line and a column, both counted from 1; the column counts characters."""

    line: int
    column: int


@dataclass(slots=True)
class Source:
    """One policy file: its name within the bundle, and its text. A line ends at LF, CR LF, or CR."""

    name: str
    text: str
    _starts: list[int] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        if "\r" in self.text:
            self._starts = [0, *(end.end() for end in _LINE_END.finditer(self.text))]
        else:
            sizes = map(len, self.text.split("\n"))
            self._starts = list(accumulate(map((1).__add__, sizes), initial=0))[:-1]

    def position(self, offset: int) -> Position:
        """The line and column of a character."""
        line = bisect_right(self._starts, offset)
        return Position(line, offset - self._starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), without its line break; empty past the end."""
        if not 1 <= number <= len(self._starts):
            return ""
        start = self._starts[number - 1]
        if number == len(self._starts):
            return self.text[start:]
        end = self._starts[number]
        return self.text[start : end - 2 if self.text[end - 2 : end] == "\r\n" else end - 1]

    def offset(self, number: int) -> int:
        """Where line `number` (from 1) begins."""
        return self._starts[number - 1]

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return len(self._starts)
