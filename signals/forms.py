"""Rows of the registry for what the compiler itself evaluates: counters, labels, lists, scores.

They document how each is written; `quell.engine` says what it does.
"""

from __future__ import annotations

from quell.grammar.types import DURATION, NUMBER, TEXT, list_of
from quell.signals.registry import Function

FORMS: tuple[Function, ...] = (
    Function(
        name="count",
        group="state",
        doc="How many events there were under a key in the window (t − W, t], the present one included."
        " An event counts when its key is present and `where` is true of it. A key never seen gives 0, a"
        " missing key gives missing, and a list as key gives one count per different element.",
        signature="count(EVENTS [by KEYS] [as KEYS] within W | ever [before this | before D ago] [where C])",
        result=NUMBER,
        form=True,
        cost=0.4,
        bounds=(0, 2**53),
    ),
    Function(
        name="distinct",
        group="state",
        doc="How many different values there were under a key in the window (t − W, t], the present event's"
        " included. An event whose value is missing does not count; a list stands for each of its elements.",
        signature="distinct(VALUE of EVENTS [by KEYS] [as KEYS] within W | ever [before …] [where C])",
        result=NUMBER,
        form=True,
        cost=0.6,
        bounds=(0, 2**53),
    ),
    Function(
        name="label_age",
        group="state",
        doc="How long an entity has carried a label; missing when it does not carry it.",
        signature='label_age(ENTITY, "LABEL") -> duration?',
        result=DURATION.maybe(),
        form=True,
        cost=0.15,
    ),
    Function(
        name="found",
        group="policy lists",
        doc="The entries of a list that occur in a text, in order of first place, each once.",
        signature="found(TEXT, LIST) -> list<text>",
        result=list_of(TEXT),
        form=True,
        cost=2.5,
    ),
    Function(
        name="reasons",
        group="scores",
        doc="The `because` of every line of a score whose condition is true, in the order of the lines.",
        signature="reasons(SCORE) -> list<text>",
        result=list_of(TEXT),
        form=True,
        cost=0.3,
    ),
)
"""Everything that is written like a function and is more than one."""
