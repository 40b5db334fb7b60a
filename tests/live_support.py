"""Notes of a real engine for the live page, a clock that stands, and a small server in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from quell.engine.carry import SnapshotReport
from quell.engine.decision import Decision
from quell.engine.events import Decoded
from quell.engine.explain import Account, Explainer
from quell.engine.live import Live
from quell.engine.live_routes import live_routes
from quell.engine.service_types import Finding, Note, ReloadOutcome, VersionInfo
from quell.engine.settle import Hit
from quell.engine.stepper import Stepper
from quell.replay.simulate import simulate
from tests.bundles import engine

NOW = 1_772_452_800_000_000
SECOND = 1_000_000
KEY = "key-that-may-read"

POLICY = """
entity User labels "spammer"
entity Room
event message from "message"
  id      text = $.id
  at      time = $.at
  author  User = $.author
  room    Room? = $.room
  others  list<User> = $.others  default []
  number  number? = $.number
# Who shouts.
# Loudly.
rule shouting on message
  when number > 10
  then block
       label author "spammer" for 1d
       send "queue" { who: author }
  because "`{number}` is loud"
  tag "noise"
  owner "ana"
  severity high
rule would_shout on message
  when number > 5
  then review
  mode shadow
rule partly on message
  when number > 8
  then flag
  rollout 0% by author
rule silent on message
  when number > 1000
  then flag
  mode off
"""

HISTORY = (
    VersionInfo(1, "aa", NOW - 90_000 * SECOND, "ana", "start"),
    VersionInfo(
        2,
        "bb",
        NOW - 7_000 * SECOND,
        "kim",
        "files changed",
        ("rule `shouting` changed: when", "list `l` added"),
    ),
)


class Told:
    """A live page's memory over a stepper, with a clock that is moved by hand."""

    def __init__(self, stepper: Stepper, **options: Any) -> None:
        self.stepper = stepper
        self.now = NOW
        self.live = Live(lambda: self.stepper.bundle, lambda: self.now, lambda: HISTORY, **options)

    def decide(self, events: Iterable[Mapping[str, Any] | bytes], *, step: int = 0) -> list[Note]:
        """Decide events and tell of them, each `step` microseconds after the one before."""
        notes = []
        for event in events:
            raw = event if isinstance(event, bytes) else msgspec.json.encode(event)
            self.now += step
            notes.append(Note(self.now, 0.0005, 2, raw, self.stepper.decide(raw)))
        self.live.watch(notes)
        return notes


def told(text: str = POLICY, **options: Any) -> Told:
    """Nothing told yet, of a bundle written here."""
    return Told(engine(text), **options)


def message(serial: int, number: float | None = None, author: str = "u1", **more: Any) -> dict[str, Any]:
    """An event of `POLICY`."""
    at = NOW // SECOND + serial
    return {"type": "message", "id": f"m{serial}", "at": at, "author": author, "number": number, **more}


LABEL = {
    "type": "quell.label", "at": "2026-03-02T12:00:00Z", "entity": "User", "id": "u9", "label": "spammer",
    "action": "set", "by": "kim", "why": "ticket 77",
}  # fmt: skip


@cache
def simulated(number: int) -> list[dict[str, Any]]:
    """The first events of a simulated day."""
    return list(islice(simulate(events=8_000), number))


# ------------------------------------------------------------------------------------------------- a server


def status() -> dict[str, Any]:
    """A service whose last reload was refused."""
    findings = (
        Finding(
            "floods.quell", 31, "`own_repets` is not declared", "unknown-name", "did you mean `own_repeats`?"
        ),
        Finding("raids.quell", 88, 'test "<script>window.hacked = 1</script>" failed', "test-failed"),
    )
    report = SnapshotReport("bb", kept=("count(message by author)",))
    outcome = ReloadOutcome("refused", NOW, "kim", "files changed", findings=findings, errors=7, state=report)
    return {
        "began": NOW,
        "reload": {"live": HISTORY[-1], "last": outcome, "watching": "told"},
        "journal": {
            "segments": 4,
            "bytes": 123_456_789,
            "first": 1,
            "last": 99,
            "entries": 99,
            "problem": "",
        },
        "outbox": {"sinks": {"queue": {"waiting": 12, "delivered": 5_321, "dead": 2}}, "problem": ""},
        "warnings": ["there is no sink `<b>queue</b>`"],
    }


def problem(code: int, detail: str, hint: str) -> Response:
    said = {"title": "no", "status": code, "detail": detail, "hint": hint}
    return Response(msgspec.json.encode(said), code, media_type="application/problem+json")


