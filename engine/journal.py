"""The journal: each admitted event with its decision, in the order in which things took effect.

    journal = Journal.open(Path("data/journal"))
    journal.append("event", seq, seq, at, version, wall, event, reply)
    if journal.flush():
        …  # the operating system has it: the answer may go out
    for entry in read("data/journal", after=41):
        …

`durability` says what an answer promises:

========= ==============================================================================================
`each`    what is answered is on disk: all who wait for `synced` share one call to the disk
`batch`   what is answered is with the operating system, and on disk within `sync_every` seconds: a killed
          process loses nothing, a power cut at most that
`off`     the operating system brings it to disk when it pleases, and `flush` is called now and then
========= ==============================================================================================

Nothing here raises while the journal is written. Where the disk is full or fails or its folder is gone,
`flush` gives False and `problem` says why; what is not written waits in order, and goes on where it stopped
once that is possible. What happens where the disk fails later, under what was written, stands in
journal_writer.py. One thread appends and flushes; `figures` and `close` belong to it too.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal
from zlib import crc32

import msgspec

from quell.engine.journal_format import (
    AFTER_LENGTH,
    CODES,
    KEYED,
    Damage,
    JournalError,
    pack_checked,
    pack_frame,
)
from quell.engine.journal_keeper import Keeper
from quell.engine.journal_open import Opened, opened
from quell.engine.journal_read import JournalReader, read
from quell.engine.journal_sync import Syncer
from quell.engine.journal_writer import Chunk, Writer
from quell.engine.service_types import Kind

__all__ = [
    "Damage", "Durability", "Journal", "JournalError", "JournalFigures", "JournalReader", "read",
]  # fmt: skip

Durability = Literal["each", "batch", "off"]

SEGMENT_BYTES = 64 << 20


class JournalFigures(msgspec.Struct, frozen=True):
    """How a journal stands: its segments and their bytes, the numbers of its first and last entry, and how
    many entries it holds; `unwritten` bytes that the operating system has not taken, `unsynced` bytes that
    are not known to be on disk (always 0 where nobody asks the disk), and why nothing is acknowledged, or
    empty; `trouble` is what could not be packed or dropped, or empty. `synced` is when all that was written
    was last known to be on disk, in microseconds since 1970 (0: never, as where nobody asks the disk)."""

    segments: int
    bytes: int
    first: int
    last: int
    entries: int
    unwritten: int
    unsynced: int
    problem: str
    trouble: str
    synced: int = 0


class Journal:
    """A journal that is written. `repaired` says what was done on opening to what a killed process left;
    `last` is the greatest number in it; `keep_from`, set by whoever reads it, the greatest number that nobody
    needs any more: nothing after it is dropped for age or room."""

    def __init__(
        self,
        found: Opened,
        durability: Durability,
        sync_every: float,
        keep_age: int | None,
        keep_bytes: int | None,
        packs: bool,
    ) -> None:
        self.folder = found.writer.folder
        self.durability: Durability = durability
        self.repaired = found.repaired
        self.last = found.last
        self.keep_from = 0
        self._writer: Writer = found.writer
        self._parts: list[bytes] = []
        self._first = self._wall = 0
        self._mark, self._seed = found.writer.salt.mark, found.writer.salt.seed
        self._syncer = Syncer(found.writer, sync_every) if durability != "off" else None
        self._keeper = Keeper(
            found.writer, lambda: self.keep_from, keep_age=keep_age, keep_bytes=keep_bytes, packs=packs
        )
        self._closed = False

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        durability: Durability = "batch",
        segment_bytes: int = SEGMENT_BYTES,
        keep_age: int | None = None,
        keep_bytes: int | None = None,
        sync_every: float = 0.05,
        packs: bool = True,
    ) -> Journal:
        """The journal in a folder, which is made if it is not there.

        A segment is closed at `segment_bytes`, or after a day, and then becomes a Parquet file in the
        background, unless `packs` says otherwise. Segments are dropped once all in them is older than
        `keep_age` microseconds, and the oldest while there are more than `keep_bytes`, but never what is
        still needed (`keep_from`). Raises JournalError if another process writes it, or if it cannot be read
        or written.
        """
        found = opened(Path(folder), keeps=durability != "off", segment_bytes=segment_bytes)
        journal = cls(found, durability, sync_every, keep_age, keep_bytes, packs)
        journal._keeper.start()
        return journal

    @property
    def id(self) -> str:
        """What tells this journal from any other: 32 hexadecimal digits."""
        return self._writer.salt.id

    @property
    def problem(self) -> str:
        """Why writes are not acknowledged; empty while all is well."""
        return self._writer.problem

    def append(
        self,
        kind: Kind,
        seq: int,
        decided: int,
        at: int,
        version: int,
        wall: int,
        event: bytes,
        reply: bytes,
        key: bytes = b"",
    ) -> None:
        """Put an entry behind those before. It is written by the next `flush`. `key` is the digest of the
        event's Idempotency-Key, or empty."""
        parts = self._parts
        number = decided or seq
        if not parts:
            self._first, self._wall = number, wall
        self.last = number
        length, code = len(event), CODES[kind]
        if key:  # one record for both: a kill cannot leave the decision without its key
            code |= KEYED
            reply += key
        head = pack_checked(AFTER_LENGTH + length + len(reply), code, seq, decided, at, wall, version, length)
        checked = b"".join((head, event, reply))
        parts += (pack_frame(self._mark, crc32(checked, self._seed)), checked)

    def flush(self) -> bool:
        """Hand what was appended to the operating system; False if that could not be done for all of it:
        `problem` says why, and the next call tries again."""
        parts, writer = self._parts, self._writer
        if parts:
            data = b"".join(parts)
            done = writer.write(Chunk(data, self._first, len(parts) >> 1, self._wall))
            parts.clear()
        else:
            done = not writer.problem or writer.write(None)
        syncer = self._syncer
        if syncer is not None and syncer.asleep:
            syncer.wake()
        return done

    def synced(self) -> asyncio.Future[None] | None:
        """Something to await before what was flushed may be acknowledged, for durability `each`: done once it
        is on disk, failing with JournalError if that cannot be. None if there is nothing to wait for. Each
        call gives a future of its own."""
        if (
            self.durability != "each"
            or self._syncer is None
            or not (self._writer.kept or self._writer.broken)
        ):
            return None
        return self._syncer.wait()

    def figures(self) -> JournalFigures:
        """How it stands now."""
        writer = self._writer
        sizes, firsts = dict(writer.sizes), dict(writer.firsts)
        return JournalFigures(
            segments=len(sizes),
            bytes=sum(sizes.values()),
            first=firsts[min(firsts)] if firsts else 0,
            last=self.last,
            entries=writer.entries - writer.dropped,
            unwritten=writer.waiting + sum(map(len, self._parts)),
            unsynced=writer.kept_bytes,
            problem=self.problem,
            trouble=self._keeper.trouble,
            synced=self._syncer.done_at if self._syncer is not None else 0,
        )

    def close(self) -> None:
        """Write the rest, bring it to disk, and let go of the folder. What cannot be written is lost, and
        `problem` says why."""
        if self._closed:
            return
        self._closed = True
        self._keeper.close()
        self.flush()
        if self._syncer is not None:
            self._syncer.close()
        self._writer.close()
