"""The service against what does nothing but decode and encode: `python -m tests.bench.service`.

A raw ASGI application and a bare Starlette endpoint, which decode and encode the same bodies with the same
codec, and `quell serve` with 30 rules, a key, its journal, metrics and the live page's counts: all on
uvicorn, each in a process of its own, under a load generator (service_load.py). They take turns. What counts
are the ratios of each turn, of rates and of the servers' processor time: others use these machines too. The
journal's snapshots are made by a process of their own, whose time is not counted.

Latencies are those of a fixed schedule at 70 % of the lower peak of raw ASGI and Quell with a journal in
`batch` mode. Many events in one request, as lines, are held against `Engine.decide_many` over the same list
in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from quell.engine.bundle import Files
from quell.engine.engine import Engine
from quell.engine.keys import Keys
from tests.bench.engine import START, stateful, trained, with_users
from tests.bench.run import one_file
from tests.bench.service_load import Bulk, Load, Peak, Steady, bulk, request
from tests.bench.service_servers import free_port, serving, wait_for
from tests.bench.workload import make

SERVER = "uvicorn httptools uvloop"
RAW, STARLETTE, QUELL = "raw ASGI", "bare Starlette", "Quell, batch"
COUNTERS, MODEL = "Quell, batch, 6 counters", "Quell, batch, 6 counters, model"
SHARE = 0.7
"""Of the peak, for latencies."""
LINES = 5_000
COMMAND = "from quell.replay.cli import main; main()"


@dataclass
class Contender:
    """Something under load, and what its turns gave."""

    name: str
    load: Load
    peaks: list[Peak] = field(default_factory=list)
    steadies: list[Steady] = field(default_factory=list)

    def rate(self) -> float:
        """Requests a second at its peak, usually."""
        return statistics.median(p.rate for p in self.peaks)

    def against(self, other: Contender, figure: Callable[[Peak], float]) -> float:
        """The usual ratio of a figure to another's in the same turn."""
        pairs = zip(self.peaks, other.peaks, strict=True)
        return statistics.median(figure(mine) / figure(theirs) for mine, theirs in pairs)

    def late(self, share: float, other: Contender | None = None) -> float:
        """The usual latency that this share stays within, in ms, or its ratio to another's in one turn."""
        mine = [s.quantile(share) for s in self.steadies]
        if other is None:
            return statistics.median(mine) * 1e3
        return statistics.median(m / s.quantile(share) for m, s in zip(mine, other.steadies, strict=True))


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio and the goal it is held against: by rates or latencies, and by processor time where that is the
    other way to see it. One of both is enough, as others use the machine too."""

    what: str
    figure: float
    processor: float | None
    goal: float
    least: bool = True

    def met(self) -> bool:
        """Whether it holds."""
        if not self.least:
            return self.figure <= self.goal
        return max(self.figure, self.processor or 0) >= self.goal

    def cells(self) -> list[str]:
        """The row of the table."""
        processor = "" if self.processor is None else f"{self.processor:.2f}"
        sign = "≥" if self.least else "≤"
        return [
            self.what,
            f"{self.figure:.2f}",
            processor,
            f"{sign} {self.goal:g}",
            "yes" if self.met() else "no",
        ]


# ------------------------------------------------------------------ serving


@contextlib.contextmanager
def quell(files: Files, durability: str = "batch") -> Iterator[tuple[int, int, str]]:
    """`quell serve` over a bundle, in a folder of its own; gives its port, its process and a key."""
    with tempfile.TemporaryDirectory(prefix="quell-bench-") as folder:
        policies, data, port = Path(folder, "policies"), Path(folder, "data"), free_port()
        policies.mkdir()
        data.mkdir()
        for name, source in files.sources.items():
            (policies / name).write_text(source.text)
        for name, content in files.extra.items():
            (policies / name).write_bytes(content)
        (data / "service.toml").write_text('[events]\nahead = "any"\n')
        _, key = Keys(data / "keys.json").add("bench", ("decide",))
        where = [str(policies), "--data", str(data), "--port", str(port), "--durability", durability]
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "serve", *where], stdout=subprocess.DEVNULL
        )
        try:
            wait_for(port, process)
            yield port, process.pid, key
        finally:
            process.terminate()
            process.wait(30)


def contenders(stack: contextlib.ExitStack, connections: int, few: bool) -> list[Contender]:
    """Everything that is put under load, listening."""
    work = make(30, 500)
    plain, users = work.events, _users(work.events)
    made = []
    for name, app in ((RAW, "raw"), (STARLETTE, "starlette")):
        port, pid = stack.enter_context(serving(SERVER, app))
        made.append(Contender(name, _load(port, pid, plain, "qk_" + "a" * 61, connections)))
    bundles: list[tuple[str, Files, str, Sequence[bytes]]] = [(QUELL, one_file(work.policy), "batch", plain)]
    if not few:
        bundles += [
            ("Quell, each", one_file(work.policy), "each", plain),
            ("Quell, off", one_file(work.policy), "off", plain),
            (COUNTERS, stateful(work, None), "batch", users),
            (MODEL, stateful(work, trained()), "batch", users),
        ]
    for name, files, durability, events in bundles:
        port, pid, key = stack.enter_context(quell(files, durability))
        stamp = START if events is users else None
        made.append(Contender(name, _load(port, pid, events, key, connections, stamp)))
    return made


def _users(events: Sequence[bytes]) -> list[bytes]:
    """The events with users, all at one time, which the generator moves on."""
    return [re.sub(rb'"at": \d+', b'"at": %d' % START, event) for event in with_users(list(events))]


def _load(
    port: int, pid: int, events: Sequence[bytes], key: str, connections: int, stamp: int | None = None
) -> Load:
    headers = [("Authorization", f"Bearer {key}")]
    requests = [request("/v1/decide", event, headers) for event in events]
    return Load(port, requests, connections, pid, stamp=stamp)


# ---------------------------------------------------------------- measuring


def measure(rivals: list[Contender], turns: int, seconds: float) -> None:
    """All take turns, first at their peaks, then at one rate."""
    for rival in rivals:
        rival.load.peak(min(1.0, seconds))
    for _ in range(turns):
        for rival in rivals:
            rival.peaks.append(rival.load.peak(seconds))
    rate = SHARE * min(rival.rate() for rival in rivals if rival.name in (RAW, QUELL))
    able = [rival for rival in rivals if rival.rate() > rate]
    for _ in range(turns):
        for rival in able:
            rival.steadies.append(rival.load.steady(rate, seconds))


@dataclass(frozen=True, slots=True)
class Lines:
    """Many events in one request against `decide_many`: the ratio of rates, that of processor time, and the
    microseconds of processor time that an event takes in either."""

    rate: float
    processor: float
    ours: float
    theirs: float


def lines_row(turns: int) -> Lines:
    """A stream of lines against `Engine.decide_many` over the same list, in turns."""
    work = make(30, LINES)
    files = one_file(work.policy)
    body = b"".join(event + b"\n" for event in work.events)
    with quell(files) as (port, pid, key), tempfile.TemporaryDirectory() as folder:
        for name, source in files.sources.items():
            Path(folder, name).write_text(source.text)
        headers = [("Authorization", f"Bearer {key}"), ("Connection", "close")]
        wanted = request("/v1/decide/stream", body, headers, "application/x-ndjson")
        engine = Engine.load(folder)
        pairs = []
        for _ in range(turns + 1):
            theirs = asyncio.run(_many(engine, work.events))
            ours = bulk(port, wanted, pid)
            if ours.lines != LINES:
                raise SystemExit(f"{ours.lines} of {LINES} lines were answered")
            pairs.append((ours, theirs))
    del pairs[0]
    return Lines(
        statistics.median(theirs.seconds / ours.seconds for ours, theirs in pairs),
        statistics.median(theirs.server / ours.server for ours, theirs in pairs),
        statistics.median(ours.server for ours, _ in pairs) / LINES * 1e6,
        statistics.median(theirs.server for _, theirs in pairs) / LINES * 1e6,
    )


async def _many(engine: Engine, events: Sequence[bytes]) -> Bulk:
    began, used, number = time.perf_counter(), time.process_time(), 0
    async for _ in engine.decide_many(events):
        number += 1
    return Bulk(time.perf_counter() - began, time.process_time() - used, number)


def goals(rivals: list[Contender], many: Lines) -> list[Goal]:
    """What the service is held against."""
    named = {r.name: r for r in rivals}
    ours, raw, starlette = named[QUELL], named[RAW], named[STARLETTE]
    return [
        Goal("requests/s against bare Starlette", *_ratios(ours, starlette), 1.2),
        Goal("requests/s against raw ASGI", *_ratios(ours, raw), 0.6),
        Goal("p99 at 70 % of the peak against raw ASGI", ours.late(0.99, raw), None, 3.0, least=False),
        Goal("events/s as lines against decide_many", many.rate, many.processor, 0.7),
    ]


def _ratios(ours: Contender, other: Contender) -> tuple[float, float]:
    return ours.against(other, lambda p: p.rate), 1 / ours.against(other, lambda p: p.server)


# ------------------------------------------------------------------ showing


def show(rivals: list[Contender], many: Lines, reached: list[Goal]) -> None:
    """Print the tables."""
    raw, starlette = rivals[0], rivals[1]
    table = Table(title="The service under load, in turns")
    heads = ("requests/s", "µs of processor", "× raw", "× Starlette", "p50 ms", "p99 ms", "p99 × raw")
    table.add_column("")
    for head in heads:
        table.add_column(head, justify="right")
    for rival in rivals:
        failed = sum(p.failed for p in rival.peaks) + sum(s.failed for s in rival.steadies)
        if failed:
            raise SystemExit(f"{rival.name}: {failed} requests failed")
        table.add_row(rival.name, *_cells(rival, raw, starlette))
    goals = Table("", "ratio", "by processor time", "goal", "met", title="Goals")
    for goal in reached:
        goals.add_row(*goal.cells())
    console = Console(width=110)
    console.print(table)
    console.print(f"lines: {many.ours:.2f} µs of processor an event, decide_many {many.theirs:.2f}")
    console.print(goals)


def _cells(rival: Contender, raw: Contender, starlette: Contender) -> list[str]:
    used = statistics.median(p.server for p in rival.peaks)
    cells = [f"{rival.rate():,.0f}", f"{used * 1e6:.1f}"]
    cells += [f"{rival.against(other, lambda p: p.rate):.2f}" for other in (raw, starlette)]
    if not rival.steadies:
        return [*cells, "–", "–", "–"]
    return [*cells, f"{rival.late(0.5):.2f}", f"{rival.late(0.99):.2f}", f"{rival.late(0.99, raw):.2f}"]


def main() -> None:
    """Run it and print the tables; exits with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description="The service against what only decodes and encodes.")
    parser.add_argument("--turns", type=int, default=7, help="turns of each")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of each load in a turn")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--few", action="store_true", help="only what the goals are about")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        rivals = contenders(stack, options.connections, options.few)
        measure(rivals, options.turns, options.seconds)
    many = lines_row(options.turns)
    reached = goals(rivals, many)
    show(rivals, many, reached)
    if not all(goal.met() for goal in reached):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
