"""Looking a journal through: heads, checksums, the order of the numbers, and that nothing is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from quell.engine.journal_chain import Chain, unreadable
from quell.engine.journal_format import Damage, Head, Segment, number_of
from quell.engine.journal_packed import PackedFile, checksum
from quell.engine.journal_records import SegmentFile
from quell.engine.lock import is_held
from quell.engine.service_types import Entry

MOST_WRONG = 1_000
"""Wrong places that are named."""
_ALL = -1

Progress = Callable[[int, int], None]
"""Hears of the bytes looked through, and of the entries."""


class SegmentSeen(msgspec.Struct, omit_defaults=True):
    """One segment as it was found: its file, the numbers of its first and last entry, its entries and bytes,
    and what is wrong with it."""

    file: str
    bytes: int
    packed: bool
    first: int = 0
    last: int = 0
    entries: int = 0
    wrong: list[str] = []


class Verified(msgspec.Struct, omit_defaults=True):
    """What looking a journal through found. `wrong` is how many things are; those beyond a thousand are not
    named. `notes` are what is no loss: a last entry that is not whole, which is cut off when the journal is
    next opened."""

    folder: str
    id: str
    segments: list[SegmentSeen]
    entries: int = 0
    first: int = 0
    last: int = 0
    wrong: int = 0
    notes: list[str] = []


def verify(folder: Path, progress: Progress | None = None) -> Verified:
    """Look a journal's folder through. Raises JournalError where it cannot be read at all."""
    return _Verifying(folder, progress).run()


class _Verifying:
    def __init__(self, folder: Path, progress: Progress | None) -> None:
        self.chain = Chain(folder)
        self.found = Verified(str(folder), "", [])
        self.progress = progress or (lambda done, entries: None)
        self.seen = SegmentSeen("", 0, False)
        self.last = 0  # number of the entry before
        self.passed: int | None = None  # entries before, as the heads count them; None after damage
        self.waiting: set[int] = set()  # events whose decision is still to come
        self.begun = False  # whether entries before the first that is there are known to be none
        self.done = 0

    def run(self) -> Verified:
        listed = self.chain.listed()
        valid = self.chain.valid(listed)
        for segment in valid:
            self.chain.head(segment)
        for i, segment in enumerate(valid):
            self._segment(segment, valid[i - 1] if i else None, valid[i + 1] if i + 1 < len(valid) else None)
        found = self.found
        found.id = self.chain.salt.id if self.chain.salt is not None else ""
        found.entries = sum(seen.entries for seen in found.segments)
        found.last = self.last
        found.first = next((seen.first for seen in found.segments if seen.entries), 0)
        return found

    def _wrong(self, what: str) -> None:
        self.found.wrong += 1
        if self.found.wrong <= MOST_WRONG:
            self.seen.wrong.append(what)

    def _damaged(self, damage: Damage) -> None:
        self.passed = None
        name = Path(damage.file).name
        self._wrong(str(damage._replace(file=name)).removeprefix(f"`{name}` "))

    # -------------------------------------------------------------- one segment

    def _segment(self, segment: Segment, before: Segment | None, follows: Segment | None) -> None:
        size = segment.path.stat().st_size if segment.path.exists() else 0
        self.seen = SegmentSeen(segment.path.name, size, segment.packed)
        self.found.segments.append(self.seen)
        try:
            if segment.packed:
                self._packed(segment, before)
            else:
                self._plain(segment, before, follows)
        except FileNotFoundError:
            self.found.notes.append(f"`{segment.path.name}` went away meanwhile")
            self.passed = None
        except OSError as error:
            self._damaged(Damage(str(segment.path), 0, 0, unreadable(segment.path, error).message))
        self.done += size
        self.progress(self.done, self.last)

    def _head(self, head: Head | None, segment: Segment, before: Segment | None) -> None:
        if head is None:
            self._damaged(Damage(segment.path.name, 0, 0, "the head is not what was written"))
            return
        if (head.first, head.ordinal) != (segment.first, segment.ordinal):
            self._wrong("the name is not that of the segment in it")
        if head.salt != self.chain.salt:
            self._wrong("it belongs to another journal")
        if before is None:
            self.begun = head.before == 0
        elif head.previous != before.ordinal:
            self._wrong("the segment before it is missing")
            self.passed = None
        elif self.passed is not None and head.before != self.passed:
            self._wrong(f"{head.before - self.passed:,} entries before it are missing")
        self.passed = head.before

    def _plain(self, segment: Segment, before: Segment | None, follows: Segment | None) -> None:
        file = SegmentFile(segment.path, self.chain.salt)
        try:
            if file.head is not None and not file.head_whole:
                self._wrong("one copy of the head is damaged (the other serves)")
            self._head(file.head, segment, before)
            head = self.chain.head(follows) if follows is not None else None
            end = head.end if head is not None and head.previous == segment.ordinal else None
            end = file.size() if end is None and follows is not None else end
            while (entries := file.piece(_ALL, end, self._damaged)) is not None:
                self._entries(entries)
            if follows is None:
                self._tail(segment, file)
        finally:
            file.close()

    def _tail(self, segment: Segment, file: SegmentFile) -> None:
        left = file.size() - file.offset
        if left > 0 and not is_held(segment.path.parent):
            self.found.notes.append(
                f"the last {left:,} bytes of `{segment.path.name}` are no whole entry: a process was killed "
                "while it wrote them, and they are cut off when the journal is next opened"
            )

    def _packed(self, segment: Segment, before: Segment | None) -> None:
        file = PackedFile(segment.path)
        try:
            self._head(file.head, segment, before)
            check = 0
            while (entries := file.piece(_ALL, None, self._damaged, every=True)) is not None:
                self._entries(entries)
                check = checksum(entries, file.packed.head().salt, check) if file.packed is not None else 0
            said = file.packed
            if said is not None and self.passed is not None and check != said.check:
                self._wrong("the entries are not those that were packed")
        finally:
            file.close()

    # -------------------------------------------------------------- entries

    def _entries(self, entries: list[Entry]) -> None:
        seen = self.seen
        if entries and not seen.entries:
            seen.first = number_of(entries[0])
        for entry in entries:
            number = number_of(entry)
            if number < self.last:
                self._wrong(f"the number {number} stands behind {self.last}")
            self.last = max(self.last, number)
            self._follows(entry)
        seen.entries += len(entries)
        seen.last = self.last
        if self.passed is not None:
            self.passed += len(entries)
        self.progress(self.done, self.last)

    def _follows(self, entry: Entry) -> None:
        """See that a decision has its event."""
        if entry.kind == "admitted":
            self.waiting.add(entry.seq)
        elif entry.kind == "decided":
            if entry.seq not in self.waiting and self.begun:
                self._wrong(f"the event {entry.seq} of the decision {entry.decided} is missing")
            self.waiting.discard(entry.seq)
