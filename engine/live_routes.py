"""The live page over HTTP: the page, its assets, and the JSON it asks for.

======================================== =====================================================
/                                        the page
/live/NAME                               its scripts, style and picture
/v1/live?since=N                         `LiveUpdate`
/v1/live/rules                           `Rules`
/v1/live/rules/NAME                      `RuleText`
/v1/live/search?q=…&before=N&limit=N     `Found`
/v1/live/decisions/SEQ                   `Detail`, and `EventText` under `…/event`
/v1/live/refusals/NUMBER                 the same for what was refused
/v1/live/status                          `LiveStatus`
======================================== =====================================================

The page and its assets hold nothing of the service and are given to everybody. Everything else asks
`allowed` first. The page runs under a policy that lets it load its own files and ask this server, and nothing
else; it takes no text for markup.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from quell.engine.hand import HAND
from quell.engine.http_paths import know_parameters
from quell.engine.journal_format import JournalError
from quell.engine.live import MOST_FOUND, Live
from quell.engine.live_events import shown
from quell.engine.live_recall import Answered, note_of
from quell.engine.live_search import read_query
from quell.engine.service_types import Kind, Note

PAGE = "live.html"
ASSETS = {
    "live.css": "text/css; charset=utf-8",
    "live.svg": "image/svg+xml",
    "live_ask.js": "text/javascript; charset=utf-8",
    "live_chart.js": "text/javascript; charset=utf-8",
    "live_counts.js": "text/javascript; charset=utf-8",
    "live_detail.js": "text/javascript; charset=utf-8",
    "live_dom.js": "text/javascript; charset=utf-8",
    "live_explanation.js": "text/javascript; charset=utf-8",
    "live_list.js": "text/javascript; charset=utf-8",
    "live_main.js": "text/javascript; charset=utf-8",
    "live_rules.js": "text/javascript; charset=utf-8",
    "live_status.js": "text/javascript; charset=utf-8",
}
"""The page's files, beside this module, with their media types."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""What the page may do. The last line has a browser refuse every text as markup or script."""

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_LARGEST = 1 << 62
_MOST_QUERY = 2_000
"""Characters of a search."""

Allowed = Callable[[Request], Response | None]
"""Looks at the key of a request: None lets it through, a response (401, 403) is the answer instead."""
Status = Callable[[], Any]
"""What the service says of itself, as a mapping or a Struct."""


class Written(Protocol):
    """What the journal has of a decision or a label by hand: event and reply as JSON."""

    @property
    def version(self) -> int:
        """The version of the bundle that decided."""
        ...

    @property
    def wall(self) -> int:
        """When it was written, in microseconds since 1970."""
        ...

    @property
    def event(self) -> msgspec.Raw:
        """The event as it came."""
        ...

    @property
    def reply(self) -> msgspec.Raw:
        """The reply as it was given."""
        ...


Past = Callable[[int], Awaitable[Written | None]]
"""Finds a decision in the journal by its number."""


async def nothing_past(seq: int) -> Written | None:
    """Where there is no journal."""
    return None


def live_routes(live: Live, status: Status, allowed: Allowed, past: Past = nothing_past) -> list[Route]:
    """The routes of the page, for a Starlette application. `allowed` must ask for the scope `read` wherever
    the service has keys: what stands beneath `/v1/live` is made of events. `past` finds what is not kept any
    more."""
    know_parameters()
    asked = _Asked(live, status, past)
    paths: dict[str, Callable[[Request], Any]] = {
        "/v1/live": asked.now,
        "/v1/live/rules": asked.rules,
        "/v1/live/rules/{name:path}": asked.rule,
        "/v1/live/search": asked.search,
        "/v1/live/decisions/{number:number}": asked.decision,
        "/v1/live/decisions/{number:number}/event": asked.event,
        "/v1/live/refusals/{number:number}": asked.refusal,
        "/v1/live/refusals/{number:number}/event": asked.refused_event,
        "/v1/live/status": asked.status_now,
    }
    made = [Route(path, _guarded(tell, allowed)) for path, tell in paths.items()]
    return [Route("/", _page), Route("/live/{name}", _asset), *made]


# ------------------------------------------------------------------------------------------------- files


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    type: str
    etag: str


@cache
def _file(name: str) -> _File:
    content = files("quell.engine").joinpath(name).read_bytes()
    return _File(
        content, ASSETS.get(name, "text/html; charset=utf-8"), f'"{sha256(content).hexdigest()[:20]}"'
    )


def _served(request: Request, file: _File, more: dict[str, str]) -> Response:
    """A file, or that the browser has it. It asks each time, so that a page never runs with the scripts of
    another version."""
    headers = {**_ALWAYS, **more, "ETag": file.etag, "Cache-Control": "no-cache"}
    known = request.headers.get("if-none-match", "")
    if file.etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.type)


