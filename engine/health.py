"""The health of a running service: its metrics, and the log of what turns.

    health = Health()
    async with serving(policies, data, Setup(tell=health.reloaded)) as running:
        health.follow(running, parts.figures)     # parts: those of the HTTP side
        …                                         # GET /metrics answers health.metrics.text(accept)
        health.close()

An embedding service may do the same without HTTP, or give its own `Metrics` other parts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from quell.engine.logs import tell
from quell.engine.logs_watch import LogWatch
from quell.engine.metrics import Metrics
from quell.engine.metrics_parts import Parts
from quell.engine.pending import report
from quell.engine.service_types import ReloadOutcome
from quell.signals.remote_types import Figures as RemoteFigures

if TYPE_CHECKING:
    from quell.engine.http_pressure import HttpFigures
    from quell.engine.serving import Serving

LOOK = 1.0
"""Seconds between two looks at what turned."""


class Health:
    """Watches a service. For its event loop."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.turns = LogWatch(time.monotonic)
        self._running: Serving | None = None
        self._http: Callable[[], HttpFigures] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def reloaded(self, outcome: ReloadOutcome) -> None:
        """An attempt to reload ended."""
        self.metrics.reloaded(outcome)
        self.turns.reloaded(outcome)

    def follow(self, running: Serving, http: Callable[[], HttpFigures] | None = None) -> None:
        """Watch a service from now on, and log how it came back. Needs the event loop."""
        self._running, self._http = running, http
        service = running.service
        self.metrics.parts = Parts(
            stepper=lambda: service.engine.stepper,
            version=lambda: running.versions.live,
            waiting=lambda: service.engine.waiting,
            remotes=self._remotes,
            journal=running.journal.figures,
            outbox=running.outbox.figures,
            snapshots=lambda: running.snapshots.figures,
            http=http,
            once=service.once.figures,
        )
        service.watchers.append(self.metrics.watch)
        self.metrics.start()
        self._recovered(running)
        self._look()

    def _recovered(self, running: Serving) -> None:
        came = running.restart
        if came.snapshot or came.made:
            numbers = {"snapshot": came.snapshot, "made": came.made, "differing": came.differing}
            tell(
                "serve.recovered",
                finished=came.finished,
                sends=came.sends,
                seconds=round(came.seconds, 3),
                **numbers,
            )
        for what in came.told:
            tell("serve.noted", what=what)

    def look(self) -> None:
        """Log what turned since the last look."""
        running, turns = self._running, self.turns
        if running is None:
            return
        turns.journal(running.journal.figures())
        turns.outbox(running.outbox.figures())
        turns.snapshots(running.snapshots.figures)
        turns.drift(self.metrics.drift.figures())
        turns.remotes(self._remotes())
        if self._http is not None:
            turns.http(self._http())
        tally = self.metrics.tally
        failed = {event: n for (event, kind), n in tally.refusals.items() if kind == "internal"}
        turns.defects(failed, tally.defects)

    def _remotes(self) -> Mapping[str, RemoteFigures]:
        remotes = self._running.service.engine.remotes if self._running is not None else None
        return {} if remotes is None else remotes.stats()

    def _look(self) -> None:
        try:
            self.look()
        except Exception as error:  # what only watches must not end the service
            report("looking at the service's health failed", error)
        self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def close(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.metrics.close()
        if self._running is not None and self.metrics.watch in self._running.service.watchers:
            self._running.service.watchers.remove(self.metrics.watch)
