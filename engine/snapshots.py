"""Snapshots while a service runs: when they are made, and what is dropped because they are there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from quell.engine.checkpoint import (
    KEEP,
    Checkpoint,
    Data,
    checkpoint_of,
    prune,
    remove_parts,
    snapshots,
    sync_journal,
)
from quell.engine.children import ChildError, run_module
from quell.engine.service import Service
from quell.engine.snapshot import SnapshotError, write_snapshot

AGAIN = 1.5
"""Seconds that a restart may take to make the journal again since the newest snapshot: by then there is the
next, if it can be."""
COST = 100e-6
"""Processor seconds that making an entry again takes, until it is known."""
ENOUGH = 1_000
"""Entries that must have been made again for it to be known."""
REST = 0.5
"""Pause between two snapshots, in times what the last one took beside making entries again: those must be
made again some time, the rest is the price of one snapshot more."""
SHARE = 4.0
"""The same after a try that came to nothing, in times what that took."""
OFTEN = 900.0
"""Seconds after which there is one at the latest, if anything happened."""
LOOK = 1.0
QUIET = 2.0
LONGEST = 3_600.0
"""Seconds: between two looks, for decisions under way to end, for making a snapshot."""

_decode = msgspec.json.Decoder(Checkpoint).decode


class SnapshotFigures(msgspec.Struct, frozen=True, omit_defaults=True):
    """How snapshots stand: the last `number` that is in one and when it was made (microseconds since 1970,
    0 for never), the `last` that came of making one, how many decisions were `made` again since the service
    began and how many came out `differing` from the journal. `problem` says why the last try failed."""

    number: int = 0
    wall: int = 0
    last: Checkpoint | None = None
    made: int = 0
    differing: int = 0
    problem: str = ""


class Pace:
    """When the next snapshot is to be made. Times are seconds of a clock that never runs backwards."""

    def __init__(self, now: float) -> None:
        self._cost, self._took, self._pause = COST, 0.0, 0.0
        self._ended = now
        self._looked, self._seq, self._rate = now, -1, 0.0

    def look(self, seq: int, now: float) -> None:
        """Note how far the journal has come, to know how quickly it grows."""
        if now > self._looked:
            self._rate = (seq - self._seq) / (now - self._looked) if self._seq >= 0 else 0.0
        self._looked, self._seq = now, seq

    def tried(self, made: Checkpoint | None, began: float, ended: float) -> None:
        """Note what came of making one, None if nothing did."""
        took = ended - began
        self._ended = ended
        if made is None or (made.problem and not made.number):
            self._pause = took * SHARE
            return
        self._took, self._pause = took, max(0.0, took - made.making) * REST
        if made.made >= ENOUGH:
            self._cost = made.making / made.made

    def is_due(self, since: int, now: float, every: int | None) -> bool:
        """Whether it is time for the next, with so many entries since the last: with `every` that many, else
        as many as a restart would take `AGAIN` seconds for once the next is there."""
        waited = now - self._ended
        if since <= 0 or waited < self._pause:
            return False
        then = since + self._rate * self._took
        return (since >= every if every is not None else then * self._cost >= AGAIN) or waited >= OFTEN


class Snapshots:
    """Makes snapshots of a service in a data folder: after so `every` many numbers of the journal, or as
    often as a restart stays quick. `kept` is told the number that the oldest one left remembers, as what the
    journal says up to there is needed no more for a restart, and what came of the last one."""

    def __init__(
        self,
        data: Data,
        service: Service,
        kept: Callable[[int, Checkpoint], None],
        *,
        every: int | None = None,
        keep: int = KEEP,
    ) -> None:
        self._data, self._service = data, service
        self._kept = kept
        self._every, self._keep = every, keep
        self.pace = Pace(time.monotonic())
        self._making = asyncio.Lock()
        newest = next(iter(snapshots(data)), None)
        self.figures = SnapshotFigures(newest.number if newest is not None else 0)
        self._last_try = self.figures.number

    async def run(self) -> None:
        """Make snapshots until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            if self._is_due():
                await self.make()

    def _is_due(self) -> bool:
        seq, now = self._service.engine.stepper.seq, time.monotonic()
        self.pace.look(seq, now)
        return self.pace.is_due(seq - self._last_try, now, self._every)

    async def make(self) -> SnapshotFigures:
        """Make a snapshot by a process of its own; what came of it is in the figures. Never raises."""
        async with self._making:
            began, self._last_try = time.monotonic(), self._service.engine.stepper.seq
            await self._service.quiet(QUIET)
            remove_parts(self._data.states)
            try:
                out = await run_module("quell.engine.checkpoint", self._order(), LONGEST)
                made = _decode(out)
                self.pace.tried(made, began, time.monotonic())
                self._take(made)
            except (ChildError, OSError, msgspec.MsgspecError) as error:
                self.figures = msgspec.structs.replace(self.figures, problem=str(error))
                self.pace.tried(None, began, time.monotonic())
        return self.figures

    def _order(self) -> list[str]:
        """What the process that makes one is told."""
        return [str(self._data.root), *(str(bound) for bound in self._service.known.bounds)]

    def _take(self, made: Checkpoint) -> None:
        was = self.figures
        self.figures = SnapshotFigures(
            made.number or was.number,
            self._service.wall if made.number else was.wall,
            made,
            was.made + made.made,
            was.differing + made.differing,
            made.problem,
        )
        if made.number:
            self._kept(prune(self._data, self._keep), made)

    def leave(self) -> None:
        """Put the memory of a service that decides no more in a snapshot at once. Raises SnapshotError."""
        stepper = self._service.engine.stepper
        if not stepper.seq or stepper.seq <= self.figures.number or self._service.engine.waiting:
            return
        try:
            sync_journal(self._data)
            self._data.states.mkdir(exist_ok=True)
        except OSError as error:
            raise SnapshotError(f"the state cannot be written to `{self._data.states}`: {error}") from error
        path = checkpoint_of(self._data, stepper.seq, self._service.number)
        write_snapshot(stepper, path, self._service.known)
        prune(self._data, self._keep)
