"""One scan finds what each pattern and list finds alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.signals import scan as module
from quell.signals.policy_lists import PolicyList, load_list
from quell.signals.scan import Scan
from quell.signals.word_finder import ascii_folds
from tests.strategies_patterns import FLAGS, PATTERNS, TEXTS, found
from tests.test_list_words import WORD_CHARS

Pattern = tuple[str, str]


def listed(kind: str, *entries: str) -> PolicyList:
    loaded = load_list("l", "l.txt", "\n".join(entries).encode(), kind, ())
    assert loaded.list is not None
    return loaded.list


def alone(patterns: Sequence[Pattern], lists: Sequence[PolicyList], text: str) -> set[int]:
    first = {i for i, (pattern, flags) in enumerate(patterns) if found(pattern, flags, text)}
    return first | {i for i, held in enumerate(lists, len(patterns)) if held.matches(text)}


def check(patterns: Sequence[Pattern], lists: Sequence[PolicyList], texts: Sequence[str]) -> None:
    scan = Scan(patterns, lists)
    for text in texts:
        expected = alone(patterns, lists, text)
        assert set(scan.scan(text)) == expected, text
        assert set(scan(text)) == set(scan.maybe(text)) == expected


PATTERN_LISTS = [
    ("free\\s+nitro", "i"),
    ("t\\.me/\\w+", ""),
    ("^x", "m"),
    ("\\d{4}", ""),
    ("na(?:me|ils)", "i"),
    (r"a.{0,30}z", ""),
    ("(?i)crypto", ""),
]
MANY_TEXTS = [
    "",
    "FREE  nitro at t.me/abc",
    "y\nx 12345",
    "Nails and CRYPTO",
    "\ufb01ne \ufb00 \u017f \u212a ß",
    "a" + "b" * 30 + "z é",
    "you SHOULD kill\n yourself",
    "kill yourself",
    "Ärger, ÄRGER",
    "a" * 5000 + " name t.me/x ärger",
    "foo" * 2000 + " foo",
    "foo " * 2000,
    "x" * 3000 + " kill   yourself",
]


@pytest.mark.parametrize("count", range(len(PATTERN_LISTS) + 1))
def test_patterns_alone(count: int) -> None:
    # One and two patterns take a short cut by a text they need; none takes none.
    check(PATTERN_LISTS[:count], [], MANY_TEXTS)
    check(PATTERN_LISTS[count:], [], MANY_TEXTS)


def test_patterns_and_lists_together() -> None:
    words = listed("words", "foo", "kill yourself", "ärger", "crypto")
    more = listed("words", "yourself", "crypto", "nails and", "\u212a")
    shared = listed("patterns", "/NITRO/i", "t\\.me", "z$")
    for lists in ([words], [more], [words, more], [shared], [words, shared, more], [words, words]):
        for patterns in ([], PATTERN_LISTS[:1], PATTERN_LISTS):
            check(patterns, lists, MANY_TEXTS)


def test_numbers_count_patterns_first_and_then_lists() -> None:
    scan = Scan(
        [("a", ""), ("b", "")], [listed("words", "foo"), listed("patterns", "c", "d"), listed("words", "bar")]
    )
    assert sorted(scan.scan("b")) == [1]
    assert sorted(scan.scan("foo")) == [2]
    assert sorted(set(scan.scan("cd"))) == [3]
    assert sorted(set(scan.scan("a d bar"))) == [0, 1, 3, 4]
    assert list(scan.scan("nothing")) == []
    assert list(scan.maybe(None)) == []


def test_a_pattern_that_stands_twice_has_both_numbers() -> None:
    scan = Scan([("a", ""), ("a", ""), ("a", "i")], [listed("patterns", "a")])
    assert set(scan.scan("xax")) == {0, 1, 2, 3}


def test_large_lists_stay_apart() -> None:
    words = listed("words", *(f"word{i}x" for i in range(6000)))
    patterns = listed("patterns", *(f"p{i}[xy]" for i in range(600)))
    small = listed("words", "small")
    lists = [words, small, patterns]
    scan = Scan([("q", "")], lists)
    assert set(scan.scan("q WORD5999X, p599y small")) == {0, 1, 2, 3}
    assert set(scan.scan("word5999 p600x smallest")) == set()
    check([("q", "")], lists, ["", "word17x", "p3x", "small", "q"])


def test_a_bad_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="look-ahead"):
        Scan([("(?=a)", "")])


def test_a_text_with_half_a_surrogate_pair_raises_nothing() -> None:
    for lists in ([], [listed("words", "foo", "bär")], [listed("words", "foo", "a b")]):
        for patterns in ([], [("free", "i")], PATTERN_LISTS):
            assert set(Scan(patterns, lists).scan("\ud800 t.me/x")) <= {1}
    assert 0 in Scan([], [listed("words", "foo")]).scan("foo \udfff")


@given(
    st.lists(st.tuples(PATTERNS, FLAGS), max_size=4),
    st.lists(st.lists(st.text(WORD_CHARS, min_size=1, max_size=4), min_size=1, max_size=4), max_size=3),
    st.lists(st.one_of(TEXTS, st.text(WORD_CHARS, max_size=12)), min_size=1, max_size=4),
)
def test_a_scan_finds_what_each_finds_alone(
    patterns: list[Pattern], words: list[list[str]], texts: list[str]
) -> None:
    lists = [listed("words", *(w for w in part if w.strip() and "\n" not in w)) for part in words]
    told = [" ".join(part) for part in words]
    check(patterns, lists, [*texts, *told, *(a + b for a, b in zip(texts, told, strict=False))])


@given(st.text(), st.text(st.characters(codec="ascii"), min_size=1, max_size=3))
def test_ascii_folding_is_enough_where_it_is_said_to_be(text: str, word: str) -> None:
    raw = text.encode()
    if ascii_folds(text, raw):
        low = word.lower().encode()
        assert (low in raw.lower()) == (low in text.casefold().encode())


def test_every_character_that_folds_to_ascii_is_known() -> None:
    for point in range(0x80, 0x110000):
        if not 0xD800 <= point <= 0xDFFF:
            char = chr(point)
            if any(c.isascii() for c in char.casefold()):
                assert not ascii_folds(char, char.encode()), hex(point)
    assert ascii_folds("“Привет” 🔥 é ñ 你好", "“Привет” 🔥 é ñ 你好".encode())


def test_the_short_cut_is_taken_only_where_it_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def watched(search: Callable[[str], module.Hits], needed: list[str]) -> Callable[[str], module.Hits]:
        asked.extend(needed)
        return gated(search, needed)

    gated = module._gated
    monkeypatch.setattr(module, "_gated", watched)
    Scan([("Free", "i"), ("(?i)NITRO", "")])
    Scan([("Free", "")])
    assert asked == ["free", "nitro", "free"]
    Scan([("a*", "")])
    Scan([("free", ""), ("[ab]", "")])
    Scan([("free", "")] * 3)
    assert asked == ["free", "nitro", "free"]
