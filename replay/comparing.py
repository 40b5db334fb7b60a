"""What a change of policies changes on a history: two outcomes over the same files, joined event by event.

    comparison = compare(Side(frame_before, report_before), Side(frame_after, report_after))

`before` is what is compared with, `after` what would be in force. Everything is counted by DuckDB; the same
bundle against itself gives an empty comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from quell.engine.symbols import Ladder, Symbols
from quell.replay.backtest_frame import WEIGHT, Frame
from quell.replay.compare_samples import Sampler
from quell.replay.compare_tables import Tables
from quell.replay.compare_written import written
from quell.replay.report_data import Backtest, Comparison, Flow, Quality, RuleChange
from quell.replay.run import Tell


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: its events and hits, its figures, and what the bundle is called on a command line."""

    frame: Frame
    report: Backtest
    policies: str = ""

    @property
    def symbols(self) -> Symbols:
        """The bundle's names."""
        return self.frame.outcome.history.build.analysis.symbols


def _silent(what: str, share: float | None) -> None:
    """Nobody hears how far it is."""


def compare(
    before: Side,
    after: Side,
    *,
    samples: int = 5,
    explained: bool = True,
    against: str = "",
    tell: Tell = _silent,
) -> Comparison:
    """Compare two outcomes of one database over the same files. `samples` is how many events are shown of
    each rule and of those newly caught and let go; `explained` that they come with both explanations."""
    tell("comparing", None)
    said = written(before.frame.outcome.history.build, after.frame.outcome.history.build)
    tables = Tables(before.frame, after.frame, said)
    try:
        tables.make()
        flows = _Flows.of(tables, before.symbols, after.symbols)
        made = _figures(before, after, tables, flows)
        made.against = against
        Sampler(tables, before.policies, after.policies, samples, explained).fill(made, flows.turns, tell)
    finally:
        tables.close()
    return made


def _figures(before: Side, after: Side, tables: Tables, flows: _Flows) -> Comparison:
    differences = tables.differences()
    one_only = f"FROM {tables.name('pairs')} WHERE (a IS NULL) != (b IS NULL) AND NOT hand"
    only = dict(tables.db.rows(f"SELECT a IS NULL, count(*) {one_only} GROUP BY ALL"))
    return Comparison(
        before=before.report,
        after=after.report,
        flows=flows.flows,
        changed=flows.changed,
        harsher=flows.harsher,
        milder=flows.milder,
        rules=_rules(before, after, tables),
        counters=tables.written.counters,
        looks_different=tables.written.looks,
        same=differences.events == 0,
        events=sum(flow.count for flow in flows.flows),
        differences=differences,
        caught=flows.caught,
        let_go=flows.let_go,
        caught_labels=flows.labels["caught"] if after.report.labelled else None,
        let_go_labels=flows.labels["let_go"] if after.report.labelled else None,
        newly_refused=only.get(True, 0),
        no_longer_refused=only.get(False, 0),
        ladder=flows.ladder,
        notes=flows.notes,
    )


# --------------------------------------------------------------------------------------- verdicts

Turn = tuple[str, str, str, str]
"""Event type and verdict before, event type and verdict after."""


