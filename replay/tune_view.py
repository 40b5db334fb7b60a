"""A sweep as a person reads it in a terminal: the curve as a table, the constants, the proposed diff."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor
from typing import IO, TYPE_CHECKING

from quell.engine.cli_output import bar, console, count, percent, seconds, stdout, table, utf8, visible, words
from quell.replay.cli_replay_tables import heading
from quell.replay.cli_replay_view import print_pairs
from quell.replay.report_data import Curve, CurvePoint, Grid, GridPoint, Quality, Rate, Tuning
from quell.replay.tune_settings import spread

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

ROWS = 24
"""Settings of a curve that are shown; JSON has all."""
GRID_ROWS = 14
_BAR = 10


def print_tuning(report: Tuning, stream: IO[str] | None = None) -> None:
    """The whole report."""
    out = console(stream if stream is not None else stdout())
    _print_heading(out, report)
    if report.curve is not None:
        _print_curve(out, report, report.curve)
    if report.grid is not None:
        _print_grid(out, report, report.grid)
    _print_constants(out, report)
    if report.notes:
        heading(out, "To know")
        sign = "•" if utf8(out.file) else "-"
        print_pairs(out, [(sign, note) for note in report.notes])
    _print_proposal(out, report)


def _print_heading(out: Console, report: Tuning) -> None:
    curves = [report.curve] if report.curve is not None else list(report.grid.axes if report.grid else ())
    compared = " and ".join(c.compared for c in curves)
    shadow = ", which is in shadow" if report.mode == "shadow" else ""
    out.print(
        words(
            ("What ", "bold"),
            (report.rule, "bold cyan"),
            (" would hit at other values of ", "bold"),
            (visible(compared), "bold cyan"),
            (shadow, "bold"),
        ),
        soft_wrap=True,
    )
    for c in curves:
        where = f"{c.place}, in {c.inside}" if c.inside else c.place
        more = f": {c.more} values hit more" if c.more else ""
        out.print(words((f"{c.text} at {where}{more}", "dim")), soft_wrap=True)
    asked = f", {report.of:,} of which it is asked about" if report.of != report.events else ""
    out.print(f"{count(report.events, 'event')}{asked}, replayed once, in {seconds(report.seconds)}")
    if report.labelled is not None:
        labels = report.labelled
        told = f"{labels.positive:,} positive, {labels.negative:,} negative"
        out.print(f"{told}, {labels.unlabelled:,} without a label")


# ------------------------------------------------------------------------------------------- curve


def _print_curve(out: Console, report: Tuning, curve: Curve) -> None:
    points = curve.points
    now = next((i for i, p in enumerate(points) if p.text == curve.text), 0)
    proposed = set(report.proposal.values.values()) if report.proposal is not None else set()
    keep = {now, *(i for i, p in enumerate(points) if p.text in proposed)}
    shown = [points[i] for i in spread(len(points), keep, ROWS)]
    most = max((p.hits for p in points), default=0)
    labelled = any(p.quality is not None for p in points)
    people = any(p.entities is not None for p in points)
    out.print()
    wide = not labelled or out.width >= 100
    columns = ["value>", "hits>", *[""] * wide, "change>", *["entities>"] * people]
    columns += ["precision>", "95%", "recall>", "95%"] * labelled
    rows = [_row(out, curve, p, most, (people, labelled, wide), p.text in proposed) for p in shown]
    out.print(table(columns, rows, width=out.width))
    if len(shown) < len(points):
        out.print(words((f"{len(shown)} of {len(points)} settings (--json has all)", "dim")))


def _row(
    out: Console, curve: Curve, point: CurvePoint, most: int, has: tuple[bool, bool, bool], proposed: bool
) -> list[str | Text]:
    people, labelled, wide = has
    current = point.text == curve.text
    style = "bold cyan" if current else "bold green" if proposed else ""
    mark = "now " if current else "chosen " if proposed else ""
    width = _BAR if labelled else 2 * _BAR
    drawn = bar(point.hits / most if most else 0, width, out.file)
    change = [f"+{point.newly:,}"] * bool(point.newly) + [f"-{point.no_longer:,}"] * bool(point.no_longer)
    cells: list[str | Text] = [
        words((mark + point.text, style)),
        words((f"{point.hits:,}", style)),
        *[words((drawn, style or "cyan"))] * wide,
        " ".join(change),
    ]
    if people:
        cells.append("" if point.entities is None else f"{point.entities:,}")
    return cells + _rates(point.quality) if labelled else cells


def _rates(quality: Quality | None) -> list[str | Text]:
    if quality is None:
        return ["", "", "", ""]
    out: list[str | Text] = []
    for rate in (quality.precision, quality.recall):
        out += [percent(rate.hits, rate.of), _bounds(rate)]
    return out


def _bounds(rate: Rate) -> Text:
    """A confidence interval in whole percent, rounded outwards."""
    return words((f"{floor(100 * rate.low)}-{ceil(100 * rate.high)}" if rate.of else "", "dim"))


# -------------------------------------------------------------------------------------------- grid


def _print_grid(out: Console, report: Tuning, grid: Grid) -> None:
    first, second = grid.axes
    by = {p.texts: p for p in grid.points}
    room = max(3, (out.width - 14) // 10)
    rows = _shown(first, report, GRID_ROWS)
    columns = _shown(second, report, room)
    _print_matrix(out, "Hits", (first, second), rows, columns, by, lambda p: f"{p.hits:,}")
    if any(p.quality is not None for p in grid.points):
        for name in ("precision", "recall"):

            def rate(p: GridPoint, name: str = name) -> str:
                found = getattr(p.quality, name)
                return percent(found.hits, found.of, 0)

            _print_matrix(out, name.capitalize(), (first, second), rows, columns, by, rate)


def _shown(axis: Curve, report: Tuning, most: int) -> list[str]:
    texts = [p.text for p in axis.points]
    proposed = set(report.proposal.values.values()) if report.proposal is not None else set()
    keep = {i for i, t in enumerate(texts) if t == axis.text or t in proposed}
    return [texts[i] for i in spread(len(texts), keep, most)]


def _print_matrix(
    out: Console,
    what: str,
    axes: tuple[Curve, Curve],
    rows: Sequence[str],
    columns: Sequence[str],
    by: dict[tuple[str, str], GridPoint],
    cell: Callable[[GridPoint], str],
) -> None:
    first, second = axes
    heading(out, what, f"down: {first.compared}, across: {second.compared}")
    lines: list[list[str | Text]] = []
    for a in rows:
        line: list[str | Text] = [words((a, "bold cyan" if a == first.text else ""))]
        for b in columns:
            both = a == first.text and b == second.text
            line.append(words((cell(by[(a, b)]), "bold cyan" if both else "")))
        lines.append(line)
    out.print(table(["", *(f"{c}{'*' * (c == second.text)}>" for c in columns)], lines, width=out.width))


# ------------------------------------------------------------------------------------ what there is


def _print_constants(out: Console, report: Tuning) -> None:
    heading(out, "Constants", "--constant N sweeps another, two of them make a grid")
    looked = any(c.without is not None for c in report.constants)
    rows: list[list[str | Text]] = []
    for c in report.constants:
        style = "bold cyan" if c.swept else ""
        cells: list[str | Text] = [words((str(c.number), style)), words((visible(c.compared), style))]
        others = f" (and {count(len(c.readers), 'rule')})" if c.readers else ""
        cells += [(c.inside or "the rule") + others, c.place]
        if looked:
            cells.append("" if c.without is None else f"+{c.without:,}")
        rows.append(cells)
    columns = ["", "comparison~", "in~", "place", *["without it>"] * looked]
    out.print(table(columns, rows, width=out.width))
    if report.fixed:
        out.print()
        _print_fixed(out, report)


def _print_fixed(out: Console, report: Tuning) -> None:
    """What is not swept, by reason."""
    reasons: dict[str, dict[str, None]] = {}
    for f in report.fixed:
        reasons.setdefault(f.why, {})[f.compared] = None
    out.print(words(("not swept:", "dim")))
    for why, compared in reasons.items():
        names = "; ".join(visible(c, 60) for c in list(compared)[:3])
        more = f" and {len(compared) - 3} more" if len(compared) > 3 else ""
        print_pairs(out, [("", f"{names}{more}: {visible(why)}")])


def _print_proposal(out: Console, report: Tuning) -> None:
    if report.advice is not None:
        heading(out, "Advice", report.goal or "")
        out.print(report.advice)
    proposal = report.proposal
    if proposal is None:
        return
    for caution in proposal.cautions:
        out.print(words((caution, "yellow")))
    for warning in proposal.warnings:
        out.print(words((visible(warning), "yellow")), soft_wrap=True)
    if proposal.diff:
        out.print()
        for line in proposal.diff.splitlines():
            style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
            out.print(words((visible(line), style)), soft_wrap=True)
