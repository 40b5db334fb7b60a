"""Diagnostics as a terminal and as JSON show them."""

from __future__ import annotations

import io
import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from quell.grammar.diagnostics import Diagnostic, Related, Report, as_json
from quell.grammar.parser import parse
from quell.grammar.render import lines, visible
from quell.grammar.source import Source, Span


def shown(found: list[Diagnostic], *sources: Source, width: int = 80, colour: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
    )
    for diagnostic in found:
        for line in lines(diagnostic, {s.name: s for s in sources}, width):
            console.print(line, soft_wrap=True, highlight=False)
        console.print()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def excerpt(text: str, start: int, end: int, width: int = 80) -> list[str]:
    """The source lines and marks of a diagnostic, without their gutter."""
    source = Source("p", text)
    out = [
        line.plain for line in lines(Diagnostic("syntax", "m", Span("p", start, end)), {"p": source}, width)
    ]
    return [re.sub(r"^ *\d* \| ?", "", line) for line in out[3:]]


def test_a_finding_shows_its_place_its_line_a_hint_and_related_places() -> None:
    a, b = Source("a.quell", "let x = 1\n"), Source("b.quell", "\nlet x = 2\n")
    found = Diagnostic(
        "declared-twice",
        "`x` is declared a second time",
        Span("b.quell", 5, 6),
        hint="give one of them another name",
        related=(Related(Span("a.quell", 4, 5), "first declared here"),),
    )
    assert (
        shown([found], a, b)
        == """\
error[declared-twice]: `x` is declared a second time
 --> b.quell:2:5
  |
2 | let x = 2
  |     ^
  = hint: give one of them another name
  = first declared here
 --> a.quell:1:5
  |
1 | let x = 1
  |     -

"""
    )


def test_colour_tells_errors_from_warnings_and_leaves_the_text() -> None:
    source = Source("p", "let a = 'x'\n")
    report = Report()
    parse(source, report)
    report.add("unused-name", "nothing uses `a`", Span("p", 4, 5))
    coloured = shown(report.found, source, colour=True)
    assert "\x1b[1;31merror[syntax]" in coloured
    assert "\x1b[1;33mwarning[unused-name]" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == shown(report.found, source)


def test_what_looks_like_markup_is_text() -> None:
    source = Source("[red]p[/red].quell", "let [bold]x[/bold] = :smile: [link=http://x]\n")
    found = Diagnostic("syntax", "[blink]`[/]`[/blink]", Span(source.name, 4, 10), hint="[/]")
    text = shown([found], source)
    assert "error[syntax]: [blink]`[/]`[/blink]" in text
    assert " --> [red]p[/red].quell:1:5" in text
    assert "1 | let [bold]x[/bold] = :smile: [link=http://x]" in text
    assert "= hint: [/]" in text


def test_characters_that_cannot_be_seen_are_spelled_out() -> None:
    assert visible("a\tb\x00\x1b[31m\x7f\u202e\u200b\xa0\ud800é日") == (
        "a    b␀␛[31m<U+007F><U+202E><U+200B><U+00A0><U+D800>é日"
    )
    assert "\x1b" not in shown([Diagnostic("syntax", "\x1b[31m", Span("p", 0, 1))], Source("p", "\x1b[2J"))


def test_marks_stand_below_what_they_mark() -> None:
    assert excerpt("let x = 1", 4, 5) == ["let x = 1", "    ^"]
    assert excerpt("\tlet x", 5, 6) == ["    let x", "        ^"]
    assert excerpt('"日本" + x', 7, 8) == ['"日本" + x', "         ^"]
    assert excerpt('"日本"', 1, 3) == ['"日本"', " ^^^^"]
    assert excerpt("a\u202eb", 1, 2) == ["a<U+202E>b", " ^^^^^^^^"]
    assert excerpt("a\u0301b", 2, 3) == ["a\u0301b", " ^"]
    assert excerpt("ab", 1, 1) == ["ab", " ^"]
    assert excerpt("ab", 2, 2) == ["ab", "  ^"]
    assert excerpt("", 0, 0) == ["", "^"]
    assert excerpt("ab", 5, 9) == ["ab", "  ^"]


def test_a_span_of_several_lines_shows_its_first_and_last() -> None:
    assert excerpt("let a = f(\n  b)\n", 8, 15) == ["let a = f(", "        ^^", "  b)", "  ^^"]
    assert excerpt("f(\n  a,\n  b)", 0, 12) == ["f(", "^^", " ...", "  b)", "  ^^"]
    assert excerpt("ab\ncd", 1, 3) == ["ab", " ^"]


def test_a_long_line_is_cut_around_the_span() -> None:
    text = "x" * 500 + "HERE" + "y" * 500
    code, marks = excerpt(text, 500, 504, 60)
    assert len(code) <= 60
    assert code[0] == code[-1] == "…"
    assert code[marks.index("^") : marks.rindex("^") + 1] == "HERE"
    code, marks = excerpt("HERE" + "y" * 500, 0, 4, 60)
    assert (code[:4], code[-1], marks) == ("HERE", "…", "^^^^")
    code, marks = excerpt("x" * 500 + "HERE", 500, 504, 60)
    assert (code[0], code[-4:]) == ("…", "HERE")
    assert marks == " " * (len(code) - 4) + "^^^^"
    code, marks = excerpt(text, 0, len(text), 60)
    assert len(code) <= 60
    assert len(marks) <= 60


def test_a_place_without_its_source_is_named() -> None:
    text = shown([Diagnostic("empty-bundle", "no policies", Span("", 0, 0))])
    assert text == "error[empty-bundle]: no policies\n --> (nowhere)\n\n"
    text = shown([Diagnostic("missing-file", "no list", Span("lists/a.txt", 3, 4))])
    assert " --> lists/a.txt\n" in text


@given(st.text(st.characters(), max_size=200), st.integers(0, 220), st.integers(0, 220), st.integers(1, 120))
def test_any_text_and_span_can_be_shown(text: str, start: int, end: int, width: int) -> None:
    source = Source("p", text)
    found = Diagnostic("syntax", text[:50], Span("p", start, end), hint=text[50:80])
    for line in lines(found, {"p": source}, width)[1:-1]:
        assert cell_len(line.plain) <= max(width, 60)
        assert all(char.isprintable() for char in line.plain)
    assert shown([found], source, width=width).startswith("error[syntax]: ")


def test_json_says_the_same() -> None:
    source = Source("p", "let a = 1\nlet b = a = 2\n")
    report = Report()
    parse(source, report)
    assert [as_json(d, {"p": source}) for d in report.found] == [
        {
            "code": "assignment-in-condition",
            "severity": "error",
            "message": "a single `=` does not compare",
            "hint": "write `==`",
            "replacement": "==",
            "file": "p",
            "line": 2,
            "column": 11,
            "end_line": 2,
            "end_column": 12,
            "related": [],
        }
    ]
