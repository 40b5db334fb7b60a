"""A comparison for programs and notebooks: `from quell.replay import compare`.

with compare("main", "policies", "day.jsonl") as change:    # what the policies change against the branch main
    change.report.flows                                      # the figures, as plain data
    change.before.arrow("hits"), change.after.arrow("hits")  # what each decided, as Arrow tables
    change.changed()                                         # events with another verdict, as a relation
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quell.replay.backtest_report import Asked, WarmUp, silent
from quell.replay.compare_run import Compared, Pair, compared, histories
from quell.replay.database import Database
from quell.replay.history import Order
from quell.replay.library import Paths, Replayed, Result, compiled, several, truth, working
from quell.replay.report_data import Comparison
from quell.replay.revisions import other_policies
from quell.replay.run import Tell

if TYPE_CHECKING:
    import duckdb


class ComparisonResult(Result):
    """What `compare` gives: `report`, the figures as plain data, and the tables of both sides."""

    def __init__(self, db: Database, done: Compared) -> None:
        super().__init__(db)
        self._done = done
        self.report: Comparison = done.comparison
        self.before, self.after = Replayed(db, done.before), Replayed(db, done.after)

    def changed(self) -> duckdb.DuckDBPyRelation:
        """The events of the period with another verdict: file and row, type, time, verdict before and
        after."""
        a, b = self._done.before.outcome, self._done.after.outcome
        return self._db.con.sql(
            f'SELECT x.file, x."row", w.event, make_timestamptz(w."at") AS "at", v.verdict AS before, '
            f"w.verdict AS after FROM {a.table('verdicts')} v JOIN {a.table('all')} y ON y.n = v.n "
            f'JOIN {b.table("all")} x ON x.file = y.file AND x."row" = y."row" '
            f"JOIN {b.table('verdicts')} w ON w.n = x.n WHERE v.verdict != w.verdict "
            f"AND {self._done.after.within('w')} ORDER BY ALL"
        )


def compare(
    before: str | Path,
    after: str | Path,
    events: Paths,
    *,
    labels: str | Path | None = None,
    positive: str | Sequence[str] = (),
    known_by: int | None = None,
    weigh: str | None = None,
    order: Order | None = None,
    start: int | None = None,
    until: int | None = None,
    warm_up: WarmUp = "mark",
    samples: int = 5,
    explained: bool = True,
    memory: str | None = None,
    threads: int | None = None,
    tell: Tell = silent,
) -> ComparisonResult:
    """What changes on a history between two versions of policies. `after` is a folder; `before` another one,
    or a git revision of the same one, such as `HEAD` or `main`.

    The other arguments are those of `backtest`. Use the result as a context, or close it. Raises
    RevisionError for a revision that cannot be had, and as `backtest` does.
    """
    asked = Asked(
        order=order,
        start=start,
        until=until,
        warm_up=warm_up,
        samples=samples,
        explained=False,
        policies=str(after),
        known_by=known_by,
        weigh=weigh,
        **truth(labels, positive),
    )
    with other_policies(str(before), after) as other, working(memory, threads) as db:
        pair = Pair.of(compiled(other.folder), compiled(after), asked, other.title)
        read = histories(db, pair, several(events), tell)
        done = compared(pair, *read, explained=explained, against=other.title, tell=tell)
        done.comparison.notes[:0] = other.notes
        return ComparisonResult(db, done)
