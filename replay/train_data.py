"""The rows that a model is fitted on: named values as columns of doubles, with the label of each event.

Numbers are as they are, `true` is 1 and `false` 0, text that stands for a kind of thing (entities, `one
of`, addresses, short text) is the number of its category, and missing is NaN, just as a model gets its
inputs in service.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quell.grammar.types import Type, is_textual
from quell.replay.features import Row
from quell.replay.named_values import NotAValue

MOST_CATEGORIES = 64
"""Categories that a column keeps: the most frequent ones of the training period. Any other is missing."""
LEAST_OF_CATEGORY = 5
"""Events that a category needs in the training period."""
_FORBIDDEN = frozenset('[]{}",: \t\r\n')
"""Characters that LightGBM's text format cannot hold in the name of a feature."""

MOST_UNLABELLED = 20_000
"""Unlabelled events that are kept, for how scores are spread over all events."""

Kind = Literal["number", "bool", "category"]


@dataclass(slots=True)
class Column:
    """One feature. `values` are numbers as they are, or of a category places in `seen`, -1 for missing."""

    name: str
    type: Type
    kind: Kind
    values: array[Any]
    seen: dict[str, int] = field(default_factory=dict)

    def add(self, value: Any) -> None:
        """One more event's value."""
        self.values.append(self.number(value))

    def number(self, value: Any) -> float:
        """A value as the number that is kept of it."""
        if self.kind != "category":
            return float("nan") if value is None else value
        return -1 if value is None else self.seen.setdefault(value, len(self.seen))


def column(name: str, type_: Type) -> Column:
    """An empty column. Raises NotAValue for a value that is no input of a model."""
    if name == "" or _FORBIDDEN & set(name):
        raise NotAValue(f"`{name}` cannot be the name of an input", "give it a plain name: let … = …")
    if type_.kind in ("number", "bool"):
        return Column(name, type_, type_.kind, array("d"))
    if is_textual(type_):
        return Column(name, type_, "category", array("q"))
    hint = _HINTS.get(type_.kind, "a model takes numbers, conditions and text")
    raise NotAValue(f"`{name}` is a {type_}, which no model takes", hint)


_HINTS = {
    "duration": "give it as a number: let … = {} / 1d",
    "time": "give its distance as a number, such as (at - joined) / 1d, or hour_of_day(at)",
    "list": "give what counts of it, such as size(…)",
    "record": "give one of its columns",
}


@dataclass(slots=True)
class Counts:
    """What became of the events that have the values: `used` are in the period and labelled."""

    rows: int = 0
    outside: int = 0
    unlabelled: int = 0
    used: int = 0


