"""Thresholds: what other values of the constants in a rule's condition would hit.

    found = find(analysis, "link_flood")
    tuned = tune(outcome, found, ["1"])          # or two of them, for a grid
    curves(outcome)                              # for a report: one curve for each rule with a clear
    threshold

The history is replayed once, whatever the number of settings: the values on which the condition rests come
out as columns (`tune_columns`), and each setting is worked out over those.

A hit is an event on which the rule fires (a shadow rule: would fire): its condition is true, its rollout
takes the event in, and no rule exempts from it. What other rules do, and what the rule's own firing changes
for later events (labels, counts of firings), stays as it was replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quell.replay.outcome import Outcome
from quell.replay.report_data import Curve, CurvePoint, Grid, GridPoint
from quell.replay.tune_columns import Request, columns_of
from quell.replay.tune_constants import Constant, Found, NoEvents, NoSweep, chosen, find
from quell.replay.tune_feedback import feedback
from quell.replay.tune_lower import Sweep, narrowed, open_up
from quell.replay.tune_settings import (
    MOST,
    MOST_OF_GRID,
    ends,
    natural,
    spell,
    told,
    turning,
)
from quell.replay.tune_tally import Chosen, Counts, Rows, Slice, requests
from quell.replay.tune_values import OneByOne

MOST_CURVES = 12
"""Rules of a report that get a curve."""
MOST_POINTS = 25
"""Points of a curve in a report."""
Settings = Callable[[Constant], "list[float] | None"]
"""Settings that somebody asked for, None for those that suit the data."""


@dataclass(slots=True)
class Tuned:
    """One sweep: `constants` are those that were swept, `curve` or `grid` what came of it. `impact` says for
    each constant of the rule how many more events are hit without it, where that was looked at."""

    found: Found
    constants: list[Constant]
    feedback: list[str]
    rows: Rows
    curve: Curve | None = None
    grid: Grid | None = None
    impact: dict[int, int] = field(default_factory=dict)
    unclear: bool = False
    """No constant was asked for, and none makes a difference."""


def tune(
    outcome: Outcome,
    found: Found,
    asked: Sequence[str] = (),
    *,
    truth: str | None = None,
    settings: Settings = lambda constant: None,
    also: Callable[[Constant], list[float]] = lambda constant: [],
    tell: Callable[[int], None] = lambda done: None,
) -> Tuned:
    """Sweep one or two constants of a rule; without a choice, the one whose loosening hits most more. `truth`
    is a table (n, label) of what events really were; `settings` may say what to try, and `also` what to try
    besides. Only `outcome.history` is read. Raises NoSweep, and NoEvents for a history
    without an event of the rule's types."""
    analysis = outcome.history.build.analysis
    sweep = open_up(analysis, found)
    sweep = narrowed(sweep, chosen(found, asked) if asked else _candidates(found))
    rows = Rows.of(outcome, sweep, columns_of(outcome, requests(sweep), tell), truth)
    if not rows.asked.events:
        raise _unasked(outcome, sweep)
    impact: dict[int, int] = {}
    if not asked:
        impact = _impact(rows)
        best = max(sweep.constants, key=lambda c: (impact[c.number], -c.number))
        open_ = [best]
    else:
        open_ = sweep.constants
    made = Tuned(found, open_, feedback(analysis, found.rule, open_), rows, impact=impact)
    made.unclear = not asked and not any(impact.values())
    if len(open_) == 1:
        made.curve = curve(rows, open_[0], settings(open_[0]), MOST, also(open_[0]))
    else:
        made.grid = grid(rows, (open_[0], open_[1]), settings, also)
    return made


def _candidates(found: Found) -> list[Constant]:
    """The constants that one is chosen from: those in the rule's own condition, if it has any."""
    own = [c for c in found.constants if c.inside is None]
    return own or found.constants


def _unasked(outcome: Outcome, sweep: Sweep) -> NoEvents:
    name = sweep.rule.name.name
    wanted = " or ".join(f"`{part.event}`" for part in sweep.parts[:4])
    rows = outcome.db.rows(
        f"SELECT event FROM {outcome.history.table('all')} "
        f"GROUP BY event ORDER BY count(*) DESC, event LIMIT 4"
    )
    seen = ", ".join(f"`{event}`" for (event,) in rows)
    hint = f"it has {seen}" if seen else "it holds no event that the policies take"
    return NoEvents(f"the history has no {wanted} event, and `{name}` is asked about no other", hint)


