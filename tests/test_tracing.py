"""Traces: when they are made, what a span says, and that it says nothing of the event."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from quell.engine.bundle import Files
from quell.engine.compile import analyse, build
from quell.engine.decision import Decision
from quell.engine.http_app import App, make_app
from quell.engine.service import Service
from quell.engine.stepper import Stepper
from quell.engine.tracing import Tracing, TracingError, exporters, trace, tracing_of
from quell.grammar.source import Source
from quell.signals.remote_types import Target
from tests.http_support import client, parts_of

needs_otel = pytest.mark.skipif(
    importlib.util.find_spec("opentelemetry") is None
    or importlib.util.find_spec("opentelemetry.sdk") is None,
    reason="OpenTelemetry is an extra: pip install 'quell[otel]'",
)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
POLICY = """
entity User
event message from "message"
  id      text = $.id
  at      time = $.at
  author  User = $.author
  text    text = $.text default ""
rule loud on message
  when text contains "SECRET"
  then block
  because "{text}"
"""
ASKING = (
    POLICY
    + """
model scam from remote "judge"
  text = text
  when length(text) > 3
  wait 1s
rule scammy on message
  when scam > 0.5
  then review
"""
)


def service(policy: str = POLICY, judge: Callable[..., Any] | None = None) -> Service:
    """A service without a journal."""
    analysis = analyse(Files("written", {"p.quell": Source("p.quell", policy)}), lints=False)
    if judge is not None:
        analysis.files.settings = replace(
            analysis.files.settings, remote={"judge": Target("judge", callable=True)}
        )
    assert not analysis.report.errors, analysis.diagnostics
    functions = None if judge is None else {"judge": judge}
    return Service(Stepper(build(analysis)), 3, functions=functions, ahead=None)


def event(n: int, text: str = "SECRET") -> bytes:
    return msgspec.json.encode(
        {"type": "message", "id": f"m{n}", "at": 1_700_000_000, "author": "u", "text": text}
    )


# ----------------------------------------------------------------------------------- on or off


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, []),
        ({"OTEL_SERVICE_NAME": "x"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ["otlp_proto_http"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, ["otlp_proto_http"]),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["otlp_proto_grpc"]),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ["console", "otlp_proto_http"]),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, []),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, []),
    ],
)
def test_the_environment_says_whether(environ: dict[str, str], names: list[str]) -> None:
    assert exporters(environ) == names


def test_without_being_asked_nothing_is_made_or_imported() -> None:
    assert tracing_of({"PATH": "/bin"}) is None


def test_asked_for_and_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(TracingError) as raised:
        tracing_of({"OTEL_TRACES_EXPORTER": "otlp"})
    assert raised.value.hint == "pip install 'quell[otel]'"


@needs_otel
def test_an_exporter_that_is_not_there() -> None:
    with pytest.raises(TracingError, match="there is no exporter `carrier-pigeon`"):
        tracing_of({"OTEL_TRACES_EXPORTER": "carrier-pigeon"})


@needs_otel
def test_a_real_exporter_is_set_up_and_taken_down() -> None:
    tracing = tracing_of({"OTEL_TRACES_EXPORTER": "console"})
    assert tracing is not None
    tracing.close()


# --------------------------------------------------------------------------------------- spans


class Traced:
    """A traced service and the spans that came of it."""

    def __init__(self, made: Service) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.service = made
        self.tracing = Tracing(provider)
        self.tracing.follow(made)
        self.app = self.tracing.wrap(self._app)
        self.status = 200

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        """Decides the body's lines, as the service's own applications do."""
        message = await receive()
        lines = message["body"].split(b"\n")
        if scope["path"] == "/v1/decide":
            made: Any = self.service.begin(lines[0])
            await made if isinstance(made, asyncio.Future) else made
        elif scope["path"] == "/v1/decide/stream":
            for line in lines:
                part: Any = self.service.begin_many([line])
                await part if isinstance(part, asyncio.Future) else part
        elif scope["path"] == "/v1/fails":
            raise RuntimeError("SECRET")
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def post(self, path: str, body: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()) -> list[Any]:
        """Ask; gives the spans of that, the request's last."""

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            del message

        async def ask() -> None:
            await self.app(
                {"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send
            )

        self.exporter.clear()
        asyncio.run(ask())
        return list(self.exporter.get_finished_spans())


@needs_otel
def test_a_request_is_a_span_with_its_decision() -> None:
    (span,) = Traced(service()).post("/v1/decide", event(1))
    assert span.name == "POST /v1/decide"
    assert dict(span.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/decide",
        "http.response.status_code": 200,
        "quell.version": 3,
        "quell.event": "message",
        "quell.verdict": "block",
        "quell.rules_fired": 1,
    }


@needs_otel
def test_a_refusal_is_told_by_its_kind() -> None:
    traced = Traced(service())
    traced.status = 400
    (span,) = traced.post("/v1/decide", b"{")
    assert span.attributes["quell.refused"] == "not-json"
    assert span.status.is_ok or span.status.is_unset
    traced.status = 503
    (span,) = traced.post("/v1/decide", b"{")
    assert not span.status.is_ok


@needs_otel
def test_many_events_are_counted_over_all_parts() -> None:
    body = b"\n".join([event(1), event(2, "calm"), b"{", event(3)])
    (span,) = Traced(service()).post("/v1/decide/stream", body)
    found = dict(span.attributes)
    assert (found["quell.events"], found["quell.refusals"], found["quell.rules_fired"]) == (4, 1, 2)


@needs_otel
def test_a_callers_trace_is_gone_on_with() -> None:
    traced = Traced(service())
    (span,) = traced.post("/v1/decide", event(1), ((b"traceparent", PARENT.encode()),))
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"
    unsampled = PARENT[:-2] + "00"
    assert traced.post("/v1/decide", event(2), ((b"traceparent", unsampled.encode()),)) == []


@needs_otel
@pytest.mark.parametrize(
    "headers",
    [
        ((b"traceparent", b"junk"),),
        ((b"traceparent", b"\xff\x00" * 500),),
        ((b"traceparent", b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01"),),
        ((b"traceparent", PARENT.encode()), (b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")),
        ((b"tracestate", b"," * 10_000), (b"baggage", b"=" * 10_000)),
    ],
)
def test_a_trace_that_is_none_begins_another(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    (span,) = Traced(service()).post("/v1/decide", event(1), headers)
    assert span.parent is None


@needs_otel
def test_nothing_of_an_event_is_in_a_span() -> None:
    traced = Traced(service())
    told = [
        *traced.post("/v1/decide", event(1)),
        *traced.post("/v1/decide/stream", event(2)),
        *traced.post("/v1/labels/User/SECRET"),
        *traced.post("/v1/decisions/SECRET/explanation"),
    ]
    with pytest.raises(RuntimeError):
        traced.post("/v1/fails")
    told += traced.exporter.get_finished_spans()
    assert len(told) == 5
    assert "SECRET" not in "".join(span.to_json() for span in told)
    assert not told[-1].status.is_ok


@needs_otel
def test_pages_and_health_are_not_traced() -> None:
    traced = Traced(service())
    for path in ("/", "/metrics", "/healthz", "/docs"):
        assert traced.post(path) == []


@needs_otel
def test_questions_to_remote_models_are_spans_under_the_request() -> None:
    async def judge(questions: list[dict[str, Any]]) -> list[float]:
        await asyncio.sleep(0)
        return [0.9 for _ in questions]

    traced = Traced(service(ASKING, judge))
    question, request = traced.post("/v1/decide", event(1, "a long text"))
    assert question.name == "ask scam"
    assert dict(question.attributes) == {"quell.model": "scam", "quell.status": "answered"}
    assert question.parent.span_id == request.context.span_id
    assert request.attributes["quell.verdict"] == "review"


@needs_otel
def test_tracing_changes_no_answer() -> None:
    traced, plain = Traced(service()), service()
    for n in range(5):
        one = event(n, "SECRET" if n % 2 else "calm")
        traced.post("/v1/decide", one)
        reply: Any = plain.begin(one)
        assert isinstance(reply[0], Decision)
    assert traced.service.engine.figures() == plain.engine.figures()


@needs_otel
def test_a_service_over_http_is_traced() -> None:
    """The service's own applications, those included that a server may otherwise be answered by directly."""
    traced = Traced(service())
    parts = parts_of(traced.service, metrics=None)
    assert isinstance(make_app(parts), App)
    parts.wrap = traced.tracing.wrap
    asked = client(parts)
    headers = {"content-type": "application/json"}
    assert asked.post("/v1/decide", content=event(1), headers=headers).status_code == 200
    assert asked.post("/v1/decide", content=b"{", headers=headers).status_code == 422
    body = b"[" + event(2) + b"," + event(3, "calm") + b"]"
    assert asked.post("/v1/decide/many", content=body, headers=headers).status_code == 200
    assert asked.get("/v1/status").status_code == 200
    spans = traced.exporter.get_finished_spans()
    assert [span.name for span in spans] == [
        "POST /v1/decide",
        "POST /v1/decide",
        "POST /v1/decide/many",
        "GET /v1/status",
    ]
    one, wrong, many, _ = (dict(span.attributes or {}) for span in spans)
    assert one["quell.verdict"] == "block"
    assert (wrong["quell.refused"], wrong["http.response.status_code"]) == ("not-json", 422)
    assert (many["quell.events"], many["quell.rules_fired"]) == (2, 1)


@needs_otel
def test_the_environment_turns_traces_on_and_off_again() -> None:
    parts = parts_of(service())
    end = trace(parts, {"OTEL_TRACES_EXPORTER": "console"})
    assert not isinstance(make_app(parts), App)
    asyncio.run(end())
    untouched = parts_of(service())
    asyncio.run(trace(untouched, {})())
    assert untouched.wrap is None


@needs_otel
def test_traces_that_cannot_be_made_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    parts = parts_of(service())
    asyncio.run(trace(parts, {"OTEL_TRACES_EXPORTER": "carrier-pigeon"})())
    assert parts.wrap is None
    assert "no traces: there is no exporter `carrier-pigeon`" in caplog.text
