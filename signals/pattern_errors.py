"""RE2's complaints about a pattern in the analyst's words, with the place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import unicodedata2


class PatternProblem(NamedTuple):
    """What is wrong with a pattern. `offset` counts characters from its start; a flag's goes past its end."""

    message: str
    offset: int
    hint: str | None


class PatternLint(NamedTuple):
    """What is odd about a pattern. `offset` counts characters from its start."""

    code: str
    message: str
    offset: int
    hint: str


_NO_LOOKING = "look-{way} needs more than linear time, so patterns do not have it"
_TWO_CONDITIONS = "write two conditions: matches /…/ and not … matches /…/"

# What a group begins with that RE2 has not, longest first.
_GROUPS: tuple[tuple[str, str, str | None], ...] = (
    (
        "(?<=",
        _NO_LOOKING.format(way="behind"),
        "match the text before as well, or use extract(…) with a group",
    ),
    ("(?<!", _NO_LOOKING.format(way="behind"), _TWO_CONDITIONS),
    ("(?P=", "a pattern cannot refer back to what a group matched", "compare the parts after extract(…)"),
    ("(?P>", "a pattern cannot call one of its groups", "write the group out again"),
    ("(?&", "a pattern cannot call one of its groups", "write the group out again"),
    ("(?=", _NO_LOOKING.format(way="ahead"), "write two conditions: matches /…/ and matches /…/"),
    ("(?!", _NO_LOOKING.format(way="ahead"), _TWO_CONDITIONS),
    ("(?>", "patterns have no atomic groups, and need none: they never go back", "write (?:…)"),
    ("(?#", "patterns have no comments", "write a # comment above the declaration"),
    ("(?(", "patterns have no conditions", "write two patterns"),
    ("(?R", "a pattern cannot call itself", None),
    ("(?|", "patterns have no branch reset", "write (?:…)"),
    ("(?'", "a group's name stands in angle brackets", "write (?P<name>…)"),
    ("(?x", "patterns have no flag x: white space in them counts", "the flags are i, s and m"),
)

_ESCAPES: dict[str, tuple[str, str | None]] = {
    "Z": ("`\\Z` is `\\z` here", "write \\z or $"),
    "u": ("`\\u` is `\\x{…}` here", "write é itself or \\x{e9}"),
    "U": ("`\\U` is `\\x{…}` here", "write 😀 itself or \\x{1f600}"),
    "x": ("`\\x` needs two hexadecimal digits, or any number of them in braces", "write \\x41 or \\x{1f600}"),
    "h": ("`\\h` does not exist here", "write [ \\t]"),
    "H": ("`\\H` does not exist here", "write [^ \\t]"),
    "R": ("`\\R` does not exist here", "write \\r?\\n"),
    "N": ("`\\N` does not exist here", "write [^\\n]"),
    "X": ("`\\X` does not exist here", "for a character with its marks write \\PM\\pM*"),
    "G": ("`\\G` does not exist here", None),
    "K": ("`\\K` does not exist here", "use extract(…) with a group"),
    "k": ("a pattern cannot refer back to what a group matched", "compare the parts after extract(…)"),
    "g": ("a pattern cannot refer back to what a group matched", "compare the parts after extract(…)"),
    "e": ("`\\e` does not exist here", "write \\x1b"),
    "c": ("`\\c` does not exist here", "write the control character as \\x01"),
    "E": ("`\\E` ends what `\\Q` begins, and no `\\Q` stands before it", None),
    "Q": ("`\\Q` cannot stand in a class", None),
    "b": ("`\\b` cannot stand in a class", "for a backspace write \\x08"),
    "B": ("`\\B` cannot stand in a class", None),
    "A": ("`\\A` cannot stand in a class", None),
    "z": ("`\\z` cannot stand in a class", None),
}


def translate(pattern: str, error: str) -> PatternProblem:
    """RE2's error, as it spells it (``invalid escape sequence: \\1``), said in other words."""
    kind, _, part = error.partition(": ")
    teller = _TELLERS.get(kind)
    if teller is not None:
        return teller(pattern, part)
    shown = f" at `{_short(part)}`" if part else ""
    return PatternProblem(f"RE2 does not accept this pattern{shown}: {kind}", _place(pattern, part), None)


