"""A load generator that costs far less than what it loads: HTTP/1.1 over plain sockets, kept open, one
request on each at a time, the requests built beforehand.

Two loads: `peak` keeps every connection busy and gives the rate; `steady` sends by a fixed schedule and takes
each latency from the moment the request was due, so that a server that stalls pays for all that queued up
behind the stall. The processor time of the server is read from the kernel, since a shared machine's rates
are noise.
"""

from __future__ import annotations

import contextlib
import ctypes
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 10.0
"""Seconds without any answer after which a load gives up."""
APART = 200_000
"""Microseconds between the times of two events."""
_LENGTH = b"ontent-length: "


class LoadError(Exception):
    """The server hung, closed a connection or answered what is no answer."""


@dataclass(frozen=True, slots=True)
class Peak:
    """What keeping every connection busy gave: answers per second, those that were no 200, and processor
    time in seconds per request of the generator and of the server."""

    rate: float
    failed: int
    own: float
    server: float


@dataclass(frozen=True, slots=True)
class Steady:
    """What a fixed schedule gave: `latencies` in seconds from the moment each request was due, sorted, and
    those that were no 200. `server` is as in Peak."""

    latencies: list[float]
    failed: int
    server: float

    def quantile(self, share: float) -> float:
        """The latency that this share of the requests stayed within."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


def request(
    path: str, body: bytes, headers: Sequence[tuple[str, str]] = (), kind: str = "application/json"
) -> bytes:
    """A POST as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def cpu(pid: int, children: bool = False) -> float:
    """Seconds of processor time that a process has used so far, and if wanted those that it started."""
    total = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0]) / 1e9
            started = (task / "children").read_text().split() if children else ()
        except OSError:  # the thread ended meanwhile
            continue
        total += sum(cpu(int(child), children) for child in started)
    return total


@dataclass(slots=True)
class _Line:
    """A connection: what of an answer came so far, and when its request was due."""

    socket: socket.socket
    due: float = 0.0
    part: bytes = b""


