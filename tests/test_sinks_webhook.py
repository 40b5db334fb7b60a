"""Webhooks: what is sent, what answers mean, where no connection is made, and services that misbehave."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
from collections.abc import Coroutine, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from quell.engine.outbox_types import Dead, Delivery, Message, Retry
from quell.engine.sink_webhook import Webhook, WebhookSettings, is_signed, judge, retry_after, sign
from quell.signals.remote_connection import Reply
from tests.webhook_server import WebhookServer, reply

LOOPBACK = (ip_network("127.0.0.0/8"),)
NOW = 1_800_000_000.0
MESSAGE = Message("mods", "flood", "j-7-0-aabbccdd", 7, "message", "m7", 7_000_000, "block", {"why": "flood"})
DONE = reply("204 No Content")


def run(main: Coroutine[Any, Any, None]) -> None:
    """On the event loop that `quell serve` takes."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main, 120))


def webhook(server: WebhookServer, **how: Any) -> Webhook:
    """One that may reach the server, which is called `hooks.test` or what `url` says."""
    found: Sequence[str] = how.pop("addresses", ["127.0.0.1"])

    async def resolve(host: str, port: int) -> Sequence[str]:
        return found

    url = how.pop("url", f"http://hooks.test:{server.port}/in?v=1")
    resolving = how.pop("resolve", resolve)
    settings = WebhookSettings("mods", url, Delivery(), **{"allow": LOOPBACK, **how})
    return Webhook(settings, resolve=resolving, clock=lambda: NOW)


async def outcome(sink: Webhook, seconds: float = 60.0) -> str:
    """`delivered`, or how it failed and why."""
    try:
        async with asyncio.timeout(seconds):
            await sink.deliver(MESSAGE)
    except Retry as error:
        after = "" if error.after is None else f" after {error.after:g} s"
        return f"retry{' all' if error.all else ''}{after}: {error.reason}"
    except Dead as error:
        return f"dead: {error.reason}"
    except TimeoutError:
        return "timeout"
    return "delivered"


async def given_up(sink: Webhook, server: WebhookServer) -> str:
    """The same, given up a moment after the server has the request."""
    delivering = asyncio.ensure_future(outcome(sink))
    while not server.requests and not delivering.done():
        await asyncio.sleep(0.001)
    await asyncio.wait([delivering], timeout=0.3)
    if not delivering.cancel():
        return delivering.result()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    return "timeout"


# ------------------------------------------------------------------ what is sent


def test_what_is_sent() -> None:
    async def main() -> None:
        async with WebhookServer() as server:
            sink = webhook(server, secrets=("old", "new"), headers={"Authorization": "Bearer x"})
            assert await outcome(sink) == "delivered"
            await sink.close()
        (headers, body), line = server.requests[0], server.lines[0]
        assert line == "POST /in?v=1 HTTP/1.1"
        assert headers["host"] == f"hooks.test:{server.port}"
        assert headers["content-type"] == "application/json"
        assert headers["authorization"] == "Bearer x"
        assert headers["idempotency-key"] == MESSAGE.key
        assert json.loads(body) == {
            "sink": "mods",
            "rule": "flood",
            "key": MESSAGE.key,
            "number": 7,
            "event": "message",
            "id": "m7",
            "at": "1970-01-01T00:00:07Z",
            "verdict": "block",
            "payload": {"why": "flood"},
        }
        for secret in (b"old", b"new"):
            assert is_signed(headers["quell-signature"], body, secret, NOW)
            assert not is_signed(headers["quell-signature"], body + b" ", secret, NOW)
        assert not is_signed(headers["quell-signature"], body, b"other", NOW)

    run(main())


def test_without_a_secret_nothing_is_signed() -> None:
    async def main() -> None:
        async with WebhookServer() as server:
            sink = webhook(server)
            assert await outcome(sink) == "delivered"
            await sink.close()
        assert "quell-signature" not in server.requests[0][0]

    run(main())


