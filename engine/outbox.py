"""The outbox: what decisions send reaches its sinks at least once, and never holds up a decision.

    outbox = Outbox(folder, sinks, journal.id, last=journal.last, reader=decisions_of(journal_folder))
    outbox.resume(journal.last)              # or restore() each decision that the journal has after done_upto
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
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from quell.engine.decision import Decision
from quell.engine.outbox_dead import MOST_BYTES
from quell.engine.outbox_lane import Item, Lane
from quell.engine.outbox_reading import Reader, Resuming, Wanted, read_again
from quell.engine.outbox_store import POLL, QUIET, Every, Offload, Store
from quell.engine.outbox_thread import Errands
from quell.engine.outbox_types import DeadLetter, OutboxFigures, Sink, SinkFigures
from quell.engine.outbox_work import Worker

MOST_WAITING = 10_000
"""Sends that wait in memory for each sink."""
PATIENCE = 5.0
"""Seconds that bringing things to disk gets at the end, at least."""
READING = 0.2
"""Seconds between two looks whether there is room for what only the journal holds."""
MOST_UNREAD = 60
"""Times that what must be in the journal is looked for: then it is gone, as from a damaged disk, and the rest
goes on; the problem stays told."""
_AT_ONCE = 1_000
"""Sends without a sink that become dead letters in one go."""


def _wall() -> int:
    return time.time_ns() // 1_000


class Outbox:
    """Delivers to `sinks` by name. `journal_id` makes keys unique; `last` is the greatest number in the
    journal before anything was written to it in this run, so that numbers which a power cut took are not
    mistaken for settled.

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
        self._resuming: Resuming | None = None
        self._unread: dict[str, int] = {}
        self._short = asyncio.Event()
        """Set when something found no room in memory."""
        self._closing = False
        self._ended = asyncio.Event()
        self._sinks = dict(sinks)
        self.named: Mapping[str, tuple[str, ...]] | None = None
        """The sinks that policies send to, each with the rules, where that is known. Figures tell all."""
        self._lanes: dict[str, Lane] = {}
        self._workers: dict[str, Worker] = {}
        for name, sink in sinks.items():
            lane = self._lanes[name] = Lane(name, sink, most_waiting, self._chance, wall())
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
        if not decision.sends:
            return
        if self._resuming is not None:
            self._resuming.extend(number)
            return
        wall = self._wall()
        of = (decision.event, decision.id, decision.at, decision.verdict)
        for index, sent in enumerate(decision.sends):
            lane = self._lanes.get(sent.sink) or self._unrouted(sent.sink)
            lane.take(Item(number, index, wall, sent, of))
            if lane.missed is not None:
                self._short.set()
            self._wake(sent.sink)

    def _wake(self, name: str) -> None:
        worker = self._workers.get(name)
        if worker is not None:
            worker.wake()
        else:
            self._store.wake()

    def _unrouted(self, name: str) -> Lane:
        lane = self._lanes[name] = Lane(name, None, self._most, self._chance, self._wall())
        return lane

    def restore(self, number: int, decision: Decision, wall: int | None = None) -> None:
        """The same at a start, before `run`, for every decision that the journal has after `done_upto`, in
        order: what is settled is left out. `wall` is when the journal says it was written."""
        if number > self._seen:
            self._seen = number
        self._restore(number, decision, self._wall() if wall is None else wall)

    def _restore(self, number: int, decision: Decision, taken: int) -> None:
        for index, sent in enumerate(decision.sends):
            lane = self._lanes.get(sent.sink) or self._unrouted(sent.sink)
            if not self._store.is_settled(sent.sink, (number, index), decision):
                lane.take(self._store.item(number, index, decision, taken))

    def passed(self, number: int) -> None:
        """All decisions up to a number that send something were taken: `done_upto` may reach it, and so lets
        the journal go, though the last decisions have sent nothing."""
        if number > self._seen:
            self._seen = number

    def resume(self, last: int) -> None:
        """Instead of `restore`: have the reader read what the journal has from `done_upto` to the number
        `last` while everything runs already. What is taken meanwhile comes after it."""
        if self._reader is None:
            raise ValueError("there is no reader")
        if last > self.done_upto:
            self._seen = max(self._seen, last)
            self._resuming = Resuming(self._reader, self.done_upto + 1, last)

    # ------------------------------------------------------------------ running

    async def run(self) -> None:
        """Deliver until `close`."""
        passes: list[Callable[[], Awaitable[None]]] = [worker.run for worker in self._workers.values()]
        passes += [self._keep_store, self._keep_reading]
        tasks = [asyncio.create_task(self._guarded(one)) for one in passes]
        try:
            await self._ended.wait()
        finally:
            for task in tasks:
                task.cancel()
            ends = [worker.close(0.0) for worker in self._workers.values()]
            await asyncio.gather(*tasks, *ends, return_exceptions=True)

    async def _guarded(self, one: Callable[[], Awaitable[None]]) -> None:
        """A defect in one part ends neither it nor the others."""
        while not self._closing:
            try:
                await one()
            except Exception as error:
                self._store.problems["defect"] = f"a defect of Quell: {type(error).__name__}: {error}"
                await asyncio.sleep(POLL)

    async def _keep_store(self) -> None:
        """Write what there is to write, give up what has no sink, and look for dead letters to send again."""
        loop = asyncio.get_running_loop()
        look, rest = Every(POLL), Every(QUIET)
        while not self._closing:
            now = loop.time()
            idle = rest.due(now)
            self._bury_unrouted()
            await self._store.sync(self._lanes, self._progress(), self._offload, idle)
            if look.due(now) or idle:
                for letter in await self._store.asked_again(self._lanes, self._offload, idle):
                    self._send_again(letter)
            for worker in self._workers.values():
                worker.wake()
            await self._store.wait()

    def _progress(self) -> int:
        """The greatest number up to which all sends are known here."""
        return self._seen if self._resuming is None else self._resuming.first - 1

    def _bury_unrouted(self) -> None:
        wall = self._wall()
        for lane in self._lanes.values():
            if lane.sink is None and not self._store.full:
                for item in lane.expired(wall, _AT_ONCE):
                    self._store.give_up(lane, item, "no such sink is configured", wall)

    def _send_again(self, letter: DeadLetter) -> None:
        item = Item(0, 0, self._wall(), letter=letter, message=letter.message)
        self._lanes[letter.message.sink].put(item)

    async def _keep_reading(self) -> None:
        """Read from the journal what is to be resumed, and what found no room in memory, once there is
        room."""
        while not self._closing:
            if self._resuming is not None:
                await self._resume(self._resuming)
                continue
            short = [lane for lane in self._lanes.values() if lane.missed is not None]
            if self._reader is None or not short:
                self._short.clear()
                await self._short.wait()
                continue
            for lane in short:
                if lane.room * 2 >= self._most:
                    await self._refill(lane, self._reader)
            await asyncio.sleep(READING)

    async def _resume(self, resuming: Resuming) -> None:
        sure = self._unread.get("", 0) < MOST_UNREAD
        try:
            piece = await self._offload_reading(lambda: resuming.read(sure))
        except Exception as error:
            await self._not_read("", error)
            return
        self._read("")
        for number, decision, taken in piece.decisions:
            self._restore(number, decision, self._wall() if taken is None else taken)
        resuming.first = piece.next
        if resuming.ended:
            self._resuming = None
        for name in self._lanes:
            self._wake(name)

    async def _not_read(self, what: str, error: Exception) -> None:
        """The reader may raise whatever it likes."""
        self._unread[what] = self._unread.get(what, 0) + 1
        self._store.problems[f"read {what}"] = f"the journal cannot be read again: {error}"
        await asyncio.sleep(POLL)

    def _read(self, what: str) -> None:
        if self._unread.pop(what, 0) < MOST_UNREAD:
            self._store.problems.pop(f"read {what}", None)

    async def _refill(self, lane: Lane, reader: Reader) -> None:
        assert lane.missed is not None
        sure = self._unread.get(lane.name, 0) < MOST_UNREAD
        wanted = Wanted(lane.name, *lane.missed, lane.room, sure)
        try:
            found = await self._offload_reading(lambda: read_again(reader, wanted))
        except Exception as error:
            await self._not_read(lane.name, error)
            return
        self._read(lane.name)
        wall = self._wall()
        for number, index, decision, taken in found.sends:
            if not self._store.is_settled(lane.name, (number, index), decision):
                lane.put(self._store.item(number, index, decision, wall if taken is None else taken))
        lane.read_again(wanted.last, found.next, len(found.sends))
        self._wake(lane.name)

    async def close(self, grace: float = 10.0) -> None:
        """Begin nothing more, wait up to `grace` seconds for what is under way, and bring to disk what came
        of it. The rest is delivered after the next start."""
        if self._closing:
            return
        self._closing = True
        await asyncio.gather(*(worker.close(grace) for worker in self._workers.values()))
        closing = [self._store.settle(self._lanes, self._progress(), self._offload)]
        ways: list[Any] = [getattr(sink, "close", None) for sink in self._sinks.values()]
        closing += [close() for close in ways if close is not None]
        done = (asyncio.wait_for(one, max(grace, PATIENCE)) for one in closing)  # a disk may hang
        await asyncio.gather(*done, return_exceptions=True)
        self._ended.set()
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
        if self.named is not None:
            told = {name: sinks.get(name) or SinkFigures(False) for name in (*sinks, *self.named)}
            sinks = {name: replace(its, rules=self.named.get(name, ())) for name, its in told.items()}
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
