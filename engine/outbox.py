"""The outbox: what decisions send reaches its sinks at least once, and never holds up a decision.

    outbox = Outbox(folder, sinks, journal_id, last=journal.last)
    for number, decision in …:               # the journal after outbox.done_upto
        outbox.restore(number, decision)
    running = asyncio.create_task(outbox.run())
    outbox.take(number, decision)            # once the decision is in the journal
    await outbox.close(grace=10)

The journal keeps what is to be sent; the folder holds only what is settled (`outbox_acks.py`) and dead
letters (`outbox_dead.py`). Whatever a killed process had not noted as settled is sent again, under the same
key. One event loop calls all methods, save those about dead letters, which may be called anywhere.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from quell.engine.decision import Decision
from quell.engine.outbox_dead import MOST_BYTES
from quell.engine.outbox_lane import Item, Lane
from quell.engine.outbox_reading import Reader, Wanted, read_again
from quell.engine.outbox_store import QUIET, Offload, Store
from quell.engine.outbox_thread import Errands
from quell.engine.outbox_types import DeadLetter, OutboxFigures, Sink, SinkFigures
from quell.engine.outbox_work import Worker

MOST_WAITING = 10_000
"""Sends that wait in memory for each sink."""
READING = 0.2
"""Seconds between two looks whether there is room for what only the journal holds."""
_AT_ONCE = 1_000
"""Sends without a sink that become dead letters in one go."""


def _wall() -> int:
    return time.time_ns() // 1_000


class Outbox:
    """Delivers to `sinks` by name. `journal_id` makes keys unique; `last` is the greatest number in the
    journal, known so that numbers which a power cut took from it are not mistaken for settled.

    `reader` gives the decisions of a range of numbers (both ends included) that were taken and found no
    room in memory, each with its number and, if known, when it was taken (microseconds since 1970); it is
    called in a thread, and must give every decision that sends something or raise. Without a reader these
    sends, and all after them for the same sink, wait for the next start.

    Raises OutboxError where the folder cannot be used. `told` says what was found damaged and mended.
    """

    def __init__(
        self,
        folder: Path,
        sinks: Mapping[str, Sink],
        journal_id: str,
        *,
        last: int | None = None,
        reader: Reader | None = None,
        most_waiting: int = MOST_WAITING,
        most_dead_bytes: int = MOST_BYTES,
        wall: Callable[[], int] = _wall,
        chance: random.Random | None = None,
        offload: Offload | None = None,
    ) -> None:
        self._store = Store(folder, journal_id, last, most_dead_bytes)
        self.told = tuple(self._store.told)
        self._most = most_waiting
        self._wall = wall
        self._chance = chance or random.Random()
        self._reader = reader
        self._errands = (Errands("quell-outbox"), Errands("quell-outbox-reading"))
        self._offload: Offload = offload or self._errands[0]
        self._offload_reading: Offload = offload or self._errands[1]
        self._seen = self._store.done_upto
        self._closing = False
        self._ended = asyncio.Event()
        self._sinks = dict(sinks)
        self._lanes: dict[str, Lane] = {}
        self._workers: dict[str, Worker] = {}
        for name, sink in sinks.items():
            lane = self._lanes[name] = Lane(name, sink, most_waiting, self._chance)
            self._workers[name] = Worker(lane, sink, self._store, journal_id, wall)

    @property
    def done_upto(self) -> int:
        """Every send of decisions with numbers up to this is settled, and that is on disk: a restart reads
        the journal from the next on, so the journal must keep what comes after."""
        return self._store.done_upto

    # ------------------------------------------------------------------ in

    def take(self, number: int, decision: Decision) -> None:
        """Have what a decision sends delivered. Numbers rise from call to call; one whose decision sends
        nothing may be left out. Neither blocks nor raises."""
        if number > self._seen:
            self._seen = number
        if decision.sends:
            self._take(number, decision, self._wall())

    def _take(self, number: int, decision: Decision, wall: int) -> None:
        for index, sent in enumerate(decision.sends):
            lane = self._lanes.get(sent.sink) or self._unrouted(sent.sink)
            lane.take(Item(number, index, decision, wall))
            self._wake(sent.sink)

    def _wake(self, name: str) -> None:
        worker = self._workers.get(name)
        if worker is not None:
            worker.wake()
        else:
            self._store.wake()

    def _unrouted(self, name: str) -> Lane:
        lane = self._lanes[name] = Lane(name, None, self._most, self._chance)
        return lane

    def restore(self, number: int, decision: Decision, wall: int | None = None) -> None:
        """The same at a start, before `run`, for every decision that the journal has after `done_upto`, in
        order: what is settled is left out. `wall` is when the journal says it was written."""
        if number > self._seen:
            self._seen = number
        taken = self._wall() if wall is None else wall
        for index, sent in enumerate(decision.sends):
            lane = self._lanes.get(sent.sink) or self._unrouted(sent.sink)
            if not self._store.is_settled(sent.sink, (number, index), decision):
                lane.take(self._store.item(number, index, decision, taken))

    # ------------------------------------------------------------------ running

    async def run(self) -> None:
        """Deliver until `close`."""
        tasks = [asyncio.create_task(worker.run()) for worker in self._workers.values()]
        tasks.append(asyncio.create_task(self._keep_store()))
        if self._reader is not None:
            tasks.append(asyncio.create_task(self._keep_reading(self._reader)))
        try:
            await self._ended.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_store(self) -> None:
        """Write what there is to write, give up what has no sink, and look for dead letters to send again."""
        loop = asyncio.get_running_loop()
        looked = written = loop.time() - QUIET
        while not self._closing:
            now = loop.time()
            self._bury_unrouted()
            if idle := now >= written + QUIET:
                written = now
            await self._store.sync(self._lanes, self._seen, self._offload, idle)
            if now >= looked + 1.0:
                looked = now
                for letter in await self._store.asked_again(self._lanes, self._offload):
                    self._send_again(letter)
            for worker in self._workers.values():
                worker.wake()
            await self._store.wait()

    def _bury_unrouted(self) -> None:
        wall = self._wall()
        for lane in self._lanes.values():
            if lane.sink is None and not self._store.full:
                for item in lane.expired(wall, _AT_ONCE):
                    self._store.give_up(lane, item, "no such sink is configured", wall)

    def _send_again(self, letter: DeadLetter) -> None:
        item = Item(0, 0, None, self._wall())
        item.letter, item.message = letter, letter.message
        self._lanes[letter.message.sink].put(item)

    async def _keep_reading(self, reader: Reader) -> None:
        """Read from the journal what found no room in memory, once there is room."""
        while not self._closing:
            for lane in list(self._lanes.values()):
                if lane.missed is not None and lane.room * 2 >= self._most:
                    await self._refill(lane, reader)
            await asyncio.sleep(READING)

    async def _refill(self, lane: Lane, reader: Reader) -> None:
        assert lane.missed is not None
        wanted = Wanted(lane.name, *lane.missed, lane.room)
        try:
            found = await self._offload_reading(lambda: read_again(reader, wanted))
        except Exception as error:  # the journal's, whatever it may be
            self._store.problems[f"read {lane.name}"] = f"the journal cannot be read again: {error}"
            return
        self._store.problems.pop(f"read {lane.name}", None)
        wall = self._wall()
        for number, index, decision, taken in found.sends:
            if not self._store.is_settled(lane.name, (number, index), decision):
                lane.put(self._store.item(number, index, decision, taken or wall))
        lane.read_again(wanted.last, found.next, len(found.sends))
        self._wake(lane.name)

    async def close(self, grace: float = 10.0) -> None:
        """Begin nothing more, wait up to `grace` seconds for what is under way, and bring to disk what came
        of it. The rest is delivered after the next start."""
        self._closing = True
        await asyncio.gather(*(worker.close(grace) for worker in self._workers.values()))
        await self._store.sync(self._lanes, self._seen, self._offload, True)
        self._store.close()
        self._ended.set()
        for sink in self._sinks.values():
            closing = getattr(sink, "close", None)
            if closing is not None:
                await closing()
        for errands in self._errands:
            errands.close()

    # ------------------------------------------------------------------ looks, and what people do

    def figures(self) -> OutboxFigures:
        """How it does."""
        counts = self._store.counts
        sinks = {name: lane.figures(counts.get(name, 0)) for name, lane in self._lanes.items()}
        for name, dead in counts.items():
            if name not in sinks:
                sinks[name] = SinkFigures(False, dead=dead)
        store = self._store
        return OutboxFigures(sinks, store.done_upto, self._seen, store.unsynced, store.dropped, store.problem)

    def dead(self, sink: str | None = None, most: int | None = None, after: str = "") -> list[DeadLetter]:
        """The dead letters, those of one sink if it is named, the oldest first; at most `most`, from the one
        after the key `after` on. Reads the disk. Raises OutboxError."""
        return self._store.letters.list(sink, most, after)

    def resend(self, keys: Iterable[str] | None = None, sink: str | None = None) -> int:
        """Have dead letters sent again, those with these keys or all of them, of one sink only if it is
        named; gives how many that are. Writes to the disk. Raises OutboxError."""
        return self._store.letters.resend(keys, sink)

    def drop(self, keys: Iterable[str] | None = None, sink: str | None = None) -> int:
        """Let go of dead letters, chosen in the same way; gives how many. Writes to the disk. Raises
        OutboxError."""
        return self._store.letters.drop(keys, sink)
