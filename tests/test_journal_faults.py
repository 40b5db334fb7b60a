"""The journal on disks that are full, fail, or go away: nothing acknowledged is lost, and it goes on."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.journal import Durability, Journal, JournalError, JournalReader, read
from quell.engine.service_types import Entry
from tests.journal_entries import event, events, histories, put

Numbers = list[int]


def numbers(folder: Path, after: int = 0) -> Numbers:
    return [entry.seq for entry in read(folder, after)]


class Disk:
    """Stands in for the calls that write: `room` bytes may still be written, a call writes `step` at most,
    and syncing fails while `fails` is set, and then what was not synced before is gone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = self.step = 1 << 40
        self.error = errno.ENOSPC
        self.fails = False
        self.synced: dict[int, int] = {}  # by inode: what was on disk when syncing last succeeded
        self._pwrite, self._fdatasync = os.pwrite, os.fdatasync
        monkeypatch.setattr(os, "pwrite", self.pwrite)
        monkeypatch.setattr(os, "fdatasync", self.fdatasync)

    def pwrite(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        if self.room <= 0:
            raise OSError(self.error, os.strerror(self.error))
        written = self._pwrite(fd, memoryview(data)[: min(self.room, self.step)], offset)
        self.room -= written
        return written

    def fdatasync(self, fd: int) -> None:
        found = os.fstat(fd)
        if self.fails:
            known = self.synced.get(found.st_ino, 0)
            self._pwrite(fd, b"\0" * (found.st_size - known), known)  # the pages were lost
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.synced[found.st_ino] = found.st_size
        self._fdatasync(fd)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def opened(folder: Path, **how: object) -> Journal:
    return Journal.open(folder, durability="off", packs=False, **how)  # type: ignore[arg-type] # as given


# ------------------------------------------------------------------ full disks


def test_a_full_disk_is_told_and_writing_goes_on_when_there_is_space(tmp_path: Path, disk: Disk) -> None:
    journal = opened(tmp_path)
    assert put(journal, *events(1, 3))
    disk.room = 70  # in the middle of a record
    assert not put(journal, *events(4, 6))
    assert journal.problem == f"there is no space left on the disk of `{tmp_path}`"
    assert numbers(tmp_path) == [1, 2, 3]
    assert not put(journal, event(7))
    figures = journal.figures()
    assert figures.unwritten > 0
    assert figures.problem == journal.problem
    disk.room = 1 << 40
    assert put(journal, event(8))
    assert journal.problem == ""
    assert journal.figures().unwritten == 0
    journal.close()
    assert list(read(tmp_path)) == events(1, 8)


@settings(max_examples=60, deadline=None)
@given(histories(), st.lists(st.integers(0, 400), max_size=12), st.integers(1, 300), st.data())
def test_whatever_room_there_is_what_was_acknowledged_is_there(
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[Entry],
    rooms: list[int],
    step: int,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch)
        journal = opened(folder, segment_bytes=data.draw(st.sampled_from([1, 500, 1 << 20])))
        disk.step = step
        for i, entry in enumerate(entries):
            disk.room = rooms[i] if i < len(rooms) else disk.room
            done = put(journal, entry)
            found = list(read(folder))
            assert found == entries[: len(found)]
            assert not done or len(found) == i + 1
            assert done == (journal.problem == "")
        if data.draw(st.booleans()):
            disk.room = 1 << 40
            assert journal.flush()
            assert list(read(folder)) == entries
        journal.close()
    found = list(read(folder))
    assert found == entries[: len(found)]
    again = opened(folder)
    assert list(read(folder)) == found
    again.close()


@pytest.mark.parametrize("error", [errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENXIO])
def test_other_refusals_are_told_in_words(tmp_path: Path, disk: Disk, error: int) -> None:
    journal = opened(tmp_path)
    put(journal, event(1))
    disk.room, disk.error = 0, error
    assert not put(journal, event(2))
    assert str(tmp_path) in journal.problem
    assert "Errno" not in journal.problem
    disk.room = 1 << 40
    assert journal.flush()
    journal.close()
    assert numbers(tmp_path) == [1, 2]


def test_a_bad_file_is_left_for_another(tmp_path: Path, disk: Disk) -> None:
    journal = opened(tmp_path)
    put(journal, *events(1, 3))
    disk.room, disk.error = 30, errno.EIO
    put(journal, event(4))
    assert not journal.flush()
    disk.room = 1 << 40
    assert put(journal, event(5))
    journal.close()
    assert len(list(tmp_path.glob("*.qj"))) == 2
    assert list(read(tmp_path)) == events(1, 5)
    again = opened(tmp_path)
    assert (again.repaired, again.last, again.figures().entries) == ("", 5, 5)
    again.close()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system in memory of a certain size; the test is skipped where none can be mounted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "quell-test", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    with small_disk(place, "256k"):
        journal = Journal.open(place / "journal", packs=False, segment_bytes=64 << 10)
        ballast = place / "ballast"
        ballast.write_bytes(b"\0" * 100_000)
        last = 0
        while put(journal, event(last + 1, 1000)):
            last += 1
        assert "no space left" in journal.problem
        assert numbers(place / "journal")[:last] == list(range(1, last + 1))
        ballast.unlink()
        assert put(journal, event(last + 2))
        journal.close()
        assert numbers(place / "journal") == list(range(1, last + 3))


def test_a_limit_on_the_size_of_files_begins_another(tmp_path: Path) -> None:
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "from pathlib import Path\n"
        "from quell.engine.journal import Journal\n"
        "from tests.journal_entries import event, put\n"
        "journal = Journal.open(Path(sys.argv[1]), durability='off', packs=False)\n"
        "print([put(journal, event(n, 1000)) for n in range(1, 21)])\n"
        "print(put(journal, event(21, 6000)), journal.problem)\n"
        "journal.close()\n"
    )
    said = run(script, str(tmp_path)).splitlines()
    assert said[0] == str([True] * 20)
    assert said[1].startswith("False the files in")
    assert numbers(tmp_path) == list(range(1, 21))


