"""Warnings about policies that mean something and probably not what was meant.

Each lint would have caught what live rule sets got wrong. They look at what was written (`lints_tree`
walks it once) and at the graph that came of it; none changes anything. A bundle with errors is linted as
far as it is whole: where a declaration could not be read, nothing is called unused or untested.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from quell.engine.lints_counts import lint_extremes, lint_resolutions
from quell.engine.lints_messages import Messages
from quell.engine.lints_missing import lint_missing
from quell.engine.lints_names import lint_labels, lint_names
from quell.engine.lints_quiet import Quiet
from quell.engine.lints_remote import lint_remote
from quell.engine.lints_rules import (
    events_of,
    is_live,
    lint_duplicates,
    lint_effects,
    lint_tests,
    lint_verdicts,
)
from quell.engine.lints_sites import Sites, named
from quell.engine.lints_text import lint_durations, lint_patterns, lint_precedence
from quell.engine.lints_tree import read
from quell.engine.lints_world import Effort, World
from quell.engine.lints_written import Texts, recorder
from quell.engine.symbols import Symbols

if TYPE_CHECKING:
    from quell.engine.compile import Analysis

LOST = frozenset(
    (
        "unreadable-file", "syntax", "unknown-declaration", "stray-indent", "assignment-in-condition",
        "bad-text", "bad-number", "too-deep", "repeated-clause", "counter-order", "declared-twice",
        "reserved-name", "bad-path",
    )
)  # fmt: skip
"""Errors after which a declaration is left out, so that what it uses or tests cannot be known."""


def lint(analysis: Analysis) -> None:
    """Report every warning about a bundle that was lowered."""
    symbols, report = analysis.symbols, analysis.report
    texts = Texts(analysis.files.sources)
    written = read(symbols)
    lint_precedence(written, texts, report)
    lint_durations(written, texts, report)
    lint_patterns(written, texts, report)
    Messages(symbols, texts, report).lint()
    lint_remote(symbols, analysis.lowerer.remotes, analysis.files.settings.remote, report)
    if not any(d.code in LOST for d in report.errors):
        lint_names(written, report)
        lint_labels(symbols, analysis.lowerer.graphs, analysis.rules, report)
        lint_tests(symbols, report)
        lint_effects(symbols, written.fired, report)
    graphs = {event: analysis.lowerer.graph(event) for event in symbols.schemas}
    lint_duplicates(analysis.rules, report)
    lint_verdicts(symbols, analysis.rules, graphs, report)
    lint_resolutions(analysis.lowerer.stores, report)
    lint_missing(symbols, graphs, analysis.rules, report)
    effort, seen = Effort(), _seen(symbols)
    worlds = {e: World(g, analysis.lowerer.stores, seen[e], effort) for e, g in graphs.items()}
    lint_extremes(worlds, texts, report)
    rules = {event: {r.name: r for r in here} for event, here in analysis.rules.items()}
    quiet = {event: Quiet(world, symbols) for event, world in worlds.items()}
    sites = Sites(symbols, recorder(analysis.lowerer), worlds, texts, rules, named(analysis.values), quiet)
    sites.lint(written, report)


def _seen(symbols: Symbols) -> dict[str, Mapping[bool, frozenset[str]]]:
    """For every event the rules whose firing can be seen on it: by live rules, and by those in shadow."""
    live: dict[str, set[str]] = {event: set() for event in symbols.schemas}
    every: dict[str, set[str]] = {event: set() for event in symbols.schemas}
    for name, rule in symbols.rules.items():
        if rule.mode is not None and rule.mode.name == "off":
            continue
        for event in events_of(symbols, rule):
            every[event].add(name)
            if is_live(rule):
                live[event].add(name)
    return {e: {False: frozenset(live[e]), True: frozenset(every[e])} for e in symbols.schemas}
