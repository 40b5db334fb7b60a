"""Clients of a service that write down what they were promised, and a webhook that writes down what comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.service_world import START, Events, texts_of, write_bundle

GONE = (ConnectionError, asyncio.IncompleteReadError, EOFError)
"""What a client meets when the service ends."""


class Told:
    """What clients were told: decisions by event id and labels as they were answered, versions that went
    live; events that nobody knows of (the service ended), and refusals by status. `owed` are events by id
    that were sent under a key, which is the id, and whose decision did not come: they are sent again. `paid`
    are those under a key that were decided, and `again` how many answers said that they were given before."""

    def __init__(self) -> None:
        self.decided: dict[str, bytes] = {}
        self.labels: list[bytes] = []
        self.versions: list[int] = []
        self.unknown: set[str] = set()
        self.refused: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.owed: dict[str, bytes] = {}
        self.paid: set[str] = set()
        self.again = 0
        self.sent = 0


class Refused(Exception):
    """A stream that was refused as a whole: the problem."""


class Connection:
    """One connection, with one request on it at a time. Raises what is in GONE."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.replayed = False
        """Whether the last answer was one that was given before."""

    async def post(self, path: str, body: bytes, key: str = "") -> tuple[int, bytes]:
        """What is answered, under a key if there is one: the status and the body."""
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        head += f"Idempotency-Key: {key}\r\n" if key else ""
        return await self._ask(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def get(self, path: str) -> tuple[int, bytes]:
        """The same for what is only looked at."""
        return await self._ask(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        reader, writer = await self._open()
        writer.write(request)
        await writer.drain()
        status, headers = await _head(reader)
        if headers.get("transfer-encoding") == "chunked":
            return status, b"".join([part async for part in _chunks(reader)])
        found = await reader.readexactly(int(headers["content-length"]))
        self.replayed = "idempotent-replayed" in headers
        if headers.get("connection") == "close":
            self.close()
        return status, found

    async def stream(self, body: bytes) -> AsyncIterator[bytes]:
        """The lines that are answered to lines, as they come in."""
        reader, writer = await self._open()
        head = "POST /v1/decide/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        status, headers = await _head(reader)
        if status != 200:
            refused = await reader.readexactly(int(headers["content-length"]))
            self.close()
            raise Refused(refused)
        part = b""
        try:
            async for chunk in _chunks(reader):
                *lines, part = (part + chunk).split(b"\n")
                for line in lines:
                    yield line
        finally:
            self.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        return self._streams

    def close(self) -> None:
        """Close it; the next request opens it again."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, value in pairs}


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The pieces of a chunked body; of one that is cut off what is there."""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        try:
            yield (await reader.readexactly(size + 2))[:-2]
        except asyncio.IncompleteReadError as short:
            yield short.partial
            raise
    await reader.readexactly(2)


class Client:
    """Sends events, one or several at a time, until the service is gone or `stop` says so; first again what
    is owed an answer. Some go under a key, at times twice at once, or once more for no reason."""

    def __init__(self, port: int, events: Events, told: Told, chance: random.Random) -> None:
        self._line, self._other = Connection(port), Connection(port)
        self._events, self._told, self._chance = events, told, chance

    async def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Send events."""
        owed = self._told.owed
        try:
            for name in list(owed):  # several clients do so, and may send one at once
                if name in owed:
                    await self._keyed(name, owed[name])
            while not stop():
                await self._send()
        finally:
            self._line.close()
            self._other.close()

    async def _keyed(self, name: str, event: bytes) -> None:
        """Send an event under a key; where the service ends before it answers, that is owed."""
        told, chance = self._told, self._chance
        told.owed[name] = event
        lines = [self._line, self._other][: 1 + (chance.random() < 0.2)]
        sent = (line.post("/v1/decide", event, name) for line in lines)
        answers = await asyncio.gather(*sent, return_exceptions=True)
        said: set[tuple[int, bytes]] = set()
        for line, answer in zip(lines, answers, strict=True):
            if isinstance(answer, BaseException):
                if not isinstance(answer, GONE):
                    raise answer
            else:
                said.add(answer)
                told.again += line.replayed
        if not said:
            raise EOFError
        decided = {answer for answer in said if answer[0] == 200}
        assert len(decided) <= 1, decided
        ((status, body),) = decided or list(said)[:1]
        if status == 200:
            told.paid.add(name)
            if chance.random() < 0.1:
                again = await self._line.post("/v1/decide", event, name)
                if again[0] == 503:
                    assert json.loads(again[1])["kind"] in ("closing", "unwritten"), again
                else:
                    assert again == (status, body), (again, status, body)
                    assert self._line.replayed, again
        if status != 503:
            told.owed.pop(name, None)
        self._take(name, body, status)

    async def _send(self) -> None:
        draw, told = self._chance.random(), self._told
        events = [self._events.next() for _ in range(1 if draw < 0.8 else self._chance.randint(2, 20))]
        names = [json.loads(event)["id"] for event in events]
        told.sent += len(names)
        told.unknown.update(names)
        if draw < 0.4:
            await self._keyed(names[0], events[0])
        elif draw < 0.8:
            status, body = await self._line.post("/v1/decide", events[0])
            self._take(names[0], body, status)
        elif draw < 0.9:
            status, body = await self._line.post("/v1/decide/many", b"[" + b",".join(events) + b"]")
            said = msgspec.json.decode(body, type=list[msgspec.Raw]) if status == 200 else [body] * len(names)
            for name, reply in zip(names, said, strict=True):
                self._take(name, bytes(reply), status)
        else:
            left = iter(names)
            try:
                async for line in self._line.stream(b"\n".join(events) + b"\n"):
                    self._take(next(left), line, 200)
            except Refused as refused:
                for name in left:
                    self._take(name, refused.args[0], 503)

    def _take(self, name: str, reply: bytes, status: int) -> None:
        """Note an answer: a decision, or a problem."""
        said = json.loads(reply)
        self._told.unknown.discard(name)
        if status == 200 and "seq" in said:
            assert said["id"] == name
            self._told.decided[name] = reply
        else:
            self._told.refused[f"{said['status']} {said['kind']}"] += 1


class Changing:
    """Puts labels by hand, and other policies in place, some of them bad."""

    def __init__(self, port: int, policies: Path, told: Told, chance: random.Random, remote: bool) -> None:
        self._line = Connection(port)
        self._policies, self._told, self._chance, self._remote = policies, told, chance, remote

    async def labels(self) -> None:
        """Put labels until the service is gone."""
        chance = self._chance
        while True:
            said = {
                "action": chance.choice(["set", "set", "remove", "release"]),
                "entity": "User",
                "id": f"u{chance.randrange(6)}",
                "label": "spammer",
                "at": START / 1e6 + chance.random() * 100,
                "why": "a test",
            }
            if said["action"] == "set":
                said["for"] = "30s"
            status, body = await self._line.post("/v1/labels", json.dumps(said).encode())
            if status == 200:
                self._told.labels.append(body)
            else:
                self._told.refused[f"{status} label"] += 1
            await asyncio.sleep(chance.random() * 0.03)

    async def reloads(self) -> None:
        """Change the policies until the service is gone."""
        while True:
            await asyncio.sleep(self._chance.random() * 0.2)
            if self._told.versions and self._chance.random() < 0.3:
                number = self._chance.choice(self._told.versions)
                self._note(await self._line.post(f"/v1/versions/{number}/put-back", b""))
            else:
                await self.reload(self._chance.randrange(1, 1_000), self._chance.random() < 1 / 3)

    async def reload(self, version: int, bad: bool, same: bool = False) -> dict[str, Any]:
        """Change the policies; gives the outcome."""
        write_bundle(self._policies, texts_of(version, remote=self._remote, bad=bad, same=same))
        return self._note(await self._line.post("/v1/reload", b""))

    def _note(self, answer: tuple[int, bytes]) -> dict[str, Any]:
        status, body = answer
        said: dict[str, Any] = json.loads(body)
        outcome: dict[str, Any] = said.get("outcome", said)
        self._told.outcomes[outcome.get("result", f"{status}")] += 1
        if outcome.get("result") == "live":
            self._told.versions.append(outcome["version"]["number"])
        return outcome

    def close(self) -> None:
        """Close the connection."""
        self._line.close()


async def until_gone(*work: Any) -> None:
    """Do several things until the service is gone. Raises what else ends one of them."""
    tasks = [asyncio.ensure_future(one) for one in work]
    for done in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(done, BaseException) and not isinstance(done, GONE):
            raise done


# ------------------------------------------------------------------ sinks


class Hook:
    """A webhook: it takes things, but at times fails, is slow, or takes them and does not say so. `got` are
    the bodies by key, and `port` is where it listens."""

    def __init__(self, chance: random.Random) -> None:
        self.got: dict[str, list[bytes]] = {}
        self.port = 0
        self._chance = chance
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Hook:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *about: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(*GONE):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                lines = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
                body = await reader.readexactly(int(lines["content-length"]))
                draw = self._chance.random()
                if draw < 0.1:
                    writer.write(b"HTTP/1.1 503 Not Now\r\nContent-Length: 0\r\n\r\n")
                    continue
                self.got.setdefault(lines["idempotency-key"], []).append(body)
                if draw < 0.15:
                    break
                await asyncio.sleep(self._chance.random() * 0.005)
                writer.write(b"HTTP/1.1 204 OK\r\nContent-Length: 0\r\n\r\n")
        self._open.discard(writer)
        writer.transport.abort()


def got_in_file(path: Path) -> dict[str, list[bytes]]:
    """What a file sink got, by key; lines that a kill tore are no JSON."""
    found: dict[str, list[bytes]] = {}
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        with contextlib.suppress(ValueError):
            found.setdefault(json.loads(line)["key"], []).append(line)
    return found
