"""What analysts write who know another language, and what to write here instead."""

from __future__ import annotations

from typing import NamedTuple


class Instead(NamedTuple):
    """A message (empty: the usual one), a hint, and the text that would mend it if that is so simple."""

    message: str
    hint: str
    replacement: str | None = None


def _operator(wrong: str, right: str) -> Instead:
    return Instead(f"`{wrong}` is no operator here", f"write `{right}`", right)


def _quotes(wrong: str) -> Instead:
    return Instead("text stands in straight double quotes", f'write `"` in place of `{wrong}`', '"')


SIGNS: dict[str, Instead] = {
    "&&": _operator("&&", "and"),
    "||": _operator("||", "or"),
    "===": _operator("===", "=="),
    "!==": _operator("!==", "!="),
    "<>": _operator("<>", "!="),
    "=~": _operator("=~", "matches"),
    "!~": _operator("!~", "not matches"),
    "=<": _operator("=<", "<="),
    "=>": _operator("=>", ">="),
    ":=": _operator(":=", "="),
    "**": Instead("`**` is no operator here", "multiply with `*`"),
    "++": Instead("`++` is no operator here", "add with `+`"),
    "->": Instead("`->` is no operator here", "an element is reached with a dot"),
    "≠": _operator("≠", "!="),
    "≤": _operator("≤", "<="),
    "≥": _operator("≥", ">="),
    "∧": _operator("∧", "and"),
    "∨": _operator("∨", "or"),  # noqa: RUF001  # the sign is what this entry is about
    "¬": _operator("¬", "not"),
    "∈": _operator("∈", "in"),
    "×": _operator("×", "*"),
    "÷": _operator("÷", "/"),
    "−": _operator("−", "-"),
    "–": _operator("–", "-"),  # the dash is what this entry is about
    "&": _operator("&", "and"),
    "|": _operator("|", "or"),
    "!": _operator("!", "not"),
    "~": Instead("`~` is no operator here", "write `matches` with a pattern, or `contains` with text"),
    "^": Instead("`^` is no operator here", "a pattern stands between slashes: `/^spam/`"),
    "'": Instead("text stands in double quotes", 'write `"…"`'),
    "“": _quotes("“"),
    "”": _quotes("”"),
    "„": _quotes("„"),
    "«": _quotes("«"),
    "»": _quotes("»"),
    "‘": _quotes("‘"),  # noqa: RUF001  # the quote is what this entry is about
    "’": _quotes("’"),  # noqa: RUF001  # the quote is what this entry is about
    ";": Instead("nothing ends with `;`", "leave it out", ""),
    "…": Instead("`…` cannot stand here", "leave it out"),
    "@": Instead("`@` cannot stand here", "a name stands by itself, without `@`"),
    "\\": Instead("`\\` cannot stand here", "a line that is indented continues the one above by itself", ""),
}
"""Signs that are none, longest first where one begins another."""

INVISIBLE: dict[str, str] = {
    "\u00a0": "no-break space",
    "\u202f": "narrow no-break space",
    "\u2007": "figure space",
    "\u2009": "thin space",
    "\u3000": "ideographic space",
    "\u200b": "zero-width space",
    "\u200c": "zero-width non-joiner",
    "\u200d": "zero-width joiner",
    "\u2060": "word joiner",
    "\ufeff": "byte order mark",
    "\u00ad": "soft hyphen",
    "\u2028": "line separator",
    "\u2029": "paragraph separator",
}
"""Characters that look like a space or like nothing."""

WORDS: dict[str, str] = {
    "null": "write `missing`",
    "none": "write `missing`",
    "nil": "write `missing`",
    "undefined": "write `missing`",
    "empty": 'compare with `""`, or write `is missing`',
    "exists": "write `is present`",
    "exist": "write `is present`",
    "like": "write `contains` for text, `matches` for a pattern",
    "regex": "write `matches`",
    "regexp": "write `matches`",
    "match": "write `matches`",
    "startswith": "write `starts with`",
    "starts_with": "write `starts with`",
    "endswith": "write `ends with`",
    "ends_with": "write `ends with`",
    "contain": "write `contains`",
    "includes": "write `contains`",
    "include": "write `contains`",
    "has": "write `contains`, or `labelled` for a label",
    "have": "write `contains`, or `labelled` for a label",
    "labeled": "write `labelled`",
    "tagged": "write `labelled`",
    "does": "write `not` before the operator: `not contains`, `not matches`",
    "doesnt": "write `not` before the operator: `not contains`, `not matches`",
    "notin": "write `not in`",
    "isnt": "write `!=`, or `is not missing`",
    "equals": "write `==`",
    "equal": "write `==`",
    "eq": "write `==`",
    "ne": "write `!=`",
    "gt": "write `>`",
    "gte": "write `>=`",
    "ge": "write `>=`",
    "lt": "write `<`",
    "lte": "write `<=`",
    "le": "write `<=`",
    "greater": "write `>`",
    "more": "write `>`",
    "less": "write `<`",
    "fewer": "write `<`",
    "than": "write `>` or `<`",
    "between": "write `low <= x <= high`",
    "mod": "write `%`",
    "div": "write `//`",
    "xor": "write `!=`",
    "over": "a window is written `within 1h`",
    "during": "a window is written `within 1h`",
    "since": "a window is written `within 1h`",
    "window": "a window is written `within 1h`",
    "group": "a key is written `by author`",
    "reach": "write `reaches`",
    "for": "a filter is written `[x of xs where …]`",
}
"""Words that stand between values elsewhere."""

