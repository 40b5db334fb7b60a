"""The records of one segment's file, parsed while somebody may be writing it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from quell.engine.journal_format import (
    HEAD_SIZE,
    KEY_SIZE,
    KEYED,
    KINDS,
    RECORD_SIZE,
    Damage,
    Head,
    Salt,
    number_of,
    unpack_head,
    unpack_record,
)
from quell.engine.plain_files import open_plain, stream_plain
from quell.engine.service_types import Entry

CHUNK = 1 << 20
_CHECKED_FROM = 8  # mark and checksum are not covered by it
_BEFORE_LENGTH = 12

Tell = Callable[[Damage], None]


class Parsed(NamedTuple):
    """Entries out of a piece of a file: `used` are the bytes up to the first that begin no whole record,
    `records` how many there are, `last` the number of the last of all. `wants` is how many bytes the record
    there takes by what it says itself, 0 if it is none."""

    entries: list[Entry]
    used: int
    records: int
    last: int
    wants: int


def parse(data: bytes, salt: Salt, after: int = -1, last: int = 0) -> Parsed:
    """The entries at the beginning of some bytes whose number is greater than `after`."""
    entries: list[Entry] = []
    add, make, mark, seed = entries.append, Entry._make, salt.mark, salt.seed
    at, size, count, number, wants = 0, len(data), 0, last, 0
    view = memoryview(data)
    while size - at >= RECORD_SIZE:
        found, check, length, code, seq, decided, time, wall, version, parted = unpack_record(data, at)
        if found != mark:
            break
        end = at + _BEFORE_LENGTH + length
        if end > size:
            wants = end - at
            break
        body, tail = at + RECORD_SIZE, end
        split = body + parted
        if code & KEYED:
            code ^= KEYED
            tail -= KEY_SIZE
        if split > tail or crc32(view[at + _CHECKED_FROM : end], seed) != check or code not in KINDS:
            break
        number = decided or seq
        if number > after:
            add(
                make(
                    (
                        KINDS[code],
                        seq,
                        decided,
                        time,
                        version,
                        wall,
                        data[body:split],
                        data[split:tail],
                        data[tail:end],
                    )
                )
            )
        at = end
        count += 1
    return Parsed(entries, at, count, number, wants)


def next_record(data: bytes, start: int, salt: Salt) -> int:
    """Where the next whole record begins at or after `start`; -1 if there is none."""
    found, size = data.find(salt.mark, start), len(data)
    while found >= 0:
        if size - found >= RECORD_SIZE:
            _, check, length, *_ = unpack_record(data, found)
            end = found + _BEFORE_LENGTH + length
            if end <= size and crc32(data[found + _CHECKED_FROM : end], salt.seed) == check:
                return found
        found = data.find(salt.mark, found + 1)
    return -1


class SegmentFile:
    """One segment's file, open for reading: `offset` is where the next record begins, `count` how many stand
    before it, `last` the number of the last of them. `salt` serves where the head is damaged. The first
    `leave_out` records are passed by. Raises OSError, and JournalError for a newer format."""

    def __init__(self, path: Path, salt: Salt | None = None) -> None:
        self.path = path
        self._fd = -1
        self._fd = open_plain(path)
        try:
            self.head, self.head_whole = unpack_head(os.pread(self._fd, HEAD_SIZE, 0), str(path))
        except BaseException:
            self.close()
            raise
        self.salt = self.head.salt if self.head is not None else salt
        self.offset = HEAD_SIZE
        self.count = 0
        self.last = 0
        self.leave_out = 0

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()

    def size(self) -> int:
        """Bytes of the file now."""
        return os.fstat(self._fd).st_size

    def piece(self, after: int, end: int | None, tell: Tell) -> list[Entry] | None:
        """Entries with numbers greater than `after` from where reading stands; None if there are no more now.
        `end` is where the segment ends; None while it may grow: a record at its end that is not whole is
        left for later then."""
        wanted = CHUNK
        while self.salt is not None:
            most = wanted if end is None else min(wanted, end - self.offset)
            data = os.pread(self._fd, most, self.offset) if most > 0 else b""
            found = parse(data, self.salt, after, self.last)
            if found.records:
                self.offset += found.used
                self.count += found.records
                self.last = found.last
                return self._without(data[: found.used], found, after)
            whole = self.size() if end is None else end
            if found.wants > len(data) and self.offset + found.wants <= min(whole, self.size()):
                wanted = found.wants
            elif not self._pass_over(whole, end is not None, tell):
                return None
        return None

    def _pass_over(self, whole: int, closed: bool, tell: Tell) -> bool:
        """Go on at the next record after a place that holds none; False if there is none."""
        assert self.salt is not None
        if whole <= self.offset:
            return False
        rest = os.pread(self._fd, whole - self.offset, self.offset)
        found = next_record(rest, 1, self.salt)
        if found < 0 and not closed:
            return False
        skipped = found if found >= 0 else whole - self.offset
        short = found < 0 and len(rest) < skipped
        what = "the segment ends early" if short else "what stands there is not what was written"
        tell(Damage(str(self.path), self.offset, skipped, what, self.last))
        self.offset += skipped
        return found >= 0

    def _without(self, data: bytes, found: Parsed, after: int) -> list[Entry]:
        """What was found, without what is to be left out."""
        if not self.leave_out:
            return found.entries
        assert self.salt is not None
        entries = parse(data, self.salt).entries[self.leave_out :]
        self.leave_out = max(0, self.leave_out - found.records)
        return [entry for entry in entries if number_of(entry) > after]


def head_of(path: Path) -> Head | None:
    """The head of a segment's file; None where it is damaged or not yet there. Raises OSError."""
    with stream_plain(path) as file:
        return unpack_head(file.read(HEAD_SIZE), str(path))[0]
