"""Text to tree: a file is cut into declarations, and each is parsed by itself.

A declaration starts at the left margin and its other lines are indented, so one that is broken never
hides the errors of the next, and an editor re-parses only what changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lark.exceptions import UnexpectedInput

from quell.grammar import tree
from quell.grammar.build import BuildError
from quell.grammar.diagnostics import Report
from quell.grammar.reader import STARTS as STARTS
from quell.grammar.reader import reader
from quell.grammar.source import Source, Span
from quell.grammar.syntax_errors import unknown_declaration
from quell.grammar.syntax_mistake import Fault, shown

MAX_FILE = 2_000_000
"""Characters in one policy file; a larger one is refused."""
MAX_DECLARATION = 100_000
"""Characters in one declaration."""
MAX_DEPTH = 120
"""How deeply the nodes of a declaration may nest."""
MAX_DECLARATIONS = 20_000
"""Declarations in one file; what follows is refused."""
MAX_ERRORS = 500
"""Declarations of one file that may fail to parse before the rest is left unread."""

_WORD = re.compile(r"[^\s(){}\[\]=<>\"'.,:#]+")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One declaration's text: where it begins, and the comment directly above it."""

    start: int
    text: str
    doc: str


def parse(source: Source, report: Report) -> tree.PolicyFile:
    """All declarations of a file that parse; what does not is reported."""
    if not is_readable(source, report):
        return tree.PolicyFile(source.name, ())
    out: list[tree.Declaration] = []
    failed = 0
    for chunk in split(source, report):
        if failed == MAX_ERRORS or len(out) == MAX_DECLARATIONS:
            many, hint = (
                (f"{failed} declarations of this file do not read", "is this a policy file?")
                if failed == MAX_ERRORS
                else (f"this file has more than {len(out):,} declarations", "split it")
            )
            place = Span(source.name, chunk.start, chunk.start)
            report.add("unreadable-file", f"{many}, and the rest is left unread", place, hint=hint)
            break
        declaration = parse_chunk(source.name, chunk, report)
        if declaration is None:
            failed += 1
        else:
            out.append(declaration)
    return tree.PolicyFile(source.name, tuple(out))


def is_readable(source: Source, report: Report | None = None) -> bool:
    """Whether a file is text, and no larger than a policy file may be; why it is not is reported."""
    report = Report() if report is None else report
    if len(source.text) > MAX_FILE:
        report.add(
            "unreadable-file",
            f"this file has {len(source.text):,} characters, and a policy file may have {MAX_FILE:,}",
            Span(source.name, 0, 0),
            hint="split it, or move its data into a list file",
        )
        return False
    odd = _NO_TEXT.search(source.text)
    if odd is not None:
        report.add(
            "unreadable-file",
            f"this file holds `{shown(odd[0])}`, which no text does",
            Span(source.name, odd.start(), odd.end()),
            hint="a policy file is text in UTF-8",
        )
    return odd is None


def split(source: Source, report: Report) -> Iterator[Chunk]:
    """The declarations of a file as text, each from its margin to the next one's comment."""
    heads: list[int] = []
    orphan = False
    for number in range(1, source.lines + 1):
        line = _line(source, number)
        if not line.strip() or line[0] == "#":
            continue
        if line[0] not in " \t":
            heads.append(number)
        elif not heads and not orphan and not line.lstrip().startswith("#"):
            orphan = True
            end = source.offset(number) + len(source.line(number))
            report.add(
                "stray-indent",
                "this line is indented but belongs to no declaration",
                Span(source.name, end - len(line.lstrip()), end),
                hint="a declaration begins at the left margin",
            )
    for i, head in enumerate(heads):
        last = heads[i + 1] - 1 if i + 1 < len(heads) else source.lines
        while last > head and _is_margin_comment_or_blank(source.line(last)):
            last -= 1
        start = source.offset(head) + len(source.line(head)) - len(_line(source, head))
        end = source.offset(last) + len(source.line(last))
        yield Chunk(start, source.text[start:end], _doc(source, head))


def _line(source: Source, number: int) -> str:
    line = source.line(number)
    return line.removeprefix("\ufeff") if number == 1 else line


def _is_margin_comment_or_blank(line: str) -> bool:
    return not line.strip() or line[0] == "#"


def _doc(source: Source, head: int) -> str:
    lines: list[str] = []
    number = head - 1
    while number >= 1 and _line(source, number).startswith("#"):
        lines.append(_line(source, number).lstrip("#").removeprefix(" ").rstrip())
        number -= 1
    return "\n".join(reversed(lines))


def parse_chunk(
    file: str, chunk: Chunk, report: Report, comments: list[Span] | None = None
) -> tree.Declaration | None:
    """One declaration, or None with the reason reported. Its comments are added to `comments`."""
    match = _WORD.match(chunk.text)
    word = match[0] if match else chunk.text[:1]
    place = Span(file, chunk.start, chunk.start + len(word))
    if word not in STARTS:
        _add(report, unknown_declaration(word, chunk.text, STARTS), file, chunk.start)
        return None
    if len(chunk.text) > MAX_DECLARATION:
        report.add(
            "too-deep",
            f"this declaration has {len(chunk.text):,} characters, and one may have {MAX_DECLARATION:,}",
            place,
            hint="move long lists into a list file",
        )
        return None
    node, found = _parse(chunk.text, word, file, chunk.start, report)
    if not isinstance(node, tree.Declaration) or _too_deep(node, report):
        return None
    if comments is not None:
        comments.extend(found)
    return replace(node, doc=chunk.doc) if chunk.doc else node


def parse_expression(
    text: str, file: str = "", offset: int = 0, report: Report | None = None
) -> tree.Expr | None:
    """An expression by itself, or None with the reason reported."""
    report = Report() if report is None else report
    node, _ = _parse(text, "expr", file, offset, report)
    if not isinstance(node, tree.Expr) or _too_deep(node, report):
        return None
    return node


def _too_deep(node: tree.Node, report: Report) -> bool:
    deep = tree.deeper_than(node, MAX_DEPTH)
    if deep is None:
        return False
    place = Span(deep.span.file, deep.span.start, deep.span.start + 1)
    report.add(
        "too-deep", f"this nests more than {MAX_DEPTH} deep", place, hint="give parts of it names with `let`"
    )
    return True


def _parse(text: str, start: str, file: str, offset: int, report: Report) -> tuple[object, list[Span]]:
    try:
        return reader().read(text, start, file, offset)
    except UnexpectedInput as error:
        _add(report, reader().explain(error, text, start), file, offset)
    except BuildError as inner:
        report.add(inner.code, inner.message, inner.span, hint=inner.hint, replacement=inner.replacement)
    return None, []


def _add(report: Report, fault: Fault, file: str, offset: int) -> None:
    span = Span(file, offset + fault.offset, offset + fault.offset + fault.length)
    report.add(fault.code, fault.message, span, hint=fault.hint, replacement=fault.replacement)
