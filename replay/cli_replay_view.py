"""A backtest as a person reads it in a terminal: verdicts, rules, what to look at, what to know."""

from __future__ import annotations

from collections.abc import Sequence
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
from quell.replay.backtest_findings import covered, held_back, lame, never_present
from quell.replay.cli_replay_tables import (
    RULE_NAME,
    bucket,
    heading,
    line,
    print_quality,
    print_rules,
    room,
    weighed,
    weight,
)
from quell.replay.reasons import nearly
from quell.replay.report_data import Backtest, RuleRow, Sample

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

MOST_SAMPLES = 10
MOST_MISSED = 5


def print_backtest(report: Backtest, *, ways: bool = False, stream: IO[str] | None = None) -> None:
    """The whole report; with `ways` also which way each part went."""
    out = console(stream if stream is not None else stdout())
    _print_heading(out, report)
    _print_verdicts(out, report)
    print_rules(out, report)
    _print_findings(out, report)
    print_quality(out, report)
    _print_effects(out, report)
    _print_samples(out, report)
    _print_missed(out, report)
    _print_notes(out, report)
    if ways:
        print_ways(out, report)


def _print_heading(out: Console, report: Backtest) -> None:
    source = report.source
    name = visible(source.files[0].rpartition("/")[2], 60)
    files = name if len(source.files) == 1 else count(len(source.files), "file")
    bundle = visible(report.bundle, 60)
    told = words(("What ", "bold"), (bundle, "bold cyan"), (f" would have done on {files}", "bold"))
    out.print(told, soft_wrap=True)
    took = f" ({rate(source.events, report.seconds)})" if report.seconds >= 0.05 else ""
    refused = f", {source.refused:,} refused" if source.refused else ""
    out.print(f"{count(source.events, 'event')} decided{refused} in {seconds(report.seconds)}{took}")
    if report.events != source.events:
        out.print(
            words((f"the figures are of {report.events:,} of them (--from, --until, --warm-up)", "yellow"))
        )
    if source.first and source.last:
        out.print(f"from {source.first} to {source.last}")


# ---------------------------------------------------------------------------------------- verdicts


def _print_verdicts(out: Console, report: Backtest) -> None:
    signs = room(out)
    heading(out, "Verdicts", bucket(report, signs))
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
                *weight(report, row.volume),
                words((drawn, style)),
                words((line(row.over_time, signs, out), style)),
            )
        )
    columns = ("verdict", "events>", "share>", *weighed(report), "", "over time")
    out.print(table(columns, rows, width=out.width))


# ---------------------------------------------------------------------------------- what to look at


def _print_findings(out: Console, report: Backtest) -> None:
    parts = []
    if report.quiet:
        parts.append(("never matched", _names(report.quiet)))
    together = covered(report)
    for i, (rule, by) in enumerate(together[:6]):
        parts.append(("never alone" if not i else "", f"{rule.rule}: {_by(rule, by)}"))
    if len(together) > 6:
        parts.append(("", f"and {count(len(together) - 6, 'more rule')} whose every hit others have too"))
    for i, rule in enumerate(held_back(report)[:6]):
        named = "held back" if not i else ""
        parts.append((named, f"{rule.rule}: matched {count(rule.held, 'time')} and never fired"))
    for i, rule in enumerate(lame(report)[:6]):
        told = percent(rule.missing or 0, rule.events)
        named = "often missing" if not i else ""
        parts.append((named, f"{rule.rule}: no answer on {told} of its events, something is missing"))
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
        return f"all {count(rule.fired, 'hit')} are hits of {by} too"
    return f"all {count(rule.fired, 'hit')} are hits of other rules too"


def _names(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


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
    rest = f", of {len(picked):,} rules" if len(picked) > MOST_SAMPLES else ""
    heading(out, "Samples", f"one event of each rule, at random{rest}")
    names = [v.verdict for v in report.verdicts]
    rows: list[tuple[str | Text, ...]] = []
    for rule, sample in picked[:MOST_SAMPLES]:
        style = verdict_style(names.index(sample.verdict), len(names))
        label = {True: "positive", False: "negative", None: ""}[sample.label]
        rows.append(
            (
                visible(rule, RULE_NAME),
                words((sample.verdict, style)),
                *([words((label, "green" if sample.label else "red"))] if report.labelled else []),
                words((visible(sample.place, 40), "dim")),
                visible(sample.because or "", 200),
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


def _print_missed(out: Console, report: Backtest) -> None:
    """Positives that were let through, each with the rule that was nearest to catching it."""
    shown = report.samples_missed[:MOST_MISSED]
    if not shown:
        return
    heading(
        out, "Missed", f"{len(shown):,} of {report.missed:,} labelled positive and let through, at random"
    )
    for sample in shown:
        out.print(
            words(about(sample), (f"  {sample.at}  {visible(sample.place, 60)}", "dim")), soft_wrap=True
        )
        if sample.near:
            print_pairs(out, [("  nearest", nearly(sample.near[0]))])
    out.print(words(("why, in full:  ", "dim"), (shown[0].command, "cyan")), soft_wrap=True)


def about(sample: Sample) -> str:
    """What an event is called: its type, id and entity."""
    who = f" by {visible(sample.entity, 40)}" if sample.entity else ""
    named = f" {visible(sample.id, 40)}" if sample.id else ""
    return f"{sample.event}{named}{who}"


def _print_notes(out: Console, report: Backtest) -> None:
    if report.notes:
        heading(out, "To know")
        print_pairs(out, [("•" if out.encoding.startswith("utf") else "-", note) for note in report.notes])


def print_ways(out: Console, report: Backtest) -> None:
    """Which way each part of the policies went, and why: parts that went one way for one reason together."""
    from rich.padding import Padding

    heading(out, "Which way each part was replayed")
    together: dict[tuple[str, str], list[str]] = {}
    for way in report.ways:
        together.setdefault((way.way, way.why), []).append(way.part)
    for (name, why), parts in together.items():
        out.print(words((name, "bold cyan"), f"  {visible(why)}", (f"  ({len(parts)})", "dim")))
        for part in parts:
            out.print(Padding(words(visible(part)), (0, 0, 0, 4)))
