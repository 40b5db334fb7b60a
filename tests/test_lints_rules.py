"""Rules without effect, twice, outdone, silenced by a missing field, without a test."""

from __future__ import annotations

from tests.lint_bundle import SCHEMA, at, places, said

# ------------------------------------------------------------- no effect


def test_a_rule_that_nobody_notices() -> None:
    assert places("rule r on message when flag\n", "no-effect") == ["r"]
    assert places('rule r on message when flag because "seen" tag "x"\n', "no-effect") == ["r"]


def test_rules_that_somebody_notices() -> None:
    for text in (
        "rule r on message when flag then flag\n",
        'rule r on message when flag then send "queue"\n',
        'rule r on message when flag then label author "spammer"\n',
        "rule r on message when flag mode shadow\n",
        "rule r on message when flag mode off\n",
        "rule r on message when flag\nrule s on message when fired r then block\n",
        "rule r on message when flag\nrule s on message when count(fired r within 1d) > 3 then block\n",
        "rule r on message when flag\nlet known = fired r\nrule s on message when known then block\n",
        "rule r on message when flag then exempt from s\nrule s on message when risk > 3 then block\n",
    ):
        assert places(text, "no-effect") == []


def test_a_rollout_of_nobody() -> None:
    assert places("rule r on message when flag then block rollout 0% by author\n", "no-effect") == [
        "rollout 0% by author"
    ]
    assert places("rule r on message when flag then block rollout 1% by author\n", "no-effect") == []


def test_an_exemption_that_meets_nobody() -> None:
    others = (
        'rule s on note when risk > 3 then flag tag "x"\nrule t on message when risk > 4 then flag tag "y"\n'
    )
    exempting = "rule r on message when flag then exempt from {}\n"
    assert places(others + exempting.format("s"), "no-effect") == ["s"]
    assert places(others + exempting.format('tag "x"'), "no-effect") == ['tag "x"']
    (found,) = said(others + exempting.format("s"), "no-effect")
    assert found.hint == "it is on `note`"
    for meets in ("t", 'tag "y"', "all"):
        assert places(others + exempting.format(meets), "no-effect") == []
    off = "rule s on message when risk > 3 then flag mode off\n"
    assert places(off + exempting.format("s"), "no-effect") == []


# ------------------------------------------------------------- duplicates


def twins(*rules: str) -> list[str]:
    return places("".join(f"rule {r}\n" for r in rules), "duplicate-rule")


def test_two_rules_that_do_the_same() -> None:
    assert twins("a on message when flag then block", "b on message when flag then block") == ["b"]
    assert twins("b on message when flag then block", "a on message when flag then block") == ["a"]
    assert twins(
        "a on message when risk > 3 and flag then block", "b on message when flag and (risk > 3) then block"
    ) == ["b"]
    assert twins(
        'a on message when flag then block label author "spammer" because "one"',
        'b on message when flag then label author "spammer" block because "other"',
    ) == ["b"]


def test_a_rule_inside_one_on_more_events() -> None:
    wide, narrow = "a on message, note when risk > 3 then block", "b on note when risk > 3 then block"
    assert twins(wide, narrow) == ["b"]
    assert twins(narrow, wide) == ["b"]
    assert twins("a on message when risk > 3 then block", narrow) == []


def test_three_of_a_kind_are_two_copies() -> None:
    rules = [f"{name} on message when flag then block" for name in ("a", "b", "c")]
    assert twins(*rules) == ["b", "c"]


def test_names_are_seen_through() -> None:
    text = "let young = age < 1h\nrule a on message when young then block\n"
    assert places(text + "rule b on message when age < 60m then block\n", "duplicate-rule") == ["b"]


def test_rules_that_differ() -> None:
    first = "a on message when flag then block"
    for other in (
        "b on message when flag then review",
        "b on message when risk > 3 then block",
        "b on message when flag then block mode shadow",
        "b on message when flag then block rollout 50% by author",
        "b on message when flag then block limit 1 per author every 1h",
        'b on message when flag then block label author "spammer"',
        "b on note when risk > 3 then block",
        "b on message when flag then block mode off",
    ):
        assert twins(first, other) == []


def test_rules_that_differ_in_whom_they_exempt_or_who_exempts_them() -> None:
    judged = "s on message when risk > 3 then flag", "t on message when risk > 4 then flag"
    assert (
        twins(
            *judged, "a on message when flag then exempt from s", "b on message when flag then exempt from t"
        )
        == []
    )
    assert twins(
        *judged, "a on message when flag then exempt from s", "b on message when flag then exempt from s"
    ) == ["b"]
    assert (
        twins(
            "a on message when flag then block",
            "b on message when flag then block",
            "c on message when sure then exempt from a",
        )
        == []
    )


# ------------------------------------------------------------- verdicts


def test_the_lowest_verdict_changes_nothing() -> None:
    (found,) = said("rule r on message when flag then allow\n", "unreachable-verdict")
    assert found.message == "`allow` changes nothing: it is the answer anyway when no rule fires"
    assert found.hint == "to keep other rules from firing, write exempt from …"
    ladder = "verdicts for note fine < bad\n"
    assert places(ladder + "rule r on note when risk > 3 then fine\n", "unreachable-verdict") == ["fine"]
    assert places(ladder + "rule r on note when risk > 3 then bad\n", "unreachable-verdict") == []
    mixed = "verdicts for note bad < allow\n"
    assert places(mixed + "rule r on message, note when risk > 3 then allow\n", "unreachable-verdict") == []


def outdone(*rules: str) -> list[str]:
    return places("".join(f"rule {r}\n" for r in rules), "unreachable-verdict")


