"""`quell outbox`, beside a server that runs and without one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quell.engine.journal import Journal
from quell.engine.outbox import Outbox
from quell.engine.outbox_reading import decisions_of
from quell.engine.outbox_types import Dead, Message, Retry
from tests.cli_support import run
from tests.outbox_support import START, Recorder, decision, settled


def behave(message: Message) -> None:
    if message.sink == "strict" and message.number % 2:
        raise Dead("answered 401: \x1b[31mwho are you?")
    if message.sink == "down":
        raise Retry("could not be reached: connection refused", all=True)


async def some(data: Path, sinks: dict[str, Any], upto: int = 20) -> Outbox:
    """An outbox that runs over a journal with decisions up to a number."""
    journal = Journal.open(data / "journal", packs=False)
    outbox = Outbox(
        data / "outbox", sinks, journal.id, last=journal.last, reader=decisions_of(data / "journal")
    )
    outbox.resume(journal.last)
    for number in range(journal.last + 1, upto + 1):
        one = decision(number, "strict", "down", "unknown")
        journal.append("event", number, number, 0, 1, START + number, b"{}", msgspec.json.encode(one))
    journal.flush()
    journal.close()
    for number, one, _ in decisions_of(data / "journal")(outbox.done_upto + 1, upto):  # type: ignore[misc]
        outbox.take(number, one)
    return outbox


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder in which some sends wait and some were given up; no server runs."""
    folder = tmp_path / "data"
    folder.mkdir()

    async def main() -> None:
        outbox = await some(folder, {"strict": Recorder(behave), "down": Recorder(behave)})
        task = asyncio.create_task(outbox.run())
        while sum(outbox.figures().sinks[name].died for name in ("strict", "unknown")) < 30:
            await asyncio.sleep(0.01)
        await outbox.close()
        await task

    asyncio.run(main())
    return folder


def test_list(data: Path) -> None:
    found = json.loads(run("outbox", "list", data, "--json").stdout)
    assert found["done_upto"] == 0
    assert {name: (s["waiting"], s["dead"]) for name, s in found["sinks"].items()} == {
        "down": (20, 0),
        "strict": (0, 10),
        "unknown": (0, 20),
    }
    down = found["sinks"]["down"]
    assert down["oldest"] == START + 1
    assert 1 <= down["tried"] <= 20
    assert down["first_error"] == "could not be reached: connection refused"
    shown = run("outbox", "list", data).stdout
    assert "sink" in shown.splitlines()[0]
    assert "2027-01-15T08:00:00Z" in shown
    assert (
        run("outbox", "list", data / "outbox", "--json").stdout
        == run("outbox", "list", data, "--json").stdout
    )


def test_dead(data: Path) -> None:
    found = json.loads(run("outbox", "dead", data, "--all", "--json").stdout)
    assert len(found) == 30
    strict = json.loads(run("outbox", "dead", data, "--sink", "strict", "-n", "3", "--json").stdout)
    assert [one["message"]["number"] for one in strict] == [1, 3, 5]
    assert strict[0]["message"]["payload"] == {"n": 1, "i": 0}
    assert strict[0]["state"] == "dead"
    later = run("outbox", "dead", data, "--sink", "strict", "--after", strict[2]["message"]["key"], "--json")
    assert [one["message"]["number"] for one in json.loads(later.stdout)] == [7, 9, 11, 13, 15, 17, 19]
    shown = run("outbox", "dead", data, "--sink", "strict", "-n", "2")
    assert "strict, by flood, for message m1" in shown.stdout
    assert "1 attempt: answered 401: \\u001b[31mwho are you?" in shown.stdout
    assert shown.stderr == "2 of 10 dead letters; --all shows all\n"
    assert run("outbox", "dead", data, "--sink", "nobody").stderr == "there are no dead letters\n"


