"""Lints about what is written: precedence, durations, patterns, counts, numbers in messages."""

from __future__ import annotations

import pytest

from tests.lint_bundle import at, mended, places, said

RULE = "rule r on message when {} then block\n"

# ------------------------------------------------------------- and with or


@pytest.mark.parametrize(
    ("condition", "part"),
    [
        ("flag or sure and risk > 3", "sure and risk > 3"),
        ("sure and risk > 3 or flag", "sure and risk > 3"),
        ("flag or (sure and risk > 3 or flag and risk > 4) and sure", None),
        ("not (flag or sure and risk > 3)", "sure and risk > 3"),
        ("size([m of mentions where flag or sure and m == author]) > 0", "sure and m == author"),
        ("count(message by author within 1h where flag or sure and risk > 3) > 2", "sure and risk > 3"),
    ],
)
def test_and_with_or_without_parentheses(condition: str, part: str | None) -> None:
    found = places(RULE.format(condition), "mixed-and-or")
    if part is None:
        assert found == [
            "(sure and risk > 3 or flag and risk > 4) and sure", "sure and risk > 3", "flag and risk > 4"
        ]  # fmt: skip
    else:
        assert found == [part]


@pytest.mark.parametrize(
    "condition",
    [
        "flag or (sure and risk > 3)",
        "flag and (sure or risk > 3)",
        "flag and sure and risk > 3",
        "flag or not sure",
    ],
)
def test_parentheses_say_which_comes_first(condition: str) -> None:
    assert places(RULE.format(condition), "mixed-and-or") == []


def test_parentheses_are_put_where_they_were_thought() -> None:
    text = RULE.format("flag or sure and risk > 3")
    (found,) = said(text, "mixed-and-or")
    assert mended(text, found) == RULE.format("flag or (sure and risk > 3)")


def test_what_a_test_expects_is_read_too() -> None:
    text = RULE.format("flag") + 'test "t"\n  given message {}\n  expect value flag or sure and flag\n'
    assert places(text, "mixed-and-or") == ["sure and flag"]


# --------------------------------------------------------------- durations


@pytest.mark.parametrize(
    ("written", "usual", "meant"),
    [
        ("25h", "1d", "1d1h"),
        ("23h", "1d", "1d - 1h"),
        ("61m", "1h", "1h1m"),
        ("59m", "1h", "1h - 1m"),
        ("61s", "1m", "1m1s"),
        ("301s", "5m", "5m1s"),
        ("169h", "7d", "7d1h"),
        ("25 * 1h", "1d", "1d1h"),
        ("1h * 25", "1d", "1d1h"),
    ],
)
def test_durations_just_beside_a_usual_one(written: str, usual: str, meant: str) -> None:
    text = RULE.format(f"age > {written}")
    (found,) = said(text, "odd-duration")
    assert (at(found, text), found.hint) == (written, f"write {usual}, or {meant} if that is meant")
    assert mended(text, found) == RULE.format(f"age > {usual}")
    assert places(RULE.format(f"age > {meant}"), "odd-duration") == []


def test_the_factor_of_a_product_is_told_of() -> None:
    assert places(RULE.format("age > 2 * 25h"), "odd-duration") == ["25h"]


@pytest.mark.parametrize(
    "written",
    [
        "24h",
        "1d",
        "48h",
        "90m",
        "26h",
        "22h",
        "31d",
        "29d",
        "6d",
        "45s",
        "1h1m",
        "1d1h",
        "1d + 1h",
        "2 * 12h",
        "3600s",
        "100ms",
    ],
)
def test_usual_durations(written: str) -> None:
    assert places(RULE.format(f"age > {written}"), "odd-duration") == []


def test_durations_are_looked_at_everywhere_but_in_tests() -> None:
    text = """\
rule r on message when count(message by author within 61m) > 3
  then label author "spammer" for 25h
       send "queue" limit 1 per author every 59s
test "just after the label ended"
  given message {} after 25h
  given message {} repeat 3 every 61s
  expect fired r
"""
    assert places(text, "odd-duration") == ["61m", "25h", "59s"]


