"""What SQL cannot say exactly, as Python functions over batches: the same Python that decides online.

A part of the graph becomes one function, whatever stands in it, and takes as few columns as it can. It is
worked out once for each different row of a batch; for texts and numbers it remembers rows from batch to
batch, since messages repeat.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from duckdb import sqltype
from duckdb.func import FunctionNullHandling, PythonUDFType

from quell.engine.compile import Build
from quell.engine.expressions import Expressions, Names
from quell.engine.graph import ELEMENTS, Graph, Node
from quell.engine.link import link
from quell.engine.python_backend import Program
from quell.replay.database import Database
from quell.replay.sql_values import Columns, Make
from quell.signals.functions import REGISTRY

ROOM = 4_000_000
"""About how many bytes one function remembers; when there are more it starts over."""
ENTRY = 200
"""About how many bytes a row takes that holds no text."""
LONG = 4_000
"""Characters of a row above which it is not remembered."""
DEEP = 12
"""How deeply operations stand in one another before one of them is kept in a variable."""
_SLOW = 1.0
"""Microseconds from which a function of the language remembers what it gave, in all that use it."""

_registered: weakref.WeakKeyDictionary[Database, set[str]] = weakref.WeakKeyDictionary()


class PythonFailed(Exception):
    """A part of a policy that could not be worked out in Python, in the analyst's words."""


# --------------------------------------------------------------- the functions


