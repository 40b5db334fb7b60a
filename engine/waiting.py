"""A decision that waits for remote answers: its event is counted, and events after it may be admitted."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from quell.engine.decision import Asked
from quell.engine.events import Decoded
from quell.signals.remote_types import Answer, Request

Wanted = list[tuple[int, tuple[Any, ...]]]
"""What a generated function asks: the numbers of remote models, and their inputs."""


class Waiting:
    """An admitted event whose decision waits. `requests` are what it waits for now, the ones of earlier waves
    are answered in `asked`, by the number that the generated function gives
    a question: a model may be asked once for live rules and once for shadow rules. `held`: the clock's
    horizon stops at its time. `echoes`: how many late answers led to the event, each to an event whose own
    question was answered late."""

    __slots__ = (
        "asked",
        "decoded",
        "echoes",
        "full",
        "held",
        "late",
        "now",
        "requests",
        "seq",
        "steps",
        "wanted",
    )

    def __init__(
        self, decoded: Decoded, seq: int, now: int, steps: Generator[Wanted, dict[int, Any] | None, Any]
    ) -> None:
        self.decoded = decoded
        self.seq = seq
        self.now = now
        self.steps = steps
        self.wanted: Wanted = []
        self.requests: list[Request] = []
        self.asked: dict[int, Asked] = {}
        self.held = False
        self.echoes = 0
        self.late: list[str] = []
        self.full: list[str] = []

    def take(self, answers: Sequence[Answer]) -> None:
        """Note the answers to the present requests."""
        for (number, _), request, answer in zip(self.wanted, self.requests, answers, strict=True):
            self.asked[number] = Asked(request.model, answer.status, _own(answer.value), answer.reason)


def _own(value: Any) -> Any:
    """A value that whoever gets the decision may change: the answer itself may be kept in a cache."""
    if isinstance(value, dict):
        return {name: _own(inner) for name, inner in value.items()}
    return list(value) if isinstance(value, list) else value
