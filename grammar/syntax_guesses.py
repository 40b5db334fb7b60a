"""What the analyst meant: each guess looks at one kind of mistake, and the first that knows it speaks."""

from __future__ import annotations

import re
from collections.abc import Callable

from lark import Token

from quell.grammar.diagnostics import guess
from quell.grammar.literals import text_fault
from quell.grammar.syntax_effects import labels, limits, windows
from quell.grammar.syntax_mistake import Fault, Mistake, begins_a_line, shown
from quell.grammar.syntax_words import CLAUSE_WORDS, CLAUSES, INVISIBLE, NO_WORDS, SIGNS, UNITS, WORDS

_EFFECTS = ("label", "unlabel", "send", "exempt")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]+")
_AS_FIELD = re.compile(r"\s+(from|when|with)\s+\w[^=\n]*=\s*\$")
_AS_INPUT = re.compile(r"\s+(gives|when|wait)\s*=[^=]")


def _letters(m: Mistake) -> Fault | None:
    """What the lexer could not even read: quotes, invisible characters, letters of no plain name."""
    first = m.text[m.offset : m.offset + 1]
    if m.at_end or not first:
        return None
    if first in INVISIBLE:
        return m.fault(f"a {INVISIBLE[first]} cannot stand here", "write an ordinary space", replacement=" ")
    if first == '"' and m.kind != "STRING":
        line = re.split(r"[\r\n]", m.text[m.offset :], maxsplit=1)[0]
        wrong = text_fault(line)
        length = 1 if wrong.offset else len(line.rstrip())
        return Fault(wrong.code, str(wrong), wrong.hint, m.offset + wrong.offset, length)
    if first == "`" and m.kind != "QUOTED":
        return m.fault("this name in backquotes does not close", "end it with a backquote")
    if first == "/" and "REGEX" in m.accepts:
        return m.fault(
            "this pattern does not close on its line", "end it with `/`; a slash inside is written `\\/`"
        )
    if first.isalpha() and not first.isascii():
        begin = m.offset
        while begin and (m.text[begin - 1].isalnum() or m.text[begin - 1] == "_"):
            begin -= 1
        word = m.text[begin : m.offset + len(m.found)]
        return Fault(
            "syntax",
            f"`{shown(word)}` is no plain name",
            f"write it in backquotes: `{word}`",
            begin,
            len(word),
        )
    return None


def _numbers(m: Mistake) -> Fault | None:
    """`5min`, `5 minutes`, `1,5`, `0.25` for a percentage, `-30` for points."""
    first = m.found[:1]
    if m.kind == "" and first.isdecimal():
        match = re.match(r"([0-9_.]+)\s*(\w*)", m.text[m.offset :])
        whole = match[0] if match else m.found
        unit = UNITS.get(match[2].lower()) if match else None
        right = f"{match[1]}{unit}" if match and unit else None
        hint = f"write `{right}`" if right else "durations are written `90s`, `10m`, `1h30m`, `7d`"
        message = f"`{shown(whole)}` is neither a number nor a duration"
        return Fault("syntax", message, hint, m.offset, len(whole), right)
    if m.found.lower() in UNITS and m.previous.isdecimal():
        right = m.previous + UNITS[m.found.lower()]
        return m.fault(hint=f"a duration is written without a space: `{right}`")
    if m.found == "," and m.previous.isdecimal() and m.text[m.offset + 1 : m.offset + 2].isdecimal():
        return m.fault(hint="a decimal point is a dot, and thousands are parted by `_`", replacement=".")
    if m.kind == "NUMBER" and "PERCENT" in m.accepts and "NUMBER" not in m.accepts:
        value = float(m.found.replace("_", "")) if len(m.found) < 20 else 0.0
        right = f"{value * 100 if 0 < value < 1 else value:g}%"
        return m.fault(hint=f"write it as a percentage: `{right}`", replacement=right)
    if m.kind == "MINUS_SIGN" and m.start == "score":
        return m.fault("points are taken away with `minus`", "write `minus 30 when …`", replacement="minus ")
    return None


