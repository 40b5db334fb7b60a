"""The sections of a backtest, in the order of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quell.engine.cli_output import count
from quell.replay.page_history import data, making
from quell.replay.page_html import Html, join, name, source, tag
from quell.replay.page_matrix import MOST_RULES, crowd, heat
from quell.replay.page_parts import (
    Ladder,
    Section,
    bar,
    cell,
    ladder,
    legend,
    mix,
    section,
    shut,
    table,
    tiles,
)  # fmt: skip
from quell.replay.page_plots import Axis, Series, axis, spark, stacked
from quell.replay.page_quality import FIGURES, chosen, curve, dot_scale, dots
from quell.replay.page_samples import Packer
from quell.replay.page_words import length, per, share, stamp, volume
from quell.replay.report_data import Backtest, Overlap, RuleRow, Timeline, VerdictRow

MOST_PAIRS = 10
"""Pairs of rules that are told in words beside the picture of overlaps."""
MOST_DOTS = 25
"""Rules with their dots before somebody asks for all."""
MOST_PLAIN = 200
"""Rules of a picture that is no table to filter."""


def summary(report: Backtest) -> Html:
    """What stands below the headline."""
    return join(mix(report.verdicts, ladder(report.verdicts)), tiles(_figures(report)))


def _figures(report: Backtest) -> list[tuple[str, str, str]]:
    fired = sum(1 for r in report.rules if r.fired)
    made = [("Rules that fired", f"{fired} of {len(report.rules)}", "")]
    overall = next((v.quality for v in report.verdicts[1:] if v.quality is not None), None)
    if overall is not None:
        right, found, harm = overall.precision, overall.recall, overall.false_positives
        made.append(
            ("Precision", share(right.value), f"of {right.of:,} caught events with a label are abuse")
        )
        made.append(("Recall", share(found.value), f"of {found.of:,} events labelled abuse are caught"))
        made.append(
            ("False positives", share(harm.value, 2), f"of {harm.of:,} events labelled fine are caught")
        )
        if overall.volume_recall is not None and report.labelled is not None:
            weighed = f"weighed by {report.weighed or report.labelled.volume or 'volume'}; "
            weighed += f"precision {share(overall.volume_precision)}"
            made.append(("Recall by volume", share(overall.volume_recall), weighed))
    if report.labels_set:
        made.append(("Labels set", f"{sum(report.labels_set.values()):,}", _most(report.labels_set)))
    if report.sends:
        made.append(("Messages sent", f"{sum(report.sends.values()):,}", _most(report.sends)))
    return made


def _most(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{what} {n:,}" for what, n in ordered[:3])
    return told + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")


def sections(report: Backtest, packer: Packer) -> tuple[list[Section], dict[str, Any]]:
    """All sections, and the data that the page opens samples from."""
    found, times = ladder(report.verdicts), axis(report.timeline)
    rules = ordered(report.rules)
    places = packer.take([r.samples for r in rules])
    made = [
        over_time(report.verdicts, report.timeline, times, found),
        rule_section(report, rules, times, found),
    ]
    made += [
        s for s in (quality(report, rules), overlaps(report.overlaps, len(rules)), settings(report)) if s
    ]
    made += [samples_section(len(packer.samples)), data(report), making(report)]
    return made, {"rules": [details(r) | {"s": p} for r, p in zip(rules, places, strict=True)]}


def ordered(rules: Sequence[RuleRow]) -> list[RuleRow]:
    """Rules as the page lists them: those that fire most first."""
    return sorted(rules, key=lambda r: (-r.fired, r.rule))


# --------------------------------------------------------------------------------------------- verdicts


def over_time(rows: Sequence[VerdictRow], timeline: Timeline, times: Axis, found: Ladder) -> Section:
    """What was decided over time, all but the mildest verdict."""
    lead = (
        f"The height of a column is how many events got each verdict within {length(times.seconds)}. Events "
        f"that were left at “{rows[0].verdict if rows else ''}” are in the lower picture, with all others."
    )
    given = [r for r in rows[1:] if r.count]
    series = [Series(r.verdict, found.style(r.verdict), r.over_time) for r in reversed(given)]
    picture = stacked(times, series, "events by verdict over time")
    since = f", from {stamp(timeline.starts[0])}" if timeline.starts else ""
    unit = tag("small", f"events per {per(times.seconds)}{since}, times in UTC", class_="unit")
    everything = stacked(times, [Series("all events", "hits", timeline.events)], "all events over time", 70)
    return section(
        "time", "What was decided, over time", lead,
        legend([(r.verdict, found.style(r.verdict)) for r in reversed(given)]),
        unit if given else None,
        picture if given else tag("p", "No rule asked for more than the mildest verdict.", class_="empty"),
        tag("h3", "All events"), unit, everything,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ rules


def rule_section(report: Backtest, rules: Sequence[RuleRow], times: Axis, found: Ladder) -> Section:
    """Every rule with its figures; a click opens its text, its figures and samples."""
    judged = report.labelled is not None
    most = max([r.fired for r in rules], default=1) or 1
    head = [("rule", "sort"), ("verdict", "sort wide"), ("hits", "sort n hits-cell"), ("over time", "trend")]
    head += [("precision", "sort n"), ("recall", "sort n wide")] if judged else []
    head += [("entities", "sort n wide"), ("only this rule", "sort n wide"), ("held back", "sort n wide")]
    head += [("missing", "sort n wide"), ("cost", "sort n wide")]
    weighed = any(r.volume is not None for r in rules)
    head += [("volume", "sort n wide")] if weighed else []
    rows = [_rule(r, i, times, found, most, judged, weighed) for i, r in enumerate(rules)]
    lead = (
        "Open a rule to see its text, its figures and events to look at. A heading sorts. “Only this rule” "
        "counts events that no other live rule fired on: what would be lost without it."
    )
    quiet = [tag("li", tag("code", rule)) for rule in report.quiet]
    return section(
        "rules", "Every rule", lead,
        tag("input", type="search", class_="filter", data_filter="rules", aria_label="Filter rules",
            placeholder="Filter rules by name, tag, owner or verdict", hidden=True),
        tag("div", table(head, rows, style="rules"), id="rules-table"),
        shut(f"{count(len(quiet), 'rule')} never fired", tag("ul", quiet, class_="names")) if quiet else None,
        shut("What the columns mean", _meanings()),
    )  # fmt: skip


def _rule(r: RuleRow, i: int, times: Axis, found: Ladder, most: int, judged: bool, weighed: bool) -> Html:
    words = " ".join([r.rule, r.verdict, r.owner or "", r.severity or "", r.mode, *r.tags])
    told = f"{r.fired:,}"
    first = (
        tag("span", tag("span", name(r.rule)), class_="rule-name", data_open=i),
        tag("span", "shadow", class_="badge") if r.mode == "shadow" else None,
        tag("small", found.chip(r.verdict) if r.verdict else "no verdict", class_="narrow"),
    )
    missing = "–" if r.missing is None else f"{'≈' if r.sampled else ''}{r.missing:,}"
    return tag(
        "tr",
        cell(*first, style="first"),
        cell(found.chip(r.verdict) if r.verdict else tag("small", "none"), style="wide"),
        cell(tag("small", share(r.rate, 2)), told, bar(r.fired / most), style="n hits-cell", value=r.fired),
        cell(spark(times, r.over_time), style="trend"),
        _judged(r) if judged else None,
        cell(f"{r.entities:,}", style="n wide", value=r.entities),
        cell(f"{r.only:,}", style="n wide", value=r.only),
        cell(f"{r.held:,}" if r.held else "", style="n wide", value=r.held),
        cell(missing if r.missing != 0 else "", style="n wide", value=r.missing or 0),
        cell(share(r.cost, 0) if r.cost else "", style="n wide", value=r.cost),
        cell(volume(r.volume), style="n wide", value=r.volume or 0) if weighed else None,
        data_words=words, class_="quiet" if not r.fired else None,
    )  # fmt: skip


def _judged(r: RuleRow) -> list[Html]:
    """Precision and recall of a rule; one that asks for no verdict catches nothing that could be right."""
    if r.quality is None or not r.verdict:
        return [cell("", style="n", value=-1), cell("", style="n wide", value=-1)]
    rates = ((r.quality.precision, "n"), (r.quality.recall, "n wide"))
    return [cell(share(q.value), style=style, value=-1 if q.value is None else q.value) for q, style in rates]


def _meanings() -> Html:
    told = (
        ("hits", "events on which the rule fired (in shadow: would have), and their share of those asked"),
        ("precision", "of the hits that have a label, how many are labelled as abuse"),
        ("recall", "of all events labelled as abuse, how many the rule hit"),
        ("entities", "how many different people, servers, … the hits were about"),
        ("only this rule", "hits on which no other live rule fired"),
        ("held back", "the condition was true, but a rollout or an exemption kept the rule from firing"),
        ("missing", "the condition could not be told: something was missing; ≈ where estimated"),
        ("volume", "the sum of the field that events are weighed by, over the hits"),
        ("cost", "the rule's share of what all rules are expected to cost"),
    )  # fmt: skip
    return tag("dl", [(tag("dt", term), tag("dd", meaning)) for term, meaning in told], class_="meanings")


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


# ---------------------------------------------------------------------------------------------- quality


def quality(report: Backtest, rules: Sequence[RuleRow]) -> Section | None:
    """Precision and recall with their intervals, per verdict and per rule."""
    if report.labelled is None:
        return None
    lab = report.labelled
    lead = (
        "Precision: of the events caught, how many are abuse. Recall: of the events that are abuse, how "
        "many are caught. The dot is the figure, the line its 95% interval: the longer, the fewer labels it "
        "rests on."
    )
    words = (
        f"Labels come from {lab.text}: {lab.positive:,} events of abuse, {lab.negative:,} that are fine; "
        f"{lab.unlabelled:,} have no label and enter no rate."
    )
    verdicts = [(f"{v.verdict}{' or graver' if v is not report.verdicts[-1] else ''}", v.quality)
                for v in report.verdicts[1:] if v.quality is not None and v.count]  # fmt: skip
    told = [
        (r.rule, r.quality) for r in rules if r.verdict and r.quality is not None and r.quality.precision.of
    ]
    told.sort(key=lambda item: (item[1].precision.value or 0, -item[1].precision.of))
    return section(
        "quality", "How right they are", lead, tag("p", words),
        tag("h3", "By verdict"), dot_rows([(n, [("", q)]) for n, q in verdicts]),
        tag("h3", "By rule that asks for a verdict, the least precise first"),
        dot_rows([(n, [("", q)]) for n, q in told[:MOST_PLAIN]]),
    )  # fmt: skip


def dot_rows(rows: Sequence[tuple[str, Sequence[tuple[str, Any]]]]) -> Html:
    """A row of dots for each name; its qualities are told with a class each."""
    titles = [tag("div", tag("b", figure), dot_scale(), class_="scale") for figure, _, _ in FIGURES]
    made = [tag("li", tag("span"), titles, class_="head")]
    for what, found in rows:
        plots = []
        for figure, _, of in FIGURES:
            rates = [(who or figure, who or figure, None if q is None else of(q)) for who, q in found]
            last = rates[-1][2]
            plots.append(
                tag("div", dots(f"{what}: {figure}", rates), tag("b", share(last.value if last else None)))
            )
        made.append(tag("li", tag("span", name(what), class_="name"), plots))
    return tag(
        "ul",
        made,
        class_="dotrows",
        tabindex=0,
        data_marks=True,
        data_cap=MOST_DOTS if len(rows) > MOST_DOTS else None,
    )


# --------------------------------------------------------------------------------------------- overlaps


def overlaps(found: Sequence[Overlap], rules: int) -> Section | None:
    """Which rules fire on the same events."""
    if not found:
        return None
    crowded = crowd(found)
    lead = (
        "Each row is a rule: of the events it fired on, the percentage on which the rule of each column "
        "fired too. A dark row all along means that the rule adds little to others."
    )
    few = (
        f"The picture shows the {MOST_RULES} rules that share the most events." if rules > MOST_RULES else ""
    )
    pairs = sorted(found, key=lambda o: (-max(o.of_a, o.of_b) * o.both, o.a, o.b))[:MOST_PAIRS]
    rows = [
        tag("tr", cell(tag("code", o.a)), cell(tag("code", o.b)), cell(f"{o.both:,}", style="n"),
            cell(share(o.of_a, 0), style="n"), cell(share(o.of_b, 0), style="n"))
        for o in pairs
    ]  # fmt: skip
    head = [
        ("rule", ""),
        ("and", ""),
        ("events on which both fire", "n"),
        ("of the first's", "n"),
        ("of the second's", "n"),
    ]
    return section(
        "overlap", "Which rules do the same work", lead, tag("p", few) if few else None, heat(found, crowded),
        shut("The pairs with the most in common, in numbers", table(head, rows)),
    )  # fmt: skip


# --------------------------------------------------------------------------------------------- settings


def settings(report: Backtest) -> Section | None:
    """What other settings of a rule's constants would bring."""
    if not report.curves:
        return None
    lead = (
        "For each constant in a rule's condition: the events hit (columns) and, where there are labels, "
        "precision and recall (lines with their 95% intervals), had the policy another setting. The marked "
        "column is what it has."
    )
    made = []
    for c in report.curves:
        judged = any(p.quality is not None for p in c.points)
        keys = (
            legend([("precision", "precision"), ("recall", "recall"), ("hits", "hits")]) if judged else None
        )
        head = tag("h3", tag("code", c.compared), tag("small", f" in {c.rule}, {c.place}"))
        made.append(tag("div", head, tag("p", chosen(c)), keys, curve(c), class_="card"))
    return section("settings", "What other settings would bring", lead, tag("div", made, class_="cards"))


def samples_section(samples: int) -> Section:
    """The place where the page puts samples to open."""
    lead = (
        "Open an event to see what each rule saw: ✓ was true, ✗ false, ? missing, and what decided. "
        "Counters stand with the value that they had at that moment."
    )
    none = None if samples else tag("p", "The report holds no samples.", class_="empty")
    without = tag("p", "Samples are shown by the page's script, which does not run here.", class_="noscript")
    return section(
        "samples", "Events to look at", lead, none, without if samples else None, tag("div", id="sample-list")
    )
