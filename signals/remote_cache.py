"""Answers kept for a while, the least recently used leaving first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class Cache:
    """Answers by key for `seconds` each (0: none is kept), at most `size` of them. Times are seconds of any
    clock that only moves forward."""

    __slots__ = ("_held", "_seconds", "_size")

    def __init__(self, seconds: float, size: int) -> None:
        self._seconds = seconds
        self._size = size
        self._held: OrderedDict[bytes, tuple[float, Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: bytes, now: float) -> tuple[float, Any] | None:
        """When the answer expires, and the answer; None where there is none."""
        found = self._held.get(key)
        if found is None:
            return None
        if now >= found[0]:
            del self._held[key]
            return None
        self._held.move_to_end(key)
        return found

    def put(self, key: bytes, value: Any, now: float) -> None:
        """Keep an answer that came just now."""
        if self._seconds <= 0 or self._size <= 0:
            return
        self._held[key] = (now + self._seconds, value)
        self._held.move_to_end(key)
        if len(self._held) > self._size:
            self._held.popitem(last=False)
