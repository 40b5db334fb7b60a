"""Sweeps: for each setting the hits are those that replaying the edited policies gives."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.bundle import Files, Settings, read_bundle
from quell.engine.compile import Analysis, analyse, build
from quell.grammar.diagnostics import Report
from quell.grammar.source import Source
from quell.replay.backtest_quality import rate_of
from quell.replay.database import Database
from quell.replay.history import ingest
from quell.replay.outcome import Outcome
from quell.replay.report_data import CurvePoint, Quality, Tuning
from quell.replay.run import decide
from quell.replay.simulate import simulate
from quell.replay.tune import Tuned, curves, tune
from quell.replay.tune_constants import Constant, Found, NoSweep, chosen, find
from quell.replay.tune_edit import edit
from quell.replay.tune_feedback import changed_rules
from quell.replay.tune_goal import advise, read_goal
from quell.replay.tune_lower import open_up
from quell.replay.tune_settings import between, natural, read, spell, turning
from tests.cli_support import run
from tests.strategies_policy import cases

ROOT = Path(__file__).resolve().parent.parent

POLICY = """
entity User labels "spammer", "trusted"
entity Server

event message from "message"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  joined   time? = $.joined
  score    number? = $.score
  content  text = $.content default ""
  sizes    list<number> = $.sizes default []
  server   Server? = $.server

event reaction from "reaction"
  id       text = $.id
  at       time = $.at
  author   User = $.author
  score    number? = $.score

let account_age = at - joined
let newcomer    = account_age < 1h30m
let messages_1m = count(message by author within 1m)
let loud        = upper_ratio(content) > 60%
let most        = 3
let over(x: number, least: number) = x > least

score risk
  40 when newcomer
  25 when messages_1m > 2
  minus 30 when author labelled "trusted"

rule burst on message
  when newcomer and messages_1m >= 3
  then block
       label author "spammer" for 1h

rule risky on message
  when risk >= 40 and not (score < -0.5)
  then review

rule ratio on message
  when messages_1m > 1.5 * (score ?? 1) or loud
  then flag
  rollout 60% by author

rule sizes on message
  when any sizes > 5 and size([s of sizes where s > 2]) >= 2
  then flag

rule shadowy on message, reaction
  when (score ?? 0) * 2 + 1 > 2.5
  mode shadow

rule named on message
  when messages_1m > most and over(score ?? 0, 0.25)

rule known on message
  when author labelled "spammer" and messages_1m >= 2
  then flag

rule again on message
  when count(fired again by author within 1h before this) < 5 and messages_1m >= 1

rule friends on message
  when author labelled "trusted" and (score ?? 0) >= 0
  then exempt from ratio, risky

rule chain on message
  when 0.1 <= score <= 0.8 and length(content) > 4
