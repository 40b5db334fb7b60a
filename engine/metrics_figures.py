"""Figures of the parts of a service as values of metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from quell.engine.drift import Drift
from quell.engine.metrics_rows import Labels, Values
from quell.signals.remote_types import Figures as RemoteFigures

if TYPE_CHECKING:
    from quell.engine.http_pressure import HttpFigures
    from quell.engine.journal import JournalFigures
    from quell.engine.once import OnceFigures
    from quell.engine.outbox_types import OutboxFigures
    from quell.engine.snapshots import SnapshotFigures

Rows = Iterator[tuple[str, Values]]
STATES = ("closed", "open", "half-open")
ENDED = ("answered", "cached", "late", "failed", "invalid", "open", "busy")


def one(value: float) -> Values:
    """The value of a metric without labels."""
    return (((), value),)


def remote_rows(targets: Mapping[str, RemoteFigures]) -> Rows:
    """How the targets of remote models fare."""
    every = targets.items()
    yield "quell_remote_asked", [((t,), f.asked) for t, f in every]
    yield "quell_remote_answers", [((t, ended), getattr(f, ended)) for t, f in every for ended in ENDED]
    yield "quell_remote_calls", [((t,), f.calls) for t, f in every]
    yield "quell_remote_call_seconds", [((t,), f.seconds) for t, f in every]
    yield "quell_remote_calls_in_flight", [((t,), f.in_flight) for t, f in every]
    yield "quell_remote_questions_waiting", [((t,), f.waiting) for t, f in every]
    yield "quell_remote_breaker", [((t, state), f.breaker == state) for t, f in every for state in STATES]


def journal_rows(figures: JournalFigures) -> Rows:
    """How the journal stands."""
    yield "quell_journal_bytes", one(figures.bytes)
    yield "quell_journal_segments", one(figures.segments)
    yield "quell_journal_entries", one(figures.entries)
    yield "quell_journal_last_number", one(figures.last)
    yield "quell_journal_lag_bytes", [(("write",), figures.unwritten), (("sync",), figures.unsynced)]
    if figures.synced:
        yield "quell_journal_sync_timestamp_seconds", one(figures.synced / 1e6)
    yield "quell_journal_problem", one(bool(figures.problem))
    yield "quell_journal_trouble", one(bool(figures.trouble))


def outbox_rows(figures: OutboxFigures) -> Rows:
    """How the outbox and each of its sinks stand."""
    every = figures.sinks.items()
    yield "quell_outbox_waiting", [((name,), s.waiting) for name, s in every]
    yield "quell_outbox_under_way", [((name,), s.under_way) for name, s in every]
    yield "quell_outbox_delivered", [((name,), s.delivered) for name, s in every]
    yield "quell_outbox_failed", [((name,), s.failed) for name, s in every]
    yield "quell_outbox_died", [((name,), s.died) for name, s in every]
    yield "quell_outbox_dead", [((name,), s.dead) for name, s in every]
    oldest = [((name,), s.oldest / 1e6) for name, s in every if s.oldest is not None]
    yield "quell_outbox_oldest_timestamp_seconds", oldest
    troubled = [((name,), (s.configured and bool(s.trouble)) or s.unset) for name, s in every]
    yield "quell_outbox_trouble", troubled
    yield "quell_outbox_problem", one(bool(figures.problem))


def snapshot_rows(figures: SnapshotFigures) -> Rows:
    """How snapshots stand."""
    yield "quell_snapshot_number", one(figures.number)
    if figures.wall:
        yield "quell_snapshot_timestamp_seconds", one(figures.wall / 1e6)
    yield "quell_snapshot_problem", one(bool(figures.problem))
    yield "quell_remade_decisions", one(figures.made)
    yield "quell_remade_differences", one(figures.differing)


def http_rows(figures: HttpFigures) -> Rows:
    """What became of requests."""
    every = figures.answers.items()
    yield "quell_http_responses", [((o, status), n) for o, by in every for status, n in by.items()]
    yield "quell_http_requests_under_way", one(figures.under_way)
    yield "quell_http_overloaded", one(figures.overloaded)
    yield "quell_http_shed", one(figures.shed)
    yield "quell_http_keys_refused", [(("wrong",), figures.wrong_keys), (("forbidden",), figures.forbidden)]
    yield "quell_http_slow_bodies", one(figures.slow)


def once_rows(figures: OnceFigures) -> Rows:
    """What became of events that came again under their Idempotency-Key."""
    outcomes = {"answered": figures.repeated, "other-event": figures.other, "under-way": figures.slow}
    yield "quell_idempotency_repeats", [((outcome,), n) for outcome, n in outcomes.items()]
    yield "quell_idempotency_keys", one(figures.keys)


def drift_rows(models: Sequence[Drift]) -> Rows:
    """How the scores and inputs of local models stand to their cards."""
    yield "quell_model_scores_sampled", [((m.model,), m.looks) for m in models]
    yield "quell_model_score_psi", [((m.model,), m.psi) for m in models if m.psi is not None]
    yield "quell_model_score_mean", [((m.model,), m.mean) for m in models if m.mean is not None]
    known = [((m.model,), m.expected_mean) for m in models if m.expected_mean is not None]
    yield "quell_model_score_expected_mean", known
    seen = [m for m in models if m.looks]
    yield "quell_model_score_missing_ratio", [((m.model,), m.missing) for m in seen]
    yield "quell_model_score_ratio", [(key, share) for m in models for key, share in _bins(m, m.shares)]
    expected = [(key, share) for m in models for key, share in _bins(m, m.expected)]
    yield "quell_model_score_expected_ratio", expected
    yield "quell_model_input_missing_ratio", [((m.model, i.name), i.missing) for m in seen for i in m.inputs]
    said = [((m.model, i.name), i.expected) for m in models for i in m.inputs if i.expected is not None]
    yield "quell_model_input_expected_missing_ratio", said


def _bins(drift: Drift, shares: Sequence[float]) -> Iterator[tuple[Labels, float]]:
    """The shares by the upper ends of their bins."""
    for end, share in zip(drift.upto, shares, strict=False):
        yield (drift.model, "+Inf" if end == math.inf else f"{end:g}"), share
