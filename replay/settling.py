"""The decisions of a history, where its columns are known: the events on which something may happen, in
order.

The engine's own generated code decides them, over columns (`quell.replay.reduced`), with real labels, limits
and residual counters, so that effects are what they are online.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from quell.engine.decision import Decision
from quell.engine.hand import HandAction, perform
from quell.engine.lower_lists import with_columns
from quell.engine.settle import Hit, Settler
from quell.replay.history import History
from quell.replay.history_types import from_column
from quell.replay.outcome import OutcomeWriter
from quell.replay.reduced import Reduced
from quell.signals.clock import Clock
from quell.signals.memory import Memory
from quell.signals.state import State

BATCH = 4_096


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of an event type to be decided: the query gives n, at, now and id, then the columns of
    the program, in order of n."""

    event: str
    reduced: Reduced
    query: str


Look = Callable[[list[Hit]], Callable[[Decision | None], None] | None]
"""Looks at an event before it is settled, given the rules that matched; may give what is to be called with
the decision (None where nothing happened)."""
_HAND, _VISIT = -1, -2


class Settling:
    """Decides rows in order. `began` is the time of the history's first event, `nows` a table with the time
    at which each entry counts (None: its own)."""

    def __init__(self, history: History, rows: list[Rows], began: int | None, nows: str | None) -> None:
        self.history, self.nows = history, nows
        self.rows = rows
        settings = history.build.analysis.files.settings
        self.state = State(clock=Clock(settings.lateness), memory=Memory(left=settings.max_keys))
        self.state.began = self.state.memory.began = began
        analysis = history.build.analysis
        stores = analysis.lowerer.stores
        self._supplied: dict[str, Any] = {}
        self._functions = [r.reduced.linked.bind(self.state, stores, self._supplied) for r in rows]
        for store in self.state.stores.values():
            store.began = began
        self._settlers = [
            Settler(r.reduced.linked.program.rules, analysis.symbols.ladders[r.event], self.state)
            for r in rows
        ]
        self._looked = -1
        self._first = [analysis.symbols.ladders[r.event].verdicts[0] for r in rows]

    def run(
        self,
        writer: OutcomeWriter | None,
        tell: Callable[[int], None],
        look: Mapping[int, Look] | None = None,
    ) -> None:
        """Decide all rows; `look` has, by n, who wants to look at an event."""
        streams = [_stream(self.history, r, i) for i, r in enumerate(self.rows)]
        visits = iter([(n, _VISIT, 0, 0, None, None) for n in sorted(look or ())])
        merged = heapq.merge(*streams, _hands(self.history, self.nows), visits, key=lambda entry: entry[0])
        for done, (n, index, at, now, id, row) in enumerate(merged, 1):
            if index == _VISIT:
                self._visit(n, look or {})
            elif index == _HAND:
                self._by_hand(n, now, row, writer)
            else:
                self._decide(n, index, at, now, id, row, writer, look)
            if done % 1024 == 0:
                tell(n)

    def _decide(
        self,
        n: int,
        index: int,
        at: int,
        now: int,
        id: str | None,
        row: Any,
        writer: OutcomeWriter | None,
        look: Mapping[int, Look] | None,
    ) -> None:
        if self.history.supplied:
            self._supplied.clear()
            self._supplied.update(self.history.supplied.get(n, {}))
        hits = self._functions[index](row, at, now)
        looking = look.get(n) if look is not None else None
        self._looked = n
        memory = self.state.memory
        memory.late.clear()
        memory.full.clear()
        if not hits and looking is None:
            return
        event = self.rows[index].event
        decision = Decision(event, n, at, self._first[index], id, n)
        after = looking(hits) if looking is not None else None
        if hits:
            self._settlers[index].settle(decision, hits, now)
        if after is not None:
            after(decision)
        if writer is not None:
            writer.add(n, decision)

    def _visit(self, n: int, look: Mapping[int, Look]) -> None:
        """Look at an event on which nothing can happen, unless it was decided and looked at."""
        if n != self._looked:
            after = look[n]([])
            if after is not None:
                after(None)

    def _by_hand(self, n: int, now: int, action: HandAction, writer: OutcomeWriter | None) -> None:
        self.state.clock.horizon = now if now > action.at else None
        acted = perform(self.state, action, n)
        self.state.clock.horizon = None
        if writer is not None:
            writer.act(n, acted)


Entry = tuple[int, int, int, int, str | None, Any]


def _stream(history: History, rows: Rows, index: int) -> Iterator[Entry]:
    graph = history.build.analysis.lowerer.graph(rows.event)
    fields = {f.name: f for _, f in history.columns[rows.event]}
    makes = []
    for place, number in enumerate(rows.reduced.columns):
        node = graph[number]
        record = fields[node.data[0]].record if node.op == "field" else ()
        make = from_column(with_columns(history.build.analysis.lowerer, node.type), record)
        if make is not None:
            makes.append((place, make))
    cursor = history.db.con.cursor()
    cursor.execute(rows.query)
    made = rows.reduced.row
    while batch := cursor.fetchmany(BATCH):
        for n, at, now, id, *values in batch:
            for place, make in makes:
                if values[place] is not None:
                    values[place] = make(values[place])
            yield n, index, at, now, id, made(values)


def _hands(history: History, nows: str | None) -> Iterator[Entry]:
    query = f"SELECT n, h.at, {'h.at' if nows is None else 'now'}, action FROM {history.table('hands')} h"
    if nows is not None:
        query += f" JOIN {nows} USING (n)"
    for n, at, now, action in history.db.rows(f"{query} ORDER BY n"):
        yield n, _HAND, at, now, None, msgspec.json.decode(action, type=HandAction)
