"""A recorded run made again: the same admissions and decisions in the same order, one at a time.

A run in which decisions waited is told by each event with its decision: when the event was admitted
(`seq`), when its decision was made (`decided`), and what remote models answered (`asked`); and by each
label by hand with what came of it. From these the same decisions follow, without asking anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from quell.engine.decision import Acted, Asked, Decision, Reply
from quell.engine.events import Decoded
from quell.engine.stepper import Event, Stepper
from quell.engine.waiting import Waiting
from quell.signals.remote_types import Answer

Record = tuple[Event, Decision | Acted]

NOT_RECORDED = Answer("unasked", None, "no answer was recorded")


def replay(stepper: Stepper, records: Iterable[Record]) -> Iterator[tuple[Decision | Acted, Reply]]:
    """Each recorded reply with the one that is made now, in the order in which they were made.

    The records may come in any order; they are held until the end. Raises ValueError for records that are
    no run: two of one number, or an event decided before it was admitted.
    """
    steps: dict[int, Record] = {}
    for record in records:
        for number in _numbers(record[1]):
            if number in steps:
                raise ValueError(f"two records have the number {number}")
            steps[number] = record
    waiting: dict[int, Waiting] = {}
    for number in sorted(steps):
        event, then = steps[number]
        stepper.seq = number - 1
        if isinstance(then, Acted):
            yield then, stepper.decide(event)
            continue
        if number != then.seq and then.seq not in waiting:  # what waited then was decided at once now
            continue
        answer = _admit(stepper, event) if number == then.seq else waiting.pop(then.seq)
        if isinstance(answer, Waiting) and number != then.decided:
            waiting[then.seq] = answer
        else:
            yield then, _finish(stepper, answer, then.asked)


def _numbers(reply: Decision | Acted) -> set[int]:
    """The steps of a reply: where its event was admitted, and where it was made."""
    if isinstance(reply, Acted):
        return {reply.seq}
    if reply.decided < reply.seq:
        raise ValueError(f"event {reply.seq} was decided before it was admitted")
    return {reply.seq, reply.decided}


def _admit(stepper: Stepper, event: Event) -> Reply | Waiting:
    decoded = stepper.decode(event)
    return stepper.admit(decoded) if isinstance(decoded, Decoded) else stepper.reply(decoded)


def _finish(stepper: Stepper, answer: Reply | Waiting, asked: tuple[Asked, ...]) -> Reply:
    left = list(asked)
    while isinstance(answer, Waiting):
        answer = stepper.resume(answer, [recorded(r.model, left) for r in answer.requests])
    return answer


def recorded(model: str, left: list[Asked]) -> Answer:
    """The next recorded answer of a model, which is taken out of those that are left."""
    found = next((a for a in left if a.model == model), None)
    if found is None:
        return NOT_RECORDED
    left.remove(found)
    return Answer(found.status, found.value, found.reason)
