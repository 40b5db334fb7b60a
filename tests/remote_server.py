"""A model server that misbehaves on demand: slow, wrong in every way, silent, down, and back again.

Plain asyncio speaking HTTP/1.1. In a process of its own, for the benchmark:
`python -m tests.remote_server MILLISECONDS` prints its port and answers everything with 0.5 so much later.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Callable
from functools import cache
from itertools import cycle
from types import TracebackType
from typing import Any

Mode = str | Callable[[int], str]
"""How it behaves, or a function from the number of the request (from 0) to that."""


def reply(body: bytes | str, status: str = "200 OK", *headers: str, kind: str = "application/json") -> bytes:
    """A whole HTTP answer."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {kind}"] if kind else []), *headers]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(body: bytes, size: int = 7) -> bytes:
    """The same in small chunks."""
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts)
        + b"0\r\n\r\n"
    )


FINE = b'{"answers":[0.5]}'
WRONG: dict[str, bytes] = {
    "500": reply("oops: the password is hunter2", "500 Internal Server Error", kind="text/plain"),
    "429": reply("", "429 Too Many Requests", "Retry-After: 1"),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "redirect": reply("", "302 Found", "Location: http://127.0.0.1:1/elsewhere"),
    "not-json": reply('{"answers":[0.5'),
    "empty": reply(""),
    "no-object": reply("[0.5]"),
    "no-answers": reply('{"answer":[0.5]}'),
    "answers-no-list": reply('{"answers":0.5}'),
    "too-few": reply('{"answers":[]}'),
    "too-many": reply('{"answers":[0.5,0.5,0.5]}'),
    "wrong-kind": reply('{"answers":["high"]}'),
    "nan": reply('{"answers":[NaN]}'),
    "huge-number": reply('{"answers":[1e999]}'),
    "huge-whole-number": reply('{"answers":[1' + "0" * 5_000 + "]}"),
    "half-surrogate": reply('{"answers":[{"score":"\\ud800"}]}'),
    "deep": reply('{"answers":' + "[" * 50_000 + "]" * 50_000 + "}"),
    "html": reply("<h1>hello</h1>", kind="text/html; charset=utf-8"),
    "gzip": reply(b"\x1f\x8b\x08", "200 OK", "Content-Encoding: gzip"),
    "latin-1": reply('{"answers":[0.5]}', kind="application/json; charset=iso-8859-1"),
    "no-utf-8": reply(b'{"answers":["\xff\xfe"]}'),
    "utf-16": reply('{"answers":[0.5]}'.encode("utf-16")),
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\nContent-Length: 18\r\n\r\n" + FINE,
    "negative-length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + FINE,
    "not-http": b"220 mail.example.test ESMTP\r\n",
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
}
"""Answers that are no use, whole."""

ENDS: dict[str, bytes] = {
    "truncated": reply(FINE)[:-4],
    "truncated-head": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "truncated-chunk": chunked(FINE)[:-9],
    "nothing": b"",
}
"""Answers that the server breaks off, closing the connection."""


class RemoteServer:
    """`async with RemoteServer() as server` listens on `server.url`. `mode` is how it behaves (changed at any
    time), `delay` how many seconds an answer takes, `answer` what it answers to one question's inputs."""

    def __init__(self, mode: Mode = "fine", delay: float = 0.0, tls: ssl.SSLContext | None = None) -> None:
        self.mode = mode
        self.delay = delay
        self.answer: Callable[[dict[str, Any]], Any] = lambda inputs: 0.5
        self.bodies: list[dict[str, Any]] = []
        self.heads: list[list[str]] = []
        self.open = 0
        self.accepted = 0
        self.port = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://localhost:{self.port}/score?v=1"

    async def __aenter__(self) -> RemoteServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=2_048, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go down: nothing listens, and every connection is cut."""
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        self.accepted += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # ours to end quietly: the stream protocol would log it
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        length = next(int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:"))
        body = json.loads(await reader.readexactly(length))
        mode = self.mode if isinstance(self.mode, str) else self.mode(len(self.bodies))
        self.heads.append(head)
        self.bodies.append(body)
        if self.delay:
            await asyncio.sleep(self.delay)
        return await self._behave(mode, body, reader, writer)

    async def _behave(
        self, mode: str, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        right = json.dumps({"answers": [self.answer(i) for i in body["inputs"]]}).encode()
        if mode in WRONG:
            writer.write(WRONG[mode])
        elif mode in ENDS:
            writer.write(ENDS[mode])
            await writer.drain()
            writer.close()
            return False
        elif mode == "hanging":
            await reader.read(1)  # until the other end gives up
            return False
        elif mode == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"1000\r\n" + b" " * 4_096 + b"\r\n")
                await writer.drain()
        elif mode == "endless-head":
            writer.write(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                writer.write(b"x" * 4_096)
                await writer.drain()
        else:
            return await self._right(mode, right, writer)
        await writer.drain()
        return True

    async def _right(self, mode: str, right: bytes, writer: asyncio.StreamWriter) -> bool:
        """The right answer, in one of the ways in which HTTP may carry it."""
        ways = {
            "fine": reply(right),
            "chunked": chunked(right),
            "no-type": reply(right, kind=""),
            "own-type": reply(right, kind="application/vnd.model+json; Charset=UTF-8"),
            "bom": reply(b"\xef\xbb\xbf" + right),
            "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + reply(right),
            "twice": reply(right) + reply('{"answers":[0.9]}'),
            "close": reply(right, "200 OK", "Connection: close"),
            "says-close": reply(right, "200 OK", "Connection: close"),
            "drip": reply(right),
            "until-close": b"HTTP/1.1 200 OK\r\n\r\n" + right,
            "old": b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(right), right),
            "hang-up": reply(right),
        }
        step = 5 if mode == "drip" else 1 << 20
        for start in range(0, len(ways[mode]), step):
            writer.write(ways[mode][start : start + step])
            await writer.drain()
            await asyncio.sleep(0)
        if mode in ("close", "until-close", "old", "hang-up"):
            writer.close()
            return False
        return True


def flapping(*modes: str) -> Callable[[int], str]:
    """One mode after another, request by request, for ever."""
    turn = cycle(modes)
    return lambda _: next(turn)


@cache
def _halves(count: int) -> bytes:
    return reply(b'{"answers":[%s]}' % b",".join([b"0.5"] * count))


class _Fast(asyncio.Protocol):
    """Answers every question with 0.5 after a while, with as little work as can be."""

    seconds = 0.05

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) if end else 0
        if not end or len(body) < length:
            return
        self._buffer = b""
        whole = _halves(body.count(b'"text":'))
        asyncio.get_running_loop().call_later(self.seconds, self._transport.write, whole)


async def _main(milliseconds: float) -> None:
    _Fast.seconds = milliseconds / 1_000
    server = await asyncio.get_running_loop().create_server(_Fast, "127.0.0.1", 0, backlog=4_096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(float(sys.argv[1])))
