"""A bundle on disk: its policy files, list files and settings, read once and within bounds.

Nothing outside the bundle's folder is ever opened: names are resolved, symbolic links too, and what
leads outside is refused.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from quell.engine.bundle_remote import read_remote
from quell.grammar.diagnostics import Report, did_you_mean
from quell.grammar.literals import LiteralError, duration
from quell.grammar.literals import path as read_path
from quell.grammar.parser import MAX_FILE
from quell.grammar.source import Source, Span
from quell.signals.clock import LATENESS
from quell.signals.remote_types import Target

SETTINGS = "quell.toml"
MAX_FILES = 5_000
MAX_LIST_BYTES = 64 << 20
MAX_LATENESS = 366 * 86_400_000_000
"""Microseconds."""
MAX_SETTINGS = 1 << 16
"""Bytes: it holds a few lines, and reading long dotted keys takes the square of their length."""
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:ms|s|m|h|d|w))+")
_KNOWN: dict[str, tuple[str, ...]] = {
    "bundle": ("name", "description"),
    "events": ("type", "max_bytes", "lateness"),
    "counters": ("max_keys",),
}
MAX_KEYS = 5_000_000
"""Keys that a bundle's counters hold together, unless quell.toml says otherwise."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What quell.toml says. `type_path` is where an event's wire name stands; `max_bytes` how long one
    may be, `lateness` how many microseconds an event may be behind the others and still count as of its own
    time; `remote` the targets of remote models by name; `max_keys` how many keys all counters may hold
    together."""

    name: str = ""
    description: str = ""
    type_path: tuple[str | int | None, ...] = ("type",)
    max_bytes: int = 1 << 20
    lateness: int = LATENESS
    remote: Mapping[str, Target] = field(default_factory=dict)
    max_keys: int = MAX_KEYS


@dataclass(slots=True)
class Files:
    """A bundle's files: policy sources by name within the folder, and everything else on demand."""

    name: str
    sources: dict[str, Source] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    root: Path | None = None
    extra: Mapping[str, bytes] = field(default_factory=dict)

    def read(
        self, name: str, span: Span, report: Report, most: int = MAX_LIST_BYTES, otherwise: str | None = None
    ) -> bytes | None:
        """The bytes of a file that a policy names, at most `most`, or None with the reason reported at
        `span`; `otherwise` is what to do where it is not there."""
        if not _inside(name):
            report.add(
                "outside-bundle",
                f'"{name}" leads outside the bundle',
                span,
                hint="name a file within the folder, such as lists/bad_domains.txt",
            )
            return None
        if name in self.extra:
            return self.extra[name]
        if self.root is None:
            report.add("missing-file", f'there is no file "{name}" in the bundle', span, hint=otherwise)
            return None
        return _read_within(self.root, name, span, report, most, otherwise)


def _inside(name: str) -> bool:
    if not name or "\0" in name or "\\" in name or ":" in name or len(name) > 1_000:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _read_within(
    root: Path, name: str, span: Span, report: Report, most: int, otherwise: str | None
) -> bytes | None:
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root.resolve()):
            report.add("outside-bundle", f'"{name}" is a link to a place outside the bundle', span)
            return None
        if not path.is_file():
            hint = ", or ".join(h for h in (did_you_mean(name, _names(root)), otherwise) if h) or None
            report.add("missing-file", f'there is no file "{name}" in the bundle', span, hint=hint)
            return None
        if path.stat().st_size > most:
            report.add("unreadable-file", f'"{name}" is larger than {most >> 20} MB', span)
            return None
        return path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle, before 3.13
        report.add("unreadable-file", f'"{name}" cannot be read: {_reason(error)}', span)
        return None


def _names(root: Path) -> list[str]:
    found = (p for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))
    return [p.relative_to(root).as_posix() for _, p in zip(range(MAX_FILES), found, strict=False)]


def _reason(error: Exception) -> str:
    if isinstance(error, RuntimeError):
        return "it is a link that leads back to itself"
    return (
        (error.strerror or type(error).__name__).lower()
        if isinstance(error, OSError)
        else "its name is not valid"
    )


