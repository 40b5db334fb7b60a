"""What an explanation of one decision says, as plain data: `msgspec.to_builtins` makes it JSON.

Everywhere `value` is the value as JSON has it (missing is null) and `shown` as a person reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from quell.engine.decision import Decision

Role = Literal["", "decided", "not needed"]
Outcome = Literal["fired", "shadow", "held", "missing", "not matched"]

OUTCOMES: dict[Outcome, str] = {
    "fired": "the rule is live and its condition is true",
    "shadow": "the rule would have fired, were it not in shadow",
    "held": "the condition is true, and a rollout or an exemption holds the rule back",
    "missing": "the rule did not match because something that it needs is missing",
    "not matched": "the condition is false",
}
"""Every outcome of a rule on an event."""


class Reading(msgspec.Struct, frozen=True):
    """How a counter was read: its word, what it counts and the identity of that, the window, the keys it was
    read under."""

    word: str
    counter: str
    identity: str
    window: str
    keys: list[Any]


class Part(msgspec.Struct, omit_defaults=True):
    """A part of an expression with its value.

    `kind` is what it is (`and`, `or`, `not`, `any`, `compare`, `let`, `field`, `counter`, `call`, …).
    `state` is true, false or missing for conditions. In a condition, `role` says whether this part
    decided, or was not needed because parts that are asked earlier had decided. `note` tells more (a
    counter's key, the list's element that made it true), `why` why the value is missing. `points` is what
    a line of a score adds, `reading` how a counter was read. A named value that is not opened here is
    among the explanation's `values`.
    """

    text: str
    kind: str
    value: Any
    shown: str
    state: Literal["", "true", "false", "missing"] = ""
    role: Role = ""
    note: str = ""
    why: str = ""
    points: float | None = None
    reading: Reading | None = None
    parts: list[Part] = []


class FieldValue(msgspec.Struct, omit_defaults=True):
    """A field of the event. `why` says why it is missing."""

    name: str
    type: str
    value: Any
    shown: str
    why: str = ""


class Value(msgspec.Struct, omit_defaults=True):
    """A let, score or model: its value, what it stands for, and the parts of that."""

    name: str
    value: Any
    shown: str
    text: str
    place: str
    why: str = ""
    part: Part | None = None


class EffectResult(msgspec.Struct, omit_defaults=True):
    """An effect of a rule that matched: `done`, or `why` not. `value` is the target or the payload."""

    kind: Literal["verdict", "label", "unlabel", "send", "exempt"]
    text: str
    done: bool
    value: Any = None
    why: str = ""


class RuleResult(msgspec.Struct, omit_defaults=True):
    """One rule on the event.

    `because` is the message of a rule that matched. `held` says what holds it back, `rollout` where its
    key stands. `decided` is the text of the part that decided a rule which did not match. `does` are the
    effects that the rule has: `verdict block`, `label spammer`, `send mod-queue`.
    """

    rule: str
    outcome: Outcome
    place: str
    condition: Part
    mode: str = "live"
    decided: str = ""
    because: str | None = None
    held: str = ""
    rollout: str = ""
    effects: list[EffectResult] = []
    tags: list[str] = []
    owner: str | None = None
    severity: str | None = None
    does: list[str] = []

    def deciding(self) -> Part:
        """The innermost part that decided, or the whole condition when none did alone."""
        part = self.condition
        while (inner := _decided(part)) is not None:
            part = inner
        return part


def _decided(part: Part) -> Part | None:
    """The part inside that decided this one. What decided a part of an `and` or `or` did not decide the
    whole, unless that part did."""
    op = junction(part)
    if op:
        return next((leaf for leaf in joined(part, op) if leaf.role == "decided"), None)
    asked = (child for child in part.parts if child.state and child.role != "not needed")
    return next((found for child in asked if (found := _decided(child)) is not None), None)


def junction(part: Part) -> str:
    """`and` or `or` when that is what a part comes to, seen through names."""
    if part.kind in ("and", "or"):
        return part.kind
    return junction(part.parts[0]) if part.kind == "let" and part.parts else ""


def joined(part: Part, op: str) -> Iterator[Part]:
    """The parts that an `and` or `or` joins, through names and parentheses."""
    if junction(part) != op:
        yield part
        return
    for child in part.parts:
        yield from joined(child, op)


class Explanation(msgspec.Struct, omit_defaults=True):
    """One decision, explained. Rules stand by outcome, fired ones first, and by name."""

    decision: Decision
    time: str
    fields: list[FieldValue]
    rules: list[RuleResult]
    values: list[Value]
    problems: list[str] = []
    warnings: list[str] = []
