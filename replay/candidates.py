"""The rows on which something may happen, as tables: a column for whatever deciding them asks.

For each event type there is one table, with n, at, now and a column `c12` for each node that the reduced
program takes and that is not a plain field. In no order, it has the rows on which, as far as columns can
tell, a rule may match or a residual counter may count, and every so many others, on which it is seen how
often conditions are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from quell.engine.hand import HandAction
from quell.engine.lowered import LoweredRule, StoreSource
from quell.replay.database import quoted, unordered
from quell.replay.dependence import Dependence
from quell.replay.history import History
from quell.replay.history_later import OddText, odd_text
from quell.replay.possible import Possible, Reach, as_text
from quell.replay.relations import Relation

LOOKED = 25_000
"""About so many events are looked at for missing conditions: each costs what a candidate does."""
ROUNDS = 12
"""After so many rounds it is no longer asked what labels and firings may reach."""


@dataclass(slots=True)
class Candidates:
    """The table of one event type. `held` are the nodes that have a column in it."""

    event: str
    relation: Relation
    table: str
    held: set[int] = field(default_factory=set)
    possible: Possible = field(init=False)

    def column(self, number: int) -> str:
        """The column of a node, or a literal."""
        return self.relation.sql(number) if self.relation.graph.is_const(number) else f"c{number}"


class CandidateTables:
    """The tables of all event types of a bundle, in a schema of their own."""

    def __init__(self, history: History, dependence: Dependence, relations: dict[str, Relation], schema: str):
        self.history, self.dependence, self.schema = history, dependence, schema
        self.con = history.db.con
        self.every = max(1, history.events // LOOKED)
        self.reach = Reach({}, {})
        self.of: dict[str, Candidates] = {}
        for i, (event, relation) in enumerate(relations.items()):
            self.of[event] = self._make(event, relation, f"{quoted(schema)}.c{i}")
        self._narrow()

    def _residual(self, event: str) -> Any:
        return lambda number: self.dependence.is_residual(event, number)

    # ------------------------------------------------------------------------------------- the tables

    def _make(self, event: str, relation: Relation, table: str) -> Candidates:
        rules = {r.name: r for r in self.dependence.rules(event)}
        made = Candidates(event, relation, table)
        for root in self._asked(event):
            self._hold(event, root, made.held)
        made.held |= set(self.dependence.readings(event, self.dependence.roots(event)))
        coarse = Possible(relation.graph, rules, self._residual(event), relation.where)
        # Asked before anything is shared: that rests on whether all rows are wanted.
        every = "TRUE" in self._happenings(event, coarse)
        relation.share(sorted(made.held), asked=not every)
        wanted = list(dict.fromkeys(self._happenings(event, coarse)))
        somewhere = "TRUE" if every else " OR ".join(f"({w})" for w in wanted) or "FALSE"
        if not every:
            somewhere = f"({somewhere}) OR n % {self.every} = 0"
        columns = "".join(f", {relation.sql(n)} AS c{n}" for n in sorted(made.held))
        if self.history.unread:
            columns += f", ({odd_text(self.history)}) AS odd"
            somewhere = "TRUE" if every else f"{somewhere} OR {odd_text(self.history)}"
        with unordered(self.history.db):
            self.con.execute(
                f'CREATE TABLE {table} AS SELECT n, "at", now{columns} FROM ({relation.text}) '
                f"WHERE {somewhere}"
            )
        if self.history.unread:
            if self.history.db.value(f"SELECT count(*) FROM {table} WHERE odd"):
                raise OddText
            self.history.unread = []
        made.possible = Possible(relation.graph, rules, self._residual(event), made.column, self.reach)
        return made

    def _asked(self, event: str) -> Iterator[int]:
        """The nodes of which the tables have the columnar parts."""
        for rule in self.dependence.rules(event):
            yield rule.condition
            for effect in rule.effects:
                if effect.kind == "label" and effect.target is not None:
                    yield effect.target
        for source in self._sources(event):
            yield from source.nodes

    def _sources(self, event: str) -> Iterator[StoreSource]:
        for identity in sorted(self.dependence.residual):
            for source in self.dependence.stores[identity].sources:
                if source.event == event:
                    yield source

    def _hold(self, event: str, number: int, held: set[int]) -> None:
        """Note the largest columnar parts of a node; what belongs to a list's element is left to Python."""
        graph = self.dependence.graph(event)
        stack = [number]
        while stack:
            top = stack.pop()
            node = graph[top]
            if node.op in ("const", "clock") or node.type.kind == "missing":
                continue
            if not node.binders and not self.dependence.is_residual(event, top):
                held.add(top)
            elif self.dependence.is_residual(event, top):
                stack.extend(node.args)

    def _happenings(self, event: str, possible: Possible) -> Iterator[str]:
        """Where something may happen: a rule matches, a residual counter counts."""
        for rule in self.dependence.rules(event):
            yield possible.may(rule.condition)
        for source in self._sources(event):
            if source.rule is None:
                yield self._may_count(source, possible)

    @staticmethod
    def _may_count(source: StoreSource, possible: Possible) -> str:
        parts = ["TRUE" if source.where is None else possible.may(source.where)]
        if source.rule is not None:
            rule = possible.rules.get(source.rule)
            parts.append("FALSE" if rule is None else possible.may(rule.condition))
        left = [p for p in parts if p != "TRUE"]
        return " AND ".join(f"({p})" for p in left) or "TRUE"

    # ------------------------------------------------------------------------- what may be reached

    def _narrow(self) -> None:
        """Find out which ids may carry labels and which keys residual counters may have."""
        feeds = [*self._label_feeds(), *self._store_feeds()]
        for _ in range(ROUNDS):
            before = self._size()
            for feed in feeds:
                self.con.execute(feed)
            if self._size() == before:
                return
        self.reach.labels, self.reach.stores = {}, {}

    def _size(self) -> int:
        tables = [*self.reach.labels.values(), *self.reach.stores.values()]
        return sum(self.history.db.value(f"SELECT count(*) FROM {t}") for t in tables)

    def _label_feeds(self) -> list[str]:
        asked = {
            relation.graph[n].data
            for relation in (c.relation for c in self.of.values())
            for n in relation.graph.reach(list(self.dependence.roots(relation.event)))
            if relation.graph[n].op == "labelled"
        }
        setters: dict[tuple[str, str], list[tuple[Candidates, LoweredRule, int]]] = {}
        for made in self.of.values():
            for rule in made.possible.rules.values():
                for effect in rule.effects:
                    if effect.kind == "label" and effect.target is not None and rule.live:
                        setters.setdefault((effect.entity, effect.name), []).append(
                            (made, rule, effect.target)
                        )
        by_hand = self._by_hand() if asked else {}
        feeds: list[str] = []
        tables: dict[tuple[str, str], str] = {}
        for i, key in enumerate(sorted(asked)):
            if any(not self._plain(made, [t]) for made, _, t in setters.get(key, [])):
                continue  # it may be put on whoever
            tables[key] = self._table(f"label{i}", 1)
            self._put_ids(tables[key], by_hand.get(key, set()))
        self.reach.labels = tables
        for key, table in tables.items():
            for made, rule, target in setters.get(key, []):
                feeds.append(self._feed(table, made, [target], made.possible.may(rule.condition)))
        return feeds

    def _store_feeds(self) -> list[str]:
        tables: dict[str, str] = {}
        for i, identity in enumerate(sorted(self.dependence.residual)):
            sources = self.dependence.stores[identity].sources
            if all(s.keys and self._plain(self.of[s.event], s.keys) for s in sources):
                tables[identity] = self._table(f"store{i}", len(sources[0].keys))
        self.reach.stores = tables
        return [
            self._feed(table, self.of[s.event], s.keys, self._may_count(s, self.of[s.event].possible))
            for identity, table in tables.items()
            for s in self.dependence.stores[identity].sources
        ]

    def _plain(self, made: Candidates, nodes: Any) -> bool:
        """Whether nodes stand in the table's columns."""
        graph = made.relation.graph
        return all(n in made.held or graph[n].op == "const" for n in nodes)

    def _table(self, name: str, keys: int) -> str:
        table = f"{quoted(self.schema)}.{name}"
        # Keys of any kind compare as text: what may be reached need only be a superset.
        self.con.execute(f"CREATE TABLE {table} ({', '.join(f'k{i} VARCHAR' for i in range(keys))})")
        return table

    def _feed(self, table: str, made: Candidates, keys: Any, where: str) -> str:
        graph = made.relation.graph
        parts, names = [], []
        for i, k in enumerate(keys):
            said = made.column(k)
            type_ = graph[k].type
            listed = type_.element if type_.kind == "list" else None
            parts.append(f"{said if listed is None else f'unnest({said})'} AS k{i}")
            names.append(f"{as_text(f'k{i}', (listed or type_).kind)} AS k{i}")
        present = " AND ".join(f"k{i} IS NOT NULL" for i in range(len(keys)))
        same = " AND ".join(f"t.k{i} = f.k{i}" for i in range(len(keys)))
        return (
            f"INSERT INTO {table} SELECT * FROM (SELECT DISTINCT {', '.join(names)} FROM "
            f"(SELECT {', '.join(parts)} FROM {made.table} WHERE {where}) WHERE {present}) f "
            f"WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE {same})"
        )

    def _by_hand(self) -> dict[tuple[str, str], set[str]]:
        """The ids of which people said something, by label."""
        found: dict[tuple[str, str], set[str]] = {}
        for (action,) in self.history.db.rows(f"SELECT action FROM {self.history.table('hands')}"):
            said = msgspec.json.decode(action, type=HandAction)
            found.setdefault((said.entity, said.label), set()).add(said.id)
        return found

    def _put_ids(self, table: str, ids: set[str]) -> None:
        if ids:
            self.con.register("_ids", pa.table({"k0": pa.array(sorted(ids), pa.string())}))
            self.con.execute(f"INSERT INTO {table} SELECT k0 FROM _ids")
            self.con.unregister("_ids")

    # ------------------------------------------------------------------------------------ what is asked

    def where(self, event: str, rules: list[LoweredRule]) -> str:
        """The rows of an event's table on which one of some rules may match, or a residual counter count."""
        made = self.of[event]
        wanted = [made.possible.may(r.condition) for r in rules]
        wanted += [self._may_count(s, made.possible) for s in self._sources(event)]
        wanted = list(dict.fromkeys(wanted))
        return "TRUE" if "TRUE" in wanted else " OR ".join(f"({w})" for w in wanted) or "FALSE"

    def is_held(self, event: str, number: int) -> bool:
        """Whether a node's value is a column for the reduced program: in the table, or a field."""
        node = self.dependence.graph(event)[number]
        return number in self.of[event].held or node.op == "field"

    def missing(self, event: str) -> list[tuple[str, int, int]]:
        """How often each rule's condition was missing, and on how many events that was looked at. A label or
        a firing that is not known counts as not there."""
        made = self.of[event]
        rules = self.dependence.rules(event)
        if not rules:
            return []
        counts = ", ".join(
            f"count(*) FILTER (WHERE ({self._value(made, r.condition)}) IS NULL)" for r in rules
        )
        row = self.history.db.rows(f"SELECT count(*), {counts} FROM {made.table} WHERE n % {self.every} = 0")[
            0
        ]
        return [(r.name, int(m), int(row[0])) for r, m in zip(rules, row[1:], strict=True)]

    def _value(self, made: Candidates, number: int) -> str:
        node = made.relation.graph[number]
        if number in made.held:
            return f"c{number}"
        if node.op == "const":
            return "NULL::BOOLEAN" if node.data[0] is None else str(node.data[0]).upper()
        if node.op in ("and", "or"):
            return "(" + f" {node.op.upper()} ".join(self._value(made, a) for a in node.args) + ")"
        if node.op == "not":
            return f"(NOT {self._value(made, node.args[0])})"
        return "FALSE"
