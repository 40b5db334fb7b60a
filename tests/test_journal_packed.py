"""Closed segments become Parquet files, and old ones are dropped, while the journal is read and written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from quell.engine import journal_open
from quell.engine.journal import Damage, Journal, JournalError, JournalReader, read
from quell.engine.journal_format import Segment, number_of
from quell.engine.journal_keeper import Keeper
from quell.engine.journal_pack import DAMAGED, NOT_NOW, DamagedSegment, pack
from quell.engine.journal_writer import Writer
from quell.engine.service_types import Entry
from tests.journal_entries import WALL, event, events, histories, put

SMALL = 700
"""Bytes of a segment: some entries."""


def written(folder: Path, entries: list[Entry]) -> None:
    """A journal of small segments, each entry flushed by itself."""
    journal = Journal.open(folder, durability="off", segment_bytes=SMALL, packs=False)
    for entry in entries:
        assert put(journal, entry)
    journal.close()


def unneeded(folder: Path) -> Journal:
    """A journal of 30 entries in small segments that nobody needs any more."""
    journal = Journal.open(folder, durability="off", segment_bytes=SMALL, packs=False)
    for entry in events(1, 30):
        put(journal, entry)
    journal.keep_from = 1000
    return journal


def closed(folder: Path) -> list[Path]:
    """The segments that can be packed."""
    return sorted(folder.glob("*.qj"), key=lambda path: path.stem.split("-")[1])[:-1]


@settings(max_examples=40, deadline=None)
@given(histories(20))
def test_a_packed_journal_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    written(folder, entries)
    ages = {path.stem: path.stat().st_mtime_ns for path in closed(folder)}
    for path in closed(folder):
        assert pack(path).suffix == ".parquet"
    assert len(list(folder.glob("*.qj"))) <= 1
    assert {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.parquet")} == ages
    assert list(read(folder)) == entries
    for after in {0, *map(number_of, entries)}:
        assert list(read(folder, after)) == [e for e in entries if number_of(e) > after]
    again = Journal.open(folder, durability="off")
    assert again.last == max(map(number_of, entries), default=0)
    assert again.figures().entries == len(entries)
    assert put(again, event(again.last + 1))
    again.close()
    assert list(read(folder)) == [*entries, event(again.last)]


def test_a_packed_segment_can_be_asked_by_hand(tmp_path: Path) -> None:
    import duckdb

    odd = Entry("event", 4, 4, WALL, 1, WALL, b"\xff\x00 no text", b"{}")
    written(tmp_path, [*events(1, 3), odd, event(5, 600), event(6)])
    for path in closed(tmp_path):
        pack(path)
    found = duckdb.sql(
        "SELECT number, kind, epoch_us(\"at\"), type, verdict, rules, event->>'n', raw_event "
        f"FROM read_parquet('{tmp_path}/*.parquet') ORDER BY number"
    )
    assert found is not None
    rows = found.fetchall()
    assert rows[0] == (1, "event", WALL + 1, "message", "allow", ["r1"], "1", None)
    assert rows[3][3:] == (None, None, [], None, b"\xff\x00 no text")


def test_the_last_segment_is_not_packed(tmp_path: Path) -> None:
    written(tmp_path, events(1, 2))
    (path,) = tmp_path.glob("*.qj")
    with pytest.raises(JournalError, match="may still be written"):
        pack(path)
    with pytest.raises(JournalError, match="is no segment"):
        pack(tmp_path / "other")
    with pytest.raises(JournalError, match="there is no segment"):
        pack(tmp_path / "000000000000007-00009.qj")


def test_a_damaged_segment_is_left_as_it_is(tmp_path: Path) -> None:
    written(tmp_path, events(1, 20))
    path = closed(tmp_path)[0]
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedSegment):
        pack(path)
    command = [sys.executable, "-m", "quell.engine.journal_pack"]
    ended = subprocess.run([*command, str(path)], capture_output=True, text=True)
    assert ended.returncode == DAMAGED
    assert ended.stderr.startswith(f"`{path}` at byte ")
    assert path.read_bytes() == content
    ended = subprocess.run([*command, str(tmp_path / "x.qj")], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (
        NOT_NOW,
        f"`{tmp_path / 'x.qj'}` is no segment of a journal\n",
    )
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_byte_in_a_packed_segment_is_told(tmp_path: Path, seed: int) -> None:
    import random

    entries = events(1, 20)
    written(tmp_path, entries)
    for path in closed(tmp_path):
        pack(path)
    chance = random.Random(seed)
    path = chance.choice(sorted(tmp_path.glob("*.parquet"))[:-1])
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    told: list[Damage] = []
    found = list(read(tmp_path, tell=told.append))
    assert [entry for entry in entries if entry in found] == found
    assert told or found == entries


def keeper(journal: Journal, **how: Any) -> Keeper:
    """One that is asked by hand."""
    settings = {"keep_age": None, "keep_bytes": None, "packs": False, **how}
    return Keeper(journal._writer, lambda: journal.keep_from, **settings)


def kept(folder: Path) -> list[int]:
    return [entry.seq for entry in read(folder)]


def test_nothing_that_is_needed_is_dropped(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, durability="off", segment_bytes=SMALL, packs=False)
    for entry in events(1, 30):
        put(journal, entry)
    firsts = sorted(journal._writer.firsts.values())
    looks = keeper(journal, keep_bytes=1)
    looks.tidy()
    assert kept(tmp_path) == list(range(1, 31))
    for needed in (firsts[1] - 1, firsts[1], firsts[3], firsts[3] + 1, 1000):
        journal.keep_from = needed
        looks.tidy()
        first = max(first for first in firsts if first <= needed)
        assert kept(tmp_path) == list(range(first, 31))
        figures = journal.figures()
        assert (figures.first, figures.entries) == (first, 31 - first)
        assert figures.segments == len(list(tmp_path.glob("*.qj")))
    assert journal.last == 30  # the last segment stays, or numbers would begin anew
    assert put(journal, event(31))
    journal.close()
    again = Journal.open(tmp_path, durability="off")
    assert (again.last, again.figures().entries) == (31, 32 - firsts[-1])
    again.close()


def test_a_clock_that_is_set_forward_empties_no_journal(tmp_path: Path) -> None:
    """Nothing is dropped for its age until the clock has gone evenly for an hour; what was written while it
    was a year ahead is as old as what was written after it."""
    journal = unneeded(tmp_path)
    paths = sorted(tmp_path.glob("*.qj"))
    start, day, year = time.time(), 24 * 3600.0, 365 * 24 * 3600.0
    for path, then in zip(paths, (start, start + year, start + 2), strict=False):
        os.utime(path, (then, then))
    clocks = [0.0, 0.0]  # how far the one is ahead, and the one that cannot be set
    looks = keeper(
        journal,
        keep_age=int(day * 1e6),
        clock=lambda: start + sum(clocks),
        steady=lambda: clocks[1],
    )
    for clocks[:] in ([0.0, 0.0], [year, 60.0], [year, 3_600.0], [0.0, 3_700.0], [0.0, day - 10]):
        looks.tidy()
        assert sorted(tmp_path.glob("*.qj")) == paths
    clocks[1] = day + 10.0
    looks.tidy()
    assert paths[2] not in tmp_path.glob("*.qj")
    journal.close()


def test_a_clock_that_stays_where_it_was_set_is_believed(tmp_path: Path) -> None:
    journal = unneeded(tmp_path)
    steady, year, start = [0.0], 365 * 24 * 3600.0, time.time()
    number = len(list(tmp_path.glob("*.qj")))
    looks = keeper(
        journal, keep_age=3_600_000_000, clock=lambda: start + year + steady[0], steady=lambda: steady[0]
    )
    for steady[0], left in ((0.0, number), (3_599.0, number), (3_600.0, 1)):
        looks.tidy()
        assert len(list(tmp_path.glob("*.qj"))) == left
    journal.close()


def test_segments_are_dropped_for_their_age_and_for_room(tmp_path: Path) -> None:
    journal = unneeded(tmp_path)
    paths = sorted(tmp_path.glob("*.qj"))
    day = 24 * 3600
    for path, days in zip(paths, (9, 8, 7, 3), strict=False):
        then = time.time() - days * day
        os.utime(path, (then, then))
    keeper(journal, keep_age=int(7.5 * day * 1e6)).tidy()
    assert sorted(tmp_path.glob("*.qj")) == paths[2:]
    sizes = [0, 0, *(path.stat().st_size for path in paths[2:])]
    keeper(journal, keep_bytes=sum(sizes[4:])).tidy()
    assert sorted(tmp_path.glob("*.qj")) == paths[4:]
    assert journal.figures().bytes == sum(sizes[4:])
    journal.close()


def test_what_a_killed_process_left_is_taken_away(tmp_path: Path) -> None:
    written(tmp_path, events(1, 20))
    path = closed(tmp_path)[0]
    content = path.read_bytes()
    pack(path)
    path.write_bytes(content)  # killed between the new file and removing the old one
    left = tmp_path / f".{path.stem}.1.part"
    left.write_bytes(b"half")
    assert kept(tmp_path) == list(range(1, 21))
    journal = Journal.open(tmp_path, packs=True, segment_bytes=SMALL)
    until(lambda: not path.exists() and not left.exists())
    journal.close()
    assert kept(tmp_path) == list(range(1, 21))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_segment_that_is_packed_while_the_journal_is_taken_up_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """As by the process that a killed one had started to pack it."""
    written(tmp_path, events(1, 30))
    first, packed = closed(tmp_path)[0], closed(tmp_path)[place]
    settle = journal_open._settle

    def settling(writer: Writer, segment: Segment) -> None:
        if segment.path == first and packed.exists():
            pack(packed)
        settle(writer, segment)

    monkeypatch.setattr(journal_open, "_settle", settling)
    journal = Journal.open(tmp_path, durability="off", segment_bytes=SMALL, packs=False)
    assert packed.with_suffix(".parquet").exists()
    assert (journal.last, journal.figures().entries, journal.repaired) == (30, 30, "")
    assert journal.figures().bytes == sum(s.stat().st_size for s in tmp_path.glob("0*"))
    assert put(journal, event(31))
    journal.close()
    assert kept(tmp_path) == list(range(1, 32))


def test_a_segment_that_is_there_and_cannot_be_found_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, events(1, 30))

    def settling(writer: Writer, segment: Segment) -> None:
        raise FileNotFoundError(errno.ENOENT, "no such file")

    monkeypatch.setattr(journal_open, "_settle", settling)
    with pytest.raises(JournalError, match="is gone"):
        Journal.open(tmp_path, durability="off")


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.002)


@pytest.mark.slow
def test_a_reader_follows_while_the_journal_is_written_packed_and_dropped(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, segment_bytes=100_000, keep_bytes=1, sync_every=0.001)
    reader, seen, written = JournalReader(tmp_path), 0, 0
    while not (list(tmp_path.glob("*.parquet")) and written > 3000):
        for _ in range(50):
            written += 1
            journal.append(*event(written, 200))
        assert journal.flush()
        for entry in reader:
            seen += 1
            assert entry.seq == seen
        assert seen == written
        time.sleep(0.001)
    slow = JournalReader(tmp_path)
    pieces = slow.pieces()
    read_slowly = [entry.seq for entry in next(pieces)]
    journal.keep_from = written
    journal._keeper._wake.set()
    until(lambda: journal.figures().first > 1)  # packed, and then dropped
    read_slowly += [entry.seq for piece in pieces for entry in piece]
    assert read_slowly == sorted(set(read_slowly))
    assert read_slowly[-1] == written
    assert journal.figures().trouble == ""
    journal.close()


def test_a_damaged_segment_keeps_no_other_from_being_packed(tmp_path: Path) -> None:
    written(tmp_path, events(1, 20))
    bad = closed(tmp_path)[1]
    content = bytearray(bad.read_bytes())
    content[-20] ^= 1
    bad.write_bytes(content)
    plain = len(closed(tmp_path))
    journal = Journal.open(tmp_path, durability="off", packs=False)
    looks = keeper(journal, packs=True)
    looks.tidy()
    assert looks.trouble.startswith(f"`{bad}` at byte ")
    assert len(list(tmp_path.glob("*.parquet"))) == 1
    looks.tidy()
    assert looks.trouble.startswith(f"`{bad}` at byte ")
    assert bad.exists()
    assert len(list(tmp_path.glob("*.parquet"))) == plain - 1
    journal.close()
