"""versions/ in the data folder: every version of the bundle that was live, with its files, and the history.

    history.jsonl       every attempt, live or refused (reload_history.py)
    bundles/CONTENT/    a frozen copy, once for each content: `bundle/` and `manifest.json`
    staging/            copies that are being made
    requests/           what `quell versions put-back` asks of a running server

A number is given to a version only when the engine is about to take it, and is on disk before it does: the
journal refers to it, so it is never given twice. What was refused has none.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from quell.engine.plain_files import read_plain
from quell.engine.reload_files import Look, content_id
from quell.engine.reload_freeze import BUNDLE, Freezer, Staged, digests_of, sync, sync_tree
from quell.engine.reload_history import Given, History, HistoryError, Line, Record, Wanted, read_history
from quell.engine.service_types import ReloadOutcome, VersionInfo

KEEP = 50
"""Versions whose files are kept, at least."""
BUNDLES, STAGING, REQUESTS, MANIFEST = "bundles", "staging", "requests", "manifest.json"


class VersionError(Exception):
    """A version that is not there or not whole any more; `hint` is what to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Manifest(msgspec.Struct, frozen=True):
    """What lies in a frozen copy: the name of the folder that it was taken from, and the SHA-256 of each file
    by its name."""

    name: str
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Kept:
    """A version that was given to the engine: what it is, what its frozen copy is called, and whether it went
    live. None: it is not known yet, or a crash came in between. It was sound and about to decide, so that a
    start takes it for live."""

    info: VersionInfo
    content: str
    name: str
    live: bool | None


def now() -> int:
    """The clock, in microseconds since 1970."""
    return time.time_ns() // 1000


def kept_of(lines: Iterable[Line]) -> dict[int, Kept]:
    """The versions of a history by number."""
    found: dict[int, Kept] = {}
    for line in lines:
        if isinstance(line, Given):
            found[line.version.number] = Kept(line.version, line.content, line.name, None)
        elif isinstance(line, Record) and line.outcome.version is not None:
            known = found.get(line.outcome.version.number)
            if known is not None and line.outcome.result != "unchanged":
                live = line.outcome.result == "live"
                found[known.info.number] = Kept(known.info, known.content, known.name, live)
    return found


def wanted_of(lines: Sequence[Line]) -> Wanted | None:
    """The version that was put back while no server ran, unless another one went live since."""
    for line in reversed(lines):
        if isinstance(line, Wanted):
            return line
        if isinstance(line, Given):
            return None
    return None


