"""One event type's rows with everything columnar that was worked out for them, as one SQL relation.

It begins as the history's table and grows: by layers of expressions (`SELECT *, … AS k12 FROM (…)`), and by
tables with values that were worked out elsewhere, joined by `n`. Nothing runs until somebody selects from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from quell.engine.graph import Graph, Node
from quell.replay.database import quoted
from quell.replay.history import History
from quell.replay.sql_expressions import Translator


class Relation:
    """The rows of an event type. `columns` gives, by node, the column that holds its value."""

    def __init__(self, history: History, event: str, translator: Translator, nows: str | None) -> None:
        """`nows` is a table with n and now, for a history with late events; without it events count as of
        their own time."""
        self.history = history
        self.event = event
        self.translator = translator
        self.graph: Graph = history.build.analysis.lowerer.graph(event)
        self.columns: dict[int, str] = {}
        base = history.of(event)
        if nows is None:
            self._base = f'SELECT *, "at" AS now FROM {base}'
        else:
            self._base = f"SELECT e.*, w.now FROM {base} e JOIN {nows} w USING (n)"
        self._text = self._base
        self._loose: dict[int, str] = {}
        self._shares = 0
        held = {f.name: column for column, f in history.columns[event]}
        for node in self.graph.nodes:
            if node.op == "clock":
                self.columns[node.id] = "now"
            elif node.op == "remote":  # a history without recorded answers has none
                self.columns[node.id] = translator.types.literal(None, node.type)
            elif node.op == "field" and node.data[0] in held:
                self.columns[node.id] = held[node.data[0]]

    @property
    def text(self) -> str:
        """The relation as a query."""
        return self._text

    def sql(self, number: int) -> str:
        """A node over the relation."""
        return self.translator.sql(number, self.columns)

    def true(self, number: int) -> str:
        """A condition over the relation: true exactly where the node is."""
        return self.translator.true(number, self.columns)

    def where(self, number: int) -> str:
        """The same for a WHERE."""
        return self.translator.where(number, self.columns)

    def said(self, number: int) -> str:
        """A node in the analyst's words, as far as the policies have any for it."""
        span = self.graph.spans.get(number)
        sources = self.history.build.analysis.files.sources
        if span is None or span.file not in sources:
            return f"{self.graph[number].op} of `{self.event}`"
        return " ".join(sources[span.file].text[span.start : span.end].split())

    def supply(self, ready: Callable[[int], bool]) -> None:
        """Add what tests supply for names, as columns. `ready` tells whether all is there that is needed by
        what stands in a name's place where it is not supplied."""
        if not self.history.supplied:
            return
        for node in self.graph.nodes:
            if node.op == "injected" and node.args and node.id not in self.columns and ready(node.args[0]):
                self.layer({node.id: self._supplied(node)}, "i")

    def _supplied(self, node: Node) -> str:
        name, literal = node.data[0], self.translator.types.literal
        by_value: dict[str, list[str]] = {}
        for n, values in self.history.supplied.items():
            if name in values:
                by_value.setdefault(literal(values[name], node.type), []).append(str(n))
        cases = "".join(f" WHEN n IN ({', '.join(ns)}) THEN {text}" for text, ns in by_value.items())
        otherwise = self.sql(node.args[0])
        return f"CASE{cases} ELSE {otherwise} END" if cases else otherwise

    def share(self, roots: Sequence[int], asked: bool = False) -> None:
        """Give what several roots need a column of its own, where that is worth it; `asked` says that most
        rows see the roots only in a WHERE."""
        self._shares += 1
        made = self.translator.over(f"({self._text})", roots, self.columns, f"x{self._shares}_", asked)
        new = {n: column for n, column in made.columns.items() if n not in self.columns}
        if new:
            self._text = f"SELECT * FROM {made.relation}"
            self._add(new)

    def hold(self, nodes: Iterable[int]) -> None:
        """Work nodes out once, in a layer of their own; what is a column already stays it."""
        new = [n for n in dict.fromkeys(nodes) if n not in self.columns and self.graph[n].op != "const"]
        if new:
            self.share(new)
            new = [n for n in new if n not in self.columns]
        if new:
            self.layer({n: self.sql(n) for n in new}, "k")

    def layer(self, expressions: Mapping[int, str], letter: str) -> None:
        """Add expressions over the relation as columns, one per node."""
        added = ", ".join(f"{text} AS {letter}{n}" for n, text in expressions.items())
        self._text = f"SELECT *, {added} FROM ({self._text})"
        self._add({n: f"{letter}{n}" for n in expressions})

    def _add(self, columns: Mapping[int, str]) -> None:
        self.columns |= columns
        self._loose |= columns

    def keep(self, table: str) -> None:
        """Work out all that was added so far, and keep it in a table of that name: it is to be looked at more
        than once."""
        if not self._loose:
            return
        columns = ", ".join(["n", *self._loose.values()])
        self.history.db.con.execute(f"CREATE TABLE {table} AS SELECT {columns} FROM ({self._text})")
        self._base = f"SELECT b.*, k.* EXCLUDE (n) FROM ({self._base}) b JOIN {table} k USING (n)"
        self._text, self._loose = self._base, {}

    def join(self, table: str, nodes: Mapping[int, str]) -> None:
        """Add columns of a table that has n, by node."""
        added = ", ".join(f"t.{quoted(column)} AS s{n}" for n, column in nodes.items())
        self._text = f"SELECT r.*, {added} FROM ({self._text}) r LEFT JOIN {table} t USING (n)"
        self._add({n: f"s{n}" for n in nodes})
