"""Sweeps: for each setting the hits are those that replaying the edited policies gives."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.bundle import Files, Settings, read_bundle
from quell.engine.compile import Analysis, analyse, build
from quell.grammar.diagnostics import Report
from quell.grammar.source import Source
from quell.replay.database import Database
from quell.replay.demo import bare
from quell.replay.history import ingest
from quell.replay.outcome import Outcome
from quell.replay.run import decide
from quell.replay.simulate import simulate
from quell.replay.tune import Tuned, curves, tune
from quell.replay.tune_constants import Constant, NoSweep, chosen, find
from quell.replay.tune_edit import edit
from quell.replay.tune_goal import advise, read_goal
from quell.replay.tune_lower import open_up
from quell.replay.tune_settings import between, natural, read, spell, turning
from tests.strategies_policy import Case, cases

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


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tune") / "events.jsonl"
    file.write_text("".join(json.dumps(e) + "\n" for e in history_of()), encoding="utf-8")
    return file


def hits_of(analysis: Analysis, rule: str, files: Sequence[Path]) -> int:
    """On how many events a rule fires when the bundle is replayed."""
    with Database(threads=1) as db:
        outcome = decide(ingest(db, "h", build(analysis), files), "o")
        found: int = db.value(
            f"SELECT count(*) FROM {outcome.table('hits')} WHERE rule = ? AND outcome <> 'held'", rule
        )
        return found


def swept(analysis: Analysis, rule: str, asked: Sequence[str], files: Sequence[Path], **how: Any) -> Tuned:
    with Database(threads=1) as db:
        outcome = Outcome(ingest(db, "h", build(analysis), files), "o")
        return tune(outcome, find(analysis, rule), asked, **how)


def edited(analysis: Analysis, constant: Constant, value: float) -> Analysis:
    made = edit(analysis, [(constant, value)])
    files = Files(
        "test", dict(made.sources), analysis.files.settings, analysis.files.root, analysis.files.extra
    )
    return analyse(files, lints=False)


CONSTANTS = [
    (rule.split()[0], number)
    for rule, many in (
        ("burst", 2), ("risky", 4), ("ratio", 3), ("sizes", 3), ("shadowy", 4), ("named", 3), ("known", 1),
        ("chain", 3),
    )
    for number in range(1, many + 1)
]  # fmt: skip


@pytest.mark.parametrize(("rule", "number"), CONSTANTS)
def test_each_setting_hits_what_the_edited_policies_hit(rule: str, number: int, events: Path) -> None:
    analysis = analysis_of(POLICY)
    tuned = swept(analysis, rule, [str(number)], [events])
    assert tuned.curve is not None and tuned.feedback == []
    constant = tuned.constants[0]
    now = next(p for p in tuned.curve.points if p.text == constant.text)
    assert now.hits == hits_of(analysis, rule, [events])
    assert (now.newly, now.no_longer) == (0, 0)
    others = tuned.curve.points[:: max(1, len(tuned.curve.points) // 5)]
    for point in others:
        other = edited(analysis, constant, read(constant, point.text))
        assert point.hits == hits_of(other, rule, [events]), (constant.compared, point.text)
    assert len({p.hits for p in tuned.curve.points}) > 1 or (rule, number) == ("risky", 4)


def test_two_constants_make_a_grid(events: Path) -> None:
    analysis = analysis_of(POLICY)
    tuned = swept(analysis, "burst", ["1", "account_age < 1h30m"], [events])
    assert tuned.grid is not None
    a, b = tuned.constants
    for point in tuned.grid.points[:: len(tuned.grid.points) // 6]:
        made = edit(analysis, [(a, read(a, point.texts[0])), (b, read(b, point.texts[1]))])
        both = analyse(Files("test", dict(made.sources), Settings()), lints=False)
        assert point.hits == hits_of(both, "burst", [events]), point.texts


def test_entities_and_quality_are_those_of_the_hits(events: Path) -> None:
    analysis = analysis_of(POLICY)
    with Database(threads=1) as db:
        outcome = decide(ingest(db, "h", build(analysis), [events]), "o")
        db.con.execute(
            f"CREATE TABLE truth AS SELECT n, CASE WHEN n % 5 <> 0 THEN n % 3 = 0 END AS label "
            f"FROM {outcome.table('all')}"
        )
        tuned = tune(outcome, find(analysis, "burst"), ["1"], truth="truth")
        assert tuned.curve is not None
        now = next(p for p in tuned.curve.points if p.text == "3")
        hits = f"{outcome.table('hits')} h JOIN truth USING (n) WHERE rule = 'burst'"
        right, wrong = (db.value(f"SELECT count(*) FROM {hits} AND {l}") for l in ("label", "NOT label"))
        assert now.quality is not None
        assert (now.quality.right, now.quality.wrong) == (right, wrong)
        assert now.quality.unlabelled == now.hits - right - wrong
        table = f"{outcome.history.of('message')} JOIN truth USING (n)"
        assert now.quality.recall.of == db.value(f"SELECT count(*) FROM {table} WHERE label")
        column = next(c for c, f in outcome.history.columns["message"] if f.name == "author")
        who = f"SELECT count(DISTINCT {column}) FROM {outcome.history.of('message')} JOIN"
        assert now.entities == db.value(f"{who} {outcome.table('hits')} h USING (n) WHERE rule = 'burst'")