def test_a_signature_is_the_hmac_that_the_field_uses() -> None:
    """Worked out with `printf '1800000000.{"a":1}' | openssl dgst -sha256 -hmac secret`."""
    right = "440dfbb83aabca24d9e5027629cfd81cb45254690f8d410bb28f1cc17c990dbc"
    assert sign(b'{"a":1}', [b"secret"], 1_800_000_000) == f"t=1800000000,v1={right}"


def test_signatures_grow_old_and_garbage_is_none() -> None:
    body = b"{}"
    header = sign(body, [b"s"], int(NOW))
    assert is_signed(header, body, b"s", NOW + 299)
    assert not is_signed(header, body, b"s", NOW + 301)
    assert not is_signed(header, body, b"s", NOW - 301)
    assert not is_signed(header.replace("t=", "t=1"), body, b"s", NOW)
    for garbage in ("", "v1=", "t=,v1=", "t=x,v1=y", "t=²,v1=é", "t=" + "9" * 500, header[:-1]):
        assert not is_signed(garbage, body, b"s", NOW)


@given(st.text(max_size=60), st.binary(max_size=10))
def test_no_header_breaks_the_check(header: str, body: bytes) -> None:
    assert not is_signed(header, body, b"s", NOW)


def test_connections_are_used_again() -> None:
    async def main() -> None:
        async with WebhookServer() as server:
            sink = webhook(server)
            for _ in range(20):
                assert await outcome(sink) == "delivered"
            assert server.accepted == 1
            await server.stop()
            await server.start()
            assert await outcome(sink) == "delivered"  # the kept one is stale: another is made
            await sink.close()

    run(main())


# ------------------------------------------------------------------ what answers mean

ANSWERS = [
    ("200 OK", [], b"", "delivered"),
    ("202 Accepted", [], b"{", "delivered"),
    ("204 No Content", [], b"", "delivered"),
    ("301 Moved", ["Location: https://elsewhere.test/x"], b"",
     "retry all: answered 301, a redirect to https://elsewhere.test/x, which is not followed"),
    ("302 Found", ["Location: http://169.254.169.254/latest/meta-data"], b"",
     "retry all: answered 302, a redirect to http://169.254.169.254/latest/meta-data, which is not followed"),
    ("304 Not Modified", [], b"", "retry all: answered 304, a redirect, which is not followed"),
    ("400 Bad Request", [], b'{"error": "no such field"}', 'dead: answered 400: {"error": "no such field"}'),
    ("401 Unauthorized", [], b"", "dead: answered 401"),
    ("404 Not Found", [], b"<p>\r\n\x1b[31m" + b"x" * 500,
     "dead: answered 404: <p> [31m" + "x" * 91 + "…"),
    ("410 Gone", ["Retry-After: 5"], b"", "dead: answered 410"),
    ("408 Request Timeout", [], b"", "retry: answered 408"),
    ("425 Too Early", [], b"", "retry: answered 425"),
    ("429 Too Many Requests", ["Retry-After: 7"], b"", "retry all after 7 s: answered 429"),
    ("429 Too Many Requests", [], b"slow down", "retry all: answered 429: slow down"),
    ("500 Oh", [], b"", "retry: answered 500"),
    ("503 Busy", ["Retry-After: Fri, 15 Jan 2027 08:01:00 GMT"], b"", "retry all after 60 s: answered 503"),
    ("503 Busy", ["Retry-After: soon"], b"", "retry all: answered 503"),
    ("599 ?", [], b"", "retry: answered 599"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "headers", "body", "expected"), ANSWERS)
