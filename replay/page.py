"""A report as one HTML page that needs nothing else: no network, no other file, no installed font.

The figures and the pictures are markup, made here. The page's script is only for what moves: it opens
samples, sorts, filters and shows tips. What it opens stands as JSON in the page and is only ever set as text.
A policy in the page itself forbids everything but that very script and style.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import msgspec

from quell.replay import page_backtest, page_compare
from quell.replay.page_html import Html, join, prose, source, tag
from quell.replay.page_parts import Ladder, Section, ladder
from quell.replay.page_samples import Packer
from quell.replay.page_words import title
from quell.replay.report_data import Backtest, Comparison

STYLE = "page.css"
SCRIPTS = ("page_base.js", "page_tables.js", "page_samples.js")
"""The page's assets, beside this module."""


def write_page(report: Backtest | Comparison, to: IO[bytes] | str | Path) -> None:
    """Write the page of a report, to a stream of bytes or a file. Raises OSError."""
    made = page(report).encode()
    if isinstance(to, str | Path):
        Path(to).write_bytes(made)
    else:
        to.write(made)


def page(report: Backtest | Comparison) -> str:
    """The page of a report."""
    packer = Packer()
    if isinstance(report, Comparison):
        made, opened = page_compare.sections(report, packer)
        summary, after, found = page_compare.summary(report), report.after, page_compare.both(report)
    else:
        made, opened = page_backtest.sections(report, packer)
        summary, after, found = page_backtest.summary(report), report, ladder(report.verdicts)
    body = join(_bar(report), _main(report, after, summary, made))
    return _whole(title(report), body, _data(packer, opened, found))


def _bar(report: Backtest | Comparison) -> Html:
    """What stays at the top: what this is, and the switch between light and dark."""
    if isinstance(report, Comparison):
        names = [
            tag("b", report.after.policies),
            " with ",
            tag("b", report.against or report.before.policies),
        ]
        kind = "comparison"
    else:
        names, kind = [tag("b", report.policies)], "backtest"
    switch = tag("button", "Dark", type="button", id="theme", hidden=True)
    return tag(
        "header",
        tag("span", "Quell", class_="brand"),
        tag("span", f"{kind} of ", names),
        switch,
        class_="bar-top",
    )


def _main(report: Backtest | Comparison, after: Backtest, summary: Html, made: list[Section]) -> Html:
    links = [tag("li", tag("a", s.title, href=f"#{s.ident}")) for s in made]
    contents = tag(
        "nav", tag("details", tag("summary", "Contents"), tag("ol", links), open=True), aria_label="Contents"
    )
    told = [*(report.notes if isinstance(report, Comparison) else ()), *after.notes]
    notes = [tag("li", prose(note)) for note in dict.fromkeys(told)]
    known = tag("aside", tag("h2", "Worth knowing"), tag("ul", notes), class_="notes") if notes else None
    first, stop, rest = title(report).partition(". ")
    below = tag("p", rest, class_="below") if rest else None
    top = tag("div", tag("h1", first, stop.strip()), below, summary, known, class_="top")
    return tag("div", contents, tag("main", top, [s.inside for s in made]), class_="layout")


def _data(packer: Packer, opened: dict[str, Any], found: Ladder) -> str:
    """The data of the script. No text in it can end the element it stands in."""
    held = {
        **opened,
        "samples": packer.samples,
        "texts": list(packer.texts),
        "left_out": packer.left_out,
        "ladder": list(found.verdicts),
        "styles": {v: found.style(v) for v in found.verdicts},
    }
    made = msgspec.json.encode(_seen(held)).decode()
    for character in "<>&\u2028\u2029":
        made = made.replace(character, f"\\u{ord(character):04x}")
    return made


def _seen(value: Any) -> Any:
    """The same data with everything spelt out that cannot be seen."""
    if isinstance(value, str):
        return source(value)
    if isinstance(value, dict):
        return {_seen(key): _seen(held) for key, held in value.items()}
    return [_seen(held) for held in value] if isinstance(value, list) else value


def _whole(name: str, body: Html, data: str) -> str:
    style = asset(STYLE)
    script = '"use strict";\n(() => {\n' + "\n".join(asset(name) for name in SCRIPTS) + "})();\n"
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = join(
        Html('<meta charset="utf-8">'),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"Quell: {name}"),
        Html(f"<style>{style}</style>"),
    )
    tail = Html(f'<script type="application/json" id="report">{data}</script><script>{script}</script>')
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}{tail}</body></html>\n'


def _digest(source: str) -> str:
    return "sha256-" + b64encode(sha256(source.encode()).digest()).decode()


def asset(name: str) -> str:
    """The text of an asset."""
    return files("quell.replay").joinpath(name).read_text(encoding="utf-8")
