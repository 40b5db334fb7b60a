"""One process serves a data folder: it holds the folder's lock as long as it lives."""

from __future__ import annotations

import contextlib
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
    path = folder / "lock"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what people wrote lies in it
        handle = open_plain(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        reason = (error.strerror or "it fails").lower()
        what = f"`{path}`" if isinstance(error, NotPlain) else f"the data folder `{folder}`"
        raise LockError(f"{what} cannot be used: {reason}", "name another with --data") from error
    try:
        _take(handle, folder)
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(handle, 0)
            os.write(handle, b"%d\n" % os.getpid())
        yield
    finally:
        os.close(handle)


def _take(handle: int, folder: Path) -> None:
    """Take the lock, once what a process left behind that is gone has let go of it. Raises LockError."""
    until = time.monotonic() + LINGERING
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(handle)
            if _runs(holder) or time.monotonic() > until:
                raise LockError(
                    f"`{folder}` is served already, by process {holder}",
                    "stop that one first, or name another folder with --data",
                ) from error
        else:
            return
        time.sleep(_PAUSE)


def is_held(folder: Path) -> bool:
    """Whether a process serves a data folder now."""
    try:
        handle = open_plain(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


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
