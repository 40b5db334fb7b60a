"""Every benchmark, one after the other: `python -m tests.bench`. A few minutes, on a quiet machine."""

from __future__ import annotations

import sys

from tests.bench import counters, engine, models, remote, replay, replay_counters, run


def main() -> None:
    """Run them with their defaults."""
    sys.argv[1:] = []
    for benchmark in (run, counters, models, engine, remote, replay_counters, replay):
        benchmark.main()


if __name__ == "__main__":
    main()
