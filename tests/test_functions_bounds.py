"""Functions on a million hostile characters: an answer in bounded time, of bounded size."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any

import pytest

from quell.signals.characters import LIST_CAP, TEXT_CAP
from quell.signals.functions import REGISTRY
from quell.signals.registry import Function
from quell.signals.text_normalise import normalise

SIZE = 1_000_000
SECONDS = 10.0
"""The worst take half a second of the processor; what reads a text once for each character takes hours."""

PATTERNS = ("a", "(a+)+", "(b(.*z)?)", "\\b", ".")
HOSTILE: dict[str, str] = {
    "letters": "a",
    "spaces": " ",
    "dotted": "a.",
    "names": "evil.com/ ",
    "links": "http://a.b/1 ",
    "schemes": "http://",
    "closing": "https://a" + ")" * SIZE,
    "bracketed": "a[.]",
    "ats": "a@b.",
    "signs": "@#",
    "mentions": "<@1",
    "digits": "1 2",
    "leet": "4!",
    "marks": "e\u0301\u0323",
    "hidden": "\u200b",
    "cyrillic": "\u0440\u0430\u0431 ",
    "hearts": "\u2764",
    "flags": "\U0001f1eb",
    "families": "\U0001f469\u200d",
    "long forms": "\ufdfa",
    "nothing": "\x00",
    "different": "".join(map(chr, range(0x100, 0xD800))),
    "coded": " ".join(f"xn--{n}abcdefghijklmnopqrstuvwxyzabcdefghijk.com/" for n in range(10_000)),
}


def ready(row: Function) -> Callable[..., Any]:
    if row.prepare is None:
        assert row.call is not None
        return row.call
    return row.prepare(*(p.default for p in row.parameters if p.literal))


def cases() -> list[tuple[str, Callable[..., Any], int]]:
    """Every function of texts, by name, with how many texts it takes."""
    found: list[tuple[str, Callable[..., Any], int]] = []
    for row in REGISTRY.rows():
        kinds = [p.type.kind for p in row.parameters]
        if row.form or set(kinds) != {"text"}:
            continue
        found.append((row.name, ready(row), len(kinds)))
    for name in ("replace", "extract"):
        patterned = REGISTRY.get(name)
        assert patterned is not None
        assert patterned.prepare is not None
        for pattern in PATTERNS:
            rest = ("xyz",) if name == "replace" else ()
            found.append((f"{name} {pattern}", patterned.prepare((pattern, ""), *rest), 1))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("hostile", sorted(HOSTILE))
def test_a_million_characters(hostile: str) -> None:
    piece = HOSTILE[hostile]
    text = (piece * (SIZE // len(piece) + 1))[:SIZE]
    for name, function, arity in cases():
        began = process_time()
        found = function(*([text] * arity))
        taken = process_time() - began
        assert taken < SECONDS, f"{name} took {taken:.1f} s"
        if isinstance(found, list):
            assert len(found) <= LIST_CAP
        if isinstance(found, str):
            assert len(found) <= TEXT_CAP


def test_normalising_grows_a_text_at_most_sixfold() -> None:
    assert len(normalise("\ufdfa\ufdfb" * 100)) <= 200
    assert max(len(normalise(chr(point))) for point in (*range(0x80, 0x400), *range(0x2000, 0x10000, 3))) <= 6
