"""Keys in their file: made, kept, revoked, and not believed when others could have written them."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from pathlib import Path

import msgspec
import pytest

from quell.engine.cli_keys import keys as command
from quell.engine.keys import Keys, KeysError, now
from tests.cli_support import run as quell


def test_a_key_is_shown_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    made, text = Keys(tmp_path / "keys.json").add("gateway", ("decide",))
    kept = (tmp_path / "keys.json").read_text()
    prefix, id, secret = text.split("_")
    assert (prefix, id) == ("qk", made.id)
    assert len(secret) * 5 >= 256
    assert secret not in kept
    assert made.hash == hashlib.sha256(secret.encode()).hexdigest()
    again = Keys(tmp_path / "keys.json").find(text.encode())
    assert again == made
    assert Keys(tmp_path / "keys.json").add("other", ("decide",))[1] != text


def test_scopes_and_what_they_are_good_for(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    both, _ = keys.add("both", ("read", "decide"))
    admin, _ = keys.add("admin", ("admin",))
    assert both.scopes == ("decide", "read")
    assert [both.may(s) for s in ("decide", "read", "admin", "any")] == [True, True, False, True]
    assert all(admin.may(s) for s in ("decide", "read", "admin", "any"))


def test_a_key_expires(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    made, text = keys.add("short", ("decide",), 60_000_000)
    assert made.expires is not None
    assert keys.find(text.encode()) == made
    assert keys.find(text.encode(), made.expires - 1) == made
    assert keys.find(text.encode(), made.expires) is None
    assert made.state(made.expires) == "expired"


def test_a_key_is_revoked_by_its_name_or_its_beginning(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    _, one = keys.add("one", ("decide",))
    _, two = keys.add("two", ("decide",))
    keys.revoke("one")
    keys.revoke(two[:12])
    assert keys.find(one.encode()) is keys.find(two.encode()) is None
    assert [k.state(now()) for k in keys.keys] == ["revoked", "revoked"]
    with pytest.raises(KeysError, match="there is no key `one`"):
        keys.revoke("one")
    keys.add("one", ("decide",))  # the name is free again


@pytest.mark.parametrize(
    ("name", "scopes", "lasts"),
    [
        ("", ("decide",), None),
        (" a", ("decide",), None),
        ("a\n", ("decide",), None),
        ("x" * 101, ("decide",), None),
        ("a", (), None),
        ("a", ("all",), None),
        ("a", ("decide",), 0),
        ("taken", ("decide",), None),
    ],
)
def test_a_key_that_cannot_be(name: str, scopes: tuple[str, ...], lasts: int | None, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    keys.add("taken", ("read",))
    with pytest.raises(KeysError):
        keys.add(name, scopes, lasts)  # type: ignore[arg-type]
    assert [k.name for k in Keys(tmp_path / "keys.json").keys] == ["taken"]


GOOD = {"id": "abcdefgh", "name": "a", "scopes": ["decide"], "hash": "0" * 64, "made": 1}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"key": []}',
        json.dumps({"keys": [{**GOOD, "scopes": ["root"]}]}),
        json.dumps({"keys": [{**GOOD, "hash": "00"}]}),
        json.dumps({"keys": [{**GOOD, "id": "ABCDEFGH"}]}),
        json.dumps({"keys": [{**GOOD, "more": 1}]}),
        json.dumps({"keys": [GOOD, {**GOOD, "name": "b"}]}),
        "[" * 5_000,
    ],
)
def test_a_file_that_holds_no_keys_is_told_and_never_taken_for_an_empty_one(
    content: str, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(KeysError, match="does not hold keys"):
        Keys(file)


def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    Keys(file).add("a", ("decide",))
    file.chmod(0o620)
    with pytest.raises(KeysError, match="written by others"):
        Keys(file)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir()
    with pytest.raises(KeysError, match="it is a folder, and no ordinary file"):
        Keys(tmp_path / "keys.json")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeysError, match="it is a named pipe, and no"):
        Keys(tmp_path / "pipe")


def test_a_file_with_more_keys_than_can_be_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading them holds up what is being decided."""
    file = tmp_path / "keys.json"
    for name in "abc":
        Keys(file).add(name, ("decide",))
    monkeypatch.setattr("quell.engine.keys.MAX_KEYS", 2)
    with pytest.raises(KeysError, match="more than 2 keys"):
        Keys(file)


def _add(folder: str, number: int) -> None:
    Keys(Path(folder) / "keys.json").add(f"k{number}", ("decide",))


def test_keys_that_are_made_at_once_are_all_kept(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.starmap(_add, [(str(tmp_path), n) for n in range(12)])
    assert len(Keys(tmp_path / "keys.json").keys) == 12
    assert not list(tmp_path.glob("*.part"))


def test_what_cannot_be_written_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(tmp_path / "keys.json")
    keys.add("a", ("decide",))
    before = (tmp_path / "keys.json").read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("quell.engine.keys.os.fsync", full)
    with pytest.raises(KeysError, match="no space left"):
        keys.add("b", ("decide",))
    assert (tmp_path / "keys.json").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["keys.json", "keys.lock"]


# -------------------------------------------------------------------------- the command


def test_the_command_makes_lists_and_revokes(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    made = quell("keys", "add", "gateway", "--scope", "decide", "--expires", "90d", *data)
    text = made.stdout.strip()
    assert made.exit_code == 0
    assert text.startswith("qk_")
    assert "only now" in made.stderr
    listed = quell("keys", "list", *data)
    assert "gateway" in listed.stdout
    assert text[:11] in listed.stdout
    assert text not in listed.stdout
    shown = json.loads(quell("keys", "list", "--json", *data).stdout)
    assert (shown[0]["state"], shown[0]["scopes"]) == ("live", ["decide"])
    assert "hash" not in shown[0]
    assert quell("keys", "revoke", "gateway", *data).exit_code == 0
    assert json.loads(quell("keys", "list", "--json", *data).stdout)[0]["state"] == "revoked"
    assert Keys(tmp_path / "data" / "keys.json").find(text.encode()) is None


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["add", "a"], 2, "scope"),
        (["add", "a", "--scope", "all"], 2, "all"),
        (["add", "a", "--scope", "read", "--expires", "soon"], 2, "90d"),
        (["add", "\x1b[31m", "--scope", "read"], 3, "letters"),
        (["revoke", "nobody"], 3, "there is no key `nobody`"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], status: int, told: str, tmp_path: Path) -> None:
    ended = quell("keys", *arguments, "--data", str(tmp_path))
    assert ended.exit_code == status
    assert told in ended.stderr
    assert "\x1b[31m" not in ended.stderr


def test_its_help_names_every_scope() -> None:
    assert command.help is not None
    assert all(scope in command.help for scope in ("decide", "read", "admin"))
    assert msgspec.json.encode({}) == b"{}"