def test_what_an_answer_means(status: str, headers: list[str], body: bytes, expected: str) -> None:
    async def main() -> None:
        async with WebhookServer(reply(status, *headers, body=body)) as server:
            sink = webhook(server)
            assert await outcome(sink) == expected
            await sink.close()
            assert server.accepted == 1  # nothing was followed

    run(main())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("120", 120), (" 5 ", 5), ("-1", None), ("1.5", None), ("", None), ("٣", None),
     ("9" * 400, 10**9), ("Fri, 15 Jan 2027 08:00:00 GMT", 0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
     ("Fri, 99 Jan 2027 08:00:00 GMT", None), ("Fri, 31 Dec 9999 23:59:59 GMT", 251_602_300_799 - 0)],
)  # fmt: skip
def test_when_to_come_again(header: str, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_breaks_reading(header: str) -> None:
    after = retry_after(header, NOW)
    assert after is None or after >= 0


@given(st.integers(100, 599), st.binary(max_size=60), st.binary(max_size=60))
def test_every_answer_means_something(status: int, body: bytes, header: bytes) -> None:
    raised: list[str] = []
    try:
        judge(Reply(status, {b"location": header, b"retry-after": header}, body), NOW)
    except (Retry, Dead) as error:
        raised.append(error.reason)
    assert bool(raised) == (not 200 <= status < 300)
    assert all(str(status) in reason and reason.isprintable() for reason in raised)


# ------------------------------------------------------------------ services that misbehave

MISBEHAVIOUR: list[tuple[str | bytes, str]] = [
    ("hang", "timeout"),
    ("drip", "timeout"),
    ("endless-head", "retry all: answered more than 1,024 KB"),
    ("slow-body", "delivered"),
    ("endless", "delivered"),
    ("break", "delivered"),
    ("break-error", "retry: answered 500: abc"),
    ("break-head", "retry all: closed the connection before its answer was whole"),
    ("close", "retry all: closed the connection before its answer was whole"),
    ("reset", "retry all: closed the connection before its answer was whole"),
    (b"220 mail.example.test ESMTP\r\n", "retry all: answered what is not HTTP"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "retry all: answered what is not HTTP"),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
     "retry all: answered what is not HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
     "retry all: answered what is not HTTP"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + DONE, "delivered"),
    (DONE + DONE, "delivered"),
    (reply("200 OK", body=b"x" * 3_000_000), "delivered"),
    (b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\xff\r\n\r\n0\r\n\r\n",
     "retry: answered 500: ab�"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "expected"), MISBEHAVIOUR)
def test_services_that_misbehave(answer: str | bytes, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quell.engine.sink_webhook.LINGER", 0.05)

    async def main() -> None:
        async with WebhookServer(answer, DONE) as server:
            sink = webhook(server)
            said = await (given_up(sink, server) if expected == "timeout" else outcome(sink))
            assert said == expected
            assert await outcome(sink) == "delivered"  # what is left of it is mistaken for nothing
            await sink.close()
            assert len(server.requests) == 2

    run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        async with WebhookServer() as server:
            pass
        sink = webhook(server)
        assert await outcome(sink) == "retry all: could not be reached: connection refused"
        await sink.close()

    run(main())


def test_no_secret_is_shown() -> None:
    settings = WebhookSettings(
        "mods", "https://x.test/token-s3cret", Delivery(), ("s3cret",), {"A": "s3cret"}
    )
    assert "s3cret" not in repr(settings) + repr(Webhook(settings))


# ------------------------------------------------------------------ where no connection is made


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.1.2.3", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
     "100.64.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.0.170", "::1", "::",
     "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
     "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1",
     "ff02::1", "2001:0:7f00:1::", "2001:db8::1", "::ffff:0:7f00:1", "4000::1", "not an address"],
)  # fmt: skip
def test_internal_addresses_are_refused(address: str) -> None:
    async def main() -> None:
        async with WebhookServer() as server:
            sink = webhook(server, allow=(), addresses=[address], url=f"https://hooks.test:{server.port}/")
            said = await outcome(sink)
            assert said.startswith("retry all: ")
            assert "is an internal address" in said or "is no address" in said
            await sink.close()
            assert server.accepted == 0

    run(main())


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:{}/", "https://[::1]:{}/", "https://2130706433:{}/", "https://0x7f.1:{}/",
            "https://localhost:{}/", "https://127.0.0.1.:{}/"],
)  # fmt: skip
def test_nor_is_one_written_in_the_url_however_it_is_spelt(url: str) -> None:
    async def main() -> None:
        async with WebhookServer() as server:
            sink = Webhook(WebhookSettings("mods", url.format(server.port), Delivery()))
            said = await outcome(sink)
            assert "internal address (loopback)" in said or "cannot be looked up" in said
            await sink.close()
            assert server.accepted == 0

    run(main())


