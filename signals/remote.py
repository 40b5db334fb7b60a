"""Remote models: from a question to its answer, or why there is none, within the time that it may take.

Nothing here raises outward, and every future resolves by the model's `wait` or the decision's deadline.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from quell.signals.remote_answers import Reader, reader
from quell.signals.remote_functions import FunctionTarget
from quell.signals.remote_http import HttpTarget
from quell.signals.remote_lane import Lane, Line, OnLate, Transport
from quell.signals.remote_secrets import MissingSecret, fill
from quell.signals.remote_types import Answer, Figures, RemoteSpec, Request, Target

__all__ = ["Answer", "Figures", "MissingSecret", "RemoteSpec", "Remotes", "Request", "Target"]

PATIENCE = 5.0
"""Seconds that closing waits for calls to stop: a function may refuse to."""


class Remotes:
    """The remote models of a bundle: `specs` by the name declared in the policy, `targets` by the name in
    quell.toml, `callables` the embedding service's functions by the name of their target (see
    `FunctionTarget` for what they take and return).

    `on_late(spec, request, value, token)` is called, in the event loop, once for every question that was
    answered after its future had resolved as late. Bound to the event loop that first asks. Raises
    MissingSecret where a target names an environment variable that is not set in `environ`.
    """

    def __init__(
        self,
        specs: Mapping[str, RemoteSpec],
        targets: Mapping[str, Target],
        *,
        callables: Mapping[str, Callable[..., Any]] | None = None,
        on_late: OnLate | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._specs = dict(specs)
        self._callables = dict(callables or {})
        self._on_late = on_late
        used = {spec.target for spec in specs.values()}
        self._targets = {name: target for name, target in targets.items() if name in used}
        self._readers: dict[str, Reader] = {name: reader(spec) for name, spec in specs.items()}
        self.unanswerable = {name: why for name in specs if (why := self._obstacle(name))}
        """Models that nobody can answer, with the reason: for a service to look at when it starts."""
        headers = fill(self._targets.values(), os.environ if environ is None else environ)
        answerable = {spec.target for name, spec in specs.items() if name not in self.unanswerable}
        self._transports = {name: self._transport(name, headers[name]) for name in answerable}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lanes: dict[str, Lane] = {}
        self._lines: dict[str, tuple[Lane, Line]] = {}
        self._closed = False

    def _obstacle(self, model: str) -> str:
        name = self._specs[model].target
        target = self._targets.get(name)
        if target is None:
            return f"{name}: quell.toml has no [remote.{name}]"
        if target.callable and name not in self._callables:
            others = ", ".join(f"`{n}`" for n in sorted(self._callables)[:5])
            only = f", only under {others}" if others else ""
            return f"{name}: no function is registered under this name{only}"
        if target.callable and not callable(self._callables[name]):
            return f"{name}: what is registered under this name is no function"
        return ""

    def ask(
        self, request: Request, deadline: float | None = None, token: Any = None
    ) -> asyncio.Future[Answer]:
        """A future that always resolves, by the model's `wait` or by `deadline` (of the running loop's
        `time()`), whichever is first. `token` is handed to `on_late`."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._begin(loop)
        found = self._lines.get(request.model)
        if found is None or self._closed or loop is not self._loop:
            return _done(loop, self._refusal(request.model))
        lane, line = found
        if len(request.inputs) != len(line.spec.inputs):
            wanted, given = len(line.spec.inputs), len(request.inputs)
            return _done(loop, Answer("failed", None, f"{request.model}: {given} inputs, not {wanted}"))
        text = _encode(line.spec.inputs, request.inputs)
        if text is None:
            return _done(
                loop, Answer("failed", None, f"{line.spec.target}: not asked, an input cannot be sent")
            )
        return lane.ask(line, request, text, deadline, token)

    def _refusal(self, model: str) -> Answer:
        if model not in self._specs:
            return Answer("unknown", None, f"{model}: no such remote model")
        if model in self.unanswerable:
            return Answer("unknown", None, self.unanswerable[model])
        why = "the engine was closed" if self._closed else "asked from another event loop"
        return Answer("failed", None, f"{self._specs[model].target}: {why}")

    def _transport(self, name: str, headers: Mapping[str, str]) -> Transport:
        target = self._targets[name]
        if target.callable:
            return FunctionTarget(self._callables[name], target.concurrency)
        return HttpTarget(target, headers)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        for name, transport in self._transports.items():
            target = self._targets[name]
            if isinstance(transport, FunctionTarget) and transport.at_once is not None:
                target = replace(target, concurrency=transport.at_once)
            self._lanes[name] = Lane(loop, target, transport, self._on_late)
        for model, spec in self._specs.items():
            lane = self._lanes.get(spec.target)
            if lane is not None:
                self._lines[model] = (lane, lane.add(spec, self._readers[model]))

    async def close(self) -> None:
        """Stop every call, tell whoever still waits, and let go of connections and threads. In another event
        loop than the one that asked there is nothing left to stop."""
        self._closed = True
        if self._loop is not asyncio.get_running_loop():
            return
        tasks = [task for lane in self._lanes.values() for task in lane.stop()]
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)
        for transport in self._transports.values():
            await transport.close()

    def stats(self) -> dict[str, Figures]:
        """Figures by target, of those that were asked anything since the start."""
        return {name: lane.figures() for name, lane in self._lanes.items()}


def _encode(names: tuple[str, ...], values: tuple[Any, ...]) -> bytes | None:
    """The inputs as JSON, the same text for the same inputs; None where JSON cannot say them."""
    inputs = dict(zip(names, values, strict=True))
    try:
        return msgspec.json.encode(inputs)
    except Exception:  # integers beyond 64 bits are the usual reason
        try:
            text = json.dumps(inputs, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return text.encode()
        except Exception:
            return None


def _done(loop: asyncio.AbstractEventLoop, answer: Answer) -> asyncio.Future[Answer]:
    future: asyncio.Future[Answer] = loop.create_future()
    future.set_result(answer)
    return future
