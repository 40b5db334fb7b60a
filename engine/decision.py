"""Decisions: what the engine answers for an event."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from quell.engine.event_problems import Problem
from quell.signals.remote_types import Status


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


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A remote model that was asked for a decision: how that ended (`answered`, `late`, …), what it gave, and
    why it gave nothing. With it the decision can be made again without asking."""

    model: str
    status: Status
    value: Any = None
    reason: str = ""


class ModelUsed(msgspec.Struct, frozen=True):
    """A model and the file that it was: the first 16 hexadecimal digits of its SHA-256."""

    model: str
    digest: str


class Decision(msgspec.Struct, omit_defaults=True, gc=False):
    """What the engine answers for one event.

    `seq` numbers the admissions of events, what people do by hand, and decisions that had to wait, in the
    order in which they took effect; `decided` is the decision's own number, `seq` where it was made at once.
    An event sees the effects of the decisions whose number is below its `seq`. `late` are the counters that
    took the event as of a later time; `full` those that could not tell, or told less than there was, since
    memory was full.

    `at` is the event's time in microseconds since 1970 UTC, `id` its field `id` where it declares one.
    `verdict` is the highest that a fired rule asked for, or the ladder's first. `shadow` are the firings of
    shadow rules, for the record only; `held` the rules that matched and did not fire; `outranked` what rules
    asked of labels and a person's word stands against. `models` are the models that rules and counters of
    this event type may ask. `cold` are the counters it read that are younger than the history, because the
    policies changed, and have not watched their longest window whole yet.
    """

    event: str
    seq: int
    at: int
    verdict: str
    id: str | None = None
    decided: int = 0
    fired: tuple[Fired, ...] = ()
    shadow: tuple[Fired, ...] = ()
    held: tuple[Held, ...] = ()
    labels: tuple[LabelChange, ...] = ()
    sends: tuple[Sent, ...] = ()
    problems: tuple[Problem, ...] = ()
    late: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    outranked: tuple[Outranked, ...] = ()
    cold: tuple[str, ...] = ()
    asked: tuple[Asked, ...] = ()
    models: tuple[ModelUsed, ...] = ()


class Acted(msgspec.Struct, omit_defaults=True):
    """What came of a label that a person put on, took off or handed back to the rules.

    `at` is the action's time in microseconds since 1970 UTC, `seq` its place in the history. `was` and `on`
    say whether the entity carried the label before and after, as of that time; `until` when the person's
    word ends (ISO 8601; None for good). `cleared` are the rules whose reasons a removal ended.
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


Reply = Decision | Acted | Refused
"""What came of one entry of a history."""
