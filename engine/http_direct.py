"""The short way of a decision: an ordinary request to /v1/decide is answered without an ASGI task.

A request whose head and body came in one read, and which is decided at once, needs none of what a server
makes for each: scope, task, event, timer. Those take longer than the decision. Everything else goes the
ordinary way, from the start where nothing was counted yet: bodies in pieces, requests that are refused,
decisions that wait. What was already decided is handed over in the scope (`BEGUN`): one place words answers.
Answers go out in the order of their requests, also where a client sends several without waiting.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from quell.engine.decision import Refused
from quell.engine.http_decide import BEGUN, PATH
from quell.engine.http_guard import Guarded
from quell.engine.http_problem import ProblemDetails

if TYPE_CHECKING:
    from quell.engine.http_decide import DecideApp
    from quell.engine.service_keeping import Made

_PATH = PATH.encode()
_START = b"HTTP/1.1 200 OK\r\n"
_REST = b"content-type: application/json\r\ncontent-length: "


class Direct(Guarded):
    """What speaks HTTP on one connection, and takes ordinary events the short way."""

    decide: DecideApp
    _short = False
    """Whether the request that comes in may go the short way."""
    _due = False
    """Whether a request that went it is still to be answered."""
    _body = b""
    _resting = False
    """Whether the last request went it, and none has begun since."""
    _rests_since = 0.0
    _answered = 0
    _answered_before = -1
    _start: tuple[Any, bytes] = (None, b"")

    # -------------------------------------------------------------- parser

    def on_message_begin(self) -> None:
        """A request begins. What the server makes for it waits until it is known to be needed."""
        if self._due:  # the client did not wait for the answer before this
            self.decide.end_turn()
        self._in_head, self._head = True, 0
        self._resting = self._short = False
        self.url = self._body = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """The head is there."""
        parser: Any = self.parser
        cycle: Any = self.cycle  # None before the first that goes the ordinary way
        self._in_head = False
        if (
            self.url == _PATH
            and (cycle is None or cycle.response_complete)
            and not self.expect_100_continue
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and parser.get_http_version() == "1.1"
            and not self.flow.write_paused
            and not self.transport.is_closing()
        ):
            self._short = True
        else:
            self._go_on()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._short and not self._body:
            self._body = body
            return
        if self._short:
            self._go_on()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        if self._short:
            taken = self.decide.direct(self.headers, self._body, self._answer)
            if taken is True:
                self._short, self._due = False, True
                return
            self._go_on(taken or None)
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        super().data_received(data)
        if self._short and not self.transport.is_closing():
            self._go_on()

    def _go_on(self, begun: Made | asyncio.Future[Made] | None = None) -> None:
        """Let the request go the ordinary way, as far as it came; it may be decided already."""
        self._short = False
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, expect
        self.headers += headers  # the list that the scope holds
        if begun is not None:
            self.scope[BEGUN] = begun  # type: ignore[literal-required]  # a key of our own
        HttpToolsProtocol.on_headers_complete(self)
        body, self._body = self._body, b""
        if body:
            super().on_body(body)

    # ------------------------------------------------------------- answers

    def _answer(self, made: Made) -> None:
        """Answer the request that is due."""
        self._due = False
        if self.transport.is_closing():
            return
        reply, encoded = made
        if isinstance(reply, Refused):
            self._go_on(made)
            super().on_message_complete()
            return
        self._resting = True
        self._answered += 1
        self.server_state.total_requests += 1
        self.transport.write(b"%b%d\r\n\r\n%b" % (self._head_of_answer(), len(encoded), encoded))
        self.decide.answered()

    def _head_of_answer(self) -> bytes:
        """An answer's head up to its length; the server's own headers, the date among them, change each
        second."""
        cls, headers = type(self), self.server_state.default_headers
        if cls._start[0] is not headers:
            lines = [b"%b: %b\r\n" % pair for pair in headers]
            cls._start = headers, b"".join((_START, *lines, _REST))
        return cls._start[1]

    def _refuse(self, problem: ProblemDetails, *headers: tuple[bytes, bytes]) -> None:
        if self._due:
            self.decide.end_turn()
        super()._refuse(problem, *headers)

    def shutdown(self) -> None:
        """The server ends."""
        if self._due:
            self.decide.end_turn()
        super().shutdown()

    def look(self, now: float) -> None:
        """Close the connection if it has waited too long for a head, or rested too long."""
        if not self._resting:
            super().look(now)
        elif self._answered != self._answered_before:
            self._answered_before, self._rests_since = self._answered, now
        elif now - self._rests_since > self.timeout_keep_alive:
            self.transport.close()


def direct(decide: DecideApp, most: int) -> type[Direct]:
    """What makes a connection's protocol: at most so many, deciding through the application."""
    return type("Direct", (Direct,), {"decide": decide, "most": most})
