"""Conditions that are always the same, and parts that another part makes superfluous."""

from __future__ import annotations

import pytest

from tests.lint_bundle import ABOUT_CONDITIONS, at, check, idle, mended, places, said

NEVER = [
    ("length(content) < 0", "length(content) < 0"),
    ("risk > 5 and risk < 3", "risk < 3"),
    ("risk > 5 and flag and risk <= 5", "risk <= 5"),
    ('lang == "en" and lang == "de"', 'lang == "de"'),
    ('lang != "en" and lang != "de" and lang != "fr"', 'lang != "fr"'),
    ('channel in ["a", "b"] and channel == "c"', 'channel == "c"'),
    ('channel == "abc" and channel starts with "b"', 'channel starts with "b"'),
    ('content starts with "ab" and content starts with "b"', 'content starts with "b"'),
    ('not (content contains "a") and content contains "ab"', 'content contains "ab"'),
    ("flag and not flag", "not flag"),
    ("flag == false and flag", "flag"),
    ("age < 1h and age > 2h", "age > 2h"),
    ("risk in [1, 2] and risk > 5", "risk > 5"),
    ("risk < trust and risk > trust", "risk > trust"),
    ("risk > risk", "risk > risk"),
    ("joined is missing and joined < at", "joined < at"),
    ("at - joined < 7d and joined is missing", "joined is missing"),
    ("risk > 5 and not (risk > 3)", "not (risk > 3)"),
    ("(risk > 5 and flag) and risk < 3", "risk < 3"),
    ('author labelled "spammer" and not (author labelled "spammer")', 'not (author labelled "spammer")'),
    ("count(message by author within 1h) < 1", "count(message by author within 1h) < 1"),
    ("count(note by author within 1h) < 0", "count(note by author within 1h) < 0"),
    (
        "count(message by author within 1m) >= 5 and count(message by author within 1h) < 5",
        "count(message by author within 1h) < 5",
    ),
    ("count(message by author within 1m where risk > 2) > 3 and 1 > 2", "1 > 2"),
    ("upper_ratio(content) > 70", "70"),
    ('similarity(content, "x") >= 80', "80"),
    ("false", "false"),
]


@pytest.mark.parametrize(("condition", "part"), NEVER)
def test_a_condition_that_cannot_be_true(condition: str, part: str) -> None:
    assert idle(condition) == [("never-true", part)]


ALWAYS = [
    ("length(content) >= 0", "length(content) >= 0"),
    ("risk > 5 or risk <= 5", "risk > 5 or risk <= 5"),
    ('channel != "a" or channel != "b"', 'channel != "a" or channel != "b"'),
    ("flag or not flag", "flag or not flag"),
    ("flag or size(mentions) >= 0", "size(mentions) >= 0"),
    ("count(message by author within 1h) > 0", "count(message by author within 1h) > 0"),
    (
        "distinct(content of message by author within 1h) >= 1",
        "distinct(content of message by author within 1h) >= 1",
    ),
    ("count(message by author ever) != 0", "count(message by author ever) != 0"),
    ('content contains ""', 'content contains ""'),
    ("risk >= risk", "risk >= risk"),
    ("likes > 5 or likes <= 5", "likes > 5 or likes <= 5"),
    ("length(bio) >= 0", "length(bio) >= 0"),
]


@pytest.mark.parametrize(("condition", "part"), ALWAYS)
def test_a_condition_that_cannot_be_false(condition: str, part: str) -> None:
    assert idle(condition) == [("always-true", part)]


PARTS = [
    ("flag and length(content) >= 0", "length(content) >= 0"),
    ("flag or length(content) < 0", "length(content) < 0"),
    ("flag and 1 < 2", "1 < 2"),
    ("risk > 5 and (risk < 3 or flag)", "risk < 3"),
    ("flag and (risk > 9 or upper_ratio(content) > 2)", "2"),
    ("flag and (risk > 9 or not (length(content) >= 0))", "not (length(content) >= 0)"),
    ("flag and not (risk > 5 and risk < 3)", "risk < 3"),
    ("flag or (risk > 5 and risk < 3)", "risk < 3"),
    ("flag and length(bio) >= 0", "length(bio) >= 0"),
    ("flag and count(message by author within 1h) >= 1", "count(message by author within 1h) >= 1"),
]


