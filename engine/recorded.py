"""A recorded run made again: the same admissions and decisions in the same order, one at a time.

A run in which decisions waited is told by each event with its decision: when the event was admitted
(`seq`), when its decision was made (`decided`), and what remote models answered (`asked`). From these the
same decisions follow, without asking anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from quell.engine.decision import Acted, Asked, Decision, Reply
from quell.engine.events import Refusal
from quell.engine.hand import HandAction
from quell.engine.stepper import Event, Stepper
from quell.engine.waiting import Waiting
from quell.signals.remote_types import Answer, Request

Record = tuple[Event, Decision | Acted]
"""An event, or a label by hand as an entry of the history, and the reply to it."""

NOT_RECORDED = Answer("unasked", None, "no answer was recorded")


def replay(stepper: Stepper, records: Iterable[Record]) -> Iterator[tuple[Decision | Acted, Reply]]:
    """Each recorded decision, or label by hand, with the one made now, in the order in which they were
    made.

    The records may come in any order; they are held until the end. Raises ValueError for records that are
    no run: two of one number, or an event decided before it was admitted.
    """
    steps: dict[int, tuple[bool, Record]] = {}
    for record in records:
        made, last = record[1], _last(record[1])
        if last < made.seq:
            raise ValueError(f"event {made.seq} was decided before it was admitted")
        for number, admits in {last: False, made.seq: True}.items():
            if number in steps:
                raise ValueError(f"two records have the number {number}")
            steps[number] = (admits, record)
    waiting: dict[int, Waiting] = {}
    for number in sorted(steps):
        admits, (event, decision) = steps[number]
        if admits:
            answer = _admit(stepper, event, number)
            if isinstance(answer, Waiting) and _last(decision) != number:
                waiting[decision.seq] = answer
                continue
        else:
            stepper.seq = number - 1
            answer = waiting.pop(decision.seq)
        yield decision, _finish(stepper, answer, decision.asked if isinstance(decision, Decision) else ())


def _last(made: Decision | Acted) -> int:
    """The number at which it took effect."""
    return made.decided if isinstance(made, Decision) else made.seq


def _admit(stepper: Stepper, event: Event, number: int) -> Reply | Waiting:
    decoded = stepper.decode(event)
    if isinstance(decoded, Refusal):
        return stepper.refuse(decoded)
    stepper.seq = number - 1
    return stepper.act(decoded) if isinstance(decoded, HandAction) else stepper.admit(decoded)


def _finish(stepper: Stepper, answer: Reply | Waiting, asked: tuple[Asked, ...]) -> Reply:
    left = list(asked)
    while isinstance(answer, Waiting):
        answer = stepper.resume(answer, [_recorded(r, left) for r in answer.requests])
    return answer


def _recorded(request: Request, left: list[Asked]) -> Answer:
    found = next((a for a in left if a.model == request.model), None)
    if found is None:
        return NOT_RECORDED
    left.remove(found)
    return Answer(found.status, found.value, found.reason)
