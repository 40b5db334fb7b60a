"""From a history to a fitted model and its card: what `quell train` does, without its command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from quell.engine.compile import Analysis
from quell.engine.decision_summary import Summary
from quell.engine.source_base import Source
from quell.grammar.types import Type
from quell.replay.features import Row, walk
from quell.replay.model_card import Card, Origin, make_card
from quell.replay.named_values import NotAValue, Tapped, Wanted, tap
from quell.replay.train import (
    HELD,
    SUSPICIOUS,
    Fitted,
    Settings,
    Untrainable,
    alone,
    check_rows,
    fit,
    score_others,
)
from quell.replay.train_data import Collector, Matrix, Rows, column, matrix, split_rows
from quell.replay.train_labels import LABEL, LabelFile, RecordLabel, ValueLabel, record_of

Label = RecordLabel | ValueLabel
MOSTLY_OTHER = 0.5
"""From this share of values that are no kept category on, a warning is given."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be learnt: the inputs' values, what is positive, what is negative (None: all else that has
    a label), the period, and where it is cut."""

    values: Sequence[Wanted]
    label: Label
    negative: Label | None = None
    event: str | None = None
    start: int | None = None
    until: int | None = None
    share: float | None = 0.7
    split_at: int | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task over a bundle: the bundle that hands out the inputs, and after them the labels that are
    expressions; `types` are the inputs' types, `places` those labels' places among the values."""

    task: Task
    tapped: Tapped
    types: dict[str, Type]
    places: dict[int, int]

    def columns(self) -> set[str]:
        """The outermost keys of a record that the engine and the labels read."""
        labels = [s for s in (self.task.label, self.task.negative) if isinstance(s, RecordLabel)]
        outermost = {str(label.path[0]) for label in labels if label.path}
        return set(self.tapped.build.decoder.columns()) | outermost


def prepare(analysis: Analysis, task: Task) -> Prepared:
    """A bundle ready to hand out what a task needs. Raises NotAValue for what no model takes."""
    labels = [label for label in (task.label, task.negative) if label is not None]
    values, places = list(task.values), dict[int, int]()
    for i, label in enumerate(labels):
        if isinstance(label, ValueLabel):
            places[i] = len(values)
            values.append(Wanted(LABEL + " " * i, label.written))
    tapped = tap(analysis, values, task.event)
    names = [v.column for v in task.values]
    types = {name: tapped.types[name] for name in names}
    for name, type_ in types.items():
        column(name, type_)
    for place in places.values():
        type_ = tapped.types[values[place].column]
        if type_.kind not in ("bool", "missing"):
            raise NotAValue(f"{LABEL} is a {type_}, not a condition", "compare it, such as == …")
    return Prepared(task, tapped, types, places)


def labeller(prepared: Prepared, file: LabelFile | None) -> Callable[[Row], bool | None]:
    """What says what an event really was: true, false, or None for unknown."""
    task, places = prepared.task, prepared.places

    def one(label: Label, place: int | None, row: Row, record: Any) -> bool | None:
        if isinstance(label, ValueLabel):
            assert place is not None
            found: bool | None = row.values[place]
            return found
        return label.of(record)

    def say(row: Row) -> bool | None:
        needed = len(places) < 1 + (task.negative is not None)
        record = None
        if needed:
            record = record_of(row.payload) if file is None else file.record(row.number)
        positive = one(task.label, places.get(0), row, record)
        if task.negative is None or positive:
            return positive
        return False if one(task.negative, places.get(1), row, record) else None

    return say


