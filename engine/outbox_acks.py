"""The log of acknowledgements: which sends are settled, so that a restart leaves them out.

One line for each record: eight hexadecimal digits of CRC-32, a blank, and a JSON list.

    ["quell-outbox", 1, JOURNAL]         the first line: whose numbers these are
    ["state", TOP, {SINK: PLACE}, [PLACE, …]]
                                         all up to TOP is settled, save what each sink has from a place on,
                                         and these; a place is [NUMBER, INDEX]
    ["ack", NUMBER, INDEX, TAG]          settled: delivered, or a dead letter
    ["tried", NUMBER, INDEX, ATTEMPTS, FIRST, WHY]
    ["upto", NUMBER]                     all up to here is settled
    ["back", NUMBER]                     what was said of numbers above this is void: the journal lost them,
                                         and gives them out again

The file is made anew, small, once it has grown; the one before it is kept as `acks.log.1`. What is torn at
the end is cut off, a damaged line elsewhere left out: either way something may be delivered once more, and
nothing less than once.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from quell.engine.outbox_types import OutboxError
from quell.engine.plain_files import open_plain, read_plain

NAME = "acks.log"
BEFORE = NAME + ".1"
MAGIC = "quell-outbox"
FORMAT = 1
LARGE = 4 << 20
"""Bytes from which on the file is made anew."""

Place = tuple[int, int]
"""A send: the number of its decision, and its index among that decision's sends."""


@dataclass(slots=True)
class Tried:
    """What is known of a send that failed: attempts, when the first was (microseconds), what it met."""

    attempts: int
    first: int
    why: str


@dataclass(slots=True)
class State:
    """All up to the number `top` is settled, save what the sinks in `froms` have from there on, and
    `open`."""

    top: int
    froms: dict[str, Place] = field(default_factory=dict)
    open: set[Place] = field(default_factory=set)

    def has(self, sink: str, place: Place) -> bool:
        """Whether it says that a send is settled."""
        if place[0] > self.top or place in self.open:
            return False
        start = self.froms.get(sink)
        return start is None or place < start

    def record(self) -> list[Any]:
        """What it takes to say this again."""
        return ["state", self.top, self.froms, sorted(self.open)]


@dataclass(slots=True)
class Settled:
    """What a log says is settled. What one of the `states` says holds, whatever others leave open."""

    upto: int = 0
    states: list[State] = field(default_factory=list)
    acks: dict[Place, str] = field(default_factory=dict)
    tried: dict[Place, Tried] = field(default_factory=dict)

    def has(self, sink: str, place: Place) -> str | bool:
        """Whether a send is settled: False, True, or the tag that it must have to be the one."""
        if place[0] <= self.upto:
            return True
        tag = self.acks.get(place)
        if tag is not None:
            return tag
        return any(state.has(sink, place) for state in self.states)

    def forget_above(self, last: int) -> None:
        """Void what is said of numbers above `last`."""
        self.upto = min(self.upto, last)
        for state in self.states:
            state.top = min(state.top, last)
        self.acks = {p: tag for p, tag in self.acks.items() if p[0] <= last}
        self.tried = {p: t for p, t in self.tried.items() if p[0] <= last}

    def take(self, record: list[Any]) -> None:
        """Go on by one record."""
        kind, rest = record[0], record[1:]
        if kind == "ack":
            number, index, tag = rest
            self.acks[number, index] = tag
            self.tried.pop((number, index), None)
        elif kind == "upto":
            self.upto = max(self.upto, rest[0])
        elif kind == "tried":
            number, index, attempts, first, why = rest
            self.tried[number, index] = Tried(attempts, first, why)
        elif kind == "state":
            froms = {name: (number, index) for name, (number, index) in rest[1].items()}
            self.states.append(State(rest[0], froms, {(number, index) for number, index in rest[2]}))
        elif kind == "back":
            self.forget_above(rest[0])

    def prune(self) -> None:
        """Let go of what is below `upto` anyway."""
        self.acks = {p: tag for p, tag in self.acks.items() if p[0] > self.upto}
        self.tried = {p: t for p, t in self.tried.items() if p[0] > self.upto and p not in self.acks}

    def records(self) -> list[list[Any]]:
        """What it takes to say all this again."""
        made = [state.record() for state in self.states or [State(0)]]
        made.append(["upto", self.upto])
        made += [["ack", *p, tag] for p, tag in self.acks.items()]
        made += [["tried", *p, t.attempts, t.first, t.why] for p, t in self.tried.items()]
        return made


def line(record: list[Any]) -> bytes:
    """A record as its line."""
    content = msgspec.json.encode(record)
    return b"%08x %s\n" % (crc32(content), content)


def parsed(text: bytes) -> list[Any] | None:
    """The record of a line without its end; None where it is damaged."""
    try:
        if int(text[:8], 16) != crc32(text[9:]):
            return None
        record = msgspec.json.decode(text[9:])
    except (ValueError, msgspec.MsgspecError):
        return None
    return record if isinstance(record, list) and record and isinstance(record[0], str) else None


