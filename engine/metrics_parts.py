"""What the metrics ask the parts of a service for: plain callables, each of them optional."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quell.engine.service_types import VersionInfo
from quell.engine.stepper import Stepper
from quell.signals.remote_types import Figures as RemoteFigures

if TYPE_CHECKING:
    from quell.engine.http_pressure import HttpFigures
    from quell.engine.journal import JournalFigures
    from quell.engine.once import OnceFigures
    from quell.engine.outbox_types import OutboxFigures
    from quell.engine.snapshots import SnapshotFigures


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a service that have figures. What is left out has no metrics.

    `stepper` and `version` are those that decide now: what the stepper remembers is measured, and its models
    are watched (drift.py). `waiting` says how many decisions wait for remote models, and `remotes` how those
    fare. All are called on the thread that reads the metrics, which is to be the one that decides.
    """

    stepper: Callable[[], Stepper] | None = None
    version: Callable[[], VersionInfo | None] | None = None
    waiting: Callable[[], int] | None = None
    remotes: Callable[[], Mapping[str, RemoteFigures]] | None = None
    journal: Callable[[], JournalFigures] | None = None
    outbox: Callable[[], OutboxFigures] | None = None
    snapshots: Callable[[], SnapshotFigures] | None = None
    http: Callable[[], HttpFigures] | None = None
    once: Callable[[], OnceFigures] | None = None
