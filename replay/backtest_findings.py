"""What of a backtest deserves a look: rules that never fire, add nothing, or mostly have no answer."""

from __future__ import annotations

from quell.replay.report_data import Backtest, RuleRow

MUCH_MISSING = 0.2
"""From this share of missing answers on a rule is worth a look."""


def covered(report: Backtest) -> list[tuple[RuleRow, str | None]]:
    """The live rules that fired and never alone, the most frequent first, each with the rule that fires on
    all of the same events, if one does."""
    by: dict[str, tuple[int, str]] = {}
    fired = {r.rule: r.fired for r in report.rules if r.mode == "live"}
    for pair in report.overlaps:
        for rule, other, share in ((pair.a, pair.b, pair.of_a), (pair.b, pair.a, pair.of_b)):
            if share == 1 and other in fired:
                by[rule] = min(by.get(rule, (fired[other], other)), (fired[other], other))
    found = [r for r in report.rules if r.mode == "live" and r.fired and not r.only]
    found.sort(key=lambda r: (-r.fired, r.rule))
    return [(r, by[r.rule][1] if r.rule in by else None) for r in found]


def held_back(report: Backtest) -> list[RuleRow]:
    """The rules that matched and never fired, since a rollout or an exemption held each hit back."""
    found = [r for r in report.rules if r.held and not r.fired]
    return sorted(found, key=lambda r: (-r.held, r.rule))


def lame(report: Backtest) -> list[RuleRow]:
    """The rules whose condition was missing on many of their events, the worst first."""
    found = [r for r in report.rules if r.missing is not None and r.missing > MUCH_MISSING * r.events]
    return sorted(found, key=lambda r: (-(r.missing or 0) / max(1, r.events), r.rule))


def never_present(report: Backtest) -> list[str]:
    """Fields that policies read and no event has."""
    return [f"{c.event}.{c.field}" for c in report.source.coverage if c.read and c.of and not c.present]
