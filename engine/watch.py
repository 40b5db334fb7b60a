"""Watches a folder: says when something in it may have changed.

The operating system tells of changes where it can. Where it cannot (too many folders are watched already, or
one may not be read), whoever listens is asked to look instead, about every second, and telling is tried again
after a while. Even where changes are told, a look is asked for now and then, since not every file system
tells of all. A folder that is replaced by another, as deployments do it, goes away, or comes back, is noticed
within a second.
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
_PAUSE = 0.05

Mode = Literal["off", "told", "looking"]
"""Whether changes are told by the operating system or found by looking."""


@dataclass(slots=True)
class Watch:
    """Watches a folder with all in it. Times are in seconds: `step` is how long changes are gathered, `every`
    how often a look is asked for where changes are told, `look` how often where they are not, and how often
    the folder itself is looked at; `again` how long it is until telling is tried again."""

    folder: Path
    step: float = 0.05
    every: float = 30.0
    look: float = 1.0
    again: float = 300.0
    mode: Mode = "off"
    _reason: str = ""

    async def changes(self) -> AsyncGenerator[bool]:
        """True each time something may have changed, False where somebody should look whether it did. It goes
        on for ever; cancel it or close it to end it."""
        try:
            while True:
                reason = ""
                try:
                    async with contextlib.aclosing(self._told()) as told:
                        async for changed in told:
                            yield changed
                except FileNotFoundError:
                    pass  # it is gone, and may come back
                except Exception as error:  # watchfiles has errors of its own that no name leads to
                    reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:300]
                self.mode = "off"
                yield True
                if reason:
                    self._say(reason)
                    async with contextlib.aclosing(self._looking()) as asked:
                        async for changed in asked:
                            yield changed
                await self._until_there()
        finally:
            self.mode = "off"

    def _say(self, reason: str) -> None:
        if reason != self._reason:
            LOG.warning(
                "%s: the system does not tell of changes (%s), so files are looked at", self.folder, reason
            )
        self._reason = reason

    async def _until_there(self) -> None:
        """Wait until there is a folder, and a moment at least: what ends at once is not begun without end."""
        await asyncio.sleep(min(self.look, _PAUSE))
        while _identity(self.folder) is None:
            await asyncio.sleep(min(self.look, 4 * _PAUSE))

    async def _looking(self) -> AsyncGenerator[bool]:
        """Ask for looks, for a while."""
        self.mode = "looking"
        end = time.monotonic() + self.again
        while time.monotonic() < end:
            await asyncio.sleep(self.look)
            yield False

    async def _told(self) -> AsyncGenerator[bool]:
        """As `changes`, until the folder is another one or gone. Raises whatever watchfiles does where it
        cannot be watched."""
        from watchfiles import awatch

        if (first := _identity(self.folder)) is None:
            raise FileNotFoundError
        asked = -math.inf  # what changed before it was watched is found by looking at once
        step = max(1, round(self.step * 1000))
        stop = asyncio.Event()
        # Nothing it cannot watch is left out (`ignore_permission_denied`): it would not say what.
        watching = awatch(
            self.folder,
            watch_filter=self._counts,
            debounce=4 * step,
            step=step,
            stop_event=stop,
            rust_timeout=round(self.look * 1000),
            yield_on_timeout=True,
        )
        try:
            async for changed in watching:
                self.mode = "told"
                if _identity(self.folder) != first:
                    return
                if changed or time.monotonic() - asked >= self.every:
                    asked = time.monotonic()
                    yield bool(changed)
        finally:
            stop.set()
            await watching.aclose()

    def _counts(self, change: object, path: str) -> bool:
        """Whether a change is one of a bundle, as far as its place tells."""
        return not _IGNORED.intersection(Path(path).parts[len(self.folder.parts) :])


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder it is, links followed; None where there is none."""
    try:
        about = folder.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
