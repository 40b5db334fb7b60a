"""Labels on entities, with expiry on event time, and limits on effects."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable


class LabelSet:
    """The entities of one kind that carry one label: since when, and until when (None: for good)."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, int | None]] = {}

    def has(self, id: str, at: int) -> bool:
        """Whether the entity carries the label at a time."""
        held = self._held.get(id)
        return held is not None and (held[1] is None or at < held[1])

    def age(self, id: str, at: int) -> int | None:
        """How long the entity has carried the label, in microseconds; None when it does not."""
        held = self._held.get(id)
        if held is None or (held[1] is not None and at >= held[1]):
            return None
        return max(0, at - held[0])

    def set(self, id: str, at: int, until: int | None) -> int | None:
        """Put the label on; an expiry is never brought forward. Gives the expiry that now holds."""
        held = self._held.get(id)
        since = at
        if held is not None and (held[1] is None or at < held[1]):
            since = held[0]
            until = None if held[1] is None or until is None else max(held[1], until)
        self._held[id] = (since, until)
        return until

    def remove(self, id: str, at: int) -> bool:
        """Take the label off; whether it was on at the time."""
        was_on = self.has(id, at)
        self._held.pop(id, None)
        return was_on

    def ids(self) -> list[str]:
        """The ids held, in order."""
        return sorted(self._held)


class LimitStore:
    """At most `count` times per key in any window of `every` microseconds."""

    __slots__ = ("_times", "count", "every")

    def __init__(self, count: int, every: int) -> None:
        self.count = count
        self.every = every
        self._times: dict[Hashable, list[int]] = {}

    def left(self, key: Hashable, at: int) -> int:
        """How many more times are allowed now. Changes nothing."""
        times = self._times.get(key, [])
        if times and at < times[-1]:
            at = times[-1]
        return max(0, self.count - (len(times) - bisect_right(times, at - self.every)))

    def allow(self, key: Hashable, at: int) -> bool:
        """Whether once more is allowed now, and if so, note it. Time never runs backwards within a key."""
        times = self._times.setdefault(key, [])
        if times and at < times[-1]:
            at = times[-1]
        gone = bisect_right(times, at - self.every)
        if gone:
            del times[:gone]
        if len(times) >= self.count:
            return False
        times.append(at)
        return True
