"""Counters that a reload brought, filled from the journal: as if they had been there before."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine import filling
from quell.engine.checkpoint import Data
from quell.engine.decision import Decision
from quell.engine.fill import Twin, reach_of
from quell.engine.filling import FillFigures, Filling
from quell.engine.remake import Remaker
from quell.engine.service import Service
from quell.engine.service_types import Entry, Filled, VersionInfo
from quell.engine.serving import Serving, Setup, serving
from quell.engine.serving_parts import status_of
from quell.engine.snapshot import read_sections, write_sections
from quell.engine.stepper import Stepper
from tests import virtual_time
from tests.service_here import unwatched
from tests.test_remake import ACTS, BUILDS, FIRST, SECOND, World, Written, event, live, memory, service

NEW = "texts"
"""A counter of the second version that reads no label."""


def twin_of(entries: Iterable[Entry], number: int) -> Twin:
    """The counters of a version beside the entries."""
    remaker, twin = Remaker(BUILDS.__getitem__), None
    for entry in entries:
        if twin is None and remaker.begun:
            twin = Twin(BUILDS[number], remaker.stepper)
        if twin is not None:
            twin.take(entry)
        remaker.take(entry)
    assert twin is not None
    return twin


def cold(stepper: Stepper) -> list[str]:
    """The counters that began later than the history."""
    state = stepper.state
    return [i for i, s in state.stores.items() if s.began is not None and s.began != state.began]


async def fill(running: Service, journal: Written, folder: Path) -> bool:
    """Fill what is cold, as the process does it."""
    async with running.held():
        assert await running.engine.quiet(5.0)
        wanted = cold(running.engine.stepper)
        if not wanted or not any(e.kind == "event" for e in journal.entries):
            return False
        name = f"fill-{len(journal.entries)}"
        write_sections(folder / name, twin_of(journal.entries, running.number).dumped(wanted))
        running.take_filled(Filled(tuple(wanted), name), read_sections(folder / name))
    return True


def store(stepper: Stepper, name: str) -> dict[str, Any]:
    """What the counter of a let remembers."""
    found = [s for s in stepper.state.stores.values() if s.name.startswith(name)]
    assert len(found) == 1
    return found[0].dump()


@given(ACTS, ACTS, ACTS, st.integers(0, 9))
def test_filled_counters_are_as_if_they_had_been_there_before(
    before: Any, between: Any, after: Any, seed: int
) -> None:
    journal = Written()
    running: list[Service] = []

    with tempfile.TemporaryDirectory() as folder:

        async def main() -> None:
            running.append(made := service(World(seed), journal))
            begun = await live([a for a in before if a[0] != "swap"], made)
            await made.swap(BUILDS[2], VersionInfo(2, "", 0, "test", "asked for"))
            begun += await live([a for a in between if a[0] != "swap"], made)
            await fill(made, journal, Path(folder))
            begun += await live([a for a in after if a[0] != "swap"], made)
            for answer in begun:
                await answer
            await made.close()

        virtual_time.run(main())
        stepper = running[0].engine.stepper
        remaker = Remaker(BUILDS.__getitem__, fills=Path(folder))
        remaker.take_all(journal.entries)
        assert (remaker.differing, remaker.told) == (0, [])
        assert memory(remaker.stepper) == memory(stepper)
    if not any(e.kind == "filled" for e in journal.entries):
        return
    # What the counter would remember, had the second version decided from the beginning.
    throughout = Stepper(BUILDS[2])
    for entry in journal.entries:
        if entry.kind in ("event", "admitted"):
            throughout.decide(entry.event)
    assert store(stepper, "distinct(content")["keys"] == store(throughout, "distinct(content")["keys"]
    assert not cold(stepper)


def test_how_far_back_is_looked() -> None:
    bundle = BUILDS[2]
    stores = bundle.analysis.lowerer.stores
    longest = max(s.longest or 0 for s in stores.values())
    (texts,) = (i for i, s in stores.items() if s.text.startswith("distinct(content"))
    assert reach_of(bundle, [texts]) == 30_000_000 + longest
    assert reach_of(bundle, []) == longest
    more = "let total = count(message by author ever)\nrule r on message when total > 2 then flag"
    ever = bundle_with(more)
    (count,) = (i for i, s in ever.analysis.lowerer.stores.items() if s.longest is None)
    assert reach_of(ever, [count]) is None


def bundle_with(text: str) -> Any:
    """The first version, and more."""
    from tests.test_remake import bundle

    return bundle(FIRST + text)


def test_what_a_reload_brings_is_filled_while_events_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real files, processes and reloads."""
    unwatched(monkeypatch)
    policies = tmp_path / "policies"
    policies.mkdir()
    first, second = (local(text) for text in (FIRST, SECOND))
    (policies / "p.quell").write_text(first)

    async def main() -> None:
        async with serving(policies, tmp_path / "data", Setup(durability="batch")) as running:
            for number in range(30):
                await running.service.decide(event(number, "a", f"text {number % 4}", number))
            (policies / "p.quell").write_text(second)
            outcome = await running.reloader.reload("test")
            assert outcome.result == "live", outcome.findings
            await _until(lambda: bool(running.filling.figures.counters or running.filling.figures.problem))
            assert running.filling.figures.problem == ""
            assert any("distinct(content" in name for name in running.filling.figures.counters)
            reply, _ = await running.service.decide(event(31, "a", "the last", 31))
            assert isinstance(reply, Decision)
            assert "repeat" in [f.rule for f in reply.fired]
            assert not reply.cold
            seen.append(memory(running.service.engine.stepper))
            await running.snapshots.make()
            assert running.snapshots.figures.differing == 0

    seen: list[bytes] = []
    asyncio.run(main())

    async def again() -> None:
        async with serving(policies, tmp_path / "data") as running:
            _same(running, seen[0])

    asyncio.run(again())
    for path in (tmp_path / "data" / "snapshots").iterdir():
        path.unlink()
    asyncio.run(again())


