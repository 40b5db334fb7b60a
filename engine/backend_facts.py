"""What the Python back end works out about an event's graph before it writes a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from quell.engine.expressions import is_atom
from quell.engine.graph import Graph, Node
from quell.engine.lowered import LoweredRule, Store
from quell.engine.order import Stage, effect_nodes
from quell.engine.plan import Block, Costs, arrange
from quell.engine.waves import Ask, Schedule

DEEP = 12
"""How deeply operations stand in one another before one of them is kept in a variable."""
SHARE_FROM = 0.12
"""From this cost on, in microseconds, a value needed more than once is kept in a variable."""


class Leaf(Protocol):
    """How a field is read: Python over `e` and `at`, the names it uses, whether it is a bare look-up."""

    @property
    def source(self) -> str:
        """The expression."""
        ...

    @property
    def helpers(self) -> Mapping[str, object]:
        """What the expression needs beside `e` and `at`."""
        ...

    @property
    def raw(self) -> bool:
        """Whether it is one chain of attributes."""
        ...


Wanted = list[tuple[str, tuple[Any, ...]]]
"""The patterns and lists that one scan of a text looks for: operation and data of their nodes."""


@dataclass(frozen=True, slots=True)
class Facts:
    """An event's stages with their blocks, the remote models asked in between, and what follows from them.

    `held` must be worked out before the first answer is waited for; `asked` are the remote models' nodes.
    `fields` are the leaves that are read, `lazy` the nodes kept in variables, `scans` what each text is
    scanned for, `fired` the rules whose firing something looks at, `own` the stores that must tell what
    the present event added; `numbered` are the rules in order of name.
    """

    event: str
    graph: Graph
    early: tuple[tuple[Stage, tuple[Block, ...]], ...]
    waves: tuple[tuple[Ask, ...], ...]
    late: tuple[tuple[Stage, tuple[Block, ...]], ...]
    held: tuple[int, ...]
    asked: tuple[int, ...]
    leaf: Callable[[str], Leaf]
    known: Mapping[int, str]
    places: Mapping[str, str]
    costs: Costs
    rules: Mapping[str, LoweredRule]
    numbered: tuple[LoweredRule, ...]
    stores: Mapping[str, Store]
    fields: tuple[int, ...]
    lazy: tuple[int, ...]
    scans: Mapping[int, Wanted]
    fired: frozenset[str]
    own: frozenset[str]

    def bare(self, number: int) -> bool:
        """Whether a node is as cheap to read again as a variable."""
        return is_bare(self.graph[number], self.leaf)


def is_bare(node: Node, leaf: Callable[[str], Leaf]) -> bool:
    """Whether a node is a plain look-up."""
    if node.op == "field":
        found = leaf(node.data[0])
        return found.raw and is_atom(found.source)
    return node.op in ("const", "clock", "injected", "fired") and not node.args


def gather(
    event: str,
    graph: Graph,
    steps: Schedule,
    leaf: Callable[[str], Leaf],
    known: Mapping[int, str],
    places: Mapping[str, str],
) -> Facts:
    """The facts of an event."""
    early = tuple((stage, arrange(graph, stage)) for stage in steps.early)
    late = tuple((stage, arrange(graph, stage)) for stage in steps.late)
    stages = (*early, *late)
    costs = Costs(graph)
    asked = tuple(ask.node for wave in steps.waves for ask in wave)
    roots = [*_roots(stages), *_wave_roots(graph, steps)]
    reached = list(graph.reach(roots))
    rules = tuple(sorted((r for stage, _ in stages for r in stage.rules), key=lambda r: r.name))
    return Facts(
        event,
        graph,
        early,
        steps.waves,
        late,
        steps.held,
        asked,
        leaf,
        known,
        places,
        costs,
        {r.name: r for r in rules},
        rules,
        {w.store.identity: w.store for stage, _ in stages for w in stage.writes},
        tuple(n for n in reached if graph[n].op == "field"),
        tuple(sorted((_lazy(graph, roots, reached, costs, leaf, known) | set(steps.held)) - set(asked))),
        _scans(graph, reached),
        frozenset(_fired(graph, reached, stages)),
        frozenset(
            graph[n].data[0]
            for n in reached
            if graph[n].op == "reaches" or (graph[n].op == "counter" and graph[n].data[3] == "this")
        ),
    )


def _roots(stages: Iterable[tuple[Stage, tuple[Block, ...]]]) -> Iterable[int]:
    for stage, blocks in stages:
        for write in stage.writes:
            yield from write.source.nodes
        for rule in stage.rules:
            yield from effect_nodes(rule)
        yield from _asked(blocks)


def _wave_roots(graph: Graph, steps: Schedule) -> Iterable[int]:
    yield from steps.held
    for ask in (a for wave in steps.waves for a in wave):
        yield from graph[ask.node].args
        for need in ask.needs:
            yield from (*need.sure, *need.open, *need.settled)


def _asked(blocks: Iterable[Block]) -> Iterable[int]:
    for block in blocks:
        yield from block.conditions
        yield from _asked(block.blocks)


def _lazy(
    graph: Graph,
    roots: list[int],
    reached: list[int],
    costs: Costs,
    leaf: Callable[[str], Leaf],
    known: Mapping[int, str],
) -> set[int]:
    """The nodes that live in variables: costly ones used twice, fields used twice, lists gone through,
    whatever a list's elements need from outside, and named values that may be missing."""
    out: set[int] = set()
    uses: dict[int, int] = {}
    for root in roots:
        uses[root] = uses.get(root, 0) + 1
    for number in reached:
        node = graph[number]
        for place, a in enumerate(node.args):
            uses[a] = uses.get(a, 0) + 1
            around = bool(node.binders) or node.operation.binds
            free = not graph[a].binders and graph[a].op not in ("const", "element")
            if free and around and not (node.operation.binds and place > 1) and not is_bare(graph[a], leaf):
                out.add(a)
    for number, count in uses.items():
        node = graph[number]
        if node.binders or node.op in ("const", "clock", "element", "fired", "match", "list_match"):
            continue
        if node.op == "injected" and not node.args:
            continue
        if node.op == "field":
            found = leaf(node.data[0])
            if not (found.raw and is_atom(found.source)) or (count > 1 and found.source != "at"):
                out.add(number)
        elif (count > 1 and costs.cost(number) >= SHARE_FROM) or (
            number in known and node.type.optional and node.type.kind != "bool"
        ):
            out.add(number)
    _spill(graph, reached, out)
    return out


