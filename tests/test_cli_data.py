"""How commands are told which data folder they look into: all of them in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from quell.engine.cli_data import DATA, told_apart
from quell.engine.cli_outbox import _KEY
from quell.replay.cli import main
from tests.cli_support import run

GROUPS = ("keys", "versions", "journal", "outbox")


def commands() -> Iterator[tuple[str, str]]:
    for group in GROUPS:
        found = main.commands[group]
        assert isinstance(found, click.Group)
        yield from ((group, name) for name in found.commands)


@pytest.mark.parametrize("words", [*commands()], ids=" ".join)
def test_every_command_takes_the_folder_in_both_ways(words: tuple[str, str]) -> None:
    shown = " ".join(run(*words, "--help").stdout.split())
    assert "[OPTIONS] [DIR]" in shown
    assert "--data DIR The data folder of `quell serve`. [default: quell-data]" in shown


@pytest.mark.parametrize(
    ("said", "data", "least", "most", "folder", "own"),
    [
        ("", None, 0, 0, DATA, ""),
        ("d", None, 0, 0, "d", ""),
        ("", "d", 0, 0, "d", ""),
        ("name", None, 1, 1, DATA, "name"),
        ("d name", None, 1, 1, "d", "name"),
        ("name", "d", 1, 1, "d", "name"),
        ("7", None, 0, 1, DATA, "7"),
        ("d", None, 0, 1, "d", ""),
        ("7 7", None, 0, 1, "7", "7"),
        ("7", "d", 0, 1, "d", "7"),
        ("d 7 8 9", None, 0, None, "d", "7 8 9"),
        ("7 8 9", None, 0, None, DATA, "7 8 9"),
        ("x 7", "d", 0, None, "d", "x 7"),
    ],
)
def test_the_folder_stands_first(
    said: str, data: str | None, least: int, most: int | None, folder: str, own: str
) -> None:
    found = told_apart(tuple(said.split()), data, least, most, str.isdecimal)
    assert found == (folder, tuple(own.split()))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("keys", "list", "a", "--data", "b"), "the data folder is named twice: `a` and --data b"),
        (("keys", "revoke"), "missing argument `NAME|qk_…`"),
        (("versions", "show", "a", "1", "2"), "there are too many words: `2`"),
        (("versions", "show", "a", "0"), "`0` is not the number of a version"),
    ],
    ids=["twice", "missing", "many", "zero"],
)
def test_what_is_wrong_is_said(words: tuple[str, ...], told: str) -> None:
    made = run(*words)
    assert made.exit_code == 2
    assert told in made.stderr


def test_without_a_name_it_is_the_usual_folder_below_the_present_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("keys", "add", "gate", "--scope", "read")
    assert (tmp_path / DATA / "keys.json").is_file()
    listed = run("keys", "list").stdout
    assert "gate" in listed
    assert run("keys", "list", DATA).stdout == run("keys", "list", "--data", DATA).stdout == listed
    for group, name in (("journal", "stats"), ("outbox", "list"), ("versions", "show")):
        assert DATA in run(group, name).stderr, group
    assert run("keys", "revoke", DATA, "gate").exit_code == 0
    assert "revoked" in run("keys", "list").stdout
    assert [file.name for file in tmp_path.iterdir()] == [DATA]


def test_the_key_of_a_dead_letter_is_no_folder() -> None:
    assert _KEY.fullmatch("f3a9c1-1042-0-9ab3c01d")
    assert not _KEY.fullmatch("quell-data")
    assert not _KEY.fullmatch("f3a9c1-1042-0-9ab3c01d/outbox")
