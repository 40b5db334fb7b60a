"""The figures of a backtest, against the same counted by hand from the decisions of the online engine."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quell.engine.sources import SourceError
from quell.replay import BacktestResult, backtest
from quell.replay.backtest_frame import MOST_BUCKETS, Buckets
from quell.replay.report_data import Backtest, RuleRow
from tests.backtest_support import POLICIES, Seen, decided, make_events, make_history

EVENTS = make_events()
RULES = ("flood", "high", "joins", "never", "noisy_again", "quiet_room", "tried")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_history(tmp_path_factory.mktemp("backtest"), EVENTS)


@pytest.fixture(scope="module")
def seen(history: tuple[Path, Path]) -> list[Seen]:
    return decided(history[0], EVENTS)


@pytest.fixture(scope="module")
def result(history: tuple[Path, Path]) -> Any:
    with backtest(*history, weigh="reach") as made:
        yield made


@pytest.fixture(scope="module")
def report(result: BacktestResult) -> Backtest:
    return result.report


def row(report: Backtest, rule: str) -> RuleRow:
    return next(r for r in report.rules if r.rule == rule)


def micros(text: str) -> int:
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1_000_000)


def test_verdicts_are_counted(report: Backtest, seen: list[Seen]) -> None:
    counts = Counter(s.decision.verdict for s in seen)
    assert {v.verdict: v.count for v in report.verdicts} == {
        v: counts[v] for v in ("allow", "flag", "review", "block")
    }
    assert sum(v.share for v in report.verdicts) == pytest.approx(1)
    assert report.events == len(seen)
    assert all(counts.values())
    assert len(counts) == 4


def test_rules_are_counted(report: Backtest, seen: list[Seen]) -> None:
    assert [r.rule for r in report.rules] == list(RULES)
    types = Counter(s.decision.event for s in seen)
    for rule in report.rules:
        hits = [s for s in seen if rule.rule in s.hit]
        assert rule.fired == len(hits)
        assert rule.events == types["join" if rule.rule in ("joins", "never") else "message"]
        assert rule.rate == len(hits) / rule.events
        assert rule.held == sum(h.rule == rule.rule for s in seen for h in s.decision.held)
        assert rule.entities == len({s.who for s in hits})
        assert rule.only == sum(not s.live - {rule.rule} for s in hits)
    assert row(report, "noisy_again").held
    assert row(report, "noisy_again").fired
    assert row(report, "tried").mode == "shadow"
    assert row(report, "tried").fired
    assert report.quiet == ["never", "quiet_room"]
    assert sum(r.cost for r in report.rules) == pytest.approx(1)


def test_rules_say_what_is_written(report: Backtest) -> None:
    flood = row(report, "flood")
    assert flood.verdict == "review"
    assert flood.tags == ["volume"]
    assert flood.owner == "team"
    assert flood.because == "{burst} messages"
    line = POLICIES.splitlines().index("rule flood on message") + 1
    assert flood.place == f"p.quell:{line}"
    assert flood.text.startswith("rule flood on message\n")
    assert flood.text.endswith('owner "team"')


def test_rules_that_fire_together_are_paired(report: Backtest, seen: list[Seen]) -> None:
    pairs = Counter(pair for s in seen for pair in combinations(sorted(s.hit), 2))
    fired = Counter(rule for s in seen for rule in s.hit)
    assert {(o.a, o.b): o.both for o in report.overlaps} == dict(pairs)
    assert [o.both for o in report.overlaps] == sorted(pairs.values(), reverse=True)
    for overlap in report.overlaps:
        assert overlap.of_a == overlap.both / fired[overlap.a]
        assert overlap.of_b == overlap.both / fired[overlap.b]


def test_buckets_of_time_hold_all_events(report: Backtest, seen: list[Seen]) -> None:
    timeline = report.timeline
    starts = [micros(text) for text in timeline.starts]
    assert len(starts) <= MOST_BUCKETS
    assert all(start % (timeline.seconds * 1_000_000) == 0 for start in starts)

    def spread(chosen: list[Seen]) -> list[int]:
        width = timeline.seconds * 1_000_000
        counts = Counter((s.decision.at - starts[0]) // width for s in chosen)
        return [counts[i] for i in range(len(starts))]

    assert timeline.events == spread(seen)
    for verdict in report.verdicts:
        assert verdict.over_time == spread([s for s in seen if s.decision.verdict == verdict.verdict])
    for rule in report.rules:
        assert rule.over_time == spread([s for s in seen if rule.rule in s.hit])


def test_effects_are_counted(report: Backtest, seen: list[Seen]) -> None:
    assert report.sends == dict(Counter(x.sink for s in seen for x in s.decision.sends))
    labels = Counter(f'{x.entity} "{x.label}"' for s in seen for x in s.decision.labels if x.on)
    assert report.labels_set == dict(labels)
    assert report.sends
    assert report.labels_set


def test_volume_adds_up_the_field(report: Backtest, seen: list[Seen]) -> None:
    def volume(chosen: list[Seen]) -> float | None:
        weights = [s.event["reach"] for s in chosen if "reach" in s.event]
        return sum(weights) if weights else None

    assert report.weighed == "reach"
    for verdict in report.verdicts:
        assert verdict.volume == volume([s for s in seen if s.decision.verdict == verdict.verdict])
    for rule in report.rules:
        assert rule.volume == volume([s for s in seen if rule.rule in s.hit])
    assert any("without `reach` weigh nothing" in note for note in report.notes)


def test_the_source_is_described(report: Backtest, seen: list[Seen], history: tuple[Path, Path]) -> None:
    source = report.source
    broken = [n for n, e in enumerate(EVENTS, 1) if e["at"] == "yesterday"]
    assert source.files == [str(history[1])]
    assert (source.records, source.events, source.refused) == (len(EVENTS), len(seen), len(broken))
    assert source.by_type == dict(sorted(Counter(s.decision.event for s in seen).items()))
    assert [(r.kind, r.count) for r in source.refusals] == [("bad-time", len(broken))]
    first = sorted({EVENTS[n - 1]["type"]: n for n in reversed(broken)}.values())
    told = [place for place, _ in source.refusals[0].samples]  # one of each message
    assert told == [f"events.jsonl:{n}" for n in first]
    present = {(c.event, c.field): (c.present, c.of) for c in source.coverage}
    messages = [s for s in seen if s.decision.event == "message"]
    assert present["message", "score"] == (sum("score" in s.event for s in messages), len(messages))


def test_samples_are_events_of_their_rule(report: Backtest, seen: list[Seen]) -> None:
    by_place = {f"events.jsonl:{s.row}": s for s in seen}
    for rule in report.rules:
        assert len(rule.samples) == min(5, rule.fired)
        assert len({s.n for s in rule.samples}) == len(rule.samples)
        for sample in rule.samples:
            s = by_place[sample.place]
            assert rule.rule in s.hit
            assert set(sample.rules) == s.hit
            assert (sample.event, sample.verdict, sample.id) == (
                s.decision.event,
                s.decision.verdict,
                s.decision.id,
            )
            assert sample.entity == s.who
            assert micros(sample.at) == s.decision.at
            assert sample.explanation is not None
            assert sample.explanation["decision"]["seq"] == sample.n == s.decision.seq
            assert rule.rule in {r["rule"] for r in sample.explanation["rules"]}
            assert sample.command.endswith(f"events.jsonl --event {sample.place}")


def test_a_run_gives_the_same_bytes(history: tuple[Path, Path], report: Backtest) -> None:
    def told(made: Backtest) -> bytes:
        return msgspec.json.encode(msgspec.structs.replace(made, seconds=0.0))

    with backtest(*history, weigh="reach", threads=1) as again:
        assert told(again.report) == told(report)


# ------------------------------------------------------------------------------- which events


def test_a_period_bounds_what_is_counted_and_not_what_is_decided(
    history: tuple[Path, Path], seen: list[Seen]
) -> None:
    times = sorted(s.decision.at for s in seen)
    start, until = times[len(times) // 3], times[2 * len(times) // 3]
    chosen = [s for s in seen if start <= s.decision.at < until]
    with backtest(*history, start=start, until=until, explained=False) as made:
        report = made.report
    assert report.events == len(chosen) == sum(report.timeline.events)
    for rule in report.rules:
        assert rule.fired == sum(rule.rule in s.hit for s in chosen)
    assert report.sends == dict(Counter(x.sink for s in chosen for x in s.decision.sends))
    assert report.source.events == len(seen)


def test_the_warm_up_is_marked_or_left_out(history: tuple[Path, Path], seen: list[Seen]) -> None:
    full = min(s.decision.at for s in seen) + 7 * 3_600_000_000
    before = sum(s.decision.at < full for s in seen)
    assert 0 < before < len(seen)
    with backtest(*history, samples=0) as marked, backtest(*history, samples=0, warm_up="leave-out") as out:
        assert marked.report.warmup == msgspec.structs.replace(out.report.warmup, left_out=False)
        warm = marked.report.warmup
        assert (warm.longest, warm.events, warm.whole, warm.ever) == ("7h", before, True, False)
        assert warm.until is not None
        assert micros(warm.until) == full
        assert marked.report.events == len(seen)
        assert out.report.events == len(seen) - before
        high = sum("high" in s.hit and s.decision.at >= full for s in seen)
        assert row(out.report, "high").fired == high


def test_the_warm_up_of_a_period_counts_its_own_events(history: tuple[Path, Path], seen: list[Seen]) -> None:
    full = min(s.decision.at for s in seen) + 7 * 3_600_000_000
    with backtest(*history, samples=0, start=full) as made:
        assert made.report.warmup.events == 0
        assert not any("were not full" in note for note in made.report.notes)
    before = full - 3_600_000_000
    with backtest(*history, samples=0, start=before) as made:
        assert made.report.warmup.events == sum(before <= s.decision.at < full for s in seen) > 0


def test_a_period_without_events_is_refused(history: tuple[Path, Path], seen: list[Seen]) -> None:
    last = max(s.decision.at for s in seen)
    with pytest.raises(SourceError, match="no event of the history lies in the period"):
        backtest(*history, start=last + 1)
    full = min(s.decision.at for s in seen) + 7 * 3_600_000_000
    with pytest.raises(SourceError, match="leave-out leaves no event"):
        backtest(*history, until=full, warm_up="leave-out")


def test_a_sample_says_what_its_own_rule_said(history: tuple[Path, Path], seen: list[Seen]) -> None:
    with backtest(*history, samples=3, explained=False) as made:
        told = {(s.row, f.rule): f.message for s in seen for f in s.decision.fired}
        found = {
            (int(sample.place.rpartition(":")[2]), rule.rule): sample.because
            for rule in made.report.rules
            if rule.mode == "live"
            for sample in rule.samples
        }
        assert found
        assert all(told[key] == because for key, because in found.items())


def test_files_out_of_order_are_put_in_order_unless_given_order_is_asked_for(tmp_path: Path) -> None:
    shuffled = list(EVENTS)
    random.Random(5).shuffle(shuffled)
    assert len({e["at"] for e in EVENTS}) < len(EVENTS)
    policies, events = make_history(tmp_path, shuffled)
    with backtest(policies, events, samples=1, explained=False) as made:
        expected = decided(policies, shuffled)
        for rule in made.report.rules:
            assert rule.fired == sum(rule.rule in s.hit for s in expected)
        assert made.report.source.late > 0
        sample = row(made.report, "high").samples[0]
        assert sample.command.startswith("quell replay ")
        assert "--event " in sample.command
    with backtest(policies, events, order="given", samples=1, explained=False) as given:
        assert given.report.source.order == "given"
        assert row(given.report, "high").samples[0].command.startswith("quell explain ")


# ---------------------------------------------------------------------------------- the tables


def test_every_event_has_a_row_of_decisions(result: BacktestResult, seen: list[Seen]) -> None:
    rows = result.arrow("decisions").to_pylist()
    assert len(rows) == len(seen)
    for found, s in zip(rows, seen, strict=True):
        decision = s.decision
        assert (found["event"], found["seq"], found["verdict"], found["id"], found["place"]) == (
            decision.event, decision.seq, decision.verdict, decision.id, f"events.jsonl:{s.row}"
        )  # fmt: skip
        assert round(found["at"].timestamp() * 1_000_000) == decision.at
        assert {(f["rule"], f["verdict"], f["message"]) for f in found["fired"]} == {
            (f.rule, f.verdict, f.message) for f in decision.fired
        }
        assert [f["rule"] for f in found["shadow"]] == sorted(f.rule for f in decision.shadow)
        assert [(h["rule"], h["by"]) for h in found["held"]] == [(h.rule, h.by) for h in decision.held]
        assert [x["id"] for x in found["labels"]] == [x.id for x in decision.labels]
        assert [json.loads(x["payload"]) for x in found["sends"]] == [x.payload for x in decision.sends]


def test_tables_are_relations_and_arrow_tables(result: BacktestResult, seen: list[Seen]) -> None:
    hits = result.table("hits")
    assert hits.filter("rule = 'high'").aggregate("count(*)").fetchall() == [
        (sum("high" in s.hit for s in seen),)
    ]
    assert result.arrow("events").num_rows == len(seen)
    assert str(result.arrow("hits").schema.field("at").type) == "timestamp[us, tz=UTC]"
    with pytest.raises(KeyError, match="did you mean `decisions`"):
        result.table("decision")


def test_closing_leaves_nothing_behind(history: tuple[Path, Path]) -> None:
    made = backtest(*history, samples=0)
    folder = Path(made._db.folder)
    assert folder.is_dir()
    made.close()
    assert not folder.exists()


def test_a_history_without_events_is_refused(history: tuple[Path, Path], tmp_path: Path) -> None:
    empty = tmp_path / "none.jsonl"
    empty.write_text('{"type": "other"}\n', encoding="utf-8")
    with pytest.raises(SourceError, match="can be taken"):
        backtest(history[0], empty)


# ------------------------------------------------------------------------------------- buckets


@pytest.mark.parametrize(
    ("first", "last", "width"),
    [
        ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", 1),
        ("2026-03-01T00:00:30Z", "2026-03-01T00:30:00Z", 60),
        ("2026-03-01T00:00:00Z", "2026-03-01T23:59:59Z", 3_600),
        ("2026-03-01T00:00:00Z", "2026-04-29T23:59:59Z", 86_400),
        ("2026-03-01T00:00:00Z", "2026-05-15T00:00:00Z", 7 * 86_400),
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 364_000 * 86_400),
    ],
)
def test_buckets_are_round_and_cover_what_there_is(first: str, last: str, width: int) -> None:
    low, high = (
        (datetime.fromisoformat(t[:-1]) - datetime(1970, 1, 1)).days * 86_400 * 1_000_000
        + (datetime.fromisoformat(t[:-1]) - datetime(1970, 1, 1)).seconds * 1_000_000
        for t in (first, last)
    )
    made = Buckets.over(low, high)
    assert made.width == width
    assert made.count <= MOST_BUCKETS
    assert made.start * 1_000_000 <= low < (made.start + made.width) * 1_000_000
    assert high < (made.start + made.count * made.width) * 1_000_000
    assert len(made.timeline([0] * made.count).starts) == made.count
    if width == 7 * 86_400:
        assert datetime.fromisoformat(made.timeline([]).starts[0][:-1]).weekday() == 0
