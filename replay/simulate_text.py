"""Randomness that is the same on every machine, and sentences made with it.

Only `random.Random.random` is used (MT19937, 53 bits: the same in every Python); choices, shuffles and
weights are built on it with integer arithmetic, so that no version's `choice` or `sum` can move a byte.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from quell.replay import simulate_words as words

T = TypeVar("T")

LANGUAGES = tuple(words.SENTENCES)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
BASE62 = LETTERS + LETTERS.upper() + "0123456789"

_HOMOGLYPHS = {
    "a": "\u0430",
    "c": "\u0441",
    "e": "\u0435",
    "i": "\u0456",
    "k": "\u03ba",
    "o": "\u043e",
    "p": "\u0440",
    "s": "\u0455",
    "x": "\u0445",
    "y": "\u0443",
    "M": "\u041c",
    "H": "\u041d",
    "T": "\u0422",
}
_LEET = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"


class Dice:
    """A seeded source of choices. Two dice with the same numbers give the same choices for ever."""

    __slots__ = ("random",)

    def __init__(self, seed: int, stream: int) -> None:
        self.random = random.Random(seed * 1_000_003 + stream).random

    def below(self, n: int) -> int:
        """A whole number from 0 up to and without `n`."""
        return int(self.random() * n)

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self.random() * (high - low + 1))

    def chance(self, percent: float) -> bool:
        """True in `percent` of 100 cases."""
        return self.random() * 100 < percent

    def pick(self, items: Sequence[T]) -> T:
        """One of `items`, all alike."""
        return items[int(self.random() * len(items))]

    def some(self, items: Sequence[T], n: int) -> list[T]:
        """`n` different places of `items` (all of them when there are fewer), in random order."""
        pool = list(items)
        n = min(n, len(pool))
        for i in range(n):
            j = i + int(self.random() * (len(pool) - i))
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:n]

    def code(self, length: int, alphabet: str = BASE62) -> str:
        """A random identifier of `length` characters, as sites put them into links."""
        return "".join([alphabet[int(self.random() * len(alphabet))] for _ in range(length)])


class Weighted(Generic[T]):
    """Items drawn in proportion to whole-number weights."""

    __slots__ = ("items", "steps", "total")

    def __init__(self, items: Sequence[T], weights: Sequence[int]) -> None:
        self.items = list(items)
        self.steps = list(accumulate(weights))
        self.total = self.steps[-1] if self.steps else 0

    def pick(self, dice: Dice) -> T:
        """One item."""
        return self.items[bisect_right(self.steps, int(dice.random() * self.total))]


Part = str | tuple[str, ...]


def split(text: str) -> tuple[str, ...]:
    """The alternatives of a slot."""
    return tuple(text.split("|"))


class Phrase:
    """A sentence with its holes resolved to their alternatives, ready to be filled many times."""

    __slots__ = ("parts",)

    def __init__(self, template: str, slots: dict[str, tuple[str, ...]]) -> None:
        parts: list[Part] = []
        for piece in template.split("{"):
            name, brace, rest = piece.partition("}")
            if not brace:
                parts.append(piece)
            elif name in slots:
                parts.extend((slots[name], rest))
            else:
                parts.append("{" + piece)
        self.parts = [p for p in parts if p]

    def fill(self, dice: Dice) -> str:
        """One sentence."""
        rnd = dice.random
        return "".join([p if type(p) is str else p[int(rnd() * len(p))] for p in self.parts])


def _slots(language: str) -> dict[str, tuple[str, ...]]:
    return {name: split(choices) for name, choices in words.SLOTS[language].items()}


SLOTS = {language: _slots(language) for language in LANGUAGES}
PHRASES: dict[tuple[str, str], list[Phrase]] = {
    (language, topic): [Phrase(s, SLOTS[language]) for s in sentences]
    for language, topics in words.SENTENCES.items()
    for topic, sentences in topics.items()
}
SHORT = {language: split(text) for language, text in words.SHORT.items()}
EMOJI = split(words.EMOJI)
LINK_INTRO = {language: split(text) for language, text in words.LINK_INTRO.items()}
NEWCOMER = {language: split(text) for language, text in words.NEWCOMER.items()}
FIRST_NAMES = {language: split(text) for language, text in words.FIRST_NAMES.items()}
HEADS, TAILS = split(words.NAME_HEAD), split(words.NAME_TAIL)
BIOS, MAIL = split(words.BIOS), split(words.MAIL)
_SITES = Weighted([site for site, _ in words.SITES], [weight for _, weight in words.SITES])


def lines(text: str) -> list[Phrase]:
    """The phrases of a `|`-parted text in English, with slots of the caller's own left open."""
    return [Phrase(line, SLOTS["en"]) for line in text.split("|")]


