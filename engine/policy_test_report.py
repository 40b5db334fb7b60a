"""What came of running tests, as plain data: `msgspec.to_builtins` makes it JSON."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from quell.engine.decision import Decision
from quell.engine.explanation import Part, RuleResult


class TestValue(msgspec.Struct, omit_defaults=True):
    """A field or named value of the event that an expectation failed on: `text` is what it stands for, `why`
    why it is missing."""

    __test__ = False  # pytest would otherwise collect it

    name: str
    value: Any
    shown: str
    text: str = ""
    why: str = ""


class Failure(msgspec.Struct, omit_defaults=True):
    """An expectation that did not hold.

    `expected` is the step as written, `happened` what was there instead, in one line. `number` counts the
    test's events from 1; `event`, `at` and `decision` are those of the event that the expectation speaks
    of. `values` are the event's fields and named values that matter here, `rules` the rules, explained,
    `condition` that of `expect value` with its parts.
    """

    file: str
    line: int
    expected: str
    happened: str
    number: int = 0
    event: str = ""
    at: str = ""
    decision: Decision | None = None
    values: list[TestValue] = []
    rules: list[RuleResult] = []
    condition: Part | None = None


class TestResult(msgspec.Struct, omit_defaults=True):
    """What came of one test. `why` says why it was skipped; `events` and `expectations` count its steps."""

    __test__ = False

    title: str
    file: str
    line: int
    outcome: Literal["passed", "failed", "skipped"]
    events: int = 0
    expectations: int = 0
    why: str = ""
    failures: list[Failure] = []


class TestReport(msgspec.Struct):
    """What came of all tests, in order of place."""

    __test__ = False

    tests: list[TestResult]
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    events: int = 0

    @property
    def ok(self) -> bool:
        """Whether no test failed."""
        return self.failed == 0


def report_of(tests: list[TestResult]) -> TestReport:
    """Results with their counts."""
    outcomes = [t.outcome for t in tests]
    counts = (outcomes.count("passed"), outcomes.count("failed"), outcomes.count("skipped"))
    return TestReport(tests, *counts, events=sum(t.events for t in tests))
