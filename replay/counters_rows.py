"""What counters are replayed from: the rows that a store counts, and the rows that read it.

Both are queries over a history. `n` is the place of an event in the order of the replay (BIGINT, each event
once in a query), `now` the time at which it counts in microseconds, `k0`, `k1`, … the keys, a list where the
language has a list. A store's sources and readings say their keys in columns of the same types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from quell.engine.graph import Node
from quell.grammar.types import Type
from quell.replay.report_data import Way


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """How one event type feeds a store. `query` gives, for every event of the type, n, now, k0, …, `v` where
    the store counts a value, and `counted`: the condition is true, and the rule fired if firings are counted.
    Whether keys and value are there need not be in `counted`. `keys` and `value` are the types of those.
    Queries of one name `rows`, if they have one, give the same n, now and keys, whatever v and `counted` are:
    then the keys are sorted once for all stores."""

    event: str
    query: str
    keys: Sequence[Type] = ()
    value: Type | None = None
    rows: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Readings of one store under the same keys: `query` gives n, now, k0, … for the events of the type that
    read it, `nodes` are the `counter` and `reaches` nodes of the event's graph. `same` is a source of the
    store whose rows and keys are just these. `rows` is the same as that of a source."""

    event: str
    query: str
    nodes: Sequence[Node]
    same: Source | None = None
    rows: str | None = None


@dataclass(slots=True)
class Readings:
    """Where the readings of one `Asked` are: a table with a row for every row of its query, in order of n,
    and a column for each node, named in `columns`. `ways` says which way each node went."""

    table: str
    columns: list[str]
    ways: list[Way] = field(default_factory=list)


def column(node: Node) -> str:
    """The column with a node's readings."""
    return f"c{node.id}"
