"""What the metrics ask the parts of a service for: plain callables, each of them optional."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quell.engine.compile import Build
from quell.engine.figures import Figures
from quell.engine.service_types import VersionInfo
from quell.engine.stepper import Stepper

if TYPE_CHECKING:
    from quell.engine.http_pressure import HttpFigures
    from quell.engine.journal import JournalFigures
    from quell.engine.outbox_types import OutboxFigures
    from quell.engine.snapshots import SnapshotFigures


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
    outbox: Callable[[], OutboxFigures] | None = None
    snapshots: Callable[[], SnapshotFigures] | None = None
    http: Callable[[], HttpFigures] | None = None
