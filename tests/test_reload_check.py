"""The check of a frozen bundle, as a process: what it says, and how it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from quell.engine.reload_check import Checked
from quell.engine.reload_process import Checker
from quell.engine.service_types import Finding
from tests.reload_given import RULES, bundle

ENDLESS = """
test "it takes long"
  given message { author: "u1", content: "x" }
    repeat 100000 every 1s
  expect not block
"""
ENDLESS += "".join(ENDLESS.replace("long", f"long, {n}") for n in range(30))


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return bundle(tmp_path / "policies")


def checked(policies: Path, against: Path | None = None, tests: bool = True, seconds: float = 120) -> Checked:
    return asyncio.run(Checker(seconds).check(policies, against, tests))


def test_a_sound_bundle(policies: Path) -> None:
    found = checked(policies)
    assert (found.errors, found.tests, found.failed) == (0, 1, 0)
    assert len(found.digest) == 16


def test_errors_come_with_their_places_and_hints(policies: Path) -> None:
    (policies / "rules.quell").write_text(RULES.replace("bad_words\n", "bad_wordz\n"))
    (policies / "lists" / "bad_words.txt").unlink()
    found = checked(policies)
    assert found.errors == 2
    assert [(f.file, f.line, f.code) for f in found.findings] == [
        ("rules.quell", 2, "missing-file"),
        ("rules.quell", 5, "unknown-name"),
    ]
    assert found.findings[1].hint == "did you mean `bad_words`?"


def test_failed_tests_come_with_their_reasons(policies: Path) -> None:
    (policies / "lists" / "bad_words.txt").write_text("other\n")
    found = checked(policies)
    assert (found.errors, found.failed) == (1, 1)
    assert found.findings[0].line == 11
    told = "the test `a bad word is blocked` failed: expected `expect block by bad_word`, but the verdict is"
    assert found.findings[0].message.startswith(f"{told} allow")
    assert checked(policies, tests=False).errors == 0


def test_tests_that_never_end_refuse_the_bundle(policies: Path) -> None:
    (policies / "endless.quell").write_text(ENDLESS)
    found = checked(policies, seconds=2)
    assert found.findings[0].message == (
        "checking the policies and running their tests took longer than 2 seconds"
    )
    assert found.findings[0].hint.endswith('allow more: check = "5m" in [reload] of service.toml')
    assert found.undone


def test_a_list_named_like_a_module_is_not_run(policies: Path) -> None:
    """Nothing in a bundle is on Python's path."""
    for name in ("msgspec.py", "json.py", "quell.py", "sitecustomize.py"):
        (policies / name).write_text("raise SystemExit('it ran')\n")
    found = asyncio.run(_from(policies))
    assert found.errors == 0


async def _from(policies: Path) -> Checked:
    here = Path.cwd()
    os.chdir(policies)
    try:
        return await Checker().check(policies)
    finally:
        os.chdir(here)


async def killed(policies: Path, *signals: signal.Signals) -> Checked:
    """What comes of a check whose first processes are ended by signals."""
    checker = Checker(again=0.0)
    checking = asyncio.create_task(checker.check(policies))
    seen: set[int] = set()
    for number in signals:
        while checker.process is None or checker.process.pid in seen:
            await asyncio.sleep(0.01)
        seen.add(checker.process.pid)
        os.kill(checker.process.pid, number)
    return await checking


