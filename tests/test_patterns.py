"""Patterns against RE2 itself: what is refused and how it is said, what is required, what sets find."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
import re2
import unicodedata2
from hypothesis import given
from hypothesis import strategies as st

from quell.signals import patterns as module
from quell.signals.pattern_lints import lint_pattern
from quell.signals.pattern_tree import (
    Char,
    Choice,
    Class,
    Dot,
    Edge,
    Named,
    Node,
    Run,
    copies,
    parse,
)
from quell.signals.patterns import (
    PatternSet,
    check_pattern,
    compile_pattern,
    inline,
    required_literal,
    search,
)
from tests.strategies_patterns import ALPHABET, FLAGS, PATTERNS, TEXTS, found

# ------------------------------------------------------------------ checking


@pytest.mark.parametrize(
    ("pattern", "said", "offset"),
    [
        (r"a(?=b)", "look-ahead needs more than linear time", 1),
        (r"\((?!x)", "look-ahead", 2),
        (r"(?<=a)b", "look-behind", 0),
        (r"[(?=]x(?<!a)b", "look-behind", 6),
        (r"(a)\1", "refer back to what a group matched", 3),
        (r"(?P<q>a)(?P=q)", "refer back", 8),
        (r"(?P<q>a)\k<q>", "refer back", 8),
        (r"ab[cd", "this `[` does not close", 2),
        (r"a(b(c)", "this `(` does not close", 1),
        (r"a\(b)", "this `)` closes nothing", 4),
        (r"a|*b", "nothing stands before `*`", 2),
        (r"\**", None, 0),
        (r"(?:+)", "nothing stands before `+`", 3),
        (r"a**", "counts what is counted already", 1),
        (r"ab++c", "possessive", 2),
        (r"x{2000}", "larger than 1000", 1),
        (r"x{5,2}", "runs backwards", 1),
        (r"(a{100}){100}", "more than 1000 copies", 8),
        (r"x[z-a]", "the range `z-a` runs backwards", 2),
        (r"[a-\d]", r"`\d` cannot end a range", 3),
        (r"[[:foo:]]", "`[:foo:]` is no class", 1),
        (r"\p{Klingon}", "names no script or category", 0),
        ("ab\\", "a backslash stands last", 2),
        (r"a\Z", r"`\Z` is `\z` here", 1),
        (r"\\\u00e9", r"`\u` is `\x{…}` here", 2),
        (r"caf\é", "letters beyond a to z need no backslash", 3),
        (r"a[\b]", r"`\b` cannot stand in a class", 2),
        (r"(?x) a", "no flag x", 0),
        (r"(?>a)", "no atomic groups", 0),
        (r"(?#why)a", "no comments", 0),
        (r"(?P<n", "no name for a group", 0),
        (r"a\C", "takes letters apart into bytes", 1),
        (r"\\C\Q\C\E", None, 0),
        (r"\pL{900}", "too large", 0),
        (r"\pL{60}", "too large: it makes", 0),
        ("(" * 101 + ")" * 101, "nest more than 100 deep", 100),
        ("(" * 5000 + ")" * 5000, "deep", None),
        ("(a)" * 200, None, 0),
        ("a" * 20_001, "20,000 are allowed", 20_000),
        ("a\ud800", "half a surrogate pair", 1),
        ("a\0b", None, 0),
        ("", None, 0),
    ],
)
def test_what_is_refused_and_where(pattern: str, said: str | None, offset: int | None) -> None:
    problem = check_pattern(pattern)
    if said is None:
        assert problem is None
        return
    assert problem is not None
    assert said in problem.message
    assert problem.message[0] not in "ABCDEFGHIJKLMNOPQSTUVWXYZ"
    assert not problem.message.endswith(".")
    if offset is not None:
        assert problem.offset == offset


def test_flags() -> None:
    assert check_pattern("a", "ims") is None
    problem = check_pattern("abc", "ix")
    assert problem is not None
    assert problem.message == "`x` is no flag of a pattern"
    assert problem.offset == 5  # /abc/ix counted from the a
    twice = check_pattern("a", "ii")
    assert twice is not None
    assert twice.message == "the flag `i` stands twice"
    assert search("^b", "m")("a\nb")
    assert not search("^b")("a\nb")
    assert search("a.b", "s")("a\nb")
    assert not search("a.b")("a\nb")
    assert search("SPAM", "i")("spam")


def test_a_bad_pattern_is_not_compiled() -> None:
    for make in (search, compile_pattern):
        with pytest.raises(ValueError, match="look-ahead"):
            make("(?=a)")
    with pytest.raises(ValueError, match="pattern 1: look-ahead"):
        PatternSet([("a", ""), ("(?=a)", "")])


@given(st.text(alphabet="ab()[]{}*+?|^$\\.:<>=!PpQECdk1,-&~é\n/i", max_size=14), FLAGS)
def test_any_text_is_a_pattern_or_a_problem_inside_it(pattern: str, flags: str) -> None:
    problem = check_pattern(pattern, flags)
    options = re2.Options()
    options.log_errors = False
    if problem is None:
        assert parse(pattern, flags) is not None
        re2.compile(inline(pattern, flags), options)
    else:
        assert 0 <= problem.offset <= len(pattern)
        assert "RE2 does not accept" not in problem.message


# ---------------------------------------------------------------------- tree


def render(node: Node) -> str:
    """The tree as a pattern again, spelled as differently as can be."""
    if isinstance(node, Char):
        return f"(?{'' if node.fold else '-'}i:\\x{{{ord(node.char):x}}})"
    if isinstance(node, Dot):
        return "(?s:.)" if node.newline else "(?-s:.)"
    if isinstance(node, Class):
        inside = "".join(
            p.name if isinstance(p, Named) else f"\\x{{{ord(p.low):x}}}-\\x{{{ord(p.high):x}}}"
            for p in node.parts
        )
        return f"(?{'' if node.fold else '-'}i:[{'^' if node.negated else ''}{inside}])"
    if isinstance(node, Edge):
        spelled = {"text start": r"\A", "line start": "(?m:^)", "text end": r"\z", "line end": "(?m:$)"}
        return spelled.get(node.kind, r"\b" if node.kind == "word edge" else r"\B")
    if isinstance(node, Run):
        return "".join(map(render, node.items))
    if isinstance(node, Choice):
        return "(?:" + "|".join(map(render, node.branches)) + ")"
    most = "" if node.most is None else str(node.most)
    return f"(?:{render(node.item)}){{{node.least},{most}}}"


@given(PATTERNS, FLAGS, st.lists(TEXTS, min_size=1, max_size=6))
def test_the_tree_says_what_the_pattern_says(pattern: str, flags: str, texts: list[str]) -> None:
    tree = parse(pattern, flags)
    assert tree is not None
    again = render(tree)
    for text in texts:
        assert found(again, "", text) == found(pattern, flags, text), (again, text)


def test_the_deepest_and_longest_patterns_are_read() -> None:
    for pattern in (
        "(" * 100 + "ab" + ")?" * 99 + ")",
        "(?:" * 100 + "ab" + "|c)" * 100,
        "|".join(f"word{i}" for i in range(2000)),
        "(?i)" * 4000 + "k",
        "a" * 20_000,
    ):
        assert check_pattern(pattern) is None
        tree = parse(pattern)
        assert tree is not None
        assert copies(tree) >= 0
        required_literal(pattern)
        lint_pattern(pattern)


def test_copies() -> None:
    sizes = {"a.{0,100}b": 100, "(a{3}b{2,}){4}": 20, "a+b*": 1, "abc": 0, "x{5}|y{7}": 12}
    for pattern, size in sizes.items():
        tree = parse(pattern)
        assert tree is not None
        assert copies(tree) == size, pattern


# ----------------------------------------------------------------- literals


@pytest.mark.parametrize(
    ("pattern", "flags", "literal"),
    [
        ("free nitro", "", "free nitro"),
        ("Free", "i", "free"),
        (r"\bclick\s+here\b", "i", "click"),
        (r"(?:whats|wats)app", "", "ats"),
        (r"https?://", "", "http"),
        (r"[tT]\.me/", "i", "t.me/"),
        (r"a+b", "", "a"),
        (r"(ab){2}c", "", "ababc"),
        (r"(ab){2,}c", "", "abab"),
        (r"x(?:yz)?", "", "x"),
        (r"^abc$", "", "abc"),
        (r"\Qa.b\E", "", "a.b"),
        (r"STRASSE|straße", "i", "strasse"),
        (r"\x{212a}ey", "i", "key"),
        (r"(?i:a)1(?-i:b)", "", "1b"),
        (r"(?i)abc", "", None),
        (r"a|b", "", None),
        (r"a*", "", None),
        (r"[ab]", "", None),
        (r".", "", None),
        (r"a|", "", None),
        ("a" * 300, "", "a" * 200),
    ],
)
def test_required_literals(pattern: str, flags: str, literal: str | None) -> None:
    assert required_literal(pattern, flags) == literal


@given(PATTERNS, FLAGS, st.lists(TEXTS, min_size=1, max_size=8))
def test_a_required_literal_is_in_every_text_that_matches(pattern: str, flags: str, texts: list[str]) -> None:
    literal = required_literal(pattern, flags)
    for text in texts:
        if literal is not None and found(pattern, flags, text):
            assert literal in (text.casefold() if "i" in flags else text)


@given(st.data(), st.text(alphabet=ALPHABET, min_size=1, max_size=5), st.sampled_from(["", "i"]))
def test_a_literal_is_found_in_its_own_other_cases(data: st.DataObject, word: str, flags: str) -> None:
    # The property above seldom matches; here the text is made from the pattern.
    pattern = re2.escape(word)
    cases = [word, word.upper(), word.lower(), word.casefold(), word.swapcase(), word.replace("k", "\u212a")]
    text = data.draw(TEXTS) + data.draw(st.sampled_from(cases)) + data.draw(TEXTS)
    literal = required_literal(pattern, flags)
    assert literal is not None
    if found(pattern, flags, text):
        assert literal in (text.casefold() if flags else text)


def test_casefold_is_the_same_in_every_python_and_agrees_with_re2() -> None:
    points = [chr(p) for p in range(0x110000) if not 0xD800 <= p <= 0xDFFF]
    for function, digest in ((str.casefold, "00b63aecaf3e"), (str.lower, "6d5a2bf77d27")):
        assert hashlib.sha256("\0".join(map(function, points)).encode()).hexdigest()[:12] == digest
    cased = [
        p
        for p in points
        if not p == p.lower() == p.upper() == p.casefold() or unicodedata2.category(p) in "LuLlLt"
    ]
    joined = "".join(cased)
    for char in cased:
        orbit = compile_pattern(re2.escape(char), "i").findall(joined)
        assert char in orbit
        assert {c.casefold() for c in orbit} == {char.casefold()}
    # And what is called caseless has no other case for RE2 either.
    others = "".join(sorted(set(points[1:]) - set(cased)))
    assert compile_pattern("[" + re2.escape(joined) + "]", "i").search(others) is None


# ---------------------------------------------------------------------- sets


@given(st.lists(st.tuples(PATTERNS, FLAGS), max_size=8), st.lists(TEXTS, min_size=1, max_size=4))
def test_a_set_finds_what_each_pattern_finds_alone(sought: list[tuple[str, str]], texts: list[str]) -> None:
    together = PatternSet(sought)
    assert len(together) == len(sought)
    for text in texts:
        alone = [i for i, (pattern, flags) in enumerate(sought) if found(pattern, flags, text)]
        assert together.match(text) == alone
        assert [i for i, p in enumerate(sought) if search(*p)(text)] == alone


MIXED = [("free", "i"), (r"a.{0,40}b", ""), (r"\d{3}", ""), ("^x", "m"), (r"(?:ab){12}", ""), ("zz$", "")]
MIXED_TEXTS = [
    "",
    "FREE",
    "a" + "-" * 30 + "b",
    "123\nx",
    "ab" * 12 + "zz",
    "c" * 5000 + "ab" * 12 + " free 123\nxzz",
]


def _expected(text: str) -> list[int]:
    return [i for i, (pattern, flags) in enumerate(MIXED) if found(pattern, flags, text)]


def test_sets_of_any_size_and_texts_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 60, 500, 100_000):
        monkeypatch.setattr(module, "_CHUNK_PROGRAM", size)
        together = PatternSet(MIXED)
        for text in MIXED_TEXTS:
            assert together.match(text) == _expected(text), (size, text[:20])


def _small_set(patterns: list[str], memory: int) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    made = re2.Set.SearchSet(options)
    for pattern in patterns:
        made.Add(pattern)
    try:
        made.Compile()
    except re2.error:
        return None
    return made


def test_a_set_either_does_not_compile_or_searches_in_its_memory() -> None:
    # Out of memory, RE2's search of a set would find nothing and the binding would not say so. What holds
    # patterns.py together is that RE2 refuses such sets when they are compiled. Each set here has as little
    # memory as it compiles with, and a text that makes it begin its automaton anew again and again.
    families = [
        ["(?s)a.{9}b", "(?s)b.{7}c", "ca", "zz$"],
        ["[ab]{40}", "c[abc]{20}c", "^a", "q"],
        ["abcab" * 100, r"a[\pL ]{3}b", "b+c", "x"],
        [f"{x}.*{y}.*{x}{y}" for x in "abc" for y in "abc"],
    ]
    texts = ["".join("abc"[(i * i // 7 + i * k) % 3] for i in range(3000)) + "zz" for k in range(6)]
    for patterns in families:
        memory = next(m for m in range(5_000, 1_000_000, 1_000) if _small_set(patterns, m) is not None)
        small = _small_set(patterns, memory)
        for text in texts:
            alone = [i for i, p in enumerate(patterns) if found(p, "", text)]
            assert sorted(small.Match(text) or []) == alone


def test_patterns_that_do_not_fit_into_a_set_are_found_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for memory in (2_000, 10_000, 20_000):
        monkeypatch.setattr(module, "_SET_MEMORY", memory)
        together = PatternSet(MIXED)
        assert len(together._all) > 1
        for text in MIXED_TEXTS:
            assert together.match(text) == _expected(text), (memory, text[:20])


def test_the_largest_sets_have_memory_enough() -> None:
    # Many patterns with large classes: the most instructions a set may have, each state as large as can be.
    sought = [(rf"x{i:02}[\pL\pN]+y[\pL\d]*{i:02}z", "") for i in range(60)]
    together = PatternSet(sought)
    assert len(together._all) > 1
    assert all(isinstance(chunk, module._Chunk) for chunk in together._all)
    assert together.match("x07ждвyж07z x59éy59z") == [7, 59]


def test_a_text_with_half_a_surrogate_pair_raises_nothing() -> None:
    assert PatternSet([("a", ""), (r"\?", "")]).match("a\udc00") == [0, 1]
    assert search("a")("\udc00a")


def test_a_hostile_text_is_searched_in_time() -> None:
    # Exponential where a search goes back; here a second is far more than enough for each.
    sought = [(r"(a+)+$", ""), (r"(?:a|aa)*c", ""), (r"(.*a){20}", "s"), (r"a.{0,100}c", "")]
    text = "a" * 50_000 + "b"
    assert PatternSet(sought).match(text) == [2]


def test_re2_is_the_dialect_and_not_re() -> None:
    # Where the two differ, RE2 decides.
    assert not search("a$")("a\n")
    assert re.search("a$", "a\n")
    assert not search(r"\d")("\u0663")
    assert re.search(r"\d", "\u0663")
