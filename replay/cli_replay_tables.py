"""The tables of a backtest in a terminal: what each rule did, and how well that agrees with labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING

from quell.engine.cli_output import count, percent, spark, table, verdict_style, visible, words
from quell.replay.report_data import Backtest, Quality, Rate, RuleRow, VerdictRow

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

MOST_RULES = 40
RULE_NAME = 40
"""Characters of a rule's name, at most."""
WIDE = 95
"""Columns of a terminal from which on a table has room for most of what there is."""
GAP = 3
"""Blanks between the columns of a table."""


def heading(out: Console, text: str, aside: str = "") -> None:
    """A line above a part of the report."""
    out.print()
    out.print(words((text, "bold"), (f"  {aside}" if aside else "", "dim")))


def room(out: Console) -> int:
    """Characters that a line over time may take."""
    return 8 if out.width < WIDE else 12 if out.width < 120 else 30


def line(values: Sequence[int], signs: int, out: Console) -> str:
    """Counts over time as a line of at most `signs` characters."""
    if not any(values):
        return ""
    step = ceil(len(values) / signs)
    return spark([sum(values[i : i + step]) for i in range(0, len(values), step)], out.file)


def bucket(report: Backtest, signs: int) -> str:
    """What one character of a line over time stands for."""
    from quell.signals.show import show_duration

    step = ceil(len(report.timeline.starts) / signs)
    return f"over time: {show_duration(step * report.timeline.seconds * 1_000_000)} a sign"


def weighed(report: Backtest) -> tuple[str, ...]:
    """The title of the column of weights, where there are any."""
    return (f"{report.weighed}>",) if report.weighed is not None else ()


def weight(report: Backtest, volume: float | None) -> tuple[str, ...]:
    """A cell of that column."""
    return (number(volume),) if report.weighed is not None else ()


def number(value: float | None) -> str:
    """An amount, to five digits where it is not whole."""
    if value is None:
        return ""
    return f"{int(value):,}" if value.is_integer() else f"{value:,.5g}" if value < 10_000 else f"{value:,.0f}"