def test_without_tls_only_what_is_allowed_is_reached() -> None:
    async def main() -> None:
        async with WebhookServer() as server:
            sink = webhook(server, addresses=["93.184.216.34", "127.0.0.1"])
            assert await outcome(sink) == "delivered"
            await sink.close()
            sink = webhook(server, addresses=["93.184.216.34"])
            assert "http:// reaches only what is" in await outcome(sink)
            await sink.close()

    run(main())


def test_a_name_is_looked_up_once_for_a_connection_and_never_trusted_again() -> None:
    """A name that is public when it is checked, and internal when it is used, is not used."""

    async def main() -> None:
        async with WebhookServer() as server:
            answers = iter([["127.0.0.1"], ["169.254.169.254"], ["169.254.169.254"]])
            asked = 0

            async def resolve(host: str, port: int) -> list[str]:
                nonlocal asked
                asked += 1
                return next(answers)

            sink = webhook(server, resolve=resolve)
            assert await outcome(sink) == "delivered"
            assert asked == 1
            assert await outcome(sink) == "delivered"  # over the connection that was checked
            assert asked == 1
            await server.stop()
            await server.start()
            assert "169.254.169.254 is an internal address (link-local)" in await outcome(sink)
            assert asked == 2
            await sink.close()

    run(main())


def test_one_public_address_among_internal_ones_is_the_one() -> None:
    async def main() -> None:
        async with WebhookServer() as server:
            sink = webhook(server, addresses=["10.0.0.1", "127.0.0.1", "::1"])
            assert await outcome(sink) == "delivered"
            await sink.close()

    run(main())


def test_a_name_that_does_not_exist_and_a_resolver_that_hangs() -> None:
    async def main() -> None:
        async def nobody(host: str, port: int) -> list[str]:
            raise OSError("no such host")

        async def hangs(host: str, port: int) -> list[str]:
            await asyncio.sleep(3_600)
            return []

        async with WebhookServer() as server:
            for resolve, expected in (
                (nobody, "retry all: its name cannot be looked up"),
                (hangs, "timeout"),
            ):
                sink = webhook(server, resolve=resolve)
                assert await outcome(sink, 0.1) == expected
                await sink.close()
            sink = webhook(server, addresses=[])
            assert await outcome(sink) == "retry all: its name cannot be looked up"
            await sink.close()

    run(main())


# ------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for hooks.test with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed, so there is no certificate to serve with")
    folder = tmp_path_factory.mktemp("tls")
    key, made, whole = folder / "key.pem", folder / "certificate.pem", folder / "whole.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(made), "-days", "2", "-subj", "/CN=hooks.test"]
    command += ["-addext", "subjectAltName=DNS:hooks.test"]
    subprocess.run(command, check=True, capture_output=True)
    whole.write_bytes(key.read_bytes() + made.read_bytes())
    return whole


def test_tls_holds_the_service_to_the_name_in_the_url(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def said(host: str, port: int, context: ssl.SSLContext | None) -> str:
        settings = WebhookSettings("mods", f"https://{host}:{port}/", Delivery(), allow=LOOPBACK)
        sink = Webhook(settings, resolve=resolve, context=context)
        try:
            return await outcome(sink)
        finally:
            await sink.close()

    async def main() -> None:
        async with WebhookServer(tls=serving) as server:
            assert await said("hooks.test", server.port, trusting) == "delivered"
            other = await said("other.test", server.port, trusting)
            assert other.startswith("retry all: its certificate is not trusted: hostname mismatch")
            assert "certificate is not trusted" in await said("hooks.test", server.port, None)
            assert len(server.requests) == 1
        monkeypatch.setattr("quell.engine.sink_webhook.MOST_CONNECT", 0.05)
        async with WebhookServer() as server:  # waits for a request, as the other end for a handshake
            unanswered = await said("hooks.test", server.port, trusting)
            assert unanswered == "retry all: could not be reached within 0.05 s"

    run(main())
