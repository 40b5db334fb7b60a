"""Every benchmark, one after the other: `python -m tests.bench`. A few minutes, on a quiet machine."""

from __future__ import annotations

import sys

from tests.bench import (
    counters,
    engine,
    health,
    journal,
    models,
    reload,
    remote,
    replay,
    replay_counters,
    run,
    service,
)


def main() -> None:
    """Run them with their defaults, all of them; exits with 1 where one missed a goal."""
    sys.argv[1:] = []
    missed = False
    for benchmark in (
        run,
        counters,
        models,
        engine,
        remote,
        health,
        journal,
        reload,
        service,
        replay_counters,
        replay,
    ):
        try:
            benchmark.main()
        except SystemExit as done:
            missed |= bool(done.code)
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
