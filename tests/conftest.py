"""What every test may use: hypothesis profiles, the repository's root, the shared data."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# Times differ between machines and under load, so no example has a deadline and none is called slow.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

# `ci` draws the same examples on every run and every machine: each test's seed is taken from its own
# source. `dev` draws new ones each time and remembers what failed; `thorough` does so at length.
settings.register_profile("ci", _UNTIMED, derandomize=True, database=None, max_examples=60)
settings.register_profile("dev", _UNTIMED, max_examples=60)
settings.register_profile("thorough", _UNTIMED, max_examples=2000)


def pytest_configure(config: pytest.Config) -> None:
    # What a shell starts in the background is deaf to Ctrl-C, and so is all that it starts: tests send it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    asked = config.getoption("--hypothesis-profile")
    settings.load_profile(asked or ("ci" if os.environ.get("CI") else "dev"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How hypothesis drew its examples; in the summary, because -q leaves the header out."""
    now = settings.default
    assert now is not None
    seed = config.getoption("--hypothesis-seed")
    if seed is not None:
        drawn = f"seed {seed}"
    elif now.derandomize:
        drawn = "derandomized, the same on every run"
    else:
        drawn = "random; a failure prints how to draw it again"
    terminalreporter.write_line(f"hypothesis: {now.max_examples} examples a test, {drawn}")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real histories, which is no part of the repository: `data` in the folder that
    QUELL_SHARED names, or in `shared` beside the repository. Without it the test is skipped."""
    named = os.environ.get("QUELL_SHARED")
    data = (Path(named) if named else ROOT.parent / "shared") / "data"
    if data.is_dir():
        return data
    if named:
        pytest.fail(f"QUELL_SHARED is {named}, which has no folder `data`")
    pytest.skip(f"no histories to read: {data} is not there (QUELL_SHARED may name its parent)")
