"""The parts of tuning: constants and their reasons, settings and their spelling, edits, goals."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.replay.backtest_quality import rate_of
from quell.replay.report_data import CurvePoint, Quality
from quell.replay.tune_constants import Constant, NoSweep, chosen, find
from quell.replay.tune_edit import edit
from quell.replay.tune_feedback import changed_rules, dependants
from quell.replay.tune_goal import advise, read_goal
from quell.replay.tune_lower import open_up
from quell.replay.tune_settings import between, natural, read, spell, turning
from tests.tune_support import POLICY, analysis_of, named, swept, write_history


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("tune") / "events.jsonl")


# ------------------------------------------------------------------------------------- what is found


def test_constants_are_found_where_the_condition_reads_them() -> None:
    found = named("burst")
    assert [(c.number, c.text, c.compared, c.inside) for c in found.constants] == [
        (1, "3", "messages_1m >= 3", None),
        (2, "1h30m", "account_age < 1h30m", "let newcomer"),
    ]
    assert found.constants[1].readers == ("risky",)
    assert found.constants[1].place == "p.quell:22:33"
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
    with pytest.raises(NoSweep, match=re.escape(message)) as told:
        open_up(analysis, find(analysis, rule))
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
    assert dependants(analysis, "burst") == ["known"]
    assert dependants(analysis, "friends") == ["ratio", "risky"]
    assert dependants(analysis, "again") == []
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
    huge = replace(constant_of("burst", 1), text="1e300", value=1e300)
    for constant in (constant_of("burst", 1), constant_of("burst", 2), constant_of("ratio", 3), huge):
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
    constant = find(analysis, "burst").constants[0]
    broken = replace(constant, span=replace(constant.span, start=constant.span.start - 3))
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
