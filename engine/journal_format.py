"""How a journal lies on disk: heads of segments, records, and the names of files.

A segment is a file `FIRST-ORDINAL.qj`: the number of its first entry, and its place among the segments ever
begun. It begins with its head, written twice, so that one flipped byte does not cost it; then records follow
without a gap:

    mark 4 · checksum 4 · length 4 · kind 1 · seq 8 · decided 8 · at 8 · wall 8 · version 4 · event's length 4
    · event · reply · key

`kind` has its highest bit set where the event came under an Idempotency-Key, whose digest of 16 bytes is then
the end of the record; without one a record is as it was before there were any. `length` counts what follows
it, and the CRC-32 covers all from `length` on. Mark and the checksum's seed are random, made once for a
journal: whoever sends events cannot write something into one that would be taken for a record where the true
one is damaged. All numbers are big-endian; times are microseconds since 1970.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from quell.engine.service_types import Entry, Kind

MAGIC = b"QUELLJNL"
FORMAT = 1
SEGMENT = ".qj"
PACKED = ".parquet"
LOCK = "lock"

KINDS: dict[int, Kind] = {
    1: "event",
    2: "admitted",
    3: "decided",
    4: "acted",
    5: "version",
    6: "filled",
}
CODES: dict[str, int] = {kind: code for code, kind in KINDS.items()}
KEYED = 0x80
"""What is added to the code of a kind where the digest of a key stands at the record's end."""
KEY_SIZE = 16
"""Bytes of that digest."""

_HEAD = Struct(">8sHxx16s4sIQqQQQqI")
HEAD_SIZE = 2 * _HEAD.size

_CHECKED = Struct(">IBqqqqII")
_FRAME = Struct(">4sI")
_WHOLE = Struct(">4sIIBqqqqII")
RECORD_SIZE = _WHOLE.size
"""Bytes of a record before its event."""
AFTER_LENGTH = _CHECKED.size - 4
"""Bytes that a record's length counts beside event and reply."""
MOST = (1 << 32) - 1 - AFTER_LENGTH
"""Bytes of event, reply and key together, at most."""

pack_checked = _CHECKED.pack
pack_frame = _FRAME.pack
unpack_record = _WHOLE.unpack_from


class JournalError(Exception):
    """A journal that cannot be opened or read, in one line; `hint` is what to try, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Damage(NamedTuple):
    """A place in a journal that cannot be read: the file, the byte where it begins, how many bytes are passed
    over, what is wrong in words, and the number of the last entry before it (0 where there is none)."""

    file: str
    offset: int
    skipped: int
    what: str
    after: int = 0

    def __str__(self) -> str:
        place = f"`{self.file}` at byte {self.offset:,}"
        return f"{place}: {self.what}" + (f", {self.skipped:,} bytes passed over" if self.skipped else "")


class Salt(NamedTuple):
    """What is random in a journal: its `id`, and what its records are marked and checked with."""

    id: str
    mark: bytes
    seed: int


class Head(NamedTuple):
    """The head of a segment.

    `ordinal` is its place among the segments ever begun, `first` the number of its first entry. It goes on
    where the segment with the ordinal `previous` (0: none) ends, at the byte `end` of that one: what stands
    there later, and whatever segment lies between the two, was given up, as it may never have reached the
    disk, and is written again from here on. `before` counts the entries before it, dropped ones too; `began`
    is the server's clock.
    """

    salt: Salt
    ordinal: int
    first: int
    previous: int
    end: int
    before: int
    began: int


def new_salt() -> Salt:
    """What is random, for a new journal. The mark begins with a byte that no JSON text holds."""
    return Salt(os.urandom(16).hex(), b"\xf7" + os.urandom(3), int.from_bytes(os.urandom(4), "big"))


def pack_head(head: Head) -> bytes:
    """The bytes that a segment begins with."""
    salt = head.salt
    told = (head.ordinal, head.first, head.previous, head.end, head.before, head.began)
    once = _HEAD.pack(MAGIC, FORMAT, bytes.fromhex(salt.id), salt.mark, salt.seed, *told, 0)[:-4]
    once += crc32(once).to_bytes(4, "big")
    return once * 2


def unpack_head(data: bytes, name: str) -> tuple[Head | None, bool]:
    """The head at the beginning of a file, None if neither copy is whole, and whether both are whole and
    equal. Raises JournalError for a newer format."""
    size = _HEAD.size
    found = [c for c in (data[:size], data[size : 2 * size]) if _is_head(c)]
    if not found:
        return None, False
    _, format_, id_, mark, seed, *told, _ = _HEAD.unpack(found[0])
    if format_ > FORMAT:
        raise JournalError(
            f"`{name}` was written by a newer Quell (format {format_})", "read it with that version"
        )
    return Head(Salt(id_.hex(), mark, seed), *told), len(found) == 2 and found[0] == found[1]


def _is_head(data: bytes) -> bool:
    return (
        len(data) == _HEAD.size and data[:8] == MAGIC and crc32(data[:-4]) == int.from_bytes(data[-4:], "big")
    )


def pack_record(salt: Salt, entry: Entry) -> bytes:
    """The bytes of an entry. `Journal.append` has the same in its own lines, for speed."""
    kind, seq, decided, at, version, wall, event, reply, key = entry
    length, code = AFTER_LENGTH + len(event) + len(reply) + len(key), CODES[kind]
    head = pack_checked(length, code | KEYED if key else code, seq, decided, at, wall, version, len(event))
    checked = head + event + reply + key
    return pack_frame(salt.mark, crc32(checked, salt.seed)) + checked


def number_of(entry: Entry) -> int:
    """An entry's number: its step in the order in which things took effect, that of the admission where
    nothing was decided."""
    return entry.decided or entry.seq


# ------------------------------------------------------------------ names


class Segment(NamedTuple):
    """A file of a journal, told by its name alone."""

    first: int
    ordinal: int
    path: Path

    @property
    def packed(self) -> bool:
        """Whether it is a Parquet file."""
        return self.path.suffix == PACKED


_NAME = re.compile(r"(\d{15,19})-(\d{5,19})(\.qj|\.parquet)")


def name_of(first: int, ordinal: int, suffix: str = SEGMENT) -> str:
    """The name of a segment's file."""
    return f"{first:015d}-{ordinal:05d}{suffix}"


def segment_of(path: Path) -> Segment | None:
    """The segment that a file is, by its name; None for another file."""
    found = _NAME.fullmatch(path.name)
    return Segment(int(found[1]), int(found[2]), path) if found else None


def segments_of(folder: Path) -> list[Segment]:
    """The segments in a folder, in the order in which they were begun. Of one that is there in both forms,
    since turning it into Parquet was broken off at the very end, the Parquet file counts. Raises OSError."""
    found: dict[int, Segment] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            segment = segment_of(folder / entry.name)
            if segment is not None and (segment.packed or segment.ordinal not in found):
                found[segment.ordinal] = segment
    return [found[ordinal] for ordinal in sorted(found)]
