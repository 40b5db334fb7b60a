"""`quell decide`: decisions written, counted, and what goes wrong on the way."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from quell.engine.decision import Decision
from quell.engine.stepper import Stepper
from tests.cli_support import EVENTS, POLICIES, colourless, make_bundle, run, write_events

VERDICTS = ["allow", "block", "allow", "challenge", "challenge"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return write_events(tmp_path / "events.jsonl")


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_summary_counts_what_came_of_it(bundle: Path, events: Path) -> None:
    done = run("decide", bundle, "--events", events, "--json")
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert (data["events"], data["decided"], data["refused"]) == (7, 5, 2)
    assert data["verdicts"] == {"allow": 2, "challenge": 2, "block": 1}
    assert data["by_event"] == {"message": 5}
    rules = {r["rule"]: r for r in data["rules"]}
    assert (rules["flood"]["fired"], rules["flood"]["asked"]) == (2, {"challenge": 2})
    assert rules["bad_word"]["fired"] == 1
    assert (rules["shouting"]["fired"], rules["shouting"]["mode"]) == (0, "shadow")
    assert data["labels"] == [{"entity": "User", "label": "spammer", "on": True, "count": 2}]
    assert data["sends"] == {"queue": 1}
    assert [(r["kind"], r["count"]) for r in data["refusals"]] == [("bad-time", 1), ("unmatched", 1)]
    assert data["refusals"][0]["samples"][0]["place"] == "events.jsonl:4"
    (problem,) = data["problems"]
    assert (problem["event"], problem["field"], problem["kind"]) == ("message", "score", "wrong-type")
    assert data["late"] == {}


def test_the_summary_as_a_table(bundle: Path, events: Path) -> None:
    done = run("decide", bundle, "--events", events)
    assert done.stderr == ""
    assert done.stdout.startswith("5 events decided, 2 refused in ")
    for part in (
        "from 2026-01-01T00:00:00Z to 2026-01-01T00:00:40Z",
        "challenge        2   40.00%",
        "never matched: shouting",
        'send "queue"',
        "refused 1 (14.29%) bad-time",
        "events.jsonl:4",
        "missing 1 × message.score",
    ):
        assert part in done.stdout, part


def test_no_line_of_a_piped_table_is_too_long_or_ends_in_blanks(bundle: Path, events: Path) -> None:
    done = run("decide", bundle, "--events", events).stdout
    tables = done.split("\nrefused")[0].splitlines()
    assert max(map(len, tables)) <= 80
    assert all(line == line.rstrip() for line in done.splitlines())


def test_shadow_and_held_rules_have_their_columns(tmp_path: Path) -> None:
    loud = [{**EVENTS[0], "content": "LOUD AND LONGER THAN TWENTY"}]
    events = write_events(tmp_path / "e.jsonl", loud)
    bundle = make_bundle(tmp_path / "b", POLICIES.replace("then block", "then block\n  rollout 0% by author"))
    assert "shadow" in run("decide", bundle, "--events", events).stdout
    bad = write_events(tmp_path / "bad.jsonl", [EVENTS[1]])
    assert "held back" in run("decide", bundle, "--events", bad).stdout
    (rule,) = [
        r
        for r in json.loads(run("decide", bundle, "--events", bad, "--json").stdout)["rules"]
        if r["rule"] == "bad_word"
    ]
    assert (rule["fired"], rule["held"]) == (0, {"rollout": 1})


def test_decisions_as_json_lines_are_the_engines(bundle: Path, events: Path, tmp_path: Path) -> None:
    out = tmp_path / "d.jsonl"
    done = run("decide", bundle, "--events", events, "--out", out)
    assert done.exit_code == 0
    assert f"wrote 7 decisions to {out}" in done.stderr
    engine = Stepper.load(bundle)
    written = out.read_bytes().splitlines()
    assert len(written) == len(EVENTS)
    for line, event in zip(written, EVENTS, strict=True):
        answer = engine.decide(json.dumps(event))
        if isinstance(answer, Decision):
            assert line == msgspec.json.encode(answer)
        else:
            said = json.loads(line)
            assert said.pop("place").startswith("events.jsonl:")
            assert said.pop("refused") is True
            assert said == msgspec.to_builtins(answer)


def test_decisions_as_parquet_say_the_same(bundle: Path, events: Path, tmp_path: Path) -> None:
    run("decide", bundle, "--events", events, "--out", tmp_path / "d.parquet")
    run("decide", bundle, "--events", events, "--out", tmp_path / "d.jsonl")
    rows = pq.read_table(tmp_path / "d.parquet").to_pylist()
    lines = lines_of((tmp_path / "d.jsonl").read_text(encoding="utf-8"))
    assert len(rows) == len(lines) == 7
    for row, line in zip(rows, lines, strict=True):
        assert row["refused"] == line.get("refused", False)
        assert row["verdict"] == line["verdict"]
        assert [f["rule"] for f in row["fired"]] == [f["rule"] for f in line.get("fired", [])]
        assert [f["message"] for f in row["fired"]] == [f.get("message") for f in line.get("fired", [])]
        assert [c["id"] for c in row["labels"]] == [c["id"] for c in line.get("labels", [])]
        assert [json.loads(s["payload"]) for s in row["sends"]] == [
            s["payload"] for s in line.get("sends", [])
        ]
        assert [p["field"] for p in row["problems"]] == [p["field"] for p in line.get("problems", [])]
        if row["refused"]:
            assert (row["kind"], row["place"]) == (line["kind"], line["place"])
        else:
            assert int(row["at"].timestamp() * 1_000_000) == line["at"]
            assert (row["id"], row["seq"]) == (line["id"], line["seq"])


def test_decisions_on_standard_output_leave_the_summary_to_standard_error(bundle: Path, events: Path) -> None:
    done = run("decide", bundle, "--events", events, "--out", "-")
    assert [line["verdict"] for line in lines_of(done.stdout) if not line.get("refused")] == VERDICTS
    assert "5 events decided" in done.stderr
    both = run("decide", bundle, "--events", events, "--out", "-", "--json")
    assert len(lines_of(both.stdout)) == 7
    assert json.loads(both.stderr)["decided"] == 5


def test_the_first_events_only(bundle: Path, events: Path) -> None:
    data = json.loads(run("decide", bundle, "--events", events, "--limit", "2", "--json").stdout)
    assert (data["events"], data["verdicts"]) == (2, {"allow": 1, "block": 1})


def test_events_from_standard_input(bundle: Path, events: Path) -> None:
    done = run("decide", bundle, "--events", "-", "--json", stdin=events.read_bytes())
    assert json.loads(done.stdout)["verdicts"] == {"allow": 2, "challenge": 2, "block": 1}


def test_events_from_csv(bundle: Path, tmp_path: Path) -> None:
    table = "type,id,at,author,content\nmessage,1,2026-01-01T00:00:00Z,ann,you grobbler\n"
    (tmp_path / "e.csv").write_text(table, encoding="utf-8")
    (tmp_path / "e.data").write_text(table, encoding="utf-8")
    for how in (["e.csv"], ["e.data", "--format", "csv"]):
        done = run("decide", bundle, "--events", tmp_path / how[0], *how[1:], "--json")
        assert json.loads(done.stdout)["verdicts"] == {"block": 1}
    assert run("decide", bundle, "--events", tmp_path / "e.data").exit_code == 3


def test_no_events_are_no_error(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text("", encoding="utf-8")
    done = run("decide", bundle, "--events", tmp_path / "e.jsonl")
    assert done.exit_code == 0
    assert done.stdout.startswith("0 events decided")


def test_nothing_but_refusals_is_input_that_cannot_be_read(bundle: Path, tmp_path: Path) -> None:
    events = write_events(tmp_path / "e.jsonl", EVENTS[3:4])
    done = run("decide", bundle, "--events", events)
    assert done.exit_code == 3
    assert "no event could be decided" in done.stderr


def test_events_that_are_not_there(bundle: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "gone.jsonl", tmp_path):
        done = run("decide", bundle, "--events", path)
        assert done.exit_code == 3
        assert done.stderr.startswith("error: ")


def test_a_file_that_ends_early_is_told_and_writes_nothing(bundle: Path, tmp_path: Path) -> None:
    many = "".join(json.dumps({**EVENTS[0], "id": str(i)}) + "\n" for i in range(5_000))
    packed = gzip.compress(many.encode())
    (tmp_path / "e.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    out = tmp_path / "d.jsonl"
    out.write_text("before", encoding="utf-8")
    done = run("decide", bundle, "--events", tmp_path / "e.jsonl.gz", "--out", out)
    assert done.exit_code == 3
    assert "events decided" in done.stdout
    assert f"nothing was written to {out}" in done.stderr
    assert out.read_text(encoding="utf-8") == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "d.jsonl", "e.jsonl.gz"]


def test_the_events_are_never_overwritten(bundle: Path, events: Path, tmp_path: Path) -> None:
    before = events.read_bytes()
    link = tmp_path / "link.jsonl"
    link.symlink_to(events)
    for out in (events, link):
        done = run("decide", bundle, "--events", events, "--out", out)
        assert done.exit_code == 2
        assert "would overwrite" in done.stderr
    assert events.read_bytes() == before


@pytest.mark.parametrize("name", ["gone/d.jsonl", "bundle.jsonl"])
def test_places_that_cannot_be_written(bundle: Path, events: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "bundle.jsonl").mkdir()
    done = run("decide", bundle, "--events", events, "--out", tmp_path / name)
    assert done.exit_code == 3
    assert done.stderr.startswith("error: ")
    assert done.stdout == ""


def test_texts_of_events_cannot_steer_the_terminal(tmp_path: Path, bundle: Path) -> None:
    evil = [{**EVENTS[3], "at": "\x1b[2J\x9b31m\u202eabc"}, EVENTS[0], {**EVENTS[5], "score": "\x1b]0;x\x07"}]
    events = write_events(tmp_path / "e.jsonl", evil)
    done = run("decide", bundle, "--events", events)
    assert "refused 1" in done.stdout
    assert "counts as missing" in done.stdout
    assert colourless(done.output)
    assert not {"\x9b", "\u202e", "\x07"} & set(done.output)


def test_markup_in_events_is_text(tmp_path: Path, bundle: Path) -> None:
    events = write_events(tmp_path / "e.jsonl", [{**EVENTS[3], "at": "[bold]x[/bold] :smile:"}, EVENTS[0]])
    assert '"[bold]x[/bold] :smile:"' in run("decide", bundle, "--events", events).stdout
