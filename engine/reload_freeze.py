"""Freezing a bundle: a copy of exactly its files, aside, so that what is checked is what is compiled.

The copy is made between two looks at the folder. Where they differ, something was written meanwhile, and the
copy may be of half of it: that is said (`Unsettled`) and nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from quell.engine.drift_card import card_of
from quell.engine.plain_files import stream_plain
from quell.engine.reload_files import Look, Stamp, Unreadable, blocks, content_id, look
from quell.engine.service_types import Finding
from quell.signals.models import MAX_MODEL_BYTES

MAX_BYTES = 4 << 30
"""Of all files of a bundle together."""
BUNDLE = "bundle"
"""Where the files of a version lie in its folder."""
_RACY = 2_000_000_000
"""Nanoseconds: a file written within this of being read may have been written again with the same stamp."""
_READ_ONLY = 0o444


class Unsettled(Exception):
    """Something was written while the bundle was copied."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A frozen copy that is no version yet: its `folder` (the files lie in `bundle`), what its content is
    called, the digest of each file, and when, by whom and why it was taken.

    `problems` are what could not be read and stops the bundle. `unread` are files that could not be taken
    though something in a policy may name them: no trouble unless a policy really does. `others` are the names
    of what lies beside, for hints.
    """

    folder: Path
    name: str
    content: str
    files: Mapping[str, str]
    problems: tuple[Finding, ...]
    unread: Mapping[str, Finding]
    others: frozenset[str]
    by: str
    why: str

    @property
    def bundle(self) -> Path:
        """The folder to read as a bundle."""
        return self.folder / BUNDLE

    def drop(self) -> None:
        """Remove the copy."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Known:
    """A file that was copied before: its stamp, its digest, where the copy is, and what that looked like."""

    stamp: Stamp
    digest: str
    copy: Path
    copied: tuple[int, int, int]

    def fits(self, stamp: Stamp) -> bool:
        """Whether the file was not written since, and nobody laid hands on the copy."""
        try:
            return self.stamp == stamp and self.copied == _mark(self.copy)
        except OSError:
            return False


def _mark(copy: Path) -> tuple[int, int, int]:
    """What differs once a copy was written; links to it change nothing."""
    about = copy.stat()
    return about.st_ino, about.st_size, about.st_mtime_ns


@dataclass(slots=True)
class Freezer:
    """Makes frozen copies in `folder`. A file that lies there with the same content already is linked, so
    that a large list is kept once however many versions have it; `kept` finds it by digest and name."""

    folder: Path
    kept: Callable[[str, str], Path | None] = lambda digest, name: None
    _known: dict[str, _Known] = field(default_factory=dict)
    _count: int = 0

    def freeze(self, policies: Path, by: str, why: str, seen: Look | None = None) -> Staged:
        """Copy the bundle in a folder, as a look at it saw it. Raises Unsettled, and OSError where the copy
        cannot be written."""
        first = seen if seen is not None else look(policies)
        self._count += 1
        made = self.folder / f"{os.getpid()}-{self._count}"
        shutil.rmtree(made, ignore_errors=True)
        copying = _Copying(self, first, made / BUNDLE)
        try:
            copying.run()
            if look(policies) != first:
                raise Unsettled
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        return Staged(
            made,
            first.root.name if first.root is not None else policies.name,
            content_id(copying.digests),
            copying.digests,
            (*first.problems, *copying.problems),
            copying.unread,
            first.others,
            by,
            why,
        )

    def remember(self, staged: Staged, place: Path) -> None:
        """Note that the files of a frozen copy now lie at `place`."""
        for name, known in self._known.items():
            if known.copy == staged.bundle / name:
                self._known[name] = replace(known, copy=place / name)


class _Copying:
    """One copy while it is made."""

    def __init__(self, freezer: Freezer, seen: Look, target: Path) -> None:
        self._freezer = freezer
        self._seen = seen
        self._target = target
        self._left = MAX_BYTES
        self.digests: dict[str, str] = {}
        self.problems: list[Finding] = []
        self.unread: dict[str, Finding] = {}

    def run(self) -> None:
        """Copy everything."""
        self._target.mkdir(parents=True)
        for name, data in self._seen.texts.items():
            self._left -= len(data)
            self.digests[name] = self._write(name, (data,))
        root = self._seen.root
        for name, stamp in self._seen.named.items():
            if root is not None and stamp is not None:
                self._take(root, name, stamp)

    def _take(self, root: Path, name: str, stamp: Stamp) -> None:
        """Copy a file that a policy names, or link it where it is the one copied before."""
        self._left -= stamp[2]
        if self._left < 0:
            told = f"the files of the bundle hold more than {MAX_BYTES >> 30} GB together"
            self.problems[:] = [Finding("", 0, told, "unreadable-file")]
            return
        known = self._freezer._known.get(name)
        if known is not None and known.fits(stamp) and self._link(known.copy, name):
            self.digests[name] = known.digest
            return
        began = time.time_ns()
        try:
            digest = self._write(name, blocks(root, name, MAX_MODEL_BYTES, "a file of a bundle"))
        except Unreadable as error:
            self.unread[name] = error.finding
            (self._target / name).unlink(missing_ok=True)
            return
        except FileNotFoundError:
            raise Unsettled from None
        self.digests[name] = digest
        same = self._freezer.kept(digest, name)
        if same is not None and _digest(same) == digest:
            self._link(same, name)
        self._freezer._known.pop(name, None)
        if began - max(stamp[3], stamp[4]) > _RACY:
            copy = self._target / name
            self._freezer._known[name] = _Known(stamp, digest, copy, _mark(copy))

    def _link(self, source: Path, name: str) -> bool:
        """Put a link to a file in the copy, in the place of what is there; False where it cannot be."""
        target = self._target / name
        part = target.with_name(f".{target.name[:100]}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, part, follow_symlinks=False)
            part.replace(target)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            return False
        return True

    def _write(self, name: str, content: Iterable[bytes]) -> str:
        target = self._target / name
        told = hashlib.sha256()
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for block in content:
                told.update(block)
                file.write(block)
        target.chmod(_READ_ONLY)
        return told.hexdigest()


def digests_of(bundle: Path, names: Iterable[str]) -> dict[str, str | None]:
    """The digests of files of a frozen copy; None for one that cannot be read."""
    return {name: _digest(bundle / name) for name in names}


def _digest(path: Path) -> str | None:
    try:
        with stream_plain(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def cards(files: Mapping[str, str]) -> dict[str, str]:
    """The cards of models among the files of a bundle, by name with their digests."""
    return {name: digest for name, digest in files.items() if name.endswith(card_of(""))}


def sync_tree(folder: Path) -> None:
    """Bring a folder with all in it to disk. Raises OSError."""
    for place, _, files in os.walk(folder):
        for path in [*(Path(place) / name for name in files), Path(place)]:
            sync(path)


def sync(path: Path) -> None:
    """Bring a file or a folder to disk. Raises OSError."""
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a folder, or a file of a frozen copy
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
