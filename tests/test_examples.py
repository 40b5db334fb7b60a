"""The examples do what they say: the payments bundle, its events and README, the service, the consumer."""

from __future__ import annotations

import http.client
import json
import re
import shlex
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from examples import ask_models, payment_events, service, stream_consumer
from quell.engine import Decision, Refused, Reply, Stepper
from tests import virtual_time
from tests.cli_support import run

ROOT = Path(__file__).resolve().parent.parent
PAYMENTS = ROOT / "examples" / "payments"
REMOTE = ROOT / "examples" / "remote"
EVENTS = PAYMENTS / "events.jsonl"
READMES = (ROOT / "examples" / "README.md", PAYMENTS / "README.md")
MESSAGE: dict[str, Any] = {
    "type": "message_create",
    "id": 1,
    "created_at": "2026-04-01T12:00:00Z",
    "guild_id": 7,
    "channel_id": 8,
    "author": {"id": 42, "created_at": "2026-03-31T12:00:00Z"},
    "message": {"content": "hello"},
}


# --- the payments bundle -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers() -> list[Reply]:
    """What the payments bundle says about its own events."""
    return list(Stepper.load(PAYMENTS).decide_many(EVENTS.read_bytes().splitlines()))


@pytest.mark.parametrize("bundle", [PAYMENTS, REMOTE, ROOT / "policies"], ids=lambda path: path.name)
def test_the_bundles_have_no_finding_and_are_in_canonical_form(bundle: Path) -> None:
    assert run("check", bundle, "--warnings-as-errors").exit_code == 0
    assert run("fmt", "--check", bundle).exit_code == 0


def test_the_payments_bundles_tests_pass() -> None:
    done = run("test", PAYMENTS)
    assert done.exit_code == 0, done.output
    assert int(done.stdout.split()[0]) >= 50


def test_every_rule_of_the_payments_bundle_says_why_and_whom_to_ask() -> None:
    for file in sorted(PAYMENTS.glob("*.quell")):
        for declared in re.split(r"(?m)^(?=\S)", file.read_text(encoding="utf-8")):
            if declared.startswith("rule "):
                for clause in ("because", "tag", "owner", "severity"):
                    assert f"\n  {clause} " in declared, (file.name, declared.splitlines()[0], clause)
        rules = re.findall(r"(?m)(^.*\n)^rule (\w+)", file.read_text(encoding="utf-8"))
        assert all(above.startswith("#") for above, _ in rules), (file.name, rules)


def test_the_payment_events_are_those_that_the_script_writes() -> None:
    assert EVENTS.read_text(encoding="utf-8") == payment_events.lines()


def test_the_payment_events_get_the_verdicts_they_should(answers: list[Decision | Refused]) -> None:
    decided = [a for a in answers if isinstance(a, Decision)]
    assert Counter(d.verdict for d in decided) == {"allow": 124, "block": 18, "challenge": 11, "review": 5}
    assert [a.kind for a in answers if isinstance(a, Refused)] == [
        "unmatched",
        "missing-field",
        "missing-field",
    ]
    assert all(a.verdict == "review" for a in answers if isinstance(a, Refused))
    assert not [d.id for d in decided if d.problems or d.late]


def test_each_scene_of_the_payment_events_is_judged_as_it_was_meant(
    answers: list[Decision | Refused],
) -> None:
    worst: dict[str, str] = {}
    ladder = ("allow", "review", "challenge", "block")
    for line, answer in zip(EVENTS.read_text(encoding="utf-8").splitlines(), answers, strict=True):
        if isinstance(answer, Decision):
            who = json.loads(line)["user"]["id"]
            worst[who] = max(worst.get(who, "allow"), answer.verdict, key=ladder.index)
    honest = {who: worst[who] for who in ("dora", "finn", "gina", "hal")}
    assert set(honest.values()) == {"allow"}, honest
    fraud = {"ann": "block", "bob": "challenge", "cem": "challenge", "eve": "challenge", "x1": "block"}
    fraud |= {"x2": "block", "x3": "block", "x4": "challenge", "x5": "challenge", "r99": "challenge"}
    assert {who: worst[who] for who in fraud} == fraud