class Versions:
    """The versions in a data folder, for the one process that serves it.

    `keep_from` is the least number that the journal or a snapshot may still need: its files and those of
    all that follow stay. Until the service says so, nothing is dropped. `used` is the greatest number that
    the journal names: no other is given up to it, whatever became of the history.
    """

    def __init__(self, folder: Path, history: History) -> None:
        """Use `open`."""
        self.path = folder
        self.keep = KEEP
        self.keep_from = 1
        self.used = 0
        self._history = history
        self._kept = kept_of(history.lines)
        self._unwritten: list[Line] = []
        self._freezer = Freezer(folder / STAGING, self._same_file)
        self._live = max((n for n, k in self._kept.items() if k.live is not False), default=0)
        self._manifests: dict[str, Manifest] = {}

    @classmethod
    def open(cls, folder: str | Path) -> Versions:
        """The versions in a folder, which is made where it is not there. Raises HistoryError."""
        path = Path(folder).absolute()
        try:
            for part in (BUNDLES, REQUESTS):
                (path / part).mkdir(parents=True, exist_ok=True)
            shutil.rmtree(path / STAGING, ignore_errors=True)
            (path / STAGING).mkdir(exist_ok=True)
        except OSError as error:
            reason = (error.strerror or "it fails").lower()
            raise HistoryError(f"`{path}` cannot be written: {reason}") from error
        return cls(path, History(path))

    # ------------------------------------------------------------- what there is

    @property
    def repaired(self) -> str:
        """What was mended of the history when it was opened, in words; empty where nothing was."""
        return self._history.repaired

    @property
    def live(self) -> VersionInfo | None:
        """The version that was live last."""
        return self._kept[self._live].info if self._live else None

    def history(self) -> list[VersionInfo]:
        """The versions that were live, the first first."""
        return [k.info for _, k in sorted(self._kept.items()) if k.live is not False]

    def attempts(self, most: int | None = None) -> list[ReloadOutcome]:
        """What came of the attempts, the last `most` of them, the first first."""
        found = [line.outcome for line in self._history.lines if isinstance(line, Record)]
        return found if most is None else found[-most:] if most else []

    def wanted(self) -> Wanted | None:
        """The version that was put back while no server ran, unless another one went live since."""
        return wanted_of(self._history.lines)

    def ignored(self) -> str:
        """The content of the folder that is not used until it changes, or nothing."""
        for line in reversed(self._history.lines):
            if isinstance(line, Given | Record):
                return line.ignored
        return ""

    def content(self, number: int) -> str:
        """What the frozen copy of a version is called. Raises VersionError."""
        return self._of(number).content

    def name(self, number: int) -> str:
        """What the folder was called that a version was taken from. Raises VersionError."""
        return self._of(number).name

    def folder(self, number: int) -> Path:
        """The folder with the files of a version, to be read as a bundle. Raises VersionError where they are
        no longer kept."""
        return self.folder_of(self._of(number).content, number)

    def folder_of(self, content: str, number: int | None = None) -> Path:
        """The same, by what the frozen copy is called."""
        found = self._place(content) / BUNDLE
        if not found.is_dir():
            told = "the version" if number is None else f"version {number}"
            raise VersionError(f"the files of {told} are no longer kept")
        return found

    def _of(self, number: int) -> Kept:
        if number not in self._kept:
            last = max(self._kept, default=0)
            hint = f"the last one is {last}" if last else "there is none yet"
            raise VersionError(f"there is no version {number}", hint)
        return self._kept[number]

    def _place(self, content: str) -> Path:
        return self.path / BUNDLES / content

    @property
    def requests(self) -> Path:
        """The folder in which other processes ask for something."""
        return self.path / REQUESTS

    def before(self) -> VersionInfo | None:
        """The last version that was live before the one that is."""
        earlier = [info for info in self.history() if info.number < self._live]
        return earlier[-1] if earlier else None

    # ------------------------------------------------------------------ freezing

    def freeze(self, policies: Path, by: str, why: str, seen: Look | None = None) -> Staged:
        """Copy the bundle in a folder aside. Raises Unsettled where it was written meanwhile, and OSError."""
        return self._freezer.freeze(policies, by, why, seen)

    def check(self, content: str, number: int | None = None) -> None:
        """Make sure that a frozen copy is there and whole, to the last byte. Raises VersionError."""
        folder = self.folder_of(content, number)
        if not self._whole(content):
            told = "the version" if number is None else f"version {number}"
            hint = "put back another one, or the policies themselves from your own copy"
            raise VersionError(f"the files of {told} are damaged in {folder}", hint)

    def _whole(self, content: str) -> bool:
        """Whether a frozen copy is there, with all its files as they were and no others."""
        folder = self._place(content) / BUNDLE
        self._manifests.pop(content, None)
        try:
            files = self.manifest(content).files
            there = {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}
            return content_id(files) == content and there == set(files) and digests_of(folder, there) == files
        except (OSError, msgspec.MsgspecError):
            return False

    def manifest(self, content: str) -> Manifest:
        """What lies in a frozen copy. Raises OSError and msgspec.MsgspecError."""
        found = self._manifests.get(content)
        if found is None:
            data = read_plain(self._place(content) / MANIFEST)
            self._manifests[content] = found = msgspec.json.decode(data, type=Manifest)
        return found

    def adopt(self, staged: Staged) -> None:
        """Keep a frozen copy, whole and on disk. Raises OSError."""
        place = self._place(staged.content)
        if self._whole(staged.content):
            staged.drop()
        else:
            manifest = Manifest(staged.name, dict(staged.files))
            (staged.folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
            sync_tree(staged.folder)
            shutil.rmtree(place, ignore_errors=True)  # it is not there, or damaged
            staged.folder.replace(place)
            sync(place.parent)
        self._freezer.remember(staged, place / BUNDLE)

    def _same_file(self, digest: str, name: str) -> Path | None:
        """A file of a recent version with that content."""
        for number in sorted(self._kept, reverse=True)[:3]:
            content = self._kept[number].content
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                if self.manifest(content).files.get(name) == digest:
                    return self._place(content) / BUNDLE / name
        return None

    # ------------------------------------------------------------------- history

    def give(
        self,
        digest: str,
        content: str,
        name: str,
        by: str,
        why: str,
        changed: Iterable[str] = (),
        ignored: str = "",
    ) -> VersionInfo:
        """Give a number to a version whose frozen copy is kept, which is then to be taken by the engine; what
        came of it is to be noted. It is on disk when this returns. Raises HistoryError."""
        number = max(self.used, max(self._kept, default=0)) + 1
        info = VersionInfo(number, digest, now(), by, why, tuple(changed))
        self._add(Given(info, content, name, ignored))
        self._kept[number] = Kept(info, content, name, None)
        return info

    def note(self, outcome: ReloadOutcome, content: str = "", ignored: str = "") -> None:
        """Write down what came of an attempt. Raises HistoryError; it is tried again with the next line,
        since what went live went live."""
        version = outcome.version
        if version is not None and outcome.result != "unchanged" and version.number in self._kept:
            known = self._kept[version.number]
            live = outcome.result == "live"
            self._kept[version.number] = Kept(known.info, known.content, known.name, live)
            if live:
                self._live = version.number
        self._add(Record(outcome, content, ignored))

    def want(self, number: int, by: str) -> None:
        """Write down that the next start is to use a version. Raises VersionError and HistoryError."""
        self.check(self.content(number), number)
        self._add(Wanted(number, now(), by))

    def _add(self, line: Line) -> None:
        self._unwritten.append(line)
        while self._unwritten:
            try:
                self._history.add(self._unwritten[0])
            except HistoryError:
                if isinstance(line, Given):
                    self._unwritten.pop()  # nothing rests on it: it is not taken
                raise
            del self._unwritten[0]

    # ------------------------------------------------------------------ retention

    def drop_old(self) -> list[str]:
        """Drop the frozen copies that nothing needs; gives what they were called."""
        numbers = sorted(self._kept)
        needed = {n for n in numbers if n >= self.keep_from} | set(numbers[-self.keep :]) | {self._live}
        wanted = self.wanted()
        if wanted is not None:
            needed.add(wanted.number)
        contents = {self._kept[n].content for n in needed if n in self._kept}
        dropped = [content for content in self._stored() if content not in contents]
        for content in dropped:
            shutil.rmtree(self._place(content), ignore_errors=True)
            self._manifests.pop(content, None)
        return dropped

    def _stored(self) -> Iterator[str]:
        with contextlib.suppress(OSError):
            yield from sorted(p.name for p in (self.path / BUNDLES).iterdir())


def read_versions(folder: Path) -> tuple[dict[int, Kept], list[Line]]:
    """The versions in a data folder's versions/ by number, and its history, for one who only looks. Raises
    OSError."""
    lines = list(read_history(folder))
    return kept_of(lines), lines
