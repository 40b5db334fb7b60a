"""Many words looked for in one pass: an Aho-Corasick automaton and a look at the edges of what it finds.

Aho and Corasick, "Efficient string matching: an aid to bibliographic search", CACM 18 (1975). The
automaton is ahocorasick-rs; it works on UTF-8, which saves turning byte places into character places.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from quell.signals.word_edges import ASCII_KINDS, edges, kind_after, kind_before

SMALL = 60_000
"""Bytes of words up to which the automaton is a full table: twice as fast, at about 100 bytes a byte."""
SHORT = 2_048
"""Bytes of text that need not be cut into slices."""
_SLICE = 65_536

Place = tuple[int, int, int]
"""Which word, and the bytes from which and to which it stands."""


def folded_bytes(text: str) -> bytes:
    """UTF-8 of a text without case, in which a `WordFinder` looks. White space stays as it is."""
    if text.isascii():
        return text.lower().encode()
    return text.casefold().encode("utf-8", "replace")


_LIGATURES = re.compile("[\ufb00-\ufb06]")


def ascii_folds(text: str, raw: bytes) -> bool:
    """Whether lower case in ASCII is all the folding that a text (in UTF-8 `raw`) needs for words in ASCII.

    To fold a text that is not ASCII takes longer than to look for words in it. What folds to something with
    an ASCII letter in it is U+0130, U+0149, U+017F, U+01F0, U+1E96 to U+1E9E (told here by their first byte,
    which they share with others), the sharp s, the Kelvin sign, and the ligatures of f and of st. A test
    compares this with ``str.casefold``.
    """
    return not (
        0xC4 in raw
        or 0xC5 in raw
        or 0xC7 in raw
        or 0xE1 in raw
        or "ß" in text
        or "\u212a" in text
        or (0xEF in raw and _LIGATURES.search(text))
    )


def spaced(raw: bytes) -> bytes:
    """Folded text with every run of white space one space, for words of more than one word."""
    return " ".join(raw.decode().split()).encode()


class WordFinder:
    """Finds words in folded text. `words` are folded, not empty, and each there once."""

    def __init__(self, words: Sequence[str]) -> None:
        encoded = [word.encode() for word in words]
        self._edges = [edges(word) for word in words]
        self._longest = max(map(len, encoded), default=0)
        # Words of one length cannot be found twice at a place, so this bounds what one slice can give.
        lengths = len({len(word) for word in encoded})
        self._slice = max(SHORT, _SLICE // max(1, lengths))
        small = sum(map(len, encoded)) <= SMALL
        table = Implementation.DFA if small else Implementation.ContiguousNFA
        automaton = BytesAhoCorasick(encoded, MatchKind.Standard, table)
        self._find: Callable[[bytes, bool], list[Place]] = automaton.find_matches_as_indexes
        self.candidates = self._find
        """With True as second argument, the same as `places`, all at once: for texts of at most SHORT bytes,
        since it can be as long as the text times the lengths of words."""
        self.ascii = all(word.isascii() for word in words)
        """Whether all words are ASCII."""
        self.phrases = any(" " in word for word in words)
        """Whether the text must be `spaced` before words are looked for in it."""

    def places(self, raw: bytes) -> Iterator[Place]:
        """Where words stand in folded text, whole or inside others."""
        for start in range(0, len(raw), self._slice):
            # A slice ends late enough for every word that begins in it.
            part = raw[start : start + self._slice + self._longest]
            for word, begin, end in self._find(part, True):
                if begin < self._slice:
                    yield word, start + begin, start + end

    def whole(self, raw: bytes) -> Iterator[Place]:
        """Where whole words stand in folded text."""
        is_whole = self.is_whole
        return (place for place in self.places(raw) if is_whole(raw, place))

    def is_whole(self, raw: bytes, place: Place) -> bool:
        """Whether nothing stands beside a place that makes it part of a longer word."""
        word, start, end = place
        before, after = self._edges[word]
        if before and start:
            left = raw[start - 1]
            if (ASCII_KINDS[left] if left < 0x80 else kind_before(raw, start)) & before:
                return False
        if after and end < len(raw):
            right = raw[end]
            if (ASCII_KINDS[right] if right < 0x80 else kind_after(raw, end)) & after:
                return False
        return True
