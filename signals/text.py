"""Functions of text as it stands: its length, cases, parts, and what patterns find or replace in it."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from quell.grammar.types import NUMBER, REGEX, TEXT, list_of, variable
from quell.signals.characters import LIST_CAP, SPACES, TEXT_CAP, lower, upper
from quell.signals.patterns import compile_pattern, inline
from quell.signals.registry import Example, Function, Parameter

TO_THE_END = 2**53
"""The default end of `slice`."""
MATCHES_CAP = 1_000
"""Matches of one pattern that `replace` replaces in one text. Each may be searched for up to the end of the
text, so without a cap the time could grow with the square of its length."""
SEARCHED_CAP = 200_000_000
"""Bytes that `replace` lets a pattern search in one text, were each match looked for up to its end."""


def trim(text: str) -> str:
    """The text without white space at both ends."""
    return text.strip(SPACES)


def cut(text: str, start: float, end: float = TO_THE_END) -> str:
    """The characters from `start` up to, not including, `end`; negative places count from the end."""
    return text[int(start) : int(end)]


def split(text: str, separator: str) -> list[str]:
    """The parts between separators, at most `LIST_CAP`; the whole text for an empty separator."""
    return text.split(separator, LIST_CAP)[:LIST_CAP] if separator else [text]


def hash_of(text: str) -> int:
    """The first 13 hexadecimal digits of the SHA-256 of the text in UTF-8: 52 bits, exact as a double."""
    return int(sha256(text.encode()).hexdigest()[:13], 16)


# ----------------------------------------------------------------- patterns


def extractor(pattern: tuple[str, str]) -> Callable[[str], str | None]:
    """From a text to what the pattern's first group matched where it is first found, or the whole match where
    the pattern has no group; None where it is not found. Raises ValueError for a bad pattern."""
    compiled = compile_pattern(*pattern)
    search = compiled.search
    group = 1 if compiled.groups else 0

    def extract(text: str) -> str | None:
        # Bytes, because the binding works out the places of characters anew for every search of text.
        match = search(text.encode())
        found = match[group] if match is not None else None
        return None if found is None else found.decode()

    return extract


def replacer(old: str | tuple[str, str], new: str) -> Callable[[str], str]:
    """From a text to the text with every `old` made `new`. Raises ValueError for a bad argument."""
    if isinstance(old, tuple):
        return _pattern_replacer(old, new)
    if not old:
        raise ValueError("the text to replace is empty")
    most = TEXT_CAP // len(new) + 1 if new else -1
    return lambda text: text.replace(old, new, most)[:TEXT_CAP]


def _quoted(text: str) -> str | None:
    """A text in SQL and in a template; None for one with a NUL, which has no short spelling."""
    return None if "\0" in text else "'" + text.replace("'", "''").replace("{", "{{").replace("}", "}}") + "'"


def _found_sql(pattern: tuple[str, str]) -> str | None:
    """Whether a pattern is found, in SQL, if DuckDB takes the pattern as we do: its RE2 is older."""
    quoted = _quoted(inline(*pattern))
    return quoted and f"regexp_matches({{0}}, {quoted})"


def _extracted_sql(pattern: tuple[str, str]) -> str | None:
    found = _found_sql(pattern)
    return found and f"CASE WHEN {found} THEN {{python}} END"


def _replaced_sql(old: str | tuple[str, str], new: str) -> str | None:
    if isinstance(old, tuple):
        found = _found_sql(old)
        return found and f"CASE WHEN NOT {found} THEN left({{0}}, {TEXT_CAP}) ELSE {{python}} END"
    if _quoted(old) is None or _quoted(new) is None:
        return None
    return f"left(replace({{0}}, {_quoted(old)}, {_quoted(new)}), {TEXT_CAP})"


def _pattern_replacer(pattern: tuple[str, str], new: str) -> Callable[[str], str]:
    compiled = compile_pattern(*pattern)
    template = _template(new, compiled.groups)
    plain = template[0] if len(template) == 1 and isinstance(template[0], bytes) else None

    def replace(text: str) -> str:
        raw = text.encode()
        out: list[bytes] = []
        size = copied = 0
        for start, match in _matches(compiled, raw):
            made = plain if plain is not None else _expand(template, match)
            out += (raw[copied:start], made)
            copied = match.end()
            size += len(made)
            if size > 4 * TEXT_CAP:
                break
        out.append(raw[copied:])
        return b"".join(out).decode()[:TEXT_CAP]

    return replace


def _matches(compiled: Any, raw: bytes) -> list[tuple[int, Any]]:
    """The first matches, as many as the caps allow, as RE2's own GlobalReplace takes them: an empty match
    does not stand right behind another match, nor inside a character."""
    found: list[tuple[int, Any]] = []
    most = min(MATCHES_CAP, SEARCHED_CAP // (len(raw) + 1))
    last = -1
    for match in compiled.finditer(raw):
        start, end = match.span()
        if start == end and (start == last or (start < len(raw) and raw[start] & 0xC0 == 0x80)):
            continue
        found.append((start, match))
        last = end
        if len(found) >= most:
            break
    return found


def _template(new: str, groups: int) -> list[bytes | int]:
    """A replacement as its plain parts and the numbers of groups. Raises ValueError for a bad one."""
    parts: list[bytes | int] = []
    plain = ""
    rest = iter(new)
    for char in rest:
        if char != "\\":
            plain += char
            continue
        follows = next(rest, "")
        if follows == "\\":
            plain += "\\"
            continue
        if not (follows.isascii() and follows.isdigit()):
            raise ValueError("in the replacement, `\\` stands before the number of a group or another `\\`")
        if int(follows) > groups:
            raise ValueError(f"the replacement names group {follows}, and the pattern has {groups}")
        parts += (plain.encode(), int(follows))
        plain = ""
    parts.append(plain.encode())
    return parts


def _expand(template: list[bytes | int], match: Any) -> bytes:
    return b"".join(p if isinstance(p, bytes) else match[p] or b"" for p in template)


# --------------------------------------------------------------------- rows


def _place_sql(argument: str) -> str:
    """A place in a text as a whole number, from 0 on: places before the end are told from the end."""
    whole = f"greatest(least(trunc({argument}), 4e9), -4e9)::BIGINT"
    return f"greatest({whole} + CASE WHEN {argument} <= -1 THEN length({{0}}) ELSE 0 END, 0)"


_FROM_SQL, _TO_SQL = _place_sql("{1}"), _place_sql("{2}")
_CUT_SQL = f"substring({{0}}, {_FROM_SQL} + 1, greatest({_TO_SQL} - {_FROM_SQL}, 0))"
_SPACES_SQL = " || ".join(f"chr({ord(c)})" for c in SPACES)
_X = Parameter("x", TEXT)

ROWS: tuple[Function, ...] = (
    Function(
        name="length",
        group="text",
        doc="How many characters a text has. An accent or a joined emoji can be a character of its own.",
        parameters=(_X,),
        result=NUMBER,
        call=len,
        inline="len({0})",
        sql="length({0})::DOUBLE",
        cost=0.05,
        bounds=(0, 2**53),
        examples=(Example('length("spam")', "4"), Example('length("héllo 😀")', "7")),
    ),
    Function(
        name="lower",
        group="text",
        doc="The text in lower case, character for character.",
        parameters=(_X,),
        result=TEXT,
        call=lower,
        sql="lower({0})",
        cost=0.2,
        examples=(Example('lower("FREE Nitro")', '"free nitro"'),),
    ),
    Function(
        name="upper",
        group="text",
        doc="The text in upper case, character for character: `ß` is `ẞ`.",
        parameters=(_X,),
        result=TEXT,
        call=upper,
        sql="upper({0})",
        cost=0.2,
        examples=(Example('upper("fr")', '"FR"'),),
    ),
    Function(
        name="trim",
        group="text",
        doc="The text without white space at its ends.",
        parameters=(_X,),
        result=TEXT,
        call=trim,
        sql=f"trim({{0}}, {_SPACES_SQL})",
        cost=0.13,
        examples=(Example('trim("  hello ")', '"hello"'),),
    ),
    Function(
        name="slice",
        group="text",
        doc="The characters from place `start` up to, not including, place `end`. The first place is 0;"
        " negative places count from the end; without `end` it goes to the end. Places beyond the text are"
        " its ends.",
        parameters=(_X, Parameter("start", NUMBER), Parameter("end", NUMBER, default=TO_THE_END)),
        result=TEXT,
        call=cut,
        sql=_CUT_SQL,
        cost=0.3,
        signature="slice(x: text, start: number, end: number = to the end) -> text",
        examples=(
            Example('slice("abcdef", 0, 3)', '"abc"'),
            Example('slice("abcdef", -2)', '"ef"'),
            Example('slice("abc", 5)', '""'),
        ),
    ),
    Function(
        name="split",
        group="text",
        doc=f"The parts of the text between separators, at most the first {LIST_CAP:,}. An empty separator"
        " leaves the text whole.",
        parameters=(_X, Parameter("separator", TEXT)),
        result=list_of(TEXT),
        call=split,
        sql="CASE WHEN {1} = '' THEN [{0}]"
        f" ELSE list_slice(string_split({{0}}, {{1}}), 1, {LIST_CAP}) END",
        cost=0.5,
        examples=(Example('split("a,b,,c", ",")', '["a", "b", "", "c"]'),),
    ),
    Function(
        name="replace",
        group="text",
        doc="The text with every `old` replaced. `old` is text or a pattern, both are written out; after a"
        " pattern `new` may hold `\\\\1` for what its first group matched. Of a pattern the first"
        f" {MATCHES_CAP:,} matches are replaced (fewer in texts over 200,000 bytes), and a result ends after"
        f" {TEXT_CAP:,} characters.",
        parameters=(
            _X,
            Parameter("old", variable("P", "text", "regex"), literal=True),
            Parameter("new", TEXT, literal=True),
        ),
        result=TEXT,
        prepare=replacer,
        sql=_replaced_sql,
        cost=5.0,
        signature="replace(x: text, old: text or pattern, new: text) -> text",
        examples=(
            Example('replace("f-r-e-e", "-", "")', '"free"'),
            Example('replace("call 555-0101", /[0-9]/, "#")', '"call ###-####"'),
            Example('replace("ann@b.test", /(.*)@(.*)/, "\\\\2: \\\\1")', '"b.test: ann"'),
        ),
    ),
    Function(
        name="extract",
        group="text",
        doc="What the pattern's first group matched, where the pattern is first found in the text; the whole"
        " match where it has no group. Missing where it is not found, or that group took no part.",
        parameters=(_X, Parameter("pattern", REGEX, literal=True)),
        result=TEXT.maybe(),
        prepare=extractor,
        sql=_extracted_sql,
        cost=3.0,
        signature="extract(x: text, pattern) -> text?",
        examples=(
            Example('extract("order 1234 shipped", /order ([0-9]+)/)', '"1234"'),
            Example('extract("no order", /order ([0-9]+)/)', "missing"),
        ),
    ),
    Function(
        name="hash",
        group="text",
        doc="A whole number from 0 to 2^52 - 1 that looks random and is the same for equal texts, everywhere"
        " and always: the first 13 hexadecimal digits of the SHA-256 of the text in UTF-8.",
        parameters=(_X,),
        result=NUMBER,
        call=hash_of,
        sql="('0x' || left(sha256({0}), 13))::BIGINT::DOUBLE",
        cost=1.0,
        bounds=(0, 2**52 - 1),
        examples=(Example('hash("spam")', "1376076034126093"), Example('hash("u1") % 100', "76")),
    ),
)
