"""`quell fmt`: the same tree, every comment, and nothing left to change the second time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.grammar import tree
from quell.grammar.diagnostics import Report
from quell.grammar.formatting import format_text
from quell.grammar.parser import Chunk, parse, parse_chunk
from quell.grammar.printer import print_declaration
from quell.grammar.source import Source
from tests import strategies_tree as strategies
from tests.sample_policies import ALL, CHAT, MORE

COMMENT = re.compile(r"# c\d+$", re.MULTILINE)


def formatted(text: str, width: int = 100) -> str:
    """The text formatted; formatting it again must change nothing, and the tree must stay."""
    out = format_text(Source("p", text), width)
    assert out is not None
    assert format_text(Source("p", out), width) == out
    before, after = (parse(Source("p", t), Report()).declarations for t in (text, out))
    assert before == after
    assert [d.doc for d in before] == [d.doc for d in after]
    return out


# ------------------------------------------------------------------- examples


def test_the_opening_policy_is_in_canonical_form() -> None:
    assert formatted(CHAT) == CHAT


def test_everything_else_comes_into_canonical_form() -> None:
    squeezed = re.sub(r"\n +", "\n ", MORE)
    assert formatted(squeezed) == formatted(MORE)


def test_shipped_policies_can_be_formatted(root: Path) -> None:
    paths = sorted([*root.joinpath("policies").rglob("*.quell"), *root.joinpath("examples").rglob("*.quell")])
    assert paths
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"#.*\S", formatted(text)) == re.findall(r"#.*\S", text)


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("", ""),
        ("\n\n \n", ""),
        ("# a\n\n\n\n#b  \n\n", "# a\n\n#b\n"),
        ("let  a=1", "let a = 1\n"),
        ("\ufefflet a = 1\r\nlet b = 2\rlet c = 3\r\n\r\n", "let a = 1\nlet b = 2\nlet c = 3\n"),
        ("let a = 1\n\n\n\nlet b = 2\n", "let a = 1\n\nlet b = 2\n"),
        ("let a = 1\nentity A\nentity B\n", "let a = 1\n\nentity A\nentity B\n"),
        ("# one\n\nlet a = 1", "# one\n\nlet a = 1\n"),
        ("# one\nlet a = 1\n# two\nlet b = 2\n# end", "# one\nlet a = 1\n# two\nlet b = 2\n\n# end\n"),
        ("entity A\n# of A\n\n\n# of B\nentity B\n", "entity A\n\n# of A\n\n# of B\nentity B\n"),
        ("  stray\nlet a=1", "  stray\nlet a = 1\n"),
    ],
)
def test_declarations_are_set_apart(text: str, out: str) -> None:
    assert formatted(text) == out


def test_what_does_not_parse_is_left_as_it_is() -> None:
    broken = "rule r\n   when   (a\n\n# margin\n      then   block"
    assert formatted(f"let  a=1\n{broken}\nlet  b=2\n") == f"let a = 1\n\n{broken}\n\nlet b = 2\n"
    assert formatted("let a = 1\nlet   b = (\nlet c=3\n") == "let a = 1\nlet   b = (\nlet c = 3\n"


@pytest.mark.parametrize("text", ["let a = \0", "x" * 3_000_000, "let a = '\udcff'"])
def test_what_is_no_policy_file_is_not_touched(text: str) -> None:
    assert format_text(Source("p", text)) is None


def test_equal_signs_stay_aligned_where_all_of_a_run_were() -> None:
    assert formatted("let a   = 1\nlet bcd = 2\n") == "let a   = 1\nlet bcd = 2\n"
    assert formatted("let a     =   1\nlet bcd   = 2\n") == "let a   = 1\nlet bcd = 2\n"
    assert formatted("let a   = 1\nlet bcd = 2\nlet e = 3\n") == "let a = 1\nlet bcd = 2\nlet e = 3\n"
    assert formatted("let a   = 1\n# c\nlet bcd = 2\n") == "let a = 1\n# c\nlet bcd = 2\n"
    lists = 'list a   from "x"   as words\nlist bcd from "xyz" as words\n'
    assert formatted(lists) == lists
    assert formatted(lists.replace("   as", " as")) == re.sub(" +", " ", lists)


def test_paths_stay_aligned_where_all_of_an_event_were() -> None:
    ragged = "shape s\n  a         text   = $.a\n  bc        list<Person> = $.bc\n"
    assert formatted(ragged) == ragged
    assert formatted("shape s\n  a   text          =   $.a\n  bc  list<Person>  =   $.bc\n") == (
        "shape s\n  a         text         = $.a\n  bc        list<Person> = $.bc\n"
    )


def test_comments_go_with_what_they_stood_by() -> None:
    text = """\
