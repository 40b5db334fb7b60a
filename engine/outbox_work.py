"""Delivers what waits for one sink, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from quell.engine.outbox_lane import Item, Lane, message_of
from quell.engine.outbox_store import Store
from quell.engine.outbox_types import Dead, Message, Retry, Sink

_EXPIRED = 200
"""Messages too old that are given up in one go."""
_BURST = 16
"""Deliveries that are begun in one go."""
_PATIENCE = 5.0
"""Seconds to wait for a sink that is told to stop."""
_LONGEST = 300
"""Characters of what a sink met with that are kept."""


class Worker:
    """Keeps one sink busy; nothing that goes wrong there reaches beyond it."""

    def __init__(
        self, lane: Lane, sink: Sink, store: Store, journal_id: str, wall: Callable[[], int]
    ) -> None:
        self.lane = lane
        self._sink = sink
        self._store = store
        self._journal = journal_id
        self._wall = wall
        self._wake = asyncio.Event()
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """There may be something to do."""
        if not self._wake.is_set():
            self._wake.set()

    async def run(self) -> None:
        """Begin deliveries until `close`."""
        loop = asyncio.get_running_loop()
        begun = 0
        while not self._closing:
            self._wake.clear()
            found: Item | float | None = None
            if not self._store.full:
                self._give_up_old()
                found = self.lane.next(loop.time())
            if isinstance(found, Item):
                task = loop.create_task(self._deliver(found))
                self._tasks.add(task)
                task.add_done_callback(self._landed)
                begun += 1
                if begun % _BURST == 0:  # decisions come first
                    await asyncio.sleep(0)
            else:
                await self._until(found)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.wake()

    async def _until(self, when: float | None) -> None:
        """Until it is woken, or that time."""
        handle = None if when is None else asyncio.get_running_loop().call_at(when, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if handle is not None:
                handle.cancel()

    def _give_up_old(self) -> None:
        wall = self._wall()
        for item in self.lane.expired(wall, _EXPIRED):
            why = f"given up after {self.lane.delivery.age / 3600:g} h: {self.lane.trouble}"
            self._store.give_up(self.lane, item, why, wall)

    # ------------------------------------------------------------------ one message

    async def _deliver(self, item: Item) -> None:
        lane = self.lane
        try:
            await self._attempt(message_of(item, self._journal))
        except Dead as dead:
            dead = Dead(_short(dead.reason))
            lane.refused(item, dead, self._wall())
            self._store.give_up(lane, item, dead.reason, self._wall())
        except Retry as retry:
            self._stumbled(item, Retry(_short(retry.reason), retry.after, all=retry.all))
        except asyncio.CancelledError:
            lane.left(item)
            raise
        else:
            lane.succeeded(item)
            self._store.ack(item)

    def _stumbled(self, item: Item, retry: Retry) -> None:
        lane, wall = self.lane, self._wall()
        if lane.stumbled(item, retry, asyncio.get_running_loop().time(), wall):
            times = "attempt" if item.attempts == 1 else "attempts"
            why = f"given up after {item.attempts:,} {times}: {retry.reason}"
            self._store.give_up(lane, item, why, wall)
        else:
            self._store.tried(item)

    async def _attempt(self, message: Message) -> None:
        """Deliver once. Raises Retry or Dead."""
        limit = self.lane.delivery.timeout
        try:
            async with asyncio.timeout(limit):
                await self._sink.deliver(message)
        except (Retry, Dead):
            raise
        except TimeoutError:
            raise Retry(f"took longer than {limit:g} s", all=True) from None
        except (Exception, SystemExit) as error:  # a sink of the embedding service may raise anything
            raise Retry(f"raised {type(error).__name__}: {error}") from error

    # ------------------------------------------------------------------ the end

    async def close(self, grace: float) -> None:
        """Begin nothing more, and wait for what is under way; after `grace` seconds it is broken off."""
        self._closing = True
        self.wake()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_PATIENCE)


def _short(reason: str) -> str:
    said = " ".join(reason.split())
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"