def test_a_process_that_the_system_ends_is_tried_once_more(
    policies: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = asyncio.run(killed(policies, signal.SIGKILL))
    assert (found.errors, found.tests, found.undone) == (0, 1, False)
    assert caplog.messages == ["the check of the policies was killed (SIGKILL), and is tried once more"]


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (signal.SIGKILL, "killed twice (SIGKILL): the system may have run out of memory"),
        (signal.SIGTERM, "killed twice (SIGTERM)"),
    ],
    ids=["memory", "somebody"],
)
def test_a_process_that_is_ended_twice_says_nothing_of_the_policies(
    policies: Path, last: signal.Signals, told: str
) -> None:
    (policies / "endless.quell").write_text(ENDLESS)
    found = asyncio.run(killed(policies, signal.SIGKILL, last))
    assert found.undone
    assert found.findings[0].message == f"the check of the policies was {told}"
    assert "save once more" in found.findings[0].hint


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("print('no JSON')", "the check failed inside Quell with status 0"),
        ("raise ValueError('oh')", "the check failed inside Quell with status 1: ValueError: oh"),
        ("print('{\"findings\": 3}')", "the check failed inside Quell with status 0"),
        ("print('x' * 20_000_000)", "the check failed inside Quell with status 0"),
    ],
)
def test_an_answer_that_is_none_is_a_finding(policies: Path, does: str, message: str) -> None:
    checker = Checker(command=(sys.executable, "-c", does))
    found = asyncio.run(checker.check(policies))
    assert found.findings == (Finding("", 0, message, "", "please report it"),)
    assert found.undone


def test_a_process_that_cannot_be_run_is_a_finding(policies: Path) -> None:
    found = asyncio.run(Checker(command=("/no/such/python",)).check(policies))
    assert found.findings[0].message == "the check cannot be run: no such file or directory"


def test_cancelling_ends_the_process(policies: Path) -> None:
    (policies / "endless.quell").write_text(ENDLESS)

    async def scene() -> int:
        checker = Checker()
        checking = asyncio.create_task(checker.check(policies))
        while checker.process is None:
            await asyncio.sleep(0.01)
        pid = checker.process.pid
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
        return pid

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(scene()), 0)


PARENT = """
import asyncio, sys
from pathlib import Path
from quell.engine.reload_process import Checker

async def scene():
    checker = Checker()
    checking = asyncio.create_task(checker.check(Path(sys.argv[1])))
    while checker.process is None:
        await asyncio.sleep(0.01)
    print(checker.process.pid, flush=True)
    await checking

asyncio.run(scene())
"""


def test_the_process_ends_with_a_server_that_was_killed(policies: Path) -> None:
    (policies / "endless.quell").write_text(ENDLESS)
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(policies)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        pid = int(parent.stdout.readline())
        parent.kill()
    end = time.monotonic() + 60
    with contextlib.suppress(OSError):  # it is gone, or waits to be buried
        while "zombie" not in Path(f"/proc/{pid}/status").read_text():
            assert time.monotonic() < end, "it goes on without its parent"
            time.sleep(0.01)


# --------------------------------------------------------------- what changed


def changed(policies: Path, **files: str) -> tuple[str, ...]:
    """What the check says changed once files were written anew."""
    old = bundle(policies.parent / "old")
    for name, text in files.items():
        (policies / name.replace("__", "/").replace("_toml", ".toml")).write_text(text)
    return checked(policies, old, tests=False).changed


def test_changes_of_rules(policies: Path) -> None:
    from quell.engine.bundle import read_bundle
    from quell.engine.compile import ParseCache
    from quell.engine.reload_changes import changes
    from quell.grammar.diagnostics import Report

    def between(old: str, new: str) -> list[str]:
        (policies / "rules.quell").write_text(old)
        before = read_bundle(policies, Report())
        (policies / "rules.quell").write_text(new)
        return changes(before, read_bundle(policies, Report()), ParseCache())

    rule = "rule a on message\n  when length(content) > 3\n  then block\n"
    more = "rule b on message\n  when length(content) > 9\n  then review\n"
    assert between(rule, rule) == []
    assert between(rule, "# why\n" + rule) == ["comments or layout"]
    assert between(rule, rule + more) == ["rule `b` added"]
    assert between(rule, rule + more + "  mode shadow\n") == ["rule `b` added (shadow)"]
    assert between(rule + more, rule) == ["rule `b` removed"]
    assert between(rule, rule.replace("3", "4")) == ["rule `a` changed: when"]
    assert between(rule, rule.replace("block", "review").replace("3", "4")) == [
        "rule `a` changed: when, then"
    ]
    assert between(rule, rule + "  mode shadow\n") == ["rule `a` changed: mode live → shadow"]
    assert between(rule, rule + "  rollout 25% by author\n") == [
        "rule `a` changed: rollout none → 25% by author"
    ]
    assert between(rule, rule.replace("rule a", "rule c") + "  formerly a\n") == ["rule `c` was `a`"]
    assert between(rule, rule.replace("rule a", "rule c").replace("3", "4") + "  formerly a\n") == [
        "rule `c` was `a`, changed: when"
    ]
    assert between(rule, rule + '  because "x"\n  tag "t"\n  owner "o"\n  severity high\n') == [
        "rule `a` changed: because, tag, owner, severity"
    ]


