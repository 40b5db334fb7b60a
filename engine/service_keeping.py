"""What a service puts down: entries of its journal, and notes for whoever watches.

It is the half of a service that writes; service.py decides, and changes what decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from quell.engine.decision import Acted, Decision, Refused, Reply
from quell.engine.engine import Engine
from quell.engine.event_problems import Refusal
from quell.engine.idempotency import Known
from quell.engine.journal_format import JournalError
from quell.engine.pending import report
from quell.engine.service_types import Kind, Note
from quell.engine.stepper import Event
from quell.engine.waiting import Waiting

Made = tuple[Reply, bytes]
"""A reply, and the same as JSON."""
Watcher = Callable[[list[Note]], None]
Done = Callable[[Made], object]
Taker = Callable[[int, Decision], None]
"""Takes what a decision sends, by the decision's number, once the decision is in the journal."""

AT_A_TIME = 200
"""Answers of which watchers are told before others on the event loop get their turn."""
MOST_NOTES = 50_000
"""Answers of which watchers are told at each look at the clock; of more, as when the loop was held up, only
the last."""
UNWRITTEN = "unwritten"
"""The kind of a refusal while the journal cannot be written."""


encode = msgspec.json.Encoder().encode
"""JSON as answers and the journal have it."""


class Writing(Protocol):
    """What a service asks of its journal: `engine.journal.Journal`, or nothing at all."""

    @property
    def problem(self) -> str:
        """Why it cannot be written, or empty."""
        ...

    @property
    def durability(self) -> Literal["each", "batch", "off"]:
        """How durable an entry is when it is acknowledged."""
        ...

    def append(
        self,
        kind: Kind,
        seq: int,
        decided: int,
        at: int,
        version: int,
        wall: int,
        event: bytes,
        reply: bytes,
        key: bytes = b"",
    ) -> None:
        """Put an entry into the buffer."""
        ...

    def flush(self) -> bool:
        """Hand over what is buffered; False if that cannot be."""
        ...

    def synced(self) -> asyncio.Future[None] | None:
        """Done once what was handed over is on disk, where answers wait for that."""
        ...


