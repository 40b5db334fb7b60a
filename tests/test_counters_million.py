"""A million events under zipf keys: every reading against arrays sorted by key, without a difference."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from quell.signals.clock import Clock
from quell.signals.memory import Memory
from quell.signals.stores import make_store

EVENTS = 1_000_000
KEYS = 300_000
HOUR = 3_600_000_000
Array = np.ndarray[Any, np.dtype[np.int64]]


class Load(NamedTuple):
    """Events in the order of admission: keys, values, when each counts, and the horizon at that time."""

    keys: list[int]
    values: list[int]
    now: list[int]
    horizons: list[int | None]


class Sorted(NamedTuple):
    """The same by key, each key's events in order: where each stood, and where its window begins."""

    order: Array
    low: Array


@lru_cache(1)
def load() -> Load:
    """A day of events of which many come up to half an hour late, and some later than is allowed."""
    dice = np.random.default_rng(20)
    weights = 1 / np.arange(1, KEYS + 1) ** 1.05
    keys = dice.choice(KEYS, EVENTS, p=weights / weights.sum())
    at = 1_700_000_000_000_000 + np.cumsum(dice.integers(0, 2 * 86_400_000_000 // EVENTS, EVENTS))
    at -= np.where(dice.random(EVENTS) < 0.2, dice.integers(0, HOUR // 2, EVENTS), 0)
    at -= np.where(dice.random(EVENTS) < 0.001, dice.integers(0, 5 * HOUR, EVENTS), 0)
    clock, now, horizons = Clock(), [], []
    for time in at.tolist():
        now.append(clock.see(time))
        horizons.append(clock.horizon)
    return Load(keys.tolist(), dice.integers(-500, 500, EVENTS).tolist(), now, horizons)


@lru_cache(1)
def by_key() -> Sorted:
    """The load by key. Times of a key never run backwards."""
    keys, now = np.array(load().keys), np.array(load().now)
    order = np.argsort(keys, kind="stable")
    keys, times = keys[order], now[order]
    span = int(now.max() - now.min()) + 2 * HOUR
    lifted = (times - now.min()) + keys * span  # so that one running maximum keeps keys apart
    lifted = np.maximum.accumulate(lifted)
    low = np.searchsorted(lifted, lifted - HOUR, side="right")
    low = np.maximum(low, np.searchsorted(keys, keys, side="left"))
    return Sorted(order, low)


def wanted(kind: str) -> Array:
    """What a reading must give at every event, in the order of the sorted load."""
    held, values = by_key(), np.array(load().values)[by_key().order]
    here = np.arange(EVENTS)
    if kind == "count":
        return here - held.low + 1
    if kind == "sum":
        upto = np.concatenate(([0], np.cumsum(values)))
        return np.asarray(upto[here + 1] - upto[held.low])
    if kind == "max":
        return greatest(values, held.low, here)
    if kind == "last":
        return np.where(held.low < here, values[here - 1], 10_000)
    out, seen, start = np.empty(EVENTS, dtype=np.int64), Counter[int](), 0
    listed, lows = values.tolist(), held.low.tolist()
    for place in range(EVENTS):
        while start < lows[place]:
            seen[listed[start]] -= 1
            if not seen[listed[start]]:
                del seen[listed[start]]
            start += 1
        seen[listed[place]] += 1
        out[place] = len(seen)
    return out


def greatest(values: Array, low: Array, high: Array) -> Array:
    """The greatest of values[low] to values[high], from the greatest of stretches of 1, 2, 4, …"""
    tables, width = [values], 1
    while width < int((high - low).max()) + 1:
        last = tables[-1]
        tables.append(np.maximum(last, np.concatenate((last[width:], last[-1:].repeat(width)))))
        width *= 2
    level = np.floor(np.log2(high - low + 1)).astype(np.int64)
    stacked = np.stack(tables)
    return np.asarray(np.maximum(stacked[level, low], stacked[level, high - (1 << level) + 1]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["count", "distinct", "sum", "max", "last"])
def test_a_million_events_without_a_difference(kind: str) -> None:
    events, memory = load(), Memory()
    store_kind = {"count": "count", "distinct": "distinct", "last": "event"}.get(kind, "number")
    store: Any = make_store(store_kind, kind, HOUR, (kind,), memory=memory)
    found, most = [], 0
    read = getattr(store, "count" if kind == "distinct" else kind)
    rest = () if kind in ("count", "distinct") else (kind == "last",)
    for key, value, now, memory.horizon in zip(*events, strict=True):
        store.add(key, *(() if kind == "count" else (value,)), now)
        found.append(read(key, now, HOUR, *rest))
        most = max(most, store.keys())
    told = np.array([10_000 if f is None else f for f in found])[by_key().order]
    assert int((told != wanted(kind)).sum()) == 0
    assert most < len(set(events.keys)) * 0.6, "idle keys stayed"
    assert len(memory.late) > EVENTS * 0.01
    assert memory.full == []
