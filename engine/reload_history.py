"""versions/history.jsonl: every attempt to take a version of the bundle, and what came of it.

A line is one JSON object, its last member `check` the CRC-32 of the line without it. Lines are only ever
added, each brought to disk before anything rests on it. What a crash tore off the end is cut off when the
file is opened for writing; a line that is damaged in the middle is left out and told.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal
from zlib import crc32

import msgspec
from msgspec.structs import replace

from quell.engine.plain_files import open_plain, stream_plain
from quell.engine.reload_freeze import sync
from quell.engine.service_types import ReloadOutcome, VersionInfo

HISTORY = "history.jsonl"
MAX_LINE = 1 << 22
"""Bytes."""
COMPACT = 32 << 20
"""Bytes of a file that is written anew without what nobody looks up any more."""
KEPT = 500
"""Outcomes that are kept in full then."""
MOST_FINDINGS = 20
"""Findings of an outcome that are written down."""
_TAIL = len(',"check":"00000000"}')


class Record(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="is", tag="outcome"):
    """What came of an attempt: `content` is what the frozen copy is called, `ignored` the content of the
    folder that is not used until it changes, after a version was put back by hand."""

    outcome: ReloadOutcome
    content: str = ""
    ignored: str = ""


class Given(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="is", tag="number"):
    """A number was given to a version that the engine was then to take; `content` is what its frozen copy is
    called, `name` the folder it was taken from, and `ignored` as in Record."""

    version: VersionInfo
    content: str
    name: str = ""
    ignored: str = ""


class Wanted(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="is", tag="wanted"):
    """A version was put back while no server ran: the next start uses it."""

    number: int
    at: int
    by: str


Line = Record | Given | Wanted
Kind = Literal["outcome", "number", "wanted"]


class HistoryError(Exception):
    """A history that cannot be written; `hint` is what to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def encoded(line: Line) -> bytes:
    """A line as it stands in the file, its end included."""
    body = msgspec.json.encode(line)
    return b'%s,"check":"%08x"}\n' % (body[:-1], crc32(body))


def decoded(line: bytes) -> Line | None:
    """A line of the file, without its end; None for one that is damaged."""
    body, tail = line[:-_TAIL] + b"}", line[-_TAIL:]
    if tail != b',"check":"%08x"}' % crc32(body):
        return None
    try:
        return _DECODER.decode(body)
    except msgspec.MsgspecError:
        return None


def read_history(folder: Path) -> Iterator[Line]:
    """The whole lines of the history in versions/, in order. Nothing of a file that is not there; raises
    OSError for one that cannot be read."""
    try:
        file = stream_plain(folder / HISTORY)
    except FileNotFoundError:
        return
    with file:
        while line := file.readline(MAX_LINE):
            if line.endswith(b"\n") and (made := decoded(line[:-1])) is not None:
                yield made


def shortened(line: Line) -> Line:
    """A line with as many findings as are written down."""
    if not isinstance(line, Record) or len(line.outcome.findings) <= MOST_FINDINGS:
        return line
    outcome = replace(line.outcome, findings=line.outcome.findings[:MOST_FINDINGS])
    return replace(line, outcome=outcome)


def compacted(lines: Sequence[Line]) -> Iterator[Line]:
    """The lines without old attempts that went nowhere, and without the details of other old ones."""
    recent = len(lines) - KEPT
    for at, line in enumerate(lines):
        if not isinstance(line, Record) or at >= recent:
            yield line
        elif line.outcome.version is not None and line.outcome.result != "unchanged":
            yield replace(line, outcome=replace(line.outcome, findings=(), state=None))


class History:
    """The history opened for writing, by the one process that may."""

    def __init__(self, folder: Path) -> None:
        """Open it, or begin one. What is torn at the end is cut off: `repaired` says so in words. Raises
        HistoryError."""
        self.path = folder / HISTORY
        self.repaired = ""
        self.lines: list[Line] = []
        self._largest = COMPACT
        try:
            self._size = self._read()
            with self.path.open("ab") as file:
                file.truncate(self._size)
                os.fsync(file.fileno())
            sync(folder)
            self._tidy()
        except OSError as error:
            raise HistoryError(_told(self.path, error)) from error

    def _tidy(self) -> None:
        """Write the file anew once it has grown large: every version, and what came of the last attempts."""
        if self._size >= self._largest:
            self._rewrite(list(compacted(self.lines)))

    def _rewrite(self, lines: list[Line]) -> None:
        """Put the file down anew, whole or not at all."""
        self.lines = lines
        data = b"".join(map(encoded, self.lines))
        part = self.path.with_name(f".{HISTORY}.part")
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)
        sync(self.path.parent)
        self._size, self._largest = len(data), max(COMPACT, 2 * len(data))

    def _read(self) -> int:
        """Read all lines; gives where the last whole one ends."""
        good = damaged = at = 0
        try:
            file = stream_plain(self.path)
        except FileNotFoundError:
            return 0
        with file:
            while line := file.readline(MAX_LINE):
                at += len(line)
                made = decoded(line[:-1]) if line.endswith(b"\n") else None
                if made is not None:
                    self.lines.append(made)
                    good = at
                elif line.endswith(b"\n"):
                    damaged += 1
        torn = at - good
        if torn:
            self.repaired = f"{torn:,} bytes at the end of {self.path} were torn and are cut off"
        elif damaged:
            told = "a line is" if damaged == 1 else f"{damaged:,} lines are"
            self.repaired = f"{told} damaged in {self.path} and left out"
        return good

    def add(self, line: Line) -> None:
        """Add a line and bring it to disk. Raises HistoryError, and then nothing was added."""
        line = shortened(line)
        data = encoded(line)
        try:
            opened = open_plain(self.path, os.O_WRONLY | os.O_CREAT)
            try:
                if os.fstat(opened).st_size < self._size:  # somebody removed it, or cut it off
                    self._rewrite([*self.lines, line])
                    return
                os.ftruncate(opened, self._size)  # what an earlier attempt left half written
                if os.pwrite(opened, data, self._size) != len(data):
                    raise OSError(28, "no space left on device")
                os.fsync(opened)
            finally:
                os.close(opened)
        except OSError as error:
            raise HistoryError(
                _told(self.path, error), "make room, or set the folder's permissions"
            ) from error
        self._size += len(data)
        self.lines.append(line)
        with contextlib.suppress(OSError):  # what is large stays large, and is tried again
            self._tidy()


def _told(path: Path, error: OSError) -> str:
    return f"`{path}` cannot be used: {(error.strerror or 'it fails').lower()}"
