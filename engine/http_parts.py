"""What the HTTP side of a service is made over: the service itself, and what others know and do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from quell.engine.http_access import Access
from quell.engine.http_pressure import HttpFigures, Pressure
from quell.engine.service import Service
from quell.engine.service_types import ReloadOutcome, VersionInfo

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class DeadLetters(Protocol):
    """What could not be delivered: the outbox's half of the HTTP API."""

    def dead(self, sink: str | None, most: int, after: str) -> Sequence[Any]:
        """The dead letters, of one sink or of all, the oldest first: at most so many, from the one after a
        key on. Called in a thread."""
        ...

    def resend(self, keys: Sequence[str]) -> int:
        """Try these again; gives how many there were. Called in a thread."""
        ...


@dataclass(slots=True)
class Parts:
    """What requests are answered with. What is None has no address: neither a route nor a line in the API's
    description.

    `status` gives what /v1/status says besides its own, of `status_type`; `ready` why the service cannot
    decide, "" where it can; `metrics` the text and the Content-Type for an Accept header. `decision` and
    `explain` give what the journal has of a decision, and why it was made, as JSON or what is made JSON of;
    None where it is not there. What `versions`, `reload`, `put_back` and the outbox raise with a `message`
    and a `hint` is told to the caller. `live` are Starlette routes that let nobody in themselves but by
    `allowed`. `wrap` puts another ASGI application around it all, which traces.
    `described` is the API's description, and what it was made of; `explaining` how many explanations are
    being made.
    """

    service: Service
    access: Access
    pressure: Pressure
    status: Callable[[], Mapping[str, Any]] | None = None
    status_type: Any = None
    ready: Callable[[], str] | None = None
    metrics: Callable[[str], tuple[bytes, str]] | None = None
    decision: Callable[[int], Awaitable[Any]] | None = None
    explain: Callable[[int], Awaitable[Any]] | None = None
    versions: Callable[[], Sequence[VersionInfo]] | None = None
    reload: Callable[[str], Awaitable[ReloadOutcome]] | None = None
    put_back: Callable[[int, str], Awaitable[ReloadOutcome]] | None = None
    outbox: DeadLetters | None = None
    live: Sequence[Any] = field(default_factory=tuple)
    wrap: Callable[[ASGIApp], ASGIApp] | None = None
    described: tuple[Any, bytes] | None = None
    explaining: int = 0

    def figures(self) -> HttpFigures:
        """What the HTTP side did."""
        pressure, access = self.pressure, self.access
        return HttpFigures(
            pressure.under_way,
            pressure.shed,
            pressure.lag,
            pressure.overloaded,
            access.wrong_keys,
            access.forbidden,
            pressure.slow,
            {
                where: {str(status): number for status, number in sorted(counts.items())}
                for where, counts in sorted(pressure.answers.items())
            },
        )

    def why_not_ready(self) -> str:
        """Why the service cannot decide at the moment, "" where it can."""
        service = self.service
        if self.pressure.closing:
            return "the service is closing"
        if service.journal is not None and service.journal.problem:
            return f"the journal cannot be written: {service.journal.problem}"
        return self.ready() if self.ready is not None else ""
