"""How many different values, per key, and which."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from quell.signals.counters_base import MOST, BaseStore, Key, each, size, surplus
from quell.signals.memory import Memory

SHOWN = 100
"""The most values that a reading of `values` gives."""


_RUNNING = 40
"""The bits of a running number: a trillion sightings."""

_time = itemgetter(1)


class _Log:
    """All that was counted under a key, oldest first."""

    __slots__ = ("times", "values")

    def __init__(self) -> None:
        self.times = array("q")
        self.values: list[Any] = []


class DistinctStore(BaseStore):
    """Different values, per key.

    Per key the values stand in order of when they were last seen, so a reading passes over the ones whose
    time has run out. Where readings end before the present (`log`), every sighting is kept as well. Where
    readings give the values themselves (`shown`), the times carry a running number in their low bits, so
    that the order before the present event can be told of values last seen at one time.
    """

    __slots__ = ("_added", "_bits", "_logs", "_seen", "holds", "log", "previous", "wants")

    kind = "distinct"

    def __init__(
        self, name: str, longest: int | None, memory: Memory, log: bool = False, shown: bool = False
    ) -> None:
        super().__init__(name, longest, memory, longest)
        self.log = log
        self.holds = self.wants = frozenset({"log"} if log else ())
        self.previous: dict[Key, list[int | None]] = {}
        self._bits = _RUNNING if shown else 0
        self._seen = 0
        self._added: Sequence[Any] = ()
        self._logs: dict[Key, _Log] = {}

    # ---------------------------------------------------------------------------------------- writing

    def add(self, key: Key, values: Any, at: int) -> None:
        """Count the different values of one event under a key."""
        self.add_each((key,), values, at)

    def add_each(self, keys: Collection[Key], values: Any, at: int) -> None:
        """Count the different values of one event under several different keys."""
        self.previous = {}
        told: Sequence[Any] = (values,)
        different = told
        if values.__class__ is list:
            told = each(values)
            different = self._fitting(keys, told)
        self._added = different
        if different:
            for key in keys:
                self._add(key, different, at)
        if len(different) < len(told):
            self._cut_short(keys)

    def _add(self, key: Key, different: Sequence[Any], at: int) -> None:
        seen = self._held.get(key)
        if seen is None:
            if not self._enter(key, at):
                return
            self._put(self._held.setdefault(key, {}), different, at)
            self.previous[key] = [None] * len(different)
        else:
            at = self._count(key, seen, different, at)
        if self.log:
            self._note(key, different, at)

    def _count(self, key: Key, seen: dict[Any, int], different: Sequence[Any], at: int) -> int:
        """Count values under a key that is held; gives the time that they count as of."""
        last = self._newest(seen)
        if at < last:
            self.late.append(self.name)
            at = last
        self.previous[key] = [seen.pop(value, None) for value in different]
        self._put(seen, different, at)
        if self.longest is not None:
            low = self._through(at - self.longest)
            if next(iter(seen.values())) <= low:
                self._trim(seen, low)
        if len(seen) > MOST:
            self._crop(key, seen)
        if self._marks and key in self._marks and self.longest is not None:
            self._settled(key, at - self.longest)
        return at

    def _put(self, seen: dict[Any, int], different: Sequence[Any], at: int) -> None:
        """Make values the newest."""
        if not self._bits:
            for value in different:
                seen[value] = at
            return
        for value in different:
            self._seen += 1
            seen[value] = at << self._bits | self._seen

    def _through(self, low: int) -> int:
        """What is held for the last moment of a time."""
        return ((low + 1) << self._bits) - 1

    def _trim(self, seen: dict[Any, int], low: int) -> None:
        self.sweep(1)
        gone = []
        for value, time in seen.items():
            if time > low:
                break
            gone.append(value)
        for value in gone:
            del seen[value]

    def _crop(self, key: Key, seen: dict[Any, int]) -> None:
        """Let go of the values not seen for longest under a key that has too many."""
        few = list(islice(seen.items(), surplus(len(seen))))
        self._cut(key, few[-1][1] >> self._bits)
        for value, _ in few:
            del seen[value]

    def _note(self, key: Key, different: Sequence[Any], at: int) -> None:
        noted = self._logs.get(key)
        if noted is None:
            noted = self._logs[key] = _Log()
        times = noted.times
        times.extend([at] * len(different))
        noted.values.extend(different)
        if self.longest is not None and times[len(times) >> 2] <= at - self.longest:
            gone = bisect_right(times, at - self.longest)
            del times[:gone], noted.values[:gone]
        if len(times) > MOST:
            few = surplus(len(times))
            self._cut(key, times[few - 1])
            del times[:few], noted.values[:few]

    def _drop(self, key: Key) -> None:
        self._logs.pop(key, None)

    # ---------------------------------------------------------------------------------------- reading

    def count(self, key: Key, at: int, within: int) -> int | None:
        """Different values under the key in (at − within, at]."""
        seen = self._held.get(key)
        if seen is None:
            return None if self._refused is not None and self._unknown(at - within) else 0
        last = seen[next(reversed(seen))] >> self._bits
        low = (at if at > last else last) - within
        if self._marks and self._doubtful(key, low):
            return None
        if self._bits:
            low = self._through(low)
        if next(iter(seen.values())) > low:
            return len(seen)
        return _after(seen, low)

    def total(self, key: Key) -> int | None:
        """Different values under the key, ever."""
        seen = self._held.get(key)
        if self._in_doubt(key, None):
            return None
        return len(seen) if seen is not None else 0

    def new(self, key: Key, at: int, within: int | None) -> int:
        """How many of the values that the present event added under the key were not in the window before
        it: what `before this` takes away."""
        before = self.previous.get(key, ())
        if within is None:
            return sum(time is None for time in before)
        seen = self._held.get(key)
        low = self._through((max(at, self._newest(seen)) if seen else at) - within)
        return sum(time is None or time <= low for time in before)

    def count_ago(self, key: Key, at: int, within: int | None, ago: int) -> int | None:
        """Different values in (at − ago − within, at − ago]; missing while not yet watched whole."""
        found = self._ago(key, at, within, ago)
        return None if found is None else len(set(found[0][found[1] : found[2]]))

    def values(self, key: Key, at: int, within: int | None, skip: bool) -> list[Any] | None:
        """The values in (at − within, at], at most 100, newest first; with `skip` as they were before the
        present event."""
        seen = self._held.get(key)
        low = None
        if within is not None:
            low = (max(at, self._newest(seen)) if seen else at) - within
        if self._in_doubt(key, low):
            return None
        if seen is None:
            return []
        newest = self._before(key, seen) if skip else islice(reversed(seen.items()), SHOWN)
        if low is None:
            return [value for value, _ in newest]
        low = self._through(low)
        return [value for value, time in newest if time > low]

    def _before(self, key: Key, seen: dict[Any, int]) -> list[tuple[Any, int]]:
        """The values as they were before the present event, newest first: the others, and its own where
        they were then."""
        added = self._added
        held = list(islice(reversed(seen.items()), len(added), len(added) + SHOWN))
        before = zip(added, self.previous[key], strict=True)
        held.extend((value, time) for value, time in before if time is not None)
        held.sort(key=_time, reverse=True)
        return held[:SHOWN]

    def values_ago(self, key: Key, at: int, within: int | None, ago: int) -> list[Any] | None:
        """The values in (at − ago − within, at − ago], at most 100, newest first; missing while that
        window was not yet watched whole."""
        found = self._ago(key, at, within, ago)
        if found is None:
            return None
        values, low, high = found
        return list(islice(dict.fromkeys(values[i] for i in range(high - 1, low - 1, -1)), SHOWN))

    def _ago(self, key: Key, at: int, within: int | None, ago: int) -> tuple[list[Any], int, int] | None:
        """The sightings of a key, and between which places a window lies that ends before the present."""
        noted = self._logs.get(key)
        times: Sequence[int] = () if noted is None else noted.times
        high = (max(at, times[-1]) if times else at) - ago
        low = None if within is None else high - within
        if self._in_doubt(key, low) or self._unwatched(high if low is None else low):
            return None
        values = [] if noted is None else noted.values
        return values, 0 if low is None else bisect_right(times, low), bisect_right(times, high)

    # ------------------------------------------------------------------------------------ for the base

    @property
    def shape(self) -> tuple[Any, ...]:
        """All that a store was made with but its name."""
        return *super().shape, self.log, self._bits

    def _newest(self, held: Any) -> int:
        newest: int = held[next(reversed(held))]
        return newest >> self._bits

    def _size(self, key: Key, held: Any) -> tuple[int, int]:
        number, taken = len(held), size(held) + 32 * len(held)
        noted = self._logs.get(key)
        if noted is not None:
            number += len(noted.times)
            taken += size(noted.times) + size(noted.values) + size(noted)
        return number, taken

    def _dumped(self, key: Key, held: Any) -> Any:
        noted = self._logs.get(key)
        times = [time >> self._bits for time in held.values()]
        return [list(held), times, *([list(noted.times), noted.values] if noted else ())]

    def _loaded(self, key: Key, dumped: Any, marked: bool) -> Any:
        if self.log:
            noted = self._logs[key] = _Log()
            noted.times.extend(dumped[2])
            noted.values.extend(dumped[3])
        if not self._bits:
            return dict(zip(dumped[0], dumped[1], strict=True))
        seen: dict[Any, int] = {}
        for value, time in zip(dumped[0], dumped[1], strict=True):
            self._put(seen, (value,), time)
        return seen


def _after(seen: dict[Any, int], low: int) -> int:
    """How many of the values were last seen after `low`: counted from both ends at once."""
    number = 0
    for old, new in zip(seen.values(), reversed(seen.values()), strict=True):
        if old > low:
            return len(seen) - number
        if new <= low:
            return number
        number += 1
    return number
