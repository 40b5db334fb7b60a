"""What speaks HTTP on one connection, guarded: uvicorn minds neither slow nor endless heads of requests."""

from __future__ import annotations

from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from quell.engine.http_answer import encode
from quell.engine.http_problem import ProblemDetails, details

HEAD_SECONDS = 10.0
"""How long a client may take for the head of a request."""
HEAD_BYTES = 1 << 16
WRITE_SECONDS = 60.0
"""How long a client may take nothing of what is written to it."""
PIECE = 1 << 14
"""Bytes that are parsed at once where they may be many requests. Each takes a hundred times its size until
its turn comes."""


class _Flow(FlowControl):
    """Reading stays paused while requests wait for their turn (`holding`), though the one whose turn it is
    asks for its body."""

    holding = False

    def resume_reading(self) -> None:
        """Read on."""
        if not self.holding:
            super().resume_reading()

    def hold(self) -> None:
        """Read no more until there are no requests that wait."""
        self.holding = True
        self.pause_reading()


class Guarded(HttpToolsProtocol):
    """What speaks HTTP on one connection, with a bound on how long and how large the head of a request is,
    and on how many requests a client may send ahead."""

    most = 0
    _flow: _Flow
    _turn: Any = None
    """Of requests that waited, the one whose turn it is."""
    _held = b""
    """What came behind requests that wait for their turn, not parsed yet."""
    _in_head = True
    _head = 0
    _waits_since: float | None = None
    _unread = 0
    _unread_since = 0.0

    def connection_made(self, transport: Any) -> None:
        """Take a connection, unless too many are open."""
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)
        if len(self.connections) > self.most:
            self._refuse(details("overload"), (b"retry-after", b"1"))

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self.pipeline or self._held:
            self._held += data
            self._flow.hold()
            return
        if self._in_head:
            self._head += len(data)
            if self._head > HEAD_BYTES + len(data):
                self._refuse(details("too-many-headers", "the head of the request is too long"))
                return
        if not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Have it parsed, up to where requests wait for their turn; a body is taken whole."""
        while data and not self.transport.is_closing():
            if self.pipeline:
                self._held = data
                break
            cycle: Any = self.cycle  # None before the first request
            in_body = cycle is not None and cycle.more_body
            size = len(data) if in_body else PIECE
            self._parse(data[:size])
            data = data[size:]
        if self.pipeline:
            self._flow.hold()

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._stay()
            except HttpParserError:
                self.send_400_response("")
                return
            else:
                return

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone. Of all requests on it the server tells only the last."""
        waiting: list[Any] = [cycle for cycle, _ in self.pipeline]
        for cycle in (self._turn, *waiting):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """A request is answered; the next may have its turn."""
        if self.pipeline:
            self._turn = self.pipeline[-1][0]
        super().on_response_complete()
        if self._flow.holding and not self.pipeline:
            self.loop.call_soon(self._take_held)

    def _take_held(self) -> None:
        """Go on where parsing stopped, now that no request waits."""
        if self.pipeline or self.transport.is_closing():
            return
        self._flow.holding = False
        self._flow.resume_reading()
        held, self._held = self._held, b""
        if held:
            self.data_received(held)

    def _stay(self) -> None:
        """Go on with a request that asks for another protocol as if it did not, as HTTP has it: some clients
        ask with every request. The parser leaves the body of such a one unread; another one reads it."""
        framing = (b"content-length", b"transfer-encoding")
        lines = [b"%b: %b\r\n" % pair for pair in self.headers if pair[0] in framing]
        self.parser = HttpRequestParser(_Later(self))
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(lines))

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        self._head = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. What follows a body in chunks is none: nothing that was looked at may change then."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there, unless it asks for another protocol: then its body is still to be read."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(details("bad-request", "this is no HTTP/1.1 that can be read"))

    def look(self, now: float) -> None:
        """Close the connection if it has waited too long for a head."""
        idle = self.timeout_keep_alive_task is not None
        if idle or self._answering():
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = now
        elif now - self._waits_since > HEAD_SECONDS:
            self._refuse(details("slow-body", "the head of the request came too slowly"))

    def look_at_writing(self, now: float) -> None:
        """Cut the connection if its client has long taken nothing of what is written to it."""
        unread = self.transport.get_write_buffer_size()
        if not unread or unread != self._unread:
            self._unread, self._unread_since = unread, now
        elif now - self._unread_since > WRITE_SECONDS:
            self.transport.abort()

    def _answering(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _refuse(self, problem: ProblemDetails, *headers: tuple[bytes, bytes]) -> None:
        """Answer with a problem and close, where no request is being answered."""
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle
        if self._answering() and not cycle.more_body:  # that request is whole and gets its answer
            cycle.keep_alive = False
            return
        if not self._answering():
            body = encode(problem)
            always = [
                (b"content-type", b"application/problem+json"),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
            ]
            lines = [b"%s: %s\r\n" % pair for pair in (*always, *headers)]
            head = b"HTTP/1.1 %d %s\r\n" % (problem.status, problem.title.encode())
            self.transport.write(b"".join([head, *lines, b"\r\n", body]))
        self.transport.close()


class _Later:
    """Passes on what a parser tells, but for the head of the first request."""

    def __init__(self, told: Guarded) -> None:
        self._told, self._first = told, True
        self.on_body = told.on_body
        self.on_message_complete = told.on_message_complete

    def on_message_begin(self) -> None:
        if not self._first:
            self._told.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._first:
            self._told.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._first:
            self._told.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._first:
            self._told.on_headers_complete()
        self._first = False


def guarded(most: int) -> type[Guarded]:
    """What speaks HTTP on a connection, of which at most so many are open."""
    return type("Guarded", (Guarded,), {"most": most})