# ---------------------------------------------------------------------------------------- impact


def _impact(rows: Rows) -> dict[int, int]:
    """For each constant, how many more events are hit when it is as loose as can be."""
    sweep = rows.sweep
    now = [c.value for c in sweep.constants]
    settings: list[Chosen] = [tuple(now)]
    for i, c in enumerate(sweep.constants):
        settings += [(*now[:i], end, *now[i + 1 :]) for end in ends(c)]
    counts = rows.count(settings)
    first = int(counts.hits[0])
    return {
        c.number: max(0, int(counts.hits[1 + 2 * i : 3 + 2 * i].max()) - first)
        for i, c in enumerate(sweep.constants)
    }


# ---------------------------------------------------------------------------------------- curves


def curve(
    rows: Rows,
    constant: Constant,
    values: Sequence[float] | None,
    most: int,
    also: Sequence[float] = (),
) -> Curve:
    """One constant of a sweep at many settings, the others as they stand: at these values, or at most so many
    that suit the data; and also at some."""
    sweep = rows.sweep
    place = sweep.constants.index(constant)
    more, turns = _turns(rows, place)
    tried = sorted({*(values if values is not None else natural(constant, turns, most)), *also})
    now = [c.value for c in sweep.constants]
    settings: list[Chosen] = [(*now[:place], v, *now[place + 1 :]) for v in tried]
    counts = rows.count(settings)
    kept = range(len(tried)) if values is not None else _different(constant, tried, counts, also)
    return Curve(
        rule=sweep.rule.name.name,
        compared=constant.compared,
        place=constant.place,
        current=told(constant, constant.value),
        points=[_point(rows, constant, tried[i], counts, i) for i in kept],
        unit=constant.kind,
        text=constant.text,
        of=rows.asked.events,
        more=more,
        inside=constant.inside,
        readers=list(constant.readers),
    )


def _point(rows: Rows, constant: Constant, value: float, counts: Counts, i: int) -> CurvePoint:
    return CurvePoint(
        value=told(constant, value),
        hits=int(counts.hits[i]),
        entities=None if counts.entities is None else int(counts.entities[i]),
        quality=rows.quality(counts, i),
        text=spell(constant, value),
        newly=int(counts.newly[i]),
        no_longer=int(counts.no_longer[i]),
    )


def _turns(rows: Rows, place: int) -> tuple[Literal["lower", "higher", ""], NDArray[np.float64] | None]:
    """Whether lower or higher values hit more, and at which value each event turns; neither where the
    condition turns more than once, or cannot be asked so."""
    sweep = rows.sweep
    constant = sweep.constants[place]
    pieces = rows.sample()
    now: list[float] = [c.value for c in sweep.constants]

    def at(value: float) -> NDArray[np.bool_]:
        chosen_ = [*now[:place], value, *now[place + 1 :]]
        return np.concatenate([p.hits(sweep, chosen_) for p in pieces] or [np.zeros(0, np.bool_)])

    low, high = ends(constant)
    steps = [at(v) for v in (low, constant.value / 2, constant.value, constant.value * 2, high)]
    falling = all(not np.any(b & ~a) for a, b in pairwise(steps))
    rising = all(not np.any(a & ~b) for a, b in pairwise(steps))
    if falling == rising:
        return "", None
    more: Literal["lower", "higher"] = "lower" if falling else "higher"
    found: list[NDArray[np.float64]] = []
    try:
        for p in pieces:

            def each(values: NDArray[np.float64], p: Slice = p) -> NDArray[np.bool_]:
                return p.hits(sweep, [*now[:place], values, *now[place + 1 :]])

            found.append(turning(each, p.batch.size, constant, falling))
    except OneByOne:
        return more, None
    return more, np.concatenate(found) if found else None


