"""What a replay costs: `python -m tests.bench.replay`.

A whole replay of a Parquet file (reading, deciding, the tables of decisions and hits) against the same rules
by hand in DuckDB over the same file: the events on which one is true as a table, and how often each is. With
counters the SQL is exact about events of one instant; with a model it is that and the library's own
prediction for every event. Contenders take turns, and each one's best turn counts. Of the two ratios the
processor's says more on a machine that others use too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightgbm
from rich.console import Console
from rich.table import Table

from quell.engine.compile import Build
from quell.replay.backtest_report import Asked, backtest_of, prepare, run
from quell.replay.database import Database
from quell.replay.outcome import Outcome
from quell.replay.run import RunWay, replay
from tests.bench.replay_workload import (
    COUNTED,
    COUNTERS,
    MODELLED,
    RULES,
    Rule,
    asked_alone,
    bundle,
    by_hand,
    policy,
    trained,
    write_events,
)

GOAL = 1.3
Hits = dict[str, int]
Work = Callable[[], Hits]


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of the wall and of the processor."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s ({self.processor:.2f})"


def timed(work: Work) -> tuple[Took, Hits]:
    """One run."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return Took(time.perf_counter() - wall, time.process_time() - processor), found


def best(works: Sequence[Work], turns: int) -> list[Took]:
    """The best time of each, taking turns. They must find the same."""
    taken: list[list[Took]] = [[] for _ in works]
    for turn in range(turns):
        found = []
        for i in range(len(works)):
            place = (i + turn) % len(works)
            took, hits = timed(works[place])
            taken[place].append(took)
            found.append({rule: n for rule, n in hits.items() if n})
        if any(hits != found[0] for hits in found):
            raise SystemExit(f"the contenders disagree: {found}")
    return [Took(min(t.wall for t in ts), min(t.processor for t in ts)) for ts in taken]


def hits_of(outcome: Outcome) -> Hits:
    """How many events each rule matched."""
    return dict(outcome.db.rows(f"SELECT rule, count(*) FROM {outcome.table('hits')} GROUP BY 1"))


def ours(build: Build, path: Path, way: RunWay = "auto") -> Hits:
    """The replay."""
    with Database() as db:
        return hits_of(replay(db, "after", build, [path], way=way))


def theirs(path: Path, rules: Sequence[Rule], counted: Sequence[Rule] = ()) -> Hits:
    """The query."""
    with Database() as db:
        db.con.execute(f"CREATE TABLE hit AS {by_hand(path, rules, counted)}")
        names = [r.name for r in (*rules, *counted)]
        row = db.rows(f"SELECT {', '.join(f'count(*) FILTER ({n})' for n in names)} FROM hit")[0]
        return dict(zip(names, row, strict=True))


class Report:
    """The table that is printed."""

    def __init__(self) -> None:
        self.missed = False
        self.table = Table("what", "ratio", "the processor's", "goal", "ours", "the other")

    def add(self, what: str, mine: Took, other: Took, goal: float | None = None) -> None:
        """One line."""
        wall, processor = mine.wall / other.wall, mine.processor / other.processor
        self.missed |= goal is not None and min(wall, processor) > goal
        shown = "" if goal is None else f"≤ {goal}"
        self.table.add_row(what, f"{wall:.2f}", f"{processor:.2f}", shown, str(mine), str(other))


def plain(report: Report, folder: Path, events: int, turns: int) -> None:
    """Rules alone, over more events: what a replay takes to begin is little of the goal's five million."""
    build, path = bundle(RULES), folder / "many.parquet"
    write_events(path, events)
    mine, other = best([lambda: ours(build, path), lambda: theirs(path, RULES)], turns)
    path.unlink()
    report.add(f"{len(RULES)} rules, {events:,} events", mine, other, GOAL)


def counters(report: Report, path: Path, events: int, turns: int) -> None:
    """Rules with counters."""
    build = bundle([*RULES, *COUNTED], COUNTERS)
    mine, other = best([lambda: ours(build, path), lambda: theirs(path, RULES, COUNTED)], turns)
    report.add(f"and five counters, one distinct, {events:,}", mine, other, GOAL)


