"""From when to when a history goes, and which windows were full."""

from __future__ import annotations

from quell.engine.compile import Analysis
from quell.engine.order import stage_nodes
from quell.grammar.literals import spell_duration
from quell.replay.history import History
from quell.replay.report_data import Warmup
from quell.signals.show import show_time


def span(history: History) -> tuple[int, int] | None:
    """The times of the first and the last event in microseconds, None without events."""
    found = history.db.rows(f'SELECT min("at"), max("at") FROM {history.table("all")}')[0]
    return None if found[0] is None else found


def windows(analysis: Analysis) -> tuple[int, bool]:
    """The longest window with an end (microseconds) that a counter of the bundle is read over, and whether
    any reads for ever."""
    stores = analysis.lowerer.stores
    read = set()
    for event, stages in analysis.stages.items():
        graph = analysis.lowerer.graph(event)
        for number in graph.reach(list(stage_nodes(stages))):
            if graph[number].op in ("counter", "reaches"):
                read.add(graph[number].data[0])
    found = [stores[identity] for identity in sorted(read)]
    return max((s.recent for s in found), default=0), any(s.longest is None for s in found)


def warmup(history: History, left_out: bool) -> Warmup:
    """The part of the history in which windows were not full yet."""
    longest, ever = windows(history.build.analysis)
    times = span(history)
    if times is None or not (longest or ever):
        return Warmup(longest="", events=0, left_out=False)
    full = times[0] + longest
    before = history.db.value(f'SELECT count(*) FROM {history.table("all")} WHERE "at" < {full}')
    whole = full <= times[1]
    return Warmup(
        longest=spell_duration(longest) if longest else "ever",
        events=before,
        left_out=left_out,
        until=show_time(full) if whole else None,
        whole=whole,
        ever=ever,
    )