def _different(
    constant: Constant, tried: Sequence[float], counts: Counts, also: Sequence[float]
) -> list[int]:
    """The settings that differ from their neighbours: of several that hit the same events the one that is
    written shortest, and those in the policy and in `also`."""

    def same(i: int, j: int) -> bool:
        columns = (counts.hits, counts.newly, counts.no_longer, counts.right, counts.wrong)
        return all(c[i] == c[j] for c in columns)

    def length(i: int) -> tuple[int, int]:
        return len(spell(constant, tried[i]).rstrip("%").rstrip("0")), i

    kept: list[int] = []
    run: list[int] = []
    for i in range(len(tried) + 1):
        if i < len(tried) and (not run or same(run[-1], i)):
            run.append(i)
            continue
        kept.append(min(run, key=length))
        kept += [j for j in run if tried[j] == constant.value or tried[j] in also]
        run = [i]
    return sorted(set(kept))


# ------------------------------------------------------------------------------------------ grids


def grid(
    rows: Rows,
    pair: tuple[Constant, Constant],
    settings: Settings,
    also: Callable[[Constant], list[float]] = lambda constant: [],
) -> Grid:
    """Two constants at many settings each."""
    axes = [curve(rows, c, settings(c) or _axis(rows, i), MOST_OF_GRID, also(c)) for i, c in enumerate(pair)]
    first, second = (_values(c, axis) for c, axis in zip(pair, axes, strict=True))
    chosen_ = [(a, b) for a in first for b in second]
    counts = rows.count(chosen_)
    points = [
        GridPoint(
            values=(told(pair[0], a), told(pair[1], b)),
            hits=int(counts.hits[i]),
            entities=None if counts.entities is None else int(counts.entities[i]),
            quality=rows.quality(counts, i),
            texts=(spell(pair[0], a), spell(pair[1], b)),
            newly=int(counts.newly[i]),
            no_longer=int(counts.no_longer[i]),
        )
        for i, (a, b) in enumerate(chosen_)
    ]
    return Grid(rows.sweep.rule.name.name, (axes[0], axes[1]), points)


def _axis(rows: Rows, place: int) -> list[float]:
    """Settings of one constant of a grid."""
    return natural(rows.sweep.constants[place], _turns(rows, place)[1], MOST_OF_GRID)


def _values(constant: Constant, axis: Curve) -> list[float]:
    scale = 1_000_000 if constant.kind == "duration" else 1
    return [float(round(p.value * scale)) if scale > 1 else p.value for p in axis.points]


# ----------------------------------------------------------------------------------- for a report


def curves(
    outcome: Outcome,
    truth: str | None = None,
    *,
    within: str = "true",
    most: int = MOST_CURVES,
    tell: Callable[[int], None] = lambda done: None,
) -> list[Curve]:
    """A curve for each rule that fired and has one clear threshold, for at most `most` rules, those that hit
    most first. `truth` is a table (n, label), `within` a condition on the events counted, as SQL over `e.at`.
    Costs one replay for all of them."""
    analysis = outcome.history.build.analysis
    rules = outcome.db.rows(
        f"SELECT rule FROM {outcome.table('hits')} WHERE outcome <> 'held' GROUP BY rule "
        f"ORDER BY count(*) DESC, rule"
    )
    sweeps: list[Sweep] = []
    for (name,) in rules:
        if len(sweeps) == most:
            break
        found = find(analysis, name)
        try:
            sweep = open_up(analysis, found)
        except NoSweep:
            continue
        own = [c for c in _candidates(found) if c.inside is None]
        if own:
            sweeps.append(narrowed(sweep, own))
    asked: list[Request] = [r for sweep in sweeps for r in requests(sweep)]
    tables = columns_of(outcome, asked, tell) if asked else []
    made = []
    for sweep in sweeps:
        mine = [tables.pop(0) for _ in sweep.parts]
        rows = Rows.of(outcome, sweep, mine, truth, within)
        best = _clearest(rows)
        if best is not None:
            made.append(curve(rows, best, None, MOST_POINTS))
    return made


def _clearest(rows: Rows) -> Constant | None:
    """The constant that matters most, where one does."""
    impact = _impact(rows)
    best = max(rows.sweep.constants, key=lambda c: (impact[c.number], -c.number))
    return best if impact[best.number] else None
