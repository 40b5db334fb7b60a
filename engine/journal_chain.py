"""How the segments of a journal hang together: which are part of it, in which order, and where each ends."""

from __future__ import annotations

import stat
from pathlib import Path

from quell.engine.journal_format import HEAD_SIZE, Head, JournalError, Salt, Segment, segments_of
from quell.engine.journal_packed import packed_head
from quell.engine.journal_records import head_of


class Chain:
    """The segments of a folder, listed anew at each call; heads, which never change, are kept. `salt` is the
    journal's as soon as a head was read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.salt: Salt | None = None
        self._heads: dict[int, Head] = {}

    def listed(self) -> list[Segment]:
        """All segments, given up ones too, without one that is only about to begin. Raises JournalError."""
        try:
            found = segments_of(self.folder)
            if found and not found[-1].packed and _unborn(found[-1].path):
                found.pop()
        except OSError as error:
            raise unreadable(self.folder, error) from error
        return found

    def head(self, segment: Segment) -> Head | None:
        """The head of a segment; None where it is damaged, or the segment is gone. Raises JournalError."""
        if (known := self._heads.get(segment.ordinal)) is not None:
            return known
        try:
            head = packed_head(segment.path) if segment.packed else head_of(segment.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(segment.path, error) from error
        if head is not None:
            self._heads[segment.ordinal] = head
            self.salt = self.salt or head.salt
        return head

    def valid(self, segments: list[Segment]) -> list[Segment]:
        """Some segments in order, without those that were given up for a later one. Only such as are not
        packed can be: packing waits until what they hold is known to be on the disk."""
        valid: list[Segment] = []
        for segment in segments:
            head = None if segment.packed else self.head(segment)
            while head is not None and valid and valid[-1].ordinal > head.previous:
                valid.pop()
            valid.append(segment)
        return valid

    def beyond(self, number: int) -> list[Segment]:
        """The valid segments that may hold entries with greater numbers."""
        found = self.listed()
        begin = max((i for i, s in enumerate(found) if s.first <= number), default=0)
        return self.valid(found[begin:])

    def later(self, than: Segment) -> list[Segment]:
        """The valid segments after one."""
        return self.valid([s for s in self.listed() if s.ordinal > than.ordinal])


def _unborn(path: Path) -> bool:
    """Whether a segment's head is still to be written."""
    try:
        return is_begun(path)
    except FileNotFoundError:
        return True


def is_begun(path: Path) -> bool:
    """Whether a segment's file holds no whole head yet. What is no ordinary file is not taken for one, though
    its size is 0. Raises OSError."""
    found = path.stat()
    return stat.S_ISREG(found.st_mode) and found.st_size < HEAD_SIZE


def unreadable(path: Path, error: OSError) -> JournalError:
    """What the operating system says against reading."""
    return JournalError(f"`{path}` cannot be read: {(error.strerror or 'it cannot be used').lower()}")
