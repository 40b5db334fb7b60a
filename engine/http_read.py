"""What can be looked at: status, decisions, labels, lists, versions, metrics, health."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from quell.engine.figures import Figures
from quell.engine.hand import Carried, LabelError, listed
from quell.engine.hand_calls import Time
from quell.engine.http_call import Answer, Call
from quell.engine.http_pressure import HttpFigures
from quell.engine.http_problem import PROBLEM_JSON, RETRY_AFTER, details, refuse
from quell.engine.service_types import VersionInfo
from quell.grammar.diagnostics import did_you_mean
from quell.signals.list_base import PolicyList

MOST_ENTRIES = 1_000
MOST_EXPLAINING = 8
"""Explanations that may be asked for at once: each makes a piece of history again."""
_LARGEST = (1 << 63) - 1


class Status(msgspec.Struct):
    """How the service is: the bundle's name, its version's digest and number; whether events can be decided,
    else why not; the last number given; decisions that wait; whether keys are asked for (`keys`), or
    everybody on this machine is let in (`open`); what the engine holds, and what the HTTP side did."""

    bundle: str
    version: str
    number: int
    ready: bool
    why_not: str
    seq: int
    waiting: int
    access: str
    engine: Figures
    http: HttpFigures


class Health(msgspec.Struct, omit_defaults=True):
    """Whether the service lives, or is ready, and why not."""

    status: str
    why_not: str = ""


class PastDecision(msgspec.Struct, frozen=True):
    """What the journal has of a decision: its number, the version of the bundle that decided, when it was
    written, the event as it came, and the reply."""

    seq: int
    decided: int
    version: int
    wall: int
    event: msgspec.Raw
    reply: msgspec.Raw


class LabelsOf(msgspec.Struct):
    """The labels of an entity."""

    entity: str
    id: str
    labels: list[Carried]


class ListInfo(msgspec.Struct):
    """A list: its file and kind, its columns, how many entries it has, and the SHA-256 of its file."""

    name: str
    file: str
    kind: str
    columns: tuple[str, ...]
    entries: int
    digest: str


class ListEntries(msgspec.Struct):
    """A list with a page of its entries, from `offset`. Asked what it `contains`, `found` are the entries
    that a value has and `row` is the closest one's."""

    list: ListInfo
    offset: int = 0
    entries: tuple[str, ...] = ()
    found: tuple[str, ...] | None = None
    row: dict[str, Any] | None = None


class Versions(msgspec.Struct):
    """Versions of the bundle, the newest last, and the number of the one that decides."""

    live: int
    versions: list[VersionInfo]


async def status(call: Call) -> Any:
    """GET /v1/status."""
    call.known()
    parts, service = call.parts, call.parts.service
    why = parts.why_not_ready()
    said = Status(
        service.bundle.analysis.files.name,
        service.bundle.version,
        service.number,
        not why,
        why,
        service.engine.stepper.seq,
        service.engine.waiting,
        "open" if parts.access.open else "keys",
        service.engine.figures(),
        parts.figures(),
    )
    more = parts.status() if parts.status is not None else {}
    return {**msgspec.to_builtins(said), **more}


async def decision(call: Call) -> Any:
    """GET /v1/decisions/{seq}."""
    call.known()
    assert call.parts.decision is not None
    return _found(await call.parts.decision(_number(call)), _number(call))


async def explanation(call: Call) -> Any:
    """GET /v1/decisions/{seq}/explanation."""
    call.known()
    parts = call.parts
    assert parts.explain is not None
    if parts.explaining >= MOST_EXPLAINING:
        raise refuse("overload", f"{MOST_EXPLAINING} explanations are being made already")
    parts.explaining += 1
    try:
        return _found(await parts.pressure.unless_closing(parts.explain(_number(call))), _number(call))
    finally:
        parts.explaining -= 1


def _number(call: Call) -> int:
    number: int = call.request.path_params["seq"]
    if not 0 < number <= _LARGEST:
        raise refuse("not-decided-here", "decisions are numbered from 1")
    return number


def _found(found: Any, number: int) -> Any:
    if found is None:
        raise refuse("not-decided-here", f"the journal does not hold decision {number:,}")
    return found


async def labels(call: Call) -> LabelsOf:
    """GET /v1/labels/{entity}/{id}."""
    call.known("at")
    entity, id = call.request.path_params["entity"], call.request.path_params["id"]
    at: Time | None = call.text("at", 100)
    if isinstance(at, str) and at.isascii() and at.isdigit():
        at = int(at)
    try:
        return LabelsOf(entity, id, call.parts.service.labels_of(entity, id, at))
    except LabelError as error:
        known = entity in call.parts.service.bundle.analysis.symbols.entities
        raise refuse("bad-label" if known else "not-found", str(error), hint="") from None


def info_of(found: PolicyList) -> ListInfo:
    """What a list is."""
    return ListInfo(found.name, found.file, found.kind, tuple(found.columns), len(found), found.digest)


async def lists(call: Call) -> list[ListInfo]:
    """GET /v1/lists."""
    call.known()
    return [info_of(found) for _, found in sorted(call.parts.service.bundle.analysis.lists.items())]


async def list_entries(call: Call) -> ListEntries:
    """GET /v1/lists/{name}."""
    call.known("contains", "offset", "limit")
    name, known = call.request.path_params["name"], call.parts.service.bundle.analysis.lists
    found = known.get(name)
    if found is None:
        hint = did_you_mean(name, known) or listed("there is", known)
        raise refuse("not-found", f"there is no list `{name[:100]}`", hint=hint)
    value = call.text("contains")
    if value is not None:
        return ListEntries(info_of(found), found=tuple(found.found(value)), row=found.row(value))
    offset = call.whole("offset", 0, 0, 1 << 40)
    limit = call.whole("limit", 100, 1, MOST_ENTRIES)
    return ListEntries(info_of(found), offset, tuple(found.entries()[offset : offset + limit]))


async def versions(call: Call) -> Versions:
    """GET /v1/versions."""
    call.known()
    assert call.parts.versions is not None
    return Versions(call.parts.service.number, list(call.parts.versions()))


async def dead_letters(call: Call) -> list[Any]:
    """GET /v1/outbox/dead."""
    call.known("sink", "limit", "after")
    assert call.parts.outbox is not None
    sink, after = call.text("sink"), call.text("after") or ""
    limit = call.whole("limit", 100, 1, MOST_ENTRIES)
    return list(await asyncio.to_thread(call.parts.outbox.dead, sink, limit, after))


async def metrics(call: Call) -> Answer:
    """GET /metrics."""
    assert call.parts.metrics is not None
    accept = call.headers.get(b"accept", b"").decode("latin-1")
    text, kind = call.parts.metrics(accept)
    return Answer(text, headers=[(b"content-type", kind.encode())])


async def alive(call: Call) -> Health:
    """GET /healthz."""
    return Health("alive")


async def ready(call: Call) -> Any:
    """GET /readyz."""
    why = call.parts.why_not_ready()
    if not why:
        return Health("ready")
    problem = details("not-ready", why)
    return Answer(msgspec.json.encode(problem), 503, [PROBLEM_JSON, RETRY_AFTER])
