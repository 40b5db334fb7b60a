"""Repeated messages are thinned: the first of a kind are written, and the rest are counted."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from quell.engine.logs_format import told

FIRST = 5
"""Messages of a kind that are written within a period."""
PERIOD = 10.0
"""Seconds."""
KINDS = 500
"""Kinds that are told apart at once; the oldest is forgotten for another."""


@dataclass(slots=True)
class _Kind:
    name: str
    until: float
    written: int = 0
    left_out: int = 0


class Thin(logging.Filter):
    """Lets the first messages of a kind through, and notes on the next one how many were left out since.

    Kinds are told apart by the event and by what it says sets repetitions apart. `ended` gives those whose
    period is over and of which something was left out that no later message has told of.
    """

    def __init__(
        self, first: int = FIRST, period: float = PERIOD, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._first, self._period, self._clock = first, period, clock
        self._kinds: OrderedDict[tuple[object, ...], _Kind] = OrderedDict()
        self._over: list[_Kind] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        event, fields = told(record)
        key = (event.name, *(str(fields.get(f))[:200] for f in event.apart))
        now = self._clock()
        kind = self._kinds.get(key)
        if kind is None or now >= kind.until:
            left_out = kind.left_out if kind is not None else 0
            kind = self._begin(key, event.name, now)
            if left_out:
                record.left_out = left_out
        kind.written += 1
        if kind.written > self._first:
            kind.left_out += 1
            return False
        return True

    def _begin(self, key: tuple[object, ...], name: str, now: float) -> _Kind:
        if key not in self._kinds and len(self._kinds) >= KINDS:
            _, oldest = self._kinds.popitem(last=False)
            if oldest.left_out:
                self._over.append(oldest)
        self._kinds.pop(key, None)
        made = self._kinds[key] = _Kind(name, now + self._period)
        return made

    def ended(self, everything: bool = False) -> Iterator[tuple[str, int]]:
        """The kinds whose period is over (or all) with how many messages were left out; each once."""
        now = self._clock()
        for key, kind in list(self._kinds.items()):
            if not everything and now < kind.until:
                break  # they stand in order of their end
            del self._kinds[key]
            if kind.left_out:
                self._over.append(kind)
        over, self._over = self._over, []
        for kind in over:
            yield kind.name, kind.left_out