@dataclass(slots=True)
class _Flows:
    """How verdicts went over. `turns` are the changes that are newly caught and newly let go, `labels` how
    many of their events have a positive and a negative label."""

    flows: list[Flow] = field(default_factory=list)
    ladder: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changed: int = 0
    harsher: int = 0
    milder: int = 0
    caught: int = 0
    let_go: int = 0
    turns: dict[str, list[Turn]] = field(default_factory=lambda: {"caught": [], "let_go": []})
    labels: dict[str, tuple[int, int]] = field(default_factory=lambda: {"caught": (0, 0), "let_go": (0, 0)})

    @classmethod
    def of(cls, tables: Tables, before: Symbols, after: Symbols) -> _Flows:
        """Counted in one pass; what each turn means is worked out once for all events that took it."""
        made = cls(ladder=merged(_order(before), _order(after)))
        counts: dict[tuple[str, str], tuple[int, int | None]] = {}
        unordered: set[tuple[str, str]] = set()
        label, joined = "NULL::BOOLEAN", ""
        if tables.after.truth:
            label, joined = "truth.label", f"LEFT JOIN {tables.after.truth} truth ON truth.n = a"
        for *turn, count, weight, right, wrong in tables.db.rows(
            f"SELECT event_b, verdict_b, event_a, verdict_a, count(*), sum(weight)::BIGINT, "
            f"count(*) FILTER ({label}), count(*) FILTER (NOT {label}) "
            f"FROM {tables.name('pairs')} {joined} WHERE verdict_b IS NOT NULL AND verdict_a IS NOT NULL "
            f"GROUP BY ALL ORDER BY ALL"
        ):
            event_b, was, event_a, now = turn
            old = counts.get((was, now), (0, None))
            total = weight if old[1] is None else old[1] + (weight or 0)
            counts[was, now] = (old[0] + count, total)
            if was == now:
                continue
            way = made._turn((event_b, was, event_a, now), count, before, after, unordered)
            if way:
                old_right, old_wrong = made.labels[way]
                made.labels[way] = old_right + right, old_wrong + wrong
        place = {v: i for i, v in enumerate(made.ladder)}
        for was, now in sorted(counts, key=lambda pair: (place[pair[0]], place[pair[1]])):
            events, heavy = counts[was, now]
            made.flows.append(Flow(was, now, events, None if heavy is None else heavy / WEIGHT))
        made.notes += [
            f"`{a}` and `{b}` stand on no ladder together, so going from one to the other is neither harsher "
            f"nor milder here"
            for a, b in sorted(unordered)
        ]
        return made

    def _turn(
        self, turn: Turn, count: int, before: Symbols, after: Symbols, unordered: set[tuple[str, str]]
    ) -> str:
        """Count a turn; gives which of `turns` it is, if any."""
        event_b, was, event_a, now = turn
        old, new = before.ladders[event_b], after.ladders[event_a]
        self.changed += count
        way = direction(old, new, was, now)
        if way is None:
            unordered.add((was, now))
        elif way > 0:
            self.harsher += count
        elif way < 0:
            self.milder += count
        was_first, now_first = was == old.verdicts[0], now == new.verdicts[0]
        if was_first and not now_first:
            self.caught += count
            self.turns["caught"].append(turn)
            return "caught"
        if now_first and not was_first:
            self.let_go += count
            self.turns["let_go"].append(turn)
            return "let_go"
        return ""


def direction(before: Ladder, after: Ladder, was: str, now: str) -> int | None:
    """Whether a verdict is harsher (1) or milder (-1) than another was, by the ladder of now, or by that of
    before where it alone has both. Where neither has, the first of a ladder is as mild as any (0 for both
    first); None where that tells nothing either."""
    for ladder in (after, before):
        if was in ladder.verdicts and now in ladder.verdicts:
            return 1 if ladder.rank(now) > ladder.rank(was) else -1
    was_first, now_first = was == before.verdicts[0], now == after.verdicts[0]
    if was_first or now_first:
        return int(was_first) - int(now_first)
    return None


def _order(symbols: Symbols) -> list[str]:
    """The verdicts of a bundle's events, the mildest first."""
    ladders = [symbols.ladders[e] for e in symbols.schemas] or [symbols.ladders[""]]
    return list(dict.fromkeys(v for ladder in ladders for v in ladder.verdicts))


