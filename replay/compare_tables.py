"""Two outcomes side by side, as temporary tables: what each bundle decided on every event, and what differs.

======== ==================================================================================================
`pairs`  k, at, file, row, b, a, event_b, event_a, verdict_b, verdict_a, weight, hand: every event and label
         by hand that either bundle took. `b` and `a` are its `n` before and after, NULL where it was
         refused; the verdicts are NULL there and for labels by hand. `k` numbers them in order of time
`hits`   k, rule, shadow, outcome, verdict, message, by, each as `…_b` and `…_a`: the rules that did
         something else on an event, by their new names
`differs` k, kind: what differs on which events, as the fields of `Differences` are called
======== ==================================================================================================

Events are joined by their file and row, since either bundle may refuse what the other takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from quell.replay.backtest_frame import Frame
from quell.replay.compare_written import Written
from quell.replay.database import Database, quoted, text_literal
from quell.replay.report_data import Differences

_SAME_EFFECTS = {
    "labels": ("entity", "id", "label", '"on"', "rule", "until"),
    "sends": ("sink", "rule", "payload"),
    "outranked": ("entity", "id", "label", '"on"', "rule", '"by"'),
}


@dataclass(slots=True)
class Tables:
    """The tables of a comparison. Both frames are of one period and in one database. Close
    it to drop them."""

    before: Frame
    after: Frame
    written: Written

    @property
    def db(self) -> Database:
        """The database of all tables."""
        return self.after.db

    def name(self, table: str) -> str:
        """A table as SQL names it."""
        return quoted(f"{self.after.outcome.schema}_against_{table}")

    def make(self) -> None:
        """Fill the tables."""
        self._pairs()
        self._hits()
        self._differs()

    def close(self) -> None:
        """Drop the tables."""
        for table in ("differs", "hits", "pairs"):
            self.db.con.execute(f"DROP TABLE IF EXISTS {self.name(table)}")

    # ----------------------------------------------------------------------------------- events

    def _pairs(self) -> None:
        joined = (
            f'SELECT coalesce(a."at", b."at") AS "at", coalesce(a.file, b.file) AS file, '
            f'coalesce(a."row", b."row") AS "row", b.n AS b, a.n AS a, b.event AS event_b, '
            f"a.event AS event_a, b.verdict AS verdict_b, a.verdict AS verdict_a, "
            f"coalesce(a.weight, b.weight) AS weight, coalesce(a.event, b.event) IS NULL AS hand "
            f"FROM ({_entries(self.before)}) b FULL JOIN ({_entries(self.after)}) a "
            f'ON a.file = b.file AND a."row" = b."row"'
        )
        self.db.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {self.name('pairs')} AS SELECT row_number() OVER "
            f'(ORDER BY t."at", t.file, t."row") AS k, t.* FROM ({joined}) t WHERE {self.after.within("t")}'
        )

        for side, frame in (("b", self.before), ("a", self.after)):  # a limit cuts each history by itself
            self.db.con.execute(
                f"DELETE FROM {self.name('pairs')} p WHERE {side} IS NULL AND NOT EXISTS "
                f'(FROM {frame.outcome.table("refused")} r WHERE r.file = p.file AND r."row" = p."row")'
            )

    # ------------------------------------------------------------------------------------- rules

    def _hits(self) -> None:
        pairs = self.name("pairs")
        sides = []
        for frame, n, rule, by in (
            (self.before, "b", self.new_name("h.rule"), self._new_by()),
            (self.after, "a", "h.rule", 'h."by"'),
        ):
            sides.append(
                f"SELECT p.k, {rule} AS rule, h.outcome, h.verdict, h.message, {by} AS held "
                f"FROM {frame.outcome.table('hits')} h JOIN {pairs} p ON p.{n} = h.n"
            )
        columns = ("outcome", "verdict", "message", "held")
        both = ", ".join(f"b.{c} AS {c}_b, a.{c} AS {c}_a" for c in columns)
        differ = " OR ".join(f"b.{c} IS DISTINCT FROM a.{c}" for c in columns)
        self.db.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {self.name('hits')} AS "
            f"SELECT coalesce(a.k, b.k) AS k, coalesce(a.rule, b.rule) AS rule, "
            f"{self.acts('coalesce(a.rule, b.rule)')} AS acts, {both} "
            f"FROM ({sides[0]}) b FULL JOIN ({sides[1]}) a ON a.k = b.k AND a.rule = b.rule WHERE {differ}"
        )

    def acts(self, rule: str) -> str:
        """SQL of the outcome that is compared of a rule: `fired`, or `shadow` where it is never live."""
        shadow = [text_literal(r.name) for r in self.written.rules if r.shadow]
        return f"CASE WHEN {rule} IN ({', '.join(shadow)}) THEN 'shadow' ELSE 'fired' END" if shadow else (
            "'fired'"
        )  # fmt: skip

    def new_name(self, rule: str) -> str:
        """SQL of what a rule of the other bundle is called in this one."""
        return _mapped(rule, self.written.renamed)

    def _new_by(self) -> str:
        exempt = {f"exempt by {was}": f"exempt by {now}" for was, now in self.written.renamed.items()}
        return _mapped('h."by"', exempt)

    # --------------------------------------------------------------------------------- differences

    def _differs(self) -> None:
        hits, pairs = self.name("hits"), self.name("pairs")
        kinds = {
            "verdict": f"SELECT k FROM {pairs} WHERE verdict_b != verdict_a",
            "refused": f"SELECT k FROM {pairs} WHERE (a IS NULL) != (b IS NULL)",
            "rules": f"SELECT DISTINCT k FROM {hits} WHERE {_only('fired')} OR "
            f"(outcome_b = 'fired' AND outcome_a = 'fired' AND verdict_b IS DISTINCT FROM verdict_a)",
            "messages": f"SELECT DISTINCT k FROM {hits} WHERE outcome_b = 'fired' AND outcome_a = 'fired' "
            f"AND message_b IS DISTINCT FROM message_a",
            "held": f"SELECT DISTINCT k FROM {hits} WHERE outcome_b = 'held' OR outcome_a = 'held'",
            "shadow": f"SELECT DISTINCT k FROM {hits} WHERE outcome_b = 'shadow' OR outcome_a = 'shadow'",
            "newly_hit": f"SELECT DISTINCT k FROM {hits} WHERE {_newly('fired')}",
            "no_longer_hit": f"SELECT DISTINCT k FROM {hits} WHERE {_no_longer('fired')}",
            "labels": self._effects("labels") + " UNION " + self._effects("outranked"),
            "sends": self._effects("sends"),
            "names": self._dressed(),
        }
        parts = " UNION ALL ".join(
            f"SELECT k, {text_literal(kind)} AS kind FROM ({query})" for kind, query in kinds.items()
        )
        self.db.con.execute(f"CREATE OR REPLACE TEMP TABLE {self.name('differs')} AS {parts}")

    def _effects(self, table: str) -> str:
        """A query of the events whose labels or sends are not the same ones."""
        columns = _SAME_EFFECTS[table]
        pairs = self.name("pairs")
        before = ", ".join(self.new_name("t.rule") if c == "rule" else f"t.{c}" for c in columns)
        after = ", ".join(f"t.{c}" for c in columns)
        b = (
            f"SELECT p.k, {before} FROM {self.before.outcome.table(table)} t JOIN {pairs} p ON p.b = t.n"
        )  # fmt: skip
        a = f"SELECT p.k, {after} FROM {self.after.outcome.table(table)} t JOIN {pairs} p ON p.a = t.n"
        return (
            f"SELECT k FROM (({b}) EXCEPT ALL ({a})) UNION SELECT k FROM (({a}) EXCEPT ALL ({b}))"
        )  # fmt: skip

    def _dressed(self) -> str:
        """A query of the events on which a rule matched whose name, tags or severity are others now."""
        named = [text_literal(r.name) for r in self.written.rules if r.dressed]
        if not named:
            return "SELECT NULL::BIGINT AS k WHERE false"
        return (
            f"SELECT DISTINCT p.k FROM {self.after.outcome.table('hits')} h JOIN {self.name('pairs')} p "
            f"ON p.a = h.n WHERE h.rule IN ({', '.join(named)}) AND p.b IS NOT NULL"
        )

    def differences(self) -> Differences:
        """On how many events decisions differ."""
        counts = dict(self.db.rows(f"SELECT kind, count(*) FROM {self.name('differs')} GROUP BY kind"))
        total = self.db.value(f"SELECT count(DISTINCT k) FROM {self.name('differs')}")
        words = self._refused_otherwise()
        refused = counts.pop("refused", 0) + words
        return Differences(events=total + words, refused=refused, **counts)

    def _refused_otherwise(self) -> int:
        """Events that both bundles refuse, with other words or another verdict."""
        sides = []
        for frame in (self.before, self.after):
            ladders = frame.outcome.history.build.analysis.symbols.ladders
            verdicts = {event: ladder.failure for event, ladder in ladders.items() if event}
            failure = _mapped("event", verdicts, text_literal(ladders[""].failure))
            sides.append(
                f'SELECT file, "row", kind, path, message, {failure} AS verdict '
                f"FROM {frame.outcome.table('refused')}"
            )
        joined = f'({sides[0]}) b JOIN ({sides[1]}) a ON a.file = b.file AND a."row" = b."row"'
        found: int = self.db.value(
            f"SELECT count(*) FROM {joined} WHERE (a.kind, a.path, a.message, a.verdict) IS DISTINCT FROM "
            f"(b.kind, b.path, b.message, b.verdict)"
        )
        return found


def _entries(frame: Frame) -> str:
    """A query of all events and labels by hand: n, at, event, verdict, file, row, weight."""
    outcome = frame.outcome
    weight = "w.weight" if frame.weights else "NULL::BIGINT"
    joined = f"LEFT JOIN {frame.weights} w ON w.n = v.n" if frame.weights else ""
    return (
        f'SELECT v.n, v."at", v.event, v.verdict, x.file, x."row", {weight} AS weight '
        f"FROM {outcome.table('verdicts')} v JOIN {outcome.table('all')} x ON x.n = v.n {joined} "
        f'UNION ALL SELECT h.n, h."at", NULL, NULL, h.file, h."row", NULL FROM {outcome.table("hands")} h'
    )


def _newly(outcome: str) -> str:
    return f"(outcome_a = '{outcome}' AND outcome_b IS DISTINCT FROM '{outcome}')"


def _no_longer(outcome: str) -> str:
    return f"(outcome_b = '{outcome}' AND outcome_a IS DISTINCT FROM '{outcome}')"


def _only(outcome: str) -> str:
    """That a rule did so in one bundle only."""
    return f"({_newly(outcome)} OR {_no_longer(outcome)})"


def _mapped(value: str, to: dict[str, str], otherwise: str | None = None) -> str:
    """SQL that puts other texts for some."""
    last = value if otherwise is None else otherwise
    if not to:
        return last
    cases = " ".join(f"WHEN {text_literal(a)} THEN {text_literal(b)}" for a, b in sorted(to.items()))
    return f"CASE {value} {cases} ELSE {last} END"
