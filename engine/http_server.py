"""Listening, and the ASGI server: the one place that knows which server it is.

    sockets = bind("127.0.0.1", 8600)
    await serve(app, sockets, stop=stop, listen=Listen(), closing=pressure.close)

What speaks HTTP here is guarded: a head has some seconds and some kilobytes, and as many connections are open
as leave files for the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import resource
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from quell.engine.http_decide import DecideApp
from quell.engine.http_direct import direct
from quell.engine.http_guard import Guarded, guarded
from quell.engine.service_settings import Listen

FILES_LEFT = 256
"""Open files that connections leave to everything else."""
KEEP_ALIVE = 75
"""Seconds that an idle connection stays open."""
BACKLOG = 2048
LOOK = 1.0
"""Seconds between two looks at connections."""
_log = logging.getLogger("quell.http")


class ListenError(Exception):
    """A place that cannot be listened at, or a certificate that cannot be used: `message` and `hint`."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def is_local(host: str) -> bool:
    """Whether a host is this machine alone, whatever its name leads to. Raises ListenError for no host."""
    return all(ipaddress.ip_address(str(place[0])).is_loopback for _, place in _places(host, 0))


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at every address of a host; port 0 is any free one. Raises ListenError."""
    made: list[socket.socket] = []
    try:
        for family, place in _places(host, port):
            where = (place[0], made[0].getsockname()[1] if made and port == 0 else port)
            made.append(socket.create_server(where, family=family, backlog=BACKLOG))
            made[-1].setblocking(False)
    except OSError as error:
        for opened in made:
            opened.close()
        reason = (error.strerror or type(error).__name__).partition(" (while")[0].lower()
        hint = "is it served already? --port names another" if "in use" in reason else ""
        raise ListenError(f"cannot listen at {host} port {port}: {reason}", hint) from error
    return made


def _places(host: str, port: int) -> list[tuple[int, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ListenError(f"there is no host `{host}` to listen at", "try 127.0.0.1") from error
    return list(dict.fromkeys((int(family), place) for family, _, _, _, place in found))


def more_files() -> int:
    """Let this process have as many open files as the machine allows it; gives how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1 << 20


def check_tls(listen: Listen) -> None:
    """Raises ListenError for a certificate that cannot be used."""
    if listen.tls_cert is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(listen.tls_cert, listen.tls_key)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        what = f"the certificate `{listen.tls_cert}` or its key cannot be used: {reason.lower()}"
        raise ListenError(what, "tls_cert and tls_key are PEM files that belong together") from error


# ------------------------------------------------------------------ serving


class Stop:
    """Asks a server to end: called once it lets what is under way end, called again it waits for nothing."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        """Ask."""
        if self.asked.is_set():
            self.hurry()
        self.asked.set()


async def serve(
    app: Any,
    sockets: Sequence[socket.socket],
    stop: Stop,
    listen: Listen,
    closing: Callable[[], None],
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve an application until `stop` is called; then take no more connections, call `closing`, and let
    what is under way end within the time of grace."""
    server = _Server(config_of(app, listen))
    stop.hurry = server.hurry
    serving = asyncio.ensure_future(server.serve(list(sockets)))
    watching = asyncio.ensure_future(_watch(server))
    stopping = asyncio.ensure_future(stop.asked.wait())
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        started()
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        closing()
        server.should_exit = True
        await serving
    finally:
        watching.cancel()
        stopping.cancel()
        serving.cancel()


def config_of(app: Any, listen: Listen) -> uvicorn.Config:
    """How uvicorn serves an application."""
    most = max(16, more_files() - FILES_LEFT)
    if listen.connections:
        most = min(most, listen.connections)
    decide = getattr(app, "decide", None)
    http: Any = direct(decide, most) if isinstance(decide, DecideApp) else guarded(most)
    return uvicorn.Config(
        app,
        http=http,
        loop="none",
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(listen.grace)),
        ssl_certfile=listen.tls_cert,
        ssl_keyfile=listen.tls_key,
        backlog=BACKLOG,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, without its hands on the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are heard by whoever serves."""
        yield

    def hurry(self) -> None:
        """Wait for nothing any more."""
        self.force_exit = True


async def _watch(server: uvicorn.Server) -> None:
    """Close connections whose client does not go on."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(LOOK)
        now = loop.time()
        for connection in list(server.server_state.connections):
            if isinstance(connection, Guarded):
                connection.look(now)
                connection.look_at_writing(now)
