"""Generated bundles and histories: columns decide what the online engine decides, to the last value."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.agreement import build_probed
from quell.engine.compile import build
from quell.replay.history import Order
from tests.replay_parity import parity
from tests.strategies_policy import Case, cases
from tests.test_generated import compiled

EXAMPLES = int(os.environ.get("QUELL_PARITY_EXAMPLES", "25"))
"""Examples of each kind: some of them here, many more where there is time (`QUELL_PARITY_EXAMPLES=1000`)."""
BLOCKS = (256, 3, 1)
"""Events in a block of the watermark: with few, late events count as of a later time."""


def replayed(case: Case, order: Order, block: int, probed: bool) -> list[str]:
    analysis = compiled(case)
    made = build_probed(analysis) if probed else build(analysis)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        file.write_bytes(b"\n".join(case.events) + b"\n")
        return parity(made, [file], order, block)[0]


@pytest.mark.parametrize("probed", [True, False], ids=["every value", "decisions"])
@pytest.mark.parametrize("focus", ["any", "values", "state", "counters"])
@given(data=st.data())
@settings(max_examples=EXAMPLES)
def test_columns_decide_what_the_engine_decides(focus: str, probed: bool, data: st.DataObject) -> None:
    case = data.draw(cases(focus))
    order: Order = data.draw(st.sampled_from(["time", "given"]))
    found = replayed(case, order, data.draw(st.sampled_from(BLOCKS)), probed)
    assert not found, "\n".join(found)
