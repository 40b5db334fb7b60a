"""`quell check`: what is wrong with a bundle, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quell.engine.cli_bundle import print_findings, read
from quell.engine.cli_group import FINDINGS, OK
from quell.engine.cli_output import console, count, print_json, table, words

if TYPE_CHECKING:
    from quell.engine.compile import Analysis

MOST_SHOWN = 200
"""Findings that are printed in full; --json has all."""


@click.command("check", short_help="Say what is wrong with policies, and where.")
@click.argument("policies", metavar="POLICIES")
@click.option("--warnings-as-errors", is_flag=True, help="Exit 1 for warnings too.")
@click.option("--costs", is_flag=True, help="Also print what each rule costs per event.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with places in lines and columns.")
def check(policies: str, warnings_as_errors: bool, costs: bool, as_json: bool) -> int:
    """Say what is wrong with policies, and where.

    POLICIES is a bundle: a folder of .quell files, with the lists and models they name. All errors and
    warnings come at once, each with a code that `quell codes` explains. Nothing is run.

    \b
    Example:
      quell check policies
      quell check policies --warnings-as-errors --json
    """
    analysis = read(policies)
    failed = bool(analysis.report.errors) or (warnings_as_errors and bool(analysis.report.warnings))
    priced = _costs(analysis) if costs and not analysis.report.errors else []
    if as_json:
        print_json(_as_data(analysis, costs, priced))
        return FINDINGS if failed else OK
    found = analysis.diagnostics
    print_findings(found[:MOST_SHOWN], analysis)
    out = console()
    if len(found) > MOST_SHOWN:
        out.print(f"and {count(len(found) - MOST_SHOWN, 'more finding', 'more findings')} (--json has all)\n")
    if priced:
        _print_costs(priced)
    errors = {id(d) for d in found if d.severity == "error"}
    warnings = len(found) - len(errors)
    verdict = "nothing to complain about"
    if found:
        verdict = f"{count(len(errors), 'error')}, {count(warnings, 'warning')}"
    style = "bold red" if errors else "bold yellow" if warnings else "bold green"
    out.print(words((verdict, style), f" in {policies}: {_inventory(analysis)}"), soft_wrap=True)
    return FINDINGS if failed else OK


def _inventory(analysis: Analysis) -> str:
    symbols = analysis.symbols
    parts = (
        (len(analysis.files.sources), "file", "files"),
        (len(symbols.schemas), "event", "events"),
        (len(symbols.rules), "rule", "rules"),
        (len(symbols.lists), "list", "lists"),
        (len(symbols.models), "model", "models"),
        (len(symbols.tests), "test", "tests"),
    )
    return ", ".join(count(n, one, many) for n, one, many in parts if n or one != "model")


def _as_data(analysis: Analysis, costs: bool, priced: list[tuple[str, str, float]]) -> dict[str, Any]:
    from quell.grammar.diagnostics import as_json

    found = analysis.diagnostics
    symbols = analysis.symbols
    data = {
        "bundle": analysis.files.name,
        "version": analysis.version(),
        "errors": sum(d.severity == "error" for d in found),
        "warnings": sum(d.severity == "warning" for d in found),
        "files": len(analysis.files.sources),
        "events": list(symbols.schemas),
        "rules": len(symbols.rules),
        "lists": len(symbols.lists),
        "models": len(symbols.models),
        "tests": len(symbols.tests),
        "diagnostics": [as_json(d, analysis.files.sources) for d in found],
    }
    if costs:
        data["costs"] = [{"event": e, "rule": r, "microseconds": round(c, 3)} for e, r, c in priced]
    return data


def _costs(analysis: Analysis) -> list[tuple[str, str, float]]:
    """What deciding each rule costs on average when nothing is shared with others, the dearest first: its
    conditions in the order in which they are asked, each as often as those before it hold."""
    from quell.engine.plan import Costs, conjuncts

    out = []
    for event, rules in analysis.rules.items():
        graph = analysis.lowerer.graph(event)
        costs = Costs(graph)
        for rule in rules:
            conditions = sorted(set(conjuncts(graph, rule.condition)), key=costs.rank)
            out.append((event, rule.name, costs.expected(conditions)))
    return sorted(out, key=lambda row: (-row[2], row[0], row[1]))


def _print_costs(priced: list[tuple[str, str, float]]) -> None:
    out = console()
    rows = [(event, rule, f"{cost:.2f}") for event, rule, cost in priced]
    out.print(table(("event", "rule", "µs a decision>"), rows))
    note = "estimated, for a text of 100 characters on a small machine, shared parts counted in each\n"
    out.print(note, style="dim")
