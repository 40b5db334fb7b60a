"""Remote models over HTTP, against a server that misbehaves: every question is answered, nothing is left."""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import ssl
import subprocess
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from quell.signals.remote import Answer, Figures, Remotes, RemoteSpec, Request, Target
from tests.remote_server import ENDS, WRONG, RemoteServer, flapping

MS = 1_000
PATIENT = 60_000 * MS
"""A wait that is never reached: only what is told ends these tests, however slow the machine."""
NAME = "scam-classifier"


def remotes(server: RemoteServer, wait: int = PATIENT, late: list[Any] | None = None, **how: Any) -> Remotes:
    said = late if late is not None else []
    environ = how.pop("environ", {})
    how = {"timeout": PATIENT, "failures": 0, "url": server.url, **how}
    return Remotes(
        {"scam": RemoteSpec("scam", NAME, ("text", "n"), (), wait)},
        {NAME: Target(NAME, **how)},
        on_late=lambda spec, request, value, token: said.append((value, token)),
        environ=environ,
    )


def scam(text: str) -> Request:
    return Request("scam", (text, 3))


def figures(asked: Remotes) -> Figures:
    return asked.stats()[NAME]


def _of_server(task: asyncio.Task[Any]) -> bool:
    """Whether a task is the server's: one connection, or its TLS handshake."""
    return getattr(task.get_coro(), "__qualname__", "") in (
        "RemoteServer._serve",
        "BaseSelectorEventLoop._accept_connection2",
    )


@asynccontextmanager
async def nothing_left(asked: Remotes, server: RemoteServer) -> AsyncIterator[None]:
    """Close afterwards, and see that no task of ours and no connection is left."""
    before = asyncio.all_tasks()
    yield
    await asked.close()
    assert {t for t in asyncio.all_tasks() - before if not _of_server(t)} == set()
    while server.open or asyncio.all_tasks() - before:  # the server hears of the end a moment later, or never
        await asyncio.sleep(0.001)
    assert figures(asked).in_flight == figures(asked).waiting == 0


