"""The metrics of a service, for Prometheus.

    metrics = Metrics(Parts(stepper=…, version=…, journal=…, outbox=…))
    service.watchers.append(metrics.watch)        # four times a second, with the answers since
    body, content_type = metrics.text(accept)     # what GET /metrics answers

Everything is counted in plain dictionaries (metrics_tally.py) and made into metrics when somebody asks, and
what was made is given again for `fresh` seconds, so that many who ask cost no more than one. Metrics live in
a registry of their own: an embedding service has its own, and may register this collector there.

**Labels are bounded.** They hold names of the bundle and words of Quell, never anything out of an event. At a
reload the series of rules, counters, fields and sinks that are neither in the new bundle nor in the one
before are removed: what a version counted last can still be read while the next one decides, a rule that is
put back goes on where it was, and a service that is reloaded for months does not grow.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from quell.engine.compile import Build
from quell.engine.drift import DriftWatch
from quell.engine.metrics_figures import (
    drift_rows,
    http_rows,
    journal_rows,
    once_rows,
    one,
    outbox_rows,
    remote_rows,
    snapshot_rows,
)
from quell.engine.metrics_parts import Parts
from quell.engine.metrics_process import LAG_BOUNDS, PAUSE_BOUNDS, Lag, Pauses
from quell.engine.metrics_rows import ROWS, Values, family, histogram
from quell.engine.metrics_state import StateWatch
from quell.engine.metrics_tally import BOUNDS, Names, Tally, names_of
from quell.engine.service_types import Note, ReloadOutcome
from quell.engine.stepper import Stepper

FRESH = 2.0
"""Seconds for which what was made is given again."""
MOST_ACCEPTED = 1_000
"""Characters of an Accept header that are looked at."""

Rows = Iterator[tuple[str, Values]]
# Two formats and no others: what somebody accepts may name any version, and would be part of the answer.
_OPEN = choose_encoder("application/openmetrics-text;version=1.0.0")
_PLAIN = choose_encoder("")


class _Text(NamedTuple):
    made: float
    body: bytes


class Metrics(Collector):
    """The metrics of one service. For one thread, the one that decides."""

    def __init__(
        self, parts: Parts | None = None, *, fresh: float = FRESH, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.parts = parts or Parts()
        self.tally = Tally()
        self.drift = DriftWatch()
        self.state = StateWatch()
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        self.pauses, self.lag = Pauses(), Lag()
        self._fresh, self._clock = fresh, clock
        self._bundle: Build | None = None
        self._names: Names | None = None
        self._reloads: dict[str, int] = {"live": 0, "unchanged": 0, "refused": 0, "failed": 0}
        self._ended: dict[str, float] = {}
        self._last: ReloadOutcome | None = None
        self._texts: dict[str, _Text] = {}

    # -------------------------------------------------------------- told

    def start(self) -> None:
        """Watch the process and the running event loop as well."""
        self.pauses.start()
        self.lag.start()

    def close(self) -> None:
        """Watch them no longer."""
        self.pauses.stop()
        self.lag.stop()

    def watch(self, notes: list[Note]) -> None:
        """Count the answers since the last call."""
        self._look()
        self.tally.take(notes)

    def reloaded(self, outcome: ReloadOutcome) -> None:
        """Count an attempt to reload."""
        self._reloads[outcome.result] += 1
        self._ended[outcome.result] = outcome.at / 1e6
        self._last = outcome

    def _look(self) -> None:
        """See what decides now: another bundle than before, how much its models are to be looked at, and the
        next of what it remembers."""
        if self.parts.stepper is None:
            return
        stepper = self.parts.stepper()
        if stepper.bundle is not self._bundle:
            self._bundle = stepper.bundle
            before, self._names = self._names, names_of(stepper.bundle)
            if before is not None:
                self.tally.keep(self._names.and_of(before))
        self.drift.tick(stepper, self._clock())
        self.state.step(stepper.state)

    # -------------------------------------------------------------- asked

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics as text and its content type: OpenMetrics for those who `accept` it, else the format
        of Prometheus."""
        encode, kind = _OPEN if _wants_open(accept) else _PLAIN
        now = self._clock()
        known = self._texts.get(kind)
        if known is None or now - known.made >= self._fresh:
            known = self._texts[kind] = _Text(now, encode(self.registry))
        return known.body, kind

    def collect(self) -> Iterator[Metric]:
        """Every metric, for a registry."""
        self._look()
        for name, values in self._values():
            yield family(ROWS[name], values)
        took = [((event,), timed.spread()) for event, timed in self.tally.took.items()]
        yield histogram(ROWS["quell_decision_seconds"], BOUNDS, took)
        yield histogram(ROWS["quell_loop_lag_seconds"], LAG_BOUNDS, [((), self.lag.took.spread())])
        paused = [((str(generation),), timed.spread()) for generation, timed in self.pauses.took.items()]
        yield histogram(ROWS["quell_gc_pause_seconds"], PAUSE_BOUNDS, paused)

    def _values(self) -> Rows:
        tally, parts = self.tally, self.parts
        yield "quell_decisions", tally.verdicts.items()
        yield "quell_refusals", tally.refusals.items()
        yield "quell_hand_actions", tally.acts.items()
        yield "quell_rule_hits", tally.hits.items()
        yield "quell_label_changes", tally.changes.items()
        yield "quell_sends", tally.sends.items()
        yield "quell_questions", tally.questions.items()
        yield "quell_counter_readings_incomplete", tally.incomplete.items()
        yield "quell_field_problems", tally.problems.items()
        yield from self._version()
        yield from self._reloading()
        if parts.stepper is not None:
            yield from self._memory(parts.stepper())
        if parts.waiting is not None:
            yield "quell_decisions_waiting", one(parts.waiting())
        if parts.remotes is not None:
            yield from remote_rows(parts.remotes())
        if parts.journal is not None:
            yield from journal_rows(parts.journal())
        if parts.outbox is not None:
            yield from outbox_rows(parts.outbox())
        if parts.snapshots is not None:
            yield from snapshot_rows(parts.snapshots())
        if parts.http is not None:
            yield from http_rows(parts.http())
        if parts.once is not None:
            yield from once_rows(parts.once())

    def _memory(self, stepper: Stepper) -> Rows:
        """What the engine remembers, and how its models' scores stand to their cards."""
        yield "quell_sequence_number", one(stepper.seq)
        if (newest := stepper.state.clock.newest) is not None:
            yield "quell_newest_event_timestamp_seconds", one(newest / 1e6)
        yield from self.state.rows(stepper.state)
        yield from drift_rows(self.drift.figures())
        modes = Counter(
            rule.mode.name if rule.mode is not None else "live"
            for rule in stepper.bundle.analysis.symbols.rules.values()
        )
        yield "quell_rules", [((mode,), modes[mode]) for mode in ("live", "shadow", "off")]

    def _version(self) -> Rows:
        yield "quell_build_info", [((version("quell"),), 1)]
        if self.parts.version is not None and (info := self.parts.version()) is not None:
            yield "quell_version_info", [((str(info.number), info.digest), 1)]

    def _reloading(self) -> Rows:
        yield "quell_reloads", [((result,), n) for result, n in self._reloads.items()]
        yield "quell_reload_timestamp_seconds", [((result,), at) for result, at in self._ended.items()]
        last = self._last
        yield "quell_reload_refused", one(int(last is not None and last.result in ("refused", "failed")))
        yield "quell_reload_findings", one(last.errors if last is not None else 0)
        if last is not None:
            yield "quell_reload_seconds", one(last.seconds)
            yield "quell_reload_held_seconds", one(last.held)


def _wants_open(accept: str) -> bool:
    """Whether OpenMetrics is named before the other format."""
    named = [accepted.partition(";")[0].strip() for accepted in accept[:MOST_ACCEPTED].split(",")]
    known = [kind for kind in named if kind in ("application/openmetrics-text", "text/plain")]
    return known[:1] == ["application/openmetrics-text"]
