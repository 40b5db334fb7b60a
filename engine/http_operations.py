"""Every address of the service, one row each: what it takes and gives, and what a key must be for."""

from __future__ import annotations

from typing import Any

from quell.engine.decision import Acted, Decision, Refused
from quell.engine.explanation import Explanation
from quell.engine.http_answer import encode
from quell.engine.http_call import Call
from quell.engine.http_change import LabelRequest, ResendRequest, Resent, label, put_back, reload, resend
from quell.engine.http_parts import Parts
from quell.engine.http_problem import ProblemDetails
from quell.engine.http_read import (
    Health,
    LabelsOf,
    ListEntries,
    ListInfo,
    PastDecision,
    Status,
    Versions,
    alive,
    dead_letters,
    decision,
    explanation,
    labels,
    list_entries,
    lists,
    metrics,
    ready,
    status,
    versions,
)
from quell.engine.http_table import EVENT, LINES, Operation, Parameter
from quell.engine.openapi import describe
from quell.engine.service_types import ReloadOutcome

_WHOLE = {"type": "integer", "minimum": 1}
_SEQ = Parameter("seq", _WHOLE, "the number of the event's admission, `seq` of the decision", "path", True)
_ANSWERS = (Decision, Acted, ProblemDetails)


async def openapi(call: Call) -> bytes:
    """GET /openapi.json."""
    call.known()
    parts = call.parts
    made_of = parts.service.bundle, parts.access.open
    if parts.described is None or parts.described[0] != made_of:
        described = describe(operations(parts), parts.service.bundle, parts.access.open, parts.status_type)
        parts.described = made_of, encode(described)
    return parts.described[1]


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "decide",
        "POST",
        "/v1/decide",
        "decide",
        "Decide one event",
        about="The body is the event itself. The answer is in the journal before it is given. An event that "
        "may be sent again, as its answer may get lost, takes an Idempotency-Key: it is then counted once.",
        parameters=(
            Parameter(
                "Quell-Deadline-Ms",
                {"type": "integer", "minimum": 1, "maximum": 600_000},
                "how many milliseconds the decision may take; what has not answered by then is missing",
                "header",
            ),
            Parameter(
                "Idempotency-Key",
                {"type": "string", "pattern": "^[!-~]{1,200}$"},
                "a text made for this event: sent again with it, the event gets the answer that it had, and "
                "counts no second time",
                "header",
            ),
        ),
        answer_headers=(
            Parameter(
                "Idempotent-Replayed",
                {"type": "string", "enum": ["true"]},
                "there where the answer was given before, to the same event under the same Idempotency-Key",
                "header",
            ),
        ),
        body=EVENT,
        answer=(Decision, Acted),
        group="events",
        errors=(422, 503),
    ),
    Operation(
        "decideMany",
        "POST",
        "/v1/decide/many",
        "decide",
        "Decide an array of events, in order",
        about="Each answer stands in its event's place: a decision, or a problem with its `status`.",
        body=[EVENT],
        answer=[*_ANSWERS],
        group="events",
        errors=(422, 503),
    ),
    Operation(
        "decideStream",
        "POST",
        "/v1/decide/stream",
        "decide",
        "Decide events in lines, answered in lines while more come in",
        about="A client must read while it writes. A bad line is answered by a problem with its `line`.",
        body=EVENT,
        answer=_ANSWERS,
        content_type=LINES,
        group="events",
        errors=(503,),
    ),
    Operation(
        "decision",
        "GET",
        "/v1/decisions/{seq:number}",
        "read",
        "A past decision, with its event",
        decision,
        parameters=(_SEQ,),
        answer=PastDecision,
        needs=lambda parts: parts.decision is not None,
        group="decisions",
        errors=(404, 503),
    ),
    Operation(
        "explanation",
        "GET",
        "/v1/decisions/{seq:number}/explanation",
        "read",
        "Why a past decision was made",
        explanation,
        about="The event is decided again as it was then, and each rule shown with its parts.",
        parameters=(_SEQ,),
        answer=(Explanation, Acted, Refused),
        needs=lambda parts: parts.explain is not None,
        group="decisions",
        errors=(404, 503),
    ),
    Operation(
        "labels",
        "GET",
        "/v1/labels/{entity}/{id:any}",
        "read",
        "The labels of an entity, with their reasons",
        labels,
        parameters=(
            Parameter("entity", {"type": "string"}, "the kind of entity, as declared", "path", True),
            Parameter("id", {"type": "string", "minLength": 1}, "the entity's id", "path", True),
            Parameter("at", {"type": "string"}, "a time, ISO 8601 or a number since 1970, instead of now"),
        ),
        answer=LabelsOf,
        group="labels",
        errors=(404, 422),
    ),
    Operation(
        "label",
        "POST",
        "/v1/labels",
        "admin",
        "Set, remove or release a label by hand",
        label,
        about="What a person says of a label outranks rules until it ends or is released.",
        body=LabelRequest,
        example={
            "action": "set",
            "entity": "User",
            "id": "u1",
            "label": "spammer",
            "for": "30d",
            "why": "ticket 77",
        },
        answer=Acted,
        group="labels",
        errors=(422, 503),
    ),
    Operation("lists", "GET", "/v1/lists", "read", "The lists", lists, answer=list[ListInfo], group="lists"),
    Operation(
        "listEntries",
        "GET",
        "/v1/lists/{name}",
        "read",
        "A list: a page of its entries, or those that a value has",
        list_entries,
        parameters=(
            Parameter("name", {"type": "string"}, "the list's name", "path", True),
            Parameter("contains", {"type": "string"}, "a value to look up"),
            Parameter("offset", {"type": "integer", "minimum": 0}, "entries to leave out"),
            Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "entries to give"),
        ),
        answer=ListEntries,
        group="lists",
        errors=(404,),
    ),
    Operation("status", "GET", "/v1/status", "read", "How the service is", status, answer=Status),
    Operation(
        "versions",
        "GET",
        "/v1/versions",
        "read",
        "The versions of the bundle: when, by whom, and what changed",
        versions,
        answer=Versions,
        needs=lambda parts: parts.versions is not None,
        group="versions",
    ),
    Operation(
        "reload",
        "POST",
        "/v1/reload",
        "admin",
        "Take the policies as they are in their folder now",
        reload,
        about="They are compiled and their tests run; with an error nothing changes and 422 says why.",
        answer=ReloadOutcome,
        needs=lambda parts: parts.reload is not None,
        group="versions",
        errors=(415, 422, 503),
    ),
    Operation(
        "putBack",
        "POST",
        "/v1/versions/{number:number}/put-back",
        "admin",
        "Put a former version back in place",
        put_back,
        parameters=(Parameter("number", _WHOLE, "the number of the version", "path", True),),
        answer=ReloadOutcome,
        needs=lambda parts: parts.put_back is not None,
        group="versions",
        errors=(404, 415, 422, 503),
    ),
    Operation(
        "deadLetters",
        "GET",
        "/v1/outbox/dead",
        "admin",
        "What could not be delivered",
        dead_letters,
        parameters=(
            Parameter("sink", {"type": "string"}, "of this sink only"),
            Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "letters to give"),
            Parameter("after", {"type": "string"}, "the key of the last one that is known"),
        ),
        answer=list[dict[str, Any]],
        needs=lambda parts: parts.outbox is not None,
        group="outbox",
        errors=(503,),
    ),
    Operation(
        "resend",
        "POST",
        "/v1/outbox/resend",
        "admin",
        "Try dead letters again",
        resend,
        body=ResendRequest,
        answer=Resent,
        needs=lambda parts: parts.outbox is not None,
        group="outbox",
        errors=(503,),
    ),
    Operation(
        "metrics",
        "GET",
        "/metrics",
        "read",
        "Figures for Prometheus",
        metrics,
        answer=str,
        content_type="text/plain",
        needs=lambda parts: parts.metrics is not None,
    ),
    Operation(
        "openapi",
        "GET",
        "/openapi.json",
        "any",
        "This description",
        openapi,
        about="It also holds the event types of the bundle, each with an example.",
        answer=dict[str, Any],
    ),
    Operation("alive", "GET", "/healthz", None, "Whether the service lives", alive, answer=Health),
    Operation(
        "ready",
        "GET",
        "/readyz",
        None,
        "Whether events can be decided, and why not",
        ready,
        answer=Health,
        errors=(503,),
    ),
)


def operations(parts: Parts) -> list[Operation]:
    """What can be asked of a service with these parts."""
    return [row for row in OPERATIONS if row.needs(parts)]
