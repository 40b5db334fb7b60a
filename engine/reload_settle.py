"""Waiting until a burst of writing is over, before anything is copied.

A file half written, a checkout under way, a folder that is being replaced: each is over once no file of the
bundle was written for a while. What else is written in the folder (a log, what an editor keeps) is not waited
for.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from quell.engine.reload_files import Look, look


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: files are taken once nothing of the bundle was written for `quiet`. After `most` they are
    taken as they are; a folder that is not there until then is gone."""

    quiet: float = 0.2
    most: float = 10.0


USUAL = Patience()


class Settling:
    """One wait for a folder to settle; it may be gone on with where something was written after all."""

    def __init__(self, policies: Path, patience: Patience) -> None:
        self._policies = policies
        self._patience = patience
        self._end = time.monotonic() + patience.most

    @property
    def late(self) -> bool:
        """Whether it has been waited for long enough."""
        return time.monotonic() >= self._end

    async def settled(self, *, absent: bool) -> Look:
        """The bundle's files once they are as they were a moment before, or as they are when it is late.
        `absent`: a folder that is not there is not waited for."""
        seen = await asyncio.to_thread(look, self._policies)
        while True:
            await asyncio.sleep(self._patience.quiet)
            former, seen = seen, await asyncio.to_thread(look, self._policies)
            if self.late or (seen == former and (absent or not seen.absent)):
                return seen
