"""The evaluation graph of one event type: shared pure operations over leaves.

Equal operations over equal arguments are one node, so whatever two rules share is computed once.
Nodes are numbered in an order in which every argument comes before its users. Back ends are
generators over this graph and never look at the tree again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from quell.engine.operations import OPERATIONS, Operation, evaluate_pure
from quell.grammar.source import Span
from quell.grammar.types import Type

MAX_NODES = 200_000
"""Nodes in the graph of one event type; a larger policy is refused."""

ELEMENTS = 64
"""An element's variable is the node of its list times this, and how many lists it stands within."""

_LITERALS = frozenset(("const", "in_set", "call", "score", "reaches"))
"""Operations whose data are values of the language."""

Bounds = tuple[float, float]
_ANY: Bounds = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. `data` is what the operation knows beside its arguments, such as a field's name.

    `binders` are the element variables that the value depends on and that nothing inside binds; `bounds`
    the least and greatest number it can be (durations and times in microseconds); `identity` a digest of
    the whole expression, equal in every event type and bundle that says the same; `whole` that a number
    is a Python int.
    """

    id: int
    op: str
    args: tuple[int, ...]
    data: tuple[Any, ...]
    type: Type
    binders: frozenset[int]
    bounds: Bounds
    whole: bool
    identity: str

    @property
    def operation(self) -> Operation:
        """The row of the operation."""
        return OPERATIONS[self.op]


@dataclass(slots=True)
class Graph:
    """The nodes of one event type, and where in the policies each was first said."""

    event: str
    nodes: list[Node] = field(default_factory=list)
    spans: dict[int, Span] = field(default_factory=dict)
    _known: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def __getitem__(self, node: int) -> Node:
        return self.nodes[node]

    def __len__(self) -> int:
        return len(self.nodes)

    def const(self, value: Any, type_: Type) -> int:
        """A literal. Lists are held as tuples."""
        held = tuple(value) if isinstance(value, list) else value
        return self.add("const", (), (held,), type_)

    def value(self, node: int) -> Any:
        """The literal that a const node holds."""
        return self.nodes[node].data[0]

    def is_const(self, node: int) -> bool:
        """Whether the node is a literal."""
        return self.nodes[node].op == "const"

    def add(
        self,
        op: str,
        args: Sequence[int],
        data: tuple[Any, ...],
        type_: Type,
        *,
        bounds: Bounds | None = None,
        whole: bool = False,
        said: tuple[Any, ...] | None = None,
    ) -> int:
        """The node for an operation: an equal one if there is one, a literal if its value is known.

        `said` stands for `data` in the node's identity where the two differ, such as a field's path for its
        name.
        """
        arguments = tuple(args)
        # Python holds 1, 1.0 and True for equal; as literals they are not.
        key = (op, arguments, repr(data) if op in _LITERALS else data, type_)
        known = self._known.get(key)
        if known is not None:
            return known
        folded = self._fold(op, arguments, data, type_)
        if folded is not None:
            self._known[key] = folded
            return folded
        node = self._node(op, arguments, data, type_, bounds, whole, data if said is None else said)
        self.nodes.append(node)
        self._known[key] = node.id
        return node.id

    def _node(
        self,
        op: str,
        args: tuple[int, ...],
        data: tuple[Any, ...],
        type_: Type,
        bounds: Bounds | None,
        whole: bool,
        said: tuple[Any, ...],
    ) -> Node:
        if len(self.nodes) >= MAX_NODES:
            raise TooLarge(f"the rules on `{self.event}` make more than {MAX_NODES:,} operations")
        row = OPERATIONS[op]
        binders = frozenset().union(*(self.nodes[a].binders for a in args)) if args else frozenset()
        if op == "element":
            binders = frozenset((data[0],))
        elif row.binds:
            binders -= {data[0]}
        if op == "const":
            value = data[0]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            bounds = (value, value) if number else _ANY
            whole = isinstance(value, int) and not isinstance(value, bool)
        elif bounds is None:
            bounds = row.bounds([self.nodes[a].bounds for a in args]) if row.bounds else _ANY
        if not row.leaf_bounds and row.whole is not None:
            whole = row.whole([self.nodes[a].whole for a in args])
        if op == "element" or row.binds:  # a variable is a place in this graph: say what it goes through
            source, depth = divmod(data[0], ELEMENTS)
            said = (self.nodes[source].identity, depth, *said[1:])
        parts = [op, repr(said), str(type_), *(self.nodes[a].identity for a in args)]
        identity = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return Node(len(self.nodes), op, args, data, type_, binders, bounds, whole, identity)

    def _fold(self, op: str, args: tuple[int, ...], data: tuple[Any, ...], type_: Type) -> int | None:
        row = OPERATIONS[op]
        if op == "const" or not args or not row.pure or row.binds:
            return None
        if not all(self.is_const(a) for a in args):
            return None
        values = [self.value(a) for a in args]
        value = evaluate_pure(row, data, [list(v) if isinstance(v, tuple) else v for v in values])
        if value is None:
            return self.const(None, type_.maybe())
        if isinstance(value, dict):
            return None
        return self.const(value, type_.present())

    def reach(self, roots: Sequence[int]) -> Iterator[int]:
        """Every node that the roots need, each once, arguments before users."""
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            top = stack.pop()
            if top not in seen:
                seen.add(top)
                stack.extend(self.nodes[top].args)
        yield from sorted(seen)


class TooLarge(Exception):
    """A policy that makes a larger graph than the engine will run."""


def verify(graph: Graph) -> None:
    """Check the invariants that the back ends rely on; raises AssertionError naming the node.

    Arguments come before users and have the number the operation takes; every element variable is bound
    where it is used; no two nodes are equal; what folds is folded; conditions are of type bool.
    """
    seen: set[tuple[str, tuple[int, ...], str, str]] = set()
    for index, node in enumerate(graph.nodes):
        where = f"node {index} ({node.op}) of {graph.event}"
        row = OPERATIONS.get(node.op)
        assert row is not None, f"{where}: no such operation"
        assert node.id == index, f"{where}: numbered {node.id}"
        assert all(0 <= a < index for a in node.args), f"{where}: an argument comes later"
        low, high = row.arity
        assert low <= len(node.args) and (high is None or len(node.args) <= high), (
            f"{where}: {len(node.args)} arguments"
        )
        key = (node.op, node.args, repr(node.data), str(node.type))
        assert key not in seen, f"{where}: stands twice"
        seen.add(key)
        if row.binds:
            assert node.data[0] not in node.binders, f"{where}: leaves its element free"
        if row.condition:
            assert node.type.kind == "bool", f"{where}: a condition of type {node.type}"
        if node.op in ("and", "or", "not"):
            assert all(graph[a].type.kind in ("bool", "missing") for a in node.args), (
                f"{where}: joins what is no condition"
            )
        foldable = row.pure and not row.binds and node.args and node.op != "const"
        if foldable and all(graph.is_const(a) for a in node.args):
            assert isinstance(
                evaluate_pure(row, node.data, [_thaw(graph.value(a)) for a in node.args]), dict
            ), f"{where}: is constant and was not folded"


def _thaw(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
