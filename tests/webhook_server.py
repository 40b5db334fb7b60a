"""A webhook that misbehaves on demand. Plain asyncio speaking HTTP/1.1."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from types import TracebackType


def reply(status: str, *headers: str, body: bytes = b"") -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class WebhookServer:
    """Answers requests with what `answers` gives, in order, the last for ever: bytes to write, or one of
    `hang` (nothing comes), `drip` (a good answer, an octet now and then, without end), `endless` (a body
    without end), `endless-head`, `close` (after the request), `break` (in the middle of an answer to which
    the status is known), `break-head` (before it is), `reset` (at once)."""

    def __init__(self, *answers: bytes | str, tls: ssl.SSLContext | None = None) -> None:
        self.answers = answers or (reply("204 No Content"),)
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.lines: list[str] = []
        self.accepted = 0
        self.port = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def keys(self) -> list[str]:
        """The idempotency keys that came."""
        return [headers["idempotency-key"] for headers, _ in self.requests]

    async def __aenter__(self) -> WebhookServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
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
        self.accepted += 1
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # ours to end quietly: the stream protocol would log it
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line, *head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in head)}
        body = await reader.readexactly(int(headers["content-length"]))
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.lines.append(line)
        self.requests.append((headers, body))
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
            return True
        for piece in _PIECES[answer]():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        if answer == "hang":
            await reader.read(1)  # until the other end gives up
        if answer == "reset":
            writer.transport.abort()
        else:
            writer.close()
        return False


def _drip() -> Iterator[bytes]:
    yield from (bytes([c]) for c in b"HTTP/1.1 200 OK\r\n")
    while True:
        yield b"X: y\r\n"


def _slow_body() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    while True:
        yield b"x"


def _endless() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + b" " * 65_536 + b"\r\n"


def _endless_head() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nX: "
    while True:
        yield b"x" * 65_536


_PIECES: dict[str, Callable[[], Iterator[bytes]]] = {
    "hang": lambda: iter(()),
    "drip": _drip,
    "slow-body": _slow_body,
    "endless": _endless,
    "endless-head": _endless_head,
    "close": lambda: iter(()),
    "break": lambda: iter([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"]),
    "break-error": lambda: iter([b"HTTP/1.1 500 Oh\r\nContent-Length: 10\r\n\r\nabc"]),
    "break-head": lambda: iter([b"HTTP/1.1 200 OK\r\nContent-Le"]),
    "reset": lambda: iter(()),
}
