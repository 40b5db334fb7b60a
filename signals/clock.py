"""The watermark: how far a history has come, whatever single wrong clocks say.

Counters, labels and limits live at `now`, an event's time, or the watermark less the allowed lateness if
the event is older than that. So what lies before that horizon by more than a window can be forgotten
without any answer changing.

The watermark is the greatest of the least times of successive blocks of events. One wrong clock, or a
burst of them, cannot move it: every event of a whole block would have to be ahead.

The horizon stops at the time of a decision that still waits: what that will read and write must be there.
"""

from __future__ import annotations

BLOCK = 256
"""Events in a block."""
LATENESS = 3_600_000_000
"""How old an event may be, against the watermark, and still count as of its own time: one hour."""


class Clock:
    """The time of a history, in microseconds. `horizon` is the oldest `now` that can still come, None
    until the first block is full; `newest` the time of the last event, `greatest` that of any."""

    __slots__ = ("_held", "_left", "_low", "block", "greatest", "horizon", "lateness", "newest")

    def __init__(self, lateness: int = LATENESS, block: int = BLOCK) -> None:
        self.lateness = lateness
        self.block = block
        self.horizon: int | None = None
        self.newest: int | None = None
        self.greatest: int | None = None
        self._left = block
        self._low: int | None = None
        self._held: dict[int, int] = {}

    def see(self, at: int) -> int:
        """Take in the time of an admitted event; gives the time at which it counts."""
        self.newest = at
        if self.greatest is None or at > self.greatest:
            self.greatest = at
        if self._low is None or at < self._low:
            self._low = at
        self._left -= 1
        if not self._left:
            behind = min([self._low - self.lateness, *self._held])
            if self.horizon is None or behind > self.horizon:
                self.horizon = behind
            self._left, self._low = self.block, None
        horizon = self.horizon
        return at if horizon is None or at >= horizon else horizon

    def now(self, at: int) -> int:
        """The time at which something dated `at` counts. Moves nothing."""
        horizon = self.horizon
        return at if horizon is None or at >= horizon else horizon

    def hold(self, now: int) -> None:
        """Stop the horizon at a time, until that is let go as often as it was held."""
        self._held[now] = self._held.get(now, 0) + 1

    def let_go(self, now: int) -> None:
        """No longer stop the horizon at a time."""
        left = self._held.pop(now, 0) - 1
        if left > 0:
            self._held[now] = left

    def let_all_go(self) -> None:
        """Stop the horizon nowhere."""
        self._held.clear()

    def dump(self) -> list[int | None]:
        """What `load` needs to go on from here."""
        return [self.horizon, self.newest, self._left, self._low, self.greatest]

    def load(self, dumped: list[int | None]) -> None:
        """Go on from where another clock stood. Raises ValueError for what `dump` did not give."""
        if len(dumped) != 5 or not all(v is None or type(v) is int for v in dumped):
            raise ValueError("this is no clock")
        horizon, newest, left, low, greatest = dumped
        if left is None or not 0 < left <= self.block:
            raise ValueError("this is no clock")
        self.horizon, self.newest, self._left, self._low, self.greatest = horizon, newest, left, low, greatest
