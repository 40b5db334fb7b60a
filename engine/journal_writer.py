"""Writing a journal so that nothing is lost: on full disks, on failing ones, and where the folder goes away.

What is written waits in order in chunks, each of whole records. A chunk that was written in part goes on
where it stopped. Where the journal is brought to disk (`each`, `batch`), a chunk is kept in memory until the
system said that it is there. If the system says that this failed, nothing is known of what it held any more:
Linux reports such an error once, marks the pages clean, and a second call may succeed over data that is lost.
So the rest of that segment is given up from the byte that was known to be on disk, and all that is kept is
written again, to a new segment whose head says from where on it counts. Until the disk has taken that, no
write is acknowledged.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from quell.engine.journal_format import (
    HEAD_SIZE,
    LOCK,
    Head,
    JournalError,
    Salt,
    name_of,
    pack_head,
)
from quell.engine.plain_files import open_plain

MOST_KEPT = 256 << 20
"""Bytes that may wait to be brought to disk; beyond them nothing more is acknowledged."""
DAY = 24 * 3600 * 1_000_000
"""Microseconds after which a segment is closed, however small."""


class Chunk(NamedTuple):
    """Whole records that are written at once: the number of the first, how many, and when it was made."""

    data: bytes
    first: int
    records: int
    wall: int


class Part:
    """A segment that is being written, or still to be brought to disk: `offset` is the next byte to write,
    `whole` where its last whole chunk ends, `synced` what is known to be on disk."""

    def __init__(self, path: Path, fd: int, head: Head, end: int) -> None:
        self.path = path
        self.fd = fd
        self.head = head
        self.ordinal = head.ordinal
        self.offset = self.whole = end
        self.synced = end
        self.named = False  # whether the folder's entry is on disk
        self.closed = False


class Writer:
    """The write end of a journal. `write` belongs to one thread and `sync` to another; what both touch is
    under a lock that is not held while the disk is waited for. `keeps` says whether chunks are kept until
    they are on disk. `sizes` are the bytes of each segment by ordinal."""

    def __init__(self, folder: Path, salt: Salt, *, keeps: bool, segment_bytes: int) -> None:
        self.folder = folder
        self.salt = salt
        self.keeps = keeps
        self.segment_bytes = segment_bytes
        self.entries = 0  # written since the journal began
        self.dropped = 0  # of these, before the first that is still there
        self.closed: Callable[[], object] = int  # called when a segment is closed
        self.sizes: dict[int, int] = {}
        self.firsts: dict[int, int] = {}
        self.refused = ""  # why the last write failed
        self.broken = ""  # why what was written is not known to be on disk
        self.lock = Lock()
        self.part: Part | None = None
        self.ordinal = 0
        self.end = 0  # where the segment before the next one ends
        self.previous = 0
        self.kept: deque[tuple[Part, int, Chunk]] = deque()
        self.kept_bytes = 0
        self._queue: deque[Chunk] = deque()
        self._done = 0  # bytes of the first chunk of the queue that are written
        self._syncing: list[Part] = []
        self._held: int | None = None
        self._over = False
        self.hold()

    # -------------------------------------------------------------- one process at a time

    def hold(self) -> None:
        """Make sure that no other process writes here. Raises JournalError, or OSError."""
        place = self.folder / LOCK
        if self._held is not None:
            if is_there(place, self._held):
                return
            os.close(self._held)  # the folder was taken away, and may be back
            self._held = None
        fd = open_plain(place, os.O_RDWR | os.O_CREAT)
        try:
            _lock(fd)
        except BlockingIOError:
            who = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
            os.close(fd)
            by = f" by the process {who}" if who.isdigit() else ""
            raise JournalError(
                f"the journal `{self.folder}` is in use{by}", "stop that process, or name another folder"
            ) from None
        self._held = fd
        with suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)

    # -------------------------------------------------------------- writing

    @property
    def problem(self) -> str:
        """Why writes are not acknowledged; empty while all is well."""
        return self.refused or self.broken

    @property
    def waiting(self) -> int:
        """Bytes that the operating system has not taken yet."""
        return sum(len(chunk.data) for chunk in tuple(self._queue)) - self._done

    def write(self, chunk: Chunk | None) -> bool:
        """Hand a chunk, and what waits before it, to the operating system; False if it took not all, or what
        it took is not safe."""
        with self.lock:
            if self._over:  # a segment begun now would say that nothing came before it
                self.refused = f"the journal `{self.folder}` is closed"
                return False
            if chunk is not None:
                self._queue.append(chunk)
            return self._write() and not self.broken

    def _write(self) -> bool:
        try:
            while self._queue:
                if self.kept_bytes > MOST_KEPT:
                    self.refused = f"the disk of `{self.folder}` does not keep up with what is written"
                    return False
                self._write_chunk(self._queue[0])
        except (OSError, JournalError) as error:
            self.refused = told(self.folder, error)
            return False
        self.refused = ""
        return True

    def _write_chunk(self, chunk: Chunk) -> None:
        part = self.part
        if part is None:
            part = self._begin(chunk)
        elif not self.keeps and not is_there(part.path, part.fd):  # else the other thread looks
            self._close_part(part)
            part = self._begin(chunk)
        data, done = chunk.data, self._done
        try:
            written = os.pwrite(part.fd, memoryview(data)[done:] if done else data, part.offset)
        except OSError as error:
            if error.errno not in (errno.EFBIG, errno.EIO) or part.whole <= HEAD_SIZE:
                raise
            self._close_part(part)  # another file may do
            return
        part.offset += written
        self._done = done + written
        if self._done < len(data):
            return
        self._queue.popleft()
        self._done = 0
        part.whole = part.offset
        self.sizes[part.ordinal] = part.whole
        self.entries += chunk.records
        if self.keeps:
            self.kept.append((part, part.whole, chunk))
            self.kept_bytes += len(data)
        if part.whole >= self.segment_bytes or chunk.wall - part.head.began >= DAY:
            self._close_part(part)

    def _begin(self, chunk: Chunk) -> Part:
        """Begin a segment. Raises OSError; then nothing has changed."""
        self.hold()
        ordinal = self.ordinal + 1
        path = self.folder / name_of(chunk.first, ordinal)
        head = Head(self.salt, ordinal, chunk.first, self.previous, self.end, self.entries, chunk.wall)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            data, done = pack_head(head), 0
            while done < len(data):
                done += os.pwrite(fd, data[done:], done)
        except OSError:
            os.close(fd)
            with suppress(OSError):
                path.unlink()
            raise
        self._done = 0
        self._add(Part(path, fd, head, HEAD_SIZE))
        assert self.part is not None
        return self.part

    def go_on(self, path: Path, head: Head, end: int, entries: int) -> None:
        """Go on at a byte of a segment that is there, with so many entries written before. What stands behind
        is cut off. Raises OSError."""
        fd = open_plain(path, os.O_RDWR)
        try:
            os.ftruncate(fd, end)
            os.fsync(fd)
        except OSError:
            os.close(fd)
            raise
        self.entries = entries
        self._add(Part(path, fd, head, end))

    def _add(self, part: Part) -> None:
        self.part = part
        self.ordinal = part.ordinal
        self.sizes[part.ordinal], self.firsts[part.ordinal] = part.whole, part.head.first
        if self.keeps:
            self._syncing.append(part)

    def _close_part(self, part: Part) -> None:
        """The next chunk begins a new segment."""
        part.closed = True
        self.part, self._done = None, 0
        self.previous, self.end = part.ordinal, part.whole
        if not self.keeps:
            os.close(part.fd)
        self.closed()

    # -------------------------------------------------------------- bringing to disk

    def sync(self) -> bool:
        """Bring what is written to disk. If that fails, all that is not known to be there is written again to
        a new segment, which the next call brings there; False then."""
        with self.lock:
            if self.broken and not self._write():
                return False
            targets = [(part, part.whole) for part in self._syncing]
        try:
            for part, _ in targets:
                self._sync_part(part)
        except OSError as error:
            with self.lock:
                self.broken = told(self.folder, error)
                self._give_up()
                self._write()
            return False
        with self.lock:
            self._have_synced(targets)
        return True

    def _sync_part(self, part: Part) -> None:
        if not is_there(part.path, part.fd):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        os.fdatasync(part.fd)
        if not part.named:
            sync_folder(self.folder)
            part.named = True

    def _have_synced(self, targets: list[tuple[Part, int]]) -> None:
        for part, whole in targets:
            part.synced = whole
        while self.kept and self.kept[0][1] <= self.kept[0][0].synced:
            self.kept_bytes -= len(self.kept.popleft()[2].data)
        for part in [p for p in self._syncing if p.closed and p.synced == p.whole]:
            self._syncing.remove(part)
            os.close(part.fd)
        self.broken = ""

    def _give_up(self) -> None:
        """Take back what is not known to be on disk: it is to be written again, to a new segment that counts
        from where that begins."""
        again = [chunk for _, _, chunk in self.kept]
        part = self.kept[0][0] if self.kept else self.part
        self.kept.clear()
        self.kept_bytes = 0
        self._queue.extendleft(reversed(again))
        self._done = 0
        self.entries -= sum(chunk.records for chunk in again)
        if part is not None:
            whole = part.synced > HEAD_SIZE  # else there is nothing in it that counts
            self.previous, self.end = (
                (part.ordinal, part.synced) if whole else (part.head.previous, part.head.end)
            )
        for given in reversed(self._syncing):  # the last first: whoever reads meanwhile sees no gap
            os.close(given.fd)
            if given.ordinal > self.previous:  # a later head says so too, should the file stay
                self.sizes.pop(given.ordinal, None)
                self.firsts.pop(given.ordinal, None)
                with suppress(OSError):
                    given.path.unlink()
        self._syncing.clear()
        self.part = None

    def unsettled(self) -> set[int]:
        """The segments that are written, or not known to be on disk."""
        with self.lock:
            parts = {part.ordinal for part in self._syncing}
            return parts | {self.part.ordinal} if self.part is not None else parts

    def forget(self, ordinal: int, dropped: int | None) -> None:
        """A segment was dropped, and so many entries stand before the first that is still there."""
        with self.lock:
            self.sizes.pop(ordinal, None)
            self.firsts.pop(ordinal, None)
            if dropped is not None:
                self.dropped = dropped

    def close(self) -> None:
        """Close the files, and take no more. What was not written is lost."""
        with self.lock:
            self._over = True
            for part in {*self._syncing, *([self.part] if self.part is not None else [])}:
                os.close(part.fd)
            self._syncing.clear()
            self.part = None
            if self._held is not None:
                os.close(self._held)
                self._held = None


def _lock(fd: int) -> None:
    """Lock a file. Who only asks whether it is locked holds it for a moment as well, so that is waited for.
    Raises BlockingIOError."""
    for left in reversed(range(5)):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not left:
                raise
            time.sleep(0.002)


def is_there(path: Path, fd: int) -> bool:
    """Whether an open file still stands at a path. Raises OSError for what else may be wrong."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return os.path.samestat(found, os.fstat(fd))


