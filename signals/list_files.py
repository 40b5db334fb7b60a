"""List files as bytes to their lines and rows, with every trouble told by line and none of them endless."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field

from quell.grammar.codes import CODES, Severity
from quell.grammar.diagnostics import did_you_mean

MAX_BYTES = 64 << 20
MAX_ENTRIES = 5_000_000
MAX_LINE = 10_000
"""Characters in one line."""
MAX_TOLD = 20
"""Problems of one severity that are told one by one."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class ListProblem:
    """One finding in a list file. `line` counts from 1; 0 is the file as a whole."""

    line: int
    message: str
    hint: str | None
    code: str
    severity: Severity


@dataclass(slots=True)
class Problems:
    """Findings as they are made: the first MAX_TOLD of each severity, and how many more there are."""

    _told: list[ListProblem] = field(default_factory=list)
    _counts: dict[Severity, int] = field(default_factory=dict)
    _next: dict[Severity, ListProblem] = field(default_factory=dict)

    def add(self, line: int, message: str, hint: str | None = None, code: str = "bad-list-file") -> None:
        """Note one finding; its severity is its code's."""
        severity = CODES[code].severity
        self._counts[severity] = self._counts.get(severity, 0) + 1
        problem = ListProblem(line, message, hint, code, severity)
        if self._counts[severity] <= MAX_TOLD:
            self._told.append(problem)
        elif severity not in self._next:
            self._next[severity] = problem

    @property
    def failed(self) -> bool:
        """Whether there is an error among them."""
        return "error" in self._counts

    def listed(self) -> tuple[ListProblem, ...]:
        """The findings in order of line."""
        told = sorted(self._told, key=lambda p: (p.line, p.severity, p.message))
        for severity, first in sorted(self._next.items()):
            more = self._counts[severity] - MAX_TOLD
            noun = "error" if severity == "error" else "warning"
            message = f"and {more:,} more {noun}{'s' * (more > 1)} from here on"
            told.append(ListProblem(first.line, message, None, first.code, severity))
        return tuple(told)


class TooMany(Exception):
    """A file with more entries than its kind may have; reading stops."""


