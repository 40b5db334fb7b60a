"""A comparison as a person reads it in a terminal: what changes, by verdict, by rule, event by event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from quell.engine.cli_output import (
    console,
    count,
    percent,
    stdout,
    table,
    utf8,
    verdict_style,
    visible,
    words,
)
from quell.replay.cli_replay_tables import RULE_NAME, heading
from quell.replay.cli_replay_view import about, print_pairs, print_ways
from quell.replay.headline import change, headline, other, overall
from quell.replay.reasons import both, renamed
from quell.replay.report_data import Comparison, Gate, Quality, RuleChange, Sample

WIDE = 120
"""Columns of a terminal from which there is room for more."""

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

MOST_RULES = 40
MOST_SAMPLES = 5
MOST_SAMPLED_RULES = 5


def print_comparison(made: Comparison, *, ways: bool = False, stream: IO[str] | None = None) -> None:
    """The whole comparison; with `ways` also which way each part of this bundle went."""
    out = console(stream if stream is not None else stdout())
    _print_head(out, made)
    _print_flows(out, made)
    _print_rules(out, made)
    _print_quality(out, made)
    _print_samples(out, made, "Newly caught", made.newly_caught, made.caught)
    _print_samples(out, made, "Newly let go", made.newly_let_go, made.let_go)
    _print_hits(out, made)
    _print_counters(out, made)
    if made.looks_different:
        heading(out, "Only looks different")
        _print_list(out, made.looks_different)
    notes = [*made.notes, *(n for n in made.after.notes if n not in made.notes)]
    if notes:
        heading(out, "To know")
        _print_list(out, notes)
    if ways:
        print_ways(out, made.after)
    print_gates(out, made.gates)


def _print_head(out: Console, made: Comparison) -> None:
    source = made.after.source
    files = visible(source.files[0], 60) if len(source.files) == 1 else count(len(source.files), "file")
    against = visible(made.against or made.before.policies, 80)
    out.print(words(("What ", "bold"), (visible(made.after.policies or made.after.bundle, 80), "bold cyan"),
                    (" changes against ", "bold"), (against, "bold cyan"), (f" on {files}", "bold")),
              soft_wrap=True)  # fmt: skip
    if source.first and source.last:
        out.print(f"{count(made.events, 'event')} from {source.first} to {source.last}", style="dim")
    out.print()
    style = "bold green" if made.same else "bold"
    out.print(words((headline(made), style)))
    refused = []
    if made.newly_refused:
        refused.append(f"{count(made.newly_refused, 'event')} newly refused")
    if made.no_longer_refused:
        refused.append(f"{count(made.no_longer_refused, 'event')} no longer refused")
    if refused:
        out.print(", ".join(refused), style="yellow")


# ------------------------------------------------------------------------------------------ verdicts


def _print_flows(out: Console, made: Comparison) -> None:
    if not made.changed:
        return
    heading(out, "Verdicts", "before in rows, now in columns")
    before = [v for v in made.ladder if any(f.before == v for f in made.flows)]
    after = [v for v in made.ladder if any(f.after == v for f in made.flows)]
    counts = {(f.before, f.after): f.count for f in made.flows}
    rows: list[tuple[str | Text, ...]] = []
    for was in before:
        cells: list[Text] = [_verdict(made, was)]
        cells += [_cell(made, was, now, counts.get((was, now), 0)) for now in after]
        rows.append(tuple(cells))
    out.print(table(("", *(f"{v}>" for v in after)), rows, width=out.width))
    also = other(made.differences)
    if also:
        out.print(f"beside verdicts: {', '.join(also)}", style="dim")


def _cell(made: Comparison, was: str, now: str, n: int) -> Text:
    if not n:
        return words("")
    if was == now:
        return words((f"{n:,}", "dim"))
    harsher = made.ladder.index(now) > made.ladder.index(was)
    return words((f"{n:,}", "bold red" if harsher else "bold green"))


def _verdict(made: Comparison, verdict: str) -> Text:
    return words((verdict, verdict_style(made.ladder.index(verdict), len(made.ladder))))


# --------------------------------------------------------------------------------------------- rules


def _print_rules(out: Console, made: Comparison) -> None:
    if not made.rules:
        return
    heading(out, "Rules", "newly, no longer: events on which it fires in one version only")
    wide = out.width >= WIDE
    columns = ["rule~", "change~", "before>", "now>", "newly>", "no longer>"] + ["newly on>"] * wide
    rows: list[tuple[str | Text, ...]] = []
    for rule in made.rules[:MOST_RULES]:
        cells: list[str | Text] = [visible(rule.rule, RULE_NAME), words((change(rule), _status(rule)))]
        cells += [f"{rule.before:,}", f"{rule.after:,}"]
        cells += [_more(rule.newly, "+", "red"), _more(rule.no_longer, "-", "green")]
        if wide:
            cells.append(count(rule.entities_newly, "entity", "entities") if rule.entities_newly else "")
        rows.append(tuple(cells))
    out.print(table(columns, rows, width=out.width))
    if len(made.rules) > MOST_RULES:
        out.print(f"and {count(len(made.rules) - MOST_RULES, 'more rule')} (--json has all)")


def _status(rule: RuleChange) -> str:
    return {"new": "yellow", "gone": "magenta", "same": "dim"}.get(rule.status, "")


def _more(number: int, sign: str, style: str) -> Text:
    return words((f"{sign}{number:,}" if number else "", style))


def _print_quality(out: Console, made: Comparison) -> None:
    rows = [("all", overall(made.before), overall(made.after))] if overall(made.after) else []
    rows += [(r.rule, r.before_quality, r.after_quality) for r in made.rules
             if r.before_quality or r.after_quality]  # fmt: skip
    if not rows:
        return
    heading(out, "Against the labels", "before → now" if utf8(out.file) else "before -> now")
    wide = out.width >= WIDE
    titles = ("~", "precision>", "now>", "recall>", "now>", *("false alarms>", "now>") * wide)
    of = ("precision", "recall", *("false_positives",) * wide)
    shown = [
        (visible(name, RULE_NAME), *(_share(q, what) for what in of for q in (was, now)))
        for name, was, now in rows[:MOST_RULES]
    ]
    out.print(table(titles, shown, width=out.width))


def _share(quality: Quality | None, of: str) -> str:
    if quality is None:
        return "-"
    rate: Any = getattr(quality, of)
    return percent(rate.hits, rate.of)


# ------------------------------------------------------------------------------------------- samples


def _print_hits(out: Console, made: Comparison) -> None:
    """For the rules that fire most otherwise one event each that was not shown yet."""
    seen = {s.n for s in (*made.newly_caught[:MOST_SAMPLES], *made.newly_let_go[:MOST_SAMPLES])}
    for rule in made.rules[:MOST_SAMPLED_RULES]:
        for what, samples, of in (
            ("newly fires", rule.samples_newly, rule.newly),
            ("no longer fires", rule.samples_no_longer, rule.no_longer),
        ):
            left = [s for s in samples if s.n not in seen][:1]
            seen |= {s.n for s in left}
            _print_samples(out, made, f"{visible(rule.rule, 60)} {what}", left, of)


def _print_samples(out: Console, made: Comparison, title: str, samples: Sequence[Sample], of: int) -> None:
    if not samples:
        return
    shown = samples[:MOST_SAMPLES]
    heading(out, title, f"{len(shown):,} of {of:,}" if of > len(shown) else "")
    arrow = " → " if utf8(out.file) else " -> "
    for sample in shown:
        parts: list[str | tuple[str, str]] = [f"{about(sample)}: "]
        parts += [_styled(made, sample.before or ""), arrow, _styled(made, sample.verdict)]
        if sample.label is not None:
            parts.append(", labelled " + ("positive" if sample.label else "negative"))
        out.print(words(*parts, (f"  {sample.at}  {visible(sample.place, 60)}", "dim")), soft_wrap=True)
        before, now = both(sample, renamed(made))
        _print_reasons(out, "before", before)
        _print_reasons(out, "now", now)
        if not before and not now and sample.message:
            out.print(words(("  because  ", "dim"), visible(sample.message, 300)))
    out.print(words(("why, in full:  ", "dim"), (shown[0].command, "cyan")), soft_wrap=True)


def _styled(made: Comparison, verdict: str) -> tuple[str, str]:
    if verdict not in made.ladder:
        return (verdict, "magenta")
    return (verdict, verdict_style(made.ladder.index(verdict), len(made.ladder)))


def _print_reasons(out: Console, when: str, lines: Sequence[str]) -> None:
    print_pairs(out, [(f"  {when:6}" if not i else "", line) for i, line in enumerate(lines)])


# ----------------------------------------------------------------------------------------- the rest


def _print_counters(out: Console, made: Comparison) -> None:
    cold = [c for c in made.counters if c.status != "gone"]
    if not cold:
        return
    heading(out, "Counters that begin cold", "unless a journal fills them when this goes live")
    rows = [
        (visible(c.counter, 200), "looks further back" if c.status == "longer" else "new",
         "always" if c.cold == "always" else f"for {c.cold}")
        for c in cold[:MOST_RULES]
    ]  # fmt: skip
    out.print(table(("counter~", "", "cold"), rows, width=out.width))


def _print_list(out: Console, lines: Sequence[str]) -> None:
    bullet = "•" if utf8(out.file) else "-"
    print_pairs(out, [(bullet, line) for line in lines])


def print_gates(out: Console, gates: Sequence[Gate]) -> None:
    """Which gates are passed and which fail."""
    if not gates:
        return
    heading(out, "Gates")
    for gate in gates:
        passes, fails = ("✔ passes", "✘ fails ") if utf8(out.file) else ("passes", "FAILS ")
        sign = (fails, "bold red") if gate.failed else (passes, "green")
        told = f"  fails if {visible(gate.text, 200)}:"
        out.print(words(sign, told, (f" {visible(gate.shown, 500)}", "dim")),
                  soft_wrap=True)  # fmt: skip
