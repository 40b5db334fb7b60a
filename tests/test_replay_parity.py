"""Generated bundles and histories: columns decide what the online engine decides, to the last value."""

from __future__ import annotations

import json
import os
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.engine.agreement import build_probed
from quell.engine.bundle import Files, read_bundle
from quell.engine.compile import Analysis, analyse, build
from quell.grammar.diagnostics import Report
from quell.grammar.source import Source
from quell.replay.columnar import Columnar
from quell.replay.database import Database
from quell.replay.dependence import Dependence
from quell.replay.history import Order
from quell.replay.history_ingest import ingest
from quell.replay.outcome import Outcome
from quell.replay.simulate import simulate_lines
from quell.replay.stepping import step
from quell.signals.clock import BLOCK, LATENESS
from tests.replay_parity import differences, parity
from tests.strategies_policy import Case, cases
from tests.test_generated import compiled
from tests.test_generated_remote import asked

EXAMPLES = int(os.environ.get("QUELL_PARITY_EXAMPLES", "25"))
"""Examples of each kind: some of them here, many more where there is time (`QUELL_PARITY_EXAMPLES=1000`)."""
CLOCKS = ((BLOCK, LATENESS), (3, LATENESS), (1, LATENESS), (3, 5_000_000), (1, 0), (2, 1_000_000))
"""Events in a block of the watermark, and how old an event may be: with few and little, late events count as
of a later time."""


def replayed(
    case: Case, order: Order, clock: tuple[int, int], probed: bool, asking: int | None = None
) -> list[str]:
    """What the two ways do differently; `asking` is the seed that picks lets which remote models answer."""
    turned = None if asking is None else asked(case, random.Random(asking))
    analysis = compiled(case) if turned is None else turned.remote
    block, lateness = clock
    analysis.files.settings = replace(analysis.files.settings, lateness=lateness)
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
    found = replayed(case, order, data.draw(st.sampled_from(CLOCKS)), probed)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("probed", [True, False], ids=["every value", "decisions"])
@given(cases("state"), st.integers(0, 2**32), st.sampled_from(CLOCKS))
@settings(max_examples=EXAMPLES)
def test_remote_models_that_nobody_asks_are_missing(
    probed: bool, case: Case, asking: int, clock: tuple[int, int]
) -> None:
    found = replayed(case, "given", clock, probed, asking)
    assert not found, "\n".join(found)


# --------------------------------------------------------------------------- written bundles, at length

ROOT = Path(__file__).resolve().parent.parent
DAY = 8_000
WAYS = (("time", False), ("given", False), ("given", True))
"""The order, and whether every value is compared: in the order of the files there are late events as well."""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short simulated day in which some events arrive after later ones."""
    file = tmp_path_factory.mktemp("day") / "events.jsonl"
    lines = list(enumerate(simulate_lines(7, DAY)))
    late = sorted(lines, key=lambda line: line[0] + (40 if line[0] % 23 == 0 else 0))
    file.write_bytes(b"".join(line for _, line in late))
    return file


def analysed(folder: Path) -> Analysis:
    report = Report()
    return analyse(read_bundle(folder, report), report, lints=False)


def same(analysis: Analysis, file: Path, order: Order, probed: bool) -> Outcome:
    """Replay a history both ways; fails where they differ."""
    found, outcome = parity(build_probed(analysis) if probed else build(analysis), [file], order)
    assert not found, "\n".join(found)
    assert outcome is not None, "the bundle can only be stepped"
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize(("order", "probed"), WAYS)
def test_the_starter_bundle_on_a_simulated_day(day: Path, order: Order, probed: bool) -> None:
    same(analysed(ROOT / "policies"), day, order, probed)


@pytest.mark.slow
@pytest.mark.parametrize(("order", "probed"), WAYS)
@pytest.mark.parametrize("name", ["email", "wiki"])
def test_real_histories(shared_data: Path, name: str, order: Order, probed: bool) -> None:
    file = {"email": "email_spam_events.parquet", "wiki": "wiki_edit_events.parquet"}[name]
    same(analysed(ROOT / "tests" / "histories" / name), shared_data / file, order, probed)


# ------------------------------------------------------------------------------- what is told, and how

SMALL = """\
event ping from "ping"
  at time = $.at
  n number = $.n
rule high on ping
  when n > 2
  then review
  because "{n}"
"""


def test_a_difference_is_told_with_its_event_and_its_node(tmp_path: Path) -> None:
    file = tmp_path / "pings.jsonl"
    lines = [{"type": "ping", "at": 1_767_268_800 + i, "n": i} for i in range(1, 5)]
    file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    analysis = analyse(Files("small", {"p.quell": Source("p.quell", SMALL)}), lints=False)
    with Database() as db:
        history = ingest(db, "history", build_probed(analysis), [file])
        stepped, columnar = Outcome(history, "stepped"), Outcome(history, "columnar")
        step(stepped)
        Columnar(columnar, Dependence(history.build.analysis)).run()
        assert differences(stepped, columnar) == []
        db.con.execute(
            f"UPDATE {columnar.table('sends')} SET payload = replace(payload, '4', '40') WHERE n = 4"
        )
        db.con.execute(f"DELETE FROM {columnar.table('hits')} WHERE n = 3 AND rule <> '~ values'")
        told = differences(stepped, columnar)
    third = "hits, only stepped: event 3 (pings.jsonl:3): ('ping', 1767268803000000, "
    assert told == [
        f"{third}'high', 'fired', 'review', '3', None)",
        f"{third}'~ true 2', 'fired', None, None, None), that is gt(field(n), 2) is true",
        "event 4 (pings.jsonl:4): field(n): stepped gives 4, columns 40",
        "event 4 (pings.jsonl:4): tell(field(n)): stepped gives '4', columns '40'",
    ]
