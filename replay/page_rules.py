"""The table of a backtest's rules, and what opens beneath a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quell.engine.cli_output import count
from quell.replay.page_html import Html, name, source, tag
from quell.replay.page_parts import Ladder, Section, bar, cell, section, shut, table
from quell.replay.page_plots import Axis, spark
from quell.replay.page_words import share, volume
from quell.replay.report_data import Backtest, Rate, RuleRow


def ordered(rules: Sequence[RuleRow]) -> list[RuleRow]:
    """Rules as the page lists them: those that fire most first."""
    return sorted(rules, key=lambda r: (-r.fired, r.rule))


@dataclass(frozen=True, slots=True)
class Look:
    """What cells of all rules have in common: the times, the colours, and the hits of the busiest rule."""

    times: Axis
    ladder: Ladder
    most: int


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: its title and class, what it means, its cells, and whether there is anything to
    show in it."""

    title: str
    style: str
    meaning: str
    cell: Callable[[RuleRow, Look], Html]
    there: Callable[[RuleRow], bool] = lambda rule: True


def _first(r: RuleRow, look: Look) -> Html:
    return cell(
        tag("span", tag("span", name(r.rule)), class_="rule-name", data_open=True),
        tag("span", "shadow", class_="badge") if r.mode == "shadow" else None,
        tag("small", look.ladder.chip(r.verdict) if r.verdict else "no verdict", class_="narrow"),
        style="first",
    )


def _verdict(r: RuleRow, look: Look) -> Html:
    return cell(look.ladder.chip(r.verdict) if r.verdict else tag("small", "none"), style="wide")


def _hits(r: RuleRow, look: Look) -> Html:
    told = (tag("small", share(r.rate, 2)), f"{r.fired:,}", bar(r.fired / look.most))
    return cell(*told, style="n hits-cell", value=r.fired)


def _figure(of: Callable[[RuleRow], int], zero: str = "0") -> Callable[[RuleRow, Look], Html]:
    return lambda r, look: cell(f"{of(r):,}" if of(r) else zero, style="n wide", value=of(r))


def _rate(of: Callable[[RuleRow], Rate | None], style: str) -> Callable[[RuleRow, Look], Html]:
    """A share; of a rule that asks for no verdict there is none, since it catches nothing."""

    def made(r: RuleRow, look: Look) -> Html:
        rate = of(r) if r.verdict else None
        if rate is None:
            return cell("", style=style, value=-1)
        return cell(share(rate.value), style=style, value=-1 if rate.value is None else rate.value)

    return made


def _missing(r: RuleRow, look: Look) -> Html:
    if not r.missing:
        return cell("–" if r.missing is None else "", style="n wide", value=0)
    return cell(f"{'≈' if r.sampled else ''}{r.missing:,}", style="n wide", value=r.missing)


COLUMNS = (
    Column("rule", "sort", "", _first),
    Column("verdict", "sort wide", "", _verdict),
    Column(
        "hits",
        "sort n hits-cell",
        "events on which the rule fired (in shadow: would have), and their share of those it was asked about",
        _hits,
    ),
    Column("over time", "trend", "", lambda r, look: cell(spark(look.times, r.over_time), style="trend")),
    Column(
        "precision",
        "sort n",
        "of the hits that have a label, how many are abuse",
        _rate(lambda r: r.quality.precision if r.quality else None, "n"),
        lambda r: r.quality is not None,
    ),
    Column(
        "recall",
        "sort n wide",
        "of the abuse among the events that the rule was asked about, how much it hit",
        _rate(lambda r: r.quality.recall if r.quality else None, "n wide"),
        lambda r: r.quality is not None,
    ),
    Column(
        "entities",
        "sort n wide",
        "how many different people, servers, … the hits were about",
        _figure(lambda r: r.entities),
    ),
    Column(
        "only this rule",
        "sort n wide",
        "hits on which no other live rule fired: what would be lost without it",
        _figure(lambda r: r.only),
    ),
    Column(
        "held back",
        "sort n wide",
        "the condition was true, but a rollout or an exemption kept the rule from firing",
        _figure(lambda r: r.held, ""),
        lambda r: r.held > 0,
    ),
    Column(
        "missing",
        "sort n wide",
        "the condition could not be told, since something was missing; ≈ where that is estimated",
        _missing,
        lambda r: bool(r.missing),
    ),
    Column(
        "cost",
        "sort n wide",
        "the rule's share of what all rules are expected to cost",
        lambda r, look: cell(share(r.cost, 0) if r.cost else "", style="n wide", value=r.cost),
    ),
    Column(
        "volume",
        "sort n wide",
        "what the hits weigh together",
        lambda r, look: cell(volume(r.volume), style="n wide", value=r.volume or 0),
        lambda r: r.volume is not None,
    ),
)


def rule_section(report: Backtest, rules: Sequence[RuleRow], times: Axis, found: Ladder) -> Section:
    """Every rule with its figures; a click opens its text, its figures and samples."""
    look = Look(times, found, max([r.fired for r in rules], default=0) or 1)
    shown = [c for c in COLUMNS if any(c.there(r) for r in rules)]
    lead = "Open a rule to see its text, its figures and events to look at. A heading sorts."
    quiet = [tag("li", tag("code", rule)) for rule in report.quiet]
    meanings = [(tag("dt", c.title), tag("dd", c.meaning)) for c in shown if c.meaning]
    rows = [_row(r, i, shown, look) for i, r in enumerate(rules)]
    return section(
        "rules",
        "Every rule",
        lead,
        tag(
            "input",
            type="search",
            class_="filter",
            data_filter="rules",
            aria_label="Filter rules",
            placeholder="Filter rules by name, tag, owner or verdict",
            hidden=True,
        ),
        tag("div", table([(c.title, c.style) for c in shown], rows, style="rules"), id="rules-table"),
        shut(f"{count(len(quiet), 'rule')} never fired", tag("ul", quiet, class_="names")) if quiet else None,
        shut("What the columns mean", tag("dl", meanings, class_="meanings")),
    )


def _row(r: RuleRow, i: int, columns: Sequence[Column], look: Look) -> Html:
    words = " ".join([r.rule, r.verdict, r.owner or "", r.severity or "", r.mode, *r.tags])
    cells = [c.cell(r, look) for c in columns]
    return tag("tr", cells, data_words=words, data_rule=i, class_=None if r.fired else "quiet")


def details(r: RuleRow) -> dict[str, Any]:
    """What the page shows of a rule once it is opened."""
    made: dict[str, Any] = {"n": r.rule, "p": r.place, "t": source(r.text), "m": r.mode}
    facts = [("tags", ", ".join(r.tags)), ("owner", r.owner or ""), ("severity", r.severity or "")]
    facts += [("events asked", f"{r.events:,}"), ("hits", f"{r.fired:,} ({share(r.rate, 2)})")]
    facts += [("entities", f"{r.entities:,}"), ("only this rule", f"{r.only:,}")]
    facts += [("held back", f"{r.held:,}" if r.held else "")]
    if r.volume is not None:
        facts.append(("volume", volume(r.volume)))
    if r.quality is not None:
        q = r.quality
        facts += [
            ("right", f"{q.right:,}"),
            ("wrong", f"{q.wrong:,}"),
            ("without a label", f"{q.unlabelled:,}"),
        ]
        facts += [("missed", f"{q.missed:,}")]
        if q.early is not None:
            facts.append(("right before the label was known", f"{q.early:,}"))
    return made | {"f": [[k, v] for k, v in facts if v]}
