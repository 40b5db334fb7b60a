"""`quell test`: the tests beside the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from quell.engine.cli_bundle import read_sound
from quell.engine.cli_group import FINDINGS, OK
from quell.engine.cli_output import Busy, print_json, say

if TYPE_CHECKING:
    from quell.grammar import tree


@click.command("test", short_help="Run the tests beside the rules.")
@click.argument("policies", metavar="POLICIES")
@click.option(
    "-k", "texts", multiple=True, metavar="TEXT", help="Only tests with TEXT in title or file name."
)
@click.option(
    "-v", "--verbose", is_flag=True, help="Name the tests that pass too, and explain rules in full."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def test(policies: str, texts: tuple[str, ...], verbose: bool, as_json: bool) -> int:
    """Run the tests beside the rules.

    Every failure is told, with what was expected, what happened, and the event's values. Tests have a
    clock of their own and touch nothing outside.

    \b
    Example:
      quell test policies
      quell test policies -k raid -v
    """
    from quell.engine.policy_tests import run_tests

    analysis = read_sound(policies)
    wanted = [text.casefold() for text in texts]

    def chosen(written: tree.Test) -> bool:
        name = f"{written.title.plain or ''}\n{written.span.file}".casefold()
        return not wanted or any(text in name for text in wanted)

    if texts and not any(chosen(t) for t in analysis.symbols.tests):
        raise click.UsageError("no test has that in its title or file name")
    with Busy("testing"):
        report = run_tests(analysis, chosen)
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(report))
    else:
        from quell.engine.policy_tests_view import print_report

        print_report(report, full=verbose)
    if not report.tests:
        say('there are no tests: they are written beside the rules, as test "…" given … expect …')
    return OK if report.ok else FINDINGS