def run(script: str, *arguments: str) -> str:
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout


# ------------------------------------------------------------------ folders that go away


@pytest.mark.parametrize("durability", ["each", "batch", "off"])
def test_a_folder_that_goes_away(tmp_path: Path, durability: str) -> None:
    folder = tmp_path / "journal"
    journal = Journal.open(folder, durability=durability, sync_every=0.001, packs=False)  # type: ignore[arg-type] # a parameter
    put(journal, event(1))
    settle(journal)
    shutil.rmtree(folder)
    put(journal, event(2))
    until(lambda: bool(journal.problem))
    assert "is gone" in journal.problem
    assert not journal.flush()
    folder.mkdir()
    until(journal.flush)
    assert put(journal, event(3))
    journal.close()
    assert numbers(folder) == [2, 3]
    again = opened(folder)
    assert again.figures().entries == 2
    again.close()


def settle(journal: Journal) -> None:
    until(lambda: journal.figures().unsynced == 0)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.001)


# ------------------------------------------------------------------ syncing


def test_waiting_for_the_disk(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, durability="each")
        waits = []
        for number in range(1, 50):
            assert put(journal, event(number))
            waited = journal.synced()
            assert waited is not None
            waits.append(waited)
            if number % 10 == 0:
                await waited
                assert journal.figures().unsynced == 0
                assert journal.synced() is None
        waits[-1].cancel()  # whoever gives up takes nobody along
        await asyncio.gather(*waits[:-1])
        journal.close()

    asyncio.run(main())
    assert numbers(tmp_path) == list(range(1, 50))


def test_nobody_waits_for_the_disk_where_that_was_not_asked(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, durability="batch")
    put(journal, event(1))
    assert journal.synced() is None
    settle(journal)
    journal.close()


def test_what_a_failed_sync_lost_is_written_again(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, durability="each", packs=False)
        put(journal, *events(1, 2))
        await (journal.synced() or done())
        put(journal, *events(3, 4))
        disk.fails = True
        with pytest.raises(JournalError, match=r"the disk of .* fails"):
            await (journal.synced() or done())
        assert not journal.flush()
        assert not put(journal, event(5))
        disk.fails = False
        while not journal.flush():
            await asyncio.sleep(0.001)
        await (journal.synced() or done())
        assert put(journal, event(6))
        await (journal.synced() or done())
        journal.close()

    asyncio.run(main())
    assert list(read(tmp_path)) == events(1, 6)
    again = opened(tmp_path)
    assert (again.last, again.figures().entries, again.repaired) == (6, 6, "")
    again.close()


