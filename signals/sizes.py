"""About how much memory a table takes, from a sample of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")
SAMPLE = 1_000
"""Rows that are looked at, at most."""
ROW = 100
"""About what a row takes in a dictionary, without its key and value."""


def size_of(table: Mapping[K, V], size: Callable[[K, V], int]) -> int:
    """The bytes of a table whose rows take `size`, its own among them; of a large one, by a sample."""
    rows = islice(table.items(), SAMPLE)
    sample = [size(key, value) for key, value in rows]
    return ROW * len(table) + (sum(sample) * len(table) // len(sample) if sample else 0)
