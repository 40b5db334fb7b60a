"""What the tests of the HTTP side share: services over small bundles, an application, a client, a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import msgspec

from quell.engine.compile import Build, build
from quell.engine.decision import Refused
from quell.engine.http_access import Access
from quell.engine.http_app import make_app
from quell.engine.http_parts import Parts
from quell.engine.http_pressure import Limits, Pressure
from quell.engine.http_read import PastDecision
from quell.engine.http_server import Stop, bind, serve
from quell.engine.keys import SCOPES, Keys
from quell.engine.service import Service
from quell.engine.service_settings import Listen
from quell.engine.service_types import ReloadOutcome, VersionInfo
from quell.engine.stepper import Stepper
from tests.bundles import sound

BUNDLE = """
entity User labels "spammer", "trusted"
verdicts allow < review < block on failure review

event message from "message"
  id      text = $.id
  at      time = $.at
  author  User = $.author
  content text = $.content default ""
  score   number? = $.score

event purchase from "purchase"
  at      time = $.at
  buyer   User = $.buyer.id
  amount  number = $.amount

list bad_words from "lists/bad_words.txt" as words
list countries from "lists/countries.csv" as exact gives name text

let burst = count(message by author within 1m)

rule flood on message
  when burst >= 3
  then block
  because "{burst} messages within 1m"

rule bad on message
  when content matches bad_words
  then block
       label author "spammer" for 1h
       send "queue" { author: author }
"""
LISTS = {
    "lists/bad_words.txt": "grobbler\nsnarf\n",
    "lists/countries.csv": "exact,name\nde,Germany\nfr,France\n",
}
PATIENCE = 60.0
"""Seconds after which what hangs is given up."""
CALM = Limits(lag=PATIENCE)
"""What a service takes where the machine may be busy with other things: being late turns nothing away."""


def message(number: int = 1, **more: Any) -> dict[str, Any]:
    """A message that is allowed."""
    at = f"2026-01-01T{number // 60 % 24:02d}:{number % 60:02d}:00Z"
    return {"type": "message", "id": f"m{number}", "at": at, "author": f"u{number}", **more}


@cache
def built() -> Build:
    """The bundle, compiled once: it holds no state."""
    return build(sound(BUNDLE, LISTS), all_fields=True)


def service(**more: Any) -> Service:
    """A service without a journal."""
    return Service(Stepper(built()), **more)


class Letters:
    """An outbox's dead letters, as the HTTP side asks for them."""

    def __init__(self) -> None:
        self.resent: list[str] = []

    def dead(self, sink: str | None, most: int, after: str) -> list[Any]:
        """One letter, to `queue`."""
        return [{"key": "j-1-0", "sink": "queue"}] if sink in (None, "queue") else []

    def resend(self, keys: Any) -> int:
        """Note which."""
        self.resent += keys
        return len(keys)


INFO = VersionInfo(1, "abc", 1, "start", "start")


async def _reload(by: str) -> ReloadOutcome:
    return ReloadOutcome("unchanged", 1, by, "asked for")


async def _put_back(number: int, by: str) -> ReloadOutcome:
    return ReloadOutcome("live", 1, by, "put back", INFO)


async def _decision(seq: int) -> Any:
    if seq >= 100:
        return None
    return PastDecision(seq, seq, 1, 1, msgspec.Raw(b"{}"), msgspec.Raw(b"{}"))


async def _explain(seq: int) -> Any:
    return Refused("internal", "it failed", "review") if seq < 100 else None


def parts_of(made: Service | None = None, keys: Keys | None = None, **more: Any) -> Parts:
    """All parts, so that every address is there; those that are not the service's are stand-ins."""
    limits, local = more.pop("limits", CALM), more.pop("local", True)
    given: dict[str, Any] = {
        "metrics": lambda accept: (b"quell_up 1\n", "text/plain; version=0.0.4"),
        "decision": _decision,
        "explain": _explain,
        "versions": lambda: [INFO],
        "reload": _reload,
        "put_back": _put_back,
        "outbox": Letters(),
    }
    return Parts(
        made if made is not None else service(), Access(keys, local), Pressure(limits), **(given | more)
    )


@dataclass
class Keyring:
    """A file of keys, with one key for each scope."""

    keys: Keys
    texts: dict[str, str] = field(default_factory=dict)

    def headers(self, scope: str) -> dict[str, str]:
        """The header that shows the key for a scope."""
        return {"Authorization": f"Bearer {self.texts[scope]}"}


def keyring(folder: Path) -> Keyring:
    """A key for each scope."""
    ring = Keyring(Keys(folder / "keys.json"))
    for scope in SCOPES:
        _, ring.texts[scope] = ring.keys.add(scope, (scope,))
    return ring


class Client:
    """A client in the same process; each request has an event loop of its own."""

    def __init__(self, app: Any, headers: dict[str, str]) -> None:
        self._app, self._headers = app, headers

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer to a request."""

        async def ask() -> httpx.Response:
            asked = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=asked, base_url="http://localhost") as opened:
                opened.headers.update(self._headers)
                return await opened.request(method, path, **more)

        return asyncio.run(ask())

    def get(self, path: str, **more: Any) -> httpx.Response:
        """The answer to a GET."""
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """The answer to a POST."""
        return self.request("POST", path, **more)


def client(parts: Parts | None = None, **headers: str) -> Client:
    """A client of a service, that asks as localhost."""
    return Client(make_app(parts if parts is not None else parts_of()), headers)


def lines(*events: Any) -> bytes:
    """Events as lines."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


LINES = {"Content-Type": "application/x-ndjson"}


@dataclass
class Running:
    """A server in a thread of its own."""

    port: int
    parts: Parts
    stop: Callable[[], object]

    def connect(self) -> socket.socket:
        """A connection that waits for answers, though not for ever."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def ask(self, sent: bytes) -> bytes:
        """All that comes back for some bytes, to the end of the connection."""
        with self.connect() as opened:
            with contextlib.suppress(OSError):  # it may be closed before all is sent
                opened.sendall(sent)
            return rest_of(opened)

    def http(self) -> httpx.Client:
        """A client."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE)


def rest_of(opened: socket.socket) -> bytes:
    """What comes until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := opened.recv(1 << 16):
            found += piece
    return found


def send(opened: socket.socket, first: bytes, rest: Iterable[bytes]) -> None:
    """Send piece by piece."""
    opened.sendall(first)
    for piece in rest:
        opened.sendall(piece)


def until(true: Callable[[], bool]) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


ANY_PORT = Listen(port=0, grace=30.0)


@contextlib.contextmanager
def running(parts: Parts, listen: Listen = ANY_PORT) -> Iterator[Running]:
    """A real server over parts, as `quell serve` runs it."""
    sockets = bind(listen.host, listen.port)
    up = threading.Event()
    stops: list[Callable[[], object]] = []

    async def main() -> None:
        stop, loop = Stop(), asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop))
        await serve(make_app(parts), sockets, stop, listen, parts.pressure.close, up.set)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        assert up.wait(PATIENCE)
        yield Running(sockets[0].getsockname()[1], parts, stops[0])
    finally:
        with contextlib.suppress(RuntimeError):  # it has ended already
            stops[0]()
        thread.join(PATIENCE)
        assert not thread.is_alive()