@dataclass
class Load:
    """So many connections to a server on this machine, opened for each load and closed after it: a server
    ends those that are idle. `requests` are sent in turn, over and over; where one holds `stamp`, a time in
    microseconds, each is sent with a time 0.2 s later than that of the one before. `pid` is the server's
    process, and whether the work of its `children` counts."""

    port: int
    requests: Sequence[bytes]
    connections: int = 32
    pid: int | None = None
    children: bool = False
    stamp: int | None = None
    _parts: list[tuple[bytes, bytes]] = field(init=False, default_factory=list)
    _lines: dict[int, _Line] = field(init=False, default_factory=dict)
    _poll: select.epoll = field(init=False)
    _next: int = field(init=False, default=0)
    _failed: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.stamp is not None:
            found = [wanted.partition(b"%d" % self.stamp) for wanted in self.requests]
            self._parts = [(before, after) for before, _, after in found]

    def peak(self, seconds: float) -> Peak:
        """Every connection sends its next request as soon as it is answered."""
        with self._connected():
            return self._peak(seconds)

    def steady(self, rate: float, seconds: float) -> Steady:
        """So many requests a second by a fixed schedule; what finds every connection busy waits its turn."""
        with self._connected():
            return self._steady(rate, seconds)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        _fine_timers()
        self._failed = 0
        self._poll = select.epoll()
        try:
            for _ in range(self.connections):
                made = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
                self._lines[made.fileno()] = _Line(made)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                made.setblocking(False)
                self._poll.register(made.fileno(), select.EPOLLIN)
            yield
        finally:
            for line in self._lines.values():
                line.socket.close()
            self._lines.clear()
            self._poll.close()

    def _peak(self, seconds: float) -> Peak:
        own, server = time.process_time(), self._server()
        start = time.perf_counter()
        until = start + seconds
        for line in self._lines.values():
            self._send(line)
        under_way, done = len(self._lines), 0
        while under_way:
            ready = self._poll.poll(PATIENCE)
            if not ready:
                raise LoadError(f"no answer for {PATIENCE} s")
            going_on = time.perf_counter() < until
            for number, _ in ready:
                line = self._lines[number]
                if not self._answered(line):
                    continue
                done += 1
                if going_on:
                    self._send(line)
                else:
                    under_way -= 1
        took = time.perf_counter() - start
        own, server = time.process_time() - own, self._server() - server
        return Peak(done / took, self._failed, own / done, server / done)

    def _steady(self, rate: float, seconds: float) -> Steady:
        wanted = int(rate * seconds)
        server = self._server()
        start = time.perf_counter()
        free, sent = list(self._lines.values()), 0
        due: deque[float] = deque()
        latencies: list[float] = []
        while len(latencies) < wanted:
            now = time.perf_counter()
            while sent < wanted and start + sent / rate <= now:
                due.append(start + sent / rate)
                sent += 1
            while due and free:
                line = free.pop()
                line.due = due.popleft()
                self._send(line)
            for number, _ in self._ready(start + sent / rate if sent < wanted and free else now + PATIENCE):
                line = self._lines[number]
                if self._answered(line):
                    latencies.append(time.perf_counter() - line.due)
                    free.append(line)
        latencies.sort()
        return Steady(latencies, self._failed, (self._server() - server) / wanted)

    def _ready(self, until: float) -> list[tuple[int, int]]:
        """The connections that have something to read, at `until` at the latest."""
        ready = self._poll.poll(0)
        wait = until - time.perf_counter()
        if not ready and wait > 0:
            select.select([self._poll.fileno()], [], [], wait)  # its clock is finer than epoll's milliseconds
            ready = self._poll.poll(0)
            if not ready and wait > PATIENCE / 2:
                raise LoadError(f"no answer for {PATIENCE} s")
        return ready

    def _send(self, line: _Line) -> None:
        if self.stamp is None:
            wanted = self.requests[self._next]
        else:
            self.stamp += APART
            before, after = self._parts[self._next]
            wanted = b"%b%d%b" % (before, self.stamp, after)
        self._next = (self._next + 1) % len(self.requests)
        if line.socket.send(wanted) != len(wanted):
            raise LoadError("the server does not read what it is sent")

    def _answered(self, line: _Line) -> bool:
        """Read what is there; whether the answer is whole."""
        data = line.socket.recv(65_536)
        if not data:
            raise LoadError("the server closed a connection")
        if line.part:
            data = line.part + data
        end = data.find(b"\r\n\r\n")
        place = data.find(_LENGTH, 0, end) + len(_LENGTH)
        if end < 0 or len(data) < end + 4 + _length(data, place):
            line.part = data
            return False
        line.part = b""
        if data[9:12] != b"200":
            self._failed += 1
        return True

    def _server(self) -> float:
        return cpu(self.pid, self.children) if self.pid is not None else 0.0


def _length(data: bytes, place: int) -> int:
    if place < len(_LENGTH):
        raise LoadError(f"an answer without its length: {data[:200]!r}")
    return int(data[place : data.index(b"\r", place)])


def _fine_timers() -> None:
    """Have the kernel wake this thread when it asked to be, not up to 50 µs later."""
    ctypes.CDLL(None).prctl(29, 1, 0, 0, 0)  # PR_SET_TIMERSLACK, nanoseconds


@dataclass(frozen=True, slots=True)
class Bulk:
    """What one request with many events took: seconds until the last answer, processor time of the server,
    and the lines of its answer."""

    seconds: float
    server: float
    lines: int


def bulk(port: int, wanted: bytes, pid: int | None = None) -> Bulk:
    """Send a request with a long body, reading its answer meanwhile; the server must close the connection."""
    server = cpu(pid) if pid is not None else 0.0
    start = time.perf_counter()
    rest, parts = memoryview(wanted), []
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
        line.setblocking(False)
        while True:
            readable, writable, _ = select.select([line], [line] if rest else [], [], PATIENCE)
            if not readable and not writable:
                raise LoadError(f"no answer for {PATIENCE} s")
            if writable:
                rest = rest[line.send(rest[: 1 << 18]) :]
            if readable:
                data = line.recv(1 << 20)
                if not data:
                    break
                parts.append(data)
    took = time.perf_counter() - start
    used = cpu(pid) - server if pid is not None else 0.0
    answer = b"".join(parts)
    if rest or answer[9:12] != b"200":
        raise LoadError(f"many events were not answered: {answer[:300]!r}")
    return Bulk(took, used, answer.count(b"}\n"))
