"""Generated bundles and histories through both ways of the replay, for minutes on end.

    python -m tests.replay_parity_long [MINUTES] [--seed N]

The seed is printed first, and `--seed` draws the same again. Nothing is shrunk: at the first round with a
difference the smallest case of that round is printed, with the seed of the round, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, product
from time import monotonic

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from quell.replay.history import Order
from tests.strategies_policy import Case, cases
from tests.test_replay_parity import CLOCKS, replayed

FOCI = ("any", "values", "state", "counters")
ROUND = 10
"""Examples of one kind before the next kind has its turn."""
UNHURRIED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much,
             HealthCheck.large_base_example]  # fmt: skip
ORDERS: tuple[Order, ...] = ("time", "given")


@dataclass(frozen=True, slots=True)
class Example:
    """One bundle with its history, and how it was replayed."""

    focus: str
    probed: bool
    order: Order
    clock: tuple[int, int]
    case: Case

    def differences(self) -> list[str]:
        """What the two ways do differently; what is raised is a difference too."""
        try:
            return replayed(self.case, self.order, self.clock, self.probed)
        except Exception:
            return [traceback.format_exc()]

    def __str__(self) -> str:
        case = self.case
        lists = "".join(f"\n--- {name}\n{data.decode()}" for name, data in sorted(case.extra.items()))
        events = "".join(
            f"\n{i:4} {e.decode('utf-8', 'backslashreplace')}" for i, e in enumerate(case.events, 1)
        )
        return (
            f"focus {self.focus}, {'every value' if self.probed else 'decisions'}, order {self.order}, "
            f"block and lateness {self.clock}\n\n{case.text}\n{lists}\n--- events{events}"
        )


Judge = Callable[[Example], list[str]]


def round_of(
    focus: str, probed: bool, number: int, judge: Judge
) -> tuple[int, list[tuple[Example, list[str]]]]:
    """Draw and judge the examples of one kind from a seed; gives how many, and those with differences."""
    found: list[tuple[Example, list[str]]] = []
    drawn = 0

    @seed(number)
    @settings(
        max_examples=ROUND,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck.__members__.values()],
        deadline=None,
        database=None,
        derandomize=False,
    )
    @given(cases(focus), st.sampled_from(ORDERS), st.sampled_from(CLOCKS))
    def run(case: Case, order: Order, clock: tuple[int, int]) -> None:
        nonlocal drawn
        drawn += 1
        example = Example(focus, probed, order, clock, case)
        differences = judge(example)
        if differences:
            found.append((example, differences))

    run()
    return drawn, sorted(found, key=lambda f: len(str(f[0])))


def hunt(minutes: float, first: int, judge: Judge = Example.differences) -> int:
    """Go on for so many minutes, one round at least; the exit status."""
    began, examples = monotonic(), 0
    print(f"seed {first}", flush=True)
    for number in count(first):
        for focus, probed in product(FOCI, (True, False)):
            drawn, found = round_of(focus, probed, number, judge)
            examples += drawn
            if found:
                example, differences = found[0]
                print(f"{len(found)} of {drawn} examples differ, drawn with --seed {number}; the smallest:")
                print(example)
                print("--- differences", *differences, sep="\n")
                return 1
        if monotonic() - began >= 60 * minutes:
            break
    print(f"{examples} examples, no difference, {monotonic() - began:.0f} s")
    return 0


def main(arguments: list[str]) -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.replay_parity_long")
    parser.add_argument("minutes", nargs="?", type=float, default=3.0, help="for how long (default 3)")
    parser.add_argument("--seed", type=int, help="the seed to begin with (default: another each time)")
    given_ = parser.parse_args(arguments)
    first = random.SystemRandom().randrange(10**9) if given_.seed is None else given_.seed
    return hunt(given_.minutes, first)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
