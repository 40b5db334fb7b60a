"""The demonstration: the numbers add up, the truth stays hidden, what is kept can be used."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shlex import split
from typing import Any

import pytest

from quell.engine.decision import Decision, Reply
from quell.engine.stepper import Stepper
from quell.replay import cli_demo, demo, demo_change, simulate
from tests.cli_support import colourless, run

SIZE, REPLAYED = 8_000, 3_000
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def engine() -> Stepper:
    return Stepper.load(ROOT / "policies")


@pytest.fixture(scope="module", autouse=True)
def shorter() -> Iterator[None]:
    """Backtest the change on the beginning of these short days."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli_demo, "REPLAYED", REPLAYED)
        yield


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
    assert cli_demo.EVENTS_FILE == demo_change.EVENTS
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
        "\nA change, backtested: ",
        f"quell decide {folder}/policies --events {folder}/events.jsonl",
        (folder / cli_demo.REPORT).as_uri(),
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


def test_the_change_is_one_number_of_one_rule(kept: tuple[Path, str]) -> None:
    starter, changed = kept[0] / "policies", kept[0] / "changed"
    names = sorted(p.relative_to(starter) for p in starter.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(changed) for p in changed.rglob("*") if p.is_file())
    other = [n for n in names if (starter / n).read_bytes() != (changed / n).read_bytes()]
    assert other == [Path(demo_change.FILE)]
    was, now = ((folder / other[0]).read_text(encoding="utf-8") for folder in (starter, changed))
    assert was.count(demo_change.BEFORE) == now.count(demo_change.AFTER) == 1
    assert was.replace(demo_change.BEFORE, demo_change.AFTER) == now
    assert f"\nrule {demo_change.RULE} on " in was


def test_the_change_is_judged_by_the_truth(kept: tuple[Path, str], data: dict[str, Any]) -> None:
    """Against both versions stepped by hand over the same events."""
    folder, change = kept[0], data["change"]
    lines = (folder / "events.jsonl").read_bytes().splitlines()[:REPLAYED]
    truths = [json.loads(x) for x in (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    acts: dict[str, list[bool]] = {}
    taken: list[bool] = []
    for name in ("policies", "changed"):
        answers = list(Stepper.load(folder / name).decide_many(lines))
        acts[name] = [isinstance(a, Decision) and a.verdict in data["acted_on"] for a in answers]
        taken = [isinstance(a, Decision) for a in answers]
    abuse = [t["label"] == "abuse" for t in truths[:REPLAYED]]
    pairs = Counter(zip(acts["policies"], acts["changed"], strict=True))
    assert change["events"] == sum(taken)
    assert (change["newly_acted_on"], change["no_longer_acted_on"]) == (
        pairs[False, True],
        pairs[True, False],
    )
    for name, side in (("policies", "before"), ("changed", "after")):
        found = Counter(zip(acts[name], abuse, taken, strict=True))
        figures = change[side]
        assert figures["caught"] == found[True, True, True]
        assert figures["false_alarms"] == found[True, False, True]
        assert figures["missed"] == found[False, True, True]
        assert figures["precision"] == pytest.approx(figures["caught"] / sum(acts[name]))


def test_the_page_speaks_of_the_folder_that_was_kept(kept: tuple[Path, str]) -> None:
    page = (kept[0] / cli_demo.REPORT).read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert f"{kept[0]}/changed" in page
    assert f"{kept[0]}/policies" in page
    assert "quell-demo-" not in page.replace(cli_demo.REPORT, "")  # the folder that it was made in


def test_the_backtest_it_proposes_is_the_one_it_made(kept: tuple[Path, str], data: dict[str, Any]) -> None:
    (proposed,) = [line for line in kept[1].splitlines() if "quell replay" in line]
    done = run(*split(proposed.split("#")[0])[1:], "--json", "--samples", "0")
    assert done.exit_code == 0, done.output
    found, change = json.loads(done.stdout), data["change"]
    assert found["events"] == change["events"]
    review = next(v["quality"] for v in found["after"]["verdicts"] if v["verdict"] == data["acted_on"][0])
    assert (review["right"], review["wrong"]) == (change["after"]["caught"], change["after"]["false_alarms"])


def test_a_day_that_is_not_kept_leaves_its_page_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("demo", "--events", str(SIZE), "--seed", "3")
    assert done.exit_code == 0, done.output
    assert [p.name for p in tmp_path.iterdir()] == [cli_demo.REPORT]
    page = (tmp_path / cli_demo.REPORT).read_text(encoding="utf-8")
    assert "day/changed" in page
    assert "quell-demo-" not in page.replace(cli_demo.REPORT, "")
    assert (tmp_path / cli_demo.REPORT).as_uri() in done.stdout
    assert f"quell demo --events {SIZE} --seed 3 --keep day" in done.stdout
    assert "quell replay day/changed --against day/policies" in done.stdout


def test_a_page_that_cannot_be_written_is_told_of_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / cli_demo.REPORT).mkdir()
    done = run("demo", "--events", str(SIZE))
    assert done.exit_code == 3
    assert (done.stdout, "is a folder" in done.stderr) == ("", True)


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
