"""kill -9 loses no send (tests/outbox_kill.py does so for as long as one likes)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.outbox_kill import kills


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again_loses_no_send(tmp_path: Path) -> None:
    assert "none lost" in asyncio.run(kills(tmp_path, 5, seed=7))
