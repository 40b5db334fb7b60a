"""The oracle's labels: everything that was done to one is kept, and a reading goes through all of it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from quell.engine.symbols import Symbols

LabelKey = tuple[str, str, str]
"""An entity's kind, its id, the label."""
HAND = "quell.label"


class Deed(NamedTuple):
    """One thing done to a label: `set` and `off` by rules, `put`, `take` and `release` by people."""

    what: str
    at: int
    until: int | None = None
    by: str = ""


class Seen(NamedTuple):
    """What a reading finds: whether the label is there, since when, what a person's word is, and until when
    it stays by itself (None for good)."""

    on: bool
    since: int
    hand: Deed | None
    until: int | None


def lasts(until: int | None, at: int) -> bool:
    """Whether what ends then still holds."""
    return until is None or at < until


def seen(deeds: list[Deed], at: int) -> Seen:
    """What all that was done comes to at a time."""
    ends: list[int | None] = []
    hand: Deed | None = None
    since = 0

    def word(t: int) -> Deed | None:
        return hand if hand is not None and lasts(hand.until, t) else None

    def beneath(t: int) -> bool:
        return any(lasts(u, t) for u in ends)

    def shows(t: int) -> bool:
        said = word(t)
        return beneath(t) if said is None else said.what == "put"

    def shown_since() -> int:
        """A label that showed only once a removal expired is there since then."""
        if hand is not None and hand.what == "take" and hand.until is not None:
            return max(since, hand.until)
        return since

    for deed in deeds:
        t = deed.at
        if deed.what == "set":
            said = word(t)
            if not beneath(t) and not (said is not None and said.what == "put"):
                since = t
            ends.append(deed.until)
        elif deed.what == "off":
            ends.clear()
        elif deed.what == "put":
            since = shown_since() if shows(t) else t
            hand = deed
        elif deed.what == "take":
            ends.clear()
            hand = deed
        elif (said := word(t)) is not None:
            since = t if said.what == "take" else since
            hand = None
    last = [*ends, *([hand.until] if hand is not None and hand.what == "put" else [])]
    until = None if None in last else max((u for u in last if u is not None), default=0)
    return Seen(shows(at), shown_since(), word(at), until)


def said_by_hand(data: bytes) -> dict[str, Any] | None:
    """The record, if it says what a person did."""
    try:
        record = json.loads(data)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.get("type") == HAND else None


def deed_of(record: dict[str, Any], symbols: Symbols) -> tuple[LabelKey, Deed] | None:
    """What a record (its times in microseconds, its `for` in seconds) does to which label; None for a label
    that is not declared."""
    kind, label = record["entity"], record["label"]
    if kind not in symbols.entities or label not in symbols.labels(kind):
        return None
    at = record["at"]
    until = at + round(record["for"] * 1_000_000) if "for" in record else record.get("until")
    what = {"set": "put", "remove": "take", "release": "release"}[record["action"]]
    return (kind, record["id"], label), Deed(what, at, until, record["by"])
