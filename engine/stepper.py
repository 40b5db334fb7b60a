"""The stepper: a bundle and its state, deciding one event after another.

    stepper = Stepper.load("policies")
    decision = stepper.decide(b'{"type": "message_create", …}')

It is what history means: each event is decided before the next is looked at, so the same events in the
same order give the same decisions. Nothing in it waits, reads a clock or touches the network; the
asynchronous engine in engine.py is built around it. A stepper is for one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from quell.engine.bundle import read_bundle
from quell.engine.compile import Build, analyse, build
from quell.engine.decision import Decision, Refused
from quell.engine.events import Decoded, Refusal
from quell.engine.settle import Hit, Settler
from quell.grammar.diagnostics import Diagnostic, Report
from quell.signals.clock import Clock
from quell.signals.state import State

Event = bytes | str | Mapping[str, Any]
Observer = Callable[[Decoded, list[Hit]], None]
"""Looks at an event between counting and settling; it changes nothing."""


class Stepper:
    """A bundle that decides events, and what it remembers of them.

    `injected` supplies named values in tests; it is read at every decision.
    """

    def __init__(
        self, bundle: Build, state: State | None = None, injected: Mapping[str, Any] | None = None
    ) -> None:
        self.bundle = bundle
        self.injected: Mapping[str, Any] = injected if injected is not None else {}
        self.state = (
            state if state is not None else State(clock=Clock(bundle.analysis.files.settings.lateness))
        )
        self.seq = 0
        symbols = bundle.analysis.symbols
        stores = bundle.analysis.lowerer.stores
        self._decoder = bundle.decoder
        self._functions: list[Callable[[Any, int, int], list[Any]]] = []
        self._settlers: list[Settler] = []
        self._ids: list[Callable[[Any, int], str | None]] = []
        self._first: list[str] = []
        for event in symbols.schemas:
            linked = bundle.programs[event]
            self._functions.append(linked.bind(self.state, stores, self.injected))
            self._settlers.append(Settler(linked.program.rules, symbols.ladders[event], self.state))
            self._ids.append(bundle.identifier(event))
            self._first.append(symbols.ladders[event].verdicts[0])

    @classmethod
    def load(cls, folder: str | Path) -> Stepper:
        """An engine for the bundle in a folder. Raises PolicyError, with every reason, if it has errors."""
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

    def decide(self, event: Event) -> Decision | Refused:
        """The decision for one event, given as JSON or as a mapping.

        An event that is not what the schema says is refused: it changes nothing and no rule sees it. Never
        raises for what is in the event.
        """
        # Bytes first: telling a mapping takes longer than all else here.
        decoded = self._decoder.decode(event) if isinstance(event, bytes | str) else self.decode(event)
        return self.refuse(decoded) if isinstance(decoded, Refusal) else self.decide_decoded(decoded)

    def decode(self, event: Event) -> Decoded | Refusal:
        """An event as the bundle reads it, or why it cannot be taken. Changes nothing."""
        decoder = self._decoder
        return decoder.convert(event) if isinstance(event, Mapping) else decoder.decode(event)

    def settler(self, event: str) -> Settler:
        """What settles the decisions for an event type: its rules' effects and their limits."""
        return self._settlers[list(self.bundle.analysis.symbols.schemas).index(event)]

    def decide_many(self, events: Iterable[Event]) -> Iterator[Decision | Refused]:
        """The decisions for events in order, each made when asked for."""
        for event in events:
            yield self.decide(event)

    def refuse(self, refusal: Refusal) -> Refused:
        """The answer for an event that could not be taken."""
        ladders = self.bundle.analysis.symbols.ladders
        verdict = ladders.get(refusal.event, ladders[""]).failure
        return Refused(refusal.kind, str(refusal), verdict, refusal.path, refusal.event or None)

    def decide_decoded(self, decoded: Decoded, observe: Observer | None = None) -> Decision | Refused:
        """The decision for an event that the bundle's decoder made.

        `observe` is called with the event and the rules that matched, once the event is counted and
        before labels and limits change: the moment whose values the decision rests on.
        """
        state, index, at = self.state, decoded.index, decoded.at
        self.seq += 1
        now = state.admit(at)
        try:
            hits = self._functions[index](decoded.e, at, now)
            decision = Decision(
                decoded.event, self.seq, at, self._first[index], self._ids[index](decoded.e, at)
            )
            if observe is not None:
                observe(decoded, hits)
            if hits:
                self._settlers[index].settle(decision, hits, now)
        except Exception as error:  # a defect of the engine must not take down the service that embeds it
            return self._failed(decoded, error)
        if decoded.problems:
            decision.problems = decoded.problems
        if state.late:
            decision.late = tuple(sorted(set(state.late)))
            state.late.clear()
        return decision

    def _failed(self, decoded: Decoded, error: Exception) -> Refused:
        verdict = self.bundle.analysis.symbols.ladders[decoded.event].failure
        message = f"deciding failed inside Quell, please report it: {type(error).__name__}: {error}"
        self.state.late.clear()
        return Refused("internal", message, verdict, "", decoded.event)