"""


def analysis_of(text: str) -> Analysis:
    files = Files("test", {"p.quell": Source("p.quell", text)}, Settings())
    made = analyse(files, lints=False)
    assert not made.report.errors, made.diagnostics
    return made


def history_of(count: int = 400) -> list[dict[str, Any]]:
    """Events that meet every threshold of the policy from both sides."""
    dice = np.random.default_rng(7)
    out: list[dict[str, Any]] = []
    second = 0
    for i in range(count):
        second += int(dice.integers(1, 12))
        at = f"2026-01-01T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"
        event: dict[str, Any] = {"id": f"m{i}", "at": at, "author": f"u{dice.integers(9)}"}
        event["type"] = "reaction" if dice.random() < 0.15 else "message"
        if dice.random() < 0.8:
            event["joined"] = f"2025-12-31T{dice.integers(20, 24):02d}:{dice.integers(60):02d}:00Z"
        if dice.random() < 0.8:
            event["score"] = round(float(dice.normal(0.4, 0.6)), 2)
        event["content"] = "".join(dice.choice(list("abcDEF "), dice.integers(1, 9)))
        event["sizes"] = [int(x) for x in dice.integers(0, 9, dice.integers(0, 5))]
        out.append(event)
        if i % 97 == 50:
            out.append(
                {"type": "quell.label", "entity": "User", "id": "u3", "label": "trusted", "at": at, "by": "x"}
            )
    return out


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tune") / "events.jsonl"
    file.write_text("".join(json.dumps(e) + "\n" for e in history_of()), encoding="utf-8")
    return file


def hits_of(analysis: Analysis, rule: str, files: Sequence[Path]) -> int:
    """On how many events a rule fires when the bundle is replayed."""
    with Database(threads=1) as db:
        outcome = decide(ingest(db, "h", build(analysis), files), "o")
        found: int = db.value(
            f"SELECT count(*) FROM {outcome.table('hits')} WHERE rule = ? AND outcome <> 'held'", rule
        )
        return found


def swept(analysis: Analysis, rule: str, asked: Sequence[str], files: Sequence[Path], **how: Any) -> Tuned:
    with Database(threads=1) as db:
        outcome = Outcome(ingest(db, "h", build(analysis), files), "o")
        return tune(outcome, find(analysis, rule), asked, **how)


def edited(analysis: Analysis, constant: Constant, value: float) -> Analysis:
    made = edit(analysis, [(constant, value)])
    files = Files(
        "test", dict(made.sources), analysis.files.settings, analysis.files.root, analysis.files.extra
    )
    return analyse(files, lints=False)


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
    others = tuned.curve.points[:: max(1, len(tuned.curve.points) // 5)]
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


EXAMPLES = settings.default.max_examples if settings.default is not None else 60


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
        except NoSweep:
            return  # no event of the rule's types
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


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated day, each event with its truth, and the starter bundle beside it."""
    folder = tmp_path_factory.mktemp("day")
    (folder / "events.jsonl").write_bytes(
        b"".join(msgspec.json.encode(e) + b"\n" for e in simulate(3, 8_000))
    )
    shutil.copytree(
        ROOT / "policies", folder / "policies", ignore=shutil.ignore_patterns("__pycache__", "*.py")
    )
    return folder


@pytest.mark.parametrize(
    ("rule", "asked"),
    [("first_day_burst", "2"), ("suspicious", "2"), ("link_campaign", "1"), ("staff_look_alike", "2")],
)
def test_rules_of_the_starter_bundle_are_swept_exactly(rule: str, asked: str, day: Path) -> None:
    report = Report()
    analysis = analyse(read_bundle(day / "policies", report), report, lints=False)
    tuned = swept(analysis, rule, [asked], [day / "events.jsonl"])
    assert tuned.curve is not None
    points = tuned.curve.points
    now = next(i for i, p in enumerate(points) if p.text == tuned.constants[0].text)
    other = points[now - 1] if now else points[1]
    hits = hits_of(
        edited(analysis, tuned.constants[0], read(tuned.constants[0], other.text)),
        rule,
        [day / "events.jsonl"],
    )
    assert (points[now].hits, other.hits) == (hits_of(analysis, rule, [day / "events.jsonl"]), hits)


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


# ------------------------------------------------------------------------------------- what is found


def named(rule: str) -> Found:
    return find(analysis_of(POLICY), rule)


def test_constants_are_found_where_the_condition_reads_them() -> None:
    found = named("burst")
    assert [(c.number, c.text, c.compared, c.inside) for c in found.constants] == [
        (1, "3", "messages_1m >= 3", None),
        (2, "1h30m", "account_age < 1h30m", "let newcomer"),
    ]
    assert found.constants[1].readers == ("risky",)
    assert found.constants[1].place == "p.quell:24:31"
    assert [(c.text, c.compared, c.inside) for c in named("named").constants] == [
        ("0", "over(score ?? 0, 0.25)", None),
        ("0.25", "over(score ?? 0, 0.25)", None),
        ("3", "messages_1m > most", "let most"),
    ]
    assert [c.text for c in named("risky").constants] == ["40", "-0.5", "1h30m", "2"]
    assert [(c.text, c.kind) for c in named("ratio").constants][2] == ("60%", "percent")


