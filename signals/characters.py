"""What characters are, by the pinned Unicode data of `unicodedata2`, never by the interpreter's own.

The interpreter's data differs between Python 3.11, 3.12 and 3.13 (Unicode 14, 15, 15.1), so nothing here or
in the functions asks ``str.isalpha`` and its kin about characters beyond ASCII. What does agree between
them, and is used: ``str.lower``, ``str.upper`` and ``str.casefold`` of one character, and ``str.isspace``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import unicodedata2

LIST_CAP = 10_000
"""Elements in a list that a function makes from one text; what follows is left out."""
LOOK_CAP = 200_000
"""Characters that functions with much to do for each one look at; what follows they do not see."""
TEXT_CAP = 2_000_000
"""Characters in a text that a function makes; a longer one ends there."""

SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What counts as white space: the 29 characters that ``str.isspace`` knows in every version."""

category: Callable[[str], str] = unicodedata2.category
normalize: Callable[[str, str], str] = unicodedata2.normalize

_INVISIBLE = frozenset(
    (
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    )
)
_TABLE_LIMIT = 100_000


class CharTable(dict[int, Any]):
    """A table for ``str.translate`` whose entries are worked out when first needed, by `make`.

    It forgets all it knows when it grows past a limit, so no text can fill the memory.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, point: int) -> Any:
        if len(self) >= _TABLE_LIMIT:
            self.clear()
        value = self[point] = self._make(chr(point))
        return value


def is_ignorable(char: str) -> bool:
    """Whether a character shows nothing: zero-width, direction and variation marks, fillers, soft hyphens."""
    return ord(char) in _INVISIBLE or category(char) == "Cf"


# ------------------------------------------------------------------- shapes

HIDDEN = "\x01"
"""Stands in a shape for what shows nothing."""
MARK = "\x02"
"""Stands in a shape for a combining mark."""
_OTHER = "\x03"
_LIKE = {"\u3002": ".", "\uff61": ".", "\u2019": "'", "\u02bc": "'", "\u2010": "-", "\u2011": "-"}


def _shape_of(char: str) -> str:
    if char in _LIKE:
        return _LIKE[char]
    if char.isascii():
        return char
    if char in SPACES:
        return " "
    kind = category(char)
    if kind == "Cf" or is_ignorable(char):
        return HIDDEN
    if kind != "Lo":  # which is most characters, and none of them is compatible with one of ASCII
        plain = normalize("NFKC", char)
        if len(plain) == 1 and plain.isascii():
            return plain
    if kind[0] == "L":
        return "A" if kind in ("Lu", "Lt") else "a"
    if kind == "Nd":
        return str(unicodedata2.decimal(char))
    return {"N": "a", "M": MARK}.get(kind[0], _OTHER)


_SHAPES = CharTable(_shape_of)


def shape(text: str) -> str:
    """The text in ASCII, character for character, so that plain ASCII patterns find words, names and links.

    A letter of any script is ``a`` or ``A``, a digit its value, white space a space; what Unicode calls
    compatible with an ASCII character (full-width letters, for one) is that character; what shows nothing
    is `HIDDEN`, a combining mark `MARK`.
    """
    return text if text.isascii() else text.translate(_SHAPES)


_DROP_HIDDEN = CharTable(lambda char: None if is_ignorable(char) else char)


def visible(text: str) -> str:
    """The text without the characters that show nothing."""
    return text if text.isascii() else text.translate(_DROP_HIDDEN)


# -------------------------------------------------------------------- cases


def lower(text: str) -> str:
    """Each character in lower case, one for one, whatever stands around it (a final sigma is a sigma).

    ``str.lower`` looks around a sigma, with tables that change between versions of Python, and makes two
    characters of ``İ``; without those two it agrees with DuckDB's lower on every character.
    """
    if not text.isascii() and ("Σ" in text or "İ" in text):
        text = text.replace("Σ", "\u03c3").replace("İ", "i")
    return text.lower()


def _upper_of(char: str) -> str:
    if char == "ß":
        return "ẞ"
    full = char.upper()
    if len(full) == 1:
        return full
    title = char.title()
    return title if len(title) == 1 else char


_UPPERS = CharTable(_upper_of)


def upper(text: str) -> str:
    """Each character in upper case, one for one (``ß`` is ``ẞ``), as in DuckDB's upper."""
    return text.upper() if text.isascii() else text.translate(_UPPERS)
