"""service.toml: read strictly, everything wrong told at once."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.engine.service_settings import (
    ServiceSettings,
    SettingsError,
    Wrong,
    read_settings,
    settings_of,
    size,
    span,
)

FULL = """
[listen]
host = "0.0.0.0"
port = 443
tls_cert = "/etc/cert.pem"
tls_key = "/etc/key.pem"
connections = 500
grace = "5s"

[limits]
body = "256KiB"
bulk = "8MB"
events = 500
under_way = 200
lag = "50ms"
patience = "1s"
body_timeout = "2.5s"
pause = "30s"

[journal]
durability = "each"
segment = "16MiB"
keep_age = "30d"
keep_bytes = "10GB"

[snapshots]
every = 5_000
keep = 2

[events]
ahead = "1m"
deadline = "250ms"
in_flight = 100

[reload]
check = "10m"

[log]
format = "json"
level = "warning"
content = true

[sinks.mod-queue]
url = "https://example.org/hook"
"""


def read(text: str) -> tuple[ServiceSettings, list[Wrong]]:
    wrong: list[Wrong] = []
    return settings_of(tomllib.loads(text), wrong), wrong


def test_every_setting_is_read() -> None:
    made, wrong = read(FULL)
    assert not wrong
    assert (made.listen.host, made.listen.port, made.listen.connections, made.listen.grace) == (
        "0.0.0.0",
        443,
        500,
        5.0,
    )
    assert (made.limits.body, made.limits.bulk, made.limits.lag) == (256 << 10, 8_000_000, 0.05)
    assert (made.limits.body_timeout, made.limits.pause, made.limits.patience) == (2.5, 30.0, 1.0)
    assert (made.journal.durability, made.journal.segment) == ("each", 16 << 20)
    assert (made.journal.keep_age, made.journal.keep_bytes) == (30 * 86_400_000_000, 10 * 10**9)
    assert (made.snapshots.every, made.snapshots.keep) == (5_000, 2)
    assert (made.events.ahead, made.events.deadline, made.events.in_flight) == (60.0, 0.25, 100)
    assert made.reload.check == 600.0
    assert (made.log.format, made.log.level, made.log.content) == ("json", "warning", True)
    assert made.sinks == {"mod-queue": {"url": "https://example.org/hook"}}


def test_nothing_said_is_what_holds_without_a_file(tmp_path: Path) -> None:
    assert read("") == (ServiceSettings(), [])
    assert read_settings(tmp_path / "service.toml") == ServiceSettings()
    with pytest.raises(SettingsError, match="no such file"):
        read_settings(tmp_path / "service.toml", must=True)


def test_events_may_be_dated_at_will() -> None:
    assert read('[events]\nahead = "any"')[0].events.ahead is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[lisen]", "service.toml has no section [lisen]", "did you mean `listen`?"),
        ("port = 1", "service.toml has no section [port]", "it has [listen], "),
        ("listen = 3", "service.toml has no section [listen]", ""),
        ('[listen]\nhots = "x"', "[listen] has no setting `hots`", "did you mean `host`?"),
        (
            "[listen]\nport = 70000",
            "`port` in [listen] must be a whole number from 0 to 65,535",
            "port = 8600",
        ),
        ("[listen]\nport = true", "`port` in [listen] must be a whole number", ""),
        ('[listen]\nport = "80"', "`port` in [listen] must be a whole number", ""),
        ('[listen]\nhost = ""', "`host` in [listen] must be text", '"127.0.0.1"'),
        ('[listen]\ntls_cert = "a.pem"', "`tls_cert` and `tls_key` in [listen] belong together", ""),
        ('[limits]\nbody = "1 parsec"', "`body` in [limits] must be a size from 1000B to 64MiB", '"1MiB"'),
        ("[limits]\nbody = 4096", "`body` in [limits] must be a size", ""),
        ('[limits]\nbody = "65MiB"', "`body` in [limits] must be a size", ""),
        ("[limits]\nlag = 0.2", "`lag` in [limits] must be a duration from 1ms to 1m", 'lag = "200ms"'),
        ('[journal]\ndurability = "sometimes"', "`durability` in [journal] must be one of batch", ""),
        ('[journal]\nkeep_age = "1s"', "`keep_age` in [journal] must be a duration from 1h", ""),
        ("[log]\ncontent = 1", "`content` in [log] must be true or false", ""),
        ("[sinks]\nurl = 3", "[sinks] holds one section for each sink", "[sinks.mod-queue]"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_try(text: str, message: str, hint: str) -> None:
    _, wrong = read(text)
    assert len(wrong) == 1
    assert wrong[0].message.startswith(message)
    assert hint in wrong[0].hint


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "service.toml"
    file.write_text('[listen]\nport = -1\nhots = 1\n[log]\nlevel = "loud"\n[jurnal]\n')
    with pytest.raises(SettingsError) as raised:
        read_settings(file)
    assert len(raised.value.wrong) == 4


@pytest.mark.parametrize("content", [b"[", b"\xff", b"a = " + b"[" * 3_000, b"#" * (1 << 19)])
def test_a_file_that_cannot_be_read(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "service.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(file)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="it is a folder, and no ordinary file"):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("1B", 1),
        ("1.5kB", 1_500),
        ("10GB", 10**10),
        ("2 MiB", 2 << 20),
        ("1gib", 1 << 30),
        ("0.5TiB", 1 << 39),
    ],
)
def test_sizes(text: str, bytes_: int) -> None:
    assert size(text) == bytes_


def test_durations() -> None:
    assert [span("30d"), span("1h30m"), span("250ms")] == [2_592_000_000_000, 5_400_000_000, 250_000]


@given(st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.none(), st.lists(st.text(max_size=2))))
def test_no_value_is_more_than_wrong(value: object) -> None:
    for read_ in (size, span):
        try:
            found = read_(value)
        except ValueError:
            continue
        assert found >= 1


@given(
    st.dictionaries(
        st.sampled_from(["listen", "limits", "journal", "events", "log", "sinks", "x"]),
        st.one_of(
            st.integers(),
            st.dictionaries(
                st.sampled_from(["port", "host", "lag", "body", "level", "ahead", "durability", "y"]),
                st.one_of(
                    st.text(max_size=5), st.integers(), st.booleans(), st.floats(), st.lists(st.none())
                ),
                max_size=4,
            ),
        ),
        max_size=4,
    )
)
def test_no_file_is_more_than_wrong(said: dict[str, object]) -> None:
    wrong: list[Wrong] = []
    made = settings_of(said, wrong)
    assert wrong or isinstance(made, ServiceSettings)
