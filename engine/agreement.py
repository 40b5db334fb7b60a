"""Whether generated code says what the interpreter says: the oracle that tests put policies before.

`differences` compares the rules that matched, with what holds them back, their messages and the values
of their effects. `build_probed` makes a bundle whose functions also hand over every value of the graph,
and, for every condition, whether code took it for true and whether for false: `probe_differences`
compares those too. `unfit` looks for values that their node's type, bounds or kind does not allow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from quell.engine.compile import Analysis, Build, build
from quell.engine.graph import Graph, Node
from quell.engine.interpret import Interpreter
from quell.engine.lowered import LoweredEffect, LoweredRule
from quell.engine.order import Stage, stage_nodes
from quell.engine.settle import Hit
from quell.grammar import tree
from quell.grammar.types import BOOL, Type, is_textual
from quell.signals.rollout import inside

PROBE = "~"
"""What the names of probing rules begin with; no policy can declare such a name without backquotes."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that generated code and interpreter see differently."""

    what: str
    generated: Any
    interpreted: Any

    def __str__(self) -> str:
        return f"{self.what}: generated code gives {self.generated!r}, the interpreter {self.interpreted!r}"


def differences(interpreter: Interpreter, hits: Iterable[Hit]) -> list[Difference]:
    """What differs between the rules as generated code decided them and as the interpreter does."""
    rules = interpreter.build.programs[interpreter.decoded.event].program.rules
    matched = {rules[hit[0]].name: hit for hit in hits}
    out: list[Difference] = []
    for rule in rules:
        if rule.name.startswith(PROBE):
            continue
        hit = matched.get(rule.name)
        holds = interpreter.value(rule.condition) is True
        if (hit is not None) != holds:
            out.append(Difference(f"rule {rule.name} matches", hit is not None, holds))
        elif hit is not None:
            out.extend(_of_hit(interpreter, rule, hit))
    return out


def _of_hit(interpreter: Interpreter, rule: LoweredRule, hit: Hit) -> list[Difference]:
    _, why, message, values = hit
    told = None if rule.because is None else interpreter.value(rule.because)
    pairs = [
        ("held back", why, held_back(interpreter, rule)),
        ("message", message, told),
        ("effects", [list(v) for v in values], [effect_values(interpreter, e) for e in rule.effects]),
    ]
    return [Difference(f"rule {rule.name}: {what}", a, b) for what, a, b in pairs if not same(a, b)]


def held_back(interpreter: Interpreter, rule: LoweredRule) -> str | None:
    """Why a rule that matched does not fire, or None."""
    for name in rule.exempt_by:
        other = interpreter.rules.get(name)
        if other is not None and other.live and interpreter.fired(name):
            return f"exempt by {name}"
    if rule.share is None:
        return None
    keys = [interpreter.value(k) for k in rule.bucket]
    return None if inside(rule.first_name, rule.share, keys) else "rollout"


def effect_values(interpreter: Interpreter, effect: LoweredEffect) -> list[Any]:
    """The values of an effect: its target or payload, then the key of its limit."""
    out: list[Any] = [None]
    if effect.target is not None:
        out = [interpreter.value(effect.target)]
    elif effect.kind == "send":
        out = [{name: interpreter.value(n) for name, n, _ in effect.payload}]
    if effect.limit is not None:
        out.append(tuple(interpreter.value(k) for k in effect.limit.keys))
    return out


