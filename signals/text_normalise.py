"""Text as a reader takes it: look-alike characters, digits for letters and hidden characters undone.

What looks like a Latin letter comes from two pinned packages: Unicode's list of confusable characters, in
`confusable-homoglyphs` (read as data: its own loader asks the environment where the list is), and the
names of characters in `unicodedata2`. Letters of other scripts become Latin only in words that imitate: a
word that holds Latin letters too, or nothing but letters whose lower case has a Latin double. So `paypal`
with Cyrillic letters is `paypal`, and Russian, Greek or Arabic words stay words, in capitals as well: an
imitation in capitals of one other script alone (BOT in Cyrillic) is not seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache, lru_cache
from hashlib import sha256
from importlib.resources import files

import unicodedata2

from quell.grammar.types import TEXT
from quell.signals.characters import LOOK_CAP, SPACES, CharTable, category, is_ignorable, normalize, visible
from quell.signals.registry import Example, Function, Parameter

# Marks that sit on letters of any script, as accents do or as noise; those of one script alone spell words.
_LOOSE_MARKS = (
    (0x0300, 0x036F),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE20, 0xFE2F),
)
_LONGEST_FORM = 6
"""Characters in a compatibility form; U+FDFA and U+FDFB hold more, whole phrases, and stay as they are."""
# Signs that stand for letters in words and are in neither source.
_SIGNS = {"€": "e", "£": "l", "¥": "y", "₿": "b", "₽": "p", "₮": "t", "¢": "c", "¡": "i"}
_NAMED = re.compile(
    r"(?:LATIN (?:SMALL|CAPITAL) LETTER|LATIN LETTER SMALL CAPITAL"
    r"|NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER) (?:DOTLESS |SCRIPT )?([A-Z])(?: WITH .*)?"
)


# ------------------------------------------------------------ single letters


def _plain(char: str) -> str:
    """A character without compatibility forms, loose marks, hidden characters and styles of digits.

    Latin letters of any make come out as ASCII in lower case; other letters keep their case, which decides
    what they look like.
    """
    if char.isascii():
        if char in SPACES:
            return " "
        return char.lower() if char.isprintable() else ""
    if char in SPACES:
        return " "
    if is_ignorable(char) or category(char) in ("Cc", "Me") or _is_loose(char):
        return ""
    if category(char) == "Nd":
        return str(unicodedata2.decimal(char))
    parts = normalize("NFKD", char)
    if parts != char and len(parts) <= _LONGEST_FORM:
        return "".join(map(_plain, parts))
    return _latin().get(char, char)


def _is_loose(char: str) -> bool:
    return any(low <= ord(char) <= high for low, high in _LOOSE_MARKS)


@cache
def _confusable() -> dict[str, str]:
    """Each character beyond ASCII that looks like ASCII letters, and those letters in lower case."""
    data = json.loads(files("confusable_homoglyphs").joinpath("confusables.json").read_text("utf-8"))
    found: dict[str, str] = {}
    for char, likenesses in data.items():
        if len(char) != 1 or char.isascii():
            continue
        for likeness in likenesses:
            letters = visible(likeness["c"])
            if letters.isascii() and letters.isalpha():
                found[char] = letters.lower()
                break
    return found


@cache
def _latin() -> dict[str, str]:
    """Latin letters beyond ASCII that do not come apart into ASCII ones, such as ø and small capitals."""
    found: dict[str, str] = {}
    blocks = ((0x80, 0x2C80), (0xA640, 0xAC00), (0x10780, 0x10800), (0x1D000, 0x1FA00))
    chars = [chr(point) for begin, end in blocks for point in range(begin, end)]
    for char in chars:
        name = unicodedata2.name(char, "")
        if "LATIN" not in name:
            continue
        letter = _NAMED.fullmatch(name)
        folded = char.casefold()
        if letter:
            found[char] = letter[1].lower()
        elif folded.isascii():
            found[char] = folded
        elif char in _confusable():
            found[char] = _confusable()[char]
    found.update({"Æ": "ae", "æ": "ae", "Œ": "oe", "œ": "oe"})
    for char in chars:
        if char not in found and char.casefold() in found:
            found[char] = found[char.casefold()]
    return found


# -------------------------------------------------------------------- words


@cache
def _doubles() -> tuple[dict[int, str], dict[int, str]]:
    """What letters of other scripts look like, one Latin letter each: in words without Latin letters, for
    their lower case; and in words with some, for both cases and for signs. There a letter without a double
    takes that of its other case (``в`` imitates a small capital b)."""
    whole = {c: t for c, t in _confusable().items() if len(t) == 1 and normalize("NFKD", c) == c}
    own = {c: t for c, t in whole.items() if c not in _latin()}
    letters = {c: t for c, t in own.items() if category(c)[0] == "L"}
    alone = {ord(c): t for c, t in letters.items() if c.casefold() == c}
    for char in sorted(letters):
        for other in (char.lower(), char.upper(), char.casefold()):
            if len(other) == 1 and not other.isascii() and _plain(other) == other:
                letters.setdefault(other, letters[char])
    signs = {c: t for c, t in own.items() if category(c)[0] in "SP"}
    return alone, {ord(c): t for c, t in (*letters.items(), *signs.items(), *_SIGNS.items())}


_NO_WORD = "\x00"


def _word_class(char: str) -> str:
    """`w` for what can stand in an imitating word, else `_NO_WORD`: a shape, as in `characters`."""
    joins = category(char)[0] in "LMN" or char in "@$!|" or ord(char) in _doubles()[1]
    return "w" if joins else _NO_WORD


_WORD_SHAPES = CharTable(_word_class)
_WORDS = re.compile("w+")
_HAS_LATIN = re.compile("[a-z]")


def _read(word: str) -> str:
    """A word in Latin letters when it imitates, else as it is."""
    alone, mixed = _doubles()
    if _HAS_LATIN.search(word):
        return word.translate(mixed).casefold().translate(mixed)
    made = word.casefold().translate(alone)
    return made if made.isascii() else word


def _imitations(text: str) -> str:
    """The text with imitating words in Latin letters."""
    out: list[str] = []
    copied = 0
    for match in _WORDS.finditer(text.translate(_WORD_SHAPES)):
        start, end = match.span()
        word = text[start:end]
        if not word.isascii():
            out += (text[copied:start], _read(word))
            copied = end
    return "".join(out) + text[copied:]


# ---------------------------------------------------- digits that are letters

_LEET = str.maketrans("013457@$!|8", "oieastasilb")
_LEET_NEAR = re.compile(r"[a-z][0134578@$!|]|[0134578@$!|][a-z]")
# A word with such a sign in it: letters and other digits up to the first one, then the rest.
_LEET_WORDS = re.compile(r"(?<![a-z0-9@$!|])[a-z269]*+[0134578@$!|][a-z0-9@$!|]*+")
_LEET_PARTS = re.compile(r"([@!|]*)(.*?)([!|]*)")
_AMOUNT = re.compile(r"\$?[0-9]+[a-z]{0,2}")
_TAIL = re.compile(r"[0-9]{3,}\Z|[0-9]*[269][0-9]*\Z")


def _unleet(match: re.Match[str]) -> str:
    word = match[0]
    if not _HAS_LATIN.search(word):
        return word
    parts = _LEET_PARTS.fullmatch(word)
    assert parts is not None
    before, core, after = parts.groups()
    if _AMOUNT.fullmatch(core):
        return word
    tail = _TAIL.search(core)
    end = tail.start() if tail else len(core)
    return before + core[:end].translate(_LEET) + core[end:] + after


# -------------------------------------------------------------------- whole


_PLAIN = CharTable(_plain)
_SHORT = 32
"""Characters in a word whose normal form is remembered: the words of a language come again and again."""


def normalise(text: str) -> str:
    """The first `LOOK_CAP` characters as a reader takes them; see the row. Normalised text stays as it is."""
    text = text[:LOOK_CAP]
    if text.isascii():
        return _ascii(text)
    # Nothing of what is done reaches over white space, so words can be done one by one.
    words = [_short(word) if len(word) <= _SHORT else _word(word) for word in text.split()]
    return " ".join([word for word in words if word])


def _ascii(text: str) -> str:
    text = text.lower()
    if not text.isprintable():
        text = text.translate(_PLAIN)
    return _signs_read(text)


def _word(word: str) -> str:
    word = word.translate(_PLAIN)
    if word.isascii():
        return _ascii(word)
    return normalize("NFC", _signs_read(_imitations(word).casefold()))


_short = lru_cache(maxsize=16_384)(_word)


def _signs_read(text: str) -> str:
    if _LEET_NEAR.search(text):
        text = _LEET_WORDS.sub(_unleet, text)
    return " ".join(text.split())


_ASCII_JUNK = {point: None for point in range(128) if not chr(point).isalnum()}
_JUNK = CharTable(lambda char: char if category(char)[0] in "LMN" else None)


def squash(text: str) -> str:
    """The letters, marks and digits of the normalised text; the text without spaces when it has none."""
    plain = normalise(text)
    if plain.isascii():
        kept = plain.translate(_ASCII_JUNK)
    else:
        kept = "".join(
            [_kept(word) if len(word) <= _SHORT else word.translate(_JUNK) for word in plain.split()]
        )
    return kept or plain.replace(" ", "")


@lru_cache(maxsize=16_384)
def _kept(word: str) -> str:
    return word.translate(_JUNK)


def fingerprint(text: str) -> str:
    """16 hexadecimal digits, equal for texts with equal letters and digits after normalising."""
    return sha256(squash(text).encode()).hexdigest()[:16]


def warmed(function: Callable[[str], str]) -> Callable[[], Callable[[str], str]]:
    """A `prepare` that reads the tables when a policy is compiled, so that no event waits for them."""

    def prepare() -> Callable[[str], str]:
        _doubles()
        return function

    return prepare


_X = Parameter("x", TEXT)

ROWS: tuple[Function, ...] = (
    Function(
        name="normalise",
        group="text",
        doc="The text as a reader takes it, for comparing and searching: in lower case, without accents,"
        " styled letters (\U0001d4ef\U0001d4fb\U0001d4ee\U0001d4ee, \uff46\uff52\uff45\uff45) and hidden"
        " characters; look-alike letters of other scripts are Latin in words that imitate Latin ones; digits"
        " and signs in words are the letters they stand for (`fr33`, `c@sh`), though not in amounts (`100k`)"
        " or numbers at the end (`anna1990`); white space is single spaces. Compare it with text in lower"
        f" case, or with normalised text. Of a longer text the first {LOOK_CAP:,} characters are looked at.",
        parameters=(_X,),
        result=TEXT,
        call=normalise,
        prepare=warmed(normalise),
        cost=5.0,
        examples=(
            Example('normalise("FR33  Nïtro")', '"free nitro"'),
            Example('normalise("\u0440\u0430\u0443\u0440\u0430l")', '"paypal"'),
            Example('normalise("Привет")', '"привет"'),
        ),
    ),
    Function(
        name="fingerprint",
        group="text",
        doc="A short key that is equal for texts that read the same: with the same letters and digits once"
        " normalised, whatever their case, spaces, punctuation and emoji. (A text with neither letters nor"
        " digits is compared by what it has.) Use it as a key to count copies.",
        parameters=(_X,),
        result=TEXT,
        call=fingerprint,
        prepare=warmed(fingerprint),
        cost=7.0,
        examples=(
            Example('fingerprint("Free N1tro!!") == fingerprint("free nitro")', "true"),
            Example('fingerprint("free nitro") == fingerprint("free lunch")', "false"),
        ),
    ),
)