# --- what the READMEs show ---------------------------------------------------------------------------------


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


def test_the_payments_readme_shows_what_the_commands_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown = blocks((PAYMENTS / "README.md").read_text(encoding="utf-8"), "console")
    assert len(shown) >= 6
    for block in shown:
        command, _, expected = block.partition("\n")
        words = shlex.split(command.removeprefix("$ "))
        assert words[0] == "quell"
        done = run(*words[1:], env={"COLUMNS": "80"})
        assert done.exit_code == 0, done.output
        rest = [line.rstrip() for line in done.stdout.splitlines()]
        for piece in re.split(r"(?m)^…\n", expected):
            lines = [line.rstrip() for line in piece.splitlines()]
            found = [i for i in range(len(rest) - len(lines) + 1) if rest[i : i + len(lines)] == lines]
            assert found, f"{command}\nprints nothing like\n{piece}\nbut\n{done.stdout}"
            rest = rest[found[0] + len(lines) :]


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_the_readmes_name_what_exists(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (readme.parent / target).exists(), target
    for line in "".join(blocks(text, "sh")).splitlines():
        for script in re.findall(r"python (\S+\.py)", line):
            assert (ROOT / script).is_file(), line
    commands = re.findall(r"quell ([a-z]+) ", "".join(blocks(text, "(?:sh|console)")) + text)
    assert commands
    for name in set(commands):
        assert run(name, "--help").exit_code == 0, name


# --- the backtest ------------------------------------------------------------------------------------------


def test_the_backtest_is_looked_at_from_three_sides() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "backtest.py"], capture_output=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, b"")
    parts = re.split(r"(?m)^(?=\w)", done.stdout.decode())[1:]
    verdicts, blocked, hours = (part.splitlines()[1:] for part in parts)
    assert [line.split()[0] for line in verdicts] == ["allow", "flag", "review", "challenge", "block"]
    number = int(verdicts[-1].split()[1].replace(",", ""))
    assert number > 100
    assert sum(int(line.split()[1]) for line in hours) == number
    assert [line.split(":")[0] for line in blocked] == [
        "  blocked 5 and more times",
        "  blocked up to 4 times",
    ]


# --- the consumer ------------------------------------------------------------------------------------------


