"""A backtest as a person reads it in a terminal: verdicts, rules, what to look at, what to know."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import IO, TYPE_CHECKING

from quell.engine.cli_output import (
    bar,
    console,
    count,
    percent,
    rate,
    seconds,
    spark,
    stdout,
    table,
    verdict_style,
    visible,
    words,
)
from quell.replay.backtest_findings import covered, lame, never_present
from quell.replay.report_data import Backtest, Quality, RuleRow, Sample

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

MOST_RULES = 40
MOST_SAMPLES = 10
_RULE_NAME = 40
"""Characters of a rule's name, at most."""


def print_backtest(report: Backtest, *, ways: bool = False, stream: IO[str] | None = None) -> None:
    """The whole report; with `ways` also which way each part went."""
    out = console(stream if stream is not None else stdout())
    _print_heading(out, report)
    _print_verdicts(out, report)
    _print_rules(out, report)
    _print_findings(out, report)
    _print_quality(out, report)
    _print_effects(out, report)
    _print_samples(out, report)
    _print_notes(out, report)
    if ways:
        print_ways(out, report)


def heading(out: Console, text: str, aside: str = "") -> None:
    """A line above a part of the report."""
    out.print()
    out.print(words((text, "bold"), (f"  {aside}" if aside else "", "dim")))


def _print_heading(out: Console, report: Backtest) -> None:
    source = report.source
    files = visible(source.files[0], 60) if len(source.files) == 1 else count(len(source.files), "file")
    out.print(
        words(("What ", "bold"), (report.bundle, "bold cyan"), (f" would have done on {files}", "bold"))
    )
    took = f" ({rate(source.events, report.seconds)})" if report.seconds >= 0.05 else ""
    out.print(f"{count(source.events, 'event')} decided in {seconds(report.seconds)}{took}")
    if report.events != source.events:
        out.print(words((f"the figures are of {report.events:,} of them", "yellow")))
    if source.first and source.last:
        out.print(f"from {source.first} to {source.last}")


# ---------------------------------------------------------------------------------------- verdicts


def _print_verdicts(out: Console, report: Backtest) -> None:
    room = _room(out)
    heading(out, "Verdicts", _bucket(report, room))
    most = max((v.count for v in report.verdicts[1:]), default=0)
    rows: list[tuple[str | Text, ...]] = []
    for rank, row in enumerate(report.verdicts):
        style = verdict_style(rank, len(report.verdicts))
        drawn = bar(row.count / most, 12, out.file) if rank and most else ""
        rows.append(
            (
                words((row.verdict, style if row.count else "dim")),
                f"{row.count:,}",
                percent(row.count, report.events, 2),
                *_weight(report, row.volume),
                words((drawn, style)),
                words((_line(row.over_time, room, out), style)),
            )
        )
    columns = ("verdict", "events>", "share>", *_weighed(report), "", "over time")
    out.print(table(columns, rows, width=out.width))


def _room(out: Console) -> int:
    """Characters that a line over time may take."""
    return 8 if out.width < 95 else 12 if out.width < 120 else 30


def _line(values: Sequence[int], room: int, out: Console) -> str:
    """Counts over time as a line of at most `room` characters."""
    if not any(values):
        return ""
    step = ceil(len(values) / room)
    return spark([sum(values[i : i + step]) for i in range(0, len(values), step)], out.file)


def _bucket(report: Backtest, room: int) -> str:
    """What one character of a line over time stands for."""
    from quell.signals.show import show_duration

    step = ceil(len(report.timeline.starts) / room)
    return f"one sign over time is {show_duration(step * report.timeline.seconds * 1_000_000)}"


def _weighed(report: Backtest) -> tuple[str, ...]:
    return (f"{report.weighed}>",) if report.weighed is not None else ()


def _weight(report: Backtest, volume: float | None) -> tuple[str, ...]:
    return (number(volume),) if report.weighed is not None else ()


def number(value: float | None) -> str:
    """An amount, to five digits where it is not whole."""
    if value is None:
        return ""
    return f"{int(value):,}" if value.is_integer() else f"{value:,.5g}" if value < 10_000 else f"{value:,.0f}"


# ------------------------------------------------------------------------------------------- rules