def _signs(m: Mistake) -> Fault | None:
    """`=` for `==`, and signs of other languages."""
    if m.at_end or m.kind in ("STRING", "REGEX", "QUOTED"):
        return None
    begin = m.offset - 1 if m.text[m.offset - 1 : m.offset] in "<=!&|*+" and m.kind != "NAME" else m.offset
    for at, length in ((begin, 3), (m.offset, 3), (begin, 2), (m.offset, 2), (m.offset, 1)):
        wrong = m.text[at : at + length]
        if len(wrong) == length and wrong in SIGNS and at + length > m.offset:
            instead = SIGNS[wrong]
            return Fault("syntax", instead.message, instead.hint, at, length, instead.replacement)
    if m.kind == "EQUAL" or m.found == "=":
        if m.value_is_complete:
            code = "assignment-in-condition"
            return m.fault("a single `=` does not compare", "write `==`", code=code, replacement="==")
        if "COLON" in m.accepts:
            return m.fault(hint="in braces a value follows a colon: `name: value`", replacement=":")
        if m.start in ("shape", "event") and "ONE" in m.accepts:
            return m.fault("the type is missing", f"write `{shown(m.previous)} text = …`")
    if m.found == "==" and "EQUAL" in m.accepts:
        return m.fault("`==` compares, and here a value is given a name", "write `=`", replacement="=")
    if m.found == "?" and m.value_is_complete:
        return m.fault(hint="there is no `a ? b : c`; a value for what is missing is written `a ?? b`")
    return None


def _brackets(m: Mistake) -> Fault | None:
    """A bracket that does not close, or closes nothing."""
    if m.found in (")", "]", "}"):
        if m.previous == "," and "NAME" in m.accepts:
            return m.fault(hint="leave out the comma before it")
        if m.found not in [
            _CLOSING[t.value] for t in m.stack if isinstance(t, Token) and t.value in _CLOSING
        ]:
            return m.fault(
                f"this `{m.found}` closes nothing", "leave it out, or open it before", replacement=""
            )
    clause = m.found in (*CLAUSE_WORDS.get(m.start, ()), "limit")
    if not (m.at_end or (clause and (m.begins_line or m.kind not in ("NAME", "")))):
        return None
    opened = next((t for t in reversed(m.stack) if isinstance(t, Token) and t.value in _CLOSING), None)
    if opened is None or opened.start_pos is None or not m.accepts & {"RPAR", "RSQB", "RBRACE"}:
        return None
    before = "the end" if m.at_end else f"`{shown(m.found)}`"
    message, hint = f"this `{opened}` does not close", f"write `{_CLOSING[opened.value]}` before {before}"
    return Fault("syntax", message, hint, opened.start_pos, 1)


def _gaps(m: Mistake) -> Fault | None:
    """A clause word that was read as a name, because what should stand before it does not."""
    words = CLAUSE_WORDS.get(m.start, ())
    if m.last is None or m.last.type != "NAME" or m.previous not in words:
        return None
    at = m.previous_at
    earlier = _WORD_OR_SIGN.findall(re.sub(r"(?m)#.*$", "", m.text[:at]))
    if not begins_a_line(m.text, at) or not earlier:
        return None
    message = f"something is missing after `{shown(earlier[-1])}`"
    return Fault("syntax", message, f"`{m.previous}` cannot follow it", at, len(m.previous))


def _fields(m: Mistake) -> Fault | None:
    """A field or input whose name is a keyword where it stands."""
    pattern = {"event": _AS_FIELD, "model": _AS_INPUT}.get(m.start)
    begin = m.text.rfind("\n", 0, m.offset) + 1
    match = pattern.match(m.text, begin) if pattern is not None and begin else None
    if match is None:
        return None
    message, hint = (
        f"`{match[1]}` has a meaning of its own here",
        f"as a name it stands in backquotes: `{match[1]}`",
    )
    return Fault("syntax", message, hint, match.start(1), len(match[1]), f"`{match[1]}`")