def test_what_was_written_behind_what_a_sync_lost_is_read_once(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(tmp_path, sync_every=3_600.0, packs=False)
    put(journal, *events(1, 2))
    assert journal._writer.sync()
    put(journal, *events(3, 4))

    def failing(fd: int) -> None:
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            disk.fdatasync(fd)
        put(journal, event(5))  # by the other thread: the disk is not waited for
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    disk.fails = True
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", failing)
        assert not journal._writer.sync()
    disk.fails = False
    assert journal._writer.sync()
    journal.close()
    assert list(read(tmp_path)) == events(1, 5)
    again = opened(tmp_path)
    assert (again.last, again.figures().entries, again.repaired) == (5, 5, "")
    again.close()


@pytest.mark.parametrize("durability", ["each", "batch", "off"])
def test_a_journal_that_is_closed_takes_no_more(tmp_path: Path, durability: Durability) -> None:
    journal = Journal.open(tmp_path, durability=durability, packs=False)
    put(journal, *events(1, 3))
    journal.close()
    assert not put(journal, event(4))
    again = opened(tmp_path)
    assert again.last == 3
    assert put(again, event(4))
    again.close()
    assert list(read(tmp_path)) == events(1, 4)


async def done() -> None:
    """Nothing to wait for."""


@pytest.mark.parametrize("seed", range(12))
def test_syncing_that_fails_now_and_then(tmp_path: Path, disk: Disk, seed: int) -> None:
    chance = random.Random(seed)
    journal = Journal.open(tmp_path, sync_every=0.0, segment_bytes=chance.choice([300, 2000]), packs=False)
    reader = read_along(tmp_path)
    for number in range(1, 60):
        disk.fails = chance.random() < 0.2
        put(journal, event(number))
        if chance.random() < 0.3:
            next(reader)
    disk.fails = False
    until(journal.flush)
    settle(journal)
    journal.close()
    assert list(read(tmp_path)) == events(1, 59)
    again = opened(tmp_path)
    assert (again.last, again.figures().entries) == (59, 59)
    again.close()


def read_along(folder: Path) -> Iterator[None]:
    """Follows a journal and sees that it gives each entry once, and in order. Where a sync failed there are
    zeros for a moment; then it begins again."""
    reader, seen = JournalReader(folder), 0
    while True:
        try:
            for entry in reader:
                assert entry.seq == seen + 1
                seen = entry.seq
        except JournalError:
            reader = JournalReader(folder, after=seen)
        yield


# ------------------------------------------------------------------ killed processes


WRITER = """
import asyncio, os, sys
from pathlib import Path
from quell.engine.journal import Journal
from tests.journal_entries import event, put
durability = sys.argv[2]
async def main():
    journal = Journal.open(Path(sys.argv[1]), durability=durability, segment_bytes=20_000, packs=False)
    number = journal.last
    while True:
        number += 1
        assert put(journal, event(number, number % 700))
        waited = journal.synced()
        if waited is not None:
            await waited
        os.write(1, b"%d\\n" % number)
asyncio.run(main())
"""


@pytest.mark.parametrize("durability", ["batch", "each"])
def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path, durability: str) -> None:
    chance = random.Random(durability)
    root = Path(__file__).resolve().parent.parent
    reached = 0
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), durability], stdout=subprocess.PIPE, cwd=root
        ) as process:
            assert process.stdout is not None
            for _ in range(chance.randint(1, 300)):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            said = [line for line in process.stdout.read().split(b"\n") if line]
        found = numbers(tmp_path)
        assert found == list(range(1, len(found) + 1))
        acknowledged = int(said[-1]) if said else reached
        assert len(found) >= acknowledged
        reached = len(found)
    again = Journal.open(tmp_path)
    assert again.last == reached
    again.close()
    assert numbers(tmp_path) == list(range(1, reached + 1))


def test_a_disk_that_does_not_keep_up_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes, fdatasync = threading.Event(), os.fdatasync

    def slow(fd: int) -> None:
        goes.wait()
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    monkeypatch.setattr("quell.engine.journal_writer.MOST_KEPT", 2_000)
    journal = Journal.open(tmp_path, sync_every=0.0, packs=False)
    last = 0
    while put(journal, event(last + 1, 300)):
        last += 1
    assert 2 <= last <= 10
    assert "does not keep up" in journal.problem
    goes.set()
    until(journal.flush)
    assert put(journal, event(last + 2))
    journal.close()
    assert numbers(tmp_path) == list(range(1, last + 3))


def test_a_defect_while_syncing_is_heard_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, durability="each", packs=False)
        put(journal, event(1))
        monkeypatch.setattr(journal._writer, "sync", lambda: 1 / 0)
        with pytest.raises(JournalError, match="failed inside Quell: ZeroDivisionError"):
            await (journal.synced() or done())
        assert not journal.flush()
        monkeypatch.undo()
        until(journal.flush)
        journal.close()

    asyncio.run(main())
    assert numbers(tmp_path) == [1]
