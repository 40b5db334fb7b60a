"""What a history held: files, what was refused, which fields have values, which windows were full."""

from __future__ import annotations

from typing import Any

from quell.engine.compile import Analysis
from quell.engine.order import stage_nodes
from quell.grammar.literals import spell_duration
from quell.replay.history import History
from quell.replay.report_data import FieldCoverage, RefusedKind, Source, Warmup
from quell.signals.show import show_time

SAMPLES = 3
"""Refused events of each kind that a report shows."""


def span(history: History) -> tuple[int, int] | None:
    """The times of the first and the last event in microseconds, None without events."""
    found = history.db.rows(f'SELECT min("at"), max("at") FROM {history.table("all")}')[0]
    return None if found[0] is None else found


def source_of(history: History) -> Source:
    """What a history held."""
    times = span(history)
    rows = history.db.rows
    return Source(
        files=history.files,
        records=history.records,
        events=history.events,
        by_type=dict(
            rows(f"SELECT event, count(*) FROM {history.table('all')} GROUP BY event ORDER BY event")
        ),
        hands=history.hands,
        refused=history.refused,
        problems=history.problems,
        order=history.order,
        late=history.late,
        refusals=_refusals(history),
        coverage=_coverage(history),
        first=show_time(times[0]) if times else None,
        last=show_time(times[1]) if times else None,
    )


def _refusals(history: History) -> list[RefusedKind]:
    counts = history.db.rows(
        f"SELECT kind, count(*) FROM {history.table('refused')} GROUP BY kind ORDER BY count(*) DESC, kind"
    )
    samples = history.db.rows(
        f"SELECT kind, place, message FROM {history.table('refused')} "
        f"QUALIFY row_number() OVER (PARTITION BY kind ORDER BY file, row) <= {SAMPLES} ORDER BY file, row"
    )
    return [
        RefusedKind(kind, count, [(place, message) for k, place, message in samples if k == kind])
        for kind, count in counts
    ]


def _coverage(history: History) -> list[FieldCoverage]:
    """How often each field that is read has a value."""
    wrong = {
        (event, name): count
        for event, name, count in history.db.rows(
            f"SELECT event, field, count(DISTINCT n) FROM {history.table('problems')} "
            f"JOIN {history.table('all')} USING (n) GROUP BY ALL"
        )
    }
    out = []
    for event, columns in history.columns.items():
        counted: Any = ", ".join(f"count({c})" for c, _ in columns) or "0"
        of, *present = history.db.rows(f"SELECT count(*), {counted} FROM {history.of(event)}")[0]
        for (_, f), there in zip(columns, present, strict=False):
            out.append(
                FieldCoverage(event, f.name, str(f.type), there, of, wrong.get((event, f.name), 0), True)
            )
    return out


# ------------------------------------------------------------------------------------------ windows


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