def merged(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """Both orders of verdicts as one: that of now, and each verdict of before that it lacks behind the one
    that it stood behind."""
    out = list(after)
    last: str | None = None
    for verdict in before:
        if verdict not in out:
            out.insert(0 if last is None else out.index(last) + 1, verdict)
        last = verdict
    return out


# ------------------------------------------------------------------------------------------ rules


def _rules(before: Side, after: Side, tables: Tables) -> list[RuleChange]:
    """The rules that are written otherwise or fire on other events, those with most such events first."""
    counts = _hit_counts(tables)
    acts = _acts(tables, before.frame, "b"), _acts(tables, after.frame, "a")
    over_time = _over_time(tables, after.frame)
    quality = _quality(before.report), _quality(after.report)
    out = []
    for pair in tables.written.rules:
        newly, no_longer, entities = counts.get(pair.name, (0, 0, 0))
        if pair.status == "same" and not pair.dressed and not newly and not no_longer:
            continue
        was = pair.was or pair.name
        out.append(
            RuleChange(
                rule=pair.name,
                status=pair.status,
                before=acts[0].get(pair.name, 0),
                after=acts[1].get(pair.name, 0),
                newly=newly,
                no_longer=no_longer,
                entities_newly=entities,
                was=pair.was,
                changed=list(pair.changed),
                over_time=over_time.get(pair.name, [0] * after.frame.buckets.count),
                before_quality=quality[0].get(was),
                after_quality=quality[1].get(pair.name),
                mode_before=pair.mode_before,
                mode_after=pair.mode_after,
            )
        )
    return sorted(out, key=lambda r: (-(r.newly + r.no_longer), r.rule))


def _quality(report: Backtest) -> Mapping[str, Quality | None]:
    return {row.rule: row.quality for row in report.rules}


def _hit_counts(tables: Tables) -> dict[str, tuple[int, int, int]]:
    """By rule: on how many events it newly fires, no longer fires, and on how many entities newly."""
    rows = tables.db.rows(
        f"SELECT h.rule, count(*) FILTER (outcome_a = acts AND outcome_b IS DISTINCT FROM acts), "
        f"count(*) FILTER (outcome_b = acts AND outcome_a IS DISTINCT FROM acts), "
        f"count(DISTINCT t.entity) FILTER (outcome_a = acts AND outcome_b IS DISTINCT FROM acts) "
        f"FROM {tables.name('hits')} h JOIN {tables.name('pairs')} p USING (k) "
        f"LEFT JOIN {tables.after.hits} t ON t.n = p.a AND t.rule = h.rule GROUP BY h.rule"
    )
    return {rule: (newly, no_longer, entities) for rule, newly, no_longer, entities in rows}


def _acts(tables: Tables, frame: Frame, side: str) -> dict[str, int]:
    """By rule (its name of now): on how many events it fires, or would where it is never live."""
    rule = tables.new_name("t.rule") if side == "b" else "t.rule"
    hits = f"{frame.hits} t JOIN {tables.name('pairs')} p ON p.{side} = t.n"
    return dict(
        tables.db.rows(
            f"SELECT r, count(*) FROM (SELECT {rule} AS r, t.outcome FROM {hits}) "
            f"WHERE outcome = {tables.acts('r')} GROUP BY r"
        )
    )


def _over_time(tables: Tables, after: Frame) -> dict[str, list[int]]:
    """By rule: firings after minus those before in each bucket. Whatever lies outside, since the period of
    one began earlier, counts in the outermost."""
    buckets = after.buckets
    place = f"least(greatest({buckets.column('p')}, 0), {buckets.count - 1})"
    found: dict[str, dict[int, int]] = {}
    for one, other, sign in (("b", "a", -1), ("a", "b", 1)):
        rows = tables.db.rows(
            f"SELECT h.rule, {place} AS bucket, count(*) FROM {tables.name('hits')} h "
            f"JOIN {tables.name('pairs')} p USING (k) "
            f"WHERE outcome_{one} = acts AND outcome_{other} IS DISTINCT FROM acts "
            f"GROUP BY ALL"
        )
        for rule, bucket, count in rows:
            of_rule = found.setdefault(rule, {})
            of_rule[bucket] = of_rule.get(bucket, 0) + sign * count
    return {rule: buckets.spread(counts) for rule, counts in found.items()}