async def _page(request: Request) -> Response:
    more = {"Content-Security-Policy": POLICY, "Cross-Origin-Opener-Policy": "same-origin"}
    return _served(request, _file(PAGE), more)


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in ASSETS:
        return problem(404, "there is no such file", "the live page is at `/`")
    # A picture that is opened by itself is a document, too.
    return _served(request, _file(name), {"Content-Security-Policy": "default-src 'none'; style-src 'self'"})


# -------------------------------------------------------------------------------------------------- JSON


class Wrong(Exception):
    """What is asked for cannot be, or is not there: the HTTP status, what is wrong, and what to try."""

    def __init__(self, status: int, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.status, self.detail, self.hint = status, detail, hint


def problem(status: int, detail: str, hint: str = "") -> Response:
    """An error as problem+json."""
    title = {400: "bad request", 404: "not found", 500: "it cannot be read"}[status]
    said = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if hint:
        said["hint"] = hint
    headers = {**_ALWAYS, "Cache-Control": "no-store"}
    return Response(msgspec.json.encode(said), status, headers, "application/problem+json")


def _json(said: Any) -> Response:
    headers = {**_ALWAYS, "Cache-Control": "no-store"}
    return Response(msgspec.json.encode(said), headers=headers, media_type="application/json")


def _guarded(tell: Callable[[Request], Any], allowed: Allowed) -> Callable[[Request], Any]:
    """An endpoint that tells what `tell` gives to whoever may hear it."""

    async def endpoint(request: Request) -> Response:
        refused = allowed(request)
        if refused is not None:
            return refused
        try:
            said = tell(request)
            return _json(await said if isinstance(said, Awaitable) else said)
        except Wrong as wrong:
            return problem(wrong.status, wrong.detail, wrong.hint)

    return endpoint


def _number(request: Request, name: str, otherwise: int) -> int:
    said = request.query_params.get(name, "")
    if not said:
        return otherwise
    if not (said.isascii() and said.isdigit()) or len(said) > 19:
        raise Wrong(
            400, f"`{name}` must be a whole number, not `{said[:40]}`", "leave it out for all there is"
        )
    return min(int(said), _LARGEST)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What each path tells."""

    live: Live
    status: Status
    past: Past

    def now(self, request: Request) -> Any:
        return self.live.now(_number(request, "since", 0))

    def rules(self, request: Request) -> Any:
        return self.live.rules()

    def rule(self, request: Request) -> Any:
        name = request.path_params["name"]
        return _there(
            self.live.rule(name), "the bundle has no rule of this name", "`/v1/live/rules` lists them"
        )

    async def search(self, request: Request) -> Any:
        said = request.query_params.get("q", "")
        if len(said) > _MOST_QUERY:
            raise Wrong(400, f"a search has at most {_MOST_QUERY:,} characters", "search for a part of it")
        before, limit = _number(request, "before", 0), _number(request, "limit", MOST_FOUND)
        found = None
        for found in self.live.searching(read_query(said), before, max(1, min(limit, MOST_FOUND))):
            if found is None:
                await asyncio.sleep(0)  # decisions go first
        return found

    async def decision(self, request: Request) -> Any:
        seq = request.path_params["number"]
        return self.live.decision(seq) or self.live.past(await self._written(seq))

    async def event(self, request: Request) -> Any:
        seq = request.path_params["number"]
        return self.live.event(seq) or shown((await self._written(seq)).event)

    async def _written(self, seq: int) -> Note:
        """What the journal has of a decision."""
        try:
            written = await self.past(seq) if 0 < seq < _LARGEST else None
        except JournalError as error:
            raise Wrong(500, error.message, error.hint) from None
        if written is None:
            raise Wrong(404, *_GONE)
        event, said = bytes(written.event), bytes(written.reply)
        kind: Kind = "acted" if msgspec.json.decode(said, type=_Told).event == HAND else "event"
        note = note_of(Answered(kind, written.version, written.wall, event, said))
        if note is None:
            raise Wrong(500, f"this Quell cannot read what decision {seq} was")
        return note

    def refusal(self, request: Request) -> Any:
        return _there(self.live.refusal(request.path_params["number"]), *_GONE)

    def refused_event(self, request: Request) -> Any:
        return _there(self.live.refused_event(request.path_params["number"]), *_GONE)

    def status_now(self, request: Request) -> Any:
        return self.live.status(self.status())


class _Told(msgspec.Struct):
    """What every reply in the journal says of itself; a defect of Quell may not know what the event was."""

    event: str = ""


_GONE = ("there is no such decision", "it is neither among the newest answers nor in what the journal keeps")


def _there(found: Any, detail: str, hint: str) -> Any:
    if found is None:
        raise Wrong(404, detail, hint)
    return found
