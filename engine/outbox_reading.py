"""Sends that found no room in memory, read from the journal again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from quell.engine.decision import Decision
from quell.engine.journal_format import JournalError, number_of
from quell.engine.journal_read import Missing, read
from quell.engine.outbox_acks import Place
from quell.engine.outbox_types import weight_of

Reader = Callable[[int, int], Iterable["tuple[int, Decision] | tuple[int, Decision, int]"]]
"""Gives the decisions with numbers of a range, both ends included, in order; each perhaps with when it was
taken (microseconds since 1970)."""


Taken = tuple[int, Decision, int | None]
_SENDS = b'"sends":['
"""Only the reply of a decision that sends something has this: in a text the quotes would be escaped."""
MOST_PIECE = 8 << 20
"""Bytes, about, of the sends that are read again at a time."""
PIECE = 500
"""Decisions that are read at a time, to be resumed."""


class Unread(Exception):
    """The journal has not on disk yet what is to be read."""


class Wanted(NamedTuple):
    """The sends of a sink from the place `first` to the number `last`, but at most `most`; the last is `sure`
    to be there."""

    sink: str
    first: Place
    last: int
    most: int
    sure: bool


class Found(NamedTuple):
    """Number, index, decision and time of each; and the place of the next, where there were more."""

    sends: list[tuple[int, int, Decision, int | None]]
    next: Place | None


class Piece(NamedTuple):
    """Some decisions, and the number from which on there may be more."""

    decisions: list[Taken]
    next: int


class Resuming:
    """What the journal holds from the number `first` on, read piece by piece. Whoever has dealt with a piece
    sets `first` to its `next`; nothing is left once that has `ended` it."""

    def __init__(self, reader: Reader, first: int, last: int) -> None:
        self.first = first
        self._last = last
        self._sends = False
        """Whether the last number is known to send something."""
        self._reader = reader
        self._reading: Iterator[tuple[int, Decision] | tuple[int, Decision, int]] | None = None
        self._to = (0, False)

    @property
    def ended(self) -> bool:
        """Whether all was read."""
        return self.first > self._last

    def extend(self, number: int) -> None:
        """Have it go on to a number that sends something."""
        self._last, self._sends = number, True

    def read(self, sure: bool) -> Piece:
        """The next piece, in any thread. Raises what the reader raises, and, if the last number is `sure` to
        be there, Unread where it is not yet."""
        if self._reading is None:
            self._to = (self._last, self._sends)
            self._reading = iter(self._reader(self.first, self._to[0]))
        try:
            found = [_with_time(one) for one in islice(self._reading, PIECE)]
        except BaseException:
            self._reading = None
            raise
        next = found[-1][0] + 1 if found else self.first
        if len(found) < PIECE:
            self._reading = None
            last, sends = self._to
            if not (sends and sure) or next > last:
                return Piece(found, last + 1)
            if not found:
                raise Unread(f"it does not have number {last:,} yet")
        return Piece(found, next)


def _with_time(one: tuple[int, Decision] | tuple[int, Decision, int]) -> Taken:
    return (one[0], one[1], one[2] if len(one) == 3 else None)


def read_again(reader: Reader, wanted: Wanted) -> Found:
    """Read what is wanted. Raises Unread where the last of it is sure to be there and does not come."""
    sends: list[tuple[int, int, Decision, int | None]] = []
    came, weight = False, 0
    for number, decision, *taken in reader(wanted.first[0], wanted.last):
        for index, sent in enumerate(decision.sends):
            place = (number, index)
            if sent.sink != wanted.sink or place < wanted.first:
                continue
            if len(sends) >= wanted.most or weight >= MOST_PIECE:
                return Found(sends, place)
            weight += weight_of(sent.payload)
            sends.append((number, index, decision, int(taken[0]) if taken else None))
            came = came or number == wanted.last
    if wanted.sure and not came:
        raise Unread(f"it does not have number {wanted.last:,} yet")
    return Found(sends, None)


_decode = msgspec.json.Decoder(Decision).decode


def _go_on(missing: JournalError) -> None:
    """What is damaged is told at the start; what lies behind it is sent all the same."""


def decisions_of(journal: Path, missing: Missing = _go_on) -> Reader:
    """A reader of the decisions that send something, from a journal's folder. `missing` hears of each damaged
    place that costs decisions: what they sent is lost."""

    def reader(first: int, last: int) -> Iterator[tuple[int, Decision, int]]:
        with closing(read(journal, first - 1, missing=missing)) as entries:
            for entry in entries:
                if number_of(entry) > last:
                    return
                if _SENDS in entry.reply and entry.kind in ("event", "decided"):
                    yield entry.decided, _decode(entry.reply), entry.wall

    return reader