# ---------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("pattern", "code", "part"),
    [
        ("/x^a/", "regex-anchor", "^"),
        (r"/a\/b$c/", "regex-anchor", "$"),
        ("/free|/", "regex-whole", "/"),
        ("/a*/", "regex-whole", "a"),
        ("/[e\u0301a]/", "regex-combining", "e"),
    ],
)
def test_patterns_that_cannot_mean_what_was_meant(pattern: str, code: str, part: str) -> None:
    text = RULE.format(f"content matches {pattern}")
    found = said(text, "regex-anchor", "regex-whole", "regex-combining")
    assert [(d.code, at(d, text)) for d in found] == [(code, part)]


@pytest.mark.parametrize("pattern", ["/^a.*b$/", r"/a\/b/", "/[éa]/", "/fr[e3]e money/i"])
def test_patterns_that_are_fine(pattern: str) -> None:
    assert (
        places(RULE.format(f"content matches {pattern}"), "regex-anchor", "regex-whole", "regex-combining")
        == []
    )


def test_a_pattern_for_any_text_is_fine_where_text_is_replaced() -> None:
    text = RULE.format('replace(content, /x*/, "") == "a"')
    assert places(text, "regex-whole") == []


# ------------------------------------------------------------------ counts


@pytest.mark.parametrize(
    ("condition", "mended_to"),
    [
        ("count(message by author within 1h) == 300", "count(message by author within 1h) reaches 300"),
        ("300 == count(message by author within 1h)", "count(message by author within 1h) reaches 300"),
        ("flag and seen == 5", "flag and seen reaches 5"),
        (
            "distinct(content of message by author ever) == 7",
            "distinct(content of message by author ever) reaches 7",
        ),
    ],
)
def test_a_counter_is_compared_with_equals(condition: str, mended_to: str) -> None:
    text = "let seen = count(message by author within 1h)\n" + RULE.format(condition)
    (found,) = said(text, "equals-count")
    assert mended(text, found).endswith(RULE.format(mended_to))
    assert places(mended(text, found), "equals-count") == []


@pytest.mark.parametrize(
    "condition",
    ["count(note by author within 1h) == 5", "count(message by author within 1h before this) == 5"],
)
def test_a_counter_that_cannot_reach(condition: str) -> None:
    (found,) = said(RULE.format(condition), "equals-count")
    assert found.replacement is None
    assert found.hint == "write " + condition.replace("==", ">=")


@pytest.mark.parametrize(
    "condition",
    [
        "count(message by author within 1h) >= 5",
        "count(message by author within 1h) reaches 5",
        "count(message by author ever) == 1",
        "count(note by author within 1h) == 0",
        "count(message by author within 1h) % 10 == 5",
        "count(message by author within 1h) == distinct(content of message by author within 1h)",
        "risk == 5",
        "size(mentions) == 5",
    ],
)
def test_equals_that_is_fine(condition: str) -> None:
    assert places(RULE.format(condition), "equals-count") == []


def test_a_test_may_say_how_many() -> None:
    text = """\
let seen = count(message by author within 1h)
rule r on message when seen > 3 then block
test "t"
  given message {} repeat 5
  expect value seen == 5
"""
    assert places(text, "equals-count") == []


def test_a_counter_inside_a_counter() -> None:
    text = RULE.format("count(message by author within 1h where count(message by author within 1m) == 5) > 2")
    assert places(text, "equals-count") == ["count(message by author within 1m) == 5"]


# ---------------------------------------------------------------- messages

NAMES = "let messages_1m = count(message by author within 1m)\n"


def told(condition: str, message: str) -> list[tuple[str, str | None]]:
    """The doubtful numbers of a reason, each with what should be there."""
    text = f'{NAMES}rule r on message when {condition} then block because "{message}"\n'
    return [(at(d, text), d.replacement) for d in said(text, "message-number")]


