"""What turns: a part of the service that begins to fail, or is well again, told to the log once.

The parts know how they are and have figures; here they are looked at once a second, and what changed since
is logged. So nothing on the way of a decision ever logs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quell.engine.drift import Drift
from quell.engine.http_pressure import HttpFigures
from quell.engine.journal import JournalFigures
from quell.engine.logs import tell
from quell.engine.outbox_types import OutboxFigures, SinkFigures
from quell.engine.service_types import ReloadOutcome
from quell.engine.sinks_named import to_write, who
from quell.engine.snapshots import SnapshotFigures
from quell.signals.remote_types import Figures as RemoteFigures

DRIFTED, NEAR = 0.25, 0.2
"""The index from which a model is told to have drifted, and below which it is well again."""
MOST_FINDINGS = 10
"""Findings of a refused bundle that are logged."""


@dataclass(slots=True)
class LogWatch:
    """Logs what turns. `clock` gives seconds."""

    clock: Callable[[], float]
    _since: dict[Hashable, float] = field(default_factory=dict)
    _said: dict[Hashable, str] = field(default_factory=dict)
    _counts: dict[Hashable, int] = field(default_factory=dict)
    _snapshot: object = None

    # ---------------------------------------------------------- reloads

    def reloaded(self, outcome: ReloadOutcome) -> None:
        """An attempt to reload ended."""
        version = outcome.version
        what: dict[str, Any] = {"by": outcome.by, "why": outcome.why, "seconds": outcome.seconds}
        if version is not None:
            what |= {"digest": version.digest, "version": version.number}
        if outcome.result == "live":
            changed = version.changed if version is not None else ()
            state = outcome.state
            kept = {} if state is None else {"cold": (*state.cold, *state.longer), "dropped": state.dropped}
            for key in [key for key in self._said if type(key) is tuple and key[0] == "unset"]:
                self._well(key, "")  # what is not set up is told anew
            tell("reload.live", held=outcome.held, changed=changed, **kept, **what)
        elif outcome.result == "unchanged":
            tell("reload.unchanged", **what)
        elif outcome.result == "failed":
            first = outcome.findings[0]
            tell("reload.failed", problem=first.message, hint=first.hint or None, **what)
        else:
            tell("reload.refused", errors=outcome.errors, **what)
            for found in outcome.findings[:MOST_FINDINGS]:
                where = {"file": found.file, "line": found.line, "finding": found.message}
                tell("reload.finding", code=found.code or None, hint=found.hint or None, **where)

    # ------------------------------------------------------- each second

    def journal(self, figures: JournalFigures) -> None:
        """How the journal is."""
        if self._turned("journal", figures.problem):
            tell("journal.problem", problem=figures.problem, unwritten=figures.unwritten)
        elif (seconds := self._well("journal", figures.problem)) is not None:
            tell("journal.well", seconds=seconds)
        if self._turned("trouble", figures.trouble):
            tell("journal.trouble", problem=figures.trouble)
        self._well("trouble", figures.trouble)

    def outbox(self, figures: OutboxFigures) -> None:
        """How the outbox and its sinks are."""
        for sink, its in figures.sinks.items():
            trouble = its.trouble if its.configured else ""
            if self._turned(("sink", sink), trouble):
                tell("sink.failed", sink=sink, problem=trouble)
            elif (seconds := self._well(("sink", sink), trouble)) is not None:
                tell("sink.well", sink=sink, seconds=seconds)
            self._set_up(sink, its)
            if (died := self._more(("died", sink), its.died)) and its.configured:
                tell("sink.dead", sink=sink, problem=its.given_up, times=died)
        if self._turned("outbox", figures.problem):
            tell("outbox.problem", problem=figures.problem)
        elif (seconds := self._well("outbox", figures.problem)) is not None:
            tell("outbox.well", seconds=seconds)

    def _set_up(self, sink: str, its: SinkFigures) -> None:
        """Whether somebody has set a sink up, and whether any rule sends to it. Told again after a reload."""
        unset, unused = "unset" if its.unset else "", "unused" if its.unused else ""
        if self._turned(("unset", sink), unset):
            rules = who(its.rules or ())
            tell("sink.unknown", sink=sink, rules=rules, write=to_write(sink), dead=its.dead)
        self._well(("unset", sink), unset)
        if self._turned(("unused", sink), unused):
            tell("sink.unused", sink=sink)
        self._well(("unused", sink), unused)

    def snapshots(self, figures: SnapshotFigures) -> None:
        """How snapshots are."""
        last = figures.last
        if last is not None and last is not self._snapshot:
            self._snapshot = last
            if last.number:
                tell("snapshot.made", number=last.number, bytes=last.bytes, seconds=last.seconds)
            if last.differing:
                tell("remade.different", number=min(last.different, default=None), times=last.differing)
        if self._turned("snapshot", figures.problem):
            tell("snapshot.failed", problem=figures.problem)
        self._well("snapshot", figures.problem)

    def http(self, figures: HttpFigures) -> None:
        """How requests fare."""
        if wrong := self._more("wrong", figures.wrong_keys):
            tell("key.refused", times=wrong)
        if forbidden := self._more("forbidden", figures.forbidden):
            tell("key.forbidden", times=forbidden)
        shed = self._counts.get("shed", 0)
        problem = "overloaded" if figures.overloaded else ""
        if self._turned("overload", problem):
            self._counts["shed"] = figures.shed
            tell("http.overloaded", under_way=figures.under_way, lag=figures.lag)
        elif (seconds := self._well("overload", problem)) is not None:
            tell("http.well", seconds=seconds, times=figures.shed - shed)

    def remotes(self, targets: Mapping[str, RemoteFigures]) -> None:
        """How the targets of remote models are. One that is half-open has still to answer."""
        for target, its in targets.items():
            key = ("remote", target)
            problem = "" if its.breaker == "closed" else "open"
            if self._turned(key, problem):
                tell("remote.open", target=target)
            elif (seconds := self._well(key, problem)) is not None:
                tell("remote.well", target=target, seconds=seconds)

    def drift(self, models: list[Drift]) -> None:
        """How the scores of local models are."""
        for its in models:
            key = ("drift", its.model)
            if its.psi is None:
                continue
            if its.psi >= DRIFTED and self._turned(key, "drifted"):
                tell("model.drifted", model=its.model, psi=its.psi)
            elif its.psi < NEAR and self._well(key, "") is not None:
                tell("model.well", model=its.model, psi=its.psi)

    def defects(self, counts: Mapping[str, int], messages: Mapping[str, str]) -> None:
        """Decisions that failed inside Quell, by event type, with the newest message of each."""
        for event, count in counts.items():
            if times := self._more(("defect", event), count):
                said = messages.get(event, "")
                error = said.partition("report it: ")[2].partition(":")[0]
                tell("decide.failed", type=event, error=error, times=times, detail=said)

    # ------------------------------------------------------------- turns

    def _turned(self, key: Hashable, problem: str) -> bool:
        """Whether a problem begins, or is another one than before."""
        if not problem or self._said.get(key) == problem:
            return False
        self._said[key] = problem
        self._since.setdefault(key, self.clock())
        return True

    def _well(self, key: Hashable, problem: str) -> float | None:
        """How many seconds a problem lasted that is over now, else None."""
        if problem or self._said.pop(key, None) is None:
            return None
        return round(self.clock() - self._since.pop(key), 1)

    def _more(self, key: Hashable, count: int) -> int:
        """By how much a count grew since the last look."""
        before = self._counts.get(key, 0)
        self._counts[key] = count
        return max(0, count - before)
