"""Processes that a service has work for it end when it does."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quell.engine.children import ChildError, run_module
from quell.engine.lock import held

ROOT = Path(__file__).parent.parent
PARENT = """
import asyncio
from quell.engine.children import run_module
asyncio.run(run_module("tests.test_children", [{what!r}, {told!r}], 60.0))
"""


@pytest.fixture
def this_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process find this file: it does not look in the working folder."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.parametrize("what", ["wait", "listen"])
@pytest.mark.usefixtures("this_is_found")
def test_a_process_ends_with_the_one_that_started_it_however_that_ends(tmp_path: Path, what: str) -> None:
    told = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(told=str(told), what=what)])
    until = time.monotonic() + 60
    while not (told.exists() and told.read_text()):
        assert time.monotonic() < until
        time.sleep(0.01)
    child = int(told.read_text())
    os.kill(child, 0)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    with contextlib.suppress(OSError):  # it is gone, or waits to be buried
        while "Z" not in Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1]:
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.mark.usefixtures("this_is_found")
def test_what_a_process_says_is_given_and_what_goes_wrong_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        assert await run_module("tests.test_children", ["say"], 60.0) == b"a word\n"
        with pytest.raises(ChildError, match="a fault"):
            await run_module("tests.test_children", ["fail"], 60.0)
        with pytest.raises(ChildError, match=r"longer than 0\.05 seconds"):
            await run_module("tests.test_children", ["wait", str(tmp_path / "pid")], 0.05)
        with pytest.raises(ChildError, match="it was ended by signal 9, as where memory is short"):
            await run_module("tests.test_children", ["killed"], 60.0)
        with pytest.raises(ChildError, match="it was ended by signal 9, as where memory is short"):
            await run_module("tests.test_children", ["half"], 60.0)  # what it said may not be all

    asyncio.run(main())


def test_a_process_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(*words: object, **more: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", none)
    with pytest.raises(ChildError, match="no process can be started: resource temporarily unavailable"):
        asyncio.run(run_module("quell.engine.explain_past", [], 60.0))


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


if __name__ == "__main__":
    from quell.engine.children import end_with_parent, lines_from_parent

    if sys.argv[1] == "listen":
        lines_from_parent()
    else:
        end_with_parent()
    if sys.argv[1] == "say":
        sys.stdout.write("a word\n")
    elif sys.argv[1] == "fail":
        sys.exit("a fault")
    elif sys.argv[1] == "half":
        print("half a w", end="", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    elif sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        Path(sys.argv[2]).write_text(str(os.getpid()))
        time.sleep(60)
