"""What the tests of the command line share: a small bundle on disk, events for it, ways to run `quell`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from quell.replay.cli import main

POLICIES = """entity User labels "spammer"

event message from "message" with written
  content text = $.content default ""
  score number? = $.score

shape written
  id text = $.id
  at time = $.at
  author User = $.author

list bad_words from "lists/bad_words.txt" as words

let burst = count(message by author within 1m)
let long_text = length(content) > 20

# Three messages within a minute.
rule flood on message
  when burst >= 3
  then challenge
       label author "spammer" for 1h
       send "queue" { author: author } limit 1 per author every 1h
  because "{burst} messages within 1m: {content}"

rule bad_word on message
  when content matches bad_words
  then block
  because "the text `{content}` has a bad word"

rule shouting on message
  when upper_ratio(content) > 70% and long_text and (score ?? 1) > 0
  then flag
  mode shadow

test "the third message within a minute is challenged"
  given message { author: "u1" } repeat 3 every 10s
  expect allow on the first
  expect challenge by flood on the last

test "a bad word is blocked"
  given message { author: "u1", content: "you grobbler" }
  expect block by bad_word

test "shouting is noted in shadow"
  given message { author: "u1", content: "LOUD AND LONGER THAN TWENTY" }
  expect allow
  expect fired shouting
"""

EVENTS: list[dict[str, Any]] = [
    {"type": "message", "id": "m1", "at": "2026-01-01T00:00:00Z", "author": "ann", "content": "hello"},
    {"type": "message", "id": "m2", "at": "2026-01-01T00:00:10Z", "author": "bob", "content": "you grobbler"},
    {"type": "message", "id": "m3", "at": "2026-01-01T00:00:20Z", "author": "ann", "content": "again"},
    {"type": "message", "id": "m4", "at": "yesterday", "author": "ann", "content": "broken"},
    {"type": "message", "id": "m5", "at": "2026-01-01T00:00:30Z", "author": "ann", "content": "third"},
    {"type": "message", "id": "m6", "at": "2026-01-01T00:00:40Z", "author": "ann", "score": "high"},
    {"type": "other", "id": "m7"},
]
"""Seven: five are decided (verdicts allow, block, allow, challenge, challenge), two are refused, and one of
the five has a value of the wrong kind."""


def make_bundle(folder: Path, policies: str = POLICIES) -> Path:
    """The bundle in a new folder."""
    folder.mkdir(parents=True)
    (folder / "p.quell").write_text(policies, encoding="utf-8")
    (folder / "lists").mkdir()
    (folder / "lists" / "bad_words.txt").write_text("grobbler\n", encoding="utf-8")
    return folder


def write_events(file: Path, events: Iterable[dict[str, Any]] = EVENTS) -> Path:
    """Events as JSON lines."""
    file.write_text("".join(json.dumps(e) + "\n" for e in events), encoding="utf-8")
    return file


def run(*args: str | Path, stdin: str | bytes | None = None, env: dict[str, str] | None = None) -> Result:
    """`quell` within this process. Ends in SystemExit or nothing: never in another exception."""
    result = CliRunner().invoke(main, [str(a) for a in args], input=stdin, env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def quell(*args: str | Path, **how: Any) -> subprocess.CompletedProcess[bytes]:
    """`quell` as a process of its own; `how` is as for subprocess.run, `env` added to the present one."""
    how["env"] = {**os.environ, **how.get("env", {})}
    return subprocess.run(command(*args), capture_output=True, timeout=120, **how)


def command(*args: str | Path) -> list[str]:
    """The command line of a `quell` process."""
    return [sys.executable, "-m", "quell.replay.cli", *(str(a) for a in args)]


@contextlib.contextmanager
def started(args: list[str], **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone afterwards, whatever becomes of the test; `how` is as for subprocess.Popen."""
    with subprocess.Popen[bytes](args, **how) as process:
        try:
            yield process
        finally:
            process.kill()


_ESCAPE = re.compile(r"\x1b")


def colourless(text: str) -> bool:
    """Whether a text has no escape sequence."""
    return _ESCAPE.search(text) is None
