"""The sinks of a service, from the sections `[sinks.NAME]` of its settings, checked to the last of them.

    [sinks.mod-queue]                        # what `send "mod-queue"` in a policy goes to
    url = "https://mods.example.com/quell"
    secret_env = "MOD_QUEUE_SECRET"          # the environment variable with the secret that signs; or a list
    headers = { Authorization = "Bearer env:MOD_QUEUE_TOKEN" }
    allow = ["10.20.0.0/16"]                 # internal addresses that it may have, and those without TLS
    concurrency = 4                          # messages under way at once; with 1 they come in order
    timeout = "10s"                          # for each attempt
    first_pause = "1s"                       # doubled with every attempt, at random below that
    longest_pause = "5m"
    give_up_after = "24h"                    # then it is a dead letter
    attempts = 100                           # or after so many; without it, however many there are

    [sinks.audit]
    file = "/var/log/quell/audit.jsonl"      # in order; timeout, pauses and the rest as above

Only the address is needed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from quell.engine.bundle_remote import header_fault, url_fault
from quell.engine.outbox_types import Delivery, Sink
from quell.engine.sink_addresses import Network
from quell.engine.sink_file import FILE_DELIVERY, FileSink
from quell.engine.sink_webhook import Webhook, WebhookSettings
from quell.grammar.diagnostics import did_you_mean
from quell.grammar.literals import MICROS, LiteralError, duration, spell_duration
from quell.signals.remote_secrets import SECRET, is_sendable

Tell = Callable[[str, str | None], None]
"""Is told what is wrong, and what to try."""

_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:us|ms|s|m|h|d|w))+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TIMES: dict[str, tuple[int, int, str, str]] = {
    "timeout": (10 * MICROS["ms"], 10 * MICROS["m"], "timeout", "10s"),
    "give_up_after": (MICROS["s"], 366 * MICROS["d"], "age", "24h"),
    "first_pause": (MICROS["ms"], MICROS["h"], "base", "1s"),
    "longest_pause": (MICROS["ms"], MICROS["d"], "most", "5m"),
}
"""Least, greatest, its name in Delivery, an example."""
_COUNTS = {"concurrency": (1, 1_000), "attempts": (1, 1_000_000)}
_BOTH = (*_TIMES, "attempts")
_WEBHOOK = ("url", "secret_env", "headers", "allow", "concurrency", *_BOTH)
_FILE = ("file", *_BOTH)
_KNOWN = tuple(dict.fromkeys((*_WEBHOOK, *_FILE)))
_OURS = ("idempotency-key", "quell-signature")
MOST_NAME = 200


class SinkSettings(msgspec.Struct, frozen=True):
    """A `[sinks.NAME]`: a webhook at `url` or a `file`. No secret is held here: `secrets` are names of
    environment variables, `headers` are as written."""

    name: str
    url: str = ""
    file: str = ""
    secrets: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    allow: tuple[Network, ...] = ()
    delivery: Delivery = Delivery()


def read_sinks(said: Any, tell: Tell) -> dict[str, SinkSettings]:
    """The sinks in the section `[sinks]` by name. Everything unknown or wrong is told at once; a sink with a
    mistake in it is left out."""
    if said is None:
        return {}
    if not isinstance(said, Mapping) or not all(isinstance(section, Mapping) for section in said.values()):
        hint = 'write [sinks.mod-queue] and below it url = "https://…"'
        tell("[sinks] holds one section for each sink", hint)
        return {}
    found = {}
    for name, section in said.items():
        if not 0 < len(name) <= MOST_NAME or not name.isprintable():
            tell("[sinks] has a name that is none", "write [sinks.mod-queue]")
            continue
        reading = _Section(name, section, tell)
        settings = reading.settings()
        if not reading.wrong:
            found[name] = settings
    return found


class _Section:
    """One `[sinks.NAME]` while it is read."""

    def __init__(self, name: str, said: Mapping[str, Any], tell: Tell) -> None:
        self.name = name
        self.said = said
        self.wrong = False
        self._tell = tell

    def _fault(self, what: str, hint: str | None = None) -> None:
        self.wrong = True
        self._tell(f"[sinks.{self.name}] {what}", hint)

    def settings(self) -> SinkSettings:
        is_file = "file" in self.said
        if is_file == ("url" in self.said):
            hint = 'write url = "https://…" or file = "/var/log/quell/sent.jsonl"'
            self._fault("says not where it goes" if not is_file else "has both a `url` and a `file`", hint)
        else:
            self._check_names(_FILE if is_file else _WEBHOOK, "a file" if is_file else "a webhook")
        return SinkSettings(
            self.name,
            url=self._url(),
            file=self._file(),
            secrets=self._secrets(),
            headers=self._headers(),
            allow=self._allow(),
            delivery=self._delivery(FILE_DELIVERY if is_file else Delivery()),
        )

    def _check_names(self, known: tuple[str, ...], what: str) -> None:
        for key in self.said:
            if key in known:
                continue
            if key in _KNOWN:
                self._fault(f"has a setting `{key}`, which {what} does not have", "leave it out")
            else:
                hint = did_you_mean(key, known) or "it has " + ", ".join(known)
                self._fault(f"has no setting `{key}`", hint)

    # ------------------------------------------------------------------ where it goes

    def _url(self) -> str:
        if "url" not in self.said:
            return ""
        said = self.said["url"]
        fault = url_fault(said, 'write url = "https://mods.example.com/quell"')
        if fault is not None:
            self._fault(*fault)
            return ""
        parts = urlsplit(said)
        if parts.scheme == "http" and not self.said.get("allow"):
            hint = 'write https://, or allow = ["127.0.0.0/8"] for a service on this machine'
            self._fault("has a `url` that is not encrypted, and `allow` names no addresses for that", hint)
        return str(said)

    def _file(self) -> str:
        if "file" not in self.said:
            return ""
        said = self.said["file"]
        if not isinstance(said, str) or not 0 < len(said) <= 4_000 or "\0" in said or said.endswith("/"):
            self._fault("needs a `file` that is the name of one", 'write file = "/var/log/quell/sent.jsonl"')
            return ""
        return said

    def _allow(self) -> tuple[Network, ...]:
        said = self.said.get("allow", [])
        if not isinstance(said, list) or not all(isinstance(text, str) for text in said):
            self._fault("needs an `allow` that is a list of networks", 'write allow = ["10.0.0.0/8"]')
            return ()
        found: list[Network] = []
        for text in said:
            try:
                found.append(ip_network(text))
            except ValueError:
                hint = 'write allow = ["10.0.0.0/8", "192.168.7.1/32"]'
                with contextlib.suppress(ValueError):  # bits beyond the network's
                    hint = f'write "{ip_network(text, strict=False)}"'
                self._fault(f"has an `allow` with `{text[:100]}`, which is no network", hint)
        return tuple(found)

    # ------------------------------------------------------------------ what it sends along

    def _secrets(self) -> tuple[str, ...]:
        if "secret_env" not in self.said:
            return ()
        said = self.said["secret_env"]
        names = said if isinstance(said, list) else [said]
        if not 1 <= len(names) <= 5 or not all(isinstance(n, str) and _VARIABLE.fullmatch(n) for n in names):
            hint = 'write secret_env = "MOD_QUEUE_SECRET", and put the secret into the environment'
            self._fault("needs a `secret_env` that is the name of an environment variable", hint)
            return ()
        return tuple(names)

    def _headers(self) -> tuple[tuple[str, str], ...]:
        said = self.said.get("headers", {})
        if not isinstance(said, Mapping):
            self._fault("needs `headers` by name", 'write headers = { Authorization = "env:MOD_TOKEN" }')
            return ()
        seen: set[str] = set(_OURS)
        found: list[tuple[str, str]] = []
        for name, value in said.items():
            if name.lower() in _OURS:
                self._fault(f"sets the header `{name}`, which Quell sets itself", "leave it out")
                continue
            fault = header_fault(name, value, seen)
            seen.add(name.lower())
            if fault is None:
                found.append((name, value))
            else:
                self._fault(*fault)
        return tuple(found)

    # ------------------------------------------------------------------ figures

    def _delivery(self, usual: Delivery) -> Delivery:
        found: dict[str, Any] = {}
        for key, (least, most, field, example) in _TIMES.items():
            if key in self.said:
                value = self._time(key, least, most, example)
                if value is not None:
                    found[field] = value / MICROS["s"]
        for key, (least, most) in _COUNTS.items():
            if key in self.said:
                value = self.said[key]
                if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
                    found[key] = value
                else:
                    article = "an" if key[0] in "aeiou" else "a"
                    self._fault(f"needs {article} `{key}` that is a whole number from {least} to {most:,}")
        return msgspec.structs.replace(usual, **found)

    def _time(self, key: str, least: int, most: int, example: str) -> int | None:
        written = self.said[key]
        if isinstance(written, str) and len(written) <= 100 and _DURATION.fullmatch(written):
            try:
                value = duration(written)
            except LiteralError:
                value = most + 1
            if least <= value <= most:
                return value
        bounds = f"from {spell_duration(least)} to {spell_duration(most)}"
        self._fault(f"needs a `{key}` that is a duration {bounds}", f'write {key} = "{example}"')
        return None


# ---------------------------------------------------------------------- opening


def open_sinks(
    settings: Mapping[str, SinkSettings], tell: Tell, environ: Mapping[str, str], base: Path
) -> dict[str, Sink]:
    """Sinks that can be delivered to. A relative `file` lies below `base`. What is wrong with the world about
    them is told, all at once: secrets that the environment has not, folders that are not there."""
    found: dict[str, Sink] = {}
    for name, one in settings.items():
        sink = _file_sink(one, tell, base) if one.file else _webhook(one, tell, environ)
        if sink is not None:
            found[name] = sink
    return found


def _file_sink(settings: SinkSettings, tell: Tell, base: Path) -> FileSink | None:
    path = base / settings.file
    where = f"[sinks.{settings.name}]"
    if not path.parent.is_dir():
        tell(f"{where} writes into `{path.parent}`, which is no folder", "make it first")
    elif path.exists() and not path.is_file():
        tell(f"{where} writes to `{path}`, which is no ordinary file", "name a file")
    else:
        return FileSink(path, settings.delivery)
    return None


def _webhook(settings: SinkSettings, tell: Tell, environ: Mapping[str, str]) -> Webhook | None:
    where, faults = f"[sinks.{settings.name}]", 0

    def secret(name: str, what: str) -> str:
        nonlocal faults
        held = environ.get(name, "").strip()
        if not held:
            tell(
                f"the environment has no `{name}`, which {what} of {where} needs",
                f"set `{name}` where `quell serve` is started",
            )
            faults += 1
        return held

    secrets = tuple(secret(name, "the signature") for name in settings.secrets)
    headers: dict[str, str] = {}
    for header, written in settings.headers:
        match = SECRET.fullmatch(written)
        if match is None:
            headers[header] = written
            continue
        held = secret(match["name"], f"the header `{header}`")
        if held and not is_sendable(held):
            tell(
                f"`{match['name']}` holds characters that the header `{header}` of {where} cannot carry", None
            )
            faults += 1
        headers[header] = match["before"] + held
    if faults:
        return None
    made = WebhookSettings(settings.name, settings.url, settings.delivery, secrets, headers, settings.allow)
    return Webhook(made)
