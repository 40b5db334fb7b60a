"""What every store of a counter has in common: keys that come and go, within a bound.

A store holds what several readings of one counter share. Times are int microseconds; the window of length
W at t is (t − W, t]. Within one key time never runs backwards: an event older than the newest that its
key counted counts as of that newest time, and is noted in the memory's `late`; a reading earlier than
that newest time reads as of it, and moves no clock.

A key is idle once its newest entry is older than any reading can look back to from the memory's horizon.
Idle keys leave a few at a time: the keys stand in a queue, and whoever brings a new one looks at two at
its head, if it is time to, drops what is idle and puts the others at the tail. So does the state whenever
the horizon moves, for the sake of stores that get no new keys.

No silent wrong number: where the memory is full a new key is refused, and for as long as a window
reaches back to a refusal, readings under keys that may have lost events to it are missing and reported
in the memory's `full`. A key with more than `MOST` entries loses its oldest; a reading that reaches back
to those gives what is held, a lower bound, and is reported too. So does one that reaches back to an event
whose keys and values were so many that not all of them were taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Sequence
from itertools import chain, islice
from typing import Any, ClassVar

from quell.signals.memory import Memory

Key = Hashable

MOST = 1_000_000
"""The most entries that one key holds."""

FOREVER = 2**62
"""A span that reaches back before all times."""

_BLOCK = 64
"""So many keys stand in the queue as one: it is known of them together when to look at them."""

MOST_AT_ONCE = 10_000
"""The most entries that one event adds to a store: a list as key and another as value make their product."""

SAMPLE = 1_000
"""How many keys are looked at to estimate what all of them take."""
PASSED = 200_000
"""How many keys are passed over for that at most."""


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
    included; None for ever, and then no key leaves, but what lies further back than `recent` may be kept as
    a sum only. `began` is the time from which events are watched."""

    __slots__ = (
        "_due",
        "_head",
        "_held",
        "_least",
        "_marks",
        "_queue",
        "_reach",
        "_refused",
        "_tail",
        "began",
        "late",
        "longest",
        "memory",
        "name",
        "recent",
    )

    kind: ClassVar[str]
    holds: frozenset[str] = frozenset()
    """What a dump of the store has beyond the least that one of the kind has."""
    wants: frozenset[str] = frozenset()
    """What of that there must be in a dump that the store loads."""

    def __init__(self, name: str, longest: int | None, memory: Memory, reach: int | None) -> None:
        self.name = name
        self.longest = longest
        self.recent: int | None = None
        self.memory = memory
        self.late = memory.late
        self.began: int | None = None
        self._reach = reach
        self._held: dict[Key, Any] = {}
        self._head: list[Key] = []
        self._queue: deque[tuple[int, list[Key]]] = deque()
        self._tail: list[Key] = []
        self._least = 0
        self._due = -FOREVER
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
        memory = self.memory
        horizon = memory.horizon
        if horizon is not None and horizon >= self._due:
            self.sweep(2)
        if memory.left <= 0:
            self.sweep(8)
            if memory.left <= 0:
                if self._refused is None or self._refused < at:
                    self._refused = at
                return False
        memory.left -= 1
        if self._reach is not None:
            self._queue_up(key, at)
        if self._refused is not None and (self._reach is None or self._refused > at - self._reach):
            self._marks[key] = (self._refused, None)
        return True

    def _queue_up(self, key: Key, newest: int) -> None:
        """Put a key at the tail of the queue."""
        tail = self._tail
        if newest < self._least or not tail:
            self._least = newest
        tail.append(key)
        if len(tail) == _BLOCK:
            self._close()

    def _close(self) -> None:
        """Begin another block at the tail of the queue. Nobody need look at this one before the horizon is
        where its first key can be idle; times that run ahead put that off by no more than one reach."""
        horizon, reach = self.memory.horizon, self._reach
        assert reach is not None
        due = -FOREVER if horizon is None else min(self._least, horizon + reach) + reach
        self._queue.append((due, self._tail))
        self._tail = []
        if not self._head and len(self._queue) == 1:
            self._due = due

    def sweep(self, most: int) -> None:
        """Look at no more than so many keys, if it is time to look at any, and drop the idle ones."""
        horizon, reach = self.memory.horizon, self._reach
        if horizon is None or reach is None:
            return
        for _ in range(most):
            if not self._head and not self._next(horizon):
                return
            key = self._head.pop()
            newest = self._newest(self._held[key])
            if newest + reach > horizon:
                self._queue_up(key, newest)
                continue
            del self._held[key]
            self._marks.pop(key, None)
            self._drop(key)
            self.memory.left += 1

    def _next(self, horizon: int) -> bool:
        """Bring the next block to the head of the queue, once it is due."""
        assert self._reach is not None
        if not self._queue and self._tail and self._least + self._reach <= horizon:
            self._close()
        if self._queue and self._queue[0][0] <= horizon:
            self._head = self._queue.popleft()[1]
            self._due = -FOREVER
            return True
        self._due = self._queue[0][0] if self._queue else -FOREVER
        return False

    def _cut(self, key: Key, newest_gone: int) -> None:
        """Note that a key lost its entries up to a time because it held too many."""
        refused = self._marks.get(key, (None, None))[0]
        self._marks[key] = (refused, newest_gone)

    def _fitting(self, keys: Collection[Key], values: Sequence[Any]) -> Sequence[Any]:
        """The values of one event, fewer where with its keys they would make too many entries."""
        return values if len(keys) * len(values) <= MOST_AT_ONCE else values[: MOST_AT_ONCE // len(keys) or 1]

    def _cut_short(self, keys: Collection[Key]) -> None:
        """Note that an event counted under keys with fewer values than it had."""
        for key in keys:
            held = self._held.get(key)
            if held is not None:
                self._cut(key, self._newest(held))

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

    @property
    def shape(self) -> tuple[Any, ...]:
        """All that a store was made with but its name: of one shape, one can stand in for the other."""
        return self.kind, self.longest, self.recent

    # ----------------------------------------------------------------------------------------- figures

    def keys(self) -> int:
        """How many keys are held."""
        return len(self._held)

    def entries(self) -> int:
        """How many entries are held, under all keys: exact up to 1,000 keys, beyond that an estimate."""
        return self.measured()[0]

    def bytes(self) -> int:
        """The bytes that the store takes, without the keys' own: an estimate from at most 1,000 keys."""
        return self.measured()[1]

    def measured(self, most: int = SAMPLE) -> tuple[int, int]:
        """Entries and bytes, from a look at about so many keys at `most`. Of very many keys the oldest and
        the newest are looked at: passing over the others takes its time, too."""
        held, keys = self._held, len(self._held)
        own = size(held) + size(self._marks) + (0 if self._reach is None else 9 * keys)
        if keys <= PASSED:
            sizes = self._sizes(held.items(), keys, most)
        else:
            half = PASSED // 2
            sizes = self._sizes(held.items(), half, most // 2)
            sizes += self._sizes(reversed(held.items()), half, most // 2)
        if not sizes:
            return 0, own
        entries, taken = sum(s[0] for s in sizes), sum(s[1] for s in sizes)
        return entries * keys // len(sizes), own + taken * keys // len(sizes)

    def _sizes(self, rows: Iterable[tuple[Key, Any]], among: int, most: int) -> list[tuple[int, int]]:
        """The sizes of some of the first rows, evenly spread."""
        step = -(-among // most) or 1
        return [self._size(*row) for row in islice(rows, step // 2, among, step)]

    # --------------------------------------------------------------------------------------- snapshots

    def dump(self) -> dict[str, Any]:
        """All that the store remembers, in lists, numbers and texts."""
        marks = self._marks
        return {
            "kind": self.kind,
            "holds": sorted(self.holds),
            "longest": self.longest,
            "recent": self.recent,
            "began": self.began,
            "refused": self._refused,
            "keys": [
                [_plain(key), self._dumped(key, held), *marks.get(key, ())] for key, held in self._in_order()
            ],
        }

    def _in_order(self) -> Iterable[tuple[Key, Any]]:
        """The keys as they stand in the queue: who loads them looks at the same ones next."""
        held = self._held
        if self._reach is None:
            return held.items()
        keys = chain(reversed(self._head), *(block for _, block in self._queue), self._tail)
        return ((key, held[key]) for key in keys)

    def load(self, dumped: dict[str, Any]) -> None:
        """Take over what another store dumped, in the place of all that this one holds; readings give the
        same as before. Raises ValueError when that store did not keep what this one needs, or kept it only as
        a sum. A shorter look-back than this one's is taken as it is: compare `longest`."""
        summed, back = dumped["recent"], self.longest if self.longest is not None else self.recent
        short = summed is not None and (back is None or back > summed)
        if dumped["kind"] != self.kind or short or not self.wants <= {*dumped["holds"]}:
            raise ValueError(f"the counter `{self.name}` cannot be filled from a store of another kind")
        self.memory.left += len(self._held)
        self._held, self._marks = {}, {}
        self._head, self._queue, self._tail, self._due = [], deque(), [], -FOREVER
        self.began, self._refused = dumped["began"], dumped["refused"]
        held, loaded, newest, queue_up = self._held, self._loaded, self._newest, self._queue_up
        queued = self._reach is not None
        for row in dumped["keys"]:  # a restart waits for it
            key, marked = row[0], len(row) > 2
            if type(key) is list:  # no key is a list: it was a tuple
                key = tuple(key)
            entries = held[key] = loaded(key, row[1], marked)
            if queued:
                queue_up(key, newest(entries))
            if marked:
                self._marks[key] = (row[2], row[3])
        self.memory.left -= len(held)


def _plain(key: Key) -> Any:
    return list(key) if isinstance(key, tuple) else key
