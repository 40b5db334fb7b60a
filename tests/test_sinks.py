"""What service.toml says about sinks, and files as sinks."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine import sinks
from quell.engine.outbox_types import Delivery, Message, Retry
from quell.engine.sink_addresses import inner, kind_of, parsed
from quell.engine.sink_file import FileSink
from quell.engine.sink_webhook import Webhook
from quell.engine.sinks import SinkSettings, open_sinks, read_sinks

URL = "https://mods.example.com/quell"


def told(said: Any) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    read_sinks(said, lambda what, hint: found.append((what, hint)))
    return found


def read(said: Any) -> dict[str, SinkSettings]:
    found: list[Any] = []
    read = read_sinks(said, lambda *what: found.append(what))
    assert found == []
    return read


# ------------------------------------------------------------------ settings


def test_everything_said() -> None:
    found = read(
        {
            "mods": {
                "url": URL,
                "secret_env": ["NEW", "OLD"],
                "headers": {"Authorization": "Bearer env:TOKEN", "X-Team": "mods"},
                "allow": ["10.0.0.0/8", "fd00::/8"],
                "concurrency": 8,
                "timeout": "2s",
                "attempts": 50,
                "give_up_after": "2d",
                "first_pause": "500ms",
                "longest_pause": "10m",
            },
            "audit": {"file": "audit.jsonl"},
            "plain": {"url": "http://127.0.0.1:8000/", "allow": ["127.0.0.0/8"]},
        }
    )
    assert found["mods"] == SinkSettings(
        "mods",
        url=URL,
        secrets=("NEW", "OLD"),
        headers=(("Authorization", "Bearer env:TOKEN"), ("X-Team", "mods")),
        allow=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
        delivery=Delivery(8, 2.0, False, 50, 172_800.0, 0.5, 600.0),
    )
    assert found["audit"].file == "audit.jsonl"
    assert found["audit"].delivery.ordered
    assert found["plain"].delivery == Delivery()
    assert read(None) == read({}) == {}


SETTINGS = (
    "url", "secret_env", "headers", "allow", "concurrency", "timeout", "give_up_after", "first_pause",
    "longest_pause", "attempts",
)  # fmt: skip
WRONG: list[tuple[Any, str, str | None]] = [
    ({"url": URL, "timout": "1s"}, "has no setting `timout`", "did you mean `timeout`?"),
    ({"url": URL, "colour": 1}, "has no setting `colour`",
     "it has " + ", ".join(SETTINGS)),
    ({"file": "x", "allow": []}, "has a setting `allow`, which a file does not have", "leave it out"),
    ({}, "says not where it goes", 'write url = "https://…" or file = "/var/log/quell/sent.jsonl"'),
    ({"url": URL, "file": "x"}, "has both a `url` and a `file`",
     'write url = "https://…" or file = "/var/log/quell/sent.jsonl"'),
    ({"url": 7}, "needs a `url` that is text", 'write url = "https://mods.example.com/quell"'),
    ({"url": "ftp://x"}, "has a `url` that begins with neither http:// nor https://",
     'write url = "https://mods.example.com/quell"'),
    ({"url": "https://me:pw@x/"}, "has a `url` with a name or password in it",
     'write headers = { Authorization = "env:SCAM_TOKEN" }'),
    ({"url": "http://mods.example.com/"},
     "has a `url` that is not encrypted, and `allow` names no addresses for that",
     'write https://, or allow = ["127.0.0.0/8"] for a service on this machine'),
    ({"url": "http://[::1"}, "has a `url` that is no address", 'write url = "https://mods.example.com/quell"'),
    ({"file": ""}, "needs a `file` that is the name of one", 'write file = "/var/log/quell/sent.jsonl"'),
    ({"file": "a\0b"}, "needs a `file` that is the name of one", 'write file = "/var/log/quell/sent.jsonl"'),
    ({"file": "logs/"}, "needs a `file` that is the name of one", 'write file = "/var/log/quell/sent.jsonl"'),
    ({"url": URL, "allow": "10.0.0.0/8"}, "needs an `allow` that is a list of networks",
     'write allow = ["10.0.0.0/8"]'),
    ({"url": URL, "allow": ["10.0.0.1/8"]}, "has an `allow` with `10.0.0.1/8`, which is no network",
     'write "10.0.0.0/8"'),
    ({"url": URL, "allow": ["localhost"]}, "has an `allow` with `localhost`, which is no network",
     'write allow = ["10.0.0.0/8", "192.168.7.1/32"]'),
    ({"url": URL, "secret_env": "s3cret!"},
     "needs a `secret_env` that is the name of an environment variable",
     'write secret_env = "MOD_QUEUE_SECRET", and put the secret into the environment'),
    ({"url": URL, "secret_env": []}, "needs a `secret_env` that is the name of an environment variable",
     'write secret_env = "MOD_QUEUE_SECRET", and put the secret into the environment'),
    ({"url": URL, "headers": []}, "needs `headers` by name",
     'write headers = { Authorization = "env:MOD_TOKEN" }'),
    ({"url": URL, "headers": {"Authorization": "Bearer abc"}}, "holds a secret in the header `Authorization`",
     'put it into the environment and write Authorization = "env:NAME"'),
    ({"url": URL, "headers": {"idempotency-KEY": "1"}},
     "sets the header `idempotency-KEY`, which Quell sets itself", "leave it out"),
    ({"url": URL, "headers": {"Host": "x"}},
     "sets the header `Host`, which Quell sets itself", "leave it out"),
    ({"url": URL, "headers": {"X": "a\r\nY: b"}},
     "needs a header `X` that is text of one line, in ASCII", None),
    ({"url": URL, "timeout": 10}, "needs a `timeout` that is a duration from 10ms to 10m",
     'write timeout = "10s"'),
    ({"url": URL, "timeout": "1d"}, "needs a `timeout` that is a duration from 10ms to 10m",
     'write timeout = "10s"'),
    ({"url": URL, "give_up_after": "9" * 90 + "d"},
     "needs a `give_up_after` that is a duration from 1s to 366d", 'write give_up_after = "24h"'),
    ({"url": URL, "concurrency": True}, "needs a `concurrency` that is a whole number from 1 to 1,000", None),
    ({"url": URL, "attempts": 0}, "needs an `attempts` that is a whole number from 1 to 1,000,000", None),
]  # fmt: skip


@pytest.mark.parametrize(("section", "what", "hint"), WRONG)
def test_what_is_wrong_is_told(section: Any, what: str, hint: str | None) -> None:
    assert told({"mods": section}) == [(f"[sinks.mods] {what}", hint)]
    assert read_sinks({"mods": section, "other": {"url": URL}}, lambda *_: None).keys() == {"other"}


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = told({"a": {"url": 1, "timeout": 2, "x": 3}, "b": {"file": 4}, "": {}, "c\n": {}})
    assert len(found) == 6


def test_sections_that_are_none() -> None:
    nonsense: list[Any] = [[], "x", {"mods": 1}]
    for said in nonsense:
        assert told(said) == [
            (
                "[sinks] holds one section for each sink",
                'write [sinks.mod-queue] and below it url = "https://…"',
            )
        ]


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_keys = st.sampled_from(["url", "file", "secret_env", "headers", "allow", "timeout", "attempts"]) | st.text()


@given(
    st.dictionaries(st.text(max_size=5), st.dictionaries(_keys, _values, max_size=4), max_size=3) | _values
)
def test_whatever_is_said_is_read_or_told(said: Any) -> None:
    found: list[str] = []
    read = read_sinks(said, lambda what, hint: found.append(what))
    if isinstance(said, dict) and len(read) < len(said):
        assert found
    assert all(what.startswith("[sinks") for what in found)


# ------------------------------------------------------------------ opening


def test_opening(tmp_path: Path) -> None:
    settings = read(
        {
            "mods": {"url": URL, "secret_env": "SECRET", "headers": {"Authorization": "Bearer env:TOKEN"}},
            "audit": {"file": "audit.jsonl", "timeout": "5s"},
        }
    )
    found: list[Any] = []
    environ = {"SECRET": " s3cret\n", "TOKEN": "abc"}
    opened = open_sinks(settings, lambda *what: found.append(what), environ, tmp_path)
    assert found == []
    assert isinstance(opened["mods"], Webhook)
    assert isinstance(opened["audit"], FileSink)
    assert opened["audit"].delivery.timeout == 5.0


def test_what_is_wrong_with_the_world_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    settings = read(
        {
            "mods": {"url": URL, "secret_env": "SECRET", "headers": {"A": "env:TOKEN", "B": "env:BAD"}},
            "a": {"file": "nowhere/audit.jsonl"},
            "b": {"file": "folder"},
            "c": {"file": "/dev/null"},
        }
    )
    found: list[tuple[str, str | None]] = []
    opened = open_sinks(settings, lambda *what: found.append(what), {"BAD": "a\nb"}, tmp_path)
    assert opened == {}
    assert [what for what, _ in found] == [
        "the environment has no `SECRET`, which the signature of [sinks.mods] needs",
        "the environment has no `TOKEN`, which the header `A` of [sinks.mods] needs",
        "`BAD` holds characters that the header `B` of [sinks.mods] cannot carry",
        f"[sinks.a] writes into `{tmp_path}/nowhere`, which is no folder",
        f"[sinks.b] writes to `{tmp_path}/folder`, which is no ordinary file",
        "[sinks.c] writes to `/dev/null`, which is no ordinary file",
    ]


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1",
     "64:ff9b::101:101", "2002:101:101::", "2a00:1450::1"],
)  # fmt: skip
def test_public_addresses(address: str) -> None:
    found = parsed(address)
    assert found is not None
    assert kind_of(found) == ""


@given(st.ip_addresses())
def test_what_python_calls_private_is_internal(address: Any) -> None:
    """Python's own list, where it is the narrower one."""
    meant = inner(address)
    if meant.is_private or meant.is_loopback or meant.is_link_local or meant.is_multicast:
        assert kind_of(address) or str(address) in ("192.0.0.9", "192.0.0.10")


