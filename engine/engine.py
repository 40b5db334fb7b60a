"""The asynchronous engine: a stepper, and remote models that are asked while events go on.

    engine = Engine.load("policies")
    decision = await engine.decide(b'{"type": "message_create", …}')
    await engine.close()

Events are counted in the order in which `decide` is called; a decision that needs no remote answer is made
at once, without giving up the thread. One that waits lets others pass, and its effects are visible to what
is admitted after it is made. Both numbers are on the decision, `seq` and `decided`, so that a concurrent
run can be made again one event at a time (recorded.py). An engine is for one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from quell.engine.asking import late_event, remotes_of
from quell.engine.decision import Acted, Refused, Reply
from quell.engine.events import Refusal
from quell.engine.figures import Figures
from quell.engine.hand import HAND, Carried, HandAction, LabelError
from quell.engine.hand_calls import HandCalls, Time
from quell.engine.stepper import Event, Stepper
from quell.engine.waiting import Waiting
from quell.signals.remote_types import Answer, RemoteSpec, Request
from quell.signals.remote_types import Figures as RemoteFigures

IN_FLIGHT = 10_000
"""Decisions that may wait at once; beyond them an event is refused before anything counts it."""
MOST_ECHOES = 4
"""Late answers that may lead to one another: each is an event, which may ask, and be answered late."""
_LONGEST = 1e9
"""Seconds: a longer deadline is none."""
BUSY = "the engine has too much under way"
CLOSING = "the engine is closing"
_STEP = 256
"""Decisions made at once before others on the event loop get their turn."""

Watcher = Callable[[Reply], None]


class Asking(Protocol):
    """What asks remote models: `signals.remote.Remotes`, or a stand-in."""

    def ask(
        self, request: Request, deadline: float | None = None, token: Any = None
    ) -> asyncio.Future[Answer]:
        """A future that is always resolved, by `deadline` on the loop's clock at the latest."""
        ...

    def stats(self) -> dict[str, RemoteFigures]:
        """Figures by target."""
        ...

    async def close(self) -> None:
        """End what is under way."""
        ...


