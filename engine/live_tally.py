"""What answers are counted under: verdicts, event types, and rules that fired, fired in shadow or were held;
kinds of refusals; and what is no decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Protocol

from quell.engine.decision import Acted, Decision, Refused, Reply
from quell.engine.live_counts import Counted, Table

_VERDICT, _TYPE = attrgetter("verdict"), attrgetter("event")


class Named(Protocol):
    """What names a rule."""

    @property
    def rule(self) -> str:
        """Its name."""
        ...


class Decided(Protocol):
    """What is counted of a decision: a Decision, or what was read of one in the journal."""

    @property
    def event(self) -> str:
        """The event's type."""
        ...

    @property
    def verdict(self) -> str:
        """The verdict."""
        ...

    @property
    def fired(self) -> Sequence[Named]:
        """The rules that fired."""
        ...

    @property
    def shadow(self) -> Sequence[Named]:
        """Those in shadow that would have."""
        ...

    @property
    def held(self) -> Sequence[Named]:
        """Those that were held back."""
        ...


class Tally:
    """Counts over time of all that is counted, by name."""

    def __init__(self) -> None:
        self.verdicts, self.events = Table(), Table()
        self.fired, self.shadow, self.held = Table(), Table(), Table()
        self.refused, self.others = Table(), Table()

    @property
    def tables(self) -> tuple[Table, ...]:
        """All of them, always in the same order."""
        return self.verdicts, self.events, self.fired, self.shadow, self.held, self.refused, self.others

    def count(self, second: int, replies: Sequence[Reply]) -> None:
        """Count what was answered in a second; most of it are decisions with nothing to be said of but their
        verdict."""
        decisions = [r for r in replies if type(r) is Decision]
        self.decided(second, decisions)
        if len(decisions) == len(replies):
            return
        by_hand = sum(isinstance(reply, Acted) for reply in replies)
        self.otherwise(second, by_hand, Counter(r.kind for r in replies if isinstance(r, Refused)))

    def decided(self, second: int, decisions: Sequence[Decided]) -> None:
        """Count decisions of a second."""
        self.verdicts.add(second, Counter(map(_VERDICT, decisions)))
        self.events.add(second, Counter(map(_TYPE, decisions)))
        told = [r for r in decisions if r.fired or r.shadow or r.held]
        if told:
            self.fired.add(second, Counter([one.rule for r in told for one in r.fired]))
            self.shadow.add(second, Counter([one.rule for r in told for one in r.shadow]))
            self.held.add(second, Counter([one.rule for r in told for one in r.held]))

    def otherwise(self, second: int, by_hand: int, refused: Mapping[str, int]) -> None:
        """Count what else was answered in a second: labels by hand, and refusals by kind."""
        self.refused.add(second, refused)
        others = {"by hand": by_hand, "refused": sum(refused.values())}
        self.others.add(second, {name: number for name, number in others.items() if number})

    def empty(self) -> None:
        """Forget when things were counted."""
        for table in self.tables:
            table.empty()

    def told(self) -> list[dict[str, Counted]]:
        """All that was counted, for a tally elsewhere."""
        return [{name: series.told() for name, series in t.series.items()} for t in self.tables]
