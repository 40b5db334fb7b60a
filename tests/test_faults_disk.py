"""A full disk: events are refused with the reason, nothing that was acknowledged is lost, and all goes on
once there is room."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.service_clients import Changing, Connection, Hook, Told
from tests.service_disk import Disk, disk
from tests.service_fork import PATIENCE, Forks, Wanted
from tests.service_trial import Crowded
from tests.service_world import Events, Follower, digest, place_of, texts_of, write_bundle


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as made:
        yield made


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Disk]:
    """A disk for the data folder."""
    with disk(tmp_path / "data") as made:
        yield made


class Platform:
    """A service with its data on a small disk, and one client."""

    def __init__(self, folder: Path, forks: Forks, full: Disk, hook: int, durability: Any) -> None:
        self.folder, self.disk, self._forks = folder, full, forks
        self.events, self.told = Events(random.Random(3)), Told()
        write_bundle(folder / "policies", texts_of(1))
        self.wanted = Wanted(
            str(folder / "policies"),
            str(folder / "data"),
            durability=durability,
            segment_bytes=1 << 16,
            snapshots_every=20,
            looks=0.05,
            hook=hook,
            file=str(folder / "queue.jsonl"),
            full=not full.real,
        )
        self.follower = Follower(folder / "data")

    def begin(self) -> str:
        """Begin the service; why that cannot be."""
        ready = self._forks.begin(self.wanted)
        if ready.problem:
            return ready.problem
        self.served = self._forks.served[-1]
        self.line = Connection(self.served.port)
        self.follower.follow(ready.seq)
        assert (ready.differing, self.follower.remaker.differing) == (0, 0)
        assert digest(self.follower.remaker.stepper) == ready.digest
        return ""

    async def send(self, number: int) -> list[str]:
        """Send events one by one; what kind of refusal each met, "" where it was decided."""
        kinds = []
        for _ in range(number):
            event = self.events.next()
            status, body = await self.line.post("/v1/decide", event)
            said = json.loads(body)
            if status == 200:
                self.told.decided[said["id"]] = body
            elif said["kind"] == "unwritten":
                assert status == 503
                assert "no space left on the disk" in said["detail"]
            else:
                assert status == 422, said
                continue
            kinds.append("" if status == 200 else said["kind"])
        return kinds

    async def get(self, path: str) -> Any:
        """What a page says."""
        return json.loads((await self.line.get(path))[1])

    async def end(self) -> None:
        """End it in good order, and see that all that was acknowledged is in the journal."""
        self.line.close()
        await asyncio.to_thread(self.served.stop)
        self.follower.follow()
        for name, reply in self.told.decided.items():
            assert self.follower.decided[name] == [reply]


@pytest.mark.parametrize("durability", ["batch", "each"])
def test_a_full_disk_is_told_and_nothing_is_lost(
    tmp_path: Path, forks: Forks, full: Disk, durability: Literal["batch", "each"]
) -> None:
    async def main() -> None:
        async with Hook(random.Random(1)) as hook:
            platform = Platform(tmp_path, forks, full, hook.port, durability)
            assert platform.begin() == ""
            assert set(await platform.send(60)) == {""}
            await _fill_for_good(platform)
            await _others_are_told(platform)
            full.free()
            assert set(await platform.send(60)) == {""}
            ready = await platform.get("/readyz")
            assert ready == {"status": "ready"}
            outcome = await _reload(platform, 3)
            assert outcome["result"] == "live"
            assert set(await platform.send(30)) == {""}
            await _until_sent(platform, hook)
            await platform.end()
            assert platform.begin() == ""
            await platform.end()

    asyncio.run(main())


def test_a_start_while_the_disk_is_full_tells_so_in_one_line(
    tmp_path: Path, forks: Forks, full: Disk
) -> None:
    if not full.real:
        pytest.skip("no file system can be mounted here")

    async def main() -> None:
        platform = Platform(tmp_path, forks, full, 0, "batch")
        full.fill()
        assert platform.begin().endswith("no space left on device")
        full.free()
        assert platform.begin() == ""
        await platform.send(200)
        platform.line.close()
        platform.served.kill()
        full.fill()
        problem = platform.begin()
        assert problem.endswith("no space left on device")
        assert "\n" not in problem
        full.free()
        assert platform.begin() == ""
        await platform.end()

    asyncio.run(main())


def test_a_disk_that_is_full_at_times_costs_no_promise(tmp_path: Path, forks: Forks, full: Disk) -> None:
    trial = Crowded(tmp_path, forks, 4, full)

    async def main() -> None:
        for _ in range(5):  # whether an event meets the full disk is a matter of chance
            await trial.run(8, 0.6)
            if trial.told.refused["503 unwritten"]:
                return

    asyncio.run(main())
    assert trial.figures.answered > 0
    assert trial.told.refused["503 unwritten"] > 0
    for problem in trial.refused_starts:
        assert "no space left on" in problem
        assert "\n" not in problem


async def _fill_for_good(platform: Platform) -> None:
    """Fill the disk until nothing more is written: what is done in the background frees the room of what it
    had begun to write."""
    async with asyncio.timeout(PATIENCE):
        refused = False
        while not refused:
            platform.disk.fill()
            refused = set(await platform.send(20)) == {"unwritten"}


async def _others_are_told(platform: Platform) -> None:
    """Labels, reloads, snapshots and the state of the service while the disk is full."""
    platform.disk.fill()
    label = {"action": "set", "entity": "User", "id": "u1", "label": "spammer", "at": "2024-01-01T00:00:00Z"}
    status, body = await platform.line.post("/v1/labels", json.dumps(label).encode())
    assert (status, json.loads(body)["kind"]) == (503, "unwritten")
    ready = await platform.get("/readyz")
    assert "no space left on the disk" in ready["detail"]
    if platform.disk.real:
        platform.disk.fill()
        outcome = await _reload(platform, 2)
        assert outcome["result"] == "refused"
        assert "no space left" in outcome["findings"][0]["message"]
    said = await platform.get("/v1/status")
    assert "no space left on the disk" in " ".join(said["warnings"])


async def _reload(platform: Platform, version: int) -> dict[str, Any]:
    changing = Changing(
        platform.served.port, platform.folder / "policies", platform.told, random.Random(1), False
    )
    try:
        return await changing.reload(version, bad=False)
    finally:
        changing.close()


async def _until_sent(platform: Platform, hook: Hook) -> None:
    """Wait until what was sent is at the webhook."""
    async with asyncio.timeout(PATIENCE):
        while {place_of(key) for key in hook.got} != _to_hook(platform.follower):
            await asyncio.sleep(0.01)


def _to_hook(follower: Follower) -> set[str]:
    """The places of what was to be sent to the webhook so far."""
    follower.follow()
    return {
        f"{number}-{index}"
        for number, decision in follower.sends
        for index, sent in enumerate(decision.sends)
        if sent.sink == "hook"
    }
