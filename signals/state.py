"""All that a running bundle remembers: counters' stores, labels, limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from quell.signals.clock import Clock
from quell.signals.labels import LabelSet
from quell.signals.limits import LimitStore
from quell.signals.memory import Memory
from quell.signals.stores import Store

HISTORY = "history"
"""What an event is late for that is older than the watermark and the allowed lateness let it be."""


@dataclass(slots=True)
class State:
    """The memory of one engine. Nothing in it reads a clock; every time is an event's.

    `memory` is what all counters share; its `late` gathers those that took the present event as of a later
    time.
    """

    stores: dict[str, Store] = field(default_factory=dict)
    labels: dict[tuple[str, str], LabelSet] = field(default_factory=dict)
    limits: dict[str, LimitStore] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    clock: Clock = field(default_factory=Clock)
    began: int | None = None

    def admit(self, at: int) -> int:
        """Take in the time of an event, before it is counted; gives the time at which it counts."""
        if self.began is None:
            self.began = self.memory.began = at
            for store in self.stores.values():
                store.began = at
        clock, memory = self.clock, self.memory
        now = clock.see(at)
        if clock.horizon is not memory.horizon:  # once in a block
            memory.horizon = clock.horizon
            for store in self.stores.values():
                store.sweep(4)
        if now > at:
            memory.late.append(HISTORY)
        return now

    @property
    def late(self) -> list[str]:
        """The counters that took the present event as of a later time."""
        return self.memory.late

    def label(self, kind: str, name: str) -> LabelSet:
        """The entities of a kind that carry a label."""
        found = self.labels.get((kind, name))
        if found is None:
            found = self.labels[kind, name] = LabelSet(self.clock)
        return found

    def limit(self, identity: str, count: int, every: int) -> LimitStore:
        """The limit of one effect; one that changed starts anew."""
        found = self.limits.get(identity)
        if found is None or (found.count, found.every) != (count, every):
            found = self.limits[identity] = LimitStore(count, every, self.clock)
        return found

    def carried(self, kind: str, id: str, names: Iterable[str], at: int) -> list[str]:
        """Which of the labels an entity carries at a time."""
        return [n for n in names if (kind, n) in self.labels and self.labels[(kind, n)].has(id, at)]
