"""The addresses of the service: one table, of which routes, guards and the description are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from quell.engine.keys import Needed

if TYPE_CHECKING:
    from quell.engine.http_call import Call
    from quell.engine.http_parts import Parts

EVENT = "event"
"""Stands for any event that the bundle declares, as a body; `[EVENT]` for an array of them."""
LINES = "application/x-ndjson"

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
    what a key must be for, None where everybody may ask. `body` and `answer` are the types of what goes in
    and comes out with status 200 (a tuple: one of these, a list: an array of them), `example` shows a body,
    `answer_headers` are headers that may stand in an answer with status 200, and `errors` are the statuses of
    its problems, besides those that all have, for the description; `needs` says which part of the service
    must be there."""

    name: str
    method: str
    path: str
    scope: Needed | None
    summary: str
    handler: Handler | None = None
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    answer: Any = None
    content_type: str = "application/json"
    needs: Callable[[Parts], bool] = lambda parts: True
    group: str = "service"
    errors: tuple[int, ...] = ()
    example: Any = None
    answer_headers: tuple[Parameter, ...] = ()

    def statuses(self) -> list[int]:
        """The statuses of the problems that may be the answer."""
        found = {400, 414, 431, 500, *self.errors}
        if self.scope is not None:
            found |= {401, 403}
        if self.body is not None:
            found |= {408, 413, 415}
        return sorted(found)
