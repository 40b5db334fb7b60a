"""Counters as columns: all that a store counted, in order of key and then of n, and stretches of that.

The rows of one key are independent of those of all others, and stand together here, oldest first. What a
reading sees is then a stretch between two places, and both are found by bisection of one sorted column of
whole numbers that hold key and n, or key and time: no row is compared with any other. Within a
key an entry counts as of the newest time so far, and a reading looks from the later of its own time and that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quell.replay.counters_sums import Array

_PACKED = 1 << 31
"""Keys are numbered below this, so that a number of a key and one of a row fit into one."""


@dataclass(slots=True)
class Rows:
    """Rows of one query that have all their keys, in order of key and n. `code` stands for the key, `place`
    says where a row stands in the query's answer, `given` are the times of that whole answer, `latest` what
    was looked up of them: other stores ask for the same windows."""

    code: Array
    n: Array
    now: Array
    place: Array
    given: Array
    latest: dict[tuple[int, int], Array] = field(default_factory=dict)


MOST_LATEST = 6
"""So many look-ups are kept with rows."""


def rows(code: Array, n: Array, now: Array, kept: Array | None = None) -> Rows:
    """The rows of a query in order, without those that have no key (code -1) or are not `kept`."""
    mask = code >= 0 if kept is None else (code >= 0) & kept
    place = np.arange(len(code)) if mask.all() else np.flatnonzero(mask)
    if not ascending(n):
        place = place[np.argsort(n[place], kind="stable")]
    place = place[_sorting(code[place])]
    return Rows(code[place], n[place], now[place], place, now)


def ascending(n: Array) -> bool:
    """Whether no number is less than the one before it."""
    return bool((n[1:] >= n[:-1]).all())


def _sorting(code: Array) -> Array:
    """The order of whole numbers from 0, equal ones as they stand: 16 bits at a time, which NumPy counts
    instead of comparing."""
    order = np.argsort((code & 0xFFFF).astype(np.uint16), kind="stable")
    for shift in range(16, int(code.max(initial=0)).bit_length(), 16):
        part = ((code[order] >> shift) & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(part, kind="stable")]
    return order


class Entries:
    """What a store counted, in order of key and n. `at` are the times as which entries count; the value of
    entry i stands at `origin[i]` of `values`, an Arrow column.

    `in_order` says that times run as n does in the whole history; then `seen`, the n and the times of at
    least all that counted, in order of n, turn a time into an n."""

    def __init__(self, of: Rows, values: Any, span: int, in_order: bool, seen: tuple[Array, Array]) -> None:
        self.code, self.n, self.values, self.origin = of.code, of.n, values, of.place
        self.in_order = in_order
        self.at = of.now if in_order else _newest(of.code, of.now)
        self._bits = span.bit_length()
        self._by_n = of.code << self._bits | of.n
        if in_order:
            self._seen = np.concatenate(([0], seen[0]))
            self._times = seen[1]
        else:
            self._times = np.unique(self.at)
            self._by_time = self.code * (len(self._times) + 1) + np.searchsorted(self._times, self.at)

    def upto(self, code: Array, n: Array) -> Array:
        """How many entries stand before those of the key that came after n."""
        return np.searchsorted(self._by_n, code << self._bits | n, side="right")

    def before(self, code: Array, n: Array) -> Array:
        """How many entries stand before those of the key that came at n or later."""
        return np.searchsorted(self._by_n, code << self._bits | n)

    def first(self, code: Array) -> Array:
        """How many entries stand before those of the key."""
        return np.searchsorted(self._by_n, code << self._bits)

    def newest(self, time: Array) -> Array:
        """Which n came last by a time, in a history in order."""
        return self._seen[np.searchsorted(self._times, time, side="right")]

    def back(self, of: Rows, back: int, resolution: int) -> Array:
        """How many entries stand before those of the key that count as of later than so long before a row, in
        a history in order. The time is rounded down to a multiple of a `resolution` above 0, and up to
        one of a negative one."""
        found = of.latest.get((back, resolution))
        if found is None:
            # The rows are asked in the order of n, as what is looked for then lies close together.
            found = self.newest(rounded_to(of.given - back, resolution))[of.place]
            if len(of.latest) < MOST_LATEST:
                of.latest[back, resolution] = found
        return self.upto(of.code, found)

    def after(self, code: Array, time: Array) -> Array:
        """How many entries stand before those of the key that count as of later than a time."""
        if self.in_order:
            return self.upto(code, self.newest(time))
        rank = np.searchsorted(self._times, time, side="right")
        return np.searchsorted(self._by_time, code * (len(self._times) + 1) + rank)


def rounded_to(time: Array, resolution: int) -> Array:
    """Times rounded down to a multiple of a resolution above 0, up to one of a negative one."""
    return time // resolution * resolution if resolution else time


def _newest(code: Array, now: Array) -> Array:
    """For every row the newest time of its key so far."""
    if not len(now):
        return now
    times, rank = np.unique(now, return_inverse=True)
    return times[np.maximum.accumulate(code * len(times) + rank) - code * len(times)]


# -------------------------------------------------------------------------------------------- keys


def codes(tables: Sequence[Any], types: Sequence[Any]) -> list[Array]:
    """For each table a whole number for every row's key, equal for equal keys in all tables, -1 where a part
    of it is missing. The parts are `k0`, `k1`, …, of the Arrow types given."""
    total = sum(t.num_rows for t in tables)
    out, missing, extent = np.zeros(total, np.int64), np.zeros(total, bool), 1
    for i, type_ in enumerate(types):
        chunks = [c for t in tables for c in t.column(f"k{i}").cast(type_).chunks]
        found, size = encoded(pa.chunked_array(chunks, type_))
        missing |= found < 0
        out, extent = out * size + np.maximum(found, 0), extent * size
        if extent >= _PACKED:
            different, out = np.unique(out, return_inverse=True)
            extent = len(different)
    out[missing] = -1
    return np.split(out, np.cumsum([t.num_rows for t in tables])[:-1])


def encoded(column: Any) -> tuple[Array, int]:
    """An Arrow column as whole numbers from 0, equal for equal values, -1 for what is missing; and how many
    different ones there may be."""
    if pa.types.is_floating(column.type):
        column = pc.call_function("add", [column, 0.0])  # there is one zero
    found = column.dictionary_encode().unify_dictionaries().combine_chunks()
    if isinstance(found, pa.ChunkedArray):  # of no chunk
        return np.zeros(0, np.int64), 1
    indices = found.indices.fill_null(-1) if found.indices.null_count else found.indices
    return indices.to_numpy(zero_copy_only=False).astype(np.int64), max(1, len(found.dictionary))