class Keeping:
    """The journal, the notes and the sends of a service. `journal` may be none; `taker` gets what decisions
    send once they are in it; `watchers` are told of answers, and what they raise is reported and forgotten.
    `number` is that of the version that decides, `wall` the server's clock at the last look, `known` the
    numbers of decisions by the digest of their key."""

    engine: Engine

    def __init__(
        self, number: int, journal: Writing | None, taker: Taker | None, known: Known | None
    ) -> None:
        self.number = number
        self.journal = journal
        self.taker = taker
        self.watchers: list[Watcher] = []
        self.wall = 0
        self.known = known if known is not None else Known()
        self._key = b""
        self._notes: list[Note] = []
        self._encoded = b""
        self._sends: list[tuple[int, Decision]] = []
        self._promised = 0

    # --------------------------------------------------------------- writing

    def _written(self, made: Made) -> Made | asyncio.Future[Made]:
        """Hand the journal over, and the answer once that is as durable as was asked."""
        journal = self.journal
        if journal is None or journal.durability == "off":
            return made
        if not journal.flush():
            return self._unwritten()
        synced = journal.synced()
        if synced is not None:
            self._send_once(synced)
            return asyncio.ensure_future(self._synced(synced, made))
        if self._sends:
            self._send(self._sent())
        return made

    def _all_written(
        self, made: list[Made | asyncio.Future[Made]]
    ) -> list[Made] | asyncio.Future[list[Made]]:
        journal, synced = self.journal, None
        if journal is not None and journal.durability != "off":
            if not journal.flush():
                return [self._unwritten()] * len(made)
            synced = journal.synced()
        self._send_once(synced)
        ready = [m for m in made if not isinstance(m, asyncio.Future)]
        if synced is None and len(ready) == len(made):
            return ready
        return asyncio.ensure_future(self._gathered(made, synced))

    async def _gathered(
        self, made: list[Made | asyncio.Future[Made]], synced: asyncio.Future[None] | None
    ) -> list[Made]:
        if synced is not None and not await on_disk(synced):
            return [self._unwritten()] * len(made)
        return [await m if isinstance(m, asyncio.Future) else m for m in made]

    async def _synced(self, synced: asyncio.Future[None], made: Made) -> Made:
        return made if await on_disk(synced) else self._unwritten()

    def once_more(self, made: Made) -> Made | asyncio.Future[Made]:
        """An answer that was given before, as durable as it was promised; the refusal of one that is not."""
        return self._written(made)

    def unwritten(self) -> Made | None:
        """Hand the journal over; why it is not whole, if it is not."""
        return None if self.journal is None or self.journal.flush() else self._unwritten()

    def _unwritten(self) -> Made:
        why = self.journal.problem if self.journal is not None else ""
        refused = self.engine.stepper.refuse(Refusal(UNWRITTEN, f"the journal cannot be written: {why}"))
        return refused, encode(refused)

    def _sent(self) -> list[tuple[int, Decision]]:
        sends, self._sends = self._sends, []
        return sends

    @property
    def unsent(self) -> int:
        """How many decisions that send something were not handed over yet."""
        return len(self._sends) + self._promised

    def _send_once(self, synced: asyncio.Future[None] | None) -> None:
        """Hand over what decisions send once they are on disk, whether or not somebody still waits for that.
        Where it fails they go with those that follow."""
        if synced is None:
            self._send(self._sent())
        elif self._sends:
            sends = self._sent()
            self._promised += len(sends)
            synced.add_done_callback(lambda done: self._landed(done, sends))

    def _landed(self, done: asyncio.Future[None], sends: list[tuple[int, Decision]]) -> None:
        self._promised -= len(sends)
        if done.cancelled() or done.exception() is not None:
            self._sends = sorted(sends + self._sends, key=lambda sent: sent[0])
        else:
            self._send(sends)

    def forget_sends(self) -> None:
        """Leave what was sent before the service began to whoever reads the journal."""
        self._sends.clear()

    def _send(self, sends: list[tuple[int, Decision]]) -> None:
        if self.taker is not None:
            for number, decision in sends:
                self.taker(number, decision)

    def tell(self) -> None:
        """Tell watchers of the answers since they were told last."""
        notes, self._notes = self._notes, []
        self._tell(notes[-MOST_NOTES:])

    async def tell_slowly(self) -> None:
        """Tell watchers of the answers so far, a few at a time, so that nobody waits long meanwhile: those of
        a quarter of a second may take 10 ms in all."""
        notes, self._notes = self._notes[-MOST_NOTES:], []
        told = 0
        try:
            while told < len(notes):
                some = notes[told : told + AT_A_TIME]
                told += len(some)
                self._tell(some)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._notes[:0] = notes[told:]
            raise

    def _tell(self, notes: list[Note]) -> None:
        if not notes:
            return
        for watcher in self.watchers:
            try:
                watcher(notes)
            except Exception as error:  # what only watches must not end the service
                report("what watches the decisions failed", error)

    # ------------------------------------------------------------- recording

    def decided(self, event: Event, reply: Reply) -> None:
        """Put a decision, or a label by hand, in the journal's buffer: the engine tells of it."""
        self._encoded = encoded = encode(reply)
        key = self._taken_key(reply) if self._key else b""
        if type(reply) is Decision:
            if self.journal is not None:  # as `_append` does, without the calls
                plain = event if type(event) is bytes else as_json(event)
                self.journal.append(
                    "event", reply.seq, reply.decided, reply.at, self.number, self.wall, plain, encoded, key
                )
            if reply.sends:
                self._sends.append((reply.decided, reply))
        elif isinstance(reply, Acted):
            self._append("acted", reply.seq, reply.seq, reply.at, as_json(event), encoded, key)
        else:  # counted, and then a defect of Quell: made again it fails again
            seq = self.engine.stepper.seq
            self._append("event", seq, seq, 0, as_json(event), encoded, key)

    def admitted(self, event: Event, waiting: Waiting) -> None:
        """Put an event that waits in the journal's buffer."""
        key = self._taken_key(waiting) if self._key else b""
        self._append("admitted", waiting.seq, 0, waiting.decoded.at, as_json(event), b"", key)

    def finished(self, waiting: Waiting, reply: Decision | Refused) -> None:
        """Put the decision of an event that waited in the journal's buffer."""
        number = reply.decided if isinstance(reply, Decision) else self.engine.stepper.seq
        self._append("decided", waiting.seq, number, waiting.decoded.at, b"", encode(reply))
        if isinstance(reply, Decision) and reply.sends:
            self._sends.append((number, reply))

    def _taken_key(self, about: Reply | Waiting) -> bytes:
        """The key of the event that is put down; what else is put down before the next has none."""
        key, self._key = self._key, b""
        self.known.put(key, self.engine.stepper.seq if isinstance(about, Refused) else about.seq, self.wall)
        return key

    def _append(
        self, kind: Kind, seq: int, decided: int, at: int, event: bytes, reply: bytes, key: bytes = b""
    ) -> None:
        if self.journal is not None:
            self.journal.append(kind, seq, decided, at, self.number, self.wall, event, reply, key)


async def on_disk(synced: asyncio.Future[None]) -> bool:
    """Wait for the disk; False if it failed, and the journal then says why."""
    try:
        await synced
    except JournalError:
        return False
    return True


def as_json(event: Event) -> bytes:
    """An event as the journal has it. Raises ValueError for what is no JSON."""
    if isinstance(event, bytes):
        return event
    try:
        return event.encode() if isinstance(event, str) else encode(event)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise ValueError(f"the event cannot be written as JSON: {error}") from error