def _print_rules(out: Console, report: Backtest) -> None:
    hit = sorted((r for r in report.rules if r.fired or r.held), key=lambda r: (-r.fired, -r.held, r.rule))
    if not hit:
        return
    heading(out, "Rules", "rate: hits per event it looks at; only: hits that no other rule has")
    room = _room(out)
    held, missing = any(r.held for r in hit) and out.width >= 95, any(r.missing for r in hit)
    labelled = report.labelled is not None
    columns = [
        "rule~", "asks for", "hits>", "rate>", f"{entities(report)}>", "only>", *["held>"] * held,
        *["missing>"] * missing, *["precision>"] * labelled, *_weighed(report), "over time",
    ]  # fmt: skip
    rows: list[list[str | Text]] = []
    for rule in hit[:MOST_RULES]:
        cells: list[str | Text] = [visible(rule.rule, _RULE_NAME), _asks(rule, report), f"{rule.fired:,}"]
        cells += [
            percent(rule.fired, rule.events, 2),
            f"{rule.entities:,}",
            f"{rule.only:,}" if rule.only else "-",
        ]
        cells += [f"{rule.held:,}" if rule.held else ""] * held
        cells += [_missing(rule)] * missing
        cells += [_precision(rule.quality)] * labelled
        cells += _weight(report, rule.volume)
        rows.append([*cells, words((_line(rule.over_time, room, out), "cyan"))])
    out.print(table(columns, rows, width=out.width))
    if len(hit) > MOST_RULES:
        out.print(f"and {count(len(hit) - MOST_RULES, 'more rule')} (--json has all)")


def entities(report: Backtest) -> str:
    """What the accounts and other things that events are about are called."""
    return "entities"


def _asks(rule: RuleRow, report: Backtest) -> Text:
    if rule.mode == "shadow":
        return words(("(shadow)", "magenta"))
    names = [v.verdict for v in report.verdicts]
    if not rule.verdict:
        return words(("-", "dim"))
    return words((rule.verdict, verdict_style(names.index(rule.verdict), len(names))))


def _missing(rule: RuleRow) -> Text:
    if not rule.missing:
        return words("")
    share = rule.missing / rule.events if rule.events else 0
    about = "~" if rule.sampled else ""
    return words((about + percent(rule.missing, rule.events), "yellow" if share > 0.2 else ""))


def _precision(quality: Quality | None) -> Text:
    value = quality.precision.value if quality is not None else None
    if quality is None or value is None:
        return words(("-", "dim"))
    style = "green" if value >= 0.9 else "yellow" if value >= 0.5 else "red"
    return words((percent(quality.precision.hits, quality.precision.of, 0), style))


# ---------------------------------------------------------------------------------- what to look at


def _print_findings(out: Console, report: Backtest) -> None:
    parts = []
    if report.quiet:
        parts.append(("never matched", _names(report.quiet)))
    for rule, by in covered(report)[:6]:
        parts.append(("never alone", f"{rule.rule}: {_by(rule, by)}"))
    more = len(covered(report)) - 6
    if more > 0:
        parts.append(("", f"and {count(more, 'more rule')} whose every hit others have too"))
    for rule in lame(report)[:6]:
        told = percent(rule.missing or 0, rule.events)
        parts.append(("mostly missing", f"{rule.rule}: its condition is missing on {told} of its events"))
    absent = never_present(report)
    if absent:
        parts.append(("never present", f"{_names(absent)}, though rules read it"))
    if not parts:
        return
    heading(out, "To look at")
    print_pairs(out, parts)


