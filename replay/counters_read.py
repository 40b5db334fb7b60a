"""The readings of counters over a whole history, equal event for event to those of the online stores."""

from __future__ import annotations

from collections.abc import Sequence

from quell.engine.lowered import Store
from quell.replay.counters_rows import Asked, Readings, Source, column
from quell.replay.counters_stepped import step_counters
from quell.replay.database import Database
from quell.replay.report_data import Way


def read_counters(
    db: Database,
    spec: Store,
    sources: Sequence[Source],
    asked: Sequence[Asked],
    sorted: bool,
    began: int | None,
    prefix: str,
) -> list[Readings]:
    """Work out all readings of one store; gives one `Readings` for each of `asked`.

    `sources` are in the order of the store's own. `sorted` says that `now` never runs backwards with n,
    `began` is the time of the history's first event in microseconds. The tables' names begin with `prefix`."""
    tables = step_counters(db, spec, sources, asked, began, prefix)
    why = "its own store, row by row"
    return [
        Readings(table, [column(n) for n in one.nodes], [Way(spec.text, "store", why) for n in one.nodes])
        for table, one in zip(tables, asked, strict=True)
    ]
