"""A service under load that is killed over and over, and what must hold each time it comes back."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.service_clients import Changing, Client, Hook, Told, got_in_file, until_gone
from tests.service_disk import Disk
from tests.service_fork import PATIENCE, Forks, Served, Wanted
from tests.service_world import Events, Follower, digest, place_of, texts_of, write_bundle

CLIENTS = 4


@dataclass(slots=True)
class Figures:
    """What happened in a trial."""

    kills: int = 0
    stops: int = 0
    answered: int = 0
    from_snapshots: int = 0
    made_again: int = 0
    finished: int = 0
    sent_again: int = 0
    owed: int = 0
    longest_restart: float = 0.0
    told: Counter[str] = field(default_factory=Counter)


class Trial:
    """Kills a service in a folder, and lets it come back, by chance of a seed."""

    def __init__(
        self, folder: Path, forks: Forks, seed: int, *, remote: bool, processes: bool = False
    ) -> None:
        self.folder, self.forks, self.chance, self._remote = folder, forks, random.Random(seed), remote
        self._processes = processes
        self.told, self.figures = Told(), Figures()
        self._checked = self._labels = 0
        self._events = [Events(random.Random(f"{seed}-{n}"), f"c{n}", pace=0.05) for n in range(CLIENTS)]
        write_bundle(folder / "policies", texts_of(1, remote=remote))
        self.follower = Follower(folder / "data")
        self.hook = Hook(random.Random(seed))

    async def run(self, kills: int, longest: float) -> None:
        """Kill it so many times, each after at most so many seconds, and see in the end that everything was
        sent."""
        async with self.hook:
            for number in range(kills):
                served = self._begin()
                await self._under_load(served, self.chance.uniform(0.01, longest), number % 7 == 6)
            await self._end(self._begin())

    def wanted(self) -> Wanted:
        """How it is to come back."""
        chance = self.chance
        return Wanted(
            str(self.folder / "policies"),
            str(self.folder / "data"),
            seed=chance.randrange(1 << 30),
            remote=self._remote,
            durability=chance.choice(["batch", "batch", "each"]),
            segment_bytes=1 << 18,
            snapshots_every=chance.choice([50, 500]),
            looks=0.05,
            hook=self.hook.port,
            file=str(self.folder / "queue.jsonl"),
            processes=self._processes,
        )

    def _begin(self) -> Served:
        """Let it come back, and see that nothing is missing."""
        served = self.come_back()
        self._check(served)
        return served

    def come_back(self) -> Served:
        """Let it come back."""
        return self.forks.serve(self.wanted())

    async def meanwhile(self) -> None:
        """What happens beside the load."""

    def met(self) -> bool:
        """Whether what is to be tried has come about, on however slow a machine: something was decided."""
        return bool(self.told.decided or self.figures.answered)

    def _check(self, served: Served) -> None:
        ready, follower = served.ready, self.follower
        follower.follow(ready.seq)
        remaker = follower.remaker
        found = (ready.differing, remaker.differing, remaker.told)
        assert found == (0, 0, []), (found, remaker.different, ready)
        assert remaker.waiting == {}, sorted(remaker.waiting)
        assert remaker.stepper.seq == ready.seq, (remaker.stepper.seq, ready)
        assert ready.digest == digest(remaker.stepper), ready
        self._check_promises()
        figures = self.figures
        figures.from_snapshots += ready.snapshot > 0
        figures.made_again += ready.made
        figures.finished += ready.finished
        figures.sent_again += ready.sends
        figures.owed += len(self.told.owed)
        figures.longest_restart = max(figures.longest_restart, ready.seconds)
        figures.told.update(re.sub(r"`.*?`|[0-9,]+", "…", line) for line in ready.told)

    def _check_promises(self) -> None:
        """What was answered is in the journal, word for word, and nothing is in it twice, were it sent under
        its key over and over until its answer came."""
        told, decided = self.told, self.follower.decided
        for name, reply in told.decided.items():
            assert decided.get(name) == [reply], f"{name}: {reply!r}, {decided.get(name)}"
        self.figures.answered += len(told.decided)
        told.decided.clear()
        for name in told.paid:
            assert len(decided[name]) == 1, name
        for name in told.owed:
            assert len(decided.get(name, ())) <= 1, name
        for label in told.labels:
            assert label in self.follower.acted, label
        told.labels.clear()
        assert set(told.versions) <= self.follower.versions, (told.versions, self.follower.versions)

    async def _under_load(self, served: Served, seconds: float, gently: bool) -> None:
        chance = self.chance
        changing = [
            Changing(served.port, self.folder / "policies", self.told, chance, self._remote) for _ in range(2)
        ]
        clients = [Client(served.port, events, self.told, chance) for events in self._events]
        load = asyncio.ensure_future(
            until_gone(
                *(c.run() for c in clients), changing[0].labels(), changing[1].reloads(), self.meanwhile()
            )
        )
        await asyncio.wait([load], timeout=seconds)
        end = time.monotonic() + PATIENCE
        while not load.done() and not self.met():
            assert time.monotonic() < end, "nothing comes of the load"
            await asyncio.wait([load], timeout=0.01)
        if load.done():
            await load
            raise AssertionError("the service ended by itself")
        await asyncio.to_thread(served.stop if gently else served.kill)
        await load
        for one in changing:
            one.close()
        self.figures.stops += gently
        self.figures.kills += not gently

    async def _end(self, served: Served) -> None:
        """See that all that decisions sent reached its sinks."""
        wanted = self.follower.places()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            places = {place_of(k) for k in (*self.hook.got, *got_in_file(self.folder / "queue.jsonl"))}
            if places >= wanted:
                break
            await asyncio.sleep(0.01)
        client = Client(served.port, self._events[0], self.told, self.chance)
        while self.told.owed:
            await client.run(lambda: True)
        await asyncio.to_thread(served.stop)
        self.follower.follow()
        self._check_promises()
        self._check_sends("hook", self.hook.got)
        self._check_sends("queue", got_in_file(self.folder / "queue.jsonl"))

    def _check_sends(self, sink: str, got: dict[str, list[bytes]]) -> None:
        """Each send is there, under one key and with one body, and nothing else."""
        wanted = {
            f"{number}-{index}"
            for number, decision in self.follower.sends
            for index, sent in enumerate(decision.sends)
            if sent.sink == sink
        }
        places = [place_of(key) for key in got]
        assert len(set(places)) == len(places), "a send came under two keys"
        assert set(places) == wanted, (sorted(wanted - set(places))[:5], sorted(set(places) - wanted)[:5])
        assert all(len(set(bodies)) == 1 for bodies in got.values()), "a send came with two bodies"


class Crowded(Trial):
    """A trial on a disk that is full every now and then, also while the service is away."""

    def __init__(self, folder: Path, forks: Forks, seed: int, full: Disk, *, remote: bool = True) -> None:
        super().__init__(folder, forks, seed, remote=remote)
        self.disk = full
        self.refused_starts: list[str] = []

    def wanted(self) -> Wanted:
        """How it is to come back."""
        return msgspec.structs.replace(super().wanted(), full=not self.disk.real)

    def come_back(self) -> Served:
        """Let it come back, once there is room."""
        wanted = self.wanted()
        ready = self.forks.begin(wanted)
        if ready.problem:
            self.refused_starts.append(ready.problem)
            self.disk.free()
            ready = self.forks.begin(wanted)
        assert not ready.problem, ready.problem
        return self.forks.served[-1]

    async def meanwhile(self) -> None:
        """Fill the disk, and let there be room again."""
        for _ in range(self.chance.randrange(5)):
            await asyncio.sleep(self.chance.random() * 0.1)
            self.disk.fill(self.chance.choice([0, 0, 4096, 20_000, 300_000]))
            await asyncio.sleep(self.chance.random() * 0.1)
            if self.chance.random() < 0.8:
                self.disk.free()
        while not self.met():
            self.disk.fill()
            await asyncio.sleep(0.05)
            self.disk.free()
            await asyncio.sleep(0.05)

    def met(self) -> bool:
        """Something was decided, and something was not for want of room."""
        return super().met() and self.told.refused["503 unwritten"] > 0