class Engine(HandCalls):
    """Decides events while remote models are asked.

    `deadline` is how long a decision may take at most, in seconds: what has not answered by then is missing.
    `in_flight` is how many decisions may wait at once. `on_decision` sees every decision, label by hand and
    refusal in the order in which they are made; what it raises goes to the event loop's exception handler, as
    the decision holds all the same. Raises ValueError for a deadline that is no number.
    """

    def __init__(
        self,
        stepper: Stepper,
        remotes: Asking | None = None,
        *,
        deadline: float | None = None,
        in_flight: int = IN_FLIGHT,
        on_decision: Watcher | None = None,
    ) -> None:
        self.stepper = stepper
        self.remotes = remotes
        self.deadline = None if deadline is None else _seconds(deadline)
        self.in_flight = in_flight
        self.on_decision = on_decision
        self._open = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: asyncio.Future[None] | None = None
        self._made: asyncio.Future[None] | None = None
        self._closing = False

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        environ: Mapping[str, str] | None = None,
        deadline: float | None = None,
        in_flight: int = IN_FLIGHT,
        on_decision: Watcher | None = None,
    ) -> Engine:
        """An engine for the bundle in a folder.

        `functions` answer the remote models whose target quell.toml calls `callable`, by the target's name;
        each takes a list of inputs, a dict each, and gives, or awaits to, a list of answers. `environ` holds
        the secrets that quell.toml names. Raises PolicyError, with every reason, if the bundle has errors,
        and SetupError if a remote model has nobody to answer it.
        """
        made = cls(Stepper.load(folder), deadline=deadline, in_flight=in_flight, on_decision=on_decision)
        made.remotes = remotes_of(made.stepper.bundle, functions, environ, made.take_late)
        return made

    @property
    def version(self) -> str:
        """A digest of the policies, lists, models and settings that decide."""
        return self.stepper.version

    @property
    def waiting(self) -> int:
        """How many decisions wait for remote answers."""
        return self._open

    def figures(self) -> Figures:
        """What is held and what waits: keys, entries and bytes of every counter, label and limit, and what
        became of the questions to remote models. Takes milliseconds."""
        remote = self.remotes.stats() if self.remotes is not None else {}
        return msgspec.structs.replace(self.stepper.figures(), waiting=self._open, remote=remote)

    # -------------------------------------------------------------- deciding

    async def decide(self, event: Event, deadline: float | None = None) -> Reply:
        """The decision for one event, given as JSON or as a mapping.

        The event is counted when this is first awaited. If the caller gives up, the decision is made all the
        same and its effects hold. Never raises for what is in the event; raises ValueError, before the event
        is counted, for a deadline that is no number.
        """
        answer = self._begin(event, deadline)
        return await answer if isinstance(answer, asyncio.Future) else answer

    async def decide_many(
        self, events: Iterable[Event] | AsyncIterable[Event], deadline: float | None = None
    ) -> AsyncIterator[Reply]:
        """The decisions for events, in their order; up to `in_flight` of them wait at once. None is refused
        because too much is under way: the next event is taken when there is room for it."""
        under_way: deque[Reply | asyncio.Future[Reply]] = deque()
        at_once = 0
        async for event in _each(events):
            while under_way and (len(under_way) >= self.in_flight or _is_done(under_way[0])):
                yield await _settled(under_way.popleft())
            while self._open >= self.in_flight > 0 and not self._closing:  # others decide as well
                if under_way:
                    yield await _settled(under_way.popleft())
                else:
                    await self._room()
            under_way.append(self._begin(event, deadline))
            at_once += 1
            if at_once % _STEP == 0:
                await asyncio.sleep(0)
        while under_way:
            yield await _settled(under_way.popleft())

    async def _room(self) -> None:
        """Wait until a decision that waited is made."""
        if self._made is None or self._made.done():
            self._made = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._made)

    def _begin(self, event: Event, deadline: float | None, echoes: int = 0) -> Reply | asyncio.Future[Reply]:
        """Admit an event; gives its decision, or a future of it."""
        stepper = self.stepper
        within = self.deadline if deadline is None else _seconds(deadline)
        decoded = stepper.decode(event)
        if isinstance(decoded, Refusal):
            return self._told(stepper.refuse(decoded))
        if isinstance(decoded, HandAction):
            if self._closing:
                return self._told(stepper.refuse(Refusal("closing", CLOSING, event=HAND)))
            return self._told(stepper.act(decoded))
        if self._closing or self._open >= self.in_flight:
            kind, why = (
                ("closing", CLOSING) if self._closing else ("busy", "the engine has too much under way")
            )
            ladder = stepper.bundle.analysis.symbols.ladders[decoded.event]
            return self._told(Refused(kind, why, ladder.failure, "", decoded.event))
        answer = stepper.admit(decoded)
        if not isinstance(answer, Waiting):
            return self._told(answer)
        answer.echoes = echoes
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Reply] = loop.create_future()
        self._open += 1
        self._loop = loop
        _Pending(self, answer, None if within is None else loop.time() + within, made).ask()
        return made

    def _told(self, answer: Reply) -> Reply:
        if self.on_decision is not None:
            try:
                self.on_decision(answer)
            except Exception as error:  # it holds, and whoever asked must have it
                _report("what sees the decisions failed", error)
        return answer

    def finish(self, made: asyncio.Future[Reply], answer: Reply) -> None:
        """Hand over a decision that waited."""
        self._open -= 1
        self._told(answer)
        if not made.done():  # else whoever asked has given up
            made.set_result(answer)
        if self._made is not None and not self._made.done():
            self._made.set_result(None)
        if self._idle is not None and not self._open and not self._idle.done():
            self._idle.set_result(None)

    # --------------------------------------------------------------- by hand

    def carry_out(self, action: HandAction) -> Acted:
        """Carry out a label by hand, at once. Raises LabelError where its label is not declared, and once the
        engine closes: whoever keeps its state may have done so."""
        if self._closing:
            raise LabelError(CLOSING)
        acted = self.stepper.carry_out(action)
        self._told(acted)
        return acted

    def labels_of(self, entity: str, id: str, at: Time) -> list[Carried]:
        """The labels of an entity at a time, with their reasons. Changes nothing. Raises LabelError for an
        entity that is not declared."""
        return self.stepper.labels_of(entity, id, at)

    def take_late(self, spec: RemoteSpec, request: Request, value: Any, token: Any) -> None:
        """Take an answer that came too late for its decision into the history, as an event of its own, of the
        type that quell.toml gives the target's late answers; without one it is dropped. So is one that such
        events have led to over and over, else an answer that is always late would ask for itself for ever."""
        if token.echoes >= MOST_ECHOES:
            return
        settings = self.stepper.bundle.analysis.files.settings
        target = settings.remote.get(spec.target)
        if target is not None and target.late:
            event = late_event(spec, request, value, token, target.late, settings.type_path)
            self._begin(event, None, token.echoes + 1)

    # --------------------------------------------------------------- closing

    async def close(self) -> None:
        """Take no more events, make the decisions that wait, and end what remote models still do. In another
        event loop than the one that decided, what waits there is given up."""
        self._closing = True
        if self._open and self._loop is asyncio.get_running_loop():
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)  # several may close, and one of them give up
        if self.remotes is not None:
            await self.remotes.close()

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *about: object) -> None:
        await self.close()


