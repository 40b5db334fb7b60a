"""One replay: a bundle, a history, and what it decided on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from quell.engine.compile import Build
from quell.engine.decision import Decision
from quell.engine.events import Decoded
from quell.engine.explain import Account, Explainer
from quell.engine.explanation import Explanation
from quell.engine.settle import Hit
from quell.engine.stepper import Stepper
from quell.replay.columnar import Columnar, why_stepped
from quell.replay.database import Database
from quell.replay.dependence import Dependence
from quell.replay.history import Extras, History, Order, ingest
from quell.replay.outcome import Outcome
from quell.replay.report_data import Way
from quell.replay.stepping import entries, step

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
        Columnar(outcome, dependence, tell).run()
        return outcome
    outcome.ways.append(Way("everything", "stepped", reason))
    total = history.events + history.hands
    step(outcome, lambda done: tell("deciding", done / total if total else None))
    return outcome


def explanations(outcome: Outcome, wanted: Sequence[int]) -> dict[int, Explanation]:
    """The explanations of some events of a replay, by `n`."""
    left = set(wanted)
    stepper = Stepper(outcome.history.build)
    explainer = Explainer(stepper)
    found: dict[int, Explanation] = {}
    for n, entry in entries(outcome.history):
        if not left:
            break
        if not isinstance(entry, Decoded):
            stepper.act(entry)
            continue
        if n not in left:
            stepper.decide_decoded(entry)
            continue
        left.discard(n)
        taken: list[Account] = []

        def observe(decoded: Decoded, hits: list[Hit], taken: list[Account] = taken) -> None:
            taken.append(explainer.account(decoded, hits))

        decision = stepper.decide_decoded(entry, observe)
        if isinstance(decision, Decision):
            found[n] = taken[0].explanation(decision)
    return found
