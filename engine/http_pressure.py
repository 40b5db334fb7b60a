"""How hard the service is pressed: requests under way, how late its event loop is, what was turned away.

A service that has too much to do refuses new events at once, before they are counted, instead of answering
all of them late. It has too much to do when too many requests are under way, or when its event loop has been
late at every look for some time: once late, as while another bundle is compiled, is no overload.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import msgspec

from quell.engine.http_problem import CLOSE, refuse

BEAT = 0.02
"""Seconds between two looks."""
_SWEEP = 0.25
_log = logging.getLogger("quell.http")
T = TypeVar("T")


class Limits(msgspec.Struct, frozen=True):
    """How much a service takes. Bytes of the `body` of one event (0: what the bundle allows) and of `bulk`,
    an array of at most `events`; of all `bodies` that come in or are being decided together; `under_way`
    requests at once; `lag`, seconds that its event loop may be late
    for as long as `patience`; `body_timeout` seconds for one body to come in, and `pause` between two pieces
    of a stream, either way."""

    body: int = 0
    bulk: int = 64 << 20
    events: int = 10_000
    bodies: int = 256 << 20
    under_way: int = 10_000
    lag: float = 0.2
    patience: float = 0.5
    body_timeout: float = 10.0
    pause: float = 60.0


class HttpFigures(msgspec.Struct, frozen=True):
    """What the HTTP side did: requests under way, requests `shed` because there was too much to do, seconds
    that the event loop was late at the last look, requests without a key that holds and with one that was not
    for this, bodies that came too slowly, and answers by address and status."""

    under_way: int
    shed: int
    lag: float
    overloaded: bool
    wrong_keys: int
    forbidden: int
    slow: int
    answers: dict[str, dict[str, int]]


class Room:
    """What the body of one request takes of the room for all; a context, at whose end it is free again."""

    def __init__(self, pressure: Pressure) -> None:
        self._pressure = pressure
        self.taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pressure.bodies -= self.taken

    def take(self, size: int) -> None:
        """Take more, in bytes. Raises HttpError where there is no more; one body always has room."""
        pressure = self._pressure
        self.taken += size
        pressure.bodies += size
        if pressure.bodies > pressure.limits.bodies and pressure.bodies > self.taken:
            pressure.shed += 1
            raise refuse("overload", "bodies that are coming in take all the room", headers=[CLOSE])


class Pressure:
    """Watches the event loop and what waits for clients. Needs `start` within the loop to do so."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.under_way = 0
        self.bodies = 0
        """Bytes of bodies that come in, or are being decided."""
        self.turns = asyncio.Lock()
        """Held while some of many events are decided: one client's at each turn of the event loop."""
        self.shed = 0
        self.slow = 0
        self.lag = 0.0
        self.closing = False
        self.each_second: list[Callable[[], object]] = []
        self.answers: dict[str, dict[int, int]] = {}
        self.now = 0.0
        """The loop's clock at the last look: good enough for what waits seconds."""
        self._late_since: float | None = None
        self._overloaded = False
        self.waiting: dict[asyncio.Task[Any], float] = {}
        """Tasks that wait for their client, and until when on the loop's clock."""
        self._idle: set[asyncio.Task[Any]] = set()
        self._overdue: set[asyncio.Task[Any]] = set()
        self._long: set[asyncio.Future[Any]] = set()
        self._beating: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ overload

    @property
    def overloaded(self) -> bool:
        """Whether events are to be refused."""
        return self._overloaded or self.under_way > self.limits.under_way

    def enter(self) -> None:
        """Raises HttpError if there is too much to do already, or the service closes. Whoever calls it counts
        itself in `under_way` first."""
        if self._overloaded or self.under_way > self.limits.under_way:
            self.shed += 1
            raise refuse("overload")
        if self.closing:
            raise refuse("closing")

    def room(self) -> Room:
        """Room for the body of a request."""
        return Room(self)

    def beat(self, late: float, now: float) -> None:
        """Take in how late the loop is at a moment."""
        self.lag, self.now = late, now
        if late <= self.limits.lag:
            self._late_since, self._overloaded = None, False
            return
        if self._late_since is None:
            self._late_since = now  # not before: one long moment is no overload
        self._overloaded = now - self._late_since >= self.limits.patience

    # ------------------------------------------------------- slow clients

    def wait_for_client(self, task: asyncio.Task[Any], seconds: float, idle: bool = False) -> None:
        """From now on a task waits for its client, and is cancelled unless it is done within so long; one
        that is `idle` also when the service closes."""
        self.waiting[task] = self.now + seconds
        if idle:
            self._idle.add(task)

    def done_waiting(self, task: asyncio.Task[Any]) -> None:
        """The client has done its part."""
        self.waiting.pop(task, None)
        self._idle.discard(task)

    def close(self) -> None:
        """Take no more events from now on, and end streams of which nothing is under way, and what may take
        long."""
        self.closing = True
        for work in self._long:
            work.cancel()
        for task in self._idle:
            self._overdue.add(task)
            task.cancel()

    async def unless_closing(self, work: Awaitable[T]) -> T:
        """What work comes to that may take longer than closing waits for. Raises HttpError if the service
        closes first; the work is cancelled then."""
        done = asyncio.ensure_future(work)
        self._long.add(done)
        if self.closing:
            done.cancel()
        try:
            return await done
        except asyncio.CancelledError:
            if not (self.closing and done.cancelled()):
                done.cancel()
                raise
            raise refuse("closing", "it does not wait for what may take long") from None
        finally:
            self._long.discard(done)

    def was_overdue(self, task: asyncio.Task[Any]) -> bool:
        """Whether a task that was cancelled was so because its client took too long, or as the service
        closes."""
        if task in self._overdue:
            self._overdue.discard(task)
            self.slow += not self.closing
            return True
        return False

    def _sweep(self) -> None:
        for task in [t for t, until in self.waiting.items() if until < self.now]:
            self.done_waiting(task)
            if not task.done():
                self._overdue.add(task)
                task.cancel()

    # -------------------------------------------------------------- running

    def start(self) -> None:
        """Begin to look. Needs the event loop."""
        if self._beating is None or self._beating.done():
            loop = asyncio.get_running_loop()
            self.now = loop.time()
            self._beating = loop.create_task(self._beat())

    def stop(self) -> None:
        """Look no more."""
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        swept = told = loop.time()
        while True:
            due = loop.time() + BEAT
            await asyncio.sleep(BEAT)
            now = loop.time()
            self.beat(max(0.0, now - due), now)
            if now - swept >= _SWEEP:
                swept = now
                self._sweep()
            if now - told >= 1.0:
                told = now
                self._tell()

    def _tell(self) -> None:
        for call in self.each_second:
            try:
                call()
            except Exception:  # one that fails must not end the others
                _log.exception("what is done each second failed")

    def answered(self, where: str, status: int) -> None:
        """Count an answer."""
        counts = self.answers.get(where)
        if counts is None:
            counts = self.answers[where] = {}
        counts[status] = counts.get(status, 0) + 1
