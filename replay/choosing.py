"""Which way a bundle is replayed on a history: by columns, or by stepping the online engine.

Both give the same, so this is only a matter of time. Columns take a fraction of the time wherever SQL has a
form for what is asked. What goes through Python costs the same either way, and stepping asks for it only
where an undecided rule needs it; where that is most of the work, columns gain nothing.
"""

from __future__ import annotations

from quell.engine.plan import Costs, conjuncts
from quell.replay.dependence import FROM_DECISIONS, READINGS, Dependence
from quell.replay.history import History
from quell.replay.sql_expressions import Translator

SHORT = 5_000
"""Of a history with fewer events the online engine has decided all before a database has made its plans: at
6,000 (email) and 10,000 (wiki) columns took 0.74 and 0.52 seconds of the processor, stepping 1.26 and
0.65."""
PYTHON = 0.8
"""The share of the engine's own work from which on it is not worth doing all of it in Python beforehand. At
0.67 (the starter bundle on 210,000 events) columns took 28 seconds of the processor and stepping 22, but to
explain samples stepping starts again from the first event, which columns need not."""
STEP = 10.0
"""Microseconds that the engine takes for an event beside what its rules ask."""


def why_not_columns(history: History, dependence: Dependence) -> str:
    """Why a bundle cannot be replayed by columns; empty where it can."""
    if history.journals and _asks(history):
        return "what remote models answered in service is taken from the journal, decision by decision"
    for event in history.build.analysis.symbols.schemas:
        graph = dependence.graph(event)
        for n in graph.reach(list(dependence.all_roots(event))):
            if graph[n].op in READINGS and graph[n].binders:
                return "a counter is read for each element of a list"
    return ""


def _asks(history: History) -> bool:
    """Whether remote models are asked by what is decided."""
    return any(linked.program.asked for linked in history.build.programs.values())


def why_stepping_is_quicker(history: History, dependence: Dependence) -> str:
    """Why stepping takes less time than columns would; empty where it does not."""
    if history.events < SHORT:
        return "the history is short"
    python = stepped = 0.0
    for event in history.build.analysis.symbols.schemas:
        events = history.db.value(f"SELECT count(*) FROM {history.of(event)}")
        before, along = _costs(history, dependence, event)
        python += events * before
        stepped += events * along
    if python > PYTHON * stepped:
        return "most of the work is functions of texts in Python, and stepping asks for less of it"
    return ""


def _costs(history: History, dependence: Dependence, event: str) -> tuple[float, float]:
    """Microseconds an event: in Python, for columns; and altogether, for the engine."""
    graph = dependence.graph(event)
    costs = Costs(graph)
    translator = Translator(history.db, history.build, event)
    given = {
        n.id: f"c{n.id}"
        for n in graph.nodes
        if n.op in ("field", "clock", "remote") or n.op in READINGS or n.op in FROM_DECISIONS
    }
    conditions = [r.condition for r in dependence.rules(event)]
    counted = list(dependence.counted(event))
    for n in dict.fromkeys([*conditions, *counted]):
        translator.sql(n, given)
    python = sum(costs.cost(n) for n in dict(translator.ways))
    asked = (sorted(dict.fromkeys(conjuncts(graph, c)), key=costs.rank) for c in conditions)
    counting = sum(costs.cost(n) for n in dict.fromkeys(counted))
    return python, STEP + counting + sum(costs.expected(a) for a in asked)
