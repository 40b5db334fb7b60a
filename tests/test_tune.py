"""Sweeps: for each setting the hits are those that replaying the edited policies gives."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.bundle import Files, Settings, read_bundle
from quell.engine.compile import Analysis, analyse, build
from quell.engine.sources import SourceError
from quell.grammar.diagnostics import Report
from quell.replay.database import Database
from quell.replay.history_ingest import ingest
from quell.replay.run import decide
from quell.replay.tune import curves, tune
from quell.replay.tune_constants import Found, NoSweep, find
from quell.replay.tune_edit import edit
from quell.replay.tune_lower import open_up
from quell.replay.tune_settings import read
from tests.strategies_policy import cases
from tests.tune_support import POLICY, analysis_of, edited, hits_of, swept, write_day, write_history


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("tune") / "events.jsonl")


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_day(tmp_path_factory.mktemp("day"))


CONSTANTS = [
    (rule.split()[0], number)
    for rule, many in (
        ("burst", 2), ("risky", 4), ("ratio", 3), ("sizes", 3), ("shadowy", 4), ("named", 3), ("known", 1),
        ("chain", 3),
    )
    for number in range(1, many + 1)
]  # fmt: skip


@pytest.mark.parametrize(("rule", "number"), CONSTANTS)
def test_each_setting_hits_what_the_edited_policies_hit(rule: str, number: int, events: Path) -> None:
    analysis = analysis_of(POLICY)
    tuned = swept(analysis, rule, [str(number)], [events])
    assert tuned.curve is not None
    assert tuned.feedback == []
    constant = tuned.constants[0]
    now = next(p for p in tuned.curve.points if p.text == constant.text)
    assert now.hits == hits_of(analysis, rule, [events])
    assert (now.newly, now.no_longer) == (0, 0)
    others = tuned.curve.points[:: max(1, len(tuned.curve.points) // 3)]
    for point in others:
        other = edited(analysis, constant, read(constant, point.text))
        assert point.hits == hits_of(other, rule, [events]), (constant.compared, point.text)
    assert len({p.hits for p in tuned.curve.points}) > 1 or (rule, number) == ("risky", 4)


def test_two_constants_make_a_grid(events: Path) -> None:
    analysis = analysis_of(POLICY)
    tuned = swept(analysis, "burst", ["1", "account_age < 1h30m"], [events])
    assert tuned.grid is not None
    a, b = tuned.constants
    for point in tuned.grid.points[:: len(tuned.grid.points) // 6]:
        made = edit(analysis, [(a, read(a, point.texts[0])), (b, read(b, point.texts[1]))])
        both = analyse(Files("test", dict(made.sources), Settings()), lints=False)
        assert point.hits == hits_of(both, "burst", [events]), point.texts


def test_entities_and_quality_are_those_of_the_hits(events: Path) -> None:
    analysis = analysis_of(POLICY)
    with Database(threads=1) as db:
        outcome = decide(ingest(db, "h", build(analysis), [events]), "o")
        db.con.execute(
            f"CREATE TABLE truth AS SELECT n, CASE WHEN n % 5 <> 0 THEN n % 3 = 0 END AS label "
            f"FROM {outcome.table('all')}"
        )
        tuned = tune(outcome, find(analysis, "burst"), ["1"], truth="truth")
        assert tuned.curve is not None
        now = next(p for p in tuned.curve.points if p.text == "3")
        hits = f"{outcome.table('hits')} h JOIN truth USING (n) WHERE rule = 'burst'"
        right, wrong = (
            db.value(f"SELECT count(*) FROM {hits} AND {which}") for which in ("label", "NOT label")
        )
        assert now.quality is not None
        assert (now.quality.right, now.quality.wrong) == (right, wrong)
        assert now.quality.unlabelled == now.hits - right - wrong
        table = f"{outcome.history.of('message')} JOIN truth USING (n)"
        assert now.quality.recall.of == db.value(f"SELECT count(*) FROM {table} WHERE label")
        column = next(c for c, f in outcome.history.columns["message"] if f.name == "author")
        who = f"SELECT count(DISTINCT {column}) FROM {outcome.history.of('message')} JOIN"
        assert now.entities == db.value(f"{who} {outcome.table('hits')} h USING (n) WHERE rule = 'burst'")


_profile = settings.default
EXAMPLES = max(12, (_profile.max_examples if _profile is not None else 0) // 5)


@given(data=st.data())
@settings(max_examples=EXAMPLES)
def test_generated_bundles_are_swept_as_they_would_be_replayed(data: st.DataObject) -> None:
    case = data.draw(cases(data.draw(st.sampled_from(("any", "values", "state", "counters")))))
    analysis = analyse(case.files(), lints=False)
    swept_ = [found for name in analysis.symbols.rules if (found := _sweepable(analysis, name)) is not None]
    if not swept_:
        return
    found = data.draw(st.sampled_from(swept_))
    constant = data.draw(st.sampled_from(found.constants))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        file.write_bytes(b"".join(e.replace(b"\n", b" ") + b"\n" for e in case.events))
        try:
            tuned = swept(analysis, found.rule.name.name, [str(constant.number)], [file])
        except (NoSweep, SourceError):
            return  # no event of the rule's types, or none at all
        assert tuned.curve is not None
        if tuned.feedback:
            return
        points = tuned.curve.points
        tried = [next(p for p in points if p.text == constant.text), data.draw(st.sampled_from(points))]
        for point in tried:
            try:
                other = edited(analysis, tuned.constants[0], read(constant, point.text))
            except NoSweep:
                continue  # such as a negative number where none can stand
            hits = hits_of(other, found.rule.name.name, [file])
            assert point.hits == hits, (
                f"{constant.compared} at {point.text} of {found.rule.name.name}{case!r}"
            )


def _sweepable(analysis: Analysis, name: str) -> Found | None:
    try:
        found = find(analysis, name)
        open_up(analysis, found)
    except NoSweep:
        return None
    return found


# ------------------------------------------------------------------------------------ the demo's rules


@pytest.mark.parametrize(
    ("rule", "asked"), [("first_day_burst", "2"), ("suspicious", "2"), ("staff_look_alike", "2")]
)
def test_rules_of_the_starter_bundle_are_swept_exactly(rule: str, asked: str, day: Path) -> None:
    report = Report()
    analysis = analyse(read_bundle(day / "policies", report), report, lints=False)
    tuned = swept(analysis, rule, [asked], [day / "events.jsonl"])
    assert tuned.curve is not None
    points = tuned.curve.points
    now = next(i for i, p in enumerate(points) if p.text == tuned.constants[0].text)
    other = points[now - 1] if now else points[1]
    made = edited(analysis, tuned.constants[0], read(tuned.constants[0], other.text))
    hits = hits_of(made, rule, [day / "events.jsonl"])
    assert other.hits == hits
    assert points[now].hits == hits - other.newly + other.no_longer


def test_a_backtest_gets_a_curve_for_rules_with_a_clear_threshold(day: Path) -> None:
    report = Report()
    analysis = analyse(read_bundle(day / "policies", report), report, lints=False)
    with Database(threads=1) as db:
        outcome = decide(ingest(db, "h", build(analysis), [day / "events.jsonl"]), "o")
        before = outcome.db.rows(f"SELECT * FROM {outcome.table('hits')} ORDER BY ALL")
        found = curves(outcome, most=4)
        assert outcome.db.rows(f"SELECT * FROM {outcome.table('hits')} ORDER BY ALL") == before
        fired = dict(
            db.rows(
                f"SELECT rule, count(*) FROM {outcome.table('hits')} WHERE outcome <> 'held' GROUP BY rule"
            )
        )
    assert 0 < len(found) <= 4
    for made in found:
        assert made.more in ("lower", "higher")
        assert next(p.hits for p in made.points if p.value == made.current) == fired[made.rule]
        assert 2 <= len(made.points) <= 25