def read_bundle(folder: str | Path, report: Report) -> Files:
    """The files of a bundle; what cannot be read is reported."""
    root = Path(folder)
    files = Files(root.resolve().name, root=root)
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        report.add(
            "empty-bundle",
            f"`{folder}` {what}",
            Span(str(folder), 0, 0),
            hint="name the folder that holds the .quell files",
        )
        return files
    files.settings = _settings(root, report)
    policies = sorted(
        p
        for p in root.rglob("*.quell")
        if not any(part.startswith(".") for part in p.relative_to(root).parts)
    )
    if len(policies) > MAX_FILES:
        report.add(
            "unreadable-file", f"the bundle has more than {MAX_FILES:,} policy files", Span(str(folder), 0, 0)
        )
        policies = policies[:MAX_FILES]
    for path in policies:
        source = _source(root, path, report)
        if source is not None:
            files.sources[source.name] = source
    if not policies:
        report.add(
            "empty-bundle",
            f"`{folder}` has no policy files",
            Span(str(folder), 0, 0),
            hint="policy files end in .quell; `quell init DIR` makes a bundle to begin from",
        )
    return files


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _source(root: Path, path: Path, report: Report) -> Source | None:
    name = path.relative_to(root).as_posix()
    span = Span(name, 0, 0)
    if not _is_text(name):  # bytes that are no UTF-8: nothing that names the file could be written out
        shown = "".join(c if c.isprintable() else "?" for c in name)
        report.add(
            "unreadable-file",
            f"the name of `{shown}` is not UTF-8",
            Span(shown, 0, 0),
            hint="rename the file",
        )
        return None
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            report.add("outside-bundle", f'"{name}" is a link to a place outside the bundle', span)
            return None
        if path.exists() and not path.is_file():
            report.add("unreadable-file", f"`{name}` is no plain file", span)
            return None
        if path.stat().st_size > 4 * MAX_FILE:
            report.add(
                "unreadable-file",
                f"`{name}` is too large for a policy file",
                span,
                hint="move its data into a list file",
            )
            return None
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before 3.13
        report.add("unreadable-file", f"`{name}` cannot be read: {_reason(error)}", span)
        return None
    except UnicodeDecodeError as error:
        report.add(
            "unreadable-file",
            f"`{name}` is not UTF-8 text (byte {error.start})",
            span,
            hint="save it as UTF-8",
        )
        return None
    if "\0" in text:
        report.add("unreadable-file", f"`{name}` holds a zero byte, so it is not a text file", span)
        return None
    return Source(name, text)


# ----------------------------------------------------------------- settings


def _settings(root: Path, report: Report) -> Settings:
    path = root / SETTINGS
    span = Span(SETTINGS, 0, 0)
    try:
        if not (path.exists() or path.is_symlink()):
            return Settings()
        if not path.resolve().is_relative_to(root.resolve()):
            report.add("outside-bundle", f'"{SETTINGS}" is a link to a place outside the bundle', span)
            return Settings()
        if path.exists() and not path.is_file():
            raise ValueError("it is no plain file")
        if path.stat().st_size > MAX_SETTINGS:
            raise ValueError(f"it is larger than {MAX_SETTINGS >> 10} KB")
        said = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except RecursionError:
        report.add("bad-settings", f"{SETTINGS} cannot be read: it nests too deeply", span)
        return Settings()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle, before 3.13
        detail = str(error) if isinstance(error, ValueError) else _reason(error)
        report.add("bad-settings", f"{SETTINGS} cannot be read: {detail}", span)
        return Settings()
    return read_settings(said, span, report)


def read_settings(said: Mapping[str, Any], span: Span, report: Report) -> Settings:
    """Settings from what quell.toml says; everything unknown or of the wrong kind is reported."""
    for section, content in said.items():
        if section == "remote":
            continue
        if section not in _KNOWN or not isinstance(content, dict):
            report.add(
                "bad-settings",
                f"{SETTINGS} has no section [{section}]",
                span,
                hint=did_you_mean(section, (*_KNOWN, "remote"))
                or "it has [bundle], [events], [counters] and [remote.…]",
            )
            continue
        for key in content:
            if key not in _KNOWN[section]:
                report.add(
                    "bad-settings",
                    f"[{section}] has no setting `{key}`",
                    span,
                    hint=did_you_mean(key, _KNOWN[section]) or "it has " + ", ".join(_KNOWN[section]),
                )
    bundle, events = _section(said, "bundle"), _section(said, "events")
    return Settings(
        _text(bundle, "name", "", span, report),
        _text(bundle, "description", "", span, report),
        _type_path(events, span, report),
        _whole(events, "max_bytes", 1 << 20, 1_000, 1 << 26, span, report),
        _span(events, "lateness", LATENESS, span, report),
        read_remote(said.get("remote"), span, report),
        _whole(_section(said, "counters"), "max_keys", MAX_KEYS, 1, 1 << 40, span, report),
    )


def _section(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    content = said.get(name)
    return content if isinstance(content, dict) else {}


def _text(section: Mapping[str, Any], key: str, default: str, span: Span, report: Report) -> str:
    value = section.get(key, default)
    if isinstance(value, str):
        return value
    report.add("bad-settings", f"`{key}` in {SETTINGS} must be text", span)
    return default


def _whole(
    section: Mapping[str, Any], key: str, default: int, least: int, most: int, span: Span, report: Report
) -> int:
    value = section.get(key, default)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    report.add("bad-settings", f"`{key}` in {SETTINGS} must be a whole number from {least} to {most}", span)
    return default


def _span(section: Mapping[str, Any], key: str, default: int, span: Span, report: Report) -> int:
    written = section.get(key)
    if written is None:
        return default
    if isinstance(written, str) and len(written) <= 100 and _DURATION.fullmatch(written):
        with suppress(LiteralError):
            value = duration(written)
            if 0 < value <= MAX_LATENESS:
                return value
    report.add(
        "bad-settings",
        f"`{key}` in {SETTINGS} must be a duration, at most 366d",
        span,
        hint=f'write {key} = "1h"',
    )
    return default


def _type_path(section: Mapping[str, Any], span: Span, report: Report) -> tuple[str | int | None, ...]:
    written = _text(section, "type", "$.type", span, report)
    try:
        segments = read_path(written) if written.startswith("$") else ()
    except ValueError:
        segments = ()
    if not segments or None in segments:
        report.add(
            "bad-settings",
            f"`type` in {SETTINGS} must be a path to one place",
            span,
            hint='write type = "$.type"',
        )
        return ("type",)
    return segments
