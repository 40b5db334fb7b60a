"""How many events, per key: exact sliding counts, and when the first and the last were."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from quell.signals.counters_base import FOREVER, GC, MOST, BaseStore, Key, each, keys_of, size, surplus
from quell.signals.memory import Memory

__all__ = ["CountStore", "Key", "each", "keys_of"]

_EAGER = 1_024
"""Up to so many times a key's old ones leave one by one: moving the rest costs less than searching."""

_SLACK = 32
"""How many old times a key with more may keep, and one in 64 of its times besides."""

_ONE = 1 << 63
"""A whole number below this is one time; from here on it is several, 64 bits each, the newest lowest."""

_LOWEST = (1 << 64) - 1

_PACKED = 4
"""So many times are kept in one number: an array of so few would be mostly its own head."""


class _Marked(array):  # type: ignore[type-arg]  # the class of an array cannot be subscribed at run time
    """The times of a key whose readings may be in doubt: the fast path passes it by."""

    __slots__ = ()


class CountStore(BaseStore):
    """How many events, per key. The times of a key are one whole number as long as they are few, and an
    array after that.

    What the latest `add` found is kept, because the reading that follows it mostly asks for just that: the
    longest window, under the same key, at the same time. That they are the same objects is enough to look at.
    """

    __slots__ = ("_at", "_key", "_most", "_number", "_span", "_top", "_within")

    kind = "count"

    def __init__(self, name: str, longest: int | None, memory: Memory) -> None:
        super().__init__(name, longest, memory, longest)
        self._span = FOREVER if longest is None else longest
        self._top = -FOREVER  # the newest time of all: what is not older is late under no key
        self._key: Key = None
        self._at: int | None = None
        self._number = 0
        self._most = MOST
        self._within: int | None = longest

    # ---------------------------------------------------------------------------------------- writing

    def add(self, key: Key, at: int) -> None:
        """Count one event under a key."""
        times: Any = self._held.get(key)
        if times.__class__ is array:
            self._at = at
            if at >= self._top:
                self._top = at
            elif at < times[-1]:
                self.late.append(self.name)
                at = times[-1]
            times.append(at)
            low = at - self._span
            number = len(times)
            if times[0] <= low:
                if number < _EAGER:
                    del times[0]
                    number -= 1
                    if times[0] <= low:
                        number = self._trim(times, low)
                else:
                    number = self._trim(times, low)
            if number > self._most:
                self._crop(key, times)
                return
            self._key = key
            self._number = number
        elif times.__class__ is int:
            self._pack(key, times, at)
        else:
            self._add(key, times, at)

    def _pack(self, key: Key, times: int, at: int) -> None:
        """Count an event under a key whose times are one number."""
        self._at = at
        if at >= self._top:
            self._top = at
        elif at < _newest(times):
            self.late.append(self.name)
            at = _newest(times)
        self._key = key
        low = at - self._span
        if low < times < _ONE and times > 0:  # one, and it stays
            self._held[key] = times << 64 | at
            self._number = 2
            return
        shift = 0 if times < _ONE else (times.bit_length() - 1) & -64
        while shift >= 0 and times >> shift <= low:
            times &= (1 << shift) - 1
            shift -= 64
        if shift < 64 * (_PACKED - 1) and (shift < 0 or times > 0):
            self._held[key] = times << 64 | at if shift >= 0 else at
        else:
            self._held[key] = _roomy([*_unpacked(times), at])
            self.sweep(1)
        self._number = (shift >> 6) + 2

    def _add(self, key: Key, times: Any, at: int) -> None:
        """Count an event under a key that is new or in doubt."""
        if at > self._top:
            self._top = at
        if times is None:
            if self._enter(key, at):
                self._held[key] = at
                self._key, self._at, self._number = key, at, 1
                if self._marks and key in self._marks:
                    self._held[key] = _Marked("q", (at,))
                    self._key = None
            return
        if at < times[-1]:
            self.late.append(self.name)
            at = times[-1]
        low = at - self._span
        times.append(at)
        number = self._trim(times, low) if times[0] <= low else len(times)
        if number > self._most:
            self._crop(key, times)
        elif self._settled(key, low):
            self._held[key] = array("q", times)

    def _trim(self, times: array[int], low: int) -> int:
        """Let go of times up to `low`; gives how many are after it."""
        number = len(times)
        if number < _EAGER:
            del times[: bisect_right(times, low)]
            return len(times)
        few = _SLACK + (number >> 6)
        if times[few] > low:
            return number - bisect_right(times, low, 0, few)
        del times[: bisect_right(times, low, few)]
        self.sweep(1)
        return len(times)

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
        if key is self._key and at is self._at and within is self._within:
            return self._number
        times: Any = self._held.get(key)
        if within == self.longest:
            self._within = within  # the same object next time, from the same code
        if times.__class__ is array:
            last = times[-1]
            low = (at if at > last else last) - within
            return len(times) if times[0] > low else len(times) - bisect_right(times, low)
        if times is None:
            return None if self._unknown(at - within) else 0
        return self._count(key, times, at, within)

    def _count(self, key: Key, times: Any, at: int, within: int) -> int | None:
        """The same for a key whose times are one number, or that is in doubt."""
        if times.__class__ is not int:
            low = max(at, times[-1]) - within
            return None if self._doubtful(key, low) else len(times) - bisect_right(times, low)
        low = max(at, _newest(times)) - within
        shift = 0 if times < _ONE else (times.bit_length() - 1) & -64
        if times >> shift > low:
            return (shift >> 6) + 1
        held = _unpacked(times)
        return len(held) - bisect_right(held, low)

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

    def load(self, dumped: dict[str, Any]) -> None:
        """Take over what another store dumped."""
        self._key = None
        super().load(dumped)

    def _newest(self, held: Any) -> int:
        return _newest(held) if held.__class__ is int else int(held[-1])

    def _size(self, key: Key, held: Any) -> tuple[int, int]:
        return len(_list(held)), size(held) - (GC if held.__class__ is int else 0)

    def _dumped(self, key: Key, held: Any) -> Any:
        return [list(_list(held)), None]

    def _loaded(self, key: Key, dumped: Any, marked: bool) -> Any:
        times = dumped[0]
        self._top = max(self._top, times[-1])
        if marked:
            return _Marked("q", times)
        if len(times) == 1:
            return times[0]
        if len(times) > _PACKED or times[0] <= 0:
            return _roomy(times)
        packed = 0
        for time in times:
            packed = packed << 64 | time
        return packed


def _newest(times: int) -> int:
    return times if times < _ONE else times & _LOWEST


def _unpacked(times: int) -> list[int]:
    """The times that one number stands for, oldest first; none for 0 left over."""
    if times < _ONE:
        return [times]
    return [times >> shift & _LOWEST for shift in range((times.bit_length() - 1) & -64, -1, -64)]


def _roomy(times: list[int]) -> array[int]:
    """An array with room for one more; by itself it would make more room than a small one is worth."""
    out = array("q", (*times, 0))
    out.pop()
    return out


def _list(times: Any) -> Any:
    """A key's times as a sequence, oldest first."""
    if times is None:
        return ()
    return _unpacked(times) if times.__class__ is int else times