def print_pairs(out: Console, parts: Sequence[tuple[str, str]]) -> None:
    """Short words with what they say beside them, wrapped."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="yellow", no_wrap=True)
    made.add_column(overflow="fold")
    for what, text in parts:
        made.add_row(what, visible(text))
    out.print(made)


def _by(rule: RuleRow, by: str | None) -> str:
    if by is not None:
        return f"each of its {count(rule.fired, 'hit')} is a hit of {by}"
    return f"each of its {count(rule.fired, 'hit')} is a hit of some other rule"


def _names(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


# -------------------------------------------------------------------------------------------- labels


def _print_quality(out: Console, report: Backtest) -> None:
    labelled = report.labelled
    if labelled is None:
        return
    told = f"{labelled.positive:,} positive, {labelled.negative:,} negative"
    heading(out, "Against the labels", f"{told}, {labelled.unlabelled:,} without a label")
    rows: list[tuple[str | Text, ...]] = []
    for rank, row in enumerate(report.verdicts):
        if row.quality is not None:
            style = verdict_style(rank, len(report.verdicts))
            last = rank == len(report.verdicts) - 1
            rows.append((words((row.verdict, style), "" if last else " or higher"), *_rates(row.quality)))
    columns = ("verdict", "precision>", "95%", "recall>", "95%", "false alarms>", "no label>")
    out.print(table(columns, rows, width=out.width))
    if labelled.volume is not None:
        out.print(words((f"\nweighed by {labelled.volume}", "dim")))
        out.print(
            table(("verdict", "precision>", "recall>", "false alarms>"), _by_volume(report), width=out.width)
        )


def _by_volume(report: Backtest) -> list[tuple[str, ...]]:
    return [
        (
            row.verdict + ("" if row is report.verdicts[-1] else " or higher"),
            _share(row.quality.volume_precision),
            _share(row.quality.volume_recall),
            _share(row.quality.volume_false_positives),
        )
        for row in report.verdicts
        if row.quality is not None
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else percent(value, 1, 2)


def _rates(quality: Quality) -> tuple[str | Text, ...]:
    wrong = quality.false_positives
    return (
        _precision(quality),
        interval(quality.precision.low, quality.precision.high, quality.precision.of),
        percent(quality.recall.hits, quality.recall.of),
        interval(quality.recall.low, quality.recall.high, quality.recall.of),
        percent(wrong.hits, wrong.of, 3),
        f"{quality.unlabelled:,}" if quality.unlabelled else "-",
    )


def interval(low: float, high: float, of: int) -> Text:
    """A confidence interval in whole percent, rounded outwards."""
    return words((f"{floor(100 * low)}-{ceil(100 * high)}" if of else "", "dim"))


# ------------------------------------------------------------------------------------- the rest


def _print_effects(out: Console, report: Backtest) -> None:
    lines = [f"{n:,} × label {visible(name, 80)}" for name, n in report.labels_set.items()]
    lines += [f'{n:,} × send "{visible(sink, 80)}"' for sink, n in report.sends.items()]
    if lines:
        heading(out, "Effects")
        out.print(", ".join(lines))


def _print_samples(out: Console, report: Backtest) -> None:
    picked = _one_each(report)
    if not picked:
        return
    heading(out, "Samples", "one event of each rule, at random")
    names = [v.verdict for v in report.verdicts]
    rows: list[tuple[str | Text, ...]] = []
    for rule, sample in picked[:MOST_SAMPLES]:
        style = verdict_style(names.index(sample.verdict), len(names))
        label = {True: "right", False: "wrong", None: ""}[sample.label]
        rows.append(
            (
                visible(rule, _RULE_NAME),
                words((sample.verdict, style)),
                *([words((label, "green" if label == "right" else "red"))] if report.labelled else []),
                words((visible(sample.place, 40), "dim")),
                visible(sample.message or "", 200),
            )
        )
    columns = ("rule~", "verdict", *["label"] * (report.labelled is not None), "place", "because~")
    out.print(table(columns, rows, width=out.width))
    out.print(words(("why, in full:  ", "dim"), (picked[0][1].command, "cyan")), soft_wrap=True)


def _one_each(report: Backtest) -> list[tuple[str, Sample]]:
    """For the rules that fired most one event each, no event twice where it can be helped."""
    seen: set[int] = set()
    out = []
    for rule in sorted(report.rules, key=lambda r: (-r.fired, r.rule)):
        if rule.samples:
            sample = next((s for s in rule.samples if s.n not in seen), rule.samples[0])
            seen.add(sample.n)
            out.append((rule.rule, sample))
    return out


def _print_notes(out: Console, report: Backtest) -> None:
    if report.notes:
        heading(out, "To know")
        print_pairs(out, [("•" if out.encoding.startswith("utf") else "-", note) for note in report.notes])


def print_ways(out: Console, report: Backtest) -> None:
    """Which way each part of the policies went, and why."""
    heading(out, "Which way each part was replayed")
    rows = [(visible(w.part, 60), w.way, visible(w.why, 200)) for w in report.ways]
    out.print(table(("part~", "way", "why~"), rows, width=out.width))
