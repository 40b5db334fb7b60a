"""What the parser could not read, in an analyst's words."""

from __future__ import annotations

from typing import Any

from lark.exceptions import UnexpectedInput

from quell.grammar.diagnostics import guess
from quell.grammar.syntax_guesses import GUESSES
from quell.grammar.syntax_mistake import Fault, Mistake, mistake, shown
from quell.grammar.syntax_words import DECLARATIONS, INDENTED, INVISIBLE, OPERATORS, SPELLED

_VALUE = {"NAME", "NUMBER", "STRING", "LPAR"}


def explain(error: UnexpectedInput, parser: Any, text: str, start: str) -> Fault:
    """What to say about a parse error in `text`, which began as a `start`; `parser` stands before it."""
    found = mistake(error, parser, text, start)
    for guessed in GUESSES:
        fault = guessed(found)
        if fault is not None:
            return fault
    return found.fault(hint=_expected(found))


def unknown_declaration(word: str, text: str, starts: tuple[str, ...]) -> Fault:
    """What to say about a line at the margin that begins with no word that declares something."""
    first = text[:1]
    if first in INVISIBLE:
        return Fault(
            "unknown-declaration", f"this line begins with a {INVISIBLE[first]}", "indent with spaces", 0, 1
        )
    likely = guess(word.lower()[:40], starts)
    if word in INDENTED or text.startswith((")", "]")):
        hint = "indent this line, so that it belongs to the declaration above"
    elif likely is not None:
        hint = f"did you mean `{likely}`?"
    else:
        known = (DECLARATIONS[start] for start in (word.lower(), text[:2], first) if start in DECLARATIONS)
        hint = next(known, "a declaration begins with " + ", ".join(starts[:-1]) + " or " + starts[-1])
    message = f"`{shown(word)}` does not begin a declaration"
    return Fault("unknown-declaration", message, hint, 0, len(word), likely)


def _expected(m: Mistake) -> str | None:
    """A hint naming what could stand here, unless that is nearly everything."""
    if m.accepts >= _VALUE:
        return "a value was expected: a name, a number, text, or something in parentheses"
    accepts = m.accepts - OPERATORS - {"LPAR"} if m.value_is_complete else m.accepts
    words = sorted({SPELLED.get(t, f"`{t.lower()}`") for t in accepts} - {""}, key=lambda w: (w[0] == "`", w))
    if not words or len(words) > 12:
        return None
    return "expected " + (words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1])
