"""Lines of the log: one JSON object each, or text for a terminal. No value can begin a line of its own."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from quell.engine.logs_events import EVENTS, Event

LONGEST = 1_000
"""Characters of one value."""
MOST = 20
"""Elements of a list that are written."""
FRAMES = 8
"""Places of a traceback that are written, the innermost ones."""
OTHER = EVENTS["log.other"]
_TRUSTED = ("quell", "uvicorn")
_LEVELS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}
_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m"}


def told(record: logging.LogRecord) -> tuple[Event, Mapping[str, Any]]:
    """What a record tells: an event and its fields. Records of libraries are turned into events."""
    event = EVENTS.get(getattr(record, "quell_event", ""))
    if event is not None:
        return event, getattr(record, "quell_fields", {})
    if record.name == "uvicorn.access" and isinstance(record.args, tuple) and len(record.args) == 5:
        client, method, path, _, status = record.args
        fields = {"client": client, "method": method, "route": route_of(path), "status": status, "path": path}
        return EVENTS["http.request"], fields
    return OTHER, {"logger": record.name, **_foreign(record)}


def route_of(path: object) -> str:
    """The beginning of a request's path, which is ours: what follows may be ids."""
    first, *rest = str(path).partition("?")[0].split("/")[1:] or [""]
    shown = [first, *rest[:1]] if first == "v1" else [first]
    plain = (p if len(p) <= 20 and p.isascii() and p.replace(".", "").isalnum() else "…" for p in shown)
    return "/" if shown == [""] else "/" + "/".join(plain)


def _foreign(record: logging.LogRecord) -> dict[str, Any]:
    """What is said without being an event of the table. Quell's own words are written, and those of uvicorn,
    which puts in addresses and numbers alone. Of other libraries' words what they put in is left out: it may
    be part of an event."""
    whole = record.getMessage()
    if record.name.partition(".")[0] in _TRUSTED or not isinstance(record.msg, str):
        said = whole
    else:
        said = record.msg
    fields: dict[str, Any] = {"said": said.strip().partition("\n")[0], "detail": whole}
    if record.exc_info is not None and record.exc_info[1] is not None:
        error = record.exc_info[1]
        fields["error"] = type(error).__name__
        fields["where"] = _places(error)
        fields["detail"] = f"{whole.strip()}: {error}"
    return fields


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    return [f"{'/'.join(f.filename.split('/')[-2:])}:{f.lineno} in {f.name}" for f in frames]


def printable(text: str) -> str:
    """A text on one line that moves no cursor: whatever does not print is spelled out. A long one is cut."""
    text = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    return text if text.isprintable() else "".join(c if c.isprintable() else _spelled(c) for c in text)


def _spelled(character: str) -> str:
    number = ord(character)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )


def plain(value: Any) -> Any:
    """A value as it is written: numbers as they are, everything else as text that prints."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6) if value == value and abs(value) < 1e300 else None
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(v) for v in value[:MOST]]
    try:
        return printable(str(value))
    except Exception:  # a log line must not fail over a value
        return "?"


class _Shown(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


class Lines(logging.Formatter):
    """What all lines have. `content` says whether fields that are content are written."""

    def __init__(self, content: bool) -> None:
        super().__init__()
        self.content = content

    def parts(self, record: logging.LogRecord) -> tuple[str, str, str, dict[str, Any]]:
        """Level, name, message and fields of a record."""
        event, given = told(record)
        allowed = (*event.fields, *event.content) if self.content else event.fields
        fields = {f: plain(given[f]) for f in allowed if given.get(f) is not None}
        level = _LEVELS.get(record.levelno, "error" if record.levelno > logging.ERROR else "debug")
        message = event.text.format_map(_Shown({f: _in_words(v) for f, v in fields.items()}))
        if left_out := getattr(record, "left_out", 0):
            fields["left_out"] = left_out
        return level, event.name, message, fields


class JsonLines(Lines):
    """One JSON object a line: at, level, event, message, then the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        level, name, message, fields = self.parts(record)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at.replace("+00:00", "Z"), "level": level, "event": name, "message": message, **fields}
        return msgspec.json.encode(line).decode()


class TextLines(Lines):
    """Time, level, name, message, and the fields that the message does not show: for a terminal."""

    def __init__(self, content: bool, colour: bool = False) -> None:
        super().__init__(content)
        self.colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        level, name, message, fields = self.parts(record)
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        shown = EVENTS[name].text
        rest = " ".join(f"{k}={_short(v)}" for k, v in fields.items() if "{" + k + "}" not in shown)
        begin, end = (_COLOURS.get(level, ""), "\x1b[0m") if self.colour and level in _COLOURS else ("", "")
        return f"{at} {begin}{level:<7}{end} {name:<16} {message}" + (f"  {rest}" if rest else "")


def _in_words(value: Any) -> Any:
    """A value as it stands in a message: lists as names one after another."""
    return ", ".join(f"`{v}`" for v in value) if isinstance(value, list) else value


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_short(v) for v in value) + "]"
    text = str(value)
    return text if text and " " not in text and '"' not in text else msgspec.json.encode(text).decode()
