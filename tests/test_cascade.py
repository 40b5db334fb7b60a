"""One broken declaration is one finding, not one for everything that stood on it."""

from __future__ import annotations

import pytest

from quell.engine.bundle import Files
from quell.engine.compile import analyse
from quell.grammar.source import Source

SCHEMA = """\
entity User labels "spammer", "trusted"

shape actor
  at time = $.at
  author User = $.author

event message from "message" with actor
  content text = $.content

let short = length(content) < 3
list words_list from "w.txt" as words
verdicts calm < hot

rule one on message
  when short and author labelled "spammer" and content matches words_list
  then hot

rule two on message
  when fired one
  then hot

test "t"
  given message { content: "a" }
  expect not fired one
"""


def codes(text: str) -> list[tuple[int, str]]:
    """The errors of a policy: line and code."""
    source = Source("a.quell", text)
    analysis = analyse(Files("t", {"a.quell": source}, extra={"w.txt": b"word\n"}), lints=False)
    return [
        (source.position(d.span.start).line, d.code) for d in analysis.diagnostics if d.severity == "error"
    ]


def test_the_policy_is_sound() -> None:
    assert codes(SCHEMA) == []


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ('"spammer", "trusted"', '"spammer" "trusted"', 1),
        ("author User = $.author", "author User $.author", 5),
        ("content text = $.content", "content text $.content", 8),
        ("let short = length", "let short length", 10),
        ('"w.txt" as words', '"w.txt" words', 11),
        ("calm < hot", "calm hot", 12),
        ("when short and", "when short and and", 15),
    ],
)
def test_only_the_cause_is_told(right: str, wrong: str, line: int) -> None:
    assert right in SCHEMA
    assert codes(SCHEMA.replace(right, wrong, 1)) == [(line, "syntax")]


def test_what_is_wrong_by_itself_is_told_too() -> None:
    broken = SCHEMA.replace('"spammer", "trusted"', '"spammer" "trusted"', 1).replace(
        "fired one", "fired nobody", 1
    )
    assert codes(broken) == [(1, "syntax"), (19, "unknown-rule")]
