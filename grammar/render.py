"""Diagnostics for people, in colour with their source lines."""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len
from rich.text import Text

from quell.grammar.diagnostics import Diagnostic, place
from quell.grammar.source import Source, Span

_COLOUR = {"error": "bold red", "warning": "bold yellow"}
_TAB = 4
_LEAST_WIDTH = 40


def lines(diagnostic: Diagnostic, sources: Mapping[str, Source], width: int = 100) -> list[Text]:
    """One finding as styled lines, its source lines cut to `width` columns.

    Nothing of a policy is taken for markup, and characters that cannot be seen are spelled out.
    """
    colour = _COLOUR[diagnostic.severity]
    gutter = _gutter(diagnostic, sources)
    head = Text(f"{diagnostic.severity}[{diagnostic.code}]", style=colour)
    head.append(": ", style="bold")
    head.append(visible(diagnostic.message), style="bold")
    out = [head, *_excerpt(diagnostic.span, sources, gutter, width, "^", colour)]
    if diagnostic.hint:
        out.append(_note(gutter, "= hint: ", diagnostic.hint, "green"))
    for related in diagnostic.related:
        out.append(_note(gutter, "= ", related.message, "cyan"))
        out += _excerpt(related.span, sources, gutter, width, "-", "cyan")
    return out


def visible(text: str) -> str:
    """`text` with every character that cannot be seen, or that changes how others are seen, spelled out."""
    return "".join(_shown(char) for char in text)


# ------------------------------------------------------------------- details


def _gutter(diagnostic: Diagnostic, sources: Mapping[str, Source]) -> int:
    """How wide the largest line number is."""
    spans = [diagnostic.span, *(r.span for r in diagnostic.related)]
    last = [
        sources[s.file].position(_clamped(s, sources[s.file])[1]).line for s in spans if s.file in sources
    ]
    return max([len(str(line)) for line in last], default=1)


def _note(gutter: int, sign: str, text: str, style: str) -> Text:
    line = Text(" " * (gutter + 1))
    line.append(sign, style=f"bold {style}")
    return line.append(visible(text))


def _clamped(span: Span, source: Source) -> tuple[int, int]:
    size = len(source.text)
    start = max(0, min(span.start, size))
    return start, max(start, min(span.end, size))


def _excerpt(
    span: Span, sources: Mapping[str, Source], gutter: int, width: int, mark: str, style: str
) -> list[Text]:
    """Where a span is, and its first and last line with the span underlined."""
    where = Text(" " * gutter + "--> ", style="blue")
    where.append(visible(place(span, sources)))
    source = sources.get(span.file)
    if source is None:
        return [where]
    start, end = _clamped(span, source)
    first, last = source.position(start), source.position(end)
    if last.line > first.line and last.column == 1:  # it ends with a line break
        last = source.position(end - 1)
    bar = Text(" " * (gutter + 1) + "|", style="blue")
    out = [where, bar]
    for number in (first.line,) if first.line == last.line else (first.line, last.line):
        if number == last.line > first.line + 1:
            out.append(Text(" " * gutter + "...", style="blue"))
        line = source.line(number)
        begin = first.column - 1 if number == first.line else len(line) - len(line.lstrip())
        stop = last.column - 1 if number == last.line else len(line)
        code, marks = _underlined(line, begin, max(stop, begin), max(width - gutter - 3, _LEAST_WIDTH), mark)
        row = Text(f"{number:>{gutter}} | ", style="blue")
        out.append(row.append(code, style="default"))
        under = Text(" " * (gutter + 1) + "| ", style="blue")
        out.append(under.append(marks, style=style))
    return out


def _underlined(line: str, begin: int, stop: int, width: int, mark: str) -> tuple[str, str]:
    """The part of a line around a span that fits into `width` columns, and the marks below it."""
    cells = [_shown(char) for char in line[: begin + 20 * width]]
    widths = [cell_len(cell) for cell in cells]
    begin, stop = min(begin, len(line)), min(stop, len(line))
    left = 0
    if sum(widths) > width:
        room = width // 3
        left = begin
        while left > 0 and sum(widths[left - 1 : begin]) <= room:
            left -= 1
    before = "…" if left else ""
    right, used = left, len(before)
    while right < len(cells) and used + widths[right] <= width - (right + 1 < len(line)):
        used += widths[right]
        right += 1
    after = "…" if right < len(line) else ""
    code = before + "".join(cells[left:right]) + after
    indent = len(before) + sum(widths[left:begin])
    length = sum(widths[begin : min(stop, right)])
    return code, " " * indent + mark * max(length, 1)


def _shown(char: str) -> str:
    if char == "\t":
        return " " * _TAB
    if char.isprintable():
        return char
    return chr(0x2400 + ord(char)) if ord(char) < 0x20 else f"<U+{ord(char):04X}>"
