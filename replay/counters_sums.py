"""Exact sums of numbers over stretches of a column, rounded once.

Every number is a whole number times one power of two; the whole numbers are cut in two limbs, the lower of
`bits` bits, whose running sums cannot overflow. The difference of two running sums is the exact sum of a
stretch: `high · 2^bits + low`, over `2^scale`.

Rounding it: what fits into 61 bits is turned into a double by the conversion of whole numbers, which rounds
correctly. Of what does not fit, the leading 60 bits at least are kept and the last of them is set when
anything was cut off. A double has 53 bits, so neighbouring doubles and the midpoints between them are even
numbers here, and so far apart that what was cut off decides nothing but whether it is one of them: the same
double comes out. The power of two is exact, as whoever makes a `Sums` keeps clear of the ends of the
range of doubles.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np

from quell.signals.counters_entries import EXACT, LONGEST, quotient, scaled

Array = Any
"""A NumPy array of one dimension."""

_ROOM = 60
"""The bits that a limb's sums may take."""
_EXTENT = 900
"""Doubles of larger or smaller exponents are not summed here."""


_SQUARED = 2.0**480
"""Numbers whose squares, summed, are doubles."""


class TooWide(Exception):
    """What columns cannot hold exactly; the message says what, as a reason to go another way."""


_APART = "the numbers are too large, or too far apart, to be summed in columns"


