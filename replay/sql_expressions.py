"""Graph nodes as DuckDB SQL over the columns of a relation, to the bit what the language means.

What SQL cannot say exactly runs as Python over batches, in parts as large as they come: `ways` says which and
why. Nodes of the state (counters, labels, firings, remote answers) are columns that are there already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quell.engine.compile import Build
from quell.engine.graph import Graph, Node
from quell.grammar.types import Type
from quell.replay.database import Database
from quell.replay.sql_forms import FORMS, No, element
from quell.replay.sql_models import MASK_BITS, model_batch, points_batch
from quell.replay.sql_python import Pythons, reach
from quell.replay.sql_values import Columns
from quell.signals.policy_lists import PolicyList

LEAVES = frozenset(
    ("field", "clock", "injected", "remote", "fired", "labelled", "label_age", "counter", "reaches")
)
"""Operations whose values are columns that are there already."""
MAX_DEEP = 60
"""Operations inside one another, beyond which Python, which has variables, takes over."""
MAX_LONG, MAX_TIMES = 5_000, 3
"""Characters of SQL from which it may not say the same things more than so many times over."""
_ATOM = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class NotAColumn(KeyError):
    """A field or a part of the state that is needed and that no column holds."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.id)
        self.node = node

    def __str__(self) -> str:
        return f"node {self.node.id} ({self.node.op} {self.node.data!r}) is in no column"


@dataclass(slots=True)
class Translator:
    """The nodes of one event type's graph as SQL. `ways` holds what went to Python: a node, and why."""

    db: Database
    build: Build
    event: str
    ways: list[tuple[int, str]] = field(default_factory=list)
    graph: Graph = field(init=False)
    types: Columns = field(init=False)
    pythons: Pythons = field(init=False)
    _last: _Writing | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.graph = self.build.analysis.lowerer.graph(self.event)
        self.types = Columns(self.build.analysis.lowerer)
        self.pythons = Pythons(self.db, self.build, self.graph, self.types)

    def sql(self, node: int, columns: Mapping[int, str]) -> str:
        """An expression with the node's value over a relation in which `columns` hold the values of some
        nodes, NULL for missing. Raises NotAColumn for a field or a part of the state that is not there."""
        return self._writing(columns).value(node)

    def true(self, node: int, columns: Mapping[int, str]) -> str:
        """An expression that is TRUE exactly where a condition is true, and FALSE or NULL elsewhere."""
        return self._writing(columns).true_of(node)

    def _writing(self, columns: Mapping[int, str]) -> _Writing:
        if self._last is None or self._last.given != columns:
            self._last = _Writing(self, dict(columns))
        return self._last


@dataclass(slots=True)
class _Part:
    """What became of a node: its SQL, or why it has none by itself; how deep it stands, how long it is
    without its arguments, and whether Python made it."""

    text: str
    why: str = ""
    deep: int = 0
    own: int = 0
    python: bool = False