def test_the_consumer_says_what_to_do(answers: list[Decision | Refused]) -> None:
    script = ROOT / "examples" / "stream_consumer.py"
    done = subprocess.run(
        [sys.executable, script, PAYMENTS], input=EVENTS.read_bytes(), capture_output=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    decided = [a for a in answers if isinstance(a, Decision)]
    told = sum(d.verdict != "allow" for d in decided) + sum(len(d.labels) + len(d.sends) for d in decided)
    assert len(lines) == told + len(answers) - len(decided)
    assert "verified p154: unlabel User ann recovering" in lines
    assert lines[0].startswith("event 23: refused (unmatched), so review: ")
    (sent,) = [line for line in lines if line.startswith("payout p151: send ")]
    assert json.loads(sent.split(" ", 4)[4]) == {
        "why": "cash-out after a takeover",
        "user": "ann",
        "event": "p151",
    }


def test_the_consumer_goes_on_after_what_is_no_event() -> None:
    engine = Stepper.load(PAYMENTS)
    lines = list(stream_consumer.consume(engine, [b"", b"{", b"\xff\n", b'{"type": "x"}'], "allow"))
    assert [line[:16] for line in lines] == ["event 2: refused", "event 3: refused", "event 4: refused"]


def test_a_bundle_that_cannot_be_loaded_ends_the_consumer_with_the_reason(tmp_path: Path) -> None:
    script = ROOT / "examples" / "stream_consumer.py"
    done = subprocess.run([sys.executable, script, tmp_path], input=b"", capture_output=True, timeout=120)
    assert done.returncode == 1
    assert b"empty-bundle" in done.stderr
    assert b"Traceback" not in done.stderr


# --- the service -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where a service with the starter bundle listens."""
    server = service.serve(str(ROOT / "policies"), 0)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=60)
    assert not thread.is_alive()


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """One request; the status and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_the_service_decides(port: int) -> None:
    message = MESSAGE | {"author": MESSAGE["author"] | {"id": 77}}  # of whom no other test has a message
    status, decision = ask(port, "POST", "/messages", json.dumps(message).encode())
    assert (status, decision["verdict"]) == (200, "allow")
    bad = message | {"id": 2, "message": {"content": "see https://free-boost-drop.example/x"}}
    status, decision = ask(port, "POST", "/messages", json.dumps(bad).encode())
    assert (status, decision["verdict"]) == (200, "block")
    assert "known_bad_link" in [f["rule"] for f in decision["fired"]]
    status, decision = ask(port, "POST", "/messages", json.dumps(message | {"id": 3}).encode())
    assert (status, decision["verdict"]) == (200, "review"), "the label of the message before is remembered"


def test_the_message_of_the_readme_is_blocked(port: int) -> None:
    text = READMES[0].read_text(encoding="utf-8")
    (body,) = re.findall(r"(?s)curl -s localhost:8080/messages -d '(.*?)'", text)
    status, decision = ask(port, "POST", "/messages", body.encode())
    assert (status, decision["verdict"]) == (200, "block")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"{}", json.dumps(MESSAGE | {"author": 7}).encode(), b"[" * 9000]
)
def test_the_service_refuses_what_is_no_message(port: int, body: bytes) -> None:
    status, refused = ask(port, "POST", "/messages", body)
    assert status == 422
    assert refused["kind"]
    assert refused["message"]


def test_the_service_answers_bad_requests(port: int) -> None:
    assert ask(port, "POST", "/elsewhere", b"{}")[0] == 404
    assert ask(port, "GET", "/messages")[0] == 405
    assert ask(port, "POST", "/messages", Content_Length=str(service.LARGEST + 1))[0] == 413
    for length in ("-1", "\u00b2", "many", "9" * 5000):
        assert ask(port, "POST", "/messages", Content_Length=length)[0] == 411, length


def test_a_body_that_never_ends_does_not_stop_the_service(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stuck:
        stuck.sendall(b'POST /messages HTTP/1.1\r\nContent-Length: 500\r\n\r\n{"type"')
        status, _ = ask(port, "POST", "/messages", json.dumps(MESSAGE | {"id": 9}).encode())
        assert status == 200
        stuck.shutdown(socket.SHUT_WR)
        assert b" 422 " in stuck.recv(4096)


def test_the_service_says_why_it_cannot_begin(tmp_path: Path) -> None:
    script = ROOT / "examples" / "service.py"
    done = subprocess.run([sys.executable, script, tmp_path, "--port", "0"], capture_output=True, timeout=120)
    assert done.returncode == 1
    assert b"empty-bundle" in done.stderr
    assert b"Traceback" not in done.stderr


# --- the asynchronous engine -------------------------------------------------------------------------------


def test_the_bundle_with_a_remote_model_passes_its_tests() -> None:
    assert run("test", REMOTE).exit_code == 0


def test_messages_wait_for_their_answers_together(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    async def classify(inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        sizes.append(len(inputs))
        return [
            {"likely": 0.97, "reason": "bait"} if "seed" in i["content"] else {"likely": 0} for i in inputs
        ]

    monkeypatch.setattr(ask_models, "classify", classify)
    replies = in_virtual_time(ask_models.decide(ask_models.messages(100)))
    decisions = [r for r in replies if isinstance(r, Decision)]
    assert len(decisions) == 100
    asked = [d for d in decisions if d.asked]
    assert 0 < len(asked) == sum(sizes) < 100
    blocked = [d for d in decisions if d.verdict == "block"]
    assert blocked
    assert all(d.fired[0].message == "bait" and d.labels for d in blocked)


def in_virtual_time(work: Coroutine[Any, Any, list[Reply]]) -> list[Reply]:
    """What comes of it where deciding takes no time, so that answers are late by the example's wish alone."""
    replies: list[Reply] = []

    async def main() -> None:
        replies.extend(await work)

    virtual_time.run(main())
    return replies


def test_the_example_says_what_came_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncio.run", in_virtual_time)
    ask_models.main()
    said = capsys.readouterr().out
    assert said.startswith("500 messages in ")
    assert "'answered'" in said
    assert "'late'" in said
