"""The API's description, OpenAPI 3.1: made of the table of addresses and of the types that answer."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from quell.engine.compile import Build
from quell.engine.http_problem import ProblemDetails
from quell.engine.http_table import EVENT, LINES, Operation
from quell.engine.openapi_events import Json, event_schemas

VERSION = "3.1.0"
_REF = "#/components/schemas/{name}"
_OF_MODULE = {"http_read": "", "figures": "Engine", "remote_types": "Remote"}
"""What stands before the name of a type that others share, by the module it is in."""
_ABOUT = """\
Events go to `/v1/decide`; the answer is a decision, with its `verdict`. An event that cannot be decided is
answered by a problem (RFC 9457), whose `verdict` is what the policies give when deciding fails. Times in
answers are microseconds since 1970 UTC, or ISO 8601 text.
"""
_GROUPS = {
    "events": "Events, and what is decided",
    "decisions": "Past decisions",
    "labels": "Labels on entities",
    "lists": "The lists that policies read",
    "versions": "Versions of the policies",
    "outbox": "What rules send",
    "service": "The service itself",
}
_STATUS = {
    400: "the request is wrong",
    401: "no key, or one that does not hold",
    403: "the key is not for this",
    404: "there is nothing by that name",
    405: "not with this method",
    408: "the body came too slowly",
    413: "too large",
    414: "the address is too long",
    415: "the body is of another type, or compressed",
    422: "what was sent cannot be taken: the problem says what and where",
    431: "too many headers",
    500: "a defect of Quell",
    503: "not now: try again after the time that Retry-After says",
}


def describe(rows: Sequence[Operation], bundle: Build, open: bool, status: Any = None) -> Json:
    """The description of what a service can be asked, in one that asks for keys or is `open`; `status` is the
    type of what /v1/status says besides its own."""
    analysis = bundle.analysis
    events, examples = event_schemas(analysis.symbols.schemas, analysis.files.settings.type_path)
    types = [t for row in rows for said in (row.body, row.answer, status) for t in _types(said)]
    schemas, components = msgspec.json.schema_components([*types, ProblemDetails], ref_template=_REF)
    known = dict(zip(map(repr, types), schemas, strict=False))
    paths: dict[str, Json] = {}
    entities = list(analysis.symbols.entities)
    for row in rows:
        said = _operation(row, known, examples)
        if row.path == "/v1/status" and status is not None:
            content = said["responses"]["200"]["content"]["application/json"]
            content["schema"] = {"allOf": [content["schema"], known[repr(status)]]}
        for parameter in said.get("parameters", ()):
            if parameter["name"] == "entity" and entities:
                parameter["schema"]["enum"] = entities
        paths.setdefault(shown_path(row.path), {})[row.method.lower()] = said
    described: Json = {
        "openapi": VERSION,
        "info": {"title": "Quell", "version": _version(), "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": n, "description": d} for n, d in _GROUPS.items() if n in {r.group for r in rows}],
        "security": [] if open else [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**components, **events, EVENT: {"anyOf": [_ref(name) for name in events]}},
            "responses": {str(status): _problem(meaning) for status, meaning in _STATUS.items()},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "an API key, `qk_…`"}
            },
        },
    }
    return _renamed(described)


def _version() -> str:
    try:
        return version("quell")
    except PackageNotFoundError:
        return "0"


def _ref(name: str) -> Json:
    return {"$ref": _REF.format(name=name)}


def _types(said: Any) -> list[Any]:
    """The types that a body or an answer is made of."""
    if said is None or said in (EVENT, [EVENT]):
        return []
    return list(said) if isinstance(said, tuple | list) else [said]


def _schema(said: Any, known: dict[str, Json]) -> Json:
    if isinstance(said, tuple):
        return {"anyOf": [known[repr(t)] for t in said]}
    if isinstance(said, list):
        return {"type": "array", "items": _schema(tuple(said), known)}
    return known[repr(said)]


def shown_path(path: str) -> str:
    """An address as OpenAPI has it: `{seq}` for Starlette's `{seq:number}`."""
    for convertor in (":number}", ":any}"):
        path = path.replace(convertor, "}")
    return path


def _operation(row: Operation, known: dict[str, Json], examples: Json) -> Json:
    made: Json = {
        "operationId": row.name,
        "summary": row.summary,
        "tags": [row.group],
        "responses": _responses(row, known),
    }
    about = row.about
    if row.scope is None:
        made["security"] = []
    else:
        about = f"{about}\n\nScope: `{row.scope}`.".strip()
        made["x-scope"] = row.scope
    if about:
        made["description"] = about
    if row.parameters:
        made["parameters"] = [
            {
                "name": p.name,
                "in": p.place,
                "required": p.required,
                "schema": dict(p.schema),
                "description": p.meaning,
            }
            for p in row.parameters
        ]
    if row.body is not None:
        made["requestBody"] = {"required": True, "content": _body(row, known, examples)}
    return made


def _body(row: Operation, known: dict[str, Json], examples: Json) -> Json:
    event = _ref(EVENT)
    if row.content_type == LINES:
        lines = "\n".join(msgspec.json.encode(e).decode() for e in examples.values()) + "\n"
        shown = {"schema": {"type": "string", "description": "an event on each line"}}
        return {LINES: {**shown, "example": lines, "x-line": event}}
    if row.body == EVENT:
        named = {name: {"value": example} for name, example in examples.items()}
        return {"application/json": {"schema": event, "examples": named}}
    if row.body == [EVENT]:
        both = list(examples.values())[:2]
        return {"application/json": {"schema": {"type": "array", "items": event}, "example": both}}
    body: Json = {"schema": _schema(row.body, known)}
    if row.example is not None:
        body["example"] = row.example
    return {"application/json": body}


def _responses(row: Operation, known: dict[str, Json]) -> Json:
    schema = _schema(row.answer, known) if row.content_type == "application/json" else {"type": "string"}
    content = {row.content_type: {"schema": schema}}
    problems = {str(status): {"$ref": f"#/components/responses/{status}"} for status in row.statuses()}
    answer: Json = {"description": "what was asked for", "content": content}
    if row.answer_headers:
        answer["headers"] = {
            h.name: {"schema": dict(h.schema), "description": h.meaning} for h in row.answer_headers
        }
    return {"200": answer, **problems}


def _problem(meaning: str) -> Json:
    content = {"application/problem+json": {"schema": _ref("ProblemDetails")}}
    return {"description": meaning, "content": content}


def _renamed(described: Json) -> Json:
    """Types that share their name with others, which are told by their module, under names of their own."""
    names = [name for name in described["components"]["schemas"] if name.startswith("quell.")]
    text = msgspec.json.encode(described).decode()
    for qualified in names:
        module, name = qualified.split(".")[-2:]
        own = _OF_MODULE.get(module, module.title().replace("_", "")) + name
        text = text.replace(f'"{qualified}"', f'"{own}"').replace(f'schemas/{qualified}"', f'schemas/{own}"')
    renamed: Json = msgspec.json.decode(text)
    return renamed
