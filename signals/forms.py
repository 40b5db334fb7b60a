"""Rows of the registry for what the compiler itself evaluates: counters, labels, lists, scores.

They document how each is written; `quell.engine` says what it does.
"""

from __future__ import annotations

from quell.grammar.types import DURATION, NUMBER, TEXT, list_of
from quell.signals.registry import Function

_WINDOW = "within W | ever"
_BEFORE = "[before this | before D ago] [where C]"
_KEYS = "[by KEYS] [as KEYS]"

FORMS: tuple[Function, ...] = (
    Function(
        name="count",
        group="state",
        doc="How many events there were under a key in the window (t − W, t], the present one included."
        " An event counts when its key is present and `where` is true of it. A key never seen gives 0, a"
        " missing key gives missing, and a list as key gives one count per different element. With a"
        " resolution the window's start is rounded down, so that a long window takes little memory.",
        signature=f"count(EVENTS {_KEYS} {_WINDOW} [resolution R] {_BEFORE})",
        result=NUMBER.maybe(),
        form=True,
        cost=0.4,
        bounds=(0, 2**53),
    ),
    Function(
        name="distinct",
        group="state",
        doc="How many different values there were under a key in the window (t − W, t], the present event's"
        " included. An event whose value is missing does not count; a list stands for each of its elements.",
        signature=f"distinct(VALUE of EVENTS {_KEYS} {_WINDOW} {_BEFORE})",
        result=NUMBER.maybe(),
        form=True,
        cost=0.6,
        bounds=(0, 2**53),
    ),
    Function(
        name="values",
        group="state",
        doc="The different values under a key in the window, the one seen last first, at most 100. A key"
        " never seen gives an empty list.",
        signature=f"values(VALUE of EVENTS {_KEYS} {_WINDOW} {_BEFORE})",
        result=list_of(TEXT).maybe(),
        form=True,
        cost=1.0,
    ),
    Function(
        name="sum",
        group="state",
        doc="The sum of a number or duration over the events under a key in the window, exact and rounded"
        " once, so that no order changes it. An event whose value is missing does not count; a list stands"
        " for each of its different elements. A key never seen gives 0;"
        " past the largest number it is missing.",
        signature=f"sum(NUMBER of EVENTS {_KEYS} {_WINDOW} [resolution R] {_BEFORE})",
        result=NUMBER.maybe(),
        form=True,
        cost=0.6,
    ),
    Function(
        name="mean",
        group="state",
        doc="The mean of a number or duration over the events under a key in the window, exact and rounded"
        " once; of durations to the nearest microsecond. Missing when there are none.",
        signature=f"mean(NUMBER of EVENTS {_KEYS} {_WINDOW} [resolution R] {_BEFORE})",
        result=NUMBER.maybe(),
        form=True,
        cost=0.6,
    ),
    Function(
        name="stddev",
        group="state",
        doc="How far a number lies from its mean over the events under a key in the window: the sample"
        " standard deviation. Missing below two values.",
        signature=f"stddev(NUMBER of EVENTS {_KEYS} {_WINDOW} {_BEFORE})",
        result=NUMBER.maybe(),
        form=True,
        cost=0.8,
        bounds=(0, 1.7976931348623157e308),
    ),
    Function(
        name="rate",
        group="state",
        doc="How many events there were per stretch of time, over a longer window: their count, times P,"
        " divided by W. A key never seen gives 0.",
        signature=f"rate(EVENTS {_KEYS} per P within W [resolution R] {_BEFORE})",
        result=NUMBER.maybe(),
        form=True,
        cost=0.5,
        bounds=(0, 1.7976931348623157e308),
    ),
    Function(
        name="since_last",
        group="state",
        doc="How long ago the last such event before the present one was, of those in the window. Missing"
        " when there was none.",
        signature=f"since_last(EVENTS {_KEYS} {_WINDOW} [where C])",
        result=DURATION.maybe(),
        form=True,
        cost=0.5,
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
