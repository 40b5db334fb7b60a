"""Rules that say nothing whenever an optional field is left out.

For every condition of the graph, in one pass: the optional fields without which it is never true, those
without which it is never false, and those that it speaks of (`is missing`, `is present`, `??`). What an
abuser can leave out is a way around a rule; whoever speaks of the field has thought of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quell.engine.graph import Graph, Node
from quell.engine.lints_world import needs
from quell.engine.lowered import LoweredRule
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Related, Report
from quell.grammar.source import Span

Names = frozenset[str]
_NONE: Names = frozenset()


@dataclass(frozen=True, slots=True)
class Needs:
    """The optional fields that a node needs: to be there at all, to be true, to be false; None where it
    never is. `spoken` are those that are spoken of, `used` all that it reads."""

    there: Names | None = _NONE
    true: Names | None = _NONE
    false: Names | None = _NONE
    spoken: Names = _NONE
    used: Names = _NONE


_PLAIN = Needs()


def needed(graph: Graph) -> list[Needs]:
    """For every node of a graph the optional fields that it needs."""
    out: list[Needs] = []
    for node in graph.nodes:
        if not node.args:
            out.append(_leaf(node))
            continue
        of = [out[a] for a in node.args]
        if all(n is _PLAIN for n in of):
            out.append(_PLAIN)
            continue
        out.append(_made(node, of, [out[a] for a in needs(node)]))
    return out


def _leaf(node: Node) -> Needs:
    if node.op == "field" and node.type.optional:
        name = frozenset((node.data[0],))
        return Needs(name, name, name, _NONE, name)
    if node.op == "const":
        value = node.data[0]
        if value is None:
            return Needs(None, None, None)
        if value is True:
            return Needs(false=None)
        if value is False:
            return Needs(true=None)
    return _PLAIN


def _made(node: Node, of: list[Needs], strict: list[Needs]) -> Needs:
    spoken = frozenset().union(*(n.spoken for n in of))
    used = frozenset().union(*(n.used for n in of))
    if node.op == "and":
        return Needs(_NONE, _every(n.true for n in of), _any(n.false for n in of), spoken, used)
    if node.op == "or":
        return Needs(_NONE, _any(n.true for n in of), _every(n.false for n in of), spoken, used)
    if node.op == "not":
        return Needs(of[0].there, of[0].false, of[0].true, spoken, used)
    if node.op == "is_missing":
        return Needs(_NONE, _NONE, of[0].there, spoken | used, used)
    if node.op == "coalesce":
        there = _any(n.there for n in of)
        return Needs(there, there, there, spoken | of[0].used, used)
    there = _every(n.there for n in strict)
    if node.op == "any":
        return Needs(there, _every((there, of[1].true)), there, spoken, used)
    if node.op == "all":
        return Needs(there, there, _every((there, of[1].false)), spoken, used)
    if node.op == "reaches":
        return Needs(_NONE, there, _NONE, spoken, used)
    return Needs(there, there, there, spoken, used)


def _every(of: Iterable[Names | None]) -> Names | None:
    """What is needed when all of these must be; None where one of them never is."""
    out = _NONE
    for names in of:
        if names is None:
            return None
        out |= names
    return out


def _any(of: Iterable[Names | None]) -> Names | None:
    """What is needed when one of these must be."""
    out: Names | None = None
    for names in of:
        if names is not None:
            out = names if out is None else out & names
    return out


def lint_missing(
    symbols: Symbols, graphs: Mapping[str, Graph], lowered: Mapping[str, list[LoweredRule]], report: Report
) -> None:
    """Report rules that a missing field silences. A rule that only exempts is left alone: without it more
    is judged, not less."""
    silencing: dict[str, dict[str, str]] = {}
    rules: dict[str, tree.Rule] = {}
    for event, here in lowered.items():
        needs_of = needed(graphs[event]) if here else []
        for rule in here:
            known = needs_of[rule.condition]
            fields = (known.true or _NONE) - known.spoken
            if fields and not _only_exempts(rule.rule):
                rules[rule.name] = rule.rule
                for name in sorted(fields):
                    silencing.setdefault(rule.name, {}).setdefault(name, event)
    for name in sorted(silencing):
        _tell(symbols, rules[name], silencing[name], report)


def _only_exempts(rule: tree.Rule) -> bool:
    return bool(rule.effects) and all(isinstance(e, tree.Exempt) for e in rule.effects)


def _tell(symbols: Symbols, rule: tree.Rule, fields: Mapping[str, str], report: Report) -> None:
    listed = [f"`{f}`" for f in fields]
    names = listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + " and " + listed[-1]
    told = f"{names} is" if len(listed) == 1 else f"one of {names} is"
    first = next(iter(fields))
    report.add(
        "silenced-by-missing",
        f"`{rule.name.name}` never fires when {told} missing",
        rule.name.span,
        hint=f"say what a missing one means: {first} is present and …, or ({first} ?? …)",
        related=[
            Related(at, f"`{f}` may be missing") for f, e in fields.items() for at in _declared(symbols, f, e)
        ],
    )


def _declared(symbols: Symbols, name: str, event: str) -> list[Span]:
    """Where a field of an event is declared, there or in one of its shapes."""
    declared = symbols.events[event]
    shapes = [symbols.shapes[s.name] for s in declared.shapes if s.name in symbols.shapes]
    places = [*declared.fields, *(f for s in shapes for f in s.fields)]
    return [f.name.span for f in places if f.name.name == name][:1]
