"""The printer: read back, what it prints is the tree that was printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.grammar import literals, tree
from quell.grammar.diagnostics import Report
from quell.grammar.parser import MAX_DEPTH, parse, parse_expression
from quell.grammar.printer import print_declaration, print_expression
from quell.grammar.source import Source
from quell.grammar.tree import Binary, Ident, Junction, Name, Number, Text, Unary
from tests import strategies_tree as strategies
from tests.sample_policies import ALL

WIDTHS = st.sampled_from([10, 40, 100, 1000])


def read(text: str) -> tuple[tree.Declaration, ...]:
    report = Report()
    file = parse(Source("p", text), report)
    assert not report.found, text
    return file.declarations


def documented(node: tree.Declaration) -> str:
    doc = "".join(f"# {line}".rstrip() + "\n" for line in node.doc.split("\n")) if node.doc else ""
    return f"{doc}{print_declaration(node)}\n"


def expression(text: str) -> tree.Expr:
    report = Report()
    found = parse_expression(text, report=report)
    assert found is not None, (text, report.found)
    return found


# ------------------------------------------------------------- there and back


@given(strategies.declarations, WIDTHS)
def test_every_declaration_reads_back_as_itself(node: tree.Declaration, width: int) -> None:
    assert read(print_declaration(node, None, width)) == (node,)


@given(strategies.expr())
def test_every_expression_reads_back_as_itself(node: tree.Expr) -> None:
    assert expression(print_expression(node)) == node


@given(st.lists(strategies.declarations, max_size=4).map(tuple), st.text("ab# \n", max_size=9).map(str.strip))
def test_every_file_reads_back_with_its_documentation(nodes: tuple[tree.Declaration, ...], doc: str) -> None:
    if nodes:
        first = nodes[0]
        object.__setattr__(first, "doc", "\n".join(line.strip(" #") for line in doc.split("\n")))
    found = read("\n".join(documented(node) for node in nodes))
    assert found == nodes
    assert [d.doc for d in found] == [d.doc for d in nodes]


@pytest.mark.parametrize("width", [1, 20, 100])
def test_the_samples_read_back_as_themselves(width: int) -> None:
    for node in read(ALL):
        assert read(print_declaration(node, ALL, width)) == (node,)
        assert read(print_declaration(node, None, width)) == (node,)


def test_the_shipped_policies_read_back_as_themselves(root: Path) -> None:
    paths = sorted([*root.joinpath("policies").rglob("*.quell"), *root.joinpath("examples").rglob("*.quell")])
    assert paths
    for path in paths:
        text = path.read_text(encoding="utf-8")
        file = parse(Source("p", text), Report())
        assert read("\n".join(map(documented, file.declarations))) == file.declarations
        assert "\n".join(print_declaration(d, text) for d in file.declarations)


def test_what_nests_most_deeply_is_printed() -> None:
    for text in (
        "(" * (MAX_DEPTH - 2) + "1" + ")" * (MAX_DEPTH - 2),
        "[{a: " * 59 + "1" + "}]" * 59,
        "f(" * 115 + "a and\n b" + ")" * 115,
        "n(e where " * 115 + "a" + ")" * 115,
        "not " * 110 + "a",
    ):
        node = expression(text)
        assert expression(print_expression(node)) == node
        let = tree.Let(Ident("x"), None, node)
        assert read(print_declaration(let, None, 20))


# ------------------------------------------------------------- canonical form


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a  and(b)or not   c", "a and (b) or not c"),
        ("f( a,b )[ 0 ].c", "f(a, b)[0].c"),
        ("{a:1,b:[ ],}", "{ a: 1, b: [] }"),
        ("{ }", "{}"),
        ("-  a- -1", "-a - -1"),
        ("80 %b", "80 % b"),
        ("1_000+1e3+0.10", "1000 + 1000 + 0.1"),
        ("80.0%+5e-1", "80% + 0.5"),
        ("3600s", "3600s"),
        ('"a{ x+1 }\\u{41}{{"', '"a{x + 1}A{{"'),
        ("[x of xs where x>1]", "[x of xs where x > 1]"),
        ("count( e  by a , b as c within 1h before this)", "count(e by a, b as c within 1h before this)"),
        ("rate(e per 1h ever)", None),
        ("a not in b", None),
        ("`a`", "a"),
        ("`true`", None),
        ("`of` + of", "of + of"),
    ],
)
def test_expressions_have_one_form(text: str, printed: str | None) -> None:
    assert print_expression(expression(text)) == (text if printed is None else printed)


def test_literals_keep_their_spelling_when_the_source_is_known() -> None:
    text = '1_000 + 0.10 + 80.0% + 90m + f("\\u{41}{a  +b}\\t", /a\\/[/]/i)'
    canonical = '1_000 + 0.10 + 80.0% + 90m + f("\\u{41}{a + b}\\t", /a\\/[/]/i)'
    assert print_expression(expression(text), text) == canonical
    assert print_expression(expression(text), " " * 200) == print_expression(expression(text))


@pytest.mark.parametrize(
    ("node", "printed"),
    [
        (Binary("*", Binary("+", Name("a"), Name("b")), Name("c")), "(a + b) * c"),
        (Binary("-", Name("a"), Binary("-", Name("b"), Name("c"))), "a - (b - c)"),
        (Unary("not", Junction("or", (Name("a"), Name("b")))), "not (a or b)"),
        (Junction("and", (Junction("or", (Name("a"), Name("b"))), Name("c"))), "(a or b) and c"),
        (tree.Attribute(Unary("-", Name("a")), Ident("b")), "(-a).b"),
        (tree.Is(tree.Compare(Name("a"), (("<", Name("b")),)), "missing"), "(a < b) is missing"),
        (tree.Attribute(Number(-1), Ident("b")), "(-1).b"),
    ],
)
def test_a_tree_without_parentheses_gets_those_it_needs(node: tree.Expr, printed: str) -> None:
    assert print_expression(node) == printed
    assert print_expression(expression(printed)) == printed


def test_conditions_break_where_their_writer_broke_them() -> None:
    text = "rule r\n  when a and b\n and c or (d\n or e)\n  then block"
    broken = "rule r\n  when a and b\n   and c or (d\n          or e)\n  then block"
    (node,) = read(text)
    assert print_declaration(node, text) == broken
    assert print_declaration(node) == "rule r\n  when a and b and c or (d or e)\n  then block"


def test_conditions_that_do_not_fit_break_before_every_operand() -> None:
    (node,) = read(
        f"rule r\n  when {'a' * 40} and {'b' * 40} and not ({'c' * 40} or {'d' * 60})\n  then block"
    )
    assert print_declaration(node).split("\n") == [
        "rule r",
        "  when " + "a" * 40,
        "   and " + "b" * 40,
        "   and not (" + "c" * 40,
        "         or " + "d" * 60 + ")",
        "  then block",
    ]


def test_no_line_begins_at_the_margin_but_the_first() -> None:
    for node in read(ALL):
        for width in (1, 30, 100):
            first, *rest = print_declaration(node, ALL, width).split("\n")
            assert first[0] != " "
            assert all(line.startswith("  ") for line in rest)
            assert not any(line != line.rstrip() for line in rest)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ('event e from "e" with a\n from text = $.from', "  from      text   = $.from"),
        ("event e\n `from` text = $.from", "  `from`    text   = $.from"),
        ("rule r\n then `label`", "  then `label`"),
        ("rule r\n then label", None),
        ("rule r\n then block `by` flag", "       `by`"),
        ("rule r\n then `by`", "  then by"),
        ('test "t"\n expect `not`', "  expect `not`"),
        ('test "t"\n expect `by` by `on`', "  expect by by on"),
        ("verdicts `for`", "verdicts `for`"),
        ('let x = "{`true`}{of}"', 'let x = "{`true`}{of}"'),
    ],
)
def test_names_stand_in_backquotes_where_they_must_and_only_there(text: str, printed: str | None) -> None:
    report = Report()
    found = parse(Source("p", text), report).declarations
    if printed is None:
        assert report.errors
        return
    assert printed in print_declaration(found[0]).split("\n")
    assert read(print_declaration(found[0])) == found


@pytest.mark.parametrize(
    "node",
    [
        tree.Record(((Ident("a"), Name("b")),)),
        tree.Regex('"{'),
        Text((Text((Text((Name("a"),)),)),)),
    ],
)
def test_a_tree_that_no_text_means_is_refused(node: tree.Expr) -> None:
    with pytest.raises(ValueError, match="would mean something else"):
        print_expression(Text((node,)))


# ------------------------------------------------------------------ literals


@given(st.floats(0, allow_nan=False, allow_infinity=False))
def test_numbers_and_percentages_are_spelled_so_that_they_read_back(value: float) -> None:
    assert literals.number(literals.spell_number(value)) == value
    assert literals.percent(literals.spell_percent(value)) == value


@given(st.integers(0, literals.LARGEST_DURATION))
def test_durations_are_spelled_so_that_they_read_back(micros: int) -> None:
    assert literals.duration(literals.spell_duration(micros)) == micros


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_is_quoted_so_that_it_reads_back_on_one_line(text: str) -> None:
    quoted = literals.quote(text)
    assert "".join(part for _, _, part in literals.split_text(quoted)) == text
    assert len(quoted.splitlines()) == 1


@given(strategies.paths)
def test_paths_are_spelled_so_that_they_read_back(path: tree.Path) -> None:
    assert literals.path(literals.spell_path(path.segments)) == path.segments
