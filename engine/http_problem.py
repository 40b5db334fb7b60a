"""Errors as RFC 9457 has them: what went wrong, where, and what to try, as application/problem+json."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from quell.engine.event_problems import KINDS as EVENT_KINDS
from quell.engine.event_problems import Problem

Header = tuple[bytes, bytes]
Headers = list[Header]

JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")
PROBLEM_JSON: tuple[bytes, bytes] = (b"content-type", b"application/problem+json")
RETRY_AFTER: tuple[bytes, bytes] = (b"retry-after", b"1")
CLOSE: tuple[bytes, bytes] = (b"connection", b"close")
COMMON: Headers = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
"""Sent with every answer but decisions."""


class KindOfProblem(NamedTuple):
    """What problems of one kind have in common: the HTTP status, a title, what it means, what to try."""

    status: int
    title: str
    meaning: str
    hint: str = ""


HTTP_KINDS: dict[str, KindOfProblem] = {
    "not-found": KindOfProblem(
        404, "there is nothing here", "no such address, or nothing by that name", "/docs lists what there is"
    ),
    "wrong-method": KindOfProblem(
        405, "not with this method", "the address exists and takes other methods, which `Allow` names"
    ),
    "wrong-content-type": KindOfProblem(
        415,
        "the body is of another type",
        "the body's Content-Type is not what this address takes",
        "send Content-Type: application/json",
    ),
    "wrong-encoding": KindOfProblem(
        415, "the body is compressed", "bodies are taken as they are, not compressed", "send it uncompressed"
    ),
    "too-large": KindOfProblem(
        413, "too large", "the body, an event, or a text in one is longer than is allowed"
    ),
    "slow-body": KindOfProblem(408, "the body came too slowly", "the body was not there in time"),
    "too-many-headers": KindOfProblem(431, "too many headers", "a request has at most 100 headers"),
    "too-long-address": KindOfProblem(
        414, "the address is too long", "an address has at most 4,000 characters, a query 16,000"
    ),
    "bad-header": KindOfProblem(
        400, "a header is wrong", "a header cannot be read, or stands there more than once"
    ),
    "bad-request": KindOfProblem(
        400, "the request is wrong", "a parameter or a part of the body is not what it must be"
    ),
    "no-key": KindOfProblem(
        401,
        "a key is needed",
        "the request has no API key, or one that does not hold",
        "send Authorization: Bearer qk_…; `quell keys add NAME --scope decide` makes a key",
    ),
    "wrong-scope": KindOfProblem(
        403, "the key is not for this", "the API key has not the scope that this takes"
    ),
    "wrong-host": KindOfProblem(
        403,
        "asked under another name",
        "a service without keys answers only to localhost, so that no web page can reach it under a name "
        "of its own",
        "ask http://localhost, or make keys with `quell keys add`",
    ),
    "wrong-origin": KindOfProblem(
        403, "asked by another site", "the request comes from a web page of another site"
    ),
    "overload": KindOfProblem(
        503,
        "too much to do",
        "the service has more to do than it can, and refuses rather than be slow; the event was not counted",
        "try again after the time that Retry-After says",
    ),
    "busy": KindOfProblem(
        503,
        "too much under way",
        "too many decisions wait for remote answers; the event was not counted",
        "try again after the time that Retry-After says",
    ),
    "closing": KindOfProblem(
        503, "the service is closing", "it takes no more events; this one was not counted", "try again"
    ),
    "unwritten": KindOfProblem(
        503,
        "the journal cannot be written",
        "no decision is given that is not in the journal; /v1/status says why it cannot be written",
        "try again after the time that Retry-After says",
    ),
    "under-way": KindOfProblem(
        503,
        "still under way",
        "the answer to the first event under this Idempotency-Key was not there in time; it counts once",
        "try again with the same key after the time that Retry-After says",
    ),
    "other-event": KindOfProblem(
        422,
        "the key is another event's",
        "another event came under this Idempotency-Key before; this one was not counted",
        "make a key for each event, and send the same bytes when it is sent again",
    ),
    "lost-answer": KindOfProblem(
        500,
        "the answer is lost",
        "the event was counted under this Idempotency-Key, but the journal does not tell its answer any more",
        "`quell journal verify` tells what is damaged; under another key the event counts once more",
    ),
    "disk": KindOfProblem(
        503,
        "the service cannot read or write its files",
        "a file of its data folder cannot be used; its log says which, and why",
        "try again once there is room, or whatever else the log says is mended",
    ),
    "not-ready": KindOfProblem(503, "not ready", "the service cannot decide at the moment"),
    "internal": KindOfProblem(
        500, "a defect of Quell", "something failed inside Quell", "please report it, with what was asked"
    ),
    "too-many-events": KindOfProblem(
        413,
        "too many events",
        "an array holds more events than is allowed",
        "send several arrays, or lines to /v1/decide/stream",
    ),
    "not-array": KindOfProblem(
        422, "the body is not an array", "the body must be a JSON array of events", "send [{…}, {…}]"
    ),
    "bad-label": KindOfProblem(
        422, "the label cannot be", "a label by hand names what is not declared, or its parts do not fit"
    ),
    "bundle-refused": KindOfProblem(
        422,
        "the policies were refused",
        "the policies have errors or their tests fail; nothing was changed, and `findings` say why",
    ),
    "unchecked": KindOfProblem(
        503,
        "the policies could not be checked",
        "checking them failed or took too long; nothing was changed, and `findings` say what happened",
    ),
    "not-decided-here": KindOfProblem(
        404,
        "no such decision",
        "the journal does not hold this decision, or no longer",
        "its number is `seq` of the answer; versions of the policies have numbers of the same row",
    ),
}
"""Every kind of problem that is not an event's fault alone, with what it means."""


