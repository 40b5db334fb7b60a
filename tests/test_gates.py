"""`--fail-if`: what can be written, what it means, and what is said of what cannot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.replay.backtest_quality import rate_of
from quell.replay.gate_text import GateError, read_gate
from quell.replay.gates import FIGURES, Known, gate_of, judge
from quell.replay.report_data import (
    Backtest,
    Comparison,
    CounterChange,
    Differences,
    Flow,
    Gate,
    Quality,
    RuleChange,
    RuleRow,
    Source,
    Timeline,
    VerdictRow,
    Warmup,
)

KNOWN = Known(frozenset({"flood", "old", "new"}), frozenset({"allow", "hold back", "block"}), True, True)


def quality(right: int, wrong: int, missed: int, spared: int) -> Quality:
    return Quality(
        right, wrong, 0, missed, spared, rate_of(right, right + wrong), rate_of(right, right + missed),
        rate_of(wrong, wrong + spared),
    )  # fmt: skip


def backtest(*, fired: int, blocked: Quality | None, rule: str = "flood") -> Backtest:
    row = RuleRow(rule, "live", "p.quell:1", 1_000, fired, 0.0, 0, 0, 0, 50, 1.0, [], quality=blocked)
    verdicts = [VerdictRow("allow", 990, 0.99, []), VerdictRow("block", 10, 0.01, [], quality=blocked)]
    return Backtest(
        bundle="b", policies="b", version="1", timeline=Timeline([], 1, []), verdicts=verdicts, rules=[row],
        overlaps=[], warmup=Warmup("", 0, False), ways=[], seconds=0.0, events=1_000,
        source=Source(["f"], 1_010, 1_000, {}, 0, 10, 0, "time", 0),
    )  # fmt: skip


@pytest.fixture
def made() -> Comparison:
    return Comparison(
        before=backtest(fired=5, blocked=quality(9, 1, 1, 989), rule="old"),
        after=backtest(fired=12, blocked=quality(8, 4, 2, 986)),
        flows=[Flow("allow", "allow", 980), Flow("allow", "block", 7), Flow("block", "block", 3),
               Flow("hold back", "block", 2), Flow("block", "allow", 8)],
        changed=17, harsher=9, milder=8,
        rules=[RuleChange("flood", "renamed", 5, 12, 9, 2, was="old")],
        counters=[CounterChange("c", "new", "1h", "1h"), CounterChange("d", "gone", "1h", "")],
        events=1_000, caught=7, let_go=8, ladder=["allow", "hold back", "block"], newly_refused=3,
        differences=Differences(events=20, newly_hit=9),
    )  # fmt: skip


def gate(text: str, report: Comparison | Backtest) -> Gate:
    return judge(gate_of(text, KNOWN), report)


@pytest.mark.parametrize(
    ("text", "failed", "shown"),
    [
        ("new_blocks > 0.8%", True, "new_blocks is 9 (0.90% of 1,000 events)"),
        ("new_blocks > 0.9%", False, "new_blocks is 9 (0.90% of 1,000 events)"),
        ("new_block >= 9", True, "new_block is 9 (0.90% of 1,000 events)"),
        ('new("hold back") == 0', True, "new(hold back) is 0 (0.00% of 1,000 events)"),
        ("changed != 17", False, "changed is 17 (1.70% of 1,000 events)"),
        ("harsher > milder_is_not_needed", None, ""),
        ("harsher > 9 or milder < 9", True, "harsher is 9 (0.90% of 1,000 events), milder is 8 (0.80% of"),
        ("harsher > 8 and milder < 8", False, ""),
        ("(harsher > 8 and milder < 8) or newly_caught >= 7", True, ""),
        ("newly_let_go <= 1%", True, "newly_let_go is 8"),
        ("new_hits > 1_000", False, ""),
        ("newly(flood) > 8", True, "newly(flood) is 9"),
        ("newly(old) > 8", True, "newly(old) is 9"),
        ("no_longer(`flood`) == 2", True, ""),
        ("newly(new) == 0", True, ""),
        ("newly_refused > 0", True, "newly_refused is 3 (0.30% of 1,010 records)"),
        ("refused > 1%", False, "refused is 10 (0.99% of 1,010 records)"),
        ("cold > 0", True, "cold is 1"),
        ("hits(flood) > 1.1%", True, "hits(flood) is 12 (1.20% of 1,000 events)"),
        ("missing > 4.9%", True, "missing is 50 (5.00% of 1,000 conditions asked)"),
        ("missing(flood) > 5%", False, ""),
        ("verdict(block) > 9", True, ""),
        ("precision < 70%", True, "precision is 66.67%"),
        ("recall < 80%", False, "recall is 80.00%"),
        ("recall(block) <= 0.8", True, ""),
        ("false_positives > 0.4%", True, ""),
        ("precision_drop > 23.33%", True, "precision_drop is 23.33%"),
        ("recall_drop(flood) > 10%", False, "recall_drop(flood) is 10.00%"),
        ("precision(new) < 90%", True, "precision(new) cannot be told"),
        ("hits(new) > 0 and precision(new) < 90%", False, ""),
        ("hits(new) == 0 or precision(new) < 90%", True, ""),
    ],
)
def test_what_gates_say(made: Comparison, text: str, failed: bool | None, shown: str) -> None:
    if failed is None:
        with pytest.raises(GateError):
            gate(text, made)
        return
    found = gate(text, made)
    assert found.failed is failed, found.shown
    assert found.shown.startswith(shown)
    assert found.text == text


def test_every_figure_can_be_named(made: Comparison) -> None:
    for name, figure in FIGURES.items():
        argument = (
            "" if not figure.takes or figure.optional else "block" if figure.takes == "verdict" else "flood"
        )
        found = gate(f"{name}({argument}) > 1" if argument else f"{name} > 1", made)
        assert found.value is not None, name


def test_the_figures_of_one_bundle(made: Comparison) -> None:
    assert gate("hits(flood) == 12 and refused == 10 and precision < 70%", made.after).failed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "nothing is compared (at character 1 of ``)"),
        ("new_blocks", "a comparison is missing (at character 11"),
        ("new_blocks >", "a number or a percentage is missing (at character 13"),
        ("new_blocks > 1 2", "`2` does not belong here (at character 16"),
        ("new_blocks = 1", "`=` compares nothing (at character 12"),
        ("new_blocks > 1 and", "a figure is missing (at character 19"),
        ("(new_blocks > 1", "this parenthesis is not closed (at character 1"),
        ("newly(flood > 1", "this parenthesis is not closed (at character 6"),
        ("hits() > 1", "the name of a rule or a verdict is missing (at character 6"),
        ("3 > 1", "`3` is no figure (at character 1"),
        ("new_blocks > 1 && changed > 1", "`&` does not belong here (at character 16"),
        (
            "new_blcoks > 1",
            "there is no figure `new_blcoks` (at character 1 of `new_blcoks > 1`): did you mean",
        ),
        (
            "hits(floud) > 1",
            "there is no rule `floud` (at character 1 of `hits(floud) > 1`): did you mean `flood`",
        ),
        ("verdict(flood) > 1", "there is no verdict `flood`"),
        ("hits > 1", "`hits` needs a rule"),
        ("changed(flood) > 1", "`changed` takes nothing in parentheses"),
        ("new_block(flood) > 1", "`new_block` takes nothing in parentheses"),
        (
            "precision < 95",
            "`precision` is a share, and never more than 1 (at character 1 of `precision < 95`): write",
        ),
        ("cold > 1%", "`cold` is a number, and no share of anything"),
        ("(" * 60 + "changed > 1" + ")" * 60, "too many parentheses"),
        ("changed > 1 or " * 500 + "changed > 1", "a gate is at most 2,000 characters long"),
    ],
)
def test_what_cannot_be_read(text: str, told: str) -> None:
    with pytest.raises(GateError) as caught:
        gate_of(text, KNOWN)
    assert str(caught.value).startswith(told)


def test_what_is_not_there_is_asked_for() -> None:
    alone = Known(KNOWN.rules, KNOWN.verdicts, False, False)
    with pytest.raises(GateError, match=r"compares two versions.*--against"):
        gate_of("changed > 1", alone)
    with pytest.raises(GateError, match=r"needs labels.*--labels"):
        gate_of("precision < 1", alone)
    with pytest.raises(GateError, match="there is no figure `new_blocks`"):
        gate_of("new_blocks > 1", Known(frozenset(), frozenset({"pass"}), True, False))


@given(st.text('newblocks_(>=<!)0123456789.%&|`"ando r\n\0é', max_size=60))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    at = 1
    try:
        read_gate(text)
    except GateError as error:
        at = error.at
    assert 1 <= at <= len(text) + 1
