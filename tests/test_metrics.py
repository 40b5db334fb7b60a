"""The metrics of a service: what they count, how they read, and that nothing of an event becomes a label."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from quell.engine.compile import build
from quell.engine.decision import Asked, Decision, Refused
from quell.engine.metrics import Metrics
from quell.engine.metrics_parts import Parts
from quell.engine.metrics_process import Lag, Pauses
from quell.engine.metrics_rows import ROWS
from quell.engine.metrics_tally import BOUNDS, Tally, names_of
from quell.engine.stepper import Stepper
from tests.bundles import sound
from tests.metrics_support import (
    JOURNAL,
    OPENMETRICS,
    POLICY,
    counted,
    full_metrics,
    note,
    of,
    outcome,
    samples,
)

SHARED = build(sound(POLICY))


def stepper() -> Stepper:
    return Stepper(SHARED)


def message(n: int, author: str = "u1", **more: Any) -> dict[str, Any]:
    return {"type": "message", "id": str(n), "at": f"2026-01-01T12:00:{n % 60:02}Z", "author": author, **more}


def test_everything_is_there_and_both_formats_parse() -> None:
    engine = stepper()
    metrics = full_metrics(engine)
    replies = [engine.decide(message(n)) for n in range(4)]
    replies += [engine.decide(b"{"), engine.decide(message(9, text="buy", size="x"))]
    decision = Decision("message", 9, 0, "allow", asked=(Asked("judge", "late"),), late=("c",))
    act = engine.label("User", "u1", "trusted", by="ada", at="2026-01-01T12:10:00Z")
    metrics.watch([note(r) for r in (*replies, decision, act)])
    metrics.reloaded(outcome("live"))
    found = samples(metrics)
    assert found == samples(metrics, OPENMETRICS) | {k: v for k, v in found.items() if volatile(k[0])}
    names = {name for name, _ in found}
    drift = {name for name in ROWS if name.startswith("quell_model_")}  # test_drift.py
    for row in ROWS.values():
        if row.name not in drift:
            suffix = {"counter": "_total", "gauge": "", "histogram": "_bucket"}[row.kind]
            assert row.name + suffix in names, row.name


def volatile(name: str) -> bool:
    return name.startswith(("process_", "quell_gc_"))


def test_counts_of_a_small_history() -> None:
    engine = stepper()
    metrics = full_metrics(engine)
    metrics.watch([note(engine.decide(message(n))) for n in range(4)])
    metrics.watch(
        [note(engine.decide(message(5, author="u2", text="buy", size="x"))), note(engine.decide(b"{"))]
    )
    found = samples(metrics)
    assert of(found, "quell_decisions_total", "event", "verdict") == {
        ("message", "allow"): 3,
        ("message", "block"): 2,
    }
    assert of(found, "quell_rule_hits_total", "rule", "mode") == {
        ("third", "live"): 2,
        ("second", "shadow"): 1,
        ("part", "held"): 1,
    }
    assert of(found, "quell_refusals_total", "event", "kind") == {("", "not-json"): 1}
    assert of(found, "quell_field_problems_total", "event", "field") == {("message", "size"): 1}
    assert of(found, "quell_label_changes_total", "label", "change") == {("spammer", "on"): 2}
    assert of(found, "quell_sends_total", "sink") == {"queue": 2}
    assert of(found, "quell_counter_keys", "counter") == {"count(message by author)": 2}
    assert of(found, "quell_label_keys", "entity", "label") == {
        ("User", "spammer"): 1,
        ("User", "trusted"): 0,
    }
    assert of(found, "quell_sequence_number") == {(): 5}
    assert of(found, "quell_rules", "mode") == {"live": 4, "shadow": 1, "off": 0}


def test_latency_falls_into_its_bucket() -> None:
    metrics = full_metrics(stepper())
    times = [0.00005, 0.000051, 0.0049, 3.0, 60.0]
    metrics.watch([note(Decision("message", 1, 0, "allow"), seconds) for seconds in times])
    found = samples(metrics)
    buckets = of(found, "quell_decision_seconds_bucket", "le")
    for bound in BOUNDS:
        assert buckets[str(float(bound))] == sum(seconds <= bound for seconds in times)
    assert buckets["+Inf"] == of(found, "quell_decision_seconds_count")[()] == len(times)
    assert of(found, "quell_decision_seconds_sum")[()] == pytest.approx(sum(times))


NAMES = st.sampled_from(["a", "b", "a b", 'say "no"', "c\\d", "ü\n"])


@st.composite
def replies(draw: st.DrawFn) -> Any:
    if draw(st.booleans()):
        return Refused(draw(st.sampled_from(["busy", "not-json"])), "", "allow", "", draw(st.none() | NAMES))
    from quell.engine.decision import Fired, Held, Sent
    from quell.engine.event_problems import Problem

    def some(make: Any) -> Any:
        return tuple(make(name) for name in draw(st.lists(NAMES, max_size=2)))

    fired = some(Fired)
    return Decision(
        draw(NAMES),
        1,
        0,
        draw(NAMES),
        fired=fired,
        shadow=some(Fired),
        held=some(lambda n: Held(n, "rollout")),
        sends=some(lambda n: Sent(n, "r", {})) if fired else (),
        problems=some(lambda n: Problem("wrong-type", n, "$", "", "")),
        late=some(str),
        full=some(str),
        cold=some(str),
    )


@given(st.lists(st.lists(replies(), max_size=6), max_size=4))
def test_counts_equal_the_notes_told(ticks: list[list[Any]]) -> None:
    """However the answers fall into ticks, and whatever names look like."""
    metrics = Metrics(fresh=0)
    notes = [[note(reply) for reply in tick] for tick in ticks]
    for tick in notes:
        metrics.watch(tick)
    expected = counted(n for tick in notes for n in tick)
    for accept in ("", OPENMETRICS):
        found = samples(metrics, accept)
        assert of(found, "quell_decisions_total", "event", "verdict") == expected["verdicts"]
        assert of(found, "quell_refusals_total", "event", "kind") == expected["refusals"]
        assert of(found, "quell_rule_hits_total", "rule", "mode") == expected["hits"]
        incomplete = of(found, "quell_counter_readings_incomplete_total", "counter", "why")
        assert incomplete == expected["incomplete"]
        assert of(found, "quell_field_problems_total", "event", "field") == expected["problems"]
        assert of(found, "quell_sends_total", "sink") == expected["sends"]
        timed = of(found, "quell_decision_seconds_count", "event")
        assert sum(timed.values()) == sum(expected["verdicts"].values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "quell.label", "other"]) | st.text(max_size=5)},
    optional={
        **dict.fromkeys(("id", "author", "text", "size", "entity", "label", "by", "action"), JSON),
        "at": st.sampled_from(["2026-01-01T12:00:00Z", "never"]) | JSON,
    },
)


@given(st.lists(EVENTS | JSON, max_size=20))
def test_hostile_events_bring_no_label_of_their_own(events: list[Any]) -> None:
    """Every label is a name of the bundle or a word of Quell's."""
    engine = stepper()
    metrics = full_metrics(engine)
    quiet = labels_of(metrics)
    metrics.watch([note(engine.decide(e if isinstance(e, dict) else b"\xff")) for e in events])
    names = names_of(engine.bundle)
    allowed = quiet | names.events | names.rules | names.counters | names.sinks | {"", "quell.label"}
    allowed |= {part for pair in (*names.verdicts, *names.fields, *names.labels) for part in pair}
    from quell.engine.event_problems import KINDS

    allowed |= set(KINDS) | {"live", "shadow", "held", "late", "full", "cold", "on", "off"}
    allowed |= {"set", "remove", "release", "+Inf", *(str(float(b)) for b in BOUNDS)}
    assert labels_of(metrics) <= allowed


