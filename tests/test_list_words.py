"""Lists of words: what is a whole word, in every script, and what is found in which order."""

from __future__ import annotations

import re

import pytest
import unicodedata2
from hypothesis import given
from hypothesis import strategies as st

from quell.signals import word_finder
from quell.signals.word_edges import fold, kind
from tests.list_loading import good, load, said, told


@pytest.mark.parametrize(
    ("word", "text", "expected"),
    [
        ("ass", "an ass.", True),
        ("ass", "classic", False),
        ("ass", "ASS", True),
        ("ass", "ass_hat", False),
        ("ass", "ass2", False),
        ("ass", "¡ass!", True),
        ("ass", "classics and an ass", True),
        ("cafe", "cafe\u0301", False),  # the mark makes it another word
        ("café", "CAFÉ au lait", True),
        ("straße", "STRASSE", True),
        ("kill yourself", "go Kill\n  yourself now", True),
        ("kill yourself", "kill\u00a0yourself", True),
        ("kill  yourself", "kill yourself", True),
        ("kill yourself", "kill, yourself", False),
        ("kill yourself", "kill yourselfie", False),
        ("привет", "приветы", False),
        ("привет", "(Привет)", True),
        ("傻瓜", "你是傻瓜吗", True),
        ("バカ", "それはバカだ", True),
        ("spam", "这是spam吗", True),
        ("바보", "바보야", True),
        ("กา", "นกกาบิน", True),
        ("กา", "ก่า", False),
        ("ก", "ก่", False),  # the mark makes it another syllable
        ("か", "か\u3099", False),
        ("🍆", "hot🍆pics", True),
        ("🍆", "🍆\ufe0f", True),
        ("c++", "c++11 and C++", True),
        ("c++", "objc++", False),
        (":)", "hi:)there", True),
        ("$$$", "a$$$b", True),
        ("@all", "x@all", True),
        ("@all", "@allan", False),
        ("s", "ß", False),  # folds to ss, of which no single s is a word
        ("k", "\u212a", True),
        ("a b", "a b", True),
        ("ab", "a\u200bb", False),
        ("m²", "10 m²", True),
        ("m", "m²", False),
        ("ab", "ab\ufe0f", True),
        ("a" * 1000, "x " + "A" * 1000, True),
    ],
)
def test_words(word: str, text: str, expected: bool) -> None:
    made = good("words", word)
    assert made.matches(text) is expected
    assert made.found(text) == ([word] if expected else [])


def test_found_words_stand_in_order_of_their_first_place() -> None:
    made = good("words", "Bar\nfoo bar\nfoo\nend\nbar baz")
    assert made.found("end? FOO  bar baz, foo, end") == ["end", "foo bar", "foo", "bar baz", "Bar"]
    assert made.found("nothing") == []


def test_words_that_are_superfluous() -> None:
    assert told(load("words", "Spam\nspam\nfoo bar\nFOO   BAR\nspam")) == [
        (2, "duplicate-entry", "`spam` is the same as `Spam` on line 1"),
        (4, "duplicate-entry", "`FOO   BAR` is the same as `foo bar` on line 3"),
        (5, "duplicate-entry", "`spam` is the same as `Spam` on line 1"),
    ]
    assert said("words", "a" * 1001) == [(1, "the entry has 1,001 characters, and 1,000 are allowed")]


WORD_CHARS = "abßSs_1 é\u0301жЖ傻か\u3099กา่🍆\ufe0f$-\u212aK\n"


def whole(word: str, text: str) -> bool:
    """Whether a folded word stands whole in a folded text, said as plainly as can be."""
    spaceless = "傻か\u3099กา่"
    for at in range(len(text)):
        if not text.startswith(word, at):
            continue
        before = text[at - 1] if at else " "
        after = text[at + len(word)] if at + len(word) < len(text) else " "
        left = _letter(before) and before not in spaceless
        right = _letter(after) and (after not in spaceless or unicodedata2.category(after)[0] == "M")
        mark = unicodedata2.category(after)[0] == "M" and after != "\ufe0f"
        first, last = word[0], word[-1]
        if left and _letter(first) and first not in spaceless:
            continue
        if right and _letter(last) and last not in spaceless:
            continue
        if mark and _letter(last):
            continue
        return True
    return False


def _letter(char: str) -> bool:
    return (unicodedata2.category(char)[0] in "LMN" and char != "\ufe0f") or char == "_"


@given(
    st.lists(st.text(WORD_CHARS, min_size=1, max_size=4), min_size=1, max_size=6),
    st.lists(st.text(WORD_CHARS, max_size=5), max_size=6),
    st.data(),
)
def test_words_like_a_plain_search(words: list[str], pieces: list[str], data: st.DataObject) -> None:
    words = [w.strip() for w in words if w.strip() and "\n" not in w.strip()]
    text = "".join(data.draw(st.permutations([*pieces, *words])))
    loaded = load("words", "\n".join(words))
    assert loaded.list is not None
    folded = fold(text)
    # A variation selector is no letter to the left of which a word could end; the reference above says so
    # only for single ones, so words that end in one are left to the examples.
    expected = {fold(w) for w in words if not fold(w).endswith("\ufe0f") and whole(fold(w), folded)}
    found = [w for w in loaded.list.found(text) if not fold(w).endswith("\ufe0f")]
    assert {fold(w) for w in found} == expected
    places = [min(m.start() for m in re.finditer(f"(?={re.escape(fold(w))})", folded)) for w in found]
    assert len(found) == len(set(found))
    if all(len(re.findall(f"(?={re.escape(fold(w))})", folded)) == 1 for w in found):
        assert places == sorted(places)


def test_words_in_long_texts_and_large_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["needle", "aa", "aaa", "aaaa", "in a haystack", "größe"]
    text = "aaaaa " * 3000 + "\nNeedle\n  in a\thaystack" + " zzz" * 3000 + " GRÖSSE aaa"
    for small in (10**9, 0):
        monkeypatch.setattr(word_finder, "SMALL", small)
        made = good("words", "\n".join(words))
        assert made.found(text) == ["needle", "in a haystack", "größe", "aaa"]
        assert made.matches(text)
        assert not made.matches("aaaaa " * 3000)
    # Every word at the border of two slices.
    one = good("words", "needle")
    for at in range(65_530, 65_545):
        assert one.found("-" * at + "needle" + "-" * 10) == ["needle"]
        assert not one.matches("-" * at + "needles" + "-" * 10)


def test_kinds_of_characters_do_not_depend_on_python() -> None:
    # U+1C89 is a letter since Unicode 16; no Python up to 3.13 knows it.
    assert kind("\u1c89") == kind("a")
    assert not good("words", "ab").matches("ab\u1c89")
