"""Labels by hand: what a person puts on, takes off or hands back, as an entry of the history.

In a file of events, and for `decide`, such an action stands among the events, told by its type:

    {"type": "quell.label", "at": "2026-01-01T12:00:00Z", "entity": "User", "id": "u1", "label": "spammer",
     "action": "set", "for": "30d", "by": "ana", "why": "ticket 77"}

`action` is `set`, `remove` or `release`; `until` (a time) or `for` (a duration) says when the first two
expire; without either they hold until they are released. It is read where an event's type stands, so
whoever may send events of any type may label: check that before the engine.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import msgspec

from quell.engine.decision import Acted
from quell.engine.event_pick import Want
from quell.engine.event_problems import Refusal, refuse_fields
from quell.engine.event_reader import Reader
from quell.engine.schema import Field
from quell.engine.settle import shown_until
from quell.engine.symbols import Symbols
from quell.grammar.diagnostics import did_you_mean
from quell.grammar.types import DURATION, TEXT, TIME, Type
from quell.signals.labels import FOR_GOOD
from quell.signals.show import dated, show_time
from quell.signals.state import State
from quell.signals.values import Unfit, micros, span

HAND: Literal["quell.label"] = "quell.label"
"""The type of such an entry. No event of a bundle may have one that begins with `quell.`."""
MAX_NAME = 200
MAX_WHY = 2_000
"""Characters."""
_MOST_LISTED = 8

Action = Literal["set", "remove", "release"]


class LabelError(ValueError):
    """A label by hand that cannot be: an entity or label that is not declared, a time that is none."""


class HandAction(msgspec.Struct, frozen=True):
    """One action of a person; times in microseconds, `until` None for good."""

    at: int
    entity: str
    id: str
    label: str
    action: Action
    by: str
    until: int | None = None
    why: str | None = None


_FIELDS = (
    Field("at", TIME, ("at",)),
    Field("entity", TEXT, ("entity",)),
    Field("id", Type("entity", "id"), ("id",)),
    Field("label", TEXT, ("label",)),
    Field("action", Type("enum", values=get_args(Action)), ("action",)),
    Field("until", TIME.maybe(), ("until",)),
    Field("for", DURATION.maybe(), ("for",)),
    Field("by", TEXT, ("by",)),
    Field("why", TEXT.maybe(), ("why",)),
)
_reader = Reader(_FIELDS)


def hand_want() -> Want:
    """The parts of a record that `read_hand` looks at."""
    want = Want()
    for f in _FIELDS:
        want.add(f)
    return want


def read_hand(record: Mapping[str, Any]) -> HandAction | Refusal:
    """The action that a record says, or why it says none. Whether what it names is declared is not asked."""
    values, fatal, wrong = _reader.read(record)
    if fatal or wrong:  # a wrong expiry must not become a label for good
        return refuse_fields(HAND, [*fatal, *wrong], declared=False)
    try:
        return made(
            values["action"],
            values["entity"],
            values["id"],
            values["label"],
            at=values["at"],
            by=values["by"],
            until=values["until"],
            lasts=values["for"],
            why=values["why"],
        )
    except LabelError as error:
        return Refusal(kind="bad-label", message=f"`{HAND}` refused: {error}", event=HAND)


def made(
    action: Action,
    entity: str,
    id: str,
    label: str,
    *,
    at: int,
    by: str,
    until: int | None = None,
    lasts: int | None = None,
    why: str | None = None,
) -> HandAction:
    """An action whose parts fit together. Raises LabelError."""
    if action not in get_args(Action):
        raise LabelError(f"there is no action {_shown(action)}: it is set, remove or release")
    entity, label = text_of("entity", entity, MAX_NAME), text_of("label", label, MAX_NAME)
    by, id = text_of("by", by, MAX_NAME), text_of("id", id, None)
    why = None if why is None else text_of("why", why, MAX_WHY)
    if until is not None and lasts is not None:
        raise LabelError("say until when or for how long, not both")
    if action == "release" and (until is not None or lasts is not None):
        raise LabelError("what is released has no end: leave `until` and `for` out")
    if lasts is not None and lasts <= 0:
        raise LabelError("`for` must be longer than nothing")
    until = at + lasts if lasts is not None else until
    if until is not None and until <= at:
        raise LabelError("`until` lies before the action itself")
    until = None if until is None or until >= FOR_GOOD else until
    return HandAction(at, entity, id, label, action, by, until, why)


def text_of(name: str, value: object, most: int | None) -> str:
    """A text that a caller gave, as one of Python's own: a snapshot holds no other. Raises LabelError."""
    if not isinstance(value, str):
        raise LabelError(f"`{name}` must be text")
    if not value.strip():
        raise LabelError(f"`{name}` is empty")
    if most is not None and len(value) > most:
        raise LabelError(f"`{name}` is longer than {most:,} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise LabelError(f"`{name}` holds half of a surrogate pair, which no text may") from None
    return str.__str__(value)


def _shown(value: object) -> str:
    text = str(value)
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"


def time_of(name: str, value: object) -> int:
    """A time that a caller gave, read as events' times are: a datetime or ISO 8601 text (UTC without a zone),
    or seconds, milliseconds or microseconds since 1970, told apart by their size. Raises LabelError."""
    if isinstance(value, datetime | int | float | str):
        with suppress(Unfit, OverflowError, ValueError):
            return int(micros(value))
    raise LabelError(f"`{name}` must be a datetime, ISO 8601 text, or a time since 1970 in seconds or less")


def span_of(name: str, value: object) -> int:
    """A duration that a caller gave: microseconds, a timedelta, or text such as 30d. Raises LabelError."""
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return int(value)
        if isinstance(value, timedelta | str):
            return span(value)
    except Unfit:
        pass
    raise LabelError(f"`{name}` must be text such as 30d, microseconds, or a timedelta")


def check(symbols: Symbols, entity: str, label: str | None) -> None:
    """Raises LabelError for an entity, or a label of it, that is not declared."""
    if entity not in symbols.entities:
        hint = did_you_mean(entity, symbols.entities) or listed("there is", symbols.entities)
        raise LabelError(f"there is no entity {_shown(entity)} ({hint})")
    if label is None or label in (known := symbols.labels(entity)):
        return
    hint = did_you_mean(label, known) or listed("it can carry", known)
    raise LabelError(f"`{entity}` has no label {_shown(label)} ({hint})")


def listed(what: str, known: Collection[str]) -> str:
    """Some of the words that are known, for a hint."""
    shown = ", ".join(f"`{k}`" for k in [*known][:_MOST_LISTED])
    return f"{what} {shown or 'none'}" + (", …" if len(known) > _MOST_LISTED else "")


def perform(state: State, action: HandAction, seq: int) -> Acted:
    """Carry out an action as of its time, or of the oldest that history still takes."""
    now = state.clock.now(action.at)
    labels = state.label(action.entity, action.label)
    id, was, cleared = action.id, labels.has(action.id, now), list[str]()
    if action.action == "set":
        labels.put(id, now, action.until, action.by, action.why)
    elif action.action == "remove":
        cleared = labels.take(id, now, action.until, action.by, action.why)
    else:
        labels.release(id, now)
    on = labels.has(id, now)
    return Acted(
        HAND,
        seq,
        action.at,
        action.action,
        action.entity,
        id,
        action.label,
        action.by,
        was,
        on,
        None if action.until is None else shown_until(action.until),
        action.why,
        tuple(sorted(cleared)),
    )


def entry_of(acted: Acted) -> dict[str, Any]:
    """The entry of a history that does the same again, for events whose type is at `type`."""
    told = msgspec.to_builtins(acted)
    entry = {"type": HAND, **{f.name: told[f.name] for f in _FIELDS if f.name in told}}
    return {**entry, "at": dated(acted.at)}


# ------------------------------------------------------------------ looking


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reason for a label, or a removal by hand: `rule` by its first name, or the person `by`. Times are
    ISO 8601; `until` None for good."""

    since: str
    until: str | None = None
    rule: str | None = None
    by: str | None = None
    why: str | None = None


class Carried(msgspec.Struct, frozen=True, omit_defaults=True):
    """One label of an entity at a time. `on` says whether the entity carries it, then `since` when without
    a break and `until` when it leaves by itself. `removed` is a removal by hand that stands, and `reasons`
    are all that stand, also beneath one: rules' from the oldest, then a
    person's."""

    label: str
    on: bool
    since: str | None = None
    until: str | None = None
    reasons: tuple[Standing, ...] = ()
    removed: Standing | None = None


def carried(state: State, entity: str, id: str, names: tuple[str, ...], at: int) -> list[Carried]:
    """The labels of an entity of which anything stands at a time, in the order of their declaration."""
    now = state.clock.now(at)
    found = [_carried(state, entity, id, name, now) for name in names if (entity, name) in state.labels]
    return [c for c in found if c is not None]


def _carried(state: State, entity: str, id: str, label: str, now: int) -> Carried | None:
    held = state.labels[entity, label].held(id)
    if held is None:
        return None
    rules = sorted((r for r in held.reasons if now < r.until), key=lambda r: (r.since, r.rule))
    reasons = [Standing(show_time(r.since), _ends(r.until), rule=r.rule) for r in rules]
    hand, removed = held.standing(now), None
    if hand is not None:
        said = Standing(show_time(hand.since), _ends(hand.until), by=hand.by, why=hand.why)
        if hand.on:
            reasons.append(said)
        else:
            removed = said
    on = held.opens <= now < held.until
    if not reasons and removed is None:
        return None
    since, until = (show_time(held.since), _ends(held.until)) if on else (None, None)
    return Carried(label, on, since, until, tuple(reasons), removed)


def _ends(until: int) -> str | None:
    return None if until == FOR_GOOD else shown_until(until)
