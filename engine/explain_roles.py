"""What decided a condition, and what was not needed once that was known.

Of parts joined by `and`, the first that makes the whole what it is decides it: the first false one of a
false condition, the first missing one of a missing condition; of parts joined by `or`, the first true
one. First is meant in the order in which the plan asks: `ranked` gives it for a rule's condition, cost
for what stands inside. Of a condition that no single part settles, every part is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quell.engine.explain_parts import Piece

Rank = Callable[[int | None], float]
"""When a node is asked: the least first."""
Value = Callable[[int | None], tuple[bool, Any]]
"""Whether a node's value is known, and the value."""


def settle(piece: Piece, value: Value, rank: Rank, inner: Rank) -> None:
    """Give every part of a condition its role. `rank` orders the outermost parts, `inner` all others."""
    op = piece.junction()
    if not op:
        for child in piece.children:
            settle(child, value, inner, inner)
        return
    leaves = sorted(_leaves(piece, op), key=lambda leaf: rank(leaf.node))
    known, whole = value(piece.node)
    settled = known and ((op == "and" and whole is not True) or (op == "or" and whole is True))
    decided = False
    for leaf in leaves:
        if decided:
            _skip(leaf)
            continue
        settle(leaf, value, inner, inner)
        if settled and value(leaf.node) == (True, whole):
            leaf.role = "decided"
            decided = True
    _gather(piece, op)


def _leaves(piece: Piece, op: str) -> list[Piece]:
    """The parts that an `and` or `or` joins, through names and parentheses."""
    if piece.junction() != op:
        return [piece]
    return [leaf for child in piece.children for leaf in _leaves(child, op)]


def _skip(piece: Piece) -> None:
    piece.role = "not needed"
    for child in piece.children:
        _skip(child)


def _gather(piece: Piece, op: str) -> None:
    """What holds nothing but parts that were not needed was not needed itself."""
    for child in piece.children:
        if child.junction() == op:
            _gather(child, op)
    if piece.children and all(c.role == "not needed" for c in piece.children):
        piece.role = "not needed"
