"""What counters cost: `python -m tests.bench.counters`.

An update and a read of a count against a bare deque per key that does only that: popping what is old,
appending, taking the length. Once with the deque behind two functions, as the store is, and once written
into the loop. Then the memory that a key takes, against 2 × 8 bytes for each of its times and 100 more, and
the other kinds of store against what one would write without thinking.
"""

from __future__ import annotations

import argparse
import gc
import random
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any

from rich.console import Console
from rich.table import Table

from quell.signals.memory import Memory
from quell.signals.stores import make_store
from tests.bench.measure import ratio

HOUR = 3_600_000_000
START = 1_700_000_000_000_000
GOAL = 1.5

Row = tuple[str, float, float | None, str]
"""What was compared, the figure, the goal it is held against, and more in words."""
Event = tuple[Any, int]
"""A key and a time."""


def history(keys: list[Any], an_hour: int, seed: int = 1) -> list[Event]:
    """Events under those keys, so many an hour."""
    dice, at, out = random.Random(seed), START, []
    for key in keys:
        at += 1 + int(dice.expovariate(an_hour / HOUR))
        out.append((key, at))
    return out


def drawn(number: int, keys: int, zipf: float = 0.0) -> list[str]:
    """Keys drawn evenly, or the n-th as often as 1 / n to a power."""
    weights = list(accumulate(1 / (n + 1) ** zipf for n in range(keys)))
    names = [f"user-{n}" for n in range(keys)]
    return random.Random(2).choices(names, cum_weights=weights, k=number)


class Deques:
    """Sliding counts as one writes them by hand: a deque per key."""

    def __init__(self) -> None:
        self.held: dict[Any, deque[int]] = {}

    def add(self, key: Any, at: int) -> None:
        """Count one event."""
        times = self.held.get(key)
        if times is None:
            times = self.held[key] = deque()
        low = at - HOUR
        while times and times[0] <= low:
            times.popleft()
        times.append(at)

    def count(self, key: Any, at: int, within: int) -> int:
        """The events in the window."""
        times = self.held.get(key)
        if times is None:
            return 0
        low = at - within
        while times and times[0] <= low:
            times.popleft()
        return len(times)


def blocks(events: list[Event]) -> Iterator[tuple[int, list[Event]]]:
    """The events as the engine takes them: the horizon moves once in 256."""
    for start in range(0, len(events), 256):
        block = events[start : start + 256]
        yield block[0][1] - HOUR, block


def ours(events: list[Event]) -> int:
    """Every event counted, and its key read."""
    memory, out = Memory(), 0
    store: Any = make_store("count", "c", HOUR, memory=memory)
    for horizon, block in blocks(events):
        memory.horizon = horizon
        for key, at in block:
            store.add(key, at)
            out += store.count(key, at, HOUR)
    return out


def in_functions(events: list[Event]) -> int:
    """The same by deques behind the same two functions."""
    store, out = Deques(), 0
    for _, block in blocks(events):
        for key, at in block:
            store.add(key, at)
            out += store.count(key, at, HOUR)
    return out


def in_place(events: list[Event]) -> int:
    """The same with the deques written into the loop: no call, and one look-up for both."""
    held: dict[Any, deque[int]] = {}
    out = 0
    for _, block in blocks(events):
        for key, at in block:
            times = held.get(key)
            if times is None:
                times = held[key] = deque()
            low = at - HOUR
            while times and times[0] <= low:
                times.popleft()
            times.append(at)
            out += len(times)
    return out


