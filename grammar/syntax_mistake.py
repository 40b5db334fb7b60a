"""Where the parser stopped: what it found there and what it could have taken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from lark import Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken


class Fault(NamedTuple):
    """Why a text does not read: what to say, and where, in characters of the text."""

    code: str
    message: str
    hint: str | None
    offset: int
    length: int
    replacement: str | None = None


_WORD = re.compile(r"\w+")


@dataclass(slots=True)
class Mistake:
    """Where the parser stopped: the token it found there, and those it could have taken."""

    text: str
    start: str
    offset: int
    found: str
    kind: str
    accepts: set[str]
    stack: list[Any]
    last: Token | None = None

    def __post_init__(self) -> None:
        if self.kind == "$END":
            self.offset = max(len(self.text.rstrip()) - 1, 0)

    @property
    def at_end(self) -> bool:
        return self.kind == "$END"

    @property
    def previous(self) -> str:
        """The token before."""
        return self.last.value if self.last is not None else ""

    @property
    def previous_at(self) -> int:
        """Where the token before begins."""
        return (self.last.start_pos or 0) if self.last is not None else 0

    @property
    def named(self) -> bool:
        """Whether a name stands here, or a keyword that the analyst may have meant as one."""
        return self.kind == "NAME" or self.found.isidentifier()

    @property
    def begins_line(self) -> bool:
        return begins_a_line(self.text, self.offset)

    @property
    def value_is_complete(self) -> bool:
        return {"PLUS", "AND"} <= self.accepts

    def fault(
        self,
        message: str = "",
        hint: str | None = None,
        *,
        code: str = "syntax",
        replacement: str | None = None,
    ) -> Fault:
        usual = (
            f"this {_what(self.start)} ends too early"
            if self.at_end
            else f"`{shown(self.found)}` cannot stand here"
        )
        said = message or usual
        return Fault(code, said, hint, self.offset, max(len(self.found), 1), replacement)


def mistake(error: UnexpectedInput, parser: Any, text: str, start: str) -> Mistake:
    accepts = {str(name) for name in parser.accepts()}
    stack = list(parser.parser_state.value_stack)
    last = parser.lexer_thread.state.last_token
    if isinstance(error, UnexpectedToken):
        token = error.token
        return Mistake(text, start, token.start_pos or 0, str(token), token.type, accepts, stack, last)
    at = error.pos_in_stream if isinstance(error, UnexpectedCharacters) else 0
    at = at or 0
    word = _WORD.match(text, at)
    return Mistake(text, start, at, word[0] if word else text[at : at + 1], "", accepts, stack, last)


def begins_a_line(text: str, offset: int) -> bool:
    line = text[:offset].rpartition("\n")
    return bool(line[1]) and not line[2].strip()


def _what(start: str) -> str:
    return "expression" if start == "expr" else start


def shown(text: str) -> str:
    """Text of a policy as a message may hold it: short, on one line, and of characters that can be seen."""
    short = text if len(text) <= 40 else text[:37]
    out = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in short)
    return out if short is text else out + "…"
