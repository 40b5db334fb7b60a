"""A small disk that can be filled to the last byte and emptied again: a file system of its own, where one may
be mounted; else the calls of the service's process are made to say that there is no room (for the journal,
the history of versions and acknowledgements only: what goes by Python's own files is written just so)."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SIZE = 16 << 20
"""Bytes of the disk."""
FLAG = "full"
"""The file that says so where the fullness is played."""


class Disk:
    """A disk at `path`. `real` says whether it is one."""

    def __init__(self, path: Path, real: bool) -> None:
        self.path, self.real = path, real
        self._ballast = path / "ballast" if real else path.with_name(FLAG)

    def fill(self, leave: int = 0) -> None:
        """Fill it, but for so many bytes."""
        if not self.real:
            self._ballast.touch()
            return
        with self._ballast.open("ab", buffering=0) as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1 << 16))
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1 << 9))
            if leave:
                file.truncate(max(0, file.tell() - leave))

    def free(self) -> None:
        """Let there be room again."""
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def disk(path: Path) -> Iterator[Disk]:
    """A disk that is mounted at a path, if that is allowed here."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "quell-test", str(path)]
    try:
        real = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        real = False
    try:
        yield Disk(path, real)
    finally:
        if real:
            subprocess.run(["umount", "-l", str(path)], check=True)


def play_fullness(folder: Path) -> None:
    """Let writes of this process to files below a folder fail while the flag beside it is there."""
    flag, below = folder.with_name(FLAG), f"{folder.resolve()}/"

    def guarded(call: Callable[..., Any]) -> Callable[..., Any]:
        def write(file: int, *rest: Any) -> Any:
            if flag.exists() and str(Path(f"/proc/self/fd/{file}").readlink()).startswith(below):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(file, *rest)

        return write

    os.pwrite, os.write = guarded(os.pwrite), guarded(os.write)
