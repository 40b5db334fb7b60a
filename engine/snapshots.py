"""Snapshots while a service runs: when they are made, and what is dropped because they are there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from quell.engine.checkpoint import KEEP, Checkpoint, Data, checkpoint_of, prune, snapshots
from quell.engine.children import ChildError, run_module
from quell.engine.service import Service
from quell.engine.snapshot import SnapshotError, write_snapshot

AGAIN = 2.0
"""Seconds that a restart may take to make the journal again since the newest snapshot: then comes the
next."""
COST = 50e-6
"""Seconds that making an entry again takes, until it is known."""
SHARE = 4.0
"""Time between two snapshots, in times that the last one took."""
OFTEN = 900.0
"""Seconds after which there is one at the latest, if anything happened."""
LOOK = 5.0
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
        self._cost, self._took = COST, 0.0
        self._tried = time.monotonic()
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
        since = self._service.engine.stepper.seq - self._last_try
        waited = time.monotonic() - self._tried
        if waited < self._took * SHARE:
            return False
        many = since >= self._every if self._every is not None else since * self._cost >= AGAIN
        return many or (since > 0 and waited >= OFTEN)

    async def make(self) -> SnapshotFigures:
        """Make a snapshot by a process of its own; what came of it is in the figures. Never raises."""
        async with self._making:
            self._tried, self._last_try = time.monotonic(), self._service.engine.stepper.seq
            await self._service.quiet(QUIET)
            try:
                out = await run_module("quell.engine.checkpoint", self._order(), LONGEST)
                self._take(_decode(out))
            except (ChildError, OSError, msgspec.MsgspecError) as error:
                self.figures = msgspec.structs.replace(self.figures, problem=str(error))
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
        self._took = made.seconds
        if made.made:
            self._cost = made.making / made.made
        if made.number:
            self._kept(prune(self._data, self._keep), made)

    def leave(self) -> None:
        """Put the memory of a service that decides no more in a snapshot at once. Raises SnapshotError."""
        stepper = self._service.engine.stepper
        if not stepper.seq or stepper.seq <= self.figures.number or self._service.engine.waiting:
            return
        try:
            self._data.states.mkdir(exist_ok=True)
        except OSError as error:
            raise SnapshotError(f"the state cannot be written to `{self._data.states}`: {error}") from error
        path = checkpoint_of(self._data, stepper.seq, self._service.number)
        write_snapshot(stepper, path, self._service.known)
        prune(self._data, self._keep)
