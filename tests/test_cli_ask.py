"""`quell decide --ask`: remote models asked while a file of events is decided, one after another."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli_support import run

POLICY = """
entity User

event message from "message"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  content  text = $.content

model scam from remote "classifier"
  content = content
  when length(content) > 2
  wait 5s

rule slow on message
  when scam > 0.5
  then block
"""


class Classifier(BaseHTTPRequestHandler):
    """Takes what asks for a seed for a scam; what says `bad` it answers with nonsense."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answers = [
            {"score": "nonsense" if "bad" in i["content"] else 0.9 if "seed" in i["content"] else 0.1}
            for i in body["inputs"]
        ]
        data = json.dumps({"answers": answers}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Classifier)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "p.quell").write_text(POLICY, encoding="utf-8")
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    (bundle / "quell.toml").write_text(f'[remote.classifier]\nurl = "{url}"\n', encoding="utf-8")
    lines = [
        json.dumps(
            {"type": "message", "id": str(i), "at": 1_772_323_200_000_000 + i, "author": "u", "content": c}
        )
        for i, c in enumerate(["a seed", "hello", "hi", "bad"])
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(lines), encoding="utf-8")
    yield tmp_path
    server.shutdown()
    thread.join()
    server.server_close()


def decisions(folder: Path, *more: str) -> list[dict[str, Any]]:
    out = folder / "out.jsonl"
    done = run("decide", folder / "bundle", "--events", folder / "events.jsonl", "--out", out, *more)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_remote_models_are_asked_one_event_after_another(folder: Path) -> None:
    told = decisions(folder, "--ask")
    assert [d["verdict"] for d in told] == ["block", "allow", "allow", "allow"]
    assert [[a["status"] for a in d.get("asked", [])] for d in told] == [
        ["answered"],
        ["answered"],
        [],
        ["invalid"],
    ]
    assert [d["seq"] for d in told] == [d["decided"] for d in told] == [1, 2, 3, 4]


def test_without_it_answers_are_missing_and_the_summary_says_so(folder: Path) -> None:
    assert {d["verdict"] for d in decisions(folder)} == {"allow"}
    done = run("decide", folder / "bundle", "--events", folder / "events.jsonl")
    assert "remote scam unasked 3 ×\n  remote models are not asked here\n" in done.output
    done = run("decide", folder / "bundle", "--events", folder / "events.jsonl", "--ask")
    assert "remote scam invalid 1 ×\n  classifier: `score` is not a number\n" in done.output
    done = run("decide", folder / "bundle", "--events", folder / "events.jsonl", "--ask", "--json")
    assert json.loads(done.stdout)["remote"] == [
        {"model": "scam", "status": "answered", "count": 2},
        {"model": "scam", "status": "invalid", "count": 1},
    ]


def test_decisions_with_answers_are_written_to_parquet(folder: Path) -> None:
    import pyarrow.parquet as pq

    out = folder / "out.parquet"
    run("decide", folder / "bundle", "--events", folder / "events.jsonl", "--out", out, "--ask")
    (first, *_) = pq.read_table(out, columns=["asked", "decided"]).to_pylist()
    assert first == {
        "asked": [{"model": "scam", "status": "answered", "value": "0.9", "reason": ""}],
        "decided": 1,
    }


def test_who_cannot_be_asked_is_told(folder: Path) -> None:
    (folder / "bundle" / "quell.toml").write_text("[remote.classifier]\ncallable = true\n", encoding="utf-8")
    done = run("decide", folder / "bundle", "--events", folder / "events.jsonl", "--ask")
    assert done.exit_code == 3
    assert "classifier: no function is registered under this name" in done.output
    drawn = run("graph", folder / "bundle", "--event", "message")
    assert '{{"scam"}}:::model' in drawn.output
    (folder / "bundle" / "p.quell").write_text(POLICY.split("model")[0], encoding="utf-8")
    done = run("decide", folder / "bundle", "--events", folder / "events.jsonl", "--ask")
    assert done.exit_code == 2
    assert "ask no remote model" in done.output
