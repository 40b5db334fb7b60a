"""`quell replay` as a person runs it: the report, its files, and what is said when something is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from quell.replay import backtest
from quell.replay.cli_replay_view import print_backtest
from tests.backtest_support import decided, make_events, make_history
from tests.cli_support import colourless, run, started

EVENTS = make_events()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_history(tmp_path_factory.mktemp("replay"), EVENTS)


def lines_of(text: str, *, begins: str) -> list[str]:
    """The lines of the table row that begins so, split at the gaps."""
    return next(line for line in text.splitlines() if line.startswith(begins)).split()


def test_the_report_says_what_was_decided(history: tuple[Path, Path]) -> None:
    done = run("replay", history[0], "--events", history[1], "--explain")
    assert done.exit_code == 0, done.output
    seen = decided(history[0], EVENTS)
    text = done.stdout
    assert text.startswith("What policies would have done on ")
    assert f"{len(seen)} events decided, {len(EVENTS) - len(seen)} refused" in text
    blocked = sum(s.decision.verdict == "block" for s in seen)
    assert lines_of(text, begins="block ")[1] == str(blocked)
    high = [s for s in seen if "high" in s.hit]
    cells = lines_of(text, begins="high ")
    assert (cells[1], cells[2], cells[4]) == ("block", str(len(high)), str(len({s.who for s in high})))
    assert lines_of(text, begins="tried ")[1] == "(shadow)"
    assert "never matched  never, quiet_room" in text
    assert "why, in full:  quell explain " in text
    assert "Which way each part was replayed" in text
    assert colourless(text)
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("why, in full"))


def test_labels_are_judged(history: tuple[Path, Path]) -> None:
    done = run(
        "replay", history[0], "--events", history[1], "--labels", '$.label == "spam"', "--weigh", "reach"
    )
    assert done.exit_code == 0, done.output
    assert "Against the labels" in done.stdout
    assert "review or higher" in done.stdout
    assert "The same, weighed by reach" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if not line.startswith("why, in full"))


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_report_fits_the_terminal(
    history: tuple[Path, Path], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal()
    with backtest(*history, labels='$.label == "spam"', weigh="reach", explained=False) as made:
        print_backtest(made.report, ways=True, stream=stream)
    lines = stream.getvalue().splitlines()
    assert all(len(line.rstrip()) <= width for line in lines if not line.startswith("why, in full"))
    assert ("95%" in next(x for x in lines if x.startswith("rule "))) is (width == 140)


def test_json_has_everything(history: tuple[Path, Path]) -> None:
    done = run("replay", history[0], "--events", history[1], "--json", "--samples", "1")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    seen = decided(history[0], EVENTS)
    assert found["events"] == len(seen)
    assert {r["rule"]: r["fired"] for r in found["rules"]}["high"] == sum("high" in s.hit for s in seen)
    sample = next(r for r in found["rules"] if r["rule"] == "high")["samples"][0]
    assert sample["explanation"]["rules"][0]["outcome"] == "fired"


def test_decisions_are_written(history: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "decisions.parquet"
    done = run("replay", history[0], "--events", history[1], "--out", out)
    assert done.exit_code == 0
    rows = pq.read_table(out).to_pylist()
    seen = decided(history[0], EVENTS)
    assert [(r["seq"], r["verdict"]) for r in rows] == [(s.decision.seq, s.decision.verdict) for s in seen]
    assert f"wrote {len(seen)} events to {out}" in done.stderr


def test_the_report_is_a_page(history: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    done = run("replay", history[0], "--events", history[1], "--html", out)
    assert done.exit_code == 0
    assert f"wrote the report to {out}" in done.stderr
    text = out.read_text(encoding="utf-8")
    assert text.lower().startswith("<!doctype html>")
    assert "quiet_room" in text


def test_a_sample_is_opened_by_its_command(history: tuple[Path, Path], tmp_path: Path) -> None:
    """By `quell explain` where the file is in order, and by the replay itself where it is not."""
    other = tmp_path / "turned.jsonl"
    other.write_text("\n".join(reversed(history[1].read_text().splitlines())) + "\n", encoding="utf-8")
    for events in (history[1], other):
        report = json.loads(run("replay", history[0], "--events", events, "--json").stdout)
        sample = next(r for r in report["rules"] if r["rule"] == "flood")["samples"][0]
        _, *words = sample["command"].split()
        assert words[0] == ("explain" if events == history[1] else "replay")
        told = run(*words, "--json")
        assert told.exit_code == 0, told.output
        full = json.loads(told.stdout)
        assert full["decision"]["fired"] == sample["explanation"]["decision"]["fired"]
        assert len(full["rules"]) > len(sample["explanation"]["rules"])
        assert "flood" in run(*words).stdout


def test_one_event_is_found_by_id_or_place(history: tuple[Path, Path]) -> None:
    by_id = run("replay", history[0], "--events", history[1], "--event", "e1", "--json")
    by_place = run("replay", history[0], "--events", history[1], "--event", "events.jsonl:2", "--json")
    assert by_id.exit_code == 0
    assert by_id.stdout == by_place.stdout
    none = run("replay", history[0], "--events", history[1], "--event", "e-none")
    assert none.exit_code == 3
    assert "no event of the history has the id `e-none`" in none.stderr


def test_only_the_first_events(history: tuple[Path, Path]) -> None:
    found = json.loads(run("replay", history[0], "--events", history[1], "--limit", "50", "--json").stdout)
    assert found["events"] == 50
    seen = decided(history[0], EVENTS)[:50]
    assert {r["rule"]: r["fired"] for r in found["rules"]} == {
        r["rule"]: sum(r["rule"] in s.hit for s in seen) for r in found["rules"]
    }


def test_a_period_is_bounded_by_times(history: tuple[Path, Path]) -> None:
    bounds = ("--from", "2026-03-01T22:00:00Z", "--until", "2026-03-02")
    found = json.loads(run("replay", history[0], "--events", history[1], *bounds, "--json").stdout)
    seen = [s for s in decided(history[0], EVENTS) if "2026-03-01T22" <= s.event["at"] < "2026-03-02"]
    assert found["events"] == len(seen)
    text = run("replay", history[0], "--events", history[1], *bounds).stdout
    assert f"the figures are of {len(seen)} of them" in text


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--memory", "lots"], 2, "`lots` is no amount of memory"),
        (["--from", "soon"], 2, "`soon` is no time"),
        (["--from", "2026-03-02", "--until", "2026-03-01"], 2, "`--from` is not before `--until`"),
        (["--out", "x.csv"], 2, "end it in .parquet"),
        (["--html", "x.pdf"], 2, "end it in .html"),
        (["--out", "nowhere/x.parquet"], 3, "there is no folder `nowhere`"),
        (["--labels", "spammy > 1"], 2, "`spammy`"),
        (["--labels", "$.nothing"], 3, "no event of the history has the label `$.nothing`"),
        (["--labels", "none.jsonl"], 3, "there is no file `none.jsonl`"),
        (["--positive", "spam"], 2, "belong to `--labels`"),
        (["--weigh", "author"], 2, "`author` is a User"),
        (["--event", "m1", "--fail-if", "hits(high) > 0"], 2, "leave out `--fail-if`"),
        (["--event", "m1", "--html", "x.html"], 2, "leave out `--html`"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(
    history: tuple[Path, Path], words: list[str], status: int, message: str
) -> None:
    done = run("replay", history[0], "--events", history[1], *words)
    assert done.exit_code == status, done.output
    assert message in done.stderr
    assert done.stdout == ""


def test_histories_without_a_usable_event_are_told(history: tuple[Path, Path], tmp_path: Path) -> None:
    hand = {"type": "quell.label", "at": "2026-01-01", "action": "set", "entity": "User", "id": "ann"}
    hand |= {"label": "noisy", "by": "me"}
    begun = tmp_path / "begun.jsonl"
    begun.write_text(json.dumps(hand) + "\n" + history[1].read_text(), encoding="utf-8")
    assert run("replay", history[0], "--events", begun).exit_code == 0
    done = run("replay", history[0], "--events", begun, "--limit", "1")
    assert done.exit_code == 3
    assert done.stderr.startswith("error: the history holds no event\n  hint: take more of it with --limit")
    file = tmp_path / "h.jsonl"
    file.write_text("", encoding="utf-8")
    done = run("replay", history[0], "--events", file)
    assert done.exit_code == 3
    assert "h.jsonl` holds no event" in done.stderr
    file.write_text('{"type": "join", "id": "x"}\n', encoding="utf-8")
    done = run("replay", history[0], "--events", file)
    assert done.exit_code == 3
    assert "none of the 1 records of" in done.stderr
    assert "`join` refused" in done.stderr


_SLOW = """
import sys
from quell.replay import cli_replay
from quell.replay.cli import main

