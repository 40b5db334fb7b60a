"""One request to anything but the addresses where events are decided, and what answers it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from quell.engine.hand import listed
from quell.engine.http_access import Grant
from quell.engine.http_answer import encode
from quell.engine.http_body import JSON_TYPES, Gone, body_of, check_type, headers_of
from quell.engine.http_parts import Parts
from quell.engine.http_problem import COMMON, JSON, PROBLEM_JSON, Headers, HttpError, ProblemDetails, refuse
from quell.engine.http_table import Operation
from quell.engine.journal_format import JournalError
from quell.grammar.diagnostics import did_you_mean

MAX_BODY = 1 << 16
"""Bytes of the body of anything that is no event."""
_QUOTED = re.compile(r"""[`'"](.*)[`'"]""", re.DOTALL)
_PLACE = re.compile(r"(.*) - at `(\$[^`]*)`", re.DOTALL)
_log = logging.getLogger("quell.http")


class Answer(NamedTuple):
    """An answer that is not simply something made JSON of with status 200."""

    body: bytes
    status: int = 200
    headers: Headers = []  # noqa: RUF012  # never changed


class Call(NamedTuple):
    """A request that was let in."""

    parts: Parts
    request: Request
    headers: Mapping[bytes, bytes]
    grant: Grant

    def text(self, name: str, most: int = 2_000) -> str | None:
        """A parameter of the query as text, None where it is not there. Raises HttpError."""
        found = self.request.query_params.getlist(name)
        if not found:
            return None
        if len(found) > 1 or len(found[0]) > most:
            raise refuse("bad-request", f"`{name}` stands there twice, or is too long", path=name)
        return found[0]

    def whole(self, name: str, otherwise: int, least: int, most: int) -> int:
        """A parameter of the query as a whole number. Raises HttpError."""
        said = self.text(name, 30)
        if said is None:
            return otherwise
        if said.isascii() and said.isdigit() and least <= int(said) <= most:
            return int(said)
        raise refuse("bad-request", f"`{name}` is a whole number from {least:,} to {most:,}", path=name)

    def known(self, *names: str) -> None:
        """Raises HttpError for a parameter of the query that is none of these: one that is misspelt must not
        be as if it were not there."""
        for name in self.request.query_params:
            if name not in names:
                there = f"there is {', '.join(names)}" if names else "there are none"
                hint = did_you_mean(name, names) or there
                raise refuse(
                    "bad-request", f"there is no parameter `{name[:100]}`", path=name[:100], hint=hint
                )

    async def body(self, type: Any) -> Any:
        """The body, as a type says. Raises HttpError and Gone."""
        check_type(self.headers, JSON_TYPES)
        data = await body_of(self.headers, self.request.receive, MAX_BODY, self.parts.pressure)
        try:
            return msgspec.json.decode(data, type=type)
        except RecursionError:
            raise refuse("bad-request", "lists and objects stand in one another too deep") from None
        except msgspec.ValidationError as error:
            message, path = _at(str(error))
            raise refuse(
                "bad-request", _plain(message), path=path, hint=_words(type, message, path)
            ) from None
        except (msgspec.DecodeError, UnicodeError) as error:
            raise refuse("bad-request", f"the body is not JSON: {error}") from None

    async def no_body(self) -> None:
        """Raises HttpError if there is a body that is not JSON: a page of another site can send those."""
        if b"content-type" in self.headers or self.headers.get(b"content-length", b"0") != b"0":
            check_type(self.headers, JSON_TYPES)


def _words(type: Any, message: str, path: str) -> str:
    """What a word that is none could have been: the names that an object of `type` may have, or the words
    that one of its fields may be."""
    said = _QUOTED.search(message)
    if said is None:
        return ""
    if message.startswith("Object contains unknown field"):
        known: tuple[str, ...] = type.__struct_encode_fields__
    elif message.startswith("Invalid enum value"):
        fields = {f"$.{field.encode_name}": field.type for field in msgspec.structs.fields(type)}
        known = get_args(fields.get(path))
    else:
        return ""
    return did_you_mean(said[1], known) or listed("there is", known)


def _at(error: str) -> tuple[str, str]:
    """What is wrong with a body, and where. What was sent stands in it, and may look like either."""
    found = _PLACE.fullmatch(error)
    return (found[1], found[2]) if found is not None else (error, "")


def _plain(message: str) -> str:
    return (message[:1].lower() + message[1:]).rstrip(".")


def response_of(problem: ProblemDetails, headers: Headers | None = None) -> Response:
    """A problem as a response."""
    return _response(encode(problem), problem.status, [PROBLEM_JSON, *(headers or ())])


def _response(body: bytes, status: int, headers: Headers) -> Response:
    made = Response(body, status)
    names = {name for name, _ in headers}
    kept = [(name, value) for name, value in COMMON if name not in names]
    made.raw_headers = [*headers, (b"content-length", b"%d" % len(body)), *kept]
    return made


async def answer(parts: Parts, operation: Operation, request: Request) -> Response:
    """The response to a request: whoever asks is looked at first, and nothing that fails is told but as a
    problem."""
    try:
        headers = headers_of(request.scope)
        assert operation.handler is not None
        scope = operation.scope
        grant = Grant("", None) if scope is None else parts.access.enter(headers, scope)
        made = await operation.handler(Call(parts, request, headers, grant))
    except HttpError as error:
        return response_of(error.problem, error.headers)
    except Gone:
        return Response(status_code=400)
    except Exception as error:
        return response_of(*_told(error))
    if isinstance(made, Answer):
        return _response(made.body, made.status, made.headers or [JSON])
    return _response(made if isinstance(made, bytes) else encode(made), 200, [JSON])


def _told(error: Exception) -> tuple[ProblemDetails, Headers]:
    """What a part of the service could not do, where it says so itself, else that something failed."""
    message, hint = getattr(error, "message", None), getattr(error, "hint", None)
    if isinstance(error, JournalError):  # no fault of whoever asks
        told = refuse("internal", error.message, hint=error.hint)
    elif isinstance(error.__cause__, OSError):  # its text names folders of the server
        _log.error("answering a request failed: %s", error)
        told = refuse("disk")
    elif isinstance(message, str) and type(error).__module__.startswith("quell."):
        told = refuse("bad-request", message, hint=hint if isinstance(hint, str) else "")
    else:
        _log.exception("answering a request failed")
        told = refuse("internal")
    return told.problem, told.headers


class Endpoint:
    """An operation as an ASGI application, for a route."""

    def __init__(self, parts: Parts, operation: Operation) -> None:
        self._parts, self.operation = parts, operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await answer(self._parts, self.operation, Request(scope, receive))
        await response(scope, receive, send)
        self._parts.pressure.answered(self.operation.name, response.status_code)