class _Writing:
    """The SQL of nodes over one set of columns."""

    def __init__(self, translator: Translator, columns: dict[int, str]) -> None:
        self.translator = translator
        self.graph = translator.graph
        self.columns = translator.types
        self.lists: Mapping[str, PolicyList] = translator.build.analysis.lists
        self.given = columns
        self.parts: dict[int, _Part] = {}

    def value(self, number: int) -> str:
        """The SQL of a node."""
        for n in reach(self.graph, [number], self.given):
            if n not in self.parts:
                self.parts[n] = self._part(self.graph[n])
        return self.parts[number].text

    def true_of(self, number: int) -> str:
        """The SQL that is TRUE where a node is."""
        self.value(number)
        return self.true(number)

    # ------------------------------------------------------------ decisions

    def _part(self, node: Node) -> _Part:
        if node.id in self.given:
            return _Part(self.given[node.id])
        if node.op == "const":
            return _Part(self.columns.literal(node.data[0], node.type))
        if node.op == "element":
            return _Part(element(node))
        if node.op in LEAVES:
            raise NotAColumn(node)
        args = [self.parts[a] for a in node.args]
        deep = 1 + max((a.deep for a in args), default=0)
        why = self._inherited(node, args) or ("it is a deep expression" if deep > MAX_DEEP else "")
        if not why:
            found = FORMS[node.op](self, node, [a.text for a in args])
            why = found.why if isinstance(found, No) else ""
            if isinstance(found, str):
                part = _Part(found, "", deep, max(0, len(found) - sum(len(a.text) for a in args)))
                if not self._repeats(node, part):
                    return part
                why = "it needs the same values many times over"
        if node.binders:
            return _Part("", why, deep)
        return self._python(node, why)

    def _inherited(self, node: Node, args: Sequence[_Part]) -> str:
        """Why a node goes to Python since its arguments do: inside a list everything does, and what Python
        makes a list or record of is looked at there."""
        for a, part in zip(node.args, args, strict=True):
            if part.why:
                return part.why
            kind = self.graph[a].type.kind
            if part.python and (node.binders or kind in ("list", "record")):
                return "what it looks at is made in Python"
        return ""

    def _repeats(self, node: Node, part: _Part) -> bool:
        if len(part.text) < MAX_LONG:
            return False
        inside = (n for n in reach(self.graph, [node.id], self.given) if n != node.id)
        once = part.own + sum(self.parts[n].own or len(self.parts[n].text) for n in inside)
        return len(part.text) > MAX_LONG + MAX_TIMES * once

    def _python(self, node: Node, why: str) -> _Part:
        stops = {n for n in reach(self.graph, [node.id], self.given) if self._is_input(n, node.id)}
        inputs = [n for n in reach(self.graph, [node.id], frozenset(stops)) if n in stops]
        self.translator.ways.append((node.id, why))
        pythons = self.translator.pythons
        if not inputs:
            return _Part(self.columns.literal(pythons.value(node.id), node.type))
        name = pythons.function(node.id, inputs)
        return _Part(f"{name}({', '.join(self.parts[i].text for i in inputs)})", python=True)

    def _is_input(self, number: int, root: int) -> bool:
        return number != root and (number in self.given or self.graph[number].op == "model")

    # -------------------------------------------------------- for the forms

    def like(self, number: int, type_: Type) -> str:
        """The SQL of a node beside a value of a type: what has no type of its own takes it."""
        node = self.graph[number]
        if node.op == "const" and number not in self.given:
            untyped = node.type.kind == "missing" or (
                node.type.element is not None and node.type.element.kind == "missing"
            )
            if untyped:
                return self.columns.literal(node.data[0], type_)
        return self.parts[number].text

    def true(self, number: int) -> str:
        """A condition, TRUE exactly where it is true."""
        return self.parts[number].text

    def model(self, node: Node) -> str:
        """A model asked about its inputs."""
        model, coded, _ = node.data
        loaded = self.translator.build.analysis.models[model]
        given = [i for i, a in enumerate(node.args) if self.parts[a].text != "NULL"]
        pythons = self.translator.pythons
        self.translator.ways.append((node.id, f"the model `{model}` is asked in batches"))
        # A function of no column would be asked once.
        texts = [self.parts[node.args[i]].text for i in given] or ["NULL::DOUBLE"]
        types = [self.columns.sql(self.graph[node.args[i]].type) for i in given] or ["DOUBLE"]
        name = pythons.name("model", node.id, [node.args[i] for i in given])
        pythons.register(name, model_batch(loaded, given or [0], coded if given else ()), types, "DOUBLE")
        return f"{name}({', '.join(texts)})"

    def points(self, node: Node) -> str:
        """The sum of points that doubles do not add up exactly."""
        held = [f"CASE WHEN {self.true(a)} THEN {1 << i % MASK_BITS} ELSE 0 END" for i, a in enumerate(node.args)]
        masks = [f"({' + '.join(held[i : i + MASK_BITS])})::BIGINT" for i in range(0, len(held), MASK_BITS)]
        pythons = self.translator.pythons
        self.translator.ways.append((node.id, "points that are no whole numbers are added up in Python"))
        name = pythons.name("score", node.id, node.args)
        pythons.register(name, points_batch(node.data), ["BIGINT"] * len(masks), "DOUBLE")
        return f"{name}({', '.join(masks)})"