@dataclass(slots=True)
class Pythons:
    """The Python functions of one event's graph in one database."""

    db: Database
    build: Build
    graph: Graph
    columns: Columns
    _slow: dict[Any, Callable[..., Any]] = field(default_factory=dict)

    def function(self, root: int, inputs: Sequence[int]) -> str:
        """The name of the SQL function that gives a node from the nodes that are its inputs, in order."""
        node = self.graph[root]
        name = self.name(node.op, root, inputs)
        if name in _registered.get(self.db, ()):
            return name
        given = [self.graph[i] for i in inputs]
        one = self.one(root, inputs)
        types = [n.type for n in given]
        reads = [_reader(n, self.columns) for n in given]
        said = str(node.data[0]) if node.op == "call" else node.op
        plain = all(t.kind not in ("list", "record") for t in types)
        batch = _Batch(
            one, reads, self.columns.arrow(node.type), self.columns.to_column(node.type), plain, said
        )
        self.register(name, batch, [self.columns.sql(t) for t in types], self.columns.sql(node.type))
        return name

    def register(self, name: str, batch: Callable[..., Any], inputs: Sequence[str], output: str) -> None:
        """Make a function over Arrow batches known to the database, once."""
        known = _registered.setdefault(self.db, set())
        if name in known:
            return
        self.db.con.create_function(
            name,
            _of_arity(batch, len(inputs)),
            [sqltype(t) for t in inputs],
            sqltype(output),
            type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,
        )
        known.add(name)

    def name(self, word: str, root: int, inputs: Sequence[int]) -> str:
        """A name for a function that nothing else in the database has, the same on every run."""
        told = [self.build.version, self.graph.event, self.graph[root].identity]
        told += [self.graph[i].identity for i in inputs]
        return f"quell_{word}_{hashlib.sha256(chr(0).join(told).encode()).hexdigest()[:24]}"

    def one(self, root: int, inputs: Sequence[int]) -> Callable[..., Any]:
        """The function for one row: a value for each input, None for missing."""
        program = _Writer(self.graph, root, inputs).write()
        linked = link(program, self.build.analysis.lists, self.build.analysis.models)
        space = dict(linked.shared)
        for name, (kind, what) in program.needs.items():
            if kind == "function" and _cost(what[0]) >= _SLOW:
                space[name] = self._remembering(what, space[name])
        exec(linked.code, space)
        made: Callable[..., Any] = space[_NAME]
        return made

    def value(self, root: int) -> Any:
        """The value of a node that depends on no event."""
        return self.one(root, ())()

    def _remembering(self, what: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        key = repr(what)
        if key not in self._slow:
            self._slow[key] = _remembering_texts(call)
        return self._slow[key]


def _cost(name: str) -> float:
    row = REGISTRY.get(name)
    return 0.0 if row is None else row.cost


class _Memory:
    """What a function gave for rows of texts and numbers, as long as there is room."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self._known: dict[Any, Any] = {}
        self._room = ROOM

    def give(self, *row: Any) -> Any:
        """What the function gives for a row of plain values."""
        known = self._known
        if row in known:
            return known[row]
        found = self._call(*row)
        size = ENTRY + sum(len(v) for v in row if type(v) is str)
        if size > LONG:
            return found
        self._room -= size
        if self._room < 0:
            self._known = known = {}
            self._room = ROOM
        known[row] = found
        return found


def _remembering_texts(call: Callable[..., Any]) -> Callable[..., Any]:
    """The function with a memory, which it uses where its arguments are texts."""
    memory = _Memory(call)

    def remembered(*values: Any) -> Any:
        return memory.give(*values) if all(type(v) is str for v in values) else call(*values)

    return remembered


def _reader(node: Node, columns: Columns) -> Make | None:
    """How a column's value becomes what the generated Python expects."""
    if node.type.kind == "number" and node.whole:
        return int
    return columns.from_column(node.type)


def _of_arity(batch: Callable[..., Any], count: int) -> Callable[..., Any]:
    """DuckDB asks a function how many parameters it has."""
    names = ", ".join(f"a{i}" for i in range(count))
    made: Callable[..., Any] = eval(f"lambda {names}: batch({names})", {"batch": batch})
    return made


class _Batch:
    """A function of one row as one of columns."""

    def __init__(
        self,
        one: Callable[..., Any],
        reads: Sequence[Make | None],
        result: pa.DataType,
        make: Make | None,
        plain: bool,
        said: str,
    ) -> None:
        self._said = said
        self._one, self._reads, self._result, self._make = one, reads, result, make
        self._give = _Memory(self._one_value).give if plain else self._one_value

    def __call__(self, *columns: Any) -> pa.Array:
        lists = [_values(c, read) for c, read in zip(columns, self._reads, strict=True)]
        try:
            found = list(map(self._give, *lists))
        except Exception as error:
            raise PythonFailed(f"`{self._said}` could not be worked out: {error}") from error
        return pa.array(found, self._result)

    def _one_value(self, *row: Any) -> Any:
        value = self._one(*row)
        return value if self._make is None or value is None else self._make(value)


def _values(column: Any, read: Make | None) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if read is None:
        return values
    return [None if v is None else read(v) for v in values]


# ------------------------------------------------------------ the Python source

_NAME = "quell_part"


class _Writer:
    """Writes one function for a node over its inputs, by the expressions of the Python back end."""

    def __init__(self, graph: Graph, root: int, inputs: Sequence[int]) -> None:
        self.graph, self.root = graph, root
        self.names = Names()
        self.names.block(_NAME)
        self.parameters = [f"a{i}" for i in range(len(inputs))]
        for name in self.parameters:
            self.names.block(name)
        self.x = Expressions(graph, self.names, self._leaf, self._state, lambda node: None)
        self.x.variables.update(zip(inputs, self.parameters, strict=True))
        self.inputs = frozenset(inputs)

    def write(self) -> Program:
        lines = [f"def {_NAME}({', '.join(self.parameters)}):"]
        for number in self._kept():
            name = f"_v{number}"
            lines.append(f"    {name} = {self.x.value(number)}")
            self.x.variables[number] = name
        lines.append(f"    return {self.x.value(self.root)}")
        return Program(self.graph.event, "\n".join(lines), self.names.needs, ())

    def _kept(self) -> list[int]:
        """The nodes that live in variables, in order: what is needed twice, what elements of lists need
        from outside, and every so often a node of a deep expression."""
        reached = reach(self.graph, [self.root], self.inputs)
        uses: dict[int, int] = {}
        kept: set[int] = set()
        for number in reached:
            node = self.graph[number]
            around = bool(node.binders) or node.operation.binds
            for a in () if number in self.inputs else node.args:
                uses[a] = uses.get(a, 0) + 1
                if around and not self.graph[a].binders:
                    kept.add(a)
        kept |= {n for n, count in uses.items() if count > 1}
        depth: dict[int, int] = {}
        for number in reached:
            node = self.graph[number]
            deep = 0 if number in self.inputs else 1 + max((depth[a] for a in node.args), default=0)
            if deep > DEEP and not node.binders:
                kept.add(number)
            depth[number] = 0 if number in kept else deep
        out = (n for n in reached if n in kept and n not in self.inputs and n != self.root)
        return [n for n in out if not self.graph[n].binders and self.graph[n].op != "const"]

    def _leaf(self, node: Node) -> str:
        if node.op == "element":
            return f"x{node.data[0] % ELEMENTS}"
        raise KeyError(f"{node.op} is no input")

    def _state(self, node: Node) -> str:
        raise KeyError(f"{node.op} is no input")


def reach(graph: Graph, roots: Sequence[int], stops: Container[int]) -> list[int]:
    """Every node that the roots need, arguments before users, without what lies behind `stops`."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        top = stack.pop()
        if top in seen:
            continue
        seen.add(top)
        if top not in stops:
            stack.extend(graph[top].args)
    return sorted(seen)
