"""Numbers that say what a text is like, how alike two texts are, and which scripts it is written in."""

from __future__ import annotations

import json
import re
from bisect import bisect
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from math import fsum

from rapidfuzz.distance import Levenshtein

from quell.grammar.types import NUMBER, TEXT, list_of
from quell.signals.characters import CharTable, category, lower
from quell.signals.exact import log2
from quell.signals.registry import Example, Function, Parameter

COMPARED = 5_000
"""Characters of each text that `similarity` and `edit_distance` compare: time grows with the product."""
REPEATED = 1_000
"""Characters that `repeat_ratio` looks at. In longer texts pieces repeat by chance."""
_PIECE = 3

# ---------------------------------------------------------- cases and digits

_ASCII_UPPER = bytes(range(ord("A"), ord("Z") + 1))
_ASCII_LOWER = bytes(range(ord("a"), ord("z") + 1))
_ASCII_DIGITS = b"0123456789"


def _count(raw: bytes, chars: bytes) -> int:
    return len(raw) - len(raw.translate(None, chars))


_CASES = CharTable(lambda char: {"Lu": "A", "Lt": "A", "Ll": "a", "Nd": "0"}.get(category(char), " "))


def _cases(text: str) -> bytes:
    """The text in ASCII, in which capitals are A to Z, small letters a to z and digits 0 to 9."""
    return text.encode() if text.isascii() else text.translate(_CASES).encode()


def upper_ratio(text: str) -> float:
    """The share of capitals among the letters that have a case, 0 when there are none."""
    raw = _cases(text)
    capitals = _count(raw, _ASCII_UPPER)
    return capitals / (capitals + _count(raw, _ASCII_LOWER)) if capitals else 0


def digit_ratio(text: str) -> float:
    """The share of decimal digits among all characters, 0 for the empty text."""
    return _count(_cases(text), _ASCII_DIGITS) / len(text) if text else 0


# ------------------------------------------------------ repetition, surprise


def repeat_ratio(text: str) -> float:
    """The share of its pieces of three characters that the text has had before, case aside; from 0 to 1."""
    head = lower(text[:REPEATED])
    pieces = len(head) - _PIECE + 1
    if pieces < 2:
        return 0
    return 1 - len(set(zip(head, head[1:], head[2:], strict=False))) / pieces


_WEIGHTS: dict[int, float] = {}


def _weight(times: int) -> float:
    found = _WEIGHTS.get(times)
    if found is None:
        found = times * log2(times)
        if times <= 1_000:
            _WEIGHTS[times] = found
    return found


def entropy(text: str) -> float:
    """Shannon's entropy of the text's characters, in bits each; 0 for the empty text.

    H = log2 n - (sum over the different characters of c log2 c) / n, summed exactly, so that the order of
    characters makes no difference.
    """
    if not text:
        return 0
    total = fsum(map(_weight, Counter(text).values()))
    return max(0.0, log2(len(text)) - total / len(text))


# ----------------------------------------------------------------- likeness


def edit_distance(a: str, b: str) -> int:
    """Levenshtein's distance of the first `COMPARED` characters of two texts."""
    return Levenshtein.distance(a[:COMPARED], b[:COMPARED])


def similarity(a: str, b: str) -> float:
    """1 less the edit distance over the longer length, of the first `COMPARED` characters of two texts."""
    longer = max(len(a), len(b))
    return 1 - edit_distance(a, b) / min(longer, COMPARED) if longer else 1


# ------------------------------------------------------------------ scripts

_A_LETTER = re.compile("[A-Za-z]")


@cache
def _ranges() -> tuple[list[int], list[tuple[int, str]]]:
    """The first code point of each run of one script, and its last with the script's name."""
    data = json.loads(files("confusable_homoglyphs").joinpath("categories.json").read_text("utf-8"))
    runs = data["code_points_ranges"]
    return [run[0] for run in runs], [(run[1], data["iso_15924_aliases"][run[2]]) for run in runs]


def _script_of(char: str) -> str | None:
    """One private character per script, for `translate`; None for what belongs to none."""
    starts, ends = _ranges()
    at = bisect(starts, ord(char)) - 1
    last, name = ends[at]
    return _marks().get(name) if ord(char) <= last else None


@cache
def _marks() -> dict[str, str]:
    """A private character for each script."""
    names = sorted({name for _, name in _ranges()[1]} - {"COMMON", "INHERITED"})
    return {name: chr(0xE000 + at) for at, name in enumerate(names)}


@cache
def _names() -> dict[str, str]:
    """The names of scripts as in `Old Italic`, by their private characters."""
    return {mark: name.replace("_", " ").title() for name, mark in _marks().items()}


