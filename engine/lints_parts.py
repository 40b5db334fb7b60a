"""Which parts of an `and` or `or` are idle: impossible, certain, at odds with others, or implied by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from quell.engine.lints_facts import Facts
from quell.engine.lints_outcomes import outcomes
from quell.engine.lints_world import FALSE, MISSING, NOT_TRUE, TRUE, World

Kind = Literal["never", "always", "there", "conflict", "implied", "exhausted"]
MAX_PARTS = 200
"""Parts of one `and` or `or` that are held against each other; what stands behind them is looked at alone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is idle about one part; `other` is the node that makes it so, where it is one alone.

    never, always: by itself. there: true whenever what it speaks of is not missing. conflict: never true
    beside the others. implied: taking it away changes nothing. exhausted: with it the `or` is never false.
    """

    kind: Kind
    index: int
    other: int | None = None


def examine(
    world: World, op: Literal["and", "or"], nodes: Sequence[int], around: Facts, near: Sequence[int]
) -> list[Finding]:
    """The idle parts of an `and` or `or`. `around` holds what must be true for it to matter, which the
    conditions `near` say."""
    found = [f for i, n in enumerate(nodes) for f in alone(world, i, n)]
    settled: Kind = "never" if op == "and" else "always"
    if any(f.kind == settled for f in found):
        return [f for f in found if f.kind == settled]
    idle = {f.index for f in found}
    order = [i for i in range(min(len(nodes), MAX_PARTS)) if i not in idle]
    if world.related([*(nodes[i] for i in order), *near]):
        order.sort(key=lambda i: world.graph[nodes[i]].op in ("and", "or"))
        together = _all_of if op == "and" else _one_of
        found += together(nodes, order, around, near)
    return found


def alone(world: World, index: int, node: int) -> list[Finding]:
    """What is idle about a condition by itself."""
    possible = outcomes(world, node)
    if not possible & TRUE:
        return [Finding("never", index)]
    if possible == TRUE:
        return [Finding("always", index)]
    return [Finding("there", index)] if possible == TRUE | MISSING else []


def _tells(world: World, node: int) -> bool:
    """Whether a part says more than that something is there or missing, which people rightly write out."""
    of = world.graph[node]
    return (world.graph[of.args[0]].op if of.op == "not" else of.op) != "is_missing"


def _all_of(nodes: Sequence[int], order: list[int], around: Facts, near: Sequence[int]) -> list[Finding]:
    world = around.world
    found: dict[int, Finding] = {}
    for turn in (order, order[::-1]):
        facts, before = around.copy(), list(near)
        for i in turn:
            if i in found:
                continue
            if _tells(world, nodes[i]) and not facts.allows(nodes[i], NOT_TRUE):
                found[i] = Finding("implied", i, _culprit(world, before, TRUE, nodes[i], NOT_TRUE))
                continue
            if not facts.assume(nodes[i], TRUE):
                return [Finding("conflict", i, _culprit(world, before, TRUE, nodes[i], TRUE))]
            before.append(nodes[i])
    return [found[i] for i in sorted(found)]


def _one_of(nodes: Sequence[int], order: list[int], around: Facts, near: Sequence[int]) -> list[Finding]:
    world = around.world
    found: dict[int, Finding] = {}
    for i in order:
        if not around.allows(nodes[i], TRUE):
            found[i] = Finding("conflict", i, _culprit(world, near, TRUE, nodes[i], TRUE))
    for turn in (order, order[::-1]):
        facts, before = around.copy(), list[int]()
        for i in turn:
            if i in found:
                continue
            if _tells(world, nodes[i]) and not facts.allows(nodes[i], TRUE):
                found[i] = Finding("implied", i, _culprit(world, before, NOT_TRUE, nodes[i], TRUE))
                continue
            if before and not facts.allows(nodes[i], FALSE):
                return [Finding("exhausted", i, _culprit(world, before, NOT_TRUE, nodes[i], FALSE))]
            if not facts.assume(nodes[i], NOT_TRUE):
                break
            before.append(nodes[i])
    return [found[i] for i in sorted(found)]


def _culprit(world: World, others: Sequence[int], taken: int, node: int, outcomes: int) -> int | None:
    """The first of the others that alone keeps a condition from coming to something."""
    for other in others:
        facts = Facts(world)
        if facts.assume(other, taken) and not facts.assume(node, outcomes):
            return other
    return None
