"""What generated policies and events are made of: dice, names that invite clashes, awkward values."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


@cache
def _below(most: int) -> st.SearchStrategy[int]:
    return st.integers(0, most - 1)


class Dice:
    """Choices that hypothesis draws and shrinks; what stands first is the simplest."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw

    def below(self, most: int) -> int:
        """A whole number from 0, below `most`."""
        return int(self._draw(_below(most))) if most > 1 else 0

    def between(self, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        return least + self.below(most - least + 1)

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def lean(self, items: Sequence[T]) -> T:
        """One of the items, most often one of the first two."""
        return items[self.below(min(2, len(items))) if self.below(10) < 7 else self.below(len(items))]

    def chance(self, percent: int) -> bool:
        """True that often; false is the simplest."""
        return self.below(100) >= 100 - percent

    def some(self, items: Sequence[T], least: int, most: int) -> list[T]:
        """Some of the items, each at most once, in their order."""
        left = list(range(len(items)))
        taken = [left.pop(self.below(len(left))) for _ in range(min(self.between(least, most), len(items)))]
        return [items[i] for i in sorted(taken)]


# -------------------------------------------------------------------- names

FIELD_NAMES = [
    *"author content server n0 t0 flag when_ x0 k bool hits e held owner limit from count first list _t1 UNSET round set len max own fired_r0 scan finite each search values own_0 tuple False_ None_ at_2 holds in_time inside zip print reaches show_number kleene_and present_of text_ as_ counter element x1 label".split(),
    "two words",
    "größe",
    "weird-name",
    "class",
    "lambda",
    "if",
]
LET_NAMES = [
    *"v0 v1 v2 v3 fired_r1 fired_r2 x2 _t2 held_2 found_in_content counted key any_ map_ content_2 e_ hits_2 dict own_1 int_ str_ kleene_not divide ge_ UNSET_ k2 let_0".split(),
    "two  lets",
    "schön",
    "del",
]
ELEMENT_NAMES = ("m", "it", "x0", "x1", "k", "_t1", "e_", "_t3")
PARAMETER_NAMES = ("p", "q", "x0", "k", "_t1")
KEYWORDS = frozenset(
    "after ago all and any as because before block by contains default ends entity event ever every exempt expect "
    "failure false fired first for formerly from given gives in is label labelled labels last let limit list matches "
    "message minus missing mode model never none not of on once one or owner per present reaches remote repeat rollout "
    "rule score send severity shape starts tag test the then this times true unlabel value verdicts wait when where "
    "with within".split()
)
BARE = frozenset(("owner", "limit", "from", "first", "list", "label", "count"))
"""Words of the language that may stand for a field without backquotes."""


def spell(name: str) -> str:
    """A name as it is written in an expression."""
    plain = name.isascii() and name.isidentifier() and (name not in KEYWORDS)
    return name if plain else f"`{name}`"


def quote(text: str) -> str:
    """Text in quotes."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char in "{}":
            out.append(char * 2)
        elif char.isprintable() or char == "\u200d":
            out.append(char)
        else:
            out.append(f"\\u{{{ord(char):x}}}")
    return '"' + "".join(out) + '"'


# ------------------------------------------------------------------- values

IDS = ("u1", "u2", "u3", "U1", "é", "18446744073709551616", "a'b\"c")
TEXTS = (
    "",
    "a",
    "foo bar",
    "see http://bad.test/x?q=1 and https://www.example.co.uk/path",
    "FREE m0ney at bit.ly/abc",
    "K kelvin ſtraße STRASSE",
    "İstanbul ıI",
    "ﬁne e\u0301 é",
    "\u202eabc\u200b\u00ad",
    "😀😀👩\u200d👩\u200d👧 \U0001f1eb\U0001f1f7",
    "\0\x01 tab\tline\nbreak\r\u2028",
    "#tag @user +1 555 123 4567 me@mailinator.com",
    "10.0.0.1",
    "2001:DB8::1",
    "x" * 60,
    "12.50",
    " 1e999 ",
    "-0",
    "2026-01-01T00:00:00Z",
    "\ufeff\uffff\U0010ffff\ud7ff\ue000",
    "slur one two  three",
    "аpple рaypal",
    "{x} {{y}} '\" \\",
    "u1",
    "red",
)
NUMBERS = (
    "0 1 2 3 0.5 -1 -0.0 7 10 100 1e3 0.1 9007199254740992 9007199254740993 1e308 -1.7976931348623157e308 5e-324 "
    "123456789.25 -2.5 4294967296 1e16 -3"
).split()
MOMENTS = (
    "2026-03-01T00:00:00Z 2026-02-28T23:59:59.999999Z 1970-01-01T00:00:00Z 0001-01-01T00:00:00Z "
    "9999-12-31T23:59:59.999999Z 2026-03-29T01:30:00+01:00 2024-02-29T12:00:00Z"
).split()
ADDRESSES = ("10.0.0.1", "8.8.8.8", "2001:db8::1", "::ffff:10.0.0.2", "255.255.255.255")
COLOURS = ("red", "green", "Blue", "größe")


def _json(*values: Any) -> tuple[str, ...]:
    return tuple(json.dumps(v) for v in values)


JSON_VALUES: dict[str, tuple[str, ...]] = {
    "bool": ("false", "true"),
    "number": tuple(NUMBERS),
    "text": (
        *(json.dumps(t, ensure_ascii=False) for t in TEXTS),
        "12",
        "-7",
        "18446744073709551617",
        '"\\u00e9"',
    ),
    "time": (*_json(*MOMENTS), "1767225600", "1767225600123", "-1", "0"),
    "duration": ("0", "60", "3600.5", '"1h30m"', '"PT2M"', "-10", "1e-6", "0.000003", "8640000000"),
    "ip": _json(*ADDRESSES),
    "User": (*_json(*IDS), "7"),
    "Server": (*_json("s1", "s2", "u1"), "12345678901234567890123"),
    "enum": _json(*COLOURS[:3]),
}
"""JSON for a present value of each kind."""

WRONG_VALUES: dict[str, tuple[str, ...]] = {
    "bool": ("0", '"true"', "{}"),
    "number": ('"5"', "true", "1e999", "[]"),
    "text": ("true", "1.5", "{}", '["a"]'),
    "time": ('"yesterday"', "true", "1e30", "[]"),
    "duration": ('"soon"', "true", "1e30"),
    "ip": ('"1.2.3"', "7", "{}"),
    "User": ("true", "1.5", "{}", '""'),
    "Server": ("false", "[]", '""'),
    "enum": ('"violet"', "3", "{}"),
}
"""JSON of a wrong kind."""

LITERALS: dict[str, tuple[str, ...]] = {
    "bool": ("true", "false"),
    "number": (
        "1",
        "0",
        "2",
        "3",
        "0.5",
        "10",
        "80%",
        "10",
        "9007199254740991",
        "1e308",
        "1_000",
        "0.1",
        "-1",
    ),
    "text": tuple(quote(t) for t in TEXTS),
    "time": tuple(f'time("{m}")' for m in MOMENTS),
    "duration": ("1h", "10s", "1d", "0s", "1us", "90s", "1h30m", "7d", "100000d", "2ms"),
    "ip": tuple(f'ip("{a}")' for a in ADDRESSES),
    "User": tuple(f"User({quote(i)})" for i in IDS),
    "Server": ('Server("s1")', 'Server("u1")'),
}
"""How a value of each kind is written out."""

REGEXES = (
    "/foo/", "/fr[e3]e m[o0]ney/i", r"/\bbar\b/", "/^a+$/", "/[0-9]{2,}/", "/(straße|strasse)/i", "/k/i", "/ſ/i",
    r"/https?:\/\/([^\/ ]+)/", "/./s", "/(?i)FOO|one/", r"/\x{1F600}/", "/^$/", "/[^a-z ]/", "/(a|b|x)+y?/", r"/\d+\.\d+/",
    "/e\u0301/", "/./", r"/\pL+/", "/ßtr|İ/i",
)  # fmt: skip
ZONES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu", "Pacific/Apia")
WINDOWS = ("10s", "1h", "10s", "1d", "1us", "10m", "30d", "(2 * 30s)", "3660d")
SHORT_WINDOWS = ("10s", "5s", "1s", "2s", "1us")
SHORT_AGOS = ("1s", "5s", "1us", "2s")
AGOS = ("10s", "1h", "1us", "5s", "1d", "10m")
