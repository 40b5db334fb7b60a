"""Counts for ever: what no window looks back to is kept as a number, a first and a last time."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import Any, NamedTuple

from quell.signals.counters import CountStore
from quell.signals.counters_base import MOST, Key
from quell.signals.memory import Memory

KEEP = 64
"""So many of a key's newest times are always kept, more than one event adds."""


class Gone(NamedTuple):
    """The events of a key whose times have been let go."""

    number: int
    first: int
    last: int


class EverCountStore(CountStore):
    """How many events, per key, for ever. `recent` is the longest look-back in microseconds of all other
    readings: older times are let go and stay counted, so that a key is bounded by what is recent."""

    __slots__ = ("_gone",)

    def __init__(self, name: str, memory: Memory, recent: int) -> None:
        super().__init__(name, None, memory)
        self.recent = recent
        self._most = min(MOST, 2 * KEEP)
        self._gone: dict[Key, Gone] = {}

    def _crop(self, key: Key, times: array[int]) -> None:
        assert self.recent is not None
        low = times[-1] - self.recent
        if times[len(times) >> 2] > low:
            if len(times) > MOST:
                super()._crop(key, times)
            return
        few = min(bisect_right(times, low), len(times) - KEEP)
        known = self._gone.get(key)
        first, before = (times[0], 0) if known is None else (known.first, known.number)
        self._gone[key] = Gone(before + few, first, times[few - 1])
        del times[:few]

    # ---------------------------------------------------------------------------------------- reading

    def total(self, key: Key) -> int | None:
        """Events under the key, ever."""
        found, gone = super().total(key), self._gone.get(key)
        return found if found is None or gone is None else found + gone.number

    def count_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """Events under the key in (at − ago − within, at − ago], or all up to at − ago."""
        found = super().count_ago(key, at, within, ago)
        gone = self._gone.get(key) if within is None else None
        return found if found is None or gone is None else found + gone.number

    def first_at(self, key: Key, at: int, within: int | None, skip: int) -> int | None:
        """The time of the first event in (at − within, at], or ever."""
        gone = self._gone.get(key) if within is None else None
        if gone is None:
            return super().first_at(key, at, within, skip)
        return None if self._in_doubt(key, None) else gone.first

    def first_at_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """The time of the first event in (at − ago − within, at − ago], or of all up to at − ago."""
        gone = self._gone.get(key) if within is None else None
        if gone is None:
            return super().first_at_ago(key, at, within, ago)
        return None if self._ago(key, at, within, ago) is None else gone.first

    def last_at_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """The time of the last event in (at − ago − within, at − ago], or of all up to at − ago."""
        found = self._ago(key, at, within, ago)
        if found is None:
            return None
        times, low, high = found
        gone = self._gone.get(key) if within is None else None
        if low < high:
            last: int = times[high - 1]
            return last
        return None if gone is None else gone.last

    # ------------------------------------------------------------------------------------ for the base

    def load(self, dumped: dict[str, Any]) -> None:
        """Take over what another store dumped."""
        self._gone = {}
        super().load(dumped)

    def _dumped(self, key: Key, held: Any) -> Any:
        times, _ = super()._dumped(key, held)
        gone = self._gone.get(key)
        return [times, None if gone is None else list(gone)]

    def _loaded(self, key: Key, dumped: Any, marked: bool) -> Any:
        if dumped[1] is not None:
            self._gone[key] = Gone(*dumped[1])
        return super()._loaded(key, dumped, marked)
