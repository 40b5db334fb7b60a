"""`--fail-if`: conditions on the figures of a backtest or a comparison, for a pull request to be stopped by.

A count compared with a percentage is taken as a share of its base, which the figure's row names. What cannot
be told, such as the precision of a rule that caught nothing with a label, is neither true nor false; a gate
that comes down to it fails, since nobody knows that it holds.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from quell.engine.cli_output import percent as as_percent
from quell.grammar.diagnostics import did_you_mean
from quell.replay.gate_text import Compared, Condition, GateError, Joined, read_gate
from quell.replay.report_data import Backtest, Comparison, Gate, Quality, Rate, RuleChange

_COMPARE: dict[str, Callable[[Fraction, Fraction], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
NEW = "new_"
Takes = Literal["", "rule", "verdict", "rule or verdict"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: what it says, what stands in its parentheses, what a percentage of it is of (empty: it is a
    share itself; `none`: there is nothing), and what it needs."""

    says: str
    base: str = "events"
    takes: Takes = ""
    optional: bool = False
    against: bool = False
    labelled: bool = False


def _rate(says: str, **more: bool) -> Figure:
    return Figure(says, "", "rule or verdict", True, labelled=True, **more)


FIGURES: dict[str, Figure] = {
    "new_blocks": Figure(
        "events that are blocked now and were not; likewise new_ and any verdict", against=True
    ),
    "new": Figure("the same for a verdict of any name", takes="verdict", against=True),
    "changed": Figure("events whose verdict is another", against=True),
    "harsher": Figure("events whose verdict is harsher", against=True),
    "milder": Figure("events whose verdict is milder", against=True),
    "newly_caught": Figure("events that had the mildest verdict and have another", against=True),
    "newly_let_go": Figure("events that have the mildest verdict and had another", against=True),
    "new_hits": Figure("events on which a live rule newly fires", against=True),
    "newly": Figure("events on which this rule newly fires", takes="rule", against=True),
    "no_longer": Figure("events on which this rule no longer fires", takes="rule", against=True),
    "newly_refused": Figure("events that are refused now and were not", against=True),
    "cold": Figure("counters that begin cold", "none", against=True),
    "verdict": Figure("events with this verdict", takes="verdict"),
    "hits": Figure("events on which this rule fires, or would in shadow", takes="rule"),
    "refused": Figure("records that are refused", "records"),
    "missing": Figure("conditions that are missing", "conditions asked", "rule", True),
    "precision": _rate("of what is caught and has a label, how much is right"),
    "recall": _rate("of what should be caught, how much is"),
    "false_positives": _rate("of what should not be caught, how much is"),
    "precision_drop": _rate("precision before, less precision now", against=True),
    "recall_drop": _rate("recall before, less recall now", against=True),
}
"""Every figure that a gate may name."""


@dataclass(frozen=True, slots=True)
class Known:
    """What gates may speak of: names of rules and verdicts, whether two bundles are compared, whether there
    are labels."""

    rules: frozenset[str]
    verdicts: frozenset[str]
    against: bool
    labelled: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """A gate that was read and speaks of what there is."""

    text: str
    condition: Condition


def gate_of(text: str, known: Known) -> Checked:
    """Read a gate before any work is done. Raises GateError."""
    condition = read_gate(text)
    for compared in _comparisons(condition):
        _check(compared, text, known)
    return Checked(text, condition)


def _comparisons(condition: Condition) -> list[Compared]:
    if isinstance(condition, Compared):
        return [condition]
    return [c for part in condition.parts for c in _comparisons(part)]


def _check(compared: Compared, text: str, known: Known) -> None:
    name, argument = compared.figure, compared.argument
    verdict = new_verdict(compared, known.verdicts)
    figure = FIGURES["new"] if verdict is not None else FIGURES.get(name)

    def error(message: str, hint: str | None = None) -> GateError:
        return GateError(message, text, compared.at, hint)

    if figure is None or (name == "new_blocks" and verdict is None):
        raise error(f"there is no figure `{name}`", _near(name, known))
    if figure.against and not known.against:
        raise error(f"`{name}` compares two versions", "say with --against which other one")
    if figure.labelled and not known.labelled:
        raise error(f"`{name}` needs labels", "say with --labels what events really were")
    if not figure.base and not compared.percent and abs(compared.value) > 1:
        raise error(
            f"`{name}` is a share, and never more than 1",
            f"write {name} {compared.op} {float(compared.value):g}%",
        )
    if figure.base == "none" and compared.percent:
        raise error(f"`{name}` is a number, and no share of anything", f"write {name} > 0")
    if verdict is not None:
        if argument is not None and name != "new":
            raise error(f"`{name}` takes nothing in parentheses")
        return
    if argument is None:
        if figure.takes and not figure.optional:
            raise error(f"`{name}` needs a {figure.takes}", f"write {name}(…)")
        return
    if not figure.takes:
        raise error(f"`{name}` takes nothing in parentheses")
    names = {"rule": known.rules, "verdict": known.verdicts}.get(figure.takes, known.rules | known.verdicts)
    if argument not in names:
        raise error(f"there is no {figure.takes} `{argument}`", did_you_mean(argument, names))


def new_verdict(compared: Compared, verdicts: frozenset[str]) -> str | None:
    """The verdict that `new_block`, `new_blocks` or `new(block)` speaks of."""
    if compared.figure == "new":
        return compared.argument if compared.argument in verdicts else None
    name = compared.figure.removeprefix(NEW)
    if name == compared.figure or (compared.figure in FIGURES and compared.figure != "new_blocks"):
        return None
    return next((v for v in (name, name.removesuffix("s")) if v in verdicts), None)