# ------------------------------------------------------------------ files


def message(number: int) -> Message:
    return Message("audit", "flood", f"j-{number}-0-x", number, "message", None, 0, "block", {"n": number})


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["number"] for line in path.read_bytes().splitlines()]


async def deliver(sink: FileSink, *which: int) -> list[str]:
    """What came of messages delivered at once: "" or why not."""
    outcomes = await asyncio.gather(*(sink.deliver(message(n)) for n in which), return_exceptions=True)
    for outcome in outcomes:
        assert outcome is None or isinstance(outcome, Retry)
    return ["" if outcome is None else str(outcome) for outcome in outcomes]


def test_lines_are_appended_in_order_and_brought_to_disk_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sent.jsonl"
    path.write_bytes(b'{"number":0}\n')
    synced: list[int] = []
    sync = os.fdatasync

    def noted(file: int) -> None:
        synced.append(os.fstat(file).st_size)
        sync(file)

    monkeypatch.setattr(os, "fdatasync", noted)

    async def main() -> None:
        sink = FileSink(path)
        assert await deliver(sink, *range(1, 501)) == [""] * 500
        assert await deliver(sink, 501) == [""]
        await sink.close()

    asyncio.run(main())
    assert numbers(path) == list(range(502))
    assert len(synced) <= 5
    assert synced[-1] == path.stat().st_size


