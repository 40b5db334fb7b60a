"""`quell versions`: what it shows, and putting back with a server and without one."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from click.testing import Result

from quell.engine.cli_versions import check_only
from quell.engine.lock import held
from quell.engine.reload_requests import PutBack, answer_requests, ask
from quell.engine.service_types import ReloadOutcome
from quell.engine.versions import Versions
from quell.engine.watch import Watch
from tests.cli_support import run
from tests.reload_given import RULES, World, bundle, world


async def history(w: World) -> None:
    """Versions 2 and 3, and a refused attempt."""
    for word in ("second", "third"):
        (w.policies / "lists" / "bad_words.txt").write_text(f"badword\n{word}\n")
        await w.reloader.reload("ann")
    (w.policies / "rules.quell").write_text(RULES + "\nrule broken on message\n  when nosuch\n  then block\n")
    await w.reloader.reload("bob")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            await history(w)

    asyncio.run(scene())
    return tmp_path / "data"


def quell(*words: str, data: Path, ok: bool = True) -> Result:
    made = run("versions", *words, "--data", str(data))
    assert (made.exit_code == 0) is ok, made.output
    return made


def test_the_list_has_every_attempt_the_newest_first(data: Path) -> None:
    lines = quell("list", data=data).stdout.splitlines()
    assert [line.split()[:2] for line in lines[::2]] == [
        ["-", "refused"],
        ["3", "decides"],
        ["2", "was"],
        ["1", "was"],
    ]
    assert "asked for, by bob" in lines[0]
    assert lines[1].strip().startswith("rules.quell:14: ")
    assert lines[3].strip() == "list `bad_words`: 1 entry added, 1 entry removed"
    assert len(quell("list", "-n", "1", data=data).stdout.splitlines()) == 2


def test_the_list_as_json(data: Path) -> None:
    made = json.loads(quell("list", "--json", data=data).stdout)
    assert [m["result"] for m in made] == ["refused", "live", "live", "live"]
    assert made[1]["version"]["number"] == 3


def test_showing_a_version(data: Path) -> None:
    shown = quell("show", "2", data=data).stdout
    assert "version 2 live" in shown
    assert "list `bad_words`: 1 entry added, 1 entry removed" in shown
    place = Path(shown.split("files: ")[1].strip())
    assert (place / "lists" / "bad_words.txt").read_text() == "badword\nsecond\n"
    assert json.loads(quell("show", "2", "--json", data=data).stdout)["by"] == "ann"


def test_showing_the_last_attempt(data: Path) -> None:
    shown = quell("show", data=data).stdout
    assert shown.startswith("refused  ")
    assert "[unknown-name] rules.quell:14: " in shown


@pytest.mark.parametrize("command", [("show", "9"), ("put-back", "9")])
def test_a_version_that_is_not_there(data: Path, command: tuple[str, str]) -> None:
    made = quell(*command, data=data, ok=False)
    assert made.stderr == "error: there is no version 9\n  hint: the last one is 3\n"


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    made = quell("list", data=tmp_path / "none", ok=False)
    assert "there is no data folder" in made.stderr
    (tmp_path / "file").write_text("x")
    assert "is a file" in quell("list", data=tmp_path / "file", ok=False).stderr
    (tmp_path / "empty").mkdir()
    assert "no version of the policies was live" in quell("list", data=tmp_path / "empty").stderr
    assert "there is no version before" in quell("put-back", data=tmp_path / "empty", ok=False).stderr


def test_what_a_bundle_says_moves_no_cursor(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, watched=False) as w:
            (w.policies / "a\x1b[31m.quell").write_text("let x = nosuch\n")
            await w.reloader.reload("\x1b[2Jann")

    asyncio.run(scene())
    for command in (("list",), ("show",)):
        assert "\x1b" not in quell(*command, data=tmp_path / "data").output


def test_put_back_without_a_server_is_for_the_next_start(data: Path, tmp_path: Path) -> None:
    made = quell("put-back", "--by", "eve", data=data)
    assert "the next one starts with version 2" in made.stderr
    assert "version 2 was put back by eve: the next start uses it" in quell("list", data=data).stderr

    async def scene() -> None:
        async with world(tmp_path, watched=False, make=False) as w:
            assert (w.started.info.number, w.started.info.by) == (4, "eve")
            assert w.words() == ["badword", "second"]

    asyncio.run(scene())
    assert "the next start" not in quell("list", data=data).output


def test_put_back_is_by_the_user_of_the_system(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    quell("put-back", "1", data=data)
    wanted = Versions.open(data / "versions").wanted()
    assert wanted is not None
    assert wanted.by == "somebody-else"
    for name in ("", "a\nb", "x" * 201):
        assert quell("put-back", "1", "--by", name, data=data, ok=False).exit_code == 2


def test_put_back_while_a_server_runs(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            await history(w)
            with held(tmp_path / "data"):
                made = await asyncio.to_thread(quell, "put-back", "1", "--by", "eve", data=tmp_path / "data")
            assert "version 4 live" in made.stdout
            assert w.words() == ["badword", "worse"]
            live = w.versions.live
            assert live is not None
            assert live.by == "eve"
            assert list(w.versions.requests.iterdir()) == []

    asyncio.run(scene())


def test_put_back_that_a_server_refuses(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as w:
            await history(w)
            path = w.versions.folder(2) / "lists" / "bad_words.txt"
            path.unlink()
            with held(tmp_path / "data"):
                made = await asyncio.to_thread(
                    quell, "put-back", "2", "--json", data=tmp_path / "data", ok=False
                )
            assert made.exit_code == 1
            assert json.loads(made.stdout)["result"] == "refused"
            assert w.words() == ["badword", "third"]

    asyncio.run(scene())


# ------------------------------------------------------------------- requests


def test_a_server_that_does_not_answer_is_told_and_is_not_asked_later(tmp_path: Path) -> None:
    assert ask(tmp_path, PutBack(1, "ann"), 0.05, 0.01) is None
    assert list(tmp_path.iterdir()) == []


def test_what_asks_for_nothing_known_is_removed(tmp_path: Path) -> None:
    requests = tmp_path / "requests"
    requests.mkdir()
    secret = tmp_path / "secret.json"
    secret.write_text('{"number": 1, "by": "eve"}')
    bad = {
        "a.json": "",
        "b.json": "{}",
        "c.json": '{"number": 0, "by": "x"}',
        "d.json": '{"number": 1, "by": ""}',
        "e.json": '{"number": 1, "by": "x", "more": 1}',
        "f.json": "[" * 20_000,
        "g.json": '{"number": 1e400, "by": "x"}',
    }
    for name, text in bad.items():
        (requests / name).write_text(text)
    (requests / "h.json").symlink_to(secret)
    os.mkfifo(requests / "i.json")
    old = requests / "old.done"
    old.write_text("{}")
    os.utime(old, (1, 1))
    asked = []

    async def put_back(number: int | None, by: str) -> ReloadOutcome:
        asked.append((number, by))
        return ReloadOutcome("unchanged", 0, by, "put back")

    async def scene() -> None:
        watch = Watch(requests, step=0.01, look=0.05, every=0.1)
        task = asyncio.create_task(answer_requests(requests, put_back, watch))
        outcome = await asyncio.to_thread(ask, requests, PutBack(None, "ann"), 30, 0.01)
        assert outcome is not None
        assert outcome.by == "ann"
        task.cancel()

    asyncio.run(scene())
    assert asked == [(None, "ann")]
    assert sorted(p.name for p in requests.iterdir()) == []
    assert secret.exists()


def test_a_request_is_answered_even_if_another_fails(tmp_path: Path) -> None:
    async def put_back(number: int | None, by: str) -> ReloadOutcome:
        if by == "bad":
            raise RuntimeError("no")
        return ReloadOutcome("unchanged", 0, by, "put back")

    async def scene() -> None:
        watch = Watch(tmp_path, step=0.01, look=0.05, every=0.1)
        task = asyncio.create_task(answer_requests(tmp_path, put_back, watch))
        assert await asyncio.to_thread(ask, tmp_path, PutBack(1, "bad"), 0.5, 0.01) is None
        assert await asyncio.to_thread(ask, tmp_path, PutBack(1, "ann"), 30, 0.01) is not None
        task.cancel()

    asyncio.run(scene())


# ----------------------------------------------------------------- check only


def test_check_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policies = bundle(tmp_path / "policies")
    assert check_only(str(policies)) == 0
    shown = capsys.readouterr().out
    assert "0 errors" in shown
    assert "1 test passed" in shown
    (policies / "lists" / "bad_words.txt").write_text("other\n")
    assert check_only(str(policies)) == 1
    assert "the verdict is allow" in capsys.readouterr().out
    (policies / "lists" / "bad_words.txt").unlink()
    assert check_only(str(policies)) == 1
    assert "missing-file" in capsys.readouterr().out
