"""Keys of counters and limits as plain values for a snapshot, and back: a tuple is a list there."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any


def key_out(key: Any) -> Any:
    """A key as msgpack has it."""
    return [key_out(part) for part in key] if isinstance(key, tuple) else key


def key_from(plain: Any) -> Hashable:
    """The key that `key_out` gave."""
    return tuple(key_from(part) for part in plain) if isinstance(plain, list) else plain
