"""Watches a folder: says when something in it may have changed.

The operating system tells of changes where it can. Where it cannot (too many folders are watched already), or
does not (folders of other machines), the folder is looked at from time to time instead. A folder that is
replaced by another, as deployments do it, goes away, or comes back, is noticed within a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LOG = logging.getLogger("quell.watch")
_IGNORED = frozenset((".git", ".hg", ".svn", "__pycache__"))
"""Folders in which programs write of their own accord, and nothing of a bundle lies."""

Mode = Literal["off", "told", "looking"]
"""Whether changes are told by the operating system or found by looking."""


@dataclass(slots=True)
class Watch:
    """Watches a folder with all in it. Times are in seconds: `step` is how long changes are gathered, `every`
    how often something is said even though nothing was told, for systems that do not tell; `look` how often
    the folder itself is looked at, and every file of it where changes are found by looking."""

    folder: Path
    step: float = 0.05
    every: float = 30.0
    look: float = 1.0
    polling: bool = False
    mode: Mode = "off"

    async def changes(self) -> AsyncGenerator[bool]:
        """True each time something may have changed, False where only some time has passed. It goes on for
        ever; cancel it or close it to end it."""
        try:
            while True:
                try:
                    async with contextlib.aclosing(self._watched()) as told:
                        async for changed in told:
                            yield changed
                except FileNotFoundError:
                    pass  # it is gone, and may come back
                except OSError as error:
                    self._fall_back(error)
                self.mode = "off"
                yield True
                await self._until_there()
        finally:
            self.mode = "off"

    def _counts(self, change: object, path: str) -> bool:
        """Whether a change is one of a bundle, as far as its place tells."""
        return not _IGNORED.intersection(Path(path).parts[len(self.folder.parts) :])

    def _fall_back(self, error: OSError) -> None:
        reason = error.strerror or str(error) or type(error).__name__
        LOG.warning("%s: changes are not told here (%s), so its files are looked at", self.folder, reason)
        self.polling = True

    async def _until_there(self) -> None:
        while _identity(self.folder) is None:
            await asyncio.sleep(min(self.look, 0.2))

    async def _watched(self) -> AsyncGenerator[bool]:
        """As `changes`, until the folder is another one or gone. Raises OSError where it cannot be
        watched."""
        from watchfiles import awatch

        first = _identity(self.folder)
        said = -math.inf  # what changed before it was watched is found at once
        step = max(1, round(self.step * 1000))
        stop = asyncio.Event()
        watching = awatch(
            self.folder,
            watch_filter=self._counts,
            debounce=4 * step,
            step=step,
            stop_event=stop,
            rust_timeout=round(self.look * 1000),
            yield_on_timeout=True,
            force_polling=self.polling or None,  # otherwise as the environment says
            poll_delay_ms=round(self.look * 1000),
            ignore_permission_denied=True,
        )
        try:
            self.mode = "looking" if self.polling else "told"
            async for changed in watching:
                if _identity(self.folder) != first:
                    return
                if changed or time.monotonic() - said >= self.every:
                    said = time.monotonic()
                    yield bool(changed)
        finally:
            stop.set()
            await watching.aclose()


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder it is, links followed; None where there is none."""
    try:
        about = folder.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
