"""The lock of a data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quell.engine import lock
from quell.engine.lock import LockError, held, is_held

HOLD = """
import os, subprocess, sys
from pathlib import Path
from quell.engine.lock import held
with held(Path(sys.argv[1])):
    lingering = 0
    if sys.argv[2:]:  # it has the lock too, as every child has until it becomes another program
        handles = [int(n) for n in os.listdir("/dev/fd")]
        lock = next(n for n in handles if os.path.realpath(f"/dev/fd/{n}").endswith("/lock"))
        nothing = subprocess.DEVNULL
        lingering = subprocess.Popen(
            ["sleep", sys.argv[2]], pass_fds=[lock], stdin=nothing, stdout=nothing, stderr=nothing
        ).pid
    print(lingering, flush=True)
    sys.stdin.read()
"""


class Holder:
    """A process that holds the lock of a folder, beside one that lingers for so many seconds."""

    def __init__(self, folder: Path, *lingering: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder), *lingering],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self.lingering = int(self.process.stdout.readline())

    def kill(self) -> None:
        """End it at once, and not what lingers."""
        self.process.kill()
        self.process.communicate()


def test_one_process_holds_it(tmp_path: Path) -> None:
    holder = Holder(tmp_path)
    assert is_held(tmp_path)
    with (
        pytest.raises(LockError, match=f"is served already, by process {holder.process.pid}$"),
        held(tmp_path),
    ):
        pass
    holder.kill()
    with held(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    assert not is_held(tmp_path)


def test_what_a_killed_process_had_just_started_is_waited_for(tmp_path: Path) -> None:
    Holder(tmp_path, "0.2").kill()
    with held(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_what_a_killed_process_left_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LINGERING", 0.05)
    holder = Holder(tmp_path, "60")
    holder.kill()
    try:
        with pytest.raises(LockError, match="is served already"), held(tmp_path):
            pass
    finally:
        os.kill(holder.lingering, signal.SIGKILL)


@pytest.mark.parametrize("said", ["", "nobody", "-"])
def test_a_lock_that_names_no_process_is_not_waited_for(tmp_path: Path, said: str) -> None:
    with held(tmp_path):
        (tmp_path / "lock").write_text(said)
        with pytest.raises(LockError, match="is served already"), held(tmp_path):
            pass
