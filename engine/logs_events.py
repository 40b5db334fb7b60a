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
            "serving on {address}, version {version} decides",
            "address version digest policies data durability",
        ),
        _info(
            "serve.recovered",
            "made {entries} entries of the journal again in {seconds} s",
            "entries snapshot seconds",
        ),
        _info("serve.stopping", "no more events are taken, {waiting} decisions still wait", "waiting"),
        _info("serve.stopped", "stopped", "seconds"),
        _warning("serve.busy", "events are refused: {why}", "why"),
        _warning("serve.setting", "{setting}: {problem}", "setting problem hint", apart="setting"),
        _error(
            "decide.failed",
            "deciding `{event}` failed inside Quell, please report it",
            "event error",
            "detail",
            apart="event error",
        ),
        # Versions of the bundle.
        _info(
            "reload.live",
            "version {version} decides now ({why}, by {by})",
            "version digest by why seconds held changed cold",
        ),
        _debug("reload.unchanged", "nothing changed ({why}, by {by})", "version digest by why seconds"),
        _warning(
            "reload.refused",
            "the new version is refused and nothing changed: errors or failed tests: {errors}",
            "digest by why errors seconds",
        ),
        _warning(
            "reload.finding",
            "{file}:{line}: {finding}",
            "file line finding code hint",
            apart="file line finding",
        ),
        _error("reload.failed", "the new version could not be looked at: {problem}", "problem by why"),
        _info("reload.pinned", "version {version} stays until the policies change again", "version by"),
        # The journal and its snapshots.
        _error("journal.problem", "the journal cannot be written: {problem}", "problem unwritten"),
        _info("journal.well", "the journal is written again, after {seconds} s", "seconds"),
        _warning("journal.repaired", "{what}", "what segment bytes"),
        _debug("journal.segment", "segment {segment} is closed", "segment bytes entries"),
        _info("journal.dropped", "segments past their time were removed: {segments}", "segments bytes until"),
        _warning("journal.kept", "a closed segment stays as it is: {problem}", "segment problem"),
        _debug("snapshot.made", "a snapshot up to {number} was made in {seconds} s", "number bytes seconds"),
        _warning("snapshot.failed", "no snapshot could be made: {problem}", "problem number"),
        _error(
            "remade.different",
            "decision {number} came out differently when it was made again, please report it",
            "number version event what",
            "detail",
        ),
        # What is sent.
        _warning(
            "sink.failed",
            "`{sink}` did not take what was sent, it is tried again: {problem}",
            "sink problem attempt",
            "key",
            apart="sink",
        ),
        _error(
            "sink.dead",
            "a send to `{sink}` was given up: {problem}",
            "sink problem attempts",
            "key",
            apart="sink",
        ),
        _info("sink.well", "`{sink}` takes what is sent again", "sink waiting seconds", apart="sink"),
        _warning("sink.unknown", "nothing is configured for `{sink}`", "sink", apart="sink"),
        # Who asks.
        _warning(
            "key.refused", "a request was refused: {why}", "why route client key_name", apart="why route"
        ),
        _info("key.made", "the key `{key_name}` was made", "key_name scopes by"),
        _info("key.removed", "the key `{key_name}` was removed", "key_name by"),
        _info(
            "hand.label",
            "{by}: {action} the label `{label}`",
            "action label entity by",
            "id why",
            apart="label",
        ),
        _info(
            "http.request",
            "{method} {route} {status}",
            "method route status client",
            "path",
            apart="method route status",
        ),
        _error(
            "http.failed", "answering {route} failed inside Quell", "route error", "detail", apart="route"
        ),
        # Models, and what watches them.
        _warning(
            "model.drifted", "the scores of `{model}` are not those of its card", "model psi", apart="model"
        ),
        _warning("remote.open", "`{target}` fails and is left alone for a while", "target", apart="target"),
        _info("remote.well", "`{target}` answers again", "target", apart="target"),
        # The log itself.
        _info("log.left_out", "{left_out} more of `{of}` were left out", "of left_out"),
        _info("log.other", "{said}", "said logger error where", "detail", apart="said logger"),
    )
}
