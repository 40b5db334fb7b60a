"""Processes that a service has work for it end when it does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quell.engine.children import ChildError, run_module

PARENT = """
import asyncio
from quell.engine.children import run_module
asyncio.run(run_module("tests.test_children", ["wait", {told!r}], 60.0))
"""


def test_a_process_ends_with_the_one_that_started_it_however_that_ends(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(told=str(told))], cwd=Path.cwd())
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


def test_what_a_process_says_is_given_and_what_goes_wrong_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        assert await run_module("tests.test_children", ["say"], 60.0) == b"a word\n"
        with pytest.raises(ChildError, match="a fault"):
            await run_module("tests.test_children", ["fail"], 60.0)
        with pytest.raises(ChildError, match=r"longer than 0\.05 seconds"):
            await run_module("tests.test_children", ["wait", str(tmp_path / "pid")], 0.05)

    asyncio.run(main())


if __name__ == "__main__":
    from quell.engine.children import end_with_parent

    end_with_parent()
    if sys.argv[1] == "say":
        sys.stdout.write("a word\n")
    elif sys.argv[1] == "fail":
        sys.exit("a fault")
    else:
        Path(sys.argv[2]).write_text(str(os.getpid()))
        time.sleep(60)
