"""Turns a closed segment of a journal into a Parquet file: `python -m quell.engine.journal_pack SEGMENT`.

A process of its own, so that whoever serves keeps its time. The file is written beside its place, brought to
disk, read again and compared with the segment entry by entry, put in its place in one step, and only then the
segment is removed. Status 0: done; 1: the segment is damaged, and left as it is; 2: it cannot be done now.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, zip_longest
from pathlib import Path
from typing import IO

from quell.engine.journal_chain import Chain
from quell.engine.journal_format import PACKED, Damage, JournalError, segment_of
from quell.engine.journal_packed import PackedFile, PackedWriter, checksum, packed_of
from quell.engine.journal_records import SegmentFile
from quell.engine.journal_writer import sync_folder
from quell.engine.service_types import Entry

ALL = -1
GROUP = 8_192
"""Entries in a group of rows, at least."""
PART = ".part"
_NICE = 19
DAMAGED, NOT_NOW = 1, 2


class DamagedSegment(JournalError):
    """A segment that cannot be packed, as not all of it can be read."""


def pack(path: Path) -> Path:
    """Turn a segment into a Parquet file beside it, which takes its place. Raises JournalError, and
    DamagedSegment, where the segment stays."""
    end = _end_of(path)
    part = path.with_name(f".{path.stem}.{os.getpid()}{PART}")
    target = path.with_suffix(PACKED)
    try:
        with part.open("xb") as stream:
            _write(path, end, stream)
            stream.flush()
            os.fsync(stream.fileno())
        _compare(path, end, part)
        took = path.stat()
        os.utime(part, ns=(took.st_atime_ns, took.st_mtime_ns))  # its age is that of its last entry
        part.rename(target)
        sync_folder(path.parent)
        path.unlink()
    except OSError as error:
        raise JournalError(f"`{path}` cannot be packed: {(error.strerror or str(error)).lower()}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return target


def _end_of(path: Path) -> int:
    segment = segment_of(path)
    if segment is None or segment.packed:
        raise JournalError(f"`{path}` is no segment of a journal")
    links = Chain(path.parent)
    if segment not in links.valid(links.listed()):
        raise JournalError(f"there is no segment `{path}`, or it was given up")
    later = links.later(segment)
    head = links.head(later[0]) if later else None
    if head is None or head.previous != segment.ordinal:
        raise JournalError(f"`{path}` may still be written: the segment after it is not there")
    return head.end


def _raise(damage: Damage) -> None:
    raise DamagedSegment(str(damage))


def _write(path: Path, end: int, stream: IO[bytes]) -> None:
    file = SegmentFile(path)
    if file.head is None or file.salt is None:
        raise DamagedSegment(f"`{path}`: the head of the segment is not what was written")
    writer, check, held = PackedWriter(stream), 0, list[Entry]()
    try:
        for entries in _pieces(file, end):
            held += entries
            check = checksum(entries, file.salt, check)
            if len(held) >= GROUP:
                writer.write(held)
                held = []
        writer.write(held)
        writer.close(packed_of(file.head, end, file.count, file.last, check))
    finally:
        writer.close()  # before the stream is, whatever happened
        file.close()


def _pieces(file: SegmentFile | PackedFile, end: int) -> Iterator[list[Entry]]:
    while (entries := file.piece(ALL, end, _raise)) is not None:
        yield entries


def _compare(path: Path, end: int, part: Path) -> None:
    """See that the Parquet file gives what the segment does. Raises JournalError."""
    file, packed = SegmentFile(path), PackedFile(part)
    try:
        pairs = zip_longest(*(chain.from_iterable(_pieces(f, end)) for f in (file, packed)))
        if any(was != entry for was, entry in pairs) or packed.head != file.head:
            raise JournalError(f"`{path}` cannot be packed: what was written reads differently")
    finally:
        file.close()
        packed.close()


def main(arguments: list[str]) -> int:
    """Pack the segments that are named."""
    with suppress(OSError):
        os.nice(_NICE)
    try:
        for name in arguments:
            pack(Path(name))
    except JournalError as error:
        sys.stderr.write(error.message + "\n")
        return DAMAGED if isinstance(error, DamagedSegment) else NOT_NOW
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
