"""Traces for OpenTelemetry: a span for each request to the API, and what was decided, without the event.

    end = trace(parts, os.environ)            # the parts of the HTTP side, before its application is made
    …
    await end()

    tracing = tracing_of(os.environ)          # or by hand: None unless the OTEL_ variables ask for traces
    tracing.follow(service)                   # what is decided is put on the request's span
    app = tracing.wrap(app)

Whether, where to and how many are the SDK's own settings: OTEL_EXPORTER_OTLP_ENDPOINT or
OTEL_TRACES_EXPORTER turn traces on, OTEL_TRACES_SAMPLER samples, OTEL_SERVICE_NAME names the service,
OTEL_SDK_DISABLED turns all off. A caller's trace is gone on with (W3C `traceparent`, or what OTEL_PROPAGATORS
says). Without them nothing here is imported or called: the service runs as if this file did not exist.

======================== ======= ===============================================================
span                     kind    attributes
======================== ======= ===============================================================
POST /v1/decide          server  http.request.method, http.route, http.response.status_code,
                                 quell.version, quell.event, quell.verdict, quell.rules_fired,
                                 quell.refused (the kind of a refusal)
POST /v1/decide/many, …  server  quell.version, quell.events, quell.refusals, quell.rules_fired
ask MODEL                client  quell.model, quell.status: a question to a remote model
======================== ======= ===============================================================
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Any

from quell.engine.decision import Decision, Refused, Reply
from quell.engine.engine import Asking
from quell.engine.logs import tell
from quell.engine.logs_format import route_of
from quell.engine.service import Service
from quell.engine.service_keeping import Made
from quell.signals.remote_types import Answer, Request
from quell.signals.remote_types import Figures as RemoteFigures

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer
    from starlette.types import ASGIApp

    from quell.engine.http_parts import Parts

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_many: ContextVar[_Many | None] = ContextVar("many", default=None)
"""What was decided in the request under way, where it has many events."""
_TRACED = "/v1/"
"""What is traced: pages, metrics and health are asked for all the time and tell nothing."""


class TracingError(Exception):
    """Traces that were asked for and cannot be made: `message`, and `hint` for what to try."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def exporters(environ: Mapping[str, str]) -> list[str]:
    """The exporters that the environment asks for, by their entry points' names; none turns traces off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    named = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if not named:
        named = "otlp" if any(environ.get(name, "").strip() for name in ENDPOINTS) else "none"
    protocol = next((environ[p].strip() for p in PROTOCOLS if environ.get(p, "").strip()), "http/protobuf")
    otlp = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}.get(protocol, f"otlp_{protocol}")
    every = (name.strip() for name in named.split(","))
    return [otlp if name == "otlp" else name for name in every if name not in ("", "none")]


def tracing_of(environ: Mapping[str, str]) -> Tracing | None:
    """What traces a service, or None where the environment does not ask for it. Raises TracingError."""
    names = exporters(environ)
    if not names:
        return None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise TracingError(
            "the environment asks for traces, and OpenTelemetry is not installed", "pip install 'quell[otel]'"
        ) from None
    made = [_exporter(name) for name in names]
    described = {
        "service.name": environ.get("OTEL_SERVICE_NAME", "quell"),
        "service.version": version("quell"),
    }
    provider = TracerProvider(resource=Resource.create(described), shutdown_on_exit=False)
    for exporter in made:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider)


def trace(parts: Parts, environ: Mapping[str, str]) -> Callable[[], Coroutine[Any, Any, None]]:
    """Trace what is answered over HTTP, if the environment asks for it; gives what ends that. Where traces
    cannot be made that is logged, and the service goes without."""
    try:
        tracing = tracing_of(environ)
    except TracingError as error:
        tell("serve.noted", what=f"no traces: {error.message} ({error.hint})")
        tracing = None
    if tracing is not None:
        tracing.follow(parts.service)
        parts.wrap = tracing.wrap

    async def end() -> None:
        if tracing is not None:
            await asyncio.to_thread(tracing.close)

    return end


def _exporter(name: str) -> Any:
    found = [point for point in entry_points(group="opentelemetry_traces_exporter") if point.name == name]
    if not found:
        raise TracingError(
            f"there is no exporter `{name}` of traces", "install it, or set OTEL_TRACES_EXPORTER"
        )
    try:
        return found[0].load()()
    except Exception as error:  # whatever it makes of its own settings
        raise TracingError(
            f"the exporter `{name}` of traces cannot be set up: {error}", "look at the OTEL_ variables"
        ) from error


class Tracing:
    """Makes spans with a provider. For one event loop."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("quell", version("quell"))

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """An ASGI application each of whose requests to the API is a span."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, StatusCode

        async def traced(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] != "http" or not scope["path"].startswith(_TRACED):
                await app(scope, receive, send)
                return
            route = _route(scope["path"])
            with self._tracer.start_as_current_span(
                f"{scope['method']} {route}",
                context=extract(_carrier(scope["headers"])),
                kind=SpanKind.SERVER,
                attributes={"http.request.method": scope["method"], "http.route": route},
                record_exception=False,  # its words may be an event's
                set_status_on_exception=False,  # and so would be these
            ) as span:
                _many.set(_Many(span))

                async def sending(message: MutableMapping[str, Any]) -> None:
                    if message["type"] == "http.response.start":
                        span.set_attribute("http.response.status_code", message["status"])
                        if message["status"] >= 500:
                            span.set_status(StatusCode.ERROR)
                    await send(message)

                try:
                    await app(scope, receive, sending)
                except Exception as error:
                    span.set_status(StatusCode.ERROR, type(error).__name__)
                    raise

        return traced

    def follow(self, service: Service) -> None:
        """Put what a service decides on the span of the request that asked, and each question to a remote
        model under it."""
        from opentelemetry.trace import get_current_span

        begin, begin_many, engine = service.begin, service.begin_many, service.engine

        def traced_begin(
            event: bytes, deadline: float | None = None, by_hand: bool = True
        ) -> Made | asyncio.Future[Made]:
            span = get_current_span()
            if not span.is_recording():
                return begin(event, deadline, by_hand)
            engine.remotes = self._asking(engine.remotes)
            made = begin(event, deadline, by_hand)
            if isinstance(made, asyncio.Future):
                made.add_done_callback(lambda done: _when_made(span, done, service.number))
            else:
                describe(span, made[0], service.number)
            return made

        def traced_many(
            events: Sequence[bytes], by_hand: bool = True
        ) -> list[Made] | asyncio.Future[list[Made]]:
            told = _many.get()
            if told is None or not told.span.is_recording():
                return begin_many(events, by_hand)
            engine.remotes = self._asking(engine.remotes)
            told.number = service.number
            made = begin_many(events, by_hand)
            if isinstance(made, asyncio.Future):
                made.add_done_callback(told.when_made)
            else:
                told.add(made)
            return made

        service.begin = traced_begin  # type: ignore[method-assign]  # so that it costs nothing when off
        service.begin_many = traced_many  # type: ignore[method-assign]

    def _asking(self, remotes: Asking | None) -> Asking | None:
        """What asks remote models, traced; a reload brings another one."""
        return remotes if remotes is None or isinstance(remotes, _Traced) else _Traced(remotes, self._tracer)

    def close(self) -> None:
        """Send what is left and end. May take as long as the exporter's time limit: call it in a thread."""
        self._provider.shutdown()


