"""The operator's settings of a service: service.toml, read strictly, everything wrong told at once.

    settings = read_settings(Path("data/service.toml"))        # raises SettingsError

quell.toml belongs to the policies and those who write them; service.toml to the machine that serves them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import msgspec

from quell.engine.http_pressure import Limits
from quell.engine.idempotency import BOUNDS
from quell.engine.plain_files import stream_plain
from quell.engine.reload_process import TIME
from quell.grammar.diagnostics import did_you_mean
from quell.grammar.literals import MICROS, LiteralError, duration, spell_duration

FILE = "service.toml"
MAX_FILE = 1 << 18
PORT = 8600
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,6})?(?:us|ms|s|m|h|d|w))+")
_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))? ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)", re.IGNORECASE)
_UNITS = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}


class Wrong(NamedTuple):
    """One mistake in the settings, and what to try."""

    message: str
    hint: str = ""


class SettingsError(Exception):
    """Settings that cannot be: every mistake."""

    def __init__(self, wrong: list[Wrong]) -> None:
        super().__init__("; ".join(w.message for w in wrong))
        self.wrong = wrong


class Listen(msgspec.Struct, frozen=True):
    """Where a service listens, and with which certificate. `connections` may be open at once, 0 for as many
    as the machine gives; `grace` is how many seconds requests under way get when it closes."""

    host: str = "127.0.0.1"
    port: int = PORT
    tls_cert: str | None = None
    tls_key: str | None = None
    connections: int = 0
    grace: float = 10.0


class JournalSettings(msgspec.Struct, frozen=True):
    """The journal: `durability`, bytes of a segment, and how long (microseconds) and how much (bytes) of it
    is kept, None for all."""

    durability: Literal["each", "batch", "off"] = "batch"
    segment: int = 64 << 20
    keep_age: int | None = None
    keep_bytes: int | None = None


class SnapshotSettings(msgspec.Struct, frozen=True):
    """Snapshots: after how many entries of the journal (None: as often as a restart stays quick), and how
    many are kept."""

    every: int | None = None
    keep: int = 5


class EventSettings(msgspec.Struct, frozen=True):
    """Events: how far ahead of the clock one may be dated, in seconds, None for any; how long a decision may
    take at most, in seconds, None for as long as its models wait; how many may wait at once."""

    ahead: float | None = 300.0
    deadline: float | None = None
    in_flight: int = 10_000


class KeySettings(msgspec.Struct, frozen=True):
    """Idempotency-Keys: how many are remembered at most, and for how long, in microseconds."""

    keys: int = BOUNDS.most
    age: int = BOUNDS.age


class ReloadSettings(msgspec.Struct, frozen=True):
    """Reloads: how many seconds checking the policies and running their tests may take."""

    check: float = TIME


class LogSettings(msgspec.Struct, frozen=True):
    """The log: as text or JSON (`auto`: text on a terminal), from which level on, and whether it may hold
    what is in events."""

    format: Literal["auto", "text", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    content: bool = False


class ServiceSettings(msgspec.Struct, frozen=True):
    """All settings of a service. `sinks` are as they stand in the file, for the outbox to read."""

    listen: Listen = Listen()
    limits: Limits = Limits()
    journal: JournalSettings = JournalSettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    events: EventSettings = EventSettings()
    idempotency: KeySettings = KeySettings()
    reload: ReloadSettings = ReloadSettings()
    log: LogSettings = LogSettings()
    sinks: Mapping[str, Any] = {}


def read_settings(file: Path, must: bool = False) -> ServiceSettings:
    """The settings in a file; those that hold without one if it is not there, unless it `must` be. Raises
    SettingsError."""
    try:
        if not must and not (file.exists() or file.is_symlink()):
            return ServiceSettings()
        with stream_plain(file) as opened:
            data = opened.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise ValueError(f"it is larger than {MAX_FILE >> 10} KB")
        said = tomllib.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise SettingsError([Wrong(f"`{file}` cannot be read: it nests too deeply")]) from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise SettingsError([Wrong(f"`{file}` cannot be read: {reason}")]) from None
    except ValueError as error:
        raise SettingsError([Wrong(f"`{file}` cannot be read: {error}")]) from None
    wrong: list[Wrong] = []
    made = settings_of(said, wrong)
    if wrong:
        raise SettingsError(wrong)
    return made


def settings_of(said: Mapping[str, Any], wrong: list[Wrong]) -> ServiceSettings:
    """Settings from what service.toml says; everything unknown or of the wrong kind is added to `wrong`."""
    sections: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    for name, content in said.items():
        if name == "sinks":
            continue
        if name not in _SECTIONS or not isinstance(content, dict):
            known = (*_SECTIONS, "sinks")
            hint = did_you_mean(name, known) or "it has " + ", ".join(f"[{k}]" for k in known)
            wrong.append(Wrong(f"{FILE} has no section [{name}]", hint))
            continue
        sections[name] = _section(name, content, wrong)
    sinks = said.get("sinks", {})
    if not isinstance(sinks, dict) or not all(isinstance(content, dict) for content in sinks.values()):
        wrong.append(Wrong("[sinks] holds one section for each sink", "write [sinks.mod-queue]"))
        sinks = {}
    _check_tls(sections["listen"], wrong)
    return ServiceSettings(
        Listen(**sections["listen"]),
        Limits(**sections["limits"]),
        JournalSettings(**sections["journal"]),
        SnapshotSettings(**sections["snapshots"]),
        EventSettings(**sections["events"]),
        KeySettings(**sections["idempotency"]),
        ReloadSettings(**sections["reload"]),
        LogSettings(**sections["log"]),
        sinks,
    )


def _section(name: str, content: Mapping[str, Any], wrong: list[Wrong]) -> dict[str, Any]:
    known = _SECTIONS[name]
    found: dict[str, Any] = {}
    for key, value in content.items():
        read = known.get(key)
        if read is None:
            hint = did_you_mean(key, known) or "it has " + ", ".join(known)
            wrong.append(Wrong(f"[{name}] has no setting `{key}`", hint))
            continue
        try:
            found[key] = read(value)
        except _Unfit as error:
            wrong.append(Wrong(f"`{key}` in [{name}] must be {error.what}", f"write {key} = {error.example}"))
    return found


def _check_tls(listen: Mapping[str, Any], wrong: list[Wrong]) -> None:
    if ("tls_cert" in listen) != ("tls_key" in listen):
        wrong.append(Wrong("`tls_cert` and `tls_key` in [listen] belong together", "name both files"))


# ------------------------------------------------------------------ values


class _Unfit(Exception):
    """A value that is not what a setting must be: what that is, and an example."""

    def __init__(self, what: str, example: str) -> None:
        super().__init__(what)
        self.what, self.example = what, example


Read = Callable[[Any], Any]


def _text(example: str) -> Read:
    def read(value: Any) -> str:
        if isinstance(value, str) and value.strip() and "\0" not in value and len(value) <= 1_000:
            return value
        raise _Unfit("text", f'"{example}"')

    return read


def _whole(least: int, most: int, example: int) -> Read:
    def read(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise _Unfit(f"a whole number from {least:,} to {most:,}", str(example))

    return read


def _yes(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _Unfit("true or false", "false")


def _one_of(*words: str) -> Read:
    def read(value: Any) -> str:
        if value in words:
            return cast(str, value)
        raise _Unfit("one of " + ", ".join(words), f'"{words[0]}"')

    return read


def span(value: Any, least: int = 1, most: int = 100_000 * MICROS["d"]) -> int:
    """A duration as settings have it, in microseconds. Raises ValueError."""
    if isinstance(value, str) and len(value) <= 100 and _DURATION.fullmatch(value):
        with suppress(LiteralError):
            micros = duration(value)
            if least <= micros <= most:
                return micros
    raise ValueError(f"a duration from {spell_duration(least)} to {spell_duration(most)}")


def size(value: Any, least: int = 1, most: int = 1 << 60) -> int:
    """A size as settings have it, in bytes: `10GB`, `64MiB`. Raises ValueError."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) and len(value) <= 40 else None
    if found is not None:
        unit, fraction = _UNITS[found[3].lower()], found[2] or ""
        amount: int = int(found[1] + fraction) * unit // 10 ** len(fraction)
        if least <= amount <= most:
            return amount
    raise ValueError(f"a size from {_spelt(least)} to {_spelt(most)}")


