"""What each word of the counters gives on stretches of columns, as the stores say it of one key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from quell.engine.counter_words import word_of
from quell.engine.graph import Node
from quell.engine.lowered import Store
from quell.replay.counters_columns import Entries, Rows, encoded, rounded_to
from quell.replay.counters_sums import Array, Sums, TooWide, extreme
from quell.signals.counters_base import MOST

SAFE = MOST // 2
"""No store lets go of what it should hold as long as no window has more entries."""
_NUMBERS = frozenset(("count", "distinct", "sum", "sum_whole", "mean", "mean_whole", "stddev", "min", "max"))
_BEST = frozenset(("min", "max"))
_TIMES = frozenset(("first", "last", "first_at", "last_at", "since_last"))

Value = tuple[Array, Array]
"""Readings, and which of them there are."""


def in_columns(node: Node) -> bool:
    """Whether a node can be read from columns."""
    return node.data[1] in _NUMBERS or node.data[1] in _TIMES


class Windows:
    """The entries of a store with what its readings share."""

    def __init__(self, spec: Store, entries: Entries, began: int | None) -> None:
        self.entries, self.began = entries, began
        self.resolution = spec.resolution or 0
        self.extent, most = self._extents(spec)
        if most > SAFE:
            raise TooWide(f"more than {SAFE:,} events in the window of one key")
        self._sums: Sums | None = None
        self._numbers: Array | None = None
        self._neighbours: tuple[Array, Array] | None = None
        self._distinct: dict[int | None, tuple[Array, Array]] = {}

    def _extents(self, spec: Store) -> tuple[int, int]:
        """How many entries a reading sees of one key at most, and how many of them a store holds one by one;
        or no fewer than that."""
        held = self.entries
        if not len(held.code):
            return 0, 0
        first = np.flatnonzero(np.diff(held.code, prepend=-1))
        most = int(np.diff(first, append=len(held.code)).max())
        if most <= SAFE:
            return most, most
        span = spec.longest
        if span is None and (spec.kind == "count" or (spec.kind == "number" and not spec.words & _BEST)):
            span = spec.recent  # what is older stays in a sum
        if span is None:
            return most, most
        low = held.at - span - 2 * self.resolution
        seen = int((np.arange(1, len(held.code) + 1) - held.after(held.code, low)).max())
        return most, seen

    # ------------------------------------------------------------- what is counted, as numbers

    def numbers(self) -> Array:
        """The values as numbers, in the order of the entries."""
        if self._numbers is None:
            values = self.entries.values.fill_null(0).to_numpy()[self.entries.origin]
            self._numbers = values + 0.0 if values.dtype.kind == "f" else values  # there is one zero
        return self._numbers

    def sums(self) -> Sums:
        """The running sums of the values."""
        if self._sums is None:
            self._sums = Sums(self.numbers(), self.extent)
        return self._sums

    def neighbours(self) -> tuple[Array, Array]:
        """How long before each entry its value was last counted under its key, and how long after it will
        be; -1 for never."""
        if self._neighbours is None:
            held = self.entries
            value, size = encoded(held.values)
            value = value[held.origin]
            keyed = held.code * size + value  # both are below 2^31
            order = np.argsort(keyed, kind="stable")
            gap = np.diff(held.at[order])
            gap[np.diff(keyed[order]) != 0] = -1
            back, ahead = np.full(len(order), -1), np.full(len(order), -1)
            back[order[1:]], ahead[order[:-1]] = gap, gap
            self._neighbours = back, ahead
        return self._neighbours

    def different(self, within: int | None) -> tuple[Array, Array]:
        """Running numbers of the entries whose value was not in the window before them, and of those whose
        value is counted no more before they leave it. Sightings of a value that are closer than the
        window make a chain: each chain has one of either, and is in a window that its beginning came before
        and its end did not leave."""
        if within not in self._distinct:
            made = []
            for gap in self.neighbours():
                alone = gap < 0 if within is None else (gap < 0) | (gap >= within)
                made.append(np.concatenate(([0], np.cumsum(alone))))
            self._distinct[within] = made[0], made[1]
        return self._distinct[within]


class Reader:
    """The readings of one query's rows, in their order. `upto` and `own` may be given: how many entries
    stand before those that came after each row, and how many of those before the row itself counted."""

    def __init__(
        self, windows: Windows, rows: Rows, upto: Array | None = None, own: Array | None = None
    ) -> None:
        self.windows, self.entries, self.rows = windows, windows.entries, rows
        self.upto = self.entries.upto(rows.code, rows.n) if upto is None else upto
        self.own = self.upto - self.entries.before(rows.code, rows.n) if own is None else own
        self._first: Array | None = None
        self._at: Array | None = None
        self._after: dict[int, Array] = {}

    def value(self, node: Node) -> Any:
        """The readings of a node, as an Arrow array."""
        _, word, within, last = node.data
        if node.op == "reaches":
            return self._reaches(word, within, last)
        start, end, known = self._stretch(word, within, last)
        if word in ("first", "last"):
            return self._valued(word == "last", start, end, known)
        values, there = self._reading(word, within, start, end)
        return pa.array(values, mask=~(there & known))

    def _reaches(self, word: str, within: int | None, threshold: float) -> Any:
        start, end, _ = self._stretch(word, within, 0)
        (now, told), (before, known) = (self._reading(word, within, start, e) for e in (end, end - self.own))
        out = (self.own > 0) & (now >= threshold) & (before < threshold)
        return pa.array(out, mask=~((told & known) | (self.own == 0)))

    # --------------------------------------------------------------------------- where windows lie

    @property
    def first(self) -> Array:
        """Where the entries of each row's key begin."""
        if self._first is None:
            self._first = self.entries.first(self.rows.code)
        return self._first

    @property
    def at(self) -> Array:
        """The time from which each row looks back."""
        if self._at is None:
            at = self.rows.now
            if not self.entries.in_order and len(self.entries.at):
                newest = self.entries.at[np.maximum(self.upto - 1, 0)]
                at = np.where(self.upto > self.first, np.maximum(at, newest), at)
            self._at = at
        return self._at

    def _since(self, back: int) -> Array:
        """Where the entries begin that count as of later than so long ago."""
        if back not in self._after:
            self._after[back] = self._later(back, self.windows.resolution)
        return self._after[back]

    def _later(self, back: int, resolution: int) -> Array:
        """The same, times rounded to the resolution: a negative one rounds up."""
        held, rows = self.entries, self.rows
        if held.in_order:
            found = held.back(rows, back, resolution)
        else:
            found = held.after(rows.code, rounded_to(self.at - back, resolution))
        return np.minimum(found, self.upto)

    def _stretch(self, word: str, within: int | None, before: Any) -> tuple[Array, Array, Array]:
        """The stretch that a reading sees, and whether it was watched whole."""
        ago = before if isinstance(before, int) else 0
        start = self.first if within is None else self._since(within + ago)
        known = np.ones(len(start), bool)
        if ago:
            end, began = self._later(ago, -self.windows.resolution), self.windows.began
            known[:] = began is not None and self.at - ago - (within or 0) >= began
            return start, end, known
        past = before == "this" or word_of(word).past
        return start, self.upto - self.own if past else self.upto, known

    # ------------------------------------------------------------------------------------- words

    def _valued(self, last: bool, start: Array, end: Array, known: Array) -> Any:
        place = np.where(known & (start < end), end - 1 if last else start, -1)
        origin = np.zeros(len(place), np.int64)
        origin[place >= 0] = self.entries.origin[place[place >= 0]]
        return self.entries.values.take(pa.array(origin, mask=place < 0))

    def _reading(self, word: str, within: int | None, start: Array, end: Array) -> Value:
        some = end > start
        start = np.minimum(start, end)
        if word in _TIMES:
            return self._time(word, start, end), some
        if word == "distinct":
            self._be_sure()
        return _WORDS[word](self.windows, within, start, end, some)

    def _be_sure(self) -> None:
        """Refuse rows that look from a later time than what is counted under their key after them: then a
        chain of sightings may go on that is over for them."""
        held = self.entries
        if held.in_order or not len(held.code):
            return
        follows = np.minimum(self.upto, len(held.code) - 1)
        same = (self.upto < len(held.code)) & (held.code[follows] == self.rows.code)
        if (same & (held.at[follows] < self.at)).any():
            raise TooWide("events come late, after readings that look from a later time")

    def _time(self, word: str, start: Array, end: Array) -> Array:
        at = self.entries.at
        if not len(at):
            return np.zeros(len(start), np.int64)
        found = at[np.minimum(start, len(at) - 1) if word == "first_at" else np.maximum(end - 1, 0)]
        return self.at - found if word == "since_last" else found


