"""The card of a model: where it comes from, what it takes, and how good it was on what came later.

A card is JSON-ready data; `as_markdown` is the same for people. Nothing in it depends on when or where it
was made: the same history and policies give the same card to the byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quell.replay.quality import Rate
from quell.replay.train import HELD, Fitted, Others
from quell.replay.train_data import Counts, Matrix, Rows, Split
from quell.replay.train_metrics import (
    Scores,
    at_thresholds,
    auc,
    auc_interval,
    average_precision,
    brier,
    calibration_error,
    histogram,
    log_loss,
    reliability,
    spread,
)
from quell.signals.show import show_time

Card = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model comes from: its name in the policies (None: not declared yet), the bundle and its
    version, the files with their digests, what the label is, and how the command cut the period."""

    model: str | None
    file: str
    bundle: str
    version: str
    files: Sequence[Mapping[str, Any]]
    label: str
    negative: str | None
    split: str
    lightgbm: str


def make_card(
    origin: Origin,
    counts: Counts,
    rows: Rows,
    split: Split,
    data: Matrix,
    fitted: Fitted,
    areas: Sequence[float],
    warnings: Sequence[str],
    others: Others,
) -> Card:
    """The card of a fitted model. `areas` say how well each feature alone tells the classes apart, `others`
    what the model gives for events of the test period that have no label."""
    return {
        "model": origin.model,
        "file": origin.file,
        "policies": {"bundle": origin.bundle, "version": origin.version},
        "data": list(origin.files),
        "label": {"positive": origin.label, "negative": origin.negative},
        "events": {
            "with_the_values": counts.rows,
            "outside_the_period": counts.outside,
            "without_a_label": counts.unlabelled,
            "used": counts.used,
            "positive": int(rows.labels.sum()),
        },
        "split": {
            "asked": origin.split,
            "at": show_time(split.at),
            "training": _part(rows, 0, split.train),
            "decided_the_trees": _part(rows, split.stop, split.train) if fitted.watched else None,
            "test": _part(rows, split.train, split.rows),
        },
        "features": _features(rows, data, fitted, areas),
        "training": {
            "library": f"LightGBM {origin.lightgbm}",
            "trees": fitted.trees,
            "parameters": dict(fitted.parameters),
        },
        "test": measures(rows, split, fitted, others),
        "warnings": list(warnings),
    }


def _part(rows: Rows, start: int, end: int) -> dict[str, Any]:
    labels = rows.labels[start:end]
    return {
        "events": end - start,
        "positive": int(labels.sum()),
        "from": show_time(int(rows.times[start])) if end > start else None,
        "to": show_time(int(rows.times[end - 1])) if end > start else None,
    }


def _features(rows: Rows, data: Matrix, fitted: Fitted, areas: Sequence[float]) -> list[dict[str, Any]]:
    """The features, the one that gained most first."""
    total = sum(fitted.gains) or 1.0
    missing = _missing(rows)
    out = []
    for i, column in enumerate(rows.columns):
        categories = data.categories.get(column.name)
        out.append(
            {
                "name": column.name,
                "type": str(column.type),
                "missing": _round(missing[i]),
                "gain": _round(fitted.gains[i] / total),
                "auc_alone": _round(areas[i]),
                **({"categories": len(categories)} if categories is not None else {}),
                **({"other_categories": _round(data.dropped[column.name])} if categories is not None else {}),
            }
        )
    return sorted(out, key=lambda f: (-f["gain"], f["name"]))


def _missing(rows: Rows) -> list[float]:
    """The share of events where each feature is missing."""
    out = []
    for column in rows.columns:
        absent = sum(v < 0 for v in column.values) if column.kind == "category" else _nans(column.values)
        out.append(absent / len(column.values) if column.values else 0.0)
    return out


def _nans(values: Iterable[float]) -> int:
    return sum(v != v for v in values)


def measures(rows: Rows, split: Split, fitted: Fitted, others: Others) -> dict[str, Any]:
    """How good the model was on the events after the split, and how it scored all of them."""
    labels, scores = rows.labels[split.train :], fitted.scores[split.train :]
    bins = reliability(labels, scores)
    interval = auc_interval(labels, scores)
    return {
        "auc": _round(auc(labels, scores)),
        "auc_interval": [_round(v) for v in interval] if interval is not None else None,
        "average_precision": _round(average_precision(labels, scores)),
        "positive_share": _round(float(labels.mean())),
        "log_loss": _round(log_loss(labels, scores)),
        "brier": _round(brier(labels, scores)),
        "calibration_error": _round(calibration_error(bins)),
        "thresholds": [
            {
                "threshold": t.threshold,
                "acted_on": t.precision.of,
                "precision": _rate(t.precision),
                "recall": _rate(t.recall),
                "false_positives": _rate(t.false_positives),
            }
            for t in at_thresholds(labels, scores)
        ],
        "calibration": [
            {
                "from": b.low,
                "to": b.high,
                "events": b.positive.of,
                "mean_score": _round(b.mean) if b.mean is not None else None,
                "positive": _rate(b.positive),
            }
            for b in bins
        ],
        "histogram": {
            "training": histogram(fitted.scores[: split.train]),
            "test": histogram(scores),
        },
        "scores": _spread(scores, others),
    }


def _spread(scores: Scores, others: Others) -> dict[str, Any]:
    """How scores are spread over all events of the test period, labelled or not: what a service compares
    with."""
    every = np.concatenate((scores, others.scores))
    weights = np.concatenate((np.ones(len(scores)), np.full(len(others.scores), others.weight)))
    return {
        "mean": _round(float(np.average(every, weights=weights))),
        "bins": [{"upto": upto, "events": events} for upto, events in spread(every, weights)],
    }