def _spelt(amount: int) -> str:
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if amount >= (of := _UNITS[unit.lower()]) and amount % of == 0:
            return f"{amount // of}{unit}"
    return f"{amount}B"


def _micros(least: int, most: int, example: str) -> Read:
    def read(value: Any) -> int:
        try:
            return span(value, least, most)
        except ValueError as error:
            raise _Unfit(str(error), f'"{example}"') from None

    return read


def _seconds(least: int, most: int, example: str) -> Read:
    def read(value: Any) -> float:
        micros: int = _micros(least, most, example)(value)
        return micros / 1e6

    return read


def _or_none(word: str, read: Read) -> Read:
    def either(value: Any) -> Any:
        return None if value == word else read(value)

    return either


def _bytes(least: int, most: int, example: str) -> Read:
    def read(value: Any) -> int:
        try:
            return size(value, least, most)
        except ValueError as error:
            raise _Unfit(str(error), f'"{example}"') from None

    return read


_MS, _S, _D = MICROS["ms"], MICROS["s"], MICROS["d"]
_SECTIONS: dict[str, dict[str, Read]] = {
    "listen": {
        "host": _text("127.0.0.1"),
        "port": _whole(0, 65_535, PORT),
        "tls_cert": _text("/etc/quell/cert.pem"),
        "tls_key": _text("/etc/quell/key.pem"),
        "connections": _whole(1, 1_000_000, 10_000),
        "grace": _seconds(_MS, 3_600 * _S, "10s"),
    },
    "limits": {
        "body": _bytes(1_000, 1 << 26, "1MiB"),
        "bulk": _bytes(1_000, 1 << 32, "64MiB"),
        "events": _whole(1, 1_000_000, 10_000),
        "bodies": _bytes(1 << 20, 1 << 40, "256MiB"),
        "under_way": _whole(1, 1_000_000, 10_000),
        "lag": _seconds(_MS, 60 * _S, "200ms"),
        "patience": _seconds(_MS, 600 * _S, "500ms"),
        "body_timeout": _seconds(100 * _MS, 3_600 * _S, "10s"),
        "pause": _seconds(_S, 86_400 * _S, "60s"),
    },
    "journal": {
        "durability": _one_of("batch", "each", "off"),
        "segment": _bytes(1 << 16, 1 << 34, "64MiB"),
        "keep_age": _micros(3_600 * _S, 36_600 * _D, "90d"),
        "keep_bytes": _bytes(1 << 20, 1 << 50, "10GB"),
    },
    "snapshots": {"every": _whole(1_000, 1 << 40, 100_000), "keep": _whole(1, 1_000, 3)},
    "events": {
        "ahead": _or_none("any", _seconds(1, 36_600 * _D, "5m")),
        "deadline": _seconds(_MS, 600 * _S, "500ms"),
        "in_flight": _whole(1, 1_000_000, 10_000),
    },
    "idempotency": {
        "keys": _whole(1_000, 100_000_000, 1_000_000),
        "age": _micros(60 * _S, 366 * _D, "24h"),
    },
    "reload": {"check": _seconds(_S, 86_400 * _S, "2m")},
    "log": {
        "format": _one_of("auto", "text", "json"),
        "level": _one_of("info", "debug", "warning", "error"),
        "content": _yes,
    },
}