def test_what_is_torn_at_the_end_stays_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    path.write_bytes(b'{"number":0}\n{"num')

    async def main() -> None:
        sink = FileSink(path)
        await deliver(sink, 1)
        await sink.close()

    asyncio.run(main())
    assert path.read_bytes().splitlines()[:2] == [b'{"number":0}', b'{"num']
    assert json.loads(path.read_bytes().splitlines()[2])["number"] == 1


def test_a_file_that_is_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"

    async def main() -> None:
        sink = FileSink(path)
        await deliver(sink, 1, 2)
        path.rename(tmp_path / "sent.jsonl.1")
        await deliver(sink, 3)
        await sink.close()

    asyncio.run(main())
    assert numbers(tmp_path / "sent.jsonl.1") == [1, 2]
    assert numbers(path) == [3]


def test_a_full_disk_leaves_no_half_line_and_fails_all_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sent.jsonl"
    real, room = os.write, 1_000

    def write(file: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(file, bytes(data)[:room])
        room -= written
        return written

    async def main() -> None:
        nonlocal room
        sink = FileSink(path)
        with monkeypatch.context() as patched:
            patched.setattr("quell.engine.sink_file.os.write", write)
            assert await deliver(sink, 1) == [""]
            full = f"`{path}`: no space left on device"
            assert await deliver(sink, *range(2, 101)) == [full] * 99
            assert numbers(path) == [1]
            room = 10**9
            assert await deliver(sink, *range(2, 101)) == [""] * 99
        await sink.close()

    asyncio.run(main())
    assert numbers(path) == list(range(1, 101))


@pytest.mark.parametrize("place", ["folder", "pipe", "nowhere"])
def test_what_cannot_be_written_is_told(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    if place == "folder":
        path.mkdir()
    elif place == "pipe":
        os.mkfifo(path)
    else:
        path = path / "sent.jsonl"

    async def main() -> None:
        sink = FileSink(path)
        (why,) = await deliver(sink, 1)
        assert {"folder": "it is a folder", "pipe": "it is a named pipe", "nowhere": "no such file"}[
            place
        ] in why
        await sink.close()

    asyncio.run(main())


def test_the_settings_in_the_documentation_are_those_there_are() -> None:
    documented = sinks.__doc__ or ""
    said = tomllib.loads("\n".join(line[4:] for line in documented.splitlines() if line.startswith("    ")))
    found = read(said["sinks"])
    assert set(said["sinks"]["mod-queue"]) == set(SETTINGS)
    assert found["mod-queue"].delivery == Delivery(attempts=100)
    assert found["audit"].delivery.ordered
