"""A sweep as one picture: an SVG that any browser shows, in light and dark.

A curve has a bar of hits for each setting, and with labels lines of precision and recall with their 95 %
intervals as bands. A grid is a field of cells, the darker the more hits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from quell.replay.report_data import Curve, CurvePoint, Grid, Rate, Tuning
from quell.replay.tune_settings import spread

_WIDE, _HIGH = 860, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 56, 74, 64
_MOST_NAMES = 16
_STYLE = """
  svg { background: #fff; font: 13px system-ui, sans-serif; fill: #1c2430 }
  .title { font-size: 17px; font-weight: 600 } .dim { fill: #5b6675 } .axis { stroke: #c9d0d9 }
  .bar { fill: #b9cbe4 } .now { fill: #3b6fb6 } .better { fill: #2c8a57 }
  .precision, .recall { fill: none; stroke-width: 2 }
  .precision { stroke: #2c8a57 } .recall { stroke: #b3541e }
  .band-precision { fill: #2c8a57; opacity: .15 } .band-recall { fill: #b3541e; opacity: .15 }
  .key-precision { fill: #2c8a57 } .key-recall { fill: #b3541e } .cell { fill: #3b6fb6 }
  @media (prefers-color-scheme: dark) {
    svg { background: #14181f; fill: #e6eaf0 } .dim { fill: #9aa5b4 } .axis { stroke: #3a4350 }
    .bar { fill: #34507a } .now { fill: #7fb0f5 } .better { fill: #56c98a }
    .precision { stroke: #56c98a } .recall { stroke: #f0975b }
    .key-precision { fill: #56c98a } .key-recall { fill: #f0975b } .cell { fill: #7fb0f5 }
  }
"""


def picture(report: Tuning) -> str:
    """The picture of a sweep."""
    inside = _curve(report, report.curve) if report.curve is not None else ""
    if report.grid is not None:
        inside = _grid(report, report.grid)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH}" role="img">'
        f"<style>{_STYLE}</style>{inside}</svg>\n"
    )


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


def _heading(report: Tuning, compared: str) -> str:
    asked = f"{report.of:,} events, replayed once"
    return _text(_LEFT, 30, f"{report.rule}: {compared}", "title") + _text(_LEFT, 52, asked, "dim")


# ------------------------------------------------------------------------------------------- curve


def _curve(report: Tuning, curve: Curve) -> str:
    points = curve.points
    step = (_WIDE - _LEFT - _RIGHT) / max(1, len(points))
    most = max((p.hits for p in points), default=0) or 1

    def x(i: int) -> float:
        return _LEFT + (i + 0.5) * step

    out = [f"<title>{escape(curve.rule)}</title>", _heading(report, curve.compared)]
    better = set(report.proposal.values.values()) if report.proposal is not None else set()
    for i, p in enumerate(points):
        kind = "now" if p.text == curve.text else "better" if p.text in better else "bar"
        high = (_HIGH - _TOP - _BOTTOM) * p.hits / most
        out.append(
            f'<rect class="{kind}" x="{x(i) - step * 0.4:.1f}" y="{_HIGH - _BOTTOM - high:.1f}" '
            f'width="{step * 0.8:.1f}" height="{high:.1f}"><title>{escape(_told(p))}</title></rect>'
        )
    out += _axes(curve, most, x, ", the green one what is proposed" if better else "")
    if any(p.quality is not None for p in points):
        out += _rate(points, "precision", x) + _rate(points, "recall", x) + _shares()
    return "".join(out)


def _told(p: CurvePoint) -> str:
    told = f"{p.text}: {p.hits:,} hits"
    if p.entities is not None:
        told += f" on {p.entities:,} entities"
    if p.quality is not None and p.quality.precision.value is not None:
        told += f", precision {p.quality.precision.value:.1%}"
        if p.quality.recall.value is not None:
            told += f", recall {p.quality.recall.value:.1%}"
    return told


def _axes(curve: Curve, most: int, x: Callable[[int], float], chosen: str) -> list[str]:
    base = _HIGH - _BOTTOM
    now = [i for i, p in enumerate(curve.points) if p.text == curve.text]
    out = [f'<line class="axis" x1="{_LEFT}" x2="{_WIDE - _RIGHT}" y1="{base}" y2="{base}"/>']
    for share in (0.0, 0.5, 1.0):
        y = base - share * (base - _TOP)
        out.append(_text(_LEFT - 8, y + 4, f"{most * share:,.0f}", "dim", "end"))
    for i in spread(len(curve.points), now, _MOST_NAMES):
        kind = "now" if i in now else ""
        out.append(_text(x(i), base + 18, curve.points[i].text, kind, "middle"))
    told = f"hits at each value; the dark bar is what stands in the policy{chosen}"
    out.append(_text(_LEFT, base + 44, told, "dim"))
    return out


def _rate(points: Sequence[CurvePoint], name: str, x: Callable[[int], float]) -> list[str]:
    known: list[tuple[float, Rate, float]] = []
    for i, p in enumerate(points):
        rate: Rate | None = getattr(p.quality, name) if p.quality is not None else None
        if rate is not None and rate.value is not None:
            known.append((x(i), rate, rate.value))
    if not known:
        return []
    upper = [f"{at:.1f},{_level(r.high):.1f}" for at, r, _ in known]
    lower = [f"{at:.1f},{_level(r.low):.1f}" for at, r, _ in reversed(known)]
    line = " ".join(f"{at:.1f},{_level(value):.1f}" for at, _, value in known)
    at = _WIDE - _RIGHT - (180 if name == "precision" else 70)
    return [
        f'<polygon class="band-{name}" points="{" ".join(upper + lower)}"/>',
        f'<polyline class="{name}" points="{line}"/>',
        _text(at, 52, name, f"key-{name}"),
    ]


def _level(share: float) -> float:
    return _HIGH - _BOTTOM - share * (_HIGH - _TOP - _BOTTOM)


def _shares() -> list[str]:
    return [_text(_WIDE - _RIGHT + 8, _level(s) + 4, f"{s:.0%}", "dim") for s in (0.0, 0.5, 1.0)]


# -------------------------------------------------------------------------------------------- grid


def _grid(report: Tuning, grid: Grid) -> str:
    first, second = grid.axes
    left = 110
    rows, columns = first.points, second.points
    wide = (_WIDE - left - _RIGHT) / max(1, len(columns))
    high = (_HIGH - _TOP - _BOTTOM) / max(1, len(rows))
    most = max((p.hits for p in grid.points), default=0) or 1
    out = [_heading(report, f"{first.compared} (down) and {second.compared} (across)")]
    for place, p in enumerate(grid.points):
        i, j = divmod(place, len(columns))
        x, y = left + j * wide, _TOP + i * high
        mark = ' stroke="currentColor" stroke-width="2"' if p.texts == (first.text, second.text) else ""
        told = f"{p.texts[0]} and {p.texts[1]}: {p.hits:,} hits"
        out.append(
            f'<rect class="cell" x="{x:.1f}" y="{y:.1f}" width="{wide - 1:.1f}" height="{high - 1:.1f}" '
            f'fill-opacity="{0.06 + 0.94 * p.hits / most:.3f}"{mark}><title>{escape(told)}</title></rect>'
        )
    for i in spread(len(rows), [], _MOST_NAMES):
        kind = "now" if rows[i].text == first.text else ""
        out.append(_text(left - 8, _TOP + (i + 0.5) * high + 4, rows[i].text, kind, "end"))
    for j in spread(len(columns), [], _MOST_NAMES // 2):
        kind = "now" if columns[j].text == second.text else ""
        out.append(_text(left + (j + 0.5) * wide, _HIGH - _BOTTOM + 18, columns[j].text, kind, "middle"))
    out.append(_text(left, _HIGH - 20, f"the darker, the more hits (at most {most:,})", "dim"))
    return "".join(out)
