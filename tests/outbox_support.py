"""Sinks that fail on demand, decisions that send, and an outbox in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from quell.engine.decision import Decision, Sent
from quell.engine.outbox import Outbox
from quell.engine.outbox_types import Delivery, Message, Sink

START = 1_800_000_000_000_000
"""The server's clock when virtual time is 1,000 s, where it begins."""


def decision(number: int, *sinks: str) -> Decision:
    """One that sends to these sinks."""
    sends = tuple(Sent(sink, "flood", {"n": number, "i": i}) for i, sink in enumerate(sinks))
    return Decision(
        "message", number, number * 1_000_000, "block", id=f"m{number}", decided=number, sends=sends
    )


class Recorder:
    """A sink that notes what it gets; `behave` may await, and raise what a sink may raise."""

    def __init__(self, behave: Callable[[Message], Any] | None = None, **delivery: Any) -> None:
        self.delivery = Delivery(**delivery)
        self.tried: list[Message] = []
        self.times: list[float] = []
        self.got: list[Message] = []
        self._behave = behave

    async def deliver(self, message: Message) -> None:
        self.tried.append(message)
        self.times.append(asyncio.get_running_loop().time())
        if self._behave is not None:
            outcome = self._behave(message)
            if asyncio.iscoroutine(outcome):
                await outcome
        self.got.append(message)

    @property
    def numbers(self) -> list[int]:
        return [message.number for message in self.got]


async def inline(function: Callable[[], Any]) -> Any:
    """In place of a thread, which virtual time cannot wait for: others go on before and after."""
    await asyncio.sleep(0)
    outcome = function()
    await asyncio.sleep(0)
    return outcome


def wall() -> int:
    return START + int((asyncio.get_running_loop().time() - 1_000) * 1_000_000)


class Journal:
    """What an outbox reads again: decisions in order."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.reads: list[tuple[int, int]] = []

    @property
    def last(self) -> int:
        return self.decisions[-1].decided if self.decisions else 0

    def add(self, *sinks: str) -> Decision:
        self.decisions.append(decision(self.last + 1, *sinks))
        return self.decisions[-1]

    def take(self, outbox: Outbox, *sinks: str) -> None:
        """What a service does: first the journal, then the outbox."""
        self.add(*sinks)
        outbox.take(self.last, self.decisions[-1])

    def read(self, first: int, last: int) -> Iterator[tuple[int, Decision, int]]:
        self.reads.append((first, last))
        for one in self.decisions:
            if first <= one.decided <= last:
                yield one.decided, one, START


def made(folder: Path, sinks: Mapping[str, Sink], seed: int = 0, **how: Any) -> Outbox:
    """An outbox in virtual time."""
    how = {"offload": inline, "wall": wall, "chance": random.Random(seed), **how}
    return Outbox(folder, sinks, how.pop("journal_id", "j"), **how)


@asynccontextmanager
async def running(folder: Path, sinks: Mapping[str, Sink], **how: Any):  # type: ignore[no-untyped-def]
    """One that runs, and is closed in the end."""
    outbox = made(folder, sinks, **how)
    task = asyncio.create_task(outbox.run())
    try:
        yield outbox
    finally:
        await outbox.close(0.0)
        await task


async def settled(outbox: Outbox, upto: int) -> None:
    """Until all up to a number is settled, on disk."""
    end = asyncio.get_running_loop().time() + 3_600
    while outbox.done_upto < upto:
        assert asyncio.get_running_loop().time() < end, outbox.figures()
        await asyncio.sleep(0.1)
