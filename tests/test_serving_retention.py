"""What is kept of the journal, of snapshots and of versions: as much as settings say, and never less than a
restart, the outbox or an explanation needs."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quell.engine.checkpoint import Data, snapshots
from quell.engine.children import ChildError
from quell.engine.decision import Decision
from quell.engine.journal import Journal, read
from quell.engine.outbox_types import Message, Retry
from quell.engine.remake import RemakeError
from quell.engine.serving import Serving, Setup, serving
from tests.service_here import Collecting, here, kill, until
from tests.service_world import Events, Follower, memory, place_of, texts_of, write_bundle

SEGMENT = 8_000
BOUND = 40_000
"""Bytes of a segment, and of the journal if nothing else holds it."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes, segments stay as they are, and the folder is looked after often."""
    here(monkeypatch, fills=False)
    opened = Journal.open
    monkeypatch.setattr(Journal, "open", lambda *given, **named: opened(*given, **{**named, "packs": False}))
    monkeypatch.setattr("quell.engine.journal_keeper._ROUND", 0.01)
    monkeypatch.setattr("quell.engine.outbox.QUIET", 0.05)


def setup(**how: Any) -> Setup:
    """A journal that is bounded, and snapshots when they are asked for."""
    bounded = Setup(segment_bytes=SEGMENT, keep_bytes=BOUND, snapshots_every=1 << 40, snapshots_kept=2)
    return replace(bounded, **how)


class Stubborn(Collecting):
    """A sink that takes nothing until it is told to."""

    well = False

    async def deliver(self, message: Message) -> None:
        """Take a message. Raises Retry."""
        if not self.well:
            raise Retry("not now", all=True)
        await super().deliver(message)


async def send(running: Serving, events: Events, number: int) -> list[int]:
    """Decide events; the numbers of the decisions."""
    seqs = []
    for _ in range(number):
        reply, _ = await running.service.decide(events.next())
        if isinstance(reply, Decision):
            seqs.append(reply.seq)
    return seqs


def first(running: Serving) -> int:
    """The first number that the journal still has."""
    return next(read(running.data.journal)).seq


def test_a_journal_is_bounded_where_nothing_is_ever_sent(tmp_path: Path) -> None:
    texts = texts_of(1)
    texts["rules.quell"] = texts["rules.quell"].split("rule flood")[0]
    texts["counters.quell"] = texts["counters.quell"].replace("count(fired flood by", "count(report by")
    policies = write_bundle(tmp_path / "policies", texts)

    async def main() -> None:
        events, data = Events(random.Random(1)), tmp_path / "data"
        async with serving(policies, data, setup()) as running:
            for _ in range(4):
                await send(running, events, 100)
                await running.snapshots.make()
            await until(lambda: running.outbox.done_upto > running.snapshots.figures.number - 9)
            await send(running, events, 9)
            await until(lambda: running.journal.figures().bytes <= BOUND)
            assert running.snapshots.figures.problem == ""
            kept = memory(running.service.engine.stepper)
        async with serving(policies, data, setup()) as running:
            assert memory(running.service.engine.stepper) == kept
            assert running.outbox.done_upto == running.journal.last  # nothing of it is read again

    asyncio.run(main())


def test_the_journal_keeps_what_is_still_to_be_sent(tmp_path: Path) -> None:
    policies = write_bundle(tmp_path / "policies", texts_of(1))
    sink = Stubborn()
    how = setup(sinks={"queue": sink, "hook": sink}, keep_age=1)

    async def main() -> None:
        events, data, follower = Events(random.Random(1)), tmp_path / "data", Follower(tmp_path / "data")
        for round_ in range(3):
            async with serving(policies, data, how) as running:
                for _ in range(3):
                    await send(running, events, 60)
                    await running.snapshots.make()
                follower.follow()
                assert first(running) <= follower.sends[0][0]
                if round_ == 1:
                    await kill(running)
        sink.well = True
        async with serving(policies, data, how) as running:
            follower.follow()
            await until(lambda: {place_of(key) for key in sink.delivered} == follower.places())
            await send(running, events, 60)
            await running.snapshots.make()
            await send(running, events, 60)
            await running.snapshots.make()
            await until(lambda: running.journal.figures().bytes <= BOUND)

    asyncio.run(main())


def test_versions_stay_as_long_as_the_journal_or_a_snapshot_is_of_them(tmp_path: Path) -> None:
    policies = write_bundle(tmp_path / "policies", texts_of(1))
    sink = Collecting()
    how = setup(sinks={"queue": sink, "hook": sink})

    async def main() -> None:
        events, data = Events(random.Random(2)), tmp_path / "data"
        seqs: list[int] = []
        for round_ in range(3):
            async with serving(policies, data, how) as running:
                running.versions.keep = 3
                for number in range(6):
                    write_bundle(policies, texts_of(2 + 6 * round_ + number))
                    outcome = await running.reloader.reload("test")
                    assert outcome.result == "live"
                    seqs += await send(running, events, 40)
                    await running.snapshots.make()
                await until(lambda: running.journal.figures().bytes <= 2 * BOUND)
                await _all_that_is_kept_is_explained(running, seqs)
                if round_ == 1:
                    await kill(running)
        stored = [path.name for path in (data / "versions" / "bundles").iterdir()]
        assert len(stored) < 12

    asyncio.run(main())


