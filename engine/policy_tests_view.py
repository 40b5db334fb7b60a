"""What came of the tests, on a terminal."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from quell.engine.cli_output import console, count, utf8, visible, words
from quell.engine.explain_view import grid, print_rule
from quell.engine.policy_test_report import Failure, TestReport, TestResult

if TYPE_CHECKING:
    from rich.console import Console

MOST_VALUES = 16
"""Values of an event that are shown for one failure; JSON and `full` have all."""


def print_report(report: TestReport, stream: IO[str] | None = None, *, full: bool = False) -> None:
    """Every failure and every skipped test, then the counts. `full` names the tests that passed too, and
    explains the rules that a failure is about part by part."""
    out = console(stream)
    for test in report.tests:
        if test.outcome != "passed" or full:
            _print_test(out, test, full)
    style = "bold red" if report.failed else "bold green"
    told = [f"{count(report.passed, 'test')} passed"]
    told += [f"{report.failed:,} failed"] * bool(report.failed)
    told += [f"{report.skipped:,} skipped"] * bool(report.skipped)
    out.print(words((", ".join(told), style), (f" ({count(report.events, 'event')})", "dim")), soft_wrap=True)


def _print_test(out: Console, test: TestResult, full: bool) -> None:
    good = utf8(out.file)
    mark, style = {
        "passed": ("✓" if good else "ok", "green"),
        "failed": ("✗" if good else "FAILED", "bold red"),
        "skipped": ("·" if good else "skipped", "yellow"),
    }[test.outcome]
    why = f"  skipped: {visible(test.why, 200)}" if test.why else ""
    place = f"  {visible(test.file)}:{test.line}"
    out.print(
        words((f"{mark} ", style), (visible(test.title, 200), "bold"), (place, "dim"), (why, "yellow")),
        soft_wrap=True,
    )
    for failure in test.failures:
        _print_failure(out, failure, full)
    if test.failures:
        out.print()


def _print_failure(out: Console, failure: Failure, full: bool) -> None:
    made = grid()
    where = f"  {visible(failure.file)}:{failure.line}"
    made.add_row(words(("    expected", "cyan")), words(visible(failure.expected, 300), (where, "dim")))
    made.add_row(words(("    happened", "red")), visible(failure.happened, 1_000))
    if failure.event:
        made.add_row(
            words(("    event", "dim")),
            words(f"{failure.number}", (f" {failure.event} at {failure.at}", "dim")),
        )
    shown = failure.values if full else failure.values[:MOST_VALUES]
    for value in shown:
        more = value.why or value.text
        made.add_row(
            words((f"      {value.name}", "dim")),
            words(
                (visible(value.shown, 160), "magenta" if value.value is None else ""),
                (f"  {visible(more, 200)}" if more else "", "dim"),
            ),
        )
    out.print(made)
    if len(failure.values) > len(shown):
        rest = count(len(failure.values) - len(shown), "more value", "more values")
        out.print(words((f"      and {rest}", "dim")))
    if full:
        for rule in failure.rules:
            print_rule(out, rule)
