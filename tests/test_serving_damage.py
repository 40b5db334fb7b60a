"""A service over a journal with a damaged record in its middle: what a snapshot remembers is not needed from
there, and what is needed is never passed over in silence."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from quell.engine.checkpoint import Data, snapshots
from quell.engine.journal import Journal, JournalError, read
from quell.engine.journal_format import number_of
from quell.engine.outbox_types import Message, Retry
from quell.engine.serving import Serving, Setup, serving
from tests.service_here import Collecting, here, kill, until
from tests.service_world import Events, Follower, memory, place_of, texts_of, write_bundle


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

    async def settled(self, running: Serving) -> None:
        """Wait until all was sent, and that is on disk."""
        await until(lambda: running.outbox.done_upto >= running.journal.last)

    def damage(self, *numbers: int) -> None:
        """Turn a bit in the records of some numbers, which are not in the last segment."""
        hit = {number_of(e): e.reply for e in read(self.data / "journal") if number_of(e) in numbers}
        segments = sorted((self.data / "journal").glob("*.qj"))[:-1]
        for reply in hit.values():
            (path,) = (s for s in segments if reply in s.read_bytes())
            content = bytearray(path.read_bytes())
            content[content.index(reply) + 5] ^= 0x10
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
        assert "put the file back from a copy" in refused.value.hint

    asyncio.run(main())
