"""A real server and clients that mean it ill: heads that never end, bodies that break off, requests that can
be read in two ways, paths that lead elsewhere."""

from __future__ import annotations

import itertools
import json
import logging
import re
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from quell.engine import http_guard, http_server
from quell.engine.http_guard import PIECE
from quell.engine.http_server import ListenError, bind, check_tls, is_local
from quell.engine.service_settings import Listen
from tests.http_support import Running, message, parts_of, rest_of, running, send, until

EVENT = json.dumps(message()).encode()
GOOD = b"POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """One server for all: whatever one client does, the next is served."""
    with running(parts_of()) as made:
        yield made


def still_serves(server: Running) -> None:
    with server.http() as asked:
        assert asked.post("/v1/decide", json=message()).status_code == 200


def seq(server: Running) -> int:
    return server.parts.service.engine.stepper.seq


def with_length(body: bytes, length: int | None = None) -> bytes:
    return GOOD + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % (length or len(body)) + body


def test_the_server_answers_and_keeps_the_connection(server: Running) -> None:
    with server.http() as asked:
        for _ in range(3):
            answer = asked.post("/v1/decide", json=message())
            assert answer.status_code == 200
            assert "server" not in answer.headers


def test_requests_in_one_piece_are_answered_in_order(server: Running) -> None:
    before = seq(server)
    one = GOOD + b"Content-Length: %d\r\n\r\n" % len(EVENT) + EVENT
    said = server.ask(one * 20 + with_length(EVENT))
    assert said.count(b"HTTP/1.1 200") == 21
    assert [int(part.split(b",")[0]) for part in said.split(b'"seq":')[1:]] == list(
        range(before + 1, before + 22)
    )


def test_a_body_that_comes_byte_by_byte(server: Running) -> None:
    with server.connect() as opened:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in with_length(EVENT):
            opened.sendall(bytes([byte]))
        assert b"HTTP/1.1 200" in rest_of(opened)


def test_a_body_in_chunks(server: Running) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, EVENT[n : n + 1]) for n in range(len(EVENT)))
    said = server.ask(
        GOOD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks + b"0\r\n\r\n"
    )
    assert b"HTTP/1.1 200" in said


@pytest.mark.parametrize(
    "whole", [with_length(EVENT), GOOD + b"Transfer-Encoding: chunked\r\n\r\n40\r\n" + EVENT]
)
def test_a_body_that_breaks_off_is_not_decided(server: Running, whole: bytes) -> None:
    before = seq(server)
    with server.connect() as opened:
        opened.sendall(whole[:-10])
        opened.shutdown(socket.SHUT_WR)
        assert b"200 OK" not in rest_of(opened)
    assert seq(server) == before
    still_serves(server)


def test_a_body_that_is_longer_than_it_says_is_read_to_its_length(server: Running) -> None:
    said = server.ask(with_length(EVENT + b'{"type":"other"}', len(EVENT)))
    assert said.count(b"HTTP/1.1 200") == 1
    assert b"unmatched" not in said


SMUGGLED = {
    "both lengths": GOOD
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/status HTTP/1.1\r\n\r\n",
    "two lengths": GOOD + b"Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}",
    "a list of lengths": GOOD + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": GOOD + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": GOOD + b"Content-Length: -2\r\n\r\n{}",
    "a length in hexadecimal": GOOD + b"Content-Length: 0x2\r\n\r\n{}",
    "another encoding": GOOD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": GOOD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked, then not": GOOD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a blank before the colon": GOOD + b"Content-Length : 2\r\n\r\n{}",
    "a folded header": GOOD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "a bare line feed": GOOD.replace(b"\r\n", b"\n") + b"Content-Length: 2\n\n{}",
    "a bare carriage return": GOOD + b"X: a\rContent-Length: 2\r\n\r\n{}",
    "a zero byte in a header": GOOD + b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}",
    "a chunk of a wrong size": GOOD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk of a vast size": GOOD
    + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "two hosts": GOOD + b"Host: evil.example\r\nContent-Length: 2\r\n\r\n{}",
    "no host": b"GET /v1/status HTTP/1.1\r\n\r\n",
    "no version": b"GET /v1/status\r\n\r\n",
    "another version": b"GET /v1/status HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("160301020001000200") + b"\x00" * 50,
    "noise": bytes(range(256)),
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "a zero byte in the path": b"GET /v1/status\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "letters beyond ASCII in the path": b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a blank in the path": b"GET /v1/sta tus HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_can_be_read_in_two_ways_is_not_read(server: Running, name: str) -> None:
    before = seq(server)
    with server.connect() as opened:
        opened.sendall(SMUGGLED[name])
        opened.shutdown(socket.SHUT_WR)
        said = rest_of(opened)
    assert b" 200 " not in said, said
    assert said.count(b"\r\ncontent-type:") <= 1
    assert b"Traceback" not in said
    if said:
        assert said.split(b" ")[1][:1] == b"4", said
        assert b"problem+json" in said
    assert seq(server) == before
    still_serves(server)


PATHS = [
    b"/v1/../v1/decide",
    b"/v1/./decide",
    b"//v1/decide",
    b"/v1//decide",
    b"/v1/decide/",
    b"/v1/decide/.",
    b"/v1/decide%00",
    b"/v1%2fdecide%2f",
    b"/%2e%2e/%2e%2e/etc/passwd",
    b"/docs/..%2f..%2fetc%2fpasswd",
    b"/live/..%2fkeys.py",
    b"/docs/%2e%2e/keys.py",
    b"\\v1\\decide",
    b"/v1/decide\\..",
    b"/" + b"a" * 60_000,
    b"/%",
    b"/%zz",
    b"/%ff%fe",
]


@pytest.mark.parametrize("path", PATHS, ids=[repr(p[:30]) for p in PATHS])
def test_paths_lead_nowhere_else(server: Running, path: bytes) -> None:
    before = seq(server)
    said = server.ask(with_length(EVENT).replace(b"/v1/decide", path, 1))
    assert said.split(b" ")[1] in (b"400", b"404", b"405", b"414"), said[:300]
    assert b"root:" not in said
    assert seq(server) == before


def test_a_path_that_is_spelt_in_escapes_is_the_path_and_takes_its_key(server: Running) -> None:
    said = server.ask(
        with_length(EVENT).replace(b"/v1/decide", b"/v1/%64ecide", 1).replace(b"localhost", b"evil")
    )
    assert b"403" in said.split(b"\r\n")[0]


def test_another_host_in_the_address_is_no_way_round_the_host(server: Running) -> None:
    said = server.ask(
        b"GET http://localhost/v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    )
    assert b"403" in said.split(b"\r\n")[0]


def test_many_headers_are_too_many(server: Running) -> None:
    flood = b"".join(b"X-%d: 1\r\n" % n for n in range(150))
    said = server.ask(GOOD + flood + b"Content-Length: 2\r\n\r\n{}")
    assert b"HTTP/1.1 431" in said


def test_headers_without_end_are_cut_off(server: Running) -> None:
    with server.connect() as opened, pytest.raises(ConnectionError):
        send(opened, GOOD, (b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(200_000)))
    still_serves(server)


def test_one_header_without_end_is_cut_off(server: Running) -> None:
    with server.connect() as opened, pytest.raises(ConnectionError):
        send(opened, GOOD + b"X: ", (b"y" * 10_000 for _ in range(20_000)))
    still_serves(server)


def test_a_body_that_says_it_is_vast_is_refused_unread(server: Running) -> None:
    said = server.ask(GOOD + b"Content-Length: 99999999999\r\n\r\n")
    assert b"HTTP/1.1 413" in said
    assert b"connection: close" in said


def test_a_body_in_chunks_without_end_is_refused_when_it_is_too_long(server: Running) -> None:
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    said = server.ask(GOOD + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 200)
    assert b"HTTP/1.1 413" in said or said == b""  # the answer may be lost where the client still sends
    still_serves(server)


def test_a_bomb_is_not_unpacked(server: Running) -> None:
    said = server.ask(
        with_length(b"\x1f\x8b\x08" + b"0" * 100).replace(
            b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n", 1
        )
    )
    assert b"HTTP/1.1 415" in said


def test_a_client_that_waits_for_leave_to_go_on_gets_it(server: Running) -> None:
    with server.connect() as opened:
        opened.sendall(
            GOOD + b"Content-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n" % len(EVENT)
        )
        assert opened.recv(100).startswith(b"HTTP/1.1 100")
        opened.sendall(EVENT)
        assert b"HTTP/1.1 200" in rest_of(opened)


def test_a_client_that_must_not_go_on_is_told_at_once(server: Running) -> None:
    said = server.ask(GOOD + b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 413")


def test_a_head_that_comes_too_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "LOOK", 0.05)
    with running(parts_of()) as server:
        silent, half, second = server.connect(), server.connect(), server.connect()
        half.sendall(GOOD)
        second.sendall(GOOD + b"Content-Length: %d\r\n\r\n" % len(EVENT) + EVENT + b"POST /v1/dec")
        said = second.recv(1 << 16)  # only then are clients hurried: that request came in time
        monkeypatch.setattr(http_guard, "HEAD_SECONDS", 0.2)
        assert b"408" in rest_of(silent)
        assert b"408" in rest_of(half)
        said += rest_of(second)
        assert b"HTTP/1.1 200" in said
        assert b"HTTP/1.1 408" in said
        for opened in (silent, half, second):
            opened.close()


def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "WRITE_SECONDS", 0.3)
    monkeypatch.setattr(http_server, "LOOK", 0.05)
    body = json.dumps([{"no": "event"}] * 5_000).encode()
    head = b"POST /v1/decide/many HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    parts = parts_of()
    with running(parts) as server, server.connect() as opened:
        with pytest.raises(ConnectionError):
            send(opened, b"", itertools.repeat(whole))  # more than all buffers on the way can hold
        until(lambda: parts.pressure.under_way == 0)


def test_no_more_connections_than_allowed() -> None:
    with running(parts_of(), Listen(port=0, connections=20, grace=1.0)) as server:
        kept = [server.connect() for _ in range(20)]
        for opened in kept:
            opened.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" in opened.recv(1000)
        assert b"503" in server.ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        kept.pop().close()
        until(
            lambda: b" 200 " in server.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        )
        for opened in kept:
            opened.close()


def test_a_client_that_goes_away_takes_nothing_with_it(server: Running) -> None:
    for _ in range(30):
        opened = server.connect()
        opened.sendall(with_length(EVENT)[: -len(EVENT) // 2])
        opened.close()
    still_serves(server)
    until(lambda: server.parts.pressure.under_way == 0)


def test_what_is_under_way_is_answered_when_the_server_ends() -> None:
    parts = parts_of()
    with running(parts) as server, server.connect() as opened:
        idle = server.connect()
        opened.sendall(with_length(EVENT)[:-5])
        until(lambda: parts.pressure.under_way == 1)
        server.stop()
        until(lambda: parts.pressure.closing)
        opened.sendall(EVENT[-5:])
        assert b"HTTP/1.1 200" in rest_of(opened)
        assert rest_of(idle) == b""
        idle.close()
        with pytest.raises(ConnectionError):  # nobody listens any more
            server.connect().close()


# ------------------------------------------------------------------------------- listening


def test_what_is_this_machine_alone() -> None:
    assert [is_local(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "::")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(ListenError, match="there is no host"):
        is_local("no such host")


def test_a_port_that_is_taken_is_told() -> None:
    first = bind("127.0.0.1", 0)
    try:
        with pytest.raises(ListenError, match="address already in use") as raised:
            bind("127.0.0.1", first[0].getsockname()[1])
        assert "--port" in raised.value.hint
    finally:
        first[0].close()


def test_a_certificate_that_is_none_is_told() -> None:
    with pytest.raises(ListenError, match="cannot be used"):
        check_tls(Listen(tls_cert=__file__, tls_key=__file__))


def test_a_number_of_thousands_of_digits_is_no_address(server: Running) -> None:
    for path in (b"/v1/decisions/%b", b"/v1/decisions/%b/explanation", b"/v1/live/decisions/%b"):
        said = server.ask(
            b"GET " + path % (b"9" * 3_900) + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        assert said.split(b" ")[1] == b"404", said


@pytest.mark.parametrize("moved", [b"Host: localhost", b"Content-Type: application/json"])
def test_what_follows_the_body_is_no_header(server: Running, moved: bytes) -> None:
    before = seq(server)
    head = GOOD.replace(moved + b"\r\n", b"") + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = server.ask(head + b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(EVENT), EVENT, moved))
    assert said.split(b" ")[1] in (b"403", b"415"), said
    assert seq(server) == before


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("chunked", [False, True])
def test_who_asks_for_another_protocol_is_answered_in_this_one(
    server: Running, protocol: bytes, chunked: bool
) -> None:
    before = seq(server)
    head = GOOD + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n"
    if chunked:
        one = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT)
    else:
        one = head + b"Content-Length: %d\r\n\r\n" % len(EVENT) + EVENT
    look = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    said = server.ask(one + look + one + with_length(EVENT))
    assert said.count(b"HTTP/1.1 200") == 4
    assert seq(server) == before + 3


def test_nonsense_after_a_request_takes_its_answer_from_nobody(server: Running) -> None:
    said = server.ask(GOOD + b"Content-Length: 3\r\n\r\n" + b'{"}\x00\x01nonsense')
    assert said.split(b" ")[1] == b"422", said


def test_requests_that_are_sent_ahead_are_answered_in_order_and_few_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that sends a million requests and reads no answer must not fill the memory."""
    waiting: list[int] = []
    usual = HttpToolsProtocol.on_headers_complete

    def counted(self: HttpToolsProtocol) -> None:
        usual(self)
        waiting.append(len(self.pipeline))

    monkeypatch.setattr(HttpToolsProtocol, "on_headers_complete", counted)
    get = b"GET /v1/decisions/%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
    post = GOOD + b"Content-Length: %d\r\n\r\n" % len(EVENT) + EVENT
    number = 3_000
    sent = b"".join(get % (1_000 + n) + (post if n % 100 == 0 else b"") for n in range(number))
    last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with running(parts_of()) as server, server.connect() as opened:
        sending = threading.Thread(target=opened.sendall, args=(sent + last,))
        sending.start()
        said = rest_of(opened)
        sending.join()
    told = [int(n.replace(b",", b"")) for n in re.findall(rb"does not hold decision ([0-9,]+)", said)]
    assert told == list(range(1_000, 1_000 + number))
    assert said.count(b'"id":"m1"') == number // 100
    assert said.count(b"HTTP/1.1 200") == number // 100 + 1
    assert max(waiting) <= PIECE // len(get)


def test_a_client_that_goes_while_requests_wait_is_no_defect(caplog: pytest.LogCaptureFixture) -> None:
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with running(parts_of()) as server:
        for _ in range(5):
            with server.connect() as opened:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                opened.sendall(asked * 500)
                opened.recv(1)
        still_serves(server)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_what_was_sent_stands_in_a_problem_as_it_may_stand_in_a_terminal(server: Running) -> None:
    """A terminal takes U+009B for the beginning of a command."""
    said = server.ask(
        b"POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: a\x9b31m\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    assert b"a\\\\u009b31m" in said
    assert b"\xc2\x9b" not in said
