"""Taking up a journal where it ended, whatever a killed process left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from quell.engine.journal_chain import Chain, is_begun
from quell.engine.journal_format import Damage, JournalError, Segment, new_salt, segments_of
from quell.engine.journal_packed import PackedFile
from quell.engine.journal_records import SegmentFile
from quell.engine.journal_writer import Writer, sync_folder, told
from quell.engine.plain_files import open_plain


class Opened(NamedTuple):
    """A writer that stands at the end of a journal; the greatest number in it, and what was repaired, in
    words."""

    writer: Writer
    last: int
    repaired: str


def opened(folder: Path, *, keeps: bool, segment_bytes: int) -> Opened:
    """Take up the journal in a folder, which is made if it is not there. Raises JournalError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writer = Writer(folder, new_salt(), keeps=keeps, segment_bytes=segment_bytes)
    except OSError as error:
        raise _refused(folder, error) from error
    try:
        return _take_up(writer, folder)
    except OSError as error:
        writer.close()
        raise _refused(folder, error) from error
    except BaseException:
        writer.close()
        raise


def _refused(folder: Path, error: OSError) -> JournalError:
    return JournalError(f"the journal cannot be written: {told(folder, error)}")


def _take_up(writer: Writer, folder: Path) -> Opened:
    told_: list[str] = _without_beginnings(folder)
    chain = Chain(folder)
    valid = _settled(writer, chain)
    if not valid:
        return Opened(writer, 0, "; ".join(told_))
    if chain.salt is None:
        raise JournalError(
            f"nothing in `{folder}` can be read: the heads of its segments are damaged",
            "`quell journal verify` says more; move it away to begin a new journal",
        )
    writer.salt = chain.salt
    last = _at_end(writer, chain, valid[-1], told_)
    sync_folder(folder)
    oldest = chain.head(valid[0])
    writer.dropped = oldest.before if oldest is not None else 0
    return Opened(writer, last, "; ".join(told_))


def _without_beginnings(folder: Path) -> list[str]:
    """Take away a last segment that has no whole head: nothing was written to it. Says so."""
    found = segments_of(folder)
    if found and not found[-1].packed and is_begun(found[-1].path):
        found[-1].path.unlink()
        return [f"`{found[-1].path.name}` was only begun, and is taken away"]
    return []


def _settled(writer: Writer, chain: Chain) -> list[Segment]:
    """The segments that count, each brought to disk. What packs segments goes on for a moment when the one
    who serves is killed, so that one may take its other form meanwhile: then they are looked at again."""
    while True:
        listed = chain.listed()
        valid = chain.valid(listed)
        try:
            for segment in valid:
                chain.head(segment)
                _settle(writer, segment)
        except FileNotFoundError:
            if chain.listed() == listed:
                raise
        else:
            writer.ordinal = max((segment.ordinal for segment in listed), default=writer.ordinal)
            return valid


def _settle(writer: Writer, segment: Segment) -> None:
    """Note a segment's size, and bring to disk what a killed process may have left to the system."""
    if not segment.packed:
        fd = open_plain(segment.path, os.O_RDWR)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    writer.sizes[segment.ordinal] = segment.path.stat().st_size
    writer.firsts[segment.ordinal] = segment.first


def _at_end(writer: Writer, chain: Chain, segment: Segment, told_: list[str]) -> int:
    """Let the writer stand behind the last whole record; gives the last number."""
    if segment.packed:
        return _after_packed(writer, segment)
    file = SegmentFile(segment.path, chain.salt)
    damaged: list[Damage] = []
    while file.piece(_NONE, None, damaged.append) is not None:
        pass
    size = file.size()
    head = file.head
    file.close()
    told_.extend(str(damage) for damage in damaged)
    if file.offset < size:
        lost = size - file.offset
        told_.append(f"the last {lost:,} bytes of `{segment.path.name}` were no whole entry, and are cut off")
    if head is None or damaged:  # leave it as it is, and go on in another
        os.truncate(segment.path, file.offset)
        writer.previous, writer.end = segment.ordinal, file.offset
        writer.entries = (head.before if head is not None else 0) + file.count
    else:
        writer.go_on(segment.path, head, file.offset, head.before + file.count)
    return max(file.last, segment.first if file.count == 0 else 0)


def _after_packed(writer: Writer, segment: Segment) -> int:
    packed = PackedFile(segment.path)
    packed.close()
    if packed.packed is None:
        raise JournalError(
            f"the last segment `{segment.path}` is damaged, so that nobody knows where the journal ended",
            "`quell journal verify` says more; put it back from a copy, or begin a new journal",
        )
    writer.previous, writer.end = segment.ordinal, packed.packed.end
    writer.entries = packed.packed.before + packed.packed.entries
    return packed.packed.last


_NONE = (1 << 63) - 1
