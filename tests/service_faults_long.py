"""Kills a service under load, over and over, for as long as one likes:

    python -m tests.service_faults_long --kills 200

Trials of some kills each, with remote models and without, with what a service has done by processes done so;
the seed of a trial is printed, and `--seed` begins with it. Ends at the first promise that is broken, and
leaves the folder there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.service_disk import disk
from tests.service_fork import Forks
from tests.service_trial import Crowded, Trial

EACH = 20
"""Kills in one trial."""


def main() -> None:
    """Run trials and print their figures."""
    parser = argparse.ArgumentParser(description="Kill a service under load: does it keep its word?")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--longest", type=float, default=1.5, help="seconds until a kill, at most")
    parser.add_argument("--threads", action="store_true", help="threads instead of processes: quicker")
    parser.add_argument("--disk", action="store_true", help="on a disk that is full at times, with threads")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 30) if options.seed is None else options.seed
    done, began = Totals(), time.monotonic()
    with Forks() as forks:
        while done.kills < options.kills:
            folder = Path(tempfile.mkdtemp(prefix="quell-faults-"))
            print(f"seed {seed}, in {folder}", flush=True)
            kills, remote = min(EACH, options.kills - done.kills), seed % 2 == 1
            with contextlib.ExitStack() as stack:
                trial = Trial(folder, forks, seed, remote=remote, processes=not options.threads)
                if options.disk:
                    full = stack.enter_context(disk(folder / "data"))
                    trial = Crowded(folder, forks, seed, full, remote=remote)
                asyncio.run(trial.run(kills, options.longest))
            done.take(trial)
            shutil.rmtree(folder)
            seed += 1
            print(done, flush=True)
    print(f"{done.kills:,} kills in {time.monotonic() - began:,.0f} s, no promise broken")


class Totals:
    """Figures of trials, summed."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.longest = 0.0

    @property
    def kills(self) -> int:
        """How many kills there were."""
        return self.sums["kills"]

    def take(self, trial: Trial) -> None:
        """Add those of a trial."""
        figures = dataclasses.asdict(trial.figures)
        self.longest = max(self.longest, figures.pop("longest_restart"))
        figures.pop("told")
        self.sums.update(figures)
        self.sums.update({f"told: {what}": number for what, number in trial.figures.told.items()})
        self.sums.update({f"journal: {kind}": number for kind, number in trial.follower.kinds.items()})
        self.sums.update({f"reload: {what}": number for what, number in trial.told.outcomes.items()})
        self.sums.update({f"refused: {what}": number for what, number in trial.told.refused.items()})
        if isinstance(trial, Crowded):
            starts = [line.split("`")[-1] for line in trial.refused_starts]
            self.sums.update({f"no start: {why}": starts.count(why) for why in set(starts)})
        self.sums["sent"] += trial.told.sent
        self.sums["nobody knows"] += len(trial.told.unknown)
        self.sums["delivered"] += len(trial.hook.got)
        self.sums["delivered again"] += sum(len(got) - 1 for got in trial.hook.got.values())

    def __str__(self) -> str:
        rows = [f"  {what}: {number:,}" for what, number in sorted(self.sums.items())]
        return "\n".join([*rows, f"  longest restart: {self.longest:.2f} s"])


if __name__ == "__main__":
    main()