class Sums:
    """Running sums of `values`, doubles or whole numbers. `most` is how many there are in one stretch at
    most. Raises TooWide."""

    def __init__(self, values: Array, most: int) -> None:
        self.bits = _ROOM - max(1, int(most).bit_length())
        self.scale = 0
        if self.bits < 32:
            raise TooWide(_APART)
        if values.dtype.kind != "f" or _whole(values):
            whole = values.astype(np.int64)
            high, low = whole >> self.bits, whole & ((1 << self.bits) - 1)
        else:
            high, low = self._limbs(values)
        if len(high) and int(max(-int(high.min()), int(high.max()), 1)).bit_length() > self.bits:
            raise TooWide(_APART)
        self.high, self.low = _running(high), _running(low)

    def _limbs(self, values: Array) -> tuple[Array, Array]:
        """The limbs of doubles, and the power of two that makes them whole."""
        fraction, exponent = np.frexp(values)
        whole = np.ldexp(fraction, 53).astype(np.int64)  # exact: a double has 53 bits
        some = whole != 0
        lowest = np.frexp((whole & -whole).astype(np.float64))[1]
        exponent = exponent - 53
        self.scale = max(0, 1 - int((exponent + lowest)[some].min()))
        shift = (exponent + self.scale).astype(np.int64)
        shift[~some] = 0
        top = int(shift.max())
        if self.scale > _EXTENT or int(exponent.max()) > _EXTENT or top > min(2 * self.bits - 53, 63):
            raise TooWide(_APART)
        whole >>= np.maximum(-shift, 0)
        shift = np.maximum(shift, 0)
        low = (whole << shift) & ((1 << self.bits) - 1)  # what is shifted out is in the other one
        high = (whole >> np.maximum(self.bits - shift, 0)) << np.maximum(shift - self.bits, 0)
        return high, low

    def _between(self, start: Array, end: Array) -> tuple[Array, Array]:
        """The limbs of the sums of stretches; the lower is not negative."""
        high, low = self.high[end] - self.high[start], self.low[end] - self.low[start]
        return high + (low >> self.bits), low & ((1 << self.bits) - 1)

    def _small(self, high: Array, low: Array) -> tuple[Array, Array]:
        """Which sums have no more than 61 bits, and those as whole numbers."""
        bound = 1 << (61 - self.bits)
        fits = (high >= -bound) & (high < bound)
        return fits, np.where(fits, (high << self.bits) | low, 0)

    def sum(self, start: Array, end: Array) -> Array:
        """The sums of stretches as doubles."""
        high, low = self._between(start, end)
        fits, whole = self._small(high, low)
        out = np.ldexp(whole.astype(np.float64), -self.scale)
        if not fits.all():
            wide = np.flatnonzero(~fits)
            out[wide] = self._wide(high[wide], low[wide])
        return out

    def _wide(self, high: Array, low: Array) -> Array:
        length = np.frexp(np.abs(high).astype(np.float64))[1].astype(np.int64)
        cut = np.clip(length + self.bits - 61, 0, self.bits)
        rest = low & ((np.int64(1) << cut) - 1)
        leading = (high << (self.bits - cut)) | (low >> cut) | (rest != 0)
        return np.ldexp(leading.astype(np.float64), (cut - self.scale).astype(np.int32))

    def mean(self, start: Array, end: Array) -> Array:
        """The means of stretches that are not empty, as doubles."""
        high, low = self._between(start, end)
        number = np.maximum(end - start, 1)
        fits, whole = self._small(high, low)
        # Both are doubles without rounding, so the quotient is rounded once.
        out = np.ldexp(whole / number, -self.scale)
        wide = np.flatnonzero(~(fits & (whole >= -EXACT) & (whole <= EXACT)))
        if len(wide):
            out[wide] = self._quotient(high[wide], low[wide], number[wide])
        return out

    def _quotient(self, high: Array, low: Array, number: Array) -> Array:
        """Sums of more than 53 bits by so many: a long division, limb by limb, and one limb after the point.
        Together they have more than 60 bits, and a rest sets the last of them. `number` times a limb has no
        more than 60 bits."""
        first, rest = np.divmod(high, number)
        second, rest = np.divmod(rest << self.bits | low, number)
        third, rest = np.divmod(rest << self.bits, number)
        third |= rest != 0
        fits, both = self._small(first, second)
        return np.where(
            fits,
            np.ldexp(self._wide(both, third), -self.bits),
            self._wide(first, second | (third != 0)),
        )

    def stddev(self, values: Array, start: Array, end: Array) -> Array:
        """The sample standard deviations of stretches of two values or more; `values` are those that the sums
        are of. The squares are Python's whole numbers: they may have more bits than limbs do."""
        if len(values) and np.abs(values).max() > _SQUARED:
            raise TooWide(_APART)
        whole = [scaled(v, self.scale) for v in values.tolist()]
        sums = [0, *accumulate(whole)]
        squares = [0, *accumulate(v * v for v in whole)]
        out = np.zeros(len(start))
        some = np.flatnonzero(end - start > 1)
        for i, a, b in zip(some.tolist(), start[some].tolist(), end[some].tolist(), strict=True):
            number, total = b - a, sums[b] - sums[a]
            top = number * (squares[b] - squares[a]) - total * total
            out[i] = quotient(top, number * (number - 1) << 2 * self.scale)
        return np.sqrt(out)

    def sum_whole(self, start: Array, end: Array) -> tuple[Array, Array]:
        """The sums of stretches of whole numbers, and whether they are durations that there can be."""
        whole = self._whole(start, end)
        return whole, (whole >= -LONGEST) & (whole <= LONGEST)

    def mean_whole(self, start: Array, end: Array) -> Array:
        """The means of stretches of whole numbers that are not empty, halves to even."""
        whole, number = self._whole(start, end), np.maximum(end - start, 1)
        out, rest = np.divmod(whole, number)
        return out + ((2 * rest > number) | ((2 * rest == number) & (out & 1 == 1)))

    def _whole(self, start: Array, end: Array) -> Array:
        fits, whole = self._small(*self._between(start, end))
        if not fits.all():
            raise TooWide(_APART)
        return whole


def _whole(values: Array) -> bool:
    """Whether all doubles are whole and their conversion to whole numbers is exact."""
    return bool((np.abs(values) <= EXACT).all() and (values == np.rint(values)).all())


def _running(limb: Array) -> Array:
    """The sums of the first i, for every i. They may wrap; differences of what fits do not."""
    out = np.zeros(len(limb) + 1, np.int64)
    np.cumsum(limb, out=out[1:])
    return out


def extreme(values: Array, start: Array, end: Array, greatest: bool) -> Array:
    """The greatest or least value of every stretch that is not empty, 0 for one that is."""
    best = np.maximum if greatest else np.minimum
    out = np.zeros(len(start), values.dtype)
    level = np.frexp((end - start).astype(np.float64))[1] - 1  # how often 2 goes into its length
    level[end <= start] = -1
    rows = np.argsort(level, kind="stable")
    bounds = np.searchsorted(level[rows], np.arange(-1, int(level.max(initial=-1)) + 1), side="right")
    held, span = values.copy(), 1  # the best of [i, i + span), as far as that lies inside
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        some = rows[low:high]
        if len(some):
            out[some] = best(held[start[some]], held[end[some] - span])
        held[: len(held) - span] = best(held[: len(held) - span], held[span:])
        span *= 2
    return out
