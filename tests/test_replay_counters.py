"""Counters over a history: equal, event for event, to what the online stores give."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.json import encode

from quell.engine.bundle import Files
from quell.engine.compile import analyse, build
from quell.engine.event_problems import Refusal
from quell.grammar.source import Source
from quell.replay.database import Database
from quell.signals.clock import BLOCK, LATENESS, Clock
from tests.replay_counters import Judge
from tests.strategies_policy import Case, cases

CLOCKS = ((BLOCK, LATENESS), (3, 5_000_000), (1, 0), (2, 1_000_000))
"""Events in a block of the watermark, and how old an event may be."""

_profile = settings.default
EXAMPLES = _profile.max_examples if _profile is not None and _profile.max_examples > 100 else 20
"""Each takes a fifth of a second."""


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    with Database(threads=1) as made:
        yield made


def differences(db: Database, case: Case, clock: tuple[int, int], in_order: bool) -> list[str]:
    """What replayed counters give differently on a generated history."""
    analysis = analyse(case.files(), lints=False)
    assert not analysis.report.errors, analysis.report.errors
    judge = Judge(build(analysis), Clock(clock[1], clock[0]))
    taken = [judge.stepper.decode(e) for e in case.events]
    if in_order:
        taken.sort(key=lambda e: 0 if isinstance(e, Refusal) else e.at)
    for n, event in enumerate(taken, 1):
        judge.take(n, event)
    assert judge.sorted or not in_order
    return judge.replayed(db)


POLICY = """
entity User
entity Card

event payment from "payment"
  at time = $.at
  author User = $.author
  card Card? = $.card
  amount number? = $.amount
  tags list<text>? = $.tags
  took duration? = $.took
  friends list<User>? = $.friends

event refund from "refund"
  at time = $.at
  author User = $.author
  amount number? = $.amount

rule told on payment
  when true
  then send "out" { told: %s }
"""
START = 1_700_000_000_000_000
PAYMENTS: tuple[tuple[int, str, str, float | None, list[str] | None], ...] = (
    # seconds, event, author, amount, tags
    (0, "payment", "a", 1.1, ["x", "y"]),
    (1, "payment", "b", 2.2, ["x"]),
    (1, "payment", "a", 3.3, ["y", "y"]),
    (1, "payment", "a", None, None),
    (2, "refund", "a", 0.7, None),
    (6, "payment", "a", 4.4, ["z", "x"]),
    (11, "payment", "a", 0.1, []),
    (11, "payment", "b", 0.2, ["x"]),
)
GIVEN: tuple[tuple[str, list[object] | None], ...] = (
    ("count(payment by author within 10s)", [1, 1, 2, 3, 4, 2, 1]),
    ("count(payment by author within 10s before this)", [0, 0, 1, 2, 3, 1, 0]),
    ("count(payment, refund by author within 5s)", [1, 1, 2, 3, 2, 1, 1]),
    ("count(payment by author ever)", [1, 1, 2, 3, 4, 5, 2]),
    ("count(payment by author within 5s resolution 2s)", [1, 1, 2, 3, 3, 1, 1]),
    ("count(payment by author within 2s before 5s ago)", [None, None, None, None, None, 1, 0]),
    ("count(refund by author within 10s)", [0, 0, 0, 0, 1, 1, 0]),
    ("count(payment by author within 10s where amount > 2)", [0, 1, 1, 1, 2, 1, 0]),
    ("count(payment by author as friends within 10s)", [None, None, None, None, None, None, None]),
    ("rate(payment by author per 1s within 10s)", [0.1, 0.1, 0.2, 0.3, 0.4, 0.2, 0.1]),
    ("count(payment by author within 10s) reaches 2", [False, False, True, False, False, True, False]),
    ("distinct(tags of payment by author within 10s)", [2, 1, 2, 2, 3, 2, 1]),
    ("distinct(tags of payment by author within 10s) reaches 2", [True, *[False] * 6]),
    ("distinct(tags of payment by author within 10s before this)", [0, 0, 2, 2, 2, 2, 0]),
    ("values(tags of payment by author within 10s)", [["y", "x"], ["x"], ["y", "x"], ["y", "x"],
                                                       ["x", "z", "y"], ["x", "z"], ["x"]]),
    ("sum(amount of payment by author within 10s)", [1.1, 2.2, 4.4, 4.4, 8.8, 4.5, 0.2]),
    ("sum(amount of payment by author within 10s) reaches 4", [*[False] * 2, True, *[False] * 4]),
    ("mean(amount of payment by author within 10s)", [1.1, 2.2, 2.2, 2.2, 8.8 / 3, 2.25, 0.2]),
    ("min(amount of payment by author within 10s)", [1.1, 2.2, 1.1, 1.1, 1.1, 0.1, 0.2]),
    ("max(amount of payment by author within 10s before this)", [None, None, 1.1, 3.3, 3.3, 4.4, None]),
    ("stddev(amount of payment by author within 1h)", None),
    ("since_last(payment by author within 10s)", [None, None, 10**6, 0, 5 * 10**6, 5 * 10**6, None]),
    ("first(payment by author within 10s).at", [None, None, START, START, START, START + 6 * 10**6, None]),
    ("last(payment by author within 10s).amount", [None, None, 1.1, 3.3, None, 4.4, None]),
    ("first(payment by author ever).amount", [None, None, 1.1, 1.1, 1.1, 1.1, 2.2]),
)  # fmt: skip


@pytest.mark.parametrize(("said", "wanted"), GIVEN, ids=[said for said, _ in GIVEN])
def test_each_word_over_a_history(db: Database, said: str, wanted: list[object] | None) -> None:
    files = Files("words", {"a.quell": Source("a.quell", POLICY % said)})
    analysis = analyse(files, lints=False)
    assert not analysis.report.errors, analysis.report.errors
    judge = Judge(build(analysis))
    for n, (second, type_, author, amount, tags) in enumerate(PAYMENTS, 1):
        event = {"type": type_, "at": START + second * 10**6, "author": author}
        event |= {"amount": amount} if amount is not None else {}
        event |= {"tags": tags} if tags is not None else {}
        judge.take(n, encode(event))
    assert judge.replayed(db) == []
    ((fed, nodes),) = [a for (event, _, _), a in judge.asked.items() if event == "payment"]
    told = fed.wanted[nodes[-1].id]
    if said.startswith("rate"):
        told = [v / 10 for v in told]
    if wanted is not None:
        assert told == wanted


@pytest.mark.parametrize("focus", ["state", "counters"])
@given(data=st.data())
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_replayed_counters_give_what_the_stores_give(db: Database, focus: str, data: st.DataObject) -> None:
    case = data.draw(cases(focus))
    clock, in_order = data.draw(st.sampled_from(CLOCKS)), data.draw(st.booleans())
    found = differences(db, case, clock, in_order)
    assert not found, "\n".join(found)
