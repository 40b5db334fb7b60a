"""Replay for programs and notebooks: `from quell.replay import backtest`.

with backtest("policies", "day.jsonl", labels="truth.jsonl", positive="abuse") as result:
    result.report.verdicts                      # the figures, as plain data
    result.arrow("hits")                        # every hit, as an Arrow table
    result.table("decisions").filter("verdict = 'block'").df()     # a DuckDB relation
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from quell.engine.bundle import read_bundle
from quell.engine.compile import Build, analyse, build
from quell.grammar.diagnostics import Report, did_you_mean
from quell.replay.backtest_files import query
from quell.replay.backtest_places import places
from quell.replay.backtest_report import Asked, WarmUp, backtest_of, frame_of, prepare, run, silent
from quell.replay.database import Database
from quell.replay.history import Order
from quell.replay.interrupt import interruptible
from quell.replay.labels import LabelsError
from quell.replay.report_data import Backtest
from quell.replay.run import Tell

if TYPE_CHECKING:
    import duckdb

    from quell.replay.backtest_frame import Frame

Paths = str | Path | Iterable[str | Path]
TABLES = ("decisions", "hits", "labels", "sends", "outranked", "missing", "late", "events", "refused",
          "problems")  # fmt: skip
"""The tables that a result gives."""


class Result:
    """What a database holds that lives until `close` is called or the block is left."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def close(self) -> None:
        """Let go of the database, and of every relation that came from it."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Replayed(Result):
    """Tables of a replay.

    `decisions` has a row for every event with all that was decided, as `quell replay --out` writes it; `hits`
    a row for every rule that matched (event, time, rule, `fired`, `shadow` or `held`, verdict, message);
    `labels`, `sends` and `outranked` the effects; `events` every event with its place in the files; `refused`
    and `problems` what could not be read. `n` is an event's place in the replay.
    """

    def __init__(self, db: Database, frame: Frame) -> None:
        super().__init__(db)
        self._frame = frame

    def table(self, name: str) -> duckdb.DuckDBPyRelation:
        """A table as a DuckDB relation, in order. Raises KeyError for a name that is none of `TABLES`."""
        return self._db.con.sql(self._query(name))

    def arrow(self, name: str) -> pa.Table:
        """A table as an Arrow table, in order. Raises as `table` does."""
        return self.table(name).to_arrow_table()

    def _query(self, name: str) -> str:
        if name not in TABLES:
            near = did_you_mean(name, TABLES)
            raise KeyError(f"there is no table `{name}`" + (f": {near}" if near else ""))
        if name == "decisions":
            return query(self._frame)
        time = 'make_timestamptz("at") AS "at"'
        if name == "events":
            history = self._frame.outcome.history
            return (
                f"SELECT n, event, {time}, id, entity, {places(history, 'a')} AS place "
                f"FROM {history.table('all')} a ORDER BY n"
            )
        columns = f'n, event, {time}, * EXCLUDE (n, event, "at")' if name == "hits" else "*"
        return f"SELECT {columns} FROM {self._frame.outcome.table(name)} ORDER BY ALL"


class BacktestResult(Replayed):
    """What `backtest` gives: `report`, the figures as plain data, and the tables they were made of."""

    def __init__(self, db: Database, frame: Frame, report: Backtest) -> None:
        super().__init__(db, frame)
        self.report = report


def backtest(
    policies: str | Path,
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
) -> BacktestResult:
    """What the bundle in a folder would have done on a history of one or more files.

    Arguments are as for `quell replay`; times are microseconds since 1970 UTC. `tell` hears what is being
    done and how much of it is. Use the result as a context, or close it.

    Raises PolicyError for a bundle with errors, SourceError for files that cannot be read or hold no usable
    event, and LabelsError and NotAValue for labels and weights that do not fit.
    """
    asked = Asked(
        order=order,
        start=start,
        until=until,
        warm_up=warm_up,
        samples=samples,
        explained=explained,
        policies=str(policies),
        known_by=known_by,
        weigh=weigh,
        **truth(labels, positive),
    )
    with working(memory, threads) as db:
        prepared = prepare(compiled(policies), asked)
        outcome = run(db, "after", prepared, several(events), tell)
        frame = frame_of(outcome, prepared)
        return BacktestResult(db, frame, backtest_of(outcome, prepared, tell, frame))


# ------------------------------------------------------------------------- shared with comparisons


def compiled(policies: str | Path) -> Build:
    """The bundle in a folder, ready to run. Raises PolicyError."""
    report = Report()
    return build(analyse(read_bundle(str(policies), report), report, lints=False))


@contextmanager
def working(memory: str | None, threads: int | None) -> Iterator[Database]:
    """A database that outlives the block, unless the block fails."""
    db = Database(memory, threads)
    try:
        with interruptible(db.con):
            yield db
    except BaseException:
        db.close()
        raise


def truth(labels: str | Path | None, positive: str | Sequence[str]) -> dict[str, Any]:
    """What a caller says of labels, as `Asked` has it."""
    return {
        "labels": None if labels is None else str(labels),
        "positive": several(positive),
    }


def several(said: str | Path | Iterable[Any]) -> tuple[Any, ...]:
    """One thing or several of them, as several."""
    return (said,) if isinstance(said, str | Path) else tuple(said)


__all__ = ["BacktestResult", "LabelsError", "Replayed", "backtest"]