rule r   # head
  # above on
  on message
  owner "x" # of the owner
  # above when
  when a # of a
   # above b
   and b # of b

  then # of the first effect
    block #of block
    send "q" { # of the payload
       a: 1, # of a: 1
    } # after the payload
# at the margin
  tag "x"
  # last
# below
"""
    assert (
        formatted(text)
        == """\
rule r on message  # head
  # above on
  # above when
  when a  # of a
   # above b
   and b  # of b

  # of the first effect
  then block  #of block
       # of the payload
       # of a: 1
       # after the payload
       send "q" { a: 1 }
  # at the margin
  tag "x"
  owner "x"  # of the owner
  # last

# below
"""
    )


def test_a_blank_line_between_steps_stays() -> None:
    text = 'test "t"\n\n  given m\n\n\n  expect block\n  expect fired r\n\n'
    assert formatted(text) == 'test "t"\n  given m\n\n  expect block\n  expect fired r\n'


def test_a_sign_that_begins_comments_elsewhere_is_no_comment() -> None:
    text = 'let a = "# b" + `# c` + "{f("#")}" contains /#/\n'
    assert formatted(text) == text


# ------------------------------------------------------------------ properties


@st.composite
def scribbled(draw: st.DrawFn) -> tuple[str, int, int]:
    """A declaration with line breaks, blank lines and comments strewn in: the text, the number of
    comments, and the width that it was printed for."""
    width = draw(st.sampled_from([10, 40, 100]))
    text = print_declaration(draw(strategies.declarations), None, width)
    node = parse_chunk("", Chunk(0, text, ""), Report())
    assert node is not None
    inside = [n.span for n in tree.walk(node) if isinstance(n, tree.Text)]
    ends = {at for n in tree.walk(node) for at in (n.span.start, n.span.end)}
    places = sorted(at for at in ends if at and not any(s.start < at < s.end for s in inside))
    comments = 0
    for at in sorted(draw(st.sets(st.sampled_from(places), max_size=6)), reverse=True):
        between = draw(
            st.sampled_from(
                [" ", "\n ", "  #\n   ", "\n    #\n   ", "\n#\n  ", "\n\n   ", "\n \n  #\n\n #\n\n  "]
            )
        )
        while "#\n" in between:
            between = between.replace("#\n", f"# c{comments}\n", 1)
            comments += 1
        text = text[:at] + between + text[at:]
    return text, comments, width


@given(scribbled())
def test_any_declaration_keeps_its_tree_and_its_comments(case: tuple[str, int, int]) -> None:
    text, comments, width = case
    out = formatted(text, width)
    assert sorted(COMMENT.findall(out)) == sorted(f"# c{i}" for i in range(comments))
    bare = re.sub(r"(?m)^ *# c\d+\n?|  # c\d+$", "", out)
    node = parse(Source("p", text), Report()).declarations[0]
    assert [line for line in bare.split("\n") if line] == print_declaration(node, text, width).split("\n")


PARTS = [
    *(
        f"let {name}{' ' * n}= {body}"
        for name, n, body in (("a", 1, "1"), ("bcd", 3, "x\n and y"), ("a", 3, "2"))
    ),
    'list l from "f" as words',
    "entity  A",
    "rule r\n  when a # c\n  then block",
    "rule r\n when (",
    "# comment",
    "  # indented",
    "",
    "",
    "   ",
    "nonsense  here",
    "  stray",
    '"',
]


@given(st.lists(st.sampled_from(PARTS), max_size=12), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_file_is_formatted_once_and_for_all(parts: list[str], end: str) -> None:
    text = end.join(part.replace("\n", end) for part in parts)
    out = formatted(text)
    assert "\r" not in out
    assert out == "" or (out.endswith("\n") and not out.endswith("\n\n"))
    assert [part.strip() for part in re.findall(r"#.*", out)] == [
        part.strip() for part in re.findall(r"#[^\r\n]*", text)
    ]


@given(st.text(st.sampled_from('let a=1\n\n\n # "{}()')))
def test_any_text_is_formatted_once_and_for_all(text: str) -> None:
    formatted(text)


def test_the_samples_survive_any_line_end_and_width() -> None:
    for end in ("\n", "\r\n", "\r"):
        for width in (1, 30, 100):
            formatted(ALL.replace("\n", end), width)