def count_rows(turns: int, events: int) -> list[Row]:
    """An update and a read of a one-hour count."""
    out: list[Row] = []
    loads = {
        "zipf keys": history(drawn(events, 20_000, 1.1), events // 3),
        "even keys, 10 an hour each": history(drawn(events, max(events // 30, 1)), events // 3),
        "even keys, 1 an hour each": history(drawn(events, events // 3), events // 3),
    }
    for name, load in loads.items():
        if not ours(load) == in_functions(load) == in_place(load):
            raise SystemExit(f"the contenders disagree on {name}")
        for against, theirs, goal in (
            ("a deque in two functions", in_functions, GOAL),
            ("a deque in place", in_place, None),
        ):
            figure, a, b = ratio(lambda load=load: ours(load), lambda load=load, f=theirs: f(load), turns)  # type: ignore[misc]  # mypy infers no type for a lambda with defaults
            detail = f"{a / events * 1e9:.0f} ns against {b / events * 1e9:.0f} of {against}"
            out.append((f"count and read, {name}", figure, goal, detail))
    return out


def held_bytes(events: Iterable[Event]) -> int:
    """The bytes that a one-hour count of the events takes, their keys left out."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    store: Any = make_store("count", "c", HOUR)
    for key, at in events:
        store.add(key, at)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return taken


def memory_rows(keys: int) -> list[Row]:
    """Bytes a key, against the budget: 1 is all of it."""
    names = [f"user-{n}" for n in range(keys)]
    pairs = [(name, 7) for name in names]
    out: list[Row] = []
    for kind, some in (("", names), (" of two parts", pairs)):
        for number in (1, 2, 3, 4, 5, 7, 10, 11, 19, 100):
            few = some[: max(2_000, len(some) // number)]
            taken = held_bytes(
                (key, START + HOUR * i // (number + 1) + n)
                for i in range(number)
                for n, key in enumerate(few)
            )
            each, budget = taken / len(few), 2 * 8 * number + 100
            out.append(
                (f"memory, {number} a key{kind}", each / budget, 1.0, f"{each:.0f} bytes of {budget} a key")
            )
    load = [(key, START + n) for n, key in enumerate(drawn(10 * keys, keys, 1.1))]
    live = len({key for key, _ in load})
    taken, budget = held_bytes((key, at + 0) for key, at in load), 2 * 8 * len(load) + 100 * live
    detail = f"{taken / live:.0f} bytes of {budget / live:.0f} a key, {len(load) / live:.0f} times each"
    return [*out, ("memory, zipf keys", taken / budget, 1.0, detail)]


def scanned(work: Callable[[list[Any]], Any]) -> Callable[[list[Event]], None]:
    """A reading as one writes it without thinking: keep all, throw out what is old, go through the rest."""

    def run(events: list[Event]) -> None:
        held: dict[Any, deque[tuple[int, Any]]] = {}
        for key, at in events:
            times = held.get(key)
            if times is None:
                times = held[key] = deque()
            while times and times[0][0] <= at - HOUR:
                times.popleft()
            times.append((at, at % 1_000))
            work([v for _, v in times])

    return run


def other_rows(turns: int, events: int) -> list[Row]:
    """The other kinds, each with the readings it is made for."""
    load = history(drawn(events, 2_000, 1.1), events // 3)

    def stored(kind: str, word: str, needs: tuple[str, ...]) -> Callable[[], None]:
        def run() -> None:
            store: Any = make_store(kind, "c", HOUR, needs)
            read = getattr(store, word)
            rest = () if kind == "distinct" and word == "count" else (False,)
            for key, at in load:
                store.add(key, at % 1_000, at)
                read(key, at, HOUR, *rest)

        return run

    naive: dict[str, tuple[str, str, Callable[[list[Any]], Any]]] = {
        "distinct": ("distinct", "count", lambda v: len(set(v))),
        "values": ("distinct", "values", lambda v: list(dict.fromkeys(reversed(v)))[:100]),
        "sum": ("number", "sum", sum),
        "stddev": ("number", "stddev", lambda v: sum(x * x for x in v) - sum(v) ** 2 / len(v)),
        "max": ("number", "max", max),
        "last": ("event", "last", lambda v: v[-1]),
    }
    out: list[Row] = []
    for name, (kind, word, work) in naive.items():
        theirs = scanned(work)
        figure, a, b = ratio(stored(kind, word, (word,)), lambda f=theirs: f(load), turns)  # type: ignore[misc]  # as above
        detail = f"{a / events * 1e9:.0f} ns against {b / events * 1e9:.0f} of going through the window"
        out.append((f"{name}, zipf keys", figure, None, detail))
    return out


def rows(turns: int = 9, events: int = 60_000, keys: int = 100_000) -> list[Row]:
    """Everything."""
    return [
        *count_rows(turns, events),
        *memory_rows(keys),
        *other_rows(min(turns, 3), events // 3),
    ]


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description="Counters against the same written by hand, side by side.")
    parser.add_argument("--turns", type=int, default=9, help="turns per comparison")
    parser.add_argument("--events", type=int, default=60_000, help="events per turn")
    parser.add_argument("--keys", type=int, default=100_000, help="keys whose memory is measured")
    options = parser.parse_args()
    table = Table("what", "figure", "goal", "met", "detail", title="Counters against hand-written Python")
    for what, figure, goal, detail in rows(options.turns, options.events, options.keys):
        met = "" if goal is None else ("yes" if figure <= goal else "no")
        table.add_row(what, f"{figure:.2f}", "" if goal is None else f"≤ {goal:g}", met, detail)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
