"""Counts over time in a bounded memory: a ring of seconds and a ring of minutes for each series."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from quell.engine.live_types import Line

SECONDS = 600
"""Seconds that are kept one by one."""
MINUTES = 1_440
"""Minutes that are kept one by one."""
MOST_SERIES = 10_000
"""Series of one kind; beyond them those go that were counted longest ago. Each takes about 8 kB."""


class Ring:
    """Counts of the last `size` slots of time. Slots are numbered by time, and are emptied when a later one
    takes their place."""

    __slots__ = ("_counts", "newest", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.newest = 0
        self._counts = array("I", bytes(4 * size))

    def add(self, slot: int, count: int) -> None:
        """Count in a slot; what is older than the ring reaches is forgotten at once."""
        if slot > self.newest:
            self._forward(slot)
        elif slot <= self.newest - self.size:
            return
        self._counts[slot % self.size] += count

    def _forward(self, slot: int) -> None:
        if slot - self.newest >= self.size:
            self._counts = array("I", bytes(4 * self.size))
        else:
            for gone in range(self.newest + 1, slot + 1):
                self._counts[gone % self.size] = 0
        self.newest = slot

    def counts(self, first: int, last: int) -> list[int]:
        """The counts of the slots from `first` to `last`, both among them."""
        reach, size = self.newest - self.size, self.size
        return [
            self._counts[slot % size] if reach < slot <= self.newest else 0 for slot in range(first, last + 1)
        ]

    def line(self, first: int, last: int) -> Line | None:
        """The same with the zeros at both ends left out; None where nothing else is there."""
        first, last = max(first, self.newest - self.size + 1), min(last, self.newest)
        counts = self.counts(first, last)
        filled = [i for i, count in enumerate(counts) if count]
        return Line(first + filled[0], counts[filled[0] : filled[-1] + 1]) if filled else None

    def sum(self, first: int, last: int) -> int:
        """How much was counted in the slots from `first` to `last`."""
        first, last = max(first, self.newest - self.size + 1), min(last, self.newest)
        return sum(self.counts(first, last))


class Series:
    """What was counted under one name: by second, by minute, and in all; `last` is the second of the newest
    count."""

    __slots__ = ("last", "minutes", "seconds", "total")

    def __init__(self) -> None:
        self.seconds, self.minutes = Ring(SECONDS), Ring(MINUTES)
        self.total = 0
        self.last = 0

    def add(self, second: int, count: int) -> None:
        """Count in a second."""
        self.seconds.add(second, count)
        self.minutes.add(second // 60, count)
        self.total += count
        self.last = max(self.last, second)

    def empty(self) -> None:
        """Forget when things were counted, not how many there were in all."""
        self.seconds, self.minutes = Ring(SECONDS), Ring(MINUTES)


class Table:
    """Series by name."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}

    def add(self, second: int, counts: Mapping[str, int]) -> None:
        """Count in a second under several names."""
        for name, count in counts.items():
            known = self.series.get(name)
            if known is None:
                known = self._make(name)
            known.add(second, count)

    def _make(self, name: str) -> Series:
        if len(self.series) >= MOST_SERIES:
            by_age = sorted(self.series, key=lambda n: self.series[n].last)
            for gone in by_age[: MOST_SERIES // 10]:
                del self.series[gone]
        made = self.series[name] = Series()
        return made

    def lines(self, ring: str, first: int, last: int) -> dict[str, Line]:
        """By name what was counted in slots of the ring `seconds` or `minutes`, where anything was."""
        found = ((name, getattr(s, ring).line(first, last)) for name, s in self.series.items())
        return {name: line for name, line in found if line is not None}

    def totals(self) -> dict[str, int]:
        """By name what was counted in all."""
        return {name: series.total for name, series in self.series.items()}

    def empty(self) -> None:
        """Forget when things were counted."""
        for series in self.series.values():
            series.empty()
