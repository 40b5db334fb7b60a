"""The page about the service says what is so: its settings, addresses, commands and scopes are real."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

import click

from quell.engine.http_operations import OPERATIONS
from quell.engine.journal import Durability
from quell.engine.keys import Scope
from quell.engine.service_settings import ServiceSettings, settings_of
from quell.replay.cli import main

TEXT = (Path(__file__).parent / "language" / "15-service.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```", TEXT, re.M | re.S)


def test_the_settings_are_those_that_hold_without_any() -> None:
    wrong: list[object] = []
    said = tomllib.loads(BLOCKS[1])
    assert settings_of(said, wrong) == ServiceSettings()  # type: ignore[arg-type]
    assert not wrong
    sinks = settings_of(tomllib.loads(BLOCKS[0]), wrong).sinks  # type: ignore[arg-type]
    assert sorted(sinks) == ["alerts", "mod-queue"]
    assert not wrong


def test_every_setting_is_told() -> None:
    told = set(re.findall(r"[a-z_]+", BLOCKS[1]))
    settings = ServiceSettings()
    for section in ("listen", "limits", "journal", "snapshots", "events", "idempotency", "reload", "log"):
        names = set(getattr(settings, section).__struct_fields__) - {"body"}
        assert names <= told, section


def test_addresses_are_there() -> None:
    known = {row.path for row in OPERATIONS}
    named = set(re.findall(r"(/(?:v1/[a-z/]+|healthz|readyz|metrics|openapi\.json))(?![a-z/0-9])", TEXT))
    assert named
    for path in named:
        assert path in known or any(row.startswith(path.rstrip("/") + "/{") for row in known), path


def test_commands_are_there() -> None:
    for words in re.findall(r"quell ([a-z]+(?: [a-z-]+)?)", TEXT):
        names = words.split()
        command = main.commands.get(names[0])
        assert command is not None, words
        if isinstance(command, click.Group) and len(names) > 1:
            assert names[1] in command.commands, words


def test_durabilities_and_scopes_are_all_told() -> None:
    for word in (*get_args(Durability), *get_args(Scope)):
        assert f"| `{word}` |" in TEXT
