"""About how much memory a table takes, from a sample of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from sys import getsizeof
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")
SAMPLE = 1_000
"""Rows that are looked at, at most."""


def size_of(table: Mapping[K, V], size: Callable[[K, V], int]) -> int:
    """The bytes of a table whose rows take `size`, its own among them; of a large one, by a sample."""
    rows = islice(table.items(), SAMPLE)
    sample = [size(key, value) for key, value in rows]
    return getsizeof(table) + (sum(sample) * len(table) // len(sample) if sample else 0)
