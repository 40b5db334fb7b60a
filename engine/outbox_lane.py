"""What waits for one sink: which message is next, when it is tried again, when it is given up.

A lane reads no clock and does nothing by itself: it is told the time (seconds of the event loop; `wall` in
microseconds since 1970) and asked what to do.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from typing import Any

import msgspec

from quell.engine.decision import Decision, Sent
from quell.engine.outbox_acks import Place
from quell.engine.outbox_types import (
    NO_TAG,
    Dead,
    DeadLetter,
    Delivery,
    Message,
    Of,
    Retry,
    Sink,
    SinkFigures,
    key_of,
    tag_of_parts,
    weight_of,
)

MOST_RETRIES = 1_000
"""Messages that failed and wait for another attempt; while there are so many, no new ones are tried."""
TROUBLE = 3
"""Messages failing in a row, from which on the sink is asked one at a time and ever more rarely."""
MOST_REST = 60.0
"""Seconds between two attempts at a sink in trouble, at most."""
MOST_WEIGHT = 32 << 20
"""Bytes of memory for the messages of one sink, about."""
MOST_AFTER = 3_600.0
"""Seconds that a sink can ask not to be tried for, at most."""
LEAST = 3_600.0
"""Seconds that messages get after a start, though they be old: the service may have been down for long."""
_LOOK = 10
"""Seconds between two looks whether messages that failed have become too old."""
_MICROS = 1_000_000


class Item(msgspec.Struct, eq=False):
    """A message on its way: `number` and `index` of the send, or for a dead letter that is sent again the
    `letter`. Of the decision no more is held than is sent. `order` is its place among those of its sink,
    `weight` about how many bytes it takes."""

    number: int
    index: int
    taken: int
    sent: Sent | None = None
    of: Of | None = None
    weight: int = 0
    order: int = 0
    letter: DeadLetter | None = None
    message: Message | None = None
    tag: str = ""
    attempts: int = 0
    first_tried: int | None = None
    first_error: str = ""
    last_error: str = ""
    due: float = 0.0

    def __lt__(self, other: Item) -> bool:
        return self.order < other.order

    @property
    def place(self) -> Place:
        """Which send it is."""
        return (self.number, self.index)


def item_of(number: int, index: int, decision: Decision, taken: int) -> Item:
    """A send of a decision."""
    of = (decision.event, decision.id, decision.at, decision.verdict)
    return Item(number, index, taken, decision.sends[index], of)


def message_of(item: Item, journal_id: str) -> Message:
    """What is delivered. Raises Dead where JSON cannot say it."""
    if item.message is None:
        assert item.sent is not None
        assert item.of is not None
        sent, (event, id, at, verdict) = item.sent, item.of
        item.tag = tag_of_parts(sent, item.of)
        key = key_of(journal_id, item.number, item.index, item.tag)
        payload = sent.payload if item.tag != NO_TAG else {}
        item.message = Message(sent.sink, sent.rule, key, item.number, event, id, at, verdict, payload)
        item.sent = None
    if item.message.key.endswith(NO_TAG):
        raise Dead("its payload cannot be written as JSON")
    return item.message


class Lane:
    """One sink's messages; `sink` is None where none of the name is configured, and all are given up."""

    def __init__(
        self, name: str, sink: Sink | None, most_waiting: int, chance: random.Random, wall: int
    ) -> None:
        self.name = name
        self.sink = sink
        self.delivery: Delivery = getattr(sink, "delivery", Delivery())
        self.ordered = self.delivery.ordered or self.delivery.concurrency == 1
        self._most = most_waiting
        self._chance = chance
        self._began = wall
        self._orders = 0
        self.queue: deque[Item] = deque()
        self.retries: list[Any] = []
        """Heap of (due, item), or where order matters of (order, item)."""
        self.flying: set[Item] = set()
        self.dying: set[Item] = set()
        """Given up, and not yet on disk as dead letters."""
        self.missed: tuple[Place, int] | None = None
        """The first of the sends that only the journal holds, and the number of the last."""
        self.behind = 0
        self.letters = 0
        """How many of what waits are dead letters sent again."""
        self.weight = 0
        """About how many bytes of memory all takes."""
        self._rest_until = 0.0
        self._draining = False
        self._turn = False
        self._looked = 0
        self.setbacks = 0
        self.trouble = ""
        self.since: int | None = None
        self.delivered = self.failed = self.died = 0
        self.given_up = ""

    # ------------------------------------------------------------------ in

    @property
    def room(self) -> int:
        """How many more may wait in memory."""
        return self._most - len(self.queue) if self.weight < MOST_WEIGHT else 0

    def take(self, item: Item) -> None:
        """Have a send wait; where there is no room, or others wait that only the journal holds, nothing but
        its number is kept."""
        if self.missed is not None:
            self.missed = (self.missed[0], item.number)
            self.behind += 1
        elif len(self.queue) >= self._most or self.weight >= MOST_WEIGHT:
            self.missed = (item.place, item.number)
            self.behind += 1
        else:
            self.put(item)

    def read_again(self, last: int, next: Place | None, count: int) -> None:
        """What only the journal held was read, and `count` of it put, up to the number `last`; or up to the
        place `next`, where that is given."""
        assert self.missed is not None
        upto = self.missed[1]
        if next is None and upto > last:
            next = (last + 1, 0)
        self.missed = None if next is None else (next, upto)
        self.behind = 0 if next is None else max(self.behind - count, 1)

    def put(self, item: Item) -> None:
        """Have an item wait, at the end."""
        self._orders += 1
        item.order = self._orders
        said = item.sent or item.message
        item.weight = weight_of(said.payload) if said is not None else 0
        self.weight += item.weight
        self.letters += item.letter is not None
        self.queue.append(item)

    # ------------------------------------------------------------------ next

    def next(self, now: float) -> Item | float | None:
        """What to deliver now; or when to ask again, or None where only an event can change anything."""
        if now < self._rest_until:
            return self._rest_until
        in_trouble = self.setbacks >= TROUBLE
        if len(self.flying) >= (1 if in_trouble else self.delivery.concurrency):
            return None
        found = self._next_in_order() if self.ordered else self._next_due(now, in_trouble)
        if isinstance(found, Item):
            self.flying.add(found)
        return found

    def _next_in_order(self) -> Item | None:
        if self._draining:
            if self.flying:
                return None
            self._draining = False
        if self.retries:
            item: Item = heapq.heappop(self.retries)[1]
            return item
        return self.queue.popleft() if self.queue else None

    def _next_due(self, now: float, in_trouble: bool) -> Item | float | None:
        due = bool(self.retries) and self.retries[0][0] <= now
        fresh = bool(self.queue) and len(self.retries) < MOST_RETRIES
        if due and fresh and in_trouble:  # neither what fails always nor what is new keeps out the other
            self._turn = not self._turn
            due = self._turn
        if due:
            item: Item = heapq.heappop(self.retries)[1]
            return item
        if fresh:
            return self.queue.popleft()
        return float(self.retries[0][0]) if self.retries else None

    def expired(self, wall: int, most: int) -> list[Item]:
        """What waits longer than messages may, while the sink is in trouble, is given up: of what is new, at
        most so many at a time."""
        if self.sink is None:
            found = [self.queue.popleft() for _ in range(min(most, len(self.queue)))]
        elif self.setbacks >= TROUBLE:
            found = self._old_retries(wall)
            while self.queue and len(found) < most and self._old(self.queue[0], wall):
                found.append(self.queue.popleft())
        else:
            return []
        self.dying.update(found)
        return found

    def _old_retries(self, wall: int) -> list[Item]:
        if wall < self._looked + _LOOK * _MICROS:
            return []
        self._looked = wall
        found = [item for _, item in self.retries if self._old(item, wall)]
        if found:
            self.retries = [entry for entry in self.retries if not self._old(entry[1], wall)]
            heapq.heapify(self.retries)
        return found

    def _old(self, item: Item, wall: int) -> bool:
        age = self.delivery.age
        return wall - item.taken > age * _MICROS and wall - self._began > min(age, LEAST) * _MICROS

    # ------------------------------------------------------------------ what came of it

    def succeeded(self, item: Item) -> None:
        """It was delivered."""
        self._landed(item)
        self.delivered += 1
        self._well()
        self._gone(item)

    def _well(self) -> None:
        self.setbacks = 0
        self.trouble, self.since = "", None

    def refused(self, item: Item, dead: Dead, wall: int) -> None:
        """It will never be taken; the sink itself is well."""
        self._landed(item)
        self._count(item, dead.reason, wall)
        self._well()
        self.dying.add(item)

    def stumbled(self, item: Item, retry: Retry, now: float, wall: int) -> bool:
        """It was not taken: put back to be tried again, or given up. Gives whether it was given up."""
        self._landed(item)
        self._count(item, retry.reason, wall)
        if self.since is None:
            self.since = wall
        self.trouble = retry.reason
        if item.attempts == 1 or retry.all or self.setbacks >= TROUBLE:
            self.setbacks += 1
        after = min(retry.after, MOST_AFTER) if retry.after is not None else 0.0
        item.due = now + max(after, self._pause(item.attempts, self.delivery.most))
        if retry.all and after:
            self._rest(now + after)
        if self.setbacks >= TROUBLE:
            self._rest(now + self._pause(self.setbacks - TROUBLE + 1, min(MOST_REST, self.delivery.most)))
        tried_out = self.delivery.attempts is not None and item.attempts >= self.delivery.attempts
        if tried_out or self._old(item, wall):
            self.dying.add(item)
            return True
        self._put_back(item)
        return False

    def _put_back(self, item: Item) -> None:
        if self.ordered:
            heapq.heappush(self.retries, (item.order, item))
            self._draining = True
            self._rest(item.due)
        else:
            heapq.heappush(self.retries, (item.due, item))

    def _pause(self, attempts: int, most: float) -> float:
        """Exponential, with full jitter."""
        return self._chance.uniform(0.0, min(most, self.delivery.base * 2.0 ** min(attempts - 1, 40)))

    def _rest(self, until: float) -> None:
        self._rest_until = max(self._rest_until, until)

    def _landed(self, item: Item) -> None:
        self.flying.discard(item)

    def _count(self, item: Item, why: str, wall: int) -> None:
        item.attempts += 1
        self.failed += 1
        item.last_error = why
        if item.first_tried is None:
            item.first_tried, item.first_error = wall, why

    def left(self, item: Item) -> None:
        """It was under way when the outbox was closed: it goes first the next time."""
        self._landed(item)
        self._put_back(item)

    def buried(self, item: Item) -> None:
        """It is a dead letter on disk."""
        self.dying.discard(item)
        self.died += 1
        self._gone(item)

    def _gone(self, item: Item) -> None:
        self.weight -= item.weight
        self.letters -= item.letter is not None

    # ------------------------------------------------------------------ looks

    def open_items(self) -> list[Item]:
        """What was taken out of the queue and is not settled, dead letters sent again left out."""
        items = [*self.flying, *self.dying, *(item for _, item in self.retries)]
        return [item for item in items if item.letter is None]

    def start(self) -> Place | None:
        """The first of those that nobody has tried: all of this sink from there on are open. None where
        there are none."""
        if self.letters:
            for item in self.queue:
                if item.letter is None:
                    return item.place
        elif self.queue:
            return self.queue[0].place
        return self.missed[0] if self.missed is not None else None

    def first_open(self) -> int | None:
        """The least number that is not settled."""
        numbers = [item.number for item in self.open_items()]
        start = self.start()
        if start is not None:
            numbers.append(start[0])
        return min(numbers, default=None)

    def figures(self, dead: int) -> SinkFigures:
        """How it does; `dead` is how many dead letters there are."""
        items = [*self.flying, *self.dying, *(item for _, item in self.retries)]
        if self.queue:
            items.append(self.queue[0])
        waiting = len(self.flying) + len(self.dying) + len(self.retries) + len(self.queue)
        return SinkFigures(
            self.sink is not None,
            waiting=waiting + self.behind,
            behind=self.behind,
            under_way=len(self.flying),
            delivered=self.delivered,
            failed=self.failed,
            died=self.died,
            dead=dead,
            oldest=min((item.taken for item in items), default=None),
            trouble=self.trouble,
            since=self.since,
            given_up=self.given_up,
        )
