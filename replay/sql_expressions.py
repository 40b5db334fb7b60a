"""Graph nodes as DuckDB SQL over the columns of a relation, to the bit what the language means.

What SQL cannot say exactly runs as Python over batches, in parts as large as they come: `ways` says which and
why. Nodes of the state (counters, labels, firings, remote answers) are columns that are there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quell.engine.compile import Build
from quell.engine.graph import Graph, Node
from quell.grammar.types import Type
from quell.replay.database import Database
from quell.replay.sql_form import element
from quell.replay.sql_forms import FORMS
from quell.replay.sql_models import MASK_BITS, model_batch, points_batch
from quell.replay.sql_python import Pythons, reach
from quell.replay.sql_shared import Shared, gate_key, shared_columns, visible
from quell.replay.sql_truths import DEAREST, MAYBE, TRUTHS, tier
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


class NotAColumn(KeyError):
    """A field or a part of the state that is needed and that no column holds."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.id)
        self.node = node

    def __str__(self) -> str:
        return f"node {self.node.id} ({self.node.op} {self.node.data!r}) is in no column"


@dataclass(slots=True)
class Translator:
    """The nodes of one event type's graph as SQL. `reasons` says of each node that went to Python why."""

    db: Database
    build: Build
    event: str
    reasons: dict[int, str] = field(default_factory=dict)
    graph: Graph = field(init=False)
    types: Columns = field(init=False)
    pythons: Pythons = field(init=False)
    _last: _Writing | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.graph = self.build.analysis.lowerer.graph(self.event)
        self.types = Columns(self.build.analysis.lowerer)
        self.pythons = Pythons(self.db, self.build, self.graph, self.types)

    @property
    def ways(self) -> list[tuple[int, str]]:
        """What went to Python so far: a node, and why, in order of the nodes."""
        return sorted(self.reasons.items())

    def sql(self, node: int, columns: Mapping[int, str]) -> str:
        """An expression with the node's value over a relation in which `columns` hold the values of some
        nodes, NULL for missing. Raises NotAColumn for a field or a part of the state that is not there."""
        writing = self._writing(columns)
        text = writing.value(node)
        self._note(writing, node)
        return text

    def true(self, node: int, columns: Mapping[int, str]) -> str:
        """An expression that is TRUE exactly where a condition is true, and FALSE or NULL elsewhere."""
        writing = self._writing(columns)
        text = writing.true_of(node)
        self._note(writing, node)
        return text

    def where(self, node: int, columns: Mapping[int, str]) -> str:
        """The same for a WHERE, where DuckDB looks at the later parts of an AND only as far as it must."""
        writing = self._writing(columns)
        text = writing.where_of(node)
        self._note(writing, node)
        return text

    def _note(self, writing: _Writing, root: int) -> None:
        """Keep why what is in the SQL of a node went to Python."""
        if writing.notes:
            for number in visible(writing, [root], writing.given):
                if number in writing.notes:
                    self.reasons[number] = writing.notes[number]

    def over(
        self,
        relation: str,
        roots: Sequence[int],
        columns: Mapping[int, str],
        prefix: str = "s",
        asked: bool = False,
    ) -> Shared:
        """A relation (a table, or a query in parentheses) with further columns, whose names begin with
        `prefix`, for what the roots share: the SQL of the roots is to be written over its columns. `asked`
        says that most rows see the roots only in a WHERE."""
        return shared_columns(self._writing, relation, roots, columns, prefix, asked)

    def _writing(self, columns: Mapping[int, str]) -> _Writing:
        if self._last is None or self._last.given != columns:
            self._last = _Writing(self, dict(columns))
        return self._last


@dataclass(slots=True)
class _Part:
    """What became of a node: its SQL, or why Python must make it; then `text` is written when first needed,
    and never for what stands in a list. `deep` is how deep it stands, `own` its length without arguments, and
    `needs` the nodes whose SQL is in it."""

    text: str | None = None
    why: str = ""
    deep: int = 0
    own: int = 0
    needs: tuple[int, ...] = ()


