"""Functions of lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quell.grammar.types import NUMBER, list_of, variable
from quell.signals.registry import Example, Function, Parameter

_ANY = variable("T")
_VALUE = variable("T", "bool", "number", "text", "time", "duration", "ip", "entity", "enum")


def first(items: Sequence[Any]) -> Any:
    """The first element, or None."""
    return items[0] if items else None


def last(items: Sequence[Any]) -> Any:
    """The last element, or None."""
    return items[-1] if items else None


def distinct_of(items: Sequence[Any]) -> list[Any]:
    """Each different element once, where it first stands."""
    return list(dict.fromkeys(items))


def overlap(a: Sequence[Any], b: Sequence[Any]) -> int:
    """How many different elements stand in both lists."""
    return len(set(a).intersection(b))


ROWS: tuple[Function, ...] = (
    Function(
        name="size",
        group="lists",
        doc="How many elements a list has.",
        parameters=(Parameter("list", list_of(_ANY)),),
        result=NUMBER,
        call=len,
        inline="len({0})",
        sql="len({0})::DOUBLE",
        cost=0.05,
        bounds=(0, 2**53),
        examples=(Example("size([4, 5, 6])", "3"), Example("size([])", "0")),
    ),
    Function(
        name="first",
        group="lists",
        doc="The first element of a list; missing when it is empty. (Over events"
        " it is a counter, and gives the first of them: `first(message by author within 1h).content`.)",
        parameters=(Parameter("list", list_of(_ANY)),),
        result=_ANY.maybe(),
        call=first,
        sql="list_extract({0}, 1)",
        cost=0.08,
        examples=(Example("first([4, 5, 6])", "4"), Example("first([])", "missing")),
    ),
    Function(
        name="last",
        group="lists",
        doc="The last element of a list; missing when it is empty. (Over events it is a counter, and gives"
        " the last before the present one: `last(message by author within 1h).content`.)",
        parameters=(Parameter("list", list_of(_ANY)),),
        result=_ANY.maybe(),
        call=last,
        sql="list_extract({0}, -1)",
        cost=0.08,
        examples=(Example("last([4, 5, 6])", "6"), Example("last([])", "missing")),
    ),
    Function(
        name="distinct_of",
        group="lists",
        doc="Each different element of a list once, in the order of first appearance.",
        parameters=(Parameter("list", list_of(_VALUE)),),
        result=list_of(_VALUE),
        call=distinct_of,
        cost=0.6,
        examples=(Example("distinct_of([2, 1, 2])", "[2, 1]"),),
    ),
    Function(
        name="overlap",
        group="lists",
        doc="How many different elements stand in both lists.",
        parameters=(Parameter("list", list_of(_VALUE)), Parameter("other", list_of(_VALUE))),
        result=NUMBER,
        call=overlap,
        sql="len(list_intersect({0}, {1}))::DOUBLE",
        cost=0.6,
        bounds=(0, 2**53),
        examples=(Example('overlap(["a", "b", "b"], ["b", "c"])', "1"),),
    ),
)
