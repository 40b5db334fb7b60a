"""One replay: a bundle, a history, and what it decided on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from quell.engine.compile import Build
from quell.engine.explanation import Explanation
from quell.replay.columnar import Columnar, why_stepped
from quell.replay.database import Database
from quell.replay.dependence import Dependence
from quell.replay.explaining import explain_columns, explain_steps
from quell.replay.history import Extras, History, Order, ingest
from quell.replay.outcome import Outcome
from quell.replay.report_data import Way
from quell.replay.stepping import step

Tell = Callable[[str, float | None], None]
"""Hears what is being done, and how much of it is (between 0 and 1, None where that is not known)."""


def replay(
    db: Database,
    name: str,
    build: Build,
    files: Sequence[str | Path],
    *,
    order: Order = "time",
    format: Any = None,
    extras: Extras | None = None,
    tell: Tell = lambda what, share: None,
) -> Outcome:
    """Replay files of events with a bundle; the tables go to the schemas `name` and `name_history`. Raises
    SourceError for files that cannot be read."""
    history = ingest(
        db,
        f"{name}_history",
        build,
        files,
        order=order,
        format=format,
        extras=extras,
        tell=lambda done, of: tell("reading", done / of if of else None),
    )
    return decide(history, name, tell=tell)


def decide(
    history: History, name: str, *, stepped: bool = False, tell: Tell = lambda what, share: None
) -> Outcome:
    """Decide a history that was read; the tables go to the schema `name`. `stepped` has the online engine
    decide event by event, whatever could be done faster."""
    outcome = Outcome(history, name)
    dependence = Dependence(history.build.analysis)
    reason = why_stepped(history, dependence) if not stepped else "it was asked for"
    if not reason:
        began = monotonic()
        outcome.columnar = Columnar(outcome, dependence, tell)
        outcome.columnar.run()
        outcome.seconds = monotonic() - began
        return outcome
    outcome.ways.append(Way("everything", "stepped", reason))
    total = history.events + history.hands
    step(outcome, lambda done: tell("deciding", done / total if total else None))
    return outcome


def explanations(outcome: Outcome, wanted: Sequence[int]) -> dict[int, Explanation]:
    """The explanations of some events of a replay, by `n`."""
    if not wanted:
        return {}
    return (
        explain_columns(outcome, wanted) if outcome.columnar is not None else explain_steps(outcome, wanted)
    )
