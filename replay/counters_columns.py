"""Counters as columns: all that a store counted, in order of key and then of n, and stretches of that.

The rows of one key are independent of those of all others, and stand together here, oldest first. What a
reading sees is then a stretch between two places, and both are found by bisection of one sorted column of
whole numbers that hold key and n, or key and time: no row is compared with any other. Within a
key an entry counts as of the newest time so far, and a reading looks from the later of its own time and that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    says where a row stands in the query's answer."""

    code: Array
    n: Array
    now: Array
    place: Array


def rows(code: Array, n: Array, now: Array, span: int, kept: Array | None = None) -> Rows:
    """The rows of a query in order, without those that have no key (code -1) or are not `kept`. `span` is
    more than any n."""
    mask = code >= 0 if kept is None else (code >= 0) & kept
    place = np.nonzero(mask)[0]
    if len(place) < len(code):
        code, n, now = code[place], n[place], now[place]
    order = np.argsort(code * span + n, kind="stable")
    return Rows(code[order], n[order], now[order], place[order])


@dataclass(slots=True)
class Entries:
    """What a store counted, in order of key and n. `at` are the times as which entries count; the value of
    entry i stands at `origin[i]` of `values`, an Arrow column. `span` is more than any n."""

    code: Array
    n: Array
    at: Array
    values: Any
    origin: Array
    in_order: bool
    span: int
    _by_n: Array
    _by_time: Array | None = None
    _times: Array | None = None

    def upto(self, code: Array, n: Array) -> Array:
        """How many entries stand before those of the key that came after n."""
        return np.searchsorted(self._by_n, code * self.span + n, side="right")

    def before(self, code: Array, n: Array) -> Array:
        """How many entries stand before those of the key that came at n or later."""
        return np.searchsorted(self._by_n, code * self.span + n)

    def first(self, code: Array) -> Array:
        """How many entries stand before those of the key."""
        return np.searchsorted(self._by_n, code * self.span)

    def after(self, code: Array, time: Array) -> Array:
        """How many entries stand before those of the key that count as of later than a time."""
        if self._times is None:
            self._index_times()
        rank = np.searchsorted(self._times, time, side="right")
        if self.in_order:  # times run as n does
            return np.searchsorted(self._by_n, code * self.span + self._by_time[rank], side="right")
        return np.searchsorted(self._by_time, code * (len(self._times) + 1) + rank)

    def _index_times(self) -> None:
        if self.in_order:
            order = np.argsort(self.n, kind="stable")
            self._times, self._by_time = self.at[order], np.concatenate(([0], self.n[order]))
            return
        self._times = np.unique(self.at)
        self._by_time = self.code * (len(self._times) + 1) + np.searchsorted(self._times, self.at)


def entries(of: Rows, values: Any, in_order: bool, span: int) -> Entries:
    """Entries from rows; their `place` is where their values stand."""
    at = of.now if in_order else _newest(of.code, of.now)
    return Entries(of.code, of.n, at, values, of.place, in_order, span, of.code * span + of.n)


def _newest(code: Array, now: Array) -> Array:
    """For every row the newest time of its key so far."""
    if not len(now):
        return now
    times, rank = np.unique(now, return_inverse=True)
    return times[np.maximum.accumulate(code * len(times) + rank) - code * len(times)]


# -------------------------------------------------------------------------------------------- keys


def codes(tables: Sequence[Any], types: Sequence[Any]) -> list[Array]:
    """For each table a whole number for every row's key, equal for equal keys in all tables, -1 where a part of
    it is missing. The parts are `k0`, `k1`, …, of the Arrow types given."""
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
        column = pc.add(column, 0.0)  # there is one zero
    found = column.dictionary_encode().unify_dictionaries().combine_chunks()
    if isinstance(found, pa.ChunkedArray):  # of no chunk
        return np.zeros(0, np.int64), 1
    indices = found.indices.fill_null(-1) if found.indices.null_count else found.indices
    return indices.to_numpy(zero_copy_only=False).astype(np.int64), max(1, len(found.dictionary))
