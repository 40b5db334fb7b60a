"""From a bundle to those who answer its remote models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from quell.engine.compile import Build
from quell.engine.waiting import Waiting
from quell.signals.remote import MissingSecret, Remotes
from quell.signals.remote_lane import OnLate
from quell.signals.remote_types import SCORE, Answer, RemoteSpec, Request
from quell.signals.show import dated


class SetupError(Exception):
    """Remote models that nobody can answer as things are set up; the message names each with its reason."""


def remotes_of(
    bundle: Build,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    environ: Mapping[str, str] | None = None,
    on_late: OnLate | None = None,
) -> Remotes | None:
    """What asks the remote models of a bundle; None for a bundle without any.

    `functions` are the embedding service's, by the name of their target; `environ` holds the secrets that
    quell.toml names (by default the process's environment). Raises SetupError.
    """
    specs = bundle.analysis.lowerer.remotes
    if not specs:
        return None
    targets = bundle.analysis.files.settings.remote
    try:
        made = Remotes(specs, targets, callables=functions, on_late=on_late, environ=environ)
    except MissingSecret as error:
        raise SetupError(str(error)) from None
    if made.unanswerable:
        raise SetupError("; ".join(made.unanswerable.values()))
    return made


def late_event(
    spec: RemoteSpec,
    request: Request,
    value: Any,
    waiting: Waiting,
    type_: str,
    type_path: Sequence[str | int | None],
) -> dict[str, Any]:
    """The event that a late answer becomes: dated as the event it was asked for, which it names."""
    asked = waiting.decoded
    event: dict[str, Any] = {
        "id": f"{waiting.seq}/{request.model}",
        "at": dated(asked.at),
        "model": request.model,
        "event": {"type": asked.event, "seq": waiting.seq},
        "inputs": dict(zip(spec.inputs, request.inputs, strict=True)),
        "answer": value if isinstance(value, dict) else {SCORE: value},
    }
    first, *rest = type_path
    said: Any = type_
    for step in reversed(rest):
        said = [*[None] * step, said] if isinstance(step, int) else {step: said}
    known = event.get(str(first))
    event[str(first)] = {**known, **said} if isinstance(known, dict) and isinstance(said, dict) else said
    return event


class Blocking:
    """Asks remote models and waits, for what decides one event after another.

    with Blocking(remotes) as answering: stepper.answering = answering
    """

    def __init__(self, remotes: Remotes) -> None:
        self._remotes = remotes
        self._runner = asyncio.Runner()

    def __enter__(self) -> Blocking:
        return self

    def __call__(self, waiting: Waiting) -> Sequence[Answer]:
        """The answers to everything that a decision waits for, asked at once."""
        return self._runner.run(self._ask(waiting))

    async def _ask(self, waiting: Waiting) -> Sequence[Answer]:
        return await asyncio.gather(*(self._remotes.ask(request) for request in waiting.requests))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._remotes.close())
        self._runner.close()
