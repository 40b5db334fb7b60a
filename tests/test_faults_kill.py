"""A service that is killed at random moments under load loses nothing that it promised."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service_fork import Forks
from tests.service_trial import Trial


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as made:
        yield made


@pytest.mark.parametrize("remote", [False, True])
def test_a_service_that_is_killed_keeps_its_promises(tmp_path: Path, forks: Forks, remote: bool) -> None:
    trial = Trial(tmp_path, forks, 11 + remote, remote=remote)
    asyncio.run(trial.run(7, 0.4))
    assert trial.figures.kills == 6
    assert trial.figures.answered > 0
    assert trial.figures.owed > 0
    assert trial.told.again > 0
