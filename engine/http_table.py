"""The addresses of the service: one table, of which routes, guards and the description are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from quell.engine.keys import Scope

if TYPE_CHECKING:
    from quell.engine.http_call import Call
    from quell.engine.http_parts import Parts

Handler = Callable[["Call"], Awaitable[Any]]
"""Answers a call: with a `Reply`, or with what is made JSON of. Raises HttpError."""


class Parameter(NamedTuple):
    """A parameter of an address or a query: its JSON schema, and what it means."""

    name: str
    schema: Mapping[str, Any]
    meaning: str
    place: str = "query"
    required: bool = False


class Operation(NamedTuple):
    """One thing that can be asked for. `handler` is None where a plain ASGI application answers. `scope` is
    what a key must be for, None where everybody may ask. `body` and `answer` name what goes in and comes out
    with status 200, for the description; `needs` says which part of the service must be there."""

    name: str
    method: str
    path: str
    scope: Scope | None
    summary: str
    handler: Handler | None = None
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    answer: Any = None
    content_type: str = "application/json"
    needs: Callable[[Parts], bool] = lambda parts: True
    group: str = "service"
