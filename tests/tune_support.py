"""What the tests of tuning share: a policy, a history that meets its thresholds, and sweeps of it."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from quell.engine.bundle import Files, Settings
from quell.engine.compile import Analysis, analyse, build
from quell.grammar.source import Source
from quell.replay.database import Database
from quell.replay.history_ingest import ingest
from quell.replay.outcome import Outcome
from quell.replay.run import decide
from quell.replay.simulate import simulate
from quell.replay.tune import Tuned, tune
from quell.replay.tune_constants import Constant, Found, find
from quell.replay.tune_edit import edit

ROOT = Path(__file__).resolve().parent.parent

POLICY = """
entity User labels "spammer", "trusted"
entity Server

event message from "message"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  joined   time? = $.joined
  score    number? = $.score
  content  text = $.content default ""
  sizes    list<number> = $.sizes default []
  server   Server? = $.server

event reaction from "reaction"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  score    number? = $.score

let account_age = at - joined
let newcomer    = account_age < 1h30m
let messages_1m = count(message by author within 1m)
let loud        = upper_ratio(content) > 60%
let most        = 3
let over(x: number, least: number) = x > least

score risk
  40 when newcomer
  25 when messages_1m > 2
  minus 30 when author labelled "trusted"

rule burst on message
  when newcomer and messages_1m >= 3
  then block
       label author "spammer" for 1h

rule risky on message
  when risk >= 40 and not (score < -0.5)
  then review

rule ratio on message
  when messages_1m > 1.5 * (score ?? 1) or loud
  then flag
  rollout 60% by author

rule sizes on message
  when any sizes > 5 and size([s of sizes where s > 2]) >= 2
  then flag

rule shadowy on message, reaction
  when (score ?? 0) * 2 + 1 > 2.5
  mode shadow

rule named on message
  when messages_1m > most and over(score ?? 0, 0.25)

rule known on message
  when author labelled "spammer" and messages_1m >= 2
  then flag

rule again on message
  when count(fired again by author within 1h before this) < 5 and messages_1m >= 1

rule friends on message
  when author labelled "trusted" and (score ?? 0) >= 0
  then exempt from ratio, risky

rule chain on message
  when 0.1 <= score <= 0.8 and length(content) > 4
"""


def analysis_of(text: str) -> Analysis:
    files = Files("test", {"p.quell": Source("p.quell", text)}, Settings())
    made = analyse(files, lints=False)
    assert not made.report.errors, made.diagnostics
    return made


def history_of(count: int = 400) -> list[dict[str, Any]]:
    """Events that meet every threshold of the policy from both sides."""
    dice = np.random.default_rng(7)
    out: list[dict[str, Any]] = []
    second = 0
    for i in range(count):
        second += int(dice.integers(1, 12))
        at = f"2026-01-01T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"
        event: dict[str, Any] = {"id": f"m{i}", "at": at, "author": f"u{dice.integers(9)}"}
        event["type"] = "reaction" if dice.random() < 0.15 else "message"
        if dice.random() < 0.8:
            event["joined"] = f"2025-12-31T{dice.integers(20, 24):02d}:{dice.integers(60):02d}:00Z"
        if dice.random() < 0.8:
            event["score"] = round(float(dice.normal(0.4, 0.6)), 2)
        event["content"] = "".join(dice.choice(list("abcDEF "), dice.integers(1, 9)))
        event["sizes"] = [int(x) for x in dice.integers(0, 9, dice.integers(0, 5))]
        out.append(event)
        if i % 97 == 50:
            out.append(
                {"type": "quell.label", "entity": "User", "id": "u3", "label": "trusted", "at": at, "by": "x"}
            )
    return out


def hits_of(analysis: Analysis, rule: str, files: Sequence[Path]) -> int:
    """On how many events a rule fires when the bundle is replayed."""
    with Database(threads=1) as db:
        outcome = decide(ingest(db, "h", build(analysis), files, order="given"), "o")
        found: int = db.value(
            f"SELECT count(*) FROM {outcome.table('hits')} WHERE rule = ? AND outcome <> 'held'", rule
        )
        return found


def swept(analysis: Analysis, rule: str, asked: Sequence[str], files: Sequence[Path], **how: Any) -> Tuned:
    with Database(threads=1) as db:
        outcome = Outcome(ingest(db, "h", build(analysis), files, order="given"), "o")
        return tune(outcome, find(analysis, rule), asked, **how)


def edited(analysis: Analysis, constant: Constant, value: float) -> Analysis:
    made = edit(analysis, [(constant, value)])
    files = Files(
        "test", dict(made.sources), analysis.files.settings, analysis.files.root, analysis.files.extra
    )
    return analyse(files, lints=False)


def named(rule: str) -> Found:
    return find(analysis_of(POLICY), rule)


def write_history(file: Path) -> Path:
    """The history as JSON lines."""
    file.write_text("".join(json.dumps(e) + "\n" for e in history_of()), encoding="utf-8")
    return file


def write_day(folder: Path) -> Path:
    """A small simulated day, each event with its truth, and the starter bundle beside it."""
    lines = [
        msgspec.json.encode(event) + b"\n" for event in itertools.islice(simulate(3, 8_000), 4_000, 7_000)
    ]
    (folder / "events.jsonl").write_bytes(b"".join(lines))
    left_out = shutil.ignore_patterns("__pycache__", "*.py")
    shutil.copytree(ROOT / "policies", folder / "policies", ignore=left_out)
    return folder
