"""`quell replay --against`, `--fail-if`, `--markdown`, as commands."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import pytest

from quell.engine.source_base import SourceError
from quell.replay.cli_compare_view import print_comparison
from quell.replay.gates import FIGURES
from quell.replay.library_compare import compare
from quell.replay.report_data import Comparison
from quell.replay.revisions import RevisionError
from tests.cli_support import EVENTS, POLICIES, make_bundle, run, write_events
from tests.test_revisions import git

ALONE = POLICIES.split("test ", 1)[0]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with policies, of which HEAD has another threshold, and events."""
    monkeypatch.chdir(tmp_path)
    folder = make_bundle(tmp_path / "policies")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    (folder / "p.quell").write_text(ALONE.replace("burst >= 3", "burst >= 4"), encoding="utf-8")
    write_events(tmp_path / "events.jsonl")
    return tmp_path


def replay(*more: str) -> tuple[int, str, str]:
    result = run("replay", "policies", "--events", "events.jsonl", "--threads", "1", *more)
    return result.exit_code, result.stdout, result.stderr


def test_against_a_revision(place: Path) -> None:
    status, out, _ = replay("--against", "HEAD")
    assert status == 0
    assert "What policies changes against HEAD (" in out
    assert "1 event of 5 (20.00%) gets another verdict (1 milder)." in out
    assert re.search(r"^flood +condition +2 +1 +-1$", out, re.MULTILINE)
    assert "before  flood fired: 3 messages within 1m: third" in out
    assert "now     flood did not match: burst >= 4 is false (burst: 3)" in out
    assert "uncommitted changes in 1 file" in " ".join(out.split())
    assert all(
        len(line) <= 80 for line in out.splitlines() if "quell explain" not in line and "What" not in line
    )


def test_the_same_against_itself(place: Path) -> None:
    status, out, _ = replay("--against", "policies", "--fail-if", "changed > 0")
    assert status == 0
    assert "Nothing changes: 5 events are decided exactly as before." in out
    assert "Rules" not in out
    assert "passes  fails if changed > 0: changed is 0" in out


def test_json_gives_the_comparison(place: Path) -> None:
    status, out, err = replay("--against", "HEAD", "--json", "--fail-if", "milder >= 20%")
    assert status == 1
    assert "error: `milder >= 20%`: milder is 1 (20.00% of 5 events)" in err
    data = json.loads(out)
    assert data["changed"] == data["let_go"] == 1
    assert data["gates"][0]["failed"] is True
    assert data["newly_let_go"][0]["other"]["decision"]["fired"][0]["rule"] == "flood"
    assert data["before"]["verdicts"] != data["after"]["verdicts"]


def test_gates_of_a_plain_replay(place: Path) -> None:
    status, out, _ = replay("--fail-if", "hits(flood) == 1", "--fail-if", "refused > 50%")
    assert status == 1
    assert "fails   fails if hits(flood) == 1: hits(flood) is 1 " in out
    assert "passes  fails if refused > 50%: refused is 2 (28.57% of 7 records)" in out
    assert replay("--fail-if", "hits(flood) > 1")[0] == 0


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ("new_blocks >", "a number or a percentage is missing (at character 13"),
        ("new_blocks > 1", "say with --against which other one"),
        ("precision < 1", "say with --labels"),
        ("hits(floood) > 1", "did you mean `flood`"),
    ],
)
def test_gates_that_cannot_be_read(place: Path, gate: str, told: str) -> None:
    status, _, err = replay("--fail-if", gate)
    assert status == 2
    assert told in err


def test_markdown(place: Path) -> None:
    status, out, _ = replay("--against", "HEAD", "--markdown", "-", "--fail-if", "changed > 0")
    assert status == 1
    assert out.startswith("## ✘ Quell")
    assert "quell replay policies --events events.jsonl --against HEAD --fail-if 'changed > 0'\n" in out
    status, out, err = replay("--against", "HEAD", "--markdown", "comment.md")
    assert (status, "wrote comment.md" in err, "What policies changes" in out) == (0, True, True)
    assert (place / "comment.md").read_text(encoding="utf-8").startswith("## Quell")
    status, out, _ = replay("--markdown", "-")
    assert (status, out.startswith("## Quell: what `policies` would have done")) == (0, True)