def _short(text: str) -> str:
    return text if len(text) <= 30 else text[:29] + "…"


def _steps(pattern: str) -> Iterator[tuple[int, bool]]:
    """The places at which something begins, each with whether it is inside a class."""
    at, inside, first = 0, False, 0
    while at < len(pattern):
        yield at, inside
        char = pattern[at]
        if char == "\\":
            stop = pattern.find("\\E", at) if pattern.startswith("\\Q", at) and not inside else -1
            at = stop + 2 if stop >= 0 else at + 2
            continue
        if inside:
            posix = re.compile(r"\[:\^?\w*:\]").match(pattern, at)
            if posix:
                at = posix.end()
                continue
            inside = char != "]" or at == first
        elif char == "[":
            inside = True
            first = at + 1 + pattern.startswith("^", at + 1)
            at = first
            continue
        at += 1


def _places(pattern: str, part: str) -> list[int]:
    return [at for at, _ in _steps(pattern) if part and pattern.startswith(part, at)]


def _place(pattern: str, part: str, *, last: bool = False) -> int:
    """Where `part` begins: at its first place (or last), never in the middle of an escape."""
    places = _places(pattern, part)
    return (places[-1] if last else places[0]) if places else max(0, pattern.find(part))


def _bad_group(pattern: str, part: str) -> PatternProblem:
    # RE2 may name only the first characters, and a good group may begin with them as well.
    for at in _places(pattern, part):
        for start, message, hint in _GROUPS:
            if pattern.startswith(start, at):
                return PatternProblem(message, at, hint)
    at = _place(pattern, part)
    return PatternProblem(
        f"`{_short(part)}` begins no group that patterns have",
        at,
        "groups are (…), (?:…), (?P<name>…) and (?i:…); for the characters themselves write \\(\\?",
    )


def _bad_escape(pattern: str, part: str) -> PatternProblem:
    at = _place(pattern, part)
    kind = part[1:2]
    if kind.isdigit():
        message = "a pattern cannot refer back to what a group matched"
        return PatternProblem(
            message, at, "for a repeated character use repeat_ratio(…); for a character code write \\x41"
        )
    # A range such as [a-\d] fails at the class that cannot be its end.
    if kind in "dDsSwW" and kind:
        return PatternProblem(f"`{part}` cannot end a range", at, "for a hyphen write \\-")
    if kind in _ESCAPES:
        message, hint = _ESCAPES[kind]
        return PatternProblem(message, at, hint)
    if kind and unicodedata2.category(kind)[0] in "LM":
        why = (
            "letters beyond a to z need no backslash"
            if kind > "\x7f"
            else f"the escape `{part}` does not exist"
        )
        return PatternProblem(why, at, f"write {kind}")
    return PatternProblem(
        f"the escape `{_short(part)}` does not exist", at, f"write {kind}" if kind else None
    )


def _bad_class(pattern: str, part: str) -> PatternProblem:
    at = _place(pattern, part)
    if part.startswith(("\\p", "\\P")):
        return PatternProblem(
            f"`{_short(part)}` names no script or category",
            at,
            "such as \\pL, \\p{Lu}, \\p{Cyrillic}, \\p{Han}",
        )
    if part.startswith("[:"):
        return PatternProblem(
            f"`{_short(part)}` is no class", at, "such as [:alpha:], [:digit:], [:punct:], [:space:]"
        )
    return PatternProblem(
        f"the range `{_short(part)}` runs backwards", at, "for a hyphen write it last, or \\-"
    )


def _bad_count(pattern: str, part: str) -> PatternProblem:
    numbers = [int(n) for n in re.findall(r"[0-9]{1,9}", part)]
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        return PatternProblem(f"the count `{part}` runs backwards", _place(pattern, part), None)
    if numbers and max(numbers) > 1000:
        at = _place(pattern, part)
        return PatternProblem(
            f"the count `{part}` is larger than 1000", at, "write + or * where any number will do"
        )
    at = _place(pattern, part, last=True)
    return PatternProblem(
        f"counts inside counts up to `{part}` make more than 1000 copies", at, "write + or * for one of them"
    )


