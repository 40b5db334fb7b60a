"""Connections to one place, kept open and used again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from quell.signals.remote_connection import Connection, Reply, Stale
from quell.signals.remote_types import CallError

IDLE_SECONDS = 10.0
"""How long a connection that is not used stays open."""


class Pool:
    """Asks over the connections that `connect` opens, each of which is in `open` while it is; `connect`
    raises CallError."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self.open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._sweeper: asyncio.TimerHandle | None = None

    async def exchange(self, request: bytes) -> Reply:
        """The answer to a request, which may reach the other side twice. Raises CallError."""
        kept = self._take()
        if kept is not None:
            try:
                return await self._ask(kept, request)
            except Stale:  # asking twice does no harm
                pass
        try:
            return await self._ask(await self._connect(), request)
        except Stale:
            raise CallError("failed", "closed the connection before its answer was whole") from None

    async def _ask(self, connection: Connection, request: bytes) -> Reply:
        reply = await connection.ask(request)
        if connection.reusable:
            self._keep(connection)
        else:
            connection.abort()
        return reply

    def _take(self) -> Connection | None:
        """The connection used last, which is the least likely to have been closed at the other end."""
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
        return None

    def _keep(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(IDLE_SECONDS, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what has not been used for a while; the longest unused stand first."""
        self._sweeper = None
        now = loop.time()
        kept = [c for c in self._idle if c.reusable and now < c.idle_since + IDLE_SECONDS]
        for connection in set(self._idle).difference(kept):
            connection.abort()
        self._idle = kept
        if kept:
            self._sweeper = loop.call_at(kept[0].idle_since + IDLE_SECONDS, self._sweep, loop)

    async def close(self) -> None:
        """Close every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._idle.clear()
        for connection in list(self.open):
            connection.abort()
        for _ in range(100):  # each leaves when asyncio tells it that it has gone, one or two steps on
            if not self.open:
                return
            await asyncio.sleep(0)
