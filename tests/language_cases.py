"""The language reference as cases: Markdown that a user reads, and that runs.

In a page of `tests/language/`, a fenced block says what it is in its first line:

- ```` ```quell ```` is a bundle. Its tests pass, and its findings are exactly those that it announces: a
  comment `#! code` at the end of a line says that the line earns that code (several codes with commas).
- ```` ```quell shared ```` stands before every later bundle of the page that declares no event.
- ```` ```file lists/x.txt ```` is a file of the bundles that follow, until the next heading of level 2.
- ```` ```model models/x.lgb ```` is a LightGBM model that does what the block says (tests/model_files.py),
  for the bundles that follow, until the next heading of level 2.
- ```` ```syntax ```` shows a form and is not run.
- A table with the head `| expression | value |` holds expressions and the values they have; `\\|` is a bar.
- A table with the head `| event | answer |` holds events, as JSON, which the bundle above it decides in
  order, and what it answers: `block`, `block, reported wrong-type`, or `refused bad-time`; to a label by
  hand `set, labelled` or `remove, not labelled`.

A case knows nothing of a back end: it is policies, events in order, and what is expected of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.model_files import model_of

FOLDER = Path(__file__).parent / "language"
_FENCE = re.compile(r"^(`{3,})\s*([^\n`]*)$")
_ANNOUNCED = re.compile(r"#!\s*([a-z][a-z-]*(?:\s*,\s*[a-z][a-z-]*)*)\s*$")
_EVENT = re.compile(r"^event\b", re.M)


@dataclass(frozen=True, slots=True)
class BundleCase:
    """A bundle with what it announces: the codes of each line, counted from 1 within `text`."""

    page: str
    heading: str
    line: int
    text: str
    files: dict[str, bytes]
    expected: tuple[tuple[int, str], ...]

    @property
    def name(self) -> str:
        """Where the case stands, for the test's name."""
        return f"{self.page}:{self.line} {self.heading}"


@dataclass(frozen=True, slots=True)
class ValueCase:
    """An expression and the value it has, both as an analyst writes them."""

    page: str
    heading: str
    line: int
    expression: str
    value: str
    shared: str = ""
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Where the case stands, for the test's name."""
        return f"{self.page}:{self.line} {self.expression}"


@dataclass(frozen=True, slots=True)
class EventsCase:
    """Events in order, each with its line and the answer to it, for one bundle."""

    page: str
    heading: str
    line: int
    bundle: BundleCase
    rows: tuple[tuple[int, str, str], ...]

    @property
    def name(self) -> str:
        """Where the case stands, for the test's name."""
        return f"{self.page}:{self.line} {self.heading}"


@dataclass(slots=True)
class Page:
    """One page's cases, headings and text."""

    name: str
    text: str
    bundles: list[BundleCase] = field(default_factory=list)
    values: list[ValueCase] = field(default_factory=list)
    events: list[EventsCase] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)


def pages() -> list[Page]:
    """Every page of the reference, in order of name."""
    return [read_page(p) for p in sorted(FOLDER.glob("*.md"))]


def read_page(path: Path) -> Page:
    """The cases of one page."""
    page = Page(path.name, path.read_text(encoding="utf-8"))
    shared, heading = "", ""
    files: dict[str, bytes] = {}
    lines = page.text.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        fence = _FENCE.match(line)
        if fence is not None:
            body, after = _block(lines, number, fence[1])
            kind, _, rest = fence[2].strip().partition(" ")
            if kind == "quell" and rest.strip() == "shared":
                shared = body
            elif kind == "quell":
                page.bundles.append(_bundle(page.name, heading, number + 1, body, shared, files))
            elif kind == "file":
                files = {**files, rest.strip(): body.encode()}
            elif kind == "model":
                files = {**files, rest.strip(): model_of(body)}
            number = after
            continue
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
            page.headings.append(heading)
            if line.startswith("## "):
                files = {}
        if line.strip().lower() == "| expression | value |":
            number = _values(page, lines, number + 2, heading, shared, files)
            continue
        if line.strip().lower() == "| event | answer |":
            number = _events(page, lines, number + 2, heading)
            continue
        number += 1
    return page


def _block(lines: list[str], start: int, fence: str) -> tuple[str, int]:
    end = start + 1
    while end < len(lines) and lines[end].rstrip() != fence:
        end += 1
    return "\n".join(lines[start + 1 : end]) + "\n", end + 1


def _bundle(
    page: str, heading: str, line: int, body: str, shared: str, files: dict[str, bytes]
) -> BundleCase:
    text = body if _EVENT.search(body) or not shared else f"{shared}\n{body}"
    expected = tuple(
        (number, code.strip())
        for number, written in enumerate(text.split("\n"), 1)
        if (announced := _ANNOUNCED.search(written)) is not None
        for code in announced[1].split(",")
    )
    return BundleCase(page, heading, line, text, files, expected)


def _rows(lines: list[str], start: int) -> list[tuple[int, str, str]]:
    """The rows of a table with two columns: line, and both cells without their marks of code."""
    out: list[tuple[int, str, str]] = []
    for number in range(start, len(lines)):
        if not lines[number].startswith("|"):
            break
        first, second = (_cell(c) for c in re.split(r"(?<!\\)\|", lines[number].strip())[1:3])
        out.append((number + 1, first, second))
    return out


def _cell(written: str) -> str:
    text = written.strip().replace("\\|", "|")
    fence = "``" if text.startswith("``") else "`"
    return text.removeprefix(fence).removesuffix(fence) if text.startswith(fence) else text


def _values(
    page: Page, lines: list[str], start: int, heading: str, shared: str, files: dict[str, bytes]
) -> int:
    rows = _rows(lines, start)
    page.values.extend(ValueCase(page.name, heading, line, e, v, shared, files) for line, e, v in rows)
    return start + len(rows)


def _events(page: Page, lines: list[str], start: int, heading: str) -> int:
    rows = _rows(lines, start)
    page.events.append(EventsCase(page.name, heading, start, page.bundles[-1], tuple(rows)))
    return start + len(rows)


def sections(page: Page) -> Iterator[tuple[str, str]]:
    """Each heading of a page with the text below it."""
    heading, body = "", list[str]()
    for line in page.text.split("\n"):
        if line.startswith("#"):
            yield heading, "\n".join(body)
            heading, body = line.lstrip("#").strip(), []
        else:
            body.append(line)
    yield heading, "\n".join(body)
