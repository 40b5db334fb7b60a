"""A service answering over HTTP until it is asked to end: settings, keys, sockets, signals."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from quell.engine.http_access import Access
from quell.engine.http_app import make_app
from quell.engine.http_parts import Parts
from quell.engine.http_server import Stop, bind, check_tls, is_local, serve
from quell.engine.keys import Keys, now
from quell.engine.logs import tell
from quell.engine.service_settings import Listen

_HANG_UPS = 2
"""What SIGHUP asks for, under way and waiting: however many come, more would do the same again."""
_log = logging.getLogger("quell.http")


class NoKeys(Exception):
    """A service that would be open to others than this machine: `message`, and `hint` for how to make a
    key."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, slots=True)
class Door:
    """Where a service listens, and who may come in. Use it as a context: leaving it ends the listening."""

    sockets: Sequence[socket.socket]
    access: Access
    listen: Listen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for opened in self.sockets:
            opened.close()

    @property
    def addresses(self) -> list[str]:
        """Where it can be reached, as URLs."""
        scheme = "http" if self.listen.tls_cert is None else "https"
        found = []
        for opened in self.sockets:
            host, port = opened.getsockname()[:2]
            found.append(f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}")
        return found


def open_door(listen: Listen, keys: Keys, make_key: str) -> Door:
    """Listen, if that is safe: elsewhere than on this machine only with a key that holds; `make_key` is the
    command that makes one. Raises NoKeys, and ListenError."""
    check_tls(listen)
    local = is_local(listen.host)
    if not local and not any(key.state(now()) == "live" for key in keys.keys):
        why = "there is no API key" if not keys.keys else "every API key is revoked or has expired"
        raise NoKeys(f"{why}, and {listen.host} can be reached by others", f"make one: {make_key}")
    return Door(bind(listen.host, listen.port), Access(keys, local), listen)


async def run(
    parts: Parts,
    door: Door,
    started: Callable[[], None] = lambda: None,
    hang_up: Callable[[], Awaitable[Any]] | None = None,
) -> None:
    """Answer until SIGTERM or Ctrl-C; `hang_up` is what SIGHUP asks for. Ctrl-C twice does not wait for what
    is under way."""
    loop = asyncio.get_running_loop()
    stop, asked = Stop(), set[asyncio.Future[Any]]()

    def hang() -> None:
        # One that is under way may have looked before what was changed last, so one more is to follow it.
        if hang_up is not None and len(asked) < _HANG_UPS:
            asked.add(task := asyncio.ensure_future(hang_up()))
            task.add_done_callback(lambda done: _told(done, asked))

    before = signal.getsignal(signal.SIGHUP)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, hang)

    def closing() -> None:
        tell("serve.stopping", waiting=parts.service.engine.waiting)
        parts.pressure.close()

    try:
        await serve(make_app(parts), door.sockets, stop, door.listen, closing, started)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        signal.signal(signal.SIGHUP, before)


def _told(done: asyncio.Future[Any], asked: set[asyncio.Future[Any]]) -> None:
    asked.discard(done)
    if not done.cancelled() and (error := done.exception()) is not None:
        _log.error("what SIGHUP asks for failed: %s", error)