@pytest.mark.parametrize(("condition", "part"), PARTS)
def test_a_part_that_is_always_the_same(condition: str, part: str) -> None:
    assert idle(condition) == [("constant-condition", part)]


SUBSUMED = [
    ("risk > 5 and risk > 3", "risk > 3"),
    ("risk > 3 and risk > 5", "risk > 3"),
    ("risk > 3 and risk >= 3", "risk >= 3"),
    ("risk > 5 or risk > 3", "risk > 5"),
    ("likes > 5 and likes > 3", "likes > 3"),
    ("flag or (flag and risk > 3)", "flag and risk > 3"),
    ("flag and (flag or risk > 3)", "flag or risk > 3"),
    ("risk > 5 and (risk > 3 or flag)", "risk > 3 or flag"),
    ("flag and flag", "flag"),
    ("risk > 3 or flag or risk > 3", "risk > 3"),
    ('channel in ["a", "b"] and channel == "a"', 'channel in ["a", "b"]'),
    ('channel in ["a", "b"] or channel == "a"', 'channel == "a"'),
    ('channel == "a" and channel != "b"', 'channel != "b"'),
    ('content starts with "ab" and content starts with "a"', 'content starts with "a"'),
    ('content ends with "money" or content ends with "free money"', 'content ends with "free money"'),
    ('content contains "free money" or content contains "free"', 'content contains "free money"'),
    ('content starts with "free money" and content contains "free"', 'content contains "free"'),
    ("age < 1h and age < 2h", "age < 2h"),
    ("0 < risk < 10 and risk < 20", "risk < 20"),
    ("not (risk > 5 or flag) and risk < 9", "risk < 9"),
    ("joined < at and joined <= at", "joined <= at"),
    (
        "count(message by author within 1m) >= 10 and count(message by author within 1h) >= 3",
        "count(message by author within 1h) >= 3",
    ),
    (
        "count(message by author within 1h) reaches 10 and count(message by author within 1h) > 2",
        "count(message by author within 1h) > 2",
    ),
]


@pytest.mark.parametrize(("condition", "part"), SUBSUMED)
def test_a_part_that_another_makes_superfluous(condition: str, part: str) -> None:
    assert idle(condition) == [("subsumed", part)]


FINE = [
    "risk > 3 and risk < 5",
    "risk >= 3 and risk <= 3",
    "risk > 5 or risk < 3",
    "risk > 5 and trust > 3",
    "risk > trust and trust > 3",
    "risk < trust or risk > trust",
    'lang == "en" or lang == "de"',
    'lang != "en" and lang != "de"',
    'channel in ["a", "b"] and channel != "a"',
    'content starts with "a" and content ends with "b"',
    'content starts with "a" and content contains "b"',
    'content contains "ab" and not (content contains "abc")',
    'content contains "free" and content contains "money"',
    'content == "a" or content starts with "b"',
    "joined is present and at - joined < 7d",
    "joined is missing or at - joined < 7d",
    "joined is missing or joined > at",
    "(joined ?? at) < at and joined < at",
    "bio is present and length(bio) > 3",
    "bio is missing and flag",
    "flag and (sure or risk > 3)",
    "sure and not flag",
    "not (risk > 5 and trust > 3)",
    "count(message by author within 1h before this) > 0",
    "count(message by author within 1h before 1h ago) > 0",
    "count(message by author within 1h where flag) > 0",
    "count(note by author within 1h) > 0",
    "count(message by server, author within 1h) > 1",
    "count(message by author as User(content) within 1h) > 0",
    "distinct(bio of message by author within 1h) >= 1",
    "distinct(mentions of message by author within 1h) >= 1",
    "count(message by author within 1m) >= 3 and count(message by author within 1h) >= 10",
    "count(message by author within 1h) >= 3 and count(message by author within 1m) < 3",
    "count(message by author within 1h) >= 3 and count(message by server within 1m) < 3",
    "count(message by author within 1h) - count(message by author within 1m) > 5",
    "any mentions == author and flag",
    'any mentions == User("a") and any mentions == User("b")',
    'author labelled "spammer" and not (author labelled "trusted")',
    "upper_ratio(content) > 70%",
    "upper_ratio(content) >= 1",
    'similarity(content, "x") > 0',
    "risk / 2 > 5 and risk < 3",
    "likes > 5 or likes is missing",
    "true",
]


