"""Replaying by columns: all that follows from events is worked out at once, Python decides the rest in order.

    history → relations of fields → counters, level by level → candidate rows → decisions in order

What cannot go this way, and what is quicker otherwise, is said by `quell.replay.choosing`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from quell.engine.graph import Node
from quell.engine.lower_lists import with_columns
from quell.engine.lowered import Store, StoreSource
from quell.grammar.types import Type, is_textual
from quell.replay.candidates import CandidateTables
from quell.replay.counters_load import Cache
from quell.replay.counters_read import read_counters
from quell.replay.counters_rows import Asked, Source
from quell.replay.database import quoted
from quell.replay.dependence import READINGS, Dependence
from quell.replay.history import History
from quell.replay.outcome import Outcome, OutcomeWriter
from quell.replay.plain import write_plain
from quell.replay.reduced import Reduced, reduce
from quell.replay.relations import Relation
from quell.replay.report_data import Way
from quell.replay.settling import Rows, Settling
from quell.replay.sql_expressions import NotAColumn, Translator
from quell.signals.clock import BLOCK
from quell.signals.counters_base import MOST_AT_ONCE

Say = Callable[[str, float | None], None]


SURE = 0.6
"""The part of the keys that an estimate of their number finds at the very least."""


class TooManyKeys(Exception):
    """So many keys that online some counter may have refused one: only the online engine can tell."""


@dataclass(slots=True, repr=False)
class Columnar:
    """A history on its way through the columns. `say` hears what is being done."""

    outcome: Outcome
    dependence: Dependence
    say: Say = lambda what, share: None
    relations: dict[str, Relation] = field(default_factory=dict)
    candidates: CandidateTables | None = None
    began: int | None = None
    nows: str | None = None
    block: int = BLOCK
    _left: dict[str, str] = field(default_factory=dict)
    _cache: Cache = field(default_factory=Cache)
    _tables: int = 0
    _counted: int = 0

    @property
    def history(self) -> History:
        """The history."""
        return self.outcome.history

    @property
    def own(self) -> str:
        """The schema of what this replay adds: others may read the same history."""
        return f"{self.outcome.schema}_rows"

    def run(self) -> None:
        """Decide the history and write the outcome's tables."""
        self.prepare()
        self.say("choosing rows", None)
        self.candidates = CandidateTables(self.history, self.dependence, self.relations, self.own)
        writer = OutcomeWriter(self.outcome)
        for event in self.relations:
            self._left[event] = write_plain(self.outcome, self.candidates, event)
        last = self.history.events + self.history.hands
        Settling(self.history, self.rows(), self.began, self.nows).run(
            writer, lambda n: self.say("deciding", n / last if last else None)
        )
        for event in self.relations:
            for rule, missing, looked in self.candidates.missing(event):
                writer.put("missing", (event, rule, missing, looked))
        writer.close()
        self._tell_ways()

    # ------------------------------------------------------------------------------------- relations

    def prepare(self) -> None:
        """Make the relations, with every counter that deciding needs."""
        history, table = self.history, self.history.table
        history.db.con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self.own)}")
        self.began = history.db.value(f'SELECT "at" FROM {table("all")} ORDER BY n LIMIT 1')
        if not history.sorted:
            self.nows = self._write_nows()
        for event in history.build.analysis.symbols.schemas:
            translator = Translator(history.db, history.build, event)
            self.relations[event] = Relation(history, event, translator, self.nows)
        for level in self.dependence.levels:
            self._supply()
            self._level([self.dependence.stores[identity] for identity in level])
        self._supply()
        self._check_keys()

    def _supply(self) -> None:
        """Add what tests supply, as soon as what stands in its place is known."""
        for event, relation in self.relations.items():
            relation.supply(partial(self._is_ready, event))

    def _is_ready(self, event: str, number: int) -> bool:
        relation, graph = self.relations[event], self.dependence.graph(event)
        return not self.dependence.is_residual(event, number) and all(
            n in relation.columns for n in graph.reach([number]) if graph[n].op in READINGS
        )

    def _check_keys(self) -> None:
        """Make sure that online no counter can have refused a key because memory was full. Raises
        TooManyKeys."""
        most = self.history.build.analysis.files.settings.max_keys
        by_event: dict[str, list[str]] = {}
        for store in self.dependence.stores.values():
            for source in store.sources:
                by_event.setdefault(source.event, []).append(self._keys_of(source))
        total = 0.0
        for event, counts in by_event.items():
            events = self.history.db.value(f"SELECT count(*) FROM {self.history.of(event)}")
            at_most = float(len(counts) * events)
            if at_most > most / len(by_event) or any("sum(" in c or "count(*)" in c for c in counts):
                said = " + ".join(f"{many} * ({c})" for c, many in Counter(counts).items())
                # What was counted is joined to the relation: a key that is a field needs none of it.
                plain = self._are_fields(event)
                text = self.history.of(event) if plain else f"({self.relations[event].text})"
                at_most = float(self.history.db.value(f"SELECT {said} FROM {text}") or 0)
            total += at_most
        if total > most:
            raise TooManyKeys(total)

    def _are_fields(self, event: str) -> bool:
        """Whether all keys that an event type is counted under are fields."""
        sources = (s for store in self.dependence.stores.values() for s in store.sources if s.event == event)
        graph = self.dependence.graph(event)
        return all(graph[k].op == "field" for s in sources for k in s.keys)

    def _keys_of(self, source: StoreSource) -> str:
        """About how many keys one event type brings to a store, rather too many than too few."""
        relation = self.relations[source.event]
        if not source.keys:
            return "1"
        listed = [k for k in source.keys if relation.graph[k].type.kind == "list"]
        try:
            said = [relation.sql(k) for k in source.keys]
        except NotAColumn:  # a key that rests on decisions, or on a counter that nothing reads
            return f"count(*) * {MOST_AT_ONCE if listed else 1}"
        if listed:
            return f"coalesce(sum(len({relation.sql(listed[0])})), 0)"
        key = said[0] if len(said) == 1 else f"hash({', '.join(said)})"
        return f"approx_count_distinct({key}) / {SURE}"

    def _write_nows(self) -> str:
        """A table with the time at which each entry counts, as `quell.signals.clock` has it."""
        name = f"{quoted(self.own)}.nows"
        all_, hands = self.history.table("all"), self.history.table("hands")
        lateness = self.history.build.analysis.files.settings.lateness
        self.history.db.con.execute(
            f'CREATE TABLE {name} AS WITH counted AS (SELECT n, "at", row_number() OVER (ORDER BY n) AS j '
            f"FROM {all_}), blocks AS "
            f'(SELECT (j - 1) // {self.block} AS b, min("at") - {lateness} AS behind, '
            f"max(n) AS n FROM counted GROUP BY 1 HAVING count(*) = {self.block}), "
            f"horizons AS (SELECT n, max(behind) OVER (ORDER BY n) AS horizon FROM blocks), "
            f'entries AS (SELECT n, "at" FROM {all_} UNION ALL SELECT n, "at" FROM {hands}) '
            f"SELECT e.n, greatest(e.at, coalesce(h.horizon, e.at)) AS now FROM entries e "
            f"ASOF LEFT JOIN horizons h ON e.n >= h.n"
        )
        return name

    def _level(self, stores: list[Store]) -> None:
        """Work out the counters of one level: what they count and are read under first, each once."""
        for event, relation in self.relations.items():
            nodes = dict.fromkeys(n for s in stores for n in self._needs(s, event))
            relation.hold(n for n in nodes if n not in relation.columns)
            self._tables += 1
            relation.keep(f"{quoted(self.own)}.kept{self._tables}")
        every = sum(len(level) for level in self.dependence.levels)
        made = []
        for store in stores:
            self.say("counting", self._counted / every)
            made.append(self._as_tables(store))
            self._counted += 1
        for event, table, columns in (one for tables in made for one in tables):
            self.relations[event].join(table, columns)

    def _needs(self, store: Store, event: str) -> Iterable[int]:
        """The nodes that counting and reading a store asks of an event."""
        for source in store.sources:
            if source.event == event:
                yield from source.nodes
        for node in self.dependence.readings_of(event, store.identity):
            yield from node.args[:-1]

    def _as_tables(self, store: Store) -> list[tuple[str, str, dict[int, str]]]:
        """The readings of a store by event type: a table and its columns."""
        sources = {s.event: self._source(s) for s in store.sources}
        asked: list[Asked] = []
        for event, relation in self.relations.items():
            by_keys: dict[tuple[int, ...], list[Node]] = {}
            for node in self.dependence.readings_of(event, store.identity):
                whole = replace(node, type=self._whole(node.type))
                by_keys.setdefault(tuple(node.args[:-1]), []).append(whole)
            own = next((s.keys for s in store.sources if s.event == event), None)
            for keys, nodes in by_keys.items():
                said = "".join(f", {relation.sql(k)} AS k{i}" for i, k in enumerate(keys))
                query = f"SELECT n, now{said} FROM ({relation.text})"
                same = sources[event] if keys == own else None
                asked.append(Asked(event, query, nodes, same, _rows(event, keys)))
        self._tables += 1
        found = read_counters(
            self.history.db,
            store,
            list(sources.values()),
            asked,
            self.nows is None,
            self.began,
            f"{self.outcome.schema}_counter{self._tables}",
            self._cache,
        )
        out = []
        for a, readings in zip(asked, found, strict=True):
            columns = {node.id: c for node, c in zip(a.nodes, readings.columns, strict=True)}
            out.append((a.event, readings.table, columns))
            ways = dict.fromkeys(readings.ways)
            self.outcome.ways += [way for way in ways if way not in self.outcome.ways]
        return out

    def _source(self, source: StoreSource) -> Source:
        relation = self.relations[source.event]
        keys = "".join(f", {relation.sql(k)} AS k{i}" for i, k in enumerate(source.keys))
        value = "" if source.value is None else f", {relation.sql(source.value)} AS v"
        counted = "TRUE" if source.where is None else f"({relation.true(source.where)}) IS TRUE"
        graph = relation.graph
        return Source(
            source.event,
            f"SELECT n, now{keys}{value}, {counted} AS counted FROM ({relation.text})",
            [self._whole(graph[k].type) for k in source.keys],
            None if source.value is None else self._whole(graph[source.value].type),
            _rows(source.event, source.keys),
        )

    def _whole(self, type_: Type) -> Type:
        """A type with what records of it hold."""
        return with_columns(self.history.build.analysis.lowerer, type_)

    # ---------------------------------------------------------------------------------------- deciding

    def rows(self) -> list[Rows]:
        """The rows to decide, by event type."""
        assert self.candidates is not None
        out = []
        for event in self.relations:
            reduced = self.reduced(event)
            out.append(Rows(event, reduced, self._query(event, reduced)))
        return out

    def reduced(self, event: str) -> Reduced:
        """The program of an event type over the columns of its candidates."""
        candidates = self.candidates
        assert candidates is not None
        return reduce(
            self.history.build.analysis,
            event,
            lambda n: candidates.is_held(event, n),
            lambda identity: identity in self.dependence.residual,
        )

    def _query(self, event: str, reduced: Reduced) -> str:
        assert self.candidates is not None
        made = self.candidates.of[event]
        fields = {f.name: column for column, f in self.history.columns[event]}
        graph = self.dependence.graph(event)
        schema = self.history.build.analysis.symbols.schemas[event]
        id_field = schema.field("id")
        textual = id_field is not None and is_textual(id_field.type) and "id" in fields
        columns, joined = ["c.n", "c.at", "c.now", f"e.{fields['id']}" if textual else "NULL"], textual
        for n in reduced.columns:
            if n in made.held:
                columns.append(f"c.c{n}")
            else:
                columns.append(f"e.{fields[graph[n].data[0]]}")
                joined = True
        source = f"(SELECT * FROM {made.table} WHERE {self._left[event]}) c"
        if joined:
            source += f" JOIN {self.history.of(event)} e USING (n)"
        return f"SELECT {', '.join(columns)} FROM {source} ORDER BY c.n"

    def _tell_ways(self) -> None:
        ways = self.outcome.ways
        for identity, why in sorted(self.dependence.residual.items()):
            ways.append(Way(self.dependence.stores[identity].text, "settled", why))
        for relation in self.relations.values():
            for number, why in relation.translator.ways:
                way = Way(relation.said(number), "python", why)
                if way not in ways:
                    ways.append(way)


def _rows(event: str, keys: Sequence[int]) -> str:
    """What the rows of an event type under some keys are called, where several counters have the same."""
    return f"{event} {tuple(keys)}"
