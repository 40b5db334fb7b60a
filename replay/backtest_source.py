"""From when to when a history goes, and which windows were full."""

from __future__ import annotations

from quell.engine.compile import Analysis
from quell.engine.order import stage_nodes
from quell.engine.source_base import SourceError
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


def check_period(history: History, start: int | None, until: int | None, left_out: bool) -> None:
    """Raises SourceError where no event is left to count: none lies from `start` until `until` (microseconds;
    None: no bound), or all come before the longest window is full and are `left_out`."""
    times = span(history)
    if times is None:
        return
    first, last = (show_time(t) for t in times)
    hint = f"the history goes from {first} to {last}"
    if not _within(history, start, until):
        raise SourceError("no event of the history lies in the period of --from and --until", hint)
    full = times[0] + windows(history.build.analysis)[0]
    if left_out and not _within(history, full if start is None else max(full, start), until):
        raise SourceError(
            f"--warm-up leave-out leaves no event: the longest window is not full until {show_time(full)}",
            hint,
        )


def _within(history: History, start: int | None, until: int | None) -> int:
    """How many events and labels by hand lie in a period."""
    bounds = [f'"at" >= {start}'] if start is not None else []
    bounds += [f'"at" < {until}'] if until is not None else []
    among = " AND ".join(bounds) or "true"
    found: int = history.db.value(f"SELECT count(*) FROM {history.table('all')} WHERE {among}")
    return found


def warmup(history: History, left_out: bool, start: int | None = None, until: int | None = None) -> Warmup:
    """The part of the history in which windows were not full yet; of its events are counted those from
    `start` until `until`."""
    longest, ever = windows(history.build.analysis)
    times = span(history)
    if times is None or not (longest or ever):
        return Warmup(longest="", events=0, left_out=False)
    full = times[0] + longest
    before = _within(history, start, full if until is None else min(full, until))
    whole = full <= times[1]
    return Warmup(
        longest=spell_duration(longest) if longest else "ever",
        events=before,
        left_out=left_out,
        until=show_time(full) if longest and whole else None,
        whole=whole,
        ever=ever,
    )
