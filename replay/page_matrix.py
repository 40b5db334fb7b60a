"""Pictures of pairs: which rules fire on the same events, and where events go from verdict to verdict."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from quell.engine.cli_output import count
from quell.replay.page_html import Html, name, number, tag
from quell.replay.page_words import share, volume
from quell.replay.report_data import Flow, Overlap

MOST_RULES = 16
"""Rules in the picture of overlaps: those with the most in common with others."""
MOST_EVEN = 6
"""Verdicts whose columns are equally wide; more of them take the width that they need."""
FEW = 8
"""Rules whose picture need not be as wide as the page."""
SHADES = 9
"""Steps of colour of a cell."""


def crowd(overlaps: Sequence[Overlap]) -> list[str]:
    """The rules that share the most events with others, each beside those it shares them with."""
    common: dict[str, int] = {}
    for o in overlaps:
        for rule in (o.a, o.b):
            common[rule] = common.get(rule, 0) + o.both
    left = sorted(common, key=lambda rule: (-common[rule], rule))[:MOST_RULES]
    alike = {(a, b): max(o.of_a, o.of_b) for o in overlaps for a, b in ((o.a, o.b), (o.b, o.a))}
    order: list[str] = []
    while left:
        best = max(left, key=lambda n: (alike.get((order[-1], n), 0.0) if order else 0, common[n], n))
        order.append(best)
        left.remove(best)
    return order


def heat(overlaps: Sequence[Overlap], names: Sequence[str]) -> Html:
    """A row for each rule: of the events it fired on, the share that each other rule fired on too."""
    of = {(o.a, o.b): (o.of_a, o.both) for o in overlaps} | {(o.b, o.a): (o.of_b, o.both) for o in overlaps}
    head = [tag("th", str(i + 1), scope="col", data_tip=rule) for i, rule in enumerate(names)]
    rows = []
    for i, a in enumerate(names):
        cells = [_heat_cell(a, b, of.get((a, b))) for b in names]
        number_ = tag("span", str(i + 1), class_="index")
        rows.append(tag("tr", tag("th", number_, tag("span", name(a), class_="name"), scope="row"), cells))
    corner = tag("th", tag("span", "of the events that this rule fired on …", class_="hint"), scope="col")
    table = tag(
        "table",
        tag("thead", tag("tr", corner, head)),
        tag("tbody", rows),
        class_="heat few" if len(names) <= FEW else "heat",
    )
    return tag("div", table, class_="heatmap", tabindex=0, data_marks=True)


def _heat_cell(a: str, b: str, found: tuple[float, int] | None) -> Html:
    if a == b:
        return tag("td", class_="self")
    value, both = found or (0.0, 0)
    tip = f"{a}\n{share(value)} of its events\tare hit by {b} too\non both\t{count(both, 'event')}"
    shade = min(SHADES, max(1, round(value * SHADES))) if value else 0
    told = f"{100 * value:.0f}" if value >= 0.005 else ""
    return tag("td", tag("span", told), class_=f"heat-{shade}", data_tip=tip)


# ------------------------------------------------------------------------------------------- verdicts


def direction(flow: Flow, ladder: Sequence[str]) -> str:
    """Whether events go up the ladder (`harsher`), down (`milder`) or stay (`same`)."""
    ranks = {verdict: i for i, verdict in enumerate(ladder)}
    step = ranks.get(flow.after, 0) - ranks.get(flow.before, 0)
    return "harsher" if step > 0 else "milder" if step < 0 else "same"


def transitions(flows: Sequence[Flow], ladder: Sequence[str]) -> Html:
    """The matrix: a row for each verdict before, a column for each after."""
    counts = {(f.before, f.after): f for f in flows}
    most = max([f.count for f in flows if f.before != f.after], default=1)
    head = [tag("th", verdict, scope="col") for verdict in ladder]
    rows = []
    for before in ladder:
        cells = [
            _transition(counts.get((before, after), Flow(before, after, 0)), ladder, most) for after in ladder
        ]
        rows.append(tag("tr", tag("th", before, scope="row"), cells))
    corner = tag("th", tag("span", "before ↓ after →", class_="hint"))
    style = "flows many" if len(ladder) > MOST_EVEN else "flows"
    return tag(
        "div",
        tag("table", tag("thead", tag("tr", corner, head)), tag("tbody", rows), class_=style),
        class_="scroll", tabindex=0, data_marks=True,
    )  # fmt: skip


def _transition(flow: Flow, ladder: Sequence[str], most: int) -> Html:
    way = direction(flow, ladder)
    if not flow.count:
        return tag("td", "·", class_="none")
    shade = "" if way == "same" else f" shade-{max(1, round(4 * sqrt(flow.count / most)))}"
    said = "keep this verdict" if way == "same" else f"are decided {way}"
    tip = f"{flow.before} → {flow.after}\n{count(flow.count, 'event')}\t{said}" + _weight(flow)
    return tag("td", f"{flow.count:,}", class_=way + shade, data_tip=tip)


def _weight(flow: Flow) -> str:
    return "" if flow.volume is None else f"\nvolume\t{volume(flow.volume)}"


def ribbons(flows: Sequence[Flow], ladder: Sequence[str]) -> Html:
    """Events that change their verdict, as bands from the verdict before to that after."""
    moving = [f for f in flows if f.before != f.after and f.count]
    if not moving:
        return Html()
    rank = {verdict: i for i, verdict in enumerate(reversed(ladder))}
    moving.sort(key=lambda f: (rank.get(f.before, 0), rank.get(f.after, 0)))
    total = sum(f.count for f in moving)
    thick = {id(f): max(3.0, 150 * f.count / total) for f in moving}
    left, tall_left = _stack(moving, thick, [f.before for f in moving])
    ordered = sorted(moving, key=lambda f: (rank.get(f.after, 0), rank.get(f.before, 0)))
    right, tall_right = _stack(ordered, thick, [f.after for f in ordered])
    height = max(tall_left, tall_right)
    bands = [_band(f, left[id(f)], right[id(f)], thick[id(f)], direction(f, ladder)) for f in moving]
    drawn = tag("svg", bands, viewBox=f"0 0 100 {number(height)}", preserveAspectRatio="none", height=height,
                class_="area", role="img", aria_label="events that change their verdict")  # fmt: skip
    return tag(
        "div",
        _ends(moving, left, thick, height, "before", "end"),
        drawn,
        _ends(ordered, right, thick, height, "after", "start"),
        class_="ribbons", tabindex=0, data_marks=True,
    )  # fmt: skip


def _stack(
    flows: Sequence[Flow], thick: dict[int, float], verdicts: Sequence[str]
) -> tuple[dict[int, float], float]:
    """Where each band begins on one side, with a gap between verdicts, and where the last one ends."""
    at, places, last = 0.0, {}, None
    for flow, verdict in zip(flows, verdicts, strict=True):
        if last is not None and verdict != last:
            at += 22
        places[id(flow)], last = at, verdict
        at += thick[id(flow)]
    return places, max(at, 20.0)


def _band(flow: Flow, a: float, b: float, wide: float, way: str) -> Html:
    n = number
    path = f"M0 {n(a)}C45 {n(a)} 55 {n(b)} 100 {n(b)}"
    path += f"V{n(b + wide)}C55 {n(b + wide)} 45 {n(a + wide)} 0 {n(a + wide)}Z"
    tip = f"{flow.before} → {flow.after}\n{count(flow.count, 'event')}\tare decided {way}" + _weight(flow)
    return tag("path", d=path, class_=way, data_tip=tip)


def _ends(
    flows: Sequence[Flow],
    places: dict[int, float],
    thick: dict[int, float],
    height: float,
    side: str,
    anchor: str,
) -> Html:
    texts = []
    for verdict in dict.fromkeys(getattr(f, side) for f in flows):
        mine = [f for f in flows if getattr(f, side) == verdict]
        top = places[id(mine[0])]
        low = places[id(mine[-1])] + thick[id(mine[-1])]
        middle = (top + low) / 2
        label = (
            tag("tspan", verdict, class_="strong"),
            Html(" "),
            tag("tspan", f"{sum(f.count for f in mine):,}"),
        )
        x = "100%" if anchor == "end" else "0"
        texts.append(tag("text", label, x=x, y=min(max(middle + 4, 12), height - 3), text_anchor=anchor))
    return tag("svg", texts, height=height, class_=f"axis end-{side}")
