"""What a condition by itself can come to: true, false, missing."""

from __future__ import annotations

import math

from quell.engine.graph import Node
from quell.engine.lints_facts import ACT, Facts, turned
from quell.engine.lints_values import TEXT_OPS, Values
from quell.engine.lints_world import COMPARISONS, FALSE, MISSING, TRUE, World


def outcomes(world: World, condition: int) -> int:
    """What a condition can come to, as a sum of TRUE, FALSE and MISSING."""
    known = world.known
    if condition in known:
        return known[condition]
    for inner in world.conditions(condition, known):
        node = world.graph[inner]
        quick = _quick(world, node)
        if quick is None:
            quick = world.first_outcomes(node)
            if node.op in ACT:
                likely = [o for o in (TRUE, FALSE, MISSING) if quick & o]
                quick = sum(o for o in likely if Facts(world).assume(inner, o))
        known[inner] = quick
    return known[condition]


def _quick(world: World, node: Node) -> int | None:
    """The same without gathering facts, for conditions so plain that there is nothing to gather."""
    if node.op in ("and", "or"):
        of = [outcomes(world, a) for a in node.args]
        return None if world.related(node.args) else _joined(node.op, of)
    if node.op == "not":
        return turned(outcomes(world, node.args[0]))
    if node.op in TEXT_OPS:
        plain = world.values(node.args[0]).allowed is None and world.graph[node.args[1]].data != ("",)
        return world.first_outcomes(node) if plain else None
    if node.op not in COMPARISONS:
        return None
    edge, term = world.graph[node.args[1]], world.graph[node.args[0]]
    if edge.op != "const" or edge.data[0] is None or term.op == "const" or term.type.kind == "bool":
        return None
    values = world.values(node.args[0])
    if values.allowed is not None:
        return None
    if type(edge.data[0]) in (int, float):
        low, high = _sides(node.op, values, edge.data[0])
        return (TRUE if low else 0) | (FALSE if high else 0) | (MISSING if world.may_lack(node.id) else 0)
    return world.first_outcomes(node)


def _joined(op: str, of: list[int]) -> int:
    """What `and` or `or` of conditions that have nothing to do with each other can come to."""
    neutral, decisive = (TRUE, FALSE) if op == "and" else (FALSE, TRUE)
    out = neutral if all(o & neutral for o in of) else 0
    if any(o & decisive for o in of):
        out |= decisive
    if any(o & MISSING for o in of) and all(o & (neutral | MISSING) for o in of):
        out |= MISSING
    return out


def _sides(op: str, values: Values, edge: float) -> tuple[bool, bool]:
    """Whether a comparison with a number can hold, and whether it can fail."""
    low, high = values.low, values.high
    below = low < edge or (low == edge == -math.inf)
    above = high > edge
    at = low <= edge <= high
    if op in ("eq", "ne"):
        fails = below or above
        return (at, fails) if op == "eq" else (fails, at)
    holds = {"lt": below, "le": below or at, "gt": above, "ge": above or at}[op]
    fails = {"lt": above or at, "le": above, "gt": below or at, "ge": below}[op]
    return holds, fails
