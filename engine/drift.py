"""Drift: whether a local model's scores and inputs still look like those of its card.

Of all events whose rules may ask a model, some are looked at closely: what the model gives for the event
and which of its inputs are missing, **whether or not a rule asked it**. Rules ask a model last, of the few
events that are suspicious already, and the scores of those few are not what the card's scores were measured
on. A look takes some 0.2 ms and changes nothing; how many events are passed over between two looks follows
the load, so that there are about four a second, and each look counts for as many events as it stands for.
What is kept of them are counts in slots of a minute, for an hour.

**The figure** is the population stability index of credit scoring (Siddiqi, Credit Risk Scorecards, 2006):

    PSI = Σ (now − then) · ln(now / then)

over the bins of the card, `now` and `then` being a bin's share of the scores, none taken for less than
0.0001. The usual reading: below 0.1 nothing much changed, from 0.25 on look why. Chance alone makes it about
(bins − 1) · (1 / looks + 1 / the card's events), so it is given from 400 looks on (0.03 at the card's twelve
bins). Bins hold at least 1 % of the card's scores. The card's events are the labelled ones of its test
period: where only reviewed events were labelled, the figure is high from the first day, and what counts is
how it moves.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from quell.engine.drift_card import Baseline, read_card
from quell.engine.events import Decoded
from quell.engine.interpret import FieldReaders, Interpreter, NotRead
from quell.engine.settle import Hit
from quell.engine.stepper import Stepper

LOOKS = 4.0
"""Events that are looked at in a second."""
NEAREST = 4
"""Events from one look to the next at least: of few events a share is enough."""
FARTHEST = 1 << 20
MOST_LOOKS = 8
"""Looks between two ticks at most, however suddenly the load rises."""
LEAST = 400
"""Looks that a figure rests on at least."""
SLOT = 60.0
"""Seconds."""
SLOTS = 60
FLOOR = 0.0001
NEVER = math.inf


class InputDrift(NamedTuple):
    """One input of a model: the share of events without it lately, and by the card (None: not said)."""

    name: str
    missing: float
    expected: float | None


class Drift(NamedTuple):
    """One model. `looks` are the events the figures rest on; `psi` is None below 400 of them and without a
    card, and so are what else the card says; `upto` are the upper ends of the card's bins, `shares` and
    `expected` the share of scores in each lately and by the card; `missing` is the share of events for which
    the model gave nothing."""

    model: str
    looks: int
    mean: float | None
    missing: float
    inputs: tuple[InputDrift, ...]
    psi: float | None = None
    expected_mean: float | None = None
    upto: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    expected: tuple[float, ...] = ()


def stability(now: Sequence[float], then: Sequence[float]) -> float:
    """The population stability index of two distributions over the same bins, each with the sum 1."""
    total = 0.0
    for a, b in zip(now, then, strict=True):
        a, b = max(a, FLOOR), max(b, FLOOR)
        total += (a - b) * math.log(a / b)
    return total


@dataclass(slots=True)
class _Slot:
    """What was seen in a minute, each look for as many events as it stands for."""

    began: float
    bins: list[float]
    lacking: list[float]
    looks: int = 0
    weight: float = 0.0
    scored: float = 0.0
    sum: float = 0.0

    def add(self, place: int | None, score: float | None, absent: Sequence[bool], weight: float) -> None:
        """One look."""
        self.looks += 1
        self.weight += weight
        if score is not None:
            self.scored += weight
            self.sum += weight * score
            if place is not None:
                self.bins[place] += weight
        for i, lacks in enumerate(absent):
            if lacks:
                self.lacking[i] += weight


@dataclass(slots=True)
class _Watched:
    """One model of the bundle that decides."""

    name: str
    digest: str
    inputs: tuple[str, ...]
    baseline: Baseline | None
    slots: deque[_Slot] = field(default_factory=lambda: deque(maxlen=SLOTS))

    def slot(self, now: float) -> _Slot:
        """The slot of the present minute."""
        if not self.slots or now - self.slots[-1].began >= SLOT:
            bins = len(self.baseline.upto) if self.baseline is not None else 0
            self.slots.append(_Slot(now, [0.0] * bins, [0.0] * len(self.inputs)))
        return self.slots[-1]

    def add(self, score: float | None, absent: Sequence[bool], weight: float, now: float) -> None:
        """One look."""
        place = None
        if score is not None and self.baseline is not None:
            place = bisect_left(self.baseline.upto, score)
        self.slot(now).add(place, score, absent, weight)

    def drift(self, now: float) -> Drift:
        """The figures of the last hour."""
        while self.slots and now - self.slots[0].began >= SLOT * SLOTS:
            self.slots.popleft()
        looks = sum(s.looks for s in self.slots)
        weight = sum(s.weight for s in self.slots) or 1.0
        scored = sum(s.scored for s in self.slots)
        mean = sum(s.sum for s in self.slots) / scored if scored else None
        base = self.baseline
        expected = base.missing if base is not None else {}
        inputs = tuple(
            InputDrift(name, sum(s.lacking[i] for s in self.slots) / weight, expected.get(name))
            for i, name in enumerate(self.inputs)
        )
        plain = Drift(self.name, looks, mean, 1 - scored / weight if looks else 0.0, inputs)
        if base is None:
            return plain
        plain = plain._replace(expected_mean=base.mean, upto=base.upto, expected=base.shares)
        if not scored:
            return plain
        shares = tuple(sum(s.bins[i] for s in self.slots) / scored for i in range(len(base.upto)))
        psi = stability(shares, base.shares) if looks >= LEAST else None
        return plain._replace(psi=psi, shares=shares)


class DriftWatch:
    """Watches the local models of whatever bundle decides. `tick` is to be called a few times a second, on
    the thread that decides, with the stepper that does and any clock's seconds."""

    def __init__(self) -> None:
        self.gap = NEAREST
        self._stepper: Stepper | None = None
        self._models: dict[str, _Watched] = {}
        self._nodes: list[list[tuple[_Watched, int, tuple[int, ...]]]] = []
        self._readers: FieldReaders | None = None
        self._random = Random(1)
        self._now = 0.0
        self._looked = 0.0
        self._made = 0
        self._at_once = 0

    def tick(self, stepper: Stepper, now: float) -> None:
        """Watch this stepper from now on, and look at about as many events as there should be."""
        if stepper is not self._stepper:
            self._attach(stepper)
        self._now, self._at_once = now, 0
        if now - self._looked >= 1.0:
            most = LOOKS * (now - self._looked)
            if self._made > 1.5 * most:
                self.gap = min(self.gap * 2, FARTHEST)
            elif self._made < most / 2:
                self.gap = max(self.gap // 2, NEAREST)
            self._looked, self._made = now, 0
        if self._models and stepper.look_from == NEVER:
            stepper.look_from = stepper.seq + self._random.randint(1, 2 * self.gap - 1)

    def figures(self) -> list[Drift]:
        """The figures of every model that rules may ask, in order of name."""
        return [self._models[name].drift(self._now) for name in sorted(self._models)]

    # -------------------------------------------------------------- looking

    def _attach(self, stepper: Stepper) -> None:
        if self._stepper is not None:
            self._stepper.look, self._stepper.look_from = None, NEVER
        self._stepper = stepper
        bundle, known = stepper.bundle, self._models
        analysis = bundle.analysis
        self._models, self._nodes = {}, []
        self._readers = FieldReaders(bundle)
        for event in analysis.symbols.schemas:
            graph = analysis.lowerer.graph(event)
            found = []
            for used in bundle.models(event):
                if used.model not in self._models:
                    self._models[used.model] = self._watched(stepper, used.model, known)
                nodes = (n for n in graph.nodes if n.op == "model" and n.data[0] == used.model)
                node = next((n for n in nodes if not n.binders), None)
                if node is not None:
                    found.append((self._models[used.model], node.id, node.args))
            self._nodes.append(found)
        stepper.look, stepper.look_from = self._look, NEVER

    @staticmethod
    def _watched(stepper: Stepper, name: str, known: dict[str, _Watched]) -> _Watched:
        """A model of the bundle: what is known of it stays while model and card are the same."""
        analysis = stepper.bundle.analysis
        model = analysis.models[name]
        base = read_card(analysis.files, analysis.symbols.models[name].source.plain or "")
        inputs = tuple(f.name for f in model.features)
        before = known.get(name)
        if before is not None and (before.digest, before.baseline) == (model.digest, base):
            return before
        return _Watched(name, model.digest, inputs, base)

    def _look(self, stepper: Stepper, decoded: Decoded, hits: list[Hit]) -> None:
        """Look at an event between counting and settling. Never raises."""
        self._at_once += 1
        more = self._at_once < MOST_LOOKS
        stepper.look_from = stepper.seq + self._random.randint(1, 2 * self.gap - 1) if more else NEVER
        if not self._nodes[decoded.index] or self._readers is None:
            return
        self._made += 1
        try:
            values = Interpreter(
                stepper.bundle, stepper.state, decoded, hits, readers=self._readers, asked=stepper.asked
            )
            for watched, node, inputs in self._nodes[decoded.index]:
                absent = [values.value(i) is None for i in inputs]
                watched.add(values.value(node), absent, self.gap, self._now)
        except NotRead:
            self._nodes[decoded.index] = []
        except Exception:  # a look must not cost anybody a decision
            self._nodes[decoded.index] = []
