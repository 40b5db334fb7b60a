"""The short way of a decision gives what the ordinary way gives, and leaves the unusual to that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from quell.engine.http_access import Access
from quell.engine.http_app import App
from quell.engine.http_parts import Parts
from quell.engine.http_pressure import Pressure
from quell.engine.http_server import Stop, bind, serve
from quell.engine.journal import Journal, read
from quell.engine.keys import Keys
from quell.engine.service import Service
from quell.engine.service_settings import Listen
from tests.bundles import engine
from tests.http_support import CALM, PATIENCE

POLICY = """
entity User labels "spammer"

event post from "post"
  at time = $.at
  id text = $.id
  user User = $.user

rule often on post
  when count(post by user within 1h) >= 3
  then review
"""
EVENT = {"type": "post", "at": "2026-03-02T12:00:00Z", "id": "1", "user": "ü"}
LABEL = {"type": "quell.label", "at": "2026-03-02T12:00:00Z", "action": "set", "entity": "User", "id": "ü"}
LABEL |= {"label": "spammer", "by": "ann"}


@dataclass
class Served:
    """A service that answers on a port. `ways` counts the requests that the ordinary way answered."""

    service: Service
    app: App
    port: int
    key: str
    journal: Path
    ordinary: list[str] = field(default_factory=list)

    def request(self, event: object, *headers: str, line: str = "POST /v1/decide HTTP/1.1") -> bytes:
        """A request as it goes over the wire."""
        body = event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode()
        lines = [
            line,
            "Host: localhost",
            "Content-Type: application/json",
            f"Authorization: Bearer {self.key}",
        ]
        return "\r\n".join([*lines, *headers, f"Content-Length: {len(body)}", "", ""]).encode() + body

    async def ask(self, *pieces: bytes, answers: int = 1) -> list[tuple[int, dict[str, str], Any]]:
        """Send pieces on one connection, each by itself, and read so many answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01 if len(pieces) > 1 else 0)
            return [await _answer(reader) for _ in range(answers)]
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode().split("\r\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in head[1:-2])}
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers, json.loads(body)


def served(
    folder: Path, test: Callable[[Served], Coroutine[Any, Any, None]], durability: Any = "batch"
) -> None:
    """Run a test against a service that listens."""

    async def run() -> None:
        journal = Journal.open(folder / "journal", durability=durability)
        service = Service(engine(POLICY), journal=journal, ahead=None)
        keys = Keys(folder / "keys.json")
        _, text = keys.add("test", ("decide",))
        pressure = Pressure(CALM)
        app = App(Parts(service, Access(keys, local=False), pressure))
        sockets = bind("127.0.0.1", 0)
        made = Served(service, app, sockets[0].getsockname()[1], text, folder / "journal")
        _count_ordinary(app, made.ordinary)
        stop, up = Stop(), asyncio.Event()
        serving = asyncio.ensure_future(serve(app, sockets, stop, Listen(), pressure.close, up.set))
        try:
            await asyncio.wait_for(up.wait(), PATIENCE)
            await test(made)
        finally:
            stop()
            stop()
            await serving
            await service.close()
            journal.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as `quell serve` does
        runner.run(run())


def _count_ordinary(app: App, ways: list[str]) -> None:
    inner = app.decide.__class__.__call__

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        ways.append(scope["method"])
        await inner(app.decide, scope, receive, send)

    app._plain["/v1/decide"] = counted


def test_both_ways_answer_alike(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        first = (await at.ask(at.request(EVENT)))[0]  # the key is looked at
        assert len(at.ordinary) == 1
        second = (await at.ask(at.request(EVENT)))[0]
        assert len(at.ordinary) == 1
        third = (await at.ask(at.request(EVENT, "Quell-Deadline-Ms: 900")))[0]
        assert len(at.ordinary) == 2
        assert [a[0] for a in (first, second, third)] == [200, 200, 200]
        assert [a[2]["seq"] for a in (first, second, third)] == [1, 2, 3]
        assert third[2]["verdict"] == "review"
        for _, headers, _ in (first, second, third):
            del headers["date"], headers["content-length"]
        assert first[1] == second[1] == third[1] == {"content-type": "application/json"}

    served(tmp_path, test)
    assert [json.loads(e.reply)["seq"] for e in read(tmp_path / "journal")] == [1, 2, 3]


def test_answers_keep_the_order_of_requests_sent_at_once(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        await at.ask(at.request(EVENT))
        one, wrong = at.request(EVENT), at.request({"type": "post"})
        deadline = at.request(EVENT, "Quell-Deadline-Ms: 900")
        answers = await at.ask(one + one + wrong + one + deadline + one + one, answers=7)
        assert [a[0] for a in answers] == [200, 200, 422, 200, 200, 200, 200]
        assert [a[2].get("seq") for a in answers] == [2, 3, None, 4, 5, 6, 7]

    served(tmp_path, test)


def test_bodies_may_come_in_pieces(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        await at.ask(at.request(EVENT))
        whole = at.request(EVENT)
        for cut in (3, 30, len(whole) - 50, len(whole) - 20, len(whole) - 1):
            (status, _, reply), (after, _, _) = await at.ask(whole[:cut], whole[cut:] + whole, answers=2)
            assert (status, after) == (200, 200)
            assert reply["id"] == "1"

    served(tmp_path, test)


def test_chunks_are_a_body(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        await at.ask(at.request(EVENT))
        head = at.request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        body = json.dumps(EVENT).encode()
        pieces = [b"1\r\n%b\r\n" % body[i : i + 1] for i in range(len(body))]
        answers = await at.ask(head + b"".join(pieces) + b"0\r\n\r\n" + at.request(EVENT), answers=2)
        assert [a[0] for a in answers] == [200, 200]
        answers = await at.ask(
            head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) + at.request(EVENT), answers=2
        )
        assert [a[0] for a in answers] == [200, 200]
        assert answers[0][2]["id"] == "1"

    served(tmp_path, test)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda r: r.replace(b"Bearer qk_", b"Bearer qk_x"), 401),
        (lambda r: r.replace(b"application/json", b"text/plain"), 415),
        (lambda r: r.replace(b"Host:", b"Content-Encoding: gzip\r\nHost:"), 415),
        (lambda r: r.replace(b"Host:", b"Authorization: Bearer x\r\nHost:"), 400),
        (lambda r: r.replace(b"Host:", b"X: y\r\n" * 101 + b"Host:"), 431),
        (lambda r: r.replace(b"POST /", b"GET /"), 405),
        (lambda r: r.replace(b"Host:", b"Quell-Deadline-Ms: soon\r\nHost:"), 400),
        (lambda r: r.replace(b'"at"', b'"xx"'), 422),
        (lambda r: r.replace(b'{"type"', b'["type"'), 422),
    ],
)
def test_what_is_refused_is_refused_all_the_same(
    tmp_path: Path, change: Callable[[bytes], bytes], status: int
) -> None:
    async def test(at: Served) -> None:
        await at.ask(at.request(EVENT))
        answer, headers, told = (await at.ask(change(at.request(EVENT))))[0]
        assert (answer, headers["content-type"]) == (status, "application/problem+json")
        assert told["status"] == status
        assert (await at.ask(at.request(EVENT)))[0][2]["seq"] == 2  # it was not counted

    served(tmp_path, test)


def test_labels_by_hand_take_another_key(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        await at.ask(at.request(EVENT))
        for event in (
            LABEL,
            json.dumps(LABEL).replace("quell", "\\u0071uell").encode(),
            {"type": "quell.label"},
        ):
            assert (await at.ask(at.request(event)))[0][0] == 403
        assert at.service.labels_of("User", "ü", 1 << 52) == []

    served(tmp_path, test)


def test_what_the_journal_does_not_take_is_not_answered(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        await at.ask(at.request(EVENT))
        journal = at.service.journal
        assert journal is not None
        flush = journal.flush
        journal.flush = lambda: False  # type: ignore[method-assign]  # a full disk
        answers = await at.ask(at.request(EVENT) * 2, answers=2)
        assert [a[0] for a in answers] == [503, 503]
        assert answers[0][2]["kind"] == "unwritten"
        journal.flush = flush  # type: ignore[method-assign]  # room again
        assert (await at.ask(at.request(EVENT)))[0][2]["seq"] == 4

    served(tmp_path, test)


@pytest.mark.parametrize("durability", ["each", "batch", "off"])
def test_what_is_answered_is_in_the_journal(tmp_path: Path, durability: str) -> None:
    async def test(at: Served) -> None:
        answers = await at.ask(*[at.request(EVENT) * 10] * 3, answers=30)
        assert [a[2]["seq"] for a in answers] == list(range(1, 31))
        if durability != "off":
            assert [e.seq for e in read(at.journal)] == list(range(1, 31))

    served(tmp_path, test, durability)
    assert [e.seq for e in read(tmp_path / "journal")] == list(range(1, 31))


def test_nonsense_after_a_request_is_answered_after_it(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        await at.ask(at.request(EVENT))
        answers = await at.ask(at.request(EVENT) + b"no HTTP at all\r\n\r\n", answers=2)
        assert [a[0] for a in answers] == [200, 400]

    served(tmp_path, test)


@pytest.mark.parametrize(
    ("line", "status"), [("POST /v1/decide HTTP/1.0", 200), ("POST /v1/decide?x=1 HTTP/1.1", 400)]
)
def test_other_requests_go_the_ordinary_way(tmp_path: Path, line: str, status: int) -> None:
    async def test(at: Served) -> None:
        await at.ask(at.request(EVENT))
        before = len(at.ordinary)
        assert (await at.ask(at.request(EVENT, line=line)))[0][0] == status
        assert len(at.ordinary) == before + 1

    served(tmp_path, test)


def test_a_connection_is_closed_where_that_is_asked(tmp_path: Path) -> None:
    async def test(at: Served) -> None:
        await at.ask(at.request(EVENT))
        status, headers, _ = (await at.ask(at.request(EVENT, "Connection: close")))[0]
        assert (status, headers["connection"]) == (200, "close")

    served(tmp_path, test)
