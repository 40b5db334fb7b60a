"""Readings of counters as Python expressions over the stores that generated code is linked to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quell.engine.counter_words import word_of
from quell.engine.expressions import Expressions, is_atom, wrap
from quell.engine.graph import Node

Name = Callable[[str], str]
"""The name of a store in generated code, by its identity."""
Own = Callable[[str], str | None]
"""The variable with the keys under which the present event was counted in a store; None where it never is."""

_ELEMENT = "k"
"""What an element of a list of keys is called."""


def write_reading(node: Node, x: Expressions, store: Name, own: Own) -> str:
    """A `counter` or `reaches` node: missing where a key is, and of a list of keys a list."""
    graph = x.graph
    keys = list(node.args[:-1])
    parts = [x.value(k) for k in keys]
    tests: list[str] = []
    late: list[tuple[str, str]] = []
    for i, k in enumerate(keys):
        if not graph[k].type.optional:
            continue
        if not is_atom(parts[i]):
            name = x.temporary()
            late.append((name, parts[i]))
            parts[i] = name
        tests.append(f"{parts[i]} is not None")
    listed = next((i for i, k in enumerate(keys) if graph[k].type.kind == "list"), None)
    shown = [_ELEMENT if i == listed else p for i, p in enumerate(parts)]
    key = shown[0] if len(shown) == 1 else f"({', '.join(shown)})"
    reading = Reading(node, x, store(node.data[0]), own(node.data[0]) if _looks_back(node) else None)
    at = x.value(node.args[-1])
    if node.op == "reaches":
        out = " and ".join([*tests, reading.reaching(key, at)])
    else:
        body = reading.text(key, at)
        if listed is not None:
            each, present = (x.names.take("helper", h, h) for h in ("each", "present_of"))
            body = f"{present}([{body} for {_ELEMENT} in {each}({parts[listed]})])"
        out = f"{body} if {' and '.join(tests)} else None" if tests else body
    if late:
        out = f"(lambda {', '.join(n for n, _ in late)}: {out})({', '.join(t for _, t in late)})"
    return f"({out})" if tests else out


def _looks_back(node: Node) -> bool:
    """Whether a node asks what the present event added."""
    return node.op == "reaches" or node.data[3] == "this"


class Reading:
    """How one node reads its store: by the method its data names. `own` is the variable with the present
    event's keys."""

    def __init__(self, node: Node, x: Expressions, store: str, own: str | None) -> None:
        self.identity, self.word, self.within, last = node.data
        self.before: Any = last if node.op == "counter" else 0
        self.threshold = last
        self.store, self.own, self.x = store, own, x

    def text(self, key: str, at: str) -> str:
        """The reading under one key."""
        if self.word in ("count", "distinct"):
            return self._counted(key, at)
        return self._asked(key, at, self.before == "this")

    def _counted(self, key: str, at: str) -> str:
        if isinstance(self.before, int) and self.before > 0:
            return f"{self.store}.count_ago({key}, {at}, {self.within}, {self.before})"
        now = (
            f"{self.store}.total({key})"
            if self.within is None
            else f"{self.store}.count({key}, {at}, {self.within})"
        )
        if self.before != "this" or self.own is None:
            return now
        return f"{self._helper('without')}({now}, {self._added(key, at)})"

    def _added(self, key: str, at: str) -> str:
        """How much of a count the present event added."""
        if self.word == "distinct":
            return f"({self.store}.new({key}, {at}, {self.within}) if {self.own} else 0)"
        return f"{self.own}.count({key})"

    def _asked(self, key: str, at: str, skip: bool) -> str:
        """A reading that is the store's own method."""
        if isinstance(self.before, int) and self.before > 0:
            return f"{self.store}.{self.word}_ago({key}, {at}, {self.within}, {self.before})"
        skipped = "False"
        if word_of(self.word).past:
            skipped = f"{self.own}.count({key})" if self.own is not None else "0"
        elif skip and self.own is not None:
            skipped = f"{wrap(key)} in {self.own}"
        return f"{self.store}.{self.word}({key}, {at}, {self.within}, {skipped})"

    def reaching(self, key: str, at: str) -> str:
        """Whether the present event was counted and took the reading to the threshold."""
        if self.own is None:
            return "False"
        counted = f"{wrap(key)} in {self.own}"
        if self.word in ("sum", "sum_whole"):
            now, before = self._asked(key, at, False), self._asked(key, at, True)
            return f"({counted} and {self._helper('rises')}({now}, {before}, {self.threshold!r}))"
        now = self._counted(key, at)
        return f"({counted} and {self._helper('reaches')}({now}, {self._added(key, at)}, {self.threshold!r}))"

    def _helper(self, name: str) -> str:
        return self.x.names.take("helper", name, name)
