"""What is in a journal, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from quell.engine.journal_chain import Chain, unreadable
from quell.engine.journal_format import KINDS, Damage, Segment, number_of
from quell.engine.journal_packed import PackedFile
from quell.engine.journal_records import SegmentFile
from quell.engine.service_types import Entry

_ALL = -1
_TIMED = ("event", "admitted", "acted")
"""Kinds of entries that have an event's time of their own."""

Progress = Callable[[int, int], None]
"""Hears of the segments that were looked through, and of how many there are."""


class Stats(msgspec.Struct, omit_defaults=True):
    """A journal in numbers: its segments, how many of them are packed, and their bytes; its entries by kind;
    the numbers of the first and the last; the times of the oldest and the newest event, and when the first
    and the last entry were written, in microseconds; entries by version of the bundle; and how many places
    cannot be read."""

    folder: str
    id: str = ""
    segments: int = 0
    packed: int = 0
    bytes: int = 0
    entries: int = 0
    kinds: dict[str, int] = {}
    first: int = 0
    last: int = 0
    oldest: int | None = None
    newest: int | None = None
    began: int | None = None
    ended: int | None = None
    versions: dict[int, int] = {}
    unreadable: int = 0


class Some(msgspec.Struct, frozen=True):
    """Some entries of a segment, counted: by kind and version; the first and last number, and the smallest
    and greatest of the events' times and of the clock's."""

    kinds: dict[str, int]
    versions: dict[int, int]
    numbers: tuple[int, int]
    times: tuple[int, int] | None
    clock: tuple[int, int]


def stats(folder: Path, progress: Progress | None = None) -> Stats:
    """Count what is in a journal. Raises JournalError where it cannot be read."""
    chain = Chain(folder)
    valid = chain.valid(chain.listed())
    found = Stats(str(folder), segments=len(valid), packed=sum(s.packed for s in valid))
    kinds, versions = Counter[str](), Counter[int]()
    for i, segment in enumerate(valid):
        chain.head(segment)
        follows = valid[i + 1] if i + 1 < len(valid) else None
        try:
            found.bytes += segment.path.stat().st_size
            for some in _packed(segment, found) if segment.packed else _plain(chain, segment, follows, found):
                kinds.update(some.kinds)
                versions.update(some.versions)
                _widen(found, some)
        except FileNotFoundError:  # packed or dropped meanwhile
            continue
        except OSError as error:
            raise unreadable(segment.path, error) from error
        if progress is not None:
            progress(i + 1, len(valid))
    found.kinds = {kind: kinds[kind] for kind in KINDS.values() if kinds[kind]}
    found.versions = dict(sorted(versions.items()))
    found.entries = kinds.total()
    found.id = chain.salt.id if chain.salt is not None else ""
    return found


def _widen(found: Stats, some: Some) -> None:
    found.first = found.first or some.numbers[0]
    found.last = max(found.last, some.numbers[1])
    if some.times is not None:
        found.oldest = some.times[0] if found.oldest is None else min(found.oldest, some.times[0])
        found.newest = some.times[1] if found.newest is None else max(found.newest, some.times[1])
    found.began = some.clock[0] if found.began is None else min(found.began, some.clock[0])
    found.ended = some.clock[1] if found.ended is None else max(found.ended, some.clock[1])


def _plain(chain: Chain, segment: Segment, follows: Segment | None, found: Stats) -> Iterator[Some]:
    def tell(damage: Damage) -> None:
        found.unreadable += 1

    file = SegmentFile(segment.path, chain.salt)
    try:
        head = chain.head(follows) if follows is not None else None
        end = head.end if head is not None and head.previous == segment.ordinal else None
        while (entries := file.piece(_ALL, end, tell)) is not None:
            if entries:
                yield _counted(entries)
    finally:
        file.close()


def _counted(entries: list[Entry]) -> Some:
    times = [entry.at for entry in entries if entry.kind in _TIMED]
    clock = [entry.wall for entry in entries]
    return Some(
        Counter(entry.kind for entry in entries),
        Counter(entry.version for entry in entries),
        (number_of(entries[0]), number_of(entries[-1])),
        (min(times), max(times)) if times else None,
        (min(clock), max(clock)),
    )


def _packed(segment: Segment, found: Stats) -> Iterator[Some]:
    """The same from the columns that say it."""
    file = PackedFile(segment.path)
    try:
        for some in counts(file):
            if some is None:
                found.unreadable += 1
            else:
                yield some
    finally:
        file.close()


def counts(file: PackedFile) -> Iterator[Some | None]:
    """What is in each group of rows of a packed segment; None for one that cannot be read."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if file.packed is None:
        yield None
    for table in file.columns(("number", "kind", "version", "at", "wall")):
        if table is None:
            yield None
            continue

        def tally(name: str, table: Any = table) -> dict[Any, int]:
            counted = pc.call_function("value_counts", [table.column(name)])
            return {v["values"]: v["counts"] for v in counted.to_pylist()}

        def ends(column: Any) -> tuple[int, int] | None:
            found = pc.call_function("min_max", [column.cast(pa.int64())]).as_py()
            return None if found["min"] is None else (found["min"], found["max"])

        timed = pc.call_function(
            "is_in", [table.column("kind")], pc.SetLookupOptions(value_set=pa.array(_TIMED))
        )
        numbers, clock = ends(table.column("number")), ends(table.column("wall"))
        if numbers is not None and clock is not None:
            times = ends(table.column("at").filter(timed))
            yield Some(tally("kind"), tally("version"), numbers, times, clock)