@pytest.mark.parametrize("condition", FINE)
def test_conditions_that_may_come_out_either_way(condition: str) -> None:
    assert idle(condition) == []


def test_the_reason_is_told() -> None:
    def message(condition: str) -> str:
        return said(f"rule r on message when {condition} then block\n", *ABOUT_CONDITIONS)[0].message

    assert message("length(content) < 0 and flag") == (
        "`length(content) < 0` is never true: `length(content)` is never below 0, so this rule never fires"
    )
    assert message("count(message by author within 1h) > 0 and flag") == (
        "`count(message by author within 1h) > 0` is always true: `count(message by author within 1h)` is "
        "never below 1, since it counts the present event too"
    )
    assert message("risk > 5 and risk < 3") == (
        "`risk < 3` is never true beside `risk > 5`, so this rule never fires"
    )
    assert message("risk > 5 and risk > 3") == "`risk > 3` adds nothing: it is true whenever `risk > 5` is"
    assert message("risk > 5 or risk > 3") == "`risk > 5` adds nothing: `risk > 3` is true whenever it is"
    assert message("flag and flag") == "`flag` stands here twice"
    assert message("likes > 5 or likes <= 5") == (
        "one of `likes > 5` and `likes <= 5` is always true, unless something in it is missing"
    )


def test_the_other_part_is_shown() -> None:
    text = "rule r on message when risk > 5 and flag and risk < 3 then block\n"
    (found,) = said(text, "never-true")
    (related,) = found.related
    assert (related.span.end - related.span.start, related.message) == (len("risk > 5"), "the other one")


def test_a_list_in_disguise_is_hinted_at() -> None:
    (never,) = said('rule r on message when channel == "a" and channel == "b" then block\n', "never-true")
    assert never.hint == 'write channel in ["a", "b"]'
    (always,) = said('rule r on message when channel != "a" or channel != "b" then block\n', "always-true")
    assert always.hint == 'if both must hold, write and, or channel not in ["a", "b"]'


def test_a_percentage_without_its_sign_is_mended() -> None:
    text = "rule r on message when upper_ratio(content) > 70 then block\n"
    (found,) = said(text, "never-true")
    assert (found.hint, found.replacement) == ("write 70%", "70%")
    assert said(mended(text, found), "never-true") == []


# ------------------------------------------------------------ through names


def test_lets_are_seen_through() -> None:
    text = "let young = age < 1h\nrule r on message when young and age > 2h then block\n"
    assert places(text, *ABOUT_CONDITIONS) == ["age > 2h"]
    text = "let young = age < 1h\nrule r on message when young and age < 1h then block\n"
    assert places(text, *ABOUT_CONDITIONS) == ["age < 1h"]


def test_a_let_is_told_of_where_it_stands_and_not_where_it_is_used() -> None:
    text = """\
let odd = risk > 5 and risk < 3
rule r on message when odd and flag then block
rule s on message when odd then block
"""
    assert [(d.code, at(d, text)) for d in said(text, *ABOUT_CONDITIONS)] == [("never-true", "risk < 3")]


def test_a_named_switch_is_meant_to_be_constant() -> None:
    text = """\
let strict = true
let limit_of_age = 1h
rule r on message when strict and age < limit_of_age then block
rule s on message when not strict then flag
"""
    assert said(text, *ABOUT_CONDITIONS) == []


def test_a_let_on_two_events_must_be_idle_on_both() -> None:
    text = """\
let many = count(message by author within 1h) >= 1
rule r on message, note when many and risk > 2 then block
"""
    assert said(text, *ABOUT_CONDITIONS) == []
    text = "rule r on message, note when risk > 5 and risk < 3 then block\n"
    assert places(text, *ABOUT_CONDITIONS) == ["risk < 3"]


