"""What came of the simulated day, to read in a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from quell.engine.cli_output import (
    bar,
    console,
    count,
    percent,
    rate,
    seconds,
    spark,
    table,
    verdict_style,
    visible,
    words,
)
from quell.engine.decision_summary import ordered
from quell.grammar.tree import Exempt
from quell.replay.demo import Day, KindResult, TrapResult, kind_results, trap_results
from quell.replay.quality import Rate
from quell.replay.simulate import DEFAULT_START, describe
from quell.replay.simulate_campaigns import Campaign
from quell.signals.show import show_duration, show_time

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from quell.engine.stepper import Stepper


def print_day(engine: Stepper, day: Day, events: int) -> None:
    """The whole report."""
    out = console()
    campaigns = describe(day.seed, events)
    _print_heading(out, engine, day)
    _print_hours(out, day)
    _print_mix(out, day)
    _print_abuse(out, day)
    _print_traps(out, trap_results(day, campaigns))
    _print_rules(out, engine, day)
    _print_quality(out, day)
    _print_samples(out, day)
    _print_refused(out, day)


def _heading(out: Console, text: str) -> None:
    out.print()
    out.print(text, style="bold")


def _print_heading(out: Console, engine: Stepper, day: Day) -> None:
    summary = day.summary
    rules = sum(r.mode == "live" for r in summary.rules.values())
    out.print(
        words(("One day of a community platform, decided by the starter bundle", "bold")), soft_wrap=True
    )
    what = f"{summary.total:,} simulated events (seed {day.seed}), {count(rules, 'live rule')}"
    out.print(f"{what}, bundle {engine.version}")
    out.print(
        words(
            (f"decided in {seconds(day.deciding)}, {rate(summary.total, day.deciding)}", "bold cyan"),
            f" on one core, from JSON bytes (making the day: {seconds(day.making)})",
        )
    )


def _print_hours(out: Console, day: Day) -> None:
    _heading(out, "Hour by hour, 00 to 23 UTC")
    styles = {"events": "cyan", "abuse": "red", "acted": "yellow"}
    names = {"events": "all events", "abuse": "abuse", "acted": "acted on"}
    for key, values in day.hours.items():
        top = values.index(max(values))
        busiest = f"most at {top:02d}:00, {values[top]:,}" if values[top] else "none"
        drawn = (spark(values, out.file), styles[key])
        out.print(words(f"  {names[key]:<12}", drawn, (f"  {busiest}", "dim")))


def _print_mix(out: Console, day: Day) -> None:
    from rich.columns import Columns
    from rich.padding import Padding

    summary = day.summary
    events = [(name, f"{n:,}", percent(n, summary.decided)) for name, n in ordered(summary.events).items()]
    verdicts = []
    most = max((summary.verdicts[v] for v in summary.order[1:]), default=0)
    for rank, verdict in enumerate(summary.order):
        n = summary.verdicts[verdict]
        style = verdict_style(rank, len(summary.order))
        drawn = bar(n / most, 10, out.file) if rank and most else ""
        verdicts.append(
            (words((verdict, style)), f"{n:,}", percent(n, summary.decided, 2), words((drawn, style)))
        )
    left = table(("event", "number>", "share>"), events)
    out.print()
    out.print(Columns([Padding(left, (0, 4, 0, 0)), table(("verdict", "number>", "share>", ""), verdicts)]))


def _print_abuse(out: Console, day: Day) -> None:
    _heading(
        out, f"Abuse: what was caught ({', '.join(day.positive[:-1])} or {day.positive[-1]}), and how fast"
    )
    rows = []
    for kind in kind_results(day):
        share = kind.caught / kind.events
        style = "green" if share >= 0.8 else "yellow" if share >= 0.5 else "red"
        caught = words((percent(kind.caught, kind.events), style))
        drawn = words((bar(share, 8, out.file), style))
        rows.append(
            (kind.kind, f"{kind.events:,}", caught, drawn, f"{kind.found} of {kind.campaigns}", _soon(kind))
        )
    out.print(table(("kind", "events>", "caught>", "", "campaigns>", "first action"), rows))
    out.print("a campaign's time and events until the first was acted on: medians", style="dim")


def _soon(kind: KindResult) -> str:
    if kind.delay is None or kind.nth is None:
        return "never"
    if kind.nth == 1:
        return "the first event"
    return f"{show_duration(kind.delay)}, at event {kind.nth:,}"


def _print_traps(out: Console, traps: Sequence[TrapResult]) -> None:
    passed = sum(t.alarms == 0 for t in traps)
    _heading(out, f"Traps for hasty rules: {passed} of {len(traps)} passed without a false alarm")
    rows = [
        (
            trap.kind.removeprefix("trap_"),
            f"{trap.events:,}",
            words((f"{trap.alarms:,}" if trap.alarms else "none", "red" if trap.alarms else "green")),
            trap.what[:1].lower() + trap.what[1:],
        )
        for trap in traps
    ]
    out.print(table(("trap", "events>", "alarms>", "what it is~"), rows, width=out.width))


def _print_rules(out: Console, engine: Stepper, day: Day) -> None:
    _heading(out, "Rules: how often each fired, and how much of that was abuse")
    rows: list[tuple[str | Text, ...]] = []
    for rule in day.summary.hit_rules:
        if not rule.fired:
            continue
        quality = day.quality.rule(rule.rule)
        exempts = any(isinstance(e, Exempt) for e in _effects(engine, rule.rule))
        if quality is None or exempts:
            rows.append((rule.rule, f"{rule.fired:,}", words(("-", "dim")), "", words(("exempts", "dim"))))
            continue
        precision = quality.precision
        rows.append(
            (rule.rule, f"{rule.fired:,}", _share(precision), _interval(precision), _mostly(quality.kinds))
        )
    out.print(table(("rule", "fired>", "precision>", "95%>", "mostly on~"), rows, width=out.width))
    shadow = [f"{r.rule} {r.shadow:,}" for r in day.summary.hit_rules if r.shadow]
    if shadow:
        out.print(words(("in shadow, would have fired: ", "dim"), ", ".join(shadow)))
    held = [f"{r.rule} {r.held.total():,}" for r in day.summary.hit_rules if r.held]
    if held:
        out.print(words(("matched and held back by exemptions or rollout: ", "dim"), ", ".join(held)))
    if day.summary.silent_rules:
        out.print(words(("never matched: ", "dim"), ", ".join(day.summary.silent_rules)))


def _effects(engine: Stepper, rule: str) -> Sequence[Any]:
    return engine.bundle.analysis.symbols.rules[rule].effects


def _share(of: Rate) -> Text:
    value = of.value
    if value is None:
        return words(("-", "dim"))
    style = "green" if value >= 0.9 else "yellow" if value >= 0.5 else "red"
    return words((percent(of.hits, of.of), style))


def _interval(of: Rate) -> Text:
    low, high = of.interval
    return words((f"{floor(100 * low)}-{ceil(100 * high)}", "dim"))


def _mostly(kinds: Mapping[str, int]) -> str:
    shown = [f"{kind} {n:,}" for kind, n in list(kinds.items())[:2]]
    return ", ".join(shown)


def _print_quality(out: Console, day: Day) -> None:
    quality = day.quality
    _heading(out, "Together")
    parts = (
        ("precision", quality.precision, "of what was acted on was abuse"),
        ("recall", quality.recall, "of the abuse was acted on"),
        ("false alarms", quality.false_positives, "of ordinary events were acted on"),
    )
    rows = []
    for name, of, what in parts:
        low, high = of.interval
        digits = 3 if name == "false alarms" else 1
        bounds = f"95%: {100 * low:.{digits}f}-{100 * high:.{digits}f}"
        rows.append((name, words((percent(of.hits, of.of, digits), "bold")), what, words((bounds, "dim"))))
    out.print(table(("", ">", "", ""), rows, header=False))


def _print_samples(out: Console, day: Day) -> None:
    if not day.samples:
        return
    _heading(out, "The first of each kind that was caught")
    ladder = day.summary.order
    for sample in day.samples:
        decision = sample.decision
        decisive = next((f for f in decision.fired if f.verdict == decision.verdict), decision.fired[0])
        style = verdict_style(ladder.index(decision.verdict), len(ladder))
        line = words(
            (f"{show_time(sample.at)[11:19]}  ", "dim"),
            (decision.verdict, style),
            f" by {decisive.rule}",
            (f"  {sample.kind}", "dim"),
        )
        out.print(line)
        if decisive.message:
            out.print(f"          because {visible(decisive.message)}", no_wrap=True, overflow="ellipsis")
        out.print(words(("          " + visible(sample.text, 400), "dim")), no_wrap=True, overflow="ellipsis")


def _print_refused(out: Console, day: Day) -> None:
    summary = day.summary
    if not summary.turned_away:
        return
    _heading(out, f"Refused: {count(summary.turned_away, 'broken event')} that no rule should see")
    for trouble in sorted(summary.refused.values(), key=lambda t: (-t.count, t.kind)):
        _, message = trouble.samples[0]
        line = words(f"{trouble.count:>3} × ", (f"{trouble.kind}  ", "bold"), (visible(message, 300), "dim"))
        out.print(line, no_wrap=True, overflow="ellipsis")


def as_json(engine: Stepper, day: Day, events: int) -> dict[str, Any]:
    """The whole report, JSON-ready; times in seconds."""
    quality = day.quality
    campaigns = describe(day.seed, events)
    return {
        "seed": day.seed,
        "start": DEFAULT_START,
        "bundle": "starter",
        "version": engine.version,
        "acted_on": list(day.positive),
        "seconds": {"making": round(day.making, 3), "deciding": round(day.deciding, 3)},
        "events_per_second": round(day.summary.total / day.deciding) if day.deciding else None,
        "summary": day.summary.as_json(),
        "hours": day.hours,
        "precision": _rate(quality.precision),
        "recall": _rate(quality.recall),
        "false_alarms": _rate(quality.false_positives),
        "rules": [
            {"rule": r.rule, "precision": _rate(r.precision), "on": dict(r.kinds)} for r in quality.rules
        ],
        "abuse": [
            {
                "kind": k.kind,
                "events": k.events,
                "caught": k.caught,
                "campaigns": k.campaigns,
                "campaigns_caught": k.found,
                "median_seconds_to_action": None if k.delay is None else k.delay / 1_000_000,
                "median_events_to_action": k.nth,
            }
            for k in kind_results(day)
        ],
        "campaigns": [_campaign(p.campaign, p.caught, p.delay, p.nth) for p in day.pursuits.values()],
        "traps": [
            {"kind": t.kind, "what": t.what, "events": t.events, "false_alarms": t.alarms}
            for t in trap_results(day, campaigns)
        ],
    }


def _campaign(campaign: Campaign, caught: int, delay: int | None, nth: int | None) -> dict[str, Any]:
    return {
        "name": campaign.name,
        "kind": campaign.kind,
        "what": campaign.what,
        "start": campaign.start,
        "end": campaign.end,
        "accounts": campaign.accounts,
        "events": campaign.events,
        "caught": caught,
        "seconds_to_action": None if delay is None else delay / 1_000_000,
        "events_to_action": nth,
    }


def _rate(of: Rate) -> dict[str, Any]:
    low, high = of.interval
    value = of.value
    return {
        "hits": of.hits,
        "of": of.of,
        "value": None if value is None else round(value, 6),
        "low": round(low, 6),
        "high": round(high, 6),
    }
