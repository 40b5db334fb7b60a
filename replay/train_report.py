"""A model's card in the terminal."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from quell.engine.cli_output import bar, console, count, percent, stdout, table, visible, words
from quell.replay.model_card import Card, shown_rate

if TYPE_CHECKING:
    from rich.console import Console

MOST_FEATURES = 15
"""Features that are shown; the card has all."""
_WIDTH = 16
"""Cells of the longest bar."""
_SHOWN = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
"""Thresholds that are shown; the card has more."""


def print_card(card: Card, stream: IO[str] | None = None) -> None:
    """What was made of what, and how good it was."""
    target = stream if stream is not None else stdout()
    out = console(target)
    _print_rows(out, card)
    _print_measures(out, card)
    _print_thresholds(out, card)
    _print_calibration(out, card, target)
    _print_features(out, card, target)
    for warning in card["warnings"]:
        out.print(words(("\nwarning", "yellow"), ": ", visible(warning)), soft_wrap=True)


def _print_rows(out: Console, card: Card) -> None:
    events = card["events"]
    told = f"{count(events['used'], 'event')} with a label, {events['positive']:,} positive"
    told += f" ({percent(events['positive'], events['used'])})"
    for name, what in (("without_a_label", "unlabelled"), ("outside_the_period", "outside the period")):
        if events[name]:
            told += f"; left out {events[name]:,} {what}"
    out.print(told, soft_wrap=True)
    split = card["split"]
    for name, title in (("training", "trained on"), ("test", "judged on")):
        part = split[name]
        told = f"{title}  {part['events']:,} ({part['positive']:,} positive), {part['from']} to {part['to']}"
        out.print(told, soft_wrap=True)
    trees = count(card["training"]["trees"], "tree")
    how = "as the end of the training period asked for" if split["decided_the_trees"] else "unwatched"
    out.print(f"{trees}, {how}", soft_wrap=True, style="dim")


def _print_measures(out: Console, card: Card) -> None:
    test = card["test"]
    between = test["auc_interval"]
    interval = f"  95 % {between[0]:.3f} to {between[1]:.3f}" if between is not None else ""
    out.print()
    out.print(words(("AUC ", "bold"), (f"{test['auc']:.3f}", "bold cyan"), (interval, "dim")))
    out.print(
        f"average precision {test['average_precision']:.3f} (by chance {test['positive_share']:.3f}),"
        f" log loss {test['log_loss']:.4f}, Brier {test['brier']:.4f},"
        f" calibration error {test['calibration_error']:.4f}",
        soft_wrap=True,
    )


def _print_thresholds(out: Console, card: Card) -> None:
    rows = []
    for row in card["test"]["thresholds"]:
        if row["threshold"] not in _SHOWN:
            continue
        alarms = shown_rate(row["false_positives"], 2)[0]
        acted = f"{row['acted_on']:,}"
        rows.append(
            (f"{row['threshold']:.0%}", acted, *_rate(row["precision"]), *_rate(row["recall"]), alarms)
        )
    out.print()
    titles = ("from>", "acted on>", "precision>", "95 %>", "recall>", "95 %>", "alarms>")
    out.print(table(titles, rows))


def _rate(rate: dict[str, Any]) -> tuple[str, str]:
    """A rate and its interval, short."""
    if rate["value"] is None:
        return "-", "-"
    low, high = rate["interval"]
    return f"{rate['value']:.1%}", f"{100 * low:.1f} to {100 * high:.1f}%"


def _print_calibration(out: Console, card: Card, target: IO[str]) -> None:
    bins = [b for b in card["test"]["calibration"] if b["events"]]
    most = max(b["events"] for b in bins)
    rows = []
    for b in bins:
        positive, interval = _rate(b["positive"])
        name = f"{b['from']:.0%} to {b['to']:.0%}"
        cells = bar(b["events"] / most, _WIDTH, target)
        rows.append((name, f"{b['events']:,}", cells, f"{b['mean_score']:.1%}", positive, interval))
    out.print()
    out.print(table(("score", "events>", "", "mean score>", "positive>", "95 %>"), rows))


def _print_features(out: Console, card: Card, target: IO[str]) -> None:
    features: list[dict[str, Any]] = card["features"]
    most = max((f["gain"] for f in features), default=0) or 1
    rows = [
        (
            visible(f["name"]),
            f["type"],
            f"{f['gain']:.1%}",
            bar(f["gain"] / most, _WIDTH, target),
            f"{f['auc_alone']:.3f}",
            f"{f['missing']:.1%}",
        )
        for f in features[:MOST_FEATURES]
    ]
    out.print()
    out.print(table(("feature~", "type~", "gain>", "", "alone>", "missing>"), rows))
    if len(features) > MOST_FEATURES:
        out.print(f"and {count(len(features) - MOST_FEATURES, 'more feature')}", style="dim")