def test_the_body_of_a_function() -> None:
    text = """\
let between(x: number) = x > 5 and x < 3
let low(x: number) = x < 3
rule r on message when between(risk) or low(2) or low(risk) then block
"""
    assert places(text, "never-true") == ["x < 3"]


def test_the_lines_of_a_score() -> None:
    text = """\
score danger
  10 when risk > 5 and risk < 3
  20 when length(content) >= 0
  5 when true
  5 when flag
rule r on message when danger >= 5 then block
"""
    assert [(d.code, at(d, text)) for d in said(text, *ABOUT_CONDITIONS)] == [
        ("never-true", "risk < 3"),
        ("always-true", "length(content) >= 0"),
    ]


def test_a_score_cannot_pass_the_sum_of_its_points() -> None:
    score = "score danger\n  10 when flag\n  20 when risk > 3\n  minus 5 when sure\n"
    assert places(score + "rule r on message when danger > 30 then block\n", "never-true") == ["danger > 30"]
    assert places(score + "rule r on message when danger >= -5 then block\n", "always-true") == [
        "danger >= -5"
    ]
    assert said(score + "rule r on message when danger >= 30 then block\n", *ABOUT_CONDITIONS) == []


def test_what_stands_after_where() -> None:
    text = """\
let counted = count(message by author within 1h where risk > 5 and risk < 3)
let chosen = [m of mentions where m == author and m != author]
let within = count(message by author within 1h where count(message by author within 1m) >= 1)
rule r on message when counted > 3 or size(chosen) > 2 or within > 2 then block
"""
    assert [(d.code, at(d, text)) for d in said(text, *ABOUT_CONDITIONS)] == [
        ("never-true", "risk < 3"),
        ("never-true", "m != author"),
        ("always-true", "count(message by author within 1m) >= 1"),
    ]
    assert said(text, "never-true")[0].message.endswith("so nothing is ever counted")


def test_firings_that_cannot_be_seen() -> None:
    others = """\
rule elsewhere on note when risk > 5 then flag
rule watched on message when risk > 6 then flag mode shadow
rule idle on message when risk > 7 then flag mode off
rule here on message when risk > 8 then flag
"""

    def told(condition: str, more: str = "") -> list[str]:
        text = f"{others}rule r on message when {condition} then block{more}\n"
        return [d.message for d in said(text, *ABOUT_CONDITIONS)]

    assert told("fired elsewhere") == [
        "`fired elsewhere` is never true: `elsewhere` is not on `message`, so this rule never fires"
    ]
    assert told("flag or fired idle") == ["`fired idle` is never true: `idle` is off"]
    assert told("flag and not fired watched") == [
        "`not fired watched` is always true: `watched` is in shadow, and live rules do not see it fire"
    ]
    assert told("flag and not fired watched", " mode shadow") == []
    assert told("fired here and flag") == []


def test_what_was_told_when_it_was_checked_is_not_told_again() -> None:
    text = "rule r on message when content is missing or flag then block\n"
    assert [d.message for d in said(text, *ABOUT_CONDITIONS)] == [
        "this is never missing, so `is missing` is always false"
    ]


def test_a_rule_that_is_off_is_left_alone() -> None:
    assert said("rule r on message when risk > 5 and risk < 3 then block mode off\n", *ABOUT_CONDITIONS) == []


# ------------------------------------------------------------ hostile input


def test_many_parts_are_no_burden() -> None:
    many = " or ".join(f'content contains "word {i} of many"' for i in range(1500))
    assert idle(many) == []
    rising = " and ".join(f"risk > {i}" for i in range(1000))
    assert 100 < len(idle(rising)) <= 200


def test_deep_nesting_is_no_burden() -> None:
    deep = "risk > 0"
    for i in range(1, 50):
        deep = f"({deep} {'or' if i % 2 else 'and'} trust > {i} and flag)"
    assert check(f"rule r on message when {deep} then block\n").report.errors == []


def test_errors_elsewhere_do_not_stop_the_lint() -> None:
    text = """\
rule broken on message when nobody > 5 and risk < 3 then block
rule r on message when risk > 5 and risk < 3 then block
rule s on message when
"""
    assert places(text, "never-true", errors=True) == ["risk < 3"]
