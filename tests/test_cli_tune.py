"""`quell tune`."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from quell.replay.report_data import Tuning
from tests.cli_support import run
from tests.tune_support import POLICY, write_day, write_history


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("tune") / "events.jsonl")


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_day(tmp_path_factory.mktemp("day"))


# -------------------------------------------------------------------------------------- command line


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.quell").write_bytes(b"\xef\xbb\xbf" + POLICY.encode())
    return tmp_path / "policies"


def test_the_command_shows_the_curve_and_the_diff(bundle: Path, events: Path) -> None:
    shown = run("tune", bundle, "--events", events, "--rule", "burst", "--set", "1=5")
    assert shown.exit_code == 0, shown.output
    for part in (
        "messages_1m >= 3",
        "now 3",
        "chosen 5",
        "+  when newcomer and messages_1m >= 5",
        "what known would",
    ):
        assert part in shown.output
    assert "3 at p.quell:34:36: lower values hit more" in shown.output


def test_the_command_gives_json_and_a_picture(bundle: Path, events: Path, tmp_path: Path) -> None:
    told = run(
        "tune", bundle, "--events", events, "--rule", "burst", "--json", "--picture", tmp_path / "c.svg"
    )
    report = msgspec.json.decode(told.stdout, type=Tuning)
    assert report.rule == "burst"
    assert report.curve is not None
    assert report.curve.current == 3
    assert [c.swept for c in report.constants] == [True, False]
    assert ElementTree.parse(tmp_path / "c.svg").getroot().tag.endswith("svg")
    grid = run(
        "tune",
        bundle,
        "--events",
        events,
        "--rule",
        "burst",
        "--constant",
        "1",
        "--constant",
        "1h30m",
        "--from",
        "1",
        "--to",
        "4",
        "--steps",
        "4",
        "--json",
        "--picture",
        tmp_path / "g.svg",
    )
    both = msgspec.json.decode(grid.stdout, type=Tuning)
    assert both.grid is not None
    assert [p.text for p in both.grid.axes[0].points] == ["1", "2", "3", "4"]
    assert len(both.grid.points) == 4 * len(both.grid.axes[1].points)
    assert ElementTree.parse(tmp_path / "g.svg").getroot().tag.endswith("svg")


def test_the_command_writes_the_edit_and_leaves_the_rest_of_the_file(bundle: Path, events: Path) -> None:
    before = (bundle / "p.quell").read_bytes()
    done = run(
        "tune",
        bundle,
        "--events",
        events,
        "--rule",
        "burst",
        "--set",
        "messages_1m=7",
        "--set",
        "2=2h",
        "--write",
    )
    assert done.exit_code == 0, done.output
    after = before.replace(b"messages_1m >= 3", b"messages_1m >= 7").replace(b"age < 1h30m", b"age < 2h")
    assert (bundle / "p.quell").read_bytes() == after
    assert [p.name for p in bundle.iterdir()] == ["p.quell"]
    again = run("tune", bundle, "--events", events, "--rule", "burst", "--set", "1=7", "--write")
    assert "that is what stands there" in again.output
    assert (bundle / "p.quell").read_bytes() == after


def test_the_command_advises_for_a_goal(day: Path) -> None:
    common = (
        "tune",
        day / "policies",
        "--events",
        day / "events.jsonl",
        "--rule",
        "suspicious",
        "--constant",
        "suspicion >= 60",
        "--labels",
        '$.truth.label == "abuse"',
        "--json",
    )
    told = run(*common, "--goal", "precision>=90%")
    assert told.exit_code == 0, told.output
    report = msgspec.json.decode(told.stdout, type=Tuning)
    assert report.labelled is not None
    assert report.curve is not None
    assert report.proposal is not None
    best = next(p for p in report.curve.points if p.text == report.proposal.values[1])
    assert best.quality is not None
    rates = [p.quality for p in report.curve.points if p.quality is not None]
    able = [q.recall.value for q in rates if (q.precision.value or 0) >= 0.9]
    assert best.quality.recall.value == max(v for v in able if v is not None)
    never = msgspec.json.decode(run(*common, "--goal", "hits<=0").stdout, type=Tuning)
    assert (never.proposal is None) == all(p.hits for p in report.curve.points)


BAD: list[tuple[list[str], int, str]] = [
    (["--rule", "brust"], 2, "did you mean `burst`?"),
    (["--rule", "friends", "--constant", "9"], 2, "has no constant 9"),
    (["--rule", "burst", "--goal", "precision>=90%"], 2, "`--goal` needs `--labels`"),
    (["--rule", "burst", "--goal", "x", "--labels", "$.truth"], 2, "the goal `x` cannot be read"),
    (["--rule", "burst", "--labels", '$.kind == "bad"'], 3, "$.kind"),
    (["--rule", "burst", "--write"], 2, "`--write` needs a value"),
    (["--rule", "burst", "--set", "1h"], 2, "is no value for `3`"),
    (["--rule", "burst", "--constant", "1", "--set", "4", "--set", "1=5"], 2, "is set twice"),
    (["--rule", "burst", "--set", "1=4", "--set", "messages_1m=5"], 2, "asked for twice"),
    (["--rule", "burst", "--from", "1"], 2, "`--from` and `--to` go together"),
    (["--rule", "burst", "--steps", "5"], 2, "say both"),
    (["--rule", "burst", "--picture", "x.png"], 2, "end it in .svg"),
    (["--rule", "burst", "--positive", "x"], 2, "belong to `--labels`"),
]


@pytest.mark.parametrize(("more", "status", "told"), BAD)
def test_what_cannot_be_is_told_in_a_sentence(
    more: list[str], status: int, told: str, bundle: Path, events: Path
) -> None:
    result = run("tune", bundle, "--events", events, *more)
    assert told in " ".join(result.output.split())
    assert result.exit_code == status


def test_a_history_without_the_rules_events_is_told(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    event = {"type": "reaction", "id": "r", "at": "2026-01-01T00:00:00Z", "author": "u"}
    other.write_text(json.dumps(event) + "\n", encoding="utf-8")
    result = run("tune", bundle, "--events", other, "--rule", "burst")
    assert result.exit_code == 3
    assert "the history has no `message` event" in " ".join(result.output.split())
