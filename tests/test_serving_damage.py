"""A service over a journal with a damaged record in its middle: what a snapshot remembers is not needed from
there, and what is needed is never passed over in silence."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from quell.engine.checkpoint import Checkpoint, Data, builds_of, snapshots
from quell.engine.journal import Journal, JournalError, read
from quell.engine.journal_format import number_of
from quell.engine.mend import mend
from quell.engine.outbox_types import Message, Retry
from quell.engine.remake import Remaker
from quell.engine.service_types import Entry
from quell.engine.serving import Serving, Setup, serving
from tests.cli_support import run
from tests.service_here import Collecting, here, kill, until
from tests.service_world import Events, Follower, memory, place_of, slow, texts_of, write_bundle


class Door(Collecting):
    """A sink that takes nothing while it is closed."""

    closed = False

    async def deliver(self, message: Message) -> None:
        """Take a message. Raises Retry."""
        if self.closed:
            raise Retry("not now", all=True)
        await super().deliver(message)


class Place:
    """A service's folders, with what was decided there; it was killed after that."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        here(monkeypatch, fills=False)
        self.policies = write_bundle(folder / "policies", texts_of(1))
        self.data = folder / "data"
        self.sink = Door()
        sinks = {"queue": self.sink, "hook": self.sink}
        self.setup = Setup(sinks=sinks, snapshots_every=1 << 40, segment_bytes=3_000)
        self.events = Events(random.Random(3))
        self.follower = Follower(self.data)

    async def live(self, *works: Callable[[Serving], Awaitable[object]]) -> tuple[str, ...]:
        """The service comes back, does some work, and is killed; gives what it told at the start."""
        async with serving(self.policies, self.data, self.setup) as running:
            for work in works:
                await work(running)
            await kill(running)
            return running.restart.told

    async def decide(self, running: Serving) -> None:
        """Decide some events."""
        for _ in range(60):
            await running.service.decide(self.events.next())

    async def look(self, running: Serving) -> None:
        """What the service remembers is what the journal said before it was damaged."""
        assert memory(running.service.engine.stepper) == memory(self.follower.remaker.stepper)

    async def snapshot(self, running: Serving) -> None:
        """Make a snapshot."""
        assert (await running.snapshots.make()).problem == ""

    async def reload(self, running: Serving) -> None:
        """Let another version decide."""
        write_bundle(self.policies, texts_of(running.service.number + 1, remote=bool(self.setup.functions)))
        assert (await running.reloader.reload("test")).result == "live"

    def remote(self, seed: int) -> None:
        """Have a remote model."""
        write_bundle(self.policies, texts_of(1, remote=True))
        self.setup = replace(self.setup, functions={"classifier": slow(seed)})

    async def settled(self, running: Serving) -> None:
        """Wait until all was sent, and that is on disk."""
        await until(lambda: running.outbox.done_upto >= running.journal.last)

    def entries(self) -> list[Entry]:
        """What the journal has but for its last segment."""
        last = max(int(path.name.split("-")[0]) for path in (self.data / "journal").glob("*.qj"))
        return [entry for entry in read(self.data / "journal") if number_of(entry) < last]

    def damage(self, *numbers: int) -> None:
        """Damage the entries of some numbers."""
        self.hit([entry for entry in self.entries() if number_of(entry) in numbers])

    def hit(self, entries: list[Entry]) -> None:
        """Turn a bit in each of some entries."""
        for text in [entry.reply or entry.event for entry in entries]:
            (path,) = (s for s in (self.data / "journal").glob("*.qj") if text in s.read_bytes())
            content = bytearray(path.read_bytes())
            content[content.index(text) + 5] ^= 0x10
            path.write_bytes(content)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A service with small segments, which stay as they are."""
    opened = Journal.open
    monkeypatch.setattr(Journal, "open", lambda *given, **named: opened(*given, **{**named, "packs": False}))
    monkeypatch.setattr("quell.engine.outbox.QUIET", 0.05)
    return Place(tmp_path, monkeypatch)


def test_what_a_snapshot_remembers_is_not_needed_from_the_journal(place: Place) -> None:
    async def main() -> None:
        await place.live(place.decide, place.settled, place.snapshot, place.decide, place.settled)
        place.follower.follow()
        number = snapshots(Data(place.data))[0].number
        place.damage(number - 9, number)
        assert await place.live(place.look, place.decide, place.snapshot) == ()
        assert snapshots(Data(place.data))[0].number > number

    asyncio.run(main())


def test_what_a_snapshot_at_the_very_end_remembers_is_not_needed_either(place: Place) -> None:
    place.setup = replace(place.setup, segment_bytes=1 << 20)  # one segment holds all, the damage too
    asyncio.run(place.live(place.decide, place.settled, place.snapshot))
    place.follower.follow()
    (path,) = (place.data / "journal").glob("*.qj")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)
    assert not mend(Data(place.data)).lost
    asyncio.run(place.live(place.look, place.decide))
    asyncio.run(place.live())


def test_what_was_to_be_sent_from_a_damaged_place_is_told_and_the_rest_is_sent(place: Place) -> None:
    place.sink.closed = True

    async def main() -> None:
        await place.live(place.decide, place.snapshot, place.decide)
        place.follower.follow()
        number = snapshots(Data(place.data))[0].number
        lost = [seq for seq, _ in place.follower.sends if seq <= number][1]
        place.damage(lost)
        (told,) = await place.live(place.look)
        assert told.startswith("the journal is damaged: ")
        assert told.endswith(
            f"; number {lost} is lost; what was still to be sent from there is not known any more"
        )
        place.sink.closed = False
        wanted = {p for p in place.follower.places() if not p.startswith(f"{lost}-")}
        await place.live(lambda running: until(lambda: {place_of(k) for k in place.sink.delivered} == wanted))

    asyncio.run(main())


def test_what_the_memory_needs_is_never_passed_over(place: Place) -> None:
    async def main() -> None:
        await place.live(place.decide, place.snapshot, place.decide)
        number = snapshots(Data(place.data))[0].number
        place.damage(number + 1, number + 2, number + 3)
        with pytest.raises(JournalError) as refused:
            await place.live()
        assert f"the numbers {number + 1} to {number + 3} are lost" in refused.value.message
        assert refused.value.hint.endswith(f"`quell journal mend {place.data}` goes on without what is lost")

    asyncio.run(main())


def test_mending_goes_on_without_what_is_lost(place: Place) -> None:
    async def main() -> None:
        await place.live(place.decide, place.snapshot, place.decide, place.settled)
        place.follower.follow()
        number, last = snapshots(Data(place.data))[0].number, place.follower.remaker.stepper.seq
        lost = [number + 1, number + 2, number + 3]
        without = Remaker(builds_of(Data(place.data)))
        without.take_all(e for e in read(place.data / "journal") if number_of(e) not in lost)
        place.damage(*lost)
        said = run("journal", "mend", place.data).stdout
        assert f"the numbers {lost[0]} to {lost[-1]} are lost" in said
        assert f"the next start goes on from number {last}: " in said

        async def same(running: Serving) -> None:
            assert memory(running.service.engine.stepper) == memory(without.stepper)

        assert await place.live(same, place.decide, place.snapshot) == ()
        said = run("journal", "mend", place.data).stdout
        assert said == "a start needs nothing that is damaged: nothing was done\n"

    asyncio.run(main())


def test_mending_knows_the_keys_of_events_before_and_behind_what_is_lost(place: Place) -> None:
    event, answered = place.events.next(), list[bytes]()

    async def under_keys(running: Serving) -> None:
        for key in ("before", "lost", "behind"):
            answered.append((await running.service.once.decide(event, key)).encoded)
            await place.decide(running)
            if key == "before":
                await place.snapshot(running)

    async def again(running: Serving) -> None:
        for key, first in zip(("before", "behind"), (answered[0], answered[2]), strict=True):
            found = await running.service.once.decide(event, key)
            assert (found.replayed, found.encoded) == (True, first)
        assert not (await running.service.once.decide(event, "lost")).replayed

    async def main() -> None:
        await place.live(under_keys)
        place.hit([entry for entry in place.entries() if entry.reply == answered[1]])
        assert mend(Data(place.data)).lost
        await place.live(again)

    asyncio.run(main())


def test_snapshots_that_somebody_took_away_end_nothing(place: Place) -> None:
    async def without(running: Serving) -> None:
        for path in (place.data / "snapshots").iterdir():
            path.unlink()
        (place.data / "fills" / "fill-0-1.quell").mkdir(parents=True)
        running.keep(0, Checkpoint(first=2, version=1))
        assert running.versions.keep_from == 1
        await place.decide(running)
        assert (await running.snapshots.make()).number == running.service.engine.stepper.seq

    async def main() -> None:
        await place.live(place.decide, place.snapshot, without)

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(6))
def test_mending_bears_the_loss_of_anything(place: Place, seed: int) -> None:
    chance = random.Random(seed)
    place.remote(seed)

    async def main() -> None:
        await place.live(place.decide, place.reload, place.decide, place.reload, place.decide)
        _, *entries = place.entries()
        place.hit(chance.sample(entries, 12))
        with pytest.raises(JournalError, match="the journal is damaged"):
            await place.live()
        found = mend(Data(place.data))
        assert found.lost
        for _ in range(2):  # what is told is what could not be sent
            told = await place.live(place.decide, place.snapshot)
            assert [t for t in told if "what was still to be sent" not in t] == []

    asyncio.run(main())


def test_a_folder_that_is_served_is_not_mended_nor_one_without_a_journal(place: Place) -> None:
    async def main() -> None:
        await place.live(place.decide)
        async with serving(place.policies, place.data, place.setup):
            assert "is served already" in run("journal", "mend", place.data).output
        assert "there is no journal in" in run("journal", "mend", place.policies).output

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["admitted", "decided"])
def test_half_of_an_event_that_waited_is_missed_though_no_number_is(place: Place, kind: str) -> None:
    place.remote(1)

    async def main() -> None:
        await place.live(place.decide)
        entries = place.entries()
        pairs = [(a, d) for a, d in pairwise(entries) if a.seq == d.seq == d.decided and a.kind == "admitted"]
        place.hit([pair[kind == "decided"] for pair in pairs[1:2]])
        with pytest.raises(JournalError, match="the journal is damaged"):
            await place.live()
        if kind == "admitted":
            before = number_of(pairs[1][0]) - 1
            with pytest.raises(JournalError, match="the journal is damaged"):
                list(read(place.data / "journal", before))
        assert list(read(place.data / "journal", number_of(pairs[1][0]))) == [
            e for e in entries if number_of(e) > number_of(pairs[1][0])
        ] + list(read(place.data / "journal", number_of(entries[-1])))

    asyncio.run(main())
