"""The servers and applications that the benchmarks of the service put under load, each in a process of its
own: `python -m tests.bench.service_serve SERVER APPLICATION PORT`.

The applications decode JSON and encode it again: `raw` as a plain ASGI application, `starlette` as a bare
endpoint. Both are what one would write with care: the same codec, no more headers than needed. Servers that
are no dependency of Quell are imported by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from typing import Any, cast

import msgspec
import uvloop

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


async def raw(scope: Message, receive: Receive, send: Send) -> None:
    """Decode and encode, straight on ASGI."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    answer = _encode(_decode(body))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def lifespan(receive: Receive, send: Send) -> None:
    """Nothing to start and nothing to end."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def starlette() -> Application:
    """Decode and encode in a bare Starlette endpoint."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def echo(request: Request) -> Response:
        return Response(_encode(_decode(await request.body())), media_type="application/json")

    return cast(Application, Starlette(routes=[Route("/v1/decide", echo, methods=["POST"])]))


def application(name: str) -> Application:
    """An application by its name."""
    return raw if name == "raw" else starlette()


def serve_uvicorn(app: Application, port: int, http: Any = "httptools", loop: str = "uvloop") -> None:
    """Serve by uvicorn as the service does: no access log."""
    import uvicorn

    config = uvicorn.Config(
        app,
        port=port,
        http=http,
        loop=loop,
        ws="none",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
    )
    uvicorn.Server(config).run()


def serve_hypercorn(app: Application, port: int) -> None:
    """Serve by hypercorn in this process."""
    config = import_module("hypercorn.config").Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = None
    config.keep_alive_max_requests = 1_000_000_000  # it closes a connection after a thousand
    config.include_server_header = False
    uvloop.run(import_module("hypercorn.asyncio").serve(app, config))


def serve_granian(app: Application, port: int) -> None:
    """Serve by granian in this process, through its embedded server."""
    asgi = import_module("granian.constants").Interfaces.ASGI
    server = import_module("granian.server.embed").Server
    uvloop.run(server(app, port=port, interface=asgi, websockets=False).serve())


def granian_process(name: str, port: int) -> None:
    """Serve by granian as its command does: a process that watches, and a worker."""
    constants = import_module("granian.constants")
    served = import_module("granian").Granian(
        f"tests.bench.service_serve:{name}",
        port=port,
        interface=constants.Interfaces.ASGI,
        http=constants.HTTPModes.http1,
        loop=constants.Loops.uvloop,
        websockets=False,
        factory=name == "starlette",
    )
    served.serve()


SERVERS: dict[str, Callable[[str, int], None]] = {
    "uvicorn httptools uvloop": lambda app, port: serve_uvicorn(application(app), port),
    "uvicorn httptools asyncio": lambda app, port: serve_uvicorn(application(app), port, loop="asyncio"),
    "uvicorn h11 uvloop": lambda app, port: serve_uvicorn(application(app), port, http="h11"),
    "uvicorn zttp uvloop": lambda app, port: serve_uvicorn(application(app), port, http="zttp"),
    "granian embedded": lambda app, port: serve_granian(application(app), port),
    "granian worker": granian_process,
    "hypercorn uvloop": lambda app, port: serve_hypercorn(application(app), port),
}


def main() -> None:
    """Serve until the process is ended."""
    server, app, port = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        SERVERS[server](app, int(port))


if __name__ == "__main__":
    main()
