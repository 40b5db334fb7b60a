"""Which ASGI server: `python -m tests.bench.service_servers`.

Each serves the same two applications, and they take turns.
Requests a second with every connection busy, processor time of the server for each request, and latencies by
a fixed schedule at 70 % of the server's own peak. Those that are not installed are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec

from rich.console import Console
from rich.table import Table

from tests.bench.service_load import Load, Peak, Steady, request
from tests.bench.service_serve import SERVERS
from tests.bench.workload import make

APPLICATIONS = ("raw", "starlette")


@dataclass
class Contender:
    """A server with an application, and what its turns gave."""

    server: str
    app: str
    load: Load
    peaks: list[Peak] = field(default_factory=list)
    steadies: list[Steady] = field(default_factory=list)

    def turn(self, seconds: float) -> None:
        """One turn: its peak, then 70 % of it."""
        self.peaks.append(self.load.peak(seconds))
        rate = statistics.median(p.rate for p in self.peaks)
        self.steadies.append(self.load.steady(0.7 * rate, seconds))

    def cells(self) -> list[str]:
        """The row of the table."""
        rate = statistics.median(p.rate for p in self.peaks)
        used = statistics.median(p.server for p in self.peaks)
        own = statistics.median(p.own for p in self.peaks)
        p50, p99 = (statistics.median(s.quantile(q) for s in self.steadies) for q in (0.5, 0.99))
        failed = sum(p.failed for p in self.peaks) + sum(s.failed for s in self.steadies)
        figures = [
            f"{rate:,.0f}",
            f"{used * 1e6:.1f}",
            f"{own * 1e6:.1f}",
            f"{p50 * 1e3:.2f}",
            f"{p99 * 1e3:.2f}",
        ]
        return [self.server, self.app, *figures, str(failed)]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """Wait until somebody listens on a port. Raises SystemExit where the process ended or takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise SystemExit(f"nobody listens on port {port}: {process.args!r}")


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[tuple[int, int]]:
    """A process of tests.bench.service_serve with these arguments and a port; gives its port and its id."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.service_serve", *arguments, str(port)])
    try:
        wait_for(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def installed(server: str) -> bool:
    """Whether the packages that a server is named after are there."""
    return all(find_spec(name) for name in server.split() if name not in ("embedded", "worker"))


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description="ASGI servers, side by side.")
    parser.add_argument("--turns", type=int, default=5, help="turns of each")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of each load in a turn")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", default="", help="servers with this word in their names")
    options = parser.parse_args()
    requests = [request("/v1/decide", event) for event in make(30, 500).events]
    with contextlib.ExitStack() as stack:
        contenders = []
        for server in (s for s in SERVERS if options.only in s and installed(s)):
            for app in APPLICATIONS:
                port, pid = stack.enter_context(serving(server, app))
                load = Load(port, requests, options.connections, pid, children=server == "granian worker")
                contenders.append(Contender(server, app, load))
        for contender in contenders:
            contender.load.peak(0.5)
        for _ in range(options.turns):
            for contender in contenders:
                contender.turn(options.seconds)
    table = Table(title="ASGI servers: peak, then 70 % of it")
    for name in (
        "server",
        "application",
        "requests/s",
        "server µs",
        "generator µs",
        "p50 ms",
        "p99 ms",
        "failed",
    ):
        table.add_column(name, justify="left" if name in ("server", "application") else "right")
    for contender in contenders:
        table.add_row(*contender.cells())
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
