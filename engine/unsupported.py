"""Constructs of the language that this version reads and refuses, so that none is ever ignored."""

from __future__ import annotations

from quell.engine.symbols import Symbols
from quell.grammar.diagnostics import Report


def refuse_unsupported(symbols: Symbols, report: Report) -> None:
    """Report every declaration that parses and does not run yet."""
    for name, model in symbols.models.items():
        if model.remote:
            report.add(
                "not-yet",
                f"`{name}`: remote models do not run in this version yet",
                model.name.span,
                hint="a score can stand in for it",
            )
