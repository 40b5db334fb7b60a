"""The outbox on disk: damage makes nothing settled that is not, full disks lose nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.outbox_acks import NAME, AckLog, Place, line
from quell.engine.outbox_dead import Letters
from quell.engine.outbox_types import Dead, DeadLetter, Message, OutboxError, Retry, tag_of
from tests.outbox_support import Journal, Recorder, decision, made, running, settled
from tests.virtual_time import run


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut leaves is made here by hand."""
    monkeypatch.setattr("os.fdatasync", lambda file: None)
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.setattr("quell.engine.outbox_dead.SYNCHRONOUS", "off")


# ------------------------------------------------------------------ damage


class Life:
    """Runs with sinks that fail now and then, and what the folder held at some moments of them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.folder = folder
        self.journal = Journal()
        self.settled: set[Place] = set()
        self.moments: list[tuple[dict[str, bytes], set[Place]]] = []

    def behave(self, message: Message) -> Any:
        if self.chance.random() < 0.2:
            raise Retry("not now")
        self.settled.add((message.number, message.payload["i"]))
        if self.chance.random() < 0.05:
            raise Dead("no")
        return asyncio.sleep(self.chance.random() * 0.1)

    async def run(self) -> None:
        sinks = {name: Recorder(self.behave, base=0.3) for name in "ab"}
        outbox = made(self.folder, sinks, last=self.journal.last, reader=self.journal.read, most_waiting=20)
        outbox.resume(self.journal.last)
        task = asyncio.create_task(outbox.run())
        for _ in range(40):
            self.journal.take(outbox, *self.chance.choices("aab", k=self.chance.randrange(4)))
            await asyncio.sleep(self.chance.random() * 0.1)
            if self.chance.random() < 0.2:
                self.note()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.note()

    def note(self) -> None:
        held = {path.name: path.read_bytes() for path in self.folder.iterdir() if path.name.startswith(NAME)}
        self.moments.append((held, set(self.settled)))

    def claimed(self, folder: Path) -> set[Place]:
        """What a log says is settled."""
        log = AckLog(folder, "j")
        log.close()
        found = set()
        for one in self.journal.decisions:
            for index, sent in enumerate(one.sends):
                place = (one.decided, index)
                said = log.settled.has(sent.sink, place)
                if said is True or said == tag_of(one, index):
                    found.add(place)
        return found


@pytest.mark.parametrize("seed", range(3))
def test_no_damage_makes_a_send_settled_that_is_not(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quell.engine.outbox_acks.LARGE", 1_500)
    life = Life(tmp_path / "outbox", seed)
    for _ in range(4):
        run(life.run())
    assert any(f"{NAME}.1" in held for held, _ in life.moments)  # it was made anew on the way
    folder = tmp_path / "copy"
    folder.mkdir()
    whole = damaged = 0
    for held, truth in life.moments:
        for ways in range(12):
            for path in folder.iterdir():
                path.unlink()
            for name, content in held.items():
                (folder / name).write_bytes(content if not ways else damage(life.chance, content))
            claimed = life.claimed(folder)
            assert claimed <= truth
            whole += not ways and len(claimed)
            damaged += bool(ways) and len(claimed)
    assert whole > 100
    assert damaged > 100


def damage(chance: random.Random, content: bytes) -> bytes:
    """Nothing, cut anywhere, some octets turned over, a line lost, or blanked out to the end."""
    at = chance.randrange(len(content) + 1)
    kind = chance.randrange(5)
    if kind == 0:
        return content
    if kind == 1:
        return content[:at]
    if kind == 2:
        return content[:at] + bytes(chance.randrange(256) for _ in range(3)) + content[at + 3 :]
    if kind == 3:
        lines = content.splitlines(keepends=True)
        del lines[chance.randrange(len(lines))]
        return b"".join(lines)
    return content[:at] + bytes(len(content) - at)


def test_each_octet_of_a_log_that_is_torn(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    folder.mkdir()
    log = AckLog(folder, "j")
    log.write([["ack", n, 0, "t"] for n in range(2, 12)])
    log.write([["upto", 1], ["tried", 14, 0, 2, 5, "down"]])
    log.close()
    content = (folder / NAME).read_bytes()
    before = -1
    for end in range(len(content) + 1):
        (folder / NAME).write_bytes(content[:end])
        log = AckLog(folder, "j")
        known = len(log.settled.acks) + log.settled.upto + len(log.settled.tried)
        assert known >= before
        before = known
        log.write([["ack", 20, 0, "t"]])
        log.close()
        again = AckLog(folder, "j")
        assert again.settled.acks[20, 0] == "t"
        assert again.repaired == ""
        again.close()
    assert before == 12


def test_what_is_void_does_not_come_back_from_the_log_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quell.engine.outbox_acks.LARGE", 500)

    async def main() -> None:
        async with running(tmp_path / "outbox", {"mods": Recorder()}) as outbox:
            for number in range(1, 101):
                outbox.take(number, decision(number, "mods"))
            await settled(outbox, 100)

    run(main())
    assert (tmp_path / "outbox" / f"{NAME}.1").exists()
    assert made(tmp_path / "outbox", {}, last=50).done_upto == 50
    content = (tmp_path / "outbox" / NAME).read_bytes()
    (tmp_path / "outbox" / NAME).write_bytes(b"x" + content[1:])
    log = AckLog(tmp_path / "outbox", "j")
    assert log.settled.upto <= 50
    log.close()


def test_a_log_of_the_future_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(line(["quell-outbox", 2, "j"]) + b"whatever")
    with pytest.raises(OutboxError, match="another version of Quell"):
        AckLog(tmp_path, "j")
    assert (tmp_path / NAME).read_bytes().endswith(b"whatever")


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=30) | st.lists(st.integers() | st.text(max_size=5), max_size=5).map(line)))
def test_nothing_that_a_log_may_hold_is_more_than_a_damage(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("acks")
    (folder / NAME).write_bytes(line(["quell-outbox", 1, "j"]) + b"".join(lines))
    AckLog(folder, "j").close()
    AckLog(folder, "j").close()


def test_dead_letters_that_are_damaged_are_put_aside(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"

    async def main() -> None:
        async with running(folder, {}) as outbox:
            outbox.take(1, decision(1, "mods"))
            await settled(outbox, 1)
        content = (folder / "dead.sqlite").read_bytes()
        (folder / "dead.sqlite").write_bytes(b"\0" * 200 + content[200:])
        async with running(folder, {}) as outbox:
            assert outbox.told == ("`dead.sqlite` was damaged; it is kept as `dead.sqlite.damaged`",)
            outbox.take(2, decision(2, "mods"))
            await settled(outbox, 2)
            assert [letter.message.number for letter in outbox.dead()] == [2]
        assert (folder / "dead.sqlite.damaged").read_bytes()[200:] == content[200:]

    run(main())


def test_dead_letters_of_the_future_are_left_alone(tmp_path: Path) -> None:
    base = sqlite3.connect(tmp_path / "dead.sqlite")
    base.execute("pragma user_version = 2")
    base.close()
    for look in (Letters(tmp_path).begin, Letters(tmp_path).list, Letters(tmp_path).counts):
        with pytest.raises(OutboxError, match="another version of Quell"):
            look()


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("")
    with pytest.raises(OutboxError, match="cannot be"):
        made(tmp_path / "outbox", {})
    with pytest.raises(OutboxError, match="cannot be made: no such file or directory"):
        made(tmp_path / "nowhere" / "outbox", {})


# ------------------------------------------------------------------ no space


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many octets the log of acknowledgements may still take."""
    room = {"left": 1 << 40}
    real = os.write

    def write(file: int, data: bytes) -> int:
        if not room["left"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(file, bytes(data)[: room["left"]])
        room["left"] -= written
        return written

    monkeypatch.setattr("quell.engine.outbox_acks.os.write", write)
    return room


def test_a_full_disk_stops_deliveries_for_as_long_as_it_is_full(
    tmp_path: Path, disk: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quell.engine.outbox_store.MOST_UNSYNCED", 100)

    async def main() -> None:
        sink = Recorder()
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            outbox.take(1, decision(1, "mods"))
            await settled(outbox, 1)
            disk["left"] = 37
            for number in range(2, 502):
                outbox.take(number, decision(number, "mods"))
            await asyncio.sleep(60)
            assert 100 <= len(sink.got) <= 105  # what cannot be noted is not delivered without end
            assert outbox.done_upto == 1
            assert outbox.figures().problem == "acknowledgements cannot be written: no space left on device"
            log = AckLog(tmp_path / "outbox", "j")  # as after a kill
            assert (log.settled.upto, log.settled.acks) == (1, {})
            log.close()
            disk["left"] = 1 << 40
            await settled(outbox, 501)
            assert outbox.figures().problem == ""
        assert sorted(sink.numbers) == list(range(1, 502))
        log = AckLog(tmp_path / "outbox", "j")
        assert (log.settled.upto, log.repaired) == (501, "")

    run(main())


def test_a_disk_that_is_full_when_the_log_is_made_anew(
    tmp_path: Path, disk: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quell.engine.outbox_acks.LARGE", 500)

    async def main() -> None:
        sink = Recorder()
        async with running(tmp_path / "outbox", {"mods": sink}) as outbox:
            for number in range(1, 101):
                disk["left"] = number % 7 * 20
                outbox.take(number, decision(number, "mods"))
                await asyncio.sleep(0.3)
            disk["left"] = 1 << 40
            await settled(outbox, 100)
        assert sorted(sink.numbers) == list(range(1, 101))
        assert made(tmp_path / "outbox", {}).done_upto == 100

    run(main())


def test_a_folder_that_vanishes_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"

    async def main() -> None:
        sink = Recorder(lambda m: asyncio.sleep(1e6 if m.number == 3 else 0), timeout=1e9)
        async with running(folder, {"mods": sink}) as outbox:
            for number in range(1, 11):
                outbox.take(number, decision(number, "mods"))
            await asyncio.sleep(6)
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            for number in range(11, 21):
                outbox.take(number, decision(number, "mods"))
            await asyncio.sleep(6)
            assert outbox.figures().problem == ""
            log = AckLog(folder, "j")
            assert log.settled.upto == 2
            places = [(n, 0) for n in range(1, 21)]
            tags = {(n, 0): tag_of(decision(n, "mods"), 0) for n in range(1, 21)}
            open_ = [p for p in places if log.settled.has("mods", p) not in (True, tags[p])]
            assert open_ == [(3, 0)]
            log.close()

    run(main())


def test_a_send_is_not_settled_before_its_dead_letter_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Letters.bury
    full = True

    def bury(self: Letters, *letters: Any) -> int:
        if full:
            raise OutboxError("`dead.sqlite` cannot be used: database or disk is full")
        return real(self, *letters)

    monkeypatch.setattr(Letters, "bury", bury)

    async def main() -> None:
        nonlocal full
        async with running(tmp_path / "outbox", {}) as outbox:
            for number in range(1, 11):
                outbox.take(number, decision(number, "nowhere"))
            await asyncio.sleep(10)
            figures = outbox.figures()
            assert (figures.done_upto, figures.sinks["nowhere"].waiting) == (0, 10)
            assert figures.problem == "`dead.sqlite` cannot be used: database or disk is full"
            log = AckLog(tmp_path / "outbox", "j")  # as after a kill
            assert (log.settled.upto, log.settled.acks) == (0, {})
            log.close()
            full = False
            await settled(outbox, 10)
            assert len(outbox.dead()) == 10
            assert outbox.figures().problem == ""

    run(main())


# ------------------------------------------------------------------ dead letters


def letter(number: int, sink: str = "mods") -> DeadLetter:
    said = Message(sink, "flood", f"key-{number}", number, "message", None, 0, "block", {})
    return DeadLetter(said, "no", 1, "no", "no", 0, 0, 0)


def test_dead_letters_page_by_page(tmp_path: Path) -> None:
    letters = Letters(tmp_path)
    assert letters.list() == []
    assert letters.resend() == letters.drop() == 0
    assert not (tmp_path / "dead.sqlite").exists()  # looking makes no file
    letters.begin()
    letters.bury([letter(n, "ab"[n % 2]) for n in range(10)])
    assert letters.counts() == {"a": 5, "b": 5}
    found: list[int] = []
    after = ""
    while page := letters.list(most=3, after=after):
        assert len(page) <= 3
        found += [one.message.number for one in page]
        after = page[-1].message.key
    assert found == list(range(10))
    assert [one.message.number for one in letters.list("b")] == [1, 3, 5, 7, 9]
    assert letters.list("b", most=2, after="key-3") == letters.list("b")[2:4]
    assert letters.drop(["key-1", "key-3", "nobody"], "b") == 2
    assert letters.drop(["key-2"], "b") == 0
    assert letters.drop() == 8


def test_two_processes_change_dead_letters_at_once(tmp_path: Path) -> None:
    """As `quell outbox` does beside a server: nothing is lost, nothing twice."""
    mine, other = Letters(tmp_path), Letters(tmp_path)
    mine.begin()
    mine.bury([letter(n) for n in range(100)])
    assert other.resend(f"key-{n}" for n in range(0, 100, 2)) == 50
    fetched = mine.fetch({"mods": 30, "other": 5})
    assert [one.message.number for one in fetched] == list(range(0, 60, 2))
    assert other.resend() == 50
    assert other.drop(["key-0", "key-98"]) == 2
    mine.bury([], [letter(0), letter(2)])
    mine.delivered(["key-4", "key-98"])
    assert {one.message.key for one in other.list()} == {f"key-{n}" for n in range(100)} - {
        "key-0",
        "key-4",
        "key-98",
    }
    assert [one.message.number for one in other.list() if one.state == "dead"] == [2]


def test_what_earlier_runs_settled_is_known_while_only_the_journal_holds_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is made anew in a run in which the sink is down: what was settled among what waits in the
    journal stays so."""
    monkeypatch.setattr("quell.engine.outbox_acks.LARGE", 1_000)
    journal, down, delivered = Journal(), False, list[int]()

    def behave(message: Message) -> Any:
        if down or message.number % 10 == 1:
            raise Retry("down")
        delivered.append(message.number)

    async def one_life(more: int, until: int) -> None:
        sinks = {"a": Recorder(behave), "b": Recorder()}
        outbox = made(tmp_path / "outbox", sinks, last=journal.last, reader=journal.read, most_waiting=5)
        outbox.resume(journal.last)
        task = asyncio.create_task(outbox.run())
        for _ in range(more):
            journal.take(outbox, "a", "b")
            await asyncio.sleep(0.1)
        await asyncio.sleep(until)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(one_life(100, 10))
    assert len(delivered) == 90
    down = True
    run(one_life(100, 10))
    down = False
    run(one_life(0, 1_000))
    assert sorted(delivered) == [n for n in range(1, 201) if n % 10 != 1]
