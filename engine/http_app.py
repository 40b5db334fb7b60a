"""The HTTP side of a service as one ASGI application.

    app = make_app(Parts(service, Access(keys, local=True), Pressure(Limits())))

Where events are decided plain ASGI applications answer, found by their address alone; everything else is
Starlette's. Whatever goes wrong is answered as a problem (RFC 9457).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from quell.engine.http_access import Access
from quell.engine.http_body import headers_of
from quell.engine.http_bulk import ManyApp
from quell.engine.http_call import Endpoint, response_of
from quell.engine.http_decide import PATH, DecideApp
from quell.engine.http_docs import pages
from quell.engine.http_operations import operations
from quell.engine.http_parts import Parts
from quell.engine.http_paths import know_parameters
from quell.engine.http_problem import CLOSE, HttpError, details
from quell.engine.http_stream import StreamApp
from quell.engine.keys import Needed

MAX_PATH = 4_000
"""Characters."""
MAX_QUERY = 16_000
"""Bytes."""

Allowed = Callable[[Request], Response | None]


def allowed(access: Access, scope: Needed) -> Allowed:
    """What looks at a request for routes that others make: None lets it in, else that is the answer."""

    def look(request: Request) -> Response | None:
        try:
            access.enter(headers_of(request.scope), scope)
        except HttpError as error:
            return response_of(error.problem, error.headers)
        return None

    return look


class App:
    """The application over a service's parts. Its lifespan looks after the pressure it is under. A server may
    take ordinary events to `decide.direct`, as `http_direct` does."""

    def __init__(self, parts: Parts) -> None:
        service, access, pressure = parts.service, parts.access, parts.pressure
        pressure.each_second.append(access.each_second)
        self.decide = DecideApp(service, access, pressure)
        self._parts = parts
        self._plain: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
            PATH: self.decide,
            "/v1/decide/many": ManyApp(service, access, pressure),
            "/v1/decide/stream": StreamApp(service, access, pressure),
        }
        self._rest = _bounded(_starlette(parts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or look after the start and the end."""
        if scope["type"] == "http":
            await self._plain.get(scope["path"], self._rest)(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(self._parts, receive, send)
        else:  # a WebSocket
            await send({"type": "websocket.close", "code": 1002})


def make_app(parts: Parts) -> ASGIApp:
    """The application over a service's parts, with what they put around it."""
    app = App(parts)
    return app if parts.wrap is None else parts.wrap(app)


def _starlette(parts: Parts) -> Starlette:
    know_parameters()
    routes: list[BaseRoute] = [
        Route(row.path, Endpoint(parts, row), methods=[row.method], name=row.name)
        for row in operations(parts)
        if row.handler is not None
    ]
    made = Starlette(
        routes=[*routes, *pages(), *parts.live],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )
    made.router.redirect_slashes = False
    return made


def _bounded(app: ASGIApp) -> ASGIApp:
    """An application that is asked under addresses of bounded length only."""

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        if len(scope["path"]) > MAX_PATH or len(scope["query_string"]) > MAX_QUERY:
            response = response_of(details("too-long-address"), [CLOSE])
            await response(scope, receive, send)
        else:
            await app(scope, receive, send)

    return bounded


async def _refused(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: an address that is not there, a method that it does not take."""
    assert isinstance(error, HTTPException)
    kind = {404: "not-found", 405: "wrong-method"}.get(error.status_code, "bad-request")
    headers = [(k.lower().encode(), v.encode()) for k, v in (error.headers or {}).items()]
    return response_of(details(kind), headers)


async def _failed(request: Request, error: Exception) -> Response:
    return response_of(details("internal"))


async def _lifespan(parts: Parts, receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            parts.pressure.start()
            await send({"type": "lifespan.startup.complete"})
        else:
            parts.pressure.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
