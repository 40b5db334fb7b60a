"""Labels on entities, each held for reasons that expire on event time, and what people say over rules.

An entity carries a label while a **reason** for it stands: the rules that set it, each from a time and
until a time. What a person does outranks them: put on by hand, the label is there whatever rules take
away; taken off by hand, it is not, whatever rules put on, and what they put on meanwhile is kept beneath.
Either ends when it expires or is handed back (released). Times are microseconds; what is set is seen by
every later reading, also one of an earlier time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from quell.signals.clock import Clock
from quell.signals.sizes import size_of

FOR_GOOD = 2**63 - 1
"""The end of what does not expire."""
_NEVER = -(2**63)


class Reason(NamedTuple):
    """Why an entity carries a label: a rule, by its first name ("" for a test's `given label`)."""

    rule: str
    since: int
    until: int


class Hand(NamedTuple):
    """What a person said of a label on an entity: it is `on`, or not, from a time and until a time."""

    on: bool
    since: int
    until: int
    by: str
    why: str | None = None


class Held:
    """All that is known of one entity and one label.

    The label is there from `opens`, and until `until` (not included), when only time passes; `since` is
    when it became so without a break. From `last` on nothing that is known matters.
    """

    __slots__ = ("hand", "last", "opens", "reasons", "since", "until")

    def __init__(self) -> None:
        self.since = self.until = self.opens = self.last = _NEVER
        self.reasons: tuple[Reason, ...] = ()
        self.hand: Hand | None = None

    def standing(self, at: int) -> Hand | None:
        """What a person said, if it still holds at a time."""
        return self.hand if self.hand is not None and at < self.hand.until else None

    def supported(self, at: int) -> bool:
        """Whether anything is for the label at a time, were there no removal by hand."""
        hand = self.standing(at)
        return (hand is not None and hand.on) or any(at < r.until for r in self.reasons)

    def settle(self) -> None:
        """Work out what readings look at, and the time from which on nothing known here matters."""
        until = _NEVER
        for reason in self.reasons:
            if reason.until > until:
                until = reason.until
        self.opens = _NEVER
        self.until = self.last = until
        hand = self.hand
        if hand is None:
            return
        self.last = max(until, hand.until)
        if hand.on:
            self.until = self.last
        else:
            self.opens = hand.until
            self.since = max(self.since, hand.until)


class LabelSet:
    """The entities of one kind that carry one label, or have something noted of it.

    What is over for every time that can still come (the clock's horizon) is dropped a little at each write.
    """

    __slots__ = ("_clock", "_held", "_queue")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._queue: deque[str] = deque()

    # --------------------------------------------------------------- reading

    def has(self, id: str, at: int) -> bool:
        """Whether the entity carries the label at a time."""
        held = self._held.get(id)
        return held is not None and held.opens <= at < held.until

    def age(self, id: str, at: int) -> int | None:
        """How long the entity has carried the label without a break, in microseconds; None when it does
        not."""
        held = self._held.get(id)
        if held is None or not held.opens <= at < held.until:
            return None
        return max(0, at - held.since)

    def until(self, id: str) -> int | None:
        """When the label leaves the entity if nothing more happens; None for never."""
        held = self._held.get(id)
        return None if held is None or held.until == FOR_GOOD else held.until

    def hand(self, id: str, at: int) -> Hand | None:
        """What a person said of the label on the entity, if it holds at a time."""
        held = self._held.get(id)
        return None if held is None else held.standing(at)

    def held(self, id: str) -> Held | None:
        """All that is known of an entity, for those who tell of it. To be looked at only."""
        return self._held.get(id)

    def ids(self) -> list[str]:
        """The ids of which anything is known, in order."""
        return sorted(self._held)

    # ----------------------------------------------------------------- rules

    def set(self, id: str, at: int, until: int | None, rule: str = "") -> int | None:
        """Put the label on for a rule; its expiry is never brought forward. Gives the expiry of the label
        that now holds. While a removal by hand stands it is noted only."""
        held = self._open(id)
        if not held.supported(at):
            held.since = at
        made = Reason(rule, at, FOR_GOOD if until is None else until)
        # A reason whose time is over may go: the one made lasts longer, so no reading can tell.
        others = [r for r in held.reasons if at < r.until]
        for place, known in enumerate(others):
            if known.rule == rule:
                made = Reason(rule, known.since, max(known.until, made.until))
                del others[place]
                break
        held.reasons = (*others, made)
        held.settle()
        self.sweep(2)
        return None if held.until == FOR_GOOD else held.until

    def remove(self, id: str, at: int) -> bool:
        """Take all rules' reasons away; whether the entity carried the label at the time and now does not."""
        held = self._held.get(id)
        if held is None:
            return False
        was_on = held.opens <= at < held.until
        held.reasons = ()
        held.settle()
        self.sweep(2)
        return was_on and not held.opens <= at < held.until

    # --------------------------------------------------------------- by hand

    def put(self, id: str, at: int, until: int | None, by: str, why: str | None = None) -> None:
        """Put the label on by hand, in place of what a person said before."""
        held = self._open(id)
        if not held.opens <= at < held.until:
            held.since = at
        held.hand = Hand(True, at, FOR_GOOD if until is None else until, by, why)
        held.settle()
        self.sweep(2)

    def take(self, id: str, at: int, until: int | None, by: str, why: str | None = None) -> list[str]:
        """Take the label off by hand, in place of what a person said before; the reasons for it are over.
        Gives the rules whose reasons still stood."""
        held = self._open(id)
        gone = [r.rule for r in held.reasons if at < r.until]
        held.reasons = ()
        held.hand = Hand(False, at, FOR_GOOD if until is None else until, by, why)
        held.settle()
        self.sweep(2)
        return gone

    def release(self, id: str, at: int) -> bool:
        """Hand the label back to the rules: what stands beneath shows. Whether a person's word stood."""
        held = self._held.get(id)
        hand = None if held is None else held.standing(at)
        if held is None or hand is None:
            return False
        if not hand.on:
            held.since = at
        held.hand = None
        held.settle()
        self.sweep(2)
        return True

    # ---------------------------------------------------------------- memory

    def _open(self, id: str) -> Held:
        held = self._held.get(id)
        if held is None:
            held = self._held[id] = Held()
            self._queue.append(id)
        return held

    def sweep(self, steps: int) -> None:
        """Look at so many entities, in turn, and forget those of which nothing can be seen any more."""
        horizon = self._clock.horizon
        if horizon is None:
            return
        for _ in range(min(steps, len(self._queue))):
            id = self._queue.popleft()
            if self._held[id].last <= horizon:
                del self._held[id]
            else:
                self._queue.append(id)

    def keys(self) -> int:
        """How many entities something is known of."""
        return len(self._held)

    def bytes(self) -> int:
        """About how much memory they take."""
        return size_of(self._held, _size)

    def dump(self) -> list[Any]:
        """What `load` needs, in plain lists."""
        return [[id, *_dumped(self._held[id])] for id in self._queue]

    def load(self, dumped: list[Any]) -> None:
        """Hold what another set dumped, and nothing else. Raises ValueError or TypeError for what is no
        dump."""
        held: dict[str, Held] = {}
        for id, since, reasons, hand in dumped:
            made = held[str(id)] = Held()
            made.since = int(since)
            made.reasons = tuple(Reason(str(r), int(s), int(u)) for r, s, u in reasons)
            made.hand = None if hand is None else Hand(*hand)
            made.settle()
        self._held = held
        self._queue = deque(held)


def _dumped(held: Held) -> Iterator[Any]:
    yield held.since
    yield [list(r) for r in held.reasons]
    yield None if held.hand is None else list(held.hand)


def _size(id: str, held: Held) -> int:
    hand = 0 if held.hand is None else 200
    return 100 + len(id) + 110 * len(held.reasons) + hand
