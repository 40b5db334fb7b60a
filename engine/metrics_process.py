"""How the process itself fares: how late its event loop is, and how long collections of garbage take."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Mapping
from typing import Any

from quell.engine.metrics_tally import Timed

LAG_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
PAUSE_BOUNDS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
EVERY = 0.1
"""Seconds between two looks at the event loop."""


class Pauses:
    """Collections of garbage by generation, while it is started. Everything in the process stands still
    meanwhile, so they show in the latency of whatever was being decided."""

    def __init__(self) -> None:
        self.took = {generation: Timed(PAUSE_BOUNDS) for generation in range(3)}
        self._began = 0.0

    def start(self) -> None:
        """Watch from now on."""
        if self._told not in gc.callbacks:
            gc.callbacks.append(self._told)

    def stop(self) -> None:
        """Watch no longer."""
        if self._told in gc.callbacks:
            gc.callbacks.remove(self._told)

    def _told(self, phase: str, info: Mapping[str, Any]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        elif (timed := self.took.get(info["generation"])) is not None:
            timed.add(time.perf_counter() - self._began)


class Lag:
    """How late the event loop comes to a timer: what a request waits before anybody looks at it."""

    def __init__(self) -> None:
        self.took = Timed(LAG_BOUNDS)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running event loop. Raises RuntimeError without one."""
        if self._timer is None:
            self._next(asyncio.get_running_loop())

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + EVERY
        self._timer = loop.call_at(due, self._rung, loop, due)

    def _rung(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.took.add(max(0.0, loop.time() - due))
        self._next(loop)
