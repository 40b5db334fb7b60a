"""Which conditions cannot have an idle part, told from the graph alone: nearly all of them.

Reading a condition again part by part costs as much as lowering it did. It is spared where every part can
be true and can be false, no two parts of one `and` or `or` speak of the same thing, and as many simple
conditions came into the graph as were written: a part that was folded away, or that stood there before,
makes them fewer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from quell.engine.lints_outcomes import outcomes
from quell.engine.lints_world import FALSE, TRUE, World
from quell.engine.lints_written import bare
from quell.engine.symbols import Symbols
from quell.grammar import tree

_UNCOUNTED = -1


@dataclass(slots=True)
class Quiet:
    """What is known of the conditions of one event's graph, and of how many were written."""

    world: World
    symbols: Symbols
    _plain: dict[int, bool] = field(default_factory=dict)
    _made: dict[int, int] = field(default_factory=dict)
    _written: dict[str, int] = field(default_factory=dict)

    def is_quiet(self, written: tree.Expr, node: int) -> bool:
        """Whether there is surely nothing to say about a condition."""
        graph = self.world.graph
        for inner in self.world.conditions(node, self._plain):
            of = graph[inner]
            joined_of = of.args if of.op in ("and", "or", "not") else ()
            self._made[inner] = sum(self._made[a] for a in joined_of) if joined_of else 1
            possible = outcomes(self.world, inner)
            plain = bool(possible & TRUE and possible & FALSE) and all(self._plain[a] for a in joined_of)
            self._plain[inner] = plain and not (len(joined_of) > 1 and self.world.related(joined_of))
        return self._plain[node] and self._count(written) == self._made[node]

    def _count(self, written: tree.Expr) -> int:
        """How many simple conditions a condition is joined of, through the lets it names."""
        total = 0
        stack = [written]
        while stack:
            top = bare(stack.pop())
            if isinstance(top, tree.Junction):
                stack.extend(top.items)
            elif isinstance(top, tree.Unary) and top.op == "not":
                stack.append(top.operand)
            elif isinstance(top, tree.Compare):
                total += len(top.rest)
            elif isinstance(top, tree.Name) and top.name in self.symbols.lets:
                total += self._let(top.name)
            elif isinstance(top, tree.Call) and top.function.name in self.symbols.lets:
                return _UNCOUNTED
            else:
                total += 1
        return total

    def _let(self, name: str) -> int:
        known = self._written.get(name)
        if known is None:
            self._written[name] = 0  # a ring of names was reported and has no node
            known = self._written[name] = self._count(self.symbols.lets[name].body)
        return known
