"""What an expression says, as a digest that two bundles share when they say the same.

A node's own identity leaves out what is not part of what a counter *is*: the contents of lists and models,
the defaults of fields. A change of those changes decisions, so here they count. What things are called does
not, nor where they stand: lets and lists under other names, rules under a name that `formerly` joins, files
and formatting.
"""

from __future__ import annotations

import hashlib
from typing import Any

from quell.engine.compile import Analysis
from quell.engine.graph import ELEMENTS, Graph, Node
from quell.engine.lowered import LoweredEffect, LoweredRule
from quell.engine.schema import Field
from quell.grammar import tree
from quell.grammar.literals import spell_path
from quell.grammar.types import Type


class Prints:
    """Digests of one bundle's expressions, worked out when asked for."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._nodes: dict[str, dict[int, str]] = {}
        self._stores: dict[str, str] = {}
        self._rules = {r.name: r.first_name for rules in analysis.rules.values() for r in rules}

    def of(self, event: str, node: int) -> str:
        """The digest of a node of an event's graph."""
        graph = self._analysis.lowerer.graph(event)
        known = self._nodes.setdefault(event, {})
        if node not in known:
            for inner in graph.reach([node]):
                if inner not in known:
                    known[inner] = self._print(graph, graph[inner], known)
        return known[node]

    def event(self, event: str) -> str:
        """What an event type is, whatever it is called: its name on the wire, and what tells it apart."""
        schema = self._analysis.symbols.schemas[event]
        return repr((schema.wire, schema.when)) if schema.wire is not None else event

    def _print(self, graph: Graph, node: Node, known: dict[int, str]) -> str:
        said = self._said(graph, node)
        return _digest(node.op, said, _kind(node.type), [known[a] for a in node.args])

    def _said(self, graph: Graph, node: Node) -> tuple[Any, ...]:
        """What a node knows beside its arguments, without names."""
        op, data, symbols = node.op, node.data, self._analysis.symbols
        if op == "element" or node.operation.binds:
            source, depth = divmod(data[0], ELEMENTS)
            return (self.of(graph.event, source), depth, *data[1:])
        if op == "field":
            declared = symbols.schemas[graph.event].field(data[0])
            return () if declared is None else _field(declared)
        if op in ("list_in", "list_match", "list_found", "list_row"):
            return self._list(data[0])
        if op == "model":
            return (self._analysis.models[data[0]].digest, *data[1:-1])
        if op == "remote":
            return self._remote(data[0])
        if op == "fired":
            return (self.first_name(data[0]),)  # whether in shadow is the mode's to say
        if op in ("counter", "reaches"):
            return (self.store(data[0]), *data[1:])
        return data

    def first_name(self, rule: str) -> str:
        """The name that a rule had first, which its history hangs on."""
        declared = self._analysis.symbols.rules[rule]
        return self._rules.get(rule) or (declared.formerly[-1].name if declared.formerly else rule)

    def _list(self, name: str) -> tuple[Any, ...]:
        declared, loaded = self._analysis.symbols.lists[name], self._analysis.lists[name]
        columns = tuple((c.name.name, repr(c.type)) for c in declared.columns)
        return (declared.kind.name, loaded.digest, columns)

    def _remote(self, name: str) -> tuple[Any, ...]:
        spec = self._analysis.lowerer.remotes[name]
        target = self._analysis.files.settings.remote.get(spec.target)
        gives = tuple((n, str(t)) for n, t in spec.gives)
        version = "" if target is None else target.version
        return (spec.target, spec.inputs, gives, spec.wait, version)

    def store(self, identity: str) -> str:
        """The digest of what a counter counts."""
        if identity not in self._stores:
            store = self._analysis.lowerer.stores[identity]
            sources = []
            for s in store.sources:
                rule = None if s.rule is None else self.first_name(s.rule)
                sources.append((self.event(s.event), rule, [self.of(s.event, n) for n in s.nodes],
                                s.value is None, s.where is None))  # fmt: skip
            self._stores[identity] = _digest(store.kind, store.resolution, sorted(sources, key=repr))
        return self._stores[identity]

    # ------------------------------------------------------------------- of rules

    def effects(self, rule: LoweredRule) -> str:
        """The digest of what a rule does, its exemptions and limits included."""
        exempt = [
            (t.kind, self.first_name(t.name) if t.kind == "rule" else t.name)
            for e in rule.rule.effects
            if isinstance(e, tree.Exempt)
            for t in e.targets
        ]
        return _digest([self._effect(rule, e) for e in rule.effects], sorted(exempt))

    def _effect(self, rule: LoweredRule, effect: LoweredEffect) -> tuple[Any, ...]:
        def of(node: int) -> str:
            return self.of(rule.event, node)

        limit = effect.limit
        limited = limit and (limit.count, limit.every, [of(k) for k in limit.keys], rule.first_name)
        target = None if effect.target is None else of(effect.target)
        sent = [(name, of(node)) for name, node, _ in effect.payload]
        return (effect.kind, effect.name, effect.entity, target, effect.lasts, sent, limited)

    def rollout(self, rule: LoweredRule) -> str:
        """The digest of a rule's rollout; the first name of the rule is part of it."""
        if rule.share is None:
            return ""
        return _digest(rule.share, [self.of(rule.event, b) for b in rule.bucket], rule.first_name)

    def message(self, rule: LoweredRule) -> str:
        """The digest of what a rule says."""
        return "" if rule.because is None else self.of(rule.event, rule.because)


def _field(field: Field) -> tuple[Any, ...]:
    inner = [(f.name, *_field(f)) for f in field.record]
    return (spell_path(field.path), str(_kind(field.type)), repr(field.default), field.has_default, inner)


def _kind(type_: Type) -> str:
    """A type without the names of shapes and lists."""
    if type_.kind == "list" and type_.element is not None:
        return f"list<{_kind(type_.element)}>{type_.optional}"
    return f"record{type_.optional}" if type_.kind == "record" else str(type_)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
