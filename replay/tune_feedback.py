"""Which rules a rule hangs on that depend on a constant themselves: what a sweep holds as it was replayed.

A sweep asks how one rule would answer if a constant were another. Where the rule reads what rules did (their
firings, labels that they set, their exemptions) and those rules read the constant too, another setting would
change that as well; only a replay of the edited policies tells how much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quell.engine.compile import Analysis
from quell.engine.lowered import LoweredRule
from quell.grammar import tree
from quell.replay.tune_constants import Constant, names_under


def changed_rules(analysis: Analysis, rule: tree.Rule, constants: Sequence[Constant]) -> set[str]:
    """The rule, and the others whose own text reads what one of the constants stands in."""
    inside = {c.inside.split(" ", 1)[1] for c in constants if c.inside is not None}
    reading = {
        name
        for name, other in analysis.symbols.rules.items()
        if inside and inside & names_under(analysis, other)
    }
    return {rule.name.name, *reading}


def feedback(analysis: Analysis, rule: tree.Rule, constants: Sequence[Constant]) -> list[str]:
    """The rules that change with the constants and that the rule's firing hangs on, in order of name."""
    changed = changed_rules(analysis, rule, constants)
    by_name = _by_name(analysis)
    setters = _setters(by_name)
    seen: set[str] = set()
    stack = [rule.name.name]
    while stack:
        for lowered in by_name.get(stack.pop(), ()):
            for needed in _hangs_on(analysis, lowered, setters):
                if needed not in seen:
                    seen.add(needed)
                    stack.append(needed)
    return sorted(seen & changed)


def dependants(analysis: Analysis, name: str) -> list[str]:
    """The other rules that read what a rule did: its firings, counts of them, labels that it sets; and those
    that it exempts from. In order of name."""
    by_name = _by_name(analysis)
    setters = _setters(by_name)
    return sorted(
        other
        for other, several in by_name.items()
        if other != name and any(name in _hangs_on(analysis, lowered, setters) for lowered in several)
    )


def _by_name(analysis: Analysis) -> dict[str, list[LoweredRule]]:
    """Every rule that is decided, as it is on each of its event types."""
    out: dict[str, list[LoweredRule]] = {}
    for rules in analysis.rules.values():
        for lowered in rules:
            out.setdefault(lowered.name, []).append(lowered)
    return out


def _setters(by_name: dict[str, list[LoweredRule]]) -> dict[tuple[str, str], set[str]]:
    """By kind of entity and label: the live rules that set or remove it."""
    out: dict[tuple[str, str], set[str]] = {}
    for name, several in by_name.items():
        for lowered in several:
            for effect in lowered.effects:
                if lowered.live and effect.kind in ("label", "unlabel"):
                    out.setdefault((effect.entity, effect.name), set()).add(name)
    return out


def _hangs_on(
    analysis: Analysis, lowered: LoweredRule, setters: dict[tuple[str, str], set[str]]
) -> Iterator[str]:
    """The rules whose firings or labels a rule's firing reads, counters included."""
    yield from lowered.exempt_by
    seen: set[str] = set()
    stack: list[tuple[str, tuple[int, ...]]] = [(lowered.event, (lowered.condition, *lowered.bucket))]
    while stack:
        event, roots = stack.pop()
        graph = analysis.lowerer.graph(event)
        for n in graph.reach(roots):
            node = graph[n]
            if node.op == "fired":
                yield node.data[0]
            elif node.op in ("labelled", "label_age"):
                yield from setters.get(node.data, ())
            elif node.op in ("counter", "reaches") and node.data[0] not in seen:
                seen.add(node.data[0])
                for source in analysis.lowerer.stores[node.data[0]].sources:
                    stack.append((source.event, source.nodes))
                    if source.rule is not None:
                        yield source.rule
