"""Reloads of an engine that decides meanwhile: nothing is forgotten, and no event sees half a bundle."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from quell.engine.carry import SnapshotReport
from quell.engine.compile import Build
from quell.engine.decision import Decision
from quell.engine.reload import Reloader
from quell.engine.reload_settle import Patience
from quell.engine.reload_start import start
from quell.engine.service import Service
from quell.engine.service_types import ReloadOutcome, VersionInfo
from quell.engine.stepper import Stepper
from quell.engine.versions import Versions
from tests.reload_given import RULES, SCHEMA, InThread, bundle

BURST = """
let burst = count(message by author within 1h)

rule many on message
  when burst >= LEAST
  then review
  because "VERSION: {burst}"
"""
LATER = """
rule later on message
  when count(message by channel within 1h) >= 2
  then flag
"""


def policies(folder: Path, least: int) -> None:
    (folder / "burst.quell").write_text(BURST.replace("LEAST", str(least)).replace("VERSION", f"v{least}"))


def event(number: int, content: str = "hello") -> bytes:
    at = 1_767_225_600_000_000 + number * 1_000
    return json.dumps(
        {"type": "message", "id": str(number), "at": at, "author": "u1", "channel": "c", "content": content}
    ).encode()


async def decided(service: Service, number: int) -> Decision:
    made = await service.decide(event(number))
    assert isinstance(made[0], Decision)
    return made[0]


def test_counters_go_on_through_reloads_and_events_are_decided_meanwhile(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "policies")
    (folder / "schema.quell").write_text(SCHEMA + "  channel text = $.channel\n")
    policies(folder, 1_000)
    versions = Versions.open(tmp_path / "versions")
    outcomes: list[ReloadOutcome] = []

    async def scene() -> None:
        checker = InThread()
        started = await start(folder, versions, checker=checker)
        service = Service(Stepper(started.build), started.info.number)
        reloader = Reloader(
            folder,
            versions,
            service.swap,
            outcomes.append,
            started=started,
            checker=checker,
            patience=Patience(0.02, 1.0),
        )
        numbers, seen = iter(range(1, 1_000_000)), []

        async def traffic() -> None:
            while True:
                made = await decided(service, next(numbers))
                seen.append((service.number, made))
                await asyncio.sleep(0.002)

        task = asyncio.create_task(traffic())
        while not seen:
            await asyncio.sleep(0.002)
        for least in (2, 1_000, 3):
            policies(folder, least)
            assert (await reloader.reload("ann")).result == "live"
            before = len(seen)
            while len(seen) < before + 5:
                await asyncio.sleep(0.002)
        (folder / "rules.quell").write_text(RULES + "\nrule broken\n")
        assert (await reloader.reload("ann")).result == "refused"
        (folder / "rules.quell").write_text(RULES + LATER)
        assert (await reloader.reload("ann")).result == "live"
        assert (await reloader.put_back(None, "ann")).result == "live"
        before = len(seen)
        while len(seen) < before + 5:
            await asyncio.sleep(0.002)
        task.cancel()
        assert service.number == 6
        check(seen)
        await service.close()

    asyncio.run(scene())
    live = [o for o in outcomes if o.result == "live"]
    assert [o.version.number for o in live if o.version is not None] == [2, 3, 4, 5, 6]
    assert all(o.state is not None and "count(message by author)" in o.state.kept for o in live)
    assert live[3].state is not None
    assert live[3].state.cold == ("count(message by channel)",)
    assert live[4].state is not None
    assert live[4].state.dropped == ("count(message by channel)",)


def check(seen: list[tuple[int, Decision]]) -> None:
    """Each event is counted once, and decided by one version whole: the last that took over."""
    leasts = {1: 1_000, 2: 2, 3: 1_000, 4: 3, 5: 3, 6: 3}
    assert [made.id for _, made in seen] == [str(count) for count in range(1, len(seen) + 1)]
    assert all(made.seq == count + number - 1 for count, (number, made) in enumerate(seen, 1)), (
        "each change of the version has a number of its own"
    )
    assert {number for number, _ in seen} >= {1, 2, 3, 4, 6}
    assert [n for n, _ in seen] == sorted(n for n, _ in seen)
    for count, (number, made) in enumerate(seen, 1):
        least = leasts[number]
        messages = [fired.message for fired in made.fired if fired.rule == "many"]
        assert messages == ([f"v{least}: {count}"] if count >= least else []), (number, count)


def test_lists_and_models_that_did_not_change_are_not_read_again(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "policies")
    (folder / "lists" / "more.txt").write_text("a.example\n")
    (folder / "more.quell").write_text('list more from "lists/more.txt" as domains\n')
    builds: list[Build] = []

    async def swap(build: Build, info: VersionInfo) -> tuple[SnapshotReport, float]:
        builds.append(build)
        return SnapshotReport(info.digest), 0.0

    async def scene() -> None:
        versions = Versions.open(tmp_path / "versions")
        started = await start(folder, versions)
        builds.append(started.build)
        reloader = Reloader(
            folder, versions, swap, lambda o: None, started=started, patience=Patience(0.01, 1.0)
        )
        (folder / "lists" / "bad_words.txt").write_text("badword\nnew\n")
        await reloader.reload("ann")
        (folder / "more.quell").write_text('list more from "lists/more.txt" as exact\n')
        await reloader.reload("ann")
        await reloader.put_back(1, "ann")

    asyncio.run(scene())
    lists = [build.analysis.lists for build in builds]
    assert lists[0]["more"] is lists[1]["more"]
    assert lists[0]["bad_words"] is not lists[1]["bad_words"]
    assert lists[1]["bad_words"] is lists[2]["bad_words"]
    assert lists[2]["more"] is not lists[1]["more"], "it is read in another way"
    assert [build.version for build in builds[:1]] == [builds[3].version]
    assert lists[3]["bad_words"].entries() == ["badword", "worse"]
