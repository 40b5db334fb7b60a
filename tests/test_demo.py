"""The demonstration: the numbers add up, the truth stays hidden, what is kept can be used."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from quell.engine.decision import Decision, Reply
from quell.engine.stepper import Stepper
from quell.replay import cli_demo, demo, simulate
from tests.cli_support import colourless, run

SIZE = 8_000
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def engine() -> Stepper:
    return Stepper.load(ROOT / "policies")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A day that was kept, and what was printed."""
    folder = tmp_path_factory.mktemp("demo") / "day"
    done = run("demo", "--events", str(SIZE), "--keep", folder)
    assert done.exit_code == 0, done.output
    return folder, done.stdout


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    done = run("demo", "--events", str(SIZE), "--json")
    assert done.exit_code == 0
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_defaults_are_the_simulations() -> None:
    assert (cli_demo.EVENTS, cli_demo.SEED) == (simulate.DEFAULT_EVENTS, simulate.DEFAULT_SEED)
    assert cli_demo.EVENTS >= 200_000


def test_the_numbers_add_up(data: dict[str, Any]) -> None:
    summary = data["summary"]
    assert summary["events"] == SIZE
    assert summary["refused"] == simulate.MALFORMED
    assert summary["decided"] == sum(summary["verdicts"].values()) == sum(data["hours"]["events"])
    acted = sum(n for verdict, n in summary["verdicts"].items() if verdict in data["acted_on"])
    assert sum(data["hours"]["acted"]) == acted == data["precision"]["of"]
    assert sum(data["hours"]["abuse"]) == data["recall"]["of"] == sum(k["events"] for k in data["abuse"])
    assert data["recall"]["hits"] == data["precision"]["hits"] == sum(k["caught"] for k in data["abuse"])
    assert data["false_alarms"]["hits"] == acted - data["precision"]["hits"]
    assert data["false_alarms"]["of"] + data["recall"]["of"] == summary["decided"]
    fired = {r["rule"]: r["fired"] for r in summary["rules"] if r["fired"]}
    assert {r["rule"]: sum(r["on"].values()) for r in data["rules"]} == fired
    for kind in data["abuse"]:
        mine = [c for c in data["campaigns"] if c["kind"] == kind["kind"]]
        assert kind["campaigns"] == len(mine) > 0
        assert kind["campaigns_caught"] == sum(c["caught"] > 0 for c in mine)
        assert kind["caught"] == sum(c["caught"] for c in mine)
    assert {k["kind"] for k in data["abuse"]} == set(simulate.ABUSE_KINDS)
    assert len(data["traps"]) > 5
    assert sum(t["false_alarms"] for t in data["traps"]) <= data["false_alarms"]["hits"]


def test_the_starter_bundle_does_its_work(data: dict[str, Any]) -> None:
    """Loose bounds: they fail when a rule stops working, not when one is tuned."""
    assert data["precision"]["value"] > 0.8
    assert data["recall"]["value"] > 0.7
    assert data["false_alarms"]["value"] < 0.01
    assert all(k["campaigns_caught"] >= 1 for k in data["abuse"])


def test_the_same_day_gives_the_same_report(data: dict[str, Any]) -> None:
    again = json.loads(run("demo", "--events", str(SIZE), "--json").stdout)
    for report in (data, again):
        report.pop("seconds", None)
        report.pop("events_per_second", None)
    assert again == data
    other = json.loads(run("demo", "--events", str(SIZE), "--seed", "8", "--json").stdout)
    assert other["summary"] != data["summary"]


def test_no_event_carries_its_truth_to_the_engine(kept: tuple[Path, str]) -> None:
    for line in (kept[0] / "events.jsonl").read_text(encoding="utf-8").splitlines():
        assert "truth" not in json.loads(line)


def test_what_is_kept_decides_the_same_again(kept: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = kept
    again = run(
        "decide", folder / "policies", "--events", folder / "events.jsonl", "--out", tmp_path / "d.jsonl"
    )
    assert again.exit_code == 0
    mine = [json.loads(x) for x in (folder / "decisions.jsonl").read_text(encoding="utf-8").splitlines()]
    theirs = [json.loads(x) for x in (tmp_path / "d.jsonl").read_text(encoding="utf-8").splitlines()]
    truths = (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(mine) == len(theirs) == len(truths) == SIZE
    assert mine == theirs
    assert json.loads(truths[0]).keys() == {"label", "kind", "campaign"}


def test_the_report_can_be_read(kept: tuple[Path, str]) -> None:
    folder, shown = kept
    assert colourless(shown)
    assert max(map(len, shown.split("What next")[0].splitlines())) <= 80
    for part in (
        f"{SIZE:,} simulated events (seed 7)",
        "Hour by hour",
        "most at ",
        "Traps for hasty rules: ",
        "The first of each kind that was caught",
        f"Refused: {simulate.MALFORMED} broken events",
        f"quell decide {folder}/policies --events {folder}/events.jsonl",
    ):
        assert part in shown, part
    for kind in simulate.ABUSE_KINDS:
        assert f"\n{kind} " in shown


def test_the_explanation_it_proposes_works(kept: tuple[Path, str]) -> None:
    (proposed,) = [line for line in kept[1].splitlines() if "quell explain" in line]
    args = proposed.split("#")[0].split()[1:]
    done = run(*args)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].endswith(("review", "challenge", "block"))


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    done = run("demo", "--events", str(SIZE), "--keep", tmp_path)
    assert done.exit_code == 3
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_campaigns_first_action_is_timed_from_its_first_event(engine: Stepper) -> None:
    verdicts: dict[str, list[tuple[int, bool]]] = {}

    def sink(line: bytes, truth: dict[str, str], answer: Reply) -> None:
        if truth["label"] == "abuse" and isinstance(answer, Decision):
            caught = answer.verdict in ("review", "challenge", "block")
            verdicts.setdefault(truth["campaign"], []).append((answer.at, caught))

    day = demo.run_day(engine, SIZE, 7, sink)
    assert set(verdicts) == {name for name, p in day.pursuits.items() if p.events}
    for name, found in verdicts.items():
        pursuit = day.pursuits[name]
        first = next((i for i, (_, caught) in enumerate(found) if caught), None)
        assert pursuit.nth == (None if first is None else first + 1)
        assert pursuit.delay == (None if first is None else found[first][0] - found[0][0])
        assert pursuit.caught == sum(caught for _, caught in found)


def test_medians_are_the_lower_of_two() -> None:
    assert demo.middle([]) is None
    assert demo.middle([3]) == 3
    assert demo.middle([1, 2]) == 1
    assert demo.middle([1, 2, 9]) == 2


def test_what_acts_is_found_on_any_ladder() -> None:
    assert demo.acting(("allow", "flag", "review", "block")) == ("review", "block")
    assert demo.acting(("fine", "bad", "worse")) == ("bad", "worse")


def test_hours_count_every_decision_once(engine: Stepper) -> None:
    day = demo.run_day(engine.__class__(engine.bundle), SIZE, 3)
    hours: Counter[int] = Counter()
    for event in simulate.simulate(3, SIZE):
        if event["truth"]["campaign"] != "malformed":
            hours[int(event["created_at"][11:13])] += 1
    assert day.hours["events"] == [hours[h] for h in range(24)]
