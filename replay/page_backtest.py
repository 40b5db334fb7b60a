"""The sections of a backtest, in the order of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quell.replay.headline import overall
from quell.replay.page_history import data, making
from quell.replay.page_html import Html, join, name, tag
from quell.replay.page_matrix import MOST_RULES, crowd, heat
from quell.replay.page_parts import (
    Ladder,
    Section,
    cell,
    ladder,
    legend,
    mix,
    section,
    shut,
    table,
    tiles,
)  # fmt: skip
from quell.replay.page_plots import Axis, Series, axis, stacked
from quell.replay.page_quality import FIGURES, chosen, curve, dot_scale, dots
from quell.replay.page_rules import details, ordered, rule_section
from quell.replay.page_samples import Packer
from quell.replay.page_words import length, per, share, stamp
from quell.replay.report_data import Backtest, Gate, Overlap, RuleRow, Timeline, VerdictRow

MOST_PAIRS = 10
"""Pairs of rules that are told in words beside the picture of overlaps."""
MOST_DOTS = 25
"""Rules with their dots before somebody asks for all."""
MOST_PLAIN = 200
"""Rules of a picture that is no table to filter."""

SCRIPTED = tag("p", "Samples are shown by the page's script, which does not run here.", class_="noscript")


def summary(report: Backtest) -> Html:
    """What stands below the headline."""
    bars = mix(report.verdicts, ladder(report.verdicts))
    return join(gates(report.gates), bars, tiles(_figures(report)))


def gates(found: Sequence[Gate]) -> Html | None:
    """What `--fail-if` asked, and how that came out."""
    if not found:
        return None
    made = []
    for gate in found:
        style, word = ("failed", "fails") if gate.failed else ("passed", "passes")
        mark = tag("span", "✗" if gate.failed else "✓", aria_hidden="true")
        told = tag("span", "fails if ", tag("code", gate.text), f": {gate.shown}")
        made.append(tag("li", mark, tag("b", word), told, class_=style))
    return tag("ul", made, class_="gates")


def _figures(report: Backtest) -> list[tuple[str, str, str]]:
    fired = sum(1 for r in report.rules if r.fired)
    made = [("Rules that fired", f"{fired} of {len(report.rules)}", "")]
    whole = overall(report)
    if whole is not None:
        right, found, harm = whole.precision, whole.recall, whole.false_positives
        made.append(
            ("Precision", share(right.value), f"of {right.of:,} caught events with a label are abuse")
        )
        made.append(("Recall", share(found.value), f"of {found.of:,} events labelled abuse are caught"))
        made.append(
            ("False positives", share(harm.value, 2), f"of {harm.of:,} events labelled fine are caught")
        )
        if whole.volume_recall is not None and report.labelled is not None:
            weighed = f"weighed by {report.weighed or report.labelled.volume or 'volume'}; "
            weighed += f"precision {share(whole.volume_precision)}"
            made.append(("Recall by volume", share(whole.volume_recall), weighed))
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
    lost, *places = packer.take([report.samples_missed, *(r.samples for r in rules)])
    made = [
        over_time(report.verdicts, report.timeline, times, found),
        rule_section(report, rules, times, found),
    ]
    told = quality(report, rules), missed(report), overlaps(report.overlaps, len(rules)), settings(report)
    made += [s for s in told if s]
    made += [samples_section(len(packer.samples)), data(report), making(report)]
    opened = [details(r) | {"s": p} for r, p in zip(rules, places, strict=True)]
    return made, {"rules": opened, "missed": lost}


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
        + (
            f"{lab.unlabelled:,} have no label and enter no rate."
            if lab.unlabelled
            else "every event has one."
        )
    )
    verdicts = [(f"{v.verdict}{' or higher' if v is not report.verdicts[-1] else ''}", v.quality)
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


def missed(report: Backtest) -> Section | None:
    """Positives that were let through."""
    if not report.samples_missed:
        return None
    few = f"{len(report.samples_missed):,} of {report.missed:,}"
    lead = (
        f"Events labelled abuse that got the mildest verdict, {few} picked at random. Below each stand the "
        "rules that were nearest to catching it; open it to see what they saw."
    )
    return section("missed", "What was missed", lead, SCRIPTED, tag("div", id="missed-list"))


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
    return section(
        "samples",
        "Events to look at",
        lead,
        none,
        SCRIPTED if samples else None,
        tag("div", id="sample-list"),
    )
