"""Files that the commands read and write: refused in one line where they cannot be, never left half done."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from quell.engine.cli_group import Unreadable, told_os_error
from quell.engine.interrupts import undisturbed

STDIO = "-"
"""The file name that stands for standard input and output."""


def existing(path: str, what: str, hint: str | None = None) -> Path:
    """A path that must be there."""
    found = Path(path)
    try:
        found.stat()
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise Unreadable(f"there is no {what} `{path}`", hint) from error
        raise Unreadable(unusable(path, error), hint) from error
    return found


def unusable(path: str | Path, error: Exception) -> str:
    """Why a path cannot be used, in one line."""
    if isinstance(error, OSError):
        return told_os_error(OSError(error.errno, error.strerror, str(path)))
    return f"`{path}` cannot be the name of a file"


def read_text(path: Path, largest: int) -> str:
    """The UTF-8 text of a file of at most `largest` bytes, line ends as they are."""
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise Unreadable(unusable(path, error)) from error
    return decoded(data, str(path), largest)


def read_stdin(largest: int) -> bytes:
    """All of standard input, of at most `largest` bytes."""
    data: bytes = stdin_bytes().read(largest + 1)
    if len(data) > largest:
        raise Unreadable(f"standard input is longer than {largest:,} bytes")
    return data


def decoded(data: bytes, name: str, largest: int) -> str:
    """Bytes as UTF-8 text, a byte-order mark left out."""
    if len(data) > largest:
        raise Unreadable(f"`{name}` is larger than {largest:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"`{name}` is not UTF-8 text (byte {error.start})", "save it as UTF-8") from error


def stdin_bytes() -> IO[bytes]:
    """Standard input as bytes."""
    binary: IO[bytes] = sys.stdin.buffer
    return binary


def stdout_bytes() -> IO[bytes]:
    """Standard output as bytes; whatever was printed as text goes first."""
    sys.stdout.flush()
    binary: IO[bytes] = sys.stdout.buffer
    return binary


def same_file(a: str | Path, b: str | Path) -> bool:
    """Whether two paths lead to one file that exists."""
    try:
        return Path(a).samefile(b)
    except (OSError, ValueError):
        return False


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its name only once all of it is written; what stood there before stays
    until then. A device or a pipe is written to directly."""
    if path.is_dir():
        raise Unreadable(f"`{path}` is a folder", "name a file in it")
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as direct:
                yield direct
            return
        target = path.resolve()
        mode = target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask()
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
    except (OSError, ValueError) as error:
        raise Unreadable(unusable(path, error)) from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        part.chmod(mode)
        part.replace(target)
    except BaseException as error:
        with undisturbed():
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise Unreadable(unusable(path, error)) from error
        raise


def _umask() -> int:
    """The mask of new files' modes, which can be read only by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Put text in a file, whole or not at all. Lone surrogates, which names of files may have, are spelt
    out."""
    with whole(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def missing_parent(path: Path) -> None:
    """Refuse a file to be written in a folder that is not there, before any work is done."""
    parent = path.parent
    if not parent.is_dir():
        raise Unreadable(f"there is no folder `{parent}`", "make it first")


def listing(folder: Any) -> list[Any]:
    """What is in a folder of the file system or of a package, in order of name."""
    return sorted(folder.iterdir(), key=lambda entry: str(entry.name))
