"""The same answers on every Python, machine and hash seed: what functions give for fixed arguments.

It is kept as digests. One that changes means that a function gives other answers than before, on this Python
or since a pinned package was raised. If that is meant, it belongs in the changelog, and the new digest here:
``python -m tests.test_functions_same`` prints them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest

from quell.grammar.types import Type
from quell.signals import characters
from quell.signals.functions import REGISTRY
from quell.signals.network import ip
from quell.signals.registry import Function
from quell.signals.text_normalise import normalise

PIECES = (
    *(
        "free ",
        "NITRO ",
        "g1ft ",
        "don't ",
        "c@sh",
        "100k ",
        "anna1990 ",
        ", ",
        "! ",
        "\n",
        "  ",
        ". ",
        "a.Next ",
    ),
    *(
        "http://",
        "https://www.",
        "hxxp://",
        "evil.com/x?y=1 ",
        "bit.ly/abc ",
        "b[.]test ",
        "xn--bcher-kva.de/ ",
    ),
    *(
        "ann@mail.test ",
        "bob[at]x.co.uk ",
        "@ann ",
        "<@123> ",
        "#tag ",
        "+44 20 7946 0958 ",
        "(212) 555-0123 ",
    ),
    *(
        "\u041f\u0440\u0438\u0432\u0435\u0442 ",
        "\u0440\u0430\u0443\u0440\u0430l ",
        "\u0391\u03a3 ",
        "\u0130\u0131 ",
    ),
    *("\u65e5\u672c\u8a9e ", "\ud55c\uad6d\uc5b4 ", "\u0928\u092e\u0938\u094d\u0924\u0947 ", "\u05e9\u05b8 "),
    *(
        "\U0001d4ef\U0001d4fb ",
        "\uff46\uff52 ",
        "e\u0301 ",
        "f\u200br ",
        "\u00df ",
        "\U0001f469\u200d\U0001f467 ",
    ),
    *(
        "\u263a\ufe0f ",
        "\U0001f1eb\U0001f1f7 ",
        "\u0661\u0662 ",
        "1.2.3.4 ",
        "\U0001e030\U00010940\U0001cc00 ",
    ),
)
LINKS = (
    *(
        "https://www.bit.ly/a?b",
        "t.co/x",
        "x@mailinator.com",
        "ann@mail.example.co.uk",
        "hxxp://a[.]github[.]io/b#c",
    ),
    *(
        "http://0x7f.1/",
        "1.2.3.4",
        "::ffff:1.2.3.4",
        "2001:DB8::1",
        "http://[::1]:80/",
        "\uff41.\uff43om/x\\y",
        "no link",
    ),
    *(
        "xn--bcher-kva.de",
        "https://B\u00dcCHER.de./",
        "http://co.uk",
        "\u4f8b\u3048.\u30c6\u30b9\u30c8",
        "a..b",
        "",
    ),
)
ROUNDS = 60


def stream(name: str) -> Callable[[int], int]:
    """Numbers below a limit that look random and follow from the name alone."""
    count = 0

    def draw(limit: int) -> int:
        nonlocal count
        count += 1
        return int.from_bytes(sha256(f"{name} {count}".encode()).digest()[:8], "big") % limit

    return draw


def text_of(draw: Callable[[int], int]) -> str:
    text = "".join(PIECES[draw(len(PIECES))] for _ in range(draw(12)))
    return text + "".join(chr(0x80 + draw(0xD780)) for _ in range(draw(3)))


def value_of(kind: Type, draw: Callable[[int], int]) -> Any:
    if kind.kind == "list":
        assert kind.element is not None
        return [value_of(kind.element, draw) for _ in range(draw(5))]
    if kind.kind in ("text", "entity", "enum"):
        return text_of(draw)
    if kind.kind == "ip":
        return ip(
            f"{draw(256)}.{draw(256)}.{draw(256)}.{draw(256)}" if draw(2) else f"fc{draw(256):02x}::{draw(9)}"
        )
    if kind.kind == "time":
        return draw(4 * 10**15)
    if kind.kind == "regex":
        return (("[a-z]+", "\\pL+", "(.)\\d", "^.", "\\s*")[draw(5)], ("", "i")[draw(2)])
    return (draw(2 * 10**6) - 10**6) / (1, 7, 8192)[draw(3)]


LITERALS: dict[str, tuple[Any, ...]] = {
    "zone": (
        "UTC",
        "Europe/Paris",
        "America/New_York",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
    ),
    "digits": (0, 1, 2, 5),
    "new": ("", "-", "\\0\\0"),
    "old": ("a", ("[a-z]+", ""), ("\\pL", "i"), ("\\s*", "")),
}


def given(row: Function) -> Iterator[Any]:
    """What the function gives for fixed arguments."""
    draw = stream(row.name)
    for _ in range(ROUNDS):
        literals: list[Any] = []
        rest: list[Any] = []
        for parameter in row.parameters:
            choices = LITERALS.get(parameter.name, ()) if parameter.literal else ()
            value = choices[draw(len(choices))] if choices else value_of(parameter.type, draw)
            (literals if parameter.literal else rest).append(value)
        if row.name == "number":
            rest = [str(value_of(Type("number"), draw))]
        if row.name == "time":
            rest = [f"20{draw(100):02}-{1 + draw(12):02}-{1 + draw(31):02}T{draw(24):02}:30+0{draw(10)}:00"]
        if row.name in ("host", "domain", "path", "is_shortener", "is_disposable_email", "ip"):
            rest = [LINKS[draw(len(LINKS))]]
        function = row.prepare(*literals) if row.prepare is not None else row.call
        assert function is not None
        yield function(*rest)


def digest(row: Function) -> str:
    # ascii, because what repr escapes depends on the version of Python.
    return sha256(ascii(list(given(row))).encode()).hexdigest()[:16]


EXPECTED: dict[str, str] = {
    "abs": "034604a7256d1e47",
    "bands": "fea4f1726401b998",
    "ceil": "6426ba71af8a0d7e",
    "clamp": "b7bba68f88c08508",
    "date": "25fa855b8c183187",
    "day_of_week": "3039ec9edaaf23ef",
    "digit_ratio": "97627c4e5f76d6bc",
    "distance_km": "636f9fbf365e1ed5",
    "distinct_of": "b2105bfaefe74d49",
    "domain": "6750783c24c98bdf",
    "domains": "617422ec55477778",
    "edit_distance": "f935ae2ddbd67378",
    "emails": "bec9acba288eca9e",
    "emojis": "63372258c66b5094",
    "entropy": "fe55cf0f3ec3e933",
    "extract": "55d000b61a68d662",
    "fingerprint": "5059a7f1b048644f",
    "first": "8f74ac8bf4810447",
    "floor": "859c0a610b58f7b3",
    "hash": "d7cb71d7658f9b4e",
    "hashtags": "1409de0f810d6684",
    "host": "b8f6e86d7a2387c7",
    "hour_of_day": "b672dc5d0d29dbe6",
    "ip": "a897090e95c2c601",
    "is_disposable_email": "e5c1a117d96ac59b",
    "is_private": "461e923b200dffbc",
    "is_shortener": "50152f30b8fa70be",
    "last": "b4c1658393d548d9",
    "length": "ed5ade368fa43bd0",
    "log": "6fd913a9788c9981",
    "lower": "204c784225528eb9",
    "max": "f4ff2e2bf84e3976",
    "mentions": "c2d5e8a5912ddcb4",
    "min": "c59113debeaf23f7",
    "normalise": "a2579d8db7be7d10",
    "number": "b17a2a6f99ea6784",
    "overlap": "5fdafdc06f5b745b",
    "path": "02525c1e2431b2b6",
    "phones": "93d87819710a4923",
    "repeat_ratio": "14b5aa5020c682c7",
    "replace": "b05826d5a69d8ac3",
    "round": "8ff15484ed7c7b80",
    "script": "76aac2a8a83d6a91",
    "scripts": "361b3c2c3f765ada",
    "similarity": "5423dcc326cd18ac",
    "size": "a5c15daf960b095e",
    "slice": "523abb771c07dd14",
    "split": "56231905851223d9",
    "sqrt": "51d0e4ae23497e8f",
    "time": "c8a7d9717b30621e",
    "trim": "2b38249a75f96411",
    "upper": "ccc21930c54376d2",
    "upper_ratio": "6065acd3a90f5baa",
    "urls": "ec92b11951a5ad72",
    "words": "05979cba470054bd",
}


@pytest.mark.parametrize("row", [r for r in REGISTRY.rows() if not r.form], ids=lambda r: r.name)
def test_answers_are_the_same(row: Function) -> None:
    assert digest(row) == EXPECTED.get(row.name), f"the digest of {row.name} was another"


# ------------------------------------------------------------- every character

ASSIGNED = [
    chr(p)
    for p in range(0x110000)
    if not 0xD800 <= p < 0xE000 and characters.category(chr(p)) not in ("Cn", "Co")
]
TABLES: dict[str, tuple[Callable[[str], Any], str]] = {
    "lower": (characters.lower, "458a31cf34ee7e79"),
    "upper": (characters.upper, "6432e0daef6e085d"),
    "casefold": (str.casefold, "e6fc63f109ce5637"),
    "shape": (characters.shape, "fb1acee178375e3f"),
    "visible": (characters.visible, "958c1dac67593284"),
    "normalise": (normalise, "a5158740b5c50499"),
}


def table_digest(function: Callable[[str], Any]) -> str:
    found = sha256()
    for char in ASSIGNED:
        found.update(f"{function(char)}\n".encode())
    return found.hexdigest()[:16]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_character_is_treated_the_same(name: str) -> None:
    function, expected = TABLES[name]
    assert table_digest(function) == expected


def test_white_space_is_what_python_takes_for_it() -> None:
    """`str.split` and `str.strip` without arguments may be used, as no version differs."""
    assert set(characters.SPACES) == {chr(p) for p in range(0x110000) if chr(p).isspace()}


@pytest.mark.slow
def test_normalised_characters_stay_as_they_are() -> None:
    for char in ASSIGNED:
        once = normalise(f"{char} a{char}b 1{char}a4 \u0440{char}\u0436")
        assert normalise(once) == once, f"U+{ord(char):04X}"


if __name__ == "__main__":
    for one in REGISTRY.rows():
        if not one.form:
            print(f'    "{one.name}": "{digest(one)}",')
    for name in sorted(TABLES):
        print(f"{name}: {table_digest(TABLES[name][0])}")