VERDICTS = (
    "verdicts: allow < flag < review < challenge < block (on failure allow) → "
    "allow < watch < block (on failure watch)"
)


def test_changes_of_everything_else(policies: Path) -> None:
    found = changed(
        policies,
        **{
            "more.quell": (
                "let more = 1\nverdicts allow < watch < block on failure watch\n"
                'list ranks from "lists/all.csv" as exact gives rank number\n'
            ),
            "lists__all.csv": "key,rank\na,1\nb,2\n",
            "lists__bad_words.txt": "badword\nthird\nfourth\n",
            "rules.quell": RULES.replace("is blocked", "is blocked at once"),
            "quell_toml": '[bundle]\nname = "large"\n[events]\nlateness = "2m"\nmax_bytes = 5000\n'
            '[remote.scam]\nurl = "http://localhost:1"\n',
        },
    )
    assert found == (
        "let `more` added",
        "list `ranks` added",
        "list `bad_words`: 2 entries added, 1 entry removed",
        VERDICTS,
        "tests: 1 added, 1 removed",
        "setting name: `small` → `large`",
        "setting max_bytes: 1,048,576 → 5,000",
        "setting lateness: 1h → 2m",
        "remote target `scam` added",
    )


def test_changes_of_tables(policies: Path) -> None:
    from quell.engine.bundle import read_bundle
    from quell.engine.compile import ParseCache
    from quell.engine.reload_changes import changes
    from quell.grammar.diagnostics import Report

    (policies / "more.quell").write_text('list ranks from "all.csv" as exact gives rank number\n')

    def between(old: str, new: str) -> list[str]:
        (policies / "all.csv").write_text(old)
        before = read_bundle(policies, Report())
        after = read_bundle(policies, Report())
        before.extra, after.extra = {"all.csv": old.encode()}, {"all.csv": new.encode()}
        return changes(before, after, ParseCache())

    same = "list `ranks`: values of its columns changed"
    assert between("key,rank\na,1\n", "key,rank\na,2\n") == [same]
    assert between("key,rank\na,1\n", "key,rank\na,1\nb,1\n") == ["list `ranks`: 1 entry added"]
    assert between("key,rank\na,1\n", "# c\nkey,rank\na,1\n") == [
        "list `ranks`: values of its columns changed"
    ]
    assert between("key,rank\na,1\n", "broken") == ["list `ranks`: its file changed"]


def test_changes_of_models(policies: Path) -> None:
    from quell.engine.bundle import read_bundle
    from quell.engine.compile import ParseCache
    from quell.engine.reload_changes import changes
    from quell.grammar.diagnostics import Report

    def between(old: dict[str, bytes], new: dict[str, bytes], text: str = "", more: str = "") -> list[str]:
        (policies / "more.quell").write_text(text or MODEL)
        before = read_bundle(policies, Report())
        (policies / "more.quell").write_text((text or MODEL) + more)
        after = read_bundle(policies, Report())
        before.extra, after.extra = old, new
        return changes(before, after, ParseCache())

    one, two = {"m.lgb": b"1"}, {"m.lgb": b"2"}
    assert between(one, one) == []
    assert between(one, two) == ["model `spam`: file changed"]
    assert between(one, two | {"m.card.json": b"{}"}) == ["model `spam`: file and card changed"]
    assert between(one, one, more="  size = length(content)\n") == ["model `spam`: declaration changed"]
    assert between(one, one, more=MODEL.replace("spam", "scam")) == ["model `scam` added"]


MODEL = 'model spam from "m.lgb"\n'
