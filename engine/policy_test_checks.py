"""The check of a bundle's tests: whatever could not run, or could not fail, is reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from quell.engine.graph import TooLarge
from quell.engine.lower import Lowerer
from quell.engine.policy_test_steps import TestReader, supplied_names
from quell.grammar import tree
from quell.grammar.diagnostics import Diagnostic, Related, Report

if TYPE_CHECKING:
    from quell.engine.compile import Analysis

Variant = Callable[[frozenset[str]], "Analysis"]
"""The same bundle with some names supplied by tests."""


def check_tests(analysis: Analysis, variant: Variant) -> None:
    """Report what is wrong with the tests of a bundle. The analysis itself stays as it is."""
    sound = not analysis.report.errors
    plain = TestReader(Lowerer(analysis.symbols, Report()), Report())
    readers: dict[frozenset[str], TestReader | None] = {frozenset(): plain}
    for test in analysis.symbols.tests:
        names = supplied_names(test)
        if names not in readers:
            readers[names] = _reader(analysis, test, variant(names))
        reader = readers[names]
        if reader is not None:
            _check(analysis, test, reader, sound)


def _check(analysis: Analysis, test: tree.Test, reader: TestReader, sound: bool) -> None:
    before = len(reader.report.found)
    try:
        reader.read(test)
    except TooLarge as error:
        analysis.report.add("too-costly", str(error), test.title.span, hint="look at fewer values")
        return
    for found, step in zip(reader.report.found[before:], reader.places[before:], strict=True):
        if _within(found, test):
            analysis.report.extend([found])
        elif sound:  # what others are made of was sound until this step looked at it
            related = [Related(found.span, "this is what the step looks at")]
            analysis.report.add(found.code, found.message, step, hint=found.hint, related=related)


def _within(found: Diagnostic, test: tree.Test) -> bool:
    span = found.span
    return span.file == test.span.file and test.span.start <= span.start and span.end <= test.span.end


def _reader(analysis: Analysis, test: tree.Test, supplied: Analysis) -> TestReader | None:
    """A reader of tests that supply names; None, and reported, where that breaks something."""
    known = set(analysis.report.found)
    broken = [d for d in supplied.report.sorted() if d.severity == "error" and d not in known]
    if not broken:
        return TestReader(supplied.lowerer, Report())
    given = next(s for s in test.steps if isinstance(s, tree.GivenEvent) and s.injected)
    names = ", ".join(f"`{ident.name}`" for ident, _ in given.injected)
    analysis.report.add(
        "bad-test",
        f"{names} cannot be supplied by a test: {broken[0].message}",
        given.injected[0][0].span,
        hint="supply a value that is made from it, or give events that lead to it",
        related=[Related(broken[0].span, "needed as it is here")],
    )
    return None