class _Writing:
    """The SQL of nodes over one set of columns."""

    def __init__(self, translator: Translator, columns: dict[int, str]) -> None:
        self.translator = translator
        self.graph = translator.graph
        self.columns = translator.types
        self.lists: Mapping[str, PolicyList] = translator.build.analysis.lists
        self.given = columns
        self.parts: dict[int, _Part] = {}
        self.truths: dict[int, str] = {}
        self.notes: dict[int, str] = {}

    def value(self, number: int) -> str:
        """The SQL of a node."""
        for n in reach(self.graph, [number], self.given):
            if n not in self.parts:
                self.parts[n] = self._part(self.graph[n])
        return self.text(number)

    def text(self, number: int) -> str:
        """The SQL of a node of which it is known what becomes of it."""
        part = self.parts[number]
        if part.text is None:
            part.text = self.python(self.graph[number], part.why)
            part.needs = tuple(self._inputs(number))
        return part.text

    def true_of(self, number: int) -> str:
        """The SQL that is TRUE where a node is."""
        self.value(number)
        return self.true(number)

    def where_of(self, number: int) -> str:
        """The same for a WHERE."""
        self.value(number)
        return self._where(number)

    def _where(self, number: int) -> str:
        node = self.graph[number]
        if node.op not in ("and", "or") or number in self.given or self.parts[number].why:
            return self.true(number)
        texts = sorted((self._where(a) for a in node.args), key=tier)
        if tier(texts[-1]) == DEAREST:
            return self.true(number)  # AND may try another order, which CASE does not
        return "(" + f" {node.op.upper()} ".join(texts) + ")"

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
            texts = [self.text(a) for a in node.args]
            found = FORMS[node.op](self, node, texts)
            if isinstance(found, str):
                own = len(found) - sum(len(t) * found.count(t) for t in dict.fromkeys(texts) if t)
                part = _Part(found, "", deep, max(1, own), node.args)
                if not self._repeats(node, part):
                    return part
                why = "it needs the same values many times over"
            else:
                why = found.why
        return _Part(None, why)

    def _inherited(self, node: Node, args: Sequence[_Part]) -> str:
        """Why a node goes to Python since its arguments do: inside a list everything does, and what Python
        makes a list or record of is looked at there."""
        for a, part in zip(node.args, args, strict=True):
            if part.why and (node.binders or self.graph[a].binders):
                return part.why
            if part.why and self.graph[a].type.kind in ("list", "record"):
                return "what it looks at is made in Python"
        return ""

    def _repeats(self, node: Node, part: _Part) -> bool:
        assert part.text is not None
        if len(part.text) < MAX_LONG:
            return False
        inside = [self.parts[n] for n in reach(self.graph, [node.id], self.given) if n != node.id]
        once = part.own + sum(p.own or len(p.text or "") for p in inside)
        return len(part.text) > MAX_TIMES * once

    def python(self, node: Node, why: str) -> str:
        """A node worked out by Python, from the columns that it needs."""
        inputs = self._inputs(node.id)
        self.notes[node.id] = why
        pythons = self.translator.pythons
        if not inputs:
            return self.columns.literal(pythons.value(node.id), node.type)
        name = pythons.function(node.id, inputs)
        return f"{name}({', '.join(self.text(i) for i in inputs)})"

    def _inputs(self, number: int) -> list[int]:
        """The nodes from which Python works out one."""
        stops = {n for n in reach(self.graph, [number], self.given) if self._is_input(n, number)}
        return [n for n in reach(self.graph, [number], stops) if n in stops]

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
        return self.text(number)

    def true(self, number: int) -> str:
        """A condition, TRUE exactly where it is true."""
        if number not in self.truths:
            self.truths[number] = self._true(self.graph[number])
        return self.truths[number]

    def _true(self, node: Node) -> str:
        part = self.parts[node.id]
        truth = TRUTHS.get(node.op)
        if node.op in MAYBE and self.graph[node.args[1]].type.optional:
            truth = MAYBE[node.op]
        if node.id in self.given or part.why or truth is None:
            return self.text(node.id)
        return truth(self, node, [self.text(a) for a in node.args])

    def needs(self, number: int) -> Sequence[int]:
        """The nodes whose SQL is in that of a node."""
        return self.parts[number].needs

    def gate(self, text: int) -> str | None:
        """The condition without which none of the patterns looked for in a text is found there."""
        return self.given.get(gate_key(text))

    def model(self, node: Node) -> str:
        """A model asked about its inputs."""
        model, coded, _ = node.data
        loaded = self.translator.build.analysis.models[model]
        given = [i for i, a in enumerate(node.args) if self.text(a) != "NULL"]
        pythons = self.translator.pythons
        self.notes[node.id] = f"the model `{model}` is asked in batches"
        # A function of no column would be asked once.
        texts = [self.text(node.args[i]) for i in given] or ["NULL::DOUBLE"]
        types = [self.columns.sql(self.graph[node.args[i]].type) for i in given] or ["DOUBLE"]
        name = pythons.name("model", node.id, [node.args[i] for i in given])
        pythons.register(name, model_batch(loaded, given or [0], coded if given else ()), types, "DOUBLE")
        return f"{name}({', '.join(texts)})"

    def points(self, node: Node) -> str:
        """The sum of points that doubles do not add up exactly."""
        held = [
            f"CASE WHEN {self.true(a)} THEN {1 << i % MASK_BITS} ELSE 0 END" for i, a in enumerate(node.args)
        ]
        masks = [f"({' + '.join(held[i : i + MASK_BITS])})::BIGINT" for i in range(0, len(held), MASK_BITS)]
        pythons = self.translator.pythons
        self.notes[node.id] = "points that are no whole numbers are added up in Python"
        name = pythons.name("score", node.id, node.args)
        pythons.register(name, points_batch(node.data), ["BIGINT"] * len(masks), "DOUBLE")
        return f"{name}({', '.join(masks)})"
