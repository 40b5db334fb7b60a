"""Reading a journal: its entries in order, whatever form its segments have, while another process writes.

    for entry in read("data/journal", after=41):
        …

A reader holds no lock. It takes the segments in the order in which they were begun, stops before a record
that is still being written, and finds the Parquet file of a segment that was packed under it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path

from quell.engine.journal_chain import Chain, unreadable
from quell.engine.journal_format import Damage, JournalError, Segment, number_of, segments_of
from quell.engine.journal_packed import PackedFile
from quell.engine.journal_records import SegmentFile, Tell
from quell.engine.service_types import Entry

_HINT = "name a journal's folder, or the data folder above it"
_TRIES = 100
"""Times that a segment may vanish between being listed and being opened."""


Missing = Callable[[JournalError], None]
"""Hears of each damaged place that costs entries, and what to say of it."""


def read(
    folder: str | Path, after: int = 0, *, tell: Tell | None = None, missing: Missing | None = None
) -> Generator[Entry]:
    """The entries of a journal whose number is greater than `after`, in order, up to the last that is whole.
    An entry's number is `decided`, or `seq` where nothing was decided.

    `tell` hears of each damaged place, or `missing` of those that cost an entry with a number greater than
    `after`, and reading goes on behind it. Without them the first of the latter raises JournalError, as does
    a folder that cannot be read. Whoever may leave before the end closes it.
    """
    reader = JournalReader(folder, after, tell=tell, missing=missing)
    try:
        yield from reader
    finally:
        reader.close()


def journal_in(folder: str | Path) -> Path:
    """The folder of a journal: the one given, or `journal` in it. Raises JournalError if there is none."""
    folder = Path(folder)
    for place in (folder, folder / "journal"):
        with suppress(OSError):
            if segments_of(place):
                return place
    if not folder.is_dir():
        raise JournalError(f"there is no folder `{folder}`", _HINT)
    raise JournalError(f"there is no journal in `{folder}`", _HINT)


def _refuse(error: JournalError) -> None:
    raise error


class _Gaps:
    """What damaged places cost. One among entries that are not wanted costs nothing, and that shows at
    another of them behind it, or at the first that is wanted: numbers rise by one. (The decision of an event
    that waited while nothing else happened has the event's number, so behind that a place with no number
    missing may have cost a decision.)"""

    def __init__(self, after: int, missing: Missing) -> None:
        self._last, self._before = after, True
        self._damage: Damage | None = None
        self._missing = missing

    def note(self, damage: Damage) -> None:
        """Note a damaged place."""
        self._damage = self._damage or damage

    def passed(self) -> None:
        """Behind what was noted stand entries that are not wanted: what is missing was not either."""
        self._damage = None

    def look(self, entries: list[Entry]) -> None:
        """See whether something is missing before these."""
        first, last, before = entries[0], self._last, self._before
        damage, self._damage, self._before = self._damage, None, False
        number, self._last = number_of(first), number_of(entries[-1])
        of_lost = first.kind == "decided" and first.seq == number
        if damage is not None and not (before and number == last + 1 and not of_lost):
            self._missing(_damaged(damage, last + 1, number - 1))

    def end(self) -> None:
        """See whether something may be missing at the end."""
        damage, self._damage = self._damage, None
        if damage is not None:
            self._missing(_damaged(damage, 0, 0))


def _damaged(damage: Damage, first: int, last: int) -> JournalError:
    """What is said of a place that costs the entries between two numbers, 0 where nobody knows them."""
    lost = f"number {first:,} is lost" if last == first else f"the numbers {first:,} to {last:,} are lost"
    told = f"; {lost}" if 0 < first <= last else ""
    hint = "put the file back from a copy; `quell journal verify` tells all that is damaged"
    return JournalError(f"the journal is damaged: {damage}{told}", hint)


class JournalReader:
    """Reads a journal, and goes on where it stopped each time it is iterated: whoever follows a journal
    iterates it again and again. An empty folder is a journal without entries."""

    def __init__(
        self,
        folder: str | Path,
        after: int = 0,
        *,
        tell: Tell | None = None,
        missing: Missing | None = None,
    ) -> None:
        self.after = after
        self._gaps = _Gaps(after, missing or _refuse)
        self._tell = tell or self._gaps.note
        self._chain = Chain(Path(folder))
        self._at: Segment | None = None  # the segment that is read, or was read last
        self._file: SegmentFile | PackedFile | None = None
        self._passed = 0  # entries since the journal began, up to where reading stands

    def __iter__(self) -> Iterator[Entry]:
        """The entries from where reading stands to the last that is whole."""
        for entries in self.pieces():
            yield from entries

    def pieces(self) -> Iterator[list[Entry]]:
        """The same in lists of at most some thousand, for whoever has many to take."""
        for entries in self._all():
            self._gaps.look(entries)
            yield entries
        self._gaps.end()

    def _all(self) -> Iterator[list[Entry]]:
        while self._file is not None or self._open():
            # Where another segment is there it says where this one ends: behind that may stand anything.
            if (follows := self._next()) is None:
                yield from self._pieces(None)
                if (follows := self._next()) is None:
                    return
            yield from self._pieces(self._end(follows))
            self._leave()

    def close(self) -> None:
        """Close the file that is open. Reading is over then."""
        if self._file is not None:
            self._file.close()

    @property
    def _reading(self) -> Segment:
        assert self._at is not None
        return self._at

    def _pieces(self, end: int | None) -> Iterator[list[Entry]]:
        assert self._file is not None
        try:
            while (entries := self._file.piece(self.after, end, self._tell)) is not None:
                if entries:
                    yield entries
                elif type(self._file) is SegmentFile and self._file.last <= self.after:
                    self._gaps.passed()  # it gives an empty list for whole records alone
        except OSError as error:
            raise unreadable(self._reading.path, error) from error

    # -------------------------------------------------------------- segments

    def _open(self) -> bool:
        """Open the segment to be read next; False if there is none yet."""
        for _ in range(_TRIES):
            segment = self._next()
            if segment is None:
                return False
            try:
                head = self._chain.head(segment)
                self._file = self._opened(segment)
            except FileNotFoundError:  # packed in this moment, or dropped for its age
                continue
            except OSError as error:
                raise unreadable(segment.path, error) from error
            if head is not None and self._at is not None:  # what was read and then given up comes again
                self._file.leave_out = max(0, self._passed - head.before)
            self._at = segment
            return True
        raise JournalError(f"the journal `{self._chain.folder}` changes faster than it can be read")

    def _next(self) -> Segment | None:
        """The segment after the one that is read, or was read last."""
        at = self._at
        seen: Segment | None = None
        while True:
            found = self._chain.beyond(self.after) if at is None else self._chain.later(at)
            if not found:
                return None
            head = self._chain.head(found[0])
            if at is None or head is None or head.previous <= at.ordinal:
                return found[0]
            if found[0] == seen:
                break
            seen = found[0]  # something is missing before it: once more, as files come and go
        listed = [segment.ordinal for segment in self._chain.listed()]
        if at.ordinal in listed:  # else it was dropped for its age, and so was what is missing
            assert seen is not None
            self._tell(Damage(str(seen.path), 0, 0, "the segment before it is missing"))
        return seen

    def _end(self, follows: Segment) -> int:
        """Where the segment that is read ends, by the head of the one after it."""
        assert self._file is not None
        head, at = self._chain.head(follows), self._reading
        if head is None or head.previous > at.ordinal:
            return self._file.size()
        return head.end if head.previous == at.ordinal else 0  # else all of it was given up

    def _opened(self, segment: Segment) -> SegmentFile | PackedFile:
        if segment.packed:
            return PackedFile(segment.path)
        file = SegmentFile(segment.path, self._chain.salt)
        if file.head is None:
            what = "the head of the segment is not what was written"
            self._tell(Damage(str(segment.path), 0, 0 if file.salt else file.size(), what))
        return file

    def _leave(self) -> None:
        """Close what was read to its end."""
        assert self._file is not None
        head = self._chain.head(self._reading)
        self._passed = max(self._passed, self._file.count + (head.before if head is not None else 0))
        self._file.close()
        self._file = None
