"""Real histories through bundles written for them, judged by their labels.

The data is not part of the project: it lies in ../shared/data, and without it these tests are skipped.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quell.engine import Decision, Stepper
from quell.engine.bundle import read_bundle
from quell.engine.policy_tests import run_tests
from quell.grammar.diagnostics import Report
from quell.replay.quality import Rate

HERE = Path(__file__).parent / "histories"
BUNDLES = ["email", "wiki"]


@pytest.mark.parametrize("name", BUNDLES)
def test_their_own_tests_pass(name: str) -> None:
    report = Report()
    files = read_bundle(HERE / name, report)
    assert report.found == []
    result = run_tests(files)
    assert [f for t in result.tests for f in t.failures] == []


def rows_of(path: Path, time: str) -> list[dict[str, Any]]:
    """A history's rows in order of time; equal times stay in the file's order."""
    from pyarrow import parquet

    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return sorted(rows, key=lambda r: r[time])


def judge(
    name: str, rows: list[dict[str, Any]], is_bad: Any, counted: Any
) -> tuple[Rate, Rate, Counter[str]]:
    """Precision and recall of acting at all, and the verdicts. Every row is decided, some are judged."""
    engine = Stepper.load(HERE / name)
    seen: Counter[tuple[bool, bool]] = Counter()
    verdicts: Counter[str] = Counter()
    for row in rows:
        decision = engine.decide(row)
        assert isinstance(decision, Decision), decision
        verdicts[decision.verdict] += 1
        bad = is_bad(row)
        if bad is not None and counted(row):
            seen[decision.verdict != "allow", bad] += 1
    caught, alarms, let_go = seen[True, True], seen[True, False], seen[False, True]
    return Rate(caught, caught + alarms), Rate(caught, caught + let_go), verdicts


def tell(name: str, precision: Rate, recall: Rate, verdicts: Counter[str]) -> None:
    """The summary that `pytest -s` shows."""
    shown = ", ".join(f"{v} {n}" for v, n in sorted(verdicts.items()))
    for what, rate in (("precision", precision), ("recall", recall)):
        low, high = rate.interval
        print(f"{name}: {what} {rate.value:.3f} [{low:.3f}, {high:.3f}] of {rate.of}")
    print(f"{name}: {shown}")


def test_email(shared_data: Path) -> None:
    rows = rows_of(shared_data / "email_spam_events.parquet", "received_at")
    quarter = (datetime(2002, 7, 1, tzinfo=UTC), datetime(2002, 10, 1, tzinfo=UTC))
    precision, recall, verdicts = judge(
        "email",
        rows,
        lambda r: r["label"] == "spam",
        lambda r: (
            quarter[0] <= r["received_at"] < quarter[1]
        ),  # the notes say why only this quarter is judged
    )
    tell("email", precision, recall, verdicts)
    assert sum(verdicts.values()) == len(rows) == 5911
    assert precision.value is not None
    assert precision.value > 0.8
    assert recall.value is not None
    assert recall.value > 0.6


def test_wiki(shared_data: Path) -> None:
    rows = rows_of(shared_data / "wiki_edit_events.parquet", "ts")
    precision, recall, verdicts = judge(
        "wiki", rows, lambda r: {"vandalism": True, "regular": False}.get(r["class"]), lambda r: True
    )
    tell("wiki", precision, recall, verdicts)
    assert sum(verdicts.values()) == len(rows) == 9985
    assert precision.value is not None
    assert precision.value > 2 * 0.114
    assert recall.value is not None
    assert recall.value > 0.7
