"""How long a service takes to come back: `python -m tests.bench.restart`.

A journal of a million events and a snapshot are made (minutes; `--folder` keeps them for the next time), and
then the service is opened in a process of its own, as after a kill. Twice: with a snapshot of all of it, and
with as many entries behind the snapshot as there are before the next one is made (engine/snapshots.py).
Told are the seconds by the clock, and those of the processor, which other jobs on the machine do not
lengthen much; of the latter each part, and the ratio of all to a bare read of the snapshot: its file read and
its sections decoded, and nothing made of them. The process's own beginning is told apart, by the clock: it is
Python's.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from quell.engine import checkpoint, serving, snapshots
from quell.engine.checkpoint import Data, checkpoint_of
from quell.engine.journal import Journal
from quell.engine.snapshot import read_sections, write_snapshot
from quell.replay.simulate import simulate_lines
from tests.bench.engine import KEYS, WINDOWS
from tests.bench.workload import make

POLICIES = Path(__file__).resolve().parent.parent.parent / "policies"
START = 1_772_323_200_000_000
STEP = 86_400
"""Microseconds between two events: a million of them take a day."""
USERS = 50_000


class Times(msgspec.Struct):
    """One opening: processor seconds of each part, of all, and of a bare read of the snapshot; seconds of all
    by the clock, and of the bare read too; entries made again."""

    parts: dict[str, float]
    whole: float
    bare: float
    clock: float
    around: float
    made: int
    bytes: int


# ------------------------------------------------------------------ a journal


def rules(folder: Path, events: int) -> Iterator[bytes]:
    """The workload of 30 rules with counters by user, and its events."""
    work = make(30)
    policy = work.policy.replace("  at time = $.at\n", "  at time = $.at\n  user_id text = $.user_id\n", 1)
    for number, (key, window) in enumerate(zip(KEYS, WINDOWS, strict=True)):
        policy += f"\nlet busy_{number} = count(post by user_id, {key} within {window})\n"
        policy += f"let many_{number} = distinct({key} of post by user_id within {window})\n"
        limit = f"busy_{number} > 1000 and many_{number} > 5"
        policy += f"rule counted_{number} on post\n  when {limit}\n  then review\n"
    folder.mkdir(parents=True)
    (folder / "bench.quell").write_text(policy, encoding="utf-8")
    bodies = [json.loads(event) for event in work.events]
    encode = msgspec.json.Encoder().encode
    return (
        encode({**bodies[i % len(bodies)], "at": (START + i * STEP) / 1e6, "user_id": f"u{i * 7919 % USERS}"})
        for i in range(events)
    )


def starter(folder: Path, events: int) -> Iterator[bytes]:
    """The starter bundle, and a simulated day."""
    shutil.copytree(POLICIES, folder, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    return (line.rstrip(b"\n") for line in simulate_lines(events=events))


BUNDLES: dict[str, Callable[[Path, int], Iterator[bytes]]] = {"30 rules": rules, "starter": starter}


async def fill(folder: Path, bundle: str, number: int) -> None:
    """A data folder with a journal, killed at its end, a snapshot of all of it, and one of so much that the
    rest takes as long to make again as it may before the next one is made."""
    events = BUNDLES[bundle](folder / "policies", number)
    setup = serving.Setup(durability="off", ahead=None, snapshots_every=1 << 40)
    async with serving.serving(folder / "policies", folder / "data", setup) as running:
        service, spent, tail = running.service, 0.0, 0
        for place, event in enumerate(events, 1):
            began = time.process_time()
            service.begin(event)
            spent += time.process_time() - began
            if place == number // 2:
                tail = min(place, int(snapshots.AGAIN / (spent / place)))
            if place in (number - tail, number):
                running.journal.flush()
                _leave(running)
            if place % 500 == 0:
                running.journal.flush()
                await asyncio.sleep(0)
        running.snapshots.leave = lambda: None  # type: ignore[method-assign]  # as after a kill


def _leave(running: serving.Serving) -> None:
    stepper = running.service.engine.stepper
    running.data.states.mkdir(exist_ok=True)
    write_snapshot(stepper, checkpoint_of(running.data, stepper.seq, running.service.number))


# ------------------------------------------------------------------ opening it


def timed(parts: dict[str, float], name: str, module: Any, what: str) -> None:
    """Have the time of a function noted under a name."""
    function = getattr(module, what)

    def run(*given: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return function(*given, **named)
        finally:
            parts[name] = parts.get(name, 0.0) + time.process_time() - began

    setattr(module, what, run)


async def opened(folder: Path, behind: bool) -> Times:
    """Open a data folder, and take the time; without its last snapshot, if there is to be something behind
    one."""
    parts: dict[str, float] = {}
    data = Data(folder / "data")
    newest, before = (snapshot.path for snapshot in checkpoint.snapshots(data))
    aside = newest.with_suffix(".aside")
    if behind:
        newest.rename(aside)
    try:
        return await _opened(folder, data, before if behind else newest, parts)
    finally:
        if behind:
            aside.rename(newest)


async def _opened(folder: Path, data: Data, snapshot: Path, parts: dict[str, float]) -> Times:
    timed(parts, "the journal", Journal, "open")
    timed(parts, "the snapshot", checkpoint, "read_snapshot")
    timed(parts, "the snapshot and what is behind it", serving, "recover")
    timed(parts, "what is still to be sent", serving, "_restored")
    timed(parts, "collecting garbage", gc, "collect")
    start = getattr(serving, "start")  # noqa: B009  # it is imported there

    async def policies(*given: Any, **named: Any) -> Any:
        began = time.process_time()
        started = await start(*given, **named)
        parts["the policies"] = time.process_time() - began
        return started

    setattr(serving, "start", policies)  # noqa: B010  # the same, timed
    began, started = time.perf_counter(), time.process_time()
    setup = serving.Setup(ahead=None, snapshots_every=1 << 40)
    async with serving.serving(folder / "policies", data.root, setup) as running:
        clock, whole = time.perf_counter() - began, time.process_time() - started
        restart = running.restart
        assert restart.differing == 0
        running.snapshots.leave = lambda: None  # type: ignore[method-assign]  # for the next time
    parts["what is behind the snapshot"] = (
        parts.pop("the snapshot and what is behind it") - parts["the snapshot"]
    )
    parts["the rest"] = max(0.0, whole - sum(parts.values()))
    began = time.perf_counter()
    read = bare(snapshot)
    around = clock + time.perf_counter() - began
    return Times(parts, whole, read, clock, around, restart.made, snapshot.stat().st_size)


def bare(path: Path) -> float:
    """Processor seconds to read a snapshot and to decode it."""
    gc.disable()
    began = time.process_time()
    for _ in read_sections(path):
        pass
    return time.process_time() - began


def in_process(folder: Path, behind: bool) -> tuple[Times, float]:
    """The same in a process of its own, the best of three; and seconds for the process around it."""
    command, found = [sys.executable, "-m", "tests.bench.restart", "--open", str(folder)], []
    command += ["--behind"] if behind else []
    for _ in range(3):
        began = time.perf_counter()
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        times = msgspec.json.decode(said, type=Times)
        found.append((times, time.perf_counter() - began - times.around))
    return min(found, key=lambda one: one[0].clock)


def filled(folder: Path, bundle: str, events: int) -> Path:
    """Where the journal of a bundle is; it is made where it is not there."""
    place = folder / f"{bundle} {events}".replace(" ", "-")
    if not place.exists():
        part = place.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        asyncio.run(fill(part, bundle, events))
        part.rename(place)
    return place


def row(place: Path, bundle: str, behind: bool) -> list[str]:
    """A row of the table."""
    times, around = in_process(place, behind)
    parts = ", ".join(f"{what} {took:.2f}" for what, took in times.parts.items() if took >= 0.005)
    size = f"{times.bytes / 1e6:,.0f} MB"
    figures = [
        f"{times.clock:.2f}",
        f"{times.whole:.2f}",
        f"{times.bare:.2f}",
        f"{times.whole / times.bare:.1f}",
        f"{around:.2f}",
    ]
    return [bundle, f"{times.made:,}", size, *figures, parts]


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description="How long a service takes to come back.")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keep the journals here, or use those that are here")
    parser.add_argument("--only", choices=sorted(BUNDLES))
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--behind", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open is not None:
        sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(opened(options.open, options.behind))))
        return
    table = Table(title=f"Coming back to a journal of {options.events:,} events, in seconds")
    for name in (
        "bundle",
        "behind",
        "snapshot",
        "clock",
        "whole",
        "bare",
        "ratio",
        "process",
        "where it goes",
    ):
        table.add_column(name, justify="left" if name in ("bundle", "where it goes") else "right")
    with tempfile.TemporaryDirectory() as spare:
        folder: Path = options.folder or Path(spare)
        folder.mkdir(parents=True, exist_ok=True)
        for bundle in BUNDLES if options.only is None else [options.only]:
            place = filled(folder, bundle, options.events)
            for behind in (False, True):
                table.add_row(*row(place, bundle, behind))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
