"""What every kind of policy list has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from quell.signals.list_cells import BadCell
from quell.signals.list_files import MAX_ENTRIES, Problems, entries, rows

Row = tuple[Any, ...]
"""The values of one row, in the order of the columns; None for an empty cell."""


@dataclass(frozen=True, slots=True)
class Source:
    """A list file to be loaded: `columns` and the `readers` of their cells, for a table."""

    name: str
    file: str
    data: bytes
    kind: str
    columns: tuple[str, ...]
    readers: tuple[Callable[[str], Any], ...]
    digest: str
    problems: Problems

    def keyed(
        self, most: int = MAX_ENTRIES, *, trailing: bool = True
    ) -> Iterator[tuple[int, str, Row | None]]:
        """Every entry with its line, and its row in a table. Bad rows are told and left out."""
        if not self.columns:
            for line, entry in entries(self.data, self.problems, most, trailing=trailing):
                yield line, entry, None
            return
        for line, key, cells in rows(self.data, self.kind, self.columns, self.problems, most):
            row = self._row(line, cells)
            if not key:
                self.problems.add(
                    line, "the row has no key", f"its first cell, or the one called `{self.kind}`, is empty"
                )
            elif row is not None:
                yield line, key, row

    def _row(self, line: int, cells: list[str]) -> Row | None:
        values: list[Any] = []
        for column, read, cell in zip(self.columns, self.readers, cells, strict=True):
            try:
                values.append(read(cell) if cell else None)
            except BadCell as error:
                self.problems.add(line, f"`{column}` is `{shorten(cell)}`, and should be {error}")
                return None
        return tuple(values)

    def twice(self, line: int, entry: str, first: int, *, same: bool) -> None:
        """Tell of an entry that stands on two lines. In a table, two rows that differ are an error."""
        code = "duplicate-entry" if same else "bad-list-file"
        self.problems.add(
            line, f"`{shorten(entry)}` is already on line {first}", "take one of them away", code
        )

    def covered(self, found: list[tuple[int, str, str, int]]) -> None:
        """Tell of entries (line, entry) that another (entry, line) covers. In a table both have a use."""
        if not self.columns:
            for line, entry, by, first in sorted(found):
                message = f"`{shorten(entry)}` is covered by `{shorten(by)}` on line {first}"
                self.problems.add(line, message, "take it away", "duplicate-entry")


def shorten(text: str) -> str:
    """A text as a message shows it: at most 60 characters, without any that hide or reorder."""
    cut = text if len(text) <= 60 else text[:59] + "…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)


class PolicyList(ABC):
    """A loaded list. It never changes; a changed file makes another one.

    `digest` is the SHA-256 of the file, in hexadecimal: what a decision was made with.
    """

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.file = source.file
        self.kind = source.kind
        self.columns = source.columns
        self.digest = source.digest

    @abstractmethod
    def __len__(self) -> int:
        """How many entries there are."""

    @abstractmethod
    def entries(self) -> list[str]:
        """All entries in the order of the file. Domains are spelled as they are compared."""

    @abstractmethod
    def found(self, text: str) -> list[str]:
        """The entries that a value has: for words and patterns those in the text, in order of first place,
        each once; for the other kinds those that stand for the value, the closest first."""

    def contains(self, value: str) -> bool:
        """Whether some entry stands for the value, or is in the text."""
        return bool(self.found(value))

    def matches(self, text: str) -> bool:
        """The same, under the name that fits words and patterns."""
        return self.contains(text)

    def row(self, value: str) -> dict[str, Any] | None:
        """The row of the closest entry, as a new dict from column to value; None without one."""
        return None


class KeyedList(PolicyList):
    """A list whose entries are looked up by a value. `lines` says where each stands."""

    def __init__(self, source: Source, lines: dict[str, int], rows: dict[str, Row]) -> None:
        super().__init__(source)
        self._lines = lines
        self._rows = rows

    def __len__(self) -> int:
        return len(self._lines)

    def entries(self) -> list[str]:
        """All entries in the order of the file. Domains are spelled as they are compared."""
        return list(self._lines)

    def found(self, text: str) -> list[str]:
        """The entries that stand for the value, the closest first."""
        return list(self.covering(text))

    def row(self, value: str) -> dict[str, Any] | None:
        """The row of the closest entry."""
        if not self.columns:
            return None
        for entry in self.covering(value):
            return dict(zip(self.columns, self._rows[entry], strict=True))
        return None

    @abstractmethod
    def covering(self, value: str) -> Iterator[str]:
        """The entries that stand for a value, the closest first."""
