"""However the bytes of requests are cut into pieces, and however many come before the first is answered: the
answers are those of the requests one by one."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from quell.engine.http_app import make_app
from quell.engine.http_server import config_of
from quell.engine.service_settings import Listen
from tests.http_support import message, parts_of

HEAD = "Host: localhost\r\nContent-Type: application/json\r\n"


def plain(body: bytes, path: str = "/v1/decide", more: str = "") -> bytes:
    """A request that says how long its body is."""
    return f"POST {path} HTTP/1.1\r\n{HEAD}{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(body: bytes) -> bytes:
    """The same in chunks of seven bytes."""
    head = f"POST /v1/decide HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
    pieces = [body[n : n + 7] for n in range(0, len(body), 7)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def event(number: int) -> bytes:
    return json.dumps(message(number, author=f"u{number % 2}", content="ü" * number)).encode()


events = st.integers(1, 20).map(event)
requests = st.one_of(
    events.map(plain),
    events.map(plain),
    events.map(chunked),
    events.map(lambda e: plain(e, more="Quell-Deadline-Ms: 500\r\n")),
    events.map(lambda e: plain(e, path="/v1/decide?x=1")),
    events.map(lambda e: plain(e[:-1])),
    events.map(lambda e: plain(b"[" + e + b"," + e + b"]", path="/v1/decide/many")),
    st.sampled_from(
        [
            plain(b""),
            plain(b'{"type": "other"}'),
            plain(b"{}").replace(b"application/json", b"text/html"),
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"DELETE /v1/decide HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ]
    ),
)


class Wire(asyncio.Transport):
    """A connection of which only the server's end is real."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.reading = True

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += bytes(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0


async def answers(app: Any, pieces: list[bytes], turns: list[int], number: int) -> list[tuple[int, Any]]:
    """What comes back for pieces, between which the event loop turns so many times."""
    config = config_of(app, Listen())
    config.load()
    protocol: Any = config.http_protocol_class(config, ServerState(), {}, asyncio.get_running_loop())  # type: ignore[call-arg]
    wire = Wire()
    protocol.connection_made(wire)
    for piece, turn in zip(pieces, turns, strict=True):
        while not wire.reading and not wire.closed:
            await asyncio.sleep(0)
        if wire.closed:
            break
        protocol.data_received(piece)
        for _ in range(turn):
            await asyncio.sleep(0)
    async with asyncio.timeout(60):
        while not wire.closed and len(read(wire.written)) < number:
            await asyncio.sleep(0.001)
    protocol.connection_lost(None)
    return read(wire.written)


def read(written: bytes) -> list[tuple[int, Any]]:
    """The whole answers in what was written, without what has nothing to do with the request."""
    found = []
    while match := re.match(rb"HTTP/1.1 (\d+) [^\r]*\r\n(.*?)\r\n\r\n", written, re.DOTALL):
        length = re.search(rb"content-length: (\d+)", match[2])
        assert length is not None
        end = match.end() + int(length[1])
        if len(written) < end:
            break
        found.append((int(match[1]), written[match.end() : end]))
        written = written[end:]
    return found


@given(st.lists(requests, min_size=1, max_size=6), st.data())
@settings(max_examples=40)
def test_answers_do_not_depend_on_how_requests_come(asked: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(asked)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [p for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if (p := whole[a:b])]
    turns = data.draw(st.lists(st.integers(0, 4), min_size=len(pieces), max_size=len(pieces)))

    async def one_by_one() -> list[tuple[int, Any]]:
        app, found = make_app(parts_of()), list[tuple[int, Any]]()
        for request in asked:
            found += await answers(app, [request], [1], 1)
        return found

    async def at_once() -> list[tuple[int, Any]]:
        return await answers(make_app(parts_of()), pieces, turns, len(asked))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        expected = runner.run(one_by_one())
        found = runner.run(at_once())
    refused_and_closed = next(
        (n for n, (status, _) in enumerate(expected) if status in (413, 415, 431)), None
    )
    if refused_and_closed is not None:  # the connection ends there
        expected = expected[: refused_and_closed + 1]
    assert found == expected