def labels_of(metrics: Metrics) -> set[str]:
    return {value for _, pairs in samples(metrics) for _, value in pairs}


def test_a_reload_removes_what_is_of_neither_bundle() -> None:
    """Hits of a rule that is gone are read until the reload after the one that took it away."""
    decides = [stepper()]
    metrics = Metrics(Parts(stepper=lambda: decides[0]), fresh=0)
    metrics.watch([note(decides[0].decide(message(n))) for n in range(3)])

    def hits() -> dict[Any, float]:
        return of(samples(metrics), "quell_rule_hits_total", "rule")

    assert hits() == {"third": 1, "second": 1}
    decides[0] = Stepper(build(sound(POLICY.replace(" third", " thrice"))))
    metrics.watch([])
    assert hits() == {"third": 1, "second": 1}
    decides[0] = Stepper(build(sound(POLICY.replace(" third", " often"))))
    metrics.watch([])
    assert hits() == {"second": 1}


def test_a_hundred_renamed_bundles_leave_no_trace() -> None:
    tally = Tally()
    for n in range(100):
        decision = Decision(f"e{n}", 1, 0, "allow", late=(f"c{n}",), asked=(Asked(f"m{n}", "late"),))
        tally.take([note(decision), note(Refused("busy", "", "allow", "", f"e{n}"))])
    tally.keep(names_of(SHARED))
    assert not any((tally.verdicts, tally.refusals, tally.incomplete, tally.questions, tally.took))


def test_reloads_by_result() -> None:
    metrics = Metrics(fresh=0)
    assert of(samples(metrics), "quell_reload_refused") == {(): 0}
    for result in ("live", "refused", "refused"):
        metrics.reloaded(outcome(result, errors=2 if result == "refused" else 0))
    found = samples(metrics)
    by_result = {"live": 1, "refused": 2, "unchanged": 0, "failed": 0}
    assert of(found, "quell_reloads_total", "result") == by_result
    assert of(found, "quell_reload_refused") == {(): 1}
    assert of(found, "quell_reload_findings") == {(): 2}
    metrics.reloaded(outcome("unchanged"))
    assert of(samples(metrics), "quell_reload_refused") == {(): 0}
    metrics.reloaded(outcome("failed", errors=1))
    assert of(samples(metrics), "quell_reload_refused") == {(): 1}