async def _all_that_is_kept_is_explained(running: Serving, seqs: list[int]) -> None:
    """What came after the oldest snapshot can be explained; of what came before it is said that it cannot."""
    oldest, dropped = snapshots(running.data)[-1].number, first(running) > 1
    later = [seq for seq in seqs if seq > oldest]
    for seq in random.Random(oldest).sample(later, 6):
        assert msgspec.json.decode(await running.explain(seq))["decision"]["seq"] == seq
    if dropped:
        for seq in (seqs[0], max(seq for seq in seqs if seq <= oldest)):
            with pytest.raises(ChildError, match=r"not kept any more|there is no decision"):
                await running.explain(seq)


@pytest.mark.parametrize("seed", range(3))
def test_restarts_while_the_past_is_dropped(tmp_path: Path, seed: int) -> None:
    chance, policies = random.Random(seed), tmp_path / "policies"
    sink, data, follower = Collecting(fails_each=2), tmp_path / "data", Follower(tmp_path / "data")
    how = setup(sinks={"queue": sink, "hook": sink}, keep_age=chance.choice([None, 1]))
    write_bundle(policies, texts_of(1))

    async def main() -> None:
        events = Events(chance)
        for round_ in range(10):
            async with serving(policies, data, how) as running:
                running.versions.keep = 2
                assert running.restart.differing == 0
                follower.follow()
                assert memory(running.service.engine.stepper) == memory(follower.remaker.stepper)
                for _ in range(chance.randrange(4)):
                    await send(running, events, chance.randrange(60))
                    follower.follow()
                    if chance.random() < 0.5:
                        write_bundle(policies, texts_of(chance.randrange(1, 100)))
                        await running.reloader.reload("test")
                    if chance.random() < 0.7:
                        await running.snapshots.make()
                        assert running.snapshots.figures.problem == ""
                follower.follow()
                if chance.random() < 0.5:
                    await kill(running)
                elif round_ == 9:
                    await until(lambda: {place_of(k) for k in sink.delivered} == follower.places())

    asyncio.run(main())


def test_what_the_first_entry_of_the_journal_filled_is_kept(tmp_path: Path) -> None:
    policies, data = write_bundle(tmp_path / "policies", texts_of(3)), Data(tmp_path / "data")

    async def main() -> None:
        events = Events(random.Random(1))
        async with serving(policies, data.root, setup()) as running:
            await send(running, events, 60)
            write_bundle(policies, texts_of(4))  # which has a counter more
            assert (await running.reloader.reload("test")).result == "live"
            made = (await running.snapshots.make()).last
            await running.filling.fill()
            seqs = await send(running, events, 20)
            live, filled = memory(running.service.engine.stepper), running.filling.figures.counters
            assert made is not None
            assert (filled, seqs[0]) == (("count(message by author)",), made.number + 2)
            explained = await running.explain(seqs[0])
            # The journal as it is once it is needed no further back than that snapshot, and cut just there.
            running.keep(made.number, msgspec.structs.replace(made, first=made.number + 1))
            assert await running.explain(seqs[0]) == explained
            await kill(running)
        async with serving(policies, data.root, setup()) as running:
            assert running.restart.told == ()
            assert (running.restart.snapshot, running.restart.differing) == (made.number, 0)
            assert memory(running.service.engine.stepper) == live
            await send(running, events, 9)
            running.keep(made.number, msgspec.structs.replace(made, first=made.number + 2))
            assert not list(data.fills.iterdir())

    asyncio.run(main())


def test_where_nothing_says_what_was_remembered_the_service_does_not_begin(tmp_path: Path) -> None:
    policies, data = write_bundle(tmp_path / "policies", texts_of(1)), tmp_path / "data"
    sink = Collecting()
    how = setup(sinks={"queue": sink, "hook": sink})

    async def main() -> None:
        events = Events(random.Random(1))
        async with serving(policies, data, how) as running:
            for _ in range(4):
                await send(running, events, 60)
                await running.snapshots.make()
            await until(lambda: first(running) > 1)
        kept = {snapshot.path: snapshot.path.read_bytes() for snapshot in snapshots(Data(data))}
        for path in kept:
            path.write_bytes(b"nothing of the kind")
        with pytest.raises(RemakeError, match="and there is no whole snapshot") as refused:
            async with serving(policies, data, how):
                pass
        assert "begin without a memory" in refused.value.hint
        for path, content in kept.items():
            path.write_bytes(content)
        for segment in sorted((data / "journal").glob("*.qj"))[:-1]:
            segment.unlink()
        oldest = snapshots(Data(data))[-1]
        for newer in snapshots(Data(data))[:-1]:
            newer.path.unlink()
        async with serving(policies, data, how) as running:
            assert f"numbers after the snapshot of {oldest.number}" in running.restart.told[0]

    asyncio.run(main())
