"""One process serves a data folder: it holds the folder's lock as long as it lives.

Two things are locked: the file `lock`, which names the process, and the folder itself, as somebody who takes
the file for a remnant may remove it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from quell.engine.plain_files import NotPlain, open_plain

LINGERING = 10.0
"""Seconds to wait for a lock whose holder is gone: a process that it was just starting when it was killed
has the lock too, until it becomes another program."""
_PAUSE = 0.02


class LockError(Exception):
    """A data folder that cannot be had, in one line; `hint` is what to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of a data folder, which is made where it is not there. Raises LockError, which names the
    process that holds it. It goes with the process, however that ends."""
    with contextlib.ExitStack() as opened:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what people wrote lies in it
            place = _open(opened, folder, os.O_RDONLY | os.O_DIRECTORY)
            handle = _open_file(opened, folder, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            reason = (error.strerror or "it fails").lower()
            what = f"`{folder / 'lock'}`" if isinstance(error, NotPlain) else f"the data folder `{folder}`"
            raise LockError(f"{what} cannot be used: {reason}", "name another with --data") from error
        _take(place, handle, folder)
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(handle, 0)
            os.write(handle, b"%d\n" % os.getpid())
        yield


def _take(place: int, handle: int, folder: Path) -> None:
    """Take both locks, once what a process left behind that is gone has let go of them. Raises LockError."""
    until = time.monotonic() + LINGERING
    while not (_lock(place, fcntl.LOCK_EX, sure=False) and _lock(handle, fcntl.LOCK_EX)):
        holder = _holder(handle)
        if _runs(holder) or time.monotonic() > until:
            raise LockError(
                f"`{folder}` is served already, by process {holder}",
                "stop that one first, or name another folder with --data",
            )
        time.sleep(_PAUSE)


def is_held(folder: Path) -> bool:
    """Whether a process serves a data folder now."""
    with contextlib.ExitStack() as opened:
        try:
            place = _open(opened, folder, os.O_RDONLY | os.O_DIRECTORY)
            if not _lock(place, fcntl.LOCK_SH, sure=False):
                return True
            return not _lock(_open_file(opened, folder, os.O_RDWR), fcntl.LOCK_SH)
        except OSError:
            return False


def _open(opened: contextlib.ExitStack, path: Path, flags: int) -> int:
    handle = os.open(path, flags | os.O_CLOEXEC)
    opened.callback(os.close, handle)
    return handle


def _open_file(opened: contextlib.ExitStack, folder: Path, flags: int) -> int:
    handle = open_plain(folder / "lock", flags)
    opened.callback(os.close, handle)
    return handle


def _lock(handle: int, how: int, sure: bool = True) -> bool:
    """Take a lock; False where another process has it. Not every file system locks folders, which are
    therefore not `sure`."""
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except OSError as error:
        return not sure and error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _runs(holder: str) -> bool:
    """Whether a process runs; yes, where it is not known which."""
    try:
        os.kill(int(holder), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except (OSError, ValueError):
        return True
    return True


def _holder(handle: int) -> str:
    said = os.pread(handle, 20, 0).split()
    return said[0].decode(errors="replace") if said else "unknown"
