"""From a bundle and a history to what a backtest says: read, decide, count, explain.

prepared = prepare(build, Asked(labels="$.label == \\"spam\\""))
with Database() as db:
    outcome = run(db, "after", prepared, files)
    report = backtest_of(outcome, prepared)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from quell.engine.compile import Build
from quell.engine.source_base import SourceError
from quell.replay import run as replaying
from quell.replay.backtest_frame import Frame
from quell.replay.backtest_missed import missed, nearest
from quell.replay.backtest_notes import notes
from quell.replay.backtest_rules import Events, overlaps, rule_rows, verdict_rows
from quell.replay.backtest_samples import chosen, messages, samples, told
from quell.replay.backtest_source import check_period, span, warmup, windows
from quell.replay.backtest_values import Beside
from quell.replay.backtest_weight import Weight, read_weight
from quell.replay.database import Database
from quell.replay.history import History, Order
from quell.replay.history_coverage import source_of
from quell.replay.history_ingest import check_usable, ingest
from quell.replay.labels import Labels, read_labels
from quell.replay.named_values import NotAValue
from quell.replay.outcome import Outcome
from quell.replay.report_data import Backtest, Labelled, Sample
from quell.replay.run import Tell
from quell.replay.tune import curves

WarmUp = Literal["mark", "leave-out"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted of a backtest.

    `start` and `until` (microseconds) bound the events that the figures are of: all are decided, since what
    came before fills the windows. `limit` takes only the first events in order. `samples` is how many events
    each rule shows, and how many of the positives that were let through, `explained` that they come with
    their reasons; with `nearest` the latter say which rules were near to catching them even so. `warm_up`
    says whether events before the
    longest window was full are counted (`mark`) or not (`leave-out`). `labels` are what `quell.replay.labels`
    reads, with which of their values are `positive` and by when they were known; `weigh` is a number field.
    With `curves` the rules that fire most get a curve of their threshold, which costs one more replay.
    """

    order: Order | None = None
    format: Any = None
    limit: int | None = None
    start: int | None = None
    until: int | None = None
    warm_up: WarmUp = "mark"
    samples: int = 5
    explained: bool = True
    nearest: bool = False
    policies: str = ""
    labels: str | None = None
    positive: tuple[str, ...] = ()
    known_by: int | None = None
    weigh: str | None = None
    curves: bool = False


@dataclass(slots=True)
class Prepared:
    """A bundle with what has to be read beside what it reads."""

    build: Build
    asked: Asked
    beside: Beside
    labels: Labels | None = None
    weight: Weight | None = None


def prepare(build: Build, asked: Asked) -> Prepared:
    """Work out what a backtest has to read. Raises NotAValue, LabelsError, and SourceError for a file of
    labels that cannot be read."""
    beside = Beside(build)
    made = Prepared(build, asked, beside)
    if asked.labels is not None:
        made.labels = read_labels(
            asked.labels,
            build,
            beside,
            positive=asked.positive,
            known_by=asked.known_by,
            format=asked.format,
        )
    elif asked.positive or asked.known_by is not None:
        raise NotAValue("`--positive` and `--known-by` belong to `--labels`", "name the labels")
    if asked.weigh is not None:
        made.weight = read_weight(asked.weigh, build, beside)
    return made


def silent(what: str, share: float | None) -> None:
    """Nobody hears how far it is."""


def read(
    db: Database,
    name: str,
    prepared: Prepared,
    files: Sequence[str | Path],
    tell: Tell = silent,
    later: bool = False,
) -> History:
    """Read a history for a backtest; the tables go to the schema `name_history`. `later` leaves texts to who
    decides it. Raises SourceError."""
    asked = prepared.asked
    history = ingest(
        db,
        f"{name}_history",
        prepared.build,
        files,
        order=asked.order,
        format=asked.format,
        extras=prepared.beside.extras,
        later=later,
        tell=lambda done, of: tell("reading", done / of if of else None),
    )
    check_usable(history)
    if asked.limit is not None:
        history.cut(asked.limit)
        if not history.events:
            raise SourceError("the history holds no event", "take more of it with --limit")
    check_period(history, asked.start, asked.until, asked.warm_up == "leave-out")
    return history


def run(
    db: Database, name: str, prepared: Prepared, files: Sequence[str | Path], tell: Tell = silent
) -> Outcome:
    """Read a history and decide it; the outcome's tables go to the schema `name`. Raises SourceError."""
    later = prepared.asked.limit is None  # a part of a history is not read again
    return replaying.decide(read(db, name, prepared, files, tell, later), name, tell=tell)


