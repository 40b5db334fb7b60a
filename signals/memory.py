"""What all stores of one state share: reports on the present event, and how much may be held."""

from __future__ import annotations

from dataclasses import dataclass, field

UNBOUNDED = 2**63
"""More keys than there can be."""


@dataclass(slots=True)
class Memory:
    """The common ground of a state's stores.

    `late` names the counters that took the present event as of a later time, `full` those that could not
    tell because memory was full; whoever decides the event reads and clears both. `horizon` is a time, in
    microseconds, before which nothing is counted or read any more: set before every event, None while
    that is not known, and then no key leaves. `left` is how many more keys may be held. `began` is the
    time of the first event.
    """

    late: list[str] = field(default_factory=list)
    full: list[str] = field(default_factory=list)
    horizon: int | None = None
    left: int = UNBOUNDED
    began: int | None = None