def _capitals_and_slips(m: Mistake) -> Fault | None:
    """`AND`, `becuase`, `label` for `labels`: a keyword that could stand here, nearly."""
    if not m.found[:1].isalpha():
        return _slip_before(m)
    keywords = {name.lower() for name in m.accepts - NO_WORDS if name.isalpha()}
    lower = m.found.lower()
    if lower in keywords:
        return m.fault(hint=f"keywords have small letters: write `{lower}`", replacement=lower)
    if m.begins_line and m.start == "rule" and "THEN" in m.accepts and lower in _EFFECTS:
        return m.fault(hint=f"effects stand after `then`: `then {lower} …`")
    if (m.value_is_complete and lower in WORDS) or (
        "MISSING" in m.accepts and lower in ("null", "none", "nil")
    ):
        return m.fault(hint=WORDS[lower])
    if m.begins_line and m.start == "rule" and lower in CLAUSES:
        return m.fault(hint=CLAUSES[lower])
    likely = guess(lower[:40], keywords)
    if likely is not None:
        return m.fault(hint=f"did you mean `{likely}`?", replacement=likely)
    return _slip_before(m)


def _slip_before(m: Mistake) -> Fault | None:
    """A misspelt keyword that was read as a name, so that only what follows it was noticed."""
    words = (*CLAUSE_WORDS.get(m.start, ()), *(_EFFECTS if m.start == "rule" else ()))
    if m.last is None or m.last.type != "NAME" or m.previous in words or m.value_is_complete:
        return None
    likely = guess(m.previous[:40], words)
    if likely is None:
        return None
    message = f"`{shown(m.previous)}` cannot stand here"
    return Fault("syntax", message, f"did you mean `{likely}`?", m.previous_at, len(m.previous), likely)


def _quotes_and_paths(m: Mistake) -> Fault | None:
    """Names for text, text for names, and paths."""
    if m.start in ("shape", "event") and m.previous_at and m.text[m.previous_at - 1] == "$":
        path = f"$.{shown(m.previous)}"
        return Fault(
            "syntax",
            f"`${shown(m.previous)}` is no path",
            f"write `{path}`",
            m.previous_at - 1,
            len(m.previous) + 1,
        )
    if m.text[m.offset - 1 : m.offset] == "$" and m.named:
        return m.fault(hint=f"a path is written `$.{shown(m.found)}`")
    if m.text[m.offset : m.offset + 2] == ".*" and m.last is not None and m.last.type == "PATH":
        return m.fault(hint="every element of a list is written `[*]`")
    if m.kind == "PATH" and "EQUAL" in m.accepts:
        return m.fault(hint=f"write `= {shown(m.found)}`")
    if m.kind == "PATH" and "NAME" in m.accepts:
        return m.fault(
            hint="a path stands in an event or a shape, where it gives a field its name; use that name"
        )
    if "PATH" in m.accepts and m.named:
        return m.fault(hint=f"a path is written `$.{shown(m.found)}`")
    if m.named and "STRING" in m.accepts and not m.accepts & {"NUMBER", "NAME"}:
        return m.fault(hint=f'text stands in quotes: `"{shown(m.found)}"`', replacement=f'"{m.found}"')
    if m.kind == "STRING" and "FROM" in m.accepts:
        return m.fault(hint=f"write `from {shown(m.found)}`")
    if m.kind == "STRING" and m.previous == ".":
        return m.fault(hint="behind a dot stands the name of a field")
    if m.kind == "STRING" and "NAME" in m.accepts and not m.accepts & {"STRING", "NUMBER"}:
        inside = re.sub(r"\W+", "_", m.found[1:-1]).strip("_")
        if inside.isidentifier():
            return m.fault(hint=f"names have no quotes: `{shown(inside)}`", replacement=inside)
    return None


def _hyphens_and_commas(m: Mistake) -> Fault | None:
    """Names with a hyphen, and commas where none stand."""
    if m.found == "-" and m.last is not None and m.last.end_pos == m.offset and not m.value_is_complete:
        match = re.match(r"[\w\-]+", m.text[m.previous_at :])
        name = match[0] if match else m.previous
        right = name.replace("-", "_")
        return Fault(
            "syntax",
            f"`{shown(name)}` is no plain name",
            f"write `{shown(right)}`",
            m.previous_at,
            len(name),
            right,
        )
    if m.found == ",":
        if m.start == "rule" and "UNLABEL" in m.accepts:
            return m.fault(hint="effects stand one below the other, without commas", replacement="")
        if m.start == "verdicts":
            return m.fault(hint="the ladder is written `allow < flag < block`")
        if (
            m.accepts & {"RPAR"}
            and m.value_is_complete
            and re.search(r"\bin\s*\([^()]*\Z", m.text[: m.offset])
        ):
            return m.fault(hint='values to choose from stand in brackets: `["a", "b"]`')
    return None


