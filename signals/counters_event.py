"""The first and the last event, per key: one value of each, as it stood."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from quell.signals.counters_base import MOST, BaseStore, Key, size, surplus
from quell.signals.memory import Memory


class Happenings:
    """The events of one key, oldest first: when, and the value, which may be missing."""

    __slots__ = ("times", "values")

    def __init__(self) -> None:
        self.times = array("q")
        self.values: list[Any] = []

    def cut(self, gone: int) -> None:
        """Let go of the oldest."""
        del self.times[:gone], self.values[:gone]


Found = tuple[Happenings, int, int]
"""A key's events, and between which places a window lies."""

_NOTHING = Happenings()


class EventStore(BaseStore):
    """A value of every event, per key. Lists are values like others, and so is what is missing."""

    __slots__ = ()

    kind = "event"

    def __init__(self, name: str, longest: int | None, memory: Memory) -> None:
        super().__init__(name, longest, memory, longest)

    # ---------------------------------------------------------------------------------------- writing

    def add(self, key: Key, value: Any, at: int) -> None:
        """Keep the value of one event under a key."""
        held = self._held.get(key)
        if held is None:
            if not self._enter(key, at):
                return
            held = self._held[key] = Happenings()
        times = held.times
        if times and at < times[-1]:
            self.late.append(self.name)
            at = times[-1]
        times.append(at)
        held.values.append(value)
        if self.longest is not None:
            low = at - self.longest
            if times[len(times) >> 2] <= low:
                held.cut(bisect_right(times, low))
                self.sweep(1)
            if self._marks and key in self._marks:
                self._settled(key, low)
        if len(times) > MOST:
            few = surplus(len(times))
            self._cut(key, times[few - 1])
            held.cut(few)

    def add_each(self, keys: Iterable[Key], value: Any, at: int) -> None:
        """The same under several different keys."""
        for key in keys:
            self.add(key, value, at)

    # ---------------------------------------------------------------------------------------- reading

    def first(self, key: Key, at: int, within: int | None, skip: bool) -> Any:
        """The value of the first event in (at − within, at]; with `skip` the present one is left out."""
        found = self._window(key, at, within, skip)
        return None if found is None else found[0].values[found[1]]

    def last(self, key: Key, at: int, within: int | None, skip: bool) -> Any:
        """The value of the last event in the window."""
        found = self._window(key, at, within, skip)
        return None if found is None else found[0].values[found[2] - 1]

    def first_ago(self, key: Key, at: int, within: int | None, ago: int) -> Any:
        """The value of the first event in (at − ago − within, at − ago]; missing while that window was not
        yet watched whole."""
        found = self._ago(key, at, within, ago)
        return None if found is None else found[0].values[found[1]]

    def last_ago(self, key: Key, at: int, within: int | None, ago: int) -> Any:
        """The value of the last event in such a window."""
        found = self._ago(key, at, within, ago)
        return None if found is None else found[0].values[found[2] - 1]

    def _window(self, key: Key, at: int, within: int | None, skip: bool) -> Found | None:
        held = self._held.get(key, _NOTHING)
        times = held.times
        low = None if within is None else (max(at, times[-1]) if times else at) - within
        if self._in_doubt(key, low):
            return None
        start, end = 0 if low is None else bisect_right(times, low), len(times) - skip
        return (held, start, end) if start < end else None

    def _ago(self, key: Key, at: int, within: int | None, ago: int) -> Found | None:
        held = self._held.get(key, _NOTHING)
        times = held.times
        high = (max(at, times[-1]) if times else at) - ago
        low = None if within is None else high - within
        if self._in_doubt(key, low) or self._unwatched(high if low is None else low):
            return None
        start, end = 0 if low is None else bisect_right(times, low), bisect_right(times, high)
        return (held, start, end) if start < end else None

    # ------------------------------------------------------------------------------------ for the base

    def _newest(self, held: Happenings) -> int:
        return held.times[-1]

    def _size(self, key: Key, held: Happenings) -> tuple[int, int]:
        values = size(held.values) + sum(map(size, held.values[:100])) * -(-len(held.values) // 100)
        return len(held.times), size(held) + size(held.times) + values

    def _dumped(self, key: Key, held: Happenings) -> Any:
        return [list(held.times), held.values]

    def _loaded(self, key: Key, dumped: Any, marked: bool) -> Happenings:
        held = Happenings()
        held.times.extend(dumped[0])
        held.values.extend(dumped[1])
        return held
