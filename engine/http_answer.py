"""What is answered to an event: the decision as it is, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quell.engine.decision import Refused
from quell.engine.engine import BY_HAND
from quell.engine.event_problems import KINDS, Refusal
from quell.engine.http_body import Send
from quell.engine.http_problem import (
    COMMON,
    JSON,
    PROBLEM_JSON,
    RETRY_AFTER,
    Header,
    Headers,
    HttpError,
    ProblemDetails,
    details,
)
from quell.engine.service import Service

encode = msgspec.json.Encoder().encode
_NO_SECOND_LOOK = ("too-large", "too-deep", "ahead", "bad-label")
"""Kinds of refusals of which the decoder would say no more, or take long to say it."""


def problem_of(service: Service, event: bytes, refused: Refused, line: int = 0) -> ProblemDetails:
    """A refused event as a problem. The decoder is asked again for what a refusal has no room for: the hint,
    and all values at fault."""
    kind, message = refused.kind, refused.message
    if kind == BY_HAND:
        kind, message = "wrong-scope", "a label by hand takes a key with the scope `admin`"
    made = details(kind, message, path=refused.path)
    made.verdict, made.event, made.line = refused.verdict, refused.event or "", line
    if refused.kind in KINDS and refused.kind not in _NO_SECOND_LOOK:
        again = service.engine.stepper.decode(event)
        if isinstance(again, Refusal) and again.kind == refused.kind:
            made.detail, made.hint, made.problems = again.message, again.hint, again.problems
    return made


async def send_json(
    send: Send, body: bytes, status: int = 200, kind: tuple[bytes, bytes] = JSON, more: Headers | None = None
) -> None:
    """Send an answer."""
    headers = [kind, (b"content-length", b"%d" % len(body)), *COMMON, *(more or ())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Send, problem: ProblemDetails, headers: Headers | None = None) -> None:
    """Send a problem."""
    await send_json(send, encode(problem), problem.status, PROBLEM_JSON, headers)


async def send_refused(
    send: Send, service: Service, event: bytes, refused: Refused, more: Sequence[Header] = ()
) -> int:
    """Send why an event was refused; gives the status."""
    problem = problem_of(service, event, refused)
    await send_problem(send, problem, [RETRY_AFTER, *more] if problem.status == 503 else [*more])
    return problem.status


async def send_error(send: Send, service: Service, error: HttpError) -> int:
    """Send why a request with events was refused, with the verdict to act on where the caller did nothing
    wrong, or sent too much; gives the status."""
    problem = error.problem
    if problem.status in (408, 413, 500, 503):
        problem.verdict = service.bundle.analysis.symbols.ladders[""].failure
    await send_problem(send, problem, error.headers)
    return problem.status
