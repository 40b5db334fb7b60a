"""What every store of a counter has in common: keys that come and go, within a bound.

A store holds what several readings of one counter share. Times are int microseconds; the window of length
W at t is (t − W, t]. Within one key time never runs backwards: an event older than the newest that its
key counted counts as of that newest time, and is noted in the memory's `late`; a reading earlier than
that newest time reads as of it, and moves no clock.

A key is idle once its newest entry is older than any reading can look back to from the memory's horizon.
Idle keys leave a few at a time: the keys stand in a queue, and whoever brings a new one looks at two at
its head, drops what is idle and puts the others at the tail.

No silent wrong number: where the memory is full a new key is refused, and for as long as a window
reaches back to a refusal, readings under keys that may have lost events to it are missing and reported
in the memory's `full`. A key with more than `MOST` entries loses its oldest; a reading that reaches back
to those gives what is held, a lower bound, and is reported too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from itertools import islice
from typing import Any, ClassVar

from quell.signals.memory import Memory

Key = Hashable

MOST = 1_000_000
"""The most entries that one key holds."""

SAMPLE = 1_000
"""How many keys are looked at to estimate what all of them take."""


GC = 16
"""The bytes that the collector takes of an object."""


def each(value: Any) -> list[Any]:
    """The different elements of a list, in order of first place; a single value as a list of one."""
    return list(dict.fromkeys(value)) if isinstance(value, list) else [value]


def keys_of(*parts: Any) -> list[Any]:
    """The keys that key parts stand for: one, or one per different element of the part that is a list.
    None when a part is missing, so that nothing counts. One part is its own key, several make a tuple."""
    if any(p is None for p in parts):
        return []
    if len(parts) == 1:
        return each(parts[0])
    for i, part in enumerate(parts):
        if isinstance(part, list):
            return [(*parts[:i], element, *parts[i + 1 :]) for element in each(part)]
    return [parts]


def surplus(number: int) -> int:
    """How many of the oldest entries leave a key that has too many: enough that it is rare."""
    return max(1, number >> 6)


def size(held: Any) -> int:
    """The bytes that an object takes, what it refers to left out."""
    return GC + int(held.__sizeof__())


class BaseStore:
    """The keys of a store. `longest` is the longest look-back of any reading in microseconds, its `before`
    included; None for ever, and then no key leaves. `began` is the time from which events are watched."""

    __slots__ = (
        "_held",
        "_marks",
        "_queue",
        "_reach",
        "_refused",
        "began",
        "late",
        "longest",
        "memory",
        "name",
    )

    kind: ClassVar[str]
    holds: frozenset[str] = frozenset()
    """What is kept beyond the least that a store of the kind keeps."""

    def __init__(self, name: str, longest: int | None, memory: Memory, reach: int | None) -> None:
        self.name = name
        self.longest = longest
        self.memory = memory
        self.late = memory.late
        self.began: int | None = None
        self._reach = reach
        self._held: dict[Key, Any] = {}
        self._queue: deque[Key] = deque()
        self._marks: dict[Key, tuple[int | None, int | None]] = {}
        self._refused: int | None = None

    # ------------------------------------------------------------ what a kind of store says of one key

    def _newest(self, held: Any) -> int:
        """The newest time of a key."""
        raise NotImplementedError

    def _size(self, key: Key, held: Any) -> tuple[int, int]:
        """How many entries a key holds, and their bytes."""
        raise NotImplementedError

    def _dumped(self, key: Key, held: Any) -> Any:
        """A key's entries as plain lists and numbers."""
        raise NotImplementedError

    def _loaded(self, key: Key, dumped: Any, marked: bool) -> Any:
        """A key's entries from what `_dumped` gave; `marked` where readings may be in doubt."""
        raise NotImplementedError

    def _drop(self, key: Key) -> None:
        """Let go of whatever is kept of a key elsewhere."""

    # ----------------------------------------------------------------------------- keys come and leave

    def _enter(self, key: Key, at: int) -> bool:
        """Make room for a new key; False when there is none, and the store remembers that. The caller
        puts the key's first entry into `_held`."""
        if self._reach is not None:
            self._sweep(2)
        memory = self.memory
        if memory.left <= 0:
            self._sweep(8)
            if memory.left <= 0:
                if self._refused is None or self._refused < at:
                    self._refused = at
                return False
        memory.left -= 1
        if self._reach is not None:
            self._queue.append(key)
        if self._refused is not None and (self._reach is None or self._refused > at - self._reach):
            self._marks[key] = (self._refused, None)
        return True

    def _sweep(self, most: int) -> None:
        """Look at so many keys at the head of the queue and drop the idle ones."""
        horizon, reach, queue = self.memory.horizon, self._reach, self._queue
        if horizon is None or reach is None:
            return
        for _ in range(min(most, len(queue))):
            key = queue.popleft()
            if self._newest(self._held[key]) + reach <= horizon:
                del self._held[key]
                self._marks.pop(key, None)
                self._drop(key)
                self.memory.left += 1
            else:
                queue.append(key)

    def _cut(self, key: Key, newest_gone: int) -> None:
        """Note that a key lost its entries up to a time because it held too many."""
        refused = self._marks.get(key, (None, None))[0]
        self._marks[key] = (refused, newest_gone)

    def _settled(self, key: Key, low: int) -> bool:
        """Whether a key in doubt no longer is, because no reading goes back behind `low`."""
        if self._reach is None or any(t is not None and t > low for t in self._marks.get(key, ())):
            return False
        self._marks.pop(key, None)
        return True

    # ------------------------------------------------------------------------------------------- doubt

    def _unknown(self, low: int | None) -> bool:
        """Whether a key that is not held may have lost events after `low` (None: ever) to a full memory;
        if so that is reported."""
        refused = self._refused
        if refused is None or (low is not None and refused <= low):
            return False
        self.memory.full.append(self.name)
        return True

    def _doubtful(self, key: Key, low: int | None) -> bool:
        """The same for a key that is held. What was lost because the key holds too many is reported too,
        and is no reason to be missing."""
        mark = self._marks.get(key)
        if mark is None:
            return False
        refused, gone = mark
        if refused is not None and (low is None or refused > low):
            self.memory.full.append(self.name)
            return True
        if gone is not None and (low is None or gone > low):
            self.memory.full.append(self.name)
        return False

    def _in_doubt(self, key: Key, low: int | None) -> bool:
        """The same for any key."""
        if key in self._held:
            return bool(self._marks) and self._doubtful(key, low)
        return self._unknown(low)

    def _unwatched(self, low: int) -> bool:
        """Whether a window from `low` was not yet watched whole."""
        return self.began is None or low < self.began

    # ----------------------------------------------------------------------------------------- figures

    def keys(self) -> int:
        """How many keys are held."""
        return len(self._held)

    def entries(self) -> int:
        """How many entries are held, under all keys: exact up to 1,000 keys, beyond that an estimate."""
        return self._sampled()[0]

    def bytes(self) -> int:
        """The bytes that the store takes, without the keys' own: an estimate from at most 1,000 keys."""
        own = sum(map(size, (self._held, self._queue, self._marks)))
        return own + self._sampled()[1]

    def _sampled(self) -> tuple[int, int]:
        keys = len(self._held)
        step = -(-keys // SAMPLE) or 1
        sizes = [self._size(*held) for held in islice(self._held.items(), step // 2, None, step)]
        if not sizes:
            return 0, 0
        entries, taken = sum(s[0] for s in sizes), sum(s[1] for s in sizes)
        return entries * keys // len(sizes), taken * keys // len(sizes)

    # --------------------------------------------------------------------------------------- snapshots

    def dump(self) -> dict[str, Any]:
        """All that the store remembers, in lists, numbers and texts."""
        marks = self._marks
        return {
            "kind": self.kind,
            "holds": sorted(self.holds),
            "longest": self.longest,
            "began": self.began,
            "refused": self._refused,
            "keys": [
                [_plain(key), self._dumped(key, held), *marks.get(key, ())] for key, held in self._in_order()
            ],
        }

    def _in_order(self) -> Iterable[tuple[Key, Any]]:
        """The keys as they stand in the queue: who loads them looks at the same ones next."""
        held = self._held
        return held.items() if self._reach is None else ((key, held[key]) for key in self._queue)

    def load(self, dumped: dict[str, Any]) -> None:
        """Take over what another store dumped, in the place of all that this one holds; readings give the
        same as before. Raises ValueError when that store kept something else. How far back it reached is
        `longest` in what it dumped; whether that is enough is for the caller to say."""
        if dumped["kind"] != self.kind or not self.holds <= {*dumped["holds"]}:
            raise ValueError(f"the counter `{self.name}` cannot be filled from a store of another kind")
        self.memory.left += len(self._held)
        self._held, self._queue, self._marks = {}, deque(), {}
        self.began, self._refused = dumped["began"], dumped["refused"]
        for written, entries, *mark in dumped["keys"]:
            key = _key(written)
            self._held[key] = self._loaded(key, entries, bool(mark))
            if self._reach is not None:
                self._queue.append(key)
            if mark:
                self._marks[key] = (mark[0], mark[1])
        self.memory.left -= len(self._held)


def _plain(key: Key) -> Any:
    return list(key) if isinstance(key, tuple) else key


def _key(written: Any) -> Key:
    """A key as it was before it was dumped: no key is a list, so what is one was a tuple."""
    return tuple(written) if isinstance(written, list | tuple) else written
