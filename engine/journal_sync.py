"""The thread that brings a journal to disk, for all at once who wait for it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from quell.engine.journal_format import JournalError
from quell.engine.journal_writer import Writer

_PATIENCE = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the disk is tried again, by how often it has failed; the last for good."""

Waiting = tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]


class Syncer:
    """Brings what is written to disk, `every` so many seconds while something is written, and at once where
    somebody waits."""

    def __init__(self, writer: Writer, every: float) -> None:
        self.asleep = False  # whether it wants to be woken once something is written
        self.done_at = 0  # when the disk last had everything, in microseconds since 1970
        self._writer = writer
        self._every = every
        self._waiting: list[Waiting] = []
        self._lock = Lock()
        self._calls: SimpleQueue[bool] = SimpleQueue()  # True to look, False to end
        self._ending = False
        self._failed = 0
        self._thread = Thread(target=self._run, name="quell-journal-sync", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something is written."""
        self.asleep = False
        self._calls.put(True)

    def wait(self) -> asyncio.Future[None]:
        """Done once all that is written now is on disk; it fails with JournalError if that cannot be."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiting.append((loop, future))
            if len(self._waiting) == 1:
                self._calls.put(True)
        return future

    def close(self) -> None:
        """Bring the rest to disk, and end."""
        self._ending = True
        self._calls.put(False)
        self._thread.join()

    # -------------------------------------------------------------- the thread

    def _run(self) -> None:
        while not self._ending:
            self.asleep = True
            if not (self._writer.kept or self._writer.broken or self._waiting or self._ending):
                self._calls.get()
            self.asleep = False
            self._pause(self._every)
            self._sync()
            if self._failed:
                self._pause(_PATIENCE[min(self._failed, len(_PATIENCE) - 1)])
        self._sync()

    def _pause(self, seconds: float) -> None:
        """Let some time pass; less if somebody waits and the disk did not fail."""
        until = time.monotonic() + seconds
        while not self._ending and (self._failed or not self._waiting):
            left = until - time.monotonic()
            if left <= 0:
                break
            with suppress(Empty):
                self._calls.get(timeout=left)
        with suppress(Empty):
            while True:
                self._calls.get_nowait()

    def _sync(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        done = self._synced() or self._synced()  # what failed is written again, elsewhere
        self._failed = 0 if done else self._failed + 1
        if done:
            self.done_at = time.time_ns() // 1000
        problem = "" if done else self._writer.problem
        by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for loop, future in waiting:
            by_loop.setdefault(loop, []).append(future)
        for loop, futures in by_loop.items():
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, futures, problem)

    def _synced(self) -> bool:
        try:
            return self._writer.sync()
        except Exception as error:  # whoever waits must hear of a defect here
            self._writer.broken = (
                f"bringing the journal to disk failed inside Quell: {type(error).__name__}: {error}"
            )
            return False


def _resolve(futures: list[asyncio.Future[None]], problem: str) -> None:
    for future in futures:
        if future.done():
            continue
        if problem:
            future.set_exception(JournalError(problem))
            future.exception()  # whoever gave up waiting need not look
        else:
            future.set_result(None)
