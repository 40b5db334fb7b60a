"""What `quell tune` says, as plain data: the sweep, the constants, the proposed edit, what to know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quell.grammar.diagnostics import plain
from quell.grammar.literals import spell_percent
from quell.replay.labels import Truth
from quell.replay.report_data import ConstantRow, CurvePoint, FixedRow, GridPoint, Labelled, Proposal, Tuning
from quell.replay.tune import Tuned
from quell.replay.tune_constants import Constant, Found, NoSweep, chosen
from quell.replay.tune_edit import Edit, edit
from quell.replay.tune_feedback import changed_rules, dependants
from quell.replay.tune_goal import Goal, advise
from quell.replay.tune_settings import read, spell

Also = Callable[[Constant], list[float]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be edited: values for constants as the command line gives them (`3=12`), or a goal."""

    settings: tuple[str, ...] = ()
    goal: Goal | None = None


def report_of(
    tuned: Tuned, policies: str, wish: Wish, seconds: float, truth: Truth | None = None
) -> tuple[Tuning, Edit | None]:
    """The report of a sweep, and the edit that it proposes. Raises NoSweep."""
    outcome, found = tuned.rows.outcome, tuned.found
    build = outcome.history.build
    mode = found.rule.mode.name if found.rule.mode is not None else "live"
    swept = {c.number for c in tuned.constants}
    report = Tuning(
        bundle=build.analysis.files.settings.name or build.analysis.files.name,
        policies=policies,
        version=build.version,
        rule=found.rule.name.name,
        mode="shadow" if mode == "shadow" else "live",
        files=list(outcome.history.files),
        events=outcome.history.events,
        of=tuned.rows.asked.events,
        constants=[_row(c, tuned, c.number in swept) for c in found.constants],
        fixed=[FixedRow(f.text, f.compared, f.place, f.why) for f in found.fixed],
        seconds=seconds,
        curve=tuned.curve,
        grid=tuned.grid,
        labelled=_labelled(tuned, truth),
        goal=wish.goal.text if wish.goal is not None else None,
        notes=_notes(tuned) + (truth.notes if truth is not None else []),
    )
    return report, _propose(report, tuned, wish)


def _labelled(tuned: Tuned, truth: Truth | None) -> Labelled | None:
    """How many of the events that the rule was asked about have a label."""
    asked = tuned.rows.asked
    if truth is None or asked.positive is None or asked.negative is None:
        return None
    rest = asked.events - asked.positive - asked.negative
    return Labelled(truth.labelled.text, asked.positive, asked.negative, rest)


def _row(constant: Constant, tuned: Tuned, swept: bool) -> ConstantRow:
    return ConstantRow(
        constant.number,
        constant.text,
        constant.compared,
        constant.place,
        constant.kind,
        swept,
        constant.inside,
        list(constant.readers),
        tuned.impact.get(constant.number),
    )


# ------------------------------------------------------------------------------------ the proposal


def _propose(report: Tuning, tuned: Tuned, wish: Wish) -> Edit | None:
    """Add the edit that was asked for, or that the goal leads to."""
    if wish.settings:
        values = _asked(tuned, wish.settings)
        return _proposed(report, tuned, values, "as asked", ())
    if wish.goal is None:
        return None
    points = points_of(report)
    now = next(i for i, p in enumerate(points) if texts_of(p) == tuple(c.text for c in tuned.constants))
    advice = advise(wish.goal, points, report.of, now)
    report.advice = advice.text
    if advice.place is None:
        return None
    texts = texts_of(points[advice.place])
    report.advice = f"{' and '.join(texts)} {advice.text}"
    values = [(c, read(c, text)) for c, text in zip(tuned.constants, texts, strict=True)]
    if advice.place == now:
        report.advice += ", and stands there already"
    return _proposed(report, tuned, values, report.advice, advice.cautions)


def points_of(report: Tuning) -> Sequence[CurvePoint | GridPoint]:
    """All settings of a sweep."""
    if report.grid is not None:
        return report.grid.points
    return report.curve.points if report.curve is not None else []


def texts_of(point: CurvePoint | GridPoint) -> tuple[str, ...]:
    """The values of a setting as the policy would have them."""
    return point.texts if isinstance(point, GridPoint) else (point.text,)


def _proposed(
    report: Tuning,
    tuned: Tuned,
    values: Sequence[tuple[Constant, float]],
    why: str,
    cautions: Sequence[str],
) -> Edit:
    made = edit(tuned.rows.sweep.analysis, values)
    warnings = [plain(d, made.sources) for d in made.warnings]
    texts = {c.number: spell(c, value) for c, value in values}
    report.proposal = Proposal(texts, why, made.diff(_folder(report.policies)), [*cautions], warnings)
    return made


def _folder(policies: str) -> str:
    """What stands before the names in a diff, such that it applies where the command was given."""
    inside = policies.strip("/") not in ("", ".") and not policies.startswith(("/", ".", "~"))
    return policies.rstrip("/") + "/" if inside else ""


def _asked(tuned: Tuned, settings: Sequence[str]) -> list[tuple[Constant, float]]:
    """`3=12` as a constant and its value; without a number, of the one that was swept."""
    out: list[tuple[Constant, float]] = []
    for text in settings:
        name, equals, value = text.rpartition("=")
        if not equals:
            if len(tuned.constants) > 1:
                raise NoSweep(f"`{text}` does not say of which constant", f"write --set 1={text}")
            constant, value = tuned.constants[0], text
        else:
            constant = chosen(tuned.found, [name])[0]
        if any(c.number == constant.number for c, _ in out):
            raise NoSweep(f"`{constant.compared}` is set twice")
        out.append((constant, read(constant, value.strip())))
    return out


def wished(found: Found, wish: Wish, asked: Sequence[str]) -> tuple[list[str], Also]:
    """Which constants to sweep, given which are asked for and which are to be set; and the values that they
    are to be set to, which are swept besides."""
    names = [text.rpartition("=")[0].strip() for text in wish.settings if "=" in text]
    swept = list(asked) or names[:2]

    def also(constant: Constant) -> list[float]:
        out = []
        for text in wish.settings:
            name, equals, value = text.rpartition("=")
            if not equals or chosen(found, [name])[0].number == constant.number:
                out.append(read(constant, value.strip()))
        return out

    return swept, also


# -------------------------------------------------------------------------------------- what to know


def _notes(tuned: Tuned) -> list[str]:
    """What the figures leave out."""
    rule = tuned.found.rule
    out = []
    analysis = tuned.rows.sweep.analysis
    others = sorted(changed_rules(analysis, rule, tuned.constants) - {rule.name.name})
    if others:
        out.append(f"the edit changes other rules as well, which read the same constant: {_some(others)}")
    if tuned.feedback:
        out.append(
            f"{rule.name.name} hangs on what {_some(tuned.feedback)} did (firings or labels), which the "
            "constant changes too: "
            "that is held as it was replayed, so the figures are not exact"
        )
    reading = dependants(analysis, rule.name.name)
    if reading:
        out.append(
            f"what {_some(reading)} would make of it is not in the figures, which read what the rule does: "
            "quell replay with --against shows all that an edit changes"
        )
    if tuned.unclear:
        out.append("no constant of the rule makes a difference on this history: choose one with --constant")
    if rule.rollout is not None:
        out.append(
            f"hits are events inside the rollout of {spell_percent(rule.rollout.share)}, which stays as it is"
        )
    return out


def _some(names: Sequence[str]) -> str:
    """Some of several names."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
