"""A circuit breaker: a target that keeps failing is left alone for a while, then tried with one call."""

from __future__ import annotations

from typing import Literal


class Breaker:
    """Closed until `failures` calls in a row went wrong; then open for `rest` seconds; then half-open: one
    call is let through, and how it ends closes the breaker or opens it again.

    Times are seconds of any clock that only moves forward. `failures` 0 never opens.
    """

    __slots__ = ("_failures", "_limit", "_opened", "_probing", "_rest", "round")

    def __init__(self, failures: int, rest: float) -> None:
        self._limit = failures
        self._rest = rest
        self._failures = 0
        self._opened: float | None = None
        self._probing = False
        self.round = 0
        """Grows whenever the breaker opens or closes: what was begun in an earlier round is no evidence."""

    def state(self, now: float) -> Literal["closed", "open", "half-open"]:
        """How it stands."""
        if self._opened is None:
            return "closed"
        return "open" if now < self._opened + self._rest else "half-open"

    def enter(self, now: float) -> int | None:
        """The present round where a question may be sent, else None. While half-open the first who enters
        is the probe, and nobody else enters before `leave` or `outcome`."""
        if self._opened is None:
            return self.round
        if self._probing or now < self._opened + self._rest:
            return None
        self._probing = True
        return self.round

    def leave(self, round_: int) -> None:
        """What entered in that round was never sent."""
        if round_ == self.round:
            self._probing = False

    def outcome(self, round_: int, good: bool, now: float) -> bool:
        """A call begun in that round went well or wrong. True where this opened the breaker."""
        if round_ != self.round:
            return False
        if good:
            self._failures = 0
            if self._opened is not None:
                self._opened = None
                self._probing = False
                self.round += 1
            return False
        self._failures += 1
        if self._opened is None and not 0 < self._limit <= self._failures:
            return False
        self._opened = now
        self._failures = 0
        self._probing = False
        self.round += 1
        return True
