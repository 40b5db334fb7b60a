"""What can be wrong with an event: problems, refusals, and how a value is shown in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

KINDS: dict[str, str] = {
    "empty": "there is nothing in the line",
    "too-large": "the event, or a text in it, is longer than the decoder allows",
    "too-deep": "lists and objects stand in one another deeper than the decoder allows",
    "not-utf8": "the bytes are not UTF-8 text",
    "not-json": "the text is not JSON, or it ends early",
    "not-object": "the JSON is not an object",
    "wrong-row": "a row of a table cannot be read or has another number of cells than its header",
    "unmatched": "no event type describes the record",
    "ambiguous": "more than one event type describes the record",
    "missing-field": "a required field is absent, null, or an empty id",
    "wrong-type": "a value is of another type than the field",
    "bad-time": "a time cannot be read or lies outside the years 1 to 9999",
    "bad-duration": "a duration cannot be read or is too long",
    "bad-ip": "a text is not an IP address",
    "bad-text": "a text holds half of a surrogate pair, which no text may",
    "not-a-member": "a text is none of the values the field allows",
    "not-finite": "a number is too large for a double, or is not a number",
    "bad-label": "a label by hand names what is not declared, or its parts do not fit together",
    "ahead": "the event, or a label by hand, is dated further ahead of the server's clock than it allows",
    "too-many": "a list has more elements than the decoder allows",
}
"""Every kind of problem, with what it means: the reference is made from this."""

SHOWN_CHARACTERS = 60


class Problem(msgspec.Struct, frozen=True):
    """One value that is not what its field must be.

    `kind` is a slug of `KINDS`, `field` the declared field, `path` the place in the JSON (``$.a[3].b``),
    `expected` and `got` phrases for people, `got` shortened.
    """

    kind: str
    field: str
    path: str
    expected: str
    got: str

    @property
    def message(self) -> str:
        """The problem as a sentence of one line, without a full stop."""
        where = f"`{self.field}` at `{self.path}`" if self.field else f"`{self.path}`"
        return f"{where}: expected {self.expected}, got {self.got}"


class Refusal(msgspec.Struct, frozen=True):
    """Why an event was not taken.

    `kind` is a slug of `KINDS`; `path`, `expected`, `got` are those of the first problem (empty where
    the event as a whole is at fault); `message` says it all in one line; `hint` is what to try, or
    empty; `event` names the event type where it was known; `problems` are all values at fault.
    """

    kind: str
    message: str
    path: str = ""
    expected: str = ""
    got: str = ""
    hint: str = ""
    event: str = ""
    problems: tuple[Problem, ...] = ()

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


def refuse_fields(event: str, problems: Sequence[Problem], *, declared: bool = True) -> Refusal:
    """The refusal of an event called `event` for `problems` (at least one). Only what the policies have
    `declared` may they declare otherwise."""
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    hint = ""
    if declared and first.kind == "missing-field":
        hint = f"if `{first.field}` may be absent, put `?` after its type or give it a `default`"
    return Refusal(
        kind=first.kind,
        message=f"`{event}` refused: {first.message}{more}",
        path=first.path,
        expected=first.expected,
        got=first.got,
        hint=hint,
        event=event,
        problems=tuple(problems),
    )


def _quote(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    """`text` in double quotes, shortened to `limit` characters, whatever cannot be seen escaped."""
    cut = text[:limit]
    body = "".join(_visible(c) for c in cut)
    return f'"{body}…"' if len(text) > limit else f'"{body}"'


def _visible(c: str) -> str:
    if c in '"\\':
        return "\\" + c
    if c.isprintable():
        return c
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(c) or (
        f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"
    )


def show(value: object) -> str:
    """A value as it stands in a message: text in quotes, numbers as they are, the rest by its kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quote(str.__str__(value))
    if isinstance(value, Unread):
        return value.shown
    if isinstance(value, int):
        return f"{value}" if value.bit_length() < 200 else "a number of very many digits"
    if isinstance(value, (float, Decimal)):
        return f"{value}"[:SHOWN_CHARACTERS]
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    return f"a Python `{type(value).__module__}.{type(value).__qualname__}`"


class Unread:
    """A value that was found but could not be read: stands in its place until a field asks for it."""

    __slots__ = ("kind", "shown")

    def __init__(self, kind: str, shown: str) -> None:
        self.kind = kind
        self.shown = shown
