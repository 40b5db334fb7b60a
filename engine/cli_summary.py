"""What came of many decisions, as tables."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from quell.engine.cli_output import (
    bar,
    console,
    count,
    percent,
    rate,
    seconds,
    stdout,
    table,
    verdict_style,
    visible,
    words,
)
from quell.engine.decision_summary import RuleCount, Summary, by_count, ordered

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

MOST_ROWS = 40
"""Rows of a table; what is beyond is counted."""


def print_summary(summary: Summary, took: float, stream: IO[str] | None = None) -> None:
    """The whole summary of a run that took so many seconds."""
    out = console(stream if stream is not None else stdout())
    out.print(_headline(summary, took), soft_wrap=True)
    if summary.decided:
        print_verdicts(out, summary)
        print_rules(out, summary)
        _print_effects(out, summary)
    print_trouble(out, summary)


def _headline(summary: Summary, took: float) -> str:
    from quell.signals.show import show_time

    parts = [f"{count(summary.decided, 'event')} decided"]
    if summary.turned_away:
        parts.append(f"{summary.turned_away:,} refused")
    parts.append(f"in {seconds(took)}")
    line = ", ".join(parts[:-1]) + f" {parts[-1]}"
    if took >= 0.05:
        line += f" ({rate(summary.total, took)})"
    if summary.first is not None and summary.last is not None:
        line += f"\nfrom {show_time(summary.first)} to {show_time(summary.last)}"
    return line


def print_verdicts(out: Console, summary: Summary) -> None:
    """How often each verdict was given, the mildest first."""
    most = max(summary.verdicts.values(), default=1)
    rows = []
    for rank, verdict in enumerate(summary.order):
        n = summary.verdicts[verdict]
        style = verdict_style(rank, len(summary.order))
        drawn = words((bar(n / most, 30, out.file), style))
        rows.append(
            (words((verdict, style if n else "dim")), f"{n:,}", percent(n, summary.decided, 2), drawn)
        )
    out.print()
    out.print(table(("verdict", "events>", "share>", ""), rows))
    if len(summary.events) > 1:
        mix = ", ".join(f"{event} {n:,}" for event, n in ordered(summary.events).items())
        out.print(words(("\nby event type: ", "dim"), mix))


def print_rules(out: Console, summary: Summary) -> None:
    """What each rule did, the most frequent first, and which were silent."""
    hit = summary.hit_rules
    if hit:
        shadow, held = any(r.shadow for r in hit), any(r.held for r in hit)
        columns = ["rule", "fired>", "share>", *["shadow>"] * shadow, *["held back>"] * held, "asked for~"]
        rows: list[list[str | Text]] = []
        for rule in hit[:MOST_ROWS]:
            share = percent(rule.fired, summary.decided, 2) if rule.fired else ""
            cells = [visible(rule.rule, 50), f"{rule.fired:,}" if rule.fired else "-", share]
            cells += [f"{rule.shadow:,}" if rule.shadow else ""] * shadow
            cells += [f"{rule.held.total():,}" if rule.held else ""] * held
            rows.append([*cells, _asked(rule, summary)])
        out.print()
        out.print(table(columns, rows, width=out.width))
        if len(hit) > MOST_ROWS:
            out.print(f"and {count(len(hit) - MOST_ROWS, 'more rule', 'more rules')} (--json has all)")
    silent = summary.silent_rules
    if silent:
        shown = ", ".join(silent[:12]) + (f" and {len(silent) - 12:,} more" if len(silent) > 12 else "")
        out.print(words(("\nnever matched: ", "dim"), shown))


def _asked(rule: RuleCount, summary: Summary) -> Text:
    """The verdicts a rule asked for, the gravest first; else its mode, or what it does beside."""
    if rule.mode != "live":
        return words((f"({rule.mode})", "magenta"))
    asked = [v for v in reversed(summary.order) if rule.asked[v]]
    if asked:
        return words(", ".join(asked))
    return words((", ".join(rule.does), "dim"))


def _print_effects(out: Console, summary: Summary) -> None:
    lines = []
    for (entity, label, on), n in sorted(summary.labels.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f'{n:,} × {"label" if on else "unlabel"} {entity} "{visible(label)}"')
    lines += [f'{n:,} × send "{visible(sink)}"' for sink, n in ordered(summary.sends).items()]
    if lines:
        out.print(words(("\neffects: ", "dim"), ", ".join(lines)))
    told = [f"{n:,} × {action}" for action, n in ordered(summary.acted).items()]
    if told:
        out.print(words(("\nlabels by hand: ", "dim"), ", ".join(told)))
    told = [f"{n:,} × {rule}" for rule, n in ordered(summary.outranked).items()]
    if told:
        out.print(words(("\noutranked by hand: ", "dim"), ", ".join(told)))


def print_trouble(out: Console, summary: Summary) -> None:
    """What was refused and why, which values count as missing, what came late."""
    from quell.engine.event_problems import KINDS

    for trouble in by_count(summary.refused.values()):
        share = percent(trouble.count, summary.total, 2)
        meaning = KINDS.get(trouble.kind, "deciding failed inside Quell")
        out.print(
            words(
                ("\nrefused ", "red"), f"{trouble.count:,} ({share}) ", (trouble.kind, "bold"), f": {meaning}"
            ),
            soft_wrap=True,
        )
        for place, message in trouble.samples:
            out.print(f"  {visible(place, 80)}  {visible(message, 300)}", style="dim", soft_wrap=True)
    worst = sorted(summary.problems.items(), key=lambda p: (-p[1].count, p[0]))
    for (event, name, kind), trouble in worst[:MOST_ROWS]:
        what = f"{event}.{name}" if name else "other fields"
        out.print(
            words(
                ("\nmissing ", "yellow"),
                f"{trouble.count:,} × ",
                (what, "bold"),
                f" counts as missing ({kind})",
            ),
            soft_wrap=True,
        )
        place, message = trouble.samples[0]
        out.print(f"  {visible(place, 80)}  {visible(message, 300)}", style="dim", soft_wrap=True)
    for told, what in ((summary.late, "late"), (summary.full, "full")):
        for counter, n in list(ordered(told).items())[:MOST_ROWS]:
            head = (f"\n{what} ", "yellow")
            out.print(words(head, f"{count(n, 'event')} {_SAID[what]} ", (counter, "bold")), soft_wrap=True)
    for (model, status), n in sorted(summary.asked.items()):
        style = "dim" if status in ("answered", "cached") else "yellow"
        out.print(words((f"\nremote {model} ", "bold"), (f"{status} {n:,} ×", style)), soft_wrap=True)
        reason = summary.unanswered.get((model, status))
        if reason is not None:
            out.print(f"  {visible(reason, 300)}", style="dim", soft_wrap=True)


_SAID = {
    "late": "counted as of a later time in",
    "full": "could not be told all, since memory is full, by",
}
