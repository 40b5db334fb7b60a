"""The sections about the history and about how it was replayed."""

from __future__ import annotations

from collections.abc import Sequence

from quell.engine.cli_output import count, rate, seconds
from quell.replay.page_html import Html, prose, tag
from quell.replay.page_parts import Section, bar, cell, section, shut, table, tiles
from quell.replay.page_words import share, stamp
from quell.replay.report_data import Backtest, FieldCoverage, Source

WAYS = {
    "sql": "in SQL, all events at once",
    "python": "in Python, over batches or different values",
    "store": "by the counter's own store, row by row",
    "settled": "settled in order, only where rules matched",
    "stepped": "by the online engine, event by event",
}
MOST_FILES = 200
"""Files of the history that are named."""
_FULL = 0.99995
"""From here on a share is 100.0% as it is shown."""


def data(report: Backtest) -> Section:
    """What was in the history, and how complete it is."""
    source = report.source
    lead = (
        "How often each field that the policies declare has a value, the emptiest first. A rule that needs a "
        "field cannot fire on an event without it."
    )
    files = [tag("li", tag("code", f)) for f in source.files[:MOST_FILES]]
    return section(
        "data", "The data", lead, _facts(source), _coverage(source.coverage), _refusals(source),
        shut(count(len(source.files), "file"), tag("ul", files)),
    )  # fmt: skip


def _facts(source: Source) -> Html:
    kinds = ", ".join(
        f"{n:,} {name}" for name, n in sorted(source.by_type.items(), key=lambda k: (-k[1], k[0]))[:6]
    )
    first = stamp(source.first) if source.first else "–"
    last = f"to {stamp(source.last)} UTC" if source.last else ""
    late = "all in the order of time" if not source.late else "came after later ones in the files"
    turned = "all were taken" if not source.refused else f"of {count(source.records, 'record')}"
    made = [
        ("Events", f"{source.events:,}", kinds),
        ("Period", first, last),
        ("Refused", f"{source.refused:,}", turned),
        ("Late", f"{source.late:,}", late),
        ("Wrong kinds of value", f"{source.problems:,}", "count as missing"),
    ]
    if source.hands:
        made.append(("Labels by hand", f"{source.hands:,}", "set or removed by people"))
    return tiles(made)


def _coverage(fields: Sequence[FieldCoverage]) -> Html | None:
    if not fields:
        return None
    ordered = sorted(fields, key=lambda f: (_present(f), not f.read, f.event, f.field))
    full = sum(1 for f in ordered if _present(f) >= _FULL)
    rows = [_field(f) for f in ordered]
    words = (
        f"{full} of {count(len(ordered), 'field')} always {'has' if len(ordered) == 1 else 'have'} a value."
    )
    head = [
        ("field", ""),
        ("of", "wide"),
        ("type", "wide"),
        ("has a value", "half"),
        ("", "n"),
        ("wrong kind", "n wide"),
    ]
    return tag(
        "div", tag("h3", "How complete the events are"), tag("p", words),
        table(head, rows, style="coverage", cap=max(6, min(25, len(ordered) - full + 2))),
    )  # fmt: skip


def _present(field: FieldCoverage) -> float:
    return field.present / field.of if field.of else 0.0


def _field(field: FieldCoverage) -> Html:
    about = " (some events looked at)" if field.sampled else ""
    tip = f"{field.event}.{field.field}\nhas a value\t{field.present:,} of {field.of:,}{about}"
    if field.wrong:
        tip += f"\nof the wrong kind\t{field.wrong:,}"
    unread = None if field.read else tag("small", "no policy reads it")
    return tag(
        "tr",
        cell(tag("code", field.field), unread),
        cell(field.event, style="wide"),
        cell(field.type, style="wide"),
        cell(bar(_present(field), "hits" if field.read else "faint"), style="half"),
        cell(share(_present(field)) if field.of else "–", style="n"),
        cell(f"{field.wrong:,}" if field.wrong else "", style="n wide"),
        data_tip=tip,
    )


def _refusals(source: Source) -> Html | None:
    if not source.refusals:
        return None
    kinds = []
    for kind in sorted(source.refusals, key=lambda k: (-k.count, k.kind)):
        samples = [
            tag("li", tag("code", place), " ", prose(message, 300)) for place, message in kind.samples[:3]
        ]
        kinds.append(
            tag("li", tag("b", f"{kind.count:,} × {kind.kind}"), ", for example:", tag("ul", samples))
        )
    return tag(
        "div", tag("h3", "Records that could not be taken"),
        tag("p", "No rule saw them, and they are in no figure of this page."),
        tag("ul", kinds, class_="refusals"),
    )  # fmt: skip


def making(report: Backtest, before: Backtest | None = None) -> Section:
    """How the figures came about."""
    lead = (
        "Every way gives what the online engine would have decided. Most of a policy runs in SQL over all "
        "events at once; what depends on its own earlier decisions is worked out in order."
    )
    took = report.seconds + (before.seconds if before else 0)
    events = report.source.events * (2 if before else 1)
    speed = rate(events, took)
    rows = [
        tag(
            "tr",
            cell(tag("code", w.part)),
            cell(tag("b", w.way), tag("small", WAYS[w.way])),
            cell(prose(w.why), style="half"),
        )
        for w in report.ways
    ]
    figures = [
        ("Took", seconds(took), "for both" if before else ""),
        ("Speed", speed, "events a second" if speed != "-" else ""),
        ("Version", report.version, "of the policies"),
    ]
    if before:
        figures.append(("Version before", before.version, ""))
    figures += [
        (f"Answers of {name}", f"{n:,}", "recorded, not asked anew")
        for name, n in sorted(report.remote.items())
        if n
    ]
    ways = table([("part", ""), ("way", ""), ("why", "half")], rows, style="stack") if rows else None
    return section("making", "How it was worked out", lead, tiles(figures), _warmup(report), ways)


def _warmup(report: Backtest) -> Html:
    warm = report.warmup
    if not warm.longest:
        return tag("p", "No policy looks back in time, so every figure is whole from the first event on.")
    told = "" if warm.longest == "ever" else f"The longest window that is read is {warm.longest}. "
    if warm.until is not None:
        told += f"It was full from {stamp(warm.until)} UTC on. "
        if warm.events:
            leave = "leave out" if warm.left_out else "include"
            told += f"The figures {leave} {count(warm.events, 'event')} that came before. "
    elif told:
        told += "The history is shorter than that, so counters over it saw less than they would in service. "
    if warm.ever:
        told += "A counter also looks back for ever, which no history fills."
    return tag("p", told)
