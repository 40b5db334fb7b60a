"""What replayed counters cost: `python -m tests.bench.replay_counters`.

Readings of every event of a history in DuckDB, from a table into a table, against SQL written by hand that is
exact about events of one instant: a RANGE window over whole numbers of time and place. SQL's sums are of
doubles, added as they come; ours are exact. Times are of the wall, and in brackets the processor's, which say
more on a machine that others use too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from quell.engine.graph import Node
from quell.engine.lowered import Store, StoreKind, StoreSource
from quell.grammar.types import NUMBER, TEXT, TIME, Type
from quell.replay.counters_load import Cache
from quell.replay.counters_read import read_counters
from quell.replay.counters_rows import Asked, Source
from quell.replay.database import Database, quoted

HOUR = 3_600_000_000
START = 1_700_000_000_000_000
GOAL = 1.3
ORDER = "(now::HUGEINT * 4294967296 + n)"


def frame(within: int) -> str:
    """A window that is exact about ties."""
    bounds = f"BETWEEN {within}::HUGEINT * 4294967296 PRECEDING AND CURRENT ROW"
    return f"(PARTITION BY k0 ORDER BY {ORDER} RANGE {bounds})"


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading: of which kind of store, by which word, of which column; and the same in SQL."""

    kind: StoreKind
    word: str
    within: int
    sql: str
    value: str = ""
    before: int | str = 0

    @property
    def type(self) -> Type:
        """What it gives."""
        return TIME if self.word == "since_last" else NUMBER


def of(word: str, within: int = HOUR) -> Reading:
    """A reading by one of the words."""
    w, last = frame(within), "now - lag(now) OVER (PARTITION BY k0 ORDER BY n)"
    made: dict[str, tuple[StoreKind, str, str]] = {
        "count": ("count", f"count(*) OVER {w}", ""),
        "distinct": ("distinct", f"count(DISTINCT channel) OVER {w}", "channel"),
        "sum": ("number", f"sum(amount) OVER {w}", "amount"),
        "mean": ("number", f"avg(amount) OVER {w}", "amount"),
        "stddev": ("number", f"stddev_samp(amount) OVER {w}", "amount"),
        "max": ("number", f"max(amount) OVER {w}", "amount"),
        "since_last": ("count", f"CASE WHEN {last} < {within} THEN {last} END", ""),
    }
    kind, sql, value = made[word]
    return Reading(kind, word, within, sql, value, "this" if word == "since_last" else 0)


