"""The API's description: whole, and true of the events that it describes."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest

from quell.engine.bundle import read_bundle
from quell.engine.compile import analyse, build
from quell.engine.decision import Decision
from quell.engine.http_operations import OPERATIONS
from quell.engine.openapi_events import event_schema
from quell.engine.serving_parts import ServingStatus
from quell.engine.stepper import Stepper
from quell.grammar.diagnostics import Report
from tests.bundles import engine, sound
from tests.conftest import ROOT
from tests.http_support import client, parts_of

AWKWARD = """
entity User
shape part
  kind  one of ["a", "b"] = $.kind
  size  number? = $.size
event deep from "deep" when $.v.kind == "x" when $.n == 3
  at     time = $.meta[1].at
  who    User = $.meta[0].users[2].id
  everybody list<User> = $.users[*].id
  parts  list<part> = $.parts default []
  odd    text? = $["a b"]["c\\"d"]
  grid   list<list<number>>? = $.grid
  took   duration = $.took
  from_  ip = $.ip
  yes    bool = $.yes default false
event flat when $.n == 4
  at  time = $.at
"""


def described(**more: Any) -> dict[str, Any]:
    found: dict[str, Any] = client(parts_of(**more)).get("/openapi.json").json()
    return found


def test_every_operation_is_described_and_every_reference_leads_somewhere() -> None:
    said = described(status_type=ServingStatus)
    assert said["openapi"] == "3.1.0"
    rows = [row for path in said["paths"].values() for row in path.values()]
    assert {row["operationId"] for row in rows} == {row.name for row in OPERATIONS}
    for reference in set(re.findall(r'"#/components/([^"]+)"', json.dumps(said))):
        part, name = reference.split("/")
        assert name in said["components"][part], reference
    names = said["components"]["schemas"]
    assert not [name for name in names if name.startswith("quell.")]
    assert {"Status", "ReloadStatus", "EngineFigures", "RemoteFigures"} <= set(names)
    for row in rows:
        assert row["summary"]
        assert "401" in row["responses"] or row["security"] == []


def test_every_type_that_answers_is_described() -> None:
    schemas = described()["components"]["schemas"]
    for name in ("Decision", "Acted", "ProblemDetails", "VersionInfo", "ReloadOutcome", "Carried"):
        assert schemas[name]["description"]


def test_keys_are_asked_for_where_they_are() -> None:
    assert described()["security"] == []
    said = client(parts_of(local=False)).get("/openapi.json")
    assert said.status_code == 401


def starter() -> Stepper:
    report = Report()
    return Stepper(build(analyse(read_bundle(ROOT / "policies", report), report), all_fields=True))


@pytest.mark.parametrize("made", [starter, lambda: engine(AWKWARD)], ids=["starter", "awkward"])
def test_each_example_is_what_its_schema_says_and_is_decided(made: Any) -> None:
    stepper = made()
    analysis = stepper.bundle.analysis
    assert analysis.symbols.schemas
    for name, declared in analysis.symbols.schemas.items():
        schema, example = event_schema(declared, analysis.files.settings.type_path)
        validator = jsonschema_rs.validator_for(schema)
        assert not list(validator.iter_errors(example)), (name, example)
        reply = stepper.decide(json.dumps(example))
        assert isinstance(reply, Decision), (name, example, reply)
        assert reply.event == name
        assert not reply.problems, (name, reply.problems)


def test_what_is_required_is_required_and_what_may_be_missing_may_be_null() -> None:
    symbols = sound(AWKWARD).symbols
    schema, example = event_schema(symbols.schemas["deep"], ("type",))
    validator = jsonschema_rs.validator_for(schema)
    assert {"type", "v", "n", "meta", "took", "ip"} <= set(schema["required"])
    assert "yes" not in schema["required"]
    assert validator.is_valid({**example, "a b": None, "grid": None, "parts": None, "yes": None})
    for missing in ("took", "ip", "type", "n"):
        assert not validator.is_valid({k: v for k, v in example.items() if k != missing})
    assert not validator.is_valid({**example, "n": 4})
    assert not validator.is_valid({**example, "v": {"kind": "y"}})
    assert not validator.is_valid({**example, "took": True})


def test_the_description_follows_the_bundle() -> None:
    parts = parts_of()
    asked = client(parts)
    assert "event.message" in asked.get("/openapi.json").json()["components"]["schemas"]
    parts.service.engine.stepper = engine('event other from "other"\n  at time = $.at\n')
    schemas = asked.get("/openapi.json").json()["components"]["schemas"]
    assert "event.other" in schemas
    assert "event.message" not in schemas
