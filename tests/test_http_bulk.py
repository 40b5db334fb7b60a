"""Many events in one request: arrays, and lines that are answered while more come in."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine.http_bulk import CHUNK
from quell.engine.http_lines import Lines
from quell.engine.http_parts import Parts
from quell.engine.http_pressure import Limits
from quell.engine.keys import Keys
from tests.http_support import (
    LINES,
    PATIENCE,
    client,
    lines,
    message,
    parts_of,
    rest_of,
    running,
    send,
    service,
    until,
)
from tests.test_http_decide import Full

JSON = {"Content-Type": "application/json"}
MANY, STREAM = "/v1/decide/many", "/v1/decide/stream"


def decided(events: list[Any]) -> list[Any]:
    """What deciding the events one by one answers."""
    alone = client(parts_of())
    return [alone.post("/v1/decide", json=event).json() for event in events]


EVENTS = [message(1), message(2, content="snarf"), {"type": "other"}, message(3, at="x"), message(4)]


def test_an_array_is_answered_in_order_as_its_events_would_be_alone() -> None:
    answer = client().post(MANY, json=EVENTS)
    assert answer.status_code == 200
    assert answer.json() == decided(EVENTS)


def test_lines_are_answered_in_order_and_a_bad_one_by_its_number() -> None:
    answer = client().post(STREAM, content=lines(*EVENTS), headers=LINES)
    assert answer.headers["content-type"] == "application/x-ndjson"
    said = [json.loads(line) for line in answer.text.splitlines()]
    assert [s.pop("line", None) for s in said] == [None, None, 3, 4, None]
    assert said == decided(EVENTS)


def test_many_chunks_are_one_order() -> None:
    events = [message(n, author="one") for n in range(1, CHUNK * 2 + 20)]
    for answer in (
        client().post(MANY, json=events),
        client().post(STREAM, content=lines(*events), headers=LINES),
    ):
        said = (
            answer.json()
            if answer.headers["content-type"] == "application/json"
            else [json.loads(line) for line in answer.text.splitlines()]
        )
        assert [s["seq"] for s in said] == list(range(1, len(events) + 1))
        assert [s["id"] for s in said] == [e["id"] for e in events]


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{}", 422, "not-array"),
        (b"", 422, "not-json"),
        (b"[1,", 422, "not-json"),
        (b"[" * 3_000 + b"]" * 3_000, 422, "too-deep"),
        (b"[1,2,3,4]", 413, "too-many-events"),
        (b"[" + b"1," * 40_000 + b"1]", 413, "too-large"),
    ],
)
def test_a_body_that_is_no_array_of_events(body: bytes, status: int, kind: str) -> None:
    parts = parts_of(limits=Limits(events=3, bulk=50_000))
    answer = client(parts).post(MANY, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["kind"]) == (status, kind)
    assert parts.service.engine.stepper.seq == 0


@pytest.mark.parametrize("path", [MANY, STREAM])
def test_what_is_not_there_is_not_taken(path: str) -> None:
    headers = LINES if path == STREAM else JSON
    answer = client().post(path, content=b"[]", headers={**headers, "Quell-Deadline-Ms": "5"})
    assert (answer.status_code, answer.json()["kind"]) == (400, "bad-header")
    answer = client().post(path + "?deadline=5", content=b"[]", headers=headers)
    assert (answer.status_code, answer.json()["kind"]) == (400, "bad-request")


def test_an_array_may_be_empty() -> None:
    assert client().post(MANY, json=[]).json() == []


def test_elements_that_are_no_events_are_each_refused() -> None:
    body = b'[1, null, "\xff", [[]], {"type": "message"}, {}]'
    said = client().post(MANY, content=body, headers=JSON).json()
    kinds = ["not-object", "not-object", "not-utf8", "not-object", "missing-field", "unmatched"]
    assert [s["kind"] for s in said] == kinds
    assert all(s["verdict"] == "review" and s["status"] == 422 for s in said)


def test_a_line_that_is_too_long_ends_nothing() -> None:
    long = lines(message(content="y" * (1 << 20)))
    answer = client().post(
        STREAM, content=lines(message()) + long + b"\n\n  \n" + lines(message(2)), headers=LINES
    )
    said = [json.loads(line) for line in answer.text.splitlines()]
    assert [s.get("kind") for s in said] == [None, "too-large", None]
    assert (said[1]["line"], said[1]["status"]) == (2, 413)


def test_the_last_line_needs_no_end() -> None:
    answer = client().post(STREAM, content=lines(message()).rstrip(b"\n"), headers=LINES)
    assert json.loads(answer.text)["verdict"] == "allow"
    assert client().post(STREAM, content=b"", headers=LINES).text == ""


@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
def test_lines_are_sent_as_lines(kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = client().post(STREAM, content=lines(message()), headers=headers)
    assert (answer.status_code, answer.json()["kind"]) == (415, "wrong-content-type")


def test_while_nothing_can_be_written_each_answer_says_so() -> None:
    parts = parts_of(service(journal=Full()))
    said = client(parts).post(MANY, json=EVENTS).json()
    assert [s["status"] for s in said] == [503] * len(EVENTS)
    assert {s["kind"] for s in said} == {"unwritten"}


def test_answers_that_wait_keep_their_order() -> None:
    parts = parts_of()
    begin, began = parts.service.begin_many, []

    def later(events: Any, by_hand: bool = True) -> Any:
        loop = asyncio.get_running_loop()
        made, future = begin(events), loop.create_future()
        began.append(len(events))
        loop.call_later(0.02 if len(began) % 2 else 0.001, future.set_result, made)
        return future

    parts.service.begin_many = later  # type: ignore[method-assign]
    events = [message(n, author=f"a{n}") for n in range(1, CHUNK * 5)]
    said = client(parts).post(STREAM, content=lines(*events), headers=LINES).text.splitlines()
    assert [json.loads(line)["id"] for line in said] == [e["id"] for e in events]
    assert len(began) == 5


@pytest.mark.parametrize("path", [MANY, STREAM])
def test_no_more_are_decided_together_than_may_wait_at_once(path: str) -> None:
    parts = parts_of(service(in_flight=7))
    begin, began = parts.service.begin_many, []

    def noted(events: Any, by_hand: bool = True) -> Any:
        began.append(len(events))
        return begin(events, by_hand)

    parts.service.begin_many = noted  # type: ignore[method-assign]
    events = [message(n) for n in range(1, 21)]
    if path == MANY:
        assert client(parts).post(MANY, json=events).status_code == 200
    else:
        assert client(parts).post(STREAM, content=lines(*events), headers=LINES).status_code == 200
    assert began == [7, 7, 6]


@given(st.lists(st.binary(max_size=12), max_size=8), st.data(), st.integers(1, 20))
def test_lines_are_the_same_however_they_are_cut(parts: list[bytes], data: st.DataObject, most: int) -> None:
    whole = b"\n".join(parts)
    cut = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[a:b] for a, b in zip([0, *cut], [*cut, len(whole)], strict=True)]
    made = Lines(most)
    for place, piece in enumerate(pieces):
        made.add(piece, more=place < len(pieces) - 1)
    found = []
    while taken := made.take(3):
        found += taken
    expected = [(n, line[: most + 1]) for n, line in enumerate(whole.split(b"\n"), 1)]
    assert found == [(n, line) for n, line in expected if line and not line.isspace()]


# ------------------------------------------------------------------ over a real connection

HEAD = (
    b"POST /v1/decide/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def chunk(data: bytes) -> bytes:
    """A piece of a body in the chunked encoding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_lines_are_answered_before_the_body_ends() -> None:
    with running(parts_of()) as server, server.connect() as opened:
        opened.sendall(HEAD + chunk(lines(message(1))))
        first = opened.recv(1 << 16)
        while b'"m1"' not in first:
            first += opened.recv(1 << 16)
        opened.sendall(chunk(lines(message(2))) + chunk(b""))
        rest = rest_of(opened)
        assert b"HTTP/1.1 200" in first
        assert b'"m2"' not in first
        assert b'"m2"' in rest
        assert rest.endswith(b"0\r\n\r\n")


