"""The sections of a comparison, in the order of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quell.engine.cli_output import count
from quell.replay.headline import change, other, overall
from quell.replay.page_backtest import dot_rows, gates, overlaps, samples_section, settings
from quell.replay.page_history import data, making
from quell.replay.page_html import Html, join, name, prose, source, tag
from quell.replay.page_matrix import ribbons, transitions
from quell.replay.page_parts import (
    Ladder,
    Section,
    cell,
    legend,
    section,
    table,
    tiles,
)  # fmt: skip
from quell.replay.page_plots import Axis, axis, differences, spark
from quell.replay.page_rules import details
from quell.replay.page_samples import Packer
from quell.replay.page_words import judged, listed, per, share, signed
from quell.replay.reasons import renamed
from quell.replay.report_data import Comparison, CounterChange, Quality, RuleChange, RuleRow

STATUS = {"same": "as it was", "changed": "changed", "new": "new", "gone": "gone", "renamed": "renamed"}


def both(report: Comparison) -> Ladder:
    """The verdicts of both bundles, mildest first."""
    if report.ladder:
        return Ladder(tuple(report.ladder))
    after = [r.verdict for r in report.after.verdicts]
    return Ladder((*after, *(r.verdict for r in report.before.verdicts if r.verdict not in after)))


def summary(report: Comparison) -> Html:
    """What stands below the headline: figures, and the gates."""
    of = events(report)
    every = len({r.rule for b in (report.before, report.after) for r in b.rules})
    made = [
        (
            "Other verdict",
            f"{report.changed:,}",
            f"{share(report.changed / of if of else None, 2)} of all events",
        ),
        ("Harsher", f"{report.harsher:,}", f"{report.caught:,} of them were let through"),
        ("Milder", f"{report.milder:,}", f"{report.let_go:,} of them are let through now"),
        ("Rules that differ", f"{len(differing(report.rules))}", f"of {every}"),
    ]
    return join(gates(report.gates), tiles([*made, *_judged(report)]))


def events(report: Comparison) -> int:
    """The events that both bundles decide."""
    return report.events or judged(report.after)


def differing(rules: Sequence[RuleChange]) -> list[RuleChange]:
    """Those that are written otherwise or fire on other events."""
    return [r for r in rules if r.status != "same" or r.newly or r.no_longer]


def _judged(report: Comparison) -> list[tuple[str, str, str]]:
    before, after = overall(report.before), overall(report.after)
    if before is None or after is None:
        return []
    return [
        ("Precision", share(after.precision.value), f"before {share(before.precision.value)}"),
        ("Recall", share(after.recall.value), f"before {share(before.recall.value)}"),
    ]


def sections(report: Comparison, packer: Packer) -> tuple[list[Section], dict[str, Any]]:
    """All sections, and the data that the page opens samples from."""
    after = report.after
    found, times = both(report), axis(after.timeline)
    rules = sorted(report.rules, key=lambda r: (-(r.newly + r.no_longer), r.status == "same", r.rule))
    packer.names = renamed(report)
    lists = packer.take([report.newly_caught, report.newly_let_go])
    newly = packer.take([r.samples_newly for r in rules])
    gone = packer.take([r.samples_no_longer for r in rules])
    made = [flows(report, found), rule_changes(rules, times), over_time(report, times, found)]
    made += [s for s in (qualities(report, rules, found), looks(report), settings(after)) if s is not None]
    made.append(samples_section(len(packer.samples)))
    made += [s for s in (overlaps(after.overlaps, len(after.rules)),) if s is not None]
    made += [data(after), making(after, report.before)]
    rows = [_details(r, report) | {"s": n, "g": g} for r, n, g in zip(rules, newly, gone, strict=True)]
    return made, {"rules": rows, "caught": lists[0], "let_go": lists[1]}


def flows(report: Comparison, found: Ladder) -> Section:
    """Where events go from verdict to verdict."""
    lead = (
        "The bands are events whose verdict changes: left what the policies before decide, right what these "
        "decide. The table counts all events; those that keep their verdict are on the diagonal."
    )
    none = tag("p", "No event changes its verdict.", class_="empty")
    besides = other(report.differences)
    key = legend([("decided harsher", "harsher"), ("decided milder", "milder")])
    return section(
        "flows", "Which verdicts change", lead,
        key if report.changed else None,
        tag("div", ribbons(report.flows, found.verdicts) if report.changed else none,
            transitions(report.flows, found.verdicts), class_="pair"),
        tag("p", f"Beside verdicts this differs, on so many events: {listed(besides)}.") if besides else None,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ rules


def rule_changes(rules: Sequence[RuleChange], times: Axis) -> Section:
    """Every rule whose hits or text change, then all others."""
    differ = differing(rules)
    most = max([r.newly + r.no_longer for r in rules], default=1) or 1
    head = [
        ("rule", "sort"),
        ("", "wide"),
        ("hits before", "sort n wide"),
        ("hits after", "sort n"),
        ("change", "half"),
    ]
    head += [("newly", "sort n"), ("no longer", "sort n"), ("over time", "trend wide")]
    lead = (
        "Right of the line the events that a rule newly fires on, left those it no longer does. Open a rule "
        "to see what is written otherwise, and events to look at."
    )
    rows = [_rule(r, i, times, most) for i, r in enumerate(rules)]
    shown = len(differ) if 0 < len(differ) < len(rules) else len(rules)
    return section(
        "rules", "Which rules change", lead,
        tag("input", type="search", class_="filter", data_filter="rules", aria_label="Filter rules",
            placeholder="Filter rules by name or by what changed", hidden=True),
        tag("div", table(head, rows, style="rules", cap=min(max(shown, 5), 60)), id="rules-table"),
    )  # fmt: skip


def _rule(r: RuleChange, i: int, times: Axis, most: int) -> Html:
    words = " ".join([r.rule, r.was or "", STATUS[r.status], *r.changed])
    badge = tag("span", STATUS[r.status], class_=f"badge {r.status}") if r.status != "same" else None
    first: tuple[Html | None, ...] = (
        tag("span", tag("span", name(r.rule)), class_="rule-name", data_open=True),
        tag("small", badge, class_="narrow") if badge else None,
    )
    told = change(r) if r.was or r.changed else ""
    if told:
        first = (*first, tag("small", told))
    return tag(
        "tr",
        cell(*first, style="first"),
        cell(badge, style="wide"),
        cell(f"{r.before:,}" if r.status != "new" else "–", style="n wide", value=r.before),
        cell(f"{r.after:,}" if r.status != "gone" else "–", style="n", value=r.after),
        cell(_diverging(r, most) if r.newly or r.no_longer else None, style="half"),
        cell(signed(r.newly) if r.newly else "", style="n", value=r.newly),
        cell(signed(-r.no_longer) if r.no_longer else "", style="n", value=r.no_longer),
        cell(spark(times, r.over_time, "diff") if any(r.over_time) else "", style="trend wide"),
        data_words=words, data_rule=i, class_="quiet" if not (r.newly or r.no_longer) else None,
    )  # fmt: skip


def _diverging(r: RuleChange, most: int) -> Html:
    """A bar to the right for what is newly hit, one to the left for what no longer is."""
    newly, gone = 50 * r.newly / most, 50 * r.no_longer / most
    tip = f"{r.rule}\nnewly fires on\t{count(r.newly, 'event')}\nno longer on\t{count(r.no_longer, 'event')}"
    return tag(
        "svg",
        tag("rect", x=f"{50 - gone:.2f}%", width=f"{gone:.2f}%", y=3, height=10, class_="milder"),
        tag("rect", x="50%", width=f"{newly:.2f}%", y=3, height=10, class_="harsher"),
        tag("line", x1="50%", x2="50%", y1=0, y2=16, class_="tick"),
        height=16, class_="bar diverging", data_tip=tip, aria_hidden="true",
    )  # fmt: skip


def _details(r: RuleChange, report: Comparison) -> dict[str, Any]:
    rows: dict[str, list[RuleRow]] = {"before": [], "after": []}
    rows["before"] = [x for x in report.before.rules if x.rule == (r.was or r.rule)]
    rows["after"] = [x for x in report.after.rules if x.rule == r.rule]
    made: dict[str, Any] = {
        "n": r.rule,
        "f": [["written otherwise", ", ".join(r.changed)]] if r.changed else [],
    }
    if rows["after"]:
        made = details(rows["after"][0]) | {"f": made["f"]}
    elif rows["before"]:
        made = details(rows["before"][0]) | {"f": made["f"]}
    if rows["before"] and rows["after"] and rows["before"][0].text != rows["after"][0].text:
        made["b"] = source(rows["before"][0].text)
    made["f"] += [["hits before", f"{r.before:,}"], ["hits after", f"{r.after:,}"]]
    made["f"] += (
        [["newly", f"{r.newly:,}"], ["on different entities", f"{r.entities_newly:,}"]] if r.newly else []
    )
    made["f"] += [["no longer", f"{r.no_longer:,}"]] if r.no_longer else []
    for when, q in (("before", r.before_quality), ("after", r.after_quality)):
        if q is not None and q.precision.of:
            made["f"].append([f"precision {when}", share(q.precision.value)])
    return made


# ------------------------------------------------------------------------------------- time and quality


def over_time(report: Comparison, times: Axis, found: Ladder) -> Section:
    """What more and what less was given of each verdict, over time."""
    before = {v.verdict: v.over_time for v in report.before.verdicts}
    after = {v.verdict: v.over_time for v in report.after.verdicts}
    zero = [0] * len(report.after.timeline.starts)
    made = []
    for verdict in reversed(found.verdicts):
        old, new = before.get(verdict) or zero, after.get(verdict) or zero
        differ = [b - a for a, b in zip(old, new, strict=True)]
        if any(differ):
            total = sum(new) - sum(old)
            head = tag(
                "h3",
                found.chip(verdict),
                tag("span", f"{signed(total)}: {sum(old):,} before, {sum(new):,} after"),
            )
            label = f"{verdict}: after minus before, over time"
            made.append(tag("div", head, differences(times, differ, label), class_="small"))
    lead = (
        "Above the line more events got the verdict than before, below it fewer, in each "
        f"{per(times.seconds)} (UTC). The scale differs from verdict to verdict."
    )
    none = tag("p", "At no time does the mix of verdicts change.", class_="empty")
    return section("time", "When it changes", lead, tag("div", made, class_="smalls") if made else none)


def qualities(report: Comparison, rules: Sequence[RuleChange], found: Ladder) -> Section | None:
    """Precision and recall before and after."""
    if report.after.labelled is None:
        return None
    verdicts: list[tuple[str, list[tuple[str, Quality | None]]]] = []
    before = {v.verdict: v.quality for v in report.before.verdicts}
    for v in report.after.verdicts[1:]:
        if v.quality is not None:
            verdicts.append(
                (_from(v.verdict, found), [("before", before.get(v.verdict)), ("after", v.quality)])
            )
    moved = [r for r in rules if (r.newly or r.no_longer) and (r.before_quality or r.after_quality)]
    told = [(r.rule, [("before", r.before_quality), ("after", r.after_quality)]) for r in moved]
    lead = (
        "Precision: of the events caught, how many are abuse. Recall: of the events that are abuse, how "
        "many are caught. The ring is before, the dot and the figure after. The lines are 95% intervals: "
        "where they overlap widely, chance may explain the difference."
    )
    lab = report.after.labelled
    words = f"Labels come from {lab.text}; "
    words += (
        f"{lab.unlabelled:,} events have none and enter no rate."
        if lab.unlabelled
        else "every event has one."
    )
    return section(
        "quality", "Whether it gets better", lead, tag("p", words),
        legend([("before", "before"), ("after", "after")]),
        tag("h3", "By verdict"), dot_rows(verdicts),
        (tag("h3", "By rule that changes"), dot_rows(told)) if told else None,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- the rest


def _from(verdict: str, found: Ladder) -> str:
    return verdict if verdict == found.verdicts[-1] else f"{verdict} or higher"


def _cold(counter: CounterChange) -> str:
    if counter.status == "gone":
        return "is no longer kept"
    longer = "looks further back than before, and " if counter.status == "longer" else ""
    if counter.cold == "always":
        return f"{longer}counts for ever: it never knows what was before the change"
    return f"{longer}is cold for {counter.cold} once the change is live, unless a journal fills it"


def looks(report: Comparison) -> Section | None:
    """Counters that begin cold, and what only looks different."""
    if not report.counters and not report.looks_different:
        return None
    lead = "What to know before the change goes live."
    head = [("counter", ""), ("", ""), ("window", ""), ("what it means", "half")]
    rows = [
        tag("tr", cell(tag("code", c.counter)), cell(tag("span", c.status, class_=f"badge {c.status}")),
            cell(c.window), cell(_cold(c), style="half"))
        for c in report.counters
    ]  # fmt: skip
    alike = [tag("li", prose(t)) for t in report.looks_different]
    return section(
        "live", "Going live", lead,
        (tag("h3", "Counters"), table(head, rows, style="stack")) if rows else None,
        (tag("h3", "Written otherwise, decided alike"), tag("ul", alike)) if alike else None,
    )  # fmt: skip