# ------------------------------------------------------------------------------------------- rules


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table of rules: in a terminal without room those that are `spared` most go first."""

    title: str
    cell: Callable[[RuleRow], str | Text]
    spared: int = 0

    def width(self, rules: Sequence[RuleRow]) -> int:
        """How wide it is; the names of rules can be cut."""
        if self.title.endswith("~"):
            return _LEAST_NAME
        return max(len(self.title.rstrip(">")), *(len(str(self.cell(rule))) for rule in rules))


_LEAST_NAME = 18
_MEANING = {
    "rate": "rate: hits per event looked at",
    "who": "who: different entities",
    "only": "only: no other rule hit",
    "right": "right: precision",
}


def print_rules(out: Console, report: Backtest) -> None:
    """What each rule did, the most frequent first. A narrow terminal shows fewer columns."""
    hit = sorted((r for r in report.rules if r.fired or r.held), key=lambda r: (-r.fired, -r.held, r.rule))
    if not hit:
        return
    shown = hit[:MOST_RULES]
    columns = _columns(out, report, hit)
    while sum(c.width(shown) + GAP for c in columns) > out.width + GAP and any(c.spared for c in columns):
        columns.remove(max(columns, key=lambda c: c.spared))
    titles = [c.title.rstrip("~>") for c in columns]
    heading(out, "Rules", "; ".join(_MEANING[title] for title in titles if title in _MEANING))
    rows = [[column.cell(rule) for column in columns] for rule in shown]
    out.print(table([c.title for c in columns], rows, width=out.width))
    if len(hit) > MOST_RULES:
        out.print(f"and {count(len(hit) - MOST_RULES, 'more rule')} (--json has all)")


def _columns(out: Console, report: Backtest, hit: Sequence[RuleRow]) -> list[_Column]:
    """All columns that have something to say."""
    signs, labelled = room(out), report.labelled is not None
    made = [
        _Column("rule~", lambda r: visible(r.rule, RULE_NAME)),
        _Column("asks for", lambda r: _asks(r, report)),
        _Column("hits>", lambda r: f"{r.fired:,}"),
        _Column("rate>", lambda r: percent(r.fired, r.events, 2), 3),
        _Column("who>", lambda r: f"{r.entities:,}"),
        _Column("only>", lambda r: f"{r.only:,}" if r.only else "-"),
    ]
    if any(r.held for r in hit):
        made.append(_Column("held>", lambda r: f"{r.held:,}" if r.held else "", 4))
    if any(r.missing for r in hit):
        made.append(_Column("missing>", _missing, 2))
    if labelled:
        made.append(_Column("right>", _rule_precision))
        made.append(
            _Column("95%>", lambda r: _bounds(r.quality.precision) if r.quality and r.verdict else "", 5)
        )
    made += [_Column(title, lambda r: number(r.volume), 1) for title in weighed(report)]
    made.append(_Column("over time", lambda r: words((line(r.over_time, signs, out), "cyan"))))
    return made


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


def _rule_precision(rule: RuleRow) -> Text:
    """A rule without a verdict exempts, or only notes: that is neither right nor wrong."""
    return _precision(rule.quality.precision) if rule.quality and rule.verdict else words(("-", "dim"))


def _precision(of: Rate) -> Text:
    if of.value is None:
        return words(("-", "dim"))
    style = "green" if of.value >= 0.9 else "yellow" if of.value >= 0.5 else "red"
    return words((percent(of.hits, of.of), style))


def _bounds(of: Rate) -> Text:
    return interval(of.low, of.high, of.of)


def interval(low: float, high: float, of: int) -> Text:
    """A confidence interval in whole percent, rounded outwards; nothing where there were no trials."""
    return words((f"{floor(100 * low)}-{ceil(100 * high)}" if of else "", "dim"))


# ------------------------------------------------------------------------------------------ labels


def print_quality(out: Console, report: Backtest) -> None:
    """How well the verdicts agree with the labels, where there are labels."""
    labelled = report.labelled
    if labelled is None:
        return
    told = f"{labelled.positive:,} positive, {labelled.negative:,} negative"
    heading(out, "Against the labels", f"{told}, {labelled.unlabelled:,} without a label")
    judged = [(rank, row, row.quality) for rank, row in enumerate(report.verdicts) if row.quality is not None]
    rows = [
        (
            words((row.verdict, verdict_style(rank, len(report.verdicts))), _higher(row, report)),
            *_rates(quality),
        )
        for rank, row, quality in judged
    ]
    columns: tuple[str, ...] = ("verdict", "precision>", "95%>", "recall>", "95%>", "false alarms>")
    if labelled.unlabelled:
        columns += ("no label>",)
    out.print(table(columns, [row[: len(columns)] for row in rows], width=out.width))
    out.print("of what got the verdict; of the positive; of the negative. 95%: Wilson intervals", style="dim")
    early = judged[0][2].early if judged else None
    if early is not None:
        right = judged[0][2].right
        out.print(f"{early:,} of the {right:,} that were right came before their label was known")
    if labelled.volume is not None:
        heading(out, f"The same, weighed by {labelled.volume}")
        titles = ("verdict", "precision>", "recall>", "false alarms>")
        out.print(table(titles, [_by_volume(row, q, report) for _, row, q in judged], width=out.width))


def _higher(row: VerdictRow, report: Backtest) -> str:
    return "" if row is report.verdicts[-1] else " or higher"


def _by_volume(row: VerdictRow, quality: Quality, report: Backtest) -> tuple[str, ...]:
    shares = (quality.volume_precision, quality.volume_recall, quality.volume_false_positives)
    return (
        row.verdict + _higher(row, report),
        *("-" if share is None else percent(share, 1, 2) for share in shares),
    )


def _rates(quality: Quality) -> tuple[str | Text, ...]:
    wrong = quality.false_positives
    return (
        _precision(quality.precision),
        _bounds(quality.precision),
        percent(quality.recall.hits, quality.recall.of),
        _bounds(quality.recall),
        percent(wrong.hits, wrong.of, 3),
        f"{quality.unlabelled:,}" if quality.unlabelled else "-",
    )