class _Pending:
    """One decision that waits: asks a wave, and goes on once all of it is answered. No task is made."""

    __slots__ = ("_answers", "_engine", "_left", "_made", "_until", "_waiting")

    def __init__(
        self,
        engine: Engine,
        waiting: Waiting,
        until: float | None,
        made: asyncio.Future[Reply],
    ) -> None:
        self._engine = engine
        self._waiting = waiting
        self._until = until
        self._made = made
        self._left = 0
        self._answers: list[Answer] = []

    def ask(self) -> None:
        """Ask everything that the present wave needs, at once."""
        engine, requests = self._engine, self._waiting.requests
        self._left = len(requests)
        self._answers = [NO_REMOTES] * len(requests)
        if engine.remotes is None:
            self._go_on()
            return
        token = self._waiting
        for place, request in enumerate(requests):
            try:
                asked = engine.remotes.ask(request, self._until, token)
            except Exception as error:  # a stand-in's: the decision must be made all the same
                _report(f"asking `{request.model}` failed", error)
                asked = asyncio.get_running_loop().create_future()
                asked.set_result(UNASKED_FAILED)
            asked.add_done_callback(partial(self._take, place))

    def _take(self, place: int, done: asyncio.Future[Answer]) -> None:
        try:
            self._answers[place] = UNASKED_CLOSED if done.cancelled() else done.result()
        except Exception as error:  # as above
            _report("asking failed", error)
            self._answers[place] = UNASKED_FAILED
        self._left -= 1
        if not self._left:
            self._go_on()

    def _go_on(self) -> None:
        answer = self._engine.stepper.resume(self._waiting, self._answers)
        if isinstance(answer, Waiting):
            self.ask()
        else:
            self._engine.finish(self._made, answer)


NO_REMOTES = Answer("unasked", None, "no remote models are configured")
UNASKED_CLOSED = Answer("failed", None, "the question was given up")
UNASKED_FAILED = Answer("failed", None, "the question could not be asked")


def _seconds(deadline: float) -> float:
    """A deadline as seconds that a loop's clock can be put forward by. Raises ValueError."""
    if not isinstance(deadline, bool) and isinstance(deadline, int | float):
        seconds = float(max(min(deadline, _LONGEST), 0.0))  # in this order what is no number stays none
        if not math.isnan(seconds):
            return seconds
    raise ValueError("a deadline is a number of seconds")


def _report(what: str, error: Exception) -> None:
    """Tell of an exception in code that is not Quell's, where nobody can be given it."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # a label by hand needs no loop
        logging.getLogger("quell").error(what, exc_info=error)
    else:
        loop.call_exception_handler({"message": what, "exception": error})


async def _each(events: Iterable[Event] | AsyncIterable[Event]) -> AsyncIterator[Event]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event


def _is_done(made: Reply | asyncio.Future[Reply]) -> bool:
    return not isinstance(made, asyncio.Future) or made.done()


async def _settled(made: Reply | asyncio.Future[Reply]) -> Reply:
    return await made if isinstance(made, asyncio.Future) else made
