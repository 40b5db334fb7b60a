"""One HTTP/1.1 connection, carrying one request after another.

Reading is llhttp's (through httptools): it holds lengths, chunks and header syntax to the standard. What is
here is the order of things: one answer for one request, nothing unasked for, and bounds.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

from quell.signals.remote_types import CallError


class Stale(Exception):
    """A kept connection turned out to be closed before anything of the answer came: worth another one."""


class Reply:
    """An answer as it came: its status, the headers that matter by lower-case name, its body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


_KEPT_HEADERS = frozenset(
    (b"content-type", b"content-encoding", b"content-length", b"transfer-encoding", b"location")
)


class Connection(asyncio.Protocol):
    """An open connection, which is one of `held` for as long as it is open. `largest` is how many bytes one
    answer may take, its headers included."""

    def __init__(self, largest: int, held: set[Connection]) -> None:
        self._largest = largest
        self._held = held
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._reply: asyncio.Future[Reply] | None = None
        self._received = 0
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._in_body = False
        self.reusable = True
        self.used = 0
        """How many requests it has carried."""
        self.idle_since = 0.0

    async def ask(self, request: bytes) -> Reply:
        """Send a request and wait for the whole answer. Raises Stale or CallError; when cancelled, the
        connection is closed, as the answer may still come."""
        if self._transport is None or not self.reusable:
            raise Stale
        self._reply = asyncio.get_running_loop().create_future()
        self._received = 0
        try:
            self._transport.write(request)
            return await self._reply
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._reply = None
            self.used += 1

    def abort(self) -> None:
        """Close at once."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------ called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are none by class
        self._held.add(self)

    def data_received(self, data: bytes) -> None:
        if self._reply is None or self._reply.done():  # nobody asked for this
            self.abort()
            return
        self._received += len(data)
        if self._received > self._largest:
            self._fail(CallError("invalid", f"answered more than {self._largest >> 10:,} KB"))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(CallError("invalid", "answered what is not HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._transport = None
        framed = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        if exc is None and self._in_body and not framed:  # the end of the connection ends the answer
            self._complete()
        elif self.used and not self._received:
            self._fail(Stale())
        else:
            self._fail(CallError("failed", "closed the connection before its answer was whole"))
        self._held.discard(self)

    # ------------------------------------------------------------------ called by the parser

    def on_message_begin(self) -> None:
        self._headers = {}
        self._body = []
        self._in_body = False

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in _KEPT_HEADERS:
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._in_body = True
        if not self._parser.should_keep_alive():
            self.reusable = False

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status >= 200:  # else it only says that the answer is still to come
            self._complete()

    # ------------------------------------------------------------------ the end of a request

    def _complete(self) -> None:
        self._in_body = False
        if self._reply is None or self._reply.done():
            self.abort()  # a second answer to one request: whatever comes next would be taken for another's
            return
        self._reply.set_result(Reply(self._status, self._headers, b"".join(self._body)))

    def _fail(self, error: Exception) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)
        self.abort()

    def __repr__(self) -> str:  # what it sends holds secrets
        return f"<Connection, {self.used} requests>"
