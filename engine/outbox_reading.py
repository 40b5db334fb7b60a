"""Sends that found no room in memory, read from the journal again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from quell.engine.decision import Decision
from quell.engine.outbox_acks import Place

Reader = Callable[[int, int], Iterable["tuple[int, Decision] | tuple[int, Decision, int]"]]
"""Gives the decisions with numbers of a range, both ends included, in order; each perhaps with when it was
taken (microseconds since 1970)."""


class Unread(Exception):
    """The journal has not on disk yet what is to be read."""


class Wanted(NamedTuple):
    """The sends of a sink from the place `first` to the number `last`, but at most `most`."""

    sink: str
    first: Place
    last: int
    most: int


class Found(NamedTuple):
    """Number, index, decision and time of each; and the place of the next, where there were more."""

    sends: list[tuple[int, int, Decision, int | None]]
    next: Place | None


def read_again(reader: Reader, wanted: Wanted) -> Found:
    """Read what is wanted. Raises Unread where the last of it does not come, as it is known to be there."""
    sends: list[tuple[int, int, Decision, int | None]] = []
    came = False
    for number, decision, *taken in reader(wanted.first[0], wanted.last):
        for index, sent in enumerate(decision.sends):
            place = (number, index)
            if sent.sink != wanted.sink or place < wanted.first:
                continue
            if len(sends) >= wanted.most:
                return Found(sends, place)
            sends.append((number, index, decision, int(taken[0]) if taken else None))
            came = came or number == wanted.last
    if not came:
        raise Unread(f"it does not have number {wanted.last:,} yet")
    return Found(sends, None)