def test_what_cannot_be_swept_says_why() -> None:
    assert [(f.text, f.why.split(":")[0]) for f in named("risky").fixed] == [
        ("40", "points add up"),
        ("25", "points add up"),
        ("1m", "it is part of what a counter counts, and another value counts other events"),
        ("-30", "points add up"),
    ]


COUNTED = """
entity User

event message from "message"
  at       time = $.at
  author   User = $.author
  content  text = $.content

let long = length(content) > 20
let many = count(message by author within 1h where long)

rule counted on message
  when long and many >= 3

rule reached on message
  when many reaches 3

rule listed on message
  when length(content) in [3, 5]

rule plain on message
  when content contains "x"

rule away on message
  when length(content) > 3
  mode off
"""


@pytest.mark.parametrize(
    ("rule", "message", "hint"),
    [
        ("count", "there is no rule `count`", "did you mean `counted`?"),
        ("away", "`away` is off, so no event is asked about it", "mode shadow"),
        ("plain", "no constant in the condition of `plain` can be swept", "only numbers"),
        ("reached", "no constant in the condition of `reached` can be swept", "counts"),
        ("listed", "no constant in the condition of `listed` can be swept", "list"),
    ],
)
def test_rules_without_a_constant_are_told(rule: str, message: str, hint: str) -> None:
    analysis = analysis_of(COUNTED)
    with pytest.raises(NoSweep, match=".") as told:
        open_up(analysis, find(analysis, rule))
    assert told.value.message == message
    assert hint in (told.value.hint or "")


def test_what_a_counter_counts_by_is_not_swept() -> None:
    analysis = analysis_of(COUNTED)
    found = find(analysis, "counted")
    assert len(found.constants) == 2
    open_up(analysis, found)
    assert [(c.number, c.compared) for c in found.constants] == [(1, "many >= 3")]
    assert "counts by it" in next(f.why for f in found.fixed if f.text == "20")
    with pytest.raises(NoSweep, match="cannot be swept"):
        chosen(found, ["length(content) > 20"])


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["3"], "has no constant 3"),
        (["1", "messages_1m >= 3"], "asked for twice"),
        (["nothing of it"], "no constant stands in"),
        ([""], "no constant stands in"),
    ],
)
def test_a_choice_that_is_none_is_told(asked: list[str], told: str) -> None:
    with pytest.raises(NoSweep, match=told):
        chosen(named("burst"), asked)


def test_a_constant_is_chosen_by_a_part_of_its_comparison() -> None:
    assert [c.number for c in chosen(named("burst"), ["newcomer"[:0] + "1h30m", "messages_1m"])] == [2, 1]
    with pytest.raises(NoSweep, match="more than one place"):
        chosen(named("shadowy"), ["2.5"])


def test_what_the_rule_hangs_on_itself_is_told(events: Path) -> None:
    analysis = analysis_of(POLICY)
    assert swept(analysis, "again", ["1"], [events]).feedback == ["again"]
    assert swept(analysis, "again", ["2"], [events]).feedback == ["again"]
    assert swept(analysis, "known", ["1"], [events]).feedback == []
    assert changed_rules(analysis, analysis.symbols.rules["burst"], named("burst").constants) == {
        "burst", "risky"
    }  # fmt: skip


# ------------------------------------------------------------------------------------------ settings


def constant_of(rule: str, number: int) -> Constant:
    return named(rule).constants[number - 1]


