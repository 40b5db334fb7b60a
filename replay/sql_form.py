"""What a form is: how one operation of the graph is said in SQL, where SQL can say exactly what it means.

A form takes a node and the SQL of its arguments and gives SQL, or `No` with the reason why Python must do
it. NULL is missing. DuckDB's functions are strict as the operations are, but where a form says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quell.engine.graph import Graph, Node
from quell.grammar.types import Type
from quell.replay.sql_values import Columns
from quell.signals.policy_lists import PolicyList


@dataclass(frozen=True, slots=True)
class No:
    """Why SQL cannot say it, in the analyst's words."""

    why: str


class Around(Protocol):
    """What forms need of the translator: the graph, types of columns, list files, the SQL of a constant as
    another type, and functions of batches."""

    @property
    def graph(self) -> Graph: ...
    @property
    def columns(self) -> Columns: ...
    @property
    def lists(self) -> Mapping[str, PolicyList]: ...
    def like(self, number: int, type_: Type) -> str: ...
    def true(self, number: int) -> str: ...
    def model(self, node: Node) -> str: ...
    def points(self, node: Node) -> str: ...
    def python(self, node: Node, why: str) -> str: ...
    def gate(self, text: int) -> str | None: ...


Form = Callable[[Around, Node, Sequence[str]], "str | No"]
"""From a node and the SQL of its arguments to its own."""


def plain(template: str) -> Form:
    """A form that puts the arguments into a template."""
    return lambda w, n, a: template.format(*a)


def element(node: Node) -> str:
    """The name of an element variable."""
    return f"el_{node.data[0]}"


def maybe(w: Around, number: int) -> bool:
    """Whether a node may be missing."""
    return w.graph[number].type.optional
