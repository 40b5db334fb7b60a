"""What sections of the page are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quell.replay.page_html import Html, Inside, share, tag
from quell.replay.page_words import share as percentage
from quell.replay.report_data import VerdictRow

COLOURS = 8
"""The gravest of the colours of verdicts: `v-8`; the mildest verdict has `v-0`."""
MOST_ROWS = 40
"""Rows of a table that stand there before somebody asks for all."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with its place among the contents."""

    ident: str
    title: str
    inside: Html


def section(ident: str, title: str, lead: str, *inside: Inside) -> Section:
    """A section that can be closed; `lead` says how to read what it shows."""
    made = tag(
        "details",
        tag("summary", tag("h2", title)),
        tag("p", lead, class_="lead") if lead else None,
        *inside,
        open=True,
    )
    return Section(ident, title, tag("section", made, id=ident))


@dataclass(frozen=True, slots=True)
class Ladder:
    """The verdicts, mildest first, and the colour of each."""

    verdicts: tuple[str, ...]

    def style(self, verdict: str) -> str:
        """The class that colours a verdict."""
        if verdict not in self.verdicts:
            return "v-none"
        rank, last = self.verdicts.index(verdict), len(self.verdicts) - 1
        return f"v-{max(1, round(COLOURS * rank / last)) if rank else 0}"

    def chip(self, verdict: str) -> Html:
        """A verdict, in its colour."""
        return tag("span", verdict, class_=f"chip {self.style(verdict)}")


def ladder(rows: Sequence[VerdictRow]) -> Ladder:
    """The ladder of a report's verdicts."""
    return Ladder(tuple(row.verdict for row in rows))


def mix(rows: Sequence[VerdictRow], found: Ladder) -> Html:
    """One bar of all events by verdict, and below it the verdicts with their numbers."""
    total = sum(row.count for row in rows)
    marks, at = [], 0.0
    for row in reversed(rows):
        part = row.count / total if total else 0
        tip = f"{row.verdict}\n{row.count:,} events\t{percentage(row.share)}"
        marks.append(
            tag(
                "rect",
                x=share(at),
                width=share(part),
                height=22,
                class_=found.style(row.verdict),
                data_tip=tip,
            )
        )
        at += part
    names = [
        tag(
            "li",
            found.chip(row.verdict),
            tag("b", f"{row.count:,}"),
            tag("span", percentage(row.share)),
            class_=None if row.count else "zero",
        )
        for row in reversed(rows)
    ]
    bar = tag("svg", marks, height=22, class_="area", role="img", aria_label="events by verdict")
    return tag(
        "div", tag("div", bar, class_="mix", tabindex=0, data_marks=True), tag("ul", names, class_="key")
    )


def legend(items: Iterable[tuple[str, str]]) -> Html:
    """Names with the class that colours them."""
    made = [
        tag("li", tag("svg", tag("rect", width=12, height=12, rx=2, class_=style), width=12, height=12), name)
        for name, style in items
    ]
    return tag("ul", made, class_="legend")


def tiles(items: Iterable[tuple[str, str, str]]) -> Html:
    """Figures: what, how much, and a word about it."""
    made = [
        tag("div", tag("dt", what), tag("dd", much, tag("small", word) if word else None))
        for what, much, word in items
    ]
    return tag("dl", made, class_="tiles")


def table(
    head: Sequence[tuple[str, str]], rows: Sequence[Html], *, style: str = "", cap: int = MOST_ROWS
) -> Html:
    """A table of rows made already. `head` are titles with classes: `n` for numbers, `wide` for what a phone
    leaves out, `sort` for what sorts."""
    titles = [tag("th", title, class_=kind or None, scope="col") for title, kind in head]
    return tag(
        "div",
        tag("table", tag("thead", tag("tr", titles)), tag("tbody", rows), class_=style or None),
        class_="scroll",
        data_cap=cap if len(rows) > cap else None,
    )


def cell(*inside: Inside, style: str = "", value: float | None = None) -> Html:
    """A cell; `value` is what sorts it."""
    sorted_by = None if value is None else f"{value:.6g}"
    return tag("td", *inside, class_=style or None, data_v=sorted_by)


def bar(part: float, style: str = "hits") -> Html:
    """A bar as long as a share of its room."""
    return tag(
        "svg",
        tag("rect", width="100%", height=6, class_="room"),
        tag("rect", width=share(part), height=6, class_=style),
        height=6, class_="bar", aria_hidden="true",
    )  # fmt: skip


def shut(title: str, *inside: Inside) -> Html:
    """Something that is there for those who ask."""
    return tag("details", tag("summary", title), *inside, class_="more")
