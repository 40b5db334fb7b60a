"""The benchmark's workload: rules of three conditions over a 600-byte event, as a policy and by hand.

Each condition holds for a minority of events, and most events match no rule, as on a platform.

The same seeded rules come out twice: as Quell declarations, and as the Python function a careful engineer
would write for them, with fields read once, patterns compiled and sets built beforehand, and each rule's
conditions in the order of its source.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NUMBERS = ("age", "followers", "posts", "reports", "score", "links", "mentions", "karma")
TEXTS = ("content", "bio", "subject")
WORDS = ("lang", "country", "client", "plan", "channel", "campaign")
LANGUAGES = ["en", "fr", "de", "es", "it", "pl", "pt", "nl", "sv", "fi", "da", "cs"]
VOCABULARY = [
    "the",
    "a",
    "to",
    "we",
    "you",
    "they",
    "meet",
    "today",
    "later",
    "game",
    "release",
    "stream",
    "music",
    "photo",
    "video",
    "friend",
    "server",
    "channel",
    "question",
    "answer",
    "please",
    "thanks",
    "great",
    "weekend",
    "morning",
    "coffee",
    "project",
    "team",
    "review",
    "code",
    "paper",
    "reading",
    "holiday",
    "picture",
    "sound",
    "light",
    "water",
    "river",
    "market",
    "street",
    "window",
    "garden",
    "free",
    "offer",
    "prize",
    "winner",
    "claim",
    "account",
    "verify",
    "wallet",
    "bonus",
    "crypto",
    "gift",
    "discount",
    "limited",
    "urgent",
    "password",
    "click",
    "follow",
    "invite",
]
LURES = [
    "free",
    "offer",
    "prize",
    "winner",
    "claim",
    "verify",
    "wallet",
    "bonus",
    "crypto",
    "gift",
    "urgent",
    "invite",
]
PLAIN = VOCABULARY[: VOCABULARY.index("free")]
SUSPECT = 0.2
"""The share of events whose texts have words that the patterns look for: most of a platform's do not."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, in both languages. Hand-written code reads fields from locals of the same name."""

    quell: str
    python: str


@dataclass(frozen=True, slots=True)
class Workload:
    """A policy, the hand-written function for it, and events as bytes."""

    policy: str
    by_hand: str
    constants: dict[str, Any]
    events: list[bytes]

    def function(self) -> Callable[[dict[str, Any]], list[str]]:
        """The hand-written function."""
        space = dict(self.constants)
        exec(compile(self.by_hand, "<by hand>", "exec"), space)
        made: Callable[[dict[str, Any]], list[str]] = space["decide"]
        return made


def make(rules: int, events: int = 2_000, seed: int = 11, shared: int = 0) -> Workload:
    """A workload of so many rules. With `shared`, each rule's first condition is one of that many."""
    rng = random.Random(seed)
    constants: dict[str, Any] = {}
    pool = [_condition(rng, constants) for _ in range(shared)]
    written = []
    for n in range(rules):
        conditions = [_condition(rng, constants) for _ in range(3)]
        if pool:
            conditions[0] = pool[n % len(pool)]
        written.append((f"rule_{n:03d}", conditions))
    return Workload(_policy(written), _by_hand(written), constants, [_event(rng) for _ in range(events)])


def _condition(rng: random.Random, constants: dict[str, Any]) -> Condition:
    kind = rng.choice(("compare", "contains", "regex", "member"))
    if kind == "compare":
        name, op = rng.choice(NUMBERS), rng.choice((">", "<", ">="))
        limit = rng.randint(5, 40) if op == "<" else rng.randint(60, 95)
        return Condition(f"{name} {op} {limit}", f"{name} {op} {limit}")
    if kind == "contains":
        name, word = rng.choice(TEXTS), rng.choice([w for w in VOCABULARY if len(w) > 3])
        return Condition(f'{name} contains "{word}"', f'"{word}" in {name}')
    if kind == "regex":
        name, pattern = rng.choice(TEXTS), _pattern(rng)
        constant = f"RE_{len(constants)}"
        constants[constant] = re.compile(pattern)
        return Condition(f"{name} matches /{pattern}/", f"{constant}.search({name})")
    name = rng.choice(WORDS)
    values = rng.sample(LANGUAGES, rng.randint(1, 4))
    constant = f"SET_{len(constants)}"
    constants[constant] = frozenset(values)
    listed = ", ".join(f'"{v}"' for v in values)
    return Condition(f"{name} in [{listed}]", f"{name} in {constant}")


def _pattern(rng: random.Random) -> str:
    a, b = rng.sample(LURES, 2)
    return rng.choice(
        (
            f"{a}\\s+{b}",
            f"{a}[a-z]* (now|today|{b})",
            f"\\b{a}\\b.*\\b{b}\\b",
            f"{a[:-1]}[{a[-1]}3e0]+ ?{b}",
            f"(www\\.)?{a}\\.(com|net|{b})",
        )
    )


def _policy(rules: list[tuple[str, list[Condition]]]) -> str:
    lines = ["event post", "  at time = $.at", "  id text = $.id"]
    lines += [f"  {n} number = $.user.{n}" for n in NUMBERS[:4]]
    lines += [f"  {n} number = $.{n}" for n in NUMBERS[4:]]
    lines += [f"  {n} text = $.message.{n}" for n in TEXTS]
    lines += [f"  {n} text = $.{n}" for n in WORDS]
    for name, conditions in rules:
        lines.append("")
        lines.append(f"rule {name} on post")
        lines.append("  when " + "\n   and ".join(c.quell for c in conditions))
        lines.append("  then review")
    return "\n".join(lines) + "\n"


def _by_hand(rules: list[tuple[str, list[Condition]]]) -> str:
    lines = [
        "def decide(event):",
        "    hits = []",
        "    user = event['user']",
        "    message = event['message']",
    ]
    lines += [f"    {n} = user['{n}']" for n in NUMBERS[:4]]
    lines += [f"    {n} = event['{n}']" for n in NUMBERS[4:]]
    lines += [f"    {n} = message['{n}']" for n in TEXTS]
    lines += [f"    {n} = event['{n}']" for n in WORDS]
    for name, conditions in rules:
        lines.append("    if " + " and ".join(c.python for c in conditions) + ":")
        lines.append(f"        hits.append('{name}')")
    lines.append("    return hits")
    return "\n".join(lines) + "\n"


def _event(rng: random.Random) -> bytes:
    words = VOCABULARY if rng.random() < SUSPECT else PLAIN

    def sentence(n: int) -> str:
        return " ".join(rng.choice(words) for _ in range(n))

    event = {
        "type": "post",
        "id": str(rng.getrandbits(63)),
        "at": f"2026-03-02T{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}Z",
        "user": {n: rng.randint(0, 100) for n in NUMBERS[:4]},
        "message": {"content": sentence(24), "bio": sentence(10), "subject": sentence(5)},
        **{n: rng.randint(0, 100) for n in NUMBERS[4:]},
        **{n: rng.choice(LANGUAGES) for n in WORDS},
    }
    return json.dumps(event).encode()
