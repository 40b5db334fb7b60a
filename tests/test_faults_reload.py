"""Fifty reloads at full load, a third of them bad: no request fails, no decision mixes versions, and counters
count as if nothing had been reloaded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quell.engine.checkpoint import Data, builds_of
from quell.engine.journal import read
from quell.engine.remake import Remaker
from quell.engine.service_types import Entry
from tests.service_clients import Changing, Client, Told
from tests.service_fork import Forks, Wanted
from tests.service_world import Events, Follower, marks_of, memory, texts_of, write_bundle


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as made:
        yield made


@pytest.mark.parametrize(("remote", "reloads"), [(False, 50), (True, 20)])
def test_reloads_at_full_load(tmp_path: Path, forks: Forks, remote: bool, reloads: int) -> None:
    told, texts = Told(), {1: 1}
    policies, data = tmp_path / "policies", tmp_path / "data"
    write_bundle(policies, texts_of(1, remote=remote, same=True))
    served = forks.serve(Wanted(str(policies), str(data), remote=remote))

    async def main() -> None:
        changing = Changing(served.port, policies, told, random.Random(1), remote)
        over = False
        clients = [
            Client(served.port, Events(random.Random(n), f"c{n}", pace=0.02), told, random.Random(n))
            for n in range(4)
        ]
        load = [asyncio.ensure_future(client.run(lambda: over)) for client in clients]
        for number in range(2, reloads + 2):
            outcome = await changing.reload(number, bad=number % 3 == 0, same=True)
            assert outcome["result"] == ("refused" if number % 3 == 0 else "live"), outcome
            if outcome["result"] == "live":
                texts[outcome["version"]["number"]] = number
        over = True
        await asyncio.gather(*load)
        changing.close()
        await asyncio.to_thread(served.stop)

    asyncio.run(main())
    assert {said for said in told.refused if not said.startswith("422")} == set()
    assert told.unknown == set()
    assert len(texts) == 1 + reloads - len(range(3, reloads + 2, 3))
    follower = Follower(data)
    follower.follow()
    follower.close()
    assert follower.remaker.differing == 0
    assert all(follower.decided[name] == [reply] for name, reply in told.decided.items())
    entries = list(read(data / "journal"))
    _no_mixture(entries, texts)
    assert _counters(follower.remaker) == _counters(_without_reloads(data, entries))


def _no_mixture(entries: list[Entry], texts: dict[int, int]) -> None:
    """Each decision tells one version, and it is the one that decided then."""
    told = 0
    for entry in entries:
        if entry.kind in ("event", "decided") and (marks := marks_of(entry.reply)):
            assert marks == {f"v{texts[entry.version]}"}
            told += 1
    assert told > len(texts)


def _without_reloads(data: Path, entries: list[Entry]) -> Remaker:
    """The same events, decided by the first version throughout."""
    remaker = Remaker(builds_of(Data(data)))
    for entry in entries:
        if entry.kind != "version" or entry.version == 1:
            remaker.take(entry._replace(version=1))
    return remaker


def _counters(remaker: Remaker) -> list[Any]:
    """What is remembered, but for which version it was."""
    return [section for section in memory(remaker.stepper) if section[0] != "state"]
