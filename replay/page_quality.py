"""Pictures of how good policies are: shares with their intervals, and what other settings would bring."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quell.engine.cli_output import count
from quell.replay.page_html import Html, number, share, tag
from quell.replay.page_plots import grid, place, scale
from quell.replay.page_words import interval
from quell.replay.page_words import share as percentage
from quell.replay.report_data import Curve, CurvePoint, Quality, Rate

FIGURES: tuple[tuple[str, str, Callable[[Quality], Rate]], ...] = (
    ("precision", "of what was caught, how much was right", lambda q: q.precision),
    ("recall", "of what should be caught, how much was", lambda q: q.recall),
)
"""What is drawn: the name, its meaning, and where it is found."""


def dots(name: str, rates: Sequence[tuple[str, str, Rate | None]]) -> Html:
    """One line from 0 to 100%: a dot for each rate with its interval. `rates` are name, class and rate."""
    marks = [tag("line", x1=share(x), x2=share(x), y1=0, y2="100%", class_="grid") for x in (0, 0.5, 1)]
    told = [name]
    height = 22 if len(rates) < 2 else 30
    for i, (what, style, rate) in enumerate(rates):
        y = height / 2 + (i - (len(rates) - 1) / 2) * 12
        if rate is None:
            continue
        told.append(f"{what}\t{interval(rate)}")
        if rate.value is None:
            continue
        marks.append(
            tag("line", x1=share(rate.low), x2=share(rate.high), y1=y, y2=y, class_=f"whisker {style}")
        )
        marks.append(tag("circle", cx=share(rate.value), cy=y, r=4.5, class_=f"dot {style}"))
    hit = tag("rect", width="100%", height=height, class_="hit")
    return tag("svg", marks, hit, height=height, class_="dots", data_tip="\n".join(told), aria_hidden="true")


def dot_scale() -> Html:
    """The scale above dots."""
    ends = ((0, "start", "0%", None), (0.5, "middle", "50%", "odd"), (1, "end", "100%", None))
    texts = [tag("text", t, x=share(x), y=12, text_anchor=a, class_=style) for x, a, t, style in ends]
    return tag("svg", texts, height=16, class_="axis dots", aria_hidden="true")


# -------------------------------------------------------------------------------------------- settings


def curve(found: Curve) -> Html:
    """What settings of one constant bring: hits as columns, and precision and recall as lines above."""
    points = sorted(found.points, key=lambda p: p.value)
    judged = any(p.quality is not None for p in points)
    now = next((i for i, p in enumerate(points) if p.value == found.current), None)
    pictures = [_lines(points, now)] if judged else []
    return tag(
        "div", pictures, _columns(found, points, now), class_="plot curve", tabindex=0, data_marks=True
    )


def _lines(points: Sequence[CurvePoint], now: int | None, height: int = 110) -> Html:
    wide = 1 / max(len(points), 1)
    marks = [*grid([0, 0.5, 1], height), _now(now, wide, height)]
    for _, style, of in ((n, n, f) for n, _, f in FIGURES):
        known = [(i, of(p.quality)) for i, p in enumerate(points) if p.quality is not None]
        told = [(i, r) for i, r in known if r.value is not None]
        band = [f"{number(i + 0.5)},{number(_high(r.high, height))}" for i, r in told]
        band += [f"{number(i + 0.5)},{number(_high(r.low, height))}" for i, r in reversed(told)]
        line = " ".join(f"{number(i + 0.5)},{number(_high(r.value or 0, height))}" for i, r in told)
        box = f"0 0 {max(len(points), 1)} {height}"
        shapes = (
            tag("polygon", points=" ".join(band), class_=f"band {style}"),
            tag("polyline", points=line, class_=f"line {style}"),
        )
        marks.append(tag("svg", shapes, viewBox=box, preserveAspectRatio="none", width="100%", height=height))
        marks += [
            tag(
                "circle",
                cx=share((i + 0.5) * wide),
                cy=_high(r.value or 0, height),
                r=3,
                class_=f"dot {style}",
            )
            for i, r in told
        ]
    marks += [_hit(p, i, wide, height) for i, p in enumerate(points)]
    ticks = [
        tag("text", t, x=44, y=y, text_anchor="end")
        for t, y in (("100%", 10), ("50%", height / 2 + 4), ("0%", height))
    ]
    return Html(
        tag("svg", ticks, width=50, height=height, class_="axis", aria_hidden="true")
        + tag(
            "svg",
            marks,
            height=height,
            class_="area",
            role="img",
            aria_label="precision and recall by setting",
        )
    )


def _high(value: float, height: int) -> float:
    return place(value, (0, 1), height)


def _columns(found: Curve, points: Sequence[CurvePoint], now: int | None, height: int = 90) -> Html:
    wide = 1 / max(len(points), 1)
    ticks = scale(max((p.hits for p in points), default=0), 3)
    marks = [*grid(ticks, height), _now(now, wide, height)]
    names = []
    every = max(1, round(len(points) / 8))
    for i, p in enumerate(points):
        y = place(p.hits, ticks, height)
        style = "hits now" if i == now else "hits"
        marks.append(
            tag(
                "rect",
                x=share((i + 0.15) * wide),
                width=share(0.7 * wide),
                y=y,
                height=height - y,
                class_=style,
            )
        )
        marks.append(_hit(p, i, wide, height))
        if (i - (now or 0)) % every == 0:
            style = "now" if i == now else "odd" if (i - (now or 0)) // every % 2 else ""
            names.append(
                tag(
                    "text",
                    p.text or setting(p.value),
                    x=share((i + 0.5) * wide),
                    y=14,
                    text_anchor="middle",
                    class_=style,
                )
            )
    numbers = [
        tag("text", f"{t:,.0f}", x=44, y=place(t, ticks, height) + 4, text_anchor="end") for t in ticks
    ]
    label = f"events hit by setting of {found.compared}"
    return Html(
        tag("svg", numbers, width=50, height=height, class_="axis", aria_hidden="true")
        + tag("svg", marks, height=height, class_="area", role="img", aria_label=label)
        + tag("svg", names, height=20, class_="axis times", aria_hidden="true")
    )


def _now(now: int | None, wide: float, height: int) -> Html:
    """What stands in the policy, marked."""
    if now is None:
        return Html()
    return tag("rect", x=share(now * wide), width=share(wide), y=0, height=height, class_="current")


def _hit(point: CurvePoint, i: int, wide: float, height: int) -> Html:
    told = [point.text or setting(point.value), f"hits\t{count(point.hits, 'event')}"]
    if point.entities is not None:
        told.append(f"entities\t{point.entities:,}")
    if point.quality is not None:
        told += [f"{name}\t{interval(of(point.quality))}" for name, _, of in FIGURES]
    return tag(
        "rect",
        x=share(i * wide),
        width=share(wide),
        y=0,
        height=height,
        class_="hit",
        data_tip="\n".join(told),
    )


def setting(value: float) -> str:
    """A setting as the policy would write it."""
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"


def chosen(found: Curve) -> str:
    """What stands in the policy and what it brings, in words."""
    point = next((p for p in found.points if p.value == found.current), None)
    if point is None:
        return f"The policy says {found.text or setting(found.current)}."
    told = f"The policy says {found.text or setting(found.current)}: {count(point.hits, 'hit')}"
    if point.quality is None:
        return told + "."
    rates = [f"{n} {percentage(of(point.quality).value)}" for n, _, of in FIGURES]
    return f"{told}, {', '.join(rates)}."
