"""Snapshots of a service's memory, and how it finds its memory again: the newest snapshot, and what the
journal says since.

Snapshots are made by a process of its own, `python -m quell.engine.checkpoint DATA KEYS AGE`, which makes the
journal again from the snapshot before: deciding is never held up by it, and every decision is checked against
the recorded one on the way. What a snapshot is of stands in its name, `state-<number>-v<version>.quell`.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from quell.engine.bundle import read_bundle
from quell.engine.children import end_with_parent
from quell.engine.compile import Build, analyse, build
from quell.engine.idempotency import BOUNDS, Bounds, Known
from quell.engine.journal import JournalError, read
from quell.engine.journal_format import number_of
from quell.engine.plain_files import open_plain
from quell.engine.reload_freeze import BUNDLE
from quell.engine.remake import Builds, RemakeError, Remaker, quiet_number
from quell.engine.service_types import Entry
from quell.engine.snapshot import SnapshotError, read_snapshot, uncollected, write_snapshot
from quell.engine.stepper import Stepper
from quell.engine.versions import BUNDLES, read_versions
from quell.grammar.diagnostics import PolicyError, Report

_NAME = re.compile(r"state-(\d{1,19})-v(\d{1,9})\.quell")
KEEP = 5
"""Snapshots that are kept, so many at least."""


class Data(msgspec.Struct, frozen=True):
    """The folders in a data folder."""

    root: Path

    @property
    def journal(self) -> Path:
        """Where the journal's segments are."""
        return self.root / "journal"

    @property
    def states(self) -> Path:
        """Where snapshots are."""
        return self.root / "snapshots"

    @property
    def versions(self) -> Path:
        """Where the bundle's versions are."""
        return self.root / "versions"

    @property
    def fills(self) -> Path:
        """Where it stands what counters were filled with."""
        return self.root / "fills"

    @property
    def outbox(self) -> Path:
        """Where it stands what was sent."""
        return self.root / "outbox"


