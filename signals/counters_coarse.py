"""Counts and sums that need not be exact to the event: one entry for all events of a stretch of time.

With a resolution R the start of a window is rounded down to a multiple of R since 1970, so that at most
the events of one R are too many and none is too few. A window that ends before the present has its end
rounded up in the same way.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar

from quell.signals.counters_base import MOST, BaseStore, Key, each, size, surplus
from quell.signals.counters_entries import (
    Number,
    more_bits,
    quotient,
    rounded,
    scaled,
    whole_mean,
    whole_sum,
)
from quell.signals.memory import Memory


class Stretches:
    """What is held of one key: stretch b holds the times in ((b − 1) R, b R].

    `counts[i]` is how many events the stretches before the i-th and all that has been let go had; `sums`
    the same of the numbers, times 2 to the power `scale`. One more at the end stands for all.
    """

    __slots__ = ("counts", "newest", "scale", "stretches", "sums")

    def __init__(self, at: int, numbers: bool) -> None:
        self.newest = at
        self.stretches = array("q")
        self.counts = array("q", (0,))
        self.scale = 0
        self.sums: list[int] | None = [0] if numbers else None

    def open(self, stretch: int, low: int | None) -> None:
        """Make the stretch the newest; those up to `low` leave once they are a good part."""
        held = self.stretches
        if held and held[-1] == stretch:
            return
        if low is not None and held and held[len(held) >> 2] <= low:
            self.cut(bisect_right(held, low))
        held.append(stretch)
        self.counts.append(self.counts[-1])
        if self.sums is not None:
            self.sums.append(self.sums[-1])

    def cut(self, gone: int) -> None:
        """Let go of the oldest stretches."""
        del self.stretches[:gone], self.counts[:gone]
        if self.sums is not None:
            del self.sums[:gone]

    def add_number(self, value: Number) -> None:
        """Add a number to the newest stretch."""
        assert self.sums is not None
        more = more_bits(value, self.scale)
        if more:
            self.scale += more
            self.sums = [s << more for s in self.sums]
        self.sums[-1] += scaled(value, self.scale)
        self.counts[-1] += 1


Found = tuple[Stretches, int, int]
"""What is held of a key, and between which places a window lies."""

_NOTHING = Stretches(0, True)


class CoarseStore(BaseStore):
    """What counts and sums to a resolution in microseconds share."""

    __slots__ = ("resolution",)

    numbers: ClassVar[bool]

    def __init__(self, name: str, longest: int | None, memory: Memory, resolution: int) -> None:
        super().__init__(name, longest, memory, None if longest is None else longest + 2 * resolution)
        self.resolution = resolution

    def _open(self, key: Key, at: int) -> Stretches | None:
        """A key with the stretch of a time as its newest; None when there is no room for it."""
        held: Stretches | None = self._held.get(key)
        if held is None:
            if not self._enter(key, at):
                return None
            held = self._held[key] = Stretches(at, self.numbers)
        elif at < held.newest:
            self.late.append(self.name)
            at = held.newest
        held.newest = at
        low = None if self.longest is None else (at - self.longest) // self.resolution
        held.open(-(-at // self.resolution), low)
        if len(held.stretches) > MOST:
            few = surplus(len(held.stretches))
            self._cut(key, held.stretches[few - 1] * self.resolution)
            held.cut(few)
        if self._marks and self._reach is not None and key in self._marks:
            self._settled(key, at - self._reach)
        return held

    def _window(self, key: Key, at: int, within: int | None) -> Found | None:
        held: Stretches = self._held.get(key, _NOTHING)
        known = held is not _NOTHING
        low = None
        if within is not None:
            low = ((max(at, held.newest) if known else at) - within) // self.resolution
        if self._in_doubt(key, None if low is None else low * self.resolution):
            return None
        stretches = held.stretches
        return held, 0 if low is None else bisect_right(stretches, low), len(stretches)

    def _ago(self, key: Key, at: int, within: int | None, ago: int) -> Found | None:
        held: Stretches = self._held.get(key, _NOTHING)
        high = (max(at, held.newest) if held is not _NOTHING else at) - ago
        low = None if within is None else (high - within) // self.resolution
        if self._in_doubt(key, None if low is None else low * self.resolution):
            return None
        if self._unwatched(high if within is None else high - within):
            return None
        start = 0 if low is None else bisect_right(held.stretches, low)
        return held, start, bisect_right(held.stretches, -(-high // self.resolution))

    # ------------------------------------------------------------------------------------ for the base

    @property
    def shape(self) -> tuple[Any, ...]:
        """All that a store was made with but its name."""
        return *super().shape, self.resolution

    def _newest(self, held: Stretches) -> int:
        return held.newest

    def _size(self, key: Key, held: Stretches) -> tuple[int, int]:
        taken = sum(map(size, (held, held.stretches, held.counts)))
        if held.sums is not None:
            taken += size(held.sums) + len(held.sums) * size(held.sums[-1])
        return len(held.stretches), taken

    def _dumped(self, key: Key, held: Stretches) -> Any:
        sums = None if held.sums is None else [held.scale, [hex(s) for s in held.sums]]
        return [held.newest, list(held.stretches), list(held.counts), sums]

    def _loaded(self, key: Key, dumped: Any, marked: bool) -> Stretches:
        newest, stretches, counts, sums = dumped
        held = Stretches(newest, self.numbers)
        held.stretches, held.counts = array("q", stretches), array("q", counts)
        if sums is not None:
            held.scale, held.sums = sums[0], [int(s, 16) for s in sums[1]]
        return held


class CoarseCountStore(CoarseStore):
    """How many events, per key, to a resolution in microseconds."""

    __slots__ = ()

    kind = "coarse-count"
    numbers = False

    # ---------------------------------------------------------------------------------------- writing

    def add(self, key: Key, at: int) -> None:
        """Count one event under a key."""
        held = self._open(key, at)
        if held is not None:
            held.counts[-1] += 1

    def add_each(self, keys: Iterable[Key], at: int) -> None:
        """Count one event under several different keys."""
        for key in keys:
            self.add(key, at)

    # ---------------------------------------------------------------------------------------- reading

    def count(self, key: Key, at: int, within: int) -> int | None:
        """Events under the key in (at − within, at], the start rounded down."""
        return self._count(self._window(key, at, within))

    def total(self, key: Key) -> int | None:
        """Events under the key, ever."""
        return self._count(self._window(key, 0, None))

    def count_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """Events under the key in (at − ago − within, at − ago], the start rounded down and the end up;
        missing while that window was not yet watched whole."""
        return self._count(self._ago(key, at, within, ago))

    @staticmethod
    def _count(found: Found | None) -> int | None:
        return None if found is None else found[0].counts[found[2]] - found[0].counts[found[1]]


class CoarseNumberStore(CoarseStore):
    """Sums and means, per key, to a resolution in microseconds."""

    __slots__ = ("_added",)

    kind = "coarse-number"
    numbers = True

    def __init__(self, name: str, longest: int | None, memory: Memory, resolution: int) -> None:
        super().__init__(name, longest, memory, resolution)
        self._added: Sequence[Number] = ()

    # ---------------------------------------------------------------------------------------- writing

    def add(self, key: Key, value: Any, at: int) -> None:
        """Count the number of one event under a key, or each different one of a list."""
        self.add_each((key,), value, at)

    def add_each(self, keys: Collection[Key], value: Any, at: int) -> None:
        """The same under several different keys."""
        told = each(value)
        self._added = self._fitting(keys, told)
        if not self._added:
            return
        for key in keys:
            held = self._open(key, at)
            if held is not None:
                for number in self._added:
                    held.add_number(number)
        if len(self._added) < len(told):
            self._cut_short(keys)

    # ---------------------------------------------------------------------------------------- reading

    def sum(self, key: Key, at: int, within: int | None, skip: bool) -> Number | None:
        """The sum of the numbers in (at − within, at], the start rounded down; with `skip` without the
        present event's."""
        found = self._window(key, at, within)
        return None if found is None else self._sum(found, skip)

    def mean(self, key: Key, at: int, within: int | None, skip: bool) -> Number | None:
        """Their mean; missing when there are none."""
        found = self._window(key, at, within)
        return None if found is None else self._mean(found, skip)

    def sum_ago(self, key: Key, at: int, within: int | None, ago: int) -> Number | None:
        """The sum in (at − ago − within, at − ago], the start rounded down and the end up; missing while
        that window was not yet watched whole."""
        found = self._ago(key, at, within, ago)
        return None if found is None else self._sum(found, False)

    def mean_ago(self, key: Key, at: int, within: int | None, ago: int) -> Number | None:
        """The mean in such a window."""
        found = self._ago(key, at, within, ago)
        return None if found is None else self._mean(found, False)

    def sum_whole(self, key: Key, at: int, within: int | None, skip: bool) -> int | None:
        """The sum of durations, in whole microseconds."""
        found = self._window(key, at, within)
        return None if found is None else whole_sum(self._of(found, skip)[1], found[0].scale)

    def mean_whole(self, key: Key, at: int, within: int | None, skip: bool) -> int | None:
        """The mean of durations, to the nearest microsecond, halves to even."""
        found = self._window(key, at, within)
        return None if found is None else self._mean_whole(found, skip)

    def sum_whole_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """The sum of durations in a window that ends before the present."""
        found = self._ago(key, at, within, ago)
        return None if found is None else whole_sum(self._of(found, False)[1], found[0].scale)

    def mean_whole_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """The mean of durations in a window that ends before the present."""
        found = self._ago(key, at, within, ago)
        return None if found is None else self._mean_whole(found, False)

    def _sum(self, found: Found, skip: bool) -> Number | None:
        return rounded(self._of(found, skip)[1], found[0].scale)

    def _mean(self, found: Found, skip: bool) -> Number | None:
        number, total = self._of(found, skip)
        return quotient(total, number << found[0].scale) if number else None

    def _mean_whole(self, found: Found, skip: bool) -> int | None:
        number, total = self._of(found, skip)
        return whole_mean(total, found[0].scale, number)

    def _of(self, found: Found, skip: bool) -> tuple[int, int]:
        """How many numbers there are in a window, and their sum times 2 to the power of the key's scale."""
        held, low, high = found
        assert held.sums is not None
        number, total = held.counts[high] - held.counts[low], held.sums[high] - held.sums[low]
        if skip:
            number -= len(self._added)
            total -= sum(scaled(v, held.scale) for v in self._added)
        return number, total
