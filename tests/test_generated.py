"""Generated bundles and histories: nothing raises, and the generated Python decides what the oracle decides."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.compile import Analysis, analyse, build, used_fields
from quell.engine.decision import Acted, Decision, Fired, Refused
from quell.engine.stepper import Stepper
from quell.signals.clock import BLOCK, LATENESS, Clock
from quell.signals.state import State
from tests.oracle import Handled, Oracle
from tests.oracle_rules import Decided
from tests.strategies_policy import Case, cases


def compiled(case: Case) -> Analysis:
    """The bundle analysed; it has no errors."""
    analysis = analyse(case.files(), lints=False)
    assert not analysis.report.errors, analysis.report.errors
    return analysis


def shown(decision: Decision) -> Decided:
    """A decision as the oracle gives it."""

    def told(fired: tuple[Fired, ...]) -> list[tuple[object, ...]]:
        return [(f.rule, f.verdict, f.message, f.tags, f.severity) for f in fired]

    return Decided(
        decision.verdict,
        told(decision.fired),
        told(decision.shadow),
        [(h.rule, h.by) for h in decision.held],
        [(c.entity, c.id, c.label, c.on, c.rule, c.until) for c in decision.labels],
        [(s.sink, s.rule, s.payload) for s in decision.sends],
        bool(decision.late),
        [(o.entity, o.id, o.label, o.on, o.rule, o.by) for o in decision.outranked],
    )


CLOCKS = ((BLOCK, LATENESS), (3, 5_000_000), (1, 0), (2, 1_000_000))
"""Events in a block of the watermark, and how old an event may be."""


def differences(case: Case, clock: tuple[int, int] = CLOCKS[0]) -> list[str]:
    """What the engine and the oracle decide differently, by event."""
    analysis = compiled(case)
    made = build(analysis)
    block, lateness = clock
    engine = Stepper(made, State(clock=Clock(lateness, block)))
    used = {e: used_fields(analysis, e) for e in analysis.symbols.schemas}
    oracle = Oracle(analysis.symbols, analysis.lists, used, block=block, lateness=lateness)
    out = []
    for i, event in enumerate(case.events):
        if oracle.unread(event):
            continue
        decision = engine.decide(event)
        expected = oracle.decide(event)
        if isinstance(decision, Refused):
            assert decision.kind != "internal", f"event {i}: {decision.message}"
            if not isinstance(expected, str):
                out.append(f"event {i}: refused ({decision.message}), and the oracle decides")
            continue
        msgspec.json.encode(decision)
        if isinstance(decision, Acted):
            a = decision
            done = Handled(a.action, a.entity, a.id, a.label, a.was, a.on)
            if done != expected:
                out.append(f"event {i}: the engine gives {done!r}, the oracle {expected!r}")
            continue
        if not isinstance(expected, Decided):
            out.append(f"event {i}: decided, and the oracle refuses it")
            continue
        got = shown(decision)
        for name in Decided.__slots__:
            a, b = getattr(got, name), getattr(expected, name)
            if a != b:
                out.append(f"event {i}, {name}: the engine gives {a!r}, the oracle {b!r}")
    return out


_profile = settings.default
EXAMPLES = max(300, _profile.max_examples if _profile is not None else 0)


@pytest.mark.parametrize("focus", ["any", "values", "state", "counters"])
@given(data=st.data())
@settings(max_examples=EXAMPLES)
def test_the_engine_decides_what_the_oracle_decides(focus: str, data: st.DataObject) -> None:
    case = data.draw(cases(focus))
    found = differences(case, data.draw(st.sampled_from(CLOCKS)))
    assert not found, "\n".join(found)