def _route(path: str) -> str:
    """An address without ids: those under /v1/decide are whole."""
    return path if path in ("/v1/decide/many", "/v1/decide/stream") else route_of(path)


def _carrier(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by name. One that stands there twice is none: whose it is cannot be told."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for name, value in headers:
        key = name.decode("latin-1")
        if key in found:
            twice.add(key)
        found[key] = value.decode("latin-1")
    for key in twice & {"traceparent", "tracestate"}:
        del found[key]
    return found


def describe(span: Span, reply: Reply, number: int) -> None:
    """Put a reply on a span: names of the policy, and nothing that came in the event."""
    span.set_attribute("quell.version", number)
    if isinstance(reply, Decision):
        span.set_attribute("quell.event", reply.event)
        span.set_attribute("quell.verdict", reply.verdict)
        span.set_attribute("quell.rules_fired", len(reply.fired))
    elif isinstance(reply, Refused):
        span.set_attribute("quell.refused", reply.kind)
        if reply.event:
            span.set_attribute("quell.event", reply.event)
    else:
        span.set_attribute("quell.event", reply.event)


def _when_made(span: Span, done: asyncio.Future[Made], number: int) -> None:
    if span.is_recording() and not done.cancelled() and done.exception() is None:
        describe(span, done.result()[0], number)


class _Many:
    """What was decided in one request with many events, which may come in several parts."""

    __slots__ = ("events", "fired", "number", "refused", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.number = self.events = self.refused = self.fired = 0

    def add(self, made: Sequence[Made]) -> None:
        """Count replies."""
        self.events += len(made)
        self.refused += sum(isinstance(reply, Refused) for reply, _ in made)
        self.fired += sum(len(reply.fired) for reply, _ in made if isinstance(reply, Decision))
        if self.span.is_recording():
            self.span.set_attribute("quell.version", self.number)
            self.span.set_attribute("quell.events", self.events)
            self.span.set_attribute("quell.refusals", self.refused)
            self.span.set_attribute("quell.rules_fired", self.fired)

    def when_made(self, done: asyncio.Future[list[Made]]) -> None:
        """The same once they are made."""
        if not done.cancelled() and done.exception() is None:
            self.add(done.result())


class _Traced:
    """Asks remote models, each question a span under the request that it is for."""

    def __init__(self, remotes: Asking, tracer: Tracer) -> None:
        self._remotes, self._tracer = remotes, tracer

    def ask(
        self, request: Request, deadline: float | None = None, token: Any = None
    ) -> asyncio.Future[Answer]:
        """As what is asked does."""
        from opentelemetry.trace import SpanKind

        attributes = {"quell.model": request.model}
        span = self._tracer.start_span(f"ask {request.model}", kind=SpanKind.CLIENT, attributes=attributes)
        try:
            future = self._remotes.ask(request, deadline, token)
        except BaseException:
            span.end()
            raise

        def ended(done: asyncio.Future[Answer]) -> None:
            if not done.cancelled() and done.exception() is None:
                span.set_attribute("quell.status", done.result().status)
            span.end()

        future.add_done_callback(ended)
        return future

    def stats(self) -> dict[str, RemoteFigures]:
        """As what is asked does."""
        return self._remotes.stats()

    async def close(self) -> None:
        """As what is asked does."""
        await self._remotes.close()
