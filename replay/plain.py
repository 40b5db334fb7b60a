"""Rules that need no settling: what they do follows from their condition alone.

A rule is plain when it asks for a verdict, or for nothing, and nothing holds it back: no limit, rollout or
exemption, no label, no send. Where on an event only plain rules may match, and no residual counter counts,
its decision is written by SQL straight from the columns.
"""

from __future__ import annotations

from quell.engine.lowered import LoweredRule
from quell.replay.candidates import Candidates, CandidateTables
from quell.replay.database import text_literal
from quell.replay.outcome import Outcome
from quell.replay.report_data import Way

TOGETHER = 40
"""Rules whose hits are written by one statement."""


def why_settled(rule: LoweredRule, tables: CandidateTables) -> str:
    """Why a rule needs settling; empty for a plain one."""
    if tables.dependence.is_residual(rule.event, rule.condition):
        return "its condition reads labels, firings, or counters of those"
    if rule.exempt_by:
        return "other rules may exempt from it"
    if rule.share is not None:
        return "it is rolled out in part"
    if len(rule.effects) > 1 or any(e.kind != "verdict" or e.limit is not None for e in rule.effects):
        return "it labels, sends, or has a limit"
    if rule.because is not None and tables.dependence.is_residual(rule.event, rule.because):
        return "its message reads what follows from decisions"
    return ""


def write_plain(outcome: Outcome, tables: CandidateTables, event: str) -> str:
    """Write what plain rules decide by themselves; gives the condition of the rows that are left to
    settle."""
    made = tables.of[event]
    rules = tables.dependence.rules(event)
    why = {r.name: why_settled(r, tables) for r in rules}
    plain = [r for r in rules if not why[r.name]]
    left = tables.where(event, [r for r in rules if why[r.name]])
    alone = bool(plain) and left != "TRUE"
    for rule in rules:
        settled = why[rule.name] or ("" if alone else "all events of its type are settled")
        said = settled or "what it does follows from its condition"
        outcome.ways.append(Way(f"rule {rule.name} on {event}", "settled" if settled else "sql", said))
    if not alone:
        return tables.where(event, rules)
    _Writer(outcome, made, plain, left).write()
    return left


class _Writer:
    """Writes the decisions of one event type on which only plain rules match."""

    def __init__(self, outcome: Outcome, made: Candidates, rules: list[LoweredRule], left: str) -> None:
        self.outcome, self.made, self.rules = outcome, made, rules
        self.alone = f"NOT coalesce(({left}), FALSE)"
        self.fields = {f.name: column for column, f in outcome.history.columns[made.event]}
        self.con = outcome.db.con

    def write(self) -> None:
        for first in range(0, len(self.rules), TOGETHER):
            parts = " UNION ALL ".join(self._hits(r) for r in self.rules[first : first + TOGETHER])
            self.con.execute(f"INSERT INTO {self.outcome.table('hits')} {parts} ORDER BY n")
        self.con.execute(self._decisions())

    def _when(self, rule: LoweredRule) -> str:
        return self.made.column(rule.condition)

    def _hits(self, rule: LoweredRule) -> str:
        verdict = text_literal(rule.effects[0].name) if rule.effects else "NULL"
        message, source = self._message(rule)
        return (
            f"SELECT c.n AS n, {text_literal(rule.event)}, c.at, "
            f"{text_literal(rule.name)}, '{'fired' if rule.live else 'shadow'}', {verdict}, {message}, NULL "
            f"FROM (SELECT * FROM {self.made.table} WHERE {self._when(rule)} AND {self.alone}) c{source}"
        )

    def _message(self, rule: LoweredRule) -> tuple[str, str]:
        """The message over a candidate `c` and, where it needs fields, the history's row `e`."""
        if rule.because is None:
            return "NULL", ""
        graph = self.made.relation.graph
        columns = {n: f"c.c{n}" for n in self.made.held}
        joined = ""
        for n in graph.reach([rule.because]):
            node = graph[n]
            if node.op == "clock":
                columns[n] = "c.now"
            elif node.op == "remote":
                columns[n] = self.made.relation.columns[n]
            elif node.op == "field" and n not in columns:
                columns[n] = f"e.{self.fields[node.data[0]]}"
                joined = f" JOIN {self.outcome.history.of(rule.event)} e USING (n)"
        return self.made.relation.translator.sql(rule.because, columns), joined

    def _decisions(self) -> str:
        ladder = self.outcome.history.build.analysis.symbols.ladders[self.made.event]
        cases = []
        for verdict in reversed(ladder.verdicts):
            asking = [
                self._when(r) for r in self.rules if r.live and any(e.name == verdict for e in r.effects)
            ]
            if asking:
                cases.append(f"WHEN {' OR '.join(asking)} THEN {text_literal(verdict)}")
        first = text_literal(ladder.verdicts[0])
        verdict = f"CASE {' '.join(cases)} ELSE {first} END" if cases else first
        somewhere = " OR ".join(self._when(r) for r in self.rules)
        return (
            f"INSERT INTO {self.outcome.table('decisions')} SELECT n, n, {verdict} FROM {self.made.table} "
            f"WHERE ({somewhere}) AND {self.alone} ORDER BY n"
        )
