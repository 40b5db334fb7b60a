"""The load generator of the benchmarks counts what it is answered."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.bench.service_load import Load, LoadError, bulk, cpu, request

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
Heard = list[bytes]


@contextlib.contextmanager
def answering(answer: Callable[[bytes], list[bytes]]) -> Iterator[tuple[int, Heard]]:
    """A server that answers each request in pieces, none to close; gives its port and what it heard."""
    heard: Heard = []

    def serve(line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            while wanted := _request(line):
                heard.append(wanted)
                pieces = answer(wanted)
                for piece in pieces:
                    line.sendall(piece)
                if not pieces:
                    return

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=[listening.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1], heard
        listening.shutdown(socket.SHUT_RDWR)


def _request(line: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (piece := line.recv(65_536)):
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    size = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    while len(body) < size:
        body += line.recv(65_536)
    return head + b"\r\n\r\n" + body


def load(port: int) -> Load:
    return Load(port, [request("/x", b'{"at": 1000}'), request("/x", b'{"at": 1000, "n": 2}')], 2)


def test_every_request_is_sent_in_turn_and_every_failure_counted() -> None:
    with answering(lambda wanted: [BUSY if b"n" in wanted[-9:] else OK]) as (port, heard):
        made = load(port).peak(0.05)
    assert made.rate > 0
    assert made.failed == sum(b"n" in wanted[-9:] for wanted in heard) > 0
    assert abs(made.failed - len(heard) / 2) <= 1


def test_an_answer_may_come_in_pieces() -> None:
    with answering(lambda wanted: [OK[:10], OK[10:-1], OK[-1:]]) as (port, _):
        assert load(port).peak(0.05).failed == 0


def test_a_schedule_is_kept_and_a_stall_is_paid_for_by_all_that_wait() -> None:
    stall = threading.Event()

    def answer(wanted: bytes) -> list[bytes]:
        if not stall.is_set():
            stall.set()
            time.sleep(0.1)
        return [OK]

    with answering(answer) as (port, heard):
        made = Load(port, [request("/x", b"{}")], 1).steady(200, 0.2)
    assert len(heard) == len(made.latencies) == 40
    assert made.latencies == sorted(made.latencies)
    assert sum(1 for late in made.latencies if late > 0.04) > 5  # it was one answer that took long


def test_times_go_on_where_they_are_stamped() -> None:
    with answering(lambda wanted: [OK]) as (port, heard):
        Load(port, [request("/x", b'{"at": 1000}')], 1, stamp=1_000).steady(500, 0.01)
    assert [wanted.rpartition(b"\n")[2] for wanted in heard] == [
        b'{"at": %d}' % at for at in range(201_000, 1_001_001, 200_000)
    ]


def test_lines_are_read_to_the_end() -> None:
    with answering(lambda wanted: []) as (port, _), pytest.raises(LoadError):
        bulk(port, request("/x", b"{}\n"))


def test_a_server_that_goes_away_ends_the_load() -> None:
    with answering(lambda wanted: []) as (port, _), pytest.raises(LoadError):
        load(port).peak(0.05)


def test_processor_time_is_that_of_the_process() -> None:
    before, own = cpu(os.getpid()), time.process_time()
    while time.process_time() < own + 0.2:
        pass
    # The kernel adds up what a thread that runs has used by and by.
    assert 0.1 < cpu(os.getpid()) - before < 5
