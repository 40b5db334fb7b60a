"""What can be looked at and changed, and that nobody gets in without the right key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from quell.engine.http_operations import OPERATIONS, operations
from quell.engine.http_read import MOST_EXPLAINING
from quell.engine.journal_format import JournalError
from quell.engine.openapi import shown_path
from quell.engine.service_types import Finding, ReloadOutcome
from quell.engine.versions import VersionError
from tests.http_support import Letters, client, keyring, lines, message, parts_of

ORDER = ("decide", "read", "admin")


def test_status_says_how_the_service_is() -> None:
    parts = parts_of(status=lambda: {"journal": {"last": 7}})
    asked = client(parts)
    asked.post("/v1/decide", json=message())
    said = asked.get("/v1/status").json()
    assert (said["ready"], said["why_not"], said["seq"], said["access"]) == (True, "", 1, "open")
    assert said["version"] == parts.service.bundle.version
    assert said["journal"] == {"last": 7}
    assert said["engine"]["counters"][0]["keys"] == 1
    assert said["http"]["answers"]["decide"] == {"200": 1}


def test_labels_are_set_by_hand_and_shown_with_their_reasons() -> None:
    asked = client()
    said = asked.post(
        "/v1/labels",
        json={
            "action": "set",
            "entity": "User",
            "id": "a/b",
            "label": "spammer",
            "for": "30d",
            "why": "seen",
        },
    )
    assert said.status_code == 200
    assert (said.json()["by"], said.json()["on"]) == ("local", True)
    shown = asked.get("/v1/labels/User/a%2Fb").json()
    assert shown["id"] == "a/b"
    assert shown["labels"][0]["reasons"][0]["why"] == "seen"
    assert asked.get("/v1/labels/User/a%2Fb?at=2999-01-01").json()["labels"] == []
    gone = {"action": "remove", "entity": "User", "id": "a/b", "label": "spammer"}
    assert asked.post("/v1/labels", json=gone).json()["on"] is False
    assert asked.post("/v1/labels", json={**gone, "action": "release"}).json()["on"] is False


def test_a_journal_that_cannot_be_read_is_no_fault_of_the_request() -> None:
    async def decision(seq: int) -> None:
        raise JournalError("the journal is damaged", "put the file back")

    answer = client(parts_of(decision=decision)).get("/v1/decisions/1")
    said = answer.json()
    assert (answer.status_code, said["detail"], said["hint"]) == (
        500,
        "the journal is damaged",
        "put the file back",
    )


def test_policies_that_could_not_be_checked_may_be_tried_again() -> None:
    found = (Finding("", 0, "the check of the policies was killed twice (SIGKILL)"),)

    async def reload(by: str) -> ReloadOutcome:
        return ReloadOutcome("failed", 1, by, "asked for", findings=found, errors=1)

    answer = client(parts_of(reload=reload)).post("/v1/reload")
    said = answer.json()
    assert (answer.status_code, said["kind"], said["detail"]) == (503, "unchecked", found[0].message)
    assert said["outcome"]["result"] == "failed"
    assert answer.headers["retry-after"]


SET = {"action": "set", "entity": "User", "id": "1", "label": "spammer"}


@pytest.mark.parametrize(
    ("changed", "path", "told"),
    [
        ({"action": "sett"}, "$.action", "did you mean `set`?"),
        ({"action": "put"}, "$.action", "there is `set`, `remove`, `release`"),
        ({"untill": "2026-01-01"}, "", "did you mean `until`?"),
        ({"by": "me"}, "", "there is `action`, `entity`, `id`, `label`, `at`, `until`, `for`, `why`"),
        ({"entity": "Usr"}, "", "did you mean `User`?"),
        ({"entity": "Zebra"}, "", "there is `User`"),
        ({"label": "spamer"}, "", "did you mean `spammer`?"),
        ({"label": "zebra"}, "", "it can carry `spammer`, `trusted`"),
    ],
    ids=["near action", "action", "near name", "name", "near entity", "entity", "near label", "label"],
)
def test_a_word_that_is_none_is_answered_with_those_that_are(
    changed: dict[str, str], path: str, told: str
) -> None:
    said = client().post("/v1/labels", json={**SET, **changed}).json()
    assert said.get("path", "") == path
    assert told in said["detail"] + said.get("hint", "")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/v1/labels/Zebra/1", "there is `User`"),
        ("/v1/lists/zebra", "there is `bad_words`, `countries`"),
        ("/v1/lists/bad_word", "did you mean `bad_words`?"),
        ("/v1/lists/bad_words?ofset=1", "did you mean `offset`?"),
        ("/v1/lists/bad_words?x=1", "there is contains, offset, limit"),
    ],
)
def test_the_same_in_addresses(address: str, told: str) -> None:
    said = client().get(address).json()
    assert told in said["detail"] + said.get("hint", "")


def test_an_event_of_no_type_is_answered_with_the_types() -> None:
    assert (
        client().post("/v1/decide", json=message(type="mesage")).json()["hint"] == 'did you mean "message"?'
    )
    said = client().post("/v1/decide", json=message(type="zebra")).json()
    assert said["hint"] == 'types are "message", "purchase"'


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"action": "set"}, 400, "bad-request"),
        ({"action": "sett", "entity": "User", "id": "1", "label": "spammer"}, 400, "bad-request"),
        (
            {"action": "set'\" - at `$.id", "entity": "User", "id": "1", "label": "spammer"},
            400,
            "bad-request",
        ),
        ({"action": "set", "entity": "User", "id": 1, "label": "spammer"}, 400, "bad-request"),
        ({"action": "set", "entity": "User", "id": "1", "label": "spammer", "by": "me"}, 400, "bad-request"),
        ({"action": "set", "entity": "Usr", "id": "1", "label": "spammer"}, 422, "bad-label"),
        ({"action": "set", "entity": "User", "id": "", "label": "spammer"}, 422, "bad-label"),
        ({"action": "set", "entity": "User", "id": "1", "label": "spamer"}, 422, "bad-label"),
        (
            {"action": "set", "entity": "User", "id": "1", "label": "spammer", "for": "soon"},
            422,
            "bad-label",
        ),
        (
            {"action": "set", "entity": "User", "id": "1", "label": "spammer", "at": "2999-01-01"},
            422,
            "bad-label",
        ),
    ],
)
def test_a_label_that_cannot_be(body: dict[str, Any], status: int, kind: str) -> None:
    parts = parts_of()
    answer = client(parts).post("/v1/labels", json=body)
    assert (answer.status_code, answer.json()["kind"]) == (status, kind)
    assert parts.service.engine.stepper.seq == 0


@pytest.mark.parametrize("action", ["sett", "set' - at `$.id", "set'\" - at `$.id", "a\nb"], ids=ascii)
def test_a_word_that_is_none_is_told_with_the_words_whatever_it_looks_like(action: str) -> None:
    said = client().post("/v1/labels", json={"action": action, "entity": "User", "id": "1", "label": "a"})
    assert said.json()["path"] == "$.action"
    assert "set" in said.json()["hint"]


def test_an_entity_that_is_not_declared_has_no_labels() -> None:
    answer = client().get("/v1/labels/Usr/1")
    assert (answer.status_code, answer.json()["kind"]) == (404, "not-found")
    assert "User" in answer.json()["detail"]


def test_lists_are_shown_page_by_page_and_asked() -> None:
    asked = client()
    names = {row["name"]: row for row in asked.get("/v1/lists").json()}
    assert names["bad_words"]["entries"] == 2
    assert len(names["countries"]["digest"]) == 64
    assert asked.get("/v1/lists/bad_words").json()["entries"] == ["grobbler", "snarf"]
    page = asked.get("/v1/lists/bad_words?offset=1&limit=1").json()
    assert (page["offset"], page["entries"]) == (1, ["snarf"])
    assert asked.get("/v1/lists/bad_words?contains=you+GROBBLER").json()["found"] == ["grobbler"]
    assert asked.get("/v1/lists/countries?contains=de").json()["row"] == {"name": "Germany"}
    gone = asked.get("/v1/lists/bad_word")
    assert gone.status_code == 404
    assert "bad_words" in gone.json()["hint"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "offset=-1", "limit=x", "limit=1&limit=2", "lim=1", "offset=%C2%B2"]
)
def test_parameters_are_held_to_their_rules(query: str) -> None:
    answer = client().get(f"/v1/lists/bad_words?{query}")
    assert (answer.status_code, answer.json()["kind"]) == (400, "bad-request")
    assert answer.json()["path"] in ("limit", "offset", "lim")


def test_past_decisions_are_found_by_number() -> None:
    asked = client()
    assert asked.get("/v1/decisions/7").json()["seq"] == 7
    assert asked.get("/v1/decisions/7/explanation").json()["kind"] == "internal"
    for path in ("/v1/decisions/100", "/v1/decisions/0", "/v1/decisions/99999999999999999999"):
        answer = asked.get(path)
        assert (answer.status_code, answer.json()["kind"]) == (404, "not-decided-here"), path
    assert asked.get("/v1/decisions/x").status_code == 404


def test_only_so_many_explanations_are_made_at_once() -> None:
    parts = parts_of()
    parts.explaining = MOST_EXPLAINING
    answer = client(parts).get("/v1/decisions/7/explanation")
    assert (answer.status_code, answer.json()["kind"]) == (503, "overload")
    parts.explaining -= 1
    assert client(parts).get("/v1/decisions/7/explanation").status_code == 200
    assert parts.explaining == MOST_EXPLAINING - 1


def test_versions_are_listed_reloaded_and_put_back() -> None:
    asked = client()
    assert asked.get("/v1/versions").json()["versions"][0]["digest"] == "abc"
    assert asked.post("/v1/reload").json() == {
        "result": "unchanged",
        "at": 1,
        "by": "local",
        "why": "asked for",
    }
    assert asked.post("/v1/versions/1/put-back").json()["version"]["number"] == 1
    assert asked.post("/v1/versions/0/put-back").status_code == 404


def test_a_bundle_that_is_refused_is_a_problem_with_its_findings() -> None:
    async def refused(by: str) -> ReloadOutcome:
        return ReloadOutcome(
            "refused", 1, by, "asked for", findings=(Finding("a.quell", 3, "no such name"),), errors=1
        )

    answer = client(parts_of(reload=refused)).post("/v1/reload")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "a.quell:3: no such name"
    assert answer.json()["outcome"]["findings"][0]["line"] == 3


class Unknown(Exception):
    """What some library raises."""

    message = "secret"


def test_what_a_part_says_itself_is_told_and_a_defect_is_not(caplog: pytest.LogCaptureFixture) -> None:
    async def told(number: int, by: str) -> ReloadOutcome:
        if number == 7:
            raise VersionError("`/secret` cannot be written") from OSError(28, "no space left on device")
        raise VersionError("there is no version 9", "the last is 3") if number == 9 else Unknown

    asked = client(parts_of(put_back=told))
    said = asked.post("/v1/versions/9/put-back")
    assert (said.status_code, said.json()["detail"]) == (400, "there is no version 9")
    assert said.json()["hint"] == "the last is 3"
    full = asked.post("/v1/versions/7/put-back")
    assert (full.status_code, full.json()["kind"]) == (503, "disk")
    assert "secret" not in full.text
    assert "`/secret` cannot be written" in caplog.text
    defect = asked.post("/v1/versions/8/put-back")
    assert (defect.status_code, defect.json()["kind"]) == (500, "internal")
    assert "secret" not in defect.text
    assert "Unknown" in caplog.text


def test_dead_letters_are_listed_and_sent_again() -> None:
    letters = Letters()
    asked = client(parts_of(outbox=letters))
    assert asked.get("/v1/outbox/dead").json() == [{"key": "j-1-0", "sink": "queue"}]
    assert asked.get("/v1/outbox/dead?sink=other").json() == []
    assert asked.post("/v1/outbox/resend", json={"keys": ["j-1-0"]}).json() == {"resent": 1}
    assert letters.resent == ["j-1-0"]


def test_metrics_are_given_as_they_are() -> None:
    answer = client().get("/metrics")
    assert (answer.text, answer.headers["content-type"]) == ("quell_up 1\n", "text/plain; version=0.0.4")


def test_what_a_service_has_not_has_no_address() -> None:
    asked = client(parts_of(versions=None, reload=None, outbox=None))
    for method, path in (("GET", "/v1/versions"), ("POST", "/v1/reload"), ("GET", "/v1/outbox/dead")):
        answer = asked.request(method, path)
        assert (answer.status_code, answer.json()["kind"]) == (404, "not-found")
    assert "/v1/versions" not in asked.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/decide/",
        "//v1/decide",
        "/v1//status",
        "/v1/%2e%2e/v1/status",
        "/V1/status",
        "/v1/status%00",
        "/v1/status;x",
        "/docs/%2e%2e%2fkeys.py",
        "/docs/keys.py",
        "/problems/none",
    ],
)
def test_only_an_address_that_is_written_out_is_one(path: str) -> None:
    answer = client().get(path)
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/v1/decisions/" + "9" * 5_000, "/v1/labels/User/" + "x" * 50_000, "/v1/lists?x=" + "x" * 20_000]
)
def test_an_address_has_its_bounds(path: str) -> None:
    answer = client().get(path)
    assert (answer.status_code, answer.json()["kind"]) == (414, "too-long-address")


def test_another_method_is_told_which_there_are() -> None:
    answer = client().request("DELETE", "/v1/labels")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


# --------------------------------------------------------------------------------- keys and scopes


def example(path: str) -> str:
    """An address with its parameters filled in."""
    values = {"seq": "1", "entity": "User", "id": "u1", "name": "bad_words", "number": "1"}
    return re.sub(r"\{(\w+)\}", lambda m: values[m[1]], shown_path(path))


BODIES: dict[str, dict[str, Any]] = {
    "decide": {"json": message()},
    "decideMany": {"json": [message()]},
    "decideStream": {"content": lines(message()), "headers": {"Content-Type": "application/x-ndjson"}},
    "label": {"json": {"action": "set", "entity": "User", "id": "1", "label": "spammer"}},
    "resend": {"json": {"keys": []}},
}
NEEDED = {
    "decide": "decide",
    "decideMany": "decide",
    "decideStream": "decide",
    "decision": "read",
    "explanation": "read",
    "labels": "read",
    "label": "admin",
    "lists": "read",
    "listEntries": "read",
    "status": "read",
    "versions": "read",
    "reload": "admin",
    "putBack": "admin",
    "deadLetters": "admin",
    "resend": "admin",
    "metrics": "read",
    "openapi": "any",
    "alive": None,
    "ready": None,
}
"""What each operation takes, written down once more: an address that opens by accident fails here."""


@pytest.mark.parametrize("row", OPERATIONS, ids=[row.name for row in OPERATIONS])
def test_each_address_takes_its_scope(row: Any, tmp_path: Path) -> None:
    assert row.scope == NEEDED[row.name]
    ring = keyring(tmp_path)
    asked = client(parts_of(keys=ring.keys))
    good = {"decide": {"decide"}, "read": {"read"}, "admin": set(), "any": {"decide", "read"}}
    open_to = {"decide", "read", None} if row.scope is None else good[row.scope]
    for scope in ("decide", "read", "admin", None):
        more = dict(BODIES.get(row.name, {}))
        headers = {**more.pop("headers", {}), **(ring.headers(scope) if scope else {})}
        answer = asked.request(row.method, example(row.path), headers=headers, **more)
        if scope == "admin" or scope in open_to:
            assert answer.status_code == 200, (scope, answer.text)
        else:
            assert answer.status_code == (401 if scope is None else 403), (scope, answer.text)
            assert answer.json()["kind"] == ("no-key" if scope is None else "wrong-scope")


def test_every_operation_is_among_those_tested() -> None:
    assert {row.name for row in operations(parts_of())} == set(NEEDED)
