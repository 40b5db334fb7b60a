"""Literals as written, to values: numbers, durations, text with its escapes, paths."""

from __future__ import annotations

import json
import re
from decimal import Context, Decimal

MICROS: dict[str, int] = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
"""Microseconds in each unit of a duration."""

LARGEST_DURATION = 100_000 * MICROS["d"]
"""Durations in policies end here (about 270 years), well inside 64 bits of microseconds."""

_PART = re.compile(r"([0-9_]+(?:\.[0-9]+)?)(us|ms|s|m|h|d|w)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "0": "\0"}
_UNICODE = re.compile(r"\\u(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{4}))")
_SEGMENT = re.compile(r'\.([A-Za-z_][A-Za-z0-9_\-]*)|\[([0-9]+)\]|\[(\*)\]|\[("(?:\\.|[^"\\\n\r])*")\]')
_PATTERN_PART = re.compile(r"\\.|\[(?:\\.|[^\]\\])+\]|.", re.DOTALL)
_ESCAPE_PAIR = re.compile(r"\\(.)", re.DOTALL)

# Text with expressions in braces, which may hold text with expressions in braces, which may hold text
# without. Alternatives never begin alike and nothing is tried twice, so a hostile line costs no more
# than its length. policy.lark holds TEXT once more, as STRING; a test compares them.
_PIECE = r'[^"\\{\n\r]++|\\u\{[0-9A-Fa-f]*\}|\\(?!u\{)[^\n\r]|\{\{'
_INNERMOST = rf'"(?:{_PIECE})*"'
_INSIDE = r'(?:[^{}"`\n\r]++|`[^`\n\r]+`|%s)*'
_INNER = rf'"(?:{_PIECE}|\{{{_INSIDE % _INNERMOST}\}})*"'
TEXT = rf'"(?:{_PIECE}|\{{{_INSIDE % _INNER}\}})*"'
"""A regular expression for text in quotes."""

_IN_BRACES = re.compile(_INSIDE % _INNER)
_UNPRINTABLE = {*range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Characters that hide or reorder what stands around them."""

_EXACT = Context(prec=1000)

LARGEST_INDEX = 1_000_000_000
"""The largest index in a path."""


class LiteralError(ValueError):
    """A literal that says no value. `offset` counts from the literal's first character."""

    def __init__(self, code: str, message: str, offset: int = 0, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.offset = offset
        self.hint = hint


def number(text: str) -> float:
    """`1_000`, `0.5`, `1e3`; an int where it is whole and exact. Raises LiteralError when too large."""
    bare = text.replace("_", "")
    if len(bare) > 400:
        raise LiteralError("bad-number", "a number with this many digits is too large")
    if bare.isdecimal():
        whole = int(bare)
        if whole <= 2**53:
            return whole
    value = float(bare)
    if value in (float("inf"), float("-inf")):
        raise LiteralError("bad-number", f"`{text}` is too large to be a number")
    return value


def percent(text: str) -> float:
    """`80%` as 0.8: the double nearest to the decimal fraction."""
    bare = text[:-1].replace("_", "")
    if len(bare) > 400:
        raise LiteralError("bad-number", "a number with this many digits is too large")
    value = float(f"{bare}e-2")
    if value == float("inf"):
        raise LiteralError("bad-number", f"`{text}` is too large to be a number")
    return int(value) if value.is_integer() else value


def spell_percent(value: float) -> str:
    """The reverse of `percent`: 0.8 as `80%`."""
    digits = f"{Decimal(repr(value)).scaleb(2, _EXACT):f}"
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) + "%"


def duration(text: str) -> int:
    """`1h30m` in microseconds. Raises LiteralError when too long."""
    total = 0
    for amount, unit in _PART.findall(text):
        digits = amount.replace("_", "")
        if len(digits) > 20:
            raise LiteralError("bad-number", f"`{text}` is too long to be a duration")
        if "." in digits:
            whole, fraction = digits.split(".")
            scaled = int(whole + fraction) * MICROS[unit]
            total += (scaled + 10 ** len(fraction) // 2) // 10 ** len(fraction)
        else:
            total += int(digits) * MICROS[unit]
    if total > LARGEST_DURATION:
        raise LiteralError(
            "bad-number", f"`{text}` is too long to be a duration", hint="the longest is `100000d`"
        )
    return total


def spell_duration(micros: int) -> str:
    """A duration as an analyst writes it: `90061000000` is `1d1h1m1s`; zero is `0s`."""
    if micros == 0:
        return "0s"
    sign = "-" if micros < 0 else ""
    rest = abs(micros)
    out = []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        amount, rest = divmod(rest, MICROS[unit])
        if amount:
            out.append(f"{amount}{unit}")
    return sign + "".join(out)


def spell_number(value: float) -> str:
    """A number in shortest form: `3`, `0.1`, `1e+300`; the same on every machine."""
    if isinstance(value, int) or value.is_integer():
        whole = int(value)
        return str(whole) if abs(whole) < 10**16 else repr(float(value))
    return repr(value)


def split_text(quoted: str) -> list[tuple[str, int, str]]:
    """The parts of text in quotes: ("text", offset, characters) and ("expression", offset, source).

    Offsets count from the opening quote; that of text is where its first character or escape stands.
    Raises LiteralError for a bad escape or brace.
    """
    out: list[tuple[str, int, str]] = []
    plain: list[str] = []
    at, end, began = 1, len(quoted) - 1, 1
    while at < end:
        char = quoted[at]
        if char == "\\":
            piece, at = _escape(quoted, at, end)
            plain.append(piece)
        elif char in "{}" and quoted[at : at + 2] == char * 2 and at + 1 < end:
            plain.append(char)
            at += 2
        elif char == "{":
            if plain:
                out.append(("text", began, "".join(plain)))
                plain = []
            close = _closing(quoted, at, end)
            out.append(("expression", at + 1, quoted[at + 1 : close]))
            at = began = close + 1
        else:
            plain.append(char)
            at += 1
    if plain:
        out.append(("text", began, "".join(plain)))
    return out


def fits_in_braces(text: str) -> bool:
    """Whether an expression spelled like this can stand in braces in text."""
    return _IN_BRACES.fullmatch(text) is not None


def _escape(quoted: str, at: int, end: int) -> tuple[str, int]:
    kind = quoted[at + 1] if at + 1 < end else ""
    if kind in _ESCAPES:
        return _ESCAPES[kind], at + 2
    match = _UNICODE.match(quoted, at, end)
    if match is None:
        shown = f"\\{kind}" if kind.isprintable() else "\\"
        raise LiteralError(
            "bad-text",
            f"`{shown}` is no escape",
            at,
            hint='write `\\n`, `\\t`, `\\"`, `\\u{1f600}`, or for a backslash `\\\\`',
        )
    point = int(match[1] or match[2], 16)
    if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
        raise LiteralError("bad-text", f"`{match[0]}` is no character", at)
    return chr(point), match.end()


def _closing(quoted: str, at: int, end: int) -> int:
    inside = _IN_BRACES.match(quoted, at + 1, end)
    close = inside.end() if inside else at + 1
    if close >= end or quoted[close] != "}":
        if quoted[close : close + 1] == "{":
            raise LiteralError(
                "bad-text", "braces cannot stand in these braces", close, hint="write `{{` for a brace"
            )
        if quoted[close : close + 1] == '"' and "}" in quoted[close:end]:
            raise LiteralError(
                "bad-text",
                "the text in these braces does not close, or nests too deeply",
                close,
                hint="give it a name with `let`",
            )
        raise LiteralError("bad-text", "this brace does not close", at, hint="write `{{` for a brace")
    if not quoted[at + 1 : close].strip():
        raise LiteralError("bad-text", "nothing stands in these braces", at, hint="write `{{` for a brace")
    return close


def text_fault(line: str) -> LiteralError:
    """Why text that begins with the quote at the start of `line` does not read as text."""
    at = 1
    while at < len(line) and line[at] not in "\r\n":
        char = line[at]
        try:
            if char == "\\":
                at = _escape(line, at, len(line))[1]
            elif line[at : at + 2] == "{{":
                at += 2
            elif char == "{":
                at = _closing(line, at, len(line)) + 1
            else:
                at += 1
        except LiteralError as error:
            return error
    return LiteralError("bad-text", "this text does not close on its line", 0, hint='end it with `"`')


def quote(text: str, *, braces: bool = True) -> str:
    """Text in quotes, such that it reads back as `text`."""
    out = []
    for char in text:
        if char in ('"', "\\"):
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif char == "\t":
            out.append("\\t")
        elif char == "\r":
            out.append("\\r")
        elif char in "{}" and braces:
            out.append(char * 2)
        elif ord(char) < 32 or ord(char) in _UNPRINTABLE:
            out.append(f"\\u{{{ord(char):x}}}")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def regex(text: str) -> tuple[str, str]:
    r"""`/a\/b/i` as its pattern and flags, ("a/b", "i")."""
    body, _, flags = text[1:].rpartition("/")
    return _ESCAPE_PAIR.sub(lambda pair: "/" if pair[1] == "/" else pair[0], body), flags


def spell_regex(pattern: str, flags: str) -> str:
    """The reverse of `regex`."""
    parts = _PATTERN_PART.findall(pattern)
    return "/" + "".join("\\/" if part == "/" else part for part in parts) + "/" + flags


def path(text: str) -> tuple[str | int | None, ...]:
    """`$.a["b c"][0][*]` to ("a", "b c", 0, None). Raises LiteralError for a key that is no text."""
    out: list[str | int | None] = []
    for match in _SEGMENT.finditer(text):
        key, index, star, quoted = match.groups()
        if key:
            out.append(key)
        elif index:
            out.append(_index(index, match.start()))
        elif star:
            out.append(None)
        elif quoted:
            out.append(_key(quoted, match.start() + 1))
    return tuple(out)


def _index(digits: str, at: int) -> int:
    if len(digits) > 400 or int(digits) > LARGEST_INDEX:
        raise LiteralError("bad-path", "this index is too large", at, f"the largest is `{LARGEST_INDEX}`")
    return int(digits)


def _key(quoted: str, at: int) -> str:
    try:
        key = str(json.loads(quoted, strict=False))
        key.encode()
    except ValueError:
        message, hint = f"`{quoted}` has an escape that JSON does not know", "for a backslash write `\\\\`"
        raise LiteralError("bad-path", message, at, hint) from None
    return key


def spell_path(segments: tuple[str | int | None, ...]) -> str:
    """The reverse of `path`."""
    out = ["$"]
    for segment in segments:
        if segment is None:
            out.append("[*]")
        elif isinstance(segment, int):
            out.append(f"[{segment}]")
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_\-]*", segment):
            out.append("." + segment)
        else:
            out.append("[" + json.dumps(segment, ensure_ascii=False) + "]")
    return "".join(out)
