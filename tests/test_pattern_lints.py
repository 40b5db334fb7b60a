"""Lints of patterns: what is odd, what is not, and that RE2 agrees."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.grammar.codes import CODES
from quell.signals.pattern_lints import lint_pattern
from quell.signals.patterns import check_pattern
from tests.strategies_patterns import FLAGS, PATTERNS, TEXTS, found


def lints(pattern: str, flags: str = "") -> list[tuple[str, int]]:
    return [(found.code, found.offset) for found in lint_pattern(pattern, flags)]


DECOMPOSED = unicodedata.normalize("NFD", "é")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (f"caf[{DECOMPOSED}e]", [("regex-combining", 4)]),
        (f"caf{DECOMPOSED}?", [("regex-combining", 3)]),
        ("[❤️]", [("regex-combining", 1)]),
        ("[\U0001f1e9\U0001f1ea]", [("regex-combining", 1)]),
        ("[👍🏽]", [("regex-combining", 1)]),
        ("a^b", [("regex-anchor", 1)]),
        ("$a", [("regex-anchor", 0)]),
        ("foo$bar", [("regex-anchor", 3)]),
        (r"foo\bbar", [("regex-anchor", 3)]),
        (r"#\b!", [("regex-anchor", 1)]),
        (r"a\B-", [("regex-anchor", 1)]),
        (r"(a|b)\Ac", [("regex-anchor", 5)]),
        (r"(foo|x^y)", [("regex-anchor", 6)]),
        (r"a\zb", [("regex-anchor", 1)]),
        (r"\bжизнь\b", [("regex-anchor", 0), ("regex-anchor", 7)]),
        (".*", [("regex-whole", 0)]),
        ("a*", [("regex-whole", 0)]),
        ("spam|", [("regex-whole", 5)]),
        ("|spam", [("regex-whole", 0)]),
        ("(a||b)", [("regex-whole", 3)]),
        ("^", [("regex-whole", 0)]),
        ("^.*", [("regex-whole", 1)]),
        (".*$", [("regex-whole", 0)]),
        (r"^[\s\S]*$", [("regex-whole", 1)]),
        ("foo|x?", [("regex-whole", 4)]),
        ("", [("regex-whole", 0)]),
    ],
)
def test_what_is_odd(pattern: str, expected: list[tuple[str, int]]) -> None:
    assert check_pattern(pattern) is None
    assert lints(pattern) == expected
    assert all(code in CODES for code, _ in expected)


@pytest.mark.parametrize(
    "pattern",
    [
        "café",
        f"caf{DECOMPOSED}s",
        f"(?:caf{DECOMPOSED})?x",
        r"[\x{300}-\x{36f}]{3,}",
        "x❤️?",
        "[❤😀]",
        r"e\x{301}+",
        "^a$",
        "(^|b)c",
        r"(?:^|\s)free",
        r"free(?:$|\s)",
        "(?m)a$\n^b",
        "(?m)\n^b",
        r"a\n?$",
        r"\bfoo\b",
        r"foo\b.*\bbar",
        r"foo\b\s",
        r"x?\by",
        r"(?i)k\bx",
        r"[^\w]\bfoo",
        r"(a|-)\bb",
        r"(ab)*\b-",
        r"(-a)+\b-",
        r"\Bing",
        r"a\Bb",
        r"жизнь",
        r"[a-zé]\b",
        r"\pL\b",
        "^.*$",  # not texts with a line break
        ".+",
        "a|b",
        "(a|)b",
        "^$",
        "(a*)b",
        r"\b",
        "x(|y)z",
        r"(?s).",
        r"^(a|b)*$",
    ],
)
def test_what_is_not_odd(pattern: str) -> None:
    assert check_pattern(pattern) is None
    assert lints(pattern) == []


NEVER = r"[^\x00-\x{10ffff}]"


@given(PATTERNS, FLAGS, st.lists(TEXTS, min_size=1, max_size=8))
def test_an_impossible_anchor_can_be_replaced_by_what_never_matches(
    pattern: str, flags: str, texts: list[str]
) -> None:
    for lint in lint_pattern(pattern, flags):
        if lint.code == "regex-anchor" and "can never match" in lint.message:
            end = lint.offset + (2 if pattern[lint.offset] == "\\" else 1)
            without = pattern[: lint.offset] + NEVER + pattern[end:]
            for text in texts:
                assert found(pattern, flags, text) == found(without, flags, text), (lint, text)


@given(PATTERNS, FLAGS, st.lists(TEXTS, min_size=1, max_size=8))
def test_a_whole_pattern_is_found_in_every_text(pattern: str, flags: str, texts: list[str]) -> None:
    if any(lint.code == "regex-whole" for lint in lint_pattern(pattern, flags)):
        assert all(found(pattern, flags, text) for text in ["", "\n", "a\nb", *texts])
