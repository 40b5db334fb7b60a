"""Counters that are younger than the history: a decision that reads one says so until it has watched a whole
window."""

from __future__ import annotations

from quell.engine.compile import Analysis, Build
from quell.engine.order import stage_nodes
from quell.signals.state import State
from quell.signals.stores import Store


class Cold:
    """Which counters of a running bundle are cold: those that a change of the bundle brought after the state
    began, and those whose look-back it made longer, until their longest window has been watched whole. They
    have a beginning of their own."""

    def __init__(self, bundle: Build, state: State) -> None:
        self._state = state
        analysis = bundle.analysis
        self._read = [counters_read(analysis, event) for event in analysis.symbols.schemas]

    def of(self, event: int, now: int) -> tuple[str, ...]:
        """The cold counters that decisions for an event type, by its number, read."""
        stores = self._state.stores
        found = {stores[i].name for i in self._read[event] if i in stores and self._cold(stores[i], now)}
        return tuple(sorted(found))

    @property
    def over(self) -> bool:
        """Whether no counter is cold at any time that can still come."""
        horizon = self._state.clock.horizon
        return not any(self._cold(s, horizon) for s in self._state.stores.values())

    def _cold(self, store: Store, now: int | None) -> bool:
        if store.began is None or store.began == self._state.began:
            return False
        return store.longest is None or now is None or now < store.began + store.longest


def counters_read(analysis: Analysis, event: str) -> tuple[str, ...]:
    """The identities of the counters that rules and counters of an event type read, in order."""
    graph = analysis.lowerer.graph(event)
    roots = list(stage_nodes(analysis.stages[event]))
    read = (graph[n] for n in graph.reach(roots))
    return tuple(sorted({node.data[0] for node in read if node.op in ("counter", "reaches")}))