class Unlabelled:
    """Unlabelled rows of a period, all of them or as many as are kept, drawn so that each is as likely as any
    other. `columns` are those that their categories are shared with."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = [replace(c, values=array(c.values.typecode)) for c in columns]
        self.times = array("q")
        self.count = 0
        self._random = Random(1)

    def add(self, at: int, values: Sequence[Any]) -> None:
        """Keep a row, perhaps in the place of another."""
        self.count += 1
        if len(self.times) < MOST_UNLABELLED:
            self.times.append(at)
            for kept, value in zip(self.columns, values, strict=False):  # a label may stand last
                kept.add(value)
        elif (place := self._random.randrange(self.count)) < MOST_UNLABELLED:
            self.times[place] = at
            for kept, value in zip(self.columns, values, strict=False):
                kept.values[place] = kept.number(value)

    @property
    def weight(self) -> float:
        """How many unlabelled rows each one that is kept stands for."""
        return self.count / len(self.times) if self.times else 1.0

    def matrix(self, since: int, data: Matrix) -> NDArray[np.float64]:
        """The rows from a time on, as a model that was fitted on `data` takes them."""
        late = np.frombuffer(self.times, np.int64) >= since if self.times else np.empty(0, np.bool_)
        values = np.empty((int(late.sum()), len(self.columns)), np.float64)
        for i, kept in enumerate(self.columns):
            if not len(values):
                break
            if kept.kind == "category":
                codes = np.frombuffer(kept.values, np.int64)[late]
                values[:, i] = _places(kept, data.categories[kept.name])[codes]
            else:
                values[:, i] = np.frombuffer(kept.values, np.float64)[late]
        return values


class Collector:
    """Gathers the labelled rows of a period, and some of the others. `label` gives what an event really was,
    None for unknown; the period is from `start` (included) to `until` (not), in microseconds, None for no
    bound."""

    def __init__(
        self,
        types: Mapping[str, Type],
        label: Callable[[Row], bool | None],
        start: int | None = None,
        until: int | None = None,
    ) -> None:
        self.columns = [column(name, t) for name, t in types.items()]
        self.counts = Counts()
        self.unlabelled = Unlabelled(self.columns)
        self._label, self._start, self._until = label, start, until
        self._times, self._labels = array("q"), array("b")

    def add(self, row: Row) -> None:
        """Take a row in, or count why not."""
        counts, at = self.counts, row.decision.at
        counts.rows += 1
        if (self._start is not None and at < self._start) or (self._until is not None and at >= self._until):
            counts.outside += 1
        elif (label := self._label(row)) is None:
            counts.unlabelled += 1
            self.unlabelled.add(at, row.values)
        else:
            counts.used += 1
            self._times.append(at)
            self._labels.append(label)
            for kept, value in zip(self.columns, row.values, strict=False):  # a label may stand last
                kept.add(value)

    def rows(self) -> Rows:
        """What was gathered, in order of time; events of one time stay in the order of the history."""
        times = np.frombuffer(self._times, np.int64) if self._times else np.empty(0, np.int64)
        labels = np.frombuffer(self._labels, np.int8) == 1 if self._labels else np.empty(0, np.bool_)
        order = np.argsort(times, kind="stable")
        return Rows(times[order], labels[order], self.columns, order)


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled events in order of time: `order` are their places in the columns."""

    times: NDArray[np.int64]
    labels: NDArray[np.bool_]
    columns: Sequence[Column]
    order: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class Split:
    """Where the rows are cut, by time: those before `stop` fit the model, those from there to `train` end
    the fitting, and those from `train` on judge it. No two events of one time are parted."""

    stop: int
    train: int
    rows: int
    at: int


def split_rows(rows: Rows, share: float | None, at: int | None, held: float) -> Split:
    """Cut rows after a share of them, or at a time; `held` is the share of the training rows, the last
    ones, that end the fitting."""
    times = rows.times
    if at is None:
        assert share is not None
        train = _edge(times, round(len(rows) * share))
    else:
        train = int(np.searchsorted(times, at, side="left"))
    stop = _edge(times[:train], round(train * (1 - held)))
    moment = at if at is not None else int(times[train]) if train < len(rows) else int(times[-1]) + 1
    return Split(stop, train, len(rows), moment)


def _edge(times: NDArray[np.int64], place: int) -> int:
    """The place nearest after `place` where the time changes."""
    if 0 < place < len(times):
        return int(np.searchsorted(times, times[place - 1], side="right"))
    return place


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows as LightGBM takes them: `values` are doubles, row by row; `categories` gives each column that is
    one its names in order, and `dropped` the share of its present values that are no kept category."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    categories: Mapping[str, tuple[str, ...]]
    dropped: Mapping[str, float]


def matrix(rows: Rows, train: int) -> Matrix:
    """The rows as a matrix; which categories there are is learnt from the first `train` rows alone."""
    values = np.empty((len(rows), len(rows.columns)), np.float64)
    categories: dict[str, tuple[str, ...]] = {}
    dropped: dict[str, float] = {}
    for i, kept in enumerate(rows.columns):
        if kept.kind != "category":
            values[:, i] = np.frombuffer(kept.values, np.float64)[rows.order]
            continue
        codes = np.frombuffer(kept.values, np.int64)[rows.order]
        known = list(kept.seen)
        often = Counter(int(c) for c in codes[:train] if c >= 0)
        best = sorted(
            (c for c in often if often[c] >= LEAST_OF_CATEGORY), key=lambda c: (-often[c], known[c])
        )
        names = tuple(sorted(known[c] for c in best[:MOST_CATEGORIES]))
        values[:, i] = _places(kept, names)[codes]
        categories[kept.name] = names
        present = int((codes >= 0).sum())
        lost = present - int(np.isfinite(values[:, i]).sum())
        dropped[kept.name] = lost / present if present else 0.0
    return Matrix(tuple(c.name for c in rows.columns), values, categories, dropped)


def _places(kept: Column, names: Sequence[str]) -> NDArray[np.float64]:
    """The number that a model has for each value that a column has seen; missing is the last, at -1."""
    place = np.full(len(kept.seen) + 1, np.nan)
    for number, name in enumerate(names):
        place[kept.seen[name]] = number
    return place
