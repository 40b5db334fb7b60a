"""The benchmark, in one command: `python -m tests.bench.run`.

Every row compares two contenders that take turns in this process, and what counts is the ratio: times on
a shared machine mean nothing by themselves. The last rows are times, because the goal they belong to is
one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from rich.console import Console
from rich.table import Table

from quell.engine.bundle import Files
from quell.engine.compile import ParseCache, analyse, build
from quell.engine.stepper import Stepper
from quell.grammar.source import Source
from tests.bench.measure import ratio
from tests.bench.workload import Workload, make


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was compared, the figure, and the goal it is held against."""

    what: str
    figure: float
    goal: float | None
    detail: str
    unit: str = "×"


def one_file(policy: str) -> Files:
    """A bundle of one file in memory."""
    return Files("bench", {"bench.quell": Source("bench.quell", policy)})


def many_files(policy: str, per_file: int = 9) -> Files:
    """The same policy as a schema file and many small ones."""
    head, *rules = policy.split("\nrule ")
    sources = {"schema.quell": Source("schema.quell", head + "\n")}
    for start in range(0, len(rules), per_file):
        name = f"rules_{start // per_file:03d}.quell"
        sources[name] = Source(name, "".join(f"rule {r}\n" for r in rules[start : start + per_file]))
    return Files("bench", sources)


def check_same(engine: Stepper, work: Workload) -> None:
    """Both contenders must say the same before either is timed."""
    by_hand = work.function()
    for event in work.events:
        decision = engine.decide(event)
        ours = [f.rule for f in getattr(decision, "fired", ())]
        if ours != by_hand(json.loads(event)):
            raise SystemExit(f"the contenders disagree on {event!r}")


def decide_rows(
    rules: int, goal: float, turns: int, events: int, end_to_end: float | None = None
) -> list[Row]:
    """Deciding decoded events, and from bytes to an encoded answer, against the function written by hand."""
    work = make(rules, events)
    engine = Stepper(build(analyse(one_file(work.policy))))
    check_same(engine, work)
    by_hand = work.function()
    parsed = [json.loads(e) for e in work.events]
    decoded = [engine.bundle.decoder.decode(e) for e in work.events]

    def ours() -> None:
        for event in decoded:
            engine.decide_decoded(event)  # type: ignore[arg-type]  # every event of the workload decodes

    def theirs() -> None:
        for event in parsed:
            by_hand(event)

    rows = [_row(f"decide, {rules} rules", ratio(ours, theirs, turns), goal, events)]
    encode = msgspec.json.Encoder().encode

    def ours_bytes() -> None:
        for event in work.events:
            encode(engine.decide(event))

    def theirs_bytes() -> None:
        for event in work.events:
            fired = by_hand(json.loads(event))
            json.dumps({"verdict": "review" if fired else "allow", "fired": fired})

    whole = ratio(ours_bytes, theirs_bytes, turns)
    rows.append(_row(f"bytes to encoded decision, {rules} rules", whole, end_to_end, events))
    return rows


def _row(what: str, measured: tuple[float, float, float], goal: float | None, events: int) -> Row:
    figure, ours, theirs = measured
    return Row(
        what, figure, goal, f"{ours / events * 1e6:.2f} µs against {theirs / events * 1e6:.2f} by hand"
    )


def growth_row(turns: int, events: int) -> Row:
    """How the cost grows from 125 to 500 rules that share conditions: linear growth would be 4."""
    small, large = (make(n, events, shared=25) for n in (125, 500))
    engines = [Stepper(build(analyse(one_file(w.policy)))) for w in (small, large)]
    decoded = [
        [e.bundle.decoder.decode(x) for x in w.events] for e, w in zip(engines, (small, large), strict=True)
    ]

    def decide(which: int) -> Callable[[], None]:
        def run() -> None:
            for event in decoded[which]:
                engines[which].decide_decoded(event)  # type: ignore[arg-type]  # as above

        return run

    figure, large_time, small_time = ratio(decide(1), decide(0), turns)
    detail = f"{large_time / events * 1e6:.2f} µs against {small_time / events * 1e6:.2f}"
    return Row("500 rules against 125, sharing conditions", figure, 4.0, detail)


def compile_rows(turns: int) -> list[Row]:
    """Compiling 500 rules in 57 files, and checking again after one of them was edited."""
    work = make(500, 1)
    whole, again = [], []
    for _ in range(turns):
        files, cache = many_files(work.policy), ParseCache()
        start = time.process_time()
        build(analyse(files, cache=cache))
        whole.append(time.process_time() - start)
        edited = files.sources["rules_005.quell"]
        files.sources[edited.name] = Source(edited.name, edited.text + "# edited\n")
        start = time.process_time()
        analyse(files, cache=cache)
        again.append(time.process_time() - start)
    files = many_files(work.policy)
    return [
        Row(
            f"compile 500 rules in {len(files.sources)} files",
            statistics.median(whole),
            2.0,
            "processor time",
            " s",
        ),
        Row("check again after an edit to one file", statistics.median(again), 0.1, "processor time", " s"),
    ]


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(
        description="Quell against the same rules written by hand, side by side."
    )
    parser.add_argument("--turns", type=int, default=9, help="turns per comparison")
    parser.add_argument("--events", type=int, default=2_000, help="events per turn")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    rows = [
        *decide_rows(30, 0.4, options.turns, options.events, 0.5),
        *decide_rows(500, 0.4, options.turns, max(200, options.events // 4)),
        growth_row(options.turns, max(200, options.events // 4)),
        *compile_rows(min(5, options.turns)),
    ]
    if options.json:
        print(
            msgspec.json.encode([{"what": r.what, "figure": r.figure, "goal": r.goal} for r in rows]).decode()
        )
        return
    show(rows, "Quell against hand-written Python")


def show(rows: list[Row], title: str) -> None:
    """Print rows as a table."""
    table = Table("what", "figure", "goal", "met", "detail", title=title)
    for r in rows:
        met = "" if r.goal is None else ("yes" if r.figure <= r.goal else "no")
        goal = "" if r.goal is None else f"≤ {r.goal:g}{r.unit}"
        table.add_row(r.what, f"{r.figure:.2f}{r.unit}", goal, met, r.detail)
    Console().print(table)


if __name__ == "__main__":
    main()
