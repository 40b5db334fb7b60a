"""What can be changed by hand: labels, the version that decides, dead letters."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal

import msgspec

from quell.engine.decision import Acted
from quell.engine.hand import Action, LabelError, made, span_of, time_of
from quell.engine.http_answer import encode
from quell.engine.http_call import Answer, Call
from quell.engine.http_problem import PROBLEM_JSON, RETRY_AFTER, details, refuse
from quell.engine.service_types import ReloadOutcome


class LabelRequest(msgspec.Struct, forbid_unknown_fields=True, rename={"for_": "for"}):
    """A label by hand: `action` is `set`, `remove` or `release`; `at` when, by default now; `until` a time or
    `for` a duration (30d) says when it ends. Who did it is told by the key."""

    action: Action
    entity: str
    id: str
    label: str
    at: str | int | float | None = None
    until: str | int | float | None = None
    for_: str | None = None
    why: str | None = None


class ResendRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of dead letters to try again."""

    keys: tuple[str, ...]


class Resent(msgspec.Struct):
    """How many dead letters are tried again."""

    resent: int


class RefusedBundle(msgspec.Struct, omit_defaults=True):
    """The problem of a bundle that was refused, with the outcome that says why."""

    type: str
    title: str
    status: int
    detail: str
    kind: str
    outcome: ReloadOutcome


async def label(call: Call) -> bytes:
    """POST /v1/labels."""
    call.known()
    said: LabelRequest = await call.body(LabelRequest)
    try:
        at = time.time_ns() // 1000 if said.at is None else time_of("at", said.at)
        action = made(
            said.action,
            said.entity,
            said.id,
            said.label,
            at=at,
            by=call.grant.name,
            until=None if said.until is None else time_of("until", said.until),
            lasts=None if said.for_ is None else span_of("for", said.for_),
            why=said.why,
        )
        reply, encoded = await call.parts.service.label(action)
    except LabelError as error:
        raise refuse(_kind(call), str(error)) from None
    if not isinstance(reply, Acted):
        raise refuse("unwritten")
    return encoded


def _kind(call: Call) -> Literal["unwritten", "closing", "bad-label"]:
    journal = call.parts.service.journal
    if journal is not None and journal.problem:
        return "unwritten"
    return "closing" if call.parts.pressure.closing else "bad-label"


async def reload(call: Call) -> Any:
    """POST /v1/reload."""
    call.known()
    await call.no_body()
    assert call.parts.reload is not None
    return _outcome(await call.parts.pressure.unless_closing(call.parts.reload(call.grant.name)))


async def put_back(call: Call) -> Any:
    """POST /v1/versions/{number}/put-back."""
    call.known()
    await call.no_body()
    assert call.parts.put_back is not None
    number: int = call.request.path_params["number"]
    if not 0 < number < 1 << 53:
        raise refuse("not-found", f"there is no version {number}", hint="/v1/versions names them")
    return _outcome(await call.parts.pressure.unless_closing(call.parts.put_back(number, call.grant.name)))


def _outcome(outcome: ReloadOutcome) -> Any:
    """What came of it; a refused bundle is a problem, for whoever looks at the status alone."""
    if outcome.result not in ("refused", "failed"):
        return outcome
    first = outcome.findings[0] if outcome.findings else None
    place = f"{first.file}:{first.line}: " if first is not None and first.file else ""
    where = f"{place}{first.message}" if first is not None else ""
    undone = outcome.result == "failed"
    said = details("unchecked" if undone else "bundle-refused", where)
    problem = RefusedBundle(said.type, said.title, said.status, said.detail, said.kind, outcome)
    return Answer(encode(problem), said.status, [PROBLEM_JSON, *([RETRY_AFTER] if undone else [])])


async def resend(call: Call) -> Resent:
    """POST /v1/outbox/resend."""
    call.known()
    said: ResendRequest = await call.body(ResendRequest)
    assert call.parts.outbox is not None
    return Resent(await asyncio.to_thread(call.parts.outbox.resend, said.keys))
