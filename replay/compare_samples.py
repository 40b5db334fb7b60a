"""Events to look at where two bundles decide otherwise, with the reasons of both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from quell.engine.explanation import Explanation
from quell.replay import run as replaying
from quell.replay.backtest_samples import samples, told
from quell.replay.compare_tables import Tables
from quell.replay.database import text_literal
from quell.replay.report_data import Comparison, Sample
from quell.replay.run import Tell

Turn = tuple[str, str, str, str]


class _Event(NamedTuple):
    """An event in both outcomes: its places and verdicts, None where a bundle refuses it."""

    b: int | None
    a: int | None
    verdict_b: str | None
    verdict_a: str | None


@dataclass(slots=True)
class Sampler:
    """Picks events, the same ones at every run, and tells what both bundles say of them."""

    tables: Tables
    before: str
    after: str
    most: int
    explained: bool
    events: dict[int, _Event] = field(default_factory=dict)

    def fill(self, made: Comparison, turns: dict[str, list[Turn]], tell: Tell) -> None:
        """Put samples into a comparison."""
        if not self.most or made.same:
            return
        turned = {what: self._turned(what, turns[what]) for what in turns}
        newly, no_longer = self._hit("a", "b"), self._hit("b", "a")
        picked = [*turned.values(), *newly.values(), *no_longer.values()]
        self._know({k for ks in picked for k in ks})
        shown = self._shown(tell)
        made.newly_caught = [shown[k] for k in turned["caught"]]
        made.newly_let_go = [shown[k] for k in turned["let_go"]]
        for rule in made.rules:
            rule.samples_newly = [shown[k] for k in newly.get(rule.rule, ())]
            rule.samples_no_longer = [shown[k] for k in no_longer.get(rule.rule, ())]

    # ------------------------------------------------------------------------------- choosing

    def _least(self, name: str) -> str:
        """SQL of the places `k` with the least digests: they lie all over the history, and stay the same
        events whatever else changes."""
        return f"""arg_min(k, md5({name} || ' ' || p.file || ':' || p."row"), {self.most})"""

    def _turned(self, what: str, turns: Iterable[Turn]) -> list[int]:
        columns = ("event_b", "verdict_b", "event_a", "verdict_a")
        either = " OR ".join(
            "(" + " AND ".join(f"{c} = {text_literal(v)}" for c, v in zip(columns, turn, strict=True)) + ")"
            for turn in turns
        )
        if not either:
            return []
        query = f"SELECT {self._least(text_literal(what))} FROM {self.tables.name('pairs')} p WHERE {either}"
        return sorted(self.tables.db.value(query) or [])

    def _hit(self, one: str, other: str) -> dict[str, list[int]]:
        """By rule: events on which it acts in one bundle and not in the other."""
        rows = self.tables.db.rows(
            f"SELECT h.rule, {self._least('h.rule')} FROM {self.tables.name('hits')} h "
            f"JOIN {self.tables.name('pairs')} p USING (k) "
            f"WHERE outcome_{one} = acts AND outcome_{other} IS DISTINCT FROM acts GROUP BY h.rule"
        )
        return {rule: sorted(ks) for rule, ks in rows}

    def _know(self, wanted: set[int]) -> None:
        if wanted:
            among = ", ".join(str(k) for k in sorted(wanted))
            rows = self.tables.db.rows(
                f"SELECT k, b, a, verdict_b, verdict_a FROM {self.tables.name('pairs')} WHERE k IN ({among})"
            )
            self.events = {k: _Event(*event) for k, *event in rows}

    # -------------------------------------------------------------------------------- telling

    def _shown(self, tell: Tell) -> dict[int, Sample]:
        """Every event that was picked, as this bundle sees it, with the verdict and reasons of the other."""
        tables, events = self.tables, self.events
        ns = sorted({e.a for e in events.values() if e.a is not None})
        lost = sorted({e.b for e in events.values() if e.a is None and e.b is not None})
        of_after = samples(tables.after, ns, self.after)
        of_before = samples(tables.before, lost, self.before)
        reasons = self._reasons(tell)
        out = {}
        for k, event in events.items():
            sample = of_after[event.a] if event.a is not None else of_before[event.b or 0]
            mine, other = reasons.get(k, (None, None))
            verdict = event.verdict_a or "refused"
            out[k] = msgspec.structs.replace(
                sample, verdict=verdict, before=event.verdict_b or "refused", explanation=mine, other=other
            )
        return out

    def _reasons(self, tell: Tell) -> dict[int, tuple[dict[str, Any] | None, dict[str, Any] | None]]:
        if not self.explained or not self.events:
            return {}
        tables, events = self.tables, self.events
        tell("explaining samples", None)
        after = replaying.explanations(
            tables.after.outcome, [e.a for e in events.values() if e.a is not None]
        )
        before = replaying.explanations(
            tables.before.outcome, [e.b for e in events.values() if e.b is not None]
        )
        was = {now: old for old, now in tables.written.renamed.items()}
        out = {}
        for k, event in events.items():
            a = after.get(event.a) if event.a is not None else None
            b = before.get(event.b) if event.b is not None else None
            matched = {*_matched(a), *(tables.written.renamed.get(r, r) for r in _matched(b))}
            out[k] = (
                None if a is None else told(a, matched),
                None if b is None else told(b, {was.get(r, r) for r in matched}),
            )
        return out


def _matched(explanation: Explanation | None) -> list[str]:
    if explanation is None:
        return []
    return [r.rule for r in explanation.rules if r.outcome in ("fired", "shadow", "held")]
