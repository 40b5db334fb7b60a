"""Limits on effects: so many times per key in any window of event time."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Hashable
from typing import Any

from quell.signals.clock import Clock
from quell.signals.keys import key_from, key_out
from quell.signals.sizes import size_of


class LimitStore:
    """At most `count` times per key in any window of `every` microseconds.

    A key whose times are past for every time that can still come (the clock's horizon) is dropped; a few
    keys are looked at whenever a new one comes.
    """

    __slots__ = ("_clock", "_queue", "_times", "count", "every")

    def __init__(self, count: int, every: int, clock: Clock) -> None:
        self.count = count
        self.every = every
        self._clock = clock
        self._times: dict[Hashable, list[int]] = {}
        self._queue: deque[Hashable] = deque()

    def left(self, key: Hashable, at: int) -> int:
        """How many more times are allowed now. Changes nothing."""
        times = self._times.get(key)
        if times is None:
            return self.count
        at = max(at, times[-1])
        return max(0, self.count - (len(times) - bisect_right(times, at - self.every)))

    def allow(self, key: Hashable, at: int) -> bool:
        """Whether once more is allowed now, and if so, note it. Time never runs backwards within a key."""
        times = self._times.get(key)
        if times is None:
            if self.count < 1:
                return False
            self._times[key] = [at]
            self._queue.append(key)
            self.sweep(2)
            return True
        if at < times[-1]:
            at = times[-1]
        gone = bisect_right(times, at - self.every)
        if gone:
            del times[:gone]
        if len(times) >= self.count:
            return False
        times.append(at)
        return True

    def sweep(self, steps: int) -> None:
        """Look at so many keys, in turn, and forget those whose window has passed."""
        horizon = self._clock.horizon
        if horizon is None:
            return
        for _ in range(min(steps, len(self._queue))):
            key = self._queue.popleft()
            if self._times[key][-1] + self.every <= horizon:
                del self._times[key]
            else:
                self._queue.append(key)

    def keys(self) -> int:
        """How many keys are held."""
        return len(self._times)

    def bytes(self) -> int:
        """About how much memory they take."""
        return size_of(self._times, lambda key, times: 200 + 40 * len(times))

    def dump(self) -> list[Any]:
        """What `load` needs, in plain lists."""
        return [self.count, self.every, [[key_out(key), self._times[key]] for key in self._queue]]

    def load(self, dumped: list[Any]) -> None:
        """Hold the times that another limit of the same measure dumped. Raises ValueError or TypeError for
        what is no dump."""
        count, every, times = dumped
        if (count, every) != (self.count, self.every):
            raise ValueError("this is another limit")
        self._times = {key_from(key): [int(t) for t in noted] for key, noted in times if noted}
        self._queue = deque(self._times)
