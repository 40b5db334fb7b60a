"""Labels by hand as calls: what an engine offers to the service that embeds it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime, timedelta

from quell.engine.decision import Acted
from quell.engine.hand import Action, Carried, HandAction, carried, check, made, span_of, text_of, time_of
from quell.engine.symbols import Symbols
from quell.signals.state import State

Time = int | float | datetime | str
"""A time as events may write it: a datetime or ISO 8601 text, UTC without a zone, or a number since 1970,
whose size tells seconds, milliseconds and microseconds apart."""
Span = int | timedelta | str
"""Microseconds, a timedelta, or text such as 30d."""


class HandCalls(ABC):
    """The calls of an engine that carries out labels by hand over its state."""

    @abstractmethod
    def carry_out(self, action: HandAction) -> Acted:
        """Carry out an action. Raises LabelError where its label is not declared."""

    def label(
        self,
        entity: str,
        id: str,
        label: str,
        *,
        at: Time,
        by: str,
        until: Time | None = None,
        for_: Span | None = None,
        why: str | None = None,
    ) -> Acted:
        """Put a label on an entity by hand: no rule takes it off until it expires or is released.

        It ends `until` a time, or after `for_`; without either it stays. Raises LabelError for what is not
        declared, or cannot be.
        """
        return self._by_hand("set", entity, id, label, at, by, until, for_, why)

    def unlabel(
        self,
        entity: str,
        id: str,
        label: str,
        *,
        at: Time,
        by: str,
        until: Time | None = None,
        for_: Span | None = None,
        why: str | None = None,
    ) -> Acted:
        """Take a label off an entity by hand: the reasons for it are over, and what rules put on later is
        kept beneath, unseen, until the removal expires or is released. Otherwise as `label`."""
        return self._by_hand("remove", entity, id, label, at, by, until, for_, why)

    def release(
        self, entity: str, id: str, label: str, *, at: Time, by: str, why: str | None = None
    ) -> Acted:
        """Hand a label back to the rules: what they put on and still stands shows. Raises LabelError."""
        return self._by_hand("release", entity, id, label, at, by, None, None, why)

    def _by_hand(
        self,
        action: Action,
        entity: str,
        id: str,
        label: str,
        at: Time,
        by: str,
        until: Time | None,
        for_: Span | None,
        why: str | None,
    ) -> Acted:
        end = None if until is None else time_of("until", until)
        lasts = None if for_ is None else span_of("for_", for_)
        when = time_of("at", at)
        return self.carry_out(
            made(action, entity, id, label, at=when, by=by, until=end, lasts=lasts, why=why)
        )


def labels_of(symbols: Symbols, state: State, entity: str, id: str, at: Time) -> list[Carried]:
    """The labels of an entity at a time, with their reasons. Raises LabelError for an entity that is not
    declared, and for what is no text."""
    entity, id = text_of("entity", entity, None), text_of("id", id, None)
    check(symbols, entity, None)
    return carried(state, entity, id, symbols.labels(entity), time_of("at", at))
