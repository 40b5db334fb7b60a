"""Structured logs: what a service tells whoever runs it, a line each on standard error.

    logs = Logs(LogSettings(level="info", format="json"))     # once, by what serves
    tell("reload.live", version=3, by="ada", why="files changed")
    logs.close()

Everything that is told is a row of logs_events.py: a stable name, a level, and the fields that may be
written. Ids and payloads of events are left out unless the operator asks for content. Messages go through
Python's `logging`, as logger `quell`, so that a service that embeds Quell handles them as its own; `Logs`
is for a process that is Quell's.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, TextIO

from quell.engine.logs_events import EVENTS
from quell.engine.logs_format import JsonLines, TextLines, printable
from quell.engine.logs_thin import Thin
from quell.engine.service_settings import LogSettings

_LOGGER = logging.getLogger("quell")
_SERVERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


def tell(name: str, /, **fields: Any) -> None:
    """Log an event. Fields that its row does not name are dropped; it never raises."""
    event = EVENTS.get(name)
    if event is None:  # a test looks for these in the code; a service must not stop over one
        _LOGGER.error("%s", printable(name))
        return
    if _LOGGER.isEnabledFor(event.level):
        allowed = {f: fields[f] for f in (*event.fields, *event.content) if f in fields}
        shown = {f: v for f, v in allowed.items() if f not in event.content}
        extra = {"quell_event": name, "quell_fields": allowed}
        _LOGGER.log(event.level, "%s", _Message(event.text, shown), extra=extra, stacklevel=2)


class _Message:
    """An event as text, made only where somebody reads it."""

    __slots__ = ("fields", "text")

    def __init__(self, text: str, fields: dict[str, Any]) -> None:
        self.text, self.fields = text, fields

    def __str__(self) -> str:
        return printable(self.text.format_map({f: self.fields.get(f, "?") for f in _named(self.text)}))


def _named(text: str) -> list[str]:
    return [part.partition("}")[0] for part in text.split("{")[1:]]


class _Stream(logging.StreamHandler[TextIO]):
    """Writes lines. A log that nobody can read any more stops nothing."""

    def __init__(self, stream: TextIO, thin: Thin) -> None:
        super().__init__(stream)
        self.thin = thin
        self.addFilter(thin)

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        self.tell_left_out()

    def tell_left_out(self, everything: bool = False) -> None:
        """Say how many messages were left out of kinds whose period is over."""
        for name, count in self.thin.ended(everything):
            extra = {"quell_event": "log.left_out", "quell_fields": {"of": name, "left_out": count}}
            level = EVENTS[name].level
            record = _LOGGER.makeRecord(_LOGGER.name, level, "", 0, "left out", (), None, None, extra)
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: there is nowhere to say it."""


class Logs:
    """The log of a process: takes over Python's logging, uvicorn's loggers and warnings until it is closed.
    uvicorn must be given no logging configuration of its own (`log_config=None`)."""

    def __init__(self, settings: LogSettings | None = None, stream: TextIO | None = None) -> None:
        settings = settings or LogSettings()
        to: TextIO = stream if stream is not None else sys.stderr
        self._handler = _Stream(to, Thin())
        self._handler.setFormatter(_formatter(settings, to))
        root = logging.getLogger()
        self._before = [(root, list(root.handlers), root.level, root.propagate)]
        for name in ("quell", *_SERVERS):
            logger = logging.getLogger(name)
            self._before.append((logger, list(logger.handlers), logger.level, logger.propagate))
            logger.handlers, logger.propagate = [], True
            logger.setLevel(settings.level.upper())
        root.handlers = [self._handler]
        root.setLevel(logging.WARNING)
        logging.captureWarnings(True)

    def tick(self) -> None:
        """Say what was left out of kinds whose period is over: for whoever looks now and then."""
        self._handler.tell_left_out()

    def close(self) -> None:
        """Say what was left out, and give Python's logging back as it was."""
        self._handler.tell_left_out(everything=True)
        self._handler.flush()
        logging.captureWarnings(False)
        for logger, handlers, level, propagate in self._before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()


def _formatter(settings: LogSettings, stream: TextIO) -> JsonLines | TextLines:
    terminal = stream.isatty()
    if settings.format == "json" or (settings.format == "auto" and not terminal):
        return JsonLines(settings.content)
    return TextLines(settings.content, colour=terminal and not os.environ.get("NO_COLOR"))
