"""What is known of one value while a condition is read: the numbers or texts that it can still be.

Every fact is meant "if the value is there at all"; whether it is there is kept in `lints_facts`. The
facts are sound and not complete: what is called impossible is impossible, and some that is impossible
passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from quell.engine.operations import OPERATIONS, evaluate_pure

INVERSE = {"eq": "ne", "ne": "eq", "lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}
"""What a comparison says when it does not hold."""
FLIPPED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
"""The same comparison with its sides exchanged."""
TEXT_OPS = ("contains", "starts_with", "ends_with")
MAX_TEXTS = 200
"""Pieces of text that are remembered of one value."""


@dataclass(frozen=True, slots=True)
class Values:
    """The values that are still possible: numbers from `low` to `high` (`open` leaves an end out), one of
    `allowed` (None: anything), none of `excluded`. `texts` holds what is known of the inside of a text, as
    (operation, piece, holds)."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    whole: bool = False
    allowed: frozenset[Any] | None = None
    excluded: frozenset[Any] = frozenset()
    texts: tuple[tuple[str, str, bool], ...] = ()

    def add(self, op: str, wanted: Any, holds: bool) -> Values | None:
        """These values after one more condition on them (or its opposite); None when none is left."""
        if op == "in_set":
            return self._among(frozenset(wanted)) if holds else self._without(frozenset(wanted))
        if op in TEXT_OPS:
            return self._text(op, wanted, holds)
        if not holds:
            op = INVERSE[op]
        if op == "eq":
            return self._among(frozenset((wanted,)))
        if op == "ne":
            return self._without(frozenset((wanted,)))
        if isinstance(wanted, str):
            return self._only(op, wanted, True)
        return self._bounded(op, wanted)

    def holds(self, value: Any) -> bool:
        """Whether a value is still possible."""
        if value in self.excluded or (self.allowed is not None and value not in self.allowed):
            return False
        if isinstance(value, int | float) and not isinstance(value, bool):
            above = value > self.low or (value == self.low and not self.low_open)
            below = value < self.high or (value == self.high and not self.high_open)
            return above and below
        return all(_said(op, value, piece) is held for op, piece, held in self.texts)

    def _among(self, values: frozenset[Any]) -> Values | None:
        left = frozenset(v for v in values if self.holds(v))
        if not left:
            return None
        made = replace(self, allowed=left)
        numbers = [v for v in left if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(left):
            made = replace(made, low=min(numbers), high=max(numbers), low_open=False, high_open=False)
        return made

    def _without(self, values: frozenset[Any]) -> Values | None:
        if self.allowed is not None:
            return self._among(self.allowed - values)
        made = replace(self, excluded=self.excluded | values)
        if self.low in values:
            made = replace(made, low_open=True)
        if self.high in values:
            made = replace(made, high_open=True)
        return made._settled()

    def _only(self, op: str, wanted: Any, holds: bool) -> Values | None:
        if self.allowed is None:
            return self
        return self._among(frozenset(v for v in self.allowed if _said(op, v, wanted) is holds))

    def _bounded(self, op: str, edge: float) -> Values | None:
        made = self
        if op in ("gt", "ge"):
            if edge > self.low or (edge == self.low and op == "gt"):
                made = replace(self, low=edge, low_open=op == "gt")
        elif edge < self.high or (edge == self.high and op == "lt"):
            made = replace(self, high=edge, high_open=op == "lt")
        return made if made is self else made._settled()

    def _settled(self) -> Values | None:
        made = self
        if self.whole:
            made = self._rounded()
        if made.low > made.high or (made.low == made.high and (made.low_open or made.high_open)):
            return None
        if made.allowed is not None:
            return made._among(made.allowed)
        return None if made.low == made.high and made.low in made.excluded else made

    def _rounded(self) -> Values:
        """For whole numbers: the ends moved inwards to numbers that are possible."""
        low, high = self.low, self.high
        if math.isfinite(low) and abs(low) < 2**53:
            low = math.floor(low) + 1 if self.low_open else math.ceil(low)
        if math.isfinite(high) and abs(high) < 2**53:
            high = math.ceil(high) - 1 if self.high_open else math.floor(high)
        low_open = self.low_open and low == self.low
        return replace(
            self, low=low, high=high, low_open=low_open, high_open=self.high_open and high == self.high
        )

    def _text(self, op: str, piece: str, holds: bool) -> Values | None:
        if self.allowed is not None:
            return self._only(op, piece, holds)
        if not piece:
            return self if holds else None
        new = (op, piece, holds)
        if any(_clash(known, new) for known in self.texts):
            return None
        if len(self.texts) >= MAX_TEXTS or new in self.texts:
            return self
        return replace(self, texts=(*self.texts, new))


def _said(op: str, value: Any, wanted: Any) -> bool:
    if isinstance(value, str) is not isinstance(wanted, str):
        return False
    return bool(evaluate_pure(OPERATIONS[op], (), (value, wanted)))


def _clash(a: tuple[str, str, bool], b: tuple[str, str, bool]) -> bool:
    """Whether two facts about one text cannot both hold."""
    if a[2] and b[2]:
        if a[0] != b[0] or a[0] == "contains":
            return False
        return not (implies(a[0], a[1], b[0], b[1]) or implies(b[0], b[1], a[0], a[1]))
    if a[2]:
        return implies(a[0], a[1], b[0], b[1])
    return b[2] and implies(b[0], b[1], a[0], a[1])


def implies(op: str, piece: str, other: str, inside: str) -> bool:
    """Whether a text of which the first holds is one of which the second does."""
    if other == "contains":
        return inside in piece
    if op != other:
        return False
    return piece.startswith(inside) if op == "starts_with" else piece.endswith(inside)
