"""A decision under way: what it waits for is asked, and it goes on once all of that is answered."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from quell.engine.decision import Reply
from quell.engine.waiting import Waiting
from quell.signals.remote_types import Answer

if TYPE_CHECKING:
    from quell.engine.engine import Engine


class Pending:
    """One decision that waits: asks a wave, and goes on once all of it is answered. No task is made."""

    __slots__ = ("_answers", "_engine", "_left", "_made", "_until", "_wave", "waiting")

    def __init__(
        self,
        engine: Engine,
        waiting: Waiting,
        until: float | None,
        made: asyncio.Future[Reply],
    ) -> None:
        self._engine = engine
        self.waiting = waiting
        self._until = until
        self._made = made
        self._left = 0
        self._wave = 0
        self._answers: list[Answer] = []

    def ask(self) -> None:
        """Ask everything that the present wave needs, at once."""
        engine, requests = self._engine, self.waiting.requests
        self._left = len(requests)
        self._answers = [GIVEN_UP] * len(requests)
        self._wave += 1
        if engine.remotes is None:
            self._answers = [NO_REMOTES] * len(requests)
            self._go_on()
            return
        token = self.waiting
        for place, request in enumerate(requests):
            try:
                asked = engine.remotes.ask(request, self._until, token)
            except Exception as error:  # a stand-in's: the decision must be made all the same
                report(f"asking `{request.model}` failed", error)
                asked = asyncio.get_running_loop().create_future()
                asked.set_result(UNASKED_FAILED)
            asked.add_done_callback(partial(self._take, self._wave, place))

    def give_up(self) -> None:
        """Go on without the answers that have not come."""
        self._go_on()

    def _take(self, wave: int, place: int, done: asyncio.Future[Answer]) -> None:
        if wave != self._wave:  # it was given up
            return
        try:
            self._answers[place] = UNASKED_CLOSED if done.cancelled() else done.result()
        except Exception as error:  # as above
            report("asking failed", error)
            self._answers[place] = UNASKED_FAILED
        self._left -= 1
        if not self._left:
            self._go_on()

    def _go_on(self) -> None:
        self._wave += 1
        try:
            answer = self._engine.stepper.resume(self.waiting, self._answers)
            if isinstance(answer, Waiting):
                self.ask()
            else:
                self._engine.finish(self, self._made, answer)
        except MemoryError as error:
            self._engine.ran_out(self, self._made, error)


NO_REMOTES = Answer("unasked", None, "no remote models are configured")
GIVEN_UP = Answer("late", None, "what decides was about to change, and the answer had not come")
UNASKED_CLOSED = Answer("failed", None, "the question was given up")
UNASKED_FAILED = Answer("failed", None, "the question could not be asked")


def report(what: str, error: Exception) -> None:
    """Tell of an exception in code that is not Quell's, where nobody can be given it."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # a label by hand needs no loop
        logging.getLogger("quell").error(what, exc_info=error)
    else:
        loop.call_exception_handler({"message": what, "exception": error})
