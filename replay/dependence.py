"""What of a bundle a history's columns can tell, and what only its decisions in order can.

A value is **columnar** when it follows from the event and from what was counted before, whatever was decided:
fields, lists, models, and counters whose conditions are columnar themselves. What reads labels, firings, or
counters of those is **residual**: it follows from decisions. So does a ring of counters whose conditions read
one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from quell.engine.compile import Analysis
from quell.engine.graph import Graph, Node
from quell.engine.lowered import LoweredRule, Store
from quell.engine.order import effect_nodes

FROM_DECISIONS = frozenset(("labelled", "label_age", "fired"))
READINGS = frozenset(("counter", "reaches"))


@dataclass(slots=True)
class Dependence:
    """Which stores and nodes of a bundle are residual, and the columnar stores that its rules lead to.

    `residual` are identities of stores with the reason of each; `levels` the columnar ones that are needed,
    those of a level reading only those of earlier ones.
    """

    analysis: Analysis
    residual: dict[str, str] = field(default_factory=dict)
    levels: list[list[str]] = field(default_factory=list)
    _known: dict[tuple[str, int], bool] = field(default_factory=dict)
    _readers: dict[str, list[tuple[str, Node]]] | None = None
    _asked: dict[str, dict[str, list[Node]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._find_residual()
        self._order(self._needed())

    @property
    def stores(self) -> dict[str, Store]:
        """Every store of the bundle."""
        return self.analysis.lowerer.stores

    def graph(self, event: str) -> Graph:
        """The graph of an event type."""
        return self.analysis.lowerer.graph(event)

    def rules(self, event: str) -> list[LoweredRule]:
        """The rules of an event type that are decided at all."""
        return [r for stage in self.analysis.stages[event] for r in stage.rules]

    def is_residual(self, event: str, number: int) -> bool:
        """Whether a node's value follows from decisions."""
        known = self._known
        if (event, number) in known:
            return known[event, number]
        graph = self.graph(event)
        for inner in graph.reach([number]):
            if (event, inner) in known:
                continue
            node = graph[inner]
            own = node.op in FROM_DECISIONS or (node.op in READINGS and node.data[0] in self.residual)
            known[event, inner] = own or any(known[event, a] for a in node.args)
        return known[event, number]

    def roots(self, event: str) -> Iterator[int]:
        """What deciding an event needs: conditions, effects, and how residual stores count."""
        for rule in self.rules(event):
            yield from (rule.condition, *effect_nodes(rule))
        for identity in self.residual:
            yield from self._source_nodes(self.stores[identity], event)

    def all_roots(self, event: str) -> Iterator[int]:
        """The same, and how the columnar stores count that deciding leads to."""
        yield from self.roots(event)
        yield from self.counted(event)

    def counted(self, event: str) -> Iterator[int]:
        """What counting an event in the columnar stores asks of it."""
        for identity in (i for level in self.levels for i in level):
            yield from self._source_nodes(self.stores[identity], event)

    def readings(self, event: str, roots: Iterable[int]) -> list[int]:
        """The columnar counters that nodes need, in order of their number."""
        graph = self.graph(event)
        return [
            n
            for n in graph.reach(list(roots))
            if graph[n].op in READINGS and graph[n].data[0] not in self.residual
        ]

    def readings_of(self, event: str, identity: str) -> list[Node]:
        """The nodes of an event type that read a columnar store and that deciding leads to."""
        if event not in self._asked:
            graph, found = self.graph(event), dict[str, list[Node]]()
            for n in self.readings(event, self.all_roots(event)):
                found.setdefault(graph[n].data[0], []).append(graph[n])
            self._asked[event] = found
        return self._asked[event].get(identity, [])

    # ------------------------------------------------------------------------------- working it out

    def _find_residual(self) -> None:
        reads = {identity: self._reads(store) for identity, store in self.stores.items()}
        for identity, store in self.stores.items():
            if any(s.rule is not None for s in store.sources):
                self.residual[identity] = "it counts what rules decided"
            elif identity in _closure(identity, reads):
                self.residual[identity] = "it reads itself through other counters"
        while found := self._more_residual():
            self.residual |= found
            self._known.clear()

    def _more_residual(self) -> dict[str, str]:
        """The stores that follow from decisions because something that they look at, or a key that they are
        read under, does."""
        found: dict[str, str] = {}
        for identity, store in self.stores.items():
            if identity not in self.residual:
                if any(self.is_residual(s.event, n) for s in store.sources for n in s.nodes):
                    found[identity] = "what it counts follows from what rules decided"
                elif any(
                    self.is_residual(e, a) for e, node in self.all_readings(identity) for a in node.args
                ):
                    found[identity] = "a key that it is read under follows from what rules decided"
        return found

    def all_readings(self, identity: str) -> Iterator[tuple[str, Node]]:
        """Every node that reads a store, in all event types, needed or not."""
        if self._readers is None:
            self._readers = {}
            for event in self.analysis.symbols.schemas:
                for node in self.graph(event).nodes:
                    if node.op in READINGS:
                        self._readers.setdefault(node.data[0], []).append((event, node))
        yield from self._readers.get(identity, ())

    def _reads(self, store: Store) -> set[str]:
        """The stores that must be known first: those that its sources look at, and those in the keys that it
        is read under."""
        roots = [(s.event, n) for s in store.sources for n in s.nodes]
        roots += [(event, a) for event, node in self.all_readings(store.identity) for a in node.args]
        out = set()
        for event, number in roots:
            graph = self.graph(event)
            out |= {graph[n].data[0] for n in graph.reach([number]) if graph[n].op in READINGS}
        return out

    def _source_nodes(self, store: Store, event: str) -> list[int]:
        return [n for s in store.sources if s.event == event for n in s.nodes]

    def _needed(self) -> set[str]:
        """The columnar stores that deciding leads to."""
        found: set[str] = set()
        waiting: list[str] = []
        for event in self.analysis.symbols.schemas:
            graph = self.graph(event)
            waiting += [graph[n].data[0] for n in self.readings(event, self.roots(event))]
        while waiting:
            identity = waiting.pop()
            if identity not in found and identity not in self.residual:
                found.add(identity)
                waiting += self._reads(self.stores[identity])
        return found

    def _order(self, needed: set[str]) -> None:
        left = sorted(needed)
        done: set[str] = set()
        while left:
            level = [i for i in left if self._reads(self.stores[i]) <= done]
            assert level, "a ring of counters is residual"
            self.levels.append(level)
            done |= set(level)
            left = [i for i in left if i not in done]


def _closure(start: str, reads: dict[str, set[str]]) -> set[str]:
    """The stores that one leads to."""
    found: set[str] = set()
    waiting = list(reads[start])
    while waiting:
        top = waiting.pop()
        if top not in found:
            found.add(top)
            waiting += reads.get(top, ())
    return found
