"""The words that counters are written with: one row each, and what each gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from quell.engine.graph import Node
from quell.engine.lowered import StoreKind
from quell.engine.operations import LARGEST, LONGEST
from quell.grammar.types import DURATION, EVENT, NUMBER, Type, list_of

Bounds = tuple[float, float]

MOST_VALUES = 100
"""The values that `values` gives at most."""
MOST = 2**53
"""No counter counts more events than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterWord:
    """One word of the family.

    `store` is the kind of store it is read from; `takes` the kinds of value before `of`, none for a word
    that takes no value, `any` for one that takes what can be a key. `unseen` is what a key gives under
    which nothing was counted. `past` says that the present event is never seen, `ago` that the window may
    end in the past, `resolution` that its start may be rounded, `reaches` that it may reach a number.
    """

    name: str
    store: StoreKind
    takes: tuple[str, ...] = ()
    unseen: Literal["0", "[]", "missing"] = "missing"
    past: bool = False
    ago: bool = True
    resolution: bool = False
    reaches: bool = False
    example: str


_ANY = ("any",)
_ROWS = (
    CounterWord(name="count", store="count", unseen="0", resolution=True, reaches=True,
                example="count(message by author within 1h)"),
    CounterWord(name="rate", store="count", unseen="0", resolution=True,
                example="rate(message by author per 1h within 30d)"),
    CounterWord(name="since_last", store="count", past=True, ago=False,
                example="since_last(message by author within 1h)"),
    CounterWord(name="first", store="count", past=True, example="first(message by author within 1h)"),
    CounterWord(name="last", store="count", past=True, example="last(message by author within 1h)"),
    CounterWord(name="distinct", store="distinct", takes=_ANY, unseen="0", reaches=True,
                example="distinct(channel of message by author within 1h)"),
    CounterWord(name="values", store="distinct", takes=_ANY, unseen="[]",
                example="values(channel of message by author within 1h)"),
    CounterWord(name="sum", store="number", takes=("number", "duration"), unseen="0", resolution=True,
                reaches=True, example="sum(amount of payment by card within 1h)"),
    CounterWord(name="mean", store="number", takes=("number", "duration"), resolution=True,
                example="mean(amount of payment by card within 1h)"),
    CounterWord(name="min", store="number", takes=("number", "duration", "time"),
                example="min(amount of payment by card within 1h)"),
    CounterWord(name="max", store="number", takes=("number", "duration", "time"),
                example="max(amount of payment by card within 1h)"),
    CounterWord(name="stddev", store="number", takes=("number",),
                example="stddev(amount of payment by card within 1h)"),
)  # fmt: skip
COUNTERS = {row.name: row for row in _ROWS}
"""Every word of the family."""


def method(word: CounterWord, type_: Type, valued: bool) -> str:
    """The method of a store that gives a reading of a type: the word itself, `…_at` for the time of an event
    whose values are not asked for (`valued` false), `…_whole` for sums and means in whole microseconds. It
    is what nodes of the graph call a reading."""
    if word.name in ("first", "last") and not valued:
        return f"{word.name}_at"
    if word.name == "rate":
        return "count"
    return f"{word.name}_whole" if word.name in ("sum", "mean") and type_.kind == "duration" else word.name


def word_of(reading: str) -> CounterWord:
    """The word that a method of a store stands for."""
    return COUNTERS[reading.removesuffix("_at").removesuffix("_whole")]


def always_given(counter: Node) -> bool:
    """Whether a counter gives something under every key that is present, unless memory is full."""
    _, reading, _, before = counter.data
    if before not in (0, "this") or word_of(reading).unseen == "missing":
        return False
    return counter.type.kind == "list" or max(abs(b) for b in counter.bounds) < LARGEST


def spelled(words: Sequence[str]) -> str:
    """Words as a sentence lists them: `count, rate, sum and mean`."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def result_type(word: CounterWord, value: Type | None) -> Type:
    """What a counter gives under one key when it gives anything; `value` is the type of one counted
    value."""
    if word.name == "since_last":
        return DURATION
    if word.name in ("first", "last"):
        return EVENT
    if value is None or word.name in ("distinct", "stddev"):
        return NUMBER
    return list_of(value) if word.name == "values" else value.present()


def result_bounds(word: CounterWord, within: int | None, value: Bounds) -> Bounds | None:
    """The least and greatest number a counter gives; `value` bounds what is counted. None where it gives
    no number."""
    low, high = value
    if word.name in ("count", "distinct", "rate"):
        return (0, MOST)
    if word.name == "since_last":
        return (0, LONGEST if within is None else within)
    if word.name == "sum":
        return (min(0, _times(low)), max(0, _times(high)))
    if word.name in ("mean", "min", "max"):
        return value
    if word.name == "stddev":
        return (0, min(float(high) - float(low), LARGEST))
    return None


def _times(bound: float) -> float:
    """What `MOST` values that are all at a bound come to."""
    return max(-LARGEST, min(LARGEST, float(bound) * MOST))
