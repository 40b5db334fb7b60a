"""Keys that near-duplicate texts share: MinHash over short pieces, cut into bands.

The estimate of likeness is Broder's (On the resemblance and containment of documents, 1997); one hash per
piece, sorted into bins, stands for many (Li, Owen and Zhang, One permutation hashing, 2012), and a bin that
stays empty borrows from the next one (Shrivastava and Li, Densifying one permutation hashing, 2014).
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from zlib import crc32

from quell.grammar.types import TEXT, list_of
from quell.signals.registry import Example, Function, Parameter
from quell.signals.text_normalise import normalise, squash, warmed

PIECE = 4
"""Characters in a piece."""
BANDS = 8
"""Keys of a text."""
ROWS_PER_BAND = 3
"""Bins that make a key."""
SHORTEST = 12
"""Letters and digits that a text needs to have keys."""
LONGEST = 2_000
"""Letters and digits that are looked at."""

_BINS = BANDS * ROWS_PER_BAND
_EMPTY = -1
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF
_EDGES = tuple((bin_ << 64) // _BINS for bin_ in range(1, _BINS + 1))


def bands(text: str) -> list[str]:
    """`BANDS` keys of the text, or none when it is shorter than `SHORTEST`.

    Two texts that have the share J of their pieces in common agree in one bin with probability J, in a key
    with J**3, and in some key with 1 - (1 - J**3)**8.
    """
    plain = squash(text)[:LONGEST]
    if len(plain) < SHORTEST:
        return []
    bins = _filled(_least(plain))
    return [
        f"{band}.{bins[at]:08x}{bins[at + 1]:08x}{bins[at + 2]:08x}"
        for band, at in enumerate(range(0, _BINS, ROWS_PER_BAND))
    ]


def _least(plain: str) -> list[int]:
    """The least hash in each bin, `_EMPTY` where no piece fell. Bins divide the numbers of 64 bits evenly, so
    the least of each is the first of its part once all are sorted."""
    raw = plain.encode("utf-32-le")
    width = 4 * PIECE
    # A CRC alone is linear in its input; the product spreads its bits upwards, where the bin is taken.
    pieces = range(0, len(raw) - width + 1, 4)
    found = sorted([crc32(raw[at : at + width]) * _GOLDEN & _MASK for at in pieces])
    bins = []
    at = 0
    for edge in _EDGES:
        end = bisect(found, edge - 1, at)
        bins.append(found[at] & 0xFFFFFFFF if end > at else _EMPTY)
        at = end
    return bins


def _filled(bins: list[int]) -> list[int]:
    """The bins with each empty one filled from the next full one, changed by how far away that is."""
    if _EMPTY not in bins:
        return bins
    out = list(bins)
    for place in range(_BINS):
        step = 0
        while bins[(place + step) % _BINS] == _EMPTY:
            step += 1
        out[place] = (bins[(place + step) % _BINS] + step * _GOLDEN) & 0xFFFFFFFF
    return out


def _prepare() -> Callable[[str], list[str]]:
    warmed(normalise)()
    return bands


ROWS: tuple[Function, ...] = (
    Function(
        name="bands",
        group="text",
        doc=f"{BANDS} keys of the text, of which near-duplicates share one or more: use the list as a"
        " counter's key or value, and ask whether any of its counts is high. Letters and digits of the"
        f" normalised text are compared by pieces of {PIECE}; of texts with half of their pieces in common"
        " about two in three pairs share a key, with four fifths in common nearly all, with one fifth 6 in"
        f" 100. Texts under {SHORTEST} letters and digits have no keys; those past the first {LONGEST:,} are"
        " not looked at.",
        parameters=(Parameter("x", TEXT),),
        result=list_of(TEXT),
        call=bands,
        prepare=_prepare,
        cost=50,
        examples=(
            Example('size(bands("win a free gift card today, friends"))', str(BANDS)),
            Example(
                'overlap(bands("win a free gift card today"), bands("Win a FREE gift card today!")) >= 1',
                "true",
            ),
            Example('bands("hello")', "[]"),
        ),
    ),
)
