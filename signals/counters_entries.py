"""What is held of the numbers of one key, and what can be said of any stretch of them.

Sums are kept as whole numbers: a double is a whole number over a power of two, so every value of a key is
scaled by the greatest power that any of them needed. What the sum of the first n entries is stands beside
the n-th, so any stretch is one subtraction, and is rounded once, when it is read. The order of the events
cannot change it.

The least (greatest) of a window that ends now is one of a few candidates: those that no later value is
below (above). They stand in order, so any window finds its own by one search.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from quell.signals.counters_base import size, surplus

Number = int | float
EXACT = 2**53
"""Whole numbers up to here are given as such."""
LONGEST = 4_000_000_000_000_000_000
"""The longest duration, in microseconds; a sum beyond it is missing."""


class Candidates:
    """The values that can be the greatest of a window that ends now: oldest and greatest first."""

    __slots__ = ("gone", "keep", "times", "values")

    def __init__(self) -> None:
        self.times = array("q")
        self.values: list[Number] = []
        self.keep = 0
        self.gone: tuple[list[int], list[Number]] = ([], [])

    def add(self, value: Number, at: int, low: int | None) -> None:
        """Take in a value; what is not after `low` leaves once that is a good part. What the value
        replaced is remembered until the next, so that the time before it can still be asked for."""
        times, values = self.times, self.values
        if low is not None and times and times[len(times) >> 2] <= low:
            self.cut(bisect_right(times, low))
        keep = len(values)
        while keep and values[keep - 1] <= value:
            keep -= 1
        self.keep = keep
        self.gone = list(times[keep:]), values[keep:]
        del times[keep:], values[keep:]
        times.append(at)
        values.append(value)

    def cut(self, gone: int) -> None:
        """Let go of the oldest."""
        del self.times[:gone], self.values[:gone]
        self.keep = max(0, self.keep - gone)

    def best(self, low: int | None, skip: bool) -> Number | None:
        """The greatest value after `low` (None: of all); with `skip` as it was before the newest."""
        times, values = self.times, self.values
        if not skip:
            place = 0 if low is None else bisect_right(times, low)
            return values[place] if place < len(values) else None
        place = 0 if low is None else bisect_right(times, low, 0, self.keep)
        if place < self.keep:
            return values[place]
        times_gone, values_gone = self.gone
        place = 0 if low is None else bisect_right(times_gone, low)
        return values_gone[place] if place < len(values_gone) else None


class Entries:
    """What is held of one key: its times, oldest first, and what its readings need.

    `sums[i]` is the sum of the first i values, and of what has been let go, times 2 to the power `scale`;
    `squares[i]` that of their squares, times 2 to twice that power.
    """

    __slots__ = ("gone", "greatest", "least", "newest", "scale", "squares", "sums", "times", "values")

    def __init__(self, needs: Collection[str], at: int) -> None:
        self.newest = at
        self.gone = 0
        self.times = array("q")
        self.scale = 0
        self.sums: list[int] | None = [0] if "sum" in needs or "squares" in needs else None
        self.squares: list[int] | None = [0] if "squares" in needs else None
        self.values: list[Number] | None = [] if "values" in needs else None
        self.least = Candidates() if "min" in needs else None
        self.greatest = Candidates() if "max" in needs else None

    def add(self, values: Sequence[Number], at: int, low: int | None, recent: int | None) -> None:
        """Take in the values of one event; what is not after `low` may leave, and what is not after `recent`
        may stay in the sums only."""
        self.newest = at
        if self.greatest is not None:
            self.greatest.add(max(values), at, low)
        if self.least is not None:
            self.least.add(-min(values), at, low)
        times = self.times
        if recent is not None and times and times[len(times) >> 2] <= recent:
            self.cut(bisect_right(times, recent))
        for value in values:
            self._append(value, at)

    def _append(self, value: Number, at: int) -> None:
        if self.sums is None and self.values is None:
            return
        self.times.append(at)
        if self.values is not None:
            self.values.append(value)
        if self.sums is not None:
            self._sum(value)

    def _sum(self, value: Number) -> None:
        assert self.sums is not None
        more = more_bits(value, self.scale)
        if more:
            self.scale += more
            self.sums = [s << more for s in self.sums]
            if self.squares is not None:
                self.squares = [s << 2 * more for s in self.squares]
        whole = scaled(value, self.scale)
        self.sums.append(self.sums[-1] + whole)
        if self.squares is not None:
            self.squares.append(self.squares[-1] + whole * whole)

    def cut(self, gone: int) -> None:
        """Let go of the oldest entries. They stay in the sums."""
        self.gone += gone
        del self.times[:gone]
        for held in (self.sums, self.squares, self.values):
            if held is not None:
                del held[:gone]

    def number(self) -> int:
        """How many entries are held of the kind that there are most of."""
        number = len(self.times)
        if self.least is not None:
            number = max(number, len(self.least.times))
        return number if self.greatest is None else max(number, len(self.greatest.times))

    def crop(self) -> int:
        """Let go of the oldest where there are too many; gives the newest time of what has gone."""
        newest, most = 0, self.number()
        for held in (self.times, *(c.times for c in (self.least, self.greatest) if c is not None)):
            if len(held) == most:
                newest = max(newest, held[surplus(most) - 1])
        if len(self.times) == most:
            self.cut(surplus(most))
        for candidates in (self.least, self.greatest):
            if candidates is not None and len(candidates.times) == most:
                candidates.cut(surplus(most))
        return newest

    def each_value(self) -> list[Number]:
        """The values, oldest first."""
        if self.values is not None:
            return self.values
        if self.sums is None:
            return []
        sums, scale = self.sums, self.scale
        return [rounded(b - a, scale) or 0 for a, b in pairwise(sums)]

    # ------------------------------------------------------------------------------------ of a stretch

    def held(self, low: int, high: int) -> list[Number]:
        """The values from place `low` to before `high`."""
        assert self.values is not None
        return self.values[low:high]

    def sum(self, low: int, high: int) -> Number | None:
        """The sum of the values from place `low` to before `high`. What was let go stands before place 0."""
        return rounded(_between(self.sums, low, high), self.scale) if low < high else 0

    def mean(self, low: int, high: int) -> Number | None:
        """Their mean."""
        if low >= high:
            return None
        return quotient(_between(self.sums, low, high), (high - low) << self.scale)

    def sum_whole(self, low: int, high: int) -> int | None:
        """The sum of values that are whole, as a whole number."""
        return whole_sum(_between(self.sums, low, high), self.scale)

    def mean_whole(self, low: int, high: int) -> int | None:
        """The mean of values that are whole, to the nearest whole number, halves to even."""
        return whole_mean(_between(self.sums, low, high), self.scale, high - low)

    def stddev(self, low: int, high: int) -> float | None:
        """Their sample standard deviation."""
        number = high - low
        if number < 2:
            return None
        total, squares = _between(self.sums, low, high), _between(self.squares, low, high)
        variance = quotient(number * squares - total * total, number * (number - 1) << 2 * self.scale)
        return None if variance is None else math.sqrt(variance)

    # --------------------------------------------------------------------------------------- snapshots

    def sizes(self) -> tuple[int, int]:
        """How many entries are held, and about how many bytes they take."""
        taken = size(self) + size(self.times)
        for held in (self.sums, self.squares, self.values):
            if held is not None:
                taken += size(held) + len(held) * (size(held[-1]) if held else 0)
        number = len(self.times)
        for candidates in (self.least, self.greatest):
            if candidates is not None:
                values = candidates.values
                taken += size(candidates.times) + size(values) + 24 * len(values)
                number = max(number, len(values))
        return number, taken

    def dumped(self) -> Any:
        """All of it, in lists and numbers."""
        best = [None if c is None else [list(c.times), c.values] for c in (self.least, self.greatest)]
        base = None
        if self.gone and self.sums is not None:
            squares = None if self.squares is None else hex(self.squares[0])
            base = [self.gone, self.scale, hex(self.sums[0]), squares]
        return [self.newest, list(self.times), self.each_value(), *best, base]

    def load(self, dumped: Any) -> None:
        """Take over what `dumped` gave, as far as there is need of it."""
        newest, times, values, least, greatest, base = dumped
        if base is not None and self.sums is not None:
            self.gone, self.scale, self.sums = base[0], base[1], [int(base[2], 16)]
            if self.squares is not None:
                self.squares = [int(base[3], 16)]
        for mine, theirs in ((self.least, least), (self.greatest, greatest)):
            if mine is not None and theirs is not None:
                mine.times.extend(theirs[0])
                mine.values.extend(theirs[1])
        for at, value in zip(times, values, strict=True):
            if self.least is not None and least is None:
                self.least.add(-value, at, None)
            if self.greatest is not None and greatest is None:
                self.greatest.add(value, at, None)
            self._append(value, at)
        self.newest = newest


def _between(sums: list[int] | None, low: int, high: int) -> int:
    assert sums is not None
    return sums[high] - (sums[low] if low >= 0 else 0)


def more_bits(value: Number, scale: int) -> int:
    """How many more bits after the point a number needs than `scale`, in steps so that it is rare."""
    bits = value.as_integer_ratio()[1].bit_length() - 1
    return -(-bits // 16) * 16 - scale if bits > scale else 0


def scaled(value: Number, scale: int) -> int:
    """A number times 2 to the power `scale`, which must be enough."""
    top, bottom = value.as_integer_ratio()
    return top << (scale - bottom.bit_length() + 1)


def rounded(total: int, scale: int) -> Number | None:
    """A whole number over 2 to the power `scale`, rounded once; None beyond the largest double."""
    try:
        if scale:
            if total & ((1 << scale) - 1):
                return total / (1 << scale)
            total >>= scale
        return total if -EXACT <= total <= EXACT else float(total)
    except OverflowError:
        return None


def quotient(top: int, bottom: int) -> Number | None:
    """A fraction, rounded once."""
    try:
        out = top / bottom
    except OverflowError:
        return None
    return int(out) if out.is_integer() and -EXACT <= out <= EXACT else out


def whole_sum(total: int, scale: int) -> int | None:
    """A sum of whole numbers, times 2 to the power `scale`, as a whole number; None past the longest
    duration."""
    out = total >> scale
    return out if -LONGEST <= out <= LONGEST else None


def whole_mean(total: int, scale: int, number: int) -> int | None:
    """The mean of so many whole numbers, to the nearest whole number, halves to even; None of none."""
    if number <= 0:
        return None
    out, rest = divmod(total >> scale, number)
    return out + (2 * rest > number or (2 * rest == number and out & 1))
