"""`quell serve` as a process: where it listens, what it says, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from quell.engine import cli_serve
from quell.engine.http_access import Access
from quell.engine.http_run import Door, run
from quell.engine.http_server import bind
from quell.engine.lock import is_held
from quell.engine.service_settings import Listen
from tests.cli_support import EVENTS, command, make_bundle
from tests.cli_support import run as quell
from tests.http_support import parts_of

pytestmark = pytest.mark.slow


@dataclass
class Process:
    """A `quell serve` that listens."""

    process: subprocess.Popen[str]
    address: str
    said: list[str] = field(default_factory=list)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; gives its exit status. What it said last is in `said`."""
        self.process.send_signal(how)
        assert self.process.stderr is not None
        self.said += self.process.stderr.read().splitlines()
        return self.process.wait(60)

    def http(self, **more: Any) -> httpx.Client:
        """A client."""
        address = self.address.replace("0.0.0.0", "127.0.0.1")
        return httpx.Client(base_url=address, timeout=60, **more)

    def until(self, text: str) -> str:
        """The next line with a text in it."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError("".join(self.said))


@contextlib.contextmanager
def serving(policies: Path, data: Path, *more: str) -> Iterator[Process]:
    """A service on any free port."""
    arguments = command("serve", policies, "--data", data, "--port", "0", *more)
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    made = Process(process, "")
    try:
        line = made.until("://")
        found = re.search(r"https?://(?:\[[0-9a-f:]+\]|[0-9.]+):\d+", line)
        assert found
        made.address = found[0]
        yield made
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(60)
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "policies")


def test_it_decides_reloads_and_ends_with_all_written(policies: Path, tmp_path: Path) -> None:
    with serving(policies, tmp_path / "data") as served, served.http() as asked:
        said = asked.post("/v1/decide", json=EVENTS[1]).json()
        status, seq = asked.get("/v1/status").json(), said["seq"]
        assert said["verdict"] == "block"
        assert (status["access"], status["seq"], status["number"]) == ("open", seq, 1)
        assert asked.get("/readyz").status_code == 200
        assert "quell_decisions" in asked.get("/metrics").text
        assert asked.get(f"/v1/decisions/{seq}").json()["reply"]["verdict"] == "block"
        explained = asked.get(f"/v1/decisions/{seq}/explanation").json()
        assert explained["decision"]["verdict"] == "block"
        for number in (1, seq + 9_000):  # that of the version, and one that is still to come
            never = asked.get(f"/v1/decisions/{number}")
            assert (never.status_code, never.json()["kind"]) == (404, "not-decided-here")
            assert never.json()["detail"] == f"the journal does not hold decision {number:,}"
            assert asked.get(f"/v1/decisions/{number}/explanation", timeout=60).json() == never.json()
        assert "Quell" in asked.get("/").text

        (policies / "lists" / "bad_words.txt").write_text("grobbler\nhello\n")
        reloaded = asked.post("/v1/reload").json()["result"]
        assert reloaded in ("live", "unchanged")  # the watcher may have been first
        assert asked.post("/v1/decide", json=EVENTS[0]).json()["verdict"] == "block"
        assert asked.post("/v1/versions/1/put-back").json()["version"]["number"] == 3
        last = asked.post("/v1/decide", json=EVENTS[0]).json()
        assert last["verdict"] == "allow"
        assert served.end() == 0
    with serving(policies, tmp_path / "data") as served, served.http() as asked:
        assert asked.get("/v1/status").json()["seq"] >= last["seq"]
        assert asked.get(f"/v1/decisions/{last['seq']}").json()["reply"] == last
        assert served.end(signal.SIGINT) == 0
    assert any("went on from number" in line for line in served.said)


def test_a_hang_up_ends_nothing_before_it_serves(policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for a reload by signal does not know how far the start is."""
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, frame: heard.append(number))

    def begin(*words: object) -> int:
        signal.raise_signal(signal.SIGHUP)
        return 0

    try:
        monkeypatch.setattr(cli_serve, "_begin", begin)
        assert quell("serve", policies).exit_code == 0
        assert heard == []
        signal.raise_signal(signal.SIGHUP)
        assert heard == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_of_many_hang_ups_two_are_enough() -> None:
    """One that is under way, and one that sees what was written since."""
    asked: list[int] = []
    tasks: set[asyncio.Task[None]] = set()
    before = signal.getsignal(signal.SIGHUP)

    async def main() -> None:
        go_on = asyncio.Event()

        async def hang_up() -> None:
            asked.append(1)
            await go_on.wait()

        async def storm() -> None:
            for _ in range(20):
                signal.raise_signal(signal.SIGHUP)
            while not asked:
                await asyncio.sleep(0)
            go_on.set()
            signal.raise_signal(signal.SIGTERM)

        listen = Listen(port=0, grace=1.0)
        with Door(bind(listen.host, 0), Access(None, True), listen) as door:
            await run(parts_of(), door, lambda: tasks.add(asyncio.create_task(storm())), hang_up)

    asyncio.run(main())
    assert len(asked) == 2
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_storm_of_hang_ups_is_taken_and_cuts_no_ending_short(policies: Path, tmp_path: Path) -> None:
    with serving(policies, tmp_path / "data") as served, httpx.Client(base_url=served.address) as asked:
        (policies / "broken.quell").write_text("rule x on message when nothing then block\n")
        for _ in range(300):
            served.process.send_signal(signal.SIGHUP)
            asked.get("/healthz")  # it has heard of it then
        served.until("reload.refused")
        served.process.send_signal(signal.SIGTERM)
        for _ in range(20):
            served.process.send_signal(signal.SIGHUP)
        assert served.process.wait(60) == 0
        served.until('"serve.stopped"')


