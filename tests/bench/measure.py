"""Timing side by side: the contenders take turns, and what counts is the ratio of each turn."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable


def once(work: Callable[[], object]) -> float:
    """Seconds of one run, without the collector's pauses."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    finally:
        gc.enable()


def ratio(
    ours: Callable[[], object], theirs: Callable[[], object], turns: int = 9
) -> tuple[float, float, float]:
    """The median ratio of ours to theirs over so many turns, and the median seconds of each."""
    ours()
    theirs()
    pairs = []
    for turn in range(turns):
        if turn % 2:
            b, a = once(theirs), once(ours)
        else:
            a, b = once(ours), once(theirs)
        pairs.append((a, b))
    return (
        statistics.median(a / b for a, b in pairs),
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
    )