def test_a_journal_that_cannot_be_written_shows() -> None:
    figures = [JOURNAL]
    metrics = Metrics(Parts(journal=lambda: figures[0]), fresh=0)
    assert of(samples(metrics), "quell_journal_problem") == {(): 0}
    figures[0] = replace(JOURNAL, problem="no space left on device")
    found = samples(metrics)
    assert of(found, "quell_journal_problem") == {(): 1}
    assert of(found, "quell_journal_lag_bytes", "step") == {"write": 7, "sync": 70}


def test_sinks_and_requests() -> None:
    found = samples(full_metrics(stepper()))
    assert of(found, "quell_outbox_waiting", "sink") == {"queue": 3, "other": 0, "forgotten": 0}
    assert of(found, "quell_outbox_trouble", "sink") == {"queue": 1, "other": 0, "forgotten": 1}
    assert of(found, "quell_outbox_oldest_timestamp_seconds", "sink") == {"queue": 1_700_000_000}
    assert of(found, "quell_http_responses_total", "operation", "status") == {
        ("decide", "200"): 8,
        ("decide", "503"): 1,
        ("status", "200"): 2,
    }
    assert of(found, "quell_http_keys_refused_total", "why") == {"wrong": 5, "forbidden": 6}


def test_a_storm_of_readers_costs_one_look() -> None:
    now, asked = [0.0], [0]

    def journal() -> Any:
        asked[0] += 1
        return JOURNAL

    metrics = Metrics(Parts(journal=journal), fresh=2.0, clock=lambda: now[0])
    for _ in range(50):
        assert metrics.text()[0] == metrics.text("text/plain")[0]
    assert asked == [1]
    now[0] = 2.0
    metrics.text()
    assert asked == [2]


def test_what_is_remembered_is_measured_in_turn() -> None:
    """What the metrics say of tables is what the engine's own figures say, once each had its turn."""
    engine = stepper()
    metrics = full_metrics(engine)
    for n in range(60):
        engine.decide(message(n, f"u{n % 7}"))
    for _ in range(10):
        metrics.watch([])
    found, figures = samples(metrics), engine.figures()
    for what in ("keys", "entries", "bytes"):
        held = {c.counter: getattr(c, what) for c in figures.counters}
        assert of(found, f"quell_counter_{what}", "counter") == pytest.approx(held, rel=0.01)
    for what in ("keys", "bytes"):
        noted = {c.label: getattr(c, what) for c in figures.labels}
        assert of(found, f"quell_label_{what}", "label") == pytest.approx(noted, rel=0.01)
        assert sum(of(found, f"quell_limit_{what}", "effect").values()) > 0
    assert of(found, "quell_counter_keys_left") == {(): figures.keys_left}


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "application/json;q=0.1, nonsense;;;", "\x00"])
def test_whoever_accepts_something_else_gets_the_plain_format(accept: str) -> None:
    body, kind = Metrics().text(accept)
    assert kind.startswith("text/plain; version=0.0.4")
    assert body.endswith(b"\n")


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3",
        "application/openmetrics-text;version=x;escaping=zz",
        "text/html, application/openmetrics-text; version=99.9.9",
    ],
)
def test_openmetrics_is_of_one_version(accept: str) -> None:
    """Whatever version is asked for: it would be a part of the answer, and of what is kept for the next."""
    metrics = Metrics()
    body, kind = metrics.text(accept)
    assert kind == metrics.text(OPENMETRICS)[1]
    assert body is metrics.text(OPENMETRICS)[0]
    assert body.endswith(b"# EOF\n")


def test_the_global_registry_is_left_alone() -> None:
    from prometheus_client import REGISTRY

    assert Metrics() is not Metrics()
    assert "quell" not in "".join(m.name for m in REGISTRY.collect())


def test_pauses_of_the_collector_are_counted_while_watched() -> None:
    pauses = Pauses()
    gc.collect()  # so that none is due by itself
    pauses.start()
    pauses.start()
    gc.collect()
    pauses.stop()
    gc.collect()
    pauses.stop()
    assert sum(pauses.took[2].counts) == 1
    assert pauses.took[2].sum > 0


def test_a_blocked_event_loop_shows() -> None:
    async def blocked() -> Lag:
        lag = Lag()
        lag.start()
        await asyncio.sleep(0)
        time.sleep(0.15)
        await asyncio.sleep(0.01)
        lag.stop()
        return lag

    lag = asyncio.run(blocked())
    assert sum(lag.took.counts) >= 1
    assert lag.took.sum >= 0.04
