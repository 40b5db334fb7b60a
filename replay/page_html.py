"""Markup for the page: every text is escaped, and what cannot be seen in it is made visible."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from quell.engine.cli_output import visible

LONGEST = 400
"""Characters of one text that the page shows."""
_VOID = frozenset({"br", "input", "meta"})
_COORDINATES = frozenset({"d", "points"})
"""Attributes that this program fills with numbers: shortened, they would draw something else."""
_SHAPES = frozenset({"circle", "line", "path", "polygon", "polyline", "rect"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Inside = str | None | Iterable["Inside"]
"""What stands in an element: markup, texts (which are escaped), None for nothing, or several of these."""
Attribute = str | int | float | bool | None
"""None and False leave the attribute out, True gives it without a value, a float is cut to two digits."""


def text(value: str, longest: int | None = LONGEST) -> Html:
    """A text from outside: escaped, shortened, control and direction marks spelt out."""
    return Html(escape(visible(value, longest)))


def source(value: str) -> str:
    """Source text of several lines, with what cannot be seen spelt out; not escaped."""
    return "\n".join(visible(line.replace("\t", "    ")) for line in value.splitlines())


def prose(value: str, longest: int | None = LONGEST) -> Html:
    """A sentence in which names stand in backticks."""
    parts = value.split("`")
    if len(parts) % 2 == 0:
        return text(value, longest)
    return join([tag("code", part) if i % 2 else text(part, longest) for i, part in enumerate(parts)])


def name(value: str) -> Html:
    """A name that may go on in the next line after each underscore."""
    return Html("_<wbr>".join(text(part) for part in value.split("_")))


def join(*inside: Inside) -> Html:
    """Several things one after the other."""
    return Html("".join(_flat(inside)))


def _flat(inside: Inside) -> Iterable[str]:
    if inside is None:
        return
    if isinstance(inside, Html):
        yield inside
    elif isinstance(inside, str):
        yield text(inside)
    else:
        for one in inside:
            yield from _flat(one)


def tag(element: str, *inside: Inside, **attributes: Attribute) -> Html:
    """An element. `class_` is `class`, and an underscore in an attribute's name is a hyphen."""
    made = "".join(_attribute(key, value) for key, value in attributes.items())
    if element in _VOID:
        return Html(f"<{element}{made}>")
    if element in _SHAPES and not inside:
        return Html(f"<{element}{made}/>")
    return Html(f"<{element}{made}>{join(*inside)}</{element}>")


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    named = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {named}"
    if isinstance(value, float):
        value = number(value)
    if isinstance(value, str) and key in _COORDINATES:
        return f' {named}="{escape(value)}"'
    if isinstance(value, str):
        # Tips have lines, and values aligned by tabs.
        value = "\n".join("\t".join(visible(c, LONGEST) for c in r.split("\t")) for r in value.split("\n"))
        return f' {named}="{escape(value)}"'
    return f' {named}="{value}"'


def number(value: float) -> str:
    """A coordinate: at most two digits after the point."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def share(value: float) -> str:
    """A coordinate as a share of the width."""
    return number(100 * value) + "%"
