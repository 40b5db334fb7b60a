"""What the outbox and its sinks tell one another: messages, how a delivery fails, dead letters, figures."""

from __future__ import annotations

from typing import Any, Literal, Protocol
from zlib import crc32

import msgspec

from quell.engine.decision import Decision, Sent
from quell.signals.show import show_time

DAY = 86_400.0
_NESTED = frozenset((list, tuple, dict))
_LIGHT = 1_000
"""Bytes of a message without any text."""


class Retry(Exception):
    """A delivery that failed and may yet work: why, and after how many seconds the sink asked to be tried
    again, if it did. `all` says that this holds for the sink and not for the one message only."""

    def __init__(self, reason: str, after: float | None = None, *, all: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after
        self.all = all


class Dead(Exception):
    """A delivery that will never work, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OutboxError(Exception):
    """A folder that no outbox can be kept in, in one line; `hint` is what to try, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Message(msgspec.Struct, frozen=True):
    """Something for a sink: what a rule sent, and the event that made it.

    `key` is the same whenever this message is delivered, and no other message has it. `number` is that of
    the decision; `event` the type of the event, `id` its id where it has one, `at` its time in microseconds
    since 1970 UTC.
    """

    sink: str
    rule: str
    key: str
    number: int
    event: str
    id: str | None
    at: int
    verdict: str
    payload: dict[str, Any]

    def body(self) -> bytes:
        """The message as JSON, its time in ISO 8601."""
        return msgspec.json.encode(
            {
                "sink": self.sink,
                "rule": self.rule,
                "key": self.key,
                "number": self.number,
                "event": self.event,
                "id": self.id,
                "at": show_time(self.at),
                "verdict": self.verdict,
                "payload": self.payload,
            }
        )


Of = tuple[str, str | None, int, str]
"""Of an event and its decision: type, id, time, verdict."""
NO_TAG = "00000000"
"""The tag of what JSON cannot say."""


def tag_of(decision: Decision, index: int) -> str:
    """Eight hexadecimal digits of what one send of a decision says.

    They are part of its key: where a power cut took the end of the journal, its numbers are given out
    again, and the new sends under them must not pass for the lost ones, which may have been delivered.
    """
    of = (decision.event, decision.id, decision.at, decision.verdict)
    return tag_of_parts(decision.sends[index], of)


def tag_of_parts(sent: Sent, of: Of) -> str:
    """The same from its parts."""
    try:
        return f"{crc32(msgspec.json.encode((*of, sent.sink, sent.rule, sent.payload))):08x}"
    except Exception:  # half a surrogate pair
        return NO_TAG


def weight_of(payload: dict[str, Any]) -> int:
    """About how many bytes a message takes in memory, from the texts in its payload."""
    weight = _LIGHT
    for value in payload.values():
        kind = type(value)
        if kind is str:
            weight += len(value)
        elif kind in _NESTED:
            weight += len(str(value))
    return weight


def key_of(journal_id: str, number: int, index: int, tag: str) -> str:
    """The idempotency key of a send: the journal, the decision's number in it, the place among its sends, and
    `tag_of`."""
    return f"{journal_id}-{number}-{index}-{tag}"


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a sink is delivered to; every time in seconds.

    At most `concurrency` messages are under way at once, each for at most `timeout`. With `ordered` (always
    so where one is under way at a time) a message that fails holds up those after it. A message is tried
    again after a random time below `base` doubled with every attempt, at most `most`, and given up once it
    has been tried `attempts` times (None: no matter how often) or is older than `age`; what is old already
    when the service starts gets another hour.
    """

    concurrency: int = 4
    timeout: float = 10.0
    ordered: bool = False
    attempts: int | None = None
    age: float = DAY
    base: float = 1.0
    most: float = 300.0


class Sink(Protocol):
    """Where messages go. It may have an attribute `delivery` (a Delivery), and `async close()`."""

    async def deliver(self, message: Message) -> None:
        """Take a message, the same one perhaps more than once. Raises Retry or Dead; whatever else it
        raises counts as Retry."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was given up: why, after how many attempts (0: there was no such sink), what the first
    and the last of them met with, and when, in microseconds since 1970 by the server's clock. `state` is
    `again` once it was asked to be sent again, and `sending` while it is."""

    message: Message
    reason: str
    attempts: int
    first_error: str
    last_error: str
    taken: int
    first_tried: int | None
    died: int
    state: Literal["dead", "again", "sending"] = "dead"


class SinkFigures(msgspec.Struct, frozen=True):
    """How a sink does. `configured` is False for one that policies name and nobody has set up. `rules` are
    those that send to it, None where that is not known.

    `waiting` are the sends not delivered yet, `behind` those of them that only the journal holds; `under_way`
    those that are being delivered; `delivered`, `failed` (attempts), `died` count since the start; `dead` are
    the dead letters there are. `oldest` is when the oldest that waits was taken (microseconds since 1970),
    `trouble` what the sink met with last, "" once a delivery went well, `since` when that began, `given_up`
    why the last send was given up that was since the start.
    """

    configured: bool
    waiting: int = 0
    behind: int = 0
    under_way: int = 0
    delivered: int = 0
    failed: int = 0
    died: int = 0
    dead: int = 0
    oldest: int | None = None
    trouble: str = ""
    since: int | None = None
    rules: tuple[str, ...] | None = None
    given_up: str = ""

    @property
    def unset(self) -> bool:
        """Whether something is sent to it, or was and became dead letters, and nobody has set it up."""
        return not self.configured and (self.rules != () or self.dead > 0)

    @property
    def unused(self) -> bool:
        """Whether it is set up and known to get nothing."""
        return self.configured and self.rules == ()


class OutboxFigures(msgspec.Struct, frozen=True):
    """How the outbox does: its sinks by name; `done_upto`; `seen`, the greatest number taken; `unsynced`,
    acknowledgements that are not on disk yet; `dropped`, dead letters that were let go because there were too
    many; `problem`, why something cannot be written, or ""."""

    sinks: dict[str, SinkFigures]
    done_upto: int
    seen: int
    unsynced: int
    dropped: int
    problem: str
