"""Stepping over a journal: remote models are not asked again, and decisions that waited take effect when they
did.

An event is admitted at its own number, and its decision made at the number that it had then, so that what was
admitted in between sees what it saw in service. That needs the order of one journal; where its events are
taken in another order, or among others, each is decided before the next, with the answers that it got. What
other policies ask and service did not is missing, and counted.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from quell.engine.decision import Acted, Asked, Decision, Refused
from quell.engine.events import Decoded
from quell.engine.hand import HandAction
from quell.engine.recorded import NOT_RECORDED, recorded
from quell.engine.stepper import Observer, OfObserver, Stepper
from quell.engine.waiting import Waiting
from quell.replay.history import History
from quell.signals.remote_types import Answer

ROWS = 4_096
_asked = msgspec.json.Decoder(list[Asked])

Observe = Callable[[int], Observer | None]
Made = tuple[int, Decoded | HandAction, Decision | Refused | Acted]


class Tally:
    """By remote model, how many questions had a recorded answer, and how many had none."""

    def __init__(self) -> None:
        self.recorded = Counter[str]()
        self.missing = Counter[str]()


class Recorded:
    """Makes the decisions of a history that is, or holds, a journal. `steps` are its entries in order."""

    def __init__(
        self, history: History, stepper: Stepper, steps: Iterator[tuple[int, Decoded | HandAction]]
    ) -> None:
        self._stepper = stepper
        self._steps = steps
        self._exact = history.numbered
        self._numbers = _numbers(history)
        self._answers = _answers(history)
        self._next = next(self._answers, None)
        self._due: list[tuple[float, int, Waiting, list[Asked]]] = []
        self._entries: dict[int, Decoded] = {}
        self.tally = Tally()

    def made(self, observe: Observe) -> Iterator[Made]:
        """Each entry with what came of it, in the order in which that took effect."""
        try:
            yield from self._made(observe)
        except OfObserver as passed:
            raise passed.error from None

    def _made(self, observe: Observe) -> Iterator[Made]:
        stepper = self._stepper
        for n, entry in self._steps:
            number = self._number(n)
            if self._exact:
                yield from self._resumed(number, observe)
                stepper.seq = number - 1
            decided, asked = self._answered(n)
            if isinstance(entry, HandAction):
                yield n, entry, stepper.act(entry)
                continue
            answer = stepper.admit(entry, observe(n))
            if not isinstance(answer, Waiting):
                yield n, entry, answer
            elif self._exact and decided > number:
                heapq.heappush(self._due, (decided, n, answer, asked))
                self._entries[n] = entry
            else:
                yield n, entry, self._finish(answer, asked, observe(n))
        yield from self._resumed(math.inf, observe)

    def _resumed(self, before: float, observe: Observe) -> Iterator[Made]:
        """Make the decisions that took effect before a number; those that were never made come at the end."""
        due, stepper = self._due, self._stepper
        while due and (due[0][0] < before or before == math.inf):
            decided, n, waiting, asked = heapq.heappop(due)
            if decided != math.inf:
                stepper.seq = int(decided) - 1
            yield n, self._entries.pop(n), self._finish(waiting, asked, observe(n))

    def _finish(self, waiting: Waiting, asked: list[Asked], observer: Observer | None) -> Decision | Refused:
        answer: Decision | Refused | Waiting = waiting
        while isinstance(answer, Waiting):
            answers = [self._recorded(r.model, asked) for r in answer.requests]
            answer = self._stepper.resume(answer, answers, observer)
        return answer

    def _recorded(self, model: str, asked: list[Asked]) -> Answer:
        answer = recorded(model, asked)
        (self.tally.missing if answer is NOT_RECORDED else self.tally.recorded)[model] += 1
        return answer

    # -------------------------------------------------------------- beside the entries

    def _number(self, n: int) -> int:
        """The journal's number of an entry."""
        for place, number in self._numbers:
            if place == n:
                return number
        raise AssertionError(f"entry {n} of the history has no number")

    def _answered(self, n: int) -> tuple[float, list[Asked]]:
        """When an event's decision took effect in service, if it waited, and what was asked for it."""
        while self._next is not None and self._next[0] < n:
            self._next = next(self._answers, None)
        if self._next is None or self._next[0] != n:
            return 0, []
        _, decided, asked = self._next
        return math.inf if decided is None else decided, _asked.decode(asked)


def _numbers(history: History) -> Iterator[tuple[int, int]]:
    """By `n`, in order, the number in the file."""
    union = " UNION ALL ".join(f"SELECT n, row FROM {history.table(name)}" for name in ("all", "hands"))
    return _streamed(history, f"SELECT n, row FROM ({union}) ORDER BY n")


def _answers(history: History) -> Iterator[tuple[int, int | None, str]]:
    """By `n`, in order, what `answers` says of it."""
    return _streamed(
        history,
        f"SELECT n, decided, asked FROM {history.table('answers')} JOIN {history.table('all')} "
        "USING (file, row) ORDER BY n",
    )


def _streamed(history: History, query: str) -> Iterator[Any]:
    cursor = history.db.con.cursor()
    cursor.execute(query)
    while rows := cursor.fetchmany(ROWS):
        yield from rows