def test_drop(data: Path) -> None:
    keys = [one["message"]["key"] for one in json.loads(run("outbox", "dead", data, "--json").stdout)]
    result = run("outbox", "drop", data, keys[0], "nonsense")
    assert result.exit_code == 1
    assert "1 dead letter dropped" in result.stderr
    assert "1 key with no such dead letter" in result.stderr
    assert json.loads(run("outbox", "drop", data, "--sink", "unknown", "--json").stdout)["dropped"] >= 19
    assert run("outbox", "drop", data, "--all").exit_code == 0
    assert run("outbox", "dead", data).stderr == "there are no dead letters\n"


def test_without_a_server_letters_go_out_at_the_next_start(data: Path) -> None:
    result = run("outbox", "resend", data, "--sink", "strict")
    assert result.exit_code == 0
    assert result.stderr.startswith("10 dead letters are to be sent again: a running server does so within")
    assert json.loads(run("outbox", "resend", data, "--sink", "strict", "--json").stdout) == {"again": 0}
    assert "(to be sent again)" in run("outbox", "dead", data, "--sink", "strict").stdout
    keys = {
        one["message"]["key"] for one in json.loads(run("outbox", "dead", data, "--all", "--json").stdout)
    }

    async def main() -> None:
        sink = Recorder()
        outbox = await some(data, {"strict": sink, "down": Recorder()})
        task = asyncio.create_task(outbox.run())
        await settled(outbox, 20)
        while len(sink.got) < 10:
            await asyncio.sleep(0.01)
        await outbox.close()
        await task
        assert {m.key for m in sink.got} < keys

    asyncio.run(main())
    assert json.loads(run("outbox", "dead", data, "--sink", "strict", "--json").stdout) == []


def test_a_running_server_takes_up_what_is_asked(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quell.engine.outbox_store.POLL", 0.02)
    monkeypatch.setattr("quell.engine.outbox.POLL", 0.02)

    async def main() -> None:
        sink = Recorder()
        outbox = await some(data, {"strict": sink, "down": Recorder()})
        task = asyncio.create_task(outbox.run())
        await settled(outbox, 20)
        (first, second, *_) = json.loads(run("outbox", "dead", data, "--sink", "strict", "--json").stdout)
        result = await asyncio.to_thread(run, "outbox", "resend", data, first["message"]["key"])
        assert result.stderr.startswith("1 dead letter is to be sent again")
        while not sink.got:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(run, "outbox", "drop", data, second["message"]["key"])
        await asyncio.to_thread(run, "outbox", "resend", data, "--sink", "strict")
        while len(sink.got) < 9:
            await asyncio.sleep(0.01)
        await outbox.close()
        await task
        assert sink.got[0].key == first["message"]["key"]
        assert second["message"]["key"] not in {m.key for m in sink.got}

    asyncio.run(main())


def test_what_is_no_outbox(tmp_path: Path) -> None:
    for command in ("list", "dead", "resend", "drop"):
        arguments = ["--all"] if command in ("resend", "drop") else []
        nowhere = run("outbox", command, tmp_path / "nowhere", *arguments)
        assert nowhere.exit_code == 3
        assert "there is no folder" in nowhere.stderr
        empty = run("outbox", command, tmp_path, *arguments)
        assert "there is no outbox in" in empty.stderr
        assert "name the data folder of `quell serve`" in empty.stderr


def test_what_is_to_be_changed_is_said(data: Path) -> None:
    for arguments in ([], ["key", "--all"]):
        result = run("outbox", "resend", data, *arguments)
        assert result.exit_code == 2
        assert "name keys, or a sink with --sink, or all with --all" in result.stderr


def test_files_that_are_damaged_are_told_in_a_line(data: Path) -> None:
    (data / "outbox" / "dead.sqlite").write_bytes(b"nonsense" * 1_000)
    for command in ("list", "dead"):
        result = run("outbox", command, data)
        assert result.exit_code == 3
        assert "file is not a database" in result.stderr


def test_a_journal_that_is_not_there(data: Path, tmp_path: Path) -> None:
    (data / "journal").rename(tmp_path / "elsewhere")
    result = run("outbox", "list", data)
    assert "what waits is not known" in result.stderr
    assert "unknown" in result.stdout
