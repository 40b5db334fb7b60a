"""The stepper: a bundle and its state, deciding one event after another.

    stepper = Stepper.load("policies")
    decision = stepper.decide(b'{"type": "message_create", …}')

It is what history means: each event is decided before the next is looked at, so the same events in the
same order give the same decisions. Nothing in it waits, reads a clock or touches the network; the
asynchronous engine in engine.py is built around it. A stepper is for one thread.

Where a decision needs remote answers, `admit` counts the event and gives what is `Waiting` for them, and
`resume` takes them; events may be admitted in between. `decide` asks `answering`, which gives the answers
at once, by default none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from quell.engine.bundle import read_bundle
from quell.engine.cold import Cold
from quell.engine.compile import Build, analyse, build
from quell.engine.decision import Acted, Asked, Decision, ModelUsed, Refused, Reply
from quell.engine.events import Decoded, Refusal
from quell.engine.figures import Figures, figures_of
from quell.engine.hand import Carried, HandAction, LabelError, check, perform
from quell.engine.hand_calls import HandCalls, Time, labels_of
from quell.engine.settle import Hit, Settler, ready
from quell.engine.waiting import Waiting
from quell.grammar.diagnostics import Diagnostic, Report
from quell.signals.clock import Clock
from quell.signals.memory import Memory
from quell.signals.remote_types import Answer, Request
from quell.signals.state import State

Event = bytes | str | Mapping[str, Any]
Observer = Callable[[Decoded, list[Hit]], None]
"""Looks at an event between counting and settling; it changes nothing."""
Look = Callable[["Stepper", Decoded, list[Hit]], None]
"""Looks at some events in the same moment, for whoever watches the models; it neither changes nor raises
anything."""
Answering = Callable[[Waiting], Sequence[Answer]]
"""Gives the answers to what a decision waits for, in the order of its requests."""

UNASKED = Answer("unasked", None, "remote models are not asked here")


def unasked(waiting: Waiting) -> Sequence[Answer]:
    """No answer to anything."""
    return [UNASKED] * len(waiting.requests)


class OfObserver(BaseException):
    """An observer's error on its way past what takes errors for the engine's own."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Stepper(HandCalls):
    """A bundle that decides events, and what it remembers of them.

    `injected` supplies named values in tests; it is read at every decision. `asked` are the
    questions of the decision being made, by number (see `Program`). `look` is shown the first event whose
    number is `look_from` or more; it moves that on, since it is shown every one from there.
    """

    def __init__(
        self,
        bundle: Build,
        state: State | None = None,
        injected: Mapping[str, Any] | None = None,
        answering: Answering = unasked,
    ) -> None:
        self.bundle = bundle
        self.injected: Mapping[str, Any] = injected if injected is not None else {}
        settings = bundle.analysis.files.settings
        if state is None:
            state = State(clock=Clock(settings.lateness), memory=Memory(left=settings.max_keys))
        self.state = state
        self.answering = answering
        self.asked: Mapping[int, Asked] = {}
        self.look: Look | None = None
        self.look_from: float = math.inf
        self.seq = 0
        self._cold: Cold | None = None
        symbols = bundle.analysis.symbols
        stores = bundle.analysis.lowerer.stores
        self._decoder = bundle.decoder
        self._functions: list[Callable[[Any, int, int], Any]] = []
        self._settlers: list[Settler] = []
        self._ids: list[Callable[[Any, int], str | None]] = []
        self._first: list[str] = []
        self._models: list[tuple[ModelUsed, ...]] = []
        for event in symbols.schemas:
            linked = bundle.programs[event]
            self._functions.append(linked.bind(self.state, stores, self.injected))
            self._settlers.append(Settler(linked.program.rules, symbols.ladders[event], self.state))
            self._ids.append(bundle.identifier(event))
            self._models.append(bundle.models(event))
            self._first.append(symbols.ladders[event].verdicts[0])

    @classmethod
    def load(cls, folder: str | Path) -> Stepper:
        """A stepper for the bundle in a folder. Raises PolicyError, with every reason, if it has errors."""
        report = Report()
        return cls(build(analyse(read_bundle(folder, report), report)))

    @property
    def version(self) -> str:
        """A digest of the policies, lists and settings that decide."""
        return self.bundle.version

    @property
    def warnings(self) -> list[Diagnostic]:
        """What the linter found in the bundle."""
        return [d for d in self.bundle.analysis.diagnostics if d.severity == "warning"]

    def figures(self) -> Figures:
        """What is held: keys, entries and bytes of every counter, label and limit. Takes milliseconds."""
        return figures_of(self.state, self.seq)

    # -------------------------------------------------------------- deciding

    def decide(self, event: Event) -> Reply:
        """The decision for one event, given as JSON or as a mapping.

        An event that is not what the schema says is refused: it changes nothing and no rule sees it. A label
        by hand (`quell.label`) is carried out, and the reply says what came of it. Never raises for what is
        in the event.
        """
        # Bytes first: telling a mapping takes longer than all else here.
        decoded = self._decoder.decode(event) if isinstance(event, bytes | str) else self.decode(event)
        if isinstance(decoded, Decoded):
            return self.decide_decoded(decoded)
        return self.reply(self._decoder.by_hand(decoded, event) if isinstance(decoded, Refusal) else decoded)

    def reply(self, entry: Decoded | HandAction | Refusal) -> Reply:
        """The reply to what `decode` gave, whatever it is."""
        if isinstance(entry, Refusal):
            return self.refuse(entry)
        return self.act(entry) if isinstance(entry, HandAction) else self.decide_decoded(entry)

    def decide_many(self, events: Iterable[Event]) -> Iterator[Reply]:
        """The decisions for events in order, each made when asked for."""
        for event in events:
            yield self.decide(event)

    def decide_decoded(self, decoded: Decoded, observe: Observer | None = None) -> Decision | Refused:
        """The decision for an event that the bundle's decoder made.

        `observe` is called with the event and the rules that matched, once the event is counted and
        before labels and limits change: the moment whose values the decision rests on. What it raises is
        raised here.
        """
        try:
            answer = self.admit(decoded, observe)
            while isinstance(answer, Waiting):
                answer = self.resume(answer, self.answering(answer), observe)
        except OfObserver as passed:
            raise passed.error from None
        return answer

    def decode(self, event: Event) -> Decoded | HandAction | Refusal:
        """An event as the bundle reads it, or why it cannot be taken. Changes nothing."""
        decoder = self._decoder
        # Bytes first: telling a mapping takes longer than all else here.
        text = event.__class__ is bytes or not isinstance(event, Mapping)
        decoded = decoder.decode(event) if text else decoder.convert(event)  # type: ignore[arg-type]
        return decoder.by_hand(decoded, event) if isinstance(decoded, Refusal) else decoded

    def refuse(self, refusal: Refusal) -> Refused:
        """The answer for an event that could not be taken."""
        ladders = self.bundle.analysis.symbols.ladders
        verdict = ladders.get(refusal.event, ladders[""]).failure
        return Refused(refusal.kind, str(refusal), verdict, refusal.path, refusal.event or None)

    def settler(self, event: str) -> Settler:
        """What settles the decisions for an event type: its rules' effects and their limits."""
        return self._settlers[list(self.bundle.analysis.symbols.schemas).index(event)]

    def limits(self) -> set[str]:
        """What the limits of the bundle's rules are called in the state."""
        return set().union(*(settler.limits for settler in self._settlers))

    def watch_cold(self) -> None:
        """Say on decisions which counters are cold, until none is: the state is older than some of them."""
        self._cold = Cold(self.bundle, self.state)

    # --------------------------------------------------------------- by hand

    def act(self, action: HandAction) -> Acted | Refused:
        """Carry out a label by hand that the decoder read; refused where its label is not declared."""
        try:
            return self.carry_out(action)
        except LabelError as error:
            return self.refuse(Refusal(kind="bad-label", message=f"`quell.label` refused: {error}"))

    def carry_out(self, action: HandAction) -> Acted:
        """Carry out a label by hand. Raises LabelError where its label is not declared."""
        check(self.bundle.analysis.symbols, action.entity, action.label)
        self.seq += 1
        return perform(self.state, action, self.seq)

    def labels_of(self, entity: str, id: str, at: Time) -> list[Carried]:
        """The labels of an entity at a time, with their reasons. Changes nothing. Raises LabelError for an
        entity that is not declared."""
        return labels_of(self.bundle.analysis.symbols, self.state, entity, id, at)

    # --------------------------------------------------- admitting, resuming

    def admit(self, decoded: Decoded, observe: Observer | None = None) -> Decision | Refused | Waiting:
        """Take in an event: count it, and decide it unless it must wait for remote answers."""
        now = self.state.admit(decoded.at)
        self.seq += 1
        index = decoded.index
        try:
            hits = self._functions[index](decoded.e, decoded.at, now)
            if hits.__class__ is not list:
                return self._go_on(Waiting(decoded, self.seq, now, hits), None, observe)
            return self._settle(decoded, hits, self.seq, now, observe)
        except MemoryError:  # what is remembered may be half changed, which the same event would not do again
            raise
        except Exception as error:  # a defect of the engine must not take down the service that embeds it
            return self._failed(decoded, error)

    def resume(
        self, waiting: Waiting, answers: Sequence[Answer], observe: Observer | None = None
    ) -> Decision | Refused | Waiting:
        """Go on with what waits, given an answer to each of its requests in order."""
        try:
            waiting.take(answers)
            sent = {number: a.value for (number, _), a in zip(waiting.wanted, answers, strict=True)}
            return self._go_on(waiting, sent, observe)
        except MemoryError:  # as above
            raise
        except Exception as error:
            self._let_go(waiting)
            return self._failed(waiting.decoded, error)

    def _go_on(
        self, waiting: Waiting, sent: dict[int, Any] | None, observe: Observer | None
    ) -> Decision | Refused | Waiting:
        decoded, late = waiting.decoded, self.state.late
        try:
            waiting.wanted = waiting.steps.send(sent)
        except StopIteration as end:
            self._let_go(waiting)
            if self.seq != waiting.seq:  # something happened since: it is a step of its own
                self.seq += 1
            late.extend(waiting.late)
            self.state.memory.full.extend(waiting.full)
            self.asked = waiting.asked
            try:
                decision = self._settle(decoded, end.value, waiting.seq, waiting.now, observe)
            finally:
                self.asked = {}
            decision.asked = tuple(waiting.asked.values())
            return decision
        questions = self.bundle.programs[decoded.event].program.asked
        waiting.requests = [
            Request(
                questions[number].model,
                tuple(ready(v, t) for v, t in zip(values, questions[number].types, strict=True)),
            )
            for number, values in waiting.wanted
        ]
        waiting.late.extend(late)
        late.clear()
        waiting.full.extend(self.state.memory.full)
        self.state.memory.full.clear()
        if not waiting.held:
            waiting.held = True
            self.state.clock.hold(waiting.now)
        return waiting

    def _let_go(self, waiting: Waiting) -> None:
        if waiting.held:
            waiting.held = False
            self.state.clock.let_go(waiting.now)

    def _settle(
        self, decoded: Decoded, hits: list[Hit], seq: int, now: int, observe: Observer | None
    ) -> Decision:
        index, at, state = decoded.index, decoded.at, self.state
        id = self._ids[index](decoded.e, at)
        decision = Decision(decoded.event, seq, at, self._first[index], id, self.seq)
        if observe is not None:
            try:
                observe(decoded, hits)
            except Exception as error:
                raise OfObserver(error) from error
        if seq >= self.look_from and self.look is not None:
            self.look(self, decoded, hits)
        if hits:
            self._settlers[index].settle(decision, hits, now)
        if self._models[index]:
            decision.models = self._models[index]
        if self._cold is not None:
            self._tell_cold(decision, index, now)
        if decoded.problems:
            decision.problems = decoded.problems
        memory = state.memory
        if memory.late:
            decision.late = tuple(sorted(set(memory.late)))
            memory.late.clear()
        if memory.full:
            decision.full = tuple(sorted(set(memory.full)))
            memory.full.clear()
        return decision

    def _tell_cold(self, decision: Decision, index: int, now: int) -> None:
        assert self._cold is not None
        decision.cold = self._cold.of(index, now)
        if not decision.cold and self._cold.over:
            self._cold = None

    def _failed(self, decoded: Decoded, error: Exception) -> Refused:
        verdict = self.bundle.analysis.symbols.ladders[decoded.event].failure
        message = f"deciding failed inside Quell, please report it: {type(error).__name__}: {error}"
        self.state.late.clear()
        self.state.memory.full.clear()
        return Refused("internal", message, verdict, "", decoded.event)
