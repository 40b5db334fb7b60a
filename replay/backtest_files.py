"""The decisions of a replay as a Parquet file, one row for every event, written by DuckDB from the tables.

Columns are those of `quell.engine.decision_files` as far as a replay has them, and what a replay adds:

=========== ======================================================================================
`event`     the event's type
`seq`       its place in the replay, from 1
`at`        its time, a UTC timestamp in microseconds
`verdict`   what it got
`id`        its id, NULL where its type has none
`fired`     a list of {rule, verdict, message}; so are `shadow` and
`held`      {rule, by}
`labels`    {entity, id, label, on, rule, until}
`sends`     {sink, rule, payload}, the payload as JSON
`outranked` {entity, id, label, on, rule, by}
`place`     where it stands in the history
`entity`    the id of the entity that it is about, NULL where its type has none
`label`     whether it is labelled positive; NULL without a label
=========== ======================================================================================

Refused records have no row. Where nothing happened a list is empty.
"""

from __future__ import annotations

from typing import IO

import pyarrow.parquet as pq

from quell.replay.backtest_frame import Frame
from quell.replay.backtest_places import places
from quell.replay.outcome import Outcome

BATCH = 100_000
_RULE = "STRUCT(rule VARCHAR, verdict VARCHAR, message VARCHAR)[]"
_HELD = 'STRUCT(rule VARCHAR, "by" VARCHAR)[]'


def query(frame: Frame) -> str:
    """The query of the decisions of all events, in order, with the labels of a frame."""
    outcome, history = frame.outcome, frame.outcome.history
    place = places(history, "a")
    hits = (
        "SELECT n, "
        "list({rule: rule, verdict: verdict, message: message} ORDER BY rule) "
        "FILTER (outcome = 'fired') AS fired, "
        "list({rule: rule, verdict: verdict, message: message} ORDER BY rule) "
        "FILTER (outcome = 'shadow') AS shadow, "
        'list({rule: rule, "by": "by"} ORDER BY rule) FILTER (outcome = \'held\') AS held '
        f"FROM {outcome.table('hits')} GROUP BY n"
    )
    label = "NULL::BOOLEAN" if frame.truth is None else "l.label"
    return (
        f'SELECT v.event, v.n AS seq, make_timestamptz(v."at") AS "at", v.verdict, a.id, '
        f"coalesce(h.fired, []::{_RULE}) AS fired, coalesce(h.shadow, []::{_RULE}) AS shadow, "
        f"coalesce(h.held, []::{_HELD}) AS held, "
        + "".join(f"coalesce({t}.{t}, []) AS {t}, " for t in _EFFECTS)
        + f"{place} AS place, a.entity, {label} AS label "
        f"FROM {outcome.table('verdicts')} v JOIN {outcome.table('all')} a USING (n) "
        f"LEFT JOIN ({hits}) h USING (n) "
        + " ".join(f"LEFT JOIN ({_effects(outcome, t)}) {t} USING (n)" for t in _EFFECTS)
        + ("" if frame.truth is None else f" LEFT JOIN {frame.truth} l USING (n)")
        + " ORDER BY v.n"
    )


_EFFECTS = {
    "labels": ("entity", "id", "label", "on", "rule", "until"),
    "sends": ("sink", "rule", "payload"),
    "outranked": ("entity", "id", "label", "on", "rule", "by"),
}


def _effects(outcome: Outcome, table: str) -> str:
    columns = _EFFECTS[table]
    made = "{" + ", ".join(f'"{c}": "{c}"' for c in columns) + "}"
    order = ", ".join(f'"{c}"' for c in columns)
    return f"SELECT n, list({made} ORDER BY {order}) AS {table} FROM {outcome.table(table)} GROUP BY n"


def write_decisions(frame: Frame, stream: IO[bytes]) -> None:
    """Write the decisions of every event to a Parquet file, whatever the period."""
    reader = frame.db.con.sql(query(frame)).to_arrow_reader(BATCH)
    with pq.ParquetWriter(stream, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
