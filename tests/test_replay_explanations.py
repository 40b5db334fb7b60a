"""Explanations of a replay by columns are those that stepping there gives."""

from __future__ import annotations

from pathlib import Path

import msgspec

from quell.engine.compile import build
from quell.replay.database import Database
from quell.replay.explaining import explain_columns, explain_steps
from quell.replay.run import RunWay, replay
from tests.bundles import sound
from tests.cli_support import EVENTS, POLICIES, write_events

MORE = """
rule quiet on message
  when length(content) < 8
  because "{length(content)} characters"
  rollout 50% by author
  tag "short"
  severity low
rule first_words on message
  when content starts with "hel"
  then exempt from quiet
"""


def test_rules_that_sql_decides_by_itself_are_in_them(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.jsonl", EVENTS)
    made = build(sound(POLICIES + MORE, {"lists/bad_words.txt": "grobbler\n"}))
    with Database(threads=1) as db:
        outcome = replay(db, "one", made, [events], way="columns")
        assert outcome.columnar is not None
        ns = [1, 2, 3, 4, 5]
        columns, steps = explain_columns(outcome, ns), explain_steps(outcome, ns)
        for n in ns:
            one, other = msgspec.to_builtins(columns[n]), msgspec.to_builtins(steps[n])
            assert one["rules"] == other["rules"], n
            for given in (one["decision"], other["decision"]):
                given.pop("seq")
                given.pop("decided", None)
            assert one["decision"] == other["decision"], n


KEYED = """entity User labels "spammer"
event m from "message"
  at time = $.at
  author User = $.author
let by_label = count(m by (any [author] labelled "spammer") within 1m)
rule r on m
  when by_label > 1
  then label author "spammer"
"""


def test_a_counter_under_a_label_is_no_column_and_counts(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.jsonl", EVENTS)
    with Database(threads=1) as db:
        ways: tuple[RunWay, ...] = ("columns", "steps")
        outcomes = [replay(db, way, build(sound(KEYED)), [events], way=way) for way in ways]
        told = [db.rows(f"SELECT * FROM {outcome.table('hits')} ORDER BY n") for outcome in outcomes]
    assert told[0] == told[1]
    assert told[0]