def test_values_are_spelled_as_the_policy_spells_them() -> None:
    share, hours, plain = constant_of("ratio", 3), constant_of("burst", 2), constant_of("burst", 1)
    assert [spell(share, v) for v in (0.6, 0.85, 0.125, 1.0)] == ["60%", "85%", "12.5%", "100%"]
    assert [spell(hours, v * 60e6) for v in (90, 60, 2880, 0)] == ["1h30m", "1h", "2d", "0s"]
    assert [spell(plain, v) for v in (3.0, 12.0, 2.5, 1e6)] == ["3", "12", "2.5", "1000000"]
    days = replace(hours, text="7d", value=7 * 86_400e6)
    assert [spell(days, v * 3_600e6) for v in (24, 720, 12, 36)] == ["1d", "30d", "12h", "1d12h"]
    assert spell(replace(plain, text="1_000", value=1000.0), 20_000.0) == "20_000"
    for constant, value in ((share, 0.85), (hours, 2.88e12), (plain, 2.5)):
        assert read(constant, spell(constant, value)) == value


@pytest.mark.parametrize(
    ("rule", "number", "text", "told"),
    [
        ("burst", 2, "12", "`1h30m` is a duration, and `12` is none"),
        ("burst", 2, "-1h", "is a duration"),
        ("burst", 1, "many", "`many` is no value for `3`"),
        ("burst", 1, "", "is no value for `3`"),
        ("burst", 1, "1h", "is no value for `3`"),
    ],
)
def test_values_of_another_kind_are_refused(rule: str, number: int, text: str, told: str) -> None:
    with pytest.raises(NoSweep, match=told):
        read(constant_of(rule, number), text)


def test_settings_between_two_values_are_round() -> None:
    assert between(constant_of("burst", 1), "1", "20", 20, 60) == [float(i) for i in range(1, 21)]
    assert between(constant_of("ratio", 3), "50%", "100%", 6, 60) == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    hours = between(constant_of("burst", 2), "1h", "10h", 10, 60)
    assert [v / 3_600e6 for v in hours] == [1, 1.5, *range(2, 11)]
    with pytest.raises(NoSweep, match="one value"):
        between(constant_of("burst", 1), "5", "5", 20, 60)
    with pytest.raises(NoSweep, match="2 to 60 steps"):
        between(constant_of("burst", 1), "5", "9", 200, 60)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30), st.booleans())
def test_events_turn_exactly_where_they_turn(values: list[float], falling: bool) -> None:
    held = np.array(values)
    constant = replace(constant_of("ratio", 1), value=1.5)
    at = (lambda p: held >= p) if falling else (lambda p: held <= p)
    assert turning(at, len(held), constant, falling).tolist() == values


@given(st.lists(st.floats(0, 1e6), max_size=200), st.integers(2, 60))
def test_natural_settings_are_few_and_hold_the_present_one(values: list[float], most: int) -> None:
    for constant in (constant_of("burst", 1), constant_of("burst", 2), constant_of("ratio", 3)):
        found = natural(constant, np.array(values), most)
        assert found == sorted(set(found))
        assert constant.value in found
        assert len(found) <= max(most, 3)
        for value in found:
            assert read(constant, spell(constant, value)) == value


# --------------------------------------------------------------------------------------------- edits


def test_an_edit_changes_nothing_but_the_constant() -> None:
    text = POLICY.replace("\n", "\r\n")
    analysis = analysis_of(text)
    first, second = find(analysis, "burst").constants
    made = edit(analysis, [(first, 12.0), (second, 7_200e6)])
    assert made.after == {
        "p.quell": text.replace("messages_1m >= 3", "messages_1m >= 12").replace("age < 1h30m", "age < 2h")
    }
    assert edit(analysis, [(first, 3.0)]).diff() == ""


@pytest.mark.parametrize("text", [POLICY, POLICY.rstrip("\n"), POLICY.replace("\n", "\r\n")])
def test_a_diff_applies(text: str, tmp_path: Path) -> None:
    analysis = analysis_of(text)
    constants = [*find(analysis, "burst").constants, find(analysis, "chain").constants[2]]
    made = edit(analysis, [(constants[0], 12.0), (constants[1], 7_200e6), (constants[2], 40.0)])
    (tmp_path / "p.quell").write_bytes(text.encode())
    (tmp_path / "d.diff").write_bytes(made.diff().encode())
    subprocess.run(["git", "apply", "--whitespace=nowarn", "d.diff"], cwd=tmp_path, check=True)
    assert (tmp_path / "p.quell").read_bytes() == made.after["p.quell"].encode()


