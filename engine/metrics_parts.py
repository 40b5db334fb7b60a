"""What the metrics ask the parts of a service for: plain callables, each of them optional."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from quell.engine.compile import Build
from quell.engine.figures import Figures
from quell.engine.service_types import VersionInfo
from quell.engine.stepper import Stepper


class JournalFigures(Protocol):
    """How a journal stands. `unwritten` bytes are not handed to the operating system yet, `unsynced` ones
    not on disk; `synced` is when it was last brought there, in microseconds since 1970 (0: never); `problem`
    is empty while it can be written."""

    @property
    def segments(self) -> int:
        """Segments."""
        ...

    @property
    def bytes(self) -> int:
        """Bytes of all segments."""
        ...

    @property
    def entries(self) -> int:
        """Entries."""
        ...

    @property
    def last(self) -> int:
        """The greatest number."""
        ...

    @property
    def unwritten(self) -> int:
        """Bytes that are buffered."""
        ...

    @property
    def unsynced(self) -> int:
        """Bytes that a power cut would lose."""
        ...

    @property
    def synced(self) -> int:
        """When it was last brought to disk."""
        ...

    @property
    def problem(self) -> str:
        """Why it cannot be written."""
        ...


class SinkFigures(Protocol):
    """How one sink of an outbox stands; `oldest` is the age in seconds of what waits longest (0: nothing)."""

    @property
    def waiting(self) -> int:
        """Sends that wait."""
        ...

    @property
    def delivered(self) -> int:
        """Sends delivered since the start."""
        ...

    @property
    def failed(self) -> int:
        """Attempts that failed since the start."""
        ...

    @property
    def dead(self) -> int:
        """Dead letters there are."""
        ...

    @property
    def oldest(self) -> float:
        """Age of what waits longest."""
        ...


class CheckpointFigures(NamedTuple):
    """The newest snapshot: its last number and when it was made (microseconds since 1970; 0: none yet), and
    what following the journal found: decisions made again, and how many came out differently."""

    number: int = 0
    at: int = 0
    remade: int = 0
    differences: int = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a service that have figures. What is left out has no metrics.

    `bundle`, `stepper` and `version` are those that decide now; with `stepper` the local models are watched
    (drift.py). `figures` takes milliseconds and is asked every few seconds at most; all are called on the
    thread that reads the metrics, which is to be the one that decides.
    """

    bundle: Callable[[], Build] | None = None
    stepper: Callable[[], Stepper] | None = None
    version: Callable[[], VersionInfo | None] | None = None
    figures: Callable[[], Figures] | None = None
    journal: Callable[[], JournalFigures] | None = None
    outbox: Callable[[], Mapping[str, SinkFigures]] | None = None
    checkpoints: Callable[[], CheckpointFigures] | None = None
