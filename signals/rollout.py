"""Stable buckets for rollouts: the same key is in or out on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from quell.grammar.literals import spell_number


def bucket(name: str, keys: Sequence[Any]) -> float | None:
    """Where a key stands for a rule's first name, from 0 to 1; None when a part of the key is missing.

    The first 8 bytes of SHA-256 over the name and the parts, each after its length, as a fraction: a key
    stays in as the share grows, and two rules put it in unrelated places.
    """
    digest = sha256()
    for part in (name, *keys):
        if part is None:
            return None
        text = (
            part if isinstance(part, str) else spell_number(part) if not isinstance(part, bool) else str(part)
        )
        raw = text.encode("utf-8")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return int.from_bytes(digest.digest()[:8], "big") / 2**64


def inside(name: str, share: float, keys: Sequence[Any]) -> bool:
    """Whether a key is in the first `share` of a rule's buckets. A missing key is outside."""
    place = bucket(name, keys)
    return place is not None and (place < share or share >= 1)
