"""Overload: refused early, before an event is counted; never for one late moment."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from quell.engine.http_app import make_app
from quell.engine.http_bulk import CHUNK
from quell.engine.http_pressure import BEAT, Limits, Pressure
from quell.engine.http_problem import HttpError
from tests.http_support import (
    LINES,
    PATIENCE,
    Running,
    client,
    lines,
    message,
    parts_of,
    rest_of,
    running,
    until,
)


def beats(pressure: Pressure, late: list[float]) -> list[bool]:
    """Whether the service is overloaded after each beat."""
    found, now = [], 100.0
    for lag in late:
        now += BEAT + lag
        pressure.beat(lag, now)
        found.append(pressure.overloaded)
    return found


def test_one_late_moment_is_no_overload() -> None:
    pressure = Pressure(Limits(lag=0.2, patience=0.5))
    assert beats(pressure, [0.0, 3.0, 0.0, 0.19, 0.21]) == [False] * 5


def test_a_loop_that_stays_late_is_overload_until_it_is_not() -> None:
    pressure = Pressure(Limits(lag=0.2, patience=1.0))
    assert beats(pressure, [0.3, 0.3, 0.3, 0.3, 0.3, 0.1]) == [False, False, False, False, True, False]


def test_events_are_shed_before_they_are_counted() -> None:
    parts = parts_of(limits=Limits())
    parts.pressure.beat(1.0, 10.0)
    assert not parts.pressure.overloaded
    parts.pressure.beat(1.0, 11.0)
    asked = client(parts)
    for path, more in (
        ("/v1/decide", {"json": message()}),
        ("/v1/decide/many", {"json": [message()]}),
        ("/v1/decide/stream", {"content": lines(message()), "headers": LINES}),
    ):
        answer = asked.post(path, **more)
        assert (answer.status_code, answer.json()["kind"]) == (503, "overload")
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["verdict"] == "review"
    assert parts.service.engine.stepper.seq == 0
    said = asked.get("/v1/status").json()  # whoever looks is not turned away
    assert (said["http"]["shed"], said["http"]["overloaded"]) == (3, True)
    parts.pressure.beat(0.0, 12.0)
    assert asked.post("/v1/decide", json=message()).status_code == 200


def test_no_more_requests_are_under_way_than_allowed() -> None:
    pressure = Pressure(Limits(under_way=2))
    pressure.under_way = 2
    pressure.enter()
    pressure.under_way = 3
    with pytest.raises(HttpError):
        pressure.enter()
    assert pressure.shed == 1


def test_requests_are_counted_out_whatever_becomes_of_them() -> None:
    parts = parts_of()
    asked = client(parts)
    asked.post("/v1/decide", json=message())
    asked.post("/v1/decide", content=b"x")
    asked.get("/v1/decide")
    asked.post("/v1/decide/many", content=b"x")
    asked.post("/v1/decide/stream", content=lines({}), headers=LINES)
    assert parts.pressure.under_way == 0
    assert parts.figures().answers["decide"] == {"200": 1, "405": 1, "415": 1}


class Heard(Pressure):
    """Notes how late the loop was."""

    def beat(self, late: float, now: float) -> None:
        super().beat(late, now)
        self.latest = max(late, getattr(self, "latest", 0.0))


def test_a_loop_that_is_held_up_is_noticed() -> None:
    async def main() -> float:
        pressure = Heard(Limits())
        pressure.start()
        try:
            await asyncio.sleep(BEAT * 2)
            threading.Event().wait(0.1)  # holds the loop up
            await asyncio.sleep(BEAT * 2)
            return pressure.latest
        finally:
            pressure.stop()

    assert asyncio.run(main()) > 0.03


def test_what_is_done_each_second_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    pressure, done = Pressure(Limits()), []

    def broken() -> None:
        raise ZeroDivisionError

    pressure.each_second += [broken, lambda: done.append(1)]
    pressure._tell()
    assert done == [1]
    assert "ZeroDivisionError" in caplog.text


def test_a_service_that_closes_takes_no_events() -> None:
    parts = parts_of()
    parts.pressure.close()
    answer = client(parts).post("/v1/decide", json=message())
    assert (answer.status_code, answer.json()["kind"]) == (503, "closing")
    assert client(parts).get("/readyz").status_code == 503
    assert client(parts).get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/reload"),
        ("POST", "/v1/versions/1/put-back"),
        ("GET", "/v1/decisions/1/explanation"),
    ],
)
def test_a_service_that_closes_does_not_wait_for_what_may_take_long(method: str, path: str) -> None:
    parts, begun, ended = parts_of(), threading.Event(), threading.Event()

    async def for_ever(*asked: Any) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    parts.reload = parts.put_back = parts.explain = for_ever
    with running(parts) as server, server.http() as asked, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(asked.request, method, path)
        assert begun.wait(PATIENCE)
        server.stop()
        answer = waiting.result()
    assert (answer.status_code, answer.json()["kind"]) == (503, "closing")
    assert ended.is_set()


def test_nothing_that_may_take_long_is_begun_while_a_service_closes() -> None:
    begun: list[str] = []

    async def work() -> None:
        begun.append("begun")

    async def closing() -> None:
        pressure = Pressure(Limits())
        pressure.close()
        with pytest.raises(HttpError, match="does not wait"):
            await pressure.unless_closing(work())

    asyncio.run(closing())
    assert not begun


def test_work_that_may_take_long_ends_with_who_waits_for_it() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def cancelled() -> None:
        waiting = asyncio.ensure_future(Pressure(Limits()).unless_closing(work()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)

    asyncio.run(cancelled())
    assert ended == ["ended"]


def test_a_body_that_comes_too_slowly_is_given_up() -> None:
    parts = parts_of(limits=Limits(lag=PATIENCE, body_timeout=0.3))
    head = b"POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with running(parts) as server, server.connect() as opened:
        opened.sendall(head + b"Content-Length: 100\r\n\r\n{")
        said = rest_of(opened)
    assert b"HTTP/1.1 408" in said
    assert b'"kind":"slow-body"' in said
    assert parts.figures().slow == 1
    assert parts.pressure.under_way == 0


def test_under_more_than_it_can_do_a_service_answers_some_and_turns_the_rest_away_uncounted() -> None:
    parts = parts_of(limits=Limits(lag=0.02, patience=0.1))
    engine: Any = parts.service.engine
    begin = engine.begin

    def slowly(*given: Any, **more: Any) -> Any:
        threading.Event().wait(0.02)
        return begin(*given, **more)

    engine.begin = slowly
    found: Counter[int] = Counter()
    one_at_a_time = threading.Lock()
    end = time.monotonic() + PATIENCE

    def ask(server: Running, number: int) -> None:
        with server.http() as asked:
            while not (found[503] > 20 and found[200]):
                status = asked.post("/v1/decide", json=message(author=f"u{number}")).status_code
                with one_at_a_time:
                    found[status] += 1
                assert time.monotonic() < end, found

    with running(parts) as server, ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: ask(server, number), range(16)))
    assert set(found) == {200, 503}
    assert parts.service.engine.stepper.seq == found[200]
    assert parts.figures().shed == found[503]


def test_bodies_together_have_a_bound_and_one_alone_has_none() -> None:
    pressure = Pressure(Limits(bodies=100))
    with pressure.room() as first:
        first.take(150)
        with pytest.raises(HttpError) as refused, pressure.room() as second:
            second.take(1)
        assert refused.value.problem.kind == "overload"
        first.take(50)
    assert (pressure.bodies, pressure.shed) == (0, 1)


def test_bodies_that_do_not_end_keep_others_out_but_not_events() -> None:
    parts = parts_of(limits=Limits(bodies=1 << 20, body_timeout=60))
    head = b"POST /v1/decide/many HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with running(parts) as server, server.connect() as first:
        first.sendall(head + b"Content-Length: 3000000\r\n\r\n[" + b" " * 2_000_000)
        until(lambda: parts.pressure.bodies == 2_000_001)
        said = server.ask(head + b"Content-Length: 3000000\r\n\r\n[" + b" " * 2_000_000)
        assert b" 503 " in said
        assert b"retry-after" in said
        with server.http() as asked:
            assert asked.post("/v1/decide", json=message()).status_code == 200
        first.close()
        until(lambda: parts.pressure.bodies == 0)


def test_clients_with_many_events_take_turns() -> None:
    """However many there are, whoever sends one event waits for no more than some of theirs."""
    parts = parts_of()
    body = lines(*(message(n) for n in range(4 * CHUNK)))
    most, done = 0, False

    async def ticks() -> None:
        nonlocal most
        while not done:
            before = parts.service.engine.stepper.seq
            await asyncio.sleep(0)
            most = max(most, parts.service.engine.stepper.seq - before)

    async def main() -> None:
        nonlocal done
        ticking = asyncio.ensure_future(ticks())
        transport = httpx.ASGITransport(make_app(parts))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asked:
            await asyncio.gather(
                *(asked.post("/v1/decide/stream", content=body, headers=LINES) for _ in range(6))
            )
        done = True
        await ticking

    asyncio.run(main())
    assert parts.service.engine.stepper.seq == 24 * CHUNK
    assert most == CHUNK
