"""Replaying by the online engine itself, event by event: exact whatever the policies do, and slower.

What loops back on itself goes this way: a counter whose condition reads labels that rules set which read that
counter, say. It is also the judge of every other way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from quell.engine.decision import Acted, Decision, Refused
from quell.engine.event_problems import Problem, Refusal
from quell.engine.events import Decoded
from quell.engine.hand import HandAction
from quell.engine.stepper import Observer, Stepper
from quell.replay.database import among
from quell.replay.history import History
from quell.replay.history_types import from_column
from quell.replay.outcome import Outcome, OutcomeWriter
from quell.replay.stepping_recorded import Made, Observe, Recorded, Tally
from quell.signals.clock import BLOCK, Clock
from quell.signals.memory import Memory
from quell.signals.state import State

ROWS = 4_096


def entries(history: History) -> Iterator[tuple[int, Decoded | HandAction]]:
    """Every event and label by hand of a history, in order, with its `n`."""
    problems = _problems(history)
    streams: list[Iterator[tuple[int, Any]]] = [
        _events(history, event, problems) for event in history.build.analysis.symbols.schemas
    ]
    streams.append(_hands(history))
    yield from _merged(streams)


def _merged(streams: list[Iterator[tuple[int, Any]]]) -> Iterator[tuple[int, Any]]:
    import heapq

    yield from heapq.merge(*streams, key=lambda entry: entry[0])


def some_events(history: History, event: str, wanted: Sequence[int]) -> Iterator[tuple[int, Decoded]]:
    """Those of some events of a history that are of a type, with their `n`, in order."""
    return _events(history, event, _problems(history), f" WHERE {among(wanted)}")


def _events(
    history: History, event: str, problems: dict[int, tuple[Problem, ...]], where: str = ""
) -> Iterator[tuple[int, Decoded]]:
    columns = history.columns[event]
    decoder = history.build.decoder
    names = [f.name for _, f in columns]
    makes = [from_column(f.type, f.record) for _, f in columns]
    wanted = ", ".join(["n", *(c for c, _ in columns)])
    cursor = history.db.con.cursor()
    cursor.execute(f"SELECT {wanted} FROM {history.of(event)}{where} ORDER BY n")
    while rows := cursor.fetchmany(ROWS):
        for n, *values in rows:
            given = {
                name: value if make is None or value is None else make(value)
                for name, make, value in zip(names, makes, values, strict=True)
            }
            made = decoder.from_values(event, given)
            if isinstance(made, Refusal):
                raise AssertionError(f"event {n} of the history was taken and is refused now: {made}")
            if n in problems:
                made.problems = problems[n]
            yield n, made


def _hands(history: History) -> Iterator[tuple[int, HandAction]]:
    for n, action in history.db.rows(f"SELECT n, action FROM {history.table('hands')} ORDER BY n"):
        yield n, msgspec.json.decode(action, type=HandAction)


def _problems(history: History) -> dict[int, tuple[Problem, ...]]:
    found: dict[int, tuple[Problem, ...]] = {}
    for n, *parts in history.db.rows(
        f"SELECT n, kind, field, path, expected, got FROM {history.table('problems')} ORDER BY n, nth"
    ):
        found[n] = (*found.get(n, ()), Problem(*parts))
    return found


def decided(n: int, answer: Decision | Refused | Acted) -> Decision:
    """The decision for the event at `n`. A service goes on where deciding fails inside Quell; a replay whose
    figures leave such an event out would say what is not so."""
    if isinstance(answer, Decision):
        return answer
    told = answer.message if isinstance(answer, Refused) else "it is a label by hand"
    raise AssertionError(f"event {n} of the history: {told}")


class Steps:
    """A history made by a stepper, entry by entry. `tally` says of a journal which questions to remote models
    had a recorded answer."""

    def __init__(self, history: History, stepper: Stepper) -> None:
        self._history = history
        self._stepper = stepper
        self.tally = Tally()

    def made(self, observe: Observe = lambda n: None) -> Iterator[Made]:
        """Each entry, by its `n`, with what came of it, in the order in which that took effect: over a
        journal a decision that waited comes later than its event. `observe` is as for `step`."""
        history, stepper = self._history, self._stepper
        if history.journals:
            recorded = Recorded(history, stepper, entries(history))
            self.tally = recorded.tally
            yield from recorded.made(observe)
            return
        for n, entry in entries(history):
            if isinstance(entry, HandAction):
                yield n, entry, stepper.act(entry)
            else:
                yield n, entry, stepper.decide_decoded(entry, observe(n))


def step(
    outcome: Outcome,
    tell: Callable[[int], None] = lambda done: None,
    observe: Observe = lambda n: None,
    block: int = BLOCK,
) -> None:
    """Decide the whole history and write the outcome's tables. `observe` may give, for an event's `n`, what
    looks at it between counting and settling; `block` is the number of events in a block of the watermark."""
    history = outcome.history
    settings = history.build.analysis.files.settings
    state = State(clock=Clock(settings.lateness, block), memory=Memory(left=settings.max_keys))
    supplied: dict[str, Any] = {}
    steps = Steps(history, Stepper(history.build, state, supplied))
    writer = OutcomeWriter(outcome)

    def look(n: int) -> Observer | None:
        if history.supplied:
            supplied.clear()
            supplied.update(history.supplied.get(n, {}))
        return observe(n)

    for done, (n, entry, answer) in enumerate(steps.made(look), 1):
        if isinstance(entry, HandAction):
            if isinstance(answer, Acted):
                writer.act(n, answer)
        else:
            writer.add(n, decided(n, answer))
        if done % 1024 == 0:
            tell(done)
    writer.close()
    outcome.recorded, outcome.missing = dict(steps.tally.recorded), dict(steps.tally.missing)