LOADS: dict[str, list[Reading]] = {
    "count": [of("count")],
    "distinct": [of("distinct")],
    "sum": [of("sum")],
    "mean": [of("mean")],
    "stddev": [of("stddev")],
    "max": [of("max")],
    "since_last": [of("since_last")],
    "five counts": [of("count", HOUR // (i + 1)) for i in range(5)],
    "five counts, one distinct": [*(of("count", HOUR // (i + 1)) for i in range(5)), of("distinct")],
    "count, distinct, sum, max": [of("count"), of("distinct"), of("sum"), of("max")],
}


def fill(db: Database, events: int, keys: int) -> None:
    """A table of events, in order of time, their keys drawn as often as people write."""
    dice = np.random.default_rng(1)
    weights = 1 / np.arange(1, keys + 1) ** 1.1
    key = dice.choice(keys, events, p=weights / weights.sum())
    at = START + np.sort(dice.integers(0, 30 * 24 * 3600, events)) * 1_000_000
    columns = {
        "n": np.arange(1, events + 1),
        "now": at,
        "k0": [f"user-{k}" for k in key],
        "channel": [f"channel-{c}" for c in dice.integers(0, 500, events)],
        "amount": dice.integers(0, 10_000, events) / 100,
    }
    db.con.register("_events", pa.table(columns))
    db.con.execute("CREATE TABLE events AS SELECT * FROM _events ORDER BY n")
    db.con.unregister("_events")


def ours(db: Database, readings: list[Reading]) -> None:
    """The readings by stores as a replay makes them: one for what is counted alike."""
    cache = Cache()
    stores: dict[tuple[StoreKind, str], None] = dict.fromkeys((r.kind, r.value) for r in readings)
    for i, (kind, value) in enumerate(stores):
        mine = [r for r in readings if (r.kind, r.value) == (kind, value)]
        fed = StoreSource("event", None, (0,), 1 if value else None, None)
        spec = Store(f"s{i}", kind, (fed,), "what is counted")
        nodes = []
        for j, r in enumerate(mine):
            spec.widen(r.word, r.within, 0)
            data = (spec.identity, r.word, r.within, r.before)
            nodes.append(Node(j, "counter", (0, 1), data, r.type.maybe(), frozenset(), (0, 0), False, ""))
        said = f", {value} AS v" if value else ""
        type_ = None if not value else TEXT if value == "channel" else NUMBER
        query = f"SELECT n, now, k0{said}, true AS counted FROM events"
        source = Source("event", query, [TEXT], type_, "event by k0")
        asked = Asked("event", "SELECT n, now, k0 FROM events", nodes, source, "event by k0")
        read_counters(db, spec, [source], [asked], True, START, f"ours_{i}_", cache)


def theirs(db: Database, readings: list[Reading]) -> None:
    """The readings as one writes them in SQL, in one go."""
    said = ", ".join(f"{r.sql} AS c{i}" for i, r in enumerate(readings))
    db.con.execute(f"CREATE TABLE theirs AS SELECT n, {said} FROM events")


def sums(db: Database, tables: list[str]) -> list[float]:
    """The sum of every reading, to see that both say the same."""
    out: list[float] = []
    for table in tables:
        out += db.rows(f"SELECT sum(COLUMNS(* EXCLUDE n)) FROM {quoted(table)}")[0]
    return out


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of the wall, of the processor, and what was read."""

    wall: float
    processor: float
    found: list[float]


def measured(db: Database, work: Callable[[Database, list[Reading]], None], readings: list[Reading]) -> Took:
    """One run, and nothing left of it."""
    wall, processor = time.perf_counter(), time.process_time()
    work(db, readings)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    tables = db.rows("SELECT table_name FROM duckdb_tables() WHERE table_name <> 'events' ORDER BY 1")
    made = [name for (name,) in tables]
    found = sums(db, made)
    for name in made:
        db.con.execute(f"DROP TABLE {quoted(name)}")
    return Took(wall, processor, found)


def compared(db: Database, name: str, turns: int) -> list[str]:
    """One load, both ways by turns."""
    pairs = []
    for turn in range(turns + 1):
        a, b = measured(db, ours, LOADS[name]), measured(db, theirs, LOADS[name])
        if not np.allclose(a.found, b.found, rtol=1e-9):
            raise SystemExit(f"the contenders disagree on {name}: {a.found} and {b.found}")
        if turn:  # the first warms up
            pairs.append((a, b))
    wall = statistics.median(a.wall / b.wall for a, b in pairs)
    processor = statistics.median(a.processor / b.processor for a, b in pairs)
    mine, other = (min(p[i].wall for p in pairs) for i in (0, 1))
    busy, theirs_ = (min(p[i].processor for p in pairs) for i in (0, 1))
    detail = f"{mine:.2f} s against {other:.2f} ({busy:.2f} against {theirs_:.2f})"
    return [name, f"{wall:.2f} ({processor:.2f})", f"{GOAL}", detail]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", choices=LOADS, action="append")
    given = parser.parse_args()
    table = Table("counters", "ratio, less is better", "goal", f"{given.events:,} events, ours against SQL")
    with Database() as db:
        fill(db, given.events, given.keys)
        for name in given.only or LOADS:
            table.add_row(*compared(db, name, given.turns))
    Console().print(table)


if __name__ == "__main__":
    main()