_SCRIPTS = CharTable(_script_of)


def scripts(text: str) -> list[str]:
    """The scripts of the text's letters, the most frequent first, of equals the one that appears first."""
    if text.isascii():
        return ["Latin"] if _A_LETTER.search(text) else []
    return [_names()[mark] for mark, _ in Counter(text.translate(_SCRIPTS)).most_common()]


def script(text: str) -> str | None:
    """The script of most of the text's letters, or None when it has none."""
    found = scripts(text)
    return found[0] if found else None


def _warm_script() -> Callable[[str], str | None]:
    _names()
    return script


def _warm_scripts() -> Callable[[str], list[str]]:
    _names()
    return scripts


# --------------------------------------------------------------------- rows

_X = Parameter("x", TEXT)
_PAIR = (_X, Parameter("y", TEXT))

ROWS: tuple[Function, ...] = (
    Function(
        name="upper_ratio",
        group="text",
        doc="The share of capitals among the letters that have a case, from 0 to 1; 0 when there are none.",
        parameters=(_X,),
        result=NUMBER,
        call=upper_ratio,
        cost=0.8,
        bounds=(0, 1),
        examples=(Example('upper_ratio("HELLO you")', "0.625"), Example('upper_ratio("123")', "0")),
    ),
    Function(
        name="digit_ratio",
        group="text",
        doc="The share of digits among all characters, from 0 to 1; 0 for the empty text.",
        parameters=(_X,),
        result=NUMBER,
        call=digit_ratio,
        cost=0.4,
        bounds=(0, 1),
        examples=(Example('digit_ratio("ab12")', "0.5"),),
    ),
    Function(
        name="repeat_ratio",
        group="text",
        doc="How much a text repeats itself, from 0 to 1: the share of its pieces of three characters that"
        " it has had before, case aside. Ordinary sentences stay below 0.2. It looks at the first"
        f" {REPEATED:,} characters.",
        parameters=(_X,),
        result=NUMBER,
        call=repeat_ratio,
        cost=7.0,
        bounds=(0, 1),
        examples=(
            Example('repeat_ratio("abcabcab")', "0.5"),
            Example('repeat_ratio("hello")', "0"),
        ),
    ),
    Function(
        name="entropy",
        group="text",
        doc="How mixed the characters of a text are, in bits per character (Shannon's entropy): 0 when all"
        " are the same, about 4 for a sentence, 5 and more for random characters.",
        parameters=(_X,),
        result=NUMBER,
        call=entropy,
        cost=8.0,
        bounds=(0, 21),
        examples=(Example('entropy("aaaa")', "0"), Example('entropy("abcd")', "2")),
    ),
    Function(
        name="similarity",
        group="text",
        doc="How alike two texts are, from 0 to 1: 1 less their edit distance over the longer length."
        f" Normalise both to look past tricks. It compares the first {COMPARED:,} characters.",
        parameters=_PAIR,
        result=NUMBER,
        call=similarity,
        cost=2.5,
        bounds=(0, 1),
        examples=(
            Example('similarity("harbour", "harbuor")', "0.7142857142857143"),
            Example('similarity("same", "same")', "1"),
        ),
    ),
    Function(
        name="edit_distance",
        group="text",
        doc="The least number of characters to put in, take out or change to make one text the other"
        f" (Levenshtein). It compares the first {COMPARED:,} characters.",
        parameters=_PAIR,
        result=NUMBER,
        call=edit_distance,
        cost=2.0,
        bounds=(0, COMPARED),
        examples=(Example('edit_distance("kitten", "sitting")', "3"),),
    ),
    Function(
        name="script",
        group="text",
        doc="The script that most letters of the text are in: `Latin`, `Cyrillic`, `Han`, `Arabic` and so"
        " on, by Unicode's names. Missing when it has no letters.",
        parameters=(_X,),
        result=TEXT.maybe(),
        call=script,
        prepare=_warm_script,
        cost=0.5,
        examples=(Example('script("Привет, Bob")', '"Cyrillic"'), Example('script("123")', "missing")),
    ),
    Function(
        name="scripts",
        group="text",
        doc="All scripts that letters of the text are in, the most frequent first. A word in two of them may"
        " be imitating another (Japanese is written in three: `Han`, `Hiragana`, `Katakana`).",
        parameters=(_X,),
        result=list_of(TEXT),
        call=scripts,
        prepare=_warm_scripts,
        cost=0.5,
        examples=(Example('scripts("\u0440\u0430ypal")', '["Latin", "Cyrillic"]'),),
    ),
)
