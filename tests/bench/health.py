"""What it costs to watch a service: `python -m tests.bench.health`.

The starter bundle decides the first events of a simulated day; what is measured is what counting, looking at
models and reading the metrics add to that. Ratios of one run; times mean nothing on these machines.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import msgspec

from quell.engine.drift import DriftWatch
from quell.engine.metrics import Metrics
from quell.engine.metrics_parts import Parts
from quell.engine.metrics_tally import Tally
from quell.engine.service_types import Note
from quell.engine.stepper import Stepper
from quell.replay.demo import bare
from quell.replay.simulate import simulate
from tests.bench.measure import once, ratio
from tests.bench.run import Row, show

POLICIES = Path(__file__).parents[2] / "policies"
SEED = 11
TICK = 0.25
"""Seconds between two times that watchers are told."""
RATE = 4_000
"""Events a second that are taken for granted where a tick is a matter of time."""
A_NOTE = 1.5e-6
"""Seconds that counting an answer may take."""


def events(count: int) -> list[bytes]:
    """The first events of a simulated day."""
    encode = msgspec.json.Encoder().encode
    return [encode(bare(event)) for event in islice(simulate(SEED), count)]


def counting(said: list[bytes], turns: int) -> Row:
    """Counting answers, against making them."""
    stepper = Stepper.load(POLICIES)
    notes = [Note(0, 0.0001 * (n % 30), 1, event, stepper.decide(event)) for n, event in enumerate(said)]
    size = int(RATE * TICK)

    def count() -> None:
        tally = Tally()
        for start in range(0, len(notes), size):
            tally.take(notes[start : start + size])

    def decide() -> None:
        fresh = Stepper(stepper.bundle)
        for event in said:
            fresh.decide(event)

    figure, ours, theirs = ratio(count, decide, turns)
    each = ours / len(said)
    detail = (
        f"{each * 1e6:.2f} µs an answer (at most {A_NOTE * 1e6:.1f}) against {theirs / len(said) * 1e6:.1f}"
    )
    return Row("counting an answer, against making it", figure, None, detail)


def looking(said: list[bytes], turns: int) -> Row:
    """Deciding while some events are looked at for their models, against deciding alone."""
    bundle = Stepper.load(POLICIES).bundle
    looks = 0

    def watched() -> None:
        nonlocal looks
        stepper, watch = Stepper(bundle), DriftWatch()
        for n, event in enumerate(said):
            if n % int(RATE * TICK) == 0:
                watch.tick(stepper, n / RATE)
            stepper.decide(event)
        looks = sum(drift.looks for drift in watch.figures())

    def alone() -> None:
        stepper = Stepper(bundle)
        for event in said:
            stepper.decide(event)

    figure, _, _ = ratio(watched, alone, turns)
    detail = f"{looks} looks at {len(said):,} events in {len(said) / RATE:.0f} s"
    return Row("deciding while models are looked at, against alone", figure, None, detail)


def reading(said: list[bytes]) -> list[Row]:
    """Reading the metrics once, in both formats, and once more within the seconds that they are kept."""
    stepper = Stepper.load(POLICIES)
    fresh, kept = (Metrics(Parts(stepper=lambda: stepper), fresh=s) for s in (0.0, 3_600.0))
    for event in said:
        notes = [Note(0, 0.0001, 1, event, stepper.decide(event))]
        fresh.watch(notes)
        kept.watch(notes)
    rows = []
    for name, accept in (("Prometheus's format", ""), ("OpenMetrics", "application/openmetrics-text")):
        seconds = min(once(lambda accept=accept: fresh.text(accept)) for _ in range(5))  # type: ignore[misc]
        lines = fresh.text(accept)[0].count(b"\n")
        rows.append(Row(f"reading the metrics, {name}", seconds * 1e3, None, f"{lines:,} lines", " ms"))
    kept.text()
    seconds = min(once(kept.text) for _ in range(5))
    rows.append(Row("reading them again", seconds * 1e3, None, "as they were kept", " ms"))
    return rows


def main() -> None:
    """Run it and show the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--events", type=int, default=12_000)
    asked = parser.parse_args()
    said = events(asked.events)
    show([counting(said, asked.turns), looking(said, asked.turns), *reading(said)], "Watching a service")


if __name__ == "__main__":
    main()
