"""The store that a counter's readings need."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from quell.signals.counters import CountStore
from quell.signals.counters_coarse import CoarseCountStore, CoarseNumberStore
from quell.signals.counters_distinct import DistinctStore
from quell.signals.counters_event import EventStore
from quell.signals.counters_ever import EverCountStore
from quell.signals.counters_number import NumberStore
from quell.signals.memory import Memory

Store = CountStore | DistinctStore | NumberStore | EventStore | CoarseCountStore | CoarseNumberStore


def make_store(
    kind: str,
    name: str,
    longest: int | None,
    needs: Collection[str] = (),
    log: bool = False,
    resolution: int = 0,
    memory: Memory | None = None,
    recent: int | None = None,
) -> Store:
    """An empty store. `kind` is `count`, `distinct`, `number` or `event`; `longest` the longest look-back of
    any reading in microseconds, None for ever; `needs` the functions that read it, in the words of the
    language; `log` whether a reading ends before the present; `resolution` microseconds, 0 for exact;
    `recent` the longest look-back of the readings that are not for ever, None when that is not known.

    Raises ValueError for a kind that there is not."""
    shared = memory if memory is not None else Memory()
    made: Any
    if kind == "count":
        made = (
            CoarseCountStore(name, longest, shared, resolution)
            if resolution
            else CountStore(name, longest, shared)
            if longest is not None or recent is None
            else EverCountStore(name, shared, recent)
        )
    elif kind == "number":
        made = (
            CoarseNumberStore(name, longest, shared, resolution)
            if resolution
            else NumberStore(name, longest, shared, _held(needs), log, recent)
        )
    elif kind == "distinct":
        made = DistinctStore(name, longest, shared, log, "values" in needs)
    elif kind == "event":
        made = EventStore(name, longest, shared)
    else:
        raise ValueError(f"no counter is kept as `{kind}`")
    store: Store = made
    store.began = shared.began
    return store


def _held(needs: Collection[str]) -> set[str]:
    """What a number store keeps for the functions that read it."""
    words = {"sum": "sum", "mean": "sum", "stddev": "squares", "min": "min", "max": "max"}
    return {words[n] for n in needs if n in words}
