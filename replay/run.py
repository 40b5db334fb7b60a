"""One replay: a bundle, a history, and what it decided on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import duckdb

from quell.engine.compile import Build
from quell.engine.explanation import Explanation
from quell.replay.choosing import why_not_columns, why_stepping_is_quicker
from quell.replay.columnar import Columnar, TooManyKeys
from quell.replay.database import Database
from quell.replay.dependence import Dependence
from quell.replay.explaining import explain_columns, explain_steps
from quell.replay.history import Extras, History, Order
from quell.replay.history_ingest import ingest
from quell.replay.history_later import OddText, look, read_again
from quell.replay.outcome import Outcome
from quell.replay.report_data import Way
from quell.replay.stepping import step

RunWay = Literal["auto", "columns", "steps"]
"""By columns where it can be and is worth it, or one of the two ways whatever it takes."""
Tell = Callable[[str, float | None], None]
"""Hears what is being done, and how much of it is (between 0 and 1, None where that is not known)."""


def replay(
    db: Database,
    name: str,
    build: Build,
    files: Sequence[str | Path],
    *,
    order: Order | None = None,
    format: Any = None,
    extras: Extras | None = None,
    way: RunWay = "auto",
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
        later=True,
        tell=lambda done, of: tell("reading", done / of if of else None),
    )
    return decide(history, name, way=way, tell=tell)


def decide(
    history: History, name: str, *, way: RunWay = "auto", tell: Tell = lambda what, share: None
) -> Outcome:
    """Decide a history that was read; the tables go to the schema `name`. Every way gives the same. Raises
    SourceError for one whose texts were left to be read (`later`), where none of its events can be taken."""
    try:
        return _decide(history, name, way, tell)
    except duckdb.InterruptException:
        raise
    except (OddText, duckdb.Error):
        if not history.unread:
            raise
    read_again(history, name)
    return _decide(history, name, way, tell)


def _why_stepped(history: History, dependence: Dependence, way: RunWay) -> str:
    """Why the online engine is stepped; empty where columns are the way."""
    reason = why_not_columns(history, dependence)
    if not reason and way == "steps":
        reason = "it was asked for"
    elif not reason and way == "auto":
        reason = why_stepping_is_quicker(history, dependence)
    return reason


def undecided(history: History, name: str, *, tell: Tell = lambda what, share: None) -> Outcome:
    """An outcome of which only values are wanted, no decisions: with its columns, where those are the way."""
    outcome = Outcome(history, name)
    dependence = Dependence(history.build.analysis)
    if not _why_stepped(history, dependence, "auto"):
        columnar = Columnar(outcome, dependence, tell)
        with suppress(TooManyKeys):
            columnar.prepare()
            outcome.columnar = columnar
    return outcome


def _decide(history: History, name: str, way: RunWay, tell: Tell) -> Outcome:
    outcome = Outcome(history, name)
    dependence = Dependence(history.build.analysis)
    reason = _why_stepped(history, dependence, way)
    began = monotonic()
    if not reason:
        try:
            outcome.columnar = Columnar(outcome, dependence, tell)
            outcome.columnar.run()
        except TooManyKeys:
            outcome.columnar = None
            outcome.ways.clear()
            reason = "counters may come to more keys than `max_keys` in quell.toml lets memory hold"
    if reason:
        look(history)
        outcome.ways.append(Way("everything", "stepped", reason))
        total = history.events + history.hands
        step(outcome, lambda done: tell("deciding", done / total if total else None))
    outcome.seconds = monotonic() - began
    return outcome


def explanations(outcome: Outcome, wanted: Sequence[int]) -> dict[int, Explanation]:
    """The explanations of some events of a replay, by `n`."""
    if not wanted:
        return {}
    return (
        explain_columns(outcome, wanted) if outcome.columnar is not None else explain_steps(outcome, wanted)
    )
