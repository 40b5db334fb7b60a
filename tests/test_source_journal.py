"""A journal where a file of events is read: by `quell decide`, `quell features` and `quell explain`."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from quell.engine.sources import SourceError, open_source
from quell.engine.stepper import Stepper
from tests.cli_support import run as cli
from tests.journal_runs import Run

POLICY = """
entity User labels "spammer"
event message from "message"
  id     text = $.id
  at     time = $.at
  author User = $.author
let sent = count(message by author within 1h)
rule many on message
  when sent >= 2
  then block
rule marked on message
  when author labelled "spammer"
  then block
"""
LABEL = json.dumps(
    {
        "type": "quell.label",
        "at": "2026-01-01T00:02:30Z",
        "entity": "User",
        "id": "bob",
        "label": "spammer",
        "action": "set",
        "by": "eve",
    }
).encode()


def message(number: int, author: str) -> bytes:
    at = f"2026-01-01T00:0{number}:00Z"
    return json.dumps({"type": "message", "id": f"m{number}", "at": at, "author": author}).encode()


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The data folder of a service that decided four messages, with a label by hand among them."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.quell").write_text(POLICY)
    run = Run(tmp_path / "data" / "journal", Stepper.load(tmp_path / "policies"))
    for event in (message(1, "ann"), message(2, "ann"), LABEL, message(3, "bob"), message(4, "ann")):
        run.take(event)
    run.close()
    return tmp_path


@pytest.mark.parametrize("place", ["data", "data/journal"])
def test_a_journal_is_decided_as_its_events_would_be(served: Path, place: str) -> None:
    made = cli("decide", served / "policies", "--events", served / place, "--out", "-")
    assert made.exit_code == 0, made.output
    verdicts = [json.loads(line).get("verdict") for line in made.stdout.splitlines()]
    assert verdicts == ["allow", "block", None, "block", "block"]
    exported = served / "history.jsonl"
    assert cli("journal", "export", served / "data", "--out", exported, "--events-only").exit_code == 0
    again = cli("decide", served / "policies", "--events", exported, "--out", "-")
    assert again.stdout == made.stdout


def test_features_and_explanations_come_from_a_journal_too(served: Path) -> None:
    out = served / "features.parquet"
    made = cli("features", served / "policies", "--events", served / "data", "--values", "sent", "--out", out)
    assert made.exit_code == 0, made.output
    assert pq.read_table(out)["sent"].to_pylist() == [1, 2, 1, 3]
    told = cli("explain", served / "policies", "--events", served / "data", "--event", "m4")
    assert told.exit_code == 0, told.output
    assert "many" in told.stdout


def test_a_journal_has_no_format_and_a_folder_without_one_is_none(served: Path) -> None:
    wrong = cli("decide", served / "policies", "--events", served / "data", "--format", "csv")
    assert "is a journal, which is in no other format" in wrong.stderr
    empty = cli("decide", served / "policies", "--events", served / "policies")
    assert "is a folder" in empty.stderr
    with pytest.raises(SourceError, match="quell journal export"):
        open_source(served / "data")  # what reads labels, say, wants no journal


REMOTE = """
model judge from remote "judge"
  author = author
  when sent >= 1
  gives likely number
rule judged on message
  when judge.likely > 50%
  then block
"""


def test_answers_of_remote_models_are_not_taken_from_it_and_that_is_said(served: Path) -> None:
    (served / "policies" / "remote.quell").write_text(REMOTE)
    (served / "policies" / "quell.toml").write_text('[remote.judge]\nurl = "http://127.0.0.1:9"\n')
    told = "what remote models answered in service is not taken from the journal"
    made = cli("decide", served / "policies", "--events", served / "data")
    assert made.exit_code == 0, made.output
    assert told in made.stderr
    out = served / "features.parquet"
    made = cli("features", served / "policies", "--events", served / "data", "--values", "sent", "--out", out)
    assert told in made.stderr
