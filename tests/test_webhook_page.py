"""What the page about the service says of webhooks is what is sent, judged and given up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from quell.engine.outbox_types import Dead, Delivery, Message, Retry
from quell.engine.sink_webhook import TOLERANCE, Webhook, WebhookSettings, judge, sign
from quell.engine.sinks import _WEBHOOK, open_sinks, read_sinks
from quell.signals.remote_connection import Reply

PAGE = (Path(__file__).parent / "language" / "15-service.md").read_text(encoding="utf-8")
TEXT = PAGE.partition("### Webhooks\n")[2].partition("\n## ")[0]
HEAD, BODY = re.findall(r"^```http\n(.*?)\n\n(.*?)\n```", TEXT, re.M | re.S)[0]
MESSAGE = Message(
    "mod-queue",
    "link_flood",
    "f3a9c1-1042-0-9ab3c01d",
    1042,
    "message",
    "m77",
    1_767_225_600_000_000,
    "block",
    {"why": "link flood", "count": 12, "seen": "2026-01-01T00:00:00Z", "age": 90.0, "score": None},
)


def rows(head: str) -> list[list[str]]:
    """The rows of the table with a head."""
    table = TEXT.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in table]


def test_the_body_is_the_one_that_is_sent() -> None:
    assert MESSAGE.body().decode() == BODY


def test_each_field_is_told_with_its_type() -> None:
    told = {name.strip("`"): kind for name, kind, _ in rows("field | type | is")}
    sent = json.loads(MESSAGE.body())
    assert list(told) == list(sent)
    kinds = {"text": str, "number": int, "object": dict, "text or null": str}
    assert all(type(sent[name]) is kinds[kind] for name, kind in told.items())
    without = Message("s", "r", "k", 1, "message", None, 0, "allow", {})
    assert [name for name, value in json.loads(without.body()).items() if value is None] == ["id"]
    assert told["id"] == "text or null"


def names(head: str) -> list[str]:
    return [line.partition(":")[0] for line in head.splitlines()]


@pytest.mark.parametrize("secrets", [("one",), ("one", "two"), ()], ids=["signed", "both", "unsigned"])
def test_the_headers_are_those_that_are_sent(secrets: tuple[str, ...]) -> None:
    url = "https://mods.example.com/quell"
    hook = Webhook(WebhookSettings("mod-queue", url, Delivery(), secrets=secrets), clock=lambda: 1767225600.0)
    head = hook._request(MESSAGE).partition(b"\r\n\r\n")[0].decode()
    told = names(HEAD) if secrets else [name for name in names(HEAD) if name != "Quell-Signature"]
    assert names(head) == told
    assert f"Content-Length: {len(BODY.encode())}" in HEAD
    given = {line.partition(": ")[0]: line for line in head.splitlines()}
    for line in HEAD.splitlines():
        if not line.startswith("Quell-Signature"):
            assert given[line.partition(": ")[0]] == line
    assert head.count("v1=") == len(secrets)


def checker() -> Any:
    """The function of the page."""
    found: dict[str, Any] = {}
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
    exec(compile(code, "15-service.md", "exec"), found)
    return found


def test_the_check_of_the_signature_takes_what_is_signed_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = checker()
    now = 1_767_225_600
    monkeypatch.setattr(found["time"], "time", lambda: float(now))
    body = MESSAGE.body()
    header = sign(body, [b"old", b"new"], now)
    check = found["is_signed"]
    assert check(header, body, b"old")
    assert check(header, body, b"new")
    assert not check(header, body, b"other")
    assert not check(header, body + b" ", b"new")
    assert not check("", body, b"new")
    assert check(sign(body, [b"new"], now - TOLERANCE), body, b"new")
    assert not check(sign(body, [b"new"], now - TOLERANCE - 1), body, b"new")


MEANS = {"delivered": None, "not followed": Retry, "tried again": Retry, "refused for good": Dead}


def test_every_status_means_what_the_table_says() -> None:
    told: dict[int, str] = {}
    *some, other, _ = rows("answered | means")
    for which, means in [other, *some]:
        word = next(w for w in MEANS if means.startswith(w))
        for status in range(200, 600):
            listed = (str(status) in which) or f"{status // 100}xx" in which
            if listed or which == other[0]:
                told[status] = word
    for status, word in told.items():
        wanted = MEANS[word]
        reply = Reply(status, {}, b"")
        if wanted is None:
            judge(reply, 0.0)
        else:
            with pytest.raises(wanted):
                judge(reply, 0.0)


def test_what_holds_without_settings_is_what_is_told() -> None:
    usual = Delivery()
    assert (usual.timeout, usual.base, usual.most, usual.age) == (10.0, 1.0, 300.0, 86_400.0)
    assert (usual.concurrency, usual.attempts) == (4, None)
    for setting, value in (
        ("timeout", "10s"),
        ("first_pause", "1s"),
        ("longest_pause", "5m"),
        ("give_up_after", "24h"),
    ):
        assert re.search(rf"`{setting}`\s\({value}\)", TEXT), setting
    assert re.search(r"`concurrency` messages \(4\)", TEXT)
    for name in _WEBHOOK:
        assert f"`{name}`" in TEXT or name == "url", name


def test_a_secret_that_is_not_there_stops_the_start() -> None:
    wrong: list[str] = []
    section = {"url": "https://mods.example.com/quell", "secret_env": "MOD_QUEUE_SECRET"}
    read = read_sinks({"mod-queue": section}, lambda what, hint: wrong.append(what))
    assert open_sinks(read, lambda what, hint: wrong.append(what), {}, Path()) == {}
    assert wrong == [
        "the environment has no `MOD_QUEUE_SECRET`, which the signature of [sinks.mod-queue] needs"
    ]
