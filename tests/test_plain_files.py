"""What is no ordinary file is refused without waiting for it, wherever a service reads by name."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from quell.engine.journal_records import head_of
from quell.engine.keys import Keys, KeysError
from quell.engine.lock import LockError, held
from quell.engine.outbox import Outbox
from quell.engine.outbox_acks import NAME as ACKS
from quell.engine.outbox_types import OutboxError
from quell.engine.plain_files import NotPlain, open_plain, read_plain
from quell.engine.reload_history import HISTORY, HistoryError, read_history
from quell.engine.service_settings import SettingsError, read_settings
from quell.engine.versions import Versions
from tests.cli_support import make_bundle, run


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


KINDS: dict[str, Callable[[Path], None]] = {"a named pipe": pipe, "a folder": folder, "a device": device}
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_RDWR], ids=["r", "w", "rw"])
def test_only_ordinary_files_are_opened(kind: str, flags: int, tmp_path: Path) -> None:
    KINDS[kind](tmp_path / "x")
    with pytest.raises(NotPlain, match=f"it is {kind}, and no ordinary file"):
        open_plain(tmp_path / "x", flags)


def test_a_socket_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("x")
        with pytest.raises(NotPlain, match="it is a socket"):
            open_plain("x")


def test_ordinary_files_are_read_and_missing_ones_are_missing(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello")
    (tmp_path / "link").symlink_to("x")
    assert read_plain(tmp_path / "link") == b"hello"
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "y")


def history(data: Path) -> None:
    Versions.open(data / "versions")


def outbox(data: Path) -> None:
    Outbox(data / "outbox", {}, "j")


def lock(data: Path) -> None:
    with held(data):
        pass


READERS: dict[str, tuple[str, Callable[[Path], object], type[Exception]]] = {
    "service.toml": ("service.toml", lambda data: read_settings(data / "service.toml"), SettingsError),
    "keys.json": ("keys.json", lambda data: Keys(data / "keys.json"), KeysError),
    "history": (f"versions/{HISTORY}", history, HistoryError),
    "looking at the history": (
        f"versions/{HISTORY}",
        lambda data: [*read_history(data / "versions")],
        NotPlain,
    ),
    "acknowledgements": (f"outbox/{ACKS}", outbox, OutboxError),
    "lock": ("lock", lock, LockError),
    "segment": ("journal/1.qj", lambda data: head_of(data / "journal" / "1.qj"), NotPlain),
}


@every_kind
@pytest.mark.parametrize("reader", READERS)
def test_a_start_waits_for_none(reader: str, kind: str, tmp_path: Path) -> None:
    name, read, error = READERS[reader]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    KINDS[kind](tmp_path / name)
    with pytest.raises(error, match=f"it is {kind}, and no ordinary file"):
        read(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"versions/{HISTORY}", "keys.json", "service.toml"])
def test_quell_serve_says_so(name: str, tmp_path: Path) -> None:
    policies, data = make_bundle(tmp_path / "policies"), tmp_path / "data"
    (data / name).parent.mkdir(parents=True)
    os.mkfifo(data / name)
    made = run("serve", policies, "--data", data, "--port", "0")
    assert made.exit_code == 3
    assert f"`{data / name}` cannot be" in made.stderr
    assert "it is a named pipe, and no ordinary file" in made.stderr
    assert len(made.stderr.splitlines()) <= 2


def test_a_segment_that_is_none_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "000000000000001-00001.qj")
    made = run("journal", "stats", tmp_path)
    assert made.exit_code == 3
    assert "it is a named pipe" in made.stderr