def test_a_verdict_that_another_rule_always_outdoes() -> None:
    assert outdone("a on message when flag then block", "b on message when flag then review") == ["review"]
    assert outdone(
        "a on message when flag then block", "b on message when flag and risk > 3 then review"
    ) == ["review"]
    text = "let bad = risk > 9\nrule a on message when bad then block\n"
    (found,) = said(text + "rule b on message when bad and flag then flag\n", "unreachable-verdict")
    assert found.message == "`flag` is never the answer: `a` asks for block whenever `b` fires"


def test_verdicts_that_can_be_the_answer() -> None:
    review = "b on message when flag and risk > 3 then review"
    for other in (
        "a on message when flag and risk > 3 then review",
        "a on message when risk > 4 then block",
        "a on message when flag or risk > 3 then block",
        "a on message when flag then block mode shadow",
        "a on message when flag then block rollout 50% by author",
        "a on message when flag then block limit 1 per author every 1h",
        "a on note when risk > 3 then block",
    ):
        assert outdone(other, review) == []
    assert (
        outdone("a on message when flag then block", review, "c on message when sure then exempt from a")
        == []
    )
    assert outdone(
        "a on message when flag then block", review, "c on message when sure then exempt from all"
    ) == ["review"]
    assert (
        outdone("a on message when risk > 3 then block", "b on message, note when risk > 3 then review") == []
    )


# ------------------------------------------------------- silenced by missing


def silenced(condition: str, names: str = "", more: str = "then block") -> list[str]:
    return [
        d.message for d in said(f"{names}rule r on message when {condition} {more}\n", "silenced-by-missing")
    ]


def test_an_optional_field_without_which_a_rule_is_silent() -> None:
    joined = ["`r` never fires when `joined` is missing"]
    for condition in (
        "at - joined < 7d",
        "not (at - joined > 7d)",
        "flag and at - joined < 7d",
        "(flag and joined < at) or (risk > 3 and joined > at)",
        "count(message by joined within 1h) > 3",
        "count(message by joined within 1h) reaches 3",
        "not (flag or joined < at)",
    ):
        assert silenced(condition) == joined
    assert silenced("young", "let young = at - joined < 7d\n") == joined
    assert silenced("sure") == ["`r` never fires when `sure` is missing"]
    assert silenced("length(bio) > 3 and likes > 2") == [
        "`r` never fires when one of `bio` and `likes` is missing"
    ]
    assert silenced('any words(bio) == "a"') == ["`r` never fires when `bio` is missing"]
    assert silenced("joined < at", more="then block mode shadow") == joined
    assert silenced("[w of words(content) where w == bio] contains content") == []
    assert silenced("any [w of words(content) where w == bio] == content") == []


def test_rules_that_speak_when_a_field_is_missing() -> None:
    for condition in (
        "flag or at - joined < 7d",
        "joined is missing or at - joined < 7d",
        "joined is present and at - joined < 7d",
        "joined is not missing and at - joined < 7d",
        "(joined ?? at) < at",
        "at - (joined ?? at) < 7d",
        "(at - joined ?? 0s) < 7d",
        "flag",
        "likes is missing",
        "count(message by author within 1h where joined < at) > 3",
        "size([m of mentions where joined < at]) >= 1",
    ):
        assert silenced(condition) == []


def test_speaking_of_a_field_through_a_name_is_enough() -> None:
    names = "let known = joined is present\nlet young = at - joined < 7d\n"
    assert silenced("known and young", names) == []
    assert silenced("young and (flag or not known)", names) == []


def test_a_score_is_not_silenced_by_one_line() -> None:
    names = "score danger\n  10 when at - joined < 7d\n  20 when flag\n"
    assert silenced("danger >= 10", names) == []


def test_an_exemption_that_is_silent_lets_nobody_through() -> None:
    judged = "rule s on message when risk > 3 then flag\n"
    assert silenced("joined < at", judged, "then exempt from s") == []
    assert silenced("joined < at", judged, "then review exempt from s") == [
        "`r` never fires when `joined` is missing"
    ]


def test_the_field_is_shown() -> None:
    (found,) = said("rule r on message when joined < at then block\n", "silenced-by-missing")
    assert found.hint == "say what a missing one means: joined is present and …, or (joined ?? …)"
    (related,) = found.related
    assert (SCHEMA[related.span.start : related.span.end], related.message) == (
        "joined",
        "`joined` may be missing",
    )


# ------------------------------------------------------------------ tests

TEST = 'test "t"\n  given message {}\n'


def test_a_rule_that_no_test_names() -> None:
    rules = 'rule a on message when flag then block\nrule b on message when sure then block because "x"\n'
    assert places(rules + TEST + "  expect block by a\n", "missing-test") == ["b"]
    for expect in (
        "block by b",
        "not block by b",
        "fired b",
        "not fired b",
        'message "x" by b',
        "fired b on the first",
    ):
        assert places(rules + TEST + f"  expect fired a\n  expect {expect}\n", "missing-test") == []


def test_rules_that_do_not_act_need_no_test() -> None:
    for mode in ("shadow", "off"):
        assert places(f"rule a on message when flag then block mode {mode}\n", "missing-test") == []


def test_a_bundle_without_tests_is_told_once() -> None:
    rules = "rule b on message when flag then block\nrule a on message when sure then block\n"
    (found,) = said(rules, "missing-test")
    assert (found.message, at(found, rules)) == ("none of the 2 rules has a test", "b")
    (found,) = said("rule a on message when flag then block\n", "missing-test")
    assert found.message == "`a` has no test"


def test_nothing_is_called_untested_where_a_test_could_not_be_read() -> None:
    text = "rule a on message when flag then block\n" + TEST + "  expect block by\n"
    assert places(text, "missing-test", errors=True) == []