class Snapshot(msgspec.Struct, frozen=True):
    """A snapshot: its file, the last number that it remembers, and the version that decided then."""

    path: Path
    number: int
    version: int


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of making a snapshot: the last `number` it remembers (0 if there was nothing new), how many
    decisions were `made` again on the way, how many of them came out `differing` and the first of those, how
    many bytes it takes, how long it took in `seconds`, and for how many seconds of the processor decisions
    were `making`, which other programs on the machine do not lengthen. `first` is the number of the journal's
    oldest entry, and `version` what decided then."""

    number: int = 0
    made: int = 0
    differing: int = 0
    different: tuple[int, ...] = ()
    bytes: int = 0
    seconds: float = 0.0
    making: float = 0.0
    problem: str = ""
    first: int = 0
    version: int = 0


@dataclass(slots=True)
class Recovered:
    """A memory that was found again: the `remaker` with the stepper, the number of the snapshot it began from
    (0 for none), how many `seconds` of the processor the journal took, and what is to be told of it, a
    sentence each."""

    remaker: Remaker
    began: int = 0
    seconds: float = 0.0
    told: list[str] = field(default_factory=list)


def builds_of(data: Data) -> Builds:
    """The bundles of versions as they were kept, each made ready once."""
    known: dict[int, Build] = {}

    def get(number: int) -> Build:
        if number not in known:
            report = Report()
            try:
                kept = read_versions(data.versions)[0][number]
                folder = data.versions / BUNDLES / kept.content / BUNDLE
                files = read_bundle(folder, report)
                files.name = kept.name or files.name
                known[number] = build(analyse(files, report, lints=False))
            except (PolicyError, LookupError, OSError) as error:
                raise RemakeError(f"version {number} of the bundle is not kept any more") from error
        return known[number]

    return get


def snapshots(data: Data) -> list[Snapshot]:
    """The snapshots that there are, the newest first."""
    found = []
    for path in data.states.glob("state-*.quell") if data.states.is_dir() else ():
        named = _NAME.fullmatch(path.name)
        if named:
            found.append(Snapshot(path, int(named[1]), int(named[2])))
    return sorted(found, key=lambda s: s.number, reverse=True)


def oldest(data: Data) -> Snapshot | None:
    """The oldest snapshot that is left."""
    return min(snapshots(data), key=lambda s: s.number, default=None)


def checkpoint_of(data: Data, number: int, version: int) -> Path:
    """The file of the snapshot of a number, made while a version decides."""
    return data.states / f"state-{number:019d}-v{version}.quell"


def prune(data: Data, keep: int = KEEP) -> int:
    """Remove old snapshots but for the newest; gives the number of the oldest that is left, 0 for none."""
    there = snapshots(data)
    for old in there[keep:]:
        with suppress(OSError):  # it is left, as where somebody put a folder in its place
            old.path.unlink(missing_ok=True)
    return there[:keep][-1].number if there else 0


def remove_parts(folder: Path) -> None:
    """Remove what processes that were killed had begun to write in a folder. Nobody may be writing there."""
    for path in folder.glob(".*.part") if folder.is_dir() else ():
        with suppress(OSError):
            path.unlink()


def greatest_version(data: Data) -> int:
    """The greatest number of a version that snapshots and journal tell of, 0 where there are none. Raises
    JournalError for a journal that cannot be read."""
    newest = next(iter(snapshots(data)), None)
    found = newest.version if newest is not None else 0
    if not any(data.journal.glob("*-*.*")):
        return found
    after = newest.number if newest is not None else 0
    return max((entry.version for entry in read(data.journal, after)), default=found)


def drop_fills(data: Data, first: int) -> None:
    """Remove what counters were filled with by entries before the journal's first number. A file has the
    number before that of its entry."""
    for path in data.fills.glob("fill-*.quell*") if data.fills.is_dir() else ():
        number = re.match(r"fill-(\d{1,19})-", path.name)
        if number is not None and int(number[1]) + 1 < first:
            with suppress(OSError):  # it is left, as where somebody put a folder in its place
                path.unlink(missing_ok=True)


def begin(data: Data, builds: Builds, upto: int | None = None, known: Known | None = None) -> Recovered:
    """A memory as the newest whole snapshot has it, of those up to a number; without one an empty memory.
    Nothing of the journal is made again yet. `known` gets the keys of events."""
    told = []
    for snapshot in snapshots(data):
        if upto is not None and snapshot.number > upto:
            continue
        try:
            bundle = builds(snapshot.version)
            stepper, _ = read_snapshot(snapshot.path, partial(Stepper, bundle), known)
        except (SnapshotError, RemakeError) as error:
            told.append(f"the snapshot `{snapshot.path.name}` was left out: {error}")
            continue
        remaker = Remaker(builds, stepper, snapshot.version, data.fills, known)
        return Recovered(remaker, snapshot.number, told=told)
    if known is not None:
        known.clear()
    return Recovered(Remaker(builds, fills=data.fills, known=known), told=told)


def recover(data: Data, builds: Builds, upto: int | None = None, known: Known | None = None) -> Recovered:
    """The memory after the last entry of the journal, or after a number; `known` gets the keys of events.
    Raises RemakeError for a journal that cannot be made again, JournalError for one that cannot be read."""
    found = begin(data, builds, upto, known)
    began = time.process_time()
    missing = partial(_refuse, data)
    with uncollected(), closing(read(data.journal, found.began, missing=missing)) as entries:
        for place, entry in enumerate(entries):
            if upto is not None and number_of(entry) > upto:
                break
            if not place:
                check_first(found, entry)
            found.remaker.take(entry)
    found.seconds = time.process_time() - began
    return found


def _refuse(data: Data, error: JournalError) -> None:
    """The memory needs what is lost."""
    hint = f"put the file back from a copy; or `quell journal mend {data.root}` goes on without what is lost"
    raise JournalError(error.message, hint)


def check_first(found: Recovered, entry: Entry) -> None:
    """See whether an entry may be the first one after a snapshot, or the first of all; what is missing before
    it is told. Raises RemakeError where nothing says what was remembered then."""
    if not found.remaker.begun:
        if entry.kind != "version":
            told = "what came before the journal's first entry is gone, and there is no whole snapshot"
            hint = "put a snapshot back from a copy, or move the data folder away to begin without a memory"
            raise RemakeError("; ".join((*found.told, told)), hint)
    elif told := missing_after(found.began, entry):
        found.told.append(told)


def missing_after(snapshot: int, first: Entry) -> str:
    """What is said of numbers that are missing between a snapshot's and the first entry after it; empty where
    none is."""
    missing = number_of(first) - snapshot - 1
    told = f"{missing:,} numbers after the snapshot of {snapshot:,} are not in the journal"
    return told if missing > 0 else ""


def sync_journal(data: Data) -> None:
    """Bring the journal to disk: no snapshot may remember what a power cut can still take from the journal.
    Raises OSError."""
    for path in sorted(data.journal.glob("*.qj")):
        try:
            handle = open_plain(path)
        except FileNotFoundError:  # packed since
            continue
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def checkpoint(data: Data, bounds: Bounds = BOUNDS) -> Checkpoint:
    """Make a snapshot of the memory at the last moment at which no decision waits; of keys within bounds."""
    began = time.perf_counter()
    newest = next(iter(snapshots(data)), None)
    last = quiet_number(read(data.journal, newest.number if newest is not None else 0))
    if not last or (newest is not None and last <= newest.number):
        return Checkpoint()
    known = Known(bounds)
    found = recover(data, builds_of(data), last, known)
    remaker = found.remaker
    sync_journal(data)
    data.states.mkdir(exist_ok=True)
    size = write_snapshot(remaker.stepper, checkpoint_of(data, last, remaker.number), known)
    with closing(read(data.journal, missing=lambda error: None)) as entries:
        first = next(entries)
    return Checkpoint(
        last,
        remaker.made,
        remaker.differing,
        tuple(remaker.different),
        size,
        time.perf_counter() - began,
        found.seconds,
        "; ".join(found.told),
        number_of(first),
        first.version,
    )


def main(arguments: Iterable[str]) -> int:
    """Make a snapshot for the data folder that is named, with so many keys of such an age at most, and print
    what came of it as JSON."""
    folder, most, age = arguments
    try:
        made = checkpoint(Data(Path(folder)), Bounds(int(most), int(age)))
    except (RemakeError, JournalError, SnapshotError, OSError) as error:
        made = Checkpoint(problem=str(error))
    sys.stdout.write(msgspec.json.encode(made).decode() + "\n")
    return 1 if made.problem and not made.number else 0


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(sys.argv[1:]))