def lines(data: bytes, problems: Problems) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers, without line breaks; a byte order mark is skipped.

    Lines that are not text, or too long, are told and left out. Memory is that of a block, not of the file.
    """
    if len(data) > MAX_BYTES:
        size = f"{len(data) / (1 << 20):,.0f} MB"
        problems.add(
            0,
            f"the file is {size} large, and a list may have {MAX_BYTES >> 20} MB",
            "split it into several lists",
        )
        return
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        problems.add(1, "the file is UTF-16, not UTF-8", "save it as UTF-8")
        return
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    number = 1
    while at < len(data):
        stop = data.find(b"\n", at + _BLOCK)
        stop = len(data) if stop < 0 else stop
        block = _decoded(data[at:stop], number, problems)
        for line in block:
            if line is not None:
                yield number, line
            number += 1
        at = stop + 1


def _decoded(block: bytes, number: int, problems: Problems) -> list[str | None]:
    try:
        text = block.decode()
    except UnicodeDecodeError:
        return [_line(raw, number + i, problems) for i, raw in enumerate(block.split(b"\n"))]
    split = text.split("\n")
    if "\0" not in text and max(map(len, split)) <= MAX_LINE:
        return list(split)
    return [_line(line.encode(), number + i, problems) for i, line in enumerate(split)]


def _line(raw: bytes, number: int, problems: Problems) -> str | None:
    if b"\0" in raw:
        problems.add(
            number,
            "the line has a zero byte: this is no text file",
            "save the list as UTF-8 text, one entry per line",
        )
        return None
    try:
        line = raw.decode()
    except UnicodeDecodeError as error:
        problems.add(number, f"byte {error.start + 1} of the line is not UTF-8", "save the file as UTF-8")
        return None
    if len(line) > MAX_LINE:
        problems.add(number, f"the line has {len(line):,} characters, and {MAX_LINE:,} are allowed")
        return None
    return line


def entries(
    data: bytes, problems: Problems, most: int = MAX_ENTRIES, *, trailing: bool = True
) -> Iterator[tuple[int, str]]:
    """The entries of a plain list with their lines: one a line, blank lines and `#` comments left out.

    A comment begins a line, or (when `trailing`) follows white space and is followed by white space. For a
    `#` that begins an entry, ``\\#`` is written. Raises TooMany past `most` entries.
    """
    count = 0
    for number, line in lines(data, problems):
        entry = line.strip()
        if not entry or entry[0] == "#":
            continue
        if "#" in entry:
            if trailing:
                entry = _uncommented(entry)
            if entry.startswith("\\#"):
                entry = entry[1:]
        count += 1
        if count > most:
            raise _too_many(number, most, problems)
        yield number, entry


def _too_many(number: int, most: int, problems: Problems) -> TooMany:
    problems.add(number, f"the list has more than {most:,} entries", "split it into several lists")
    return TooMany()


def _uncommented(entry: str) -> str:
    at = entry.find("#", 1)
    while at >= 0:
        if entry[at - 1].isspace() and (at + 1 == len(entry) or entry[at + 1].isspace()):
            return entry[:at].rstrip()
        at = entry.find("#", at + 1)
    return entry


@dataclass(frozen=True, slots=True)
class Header:
    """Which cell of a row is the key, and which are the columns asked for, in their order."""

    width: int
    key: int
    columns: tuple[int, ...]


def rows(
    data: bytes, kind: str, columns: tuple[str, ...], problems: Problems, most: int = MAX_ENTRIES
) -> Iterator[tuple[int, str, list[str]]]:
    """The rows of a CSV file: line, key, and the cells of the columns asked for, without space around.

    The first row that is not a comment names the cells. The key is the cell called ``key``, else the one
    called like the kind (``cidrs`` or ``cidr``), else the first. Lines that begin with `#` and blank ones
    are left out. Raises TooMany past `most` rows.
    """
    header: Header | None = None
    seen = count = 0
    for number, line in lines(data, problems):
        line = line.strip()
        if not line or line[0] == "#":
            continue
        cells = _cells(number, line, problems)
        seen += 1
        if cells is None:
            if seen == 1:
                return
        elif header is None:
            header = _header(number, cells, kind, columns, problems)
            if header is None:
                return
        elif len(cells) != header.width:
            have = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
            problems.add(
                number,
                f"the line has {have}, and the first line names {header.width}",
                'put "…" around a cell with a comma',
            )
        else:
            count += 1
            if count > most:
                raise _too_many(number, most, problems)
            yield number, cells[header.key], [cells[i] for i in header.columns]
    if header is None and not problems.failed:
        shown = ",".join((kind, *columns))
        problems.add(0, "the file has no line that names its columns", f"write {shown} as its first line")


def _cells(number: int, line: str, problems: Problems) -> list[str] | None:
    if '"' not in line:
        return [cell.strip() for cell in line.split(",")]
    if line.count('"') % 2:
        problems.add(
            number, 'a `"` of this line does not close on it', 'write "" for the character inside a cell'
        )
        return None
    try:
        (cells,) = csv.reader([line], strict=True, skipinitialspace=True)
    except (csv.Error, ValueError):
        problems.add(number, "the line is no CSV", 'write "" for a " inside a cell')
        return None
    return [cell.strip() for cell in cells]


def _header(
    number: int, cells: list[str], kind: str, columns: tuple[str, ...], problems: Problems
) -> Header | None:
    if len(cells) == 1 and any(c in cells[0] for c in ";\t|"):
        problems.add(
            number, "the cells of a table are separated by commas", "export the file as CSV with commas"
        )
        return None
    for name in cells:
        if name and cells.count(name) > 1:
            problems.add(number, f"two columns are called `{name}`", "give each its own name")
            return None
    missing = [c for c in columns if c not in cells]
    for column in missing:
        named = ", ".join(f"`{c}`" for c in cells[:20])
        problems.add(
            number, f"there is no column `{column}`", did_you_mean(column, cells) or f"the file has {named}"
        )
    if missing:
        return None
    named_so = next(
        (n for n in ("key", kind, kind.removesuffix("es"), kind.removesuffix("s")) if n in cells), cells[0]
    )
    return Header(len(cells), cells.index(named_so), tuple(cells.index(c) for c in columns))
