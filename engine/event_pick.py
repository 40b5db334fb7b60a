"""From the bytes of an event to the plain values a policy asks for, where the generated Structs cannot
go: events they did not accept, and events they cannot hold. What nobody asks for is not decoded here
either, so both ways look at the same parts of an event."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from quell.engine.event_layout import MAX_LIST, element_type
from quell.engine.event_problems import Refusal, Unread
from quell.engine.schema import Field, Segment
from quell.signals.values import MAX_DIGITS

MAX_DEPTH = 400
"""Lists and objects may stand in one another this deep. Python's own limit differs between versions
and with the caller's depth; this one does not."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(b for b in range(256) if b not in b"{}[]")
_HALF = re.compile(
    rb"(?<!\\)(?:\\\\)*(?:\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F])",
    re.DOTALL,
)
_DIGITS = re.compile(rb"-?\d+")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_outermost = msgspec.json.Decoder(msgspec.Raw)


def too_deep(data: bytes) -> bool:
    """Whether lists and objects stand in one another deeper than MAX_DEPTH. Linear in `data`."""
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for byte in _STRING.sub(b"", data).translate(None, _NOT_BRACKETS):
        depth += 1 if byte in b"{[" else -1
        if depth > MAX_DEPTH:
            return True
    return False


@dataclass(slots=True)
class Want:
    """Which parts of a JSON value are asked for: itself as a scalar, members, elements."""

    scalar: bool = False
    members: dict[str, Want] = field(default_factory=dict)
    elements: Want | None = None

    def at(self, path: Sequence[Segment]) -> Want:
        """What is asked for at `path` below."""
        here = self
        for segment in path:
            if isinstance(segment, str):
                here = here.members.setdefault(segment, Want())
            else:
                here.elements = here = here.elements or Want()
        return here

    def add(self, declared: Field) -> None:
        """Ask for a field."""
        kind = element_type(declared) if None in declared.path else declared.type
        here = self.at(declared.path)
        while kind.kind == "list" and kind.element is not None:
            here, kind = here.at((None,)), kind.element
        if kind.kind == "record":
            for inner in declared.record:
                here.add(inner)
        else:
            here.scalar = True


def pick(raw: bytes | msgspec.Raw, want: Want) -> Any:
    """The parts of a JSON value that `want` asks for, as plain values: dict, list, str, int, float,
    bool, None; what is there but cannot be read, or is not asked for, as `Unread`.

    Raises msgspec.DecodeError where `raw` itself is not JSON.
    """
    view = bytes(raw)
    first = view.lstrip()[:1]
    if first == b"{" and want.members:
        found = _members.decode(view)
        return {key: pick(found[key], inner) for key, inner in want.members.items() if key in found}
    if first == b"[" and want.elements is not None:
        values = _elements.decode(view)
        if len(values) > MAX_LIST:
            return Unread("too-many", f"{len(values):,}")
        return [pick(value, want.elements) for value in values]
    if first in (b"{", b"["):
        return Unread("wrong-type", "an object" if first == b"{" else "a list")
    return _scalar(view)


def _scalar(view: bytes) -> Any:
    if view[:1] == b'"':
        return _text.decode(view)
    if _DIGITS.fullmatch(view):
        digits = len(view.lstrip(b"-"))
        return int(view) if digits <= MAX_DIGITS else Unread("too-large", f"a number of {digits:,} digits")
    try:
        return msgspec.json.decode(view)
    except msgspec.ValidationError:
        return Unread("not-finite", view[:40].decode("ascii", "replace"))


def pick_object(data: bytes, want: Want) -> dict[str, Any] | Refusal:
    """The parts of an event that `want` asks for (and perhaps others), or why its bytes are no event."""
    try:
        if data.lstrip()[:1] == b"{":
            try:
                found = msgspec.json.decode(data)
            except msgspec.ValidationError:  # a number out of range, perhaps where nobody looks
                found = pick(data, want)
            return found if isinstance(found, dict) else {}
        _outermost.decode(data)
    except RecursionError:
        return refuse_depth()
    except msgspec.DecodeError as error:
        return _refuse_json(data, str(error))
    shown = _OUTERMOST.get(data.lstrip()[:1], "a number")
    return Refusal(
        kind="not-object",
        message=f"an event is a JSON object, and this is {shown}",
        path="$",
        expected="an object",
        got=shown,
        hint="write one event per line, without a list around them" if shown == "a list" else "",
    )


_OUTERMOST = {b"[": "a list", b'"': "a text", b"n": "null", b"t": "true", b"f": "false"}


def refuse_depth() -> Refusal:
    """The refusal of an event whose lists and objects stand too deep in one another."""
    return Refusal(
        kind="too-deep", message=f"lists and objects stand in one another more than {MAX_DEPTH} deep"
    )


def refuse_size(size: int, limit: int) -> Refusal:
    """The refusal of an event of `size` bytes."""
    return Refusal(
        kind="too-large", message=f"the event has {size:,} bytes, and {limit:,} are the most", got=f"{size:,}"
    )


def refuse_encoding(start: int) -> Refusal:
    """The refusal of bytes that stop being UTF-8 at `start`."""
    return Refusal(
        kind="not-utf8",
        message=f"the bytes are not UTF-8 text, from byte {start} on",
        hint="write the events as UTF-8",
    )


def refuse_surrogate(where: str = "") -> Refusal:
    """The refusal of a text with half of a surrogate pair."""
    return Refusal(
        kind="bad-text",
        message=f"a text holds half of a surrogate pair{where}",
        hint="a \\ud83d escape needs the \\ude00 that follows it",
    )


def refuse_object() -> Refusal:
    """The refusal of a Python value that is neither JSON nor a mapping."""
    return Refusal(kind="not-object", message="an event is an object", expected="an object", path="$")


def _refuse_json(data: bytes, said: str) -> Refusal:
    """Put msgspec's complaint into our words."""
    if not data.strip():
        return Refusal(kind="empty", message="there is nothing in the line")
    if ("hex escape" in said or "truncated" in said or "surrogate" in said) and _HALF.search(data):
        return refuse_surrogate()
    if "truncated" in said:
        return Refusal(
            kind="not-json",
            message="the JSON ends too early",
            hint="was the file cut, or the event split over lines?",
        )
    hint = ""
    if "trailing characters" in said:
        hint = "write one event per line"
    elif re.search(rb"[:,\[]\s*-?(?:NaN|Infinity)\b", data):
        hint = "JSON has no NaN or Infinity: write null"
    elif data.lstrip()[:2] == b"{'":
        hint = "JSON wants double quotes"
    return Refusal(kind="not-json", message=f"not JSON: {say_json(said)}", hint=hint)


def say_json(said: str) -> str:
    """What msgspec says of malformed JSON, in our words."""
    if "truncated" in said:
        return "it ends too early"
    return said.removeprefix("JSON is malformed: ").replace(" (byte ", ", at byte ").rstrip(")")
