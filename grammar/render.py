"""Diagnostics for people, in colour with their source lines, and for programs, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from quell.grammar.diagnostics import Diagnostic, as_json, place, sort
from quell.grammar.source import Source, Span

_COLOUR = {"error": "bold red", "warning": "bold yellow"}
_TAB = 4
_LEAST_WIDTH = 40


def render(found: Iterable[Diagnostic], sources: Mapping[str, Source], console: Console) -> None:
    """Print each finding, in order of place, and then how many there were.

    Nothing of a policy is taken for markup, and characters that cannot be seen are spelled out.
    """
    ordered = sort(found)
    for diagnostic in ordered:
        for line in lines(diagnostic, sources, console.width):
            _print(line, console)
        _print(Text(), console)
    _print(_count(ordered), console)


def render_json(found: Iterable[Diagnostic], sources: Mapping[str, Source]) -> str:
    """The findings as a JSON text: how many errors and warnings, and each as `as_json` gives it."""
    ordered = sort(found)
    return json.dumps(
        {
            "errors": sum(d.severity == "error" for d in ordered),
            "warnings": sum(d.severity == "warning" for d in ordered),
            "diagnostics": [as_json(d, sources) for d in ordered],
        },
        ensure_ascii=True,
        indent=2,
    )


def summary(found: Sequence[Diagnostic]) -> str:
    """`2 errors and 1 warning in 2 files`, or `no errors, no warnings`."""
    errors = sum(d.severity == "error" for d in found)
    parts = [_number(errors, "error")] if errors else []
    if len(found) > errors:
        parts.append(_number(len(found) - errors, "warning"))
    files = len({d.span.file for d in found if d.span.file})
    where = f" in {_number(files, 'file')}" if files else ""
    return (" and ".join(parts) or "no errors, no warnings") + where


def lines(diagnostic: Diagnostic, sources: Mapping[str, Source], width: int = 100) -> list[Text]:
    """One finding as styled lines, its source lines cut to `width` columns."""
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


def _print(line: Text, console: Console) -> None:
    console.print(line, soft_wrap=True, highlight=False)


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _count(found: Sequence[Diagnostic]) -> Text:
    errors = any(d.severity == "error" for d in found)
    return Text(
        summary(found), style=_COLOUR["error"] if errors else _COLOUR["warning"] if found else "bold green"
    )


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
