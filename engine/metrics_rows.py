"""Every metric that a service shows: name, kind, labels, and what it says. One row each.

Names follow Prometheus: base units, `_total` for what only grows, times as seconds since 1970 so that an age
is `time() - …`. Labels hold names of the bundle and of the settings, and words of Quell's own; nothing that
came with an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

Labels = tuple[str, ...]
Values = Iterable[tuple[Labels, float]]
"""A metric's values, each with the values of its labels in the order of its row."""


class Row(NamedTuple):
    """A metric: its name without a counter's `_total`, its kind, its help, the names of its labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels = ()


class Spread(NamedTuple):
    """A histogram's values under one set of labels: how many fell into each bucket (one more than there are
    bounds), and their sum."""

    counts: Sequence[int]
    sum: float


def _counter(name: str, help: str, *labels: str) -> Row:
    return Row(name, "counter", help, labels)


def _gauge(name: str, help: str, *labels: str) -> Row:
    return Row(name, "gauge", help, labels)


def _histogram(name: str, help: str, *labels: str) -> Row:
    return Row(name, "histogram", help, labels)


ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        # What was answered.
        _counter("quell_decisions", "Decisions, by event type and verdict.", "event", "verdict"),
        _histogram(
            "quell_decision_seconds",
            "How long decisions took, waiting for remote models included.",
            "event",
        ),
        _counter("quell_refusals", "Events that were refused, by event type and reason.", "event", "kind"),
        _counter("quell_hand_actions", "Labels that people set, removed or handed back.", "action"),
        _counter(
            "quell_rule_hits",
            "Rules that matched: live ones that fired, shadow ones, those that a rollout or exemption held.",
            "rule",
            "mode",
        ),
        _counter(
            "quell_label_changes",
            "Labels that rules put on or took off.",
            "entity",
            "label",
            "change",
        ),
        _counter("quell_sends", "What decisions had sent, by sink.", "sink"),
        # What was missing.
        _counter("quell_questions", "Questions to remote models and how they ended.", "model", "status"),
        _counter(
            "quell_counter_readings_incomplete",
            "Decisions that a counter took late, could not tell fully as memory was full, or read cold.",
            "counter",
            "why",
        ),
        _counter(
            "quell_field_problems",
            "Values of the wrong kind in optional fields, which count as missing.",
            "event",
            "field",
        ),
        # What is remembered.
        _gauge("quell_sequence_number", "The number of the last entry of the history."),
        _gauge("quell_newest_event_timestamp_seconds", "The time of the newest event."),
        _gauge("quell_decisions_waiting", "Decisions that wait for remote models."),
        _gauge("quell_counter_keys", "Keys that a counter holds.", "counter"),
        _gauge("quell_counter_entries", "Entries that a counter holds under all its keys.", "counter"),
        _gauge("quell_counter_bytes", "Memory of a counter, estimated.", "counter"),
        _gauge("quell_counter_keys_left", "How many more keys all counters together may hold."),
        _gauge("quell_label_keys", "Entities on which a label is noted.", "entity", "label"),
        _gauge("quell_label_bytes", "Memory of a label, estimated.", "entity", "label"),
        _gauge("quell_limit_keys", "Keys that the limit of an effect notes.", "effect"),
        _gauge("quell_limit_bytes", "Memory of an effect's limit, estimated.", "effect"),
        # Remote models, by target.
        _counter("quell_remote_asked", "Questions that a target of remote models was to answer.", "target"),
        _counter("quell_remote_answers", "How questions to a target ended.", "target", "status"),
        _counter("quell_remote_calls", "Calls to a target; one may carry several questions.", "target"),
        _counter("quell_remote_call_seconds", "Time that finished calls to a target took.", "target"),
        _gauge("quell_remote_calls_in_flight", "Calls to a target under way.", "target"),
        _gauge("quell_remote_questions_waiting", "Questions that wait for a free call.", "target"),
        _gauge("quell_remote_breaker", "1 for the state of a target's circuit breaker.", "target", "state"),
        # Which policies decide.
        _gauge("quell_version_info", "1 for the version of the bundle that decides.", "number", "digest"),
        _gauge("quell_build_info", "1 for the release of Quell that runs.", "version"),
        _gauge("quell_rules", "Rules of the bundle that decides, by mode.", "mode"),
        _counter("quell_reloads", "Attempts to take another version of the bundle.", "result"),
        _gauge(
            "quell_reload_timestamp_seconds", "When an attempt to reload last ended in this way.", "result"
        ),
        _gauge(
            "quell_reload_refused",
            "1 while the newest version of the bundle was refused, or could not be checked.",
        ),
        _gauge("quell_reload_findings", "Errors and failed tests of the last attempt to reload."),
        _gauge("quell_reload_seconds", "How long the last attempt to reload took."),
        _gauge("quell_reload_held_seconds", "How long the last reload held up admissions."),
        # The journal.
        _gauge("quell_journal_bytes", "Bytes of the journal's segments."),
        _gauge("quell_journal_segments", "Segments of the journal."),
        _gauge("quell_journal_entries", "Entries of the journal."),
        _gauge("quell_journal_last_number", "The greatest number in the journal."),
        _gauge(
            "quell_journal_lag_bytes",
            "Bytes that the operating system has not taken yet (write), or that may not be on disk (sync).",
            "step",
        ),
        _gauge("quell_journal_sync_timestamp_seconds", "When all that was written was last known on disk."),
        _gauge("quell_journal_problem", "1 while the journal cannot be written and events are refused."),
        _gauge("quell_journal_trouble", "1 while segments cannot be packed or dropped."),
        # The outbox.
        _gauge("quell_outbox_waiting", "Sends that wait to be delivered.", "sink"),
        _gauge("quell_outbox_under_way", "Sends that are being delivered.", "sink"),
        _counter("quell_outbox_delivered", "Sends that were delivered.", "sink"),
        _counter("quell_outbox_failed", "Attempts to deliver that failed.", "sink"),
        _counter("quell_outbox_died", "Sends that were given up.", "sink"),
        _gauge("quell_outbox_dead", "Sends that were given up and wait for a person.", "sink"),
        _gauge("quell_outbox_oldest_timestamp_seconds", "When what waits longest was decided.", "sink"),
        _gauge("quell_outbox_trouble", "1 for a sink that fails, or that nobody has set up.", "sink"),
        _gauge("quell_outbox_problem", "1 while what was delivered cannot be written down."),
        # Snapshots, and what making the journal's decisions again found.
        _gauge("quell_snapshot_number", "The last number that the newest snapshot holds."),
        _gauge("quell_snapshot_timestamp_seconds", "When this service last made a snapshot."),
        _gauge("quell_snapshot_problem", "1 where the last try to make a snapshot failed."),
        _counter("quell_remade_decisions", "Decisions that were made again from the journal."),
        _counter("quell_remade_differences", "Decisions that were different when made again."),
        # Requests.
        _counter("quell_http_responses", "Answers by operation and status.", "operation", "status"),
        _gauge("quell_http_requests_under_way", "Requests that are being answered."),
        _gauge("quell_http_overloaded", "1 while events are refused because there is too much to do."),
        _counter("quell_http_shed", "Requests that were refused because there was too much to do."),
        _counter("quell_http_keys_refused", "Requests whose key was wrong, or not for that.", "why"),
        _counter("quell_http_slow_bodies", "Requests whose body came too slowly."),
        # Idempotency-Keys.
        _counter(
            "quell_idempotency_repeats",
            "Events that came again under their Idempotency-Key, by what came of it.",
            "outcome",
        ),
        _gauge("quell_idempotency_keys", "Idempotency-Keys that are remembered."),
        # Local models against their cards (drift.py).
        _gauge("quell_model_score_psi", "Population stability index of a model's scores.", "model"),
        _gauge("quell_model_scores_sampled", "Events whose score the figures rest on.", "model"),
        _gauge("quell_model_score_mean", "Mean score of a model lately.", "model"),
        _gauge("quell_model_score_expected_mean", "Mean score by the model's card.", "model"),
        _gauge("quell_model_score_missing_ratio", "Share of events without a score lately.", "model"),
        _gauge(
            "quell_model_score_ratio",
            "Share of scores lately in a bin of the model's card, by the bin's upper end.",
            "model",
            "upto",
        ),
        _gauge(
            "quell_model_score_expected_ratio", "Share of scores in that bin by the card.", "model", "upto"
        ),
        _gauge("quell_model_input_missing_ratio", "Share of events without an input.", "model", "input"),
        _gauge("quell_model_input_expected_missing_ratio", "The same by the model's card.", "model", "input"),
        # The process.
        _histogram("quell_loop_lag_seconds", "How late the event loop came to a timer that was due."),
        _histogram("quell_gc_pause_seconds", "How long collections of garbage took.", "generation"),
    )
}


def family(row: Row, values: Values) -> Metric:
    """A counter or a gauge with its values."""
    made: CounterMetricFamily | GaugeMetricFamily
    if row.kind == "counter":
        made = CounterMetricFamily(row.name, row.help, labels=row.labels)
    else:
        made = GaugeMetricFamily(row.name, row.help, labels=row.labels)
    for labels, value in values:
        made.add_metric(labels, value)
    return made


def histogram(row: Row, bounds: Sequence[float], values: Iterable[tuple[Labels, Spread]]) -> Metric:
    """A histogram with its values."""
    made = HistogramMetricFamily(row.name, row.help, labels=row.labels)
    for labels, spread in values:
        made.add_metric(labels, list(_cumulated(bounds, spread.counts)), spread.sum)
    return made


def _cumulated(bounds: Sequence[float], counts: Sequence[int]) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, count in zip(bounds, counts, strict=False):
        total += count
        yield str(float(bound)), total
    yield "+Inf", total + counts[-1]
