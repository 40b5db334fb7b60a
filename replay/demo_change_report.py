"""What came of the change that the demonstration tries, to read in a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from quell.engine.cli_output import console, count, percent, table, utf8, verdict_style, words
from quell.replay.cli_replay_view import print_pairs
from quell.replay.demo_change import AFTER, BEFORE, FILE, RULE, ChangeResult, change_result
from quell.replay.reasons import both
from quell.replay.report_data import Comparison, Quality, Rate, Sample

if TYPE_CHECKING:
    from rich.console import Console


def print_change(made: Comparison, positive: Sequence[str]) -> None:
    """What the change would catch and what it would cost; `positive` are the verdicts that act."""
    out, result = console(), change_result(made, positive)
    out.print()
    out.print("A change, backtested: what if the model need not be that sure?", style="bold")
    arrow = "→" if utf8(out.file) else "->"
    out.print(words(f"in {FILE}, rule {RULE}: ", (BEFORE, "cyan"), f" {arrow} ", (AFTER, "cyan")))
    until = f"until {result.until[11:16]}"
    out.print(f"both replay the day's first {result.events:,} events, {until}; the truth labels them")
    _print_figures(out, result)
    if made.newly_caught:
        _print_sample(out, made, made.newly_caught[0])


def _print_figures(out: Console, result: ChangeResult) -> None:
    was, now = result.before, result.after
    rows = [
        ("acted on", _acted(was), _acted(now), f"{result.newly:,} newly, {result.no_longer:,} no longer"),
        ("abuse among them", f"{was.right:,}", f"{now.right:,}", _more(now.right - was.right)),
        ("false alarms", f"{was.wrong:,}", f"{now.wrong:,}", _more(now.wrong - was.wrong)),
        ("precision", _share(was.precision), _share(now.precision), ""),
        ("recall", _share(was.recall), _share(now.recall), ""),
    ]
    out.print(table(("", "before>", "now>", ""), rows, width=out.width))


def _acted(quality: Quality) -> str:
    return f"{quality.right + quality.wrong:,}"


def _more(number: int) -> str:
    return f"{number:+,}" if number else "as before"


def _share(of: Rate) -> str:
    return percent(of.hits, of.of)


def _print_sample(out: Console, made: Comparison, sample: Sample) -> None:
    order = made.ladder
    was, now = (
        (verdict, verdict_style(order.index(verdict), len(order)))
        for verdict in (sample.before or order[0], sample.verdict)
    )
    arrow = " → " if utf8(out.file) else " -> "
    of = f"  one of {count(made.caught, 'event')} newly caught"
    out.print(words((f"{sample.at[11:19]}  ", "dim"), was, arrow, now, (of, "dim")))
    for when, lines in zip(("before", "now"), both(sample, {}), strict=True):
        print_pairs(out, [(f"  {'' if i else when:6}", line) for i, line in enumerate(lines)])


def change_as_json(made: Comparison, positive: Sequence[str]) -> dict[str, Any]:
    """The main figures, JSON-ready."""
    result = change_result(made, positive)
    return {
        "file": FILE,
        "rule": RULE,
        "was": BEFORE,
        "is": AFTER,
        "events": result.events,
        "until": result.until,
        "newly_acted_on": result.newly,
        "no_longer_acted_on": result.no_longer,
        "before": _quality(result.before),
        "after": _quality(result.after),
    }


def _quality(quality: Quality) -> dict[str, Any]:
    return {
        "caught": quality.right,
        "false_alarms": quality.wrong,
        "missed": quality.missed,
        "precision": quality.precision.value,
        "recall": quality.recall.value,
    }
