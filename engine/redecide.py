"""Every decision of a journal, decided again: by the version of that day, with the memory of that moment, and
with what remote models answered then. Whether the same came out is the proof that nothing else decided.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import msgspec

from quell.engine.checkpoint import Data, begin, builds_of, oldest
from quell.engine.journal import read
from quell.engine.journal_format import number_of
from quell.engine.remake import RemakeError
from quell.engine.snapshot import uncollected

_STEP = 1_000


class Redecided(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of it: how many decisions and labels by hand were `made` again, beginning after which number
    (0: from the first), how many of them came out `differing` and the numbers of the first of those, how many
    decisions were still `waiting` at the end, and what is to be told, a sentence each."""

    made: int
    began: int
    differing: int = 0
    different: tuple[int, ...] = ()
    waiting: int = 0
    told: tuple[str, ...] = ()


def redecide(data: Data, tell: Callable[[int], None] = lambda number: None) -> Redecided:
    """Decide all again that can be: from the beginning of the journal, or, where that is gone, from the
    oldest snapshot. `tell` is told how far it has come. Raises RemakeError and JournalError."""
    builds = builds_of(data)
    with closing(read(data.journal)) as entries:
        first = next(entries, None)
    if first is None:
        return Redecided(0, 0)
    upto = 0
    if first.kind != "version":  # what came before is dropped
        snapshot = oldest(data)
        if snapshot is None:
            raise RemakeError("what came before the journal's first entry is gone, and there is no snapshot")
        upto = snapshot.number
    found = begin(data, builds, upto)
    with uncollected(), closing(read(data.journal, found.began)) as entries:
        for place, entry in enumerate(entries):
            found.remaker.take(entry)
            if place % _STEP == 0:
                tell(number_of(entry))
    remaker = found.remaker
    return Redecided(
        remaker.made,
        found.began,
        remaker.differing,
        tuple(remaker.different),
        len(remaker.waiting),
        (*found.told, *remaker.told),
    )
