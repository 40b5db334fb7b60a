"""Exact sums, means, deviations, least and greatest of a number, per key."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from quell.signals.counters_base import MOST, BaseStore, Key, each
from quell.signals.counters_entries import Entries, Number
from quell.signals.memory import Memory

Stretch = tuple[Entries, int, int]
"""A key's entries, and between which places a window lies."""

_NOTHING = Entries(("sum", "squares", "values"), 0)


class NumberStore(BaseStore):
    """Numbers, per key. `needs` says what is read of them: `sum` (a mean is one too), `squares`, `min`,
    `max`; `log` that some reading ends before the present; `recent` how far back others than those for ever
    look, so that older numbers need only stay in the sums."""

    __slots__ = ("_added", "_needs", "holds", "log", "wants")

    kind = "number"

    def __init__(
        self,
        name: str,
        longest: int | None,
        memory: Memory,
        needs: Iterable[str] = ("sum", "squares", "min", "max"),
        log: bool = False,
        recent: int | None = None,
    ) -> None:
        super().__init__(name, longest, memory, longest)
        self.log = log
        wanted = set(needs)
        self._needs = frozenset(wanted | {"values"} if log and wanted & {"min", "max"} else wanted)
        best = self._needs & {"min", "max"}
        whole = bool(self._needs - best)
        if longest is None and "values" not in self._needs:
            self.recent = recent
        self.wants = self._needs & {"min", "max", "squares"} | ({"entries"} if whole else set())
        self.holds = self.wants | ({"entries", "min", "max"} if whole else set())
        if self.recent is None and whole:
            self.holds |= {"squares"}
        self._added = 0

    # ---------------------------------------------------------------------------------------- writing

    def add(self, key: Key, value: Any, at: int) -> None:
        """Count the number of one event under a key, or each different one of a list."""
        self.add_each((key,), value, at)

    def add_each(self, keys: Collection[Key], value: Any, at: int) -> None:
        """The same under several different keys."""
        told: Sequence[Any] = (value,)
        fitting = told
        if value.__class__ is list:
            told = each(value)
            fitting = self._fitting(keys, told)
        values = [v if v else 0 for v in fitting]  # there is one zero
        self._added = len(values)
        if values:
            for key in keys:
                self._add(key, values, at)
        if len(values) < len(told):
            self._cut_short(keys)

    def _add(self, key: Key, values: Sequence[Number], at: int) -> None:
        entries = self._held.get(key)
        if entries is None:
            if not self._enter(key, at):
                return
            entries = self._held[key] = Entries(self._needs, at)
        elif at < entries.newest:
            self.late.append(self.name)
            at = entries.newest
        low = None if self.longest is None else at - self.longest
        entries.add(values, at, low, low if self.recent is None else at - self.recent)
        if entries.number() > MOST:
            self._cut(key, entries.crop())
        if self._marks and low is not None and key in self._marks:
            self._settled(key, low)

    # ---------------------------------------------------------------------------------------- reading

    def sum(self, key: Key, at: int, within: int | None, skip: bool) -> Number | None:
        """The sum of the numbers in (at − within, at]; with `skip` without the present event's."""
        found = self._window(key, at, within, skip)
        return None if found is None else found[0].sum(found[1], found[2])

    def mean(self, key: Key, at: int, within: int | None, skip: bool) -> Number | None:
        """Their mean; missing when there are none."""
        found = self._window(key, at, within, skip)
        return None if found is None else found[0].mean(found[1], found[2])

    def sum_whole(self, key: Key, at: int, within: int | None, skip: bool) -> int | None:
        """The sum of durations, in whole microseconds."""
        found = self._window(key, at, within, skip)
        return None if found is None else found[0].sum_whole(found[1], found[2])

    def mean_whole(self, key: Key, at: int, within: int | None, skip: bool) -> int | None:
        """The mean of durations, to the nearest microsecond, halves to even."""
        found = self._window(key, at, within, skip)
        return None if found is None else found[0].mean_whole(found[1], found[2])

    def stddev(self, key: Key, at: int, within: int | None, skip: bool) -> float | None:
        """Their sample standard deviation; missing below two."""
        found = self._window(key, at, within, skip)
        return None if found is None else found[0].stddev(found[1], found[2])

    def min(self, key: Key, at: int, within: int | None, skip: bool) -> Number | None:
        """The least of them; missing when there are none."""
        entries = self._held.get(key)
        low = self._low(entries, at, within)
        if self._in_doubt(key, low) or entries is None:
            return None
        assert entries.least is not None
        found: Number | None = entries.least.best(low, skip)
        return None if found is None else -found

    def max(self, key: Key, at: int, within: int | None, skip: bool) -> Number | None:
        """The greatest of them; missing when there are none."""
        entries = self._held.get(key)
        low = self._low(entries, at, within)
        if self._in_doubt(key, low) or entries is None:
            return None
        assert entries.greatest is not None
        found: Number | None = entries.greatest.best(low, skip)
        return found

    def sum_ago(self, key: Key, at: int, within: int | None, ago: int) -> Number | None:
        """The sum in (at − ago − within, at − ago]; missing while that window was not yet watched whole.
        The same holds for the other readings that end before the present."""
        found = self._ago(key, at, within, ago)
        return None if found is None else found[0].sum(found[1], found[2])

    def mean_ago(self, key: Key, at: int, within: int | None, ago: int) -> Number | None:
        """The mean in a window that ends before the present."""
        found = self._ago(key, at, within, ago)
        return None if found is None else found[0].mean(found[1], found[2])

    def sum_whole_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """The sum of durations in a window that ends before the present."""
        found = self._ago(key, at, within, ago)
        return None if found is None else found[0].sum_whole(found[1], found[2])

    def mean_whole_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """The mean of durations in a window that ends before the present."""
        found = self._ago(key, at, within, ago)
        return None if found is None else found[0].mean_whole(found[1], found[2])

    def stddev_ago(self, key: Key, at: int, within: int | None, ago: int) -> float | None:
        """The sample standard deviation in a window that ends before the present."""
        found = self._ago(key, at, within, ago)
        return None if found is None else found[0].stddev(found[1], found[2])

    def min_ago(self, key: Key, at: int, within: int | None, ago: int) -> Number | None:
        """The least in a window that ends before the present."""
        found = self._ago(key, at, within, ago)
        return None if found is None else min(found[0].held(found[1], found[2]), default=None)

    def max_ago(self, key: Key, at: int, within: int | None, ago: int) -> Number | None:
        """The greatest in a window that ends before the present."""
        found = self._ago(key, at, within, ago)
        return None if found is None else max(found[0].held(found[1], found[2]), default=None)

    def _low(self, entries: Entries | None, at: int, within: int | None) -> int | None:
        if within is None:
            return None
        return (at if entries is None or at > entries.newest else entries.newest) - within

    def _window(self, key: Key, at: int, within: int | None, skip: bool) -> Stretch | None:
        entries = self._held.get(key)
        low = self._low(entries, at, within)
        if self._in_doubt(key, low):
            return None
        if entries is None:
            return _NOTHING, 0, 0
        high = len(entries.times) - (self._added if skip else 0)
        return entries, -entries.gone if low is None else bisect_right(entries.times, low), high

    def _ago(self, key: Key, at: int, within: int | None, ago: int) -> Stretch | None:
        entries = self._held.get(key)
        high = (at if entries is None else max(at, entries.newest)) - ago
        low = None if within is None else high - within
        if self._in_doubt(key, low) or self._unwatched(high if low is None else low):
            return None
        if entries is None:
            return _NOTHING, 0, 0
        times = entries.times
        start = -entries.gone if low is None else bisect_right(times, low)
        return entries, start, bisect_right(times, high)

    # ------------------------------------------------------------------------------------ for the base

    @property
    def shape(self) -> tuple[Any, ...]:
        """All that a store was made with but its name."""
        return *super().shape, self._needs, self.log

    def _newest(self, held: Any) -> int:
        newest: int = held.newest
        return newest

    def _size(self, key: Key, held: Entries) -> tuple[int, int]:
        return held.sizes()

    def _dumped(self, key: Key, held: Entries) -> Any:
        return held.dumped()

    def _loaded(self, key: Key, dumped: Any, marked: bool) -> Entries:
        entries = Entries(self._needs, dumped[0])
        entries.load(dumped)
        return entries