def test_a_process_that_is_killed_while_it_fills_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies, processes = tmp_path / "policies", []
    policies.mkdir()
    (policies / "p.quell").write_text(local(FIRST))
    asked = filling._ask

    async def ask(process: asyncio.subprocess.Process, what: Any) -> Any:
        processes.append(process.pid)
        if len(set(processes)) <= kills:
            process.kill()
        return await asked(process, what)

    async def filled(name: str, pauses: tuple[float, ...]) -> tuple[str, tuple[str, ...]]:
        monkeypatch.setattr(filling, "PAUSES", pauses)
        async with serving(policies, tmp_path / name, Setup(durability="batch")) as running:
            await running.service.decide(event(0, "a", "text", 0))
            (policies / "p.quell").write_text(local(SECOND))
            await running.reloader.reload("test")
            figures = running.filling
            await _until(lambda: bool(figures.figures.counters) or len(set(processes)) > len(pauses))
            await _until(lambda: not figures.figures.busy)
            cold = tuple(warning for warning in status_of(running).warnings if "counters" in warning)
            return figures.figures.problem, cold

    kills = 2
    monkeypatch.setattr(filling, "_ask", ask)
    assert asyncio.run(filled("first", (0.0, 0.0))) == ("", ())
    (policies / "p.quell").write_text(local(FIRST))
    kills = 9
    processes.clear()
    problem, (warning,) = asyncio.run(filled("second", (0.0,)))
    assert problem == filling.ENDED
    assert warning == f"counters of this version stay cold: {problem}"


def test_a_defect_while_filling_is_told_and_the_next_time_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    async def broken(self: Filling) -> str:
        tried.append(1)
        raise RuntimeError("a defect")

    monkeypatch.setattr(Filling, "_try", broken)

    async def main() -> None:
        made = Filling(Data(Path("nowhere")), service(World(1), Written()))
        running = asyncio.ensure_future(made.run())
        for _ in range(2):
            made.figures = FillFigures()
            made.want()
            await _until(lambda: bool(made.figures.problem))
            assert made.figures.problem == "it failed inside Quell: RuntimeError: a defect"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())
    assert len(tried) == 2
    assert [record.name for record in caplog.records] == ["quell.serving"] * 2


def _same(running: Serving, before: bytes) -> None:
    assert (running.restart.differing, running.restart.told) == (0, ())
    assert msgspec.msgpack.decode(memory(running.service.engine.stepper)) == msgspec.msgpack.decode(before)


def local(text: str) -> str:
    """A version without its remote model."""
    head, rest = text.split("model scam", 1)
    rest = rest.split("let burst", 1)[1]
    return (
        (head + "let burst" + rest)
        .replace("(scam ?? 0) > 50%", "length(content) > 4")
        .replace("scam > 50% or ", "")
        .replace("{scam} likely, ", "")
    )


async def _until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def test_fills_that_are_gone_are_told() -> None:
    journal = Written()

    async def main() -> None:
        running = service(World(1), journal)
        await running.decide(event(1, "a", "hi", 0))
        await running.close()

    virtual_time.run(main())
    told = msgspec.json.encode(Filled(("texts",), "fill-9"))
    remaker = Remaker(BUILDS.__getitem__, fills=Path("nowhere"))
    remaker.take_all([*journal.entries, Entry("filled", 3, 3, 0, 1, 0, b"", told)])
    assert remaker.stepper.seq == 3
    (why,) = remaker.told
    assert "begin cold" in why
    with pytest.raises(msgspec.ValidationError):
        remaker.take(Entry("filled", 4, 4, 0, 1, 0, b"", b"{}"))
