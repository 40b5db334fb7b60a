"""The compiler and the engine that decides events.

from quell.engine import Engine

engine = Engine.load("policies")
decision = await engine.decide(b'{"type": "message_create", …}')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quell.engine.asking import SetupError
    from quell.engine.decision import (
        Acted,
        Asked,
        Decision,
        Fired,
        Held,
        LabelChange,
        Outranked,
        Refused,
        Reply,
        Sent,
    )
    from quell.engine.engine import Engine
    from quell.engine.event_problems import Problem
    from quell.engine.figures import Figures
    from quell.engine.hand import Carried, HandAction, LabelError, Standing
    from quell.engine.service import Service
    from quell.engine.serving import Serving, Setup
    from quell.engine.stepper import Stepper
    from quell.grammar.diagnostics import Diagnostic, PolicyError

_PLACES = {
    "Acted": "quell.engine.decision",
    "Asked": "quell.engine.decision",
    "Carried": "quell.engine.hand",
    "Decision": "quell.engine.decision",
    "Diagnostic": "quell.grammar.diagnostics",
    "Engine": "quell.engine.engine",
    "Figures": "quell.engine.figures",
    "Fired": "quell.engine.decision",
    "HandAction": "quell.engine.hand",
    "Held": "quell.engine.decision",
    "LabelChange": "quell.engine.decision",
    "LabelError": "quell.engine.hand",
    "Outranked": "quell.engine.decision",
    "PolicyError": "quell.grammar.diagnostics",
    "Problem": "quell.engine.event_problems",
    "Refused": "quell.engine.decision",
    "Reply": "quell.engine.decision",
    "Sent": "quell.engine.decision",
    "Service": "quell.engine.service",
    "Serving": "quell.engine.serving",
    "Setup": "quell.engine.serving",
    "SetupError": "quell.engine.asking",
    "Standing": "quell.engine.hand",
    "Stepper": "quell.engine.stepper",
}
__all__ = [
    "Acted",
    "Asked",
    "Carried",
    "Decision",
    "Diagnostic",
    "Engine",
    "Figures",
    "Fired",
    "HandAction",
    "Held",
    "LabelChange",
    "LabelError",
    "Outranked",
    "PolicyError",
    "Problem",
    "Refused",
    "Reply",
    "Sent",
    "Service",
    "Serving",
    "Setup",
    "SetupError",
    "Standing",
    "Stepper",
]


def __getattr__(name: str) -> Any:
    """The public names, imported when first asked for, so that `quell --help` need not load a compiler."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
