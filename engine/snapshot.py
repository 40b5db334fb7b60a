"""Snapshots: what an engine remembers, in a file, so that a restart goes on where it stood.

    write_snapshot(stepper, "state.quell")
    stepper, report = read_snapshot("state.quell", lambda: Stepper.load("policies"))

A file is a head (eight letters, the version of the format, a checksum) and then sections, each with its
length, the CRC-32 of length and content, and msgpack; the last section says how many there are. It is
written beside its place, brought to disk and put there in one step, and the snapshot before it is kept as
`….1`. So whatever is torn or turned over, at any byte, one of the two is whole, and it is told which was
taken. One process at a time writes a snapshot.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from struct import Struct
from typing import IO, Any
from zlib import crc32

import msgspec

from quell.engine.carry import Section, SnapshotReport, restore, sections
from quell.engine.idempotency import SECTION, Known
from quell.engine.plain_files import stream_plain
from quell.engine.stepper import Stepper

MAGIC = b"QUELLSNP"
FORMAT = 1
_HEAD = Struct(">8sII")
_FRAME = Struct(">QI")
_LENGTH = Struct(">Q")
_CHUNK = 1 << 20
_SHORT = 64
"""Bytes that the last section is surely shorter than."""
_NOT_READ = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
    msgspec.MsgspecError,
)
"""What reading sections that are none raises."""


class SnapshotError(Exception):
    """A snapshot that cannot be read or written, in one line; `hint` is what to try, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class _Damaged(Exception):
    """A file that is no whole snapshot, and how that shows."""


def previous_of(path: str | Path) -> Path:
    """Where the snapshot before the one at `path` is kept."""
    path = Path(path)
    return path.with_name(path.name + ".1")


def has_snapshot(path: str | Path) -> bool:
    """Whether there is anything to read."""
    return Path(path).exists() or previous_of(path).exists()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage while very many objects are made that are none: that takes most of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# ------------------------------------------------------------------ writing


def write_snapshot(stepper: Stepper, path: str | Path, known: Known | None = None) -> int:
    """Put all that a stepper remembers in a file, and the keys that are `known`; gives its bytes. Nothing may
    be decided meanwhile. What stood there before is kept as the previous snapshot, if it is whole. Raises
    SnapshotError."""
    return write_sections(path, chain(sections(stepper), known.sections() if known is not None else ()))


def write_sections(path: str | Path, told: Iterator[Section]) -> int:
    """The same for sections of any kind."""
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        with uncollected(), part.open("wb") as file:
            _write(file, told)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        _keep(path)
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise SnapshotError(f"the state cannot be written to `{path}`: {_reason(error)}") from error
    return size


def _write(file: IO[bytes], told: Iterator[Section]) -> None:
    head = _HEAD.pack(MAGIC, FORMAT, 0)[:-4]
    file.write(head + crc32(head).to_bytes(4, "big"))
    encoder = msgspec.msgpack.Encoder()
    count = 0
    for section in told:
        _frame(file, encoder.encode(section))
        count += 1
    _frame(file, encoder.encode(["end", "", count]))


def _frame(file: IO[bytes], content: bytes) -> None:
    length = len(content)
    file.write(_FRAME.pack(length, crc32(content, crc32(_LENGTH.pack(length)))))
    file.write(content)


def _keep(path: Path) -> None:
    """Keep what stands at a path as the previous snapshot. What is damaged is not worth it: it would take the
    place of one that is whole."""
    try:
        _check(path)
    except (_Damaged, FileNotFoundError):
        return
    except SnapshotError:
        pass  # of a newer Quell: not ours to judge
    previous = previous_of(path)
    spare = path.with_name(f".{path.name}.1.part")
    try:
        spare.unlink(missing_ok=True)
        os.link(path, spare)  # so that a snapshot stands at the path at every moment
        spare.replace(previous)
    except OSError:  # no such links here
        path.replace(previous)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk, where the system lets one do so."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


# ------------------------------------------------------------------ reading