class AckLog:
    """The log, open to be written. `settled` is what it said when it was opened; `repaired` tells in words
    what was damaged, or is "". Writing may be done in another thread, by one at a time."""

    def __init__(self, folder: Path, journal_id: str) -> None:
        self._path = folder / NAME
        self._journal = journal_id
        self.repaired = ""
        self.settled = Settled()
        self._size = 0
        self._file = -1
        self._whole = False
        """Whether the beginning of the file is intact."""
        try:
            self._open()
        except OSError as error:
            hint = "see that Quell may write there, and that there is space"
            raise OutboxError(f"`{self._path}` cannot be used: {reason(error)}", hint) from error

    def _open(self) -> None:
        found = read_log(self._path.parent)
        if found.records and found.journal != self._journal:
            self.repaired = f"`{NAME}` is of another journal, so nothing in it holds"
            found.records.clear()
        elif found.damaged:
            self.repaired = f"`{NAME}` was damaged: some sends may be delivered once more"
        self.settled = found.settled()
        self._whole = found.whole
        if found.whole and not self.repaired:
            self._reopen(found.size)
        else:
            self.renew(self.settled.records(), keep=bool(found.records))

    @property
    def large(self) -> bool:
        """Whether it is time to make it anew."""
        return self._size > LARGE

    def _reopen(self, size: int) -> None:
        """Go on after the first `size` bytes."""
        file = open_plain(self._path, os.O_WRONLY | os.O_APPEND)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = file, size
        self._cut()

    def _cut(self) -> None:
        if os.fstat(self._file).st_size > self._size:
            os.ftruncate(self._file, self._size)

    def write(self, records: Iterable[list[Any]]) -> None:
        """Bring records to disk, all or none. Raises OSError, and FileNotFoundError where the file is gone
        and is to be made anew."""
        content = b"".join(map(line, records))
        if not os.path.samestat(os.fstat(self._file), self._path.stat()):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._cut()  # what a write before this one may have left half done
        _write_all(self._file, content)
        os.fdatasync(self._file)
        self._size += len(content)

    def renew(self, records: Iterable[list[Any]], keep: bool = True) -> None:
        """Put a new file in place of the old, with these records only, the state first. The old one is kept
        as the one before, unless what it says holds no more. Raises OSError."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        part = self._path.with_name(NAME + ".part")
        content = b"".join(map(line, ([MAGIC, FORMAT, self._journal], *records)))
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(file, content)
            os.fsync(file)
        finally:
            os.close(file)
        before = self._path.with_name(BEFORE)
        if not keep:
            before.unlink(missing_ok=True)
        elif self._whole:
            with contextlib.suppress(FileNotFoundError):
                self._path.replace(before)
        part.replace(self._path)
        self._whole = True
        sync_folder(self._path.parent)
        self._reopen(len(content))

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


@dataclass(slots=True)
class Read:
    """What a file holds. `whole` says that its beginning is intact; `size` ends its last whole line;
    `damaged` are the lines that cannot be read."""

    whole: bool = False
    journal: str = ""
    records: list[list[Any]] = field(default_factory=list)
    damaged: int = 0
    size: int = 0

    def settled(self) -> Settled:
        """What the records say."""
        made = Settled()
        for record in self.records:
            with contextlib.suppress(ValueError, TypeError, LookupError):
                made.take(record)
        made.prune()
        return made

    @classmethod
    def file(cls, path: Path) -> Read:
        """Read a file, which may not be there. Raises OSError, and OutboxError for a format of the future."""
        try:
            content = read_plain(path)
        except FileNotFoundError:
            return cls()
        *lines, torn = content.split(b"\n")
        found = [parsed(text) for text in lines]
        made = cls(size=len(content) - len(torn))
        made.records = [r for r in found if r is not None and r[0] != MAGIC]
        made.damaged = found.count(None) + bool(torn)
        head = found[0] if found else None
        if head is not None and head[0] == MAGIC:
            if head[1:2] != [FORMAT]:
                raise OutboxError(f"`{path}` was written by another version of Quell", "use that version")
            made.journal = str(head[2])
            made.whole = len(found) > 1 and found[1] is not None and found[1][0] == "state"
        return made


def read_log(folder: Path) -> Read:
    """What the log in a folder holds; where its beginning is damaged or it is not there, after what the one
    before it held. Raises OSError and OutboxError."""
    found = Read.file(folder / NAME)
    if found.whole:
        return found
    before = Read.file(folder / BEFORE)
    found.damaged += (folder / NAME).exists()
    found.records = before.records + found.records
    found.journal = before.journal
    return found


def _write_all(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def reason(error: OSError) -> str:
    """What the operating system refused, in its words."""
    return (error.strerror or "it cannot be used").lower()