def test_an_edit_that_does_not_compile_is_refused() -> None:
    analysis = analysis_of(POLICY)
    constant = replace(find(analysis, "burst").constants[0], text="1_0")
    broken = replace(constant, span=replace(constant.span, end=constant.span.end + 2))
    with pytest.raises(NoSweep, match="the policies have an error"):
        edit(analysis, [(broken, 5.0)])


# --------------------------------------------------------------------------------------------- goals


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("precision", "cannot be read"),
        ("precision<=90%", "the wrong side"),
        ("hits>=1%", "the wrong side"),
        ("recall>=95", "more than all"),
        ("f1>=3", "cannot be read"),
    ],
)
def test_a_goal_that_is_none_is_told(text: str, told: str) -> None:
    with pytest.raises(NoSweep, match=told):
        read_goal(text)


def point(value: float, right: int, wrong: int) -> CurvePoint:
    quality = Quality(
        right, wrong, 0, 100 - right, 900 - wrong,
        rate_of(right, right + wrong), rate_of(right, 100), rate_of(wrong, 900),
    )  # fmt: skip
    return CurvePoint(value, right + wrong, 1, quality, str(value))


def test_goals_choose_the_best_setting() -> None:
    points = [point(1, 95, 200), point(2, 90, 60), point(3, 80, 4), point(4, 80, 2), point(5, 10, 0)]

    def best(text: str) -> int | None:
        return advise(read_goal(text), points, 1_000, 1).place

    assert best("precision>=95%") == 3
    assert best("precision >= 99%") == 4
    assert best("recall>=85%") == 1
    assert best("hits<=10%") == 3
    assert best("hits<=150") == 1
    none = advise(read_goal("recall>=99%"), points, 1_000, 1)
    assert (none.place, none.text) == (None, "no setting reaches recall>=99%: the highest recall is 95.0%")
    assert "may be as low as" in advise(read_goal("precision>=99%"), points, 1_000, 1).cautions[0]


# -------------------------------------------------------------------------------------- command line


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.quell").write_bytes(b"\xef\xbb\xbf" + POLICY.encode())
    return tmp_path / "policies"


def test_the_command_shows_the_curve_and_the_diff(bundle: Path, events: Path) -> None:
    shown = run("tune", bundle, "--events", events, "--rule", "burst", "--set", "1=5")
    assert shown.exit_code == 0, shown.output
    for part in ("messages_1m >= 3", "now 3", "chosen 5", "+  when newcomer and messages_1m >= 5", "To know"):
        assert part in shown.output
    assert "p.quell:24:31" in shown.output


def test_the_command_gives_json_and_a_picture(bundle: Path, events: Path, tmp_path: Path) -> None:
    told = run(
        "tune", bundle, "--events", events, "--rule", "burst", "--json", "--picture", tmp_path / "c.svg"
    )
    report = msgspec.json.decode(told.stdout, type=Tuning)
    assert report.rule == "burst"
    assert report.curve is not None
    assert report.curve.current == 3
    assert [c.swept for c in report.constants] == [True, False]
    assert ElementTree.parse(tmp_path / "c.svg").getroot().tag.endswith("svg")
    grid = run(
        "tune",
        bundle,
        "--events",
        events,
        "--rule",
        "burst",
        "--constant",
        "1",
        "--constant",
        "1h30m",
        "--from",
        "1",
        "--to",
        "4",
        "--steps",
        "4",
        "--json",
        "--picture",
        tmp_path / "g.svg",
    )
    both = msgspec.json.decode(grid.stdout, type=Tuning)
    assert both.grid is not None
    assert [p.text for p in both.grid.axes[0].points] == ["1", "2", "3", "4"]
    assert len(both.grid.points) == 4 * len(both.grid.axes[1].points)
    assert ElementTree.parse(tmp_path / "g.svg").getroot().tag.endswith("svg")


