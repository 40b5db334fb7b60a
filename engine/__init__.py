"""The compiler and the engine that decides events.

from quell.engine import Stepper

engine = Stepper.load("policies")
decision = engine.decide(b'{"type": "message_create", …}')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quell.engine.decision import Decision, Fired, Held, LabelChange, Refused, Sent
    from quell.engine.event_problems import Problem
    from quell.engine.stepper import Stepper
    from quell.grammar.diagnostics import Diagnostic, PolicyError

_PLACES = {
    "Decision": "quell.engine.decision",
    "Diagnostic": "quell.grammar.diagnostics",
    "Stepper": "quell.engine.stepper",
    "Fired": "quell.engine.decision",
    "Held": "quell.engine.decision",
    "LabelChange": "quell.engine.decision",
    "PolicyError": "quell.grammar.diagnostics",
    "Problem": "quell.engine.event_problems",
    "Refused": "quell.engine.decision",
    "Sent": "quell.engine.decision",
}
__all__ = [
    "Decision",
    "Diagnostic",
    "Fired",
    "Held",
    "LabelChange",
    "PolicyError",
    "Problem",
    "Refused",
    "Sent",
    "Stepper",
]


def __getattr__(name: str) -> Any:
    """The public names, imported when first asked for, so that `quell --help` need not load a compiler."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