def kind_of(kind: str) -> KindOfProblem:
    """What is known of a kind of problem; those of events are the decoder's."""
    known = HTTP_KINDS.get(kind)
    if known is not None:
        return known
    meaning = EVENT_KINDS.get(kind, "the event was refused")
    return KindOfProblem(422, meaning, meaning)


class ProblemDetails(msgspec.Struct, omit_defaults=True):
    """An error: `kind` is a slug, and `type` where it is explained; `title` is the same for all of a kind and
    `detail` says it of this one. `path` is the place in the JSON, `hint` what to try. For an event `verdict`
    is what its ladder gives on failure, so that a caller can act on it, and `problems` are all values at
    fault. `line` is its line in a stream, from 1."""

    type: str
    title: str
    status: int
    detail: str
    kind: str
    instance: str = ""
    path: str = ""
    hint: str = ""
    verdict: str = ""
    event: str = ""
    problems: tuple[Problem, ...] = ()
    line: int = 0


class HttpError(Exception):
    """A request that is refused, with the headers that go with it."""

    def __init__(self, problem: ProblemDetails, headers: Headers | None = None) -> None:
        super().__init__(problem.detail)
        self.problem, self.headers = problem, headers or []


def details(kind: str, detail: str = "", *, path: str = "", hint: str = "") -> ProblemDetails:
    """The details of a problem of a kind; `detail` and `hint` are the kind's own unless said otherwise."""
    known = kind_of(kind)
    return ProblemDetails(
        f"/problems/{kind}",
        known.title,
        known.status,
        _shown(detail or known.meaning),
        kind,
        path=path,
        hint=hint or known.hint,
    )


def _shown(text: str) -> str:
    """What was sent, as it may stand in a terminal (`curl`): what does not print is spelt out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def refuse(
    kind: str, detail: str = "", *, path: str = "", hint: str = "", headers: Headers | None = None
) -> HttpError:
    """The error to raise for a request that is refused."""
    problem = details(kind, detail, path=path, hint=hint)
    extra = list(headers or [])
    if problem.status == 503:
        extra.append(RETRY_AFTER)
    return HttpError(problem, extra)
