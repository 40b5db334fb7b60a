"""Who gets in: keys that hold, and without any keys only this machine's own programs."""

from __future__ import annotations

import hmac
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from quell.engine.http_access import LOCAL, TELL_EACH
from quell.engine.keys import Keys
from tests.http_support import client, keyring, lines, message, parts_of, rest_of, running, until

HAND = {
    "type": "quell.label",
    "at": "2026-01-01T00:00:00Z",
    "entity": "User",
    "id": "u1",
    "label": "spammer",
    "action": "set",
    "by": "mallory",
}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("Bearer {decide}", 200),
        ("bearer  {decide}", 200),
        ("{decide}", 401),
        ("Basic {decide}", 401),
        ("Bearer {decide}x", 401),
        ("Bearer x{decide}", 401),
        ("Bearer qk_aaaaaaaa_" + "a" * 52, 401),
        ("Bearer " + "q" * 5_000, 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
def test_a_key_is_shown_as_a_bearer(sent: str, status: int, tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    headers = {"Authorization": sent.format(**ring.texts)}
    parts = parts_of(keys=ring.keys)
    answer = client(parts).post("/v1/decide", json=message(), headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert parts.figures().wrong_keys == 1
        assert parts.service.engine.stepper.seq == 0


def test_a_key_with_another_secret_is_wrong_and_compared_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = keyring(tmp_path)
    right, compared = ring.texts["decide"], list[tuple[bytes, bytes]]()
    same = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return same(a, b)

    monkeypatch.setattr("quell.engine.keys.hmac.compare_digest", compare)
    other = right[:-1] + ("a" if right[-1] != "a" else "b")
    unknown = "qk_aaaaaaaa_" + "a" * 52
    assert ring.keys.find(right.encode()) is not None
    assert ring.keys.find(other.encode()) is None
    assert ring.keys.find(unknown.encode()) is None
    assert [len(a) == len(b) == 32 for a, b in compared] == [True] * 3  # also where the name is unknown


def test_keys_are_taken_up_and_dropped_while_serving(tmp_path: Path) -> None:
    parts = parts_of(keys=Keys(tmp_path / "keys.json"))
    asked = client(parts)
    assert asked.get("/v1/status").status_code == 200  # no keys yet: open
    ring = keyring(tmp_path)  # by another process
    parts.access.each_second()
    assert asked.get("/v1/status").status_code == 401
    assert asked.get("/v1/status", headers=ring.headers("read")).status_code == 200
    for scope in ("read", "decide", "admin"):
        ring.keys.revoke(scope)
    parts.access.each_second()
    assert asked.get("/v1/status", headers=ring.headers("read")).status_code == 401
    assert asked.get("/v1/status").status_code == 401  # keys that hold no more do not open the door


def test_a_file_of_keys_that_breaks_leaves_the_keys_as_they_were(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ring = keyring(tmp_path)
    parts = parts_of(keys=Keys(tmp_path / "keys.json"))
    (tmp_path / "keys.json").write_text("{")
    for _ in range(3):
        parts.access.each_second()
    assert client(parts).get("/v1/status", headers=ring.headers("read")).status_code == 200
    assert client(parts).get("/v1/status").status_code == 401
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1


def test_a_file_of_keys_that_stays_wrong_is_not_read_each_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring, file = keyring(tmp_path), tmp_path / "keys.json"
    keys = Keys(file)
    whole = file.read_bytes()
    reads: list[int] = []
    read = Keys._read

    def counted(self: Keys) -> Any:
        reads.append(1)
        return read(self)

    monkeypatch.setattr(Keys, "_read", counted)
    file.write_bytes(whole[:-9])
    for _ in range(3):
        assert not keys.refresh()
    assert "does not hold keys" in keys.problem
    assert len(reads) == 1
    file.chmod(0o666)
    assert not keys.refresh()
    assert "may be written by others" in keys.problem
    file.chmod(0o600)
    file.write_bytes(whole)
    assert keys.refresh()
    assert (keys.problem, len(reads)) == ("", 3)
    assert keys.find(ring.texts["read"].encode()) is not None


@pytest.mark.parametrize("left", [None, "{}", '{"keys": []}'])
def test_a_file_of_keys_that_goes_away_opens_no_door(tmp_path: Path, left: str | None) -> None:
    ring, file = keyring(tmp_path), tmp_path / "keys.json"
    parts = parts_of(keys=Keys(file))
    assert parts.access.keys is not None
    file.unlink()
    if left is not None:
        file.write_text(left)
        file.chmod(0o600)
    parts.access.each_second()
    assert client(parts).get("/v1/status").status_code == 401
    assert client(parts).get("/v1/status", headers=ring.headers("read")).status_code == 200
    told = "is gone" if left is None else "has no keys any more"
    assert f"keys.json` {told} (those that it had hold until" in parts.access.keys.problem
    file.unlink(missing_ok=True)
    _, text = Keys(file).add("new", ("read",))
    parts.access.each_second()
    assert not parts.access.keys.problem
    assert client(parts).get("/v1/status", headers={"Authorization": f"Bearer {text}"}).status_code == 200
    assert client(parts).get("/v1/status", headers=ring.headers("read")).status_code == 401


def test_a_file_of_keys_that_is_put_back_is_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ring, file = keyring(tmp_path), tmp_path / "keys.json"
    parts = parts_of(keys=Keys(file))
    assert parts.access.keys is not None
    file.rename(tmp_path / "aside")
    parts.access.each_second()
    assert "is gone" in parts.access.keys.problem
    (tmp_path / "aside").rename(file)
    with caplog.at_level(logging.INFO):
        parts.access.each_second()
    assert parts.access.keys.problem == ""
    assert "the file of the API keys is well again" in caplog.messages
    assert client(parts).get("/v1/status", headers=ring.headers("read")).status_code == 200


def test_a_key_that_holds_no_more_is_told_so_and_only_to_who_has_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys.json"
    keys = Keys(file)
    _, short = keys.add("short", ("decide",), 1)
    _, ended = keys.add("ended", ("decide",))
    keys.revoke("ended")
    _, lost = keys.add("lost", ("decide",))
    parts = parts_of(keys=keys)

    def told(text: str) -> tuple[str, str]:
        said = client(parts, Authorization=f"Bearer {text}").get("/v1/status")
        assert (said.status_code, said.json()["kind"]) == (401, "no-key")
        return said.json()["detail"], said.json()["hint"]

    detail, hint = told(short)
    assert re.fullmatch(r"the API key `short` expired at [0-9-]+T[0-9:]+Z", detail)
    assert hint.startswith("ask whoever runs the service for another: `quell keys add")
    assert re.fullmatch(r"the API key `ended` was revoked at [0-9-]+T[0-9:]+Z", told(ended)[0])
    for other in (ended[:-4] + "aaaa", "qk_aaaaaaaa_" + "a" * 52):  # a secret that is wrong hears no name
        detail, hint = told(other)
        assert detail == "the API key is none of this service"
        assert "made for another data folder" in hint
    assert told("hello")[0] == "the Authorization header holds no API key as it is to be sent"
    assert client(parts).get("/v1/status").json()["detail"] == "the request has no API key"
    file.unlink()
    other_keys = Keys(file)
    other_keys.add("new", ("read",))
    parts.access.each_second()
    assert told(lost)[0] == "the API key is none of this service"
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            parts.access.each_second()
    logged = " ".join(caplog.messages)
    assert f"qk_{short[3:11]}… of short, which expired at" in logged
    assert short not in logged


@pytest.mark.parametrize("how", ["revoked", "expired", "taken out"])
def test_a_stream_ends_with_the_key_that_it_came_with(how: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = Keys(file)
    keys.add("other", ("read",))
    key, text = keys.add("gate", ("decide",))
    head = b"POST /v1/decide/stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
    head += b"Transfer-Encoding: chunked\r\nAuthorization: Bearer " + text.encode() + b"\r\n\r\n"
    with running(parts_of(keys=keys)) as served, served.connect() as opened:
        opened.sendall(head + chunk(lines(message(1))))
        while b'"m1"' not in opened.recv(1 << 16):
            pass
        if how == "revoked":
            Keys(file).revoke("gate")
        else:
            said = json.loads(file.read_bytes())
            said["keys"] = [k for k in said["keys"] if how != "taken out" or k["name"] != "gate"]
            for k in said["keys"]:
                k |= {"expires": k["made"] + 1} if k["name"] == "gate" else {}
            file.write_text(json.dumps(said))
        until(lambda: served.parts.access.keys.why_not(key) != "")  # type: ignore[union-attr]
        opened.sendall(chunk(lines(message(2))))
        rest = rest_of(opened)
    why = {
        "revoked": "was revoked at",
        "expired": "expired at",
        "taken out": "is in the service's keys no more",
    }
    assert b'"kind":"no-key"' in rest
    assert b'"line":2' in rest
    assert f"the API key `gate` {why[how]}".encode() in rest
    assert b'"m2"' not in rest


def chunk(piece: bytes) -> bytes:
    """A piece of a body whose length is not known."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)


def test_wrong_keys_are_told_thinly_and_never_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ring = keyring(tmp_path)
    parts = parts_of(keys=ring.keys)
    asked, wrong = client(parts), ring.texts["decide"][:-4] + "aaaa"
    for _ in range(40):
        asked.get("/v1/status", headers={"Authorization": f"Bearer {wrong}"})
    for n in range(30):
        asked.get("/v1/status", headers={"Authorization": f"Bearer qk_{'abcdefgh'[n % 8] * 8}_{'b' * 52}"})
    for _ in range(TELL_EACH * 2):
        parts.access.each_second()
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warned) == 6
    assert f"tried 40 times: {wrong[:11]}…" in warned[0]
    assert wrong[12:] not in caplog.text
    assert parts.figures().wrong_keys == 70


# ----------------------------------------------------------------------------- without keys


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("localhost", True),
        ("LOCALHOST:8600", True),
        ("127.0.0.1:8600", True),
        ("127.8.8.8", True),
        ("[::1]:8600", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost:8600:1", False),
        ("192.168.1.5", False),
        ("", False),
    ],
)
def test_without_keys_a_service_answers_to_this_machine_alone(host: str, good: bool) -> None:
    parts = parts_of()
    for method, path, more in (
        ("POST", "/v1/decide", {"json": message()}),
        ("GET", "/v1/status", {}),
        ("POST", "/v1/reload", {}),
        ("GET", "/openapi.json", {}),
    ):
        answer = client(parts).request(method, path, headers={"Host": host}, **more)
        assert answer.status_code == (200 if good else 403), path
        if not good:
            assert answer.json()["kind"] == "wrong-host"
    assert client(parts).get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "https://localhost", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://localhost:9999"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
    ],
)
def test_without_keys_no_page_of_another_site_gets_in(headers: dict[str, str], good: bool) -> None:
    parts = parts_of()
    for method, path in (("POST", "/v1/reload"), ("GET", "/v1/status")):
        answer = client(parts).request(method, path, headers=headers)
        assert answer.status_code == (200 if good else 403), path
    assert parts.figures().forbidden == (0 if good else 2)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_changes_nothing(kind: str) -> None:
    for path in ("/v1/decide", "/v1/labels", "/v1/reload", "/v1/versions/1/put-back", "/v1/outbox/resend"):
        answer = client().post(path, content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 415, path


def test_nothing_is_let_in_from_elsewhere_without_a_key() -> None:
    answer = client(parts_of(local=False)).get("/v1/status")
    assert (answer.status_code, answer.json()["kind"]) == (401, "no-key")
    assert client(parts_of(local=False)).get("/readyz").status_code == 200


def test_no_page_of_another_site_is_given_leave() -> None:
    answer = client().request(
        "OPTIONS",
        "/v1/labels",
        headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


# ------------------------------------------------------------------- labels by hand among events


def escaped(event: dict[str, Any]) -> bytes:
    """The event with its type spelt in escapes."""
    spelt = "".join(f"\\u{ord(c):04x}" for c in "quell.label")
    return lines(event).replace(b"quell.label", spelt.encode()).rstrip(b"\n")


@pytest.mark.parametrize("form", [lambda e: lines(e).strip(), escaped])
def test_a_key_for_events_sets_no_labels(form: Any, tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    parts = parts_of(keys=ring.keys)
    asked, event = client(parts), form(HAND)
    json = {"Content-Type": "application/json"}
    answer = asked.post("/v1/decide", content=event, headers={**json, **ring.headers("decide")})
    assert (answer.status_code, answer.json()["kind"]) == (403, "wrong-scope")
    broken = event.replace(b"2026-01-01", b"yesterday!")
    answer = asked.post("/v1/decide", content=broken, headers={**json, **ring.headers("decide")})
    assert answer.status_code == 403  # nor does it learn what would be wrong with one
    many = asked.post(
        "/v1/decide/many", content=b"[" + event + b"]", headers={**json, **ring.headers("decide")}
    )
    assert [(s["kind"], s["status"]) for s in many.json()] == [("wrong-scope", 403)]
    assert parts.service.engine.stepper.seq == 0
    answer = asked.post("/v1/decide", content=event, headers={**json, **ring.headers("admin")})
    assert (answer.status_code, answer.json()["by"]) == (200, "mallory")


def test_labels_by_hand_in_a_stream_stand_in_the_way_of_nothing(tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    parts = parts_of(keys=ring.keys)
    body = lines(message(1), HAND, message(2), HAND)
    headers = {"Content-Type": "application/x-ndjson", **ring.headers("decide")}
    said = client(parts).post("/v1/decide/stream", content=body, headers=headers).text
    assert said.count('"kind":"wrong-scope"') == 2
    assert said.count('"verdict":"allow"') == 2
    assert parts.service.engine.stepper.seq == 2


def test_what_only_looks_like_a_label_by_hand_is_an_event(tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    event = message(content="quell.label \\u0071")
    answer = client(parts_of(keys=ring.keys)).post("/v1/decide", json=event, headers=ring.headers("decide"))
    assert answer.status_code == 200


def test_without_keys_labels_by_hand_are_set_by_whoever_is_here() -> None:
    asked = client()
    assert asked.post("/v1/decide", json=HAND).json()["by"] == "mallory"
    said = asked.post("/v1/labels", json={"action": "set", "entity": "User", "id": "1", "label": "trusted"})
    assert said.json()["by"] == LOCAL


def test_who_labels_is_told_by_the_key(tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    asked = client(parts_of(keys=ring.keys), **ring.headers("admin"))
    said = asked.post("/v1/labels", json={"action": "set", "entity": "User", "id": "1", "label": "trusted"})
    assert said.json()["by"] == "admin"
    assert asked.post("/v1/reload").json()["by"] == "admin"


def test_the_file_of_keys_is_nobody_elses(tmp_path: Path) -> None:
    keyring(tmp_path)
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
