"""Headers and bodies of requests, read within bounds: how many, how long, how slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any

from quell.engine.http_pressure import Pressure
from quell.engine.http_problem import CLOSE, refuse
from quell.engine.idempotency import is_key

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_HEADERS = 100
JSON_TYPES = (b"application/json",)
LINE_TYPES = (
    b"application/x-ndjson",
    b"application/ndjson",
    b"application/jsonl",
    b"application/x-jsonlines",
)
_ONCE = (
    b"authorization",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"host",
    b"idempotency-key",
    b"origin",
    b"quell-deadline-ms",
    b"transfer-encoding",
)
MAX_DEADLINE = 600_000
"""Milliseconds."""


class Gone(Exception):
    """The client went away before all of its body was there."""


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The headers of a request by name. Raises HttpError where there are too many, or one that may stand
    there only once stands there twice: what reads the first and what reads the last must not differ."""
    pairs = scope["headers"]
    headers = dict(pairs)
    if len(headers) != len(pairs):
        if len(pairs) > MAX_HEADERS:
            raise refuse("too-many-headers", headers=[CLOSE])
        names = [name for name, _ in pairs]
        for name in _ONCE:
            if names.count(name) > 1:
                raise refuse(
                    "bad-header", f"the header `{name.decode()}` stands there twice", headers=[CLOSE]
                )
    elif len(pairs) > MAX_HEADERS:
        raise refuse("too-many-headers", headers=[CLOSE])
    return headers


def check_type(headers: Mapping[bytes, bytes], types: Collection[bytes]) -> None:
    """Raises HttpError for a body of another type, or a compressed one."""
    sent = headers.get(b"content-type", b"")
    if sent not in types and sent.split(b";")[0].strip().lower() not in types:
        known = next(iter(types)).decode()
        said = f"the Content-Type is `{sent[:100].decode('latin-1')}`" if sent else "there is no Content-Type"
        raise refuse("wrong-content-type", said, hint=f"send Content-Type: {known}", headers=[CLOSE])
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        raise refuse("wrong-encoding", headers=[(b"accept-encoding", b"identity"), CLOSE])


def deadline_of(headers: Mapping[bytes, bytes]) -> float | None:
    """The seconds that a decision may take, as the header `Quell-Deadline-Ms` says. Raises HttpError."""
    sent = headers.get(b"quell-deadline-ms")
    if sent is None:
        return None
    if sent.isdigit() and len(sent) <= 6 and 0 < int(sent) <= MAX_DEADLINE:
        return int(sent) / 1000
    raise refuse(
        "bad-header",
        "`Quell-Deadline-Ms` is a whole number of milliseconds from 1 to 600000",
        hint="send Quell-Deadline-Ms: 250",
    )


def key_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The key under which an event is to be decided once, None where there is none. Raises HttpError."""
    sent = headers.get(b"idempotency-key")
    if sent is None:
        return None
    key = sent.strip(b" \t").decode("latin-1")  # blanks around a header's value are no part of it
    if is_key(key):
        return key
    raise refuse(
        "bad-header",
        "`Idempotency-Key` is 1 to 200 visible ASCII characters",
        hint="make a random one for each event, and send it again with the same event only",
    )


def only_for_one(headers: Mapping[bytes, bytes]) -> None:
    """Raises HttpError for what only one event can have: a deadline, a key. It would be as if it were not
    there."""
    for name, shown in ((b"quell-deadline-ms", "Quell-Deadline-Ms"), (b"idempotency-key", "Idempotency-Key")):
        if name in headers:
            raise refuse("bad-header", f"`{shown}` is for /v1/decide alone")


def no_query(scope: Scope) -> None:
    """Raises HttpError for a query where there is none."""
    if scope.get("query_string"):
        raise refuse("bad-request", "there are no parameters here")


async def body_of(headers: Mapping[bytes, bytes], receive: Receive, most: int, pressure: Pressure) -> bytes:
    """The whole body of a request, of at most so many bytes. Raises HttpError for one that is longer, as soon
    as that is known, or too slow, and Gone."""
    said = headers.get(b"content-length")
    if said is not None and said.isdigit() and (len(said) > 15 or int(said) > most):
        raise _too_large(most)
    waiting, task = pressure.waiting, asyncio.current_task()
    assert task is not None
    waiting[task] = pressure.now + pressure.limits.body_timeout
    try:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await _rest(body, receive, most, pressure)
    except asyncio.CancelledError:
        if not pressure.was_overdue(task):
            raise
        task.uncancel()
        raise refuse("slow-body", headers=[CLOSE]) from None
    finally:
        waiting.pop(task, None)
    if len(body) > most:
        raise _too_large(most)
    return body


async def _rest(first: bytes, receive: Receive, most: int, pressure: Pressure) -> bytes:
    parts = [first]
    with pressure.room() as room:
        room.take(len(first))
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise Gone
            piece = message.get("body", b"")
            parts.append(piece)
            room.take(len(piece))
            if room.taken > most:
                raise _too_large(most)
            if not message.get("more_body"):
                return b"".join(parts)


def _too_large(most: int) -> Exception:
    return refuse("too-large", f"the body is longer than {most:,} bytes", headers=[CLOSE])
