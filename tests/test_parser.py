"""The parser: what text says, where it says it, and that nothing but diagnostics comes of bad text."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.grammar import literals, tree
from quell.grammar.diagnostics import Report
from quell.grammar.parser import (
    MAX_DECLARATIONS,
    MAX_DEPTH,
    MAX_ERRORS,
    MAX_FILE,
    parse,
    parse_expression,
    split,
)
from quell.grammar.source import Position, Source, Span
from quell.grammar.tree import (
    Binary,
    Compare,
    Duration,
    Group,
    Ident,
    Junction,
    Name,
    Number,
    Text,
    Unary,
    Word,
)
from tests.sample_policies import ALL, CHAT, MORE


def read(text: str) -> tuple[tree.PolicyFile, Report]:
    """The file and what was found in it; every finding must lie inside the text."""
    report = Report()
    file = parse(Source("p.quell", text), report)
    for found in report.found:
        assert found.span.file == "p.quell"
        assert 0 <= found.span.start <= found.span.end <= len(text)
        assert found.message
        assert "\n" not in found.message
        assert len(found.message) < 300
    return file, report


def expression(text: str) -> tree.Expr:
    report = Report()
    found = parse_expression(text, report=report)
    assert not report.found
    assert found is not None
    return found


def declaration(text: str) -> tree.Declaration:
    file, report = read(text)
    assert not report.found
    assert len(file.declarations) == 1
    return file.declarations[0]


# ------------------------------------------------------------ what text says


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a or b and c", "a or (b and c)"),
        ("not a and b", "(not a) and b"),
        ("not a == b", "not (a == b)"),
        ("a == b and c < d", "(a == b) and (c < d)"),
        ("any xs in ys and b", "(any (xs in ys)) and b"),
        ("not any xs > 3", "not (any (xs > 3))"),
        ("a ?? b + c", "a ?? (b + c)"),
        ("a ?? b == c", "(a ?? b) == c"),
        ("a + b * c - d", "(a + (b * c)) - d"),
        ("a - b - c", "(a - b) - c"),
        ("a ?? b ?? c", "(a ?? b) ?? c"),
        ("-a.b * c", "(-(a.b)) * c"),
        ("a // b % c", "(a // b) % c"),
        ("a contains b + c", "a contains (b + c)"),
        ("a is missing or b is not present", "(a is missing) or (b is not present)"),
    ],
)
def test_operators_bind_as_in_python(text: str, meant: str) -> None:
    def bare(node: object) -> object:
        """The node without parentheses, so that only the nesting is compared."""
        if isinstance(node, Group):
            return bare(node.inner)
        if isinstance(node, tree.Node):
            return (type(node), *(bare(getattr(node, f)) for f in node.__dataclass_fields__ if f != "span"))
        return tuple(bare(item) for item in node) if isinstance(node, tuple) else node

    assert bare(expression(text)) == bare(expression(meant))
    assert expression(text) != expression(meant)


def test_and_takes_all_its_operands_at_once_and_comparisons_chain() -> None:
    a, b, c = Name("a"), Name("b"), Name("c")
    assert expression("a and b and c") == Junction("and", (a, b, c))
    assert expression("a and (b and c)") == Junction("and", (a, Group(Junction("and", (b, c)))))
    assert expression("a < b <= c") == Compare(a, (("<", b), ("<=", c)))
    assert expression("a not starts with b") == Word("starts with", a, b, negated=True)


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1_000", 1000), ("0.5", 0.5), ("1e3", 1000), ("9007199254740993", 9007199254740992.0)],
)
def test_numbers(text: str, value: float) -> None:
    assert expression(text) == Number(value)


@pytest.mark.parametrize(("text", "value"), [("80%", 0.8), ("0.1%", 0.001), ("150%", 1.5), ("5.7%", 0.057)])
def test_percentages_are_the_nearest_double_to_their_fraction(text: str, value: float) -> None:
    assert expression(text) == Number(value, percent=True)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("90s", 90_000_000),
        ("1h30m", 5_400_000_000),
        ("1.5s", 1_500_000),
        ("2w", 1_209_600_000_000),
        ("7us", 7),
    ],
)
def test_durations(text: str, micros: int) -> None:
    found = expression(text)
    assert found == Duration(micros)
    assert isinstance(found, Duration)
    assert found.text == text


def test_text_has_escapes_braces_and_text_in_braces() -> None:
    assert expression(r'"a\n\t\"\\\u{1f600}\u00e9"') == Text(('a\n\t"\\\U0001f600é',))
    assert expression('"{{{a}}} }"') == Text(("{", Name("a"), "} }"))
    inner = Text(("<", Name("b"), ">"))
    assert expression('"{f("<{b}>")}"') == Text((tree.Call(Ident("f"), (inner,)),))
    assert expression('""') == Text(())


def test_patterns_keep_their_escapes_except_that_of_the_slash() -> None:
    assert expression(r"/a\/b\.[/\]\\]/is") == tree.Regex(r"a/b\.[/\]\\]", "is")
    assert expression(r"/[\\/]/") == tree.Regex(r"[\\/]")


def test_paths_have_keys_indexes_and_every_element() -> None:
    shape = declaration('shape s\n  a text = $.b["c d"]["\\u00e9"][0][*].e-f')
    assert isinstance(shape, tree.Shape)
    assert shape.fields[0].path == tree.Path(("b", "c d", "é", 0, None, "e-f"))


def test_every_declaration_of_the_samples_is_read() -> None:
    file, report = read(ALL)
    assert not report.found
    kinds = {type(d).__name__ for d in file.declarations}
    assert kinds == {kind.__name__ for kind in tree.Declaration.__subclasses__()}
    assert len(file.declarations) == len(re.findall(r"(?m)^[a-z]", ALL))


def test_clauses_may_stand_in_any_order_and_say_the_same() -> None:
    one = declaration('rule r on e\n  when a\n  then block\n  tag "x", "y"\n  mode live')
    other = declaration('rule r\n  mode live\n  tag "x", "y"\n  then block\n  when a\n  on e')
    assert one == other


def test_steps_of_a_test_keep_their_order_and_parts() -> None:
    test = declaration(
        'test "t"\n  given m { a: 1 } after 5m repeat 3 every 1s with s = 2\n'
        '  expect send "q" never on event 2'
    )
    assert isinstance(test, tree.Test)
    given, expect = test.steps
    assert given == tree.GivenEvent(
        Ident("m"),
        tree.Record(((Ident("a"), Number(1)),)),
        Duration(300_000_000),
        3,
        Duration(1_000_000),
        ((Ident("s"), Number(2)),),
    )
    assert expect == tree.ExpectSend(Text(("q",)), 0, False, tree.Where("number", 2))


# ------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name", ["owner", "limit", "from", "by", "of", "label", "first", "value", "message", "on"]
)
def test_words_of_the_language_may_be_names_where_they_mean_nothing(name: str) -> None:
    shape = declaration(
        f"shape s\n  id text = $.id\n  {name} {name} = $.{name} default 1\n  {name} text = $.x"
    )
    assert isinstance(shape, tree.Shape)
    assert [f.name.name for f in shape.fields] == ["id", name, name]
    assert expression(name) == Name(name)
    assert expression(f"{name}.{name} + {name}({name})") is not None
    event = declaration(f'event e from "e" with actor\n  {name} text = $.x')
    assert isinstance(event, tree.EventDecl)
    assert event.fields[0].name.name == name
    model = declaration(f'model m from "f"\n  a = b\n  {name} = c')
    assert isinstance(model, tree.Model)
    assert model.inputs[1][0].name == name


def test_any_name_may_stand_in_backquotes() -> None:
    assert expression("`not` and `a b`.`true`") == Junction(
        "and", (Name("not"), tree.Attribute(Name("a b"), Ident("true")))
    )


@pytest.mark.parametrize("text", ["a == 3 order", "a andb", "a notin b", "a orb", "a isnt missing", "nota b"])
def test_a_keyword_is_a_whole_word(text: str) -> None:
    report = Report()
    assert parse_expression(text, report=report) is None
    assert report.found[0].code == "syntax"


# ------------------------------------------------------------------ places


def test_every_node_lies_inside_its_parent_and_names_stand_where_they_say() -> None:
    source = Source("p", ALL)
    for top in parse(source, Report()).declarations:
        assert ALL[top.span.start].isalpha()
        for node in tree.walk(top):
            where = ALL[node.span.start : node.span.end]
            assert where == where.strip()
            for child in tree.children(node):
                assert node.span.start <= child.span.start <= child.span.end <= node.span.end
            if isinstance(node, Name | Ident):
                assert where.strip("`") == node.name
            elif isinstance(node, Text):
                assert where[0] == where[-1] == '"'
            elif isinstance(node, Group):
                assert (where[0], where[-1]) == ("(", ")")


def test_children_come_in_order_of_place() -> None:
    source = Source("p", CHAT + MORE)
    for top in parse(source, Report()).declarations:
        if isinstance(top, tree.Rule | tree.Model):
            continue  # their clauses may stand in any order
        for node in tree.walk(top):
            starts = [child.span.start for child in tree.children(node)]
            assert starts == sorted(starts), node


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_at_any_line_end(end: str) -> None:
    text = MORE.replace("\n", end)
    source = Source("p", text)
    file, report = read(text)
    assert not report.found
    assert file.declarations == parse(Source("p", MORE), Report()).declarations
    assert source.lines == MORE.count("\n") + 1
    for number, line in enumerate(MORE.split("\n"), 1):
        assert source.line(number) == line
        assert source.position(source.offset(number)) == Position(number, 1)


def test_comments_directly_above_are_the_documentation() -> None:
    text = "# no\n\n# one\n#two\n##  three\nlet a = 1 # beside\n  # inside\n# below\n\nlet b = 2"
    file, report = read(text)
    assert not report.found
    assert [d.doc for d in file.declarations] == ["one\ntwo\n three", ""]


# ------------------------------------------------------------- broken files


def test_one_broken_declaration_hides_nothing() -> None:
    text = "let a = (1\nlet b = 2\nrule r\n  when\nfoo bar\nlet c = 3\n  ) d\nlet e = 5"
    file, report = read(text)
    assert [d.name.name for d in file.declarations if isinstance(d, tree.Let)] == ["b", "e"]
    assert [text.count("\n", 0, d.span.start) + 1 for d in report.sorted()] == [1, 4, 5, 7]


@pytest.mark.parametrize("text", ["", "\n", "\ufeff", "# only\n  # comments\n\n#", " \t\n\r\n\f\n", "\t# x"])
def test_nothing_says_nothing(text: str) -> None:
    file, report = read(text)
    assert file.declarations == ()
    assert not report.found


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    file, report = read("\ufefflet a = 1")
    assert not report.found
    assert file.declarations[0].span == Span("p.quell", 1, 10)


@pytest.mark.parametrize("odd", ["\0", "\ud800"])
def test_what_is_no_text_is_refused_whole(odd: str) -> None:
    file, report = read(f'let a = 1\nlet b = "{odd}"')
    assert file.declarations == ()
    assert [d.code for d in report.found] == ["unreadable-file"]
    assert report.found[0].span.start == 19


def test_a_file_that_is_too_large_is_refused() -> None:
    _, report = read("x" * 10_000_000)
    assert [d.code for d in report.found] == ["unreadable-file"]
    _, report = read("#" * MAX_FILE)
    assert not report.found


def test_the_errors_of_a_file_that_is_no_policy_are_not_endless() -> None:
    _, report = read("x y\n" * 400_000)
    assert len(report.found) == MAX_ERRORS + 1
    assert report.found[-1].code == "unreadable-file"


@pytest.mark.slow
def test_the_declarations_of_a_file_are_not_endless() -> None:
    file, report = read("entity A\n" * (MAX_DECLARATIONS + 5))
    assert len(file.declarations) == MAX_DECLARATIONS
    assert [d.code for d in report.found] == ["unreadable-file"]


DEEP = {
    "parentheses": "let x = " + "(" * 10_000 + "1" + ")" * 10_000,
    "not": "let x = " + "not " * 10_000 + "a",
    "minus": "let x = " + "-" * 10_000 + "a",
    "any": "let x = " + "any " * 10_000 + "a",
    "sum": "let x = " + " + ".join(["1"] * 5_000),
    "attributes": "let x = a" + ".b" * 10_000,
    "indexes": "let x = a" + "[0]" * 10_000,
    "lists": "let x = " + "[" * 10_000 + "]" * 10_000,
    "records": "let x = " + "{a:" * 10_000 + "1" + "}" * 10_000,
    "calls": "let x = " + "f(" * 10_000 + ")" * 10_000,
    "filters": "let x = " + "[a of " * 5_000 + "1" + "]" * 5_000,
    "counters": "let x = " + "n(e where " * 5_000 + "1" + ")" * 5_000,
    "types": "shape s\n  a " + "list<" * 10_000 + "text" + ">" * 10_000 + " = $.a",
    "long": "let x = " + " and ".join(["a"] * 20_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", DEEP)
def test_what_nests_too_deeply_is_refused(kind: str) -> None:
    file, report = read(DEEP[kind])
    assert file.declarations == ()
    assert [d.code for d in report.found] == ["too-deep"]


def test_what_nests_just_deeply_enough_is_read() -> None:
    def nested(levels: int) -> str:
        return "let x = " + "(" * levels + "1" + ")" * levels

    found = declaration(nested(MAX_DEPTH - 2))
    assert tree.depth(found) == MAX_DEPTH
    _, report = read(nested(MAX_DEPTH - 1))
    assert [d.code for d in report.found] == ["too-deep"]
    assert parse_expression("(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH) is None


HOSTILE = {
    "open parentheses": "let x = " + "(" * 50_000,
    "open text": 'let x = "' + "a" * 90_000,
    "open braces": 'let x = "' + "{ " * 45_000,
    "open braces and quotes": "let x = " + '"{' * 45_000,
    "text in text": "let x = " + '"{' * 10_000 + "1" + '}"' * 10_000,
    "braces": 'let x = "' + "{" * 89_999 + '"',
    "open escapes": 'let x = "' + "\\u{1" * 20_000 + '"',
    "backslashes": 'let x = "' + "\\" * 90_001,
    "backquotes in braces": 'let x = "{' + "`" * 90_001,
    "open classes": "let x = a matches /" + "[" * 90_000,
    "open pattern": "let x = a matches /" + "[a]" * 30_000,
    "digits": "let x = " + "1" * 90_000,
    "digits and a letter": "let x = " + "1" * 90_000 + "x",
    "durations": "let x = " + "1h" * 45_000 + "x",
    "path": 'shape s\n  a text = $["' + "a" * 90_000,
    "keywords as names": 'model m from "x"\n  a = b\n' + "  limit = by\n" * 5_000,
    "keywords as verdicts": "rule r\n  then " + "by " * 30_000,
    "open ladder": "verdicts " + "a < " * 20_000,
    "clauses": "rule r\n" + "  mode live\n" * 8_000,
    "a long word": "a" * 1_000_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_gives_one_error_soon(kind: str) -> None:
    file, report = read(HOSTILE[kind])
    assert file.declarations == ()
    assert len(report.found) == 1


def test_binary_data_gives_errors() -> None:
    for encoding in ("latin-1", "cp437"):
        _, report = read(bytes(range(256)).decode(encoding) * 50)
        assert report.errors
        _, report = read(bytes(range(1, 256)).decode(encoding) * 50)
        assert report.errors


@given(st.text())
def test_any_text_gives_nothing_but_diagnostics(text: str) -> None:
    read(text)


@given(st.text(st.sampled_from('let x=(){}[]"\\`/#%.,:?<>!&|+-*$ \n\t\r1mhand"')))
def test_any_text_of_the_languages_signs_gives_nothing_but_diagnostics(text: str) -> None:
    read(text)
    read("let x = " + text)
    read('rule r\n  when "{' + text)


_TOKENS = re.compile(r'"(?:\\.|[^"\\\n])*"|\w+|\s+|.', re.DOTALL)
_PIECES = [_TOKENS.findall(chunk.text) for chunk in split(Source("p", ALL), Report())]


@given(st.data())
def test_broken_policies_give_nothing_but_diagnostics(data: st.DataObject) -> None:
    pieces = list(data.draw(st.sampled_from(_PIECES)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(pieces) - 1))
        other = data.draw(st.integers(0, len(pieces) - 1))
        match data.draw(st.sampled_from(["leave out", "double", "swap", "from elsewhere", "cut"])):
            case "leave out":
                pieces[at] = ""
            case "double":
                pieces[at] *= 2
            case "swap":
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case "from elsewhere":
                pieces[at] = data.draw(st.sampled_from([p for chunk in _PIECES for p in chunk]))
            case "cut":
                pieces[at] = pieces[at][: len(pieces[at]) // 2]
    text = "".join(pieces)
    file, report = read(text)
    assert file.declarations or report.errors or not text.strip()


# -------------------------------------------------------------- the grammar


def test_the_grammar_has_texts_pattern_as_literals_has_it() -> None:
    grammar = files("quell.grammar").joinpath("policy.lark").read_text(encoding="utf-8")
    match = re.search(r"(?m)^STRING: /(.*)/$", grammar)
    assert match is not None
    assert match[1] == literals.TEXT


@given(st.text(st.sampled_from('a"{}\\`u1 n')))
def test_what_the_pattern_takes_for_text_splits_or_is_a_fault_of_text(inside: str) -> None:
    if not re.fullmatch(literals.TEXT, f'"{inside}"'):
        return
    try:
        parts = literals.split_text(f'"{inside}"')
    except literals.LiteralError as fault:
        found = fault.code, 0 <= fault.offset < len(inside) + 2
    else:
        found = "bad-text", all(kind in ("text", "expression") for kind, _, _ in parts)
    assert found == ("bad-text", True)


def test_threads_may_parse_at_once() -> None:
    sources = [Source(f"p{i}", ALL + f"\nlet last_{i} = {i}") for i in range(8)]

    def work(source: Source) -> tree.PolicyFile:
        return parse(source, Report())

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, sources))
    for i, file in enumerate(found):
        assert file == parse(sources[i], Report())
        assert {node.span.file for d in file.declarations for node in tree.walk(d)} == {f"p{i}"}


def test_the_shipped_policies_parse(root: Path) -> None:
    paths = sorted([*root.joinpath("policies").rglob("*.quell"), *root.joinpath("examples").rglob("*.quell")])
    assert paths
    for path in paths:
        _, report = read(path.read_text(encoding="utf-8"))
        assert not report.errors, path


def test_sums_and_negations_are_what_they_say() -> None:
    assert expression("-1 - -2") == Binary("-", Unary("-", Number(1)), Unary("-", Number(2)))
    assert declaration("shape s\n  a number = $.a default -1") == tree.Shape(
        Ident("s"),
        (tree.FieldDecl(Ident("a"), tree.TypeName("number"), tree.Path(("a",)), Number(-1)),),
    )
