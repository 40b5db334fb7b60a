"""The language reference runs: every case, and nothing of the language without one."""

from __future__ import annotations

import pytest
from quell.engine.bundle import Files
from quell.engine.compile import analyse
from quell.engine.policy_tests import run_tests
from quell.grammar.codes import CODES
from quell.grammar.diagnostics import plain
from quell.grammar.source import Source
from quell.signals.functions import REGISTRY

from tests.language_cases import BundleCase, ValueCase, pages

PAGES = pages()
BUNDLES = [b for p in PAGES for b in p.bundles]
VALUES = [v for p in PAGES for v in p.values]
EXAMPLES = [
    ValueCase("registry", row.name, 0, e.expression, e.value) for row in REGISTRY.rows() for e in row.examples
]
QUIET = {"unused-name", "missing-test", "silenced-by-missing"}
"""Findings that a case need not announce: a page shows one thing at a time, and most of it goes unused."""
STAGE = """
event moment
  at time = $.at

rule never on moment
  when 1 == 2 #! never-true
  then review
"""


def files_of(text: str, extra: dict[str, bytes] | None = None) -> Files:
    """A bundle of one file in memory."""
    return Files("case", {"case.quell": Source("case.quell", text)}, extra=extra or {})


@pytest.mark.parametrize("case", BUNDLES, ids=lambda c: c.name)
def test_bundles(case: BundleCase) -> None:
    files = files_of(case.text, case.files)
    analysis = analyse(files)
    source = files.sources["case.quell"]
    found = [(source.position(d.span.start).line, d.code) for d in analysis.diagnostics]
    expected = sorted(case.expected)
    loud = sorted(f for f in found if f[1] not in QUIET or f in expected)
    told = "\n".join(plain(d, files.sources) for d in analysis.diagnostics)
    assert loud == expected, f"{case.name}: announced {expected}, found\n{told}"
    if not analysis.report.errors and analysis.symbols.tests:
        report = run_tests(analysis)
        failures = [f for t in report.tests for f in t.failures]
        assert not failures, "\n".join(str(f) for f in failures)


@pytest.mark.parametrize("case", [*VALUES, *EXAMPLES], ids=lambda c: c.name)
def test_values(case: ValueCase) -> None:
    """Each expression has its value, by the generated Python and by the graph's own meaning."""
    condition = (
        f"({case.expression}) is missing"
        if case.value == "missing"
        else f"({case.expression}) == ({case.value})"
        if not case.value.startswith("[")
        else f"({case.expression}) == {case.value}"
    )
    text = case.shared or "event moment\n  at time = $.at\n"
    event = "moment" if not case.shared else text.split("event ", 1)[1].split()[0]
    policy = f"{text}\nrule holds on {event}\n  when {condition}\n  then review\n"
    policy += f'\ntest "it holds"\n  given {event} {{}}\n  expect review by holds\n'
    files = files_of(policy)
    analysis = analyse(files, lints=False)
    told = "\n".join(plain(d, files.sources) for d in analysis.diagnostics if d.severity == "error")
    assert not analysis.report.errors, f"{case.name}\n{told}"
    failures = [f for t in run_tests(analysis).tests for f in t.failures]
    assert not failures, f"{case.name}\n" + "\n".join(str(f) for f in failures)


def test_every_code_is_documented() -> None:
    announced = {code for case in BUNDLES for _, code in case.expected}
    page = next(p for p in PAGES if p.name == "diagnostics.md")
    outside = {"unreadable-file", "outside-bundle", "bad-settings", "empty-bundle"}  # of files, not of text
    assert sorted(set(CODES) - set(page.headings)) == []
    assert sorted(set(CODES) - announced - outside) == []


def test_every_function_is_documented_with_an_example() -> None:
    page = next(p for p in PAGES if p.name == "functions.md")
    headings = {h.strip("`") for h in page.headings}
    assert sorted(set(REGISTRY.names()) - headings) == []
    without = [r.name for r in REGISTRY.rows() if not r.examples and not r.form]
    assert without == []
    text = page.text + "".join(p.text for p in PAGES)
    assert sorted(r.name for r in REGISTRY.rows() if r.form and f"{r.name}(" not in text) == []