def guard(keys: Sequence[str]) -> Callable[[Request], Response | None]:
    """Lets through whoever has one of the keys; everybody where there is none."""

    def allowed(request: Request) -> Response | None:
        said = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not keys or said in keys:
            return None
        if said == "may-decide":
            return problem(403, "this key has no scope `read`", "make one that has")
        return problem(
            401, "this key is not known" if said else "a key is needed", "make one with `quell keys`"
        )

    return allowed


class Past(NamedTuple):
    """What a journal has of a decision."""

    version: int
    wall: int
    event: msgspec.Raw
    reply: msgspec.Raw


def past(note: Note) -> Past:
    """A note as a journal keeps it."""
    reply = msgspec.Raw(msgspec.json.encode(note.reply))
    return Past(note.version, note.wall, msgspec.Raw(note.event), reply)


def application(
    told: Told,
    *,
    keys: Sequence[str] = (),
    explained: Mapping[int, bytes] | None = None,
    journal: Mapping[int, Past] | None = None,
) -> Starlette:
    """The page's routes over what was told and what a journal has, and explanations beside them."""

    async def find(seq: int) -> Past | None:
        return (journal or {}).get(seq)

    allowed = guard(keys)

    async def explanation(request: Request) -> Response:
        known = (explained or {}).get(request.path_params["seq"])
        refused = allowed(request)
        if refused is not None or known is None:
            return refused or problem(404, "there is no decision of this number", "the journal begins later")
        return Response(known, media_type="application/json")

    path = "/v1/decisions/{seq:int}/explanation"
    return Starlette(routes=[*live_routes(told.live, status, allowed, find), Route(path, explanation)])


def explanations(
    stepper: Stepper, events: Iterable[Mapping[str, Any]]
) -> tuple[list[Note], dict[int, bytes]]:
    """Events decided: the notes, and by number the explanations of those on which a rule matched, as JSON."""
    explainer = Explainer(stepper)
    notes, made = [], {}
    for i, event in enumerate(events):
        raw = msgspec.json.encode(event)
        decoded = stepper.decode(raw)
        if not isinstance(decoded, Decoded):
            notes.append(Note(NOW + i, 0.0005, 2, raw, stepper.reply(decoded)))
            continue
        accounts: list[Account] = []

        def observe(decoded: Decoded, hits: list[Hit], accounts: list[Account] = accounts) -> None:
            accounts += [explainer.account(decoded, hits)] if hits else []

        reply = stepper.decide_decoded(decoded, observe)
        if accounts and isinstance(reply, Decision):
            made[reply.seq] = msgspec.json.encode(accounts[0].explanation(reply))
        notes.append(Note(NOW + i, 0.0005, 2, raw, reply))
    return notes, made


class Answer(NamedTuple):
    """What an application answered; names of headers are in lower case."""

    status_code: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.content)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode()


class Client:
    """Asks an application without a server in between."""

    def __init__(self, app: Starlette) -> None:
        self.app = app

    def get(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        """What it answers."""
        return asyncio.run(self._ask(path, headers or {}, method))

    async def _ask(self, path: str, headers: Mapping[str, str], method: str) -> Answer:
        bare, _, query = path.partition("?")
        told = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": unquote(bare), "raw_path": bare.encode(), "root_path": "",
            "query_string": query.encode(), "headers": [(b"host", b"quell.test"), *told],
            "client": ("127.0.0.1", 1), "server": ("quell.test", 80),
        }  # fmt: skip
        said: list[MutableMapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            said.append(message)

        await self.app(scope, receive, send)
        start, body = said[0], b"".join(m.get("body", b"") for m in said[1:])
        return Answer(start["status"], {k.decode().lower(): v.decode() for k, v in start["headers"]}, body)


class Address(str):
    """Where a server listens."""

    loop: asyncio.AbstractEventLoop

    def do(self, work: Callable[[], object]) -> None:
        """Do something on the server's event loop, where a service does it: between two requests."""

        async def now() -> None:
            work()

        asyncio.run_coroutine_threadsafe(now(), self.loop).result(60)


@contextmanager
def served(app: Starlette) -> Iterator[Address]:
    """The address of a server in a thread of its own."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    )
    running = threading.Event()
    found: list[Address] = []

    async def run() -> None:
        task = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.005)
        found.append(Address(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"))
        found[0].loop = asyncio.get_running_loop()
        running.set()
        await task

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert running.wait(60)
    try:
        yield found[0]
    finally:
        server.should_exit = True
        thread.join(60)
