"""Which number the decision of an Idempotency-Key had: what a service remembers of keys, within bounds.

    known = Known(Bounds(most=1_000_000, age=24 * HOUR))
    known.put(digest_of("order-77"), 1234, wall)
    known.get(digest_of("order-77"), wall)  # 1234

It reads no clock: times are those at which the journal's entries were written, so that what is remembered
after a restart is what was remembered before. A key is known by a digest alone, which tells nobody what
was in it. About 200 bytes a key.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from quell.engine.carry import Section
from quell.engine.journal_format import KEY_SIZE

MOST_LETTERS = 200
"""Characters of a key."""
HOUR = 3_600_000_000
"""Microseconds."""
GRAIN = 10_000_000
"""Microseconds to which the age of a key is told, so that not each needs a time of its own."""
SECTION = "keys"
"""The kind of a snapshot's sections that hold keys."""
_AT_A_TIME = 100
"""Keys beyond the bounds that are let go with each one that comes: after a silence all of them may be."""
_IN_SECTION = 50_000
_KEY = re.compile(r"[!-~]{1,200}")


class Bounds(NamedTuple):
    """How many keys are remembered at most, and for how many microseconds."""

    most: int = 1_000_000
    age: int = 24 * HOUR


BOUNDS = Bounds()
"""What holds unless settings say otherwise."""


def is_key(text: str) -> bool:
    """Whether a text can be a key: 1 to 200 visible ASCII characters."""
    return _KEY.fullmatch(text) is not None


def digest_of(key: str, whose: str = "") -> bytes:
    """What a key is known by: equal for the same key of the same API key alone. `whose` is the API key's id,
    empty for whoever needs none."""
    return blake2b(f"{whose}\0{key}".encode(), digest_size=KEY_SIZE).digest()


class Known:
    """The numbers of decisions by the digest of their key, in the order in which they were made. Numbers that
    are put grow."""

    def __init__(self, bounds: Bounds = BOUNDS) -> None:
        self.bounds = bounds
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._numbers: dict[bytes, int] = {}
        # A dict that loses its first entries over and over looks through the gaps each time; hence the order.
        self._order: deque[tuple[bytes, int]] = deque()
        self._times: deque[tuple[int, int]] = deque()
        """Times, each with the first number that was put from then on, within GRAIN."""
        self._from = self._last = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def put(self, key: bytes, number: int, wall: int) -> None:
        """Note the number of a key's decision, and when it was written."""
        if not self._times or wall - self._times[-1][0] >= GRAIN:
            self._times.append((wall, number))
        self._numbers[key] = self._last = number
        self._order.append((key, number))
        self._let_go(wall)

    def get(self, key: bytes, wall: int) -> int | None:
        """The number of a key's decision, None for one that is not known at a time."""
        number = self._numbers.get(key)
        return None if number is None or number < self._oldest(wall) else number

    def forget(self, key: bytes, number: int) -> None:
        """Forget a key, if its decision has that number."""
        if self._numbers.get(key) == number:
            del self._numbers[key]

    def _oldest(self, wall: int) -> int:
        """The smallest number that is young enough at a time."""
        times, since = self._times, wall - self.bounds.age - GRAIN
        while times and times[0][0] <= since:
            times.popleft()
            self._from = times[0][1] if times else self._last + 1
        return self._from

    def _let_go(self, wall: int) -> None:
        order, oldest = self._order, self._oldest(wall)
        for _ in range(_AT_A_TIME):
            if not order or (order[0][1] >= oldest and len(self._numbers) <= self.bounds.most):
                return
            self.forget(*order.popleft())

    # ------------------------------------------------------------- snapshots

    def sections(self) -> Iterator[Section]:
        """All of it, for a snapshot, but for what is too old and not let go of yet: the times that say so are
        gone."""
        numbers, first = self._numbers, self._from
        keys = [(key, n) for key, n in self._order if n >= first and numbers.get(key) == n]
        if not keys:
            return
        yield [SECTION, "times", [list(pair) for pair in self._times]]
        for begin in range(0, len(keys), _IN_SECTION):
            some = keys[begin : begin + _IN_SECTION]
            yield [SECTION, "numbers", [b"".join(key for key, _ in some), [number for _, number in some]]]

    def load(self, name: str, what: Any) -> None:
        """Take in one section. Raises ValueError, TypeError or LookupError for what is none."""
        if name == "times":
            self._times.extend((int(wall), int(number)) for wall, number in what)
            return
        joined, numbers = what
        if len(joined) != KEY_SIZE * len(numbers):
            raise ValueError("the keys are not as many as their numbers")
        for place, number in enumerate(numbers):
            key = bytes(joined[place * KEY_SIZE : (place + 1) * KEY_SIZE])
            self._numbers[key] = self._last = int(number)
            self._order.append((key, self._last))