def gather(
    prepared: Prepared,
    source: Source,
    labels: LabelFile | None,
    summary: Summary,
    tell: Callable[[int], None],
) -> Collector:
    """Decide a history and gather the labelled rows of the period. Raises SourceError."""
    task = prepared.task
    gathered = Collector(prepared.types, labeller(prepared, labels), task.start, task.until)
    for row in walk(prepared.tapped, source, summary, tell):
        gathered.add(row)
    return gathered


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted model and its card."""

    fitted: Fitted
    card: Card
    data: Matrix


def train(prepared: Prepared, gathered: Collector, origin: Origin, settings: Settings) -> Trained:
    """Fit and judge a model. Raises Untrainable where the rows do not do."""
    rows = gathered.rows()
    _check_labels(prepared, gathered, rows)
    split = split_rows(rows, prepared.task.share, prepared.task.split_at, HELD)
    check_rows(rows, split)
    data = matrix(rows, split.train)
    for name, categories in data.categories.items():
        if not categories:
            raise Untrainable(
                f"no value of `{name}` is frequent enough in the training period to be a category",
                "leave it out, or give a history where its values come again",
            )
    fitted = fit(rows, split, data, settings)
    areas = alone(rows, split, data)
    warnings = list(_warnings(prepared, data, areas))
    unlabelled = gathered.unlabelled
    others = score_others(fitted, unlabelled.matrix(split.at, data), unlabelled.weight)
    card = make_card(origin, gathered.counts, rows, split, data, fitted, areas, warnings, others)
    return Trained(fitted, card, data)


def _check_labels(prepared: Prepared, gathered: Collector, rows: Rows) -> None:
    """Raise Untrainable where the label says nothing, or says the same of every event."""
    counts, label = gathered.counts, prepared.task.label
    came = _came(label)
    if counts.rows == counts.outside:
        raise Untrainable(f"none of {counts.rows:,} events lies in the period", "look at --from and --until")
    if not counts.used:
        nowhere = _NOWHERE_HINT if isinstance(label, RecordLabel) else _PATH_HINT
        raise Untrainable(f"no event of the period has the label `{label.text}`", came or nowhere)
    positives = int(rows.labels.sum())
    if positives in (0, len(rows)):
        what = "the label" if positives else "nothing matches the label"
        told = f"{what} `{label.text}`" + (" holds for every event" if positives else "")
        raise Untrainable(f"{told} ({len(rows):,} events)", came or "a model needs both kinds of events")


_NOWHERE_HINT = "no record has anything there; labels in a file of their own are read with --labels FILE"
_PATH_HINT = "is it a value of the record? then write its path: $.label"


def _came(label: Label) -> str | None:
    """The values that a label's path had."""
    if not isinstance(label, RecordLabel) or not label.seen:
        return None
    often = ", ".join(f"{value} ({n:,})" for value, n in label.seen.most_common(5))
    hint = f"the values there are {often}"
    if label.unclear and not label.values:
        rarest = label.seen.most_common()[-1][0]
        hint += f": say which is positive, such as {label.text} == {rarest}"
    return hint


def _warnings(prepared: Prepared, data: Matrix, areas: Sequence[float]) -> Iterator[str]:
    for i, name in enumerate(data.names):
        if _reads_the_label(prepared, i):
            yield f"`{name}` is what the label is read from, so the model learns to read it off: leave it out"
        elif areas[i] > SUSPICIOUS:
            yield (
                f"`{name}` alone tells the classes apart (area under the curve {areas[i]:.3f}):"
                " does it know the label?"
            )
        if data.dropped.get(name, 0) > MOSTLY_OTHER:
            yield (
                f"{data.dropped[name]:.0%} of the values of `{name}` are no category of the model and count"
                " as missing: is it free text, or an id?"
            )


def _reads_the_label(prepared: Prepared, place: int) -> bool:
    """Whether an input is worked out from a field that the label reads."""
    tapped, label = prepared.tapped, prepared.task.label
    for event in tapped.events:
        graph, nodes = tapped.build.analysis.lowerer.graph(event), tapped.nodes[event]
        schema = tapped.build.analysis.symbols.schemas[event]
        fields = {graph[n].data[0] for n in graph.reach([nodes[place]]) if graph[n].op == "field"}
        if isinstance(label, RecordLabel):
            read = {f.name for f in schema.fields if f.path == label.path}
        else:
            of_label = graph.reach([nodes[prepared.places[0]]])
            read = {graph[n].data[0] for n in of_label if graph[n].op == "field"} - {schema.at}
        if fields & read:
            return True
    return False
