"""Positives that were let through: which are shown, and which rules were nearest to catching them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from quell.replay import backtest, compare
from quell.replay.cli import main
from quell.replay.markdown import markdown
from quell.replay.page import page
from quell.replay.reasons import nearly
from quell.replay.report_data import Backtest, Near, Sample
from tests.backtest_support import Seen, decided, make_events, make_history

EVENTS = make_events()
SPAM = '$.label == "spam"'


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_history(tmp_path_factory.mktemp("missed"), EVENTS)


@pytest.fixture(scope="module")
def lost(history: tuple[Path, Path]) -> list[Seen]:
    """The positives that got the mildest verdict, counted by hand."""
    seen = decided(history[0], EVENTS)
    return [s for s in seen if s.event.get("label") == "spam" and s.decision.verdict == "allow"]


def run(*args: Any) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


def reported(history: tuple[Path, Path], **how: Any) -> Backtest:
    with backtest(*history, labels=SPAM, **how) as made:
        return made.report


# ----------------------------------------------------------------------------------- which events


def test_they_are_positives_with_the_mildest_verdict(history: tuple[Path, Path], lost: list[Seen]) -> None:
    report = reported(history, samples=1_000, explained=False)
    assert len(lost) > 5
    assert report.missed == len(lost)
    assert [s.n for s in report.samples_missed] == [s.decision.seq for s in lost]
    assert all(s.label and s.verdict == "allow" for s in report.samples_missed)


def test_there_are_few_and_at_every_run_the_same(history: tuple[Path, Path], lost: list[Seen]) -> None:
    one, other = reported(history, samples=3), reported(history, samples=3, threads=1)
    assert (one.missed, len(one.samples_missed)) == (len(lost), 3)
    assert one.samples_missed == other.samples_missed
    assert {s.n for s in one.samples_missed} <= {s.decision.seq for s in lost}
    none = reported(history, samples=0)
    assert (none.missed, none.samples_missed) == (len(lost), [])


def test_only_those_of_the_period(history: tuple[Path, Path], lost: list[Seen]) -> None:
    middle = lost[len(lost) // 2].decision.at
    report = reported(history, samples=1_000, explained=False, start=middle)
    assert [s.n for s in report.samples_missed] == [s.decision.seq for s in lost if s.decision.at >= middle]


def test_without_labels_nothing_is_missed(history: tuple[Path, Path]) -> None:
    with backtest(*history, explained=False) as made:
        assert (made.report.missed, made.report.samples_missed) == (0, [])


# -------------------------------------------------------------------------------- which rules


POLICIES = """entity User

event message from "message"
  id text = $.id
  at time = $.at
  author User = $.author
  score number = $.score
  age duration? = $.age
  links number = $.links default 0
  staff bool = $.staff default false

let newcomer = age < 2d
let fresh    = newcomer or links > 100

rule high on message
  when score > 80
  then block

rule far on message
  when score > 8000 and staff
  then block

rule young on message
  when fresh and links >= 4 and not staff
  then review

rule aged on message
  when age < 1d and links >= 4
  then review

rule tried on message
  when score == 60 and links == 0
  then block
  mode shadow

rule rare on message
  when score == 61
  then block
  rollout 0% by author

rule quiet on message
  when score >= 59 and staff
  then exempt from high

rule unlikely on message
  when staff
  then block
