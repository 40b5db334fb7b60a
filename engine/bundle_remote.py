"""What quell.toml says about remote models: the sections `[remote.NAME]`, checked to the last setting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from quell.grammar.diagnostics import Report, did_you_mean
from quell.grammar.literals import MICROS, LiteralError, duration, spell_duration
from quell.grammar.source import Span
from quell.signals.remote_secrets import SECRET
from quell.signals.remote_types import Target

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:us|ms|s|m|h|d|w))+")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,2000}[\x21-\x7e])?")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\]")

DEFAULT_LINGER = 2 * MICROS["ms"]
"""How long a question waits for others to share a call with, where calls may carry several."""

_EXAMPLE = 'write url = "https://scam.internal:8080/score"'
_TIMES: dict[str, tuple[int, int]] = {
    "timeout": (MICROS["ms"], 10 * MICROS["m"]),
    "linger": (0, MICROS["s"]),
    "cache": (0, 366 * MICROS["d"]),
}
_COUNTS: dict[str, tuple[int, int]] = {
    "concurrency": (1, 10_000),
    "queue": (0, 1_000_000),
    "batch": (1, 1_000),
    "cache_size": (1, 10_000_000),
}
_KNOWN = ("url", "callable", *_TIMES, *_COUNTS, "version", "breaker", "headers", "late")
_BREAKER = ("failures", "seconds")
_OURS = frozenset(
    (
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    )
)
_SECRET_HEADERS = frozenset(
    ("api-key", "authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token")
)


def read_remote(said: Any, span: Span, report: Report) -> dict[str, Target]:
    """The targets in the section `[remote]` by name; everything unknown or wrong is reported, and a target
    with a mistake in it is still there, so that a policy that names it is not wrong as well."""
    if said is None:
        return {}
    if not isinstance(said, dict) or not all(isinstance(content, dict) for content in said.values()):
        hint = 'write [remote.scam-classifier] and below it url = "http://…"'
        report.add("bad-settings", "[remote] holds one section for each target", span, hint=hint)
        return {}
    targets = {}
    for name, section in said.items():
        if NAME.fullmatch(name):
            targets[name] = _Section(name, section, span, report).target()
        else:
            report.add(
                "bad-settings",
                "the name of a target in [remote] is made of letters, digits, `-`, `_` and `.`",
                span,
                hint="write [remote.scam-classifier]",
            )
    return targets


class _Section:
    """One `[remote.NAME]` while it is read."""

    def __init__(self, name: str, said: Mapping[str, Any], span: Span, report: Report) -> None:
        self.name = name
        self.said = said
        self._span = span
        self._report = report

    def target(self) -> Target:
        for key in self.said:
            if key not in _KNOWN:
                hint = did_you_mean(key, _KNOWN) or "it has " + ", ".join(_KNOWN)
                self._wrong(f"has no setting `{key}`", hint)
        self._check_place()
        times = {key: self._time(key, *bounds) for key, bounds in _TIMES.items() if key in self.said}
        counts = {key: self._count(key, *bounds) for key, bounds in _COUNTS.items() if key in self.said}
        found: dict[str, Any] = {k: v for k, v in (times | counts).items() if v is not None}
        if found.get("batch", 1) > 1:
            found.setdefault("linger", DEFAULT_LINGER)
        return Target(
            self.name,
            url=self._url(),
            callable=self.said.get("callable") is True,
            version=self._version(),
            late=self._late(),
            headers=self._headers(),
            **found,
            **self._breaker(),
        )

    def _wrong(self, what: str, hint: str | None = None) -> None:
        self._report.add("bad-settings", f"[remote.{self.name}] {what}", self._span, hint=hint)

    # ------------------------------------------------------------------ where it is

    def _check_place(self) -> None:
        said = self.said.get("callable", False)
        if not isinstance(said, bool):
            self._wrong("has a `callable` that is neither true nor false")
        elif said and "url" in self.said:
            self._wrong("has a `url` and is `callable`", "a target is a service or a function: leave one out")
        elif said and "headers" in self.said:
            self._wrong("is `callable` and has `headers`", "a function is sent none: leave them out")
        elif not said and "url" not in self.said:
            self._wrong("says not where it is", 'write url = "http://…", or callable = true for a function')

    def _url(self) -> str:
        said = self.said.get("url", "")
        fault = url_fault(said, _EXAMPLE) if "url" in self.said else None
        if fault is not None:
            self._wrong(*fault)
            return ""
        return str(said)

    # ------------------------------------------------------------------ figures

    def _time(self, key: str, least: int, most: int) -> int | None:
        written = self.said[key]
        if isinstance(written, str) and len(written) <= 100 and _DURATION.fullmatch(written):
            try:
                value = duration(written)
            except LiteralError:
                value = most + 1
            if least <= value <= most:
                return value
        bounds = f"from {spell_duration(least)} to {spell_duration(most)}"
        example = {"timeout": "10s", "linger": "2ms", "cache": "5m"}[key]
        self._wrong(f"needs a `{key}` that is a duration {bounds}", f'write {key} = "{example}"')
        return None

    def _count(self, key: str, least: int, most: int, where: Mapping[str, Any] | None = None) -> int | None:
        value = (self.said if where is None else where)[key]
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self._wrong(f"needs a `{key}` that is a whole number from {least} to {most}")
        return None

    def _breaker(self) -> dict[str, int]:
        said = self.said.get("breaker", {})
        if not isinstance(said, dict) or set(said) - set(_BREAKER):
            self._wrong(
                "needs a `breaker` of `failures` and `seconds`",
                "write breaker = { failures = 10, seconds = 10 }; failures = 0 turns it off",
            )
            return {}
        found: dict[str, int] = {}
        if "failures" in said and (failures := self._count("failures", 0, 10_000, said)) is not None:
            found["failures"] = failures
        if "seconds" in said and (seconds := self._count("seconds", 1, 86_400, said)) is not None:
            found["rest"] = seconds * MICROS["s"]
        return found

    # ------------------------------------------------------------------ texts

    def _late(self) -> str:
        said = self.said.get("late", "")
        if isinstance(said, str) and len(said) <= 200 and not said.startswith("quell."):
            return said
        self._wrong("has a `late` that is no type of event", 'write late = "scam_answer"')
        return ""

    def _version(self) -> str:
        said = self.said.get("version", "")
        if isinstance(said, str) and len(said) <= 200:
            return said
        self._wrong("needs a `version` that is text", 'write version = "3"')
        return ""

    def _headers(self) -> tuple[tuple[str, str], ...]:
        said = self.said.get("headers", {})
        if not isinstance(said, dict):
            self._wrong("needs `headers` by name", 'write headers = { Authorization = "env:SCAM_TOKEN" }')
            return ()
        seen: set[str] = set()
        found: list[tuple[str, str]] = []
        for name, value in said.items():
            fault = header_fault(name, value, seen)
            seen.add(name.lower())
            if fault is None:
                found.append((name, value))
            else:
                self._wrong(*fault)
        return tuple(found)


def url_fault(said: Any, example: str) -> tuple[str, str | None] | None:
    """What is wrong with an address, and what to try, as in the `example`. It is not shown: it may hold what
    is secret."""
    if not isinstance(said, str) or not 0 < len(said) <= 2_000:
        return "needs a `url` that is text", example
    if not said.isascii() or any(c <= " " or c == "\x7f" for c in said):
        return "has a `url` with spaces or letters that no address may hold", "spell such letters as %C3%A9"
    try:
        parts = urlsplit(said)
        port = parts.port
    except ValueError:
        return "has a `url` that is no address", example
    if parts.scheme not in ("http", "https"):
        return "has a `url` that begins with neither http:// nor https://", example
    if "@" in parts.netloc:
        hint = 'write headers = { Authorization = "env:SCAM_TOKEN" }'
        return "has a `url` with a name or password in it", hint
    if parts.fragment or "#" in said:
        return "has a `url` with a `#`, which is never sent", "leave out what follows the #"
    host = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc.removesuffix(":")
    if not _HOST.fullmatch(host) or port == 0:
        return "has a `url` that is no address", example
    return None


def header_fault(name: str, value: Any, seen: set[str]) -> tuple[str, str | None] | None:
    """What is wrong with a header, and what to try; its value is not shown."""
    if not _HEADER.fullmatch(name):
        return "names a header that is none", 'write headers = { Authorization = "env:SCAM_TOKEN" }'
    if name.lower() in _OURS:
        return f"sets the header `{name}`, which Quell sets itself", "leave it out"
    if name.lower() in seen:
        return f"sets the header `{name}` twice", "leave one out"
    if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
        return f"needs a header `{name}` that is text of one line, in ASCII", None
    if SECRET.fullmatch(value):
        return None
    if "env:" in value:
        hint = f'write {name} = "env:NAME" or "Bearer env:NAME"'
        return f"names the environment in the header `{name}` in a way that is not read", hint
    if name.lower() in _SECRET_HEADERS:
        hint = f'put it into the environment and write {name} = "env:NAME"'
        return f"holds a secret in the header `{name}`", hint
    return None
