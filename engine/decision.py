"""Decisions: what the engine answers for an event."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from quell.engine.event_problems import Problem


class Fired(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule that fired, or in a shadow rule's case would have: what it asked for and why."""

    rule: str
    verdict: str | None = None
    message: str | None = None
    tags: tuple[str, ...] = ()
    severity: str | None = None


class Held(msgspec.Struct, frozen=True):
    """A rule that matched and did not fire, and what held it: `rollout`, or `exempt by …`."""

    rule: str
    by: str


class LabelChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A label put on an entity, until a time (ISO 8601; None for good), or taken off."""

    entity: str
    id: str
    label: str
    on: bool
    rule: str
    until: str | None = None


class Outranked(msgspec.Struct, frozen=True):
    """What a rule asked of a label (`on`: to put it on) where the word of the person `by` outranks it. A
    label that was asked for is kept beneath, and shows once that word expires or is handed back."""

    entity: str
    id: str
    label: str
    on: bool
    rule: str
    by: str


class Sent(msgspec.Struct, frozen=True):
    """Something for a sink."""

    sink: str
    rule: str
    payload: dict[str, Any]


class Decision(msgspec.Struct, omit_defaults=True):
    """What the engine answers for one event.

    `at` is the event's time in microseconds since 1970 UTC, `id` its field `id` where it declares one.
    `verdict` is the highest that a fired rule asked for, or the ladder's first. `shadow` are the firings of
    shadow rules, for the record only; `held` the rules that matched and did not fire; `outranked` what rules
    asked of labels and a person's word stands against.
    """

    event: str
    seq: int
    at: int
    verdict: str
    id: str | None = None
    fired: tuple[Fired, ...] = ()
    shadow: tuple[Fired, ...] = ()
    held: tuple[Held, ...] = ()
    labels: tuple[LabelChange, ...] = ()
    sends: tuple[Sent, ...] = ()
    problems: tuple[Problem, ...] = ()
    late: tuple[str, ...] = ()
    outranked: tuple[Outranked, ...] = ()


class Acted(msgspec.Struct, omit_defaults=True):
    """What came of a label that a person put on, took off or handed back to the rules.

    `at` is the action's time in microseconds since 1970 UTC, `seq` its place in the history. `was` and `on`
    say whether the entity carried the label before and after, as of that time; `until` when the label, or
    its removal, ends (ISO 8601; None for good). `cleared` are the rules whose reasons a removal ended.
    """

    event: Literal["quell.label"]
    seq: int
    at: int
    action: Literal["set", "remove", "release"]
    entity: str
    id: str
    label: str
    by: str
    was: bool
    on: bool
    until: str | None = None
    why: str | None = None
    cleared: tuple[str, ...] = ()


class Refused(msgspec.Struct, omit_defaults=True):
    """An event that no rule saw: why, and the verdict that its ladder gives on failure."""

    kind: str
    message: str
    verdict: str
    path: str = ""
    event: str | None = None


Answer = Decision | Acted | Refused
"""What came of one entry of a history."""
