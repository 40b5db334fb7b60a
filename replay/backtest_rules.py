"""What each rule and each verdict did on a history, counted by DuckDB."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quell.engine.compile import Analysis
from quell.engine.decision_summary import events_of, verdict_order
from quell.engine.plan import Costs, conjuncts
from quell.grammar import tree
from quell.replay.backtest_frame import Buckets, Frame
from quell.replay.backtest_quality import Cell, Tally, quality_of, volume
from quell.replay.report_data import Overlap, Quality, RuleRow, VerdictRow

MOST_PAIRS = 1_000
"""Pairs of rules that a report names, the most frequent first."""
_SUMS = "count(*), sum(weight), count(*) FILTER (early)"


@dataclass(slots=True)
class Events:
    """The events of the period, counted by type and verdict, bucket and label."""

    cells: list[tuple[str, str, int, Cell]]

    @classmethod
    def of(cls, frame: Frame) -> Events:
        """Counted in one pass."""
        rows = frame.db.rows(
            f"SELECT event, verdict, bucket, label, {_SUMS} FROM ({frame.events}) GROUP BY ALL ORDER BY ALL"
        )
        return cls([(event, verdict, bucket, _cell(frame, *sums)) for event, verdict, bucket, *sums in rows])

    def tally(self, events: Iterable[str], verdicts: Mapping[str, Iterable[str]] | None = None) -> Tally:
        """All events of some types, or those with one of the verdicts given for their type."""
        chosen = set(events)
        wanted = None if verdicts is None else {e: set(v) for e, v in verdicts.items()}
        return Tally.of(
            cell for e, v, _, cell in self.cells if e in chosen and (wanted is None or v in wanted.get(e, ()))
        )

    def by_type(self) -> dict[str, int]:
        """How many of each type, in order of name."""
        counts: defaultdict[str, int] = defaultdict(int)
        for event, _, _, cell in self.cells:
            counts[event] += cell.events
        return dict(sorted(counts.items()))

    def over_time(self, buckets: Buckets, verdict: str | None = None) -> list[int]:
        """How many in each bucket, of one verdict or of all."""
        counts: defaultdict[int, int] = defaultdict(int)
        for _, v, bucket, cell in self.cells:
            if verdict is None or v == verdict:
                counts[bucket] += cell.events
        return buckets.spread(counts)


def _cell(frame: Frame, label: bool | None, count: int, weight: Any, early: int) -> Cell:
    return Cell(label, count, None if weight is None else int(weight), early if frame.timed else None)


def verdict_rows(frame: Frame, events: Events, analysis: Analysis) -> list[VerdictRow]:
    """Every verdict of the ladders, from the mildest."""
    ladders = {e: analysis.symbols.ladders[e].verdicts for e in analysis.symbols.schemas}
    total = sum(cell.events for *_, cell in events.cells)
    rows = []
    for verdict in verdict_order(analysis.symbols):
        cells = [cell for _, v, _, cell in events.cells if v == verdict]
        count = sum(cell.events for cell in cells)
        having = [e for e, ladder in ladders.items() if verdict in ladder]
        quality = None
        if frame.truth is not None and any(ladders[e][0] != verdict for e in having):
            higher = {e: ladders[e][ladders[e].index(verdict) :] for e in having}
            quality = quality_of(events.tally(having, higher), events.tally(having))
        rows.append(
            VerdictRow(
                verdict,
                count,
                count / total if total else 0.0,
                events.over_time(frame.buckets, verdict),
                volume(cell.weight for cell in cells),
                quality,
            )
        )
    return rows


# ------------------------------------------------------------------------------------------- rules


@dataclass(slots=True)
class _Counts:
    """What the tables say of one rule."""

    cells: list[Cell] = field(default_factory=list)
    over_time: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    held: int = 0
    entities: int = 0
    only: int = 0
    missing: int | None = None
    sampled: bool = False

    @property
    def fired(self) -> int:
        """How often it fired, or would have."""
        return sum(cell.events for cell in self.cells)


def rule_rows(frame: Frame, events: Events, analysis: Analysis) -> list[RuleRow]:
    """Every rule that is not off, in order of name."""
    counts: defaultdict[str, _Counts] = defaultdict(_Counts)
    _count_hits(frame, counts)
    _count_people(frame, counts)
    _count_only(frame, counts)
    by_type = events.by_type()
    _count_missing(frame, counts, by_type)
    costs = _costs(analysis, by_type)
    rows = []
    for name, rule in analysis.symbols.rules.items():
        mode = rule.mode.name if rule.mode else "live"
        if mode != "off":
            rows.append(_row(frame, events, analysis, rule, counts[name], costs.get(name, 0.0)))
    return rows


def _row(
    frame: Frame, events: Events, analysis: Analysis, rule: tree.Rule, found: _Counts, cost: float
) -> RuleRow:
    types = events_of(rule.events, analysis.symbols)
    everything = events.tally(types)
    asked = everything.positive + everything.negative + everything.unlabelled
    source = analysis.files.sources[rule.span.file]
    fired = found.fired
    return RuleRow(
        rule=rule.name.name,
        mode="shadow" if rule.mode is not None and rule.mode.name == "shadow" else "live",
        place=f"{rule.span.file}:{source.position(rule.span.start).line}",
        events=asked,
        fired=fired,
        rate=fired / asked if asked else 0.0,
        held=found.held,
        entities=found.entities,
        only=found.only,
        missing=found.missing,
        cost=cost,
        over_time=frame.buckets.spread(found.over_time),
        verdict=_verdict(rule, analysis),
        tags=[t.plain or "" for t in rule.tags],
        owner=rule.owner.plain if rule.owner else None,
        severity=rule.severity.name if rule.severity else None,
        because=_written(source.text, rule.because),
        text=source.text[rule.span.start : rule.span.end].rstrip(),
        sampled=found.sampled,
        volume=volume(cell.weight for cell in found.cells),
        quality=_quality(frame, found, everything),
    )


def _quality(frame: Frame, found: _Counts, everything: Tally) -> Quality | None:
    return quality_of(Tally.of(found.cells), everything) if frame.truth is not None else None


def _written(text: str, node: tree.Text | None) -> str | None:
    """A text as it is written, without its quotes."""
    return text[node.span.start : node.span.end].strip('"') if node is not None else None


def _verdict(rule: tree.Rule, analysis: Analysis) -> str:
    """The gravest verdict that a rule asks for, or empty."""
    asked = {e.name.name for e in rule.effects if isinstance(e, tree.Verdict)}
    return next((v for v in reversed(verdict_order(analysis.symbols)) if v in asked), "")


def _count_hits(frame: Frame, counts: defaultdict[str, _Counts]) -> None:
    rows = frame.db.rows(
        f"SELECT rule, outcome, bucket, label, {_SUMS} FROM {frame.hits} GROUP BY ALL ORDER BY ALL"
    )
    for rule, outcome, bucket, *sums in rows:
        cell, of = _cell(frame, *sums), counts[rule]
        if outcome == "held":
            of.held += cell.events
        else:
            of.cells.append(cell)
            of.over_time[bucket] += cell.events


def _count_people(frame: Frame, counts: defaultdict[str, _Counts]) -> None:
    rows = frame.db.rows(
        f"SELECT rule, count(DISTINCT entity) FROM {frame.hits} WHERE outcome != 'held' GROUP BY rule"
    )
    for rule, people in rows:
        counts[rule].entities = people


def _count_only(frame: Frame, counts: defaultdict[str, _Counts]) -> None:
    """On how many events no other live rule fired."""
    rows = frame.db.rows(
        f"WITH live AS (SELECT n, count(*) AS k FROM {frame.hits} WHERE outcome = 'fired' GROUP BY n) "
        f"SELECT rule, count(*) FROM {frame.hits} LEFT JOIN live USING (n) WHERE outcome != 'held' "
        f"AND coalesce(k, 0) = CASE outcome WHEN 'fired' THEN 1 ELSE 0 END GROUP BY rule"
    )
    for rule, only in rows:
        counts[rule].only = only


def _count_missing(frame: Frame, counts: defaultdict[str, _Counts], by_type: Mapping[str, int]) -> None:
    """How often a condition was missing; what was looked at on some events only is scaled up."""
    rows = frame.db.rows(
        f"SELECT rule, event, sum(missing), sum(looked) FROM {frame.outcome.table('missing')} "
        f"GROUP BY ALL ORDER BY ALL"
    )
    for rule, event, missing, looked in rows:
        of, events = counts[rule], by_type.get(event, 0)
        if not looked:
            continue
        if looked != events:
            of.sampled = True
        of.missing = (of.missing or 0) + round(int(missing) * events / int(looked))


def _costs(analysis: Analysis, by_type: Mapping[str, int]) -> dict[str, float]:
    """Each rule's share of what the conditions of all rules are expected to cost."""
    spent: defaultdict[str, float] = defaultdict(float)
    for event, rules in analysis.rules.items():
        graph = analysis.lowerer.graph(event)
        costs = Costs(graph)
        for rule in rules:
            parts = sorted(dict.fromkeys(conjuncts(graph, rule.condition)), key=costs.rank)
            spent[rule.name] += by_type.get(event, 0) * costs.expected(parts)
    total = sum(spent.values())
    return {name: of / total if total else 0.0 for name, of in spent.items()}


def overlaps(frame: Frame, rows: Iterable[RuleRow]) -> list[Overlap]:
    """The pairs of rules that fire on the same events, the most frequent first. Events are put together by
    the set of rules that fired on them, so that there are few to pair."""
    pairs = frame.db.rows(
        f"WITH sets AS (SELECT rules, count(*) AS k FROM (SELECT n, list(rule ORDER BY rule) AS rules "
        f"FROM {frame.hits} WHERE outcome != 'held' GROUP BY n HAVING count(*) > 1) GROUP BY rules) "
        f"SELECT x.a, y.b, sum(k)::BIGINT AS k2 FROM sets, unnest(rules) x(a), unnest(rules) y(b) "
        f"WHERE x.a < y.b GROUP BY ALL ORDER BY k2 DESC, x.a, y.b LIMIT {MOST_PAIRS}"
    )
    fired = {row.rule: row.fired for row in rows}
    return [Overlap(a, b, both, both / fired[a], both / fired[b]) for a, b, both in pairs]