def _spill(graph: Graph, reached: list[int], lazy: set[int]) -> None:
    """Keep deep expressions in variables too: a line stays readable, and within what Python's compiler
    takes of parentheses in one another."""
    depth: dict[int, int] = {}
    for number in reached:
        node = graph[number]
        deep = 1 + max((depth[a] for a in node.args), default=0)
        free = not node.binders and node.args and node.op not in ("and", "or", "not", "match", "list_match")
        if free and deep > DEEP:
            lazy.add(number)
        depth[number] = 0 if number in lazy else deep


def _scans(graph: Graph, reached: Iterable[int]) -> dict[int, Wanted]:
    """For every text, the patterns and then the lists looked for in it, so that one pass finds all."""
    out: dict[int, Wanted] = {}
    for number in reached:
        node = graph[number]
        if node.op in ("match", "list_match") and not node.binders:
            wanted = out.setdefault(node.args[0], [])
            what = (node.op, node.data)
            if what not in wanted:
                wanted.append(what)
    return {text: sorted(wanted, key=lambda w: w[0] == "list_match") for text, wanted in out.items()}


def _fired(
    graph: Graph, reached: Iterable[int], stages: Iterable[tuple[Stage, tuple[Block, ...]]]
) -> Iterable[str]:
    for number in reached:
        if graph[number].op == "fired":
            yield graph[number].data[0]
    for stage, _ in stages:
        yield from (w.source.rule for w in stage.writes if w.source.rule is not None)
        for rule in stage.rules:
            yield from rule.exempt_by
