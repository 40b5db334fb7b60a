"""Lists of exact values and of prefixes, compared character by character."""

from __future__ import annotations

from collections.abc import Iterator

from quell.signals.list_base import KeyedList, Row, Source


def _read(source: Source) -> tuple[dict[str, int], dict[str, Row]]:
    lines: dict[str, int] = {}
    rows: dict[str, Row] = {}
    for line, entry, row in source.keyed():
        first = lines.setdefault(entry, line)
        if first != line:
            source.twice(line, entry, first, same=rows.get(entry) == row)
        elif row is not None:
            rows[entry] = row
    return lines, rows


class ExactList(KeyedList):
    """Values that are equal to an entry."""

    def contains(self, value: str) -> bool:
        """Whether the value is an entry."""
        return value in self._lines

    def covering(self, value: str) -> Iterator[str]:
        """The entry equal to the value."""
        if value in self._lines:
            yield value


def load_exact(source: Source) -> ExactList:
    """Read a list of exact values."""
    return ExactList(source, *_read(source))


class PrefixList(KeyedList):
    """Values that begin with an entry."""

    def __init__(self, source: Source, lines: dict[str, int], rows: dict[str, Row]) -> None:
        super().__init__(source, lines, rows)
        self._lengths = sorted({len(entry) for entry in lines})

    def contains(self, value: str) -> bool:
        """Whether the value begins with an entry."""
        lines, longest = self._lines, len(value)
        for length in self._lengths:
            if length > longest:
                return False
            if value[:length] in lines:
                return True
        return False

    def covering(self, value: str) -> Iterator[str]:
        """The entries that the value begins with, the longest first."""
        for length in reversed(self._lengths):
            if length <= len(value) and value[:length] in self._lines:
                yield value[:length]

    def shorter(self, entry: str) -> str | None:
        """The shortest other entry that this one begins with."""
        found = [e for e in self.covering(entry) if e != entry]
        return found[-1] if found else None


def load_prefixes(source: Source) -> PrefixList:
    """Read a list of prefixes."""
    lines, rows = _read(source)
    made = PrefixList(source, lines, rows)
    if not source.columns:
        covered = ((entry, line, made.shorter(entry)) for entry, line in lines.items())
        source.covered([(line, entry, by, lines[by]) for entry, line, by in covered if by is not None])
    return made
