"""Idempotency-Key over HTTP: repeats in turn and at once, other bodies, other API keys, hostile keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from quell.engine.http_pressure import Limits
from quell.engine.journal_format import JournalError
from tests.http_support import LINES, client, keyring, lines, message, parts_of, running
from tests.test_http_direct import EVENT, Served, served

KEY = "Idempotency-Key"
REPLAYED = "idempotent-replayed"


def test_a_repeat_gets_the_same_bytes_and_says_so() -> None:
    parts = parts_of()
    asked = client(parts)
    first = asked.post("/v1/decide", json=message(content="you grobbler"), headers={KEY: "k"})
    assert (first.status_code, REPLAYED in first.headers) == (200, False)
    for _ in range(3):
        again = asked.post("/v1/decide", json=message(content="you grobbler"), headers={KEY: "k"})
        assert (again.status_code, again.headers[REPLAYED]) == (200, "true")
        assert again.content == first.content
        assert again.headers["content-type"] == "application/json"
    assert parts.service.engine.stepper.seq == 1
    plain = asked.post("/v1/decide", json=message(content="you grobbler"))
    assert (plain.json()["seq"], REPLAYED in plain.headers) == (2, False)


def test_another_body_under_a_key_is_refused() -> None:
    parts = parts_of()
    asked = client(parts)
    assert asked.post("/v1/decide", json=message(), headers={KEY: "k"}).status_code == 200
    for body in (json.dumps(message(2)), json.dumps(message()) + " ", "", "{"):
        headers = {KEY: "k", "Content-Type": "application/json"}
        answer = asked.post("/v1/decide", content=body, headers=headers)
        said = answer.json()
        assert (answer.status_code, said["kind"]) == (422, "other-event")
        assert (said["type"], said["verdict"]) == ("/problems/other-event", "review")
        assert REPLAYED not in answer.headers
    assert parts.service.engine.stepper.seq == 1


def test_refused_events_and_requests_leave_the_key_free() -> None:
    parts = parts_of(limits=Limits(body=400))
    asked = client(parts)
    refused = [
        asked.post("/v1/decide", json=message(at="yesterday"), headers={KEY: "k"}),
        asked.post("/v1/decide", content=b"{", headers={KEY: "k", "Content-Type": "application/json"}),
        asked.post("/v1/decide", content=b"{}", headers={KEY: "k", "Content-Type": "text/plain"}),
        asked.post("/v1/decide", json=message(content="x" * 500), headers={KEY: "k"}),
        asked.post("/v1/decide?a=1", json=message(), headers={KEY: "k"}),
        asked.post("/v1/decide", json=message(), headers={KEY: "k", "Quell-Deadline-Ms": "0"}),
    ]
    assert [answer.status_code for answer in refused] == [422, 422, 415, 413, 400, 400]
    parts.pressure.closing = True
    assert asked.post("/v1/decide", json=message(), headers={KEY: "k"}).status_code == 503
    parts.pressure.closing = False
    answer = asked.post("/v1/decide", json=message(), headers={KEY: "k"})
    assert (answer.json()["seq"], REPLAYED in answer.headers) == (1, False)


BAD = [b"", b" ", b"a b", b"\xe9", b"\xc3\xa9", b"a\tb", b"x" * 201, b"\x7f", b"\xff" * 200]


@pytest.mark.parametrize("key", BAD, ids=repr)
def test_a_key_that_is_none_is_refused(key: bytes) -> None:
    parts = parts_of()
    headers = [(b"Idempotency-Key", key), (b"Content-Type", b"application/json")]
    answer = client(parts).post("/v1/decide", content=json.dumps(message()), headers=headers)
    assert (answer.status_code, answer.json()["kind"]) == (400, "bad-header")
    assert "1 to 200" in answer.json()["detail"]
    assert parts.service.engine.stepper.seq == 0


@pytest.mark.parametrize("twice", ["k", "l"])
def test_two_keys_are_refused(twice: str) -> None:
    headers = [("Content-Type", "application/json"), (KEY, "k"), (KEY, twice)]
    answer = client().post("/v1/decide", content=json.dumps(message()), headers=headers)
    assert (answer.status_code, answer.json()["kind"]) == (400, "bad-header")


def test_many_events_take_no_key_together() -> None:
    parts = parts_of()
    many = client(parts).post("/v1/decide/many", json=[message()], headers={KEY: "k"})
    stream = client(parts).post("/v1/decide/stream", content=lines(message()), headers={**LINES, KEY: "k"})
    for answer in (many, stream):
        assert (answer.status_code, answer.json()["kind"]) == (400, "bad-header")
        assert "`Idempotency-Key` is for /v1/decide alone" in answer.json()["detail"]
    assert parts.service.engine.stepper.seq == 0


def test_keys_are_each_api_keys_own(tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    parts = parts_of(keys=ring.keys, local=False)
    mine, theirs = ring.headers("decide"), ring.headers("admin")
    asked = client(parts)
    first = asked.post("/v1/decide", json=message(), headers={**mine, KEY: "k"})
    other = asked.post("/v1/decide", json=message(2), headers={**theirs, KEY: "k"})
    assert [first.json()["seq"], other.json()["seq"]] == [1, 2]
    again = asked.post("/v1/decide", json=message(), headers={**mine, KEY: "k"})
    assert (again.content, again.headers[REPLAYED]) == (first.content, "true")
    for headers in ({}, ring.headers("read"), {"Authorization": "Bearer qk_no"}):
        answer = asked.post("/v1/decide", json=message(), headers={**headers, KEY: "k"})
        assert answer.status_code in (401, 403)
        assert REPLAYED not in answer.headers


def test_a_defect_is_told_as_such(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    parts = parts_of()

    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(parts.service.once, "decide", broken)
    answer = client(parts).post("/v1/decide", json=message(), headers={KEY: "k"})
    assert (answer.status_code, answer.json()["kind"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "secret" in caplog.text


def test_an_answer_that_the_journal_has_lost_is_no_defect(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    parts = parts_of()

    async def lost(*_: Any, **__: Any) -> Any:
        raise JournalError("the journal is damaged: `/secret/place`")

    monkeypatch.setattr(parts.service.once, "decide", lost)
    answer = client(parts).post("/v1/decide", json=message(), headers={KEY: "k"})
    assert (answer.status_code, answer.json()["kind"]) == (500, "lost-answer")
    assert "secret" not in answer.text
    (record,) = [record for record in caplog.records if record.name == "quell.http"]
    assert "/secret/place" in record.getMessage()
    assert record.exc_info is None


# ------------------------------------------------------------------ over a real connection


def on_a_server(folder: Path, test: Callable[[Served], Coroutine[Any, Any, None]]) -> None:
    """Run a test against a server, once for each way to bring an answer to disk."""
    for durability in ("batch", "each"):
        (folder / durability).mkdir()
        served(folder / durability, test, durability)


def test_repeats_at_once_are_one_decision(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        said = await asyncio.gather(*(at.ask(at.request(EVENT, f"{KEY}: k")) for _ in range(12)))
        answers = [one[0] for one in said]
        assert {status for status, _, _ in answers} == {200}
        assert {body["seq"] for _, _, body in answers} == {1}
        assert sum(REPLAYED in headers for _, headers, _ in answers) == 11
        assert at.service.engine.stepper.seq == 1

    on_a_server(tmp_path, test)


def test_several_on_one_connection_without_waiting_are_answered_in_order(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        keyed, plain = at.request(EVENT, f"{KEY}: k"), at.request(EVENT)
        await at.ask(plain)
        before = len(at.ordinary)
        said = await at.ask(b"".join((plain, keyed, plain, keyed, plain)), answers=5)
        assert [body["seq"] for _, _, body in said] == [2, 3, 4, 3, 5]
        assert [REPLAYED in headers for _, headers, _ in said] == [False, False, False, True, False]
        assert len(at.ordinary) >= before + 2  # those with a key go the ordinary way

    on_a_server(tmp_path, test)


def test_an_answer_that_nobody_heard_is_given_to_who_asks_again(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(at.request(EVENT, f"{KEY}: lost"))
            await writer.drain()
            writer.transport.abort()
            del reader
        said = await at.ask(at.request(EVENT, f"{KEY}: lost"))
        assert said[0][2]["seq"] == at.service.engine.stepper.seq == 1

    on_a_server(tmp_path, test)


def test_a_request_without_a_key_goes_the_short_way(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        await at.ask(at.request(EVENT))
        before = len(at.ordinary)
        await at.ask(at.request(EVENT, f"{KEY}: k"))
        assert len(at.ordinary) == before + 1
        for _ in range(5):
            await at.ask(at.request(EVENT))
        assert len(at.ordinary) == before + 1

    served(tmp_path, test)


def test_blanks_around_a_key_are_no_part_of_it() -> None:
    body = json.dumps(message()).encode()
    with running(parts_of()) as at:
        said = []
        for shown in (b"k", b"  k  ", b"k\t"):
            head = b"POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            head += b"Connection: close\r\nIdempotency-Key: %b\r\n" % shown
            said.append(at.ask(head + b"Content-Length: %d\r\n\r\n" % len(body) + body))
    assert [b"idempotent-replayed: true" in answer for answer in said] == [False, True, True]
    assert all(b'"seq":1' in answer for answer in said)


def test_the_description_tells_of_it() -> None:
    described = client().get("/openapi.json").json()
    asked = described["paths"]["/v1/decide"]["post"]
    (parameter,) = [p for p in asked["parameters"] if p["name"] == KEY]
    assert (parameter["in"], parameter["required"]) == ("header", False)
    assert "Idempotent-Replayed" in asked["responses"]["200"]["headers"]
    assert "headers" not in described["paths"]["/v1/decide/many"]["post"]["responses"]["200"]
