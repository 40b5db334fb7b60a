"""Rates against values worked out by hand or published."""

from __future__ import annotations

import pytest

from quell.replay.quality import Rate, Tally, wilson

SPAM = {"label": "abuse", "kind": "link_spam", "campaign": "link_spam-1"}
SPAM_2 = {"label": "abuse", "kind": "link_spam", "campaign": "link_spam-2"}
SLUR = {"label": "abuse", "kind": "slur", "campaign": "slur-1"}
PLAIN = {"label": "benign", "kind": "", "campaign": ""}
TRAP = {"label": "benign", "kind": "trap_release", "campaign": "trap_release-1"}


def test_wilson_gives_published_values() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3 (score without continuity correction).
    for hits, of, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        got = wilson(hits, of)
        assert got == pytest.approx((low, high), abs=5e-5)


def test_wilson_is_symmetric_and_stays_within_bounds() -> None:
    for of in (1, 2, 7, 1000):
        for hits in range(0, of + 1, max(1, of // 7)):
            low, high = wilson(hits, of)
            assert 0 <= low <= hits / of <= high <= 1
            mirrored = wilson(of - hits, of)
            assert (1 - high, 1 - low) == pytest.approx(mirrored)


def test_wilson_of_no_trials_knows_nothing_and_of_nonsense_is_refused() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    for hits, of in ((-1, 3), (4, 3), (1, 0)):
        with pytest.raises(ValueError, match=f"{hits} of {of}"):
            wilson(hits, of)


def test_a_rate_without_trials_has_no_value() -> None:
    assert Rate(0, 0).value is None
    assert Rate(1, 4).value == 0.25


def test_decisions_are_counted_by_what_was_right() -> None:
    tally = Tally({"review", "block"})
    tally.add("block", ["flood", "score"], SPAM)
    tally.add("review", ["score"], SPAM)
    tally.add("flag", ["hint"], SPAM_2)
    tally.add("allow", [], SLUR)
    tally.add("block", ["flood"], TRAP)
    tally.add("allow", [], TRAP)
    tally.add("review", ["score"], PLAIN)
    for _ in range(5):
        tally.add("allow", [], PLAIN)
    tally.add("block", ["flood"], None)
    found = tally.quality()
    assert (found.decisions, found.unlabelled) == (13, 1)
    assert found.precision == Rate(2, 4)
    assert found.recall == Rate(2, 4)
    assert found.false_positives == Rate(2, 8)


def test_each_rule_has_the_precision_of_its_own_firings() -> None:
    tally = Tally(["block"])
    tally.add("block", ["flood", "score"], SPAM)
    tally.add("allow", ["score"], SLUR)  # a shadow or low rule still fired on abuse
    tally.add("block", ["flood"], TRAP)
    tally.add("block", ["flood"], PLAIN)
    found = tally.quality()
    assert [r.rule for r in found.rules] == ["flood", "score"]
    flood, score = found.rule("flood"), found.rule("score")
    assert flood is not None
    assert score is not None
    assert flood.precision == Rate(1, 3)
    assert list(flood.kinds.items()) == [("benign", 1), ("link_spam", 1), ("trap_release", 1)]
    assert score.precision == Rate(2, 2)
    assert found.rule("unheard of") is None


def test_kinds_tell_events_from_campaigns() -> None:
    tally = Tally(["block"])
    tally.add("allow", [], SPAM)
    tally.add("block", ["flood"], SPAM)
    tally.add("allow", [], SPAM_2)
    tally.add("block", ["flood"], TRAP)
    found = tally.quality()
    assert [k.kind for k in found.kinds] == ["link_spam", "trap_release"]
    spam, trap = found.kind("link_spam"), found.kind("trap_release")
    assert spam is not None
    assert trap is not None
    assert (spam.label, spam.caught, spam.campaigns) == ("abuse", Rate(1, 3), Rate(1, 2))
    assert dict(spam.verdicts) == {"allow": 2, "block": 1}
    assert (trap.label, trap.caught) == ("benign", Rate(1, 1))
    assert found.kind("") is None


def test_a_truth_that_says_nothing_known_is_refused() -> None:
    with pytest.raises(ValueError, match="'spam'"):
        Tally(["block"]).add("block", [], {"label": "spam"})
    with pytest.raises(ValueError, match="at least one"):
        Tally([])