def modelled(report: Report, path: Path, events: int, turns: int) -> None:
    """Rules with counters, and a model that is asked about every event."""
    data = trained()
    build = bundle([*RULES, *COUNTED, MODELLED], COUNTERS, data)
    booster = lightgbm.Booster(model_str=data.decode())

    def hand() -> Hits:
        found = theirs(path, RULES, COUNTED)
        with Database() as db:
            return {**found, MODELLED.name: asked_alone(booster, path, db.con)}

    mine, other = best([lambda: ours(build, path), hand], turns)
    report.add(f"and a model of 100 trees, {events:,}", mine, other, GOAL)


def stepped(report: Report, path: Path, events: int) -> None:
    """Columns against the online engine, which is not asked to be quick at this: no goal."""
    for what, build in (("rules", bundle(RULES)), ("with counters", bundle([*RULES, *COUNTED], COUNTERS))):

        def columns(build: Build = build) -> Hits:
            return ours(build, path, "columns")

        def steps(build: Build = build) -> Hits:
            return ours(build, path, "steps")

        by_columns, by_steps = best([columns, steps], 1)
        report.add(f"{what}, columns against stepping, {events:,}", by_columns, by_steps)


def figures(report: Report, path: Path, events: int) -> None:
    """What the figures add: the backtest with its samples against the replay that it is of."""
    build = bundle([*RULES, *COUNTED], COUNTERS)
    prepared = prepare(build, Asked())
    with Database() as db:
        found: list[Outcome] = []

        def decide() -> Hits:
            found.append(run(db, "after", prepared, [path]))
            return {}

        def show() -> Hits:
            backtest_of(found[0], prepared)
            return {}

        first, _ = timed(decide)
        second, _ = timed(show)
    report.add(f"the figures against the replay, {events:,}", second, first)


_PEAK = (
    "import resource, subprocess, sys; "
    "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
    "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def large(folder: Path, events: int, memory: str) -> str:
    """A long history through the command line in little memory; what it took."""
    path = folder / "large.parquet"
    write_events(path, events)
    (folder / "policies").mkdir()
    (folder / "policies" / "b.quell").write_text(policy([*RULES, *COUNTED], COUNTERS))
    command = [str(Path(sys.executable).parent / "quell"), "replay", str(folder / "policies")]
    command += ["--events", str(path), "--memory", memory]
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _PEAK, *command], capture_output=True, text=True, check=True)
    code, peak = done.stdout.split()
    took = time.perf_counter() - began
    path.unlink()
    if int(code):
        raise SystemExit(f"the replay of {events:,} events failed: {done.stderr[-2000:]}")
    return (
        f"{events:,} events with counters, --memory {memory}: {took:.0f} s, "
        f"the process held {int(peak) / 2**20:.2f} GB at most"
    )


PARTS = ("rules", "counters", "model", "steps", "figures")


def main() -> None:
    """Print the table; exits with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--events", type=int, default=1_000_000, help="five times as many for the rules alone"
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--large", action="store_true", help="ten million events in 2 GB, too")
    given = parser.parse_args()
    report, only, many = Report(), given.only or PARTS, 5 * given.events
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, few = folder / "events.parquet", folder / "few.parquet"
        write_events(path, given.events)
        write_events(few, min(given.events, 50_000))
        works = {
            "rules": lambda: plain(report, folder, many, given.turns),
            "counters": lambda: counters(report, path, given.events, given.turns),
            "model": lambda: modelled(report, path, given.events, given.turns),
            "steps": lambda: stepped(report, few, min(given.events, 50_000)),
            "figures": lambda: figures(report, path, given.events),
        }
        for part in only:
            works[part]()
        told = large(folder, 10_000_000, "2GB") if given.large else ""
    Console().print(report.table)
    print(f"the machine's load is {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    if told:
        print(told)
    raise SystemExit(1 if report.missed else 0)


if __name__ == "__main__":
    main()