def same(a: Any, b: Any) -> bool:
    """Whether two run-time values are one: true is not 1, and 3 is 3.0."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) and isinstance(a, str) == isinstance(b, str)


# ------------------------------------------------------------------- probes


def build_probed(analysis: Analysis) -> Build:
    """A bundle whose functions, after deciding, hand over every value that its graphs can give."""
    stages = {event: (*known, _probes(analysis, event)) for event, known in analysis.stages.items()}
    return build(replace(analysis, stages=stages), all_fields=True)


def probed_nodes(analysis: Analysis, event: str) -> list[Node]:
    """The nodes of an event that can be handed over: all but those about one element of a list."""
    graph = analysis.lowerer.graph(event)
    roots = [*(v.node for v in analysis.values[event]), *stage_nodes(analysis.stages[event])]
    return [graph[n] for n in graph.reach(roots) if not graph[n].binders and graph[n].type.kind != "regex"]


def _probes(analysis: Analysis, event: str) -> Stage:
    graph = analysis.lowerer.graph(event)
    nodes = probed_nodes(analysis, event)
    payload = tuple((str(n.id), n.id, n.type) for n in nodes)
    always = graph.const(True, BOOL)
    rules = [_probe(event, "values", always, (LoweredEffect("send", PROBE, payload=payload),))]
    for node in nodes:
        if node.type.kind == "bool":
            negated = graph.add("not", (node.id,), (), node.type)
            rules.append(_probe(event, f"true {node.id}", node.id, ()))
            rules.append(_probe(event, f"false {node.id}", negated, ()))
    return Stage((), tuple(rules))


def _probe(event: str, name: str, condition: int, effects: tuple[LoweredEffect, ...]) -> LoweredRule:
    written = tree.Rule(tree.Ident(f"{PROBE} {name}"), (tree.Ident(event),), None, ())
    return LoweredRule(written, event, condition, effects, None, None, (), live=True)


def probe_differences(interpreter: Interpreter, hits: Iterable[Hit]) -> list[Difference]:
    """What differs among all values of an event decided by a bundle of `build_probed`."""
    event = interpreter.decoded.event
    graph = interpreter.graph
    rules = interpreter.build.programs[event].program.rules
    seen = {rules[index].name: values for index, _, _, values in hits if rules[index].name.startswith(PROBE)}
    given: dict[str, Any] = seen[f"{PROBE} values"][0][0]
    out: list[Difference] = []
    for number, value in given.items():
        node = graph[int(number)]
        expected = interpreter.value(node.id)
        if not same(value, expected):
            out.append(Difference(f"value of {spell(graph, node.id)}", value, expected))
        if node.type.kind == "bool":
            for wanted in (True, False):
                took = f"{PROBE} {str(wanted).lower()} {number}" in seen
                if took != (expected is wanted):
                    what = f"{spell(graph, node.id)} is {str(wanted).lower()}"
                    out.append(Difference(what, took, expected is wanted))
    return out


def spell(graph: Graph, number: int, depth: int = 6) -> str:
    """A node as nested operations, for messages to the people who build Quell."""
    node = graph[number]
    if depth == 0:
        return "…"
    if node.op == "const":
        return repr(node.data[0])
    parts = [str(d) for d in node.data] if node.op not in ("join", "tell") else []
    parts += [spell(graph, a, depth - 1) for a in node.args]
    return f"{node.op}({', '.join(parts)})"


# -------------------------------------------------------------------- types


def unfit(interpreter: Interpreter, nodes: Iterable[Node]) -> list[str]:
    """The values that their node's type, bounds or kind of number does not allow."""
    out = []
    for node in nodes:
        value = interpreter.value(node.id)
        problem = _unfit(node, value)
        if problem is not None:
            out.append(f"{spell(interpreter.graph, node.id)} is {value!r}, {problem}")
    return out


def _unfit(node: Node, value: Any) -> str | None:
    if value is None:
        return None if node.type.optional else f"and a {node.type} is never missing"
    if not fits(value, node.type):
        return f"which is no {node.type}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = node.bounds
        if not low <= value <= high:
            return f"outside {low} to {high}"
        if node.whole and not isinstance(value, int):
            return "and was to be a whole number"
    return None


def fits(value: Any, type_: Type) -> bool:
    """Whether a present run-time value is of a type."""
    kind = type_.kind
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "number":
        finite = isinstance(value, int) or (isinstance(value, float) and value - value == 0)
        return finite and not isinstance(value, bool)
    if kind in ("time", "duration"):
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "enum":
        return value in type_.values
    if kind == "list":
        element = type_.element
        return isinstance(value, list) and element is not None and all(fits(v, element) for v in value)
    if kind == "record":
        return isinstance(value, dict)
    return is_textual(type_) and isinstance(value, str)
