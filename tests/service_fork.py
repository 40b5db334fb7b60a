"""Services as processes of their own that begin in no time: one that has imported everything forks each.

    with Forks() as forks:
        served = forks.serve(Wanted(policies, data))
        served.kill()

A service is the whole of it, with HTTP in front, as `quell serve` puts it together.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

PATIENCE = 60.0
"""Seconds that a service may take to begin or to end."""


class Wanted(msgspec.Struct, frozen=True):
    """A service that is wanted. `remote`: the function for the remote model answers, by chance of `seed`.
    `hook` is the port of the webhook, `file` the file that things are sent to. `processes`: what has to be
    done by processes is; otherwise by threads. `looks` are the seconds between two looks whether a snapshot
    is due. `full`: a full disk is played (service_disk.py)."""

    policies: str
    data: str
    seed: int = 0
    remote: bool = False
    durability: Literal["each", "batch", "off"] = "batch"
    segment_bytes: int = 64 << 20
    keep_age: int | None = None
    keep_bytes: int | None = None
    snapshots_every: int | None = None
    looks: float = 5.0
    hook: int = 0
    file: str = ""
    processes: bool = False
    full: bool = False


class Ready(msgspec.Struct, frozen=True):
    """A service that answers: its process, its port, what it remembers (`digest`) and up to which number, and
    how it came back; or why it cannot begin."""

    pid: int = 0
    port: int = 0
    digest: str = ""
    seq: int = 0
    snapshot: int = 0
    made: int = 0
    differing: int = 0
    finished: int = 0
    sends: int = 0
    seconds: float = 0.0
    told: tuple[str, ...] = ()
    problem: str = ""


class Served:
    """A service that runs, or ran."""

    def __init__(self, ready: Ready) -> None:
        self.ready = ready
        self.pid, self.port = ready.pid, ready.port

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """End it at once."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, how)
        until = time.monotonic() + PATIENCE
        while self.alive:
            assert time.monotonic() < until, f"process {self.pid} does not end"
            time.sleep(0.002)


class Forks:
    """Begins services, one at a time."""

    def __enter__(self) -> Forks:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.service_fork"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.served: list[Served] = []
        return self

    def begin(self, wanted: Wanted) -> Ready:
        """Begin a service; what comes of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(wanted) + b"\n")
        self._process.stdin.flush()
        ready = msgspec.json.decode(self._process.stdout.readline(), type=Ready)
        if not ready.problem:
            self.served.append(Served(ready))
        return ready

    def serve(self, wanted: Wanted) -> Served:
        """A service that answers."""
        ready = self.begin(wanted)
        assert not ready.problem, ready.problem
        return self.served[-1]

    def __exit__(self, *about: object) -> None:
        for served in self.served:
            if served.alive:
                served.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()


# ------------------------------------------------------------------ in the processes


NEEDED = (
    "quell.engine.checkpoint",
    "quell.engine.http_run",
    "quell.engine.live_routes",
    "quell.engine.serving_parts",
    "tests.service_here",
    "uvloop",
)
"""What is imported once for all."""


async def _serve(wanted: Wanted) -> None:
    from quell.engine import snapshots
    from quell.engine.http_pressure import Limits
    from quell.engine.http_run import open_door, run
    from quell.engine.keys import Keys
    from quell.engine.service_settings import Listen
    from quell.engine.serving import serving
    from quell.engine.serving_parts import parts_of

    snapshots.LOOK = wanted.looks
    door = open_door(Listen(port=0, grace=5.0), Keys(Path(wanted.data) / "keys.json"), "")
    async with serving(wanted.policies, wanted.data, _setup(wanted)) as running:
        ready = _ready(running, door.sockets[0].getsockname()[1])
        parts = parts_of(running, door.access, Limits(lag=60.0))
        await run(parts, door, lambda: _say(ready))


def _ready(running: Any, port: int) -> Ready:
    from tests.service_world import digest

    stepper, restart = running.service.engine.stepper, running.restart
    return Ready(
        os.getpid(),
        port,
        digest(stepper),
        stepper.seq,
        restart.snapshot,
        restart.made,
        restart.differing,
        restart.finished,
        restart.sends,
        restart.seconds,
        (*restart.told, *running.outbox.told),
    )


def _setup(wanted: Wanted) -> Any:
    from ipaddress import ip_network

    from quell.engine.outbox_types import Delivery
    from quell.engine.serving import Setup
    from quell.engine.sink_file import FileSink
    from quell.engine.sink_webhook import Webhook, WebhookSettings
    from tests.service_world import slow

    soon = Delivery(concurrency=8, timeout=5.0, base=0.01, most=0.1)
    sinks: dict[str, Any] = {}
    if wanted.hook:
        url, allow = f"http://127.0.0.1:{wanted.hook}/", (ip_network("127.0.0.0/8"),)
        sinks["hook"] = Webhook(WebhookSettings("hook", url, soon, ("secret",), {}, allow))
    if wanted.file:
        sinks["queue"] = FileSink(Path(wanted.file))
    return Setup(
        durability=wanted.durability,
        segment_bytes=wanted.segment_bytes,
        keep_age=wanted.keep_age,
        keep_bytes=wanted.keep_bytes,
        snapshots_every=wanted.snapshots_every,
        sinks=sinks,
        functions={"classifier": slow(wanted.seed)} if wanted.remote else None,
    )


def _say(ready: Ready) -> None:
    os.write(1, msgspec.json.encode(ready) + b"\n")


def _child(wanted: Wanted) -> None:
    import pytest
    import uvloop

    from tests.service_disk import play_fullness
    from tests.service_here import here

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not wanted.processes:
        here(pytest.MonkeyPatch())
    if wanted.full:
        play_fullness(Path(wanted.data))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(wanted))


def main() -> None:
    """Fork a service for each line of standard input."""
    for module in NEEDED:
        importlib.import_module(module)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads cannot be forked"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who ended needs not be waited for
    source = sys.stdin.buffer
    while line := source.readline():
        wanted = msgspec.json.decode(line, type=Wanted)
        if os.fork():
            continue
        try:
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
            _child(wanted)
        except Exception as error:
            _say(Ready(problem=f"{type(error).__name__}: {error}"))
            os._exit(1)
        os._exit(0)


if __name__ == "__main__":
    main()
