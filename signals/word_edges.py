"""Where words begin and end, and how text is folded before words are looked for in it.

Letters, marks and digits are told by the Unicode tables of unicodedata2, which is pinned, so that every
Python gives the same answer. The tables of ``str.casefold`` and ``str.split`` are the same in Python 3.11
to 3.13; a test holds them.
"""

from __future__ import annotations

from functools import lru_cache

import unicodedata2

# Scripts written without spaces between words, or (Korean) with particles joined to them: first and last
# code point of each block or run of blocks.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul jamo
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x2E80, 0x2FDF),  # CJK and Kangxi radicals
    (0x3005, 0x3007),  # iteration mark, closing mark, zero
    (0x3021, 0x303C),  # Hangzhou numerals, tone and repeat marks
    (0x3041, 0x31BF),  # kana, bopomofo, Hangul compatibility jamo
    (0x31F0, 0x31FF),  # kana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),  # Han
    (0xA960, 0xA97F),  # Hangul jamo
    (0xA980, 0xA9FF),  # Javanese, Myanmar
    (0xAA60, 0xAADF),  # Myanmar, Tai Viet
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),  # Han
    (0xFF66, 0xFFDC),  # half-width kana and Hangul
    (0x1AFF0, 0x1B16F),  # kana
    (0x20000, 0x3FFFF),  # Han
)
_VARIATION = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))

LETTER = 1
"""A letter, digit, mark or underscore of a script with spaces."""
MARK = 2
"""A mark of such a script; always together with LETTER."""
UNSPACED_MARK = 4
"""A mark of a script without spaces."""


def fold(text: str) -> str:
    """Text without case and with every run of white space one space: what words are compared in."""
    return " ".join(text.casefold().split())


@lru_cache(maxsize=4096)
def kind(char: str) -> int:
    """Which of LETTER, MARK and UNSPACED_MARK a character is.

    Letters and digits of scripts without spaces are none of them, nor are variation selectors, which only
    say how the character before them is drawn.
    """
    category = unicodedata2.category(char)[0]
    if category not in "LMN":
        return LETTER if char == "_" else 0
    point = ord(char)
    if _within(point, _VARIATION):
        return 0
    unspaced = point >= _UNSPACED[0][0] and _within(point, _UNSPACED)
    if category == "M":
        return UNSPACED_MARK if unspaced else LETTER | MARK
    return 0 if unspaced else LETTER


def _within(point: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= point <= high for low, high in ranges)


def edges(word: str) -> tuple[int, int]:
    """The kinds of character that may not stand directly before and after a match of `word`.

    Beside a letter, digit, mark or underscore no other may stand. A letter of a script without spaces may
    have any neighbour but a mark after it, which would make it another letter. Anything else, such as an
    emoji or a dollar sign, may have any neighbour.
    """
    before = LETTER if kind(word[0]) & LETTER else 0
    if kind(word[-1]) & LETTER:
        return before, LETTER | UNSPACED_MARK
    if unicodedata2.category(word[-1])[0] in "LMN":
        return before, MARK | UNSPACED_MARK
    return before, 0


ASCII_KINDS = bytes(kind(chr(point)) if point < 0x80 else 0 for point in range(0x100))
"""`kind` of each byte that is an ASCII character."""


def kind_before(raw: bytes, at: int) -> int:
    """`kind` of the character that ends before byte `at` of UTF-8 text; 0 at the start."""
    if at == 0:
        return 0
    if raw[at - 1] < 0x80:
        return ASCII_KINDS[raw[at - 1]]
    start = at - 1
    while start > 0 and raw[start] & 0xC0 == 0x80:
        start -= 1
    return kind(raw[start:at].decode())


def kind_after(raw: bytes, at: int) -> int:
    """`kind` of the character that begins at byte `at` of UTF-8 text; 0 at the end."""
    if at >= len(raw):
        return 0
    first = raw[at]
    if first < 0x80:
        return ASCII_KINDS[first]
    return kind(raw[at : at + (2 if first < 0xE0 else 3 if first < 0xF0 else 4)].decode())
