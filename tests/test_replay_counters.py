"""Counters over a history: equal, event for event, to what the online stores give."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quell.engine.compile import analyse, build
from quell.replay.database import Database
from quell.signals.clock import BLOCK, LATENESS, Clock
from tests.replay_counters import Judge
from tests.strategies_policy import Case, cases

CLOCKS = ((BLOCK, LATENESS), (3, 5_000_000), (1, 0), (2, 1_000_000))
"""Events in a block of the watermark, and how old an event may be."""

_profile = settings.default
EXAMPLES = max(60, _profile.max_examples if _profile is not None else 0)


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
        taken = sorted((e for e in taken if hasattr(e, "at")), key=lambda e: e.at)
    for n, event in enumerate(taken, 1):
        judge.take(n, event)
    assert judge.sorted or not in_order
    return judge.replayed(db)


@pytest.mark.parametrize("focus", ["state", "counters"])
@given(data=st.data())
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_replayed_counters_give_what_the_stores_give(db: Database, focus: str, data: st.DataObject) -> None:
    case = data.draw(cases(focus))
    clock, in_order = data.draw(st.sampled_from(CLOCKS)), data.draw(st.booleans())
    found = differences(db, case, clock, in_order)
    assert not found, "\n".join(found)
