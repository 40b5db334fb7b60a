"""POST /v1/decide: answers, refusals, and what surrounds the event."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from quell.engine.event_problems import KINDS
from quell.engine.http_pressure import Limits
from quell.engine.http_problem import HTTP_KINDS
from tests.http_support import BUNDLE, client, message, parts_of, service

JSON = {"Content-Type": "application/json"}


def test_an_event_is_answered_by_its_decision() -> None:
    answer = client().post("/v1/decide", json=message(content="you grobbler"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    assert said["verdict"] == "block"
    assert said["fired"][0]["rule"] == "bad"
    assert said["labels"][0]["label"] == "spammer"
    assert said["sends"] == [{"sink": "queue", "rule": "bad", "payload": {"author": "u1"}}]
    assert (said["seq"], said["decided"]) == (1, 1)


def test_a_content_type_may_say_its_encoding() -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    answer = client().post("/v1/decide", content=json.dumps(message()), headers=headers)
    assert answer.status_code == 200


REFUSED: list[tuple[Any, str, int, str]] = [
    (message(at="yesterday"), "bad-time", 422, "$.at"),
    ({"type": "message", "id": "1", "at": "2026-01-01T00:00:00Z"}, "missing-field", 422, "$.author"),
    ({"type": "other"}, "unmatched", 422, "$.type"),
    ([], "not-object", 422, "$"),
    (message(content="x" * (1 << 20)), "too-large", 413, ""),
]


@pytest.mark.parametrize(("event", "kind", "status", "path"), REFUSED, ids=[r[1] for r in REFUSED])
def test_an_event_that_is_refused_is_a_problem_to_act_on(
    event: Any, kind: str, status: int, path: str
) -> None:
    answer = client().post("/v1/decide", json=event)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["kind"] == kind
    assert said["type"] == f"/problems/{kind}"
    assert said["status"] == status
    assert said.get("path", "") == path
    assert said["verdict"] == "review"


def test_a_refusal_names_all_values_at_fault_and_what_to_try() -> None:
    event = {"type": "purchase", "at": 1, "amount": "many"}
    said = client().post("/v1/decide", json=event).json()
    assert {p["field"] for p in said["problems"]} == {"buyer", "amount"}
    said = client().post("/v1/decide", json={"type": "mesage"}).json()
    assert "message" in said["hint"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "empty"),
        (b"{", "not-json"),
        (b'{"type": "message", "id": "\xff"}', "not-utf8"),
        (b"[" * 100_000, "too-deep"),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "too-deep"),
        (b"\x00", "not-json"),
        ('{"type": "message"}'.encode("utf-16"), "not-utf8"),
    ],
)
def test_a_body_that_is_no_event(body: bytes, kind: str) -> None:
    answer = client().post("/v1/decide", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["kind"]) == (422, kind)


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({}, 415, "wrong-content-type"),
        ({"Content-Type": "text/plain"}, 415, "wrong-content-type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "wrong-content-type"),
        ({"Content-Type": "application/jsonx"}, 415, "wrong-content-type"),
        ({**JSON, "Content-Encoding": "gzip"}, 415, "wrong-encoding"),
        ({**JSON, "Quell-Deadline-Ms": "0"}, 400, "bad-header"),
        ({**JSON, "Quell-Deadline-Ms": "-5"}, 400, "bad-header"),
        ({**JSON, "Quell-Deadline-Ms": "1.5"}, 400, "bad-header"),
        ({**JSON, "Quell-Deadline-Ms": "600001"}, 400, "bad-header"),
        ({**JSON, "Quell-Deadline-Ms": "nan"}, 400, "bad-header"),
        ({**JSON, **{f"X-{n}": "1" for n in range(120)}}, 431, "too-many-headers"),
    ],
)
def test_headers_are_held_to_their_rules(headers: dict[str, str], status: int, kind: str) -> None:
    parts = parts_of()
    answer = client(parts).post("/v1/decide", content=json.dumps(message()), headers=headers)
    assert (answer.status_code, answer.json()["kind"]) == (status, kind)
    assert parts.service.engine.stepper.seq == 0


@pytest.mark.parametrize(
    "name", ["Content-Type", "Host", "Content-Length", "Authorization", "Quell-Deadline-Ms"]
)
def test_a_header_that_stands_there_twice_is_refused(name: str) -> None:
    headers = [("Content-Type", "application/json"), ("Host", "localhost"), (name, "5"), (name, "6")]
    answer = client().post("/v1/decide", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["kind"]) == (400, "bad-header")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_events_are_posted(method: str) -> None:
    answer = client().request(method, "/v1/decide")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_there_are_no_parameters() -> None:
    answer = client().post("/v1/decide?dry=1", json=message())
    assert (answer.status_code, answer.json()["kind"]) == (400, "bad-request")


def test_a_deadline_is_handed_on() -> None:
    parts, heard = parts_of(), list[float | None]()
    begin = parts.service.begin

    def hear(event: bytes, deadline: float | None = None, by_hand: bool = True) -> Any:
        heard.append(deadline)
        return begin(event, deadline, by_hand)

    parts.service.begin = hear  # type: ignore[method-assign]
    client(parts).post("/v1/decide", json=message(), headers={"Quell-Deadline-Ms": "250"})
    client(parts).post("/v1/decide", json=message(2))
    assert heard == [0.25, None]


def test_an_answer_that_waits_is_waited_for() -> None:
    parts = parts_of()
    begin = parts.service.begin

    def later(event: bytes, deadline: float | None = None, by_hand: bool = True) -> Any:
        made, future = begin(event, deadline), asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, future.set_result, made)
        return future

    parts.service.begin = later  # type: ignore[method-assign]
    assert client(parts).post("/v1/decide", json=message()).json()["verdict"] == "allow"


class Full:
    """A journal on a disk that is full."""

    problem = "no space left on device"
    durability = "batch"

    def append(self, *entry: Any) -> None:
        """Take it."""

    def flush(self) -> bool:
        """Cannot."""
        return False

    def synced(self) -> None:
        """Nothing to wait for."""


def test_what_cannot_be_written_is_not_answered() -> None:
    parts = parts_of(service(journal=Full()))
    answer = client(parts).post("/v1/decide", json=message())
    assert (answer.status_code, answer.json()["kind"]) == (503, "unwritten")
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["verdict"] == "review"
    ready = client(parts).get("/readyz")
    assert ready.status_code == 503
    assert "no space left" in ready.json()["detail"]
    assert client(parts).get("/healthz").status_code == 200


def test_a_defect_is_answered_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    parts = parts_of()

    def broken(event: bytes, deadline: float | None = None, by_hand: bool = True) -> Any:
        raise ZeroDivisionError("secret")

    parts.service.begin = broken  # type: ignore[method-assign]
    answer = client(parts).post("/v1/decide", json=message())
    assert (answer.status_code, answer.json()["kind"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.json()["verdict"] == "review"
    assert "secret" in caplog.text  # whoever runs the service is told


def test_a_body_may_be_as_long_as_the_bundle_allows_unless_settings_say_less() -> None:
    long = message(content="x" * 5_000)
    assert client().post("/v1/decide", json=long).status_code == 200
    answer = client(parts_of(limits=Limits(body=4_000))).post("/v1/decide", json=long)
    assert (answer.status_code, answer.json()["kind"]) == (413, "too-large")
    assert answer.headers["connection"] == "close"


def test_an_event_that_is_dated_ahead_is_refused() -> None:
    answer = client().post("/v1/decide", json=message(at="2999-01-01T00:00:00Z"))
    assert (answer.status_code, answer.json()["kind"]) == (422, "ahead")


def test_every_kind_of_refusal_has_a_title() -> None:
    for kind in KINDS:
        assert kind in HTTP_KINDS or KINDS[kind]
    assert all(k.title and k.meaning for k in HTTP_KINDS.values())
    assert "on failure review" in BUNDLE