def run(test: Callable[[RemoteServer], Awaitable[None]]) -> None:
    """Run with a server; whatever the event loop would only log is an error."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: told.append(context))
        before = asyncio.all_tasks()
        async with RemoteServer() as server:
            await test(server)
        gc.collect()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        assert told == []

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(asyncio.wait_for(main(), 120))


# ---------------------------------------------------------------------- what goes over the wire


def test_the_wire() -> None:
    async def test(server: RemoteServer) -> None:
        headers = (("Authorization", "Bearer env:TOKEN"), ("X-Team", "abuse"))
        asked = remotes(server, version="7", headers=headers, environ={"TOKEN": "t0k"})
        async with nothing_left(asked, server):
            assert await asked.ask(Request("scam", ("ein Wörtchen\0", None))) == Answer("answered", 0.5)
        assert server.bodies == [
            {"model": "scam", "version": "7", "inputs": [{"text": "ein Wörtchen\0", "n": None}]}
        ]
        head = server.heads[0]
        assert head[0] == "POST /score?v=1 HTTP/1.1"
        assert sorted(line for line in head[1:] if line and not line.startswith("Content-Length")) == [
            "Accept-Encoding: identity",
            "Accept: application/json",
            "Authorization: Bearer t0k",
            "Content-Type: application/json",
            f"Host: localhost:{server.port}",
            "User-Agent: quell",
            "X-Team: abuse",
        ]

    run(test)


def test_batches_keep_their_order() -> None:
    async def test(server: RemoteServer) -> None:
        server.answer = lambda inputs: {"score": float(inputs["text"])}
        asked = remotes(server, batch=8, concurrency=3)
        async with nothing_left(asked, server):
            answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(100)))
        assert [a.value for a in answers] == [float(n) for n in range(100)]
        assert {len(body["inputs"]) for body in server.bodies} <= {8, 4}
        assert server.accepted <= 3

    run(test)


def test_connections_are_used_again() -> None:
    async def test(server: RemoteServer) -> None:
        asked = remotes(server, concurrency=5)
        async with nothing_left(asked, server):
            for _ in range(4):
                answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(50)))
                assert {a.status for a in answers} == {"answered"}
            assert server.accepted == server.open == 5

    run(test)


@pytest.mark.parametrize("mode", ["chunked", "no-type", "own-type", "bom", "continue", "drip"])
def test_every_way_to_carry_an_answer(mode: str) -> None:
    async def test(server: RemoteServer) -> None:
        server.mode = mode
        asked = remotes(server)
        async with nothing_left(asked, server):
            for n in range(3):
                assert await asked.ask(scam(str(n))) == Answer("answered", 0.5)
            assert server.accepted == 1

    run(test)


@pytest.mark.parametrize("mode", ["close", "says-close", "until-close", "old", "hang-up", "twice"])
def test_a_connection_that_ends_is_not_used_again(mode: str) -> None:
    """`hang-up` closes without a word, `says-close` says so and does not; `twice` answers once more than
    asked, which would be taken for the answer to the next question."""

    async def test(server: RemoteServer) -> None:
        server.mode = mode
        asked = remotes(server)
        async with nothing_left(asked, server):
            for n in range(3):
                assert await asked.ask(scam(str(n))) == Answer("answered", 0.5)
            assert server.accepted == 3

    run(test)


def test_a_kept_connection_that_the_server_has_closed_is_replaced() -> None:
    async def test(server: RemoteServer) -> None:
        asked = remotes(server)
        async with nothing_left(asked, server):
            assert (await asked.ask(scam("1"))).status == "answered"
            server.mode = flapping("nothing", "fine")  # it hangs up as the next question arrives
            assert (await asked.ask(scam("2"))).status == "answered"
            assert figures(asked).failed == 0
            assert len(server.bodies) == 3

    run(test)


# ---------------------------------------------------------------------- what goes wrong

REASONS = {
    "500": ("failed", "answered with status 500"),
    "429": ("failed", "answered with status 429"),
    "204": ("failed", "answered with status 204"),
    "redirect": ("failed", "answered with a redirect (302), which is not followed"),
    "not-json": ("invalid", "answered what is not JSON"),
    "empty": ("invalid", "answered what is not JSON"),
    "no-object": ("invalid", "answered without a list `answers`"),
    "no-answers": ("invalid", "answered without a list `answers`"),
    "answers-no-list": ("invalid", "answered without a list `answers`"),
    "too-few": ("invalid", "0 answers to 1 questions"),
    "too-many": ("invalid", "3 answers to 1 questions"),
    "wrong-kind": ("invalid", "`score` is not a number"),
    "nan": ("invalid", "`score` is not a finite number"),
    "huge-number": ("invalid", "`score` is not a finite number"),
    "huge-whole-number": ("invalid", "answered what is not JSON"),
    "half-surrogate": ("invalid", "`score` is not a number"),
    "deep": ("invalid", "answered what is not JSON"),
    "html": ("invalid", "answered something else than JSON"),
    "gzip": ("invalid", "answered compressed, which was not asked for"),
    "latin-1": ("invalid", "answered in another encoding than UTF-8"),
    "no-utf-8": ("invalid", "answered in another encoding than UTF-8"),
    "utf-16": ("invalid", "answered in another encoding than UTF-8"),
    "two-lengths": ("invalid", "answered what is not HTTP"),
    "negative-length": ("invalid", "answered what is not HTTP"),
    "not-http": ("invalid", "answered what is not HTTP"),
    "upgrade": ("invalid", "answered what is not HTTP"),
    "endless": ("invalid", "answered more than 320 KB"),
    "endless-head": ("invalid", "answered more than 320 KB"),
    "truncated": ("failed", "closed the connection before its answer was whole"),
    "truncated-head": ("failed", "closed the connection before its answer was whole"),
    "truncated-chunk": ("failed", "closed the connection before its answer was whole"),
    "nothing": ("failed", "closed the connection before its answer was whole"),
}


def test_every_fault_of_the_server_is_tried() -> None:
    assert set(REASONS) == {*WRONG, *ENDS, "endless", "endless-head"}


@pytest.mark.parametrize("mode", sorted(REASONS))
def test_a_wrong_answer_is_told_and_the_next_is_right(mode: str) -> None:
    async def test(server: RemoteServer) -> None:
        asked = remotes(server)
        async with nothing_left(asked, server):
            status, reason = REASONS[mode]
            server.mode = mode
            for n in range(2):  # the second on what may be a kept connection
                answer = await asked.ask(scam(str(n)))
                assert (answer.status, answer.value, answer.reason) == (status, None, f"{NAME}: {reason}")
            server.mode = "fine"
            assert await asked.ask(scam("2")) == Answer("answered", 0.5)

    run(test)


@pytest.mark.parametrize("mode", sorted(REASONS))
def test_a_wrong_answer_to_hundreds_loses_none(mode: str) -> None:
    async def test(server: RemoteServer) -> None:
        server.mode = flapping(mode, "fine", "close")
        asked = remotes(server, concurrency=20, queue=1_000)
        async with nothing_left(asked, server):
            answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(300)))
            count: Counter[str] = Counter(a.status for a in answers)
            status, reason = REASONS[mode]
            assert count["answered"] + count[status] == 300
            assert count["answered"] >= 200  # a stale connection may have been tried once more
            assert {a.reason for a in answers} <= {"", f"{NAME}: {reason}"}

    run(test)


def test_a_server_that_hangs() -> None:
    async def test(server: RemoteServer) -> None:
        server.mode = "hanging"
        late: list[Any] = []
        asked = remotes(server, wait=50 * MS, timeout=200 * MS, concurrency=100, queue=1_000, late=late)
        async with nothing_left(asked, server):
            answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(300)))
            assert {a.status for a in answers} == {"late"}
            while figures(asked).in_flight:
                await asyncio.sleep(0.01)
            assert late == []
            while server.open:  # a call that was given up keeps no connection
                await asyncio.sleep(0.01)
            server.mode = "fine"
            patient = remotes(server)
            assert (await patient.ask(scam("1"))).status == "answered"
            await patient.close()

    run(test)


def test_a_slow_server_answers_late_and_once() -> None:
    async def test(server: RemoteServer) -> None:
        server.delay = 0.4
        late: list[Any] = []
        asked = remotes(server, wait=20 * MS, concurrency=300, late=late, cache=PATIENT)
        async with nothing_left(asked, server):
            answers = await asyncio.gather(*(asked.ask(scam(str(n)), None, n) for n in range(300)))
            assert {a.status for a in answers} == {"late"}
            while len(late) < 300:
                await asyncio.sleep(0.01)
            assert sorted(late) == [(0.5, n) for n in range(300)]
            assert (await asked.ask(scam("7"))).status == "cached"

    run(test)


def test_a_server_that_is_down_and_comes_back() -> None:
    async def test(server: RemoteServer) -> None:
        asked = remotes(server, failures=5, rest=300 * MS, concurrency=50)
        async with nothing_left(asked, server):
            assert (await asked.ask(scam("0"))).status == "answered"
            await server.stop()
            answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(400)))
            count = Counter(a.status for a in answers)
            assert set(count) == {"failed", "open"}
            assert count["failed"] <= 5 + 50
            reasons = {a.reason for a in answers if a.status == "failed"}
            assert f"{NAME}: could not be reached" in reasons
            assert figures(asked).breaker != "closed"
            await server.start()
            while (await asked.ask(scam("1"))).status != "answered":
                await asyncio.sleep(0.05)
            assert figures(asked).breaker == "closed"
            answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(400)))
            assert {a.status for a in answers} == {"answered"}

    run(test)


def test_a_server_that_flaps_under_load() -> None:
    """Down and up again while hundreds ask: every future resolves, and it ends closed."""

    async def test(server: RemoteServer) -> None:
        server.delay = 0.005
        asked = remotes(server, failures=8, rest=20 * MS, concurrency=40, queue=200, batch=4)
        count: Counter[str] = Counter()

        async def asker(n: int) -> None:
            for i in range(30):
                count[(await asked.ask(scam(f"{n} {i}"))).status] += 1
                await asyncio.sleep(0.002)

        async def flap() -> None:
            for mode in ("500", "fine", "truncated", "fine", "not-json", "fine"):
                server.mode = mode
                await asyncio.sleep(0.03)
            await server.stop()
            await asyncio.sleep(0.03)
            await server.start()

        async with nothing_left(asked, server):
            await asyncio.gather(flap(), *(asker(n) for n in range(50)))
            assert count.total() == 1_500
            assert set(count) <= {"answered", "failed", "invalid", "open", "busy"}
            assert count["answered"] > 0
            while (await asked.ask(scam("last"))).status != "answered":
                await asyncio.sleep(0.02)
            assert figures(asked).breaker == "closed"

    run(test)


def test_closing_under_load() -> None:
    async def test(server: RemoteServer) -> None:
        server.delay = 0.05
        asked = remotes(server, concurrency=50, queue=1_000)
        async with nothing_left(asked, server):
            futures = [asked.ask(scam(str(n))) for n in range(400)]
            while not figures(asked).answered:
                await asyncio.sleep(0.001)
            await asked.close()
            assert all(f.done() for f in futures)
            assert {f.result().status for f in futures} == {"answered", "failed"}

    run(test)


def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quell.signals.remote_pool.IDLE_SECONDS", 0.05)

    async def test(server: RemoteServer) -> None:
        asked = remotes(server, concurrency=20)
        async with nothing_left(asked, server):
            await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(20)))
            while server.open:
                await asyncio.sleep(0.01)
            assert (await asked.ask(scam("1"))).status == "answered"

    run(test)


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/", "http://127.0.0.1:1/", "http://[::1]:1/x"])
def test_nobody_is_there(url: str) -> None:
    async def test(server: RemoteServer) -> None:
        asked = remotes(server, url=url)
        async with nothing_left(asked, server):
            answer = await asked.ask(scam("1"))
            assert answer == Answer("failed", None, f"{NAME}: could not be reached")

    run(test)


def test_closing_after_the_event_loop_has_ended() -> None:
    async def begin() -> Remotes:
        async with RemoteServer() as server:
            asked = remotes(server)
            assert (await asked.ask(scam("1"))).status == "answered"
            return asked

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the loop that ended left its connection open
        asked = asyncio.run(begin())
        asyncio.run(asked.close())
        del asked
        gc.collect()


# ---------------------------------------------------------------------- secrets


def test_secrets_are_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    shown: list[str] = []

    async def test(server: RemoteServer) -> None:
        server.mode = flapping("500", "truncated", "not-json", "fine")
        asked = remotes(
            server, headers=(("Authorization", "env:TOKEN"),), environ={"TOKEN": "hunter2"}, concurrency=2
        )
        async with nothing_left(asked, server):
            answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(20)))
            shown.extend(repr(a) for a in answers)
            ours = [o for o in gc.get_objects() if str(type(o).__module__).startswith("quell.signals.remote")]
            shown.extend(repr(o) for o in ours)
            assert len(ours) > 5
        assert all("Authorization: hunter2" in head for head in server.heads)

    with caplog.at_level(logging.DEBUG):
        run(test)
    assert len(shown) > 20
    assert "hunter2" not in "".join([*shown, caplog.text])


# ---------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its key, trusted by nobody."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed, so there is no certificate to serve with")
    folder = tmp_path_factory.mktemp("tls")
    made = [folder / "key.pem", folder / "certificate.pem"]
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(made[0]), "-out", str(made[1]), "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    whole = folder / "localhost.pem"
    whole.write_bytes(b"".join(part.read_bytes() for part in made))
    return whole


def test_a_service_behind_tls(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def main() -> None:
        async with RemoteServer(tls=context) as server:
            strict = remotes(server)
            async with nothing_left(strict, server):
                answer = await strict.ask(scam("1"))
                assert answer == Answer("failed", None, f"{NAME}: its certificate is not trusted")
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            asked = remotes(server, concurrency=10)
            async with nothing_left(asked, server):
                answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(100)))
                assert {a.status for a in answers} == {"answered"}
            plain = remotes(server, url=server.url.replace("https", "http"))
            async with nothing_left(plain, server):
                assert (await plain.ask(scam("1"))).status in ("failed", "invalid")

    asyncio.run(asyncio.wait_for(main(), 120))


def test_on_the_event_loop_that_serves(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def main() -> None:
        for tls in (None, context):
            async with RemoteServer(tls=tls) as server:
                asked = remotes(server)
                answers = await asyncio.gather(*(asked.ask(scam(str(n))) for n in range(50)))
                assert {a.status for a in answers} == {"answered"}
                await asked.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), 60))