def test_where_markdown_cannot_go(place: Path) -> None:
    assert replay("--markdown", "-", "--json")[0] == 2
    assert "would overwrite the events" in replay("--markdown", "events.jsonl")[2]
    assert "there is no folder" in replay("--markdown", "no/where.md")[2]
    assert "is a folder" in replay("--markdown", "policies")[2]


def test_errors_of_the_revision_are_told_as_its_own(place: Path) -> None:
    (place / "policies" / "p.quell").write_text(ALONE.replace("burst >= 3", "bursd >= 3"), encoding="utf-8")
    git(place, "commit", "-qam", "broken")
    (place / "policies" / "p.quell").write_text(ALONE, encoding="utf-8")
    status, _, err = replay("--against", "HEAD")
    assert status == 1
    assert "nothing is called `bursd`" in err
    assert "p.quell:19" in err
    assert re.search(r"1 error in the policies of HEAD \([0-9a-f]{7}\), which --against names", err)


def test_what_cannot_be_compared_with(place: Path) -> None:
    status, _, err = replay("--against", "mian")
    assert status == 3
    assert "hint: did you mean `main`?" in err
    assert replay("--against=-x")[0] == 3
    assert "leave out `--against`" in replay("--against", "HEAD", "--event", "m1")[2]


def test_a_history_that_only_the_policies_of_now_take(place: Path) -> None:
    other = ALONE.replace('from "message"', 'from "no such"')
    (place / "policies" / "p.quell").write_text(other, encoding="utf-8")
    git(place, "commit", "-qam", "other events")
    (place / "policies" / "p.quell").write_text(ALONE, encoding="utf-8")
    status, _, err = replay("--against", "HEAD")
    assert status == 3
    assert re.search(r"records of `events.jsonl` can be taken by HEAD \([0-9a-f]{7}\)", err)


def test_the_decisions_of_now_are_written(place: Path) -> None:
    status, _, err = replay("--against", "HEAD", "--out", "d.parquet")
    assert (status, "wrote 5 events to d.parquet" in err) == (0, True)


def test_where_the_limit_cuts_is_no_refusal(place: Path) -> None:
    strict = ALONE.replace(' default ""', "")
    (place / "policies" / "p.quell").write_text(strict, encoding="utf-8")
    _, out, _ = replay("--against", "HEAD", "--limit", "4", "--json")
    data = json.loads(out)
    assert (data.get("newly_refused", 0), data["events"]) == (0, 4)
    _, out, _ = replay("--against", "HEAD", "--json")
    assert (json.loads(out)["newly_refused"], json.loads(out)["events"]) == (1, 4)


def test_help_names_every_figure() -> None:
    told = run("replay", "--help").stdout
    missing = [name for name in FIGURES if name != "new" and not re.search(rf"\b{name}\b", told)]
    assert not missing


@pytest.fixture
def made(place: Path) -> Comparison:
    with compare("HEAD", place / "policies", place / "events.jsonl", threads=1) as result:
        rows = result.changed().fetchall()
        assert [row[-2:] for row in rows] == [("challenge", "allow")]
        assert result.before.table("hits").filter("rule = 'flood'").fetchall()
        return result.report


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_view_fits(made: Comparison, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        encoding = "ascii"  # what the view asks for its signs

        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    print_comparison(made, stream=stream)
    shown = stream.getvalue()
    assert {c for c in shown if not c.isascii()} <= {"…"}, "what is cut ends in it everywhere"
    long = [line for line in shown.splitlines() if len(line) > width]
    assert all("quell explain" in line or line.startswith(("What", "message")) for line in long), long


def test_the_library_says_what_it_cannot_have(place: Path) -> None:
    with pytest.raises(RevisionError, match="neither a folder nor a revision"):
        compare("mian", place / "policies", place / "events.jsonl")
    with pytest.raises(SourceError, match="can be taken"):
        compare("HEAD", place / "policies", write_events(place / "none.jsonl", EVENTS[-1:]))