def _count(of: Windows, within: int | None, start: Array, end: Array, some: Array) -> Value:
    return end - start, np.ones(len(some), bool)


def _distinct(of: Windows, within: int | None, start: Array, end: Array, some: Array) -> Value:
    begun, over = of.different(within)
    return begun[end] - over[start], np.ones(len(some), bool)


def _sum(of: Windows, within: int | None, start: Array, end: Array, some: Array) -> Value:
    return of.sums().sum(start, end), np.ones(len(some), bool)


def _sum_whole(of: Windows, within: int | None, start: Array, end: Array, some: Array) -> Value:
    return of.sums().sum_whole(start, end)


def _mean(of: Windows, within: int | None, start: Array, end: Array, some: Array) -> Value:
    return of.sums().mean(start, end), some


def _stddev(of: Windows, within: int | None, start: Array, end: Array, some: Array) -> Value:
    return of.sums().stddev(of.numbers(), start, end), end - start > 1


def _mean_whole(of: Windows, within: int | None, start: Array, end: Array, some: Array) -> Value:
    return of.sums().mean_whole(start, end), some


def _min(of: Windows, within: int | None, start: Array, end: Array, some: Array) -> Value:
    return extreme(of.numbers(), start, end, False), some


def _max(of: Windows, within: int | None, start: Array, end: Array, some: Array) -> Value:
    return extreme(of.numbers(), start, end, True), some


_WORDS: dict[str, Callable[[Windows, int | None, Array, Array, Array], Value]] = {
    "count": _count,
    "distinct": _distinct,
    "sum": _sum,
    "sum_whole": _sum_whole,
    "mean": _mean,
    "mean_whole": _mean_whole,
    "stddev": _stddev,
    "min": _min,
    "max": _max,
}
