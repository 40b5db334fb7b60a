"""An answer in a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quell.engine.decision import Acted, Decision, Fired, Refused
from quell.engine.live_events import shortened
from quell.engine.live_search import notes_of
from quell.engine.live_types import CUT, Entity, Summary
from quell.engine.service_types import Note

ENTITIES = 4
"""Entities that a summary names."""
RULES = 6
"""Rules that a summary names of those that fired, and of those in shadow."""

UNKNOWN = -1
"""The level of a verdict of which nobody knows how grave it was."""


def summary_of(number: int, note: Note, entities: list[Entity], levels: Mapping[str, int]) -> Summary:
    """The summary of a note; `entities` are those of its event, of which one more than it names is enough,
    `levels` how grave each verdict is."""
    reply = note.reply
    if isinstance(reply, Decision):
        return _decided(number, note, reply, entities, levels)
    if isinstance(reply, Acted):
        return _acted(number, note, reply, entities)
    return _refused(number, note, reply, levels)


def _decided(
    number: int, note: Note, reply: Decision, entities: list[Entity], levels: Mapping[str, int]
) -> Summary:
    fired, more_fired = _first(reply.fired, levels)
    shadow, more_shadow = _first(reply.shadow, levels)
    return Summary(
        number=number,
        kind="decision",
        wall=note.wall,
        seconds=note.seconds,
        version=note.version,
        verdict=reply.verdict,
        level=levels.get(reply.verdict, UNKNOWN),
        seq=reply.seq,
        at=reply.at,
        event=reply.event,
        id=(reply.id or "")[:CUT],
        entities=shortened(entities[:ENTITIES]),
        more_entities=max(0, len(entities) - ENTITIES),
        fired=fired,
        more_fired=more_fired,
        shadow=shadow,
        more_shadow=more_shadow,
        held=len(reply.held),
        labels=len(reply.labels),
        sends=len(reply.sends),
        notes=notes_of(reply),
    )


def _acted(number: int, note: Note, reply: Acted, entities: list[Entity]) -> Summary:
    word = {"set": "put on", "remove": "taken off", "release": "handed back"}[reply.action]
    return Summary(
        number=number,
        kind="by hand",
        wall=note.wall,
        seconds=note.seconds,
        version=note.version,
        seq=reply.seq,
        at=reply.at,
        event=reply.event,
        entities=shortened(entities),
        message=f"{reply.label} {word} by {reply.by}"[:CUT],
    )


def _refused(number: int, note: Note, reply: Refused, levels: Mapping[str, int]) -> Summary:
    return Summary(
        number=number,
        kind="refused",
        wall=note.wall,
        seconds=note.seconds,
        version=note.version,
        verdict=reply.verdict,
        level=levels.get(reply.verdict, UNKNOWN),
        event=reply.event or "",
        message=f"{reply.kind}: {reply.message}"[:CUT],
    )


def _first(fired: Sequence[Fired], levels: Mapping[str, int]) -> tuple[list[str], int]:
    """The first names of rules, each once, and how many are left out: those whose verdicts are gravest come
    first, as they decided."""
    grave = sorted(fired, key=lambda f: levels.get(f.verdict or "", UNKNOWN), reverse=True)
    all_of_them = list(dict.fromkeys(f.rule for f in grave))
    return all_of_them[:RULES], max(0, len(all_of_them) - RULES)
