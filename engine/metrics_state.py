"""What an engine remembers, measured a little at a time.

How many bytes a table takes is estimated from a look at some of its keys, and all tables together take tens
of milliseconds: too long to hold up events whenever somebody reads the metrics. So one is measured at a
time, and what a key takes there on average stands for the keys there are now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from quell.engine.metrics_rows import Labels, Values
from quell.signals.labels import LabelSet
from quell.signals.limits import LimitStore
from quell.signals.state import State
from quell.signals.stores import Store

LOOKS = 250
"""Keys that are looked at to measure a store."""
AT_ONCE = 8
"""Tables never measured before that are measured at once when the metrics are read."""

Rows = Iterator[tuple[str, Values]]
Name = tuple[str, ...]
"""What a table is: `counter` and its identity, `label`, entity and label, `limit` and its effect."""
Table = Store | LabelSet | LimitStore


class StateWatch:
    """Measures the tables of whatever state there is, in turn."""

    def __init__(self) -> None:
        self._each: dict[Name, tuple[float, float]] = {}
        """Entries and bytes that a key of a table has on average."""
        self._turn: Iterator[Name] = iter(())

    def step(self, state: State) -> None:
        """Measure the next table."""
        name = next(self._turn, None)
        tables = _tables(state)
        if name is None:  # once around: what is not there any more is forgotten
            self._each = {name: each for name, each in self._each.items() if name in tables}
            self._turn = iter(tables)
        elif name in tables:
            self._measure(name, tables[name])

    def rows(self, state: State) -> Rows:
        """What the tables hold, by metric. New ones are missing from bytes and entries until their turn."""
        tables = _tables(state)
        for name in [n for n in tables if n not in self._each][:AT_ONCE]:
            self._measure(name, tables[name])
        keys: Counter[Name] = Counter()
        entries: Counter[Name] = Counter()
        taken: Counter[Name] = Counter()
        for name, table in tables.items():
            # Two counters may read alike and count differently: names within them can mean different things.
            shown = ("counter", table.name) if isinstance(table, Store) else name
            keys[shown] += table.keys()
            if (each := self._each.get(name)) is not None:
                entries[shown] += round(each[0] * table.keys())
                taken[shown] += round(each[1] * table.keys())
        yield "quell_counter_entries", _of("counter", entries)
        for kind in ("counter", "label", "limit"):
            yield f"quell_{kind}_keys", _of(kind, keys)
            yield f"quell_{kind}_bytes", _of(kind, taken)
        yield "quell_counter_keys_left", (((), state.memory.left),)

    def _measure(self, name: Name, table: Table) -> None:
        number = table.keys() or 1
        entries, taken = table.measured(LOOKS) if isinstance(table, Store) else (0, table.bytes())
        self._each[name] = entries / number, taken / number


def _tables(state: State) -> dict[Name, Table]:
    tables: dict[Name, Table] = {("counter", identity): s for identity, s in state.stores.items()}
    tables |= {("label", *pair): held for pair, held in state.labels.items()}
    tables |= {("limit", effect): limit for effect, limit in state.limits.items()}
    return tables


def _of(kind: str, values: Counter[Name]) -> list[tuple[Labels, float]]:
    return [(name[1:], value) for name, value in values.items() if name[0] == kind]
