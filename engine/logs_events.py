"""Every event that a service logs: its name, level, text and fields. One row each; nothing else is written.

Names are stable: alerts and searches may hang on them. A field that a row does not name is not written, so
that nothing of an event can come into the log by a careless call; those named as `content` are written only
where service.toml says `content = true` in [log].
"""

from __future__ import annotations

import logging
from typing import NamedTuple


class Event(NamedTuple):
    """What may be logged: its level, its text with its fields in braces, the fields that are always written,
    those that are content, and those that keep repetitions apart (a sink's name, and so on)."""

    name: str
    level: int
    text: str
    fields: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _debug(name: str, text: str, fields: str = "", content: str = "", apart: str = "") -> Event:
    return Event(name, logging.DEBUG, text, _words(fields), _words(content), _words(apart))


def _info(name: str, text: str, fields: str = "", content: str = "", apart: str = "") -> Event:
    return Event(name, logging.INFO, text, _words(fields), _words(content), _words(apart))


def _warning(name: str, text: str, fields: str = "", content: str = "", apart: str = "") -> Event:
    return Event(name, logging.WARNING, text, _words(fields), _words(content), _words(apart))


def _error(name: str, text: str, fields: str = "", content: str = "", apart: str = "") -> Event:
    return Event(name, logging.ERROR, text, _words(fields), _words(content), _words(apart))


EVENTS: dict[str, Event] = {
    row.name: row
    for row in (
        # The service.
        _info(
            "serve.started",
            "version {version} decides, {address}",
            "version digest address policies data durability rules",
        ),
        _info(
            "serve.recovered",
            "the memory came back: snapshot {snapshot}, and {made} entries of the journal made again",
            "snapshot made differing finished sends seconds",
        ),
        _warning("serve.noted", "{what}", "what"),
        _info("serve.stopping", "no more events are taken, decisions that wait: {waiting}", "waiting"),
        _info("serve.stopped", "stopped", "seconds"),
        _error(
            "decide.failed",
            "deciding a `{type}` failed inside Quell, please report it",
            "type error times",
            "detail",
            apart="type error",
        ),
        # Versions of the bundle.
        _info(
            "reload.live",
            "version {version} decides now ({why}, by {by})",
            "version digest by why seconds held changed cold dropped",
        ),
        _info(
            "counters.filled",
            "counters of the version were filled from the journal: {counters}",
            "counters held",
        ),
        _warning("counters.cold", "counters of the version stay cold: {problem}", "problem"),
        _debug("reload.unchanged", "nothing changed ({why}, by {by})", "version digest by why seconds"),
        _warning(
            "reload.refused",
            "refused, and nothing changed ({why}, by {by}): errors or failed tests: {errors}",
            "digest by why errors seconds",
        ),
        _warning(
            "reload.failed",
            "the policies could not be checked, and nothing changed ({why}, by {by}): {problem}",
            "digest by why problem hint seconds",
        ),
        _warning(
            "reload.finding",
            "{file}:{line}: {finding}",
            "file line finding code hint",
            apart="file line finding",
        ),
        # The journal and its snapshots.
        _error("journal.problem", "the journal cannot be written: {problem}", "problem unwritten"),
        _info("journal.well", "the journal is written again, after {seconds} s", "seconds"),
        _warning("journal.trouble", "old segments stay as they are: {problem}", "problem"),
        _debug("snapshot.made", "a snapshot up to {number} was made in {seconds} s", "number bytes seconds"),
        _warning("snapshot.failed", "no snapshot could be made: {problem}", "problem"),
        _error(
            "remade.different",
            "decisions came out differently when they were made again, please report it: {number} and on",
            "number times",
        ),
        # What is sent.
        _warning("sink.failed", "`{sink}` does not take sends: {problem}", "sink problem", apart="sink"),
        _error(
            "sink.dead",
            "sends to `{sink}` were given up: {times}, the last: {problem}",
            "sink problem times",
            apart="sink",
        ),
        _info("sink.well", "`{sink}` takes sends again, after {seconds} s", "sink seconds", apart="sink"),
        _warning(
            "sink.unknown",
            "the sink `{sink}` of {rules} is not set up: what is sent there becomes dead letters; {write}",
            "sink rules write dead",
            apart="sink",
        ),
        _info("sink.unused", "no rule sends to `{sink}`", "sink", apart="sink"),
        _error("outbox.problem", "what was delivered cannot be written down: {problem}", "problem"),
        _info("outbox.well", "what was delivered is written down again, after {seconds} s", "seconds"),
        # Who asks.
        _warning("key.refused", "requests without a key that holds: {times}", "times"),
        _warning("key.forbidden", "requests that were not allowed: {times}", "times"),
        _warning("http.overloaded", "events are refused: there is too much to do", "under_way lag"),
        _info("http.well", "events are taken again, after {seconds} s; refused: {times}", "seconds times"),
        _info(
            "http.request",
            "{method} {route} {status}",
            "method route status client",
            "path",
            apart="method route status",
        ),
        # Models.
        _warning("model.drifted", "the scores of `{model}` left its card", "model psi", apart="model"),
        _info("model.well", "the scores of `{model}` are as on its card", "model psi", apart="model"),
        _warning("remote.open", "`{target}` fails and is left alone for a while", "target", apart="target"),
        _info("remote.well", "`{target}` answers again, after {seconds} s", "target seconds", apart="target"),
        # The log itself.
        _info("log.left_out", "{left_out} more of `{of}` were left out", "of left_out"),
        _info("log.other", "{said}", "said logger error where", "detail", apart="said logger"),
    )
}