def test_the_command_writes_the_edit_and_leaves_the_rest_of_the_file(bundle: Path, events: Path) -> None:
    before = (bundle / "p.quell").read_bytes()
    done = run(
        "tune",
        bundle,
        "--events",
        events,
        "--rule",
        "burst",
        "--set",
        "messages_1m=7",
        "--set",
        "2=2h",
        "--write",
    )
    assert done.exit_code == 0, done.output
    after = before.replace(b"messages_1m >= 3", b"messages_1m >= 7").replace(b"age < 1h30m", b"age < 2h")
    assert (bundle / "p.quell").read_bytes() == after
    assert [p.name for p in bundle.iterdir()] == ["p.quell"]
    again = run("tune", bundle, "--events", events, "--rule", "burst", "--set", "1=7", "--write")
    assert "that is what stands there" in again.output
    assert (bundle / "p.quell").read_bytes() == after


def test_the_command_advises_for_a_goal(day: Path) -> None:
    common = (
        "tune",
        day / "policies",
        "--events",
        day / "events.jsonl",
        "--rule",
        "suspicious",
        "--constant",
        "suspicion >= 60",
        "--labels",
        '$.truth.label == "abuse"',
        "--json",
    )
    told = run(*common, "--goal", "precision>=90%")
    assert told.exit_code == 0, told.output
    report = msgspec.json.decode(told.stdout, type=Tuning)
    assert report.labelled is not None
    assert report.curve is not None
    assert report.proposal is not None
    best = next(p for p in report.curve.points if p.text == report.proposal.values[1])
    assert best.quality is not None
    rates = [p.quality for p in report.curve.points if p.quality is not None]
    able = [q.recall.value for q in rates if (q.precision.value or 0) >= 0.9]
    assert best.quality.recall.value == max(v for v in able if v is not None)
    never = msgspec.json.decode(run(*common, "--goal", "hits<=0").stdout, type=Tuning)
    assert (never.proposal is None) == all(p.hits for p in report.curve.points)


BAD: list[tuple[list[str], int, str]] = [
    (["--rule", "brust"], 3, "did you mean `burst`?"),
    (["--rule", "friends", "--constant", "9"], 3, "has no constant 9"),
    (["--rule", "burst", "--goal", "precision>=90%"], 2, "`--goal` needs `--labels`"),
    (["--rule", "burst", "--goal", "x", "--labels", "$.truth"], 3, "the goal `x` cannot be read"),
    (["--rule", "burst", "--labels", '$.kind == "bad"'], 3, "$.kind"),
    (["--rule", "burst", "--write"], 2, "`--write` needs a value"),
    (["--rule", "burst", "--set", "1h"], 3, "is no value for `3`"),
    (["--rule", "burst", "--set", "1=4", "--set", "messages_1m=5"], 3, "is set twice"),
    (["--rule", "burst", "--from", "1"], 2, "`--from` and `--to` go together"),
    (["--rule", "burst", "--steps", "5"], 2, "say both"),
    (["--rule", "burst", "--picture", "x.png"], 2, "end it in .svg"),
    (["--rule", "burst", "--positive", "x"], 2, "belong to `--labels`"),
]


@pytest.mark.parametrize(("more", "status", "told"), BAD)
def test_what_cannot_be_is_told_in_a_sentence(
    more: list[str], status: int, told: str, bundle: Path, events: Path
) -> None:
    result = run("tune", bundle, "--events", events, *more)
    assert told in " ".join(result.output.split())
    assert result.exit_code == status


def test_a_history_without_the_rules_events_is_told(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    event = {"type": "reaction", "id": "r", "at": "2026-01-01T00:00:00Z", "author": "u"}
    other.write_text(json.dumps(event) + "\n", encoding="utf-8")
    result = run("tune", bundle, "--events", other, "--rule", "burst")
    assert result.exit_code == 3
    assert "the history has no `message` event" in " ".join(result.output.split())
