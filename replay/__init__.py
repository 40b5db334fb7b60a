"""Histories: what policies would have done on them, a simulated day with ground truth, and models of them.

from quell.replay import backtest, compare

with backtest("policies", "day.jsonl") as result:
    print(result.report.verdicts)
with compare("main", "policies", "day.jsonl") as change:
    print(change.report.flows)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quell.replay.library import BacktestResult, LabelsError, Replayed, backtest
    from quell.replay.library_compare import ComparisonResult, compare
    from quell.replay.revisions import RevisionError

_PLACES = {
    "BacktestResult": "quell.replay.library",
    "ComparisonResult": "quell.replay.library_compare",
    "LabelsError": "quell.replay.library",
    "Replayed": "quell.replay.library",
    "RevisionError": "quell.replay.revisions",
    "backtest": "quell.replay.library",
    "compare": "quell.replay.library_compare",
}
__all__ = [
    "BacktestResult",
    "ComparisonResult",
    "LabelsError",
    "Replayed",
    "RevisionError",
    "backtest",
    "compare",
]


def __getattr__(name: str) -> Any:
    """The public names, imported when first asked for, so that the command line need not load a database."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
