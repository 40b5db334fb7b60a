"""Counts over time in a bounded memory: a ring of seconds and a ring of minutes for each series."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

import msgspec

from quell.engine.live_types import Line

SECONDS = 600
"""Seconds that are kept one by one."""
MINUTES = 1_440
"""Minutes that are kept one by one."""
MOST_SERIES = 10_000
"""Series of one kind; beyond them those go that were counted longest ago. Each takes about 8 kB."""


_EVER = 1 << 62


class Counted(msgspec.Struct, frozen=True, array_like=True):
    """A series as it is handed on: how much in all, the second of the newest count, and the counts by second
    and by minute, where any are that near."""

    total: int
    last: int
    seconds: Line | None
    minutes: Line | None


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

    def _between(self, first: int, last: int) -> array[int]:
        """The counts of slots that the ring holds, in order."""
        begin, end = first % self.size, last % self.size + 1
        return self._counts[begin:end] if begin < end else self._counts[begin:] + self._counts[:end]

    def line(self, first: int, last: int) -> Line | None:
        """The counts of the slots from `first` to `last`, both among them, the zeros at both ends left out;
        None where nothing else is there."""
        first, last = max(first, self.newest - self.size + 1), min(last, self.newest)
        if first > last:
            return None
        counts = self._between(first, last)
        raw = counts.tobytes()
        begin = (len(raw) - len(raw.lstrip(b"\0"))) // counts.itemsize
        if begin == len(counts):
            return None
        end = -(-len(raw.rstrip(b"\0")) // counts.itemsize)
        return Line(first + begin, counts[begin:end].tolist())

    def sum(self, first: int, last: int) -> int:
        """How much was counted in the slots from `first` to `last`, both among them."""
        first, last = max(first, self.newest - self.size + 1), min(last, self.newest)
        return sum(self._between(first, last)) if first <= last else 0


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

    def told(self) -> Counted:
        """The series, for one elsewhere."""
        seconds, minutes = (ring.line(0, _EVER) for ring in (self.seconds, self.minutes))
        return Counted(self.total, self.last, seconds, minutes)

    def take(self, counted: Counted) -> None:
        """Count what was counted elsewhere, too."""
        for ring, line in ((self.seconds, counted.seconds), (self.minutes, counted.minutes)):
            for slot, number in enumerate(line.counts, line.first) if line is not None else ():
                if number:
                    ring.add(slot, number)
        self.total += counted.total
        self.last = max(self.last, counted.last)

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

    def take(self, name: str, counted: Counted) -> None:
        """Count what was counted elsewhere under a name, unless there is no room for it."""
        if name in self.series or len(self.series) < MOST_SERIES:
            self.series.setdefault(name, Series()).take(counted)

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
