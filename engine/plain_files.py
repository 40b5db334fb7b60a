"""Opening the files of a data folder: ordinary ones only, and without ever waiting.

A named pipe that nobody writes into would hold a start up for good, a device may never end, and a folder is
no file: whatever is opened here by name is looked at before anything of it is read.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_OTHERS = (errno.ENXIO, errno.EISDIR)
"""How opening fails for a socket and a pipe that nobody reads, and for a folder that is to be written."""


class NotPlain(OSError):
    """What stands under a name is no ordinary file: `strerror` says what it is."""


def open_plain(path: str | Path, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
    """The descriptor of an ordinary file. Raises OSError, and of those NotPlain for whatever else is there;
    never waits."""
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in _OTHERS:
            raise _not_plain(Path(path).stat().st_mode, path) from error
        raise
    try:
        found = os.fstat(fd).st_mode
        if not stat.S_ISREG(found):
            raise _not_plain(found, path)
    except OSError:
        os.close(fd)
        raise
    return fd


def stream_plain(path: str | Path) -> BufferedReader:
    """The same as a stream that is read."""
    return os.fdopen(open_plain(path), "rb")


def read_plain(path: str | Path) -> bytes:
    """All that stands in an ordinary file. Raises OSError."""
    with stream_plain(path) as file:
        return file.read()


def _not_plain(mode: int, path: str | Path) -> NotPlain:
    kind = next((words for is_it, words in _KINDS if is_it(mode)), "no file")
    return NotPlain(errno.EINVAL, f"it is {kind}, and no ordinary file", str(path))
