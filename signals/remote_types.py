"""What is asked of remote models and what comes back: the names every part of the client shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from quell.grammar.types import NUMBER, Type

Status = Literal["answered", "cached", "late", "failed", "invalid", "open", "busy", "unknown", "unasked"]
"""How a question ended.

======== ==========================================================================================
answered the target answered in time
cached   an earlier answer to the same inputs was reused
late     nothing came within the model's `wait`, or before the deadline of the decision
failed   the target could not be reached, answered with an error, or broke off
invalid  the target answered something else than the policy says it gives
open     not asked: the target failed so often that it is left alone for a while
busy     not asked: too many questions are waiting for this target
unknown  not asked: no such model or target, or no function registered under its name
unasked  not asked: what decided here asks no remote models, as `quell test` does
======== ==========================================================================================
"""

SCORE = "score"
"""What a model that declares no `gives` gives: one number of this name."""


class Request(msgspec.Struct, frozen=True):
    """One question: `model` as declared in the policy; `inputs` are JSON-ready values in the order of the
    declaration, None where missing."""

    model: str
    inputs: tuple[Any, ...]


class Answer(msgspec.Struct, frozen=True):
    """How a question ended.

    `value` is a number where the model gives only its score, else a dict by the names it gives, with values
    of the language's run-time types (None: missing); it is None unless answered or cached, except that an
    `invalid` answer keeps the values that were right, None standing for the others. It may be shared with
    the cache: nobody changes it. `reason` is "" for a whole answer, else says in plain words what was wrong.
    """

    status: Status
    value: Any = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RemoteSpec:
    """A remote model as a policy declares it. `inputs` are names; `gives` names with types (empty: one
    number called `score`); `wait` is how long a decision waits for it, in microseconds."""

    name: str
    target: str
    inputs: tuple[str, ...]
    gives: tuple[tuple[str, Type], ...]
    wait: int

    @property
    def columns(self) -> tuple[tuple[str, Type], ...]:
        """What the target answers, by name, the score included."""
        return self.gives or ((SCORE, NUMBER),)


@dataclass(frozen=True, slots=True)
class Target:
    """A `[remote.NAME]` of quell.toml: where a model is asked and within what bounds. Times are in
    microseconds.

    Either `url` is set, or `callable` is true and the embedding service registers a function. `headers` are
    as written, with `env:NAME` where a secret goes: no secret is ever held here. `late` is the type of the
    events that late answers become.
    """

    name: str
    url: str = ""
    callable: bool = False
    timeout: int = 10_000_000
    concurrency: int = 100
    queue: int = 1_000
    batch: int = 1
    linger: int = 0
    cache: int = 0
    cache_size: int = 10_000
    version: str = ""
    failures: int = 10
    rest: int = 10_000_000
    headers: tuple[tuple[str, str], ...] = ()
    late: str = ""


class Figures(msgspec.Struct, frozen=True):
    """What became of the questions for one target since the start, and how it stands now: `in_flight`
    calls, `waiting` questions in the queue, `breaker` closed, open or half-open; `seconds` is how long
    all calls that have ended took."""

    asked: int
    answered: int
    cached: int
    late: int
    failed: int
    invalid: int
    open: int
    busy: int
    calls: int
    in_flight: int
    waiting: int
    breaker: str
    seconds: float = 0.0


class CallError(Exception):
    """A call that gave no usable answer: `status` failed or invalid, and why, in words that may be shown
    to anyone: never an address, a header or what a service wrote."""

    def __init__(self, status: Literal["failed", "invalid"], reason: str) -> None:
        super().__init__(status, reason)
        self.status: Literal["failed", "invalid"] = status
        self.reason = reason
