"""POST /v1/decide/stream: events in lines, answered in lines while more come in.

A client that stops reading is read from no more, so it must read while it writes. A bad line is one refused
answer with its number; where the stream itself cannot go on, its last line says why.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from quell.engine.http_access import Grant
from quell.engine.http_answer import encode
from quell.engine.http_body import LINE_TYPES, Gone, Receive, Send
from quell.engine.http_bulk import BulkApp
from quell.engine.http_lines import Line, Lines
from quell.engine.http_problem import CLOSE, COMMON, HttpError, ProblemDetails, details
from quell.engine.service_keeping import Made

AHEAD = 16
"""Chunks of one stream that may wait for remote answers or the disk at once."""
_HEADERS = [(b"content-type", b"application/x-ndjson"), CLOSE, *COMMON]


class StreamApp(BulkApp):
    """POST /v1/decide/stream."""

    name = "decide/stream"
    types = LINE_TYPES

    async def answer(
        self, headers: Mapping[bytes, bytes], grant: Grant, receive: Receive, send: Send
    ) -> None:
        """Decide and answer lines to the end of the body."""
        await _Stream(self, grant, receive, send).run()


class _Ended(Exception):
    """The stream cannot go on: the problem that ends it."""

    def __init__(self, problem: ProblemDetails) -> None:
        super().__init__(problem.kind)
        self.problem = problem


class _Stream:
    """One stream under way."""

    def __init__(self, app: StreamApp, grant: Grant, receive: Receive, send: Send) -> None:
        self._app, self._grant = app, grant
        self._receive, self._send = receive, send
        self._lines = Lines(app.service.bundle.decoder.max_bytes)
        self._waiting: deque[tuple[Sequence[Line], list[Made] | asyncio.Future[list[Made]]]] = deque()
        self._started = False

    async def run(self) -> None:
        """Read lines and answer them. Raises Gone once the client went away; what it sent by then is
        decided, but for a line that was not whole."""
        try:
            more, last = True, b""
            while more:
                more = await self._next_piece()
                await self._decide_lines()
            while self._waiting:
                await self._answer_oldest()
        except _Ended as ended:
            while self._waiting:
                await self._answer_oldest()
            problem = ended.problem
            problem.line = self._lines.number + 1
            last = encode(problem) + b"\n"
        await self._put(last, more=False)

    # -------------------------------------------------------------- reading

    async def _next_piece(self) -> bool:
        """Wait for more of the body, and answer meanwhile what was decided; gives whether more is to come."""
        if not self._waiting:
            return await self._read()
        reading = asyncio.ensure_future(self._read())
        try:
            while self._waiting and not reading.done():
                oldest = self._waiting[0][1]
                if isinstance(oldest, asyncio.Future) and not oldest.done():
                    both: list[asyncio.Future[Any]] = [reading, oldest]
                    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await self._answer_oldest()
            return await reading
        finally:
            reading.cancel()

    async def _read(self) -> bool:
        pressure, task = self._app.pressure, asyncio.current_task()
        assert task is not None
        if pressure.closing:
            raise self._ended()
        pressure.wait_for_client(task, pressure.limits.pause, idle=True)
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if not pressure.was_overdue(task):
                raise
            task.uncancel()
            raise self._ended() from None
        finally:
            pressure.done_waiting(task)
        if message["type"] != "http.request":
            raise Gone
        try:
            self._app.access.check_holds(self._grant.key)
        except HttpError as error:
            raise _Ended(error.problem) from None
        more: bool = message.get("more_body", False)
        self._lines.add(message.get("body", b""), more)
        return more

    def _ended(self) -> _Ended:
        return _Ended(details("closing" if self._app.pressure.closing else "slow-body"))

    # ------------------------------------------------------------ answering

    async def _decide_lines(self) -> None:
        while lines := self._lines.take(self._app.chunk):
            while len(self._waiting) >= AHEAD:
                await self._answer_oldest()
            made = await self._app.begin(lines, self._grant)
            self._waiting.append((lines, made))
            if len(self._waiting) == 1 and isinstance(made, list):
                await self._answer_oldest()
            await asyncio.sleep(0)

    async def _answer_oldest(self) -> None:
        lines, made = self._waiting[0]
        done = await asyncio.shield(made) if isinstance(made, asyncio.Future) else made
        self._waiting.popleft()
        await self._put(b"\n".join(self._app.encoded(lines, done, numbered=True)) + b"\n")

    async def _put(self, body: bytes, more: bool = True) -> None:
        """Send lines. Raises Gone for a client that does not read them."""
        pressure, task = self._app.pressure, asyncio.current_task()
        assert task is not None
        pressure.wait_for_client(task, pressure.limits.pause)
        try:
            if not self._started:
                self._started = True
                await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
        except asyncio.CancelledError:
            if not pressure.was_overdue(task):
                raise
            task.uncancel()
            raise Gone from None
        finally:
            pressure.done_waiting(task)