def frame_of(outcome: Outcome, prepared: Prepared) -> Frame:
    """The events that figures are made of, with their labels and weights. Raises ValueError for a history
    without events; LabelsError, SourceError and NotAValue for labels and weights that do not fit it."""
    asked, times = prepared.asked, span(outcome.history)
    if times is None:
        raise ValueError("a history without events has no figures")
    start = asked.start
    if asked.warm_up == "leave-out":
        full = times[0] + windows(outcome.history.build.analysis)[0]
        start = full if start is None else max(start, full)
    frame = Frame(outcome, *times, start, asked.until)
    if prepared.labels is not None:
        truth = prepared.labels.attach(outcome.history)
        frame.truth, frame.labelled, frame.timed = truth.table, truth.labelled, truth.timed
        frame.notes += truth.notes
    if prepared.weight is not None:
        frame.weights, told = prepared.weight.attach(outcome.history)
        frame.notes += told
    frame.make()
    return frame


def backtest_of(
    outcome: Outcome, prepared: Prepared, tell: Tell = silent, frame: Frame | None = None
) -> Backtest:
    """The figures of an outcome; `frame` is its frame where it was made already. Raises as `frame_of`."""
    tell("counting", None)
    frame = frame_of(outcome, prepared) if frame is None else frame
    report = _figures(outcome, frame, prepared)
    _add_samples(report, outcome, frame, prepared.asked, tell)
    if prepared.asked.curves:
        total = outcome.history.events + outcome.history.hands
        report.curves = curves(
            outcome,
            frame.truth,
            within=frame.within("e"),
            tell=lambda done: tell("sweeping thresholds", done / total if total else None),
        )
    report.notes = notes(report) + frame.notes
    return report


def _figures(outcome: Outcome, frame: Frame, prepared: Prepared) -> Backtest:
    analysis = prepared.build.analysis
    events = Events.of(frame)
    over_time = events.over_time(frame.buckets)
    rules = rule_rows(frame, events, analysis)
    return Backtest(
        bundle=analysis.files.settings.name or analysis.files.name,
        policies=prepared.asked.policies,
        version=prepared.build.version,
        source=source_of(outcome.history),
        timeline=frame.buckets.timeline(over_time),
        verdicts=verdict_rows(frame, events, analysis),
        rules=rules,
        overlaps=overlaps(frame, rules),
        warmup=warmup(
            outcome.history,
            prepared.asked.warm_up == "leave-out",
            prepared.asked.start,
            prepared.asked.until,
        ),
        ways=list(outcome.ways),
        seconds=outcome.seconds,
        remote={m: outcome.recorded.get(m, 0) for m in _asked_elsewhere(prepared.build)},
        unrecorded=outcome.missing,
        events=sum(over_time),
        labelled=_labelled(frame, events, prepared),
        weighed=prepared.asked.weigh,
        quiet=[row.rule for row in rules if not row.fired and not row.held],
        sends=_counted(frame, "sends", "sink", "true"),
        labels_set=_counted(
            frame, "labels", "t.entity || ' \"' || label || '\"'", 't."on" AND rule IS NOT NULL'
        ),
    )


def _asked_elsewhere(build: Build) -> list[str]:
    """The remote models that deciding asks."""
    return sorted({q.model for linked in build.programs.values() for q in linked.program.asked})


def _labelled(frame: Frame, events: Events, prepared: Prepared) -> Labelled | None:
    """Where labels came from, and how many events of the period have one."""
    if frame.labelled is None:
        return None
    tally = events.tally(prepared.build.analysis.symbols.schemas)
    counts = (tally.positive, tally.negative, tally.unlabelled)
    return Labelled(frame.labelled.text, *counts, volume=prepared.asked.weigh)


def _counted(frame: Frame, table: str, what: str, which: str) -> dict[str, int]:
    """How many rows of a table of effects there are of each kind, the most frequent first."""
    outcome = frame.outcome
    return dict(
        frame.db.rows(
            f"SELECT {what} AS what, count(*) FROM {outcome.table(table)} t JOIN {outcome.table('all')} a "
            f"USING (n) WHERE {which} AND {frame.within('a')} GROUP BY what ORDER BY count(*) DESC, what"
        )
    )


def _add_samples(report: Backtest, outcome: Outcome, frame: Frame, asked: Asked, tell: Tell) -> None:
    picked = chosen(frame, asked.samples)
    report.missed, lost = missed(frame, asked.samples)
    wanted = sorted({n for ns in (lost, *picked.values()) for n in ns})
    found = samples(frame, wanted, asked.policies)
    _explain(found, outcome, set(lost), asked, tell)
    said = messages(frame, wanted)
    report.samples_missed = [found[n] for n in lost]
    for row in report.rules:
        row.samples = [
            msgspec.structs.replace(found[n], because=said.get((row.rule, n)))
            for n in picked.get(row.rule, ())
        ]


def _explain(found: dict[int, Sample], outcome: Outcome, lost: set[int], asked: Asked, tell: Tell) -> None:
    """Put into samples their reasons, and into those of `lost` which rules were nearest to them."""
    wanted = [n for n in found if asked.explained or (asked.nearest and n in lost)]
    if not wanted:
        return
    tell("explaining samples", None)
    for n, explanation in replaying.explanations(outcome, wanted).items():
        near = nearest(explanation) if n in lost else ()
        shown = told(explanation, {one.rule for one in near}) if asked.explained else None
        found[n] = msgspec.structs.replace(found[n], explanation=shown, near=near)
