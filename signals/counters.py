"""How many events, per key: exact sliding counts, and when the first and the last were."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from quell.signals.counters_base import MOST, BaseStore, Key, each, keys_of, size, surplus
from quell.signals.memory import Memory

__all__ = ["CountStore", "Key", "each", "keys_of"]

FOREVER = 2**62
"""A span that reaches back before all times."""

_EAGER = 1_024
"""Up to so many times a key's old ones leave one by one: moving the rest costs less than searching."""


_SLACK = 32
"""How many old times a key with more may keep, and one in 64 of its times besides."""


class _Marked(array):  # type: ignore[type-arg]  # the class of an array cannot be subscribed at run time
    """The times of a key whose readings may be in doubt: the fast path passes it by."""

    __slots__ = ()


class CountStore(BaseStore):
    """How many events, per key. A key with one time holds just that, one with more an array of them.

    What the latest `add` found is kept, because the reading that follows it mostly asks for just that.
    """

    __slots__ = ("_key", "_now", "_number", "_span")

    kind = "count"

    def __init__(self, name: str, longest: int | None, memory: Memory) -> None:
        super().__init__(name, longest, memory, longest)
        self._span = FOREVER if longest is None else longest
        self._key: Key = None
        self._now = 0
        self._number = 0

    # ---------------------------------------------------------------------------------------- writing

    def add(self, key: Key, at: int) -> None:
        """Count one event under a key."""
        times = self._held.get(key)
        if times.__class__ is array:
            last = times[-1]
            if at < last:
                self.late.append(self.name)
                at = last
            times.append(at)
            low = at - self._span
            number = len(times)
            if times[0] <= low:
                number = self._trim(times, low)
            if number > MOST:
                self._crop(key, times)
                return
            self._key = key
            self._now = at
            self._number = number
        else:
            self._add(key, times, at)

    def _add(self, key: Key, times: Any, at: int) -> None:
        """Count an event under a key that is new, has one time, or is in doubt."""
        if self._key == key:
            self._key = None
        if times is None:
            if self._enter(key, at):
                self._held[key] = _Marked("q", (at,)) if key in self._marks else at
            return
        last = times if times.__class__ is int else times[-1]
        if at < last:
            self.late.append(self.name)
            at = last
        low = at - self._span
        if times.__class__ is int:
            self._held[key] = at if times <= low else array("q", (times, at))
        else:
            times.append(at)
            number = self._trim(times, low) if times[0] <= low else len(times)
            if number > MOST:
                self._crop(key, times)
            elif self._settled(key, low):
                self._held[key] = array("q", times)
        self._sweep(1)

    def _trim(self, times: array[int], low: int) -> int:
        """Let go of times up to `low`; gives how many are after it."""
        number = len(times)
        if number < _EAGER:
            while times[0] <= low:
                del times[0]
            return len(times)
        self._sweep(1)
        gone = bisect_right(times, low)
        if gone > _SLACK + (number >> 6):
            del times[:gone]
        return number - gone

    def _crop(self, key: Key, times: array[int]) -> None:
        """Let go of the oldest times of a key that has too many, and put it in doubt."""
        few = surplus(len(times))
        self._cut(key, times[few - 1])
        del times[:few]
        self._held[key] = _Marked("q", times)
        self._key = None

    def add_each(self, keys: Iterable[Key], at: int) -> None:
        """Count one event under several different keys."""
        for key in keys:
            self.add(key, at)

    # ---------------------------------------------------------------------------------------- reading

    def count(self, key: Key, at: int, within: int) -> int | None:
        """Events under the key in (at − within, at]."""
        if key is self._key and within == self.longest and at <= self._now:
            return self._number
        times = self._held.get(key)
        if times.__class__ is array:
            last = times[-1]
            low = (at if at > last else last) - within
            return len(times) if times[0] > low else len(times) - bisect_right(times, low)
        if times is None:
            return None if self._unknown(at - within) else 0
        if times.__class__ is int:
            return 1 if times > at - within else 0
        low = max(at, times[-1]) - within
        return None if self._doubtful(key, low) else len(times) - bisect_right(times, low)

    def total(self, key: Key) -> int | None:
        """Events under the key, ever."""
        times = self._held.get(key)
        if times is None:
            return None if self._unknown(None) else 0
        return None if self._doubtful(key, None) else len(_list(times))

    def count_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """Events under the key in (at − ago − within, at − ago]; missing while that window was not yet
        watched whole. Without `within`, all up to at − ago."""
        found = self._ago(key, at, within, ago)
        return None if found is None else found[2] - found[1]

    def first_at(self, key: Key, at: int, within: int | None, skip: int) -> int | None:
        """The time of the first event in (at − within, at], without the `skip` that the present event
        counted for."""
        times, low, high = self._window(key, at, within, skip)
        return times[low] if low < high else None

    def last_at(self, key: Key, at: int, within: int | None, skip: int) -> int | None:
        """The time of the last event in the window, without those of the present one."""
        times, low, high = self._window(key, at, within, skip)
        return times[high - 1] if low < high else None

    def since_last(self, key: Key, at: int, within: int | None, skip: int) -> int | None:
        """Microseconds since the last event in the window, without those of the present one."""
        times, low, high = self._window(key, at, within, skip)
        return max(at, times[-1]) - times[high - 1] if low < high else None

    def first_at_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """The time of the first event in (at − ago − within, at − ago]."""
        found = self._ago(key, at, within, ago)
        return None if found is None or found[1] == found[2] else found[0][found[1]]

    def last_at_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """The time of the last event in (at − ago − within, at − ago]."""
        found = self._ago(key, at, within, ago)
        return None if found is None or found[1] == found[2] else found[0][found[2] - 1]

    def since_last_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """Microseconds from the last event in (at − ago − within, at − ago] to at − ago."""
        found = self._ago(key, at, within, ago)
        if found is None or found[1] == found[2]:
            return None
        times, _, high = found
        since: int = max(at, times[-1]) - ago - times[high - 1]
        return since

    def _window(self, key: Key, at: int, within: int | None, skip: int) -> tuple[Any, int, int]:
        """The times of a key, and between which places the window lies; nothing lies in it when it is in
        doubt."""
        times = _list(self._held.get(key))
        low = None if within is None else (max(at, times[-1]) if times else at) - within
        if self._in_doubt(key, low):
            return times, 0, 0
        return times, 0 if low is None else bisect_right(times, low), len(times) - skip

    def _ago(self, key: Key, at: int, within: int | None, ago: int) -> tuple[Any, int, int] | None:
        """The same for a window that ends before the present; None also while it was not watched whole."""
        times = _list(self._held.get(key))
        high = (max(at, times[-1]) if times else at) - ago
        low = None if within is None else high - within
        if self._in_doubt(key, low) or self._unwatched(high if low is None else low):
            return None
        return times, 0 if low is None else bisect_right(times, low), bisect_right(times, high)

    # ------------------------------------------------------------------------------------ for the base

    def _newest(self, held: Any) -> int:
        newest: int = held if held.__class__ is int else held[-1]
        return newest

    def _size(self, key: Key, held: Any) -> tuple[int, int]:
        return len(_list(held)), size(held)

    def _dumped(self, key: Key, held: Any) -> Any:
        return list(_list(held))

    def _loaded(self, key: Key, dumped: Any, marked: bool) -> Any:
        if marked:
            return _Marked("q", dumped)
        return array("q", dumped) if len(dumped) > 1 else dumped[0]


def _list(times: Any) -> Any:
    """A key's times as a sequence, oldest first."""
    if times is None:
        return ()
    return (times,) if times.__class__ is int else times
