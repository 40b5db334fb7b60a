"""Targets that are Python functions of the service that embeds Quell."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from quell.signals.remote_types import CallError
from quell.signals.values import plain

MAX_THREADS = 64


class FunctionTarget:
    """Asks a function, which takes a list of inputs (a dict each, by the names of the declaration, None
    where missing) and returns, or awaits to, a list of as many answers in the same order.

    An `async` function runs in the event loop. Any other may block, so it runs in a thread of its own pool
    of at most `threads` and never more than 64. A thread cannot be stopped, so such a function should bound
    its own time.
    """

    def __init__(self, function: Callable[..., Any], threads: int) -> None:
        self._function = function
        self._threads = min(threads, MAX_THREADS)
        self._pool: ThreadPoolExecutor | None = None
        # An instance with an async __call__ is no coroutine function by itself.
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - whether it is async, not whether it is there
        )
        self.at_once = None if is_async else self._threads
        """How many calls can be under way at once, None where there is no limit."""

    async def call(self, model: str, questions: Sequence[bytes]) -> list[Any]:
        """The answers to some questions, each the JSON of its inputs. Raises CallError."""
        # Decoded anew, so that a function that changes its inputs changes nobody else's.
        inputs = [msgspec.json.decode(q) for q in questions]
        try:
            answers = await self._answers(inputs)
        except (Exception, SystemExit) as error:
            raise CallError("failed", f"the function raised {type(error).__name__}") from error
        answers = plain(answers)
        if not isinstance(answers, list | tuple):
            raise CallError("invalid", "the function returned something else than a list of answers")
        return list(answers)

    async def _answers(self, inputs: list[Any]) -> Any:
        if self.at_once is None:
            return await self._function(inputs)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="quell-remote")
        loop = asyncio.get_running_loop()
        raised, answers = await loop.run_in_executor(self._pool, _outcome, self._function, inputs)
        if raised is not None:
            raise raised
        return await answers if inspect.isawaitable(answers) else answers

    async def close(self) -> None:
        """Let go of the threads; those at work end by themselves."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _outcome(function: Callable[..., Any], inputs: list[Any]) -> tuple[BaseException | None, Any]:
    """What the function raised, or what it returned: a future cannot carry every exception."""
    try:
        return None, function(inputs)
    except (Exception, SystemExit) as error:
        return error, None
