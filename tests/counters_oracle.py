"""What counters must say, worked out by looking at every earlier event each time."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

Key = Hashable
SHOWN = 100
"""The most values that `values` gives."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value that one event counted under a key."""

    time: int
    value: Any
    event: int


@dataclass(slots=True)
class History:
    """All events of one counter. `spread`: a list as value stands for each different element."""

    spread: bool
    events: list[tuple[tuple[Key, ...], Any, int]] = field(default_factory=list)

    def add(self, keys: Iterable[Key], value: Any, at: int) -> None:
        """One more event, under several keys."""
        self.events.append((tuple(keys), value, at))

    def entries(self, key: Key) -> list[Entry]:
        """What was counted under a key, with the times it counts as of."""
        out: list[Entry] = []
        newest: int | None = None
        for number, (keys, value, at) in enumerate(self.events):
            values = different(value) if self.spread else [value]
            if key in keys and values:
                newest = at if newest is None else max(newest, at)
                out.extend(Entry(newest, v, number) for v in values)
        return out

    def was_late(self) -> int:
        """Under how many of its keys the last event counted as of a later time."""
        keys, value, at = self.events[-1]
        if self.spread and not different(value):
            return 0
        return sum(self.entries(key)[-1].time > at for key in keys)

    def window(self, key: Key, at: int, within: int | None, skip: bool = False, ago: int = 0) -> list[Entry]:
        """The entries in (at − ago − within, at − ago], as of the key's newest time."""
        held = self.entries(key)
        high = max([at, *(e.time for e in held)]) - ago
        return [
            e
            for e in held
            if e.time <= high
            and (within is None or e.time > high - within)
            and not (skip and e.event == len(self.events) - 1)
        ]

    def watched(self, key: Key, at: int, within: int | None, ago: int) -> bool:
        """Whether a window that ended before the present began after the first event."""
        high = max([at, *(e.time for e in self.entries(key))]) - ago
        return high - (within or 0) >= self.events[0][2]

    def now(self, key: Key, at: int) -> int:
        """The time as of which a key is read."""
        return max([at, *(e.time for e in self.entries(key))])


def different(value: Any) -> list[Any]:
    """The different elements of a list; of anything else just that."""
    out: list[Any] = []
    for v in value if isinstance(value, list) else [value]:
        if v not in out:
            out.append(v)
    return out


def total(numbers: Sequence[int | float]) -> int | float | None:
    """The exact sum, rounded once."""
    return nearest(sum(map(Fraction, numbers), Fraction(0)))


def mean(numbers: Sequence[int | float]) -> int | float | None:
    """The exact mean, rounded once."""
    return nearest(sum(map(Fraction, numbers), Fraction(0)) / len(numbers)) if numbers else None


def stddev(numbers: Sequence[int | float]) -> float | None:
    """The sample standard deviation."""
    if len(numbers) < 2:
        return None
    exact = [Fraction(n) for n in numbers]
    middle = sum(exact, Fraction(0)) / len(exact)
    variance = nearest(sum(((n - middle) ** 2 for n in exact), Fraction(0)) / (len(exact) - 1))
    return None if variance is None else math.sqrt(variance)


def nearest(exact: Fraction) -> float | None:
    """The double nearest to a fraction; None beyond the largest."""
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return None


def newest_first(entries: Sequence[Entry]) -> list[Any]:
    """The different values, the one counted last first, at most so many as are shown."""
    out: list[Any] = []
    for entry in reversed(entries):
        if entry.value not in out:
            out.append(entry.value)
    return out[:SHOWN]
