"""How far a counter looks: `within`, `ever`, `per`, `resolution` and `before`, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from quell.engine.counter_words import COUNTERS, CounterWord, spelled
from quell.grammar import tree

if TYPE_CHECKING:
    from quell.engine.lower import Lowerer, Scope

MAX_WINDOW = 3_660 * 86_400_000_000
"""The longest window, about ten years; `ever` is for longer."""
FINEST = 1_000_000
"""The finest resolution, a second."""


@dataclass(frozen=True, slots=True)
class Window:
    """How far a reading looks, in microseconds: `within` None for ever; `before` as a node's data has it;
    `per` the time that a rate is for; `resolution` what the window's start is rounded down to."""

    within: int | None
    before: int | Literal["this"]
    per: int | None
    resolution: int | None


def window_of(low: Lowerer, node: tree.Counter, word: CounterWord, scope: Scope) -> Window | None:
    """The windows of a counter; None, and reported, when they are not right."""
    if node.within is None and not node.ever:
        low.report.add(
            "bad-counter",
            "this counter does not say how far back it looks",
            node.span,
            hint="write within 1h" if word.name == "rate" else "write within 1h, or ever",
        )
        return None
    within = _duration(low, node.within, scope, "a window", "write ever for a window without end")
    per = _duration(low, node.per, scope, "what follows `per`", "write per 1h")
    resolution = _resolution(low, node, word, within, scope)
    ago = node.before if isinstance(node.before, tree.Expr) else None
    before = _duration(low, ago, scope, "what follows `before`", "write a duration such as 1d")
    written = ((node.within, within), (node.per, per), (node.resolution, resolution), (ago, before))
    if any(w is not None and value is None for w, value in written):
        return None
    if before is not None and resolution is not None and resolution > before:
        message = "a resolution must not be longer than what follows `before`"
        low.report.add("bad-window", message, (node.resolution or node).span, hint="write a finer one")
        return None
    if before is not None:
        return Window(within, before, per, resolution)
    return Window(within, "this" if word.past or node.before == "this" else 0, per, resolution)


def _duration(low: Lowerer, written: tree.Expr | None, scope: Scope, what: str, longer: str) -> int | None:
    """A duration that is known, longer than nothing and not too long."""
    value: int | None = low.constant(written, scope, "duration", what) if written is not None else None
    if written is None or value is None:
        return None
    if 0 < value <= MAX_WINDOW:
        return value
    hint = longer if value > 0 else "write a duration such as 10m"
    low.report.add(
        "bad-window", f"{what} must be longer than nothing and at most 3660d", written.span, hint=hint
    )
    return None


def _resolution(
    low: Lowerer, node: tree.Counter, word: CounterWord, within: int | None, scope: Scope
) -> int | None:
    written = node.resolution
    if written is None:
        return None
    if not word.resolution:
        able = spelled([w.name for w in COUNTERS.values() if w.resolution])
        hint = f"leave it out; {able} have one"
        low.report.add("bad-counter", f"`{word.name}` has no resolution", written.span, hint=hint)
        return None
    if node.ever:
        message = "a window without end has no start that a resolution could round"
        low.report.add("bad-counter", message, written.span, hint="leave it out, or write within 30d")
        return None
    value = _duration(low, written, scope, "a resolution", "write resolution 1m")
    if value is None or within is None:
        return None
    if FINEST <= value < within:
        return value
    message = (
        "a resolution must be at least 1s"
        if value < FINEST
        else "a resolution must be shorter than its window"
    )
    low.report.add("bad-window", message, written.span, hint="write resolution 1m, or leave it out")
    return None