"""


def nearest(folder: Path, **fields: Any) -> tuple[Near, ...]:
    """What is said of one positive with these fields that is let through."""
    event = {"type": "message", "id": "1", "at": "2026-01-01T12:00:00Z", "author": "u", "bad": True, **fields}
    policies, events = folder / "policies", folder / "events.jsonl"
    policies.mkdir()
    (policies / "p.quell").write_text(POLICIES, encoding="utf-8")
    events.write_text(json.dumps(event) + "\n", encoding="utf-8")
    with backtest(policies, events, labels="$.bad") as made:
        (sample,) = made.report.samples_missed
        return sample.near


def test_rules_stand_by_how_far_their_numbers_are(tmp_path: Path) -> None:
    told = nearest(tmp_path, score=76, links=3, age=86_400)
    assert [nearly(near) for near in told] == [
        "high: 0 of 1 holds; score > 80 is false (score: 76)",
        "young: 2 of 3 hold; links >= 4 is false (links: 3)",
        "aged: 0 of 2 hold; age < 1d is false (age: 1d); links >= 4 is false (links: 3)",
    ]


def test_of_several_ways_to_match_the_nearer_one_counts(tmp_path: Path) -> None:
    told = nearest(tmp_path, score=1, links=99, age=86_400 * 30)
    assert told[0] == Near("young", "not matched", 2, 3, ("links > 100 is false (links: 99)",))


def test_what_is_missing_is_a_whole_part_away(tmp_path: Path) -> None:
    told = nearest(tmp_path, score=1, links=4)
    assert [near.rule for near in told] == ["young", "high", "aged"]  # by 0.96, 0.99 and 1
    assert told[2] == Near("aged", "missing", 1, 2, ("age < 1d is missing (age: missing)",))


@pytest.mark.parametrize(
    ("score", "said"),
    [(60, "tried would have fired, were it live"), (61, "rare was held back: rollout: ")],
)
def test_what_matched_and_did_not_act_comes_first(tmp_path: Path, score: int, said: str) -> None:
    assert nearly(nearest(tmp_path, score=score)[0]).startswith(said)


def test_what_holds_nothing_and_is_far_is_not_near(tmp_path: Path) -> None:
    told = nearest(tmp_path, score=-1, links=1, age=86_400 * 30)
    assert [near.rule for near in told] == ["young"]


def test_a_rule_without_a_verdict_is_not_near(tmp_path: Path) -> None:
    assert [near.rule for near in nearest(tmp_path, score=62)] == ["high", "tried", "young"]


# ------------------------------------------------------------------------------ where they are shown


@pytest.fixture(scope="module")
def report(history: tuple[Path, Path]) -> Backtest:
    return reported(history, samples=2)


def first(report: Backtest) -> Sample:
    sample = report.samples_missed[0]
    assert sample.near
    return sample


def test_in_a_terminal(history: tuple[Path, Path], report: Backtest) -> None:
    done = run("replay", history[0], "--events", history[1], "--labels", SPAM, "--samples", 2)
    shown = done.stdout[done.stdout.index("Missed  2 of ") :]
    sample = first(report)
    assert (
        f"labelled positive and let through\n{sample.event} {sample.id} by {sample.entity}"
        in shown.replace(", at random", "")
    )
    assert f"  nearest  {nearly(sample.near[0])}" in shown
    without = run("replay", history[0], "--events", history[1], "--samples", 2)
    assert "Missed" not in without.stdout


def test_in_json(history: tuple[Path, Path], report: Backtest) -> None:
    done = run("replay", history[0], "--events", history[1], "--labels", SPAM, "--samples", 2, "--json")
    found = json.loads(done.stdout)
    assert found["missed"] == report.missed
    shown = found["samples_missed"][0]
    near = first(report).near[0]
    assert shown["near"][0]["rule"] == near.rule
    assert near.rule in {r["rule"] for r in shown["explanation"]["rules"]}


def test_in_markdown(report: Backtest) -> None:
    told = markdown(report)
    assert f"<summary>Missed: 2 of {report.missed} labelled positive and let through</summary>" in told
    assert f"  - `{nearly(first(report).near[0])}`" in told


def test_on_the_page(report: Backtest) -> None:
    made = page(report)
    data = json.loads(
        made.rpartition('<script type="application/json" id="report">')[2].partition("</script>")[0]
    )
    shown = [data["samples"][place] for place in data["missed"]]
    assert [s["n"] for s in shown] == [s.n for s in report.samples_missed]
    assert shown[0]["k"] == [nearly(near) for near in first(report).near]
    opened = {data["texts"][rule["n"]] for rule in shown[0]["x"]["r"]}
    assert {near.rule for near in first(report).near} <= opened
    assert 'id="missed-list"' in made


# ------------------------------------------------------------------------------ every decision's label


def test_decisions_have_their_label_and_entity(history: tuple[Path, Path], tmp_path: Path) -> None:
    seen, out = decided(history[0], EVENTS), tmp_path / "out.parquet"
    spam = {"spam": True, "ham": False}
    wanted = [(s.who, spam.get(s.event.get("label", ""))) for s in seen]
    command = ("replay", history[0], "--events", history[1], "--from", "2026-03-02", "--out", out)
    assert run(*command, "--labels", SPAM).exit_code == 0
    assert [(r["entity"], r["label"]) for r in pq.read_table(out).to_pylist()] == wanted
    assert run(*command, "--labels", SPAM, "--against", history[0]).exit_code == 0
    assert [(r["entity"], r["label"]) for r in pq.read_table(out).to_pylist()] == wanted
    assert run(*command).exit_code == 0
    assert [(r["entity"], r["label"]) for r in pq.read_table(out).to_pylist()] == [
        (s.who, None) for s in seen
    ]
    assert str(pq.read_schema(out).field("label").type) == "bool"


def test_programs_get_them_too(history: tuple[Path, Path]) -> None:
    with compare(history[0], history[0], history[1], labels=SPAM, explained=False) as made:
        for side in (made.before, made.after):
            table = side.arrow("decisions")
            assert table["label"].null_count == sum(
                "label" not in e for e in EVENTS if e["at"] != "yesterday"
            )
            assert table["entity"].null_count == 0
