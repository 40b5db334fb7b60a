"""Going on past damaged places of a journal that the memory needs: without what is lost, and saying so.

A start refuses such a journal. `mend` makes the rest of it again all the same and leaves the memory in a
snapshot behind the last damaged place, from which the next start goes on. Nothing else is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import msgspec

from quell.engine.checkpoint import (
    Data,
    Recovered,
    begin,
    builds_of,
    check_first,
    checkpoint_of,
    remove_parts,
)
from quell.engine.decision import Reply
from quell.engine.idempotency import Bounds, Known
from quell.engine.journal import JournalError, read
from quell.engine.journal_format import number_of
from quell.engine.remake import Quiet, RemakeError, Remaker
from quell.engine.service_types import Entry
from quell.engine.snapshot import uncollected, write_snapshot
from quell.engine.stepper import Observer
from quell.engine.waiting import Waiting

_ALL = Bounds((1 << 63) - 1, (1 << 62))
"""What a service remembers of Idempotency-Keys is bounded by its settings, which are not known here: the next
start lets go of what is too much."""


class Mended(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of it: what is `lost`, a sentence for each damaged place that the memory would need (none:
    there was nothing to do), the `number` that the new snapshot remembers, how many decisions were `made`
    again since the snapshot before, and how many of them came out `differing` since something is missing
    before them. `told` is what else is to be told."""

    lost: tuple[str, ...] = ()
    number: int = 0
    made: int = 0
    differing: int = 0
    told: tuple[str, ...] = ()


class _Past(Remaker):
    """Makes entries again though some before them may be missing."""

    lost = False
    """Whether some are missing before the next."""

    def take(self, entry: Entry, observe: Observer | None = None) -> Reply | None:
        """As in Remaker; a decision whose event is lost, or was decided already, is passed by."""
        if self.lost and entry.kind == "decided" and entry.seq not in self.waiting:
            self.stepper.seq = entry.decided
            return None
        if self.lost and entry.kind not in ("version", "decided") and entry.version != self.number:
            self._change(entry)  # what told of this version is lost
        return super().take(entry, observe)

    def _wait(self, entry: Entry, answer: Reply | Waiting) -> None:
        if self.lost and not isinstance(answer, Waiting):
            return  # the counters that its questions hang on have lost something
        super()._wait(entry, answer)

    def _at_once(self, entry: Entry, answer: Reply | Waiting, observe: Observer | None) -> Reply:
        if self.lost and isinstance(answer, Waiting):  # as above
            self.waiting[entry.seq] = answer
            return self._resume(entry, observe)
        return super()._at_once(entry, answer, observe)


def mend(data: Data) -> Mended:
    """Leave a snapshot behind the last damaged place that the memory needs, where there is one. Nobody may be
    serving the folder. Raises RemakeError, JournalError, SnapshotError and OSError."""
    builds = builds_of(data)
    known = Known(_ALL)
    found = begin(data, builds, known=known)
    lost: list[str] = []
    last = _quiet(found, data, lost)
    if not lost:
        return Mended(told=tuple(found.told))
    if not last:
        raise RemakeError(
            "behind the last damaged place there is no entry at which no decision waits",
            "put the damaged file back from a copy",
        )
    was = found.remaker
    past = _Past(builds, was.stepper if was.begun else None, was.number, data.fills, known)
    found.remaker = past
    with uncollected():
        for place, (entry, gap) in enumerate(_with_gaps(found, data, [])):
            if number_of(entry) > last:
                break
            past.lost = past.lost or gap
            if not place and not (gap and past.begun):
                check_first(found, entry)
            past.take(entry)
    past.finish()  # what waits still waits for decisions that are lost
    past.stepper.seq = last
    remove_parts(data.states)
    data.states.mkdir(exist_ok=True)
    write_snapshot(past.stepper, checkpoint_of(data, last, past.number), known)
    return Mended(tuple(lost), last, past.made, past.differing, (*found.told, *past.told))


def _with_gaps(found: Recovered, data: Data, lost: list[str]) -> Iterator[tuple[Entry, bool]]:
    """The entries after the snapshot, each with whether some are missing before it; what is `lost` is
    noted."""
    known = 0
    missing = lambda error: lost.append(error.message)  # noqa: E731
    with closing(read(data.journal, found.began, missing=missing)) as entries:
        for entry in entries:
            yield entry, len(lost) > known
            known = len(lost)
    if len(lost) > known:
        raise JournalError(lost[-1], "put the file back from a copy: nothing follows the damaged place")


def _quiet(found: Recovered, data: Data, lost: list[str]) -> int:
    """The last number behind all damaged places after which no decision waits, 0 for none."""
    quiet = Quiet()
    for entry, gap in _with_gaps(found, data, lost):
        if gap:
            quiet = Quiet()
        quiet.take(entry)
    return quiet.number
