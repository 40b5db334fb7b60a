"""Processes that a service starts for work beside it."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from quell.engine.children import ChildError, run_module
from quell.engine.lock import held


def test_what_lies_in_the_working_folder_is_no_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('taken from the working folder')\n")
    monkeypatch.chdir(tmp_path)
    try:
        said = asyncio.run(
            run_module("quell.engine.explain_past", [str(tmp_path / "data"), "1"], 60)
        ).decode()
    except ChildError as error:
        said = str(error)
    assert said
    assert "taken" not in said


def test_a_data_folder_that_is_made_is_for_nobody_else(tmp_path: Path) -> None:
    with held(tmp_path / "data"):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