def test_a_bundle_that_breaks_is_told_and_the_one_before_decides(policies: Path, tmp_path: Path) -> None:
    with serving(policies, tmp_path / "data") as served, served.http() as asked:
        (policies / "broken.quell").write_text("rule x on message when nothing then block\n")
        answer = asked.post("/v1/reload")
        assert (answer.status_code, answer.json()["kind"]) == (422, "bundle-refused")
        assert answer.json()["outcome"]["findings"][0]["file"] == "broken.quell"
        assert asked.post("/v1/decide", json=EVENTS[0]).json()["verdict"] == "allow"
        served.process.send_signal(signal.SIGHUP)
        served.until("reload")
        assert served.end() == 0


def test_elsewhere_than_on_this_machine_it_needs_a_key(policies: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    refused = quell("serve", policies, "--data", data, "--host", "0.0.0.0", "--port", "0")
    assert refused.exit_code == 2
    assert "there is no API key" in refused.stderr
    assert f"quell keys add NAME --scope decide --data {data}" in refused.stderr
    key = quell("keys", "add", "gate", "--scope", "decide", "--data", data).stdout.strip()
    with serving(policies, data, "--host", "0.0.0.0") as served:
        with served.http() as asked:
            assert asked.post("/v1/decide", json=EVENTS[0]).status_code == 401
            headers = {"Authorization": f"Bearer {key}"}
            assert asked.post("/v1/decide", json=EVENTS[0], headers=headers).status_code == 200
            assert asked.get("/v1/status", headers=headers).status_code == 403
        assert served.end() == 0
    quell("keys", "revoke", "gate", "--data", data)
    refused = quell("serve", policies, "--data", data, "--host", "0.0.0.0", "--port", "0")
    assert "revoked or has expired" in refused.stderr


def test_its_log_can_be_read_by_machines_and_no_other_serves_its_data(policies: Path, tmp_path: Path) -> None:
    with serving(policies, tmp_path / "data", "--json-log") as served:
        second = quell("serve", policies, "--data", tmp_path / "data", "--port", "0")
        assert second.exit_code == 3
        assert "is served already" in second.stderr
        (tmp_path / "data" / "lock").unlink()  # by somebody who takes it for a remnant
        third = quell("serve", policies, "--data", tmp_path / "data", "--port", "0")
        assert "is served already" in third.stderr
        assert is_held(tmp_path / "data")
        assert served.end() == 0
    said = [json.loads(line) for line in served.said]
    events = [line["event"] for line in said]
    assert events.index("serve.started") == 1 + events.index("sink.unknown")  # what `queue` would want
    assert events[-2:] == ["serve.stopping", "serve.stopped"]
    assert served.address in said[1]["address"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate is made by openssl")
def test_it_speaks_tls(policies: Path, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-keyout", str(key), "-out", str(cert), "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    config = tmp_path / "service.toml"
    config.write_text(f'[listen]\ntls_cert = "{cert}"\ntls_key = "{key}"\n')
    with serving(policies, tmp_path / "data", "--config", str(config)) as served:
        assert served.address.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(cert))
        with served.http(verify=trusted) as asked:
            assert asked.post("/v1/decide", json=EVENTS[0]).json()["verdict"] == "allow"
            lines = "".join(json.dumps(event) + "\n" for event in EVENTS)
            headers = {"Content-Type": "application/x-ndjson"}
            said = asked.post("/v1/decide/stream", content=lines, headers=headers).text
            assert len(said.splitlines()) == len(EVENTS)
        assert served.end() == 0


@pytest.mark.parametrize(
    ("settings", "more", "status", "told"),
    [
        ("[listen]\nport = 70000\n[log]\nlevel = 1\n", [], 3, ["`port` in [listen]", "`level` in [log]"]),
        ('[listen]\ntls_cert = "no.pem"\ntls_key = "no.pem"\n', [], 3, ["certificate `no.pem`"]),
        ("[sinks.q]\nurl = 3\n", [], 3, ["sinks.q"]),
        ("", ["--config", "nothing.toml"], 3, ["nothing.toml"]),
        ("", ["--host", "no such host"], 3, ["there is no host"]),
        ("", ["--port", "70000"], 2, ["70000"]),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_served(
    settings: str, more: list[str], status: int, told: list[str], policies: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "service.toml").write_text(settings)
    ended = quell("serve", policies, "--data", data, *more)
    assert ended.exit_code == status, ended.output
    assert all(text in ended.stderr for text in told), ended.stderr


def test_a_port_that_is_taken_is_told(policies: Path, tmp_path: Path) -> None:
    taken = bind("127.0.0.1", 0)
    port: Any = taken[0].getsockname()[1]
    ended = quell("serve", policies, "--data", tmp_path / "data", "--port", str(port))
    taken[0].close()
    assert ended.exit_code == 3
    assert "already in use" in ended.stderr


def test_policies_that_are_wrong_are_told(policies: Path, tmp_path: Path) -> None:
    nowhere = quell("serve", tmp_path / "nothing", "--data", tmp_path / "data", "--port", "0")
    assert (nowhere.exit_code, "does not exist" in nowhere.stderr) == (3, True), nowhere.output
    (policies / "broken.quell").write_text("rule x on message when nothing then block\n")
    broken = quell("serve", policies, "--data", tmp_path / "data", "--port", "0")
    assert broken.exit_code == 1, broken.output
    assert "broken.quell" in broken.stderr


def test_help_needs_no_server() -> None:
    """What serving needs is loaded when something is served."""
    script = (
        "import sys, quell.replay.cli; print(*(name in sys.modules for name in ('starlette', 'uvicorn')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
