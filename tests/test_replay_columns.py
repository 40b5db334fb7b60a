"""How a replay by columns goes about it: what it settles, what it leaves to SQL, when it steps instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from quell.engine.bundle import Files, Settings
from quell.engine.compile import Build, analyse, build
from quell.grammar.source import Source
from quell.replay import choosing
from quell.replay.columnar import Columnar
from quell.replay.database import Database
from quell.replay.dependence import Dependence
from quell.replay.history import History
from quell.replay.history_ingest import ingest
from quell.replay.outcome import Outcome
from quell.replay.run import RunWay, decide
from quell.replay.stepping import step
from tests.replay_parity import differences

HEAD = """
entity User labels "spammer", "trusted"
event message from "message"
  id     text = $.id
  at     time = $.at
  author User = $.author
  size   number? = $.size
  bulk   bool? = $.bulk
"""


def built(text: str, **settings: Any) -> Build:
    files = Files("case", {"case.quell": Source("case.quell", HEAD + text)}, settings=Settings(**settings))
    analysis = analyse(files, lints=False)
    assert not analysis.report.errors, analysis.report.errors
    return build(analysis)


def event(n: int, author: str, size: float | None = 1, bulk: bool = False) -> dict[str, Any]:
    at = f"2026-03-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z"
    return {"type": "message", "id": f"m{n}", "at": at, "author": author, "size": size, "bulk": bulk}


@contextmanager
def history(made: Build, events: list[dict[str, Any]], folder: Path) -> Iterator[History]:
    file = folder / "events.jsonl"
    file.write_text("".join(json.dumps(e) + "\n" for e in events), encoding="utf-8")
    with Database() as db:
        yield ingest(db, "history", made, [file], order="given")


def columns(read: History) -> tuple[Outcome, Columnar]:
    outcome = Outcome(read, "columns")
    columnar = Columnar(outcome, Dependence(read.build.analysis))
    columnar.run()
    judge = Outcome(read, "steps")
    step(judge)
    assert differences(judge, outcome) == []
    return outcome, columnar


def settled(outcome: Outcome, columnar: Columnar) -> list[int]:
    """The events that were decided one by one, by `n`."""
    return sorted(n for rows in columnar.rows() for (n, *_) in outcome.db.rows(rows.query))


LABELS = """
rule bulk_sender on message
  when bulk and size >= 10
  then label author "spammer" for 1d
rule goes_on on message
  when author labelled "spammer"
  then block
rule large on message
  when size >= 100
  then review
"""


def test_only_events_on_which_something_may_happen_are_settled(tmp_path: Path) -> None:
    events = [event(n, f"u{n % 50}", size=n % 7, bulk=n % 3 == 0) for n in range(500)]
    events[100] = event(100, "bad", size=20, bulk=True)
    events[300] = event(300, "bad")
    events[400] = event(400, "u1", size=200)
    with history(built(LABELS), events, tmp_path) as read:
        outcome, columnar = columns(read)
        assert settled(outcome, columnar) == [101, 301]
        assert outcome.db.rows(f"SELECT n, verdict FROM {outcome.table('decisions')} ORDER BY n") == [
            (101, "allow"),
            (301, "block"),
            (401, "review"),
        ]
    ways = {w.part: (w.way, w.why) for w in outcome.ways}
    assert ways["rule large on message"][0] == "sql"
    assert ways["rule bulk_sender on message"] == ("settled", "it labels, sends, or has a limit")
    assert ways["rule goes_on on message"][0] == "settled"


def test_labels_that_follow_from_labels_are_followed(tmp_path: Path) -> None:
    chain = """
rule first on message
  when bulk then label author "trusted"
rule second on message
  when author labelled "trusted" and size > 5
  then label author "spammer"
rule third on message
  when author labelled "spammer"
  then block
"""
    events = [event(n, f"u{n % 9}", size=n % 11, bulk=n in (3, 40)) for n in range(200)]
    with history(built(chain), events, tmp_path) as read:
        outcome, columnar = columns(read)
        decided = settled(outcome, columnar)
        authors = {events[n - 1]["author"] for n in decided}
        assert authors == {"u3", "u4"}
        assert outcome.db.value(f"SELECT count(*) FROM {outcome.table('hits')} WHERE rule = 'third'") > 0


def test_strikes_are_followed_under_their_keys(tmp_path: Path) -> None:
    strikes = """
rule large on message
  when size >= 10
  then review
rule again on message
  when count(fired large by author within 1h) >= 2
  then block
"""
    events = [event(n, f"u{n % 20}", size=12 if n % 20 == 3 else 1) for n in range(200)]
    with history(built(strikes), events, tmp_path) as read:
        outcome, columnar = columns(read)
        assert {events[n - 1]["author"] for n in settled(outcome, columnar)} == {"u3"}


def test_how_often_conditions_are_missing_is_counted(tmp_path: Path) -> None:
    events = [event(n, "u", size=None if n % 4 == 0 else 1) for n in range(100)]
    with history(built(LABELS), events, tmp_path) as read:
        outcome, _ = columns(read)
        found = {
            rule: (missing, looked)
            for rule, missing, looked in outcome.db.rows(
                f"SELECT rule, missing, looked FROM {outcome.table('missing')}"
            )
        }
    assert found == {"large": (25, 100), "bulk_sender": (0, 100), "goes_on": (0, 100)}


@pytest.mark.parametrize(
    ("way", "most", "why"),
    [
        ("columns", 5_000_000, ""),
        ("columns", 3, "counters may come to more keys than `max_keys` in quell.toml lets memory hold"),
        ("auto", 5_000_000, "the history is short"),
        ("steps", 5_000_000, "it was asked for"),
    ],
)
def test_the_way_is_chosen_and_told(way: RunWay, most: int, why: str, tmp_path: Path) -> None:
    counted = "rule often on message\n  when count(message by author within 1h) >= 2\n  then block\n"
    events = [event(n, f"u{n % 8}") for n in range(40)]
    with history(built(counted, max_keys=most), events, tmp_path) as read:
        outcome = decide(read, "one", way=way)
        judge = Outcome(read, "steps")
        step(judge)
        assert differences(judge, outcome) == []
    assert [(w.part, w.why) for w in outcome.ways if w.way == "stepped"] == (
        [("everything", why)] if why else []
    )


def test_work_that_is_mostly_python_is_stepped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "SHORT", 0)
    numbers = "rule large on message\n  when size >= 10\n  then review\n"
    texts = """
rule alike on message
  when fingerprint(author) == "somebody"
    or size(bands(author)) > 99
    or size(urls(author)) > 3
    or entropy(author) > 9
  then review
"""
    for text, quicker in ((numbers, False), (texts, True)):
        with history(built(text), [event(1, "u")], tmp_path) as read:
            why = choosing.why_stepping_is_quicker(read, Dependence(read.build.analysis))
        assert bool(why) is quicker
