"""A journal as events: what was admitted in the order in which it was counted, labels by hand among it.

The replies in it are passed over: whoever decides these events decides them anew, each before the next. What
remote models answered in service is for those who look at the replies too (`quell replay`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from quell.engine.decision import Acted
from quell.engine.journal_chain import Chain
from quell.engine.journal_format import JournalError, number_of
from quell.engine.journal_read import JournalReader
from quell.engine.remake import action_of
from quell.engine.service_types import Entry
from quell.engine.source_base import Payload, Source, SourceError

_RECORD = 600
"""Bytes of an entry, about: for how far reading is, and nothing else."""
_acted = msgspec.json.Decoder(Acted)


class JournalEvents(Source):
    """The events and labels by hand of a journal, each with its number.

    `upto` is the last number to read, None for all that is there; `last` the last that was read.
    """

    unit = "rows"

    def __init__(self, path: str, upto: int | None = None) -> None:
        self.name = Path(path).name
        self.last = 0
        self._upto = upto
        self._position = 0
        self._reader = JournalReader(path)
        try:
            self.total = _entries(Chain(Path(path)))
        except JournalError as error:
            raise SourceError(error.message, error.hint) from error

    @property
    def position(self) -> int:
        """How many entries have been read."""
        return self._position

    def close(self) -> None:
        """Let go of the files."""
        self._reader.close()

    def __iter__(self) -> Iterator[tuple[int, Payload]]:
        try:
            for entries in self._reader.pieces():
                for entry in entries:
                    number = number_of(entry)
                    if self._upto is not None and number > self._upto:
                        return
                    self.last = number
                    self._position += 1
                    self.note(entry)
                    if entry.kind in ("event", "admitted"):
                        yield entry.seq, entry.event
                    elif entry.kind == "acted":
                        yield entry.seq, action_of(_acted.decode(entry.reply))
        except JournalError as error:
            hint = "`quell journal export --events-only` takes out what can be read"
            raise SourceError(error.message, hint) from error

    def note(self, entry: Entry) -> None:
        """Hear of each entry before what it gives: for those who want more of it."""


def _entries(chain: Chain) -> int | None:
    """About how many entries a journal holds."""
    valid = chain.valid(chain.listed())
    if not valid:
        return None
    first, last = chain.head(valid[0]), chain.head(valid[-1])
    try:
        size = valid[-1].path.stat().st_size
    except OSError:
        size = 0
    before = last.before - first.before if first is not None and last is not None else 0
    return max(1, before + size // _RECORD)
