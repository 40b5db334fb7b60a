"""What `examples/` says of the service is so: the walk with curl, the client, the unit, the container."""

from __future__ import annotations

import configparser
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from quell.engine.cli_serve import serve
from quell.replay.cli import main

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A service with the starter bundle, for one test: the numbers of its decisions begin anew."""
    quell = Path(sys.executable).with_name("quell")
    command = [str(p) for p in (quell, "serve", ROOT / "policies", "--data", tmp_path / "data", "--port", 0)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        found = re.search(r"listening at http://([0-9.:]+):", line)
        if found:
            yield found[1]
            break
    else:
        raise AssertionError("".join(said))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    process.stderr.close()


def blocks() -> list[str]:
    """The commands of the walk that ask the service."""
    found = re.findall(r"^```sh\n(.*?)^```", (EXAMPLES / "curl.md").read_text(encoding="utf-8"), re.M | re.S)
    return [block for block in found if "curl" in block]


def told(address: str, block: str) -> list[Any]:
    """What the commands of a block print, as JSON."""
    script = block.replace("localhost:8600", address)
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=60, check=True)
    decoder, found, text = json.JSONDecoder(), [], done.stdout.strip()
    while text.startswith(("{", "[")):
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_walk_with_curl_goes_as_it_says(address: str) -> None:
    ready, event, again, wrong, lines, past, hand, changes = blocks()
    assert told(address, ready) == [{"status": "ready"}]
    (decision,) = told(address, event)
    assert (decision["event"], decision["seq"]) == ("message", 2)
    first, second = told(address, again)
    assert first == second
    assert first["seq"] == 3
    (problem,) = told(address, wrong)
    assert (problem["status"], problem["path"][:2]) == (422, "$.")
    assert problem["verdict"]
    assert [a["line"] for a in told(address, lines)] == [1, 2]
    entry, explanation = told(address, past)
    assert entry["reply"] == decision
    assert explanation["decision"] == decision
    assert explanation["rules"]
    acted, labels = told(address, hand)
    assert (acted["on"], acted["by"]) == (True, "local")
    assert [label["label"] for label in labels["labels"]] == ["spammer"]
    outcome, versions, status = told(address, changes)
    assert outcome["result"] == "unchanged"
    assert [v["number"] for v in versions["versions"]] == [1]
    assert status["ready"] is True
    assert status["restart"] is not None


@pytest.fixture(scope="module")
def client() -> Any:
    """The module of the client."""
    spec = importlib.util.spec_from_file_location("client", EXAMPLES / "client.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def event_of(number: int) -> dict[str, Any]:
    """An event that is allowed."""
    return {
        "type": "message_create",
        "id": number,
        "created_at": "2026-11-01T12:00:00Z",
        "guild_id": 7,
        "channel_id": 8,
        "author": {"id": 43, "name": "bob", "created_at": "2020-01-01T00:00:00Z"},
        "message": {"content": "hello"},
    }


class Losing(socketserver.StreamRequestHandler):
    """Passes a request on, and loses the answer as long as there are any to lose."""

    address = ""
    lost = 0
    keys: list[str]

    def handle(self) -> None:
        """One request of a connection."""
        first, *lines = b"".join(iter(self.rfile.readline, b"\r\n")).decode().splitlines()
        headers = dict(line.split(": ", 1) for line in lines)
        body = self.rfile.read(int(headers["Content-Length"]))
        asked = http.client.HTTPConnection(self.address, timeout=30)
        self.keys.append(headers.get("Idempotency-Key", ""))
        asked.request("POST", first.split()[1], body, {**headers, "Host": "localhost"})
        answer = asked.getresponse()
        said = answer.read()
        asked.close()
        if type(self).lost:
            type(self).lost -= 1
            return
        head = b"HTTP/1.1 %d OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        self.wfile.write(head % (answer.status, len(said)) + said)


@pytest.fixture
def losing(address: str) -> Iterator[tuple[type[Losing], str]]:
    """Something that loses answers, and where it listens."""
    handler = type("OfThisTest", (Losing,), {"address": address, "keys": []})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield handler, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_the_client_sends_again_what_may_come_again(
    address: str, client: Any, losing: tuple[type[Losing], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAUSE", 0.0)
    handler, where = losing
    direct, made = (client.Client(to, timeout=60) for to in (f"http://{address}", where))
    before = direct.decide(event_of(100))["seq"]
    handler.lost = 2
    assert made.decide(event_of(101))["seq"] == before + 1  # two answers were lost, and it was counted once
    assert len(handler.keys) == 3
    assert len(set(handler.keys)) == 1
    assert made.decide(event_of(101))["seq"] == before + 2  # another key, so it is another event
    handler.lost = 1
    with pytest.raises((OSError, http.client.HTTPException)):
        list(made.decide_many([event_of(102)]))
    assert direct.decide(event_of(103))["seq"] == before + 4  # the array was counted, and not sent again
    handler.lost = client.TRIES
    with pytest.raises((OSError, http.client.HTTPException)):
        made.decide(event_of(104), key="mine")
    assert made.decide(event_of(104), key="mine")["seq"] == before + 5
    direct.close()
    made.close()


def test_the_client_decides_and_explains(
    address: str,
    client: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = client.Client(f"http://{address}", timeout=60)
    event = event_of(1)
    assert made.decide(event, deadline=60.0)["verdict"] == "allow"
    answers = list(made.decide_many([event, {"type": "nothing"}]))
    assert answers[0]["verdict"] == "allow"
    assert answers[1]["status"] == 422
    assert made.explain(answers[0]["seq"])["decision"]["seq"] == answers[0]["seq"]
    with pytest.raises(client.Refused) as refused:
        made.decide({"type": "nothing"})
    assert refused.value.verdict == "review"
    made.close()
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(event) + '\n{"type": "nothing"}\n')
    monkeypatch.setattr(sys, "argv", ["client.py", str(path), "--url", f"http://{address}"])
    assert client.main() == 0
    told = capsys.readouterr().out
    assert "allow " in told
    assert "review, refused " in told
    path.unlink()
    assert client.main() == 1
    assert capsys.readouterr().err == f"{path}: No such file or directory\n"


def options() -> set[str]:
    """The options of `quell serve`."""
    return {name for p in serve.params if isinstance(p, click.Option) for name in p.opts}


def test_the_unit_starts_what_there_is() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(EXAMPLES / "quell.service")
    command = unit["Service"]["ExecStart"].split()
    assert command[1] in main.commands
    assert {word for word in command if word.startswith("--")} <= options()
    if systemd := shutil.which("systemd-analyze"):
        done = subprocess.run(
            [systemd, "verify", str(EXAMPLES / "quell.service")], capture_output=True, text=True, check=False
        )
        assert "Unknown" not in done.stderr


def test_the_container_starts_what_there_is() -> None:
    text = (EXAMPLES / "Containerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.M)
    words = json.loads(command)
    assert words[0] in main.commands
    assert {word for word in words if word.startswith("--")} <= options()
    keys = re.findall(r"quell (keys add .*)$", text, re.M)
    assert keys
    assert os.fspath(EXAMPLES / "Containerfile")
