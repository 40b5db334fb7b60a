"""Replayed counters held against the interpreter: what sources count and what readings give, by event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from quell.engine.compile import Build
from quell.engine.events import Decoded
from quell.engine.graph import Node
from quell.engine.interpret import FieldReaders, Interpreter
from quell.engine.lowered import Store, StoreSource
from quell.engine.order import stage_nodes
from quell.engine.settle import Hit
from quell.engine.stepper import Stepper
from quell.grammar.types import Type
from quell.replay.counters_load import Cache
from quell.replay.counters_read import read_counters
from quell.replay.counters_rows import Asked, Source, column
from quell.replay.database import Database, quoted
from quell.replay.history_types import arrow_type, from_column, to_column
from quell.signals.clock import Clock
from quell.signals.memory import Memory
from quell.signals.state import State

Rows = list[list[Any]]


@dataclass(slots=True)
class Fed:
    """What one source of a store counts, or one reading's keys, by event; `types` are those of the columns
    after n and now."""

    names: list[str]
    types: list[Type]
    nodes: list[int]
    rows: Rows = field(default_factory=list)
    wanted: dict[int, list[Any]] = field(default_factory=dict)


class Judge:
    """A bundle stepped through a history, with every value that counters take and give."""

    def __init__(self, made: Build, clock: Clock | None = None) -> None:
        self.made = made
        memory = Memory(left=made.analysis.files.settings.max_keys)
        self.stepper = Stepper(made, State(clock=clock or Clock(), memory=memory))
        self.readers = FieldReaders(made)
        self.sources: dict[tuple[str, int], Fed] = {}
        self.asked: dict[tuple[str, str, tuple[int, ...]], tuple[Fed, list[Node]]] = {}
        self.sorted = True
        self.cache = Cache()
        self._newest: int | None = None
        for event in made.analysis.symbols.schemas:
            self._event(event)

    def _event(self, event: str) -> None:
        analysis = self.made.analysis
        graph, stages = analysis.lowerer.graph(event), analysis.stages[event]
        for stage in stages:
            for write in stage.writes:
                self.sources[write.store.identity, write.store.sources.index(write.source)] = self._fed(
                    event, write.source
                )
        for number in graph.reach(list(stage_nodes(stages))):
            node = graph[number]
            if node.op in ("counter", "reaches") and not node.binders:
                keys = node.args[:-1]
                types = [graph[k].type for k in keys]
                names = [f"k{i}" for i in range(len(keys))]
                fed = self.asked.setdefault((event, node.data[0], keys), (Fed(names, types, list(keys)), []))
                fed[1].append(node)
                fed[0].wanted[number] = []

    def _fed(self, event: str, source: StoreSource) -> Fed:
        graph = self.made.analysis.lowerer.graph(event)
        names = [f"k{i}" for i in range(len(source.keys))]
        return Fed(
            names if source.value is None else [*names, "v"],
            [graph[k].type for k in source.counted],
            list(source.counted),
        )

    def take(self, n: int, event: Any) -> None:
        """Decide an event, which is the n-th, and note everything; or carry out a label by hand."""

        def observe(decoded: Decoded, hits: list[Hit]) -> None:
            self._note(n, Interpreter(self.made, self.stepper.state, decoded, hits, readers=self.readers))

        if isinstance(event, bytes):
            event = self.stepper.decode(event)
        if isinstance(event, Decoded):
            self.stepper.decide_decoded(event, observe)
        else:
            self.stepper.reply(event)

    def _note(self, n: int, values: Interpreter) -> None:
        event, now, stores = values.decoded.event, values.now, self.made.analysis.lowerer.stores
        if self._newest is not None and now < self._newest:
            self.sorted = False
        self._newest = now
        for (identity, place), fed in self.sources.items():
            source = stores[identity].sources[place]
            if source.event == event:
                counted = source.where is None or values.value(source.where) is True
                if source.rule is not None:
                    counted = counted and values.fired(source.rule, shadow=stores[identity].shadow)
                fed.rows.append([n, now, *self._columns(fed, values), counted])
        for (on, _, _), (fed, nodes) in self.asked.items():
            if on == event:
                fed.rows.append([n, now, *self._columns(fed, values)])
                for node in nodes:
                    fed.wanted[node.id].append(values.value(node.id))

    def _columns(self, fed: Fed, values: Interpreter) -> list[Any]:
        out = []
        for number, type_ in zip(fed.nodes, fed.types, strict=True):
            value, make = values.value(number), to_column(type_)
            out.append(make(value) if make is not None and value is not None else value)
        return out

    # ------------------------------------------------------------------------------ the other way

    def replayed(self, db: Database, schema: str = "counters") -> list[str]:
        """What replayed counters give differently, in words. The schema is gone when it is over."""
        db.con.execute(f"DROP SCHEMA IF EXISTS {quoted(schema)} CASCADE")
        db.con.execute(f"CREATE SCHEMA {quoted(schema)}")
        db.con.execute(f"SET schema = {quoted(schema)}")
        try:
            found: list[str] = []
            self.cache = Cache()
            for i, spec in enumerate(self._read()):
                found += self._store(db, spec, f"s{i}")
            return found
        finally:
            db.con.execute("SET schema = 'main'")
            db.con.execute(f"DROP SCHEMA {quoted(schema)} CASCADE")

    def _read(self) -> Sequence[Store]:
        stores = self.made.analysis.lowerer.stores
        return [stores[i] for i in dict.fromkeys(identity for _, identity, _ in self.asked)]

    def _store(self, db: Database, spec: Store, name: str) -> list[str]:
        sources: list[tuple[StoreSource, Source]] = []
        for i, own in enumerate(spec.sources):
            fed = self.sources.get((spec.identity, i))
            if fed is not None:
                table = f"{name}_source{i}"
                self._table(db, table, fed, counted=True)
                types = fed.types[: len(own.keys)]
                value = None if own.value is None else fed.types[-1]
                source = Source(own.event, f"SELECT * FROM {table}", types, value, f"{own.event} {own.keys}")
                sources.append((own, source))
        asked, wanted = [], []
        for i, ((event, identity, keys), (fed, nodes)) in enumerate(self.asked.items()):
            if identity == spec.identity:
                table = f"{name}_asked{i}"
                self._table(db, table, fed, counted=False)
                same = next((s for own, s in sources if (own.event, own.keys) == (event, keys)), None)
                asked.append(Asked(event, f"SELECT * FROM {table}", nodes, same, f"{event} {keys}"))
                wanted.append(fed)
        began = self.stepper.state.began
        got = read_counters(
            db, spec, [s for _, s in sources], asked, self.sorted, began, name + "_read", self.cache
        )
        found = []
        for one, fed, readings in zip(asked, wanted, got, strict=True):
            rows = db.rows(f"SELECT n, {', '.join(readings.columns) or '0'} FROM {readings.table}")
            found += self._differences(spec, one, fed, rows)
        return found

    def _table(self, db: Database, name: str, fed: Fed, counted: bool) -> None:
        fields = [("n", pa.int64()), ("now", pa.int64())]
        fields += [(c, arrow_type(t)) for c, t in zip(fed.names, fed.types, strict=True)]
        fields += [("counted", pa.bool_())] * counted
        arrays = [pa.array([row[i] for row in fed.rows], t) for i, (_, t) in enumerate(fields)]
        db.con.register("_rows", pa.table(arrays, names=[f for f, _ in fields]))
        db.con.execute(f"CREATE TABLE {name} AS SELECT * FROM _rows")
        db.con.unregister("_rows")

    def _differences(self, spec: Store, asked: Asked, fed: Fed, rows: list[tuple[Any, ...]]) -> list[str]:
        ns = [row[0] for row in fed.rows]
        if [row[0] for row in rows] != ns:
            return [f"{spec.text} on {asked.event}: other rows are read"]
        found = []
        for place, node in enumerate(asked.nodes, 1):
            back = from_column(node.type)
            for n, row, wanted in zip(ns, rows, fed.wanted[node.id], strict=True):
                got = row[place]
                got = back(got) if back is not None and got is not None else got
                if got != wanted or (got is None) != (wanted is None):
                    found.append(
                        f"{spec.text}, event {n} ({asked.event}), {node.op} {column(node)} {node.data[1:]}: "
                        f"replay gives {got!r}, online {wanted!r}"
                    )
        return found
