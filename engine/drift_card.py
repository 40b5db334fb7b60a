"""What a model's card says of its scores and inputs: what they are held against in service."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

from quell.engine.bundle import Files
from quell.grammar.diagnostics import Report
from quell.grammar.source import NOWHERE

MOST_BYTES = 1 << 20
MOST_BINS = 50
LEAST_SHARE = 0.01
"""The least share of the card's scores that a bin holds: neighbours are put together until it does."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a card says: the upper ends of the bins of scores (the last infinite), the share of scores in
    each, the mean score (None: not said), and by input the share of events without it."""

    upto: tuple[float, ...]
    shares: tuple[float, ...]
    mean: float | None
    missing: Mapping[str, float]


class _Bin(msgspec.Struct):
    upto: float
    events: int


class _Scores(msgspec.Struct):
    bins: list[_Bin]
    mean: float | None = None


class _Histogram(msgspec.Struct):
    test: list[int] = []


class _Test(msgspec.Struct):
    scores: _Scores | None = None
    histogram: _Histogram | None = None


class _Feature(msgspec.Struct):
    name: str
    missing: float | None = None


class _Card(msgspec.Struct):
    test: _Test
    features: list[_Feature] = []


_READ = msgspec.json.Decoder(_Card).decode


def card_of(model_file: str) -> str:
    """Where the card of a model file lies: beside it."""
    folder, slash, name = model_file.rpartition("/")
    return f"{folder}{slash}{name.rpartition('.')[0] or name}.card.json"


def read_card(files: Files, model_file: str) -> Baseline | None:
    """The baseline in the card beside a model file of a bundle. None where there is no card, or none that
    `quell train` makes: a model may come from anywhere."""
    data = files.read(card_of(model_file), NOWHERE, Report(), MOST_BYTES)
    return None if data is None else baseline(data)


def baseline(data: bytes) -> Baseline | None:
    """The baseline in a card, or None. Never raises for what is in it."""
    try:
        card = _READ(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    bins = _bins(card.test)
    if bins is None:
        return None
    mean = card.test.scores.mean if card.test.scores is not None else None
    missing = {f.name: f.missing for f in card.features if f.missing is not None and 0 <= f.missing <= 1}
    upto, counts = _merged(*bins)
    total = sum(counts)
    return Baseline(upto, tuple(n / total for n in counts), mean if _number(mean) else None, missing)


def _bins(test: _Test) -> tuple[Sequence[float], Sequence[int]] | None:
    """Upper ends in rising order, and counts with a sum, of a card as it is made now or was made before."""
    if test.scores is not None:
        upto = [b.upto for b in test.scores.bins]
        counts = [b.events for b in test.scores.bins]
    elif test.histogram is not None:
        counts = test.histogram.test
        upto = [(i + 1) / len(counts) for i in range(len(counts))]
    else:
        return None
    rising = all(a < b for a, b in pairwise(upto)) and all(map(_number, upto))
    if not rising or not 2 <= len(counts) <= MOST_BINS or min(counts) < 0 or not sum(counts):
        return None
    return upto, counts


def _merged(upto: Sequence[float], counts: Sequence[int]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Bins with at least their share of the scores each: what is lacking is taken from the next."""
    least = LEAST_SHARE * sum(counts)
    ends: list[float] = []
    held: list[int] = []
    pending = 0
    for end, count in zip(upto, counts, strict=True):
        pending += count
        if pending >= least and pending:
            ends.append(end)
            held.append(pending)
            pending = 0
    held[-1] += pending
    ends[-1] = math.inf
    return tuple(ends), tuple(held)


def _number(value: Any) -> bool:
    return value is not None and math.isfinite(value)