CLAUSES: dict[str, str] = {
    "if": "a condition is written `when …`",
    "unless": "write `when not …`",
    "where": "a rule's condition is written `when …`",
    "condition": "a condition is written `when …`",
    "conditions": "a condition is written `when …`",
    "do": "effects stand after `then`",
    "action": "effects stand after `then`",
    "actions": "effects stand after `then`",
    "verdict": "a verdict stands after `then`, by itself",
    "reason": 'write `because "…"`',
    "explain": 'write `because "…"`',
    "description": "what a rule is for stands above it, in lines that begin with `#`",
    "doc": "what a rule is for stands above it, in lines that begin with `#`",
    "tags": 'write `tag "…", "…"`',
    "labels": 'a label is an effect: `then label author "…"`',
    "events": "the events are written `on message`",
    "event": "the events are written `on message`",
    "enabled": "write `mode live`, `mode shadow` or `mode off`",
    "disabled": "write `mode off`",
    "status": "write `mode live`, `mode shadow` or `mode off`",
    "state": "write `mode live`, `mode shadow` or `mode off`",
    "sample": "write `rollout 25% by author`",
    "priority": "write `severity …`",
    "level": "write `severity …`",
    "author": 'write `owner "…"`',
    "team": 'write `owner "…"`',
    "alias": "write `formerly …`",
    "limit": "a limit follows the effect that it limits",
    "else": "there is no else: write a second rule with `when not …`",
    "elif": "there is no else: write a second rule",
    "otherwise": "there is no else: write a second rule with `when not …`",
    "end": "a rule needs no end",
}
"""Words that begin a line of a rule elsewhere."""

DECLARATIONS: dict[str, str] = {
    "import": "every .quell file of the folder is read, and nothing needs to be imported",
    "include": "every .quell file of the folder is read, and nothing needs to be included",
    "use": "every .quell file of the folder is read, and nothing needs to be imported",
    "def": "a function is written `let name(x: text) = …`",
    "function": "a function is written `let name(x: text) = …`",
    "fn": "a function is written `let name(x: text) = …`",
    "func": "a function is written `let name(x: text) = …`",
    "macro": "a function is written `let name(x: text) = …`",
    "var": "write `let name = …`",
    "const": "write `let name = …`",
    "set": "write `let name = …`",
    "define": "write `let name = …`",
    "if": "a rule is written `rule name`, and below it `when …` and `then …`",
    "policy": "a rule is written `rule name`, and below it `when …` and `then …`",
    "type": "fields that events share are a shape, an id that carries labels is an entity",
    "struct": "fields that events share are written `shape name`",
    "table": "a table is a list from a file with columns: `list geo from … gives country text`",
    "enum": 'values are given with a field\'s type: `one of ["a", "b"]`',
    "counter": "a counter is a value: `let n = count(message by author within 1h)`",
    "label": 'labels belong to an entity: `entity User labels "spammer"`',
    "//": "a comment begins with `#`",
    "/*": "a comment begins with `#`",
    "--": "a comment begins with `#`",
    "}": "declarations have no braces: what belongs to one is indented",
    "{": "declarations have no braces: what belongs to one is indented",
}
"""Words that begin a declaration elsewhere."""

CLAUSE_WORDS: dict[str, tuple[str, ...]] = {
    "rule": ("on", "when", "then", "because", "mode", "rollout", "tag", "owner", "severity", "formerly"),
    "test": ("given", "expect"),
    "model": ("gives", "when", "wait"),
}
"""The words that begin a line of a declaration."""

INDENTED = (
    *CLAUSE_WORDS["rule"],
    *("given", "expect", "gives", "wait", "and", "or", "label", "unlabel", "send", "exempt"),
    *("limit", "minus", "repeat", "with", "within", "by"),
)
"""Words that only ever begin an indented line."""

UNITS: dict[str, str] = {
    **dict.fromkeys(("us", "usec", "microsecond", "microseconds", "µs"), "us"),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), "w"),
}
"""Units of time, and how they are written here."""

SPELLED: dict[str, str] = {
    "NAME": "a name",
    "QUOTED": "",
    "NUMBER": "a number",
    "PERCENT": "a percentage",
    "DURATION": "a duration such as 10m",
    "STRING": "text in quotes",
    "REGEX": "a pattern such as /spam/i",
    "PATH": "a path such as $.author.id",
    "$END": "the end",
    "OPTIONAL": "`?`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "COMMA": "`,`",
    "DOT": "`.`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "EQ": "`==`",
    "NE": "`!=`",
    "LT": "`<`",
    "GT": "`>`",
    "LE": "`<=`",
    "GE": "`>=`",
    "PLUS": "`+`",
    "MINUS_SIGN": "`-`",
    "STAR": "`*`",
    "SLASH": "`/`",
    "SLASHES": "`//`",
    "MODULO": "`%`",
    "COALESCE": "`??`",
}
"""How terminals that are no keywords are spelled in hints."""

OPERATORS = {
    *(
        "PLUS",
        "MINUS_SIGN",
        "STAR",
        "SLASH",
        "SLASHES",
        "MODULO",
        "COALESCE",
        "EQ",
        "NE",
        "LT",
        "GT",
        "LE",
        "GE",
    ),
    *(
        "AND",
        "OR",
        "IN",
        "IS",
        "CONTAINS",
        "MATCHES",
        "STARTS",
        "ENDS",
        "LABELLED",
        "REACHES",
        "NOT",
        "DOT",
        "LSQB",
    ),
}
"""Terminals that may follow a value that is complete."""

NO_WORDS = frozenset(SPELLED)