def read_snapshot(
    path: str | Path, make: Callable[[], Stepper], known: Known | None = None
) -> tuple[Stepper, SnapshotReport]:
    """A stepper that goes on from a snapshot, and what was kept of it. `make` makes one that has decided
    nothing, of the same bundle or another; it is called once for each file that is tried. What the snapshot
    knows of keys is put in `known`, in the place of what was there.

    If the snapshot is damaged the previous one is taken, and the report says so. Raises SnapshotError when
    neither is whole, and for one that a newer Quell has written.
    """
    path = Path(path)
    why: list[str] = []
    for file in (path, previous_of(path)):
        try:
            stepper, report = _read(file, make, known)
        except FileNotFoundError:
            why.append(f"there is no `{file.name}`")
        except _Damaged as error:
            why.append(f"`{file.name}` is damaged: {error}")
        except OSError as error:
            raise SnapshotError(f"`{file}` cannot be read: {_reason(error)}") from error
        else:
            return stepper, msgspec.structs.replace(report, previous=why[0]) if why else report
    hint = "move it away to begin without a memory" if has_snapshot(path) else ""
    raise SnapshotError("there is no state to go on from: " + ", and ".join(why), hint)


def read_sections(path: str | Path) -> list[Section]:
    """The sections in a file, which is seen to be whole before. Raises SnapshotError."""
    path = Path(path)
    try:
        _check(path)
        with uncollected():
            return list(_sections(path))
    except (_Damaged, *_NOT_READ) as error:
        raise SnapshotError(f"`{path.name}` is damaged: {error}") from error
    except OSError as error:
        raise SnapshotError(f"`{path}` cannot be read: {_reason(error)}") from error


def _read(file: Path, make: Callable[[], Stepper], known: Known | None) -> tuple[Stepper, SnapshotReport]:
    _check(file)
    stepper = make()
    if known is not None:
        known.clear()
    try:
        with uncollected():
            return stepper, restore(stepper, _without_keys(_sections(file), known))
    except _NOT_READ as error:
        raise _Damaged("what it holds is no state") from error


def _without_keys(told: Iterator[Section], known: Known | None) -> Iterator[Section]:
    """The sections that are a stepper's; those with keys are put where they belong."""
    for section in told:
        kind, name, what = section
        if kind != SECTION:
            yield section
        elif known is not None:
            known.load(name, what)


def _check(path: Path) -> None:
    """See that a file is whole, without holding it. Raises _Damaged, and SnapshotError for a newer format."""
    with stream_plain(path) as file:
        for _ in _frames(file, keep=False):
            pass


def _sections(path: Path) -> Iterator[Section]:
    decoder = msgspec.msgpack.Decoder(tuple[str, str, Any])
    count = 0
    with stream_plain(path) as file:
        for content in _frames(file, keep=True):
            kind, name, what = decoder.decode(content)
            if kind == "end":
                if what != count:
                    raise ValueError("a section is missing")
                return
            count += 1
            yield [kind, name, what]
    raise ValueError("the last section is missing")


def _frames(file: IO[bytes], keep: bool) -> Iterator[bytes]:
    """The contents of a file's sections, each checked; empty ones where they need not be kept."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or head[:-4][:8] != MAGIC:
        raise _Damaged("it does not begin as a snapshot does")
    _, format_, check = _HEAD.unpack(head)
    if crc32(head[:-4]) != check:
        raise _Damaged("its head is not what was written")
    if format_ > FORMAT:
        hint = "read it with that version, or move it away to begin without a memory"
        raise SnapshotError(f"`{file.name}` was written by a newer Quell (format {format_})", hint)
    left = os.fstat(file.fileno()).st_size - _HEAD.size
    last = b""
    while left:
        frame = file.read(_FRAME.size)
        left -= _FRAME.size
        if left < 0 or len(frame) < _FRAME.size:
            raise _Damaged("it ends early")
        length, check = _FRAME.unpack(frame)
        if length > left:
            raise _Damaged("it ends early, or a length is not what was written")
        last = _checked(file, length, check, keep or length < _SHORT)
        left -= length
        yield last
        if _is_end(last):
            if left:
                raise _Damaged("it goes on after its end")
            return
    raise _Damaged("it ends early")


def _checked(file: IO[bytes], length: int, check: int, keep: bool) -> bytes:
    """The next content of a file, empty if it is not to be kept; what it is must give its checksum."""
    found = crc32(_LENGTH.pack(length))
    parts: list[bytes] = []
    while length:
        part = file.read(min(length, _CHUNK))
        if not part:
            raise _Damaged("it ends early")
        found = crc32(part, found)
        length -= len(part)
        if keep:
            parts.append(part)
    if found != check:
        raise _Damaged("a section is not what was written")
    return b"".join(parts)


def _is_end(content: bytes) -> bool:
    if len(content) >= _SHORT:
        return False
    try:
        found = msgspec.msgpack.decode(content)
    except msgspec.DecodeError:
        return False
    return isinstance(found, list) and len(found) == 3 and found[0] == "end"
