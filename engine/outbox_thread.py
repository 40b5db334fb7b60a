"""One thread for what may block: disks, names to look up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Errands:
    """Runs functions one after another in a thread that is started by the first. A thread cannot be stopped:
    what hangs holds up those after it and nothing else, not even the end of the process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def __call__(self, function: Callable[[], T]) -> T:
        """What the function returns, or raises. Cancelled, it may run all the same."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((loop, future, function))
        return await future

    def close(self) -> None:
        """Let the thread end once its work is done."""
        self._jobs.put(None)
        self._thread = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, future, function = job
            if future.cancelled():
                continue
            try:
                value, raised = function(), None
            except BaseException as error:  # told to whoever waits
                value, raised = None, error
            with contextlib.suppress(RuntimeError):  # the loop was closed, so nobody waits
                loop.call_soon_threadsafe(_resolve, future, value, raised)


def _resolve(future: asyncio.Future[Any], value: Any, raised: BaseException | None) -> None:
    if future.done():
        return
    if raised is not None:
        future.set_exception(raised)
    else:
        future.set_result(value)