def sentence(dice: Dice, language: str, topic: str) -> str:
    """A benign sentence about `topic`, or about everyday things where the language has no such subject."""
    if dice.random() < 0.3:
        topic = "general"
    phrases = PHRASES.get((language, topic)) or PHRASES[language, "general"]
    return dice.pick(phrases).fill(dice)


def link(dice: Dice) -> str:
    """A link to a site people really link to."""
    site = _SITES.pick(dice).replace("{w}", dice.pick(TAILS)).replace("{W}", dice.pick(HEADS).title())
    return site if site.endswith(TAILS) else site + dice.code(8)


def person(dice: Dice, language: str) -> str:
    """The name a member chooses."""
    shape = dice.below(5)
    if shape < 2:
        return (
            dice.pick(HEADS)
            + dice.pick(("", "_", ""))
            + dice.pick(TAILS)
            + dice.pick(("", str(dice.below(1000))))
        )
    first = dice.pick(FIRST_NAMES[language])
    if shape == 2:
        return first + str(dice.between(1, 2012))
    if shape == 3:
        return first + " " + dice.pick(TAILS).title()
    return first


def email(dice: Dice, name: str) -> str:
    """A plausible address for `name` at a common provider (ASCII local part)."""
    local = "".join([c for c in name.lower() if c in LETTERS or c in "0123456789"]) or dice.pick(TAILS)
    return f"{local}{dice.pick(('', '.', '_'))}{dice.code(3, LETTERS)}{dice.below(100)}@{dice.pick(MAIL)}"


# --- disguises ----------------------------------------------------------------------------------------------


def zero_width(dice: Dice, text: str, every: int = 6) -> str:
    """`text` with invisible characters strewn in, one in about `every` places."""
    return "".join([c + dice.pick(_INVISIBLE) if dice.below(every) == 0 else c for c in text])


def look_alike(dice: Dice, text: str, percent: float = 40) -> str:
    """`text` with letters of other scripts in place of Latin ones."""
    return "".join([_HOMOGLYPHS[c] if c in _HOMOGLYPHS and dice.chance(percent) else c for c in text])


def leet(dice: Dice, text: str, percent: float = 50) -> str:
    """`text` with digits in place of letters."""
    return "".join([_LEET[c] if c in _LEET and dice.chance(percent) else c for c in text])


def stretched(dice: Dice, text: str) -> str:
    """`text` with one letter repeated."""
    at = dice.below(len(text))
    return text[:at] + text[at] * dice.between(2, 4) + text[at + 1 :]


def shouted(dice: Dice, text: str) -> str:
    """`text` in capitals, or with a capital here and there."""
    return text.upper() if dice.chance(50) else "".join([c.upper() if dice.chance(30) else c for c in text])


def disguised(dice: Dice, text: str) -> str:
    """`text` in one of the disguises that floods are sent in; a third of the time as it is."""
    how = dice.below(9)
    if how < 3:
        return text
    if how == 3:
        return zero_width(dice, text)
    if how == 4:
        return look_alike(dice, text)
    if how == 5:
        return leet(dice, text)
    if how == 6:
        return shouted(dice, text)
    if how == 7:
        return text + " " + dice.pick(EMOJI) * dice.between(1, 3)
    return text.replace(" ", dice.pick(("  ", " . ", "\n")), 3)
