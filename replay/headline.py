"""What a change of policies comes to, in one or two sentences, for every report that shows a comparison."""

from __future__ import annotations

from quell.engine.cli_output import count, percent
from quell.replay.report_data import Backtest, Comparison, Differences, Quality, RuleChange

_KINDS = {
    "rules": "which rules fire",
    "messages": "what messages say",
    "labels": "which labels are set",
    "sends": "what is sent",
    "held": "what is held back",
    "shadow": "what rules in shadow would do",
    "refused": "which events are refused",
}
"""What else than the verdict may differ, in the order in which it is told."""


def headline(made: Comparison) -> str:
    """What the change comes to."""
    if made.same:
        return f"Nothing changes: {count(made.events, 'event')} are decided exactly as before."
    if not made.changed:
        return f"No verdict changes. {_else(made)}"
    share = percent(made.changed, made.events, 2)
    ways = []
    if made.harsher:
        ways.append(f"{made.harsher:,} harsher")
    if made.milder:
        ways.append(f"{made.milder:,} milder")
    told = f" ({', '.join(ways)})" if ways else ""
    gets = "gets" if made.changed == 1 else "get"
    first = f"{count(made.changed, 'event')} of {made.events:,} ({share}) {gets} another verdict{told}."
    return f"{first} {_turned(made)}".rstrip()


def _turned(made: Comparison) -> str:
    parts = []
    if made.caught:
        told = f"{made.caught:,} {_was(made.caught)} let through before and {_is(made.caught)} not now"
        parts.append(told + _labels(made.caught_labels))
    if made.let_go:
        told = f"{made.let_go:,} {_was(made.let_go)} not let through before and {_is(made.let_go)} now"
        parts.append(told + _labels(made.let_go_labels))
    return "; ".join(parts) + "." if parts else ""


def _labels(counts: tuple[int, int] | None) -> str:
    """How many of some events are labelled positive and negative, where there are labels."""
    return "" if counts is None else f" ({counts[0]:,} labelled positive, {counts[1]:,} negative)"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _else(made: Comparison) -> str:
    told = other(made.differences)
    if not told:
        return f"Decisions differ in names only: {count(made.differences.names, 'event')}."
    return f"On {count(made.differences.events, 'event')} something else does: {', '.join(told)}."


def other(differences: Differences) -> list[str]:
    """What differs beside verdicts, each with the number of its events."""
    counts = {kind: getattr(differences, kind) for kind in _KINDS}
    return [f"{_KINDS[kind]} ({n:,})" for kind, n in counts.items() if n]


def change(rule: RuleChange) -> str:
    """What happened to a rule, in a few words."""
    if rule.status in ("new", "gone"):
        return rule.status + (" (in shadow)" if "shadow" in (rule.mode_before, rule.mode_after) else "")
    parts = []
    if rule.was:
        parts.append(f"was called {rule.was}")
    for part in rule.changed:
        parts.append(f"{rule.mode_before} → {rule.mode_after}" if part == "mode" else part)
    return ", ".join(parts) or "itself the same"


def overall(report: Backtest) -> Quality | None:
    """How well everything but the mildest verdict agrees with the labels."""
    return next((v.quality for v in report.verdicts[1:] if v.quality is not None), None)
