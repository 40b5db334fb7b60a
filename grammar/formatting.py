"""Policy files in canonical form: what `quell fmt` writes.

Declarations keep their order and what does not parse is left as it is. Comments are never lost: those
between declarations stay, those inside one go with the line of what they stood by. The tree never
changes, and formatting again changes nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise

from quell.grammar import tree
from quell.grammar.diagnostics import Report
from quell.grammar.layout import WIDTH
from quell.grammar.parser import Chunk, is_readable, parse_chunk, split
from quell.grammar.printer import print_declaration
from quell.grammar.source import Source, Span

_LINE_END = re.compile(r"\r\n?|\n")
_BLANK_LINES = re.compile(r"\n[ \t\f]*(?=\n)")


@dataclass(slots=True)
class _Entry:
    """One declaration: its text as it will stand, its tree there, and where it was aligned before."""

    kind: str
    text: str
    node: tree.Declaration | None
    columns: tuple[int, ...] = ()


def format_text(source: Source, width: int = WIDTH) -> str | None:
    """The file in canonical form, or None when it is no text that could be a policy file."""
    if not is_readable(source):
        return None
    plain = Source(source.name, _LINE_END.sub("\n", source.text.removeprefix("\ufeff")))
    chunks = list(split(plain, Report()))
    entries = [_entry(plain, chunk, width) for chunk in chunks]
    ends = [chunk.start + len(chunk.text) for chunk in chunks]
    gaps = [
        plain.text[begin:end].split("\n")
        for begin, end in zip([0, *ends], [*(c.start for c in chunks), None], strict=True)
    ]
    if not chunks:
        return _file(_comments(gaps[0]))
    out: list[str | _Entry] = [*_comments(gaps[0][:-1])]
    joined = [False] * len(entries)
    for i, entry in enumerate(entries):
        if i:
            between = gaps[i][1:-1]
            together = _same_kind(entries[i - 1], entry) and all(line.strip() for line in between)
            joined[i] = together and not between
            out += [line.rstrip() for line in between] if together else ["", *_comments(between)]
        out.append(entry)
    _align(entries, joined)
    last = _comments(gaps[-1][1:])
    return _file([*(x if isinstance(x, str) else x.text for x in out), *([""] if last else []), *last])


def _file(lines: list[str]) -> str:
    text = "\n".join(lines).rstrip("\n")
    return text + "\n" if text else ""


def _same_kind(a: _Entry, b: _Entry) -> bool:
    return a.kind == b.kind and "\n" not in a.text and "\n" not in b.text


def _comments(lines: list[str]) -> list[str]:
    """The lines between two declarations: no blank line first, never two together."""
    kept: list[str] = []
    for line in lines:
        if line.strip() or (kept and kept[-1]):
            kept.append(line.rstrip())
    return kept


# ------------------------------------------------------------- declarations


def _entry(source: Source, chunk: Chunk, width: int) -> _Entry:
    kind = chunk.text.split(None, 1)[0] if chunk.text.strip() else ""
    comments: list[Span] = []
    node = parse_chunk(source.name, chunk, Report(), comments)
    if node is None:
        return _Entry(kind, chunk.text, None)
    text = print_declaration(node, source.text, width)
    printed = _again(text, node)
    if printed is not None:
        text = _Attached(source.text, chunk, node, printed, text).with_comments(comments)
        printed = _again(text, node, len(comments))
    if printed is None:  # rather unformatted than another policy
        return _Entry(kind, chunk.text, None)
    columns = _columns(node, source.text) if "\n" not in chunk.text else ()
    return _Entry(kind, text, printed, tuple(column - chunk.start for column in columns))


def _again(text: str, node: tree.Declaration, comments: int | None = None) -> tree.Declaration | None:
    """The tree of `text` if it equals `node` and has as many comments as it should."""
    found: list[Span] = []
    printed = parse_chunk("", Chunk(0, text, ""), Report(), found)
    return printed if printed == node and comments in (None, len(found)) else None


class _Attached:
    """Puts comments and blank lines from the source of a declaration where they belong in its new text.

    The old tree and the new are equal, so their nodes pair off: each pair says where a piece of the source
    went.
    """

    def __init__(
        self, source: str, chunk: Chunk, node: tree.Declaration, printed: tree.Declaration, text: str
    ) -> None:
        self._source, self._chunk = source, chunk
        self._lines = text.split("\n")
        begins = [0]
        for line in self._lines:
            begins.append(begins[-1] + len(line) + 1)
        pairs = zip(tree.walk(node), tree.walk(printed), strict=True)
        moved = sorted({(old.span.start, bisect_right(begins, new.span.start) - 1) for old, new in pairs})
        self._starts = [old for old, _ in moved]
        self._to = [line for _, line in moved]
        self._above: dict[int, list[str]] = {}
        self._beside: dict[int, list[str]] = {}

    def with_comments(self, comments: list[Span]) -> str:
        """The new text with `comments`, which stand in the source, and its blank lines."""
        blank = [(m.start() + self._chunk.start + 1, "") for m in _BLANK_LINES.finditer(self._chunk.text)]
        spans = [(c.start, self._source[c.start : c.end].rstrip()) for c in comments]
        for at, text in sorted([*blank, *spans]):
            self._place(at, text)
        out: list[str] = []
        for i, line in enumerate(self._lines):
            beside = self._beside.get(i, [])
            if len(beside) > 1:
                self._above.setdefault(max(i, 1), []).extend(beside)
            if i:
                out += self._block(i)
            out.append(f"{line}  {beside[0]}" if len(beside) == 1 else line)
        return "\n".join(out + self._block(len(self._lines)))

    def _place(self, at: int, text: str) -> None:
        line_begin = self._source.rfind("\n", 0, at) + 1
        before = self._source[line_begin:at]
        last = bisect_left(self._starts, at) - 1
        on_line = last >= 0 and self._starts[last] >= line_begin
        if before.strip() and (on_line or not re.search(r"\w", before)):
            self._beside.setdefault(self._to[last], []).append(text)
        else:
            next_line = self._to[last + 1] if last + 1 < len(self._to) else len(self._lines)
            self._above.setdefault(max(next_line, 1), []).append(text)

    def _block(self, i: int) -> list[str]:
        """What stands above line `i`, indented as it is; blank lines only above what begins a clause."""
        line = self._lines[i] if i < len(self._lines) else "  "
        indent = " " * (len(line) - len(line.lstrip())) if line.strip() else "  "
        clause = indent == "  " and i > 1 and i < len(self._lines)
        out: list[str] = []
        for text in self._above.get(i, []):
            if text:
                out.append(indent + text)
            elif clause and (not out or out[-1]):
                out.append("")
        return out


# ---------------------------------------------------------------- alignment


def _columns(node: tree.Declaration | None, text: str) -> tuple[int, ...]:
    """Where the parts of a one-line declaration begin that may stand below those of its neighbours."""
    if isinstance(node, tree.Let):
        return (text.rindex("=", 0, node.body.span.start),)
    if isinstance(node, tree.ListDecl):
        return text.rindex("from", 0, node.file.span.start), text.rindex("as", 0, node.kind.span.start)
    return ()


def _align(entries: list[_Entry], joined: list[bool]) -> None:
    """Align the parts of neighbouring declarations where their writer had all of them aligned."""
    begin = 0
    for i in range(1, len(entries) + 1):
        if i == len(entries) or not joined[i]:
            run = entries[begin:i]
            if len(run) > 1 and run[0].columns and len({entry.columns for entry in run}) == 1:
                _align_run(run)
            begin = i


def _align_run(run: list[_Entry]) -> None:
    rows = []
    for entry in run:
        cuts = [0, *_columns(entry.node, entry.text), len(entry.text)]
        rows.append([entry.text[a:b].rstrip() for a, b in pairwise(cuts)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for entry, row in zip(run, rows, strict=True):
        padded = [f"{cell:{wide}}" for cell, wide in zip(row, widths, strict=False)]
        entry.text = " ".join([*padded, row[-1]])