def _rate(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval
    value = rate.value
    return {
        "hits": rate.hits,
        "of": rate.of,
        "value": _round(value) if value is not None else None,
        "interval": [_round(low), _round(high)],
    }


def _round(value: float) -> float:
    """Six digits after the point: more says nothing, and may differ between processors."""
    return round(value, 6)


def as_json(card: Card) -> str:
    """The card as a JSON file."""
    return json.dumps(card, ensure_ascii=False, indent=2) + "\n"


# --------------------------------------------------------------------------------------- markdown


def as_markdown(card: Card) -> str:
    """The card as a page."""
    name = card["model"] or card["file"]
    test, split = card["test"], card["split"]
    parts = [
        f"# {_plain(name)}: what it is and how good it was",
        f"`quell train` made this page and `{_plain(card['file'])}`. Remake both rather than change one.",
        *_warnings(card),
        "## Data",
        _table(("what", "is"), _data_rows(card)),
        "## Split by time",
        _table(("part", "events", "positive", "from", "to"), _split_rows(split)),
        _how_trees(card),
        "## On the test period",
        _table(("measure", "value"), _measure_rows(test)),
        "### Acting from a threshold on",
        _table(
            ("threshold", "acted on", "precision", "95 %", "recall", "95 %", "false positives"),
            _threshold_rows(test),
        ),
        "### Calibration",
        "How many events with such a score were positive: where mean and share agree, it is calibrated.",
        _table(("score", "events", "mean score", "positive", "95 %"), _bin_rows(test)),
        "## Features",
        _FEATURES,
        _table(("feature", "type", "missing", "gain", "alone"), _feature_rows(card)),
        "## Parameters",
        f"{card['training']['library']}, {card['training']['trees']} trees: "
        + ", ".join(f"{k} {_shown(v)}" for k, v in card["training"]["parameters"].items()),
    ]
    return "\n\n".join(parts) + "\n"


_FEATURES = (
    "`gain` is the share of what the trees gained by splits on it; `alone` is the area under the curve of"
    " this one value in the training period."
)


def _warnings(card: Card) -> list[str]:
    found = card["warnings"]
    return ["## Look at this first", "\n".join(f"- {_plain(w)}" for w in found)] if found else []


def _data_rows(card: Card) -> Iterable[tuple[str, str]]:
    for file in card["data"]:
        yield file["what"], f"`{_plain(file['name'])}`, sha256 `{file['sha256'] or 'not known'}`"
    label, events = card["label"], card["events"]
    yield "policies", f"{_plain(card['policies']['bundle'])}, version `{card['policies']['version']}`"
    yield "positive", f"`{_plain(label['positive'])}`"
    if label["negative"] is not None:
        yield "negative", f"`{_plain(label['negative'])}`"
    yield "events", f"{events['used']:,} labelled, {events['positive']:,} positive"
    yield "left out", f"{events['without_a_label']:,} unlabelled, {events['outside_the_period']:,} outside"


def _split_rows(split: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for name, title in (
        ("training", "training"),
        ("decided_the_trees", "of it, to decide the trees"),
        ("test", "test"),
    ):
        part = split[name]
        if part is not None:
            yield title, f"{part['events']:,}", f"{part['positive']:,}", str(part["from"]), str(part["to"])


def _how_trees(card: Card) -> str:
    trees = card["training"]["trees"]
    if card["split"]["decided_the_trees"] is None:
        return f"The end of the training period has one class only, so {trees} trees were fitted unwatched."
    return (
        f"The last {HELD:.0%} of the training period decided on {trees} trees; all of it was then fitted."
        " The test period had no say."
    )


def _measure_rows(test: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    between = test["auc_interval"]
    shown = f" ({between[0]:.3f} to {between[1]:.3f})" if between is not None else ""
    yield "area under the ROC curve (95 %, DeLong)", f"{test['auc']:.3f}{shown}"
    yield "average precision", f"{test['average_precision']:.3f}, by chance {test['positive_share']:.3f}"
    yield "log loss", f"{test['log_loss']:.4f}"
    yield "Brier score", f"{test['brier']:.4f}"
    yield "calibration error", f"{test['calibration_error']:.4f}"


def _threshold_rows(test: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for row in test["thresholds"]:
        yield (
            f"{row['threshold']:.0%}",
            f"{row['acted_on']:,}",
            *shown_rate(row["precision"]),
            *shown_rate(row["recall"]),
            shown_rate(row["false_positives"], 2)[0],
        )


def _bin_rows(test: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for row in test["calibration"]:
        if row["events"]:
            scores = f"{row['from']:.0%} to {row['to']:.0%}"
            yield scores, f"{row['events']:,}", f"{row['mean_score']:.1%}", *shown_rate(row["positive"])


def _feature_rows(card: Card) -> Iterable[tuple[str, ...]]:
    for f in card["features"]:
        yield (
            f"`{_plain(f['name'])}`",
            f["type"],
            f"{f['missing']:.1%}",
            f"{f['gain']:.1%}",
            f"{f['auc_alone']:.3f}",
        )


def shown_rate(rate: Mapping[str, Any], digits: int = 1) -> tuple[str, str]:
    """A rate and its interval as percentages; dashes where there were no trials."""
    if rate["value"] is None:
        return "-", "-"
    low, high = rate["interval"]
    return f"{rate['value']:.{digits}%}", f"{low:.1%} to {high:.1%}"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Text from outside on one line."""
    return "".join(c if c.isprintable() else "?" for c in text).replace("`", "'")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
