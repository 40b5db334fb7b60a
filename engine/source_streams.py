"""Bytes of files: unpacking, a first look at what they are, lines of bounded length."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from quell.engine.event_pick import refuse_size
from quell.engine.event_problems import Refusal
from quell.engine.source_base import SourceError

BROKEN = (EOFError, OSError, zlib.error, pa.ArrowException)
"""What reading a file can raise halfway: it ends early, or is damaged, or its disk is."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
BOM = b"\xef\xbb\xbf"


def is_file(path: Path) -> bool:
    """Whether there is a plain file, without raising."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@dataclass(slots=True)
class Opened:
    """A file or stream that is being read: its name, its contents unpacked, its size in bytes (packed,
    None where that cannot be known), how far it was read, and how to let go of it."""

    name: str
    reader: io.BufferedReader
    total: int | None
    told: Callable[[], int]
    close: Callable[[], None]


def unpack(stream: BinaryIO, name: str, *, owned: bool) -> Opened:
    """Open the contents of a stream, unpacked if their first bytes are those of gzip or zstd; closing
    closes the stream only where it is `owned`."""
    counted = Joined(b"", stream)
    reader = buffered(counted)
    head = peek(reader, name)[:4]
    if head.startswith(_GZIP):
        reader = buffered(gzip.GzipFile(fileobj=reader))
    elif head.startswith(_ZSTD):
        reader = buffered(pa.CompressedInputStream(reader, "zstd"))
    return Opened(name, reader, _size(stream), counted.told, stream.close if owned else _leave)


def buffered(raw: Any) -> io.BufferedReader:
    """A buffer over anything that has `readinto`."""
    return io.BufferedReader(raw, 1 << 16)


def _leave() -> None:
    """Close nothing: the stream is another's."""


class Joined(io.RawIOBase):
    """Bytes that were read already, then the rest of their stream; `told` counts both."""

    def __init__(self, data: bytes, stream: BinaryIO | io.BufferedReader) -> None:
        self._data = data
        self._stream = stream
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # as io calls it
        size = len(buffer)
        if self._data:
            data, self._data = self._data[:size], self._data[size:]
        else:
            data = getattr(self._stream, "read1", self._stream.read)(size)
        buffer[: len(data)] = data
        self._count += len(data)
        return len(data)

    def told(self) -> int:
        return self._count


def _size(stream: BinaryIO) -> int | None:
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def peek(reader: io.BufferedReader, name: str, size: int = 4096) -> bytes:
    """The first bytes, at most `size`, of what a reader will give."""
    try:
        return reader.peek(size)[:size]
    except BROKEN as error:
        raise broken(name, error) from error


def broken(name: str, error: BaseException, place: str = "") -> SourceError:
    """The error of a file that cannot be read to its end."""
    early = isinstance(error, EOFError) or "runcated" in str(error)
    what = "ends too early" if early else "is damaged"
    return SourceError(f"`{name}` {what}{place}", "copy or make it again")


def not_text(opened: Opened) -> SourceError | None:
    """What is wrong with a file that should be text, as far as its first bytes tell."""
    name = opened.name
    head = peek(opened.reader, name)
    if head.startswith(b"PAR1"):
        return SourceError(f"`{name}` holds Parquet", "name it with the ending .parquet")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return SourceError(f"`{name}` is UTF-16 text", "save it as UTF-8")
    if b"\0" in head:
        return SourceError(f"`{name}` is not text", "events are read from JSON lines, CSV and Parquet")
    return None


def lines_of(reader: io.BufferedReader, name: str, limit: int) -> Iterator[tuple[int, bytes | Refusal]]:
    """The lines that are not blank, numbered from 1, without their ends; one longer than `limit` bytes
    as a Refusal. Raises SourceError where the file breaks off."""
    number = 0
    while True:
        try:
            line = reader.readline(limit + 2)
            if not line:
                return
            number += 1
            size = len(line)
            if size > limit and not line.endswith(b"\n"):
                size += _skip_line(reader)
        except BROKEN as error:
            raise broken(name, error, f", after line {number}") from error
        if number == 1:
            line = line.removeprefix(BOM)
        line = line.rstrip(b"\r\n")
        if size > limit + 2:
            yield number, refuse_size(size, limit)
        elif line and not line.isspace():
            yield number, line


def _skip_line(reader: io.BufferedReader) -> int:
    """Read to the end of the line, and give the number of bytes."""
    size = 0
    while part := reader.readline(1 << 16):
        size += len(part)
        if part.endswith(b"\n"):
            break
    return size