def _places(m: Mistake) -> Fault | None:
    """Mistakes of one declaration: ladders, types, the events of tests, times of verdicts."""
    if m.found == ">" and m.start == "verdicts":
        return m.fault(hint="the ladder is written from the lowest up: `allow < flag < block`")
    if m.found == ":" and m.start in ("shape", "event"):
        return m.fault(hint="the type follows the name without a colon", replacement="")
    if (
        m.found in ("[", "(")
        and {"LT", "OPTIONAL"} & m.accepts
        and m.start in ("shape", "event", "let", "list")
    ):
        return m.fault(hint="a list of texts is written `list<text>`")
    if m.start == "test" and m.named and "LBRACE" in m.accepts and "REPEAT" in m.accepts:
        return m.fault(hint="the event's values stand in braces: `{ name: value }`")
    if m.start == "rule" and "UNLABEL" in m.accepts and m.previous == "for":
        return m.fault(hint='only a label has a time: `label author "…" for 30d`')
    if m.start == "let" and m.accepts == {"COLON"} and "{" not in m.stack:
        return m.fault(hint="a parameter has a type: `x: text`")
    return None


def _words(m: Mistake) -> Fault | None:
    """Words that need another one behind them: `fired`, `is`, `on last`, `any of`, `if`."""
    if m.last is not None and m.last.type == "FIRED":
        return m.fault(
            hint="behind `fired` stands the name of a rule; a name of its own stands in backquotes: `fired`"
        )
    if m.previous == "is" or (m.previous == "not" and m.accepts == {"MISSING", "PRESENT"}):
        return m.fault(
            hint="after `is` stands `missing` or `present`; values are compared with `==` and `!=`"
        )
    if m.previous == "on" and m.found in ("first", "last"):
        return m.fault(hint=f"write `on the {m.found}`")
    if m.found == "of" or (
        m.previous == "of" and re.search(r"\b(any|all|none)\s+of\s+\Z", m.text[: m.offset])
    ):
        return m.fault(
            hint="`any`, `all` and `none` stand directly before the list: `any links in bad_domains`"
        )
    if m.found == "if" and "WHEN" in m.accepts and m.start == "score":
        return m.fault(hint="write `when`", replacement="when")
    if (m.found == "if" and not m.begins_line) or m.previous == "if":
        return m.fault(hint="a value has no `if`; a condition is itself a value, true or false")
    return None


def _missing(m: Mistake) -> Fault | None:
    """What should stand before: `then`, or an operator between two values."""
    begins_value = m.kind in (
        "NAME",
        "STRING",
        "NUMBER",
        "DURATION",
        "PERCENT",
        "LPAR",
        "QUOTED",
        "LABEL",
        "SEND",
    )
    if (
        m.start == "rule"
        and "THEN" in m.accepts
        and m.begins_line
        and m.kind == "NAME"
        and m.value_is_complete
    ):
        return m.fault(
            hint=f"effects stand after `then`: `then {shown(m.found)}`; conditions are joined by `and`, `or`"
        )
    if begins_value and m.value_is_complete:
        between = f"`{shown(m.previous)}` and `{shown(m.found)}`"
        return m.fault(hint=f"between {between} an operator is missing, such as `and`, `==` or `contains`")
    if m.start == "rule" and "UNLABEL" in m.accepts:
        return m.fault(hint="an effect is a verdict, `label`, `unlabel`, `send` or `exempt from`")
    return None


GUESSES: tuple[Callable[[Mistake], Fault | None], ...] = (
    _letters,
    _numbers,
    _signs,
    _fields,
    _gaps,
    labels,
    limits,
    windows,
    _hyphens_and_commas,
    _places,
    _words,
    _brackets,
    _capitals_and_slips,
    _quotes_and_paths,
    _missing,
)