def sync_folder(folder: Path) -> None:
    """Bring the names of a folder's files to disk. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_TOLD = {
    errno.ENOSPC: "there is no space left on the disk of `{}`",
    errno.EDQUOT: "the disk quota for `{}` is used up",
    errno.EIO: "the disk of `{}` fails (input/output error)",
    errno.EROFS: "the disk of `{}` can only be read",
    errno.EFBIG: "the files in `{}` may not grow as large as a segment (a limit on the size of files)",
    errno.ENOENT: "the journal's folder `{}` is gone, or what was written in it",
    errno.ENOTDIR: "the journal's folder `{}` is gone, or what was written in it",
    errno.EACCES: "nothing may be written in `{}` (permission denied)",
    errno.EPERM: "nothing may be written in `{}` (not permitted)",
    errno.EMFILE: "too many files are open to write in `{}`",
    errno.ENFILE: "too many files are open to write in `{}`",
}


def told(folder: Path, error: OSError | JournalError) -> str:
    """Why the journal is not written, in the words of whoever has to see to it."""
    if isinstance(error, JournalError):
        return error.message
    known = _TOLD.get(error.errno or 0)
    reason = (error.strerror or str(error)).lower()
    return known.format(folder) if known else f"nothing can be written in `{folder}`: {reason}"