def _near(name: str, known: Known) -> str:
    names = [*(n for n in FIGURES if n != "new_blocks"), *(NEW + v + "s" for v in sorted(known.verdicts))]
    near = did_you_mean(name, names)
    return (near + " figures" if near else "figures") + " are " + ", ".join(names)


# ------------------------------------------------------------------------------------- judging


@dataclass(frozen=True, slots=True)
class _Value:
    """A figure as it came out, None where it cannot be told; `of` what a percentage is of (None: there is
    nothing, or it is a share itself and has no `unit`)."""

    value: Fraction | int | None
    of: int | None = None
    unit: str = ""


def judge(gate: Checked, report: Backtest | Comparison) -> Gate:
    """Whether a gate fails on what came out."""
    results: list[tuple[bool | None, _Value, Compared]] = []
    failed = _holds(gate.condition, report, results)
    told = next((r for r in results if r[0] is not False), results[0])
    shown = ", ".join(dict.fromkeys(_shown(c, value) for _, value, c in results))
    value = told[1].value
    return Gate(gate.text, None if value is None else float(value), failed is not False, shown)


def _holds(
    condition: Condition, report: Backtest | Comparison, results: list[tuple[bool | None, _Value, Compared]]
) -> bool | None:
    """True, false, or None where it cannot be told (Kleene)."""
    if isinstance(condition, Joined):
        parts = [_holds(part, report, results) for part in condition.parts]
        decisive = condition.word == "or"
        if decisive in parts:
            return decisive
        return None if None in parts else not decisive
    value = _value(condition, report)
    result = None
    share = condition.percent and value.of is not None
    if value.value is not None and (value.of or not share):  # of no events nothing is a share
        figure = Fraction(value.value)
        if share and value.of is not None:
            figure /= value.of
        result = _COMPARE[condition.op](figure, condition.value)
    results.append((result, value, condition))
    return result


def _shown(compared: Compared, value: _Value) -> str:
    name = compared.figure + (f"({compared.argument})" if compared.argument is not None else "")
    if value.value is None:
        return f"{name} cannot be told"
    if value.of is None:
        return (
            f"{name} is {int(value.value):,}" if value.unit else f"{name} is {float(100 * value.value):.2f}%"
        )
    share = as_percent(float(value.value), value.of, 2)
    return f"{name} is {int(value.value):,} ({share} of {value.of:,} {value.unit})"


def _value(compared: Compared, report: Backtest | Comparison) -> _Value:
    after = report if isinstance(report, Backtest) else report.after
    name, argument = compared.figure, compared.argument
    if name in ("precision", "recall", "false_positives"):
        return _Value(_share(_quality(after, argument), name))
    if name == "refused":
        return _Value(after.source.refused, after.source.records, "records")
    if name == "missing":
        rows = [r for r in after.rules if argument in (None, r.rule)]
        known = [r for r in rows if r.missing is not None]
        asked = sum(r.events for r in known)
        return _Value(sum(r.missing or 0 for r in known) if known else None, asked, "conditions asked")
    if name == "hits":
        return _Value(sum(r.fired for r in after.rules if r.rule == argument), after.events, "events")
    if name == "verdict":
        return _Value(sum(v.count for v in after.verdicts if v.verdict == argument), after.events, "events")
    assert isinstance(report, Comparison)
    return _of_change(name, argument, compared, report)


def _of_change(name: str, argument: str | None, compared: Compared, report: Comparison) -> _Value:
    if name in ("precision_drop", "recall_drop"):
        of = name.removesuffix("_drop")
        old = next((r.was for r in report.rules if r.rule == argument and r.was), argument)
        was = _share(_quality(report.before, old), of)
        now = _share(_quality(report.after, argument), of)
        return _Value(None if was is None or now is None else was - now)
    if name == "cold":
        return _Value(sum(c.status != "gone" for c in report.counters), None, "counters")
    if name in ("newly", "no_longer"):
        found = next((r for r in report.rules if argument in (r.rule, r.was)), None)
        count = 0 if found is None else _hits(found, name)
        return _Value(count, report.after.events, "events")
    if name == "newly_refused":
        return _Value(report.newly_refused, report.after.source.records, "records")
    counts = {
        "changed": report.changed,
        "harsher": report.harsher,
        "milder": report.milder,
        "newly_caught": report.caught,
        "newly_let_go": report.let_go,
        "new_hits": report.differences.newly_hit,
    }
    if name in counts:
        return _Value(counts[name], report.events, "events")
    verdict = new_verdict(compared, frozenset(report.ladder))
    flows = [f.count for f in report.flows if f.after == verdict and f.before != verdict]
    return _Value(sum(flows), report.events, "events")


def _hits(rule: RuleChange, name: str) -> int:
    return rule.newly if name == "newly" else rule.no_longer


def _quality(report: Backtest, of: str | None) -> Quality | None:
    """How well a rule did, or a verdict and those above it; without a name, all but the mildest verdict."""
    if of is None:
        return next((v.quality for v in report.verdicts[1:] if v.quality is not None), None)
    rule = next((r for r in report.rules if r.rule == of), None)
    verdict = next((v for v in report.verdicts if v.verdict == of), None)
    row = rule or verdict
    return None if row is None else row.quality


def _share(quality: Quality | None, of: str) -> Fraction | None:
    if quality is None:
        return None
    rate: Rate = getattr(quality, of)
    return Fraction(rate.hits, rate.of) if rate.of else None
