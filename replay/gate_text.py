"""What `--fail-if` says: figures compared with numbers, joined by `and` and `or`.

new_blocks > 0.1%
precision < 90% or newly(link_flood) >= 20
(harsher > 1% and precision_drop > 0) or refused != 0
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

LONGEST = 2_000
"""Characters of one gate."""
DEEPEST = 50
"""Parentheses within one another."""
OPERATORS = (">", ">=", "<", "<=", "==", "!=")

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?[0-9][0-9_]*(?:\.[0-9]+)?%?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|`(?P<quoted>[^`]+)`|\"(?P<text>[^\"]+)\"|(?P<op>>=|<=|==|!=|=|>|<)|(?P<mark>[()]))"
)


class GateError(Exception):
    """A gate that cannot be read, or names what is not there. `at` is the character, counted from 1."""

    def __init__(self, message: str, text: str, at: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.text, self.at, self.hint = message, text, at, hint

    def __str__(self) -> str:
        place = f" (at character {self.at} of `{self.text[:80]}`)"
        return self.message + place + (f": {self.hint}" if self.hint else "")


@dataclass(frozen=True, slots=True)
class Compared:
    """`figure(argument) op value`; `percent` that the value was written as a percentage (1% is 1/100). Values
    are exact, so that nine of ten are not more than 90%."""

    figure: str
    argument: str | None
    op: str
    value: Fraction
    percent: bool
    at: int


@dataclass(frozen=True, slots=True)
class Joined:
    """Gates joined by `and` or `or`."""

    word: Literal["and", "or"]
    parts: tuple[Condition, ...]


Condition = Compared | Joined


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def read_gate(text: str) -> Condition:
    """The condition that a text says. Raises GateError."""
    if len(text) > LONGEST:
        raise GateError(f"a gate is at most {LONGEST:,} characters long", text, LONGEST)
    return _Reader(text, _tokens(text)).all()


def _tokens(text: str) -> list[_Token]:
    out = []
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            raise GateError(f"`{text[place]}` does not belong here", text, place + 1, _FORM)
        kind = found.lastgroup or ""
        out.append(_Token(kind, found[kind], found.start(kind) + 1))
        at = found.end()
    return out


_FORM = "write such as new_blocks > 0.1%"


class _Reader:
    """Reads tokens from the left, one after another."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._text, self._tokens, self._next, self._depth = text, tokens, 0, 0

    def all(self) -> Condition:
        """The whole text."""
        if not self._tokens:
            raise GateError("nothing is compared", self._text, 1, _FORM)
        made = self._any()
        left = self._peek()
        if left.kind != "end":
            raise self._error(f"`{left.text}` does not belong here", left, "join comparisons with and, or")
        return made

    def _any(self) -> Condition:
        return self._joined("or", lambda: self._joined("and", self._one))

    def _joined(self, word: Literal["and", "or"], part: Callable[[], Condition]) -> Condition:
        parts: list[Condition] = [part()]
        while self._peek()[:2] == ("name", word):
            self._take()
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))

    def _one(self) -> Condition:
        token = self._take()
        if token[:2] != ("mark", "("):
            return self._comparison(token)
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error("too many parentheses stand within one another", token)
        made = self._any()
        self._close(token)
        self._depth -= 1
        return made

    def _close(self, opened: _Token) -> None:
        if self._take()[:2] != ("mark", ")"):
            raise self._error("this parenthesis is not closed", opened)

    def _comparison(self, figure: _Token) -> Compared:
        if figure.kind != "name" or figure.text in ("and", "or"):
            what = "a figure is missing" if figure.kind == "end" else f"`{figure.text}` is no figure"
            raise self._error(what, figure, _FORM)
        argument = None
        if self._peek()[:2] == ("mark", "("):
            opened = self._take()
            named = self._take()
            if named.kind not in ("name", "quoted", "text"):
                raise self._error("the name of a rule or a verdict is missing", named)
            argument = named.text
            self._close(opened)
        op = self._take()
        if op.text not in OPERATORS or op.kind != "op":
            hint = "two things are compared with ==" if op.text == "=" else "one of " + " ".join(OPERATORS)
            raise self._error(
                "a comparison is missing" if op.text != "=" else "`=` compares nothing", op, hint
            )
        number = self._take()
        if number.kind != "number":
            raise self._error("a number or a percentage is missing", number, _FORM)
        percent = number.text.endswith("%")
        value = Fraction(number.text.rstrip("%").replace("_", ""))
        return Compared(
            figure.text, argument, op.text, value / 100 if percent else value, percent, figure.at
        )  # fmt: skip

    def _peek(self) -> _Token:
        if self._next < len(self._tokens):
            return self._tokens[self._next]
        return _Token("end", "", len(self._text) + 1)

    def _take(self) -> _Token:
        token = self._peek()
        self._next += 1
        return token

    def _error(self, message: str, token: _Token, hint: str | None = None) -> GateError:
        return GateError(message, self._text, token.at, hint)