@pytest.mark.parametrize(
    ("condition", "message", "found"),
    [
        ("messages_1m > 10", "more than 20 messages in 1m", [("20", "10")]),
        ("messages_1m > 10", "20 messages in a minute", [("20", "10")]),
        ("messages_1m reaches 10", "at least 20 of them", [("20", "10")]),
        ("messages_1m > 1000", "over 2,000 messages", [("2,000", "1000")]),
        ("messages_1m > 10", "{messages_1m} messages within 5 minutes", [("5 minutes", "1 minute")]),
        ("messages_1m > 10", "{messages_1m} messages in 1h", [("1h", "1m")]),
        ("messages_1m > 10 and risk > 80%", "a risk above 70%", [("70%", "80%")]),
        ("flag and age < 7d", "an account younger than 30 days", [("30 days", "7 days")]),
        ("flag and age < 7d", "less than 30d old", [("30d", "7d")]),
        ("size(mentions) >= 12 and risk > 3", "20 mentions", [("20", "12")]),
        ("messages_1m > 10", r"a \"tab\" and more than 20", None),
    ],
)
def test_a_number_that_is_not_the_threshold(
    condition: str, message: str, found: list[tuple[str, str | None]] | None
) -> None:
    if found is None:  # the escapes hide where it stands, so the whole text is pointed at
        assert told(condition, message) == [(f'"{message}"', None)]
    else:
        assert told(condition, message) == found


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("messages_1m > 10", "more than 10 messages in 1m"),
        ("messages_1m >= 11", "more than 10 messages in 60 seconds"),
        ("messages_1m > 10", "11 messages or more"),
        ("messages_1m > 10", "{messages_1m} messages"),
        ("messages_1m > 10", "see article 17, rule 4.2 and covid-19, 24/7"),
        ("messages_1m > 10", "the account may write again in 24 hours"),
        ("messages_1m > 10", "the 3rd time, version 2.0 of $5.00"),
        ("messages_1m > 10", "one of 500 accounts like it"),
        ("messages_1m > 10 and risk > 3", "more than 20 of something"),
        ("at - joined < 7d and messages_1m > 3", "an account younger than 7 days with 3 messages"),
        ("(at - joined) / 1d < 7 and messages_1m > 3", "younger than 7 days"),
        ("messages_1m > 10 and risk > 0.8", "a risk above 80%"),
        ('messages_1m > 10 and channel == "top 20"', "more than 20 messages"),
        ("flag", "more than 20 messages"),
    ],
)
def test_numbers_that_are_fine(condition: str, message: str) -> None:
    assert told(condition, message) == []


def test_what_a_rule_does_is_part_of_it() -> None:
    text = (
        NAMES
        + """\
rule r on message when messages_1m > 10
  then block
       label author "spammer" for 30d
       send "queue" limit 3 per author every 6h
  because "over 3 messages within 6h and the past 30 days"
  rollout 25% by author
"""
    )
    assert places(text, "message-number") == []


def test_what_is_sent_is_a_message() -> None:
    sent = 'send "queue" { why: "over 20 messages", n: "{risk}" }'
    text = f"{NAMES}rule r on message when messages_1m > 10 then {sent}\n"
    assert places(text, "message-number") == ["20"]


def test_the_lines_of_a_score_are_beside_their_own_conditions() -> None:
    text = (
        NAMES
        + """\
score danger
  10 when messages_1m > 10 because "more than 10 messages"
  15 when messages_1m > 20 because "more than 10 messages"
  5 when flag because "more than 7 messages"
rule r on message when danger > 20 then block because "{danger} points"
"""
    )
    found = said(text, "message-number")
    assert [(at(d, text), d.replacement) for d in found] == [("10", "20")]
    assert (NAMES + text[len(NAMES) :]).index("15 when") < found[0].span.start


def test_thresholds_of_names_count() -> None:
    text = """\
let busy = count(message by author within 1m) > 10
rule r on message when busy then block because "over 20 messages"
rule s on message when busy then block because "over 10 messages"
"""
    assert places(text, "message-number") == ["20"]


def test_a_mended_message_is_fine() -> None:
    text = (
        NAMES + 'rule r on message when messages_1m > 10 then block because "over 20 messages in 5 minutes"\n'
    )
    for _ in range(2):
        text = mended(text, said(text, "message-number")[0])
    assert text.endswith('"over 10 messages in 1 minute"\n')
    assert places(text, "message-number") == []
