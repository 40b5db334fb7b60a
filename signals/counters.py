"""Exact sliding counters on event time, held in memory.

A store holds what several readings of one counter share. Times are microseconds; the window of length
W at t is (t − W, t]. Within one key time never runs backwards: an event older than the newest that its
key counted counts as of that newest time, and is noted in `late`; a reading earlier than that newest
time reads as of it, and moves no clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable
from typing import Any

Key = Hashable


def each(value: Any) -> list[Any]:
    """The different elements of a list, in order of first place; a single value as a list of one."""
    return list(dict.fromkeys(value)) if isinstance(value, list) else [value]


def keys_of(*parts: Any) -> list[Any]:
    """The keys that key parts stand for: one, or one per different element of the part that is a list.
    None when a part is missing, so that nothing counts. One part is its own key, several make a tuple."""
    if any(p is None for p in parts):
        return []
    if len(parts) == 1:
        return each(parts[0])
    for i, part in enumerate(parts):
        if isinstance(part, list):
            return [(*parts[:i], element, *parts[i + 1 :]) for element in each(part)]
    return [parts]


class CountStore:
    """How many events, per key. `longest` is the longest look-back in microseconds, None for ever."""

    __slots__ = ("_times", "began", "late", "longest", "name")

    def __init__(self, name: str, longest: int | None, late: list[str]) -> None:
        self.name = name
        self.longest = longest
        self.late = late
        self.began: int | None = None
        self._times: dict[Key, list[int]] = {}

    def add(self, key: Key, at: int) -> None:
        """Count one event under a key."""
        times = self._times.get(key)
        if times is None:
            self._times[key] = [at]
            return
        last = times[-1]
        if at < last:
            self.late.append(self.name)
            at = last
        times.append(at)
        longest = self.longest
        if longest is not None and times[0] <= at - longest:
            gone = bisect_right(times, at - longest)
            if gone * 2 >= len(times):
                del times[:gone]

    def add_each(self, keys: Iterable[Key], at: int) -> None:
        """Count one event under several different keys."""
        for key in keys:
            self.add(key, at)

    def count(self, key: Key, at: int, within: int) -> int:
        """Events under the key in (at − within, at]."""
        times = self._times.get(key)
        if times is None:
            return 0
        low = (at if at > times[-1] else times[-1]) - within
        return len(times) if times[0] > low else len(times) - bisect_right(times, low)

    def total(self, key: Key) -> int:
        """Events under the key, ever."""
        times = self._times.get(key)
        return 0 if times is None else len(times)

    def count_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """Events under the key in (at − ago − within, at − ago]; missing while that window was not yet
        watched whole. Without `within`, all up to at − ago."""
        times = self._times.get(key)
        now = at if times is None else max(at, times[-1])
        if self.began is None or now - ago - (within or 0) < self.began:
            return None
        if times is None:
            return 0
        upper = bisect_right(times, now - ago)
        return upper if within is None else upper - bisect_right(times, now - ago - within)

    def keys(self) -> int:
        """How many keys are held."""
        return len(self._times)


class DistinctStore:
    """How many different values, per key.

    Per key the values stand in order of when they were last seen, so a reading passes over the ones whose
    time has run out. Where readings end before the present (`log`), every event is kept as well.
    """

    __slots__ = ("_log", "_seen", "began", "late", "log", "longest", "name", "previous")

    def __init__(self, name: str, longest: int | None, late: list[str], log: bool) -> None:
        self.name = name
        self.longest = longest
        self.late = late
        self.log = log
        self.began: int | None = None
        self.previous: dict[Key, list[int | None]] = {}
        self._seen: dict[Key, dict[Any, int]] = {}
        self._log: dict[Key, tuple[list[int], list[Any]]] = {}

    def add(self, key: Key, values: Any, at: int) -> None:
        """Count the different values of one event under a key."""
        if values.__class__ is list:
            self.add_each((key,), values, at)
            return
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = {values: at}
            before = None
        else:
            at = self._clock(seen, at)
            before = seen.pop(values, None)
            seen[values] = at
            if self.longest is not None:
                self._trim(seen, at - self.longest)
        self.previous = {key: [before]}
        if self.log:
            self._note(key, [values], at)

    def add_each(self, keys: Iterable[Key], values: Any, at: int) -> None:
        """Count the different values of one event under several different keys."""
        self.previous = {}
        different = each(values)
        if not different:
            return
        for key in keys:
            seen = self._seen.setdefault(key, {})
            now = self._clock(seen, at)
            self.previous[key] = [seen.pop(value, None) for value in different]
            seen.update(dict.fromkeys(different, now))
            if self.longest is not None:
                self._trim(seen, now - self.longest)
            if self.log:
                self._note(key, different, now)

    def _clock(self, seen: dict[Any, int], at: int) -> int:
        """The time that an event counts as under a key: never before what the key counted last."""
        if seen:
            last = seen[next(reversed(seen))]
            if at < last:
                self.late.append(self.name)
                return last
        return at

    @staticmethod
    def _trim(seen: dict[Any, int], low: int) -> None:
        if next(iter(seen.values())) > low:
            return
        gone = []
        for value, time in seen.items():
            if time > low:
                break
            gone.append(value)
        for value in gone:
            del seen[value]

    def _note(self, key: Key, values: list[Any], at: int) -> None:
        times, noted = self._log.setdefault(key, ([], []))
        times.extend([at] * len(values))
        noted.extend(values)
        if self.longest is not None and times and times[0] <= at - self.longest:
            gone = bisect_right(times, at - self.longest)
            if gone * 2 >= len(times):
                del times[:gone]
                del noted[:gone]

    def count(self, key: Key, at: int, within: int) -> int:
        """Different values under the key in (at − within, at]."""
        seen = self._seen.get(key)
        if not seen:
            return 0
        last = seen[next(reversed(seen))]
        low = (at if at > last else last) - within
        if next(iter(seen.values())) > low:
            return len(seen)
        gone = 0
        for time in seen.values():
            if time > low:
                break
            gone += 1
        return len(seen) - gone

    def total(self, key: Key) -> int:
        """Different values under the key, ever."""
        return len(self._seen.get(key, ()))

    def new(self, key: Key, at: int, within: int | None) -> int:
        """How many of the values that the present event added under the key were not in the window before
        it: what `before this` takes away."""
        before = self.previous.get(key, ())
        if within is None:
            return sum(time is None for time in before)
        seen = self._seen.get(key)
        low = max(at, seen[next(reversed(seen))]) - within if seen else at - within
        return sum(time is None or time <= low for time in before)

    def count_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """Different values in (at − ago − within, at − ago]; missing while not yet watched whole."""
        times, values = self._log.get(key, ([], []))
        now = max(at, times[-1]) if times else at
        if self.began is None or now - ago - (within or 0) < self.began:
            return None
        upper = bisect_right(times, now - ago)
        lower = 0 if within is None else bisect_right(times, now - ago - within)
        return len(set(values[lower:upper]))

    def keys(self) -> int:
        """How many keys are held."""
        return len(self._seen)
