"""Searching among recent answers.

A query is words and `key:value` pairs that must all hold; a value with blanks stands in double quotes, in
which escapes are those of JSON.

======== =======================================================================================
entity   the event names an entity of this id, or the decision changed a label of it
id       the event's own id
rule     a rule that fired, in earnest or in shadow, or was held back
verdict  the verdict of a decision; several may be given, with commas
event    the event's type; several may be given
label    a label that the decision, or a person, changed
sink     a sink that the decision sends to
is       `refused`, `hand`, `shadow`, `held`, `sent`, `labelled`, `noted`
======== =======================================================================================

Any other word is looked for within the ids, entities, names of rules, event type and
verdict, in whatever case.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from quell.engine.decision import Acted, Decision, Refused, Reply
from quell.engine.live_types import CUT, Entity
from quell.engine.service_types import Note

KEYS = frozenset({"entity", "id", "rule", "verdict", "event", "label", "sink", "is"})
STATES = frozenset({"refused", "hand", "shadow", "held", "sent", "labelled", "noted"})
_WORD = re.compile(r'(?:(\w+):)?("(?:[^"\\]|\\.)*"|\S+)')
_MOST_WORDS = 20


class Query(msgspec.Struct, frozen=True):
    """What is looked for: pairs of a key and the values of which one must hold, and words."""

    pairs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    words: tuple[str, ...] = ()


def read_query(text: str) -> Query:
    """The query that a person wrote. Whatever was written is one: what is no pair is a word."""
    pairs: list[tuple[str, tuple[str, ...]]] = []
    words: list[str] = []
    for key, value in _WORD.findall(text)[:_MOST_WORDS]:
        said = _unquoted(value)
        several = tuple(said.split(",")) if key in ("verdict", "event", "is") else (said,)
        if key in KEYS and (key != "is" or STATES.issuperset(several)):
            pairs.append((key, several))
        else:
            words.append((f"{key}:{said}" if key else said).lower())
    return Query(tuple(pairs), tuple(words))


def _unquoted(value: str) -> str:
    """A value without its quotes; within them escapes are those of JSON."""
    if len(value) < 2 or not value.startswith('"') or not value.endswith('"'):
        return value
    try:
        return msgspec.json.decode(value, type=str)
    except (msgspec.DecodeError, UnicodeError):
        return re.sub(r"\\(.)", r"\1", value[1:-1])


class Matcher:
    """Tells whether an answer fits a query. `entities` reads those of a note, and is asked only where nothing
    cheaper settles it; `fixed` are event types whose entities need not stand in the event."""

    def __init__(
        self, query: Query, entities: Callable[[Note], list[Entity]], fixed: frozenset[str] = frozenset()
    ) -> None:
        self._query = query
        self._entities = entities
        self._fixed = fixed
        sought = [value for key, values in query.pairs if key == "entity" for value in values]
        self._ids = [(value, value.encode(errors="replace")) for value in sought]
        self._words = [(word, word.encode(errors="replace"), word.isascii()) for word in query.words]

    def __call__(self, note: Note) -> bool:
        """Whether a note fits."""
        reply = note.reply
        if not all(_holds(reply, key, values) for key, values in self._query.pairs if key != "entity"):
            return False
        return self._named(note) and self._said(note)

    def _named(self, note: Note) -> bool:
        """Whether it concerns every entity that is asked for."""
        if not self._ids:
            return True
        known = _ids_of(note.reply)
        left = [pair for pair in self._ids if pair[0] not in known]
        if not left:
            return True
        if not all(self._may_hold(note, raw) for _, raw in left):
            return False
        named = {e.id for e in self._entities(note)}
        # A summary cuts long ids, and what it shows must find the event again.
        cut = {id[:CUT] for id in named if len(id) > CUT}
        return all(value in named or value in cut for value, _ in left)

    def _said(self, note: Note) -> bool:
        """Whether every word stands somewhere."""
        if not self._words:
            return True
        said = "\n".join(_texts(note.reply)).lower()
        left = [word for word in self._words if word[0] not in said]
        if not left:
            return True
        if not all(self._may_hold(note, raw, lower=True) for _, raw, plain in left if plain):
            return False
        named = "\n".join(e.id for e in self._entities(note)).lower()
        return all(word in named for word, _, _ in left)

    def _may_hold(self, note: Note, raw: bytes, lower: bool = False) -> bool:
        """Whether a text may stand in an event: without an escape in it, JSON holds ids as they are."""
        event = note.event
        if b"\\" in event or type(note.reply) is not Decision or note.reply.event in self._fixed:
            return True
        return raw in (event.lower() if lower else event)


def _holds(reply: Reply, key: str, values: tuple[str, ...]) -> bool:
    """Whether one pair of a query holds for a reply, as far as the reply tells."""
    if key == "is":
        return any(_is(reply, value) for value in values)
    if key == "event":
        return reply.event in values
    if isinstance(reply, Acted):
        return key == "label" and reply.label in values
    return isinstance(reply, Decision) and _decided(reply, key, values)


def _decided(reply: Decision, key: str, values: tuple[str, ...]) -> bool:
    if key == "verdict":
        return reply.verdict in values
    if key == "id":
        return reply.id is not None and (reply.id in values or reply.id[:CUT] in values)
    if key == "rule":
        fired = any(f.rule in values for f in (*reply.fired, *reply.shadow))
        return fired or any(h.rule in values for h in reply.held)
    if key == "label":
        return any(c.label in values for c in reply.labels)
    return any(s.sink in values for s in reply.sends)


def _is(reply: Reply, state: str) -> bool:
    if state == "refused":
        return isinstance(reply, Refused)
    if state == "hand":
        return isinstance(reply, Acted)
    if not isinstance(reply, Decision):
        return False
    return bool(
        {
            "shadow": reply.shadow,
            "held": reply.held,
            "sent": reply.sends,
            "labelled": reply.labels,
            "noted": notes_of(reply),
        }[state]
    )


def notes_of(reply: Decision) -> int:
    """How much a decision says of itself that somebody may want to look at."""
    unanswered = sum(1 for asked in reply.asked if asked.status not in ("answered", "cached"))
    return len(reply.problems) + len(reply.late) + len(reply.full) + len(reply.cold) + unanswered


def _ids_of(reply: Reply) -> set[str]:
    """The entities that a reply itself names."""
    if isinstance(reply, Decision):
        return {c.id for c in reply.labels} | {o.id for o in reply.outranked}
    return {reply.id} if isinstance(reply, Acted) else set()


def _texts(reply: Reply) -> list[str]:
    """What words are looked for in, the event left out."""
    if isinstance(reply, Refused):
        return [reply.kind, reply.message, reply.verdict, reply.event or ""]
    if isinstance(reply, Acted):
        return [str(reply.seq), reply.event, reply.entity, reply.id, reply.label, reply.by, reply.action]
    rules = [f.rule for f in (*reply.fired, *reply.shadow)]
    return [str(reply.seq), reply.event, reply.id or "", reply.verdict, *rules, *_ids_of(reply)]