def _double_count(pattern: str, part: str) -> PatternProblem:
    at = _place(pattern, part)
    if len(part) == 2 and part[1] == "+":
        return PatternProblem(
            f"`{part}` is possessive, which patterns have not and do not need: they never go back",
            at,
            f"write {part[0]}",
        )
    return PatternProblem(
        f"`{_short(part)}` counts what is counted already", at, "put the inner part into (?:…)"
    )


def _nothing_to_count(pattern: str, part: str) -> PatternProblem:
    at = next((a for a, inside in _steps(pattern) if not inside and _uncounted(pattern, a, part)), 0)
    return PatternProblem(
        f"nothing stands before `{part}` that it could repeat", at, f"for the character itself write \\{part}"
    )


def _uncounted(pattern: str, at: int, part: str) -> bool:
    before = pattern[:at]
    bare = (
        not before
        or before.endswith(("|", "("))
        or re.search(r"\(\?(?:P?<\w+>|[imsU-]*[:)])\Z", before) is not None
    )
    return bare and pattern.startswith(part, at)


def _open_class(pattern: str, part: str) -> PatternProblem:
    at = max(0, len(pattern) - len(part)) if pattern.endswith(part) else _place(pattern, part)
    return PatternProblem(
        "this `[` does not close", at, "end the class with ], or write \\[ for the character"
    )


def too_deep(pattern: str, most: int) -> PatternProblem | None:
    """The complaint about groups that nest more than `most` deep."""
    depth = 0
    for at, inside in _steps(pattern):
        if not inside:
            depth += (pattern[at] == "(") - (pattern[at] == ")")
            if depth > most:
                return PatternProblem(f"the groups nest more than {most} deep", at, None)
    return None


def _parentheses(pattern: str) -> tuple[int | None, int | None]:
    """The first `)` without a `(` before it, and the last `(` without a `)` after it."""
    opened: list[int] = []
    for at, inside in _steps(pattern):
        if inside:
            continue
        if pattern[at] == "(":
            opened.append(at)
        elif pattern[at] == ")":
            if not opened:
                return at, None
            opened.pop()
    return None, opened[-1] if opened else None


def _open_group(pattern: str, part: str) -> PatternProblem:
    _, at = _parentheses(pattern)
    return PatternProblem(
        "this `(` does not close", at or 0, "end the group with ), or write \\( for the character"
    )


def _stray_close(pattern: str, part: str) -> PatternProblem:
    at, _ = _parentheses(pattern)
    return PatternProblem("this `)` closes nothing", at or 0, "for the character itself write \\)")


def _trailing(pattern: str, part: str) -> PatternProblem:
    return PatternProblem("a backslash stands last", len(pattern) - 1, "for the character itself write \\\\")


def _too_large(pattern: str, part: str) -> PatternProblem:
    return PatternProblem(
        "the pattern is too large",
        0,
        "a count such as {2,500} writes out 500 times what it counts; write + where any number will do",
    )


def _bad_name(pattern: str, part: str) -> PatternProblem:
    at = _place(pattern, part)
    return PatternProblem(
        f"`{_short(part)}` is no name for a group", at, "write (?P<name>…) with letters, digits and _"
    )


def _nested(pattern: str, part: str) -> PatternProblem:
    return PatternProblem("the groups nest too deeply", 0, None)


_TELLERS = {
    "invalid perl operator": _bad_group,
    "invalid escape sequence": _bad_escape,
    "invalid character class": _bad_class,
    "invalid character class range": _bad_class,
    "missing ]": _open_class,
    "missing )": _open_group,
    "unexpected )": _stray_close,
    "trailing \\": _trailing,
    "no argument for repetition operator": _nothing_to_count,
    "invalid repetition size": _bad_count,
    "bad repetition operator": _double_count,
    "invalid named capture group": _bad_name,
    "pattern too large - compile failed": _too_large,
    "expression nests too deeply": _nested,
}