@main.command("slow")
def slow():
    with cli_replay.opened(None, None) as db:
        print("working", flush=True)
        db.rows("SELECT count(*) FROM range(1000000) a, range(100000000) b WHERE (a.range * b.range) % 7 = 3")

main(["slow"])
"""


def test_an_interrupt_stops_a_query_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The query would run for hours."""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with started(
        [sys.executable, "-c", _SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"working\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.decode().strip() == "interrupted"
    assert list(tmp_path.iterdir()) == []


def test_neither_events_nor_labels_are_overwritten(history: tuple[Path, Path], tmp_path: Path) -> None:
    events, labels = tmp_path / "day.parquet", tmp_path / "truth.html"
    events.write_bytes(b"events")
    labels.write_bytes(b"labels")
    asked: list[tuple[list[str | Path], str]] = [
        (["--events", str(tmp_path / "*.parquet"), "--out", events], "would overwrite the events"),
        (["--events", tmp_path, "--out", events], "would overwrite the events"),
        (["--events", events, "--labels", labels, "--html", labels], "would overwrite the labels"),
        (["--events", events, "--labels", labels, "--markdown", labels], "would overwrite the labels"),
    ]
    for words, message in asked:
        done = run("replay", history[0], *words)
        assert done.exit_code == 2, done.output
        assert message in done.stderr
    assert (events.read_bytes(), labels.read_bytes()) == (b"events", b"labels")


def test_the_summary_of_a_backtest_has_its_gates(history: tuple[Path, Path]) -> None:
    gates = ("--fail-if", "hits(high) > 0", "--fail-if", "hits(high) < 0")
    done = run("replay", history[0], "--events", history[1], "--markdown", "-", *gates)
    assert done.exit_code == 1
    assert done.stdout.startswith("## ✘ Quell")
    assert "hits(high) is" in done.stdout


def test_remote_models_whose_answers_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "p.quell").write_text(
        'event message from "message"\n  id text = $.id\n  at time = $.at\n  content text = $.content\n'
        'model scam from remote "classifier"\n  text = content\n  gives likely number\n  wait 1s\n'
        "  when length(content) > 1\n"
        "rule sure on message\n  when scam.likely > 90%\n  then block\n",
        encoding="utf-8",
    )
    (tmp_path / "p" / "quell.toml").write_text(
        '[remote.classifier]\nurl = "http://127.0.0.1:9"\n', encoding="utf-8"
    )
    events = tmp_path / "events.jsonl"
    events.write_text(
        '{"type": "message", "id": "1", "at": 1772323200, "content": "hello"}\n', encoding="utf-8"
    )
    found = json.loads(run("replay", tmp_path / "p", "--events", events, "--json").stdout)
    assert found["remote"] == {"scam": 0}
    assert any("answers of `scam` were not recorded" in note for note in found["notes"])