def test_a_line_that_breaks_off_is_not_decided() -> None:
    parts = parts_of()
    with running(parts) as server:
        with server.connect() as opened:
            opened.sendall(HEAD + chunk(lines(message(1)) + json.dumps(message(2)).encode()))
            while b'"m1"' not in opened.recv(1 << 16):
                pass
        until(lambda: parts.pressure.answers.get("decide/stream") == {499: 1})
        assert parts.service.engine.stepper.seq == 1


def stands_still(parts: Parts) -> bool:
    """Whether no event is decided for a moment."""
    seq = parts.service.engine.stepper.seq
    time.sleep(0.1)
    return seq == parts.service.engine.stepper.seq


def test_a_client_that_reads_nothing_is_read_from_no_more() -> None:
    parts = parts_of()
    event = lines(message(1, author="a" * 500))
    with running(parts) as server, server.connect() as opened:
        opened.sendall(HEAD)
        opened.settimeout(0.5)
        with pytest.raises(TimeoutError):
            send(opened, b"", (chunk(event * 100) for _ in range(8_000)))
        until(lambda: stands_still(parts))
        assert parts.service.engine.stepper.seq < 800_000
        assert client(parts).get("/healthz").status_code == 200


def test_a_stream_that_is_silent_ends_with_its_reason() -> None:
    parts = parts_of(limits=Limits(lag=PATIENCE, pause=0.3))
    with running(parts) as server, server.connect() as opened:
        opened.sendall(HEAD + chunk(lines(message(1))))
        said = rest_of(opened)
        assert b'"m1"' in said
        assert b'"kind":"slow-body"' in said
        assert b'"line":2' in said


def test_a_stream_without_a_key_ends_once_there_are_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    parts = parts_of(keys=Keys(file))
    with running(parts) as server, server.connect() as opened:
        opened.sendall(HEAD + chunk(lines(message(1))))
        said = b""
        while b'"m1"' not in said:
            said += opened.recv(1 << 16)
        Keys(file).add("first", ("decide",))
        parts.access.each_second()
        opened.sendall(chunk(lines(message(2))))
        said += rest_of(opened)
        assert b'"m2"' not in said
        assert b'"kind":"no-key"' in said
        assert b'"line":2' in said
        assert parts.service.engine.stepper.seq == 1


def test_a_stream_under_way_is_ended_when_the_service_ends() -> None:
    parts = parts_of()
    with running(parts) as server, server.connect() as opened:
        opened.sendall(HEAD + chunk(lines(message(1))))
        said = b""
        while b'"m1"' not in said:
            said += opened.recv(1 << 16)
        threading.Thread(target=server.stop).start()
        said += rest_of(opened)
        assert b'"kind":"closing"' in said
        assert said.endswith(b"0\r\n\r\n")
