"""A rule's condition with its constants left open: as nodes of the very graph that decides.

The rule is lowered once more with a name in the place of each constant, into the graphs that the bundle has.
Equal operations are one node, so whatever does not depend on a constant is the node that deciding uses, and
what does is new. Such a `Sweep` needs the values of the nodes at the border between the two, event by event,
and from them tells for any setting whether the rule matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from quell.engine.compile import Analysis
from quell.engine.graph import Graph, TooLarge
from quell.engine.lower import Lowerer, Scope
from quell.engine.lower_operators import join_conditions, negate
from quell.engine.lowered import LoweredRule, Store
from quell.grammar import tree
from quell.grammar.diagnostics import Report
from quell.grammar.source import Span
from quell.grammar.types import BOOL
from quell.replay.tune_constants import Constant, Found, NoSweep

N = TypeVar("N", bound=tree.Node)
_NAME = "\U0010ffff constant "
"""What stands for a constant; no name of a policy begins so."""
STATIC = frozenset(("match", "list_in", "list_match", "list_found", "list_row"))
"""Operations that are no row's `run`, and that lists and patterns alone answer."""
_COUNTED = "`{}` counts by it, so another value would count other events"
_MODEL = "the model `{}` reads it"
_ELEMENTS = "counters, labels or models are asked for each element of a list there"
_KNOWN = "it must be known before anything runs"
_NOTHING = "the condition does not depend on it"


@dataclass(frozen=True, slots=True)
class Part:
    """A rule's open condition on one event type.

    `root` is the condition without the parts that no constant is in; those are `always`, and must all be
    true. `needs` are the nodes whose values `root` is worked out from; `places` the node that stands for each
    constant. `held` is what must not be true for a match to fire: the firings of rules that exempt.
    """

    event: str
    graph: Graph
    rule: LoweredRule
    root: int
    always: tuple[int, ...]
    held: tuple[int, ...]
    needs: tuple[int, ...]
    places: Mapping[int, int]
    depends: Mapping[int, frozenset[int]]
    """For each node that depends on constants: the nodes that stand for them."""


@dataclass(slots=True)
class Sweep:
    """A rule with constants left open: on each event type that it is on."""

    analysis: Analysis
    rule: tree.Rule
    constants: list[Constant]
    parts: list[Part] = field(default_factory=list)
    feedback: list[str] = field(default_factory=list)
    """Rules whose firings or labels the rule depends on, and that depend on its constants themselves."""


def open_up(analysis: Analysis, found: Found) -> Sweep:
    """The rule with all its constants open. Those that turn out not to be sweepable go to `found.fixed`.
    Raises NoSweep where none is left."""
    while found.constants:
        lowered = _lowered(analysis, found)
        if isinstance(lowered, dict):
            found.refuse(lowered)
            continue
        sweep, reasons = lowered
        if not reasons:
            return sweep
        found.refuse(reasons)
    name = found.rule.name.name
    hint = "only numbers, percentages and durations are swept"
    if found.fixed:
        hint = f"`{found.fixed[0].compared}`: {found.fixed[0].why}"
    raise NoSweep(f"no constant in the condition of `{name}` can be swept", hint)


def narrowed(sweep: Sweep, constants: Sequence[Constant]) -> Sweep:
    """The same sweep for some of its constants: the others are as they stand in the policy, which leaves more
    that is the same for every setting."""
    found = Found(sweep.rule, list(constants))
    lowered = _lowered(sweep.analysis, found)
    assert not isinstance(lowered, dict), "what could be lowered with more constants open can with fewer"
    return lowered[0]


# ------------------------------------------------------------------------------------------- lowering


def _lowered(analysis: Analysis, found: Found) -> tuple[Sweep, dict[Span, str]] | dict[Span, str]:
    """The sweep, with the constants that must not be in it; or, where it cannot be lowered, those alone."""
    low, rule = _opened(analysis, found)
    sweep = Sweep(analysis, found.rule, list(found.constants))
    reasons: dict[Span, str] = {}
    live = {r.event: r for rules in analysis.rules.values() for r in rules if r.name == rule.name.name}
    try:
        for event, lowered in live.items():
            assert rule.condition is not None
            root = low.condition(rule.condition, Scope(event, shadow=not lowered.live))
            if root is None or low.report.errors:
                return _unlowered(analysis, found)
            reasons.update(_refused(low, event, root, found.constants))
            sweep.parts.append(_part(analysis, low, lowered, root, found.constants))
    except TooLarge as error:
        raise NoSweep(str(error)) from error
    for constant in found.constants:
        if constant.span not in reasons and not any(constant.number in p.places for p in sweep.parts):
            reasons[constant.span] = _NOTHING
    return sweep, reasons


def _unlowered(analysis: Analysis, found: Found) -> dict[Span, str]:
    """The constants that cannot stay open, each tried alone; all of them where only together they cannot."""
    if len(found.constants) == 1:
        return {found.constants[0].span: _KNOWN}
    bad: dict[Span, str] = {}
    for constant in found.constants:
        alone = _lowered(analysis, Found(found.rule, [constant]))
        if isinstance(alone, dict):
            bad.update(alone)
    return bad or {c.span: _KNOWN for c in found.constants}


def _opened(analysis: Analysis, found: Found) -> tuple[Lowerer, tree.Rule]:
    """A lowerer into the bundle's graphs for which the constants are names, and the rule as it sees it."""
    base, symbols = analysis.lowerer, analysis.symbols
    names: dict[Span, tree.Expr] = {
        c.span: tree.Name(f"{_NAME}{c.number}", span=c.span) for c in found.constants
    }
    lets = {name: _put(let, names) for name, let in symbols.lets.items()}
    for c in found.constants:
        name = f"{_NAME}{c.number}"
        lets[name] = tree.Let(tree.Ident(name), None, _written(c))
    scores = {name: _put(score, names) for name, score in symbols.scores.items()}
    models = {name: _put(model, names) for name, model in symbols.models.items()}
    low = Lowerer(
        replace(symbols, lets=lets, scores=scores, models=models),
        Report(),
        frozenset(f"{_NAME}{c.number}" for c in found.constants),
        graphs=base.graphs,
        stores=dict(base.stores),
        counted=dict(base.counted),
        remotes=base.remotes,
        models=base.models,
    )
    return low, _put(found.rule, names)


def _written(constant: Constant) -> tree.Expr:
    if constant.kind == "duration":
        return tree.Duration(int(constant.value))
    return tree.Number(constant.value)


def _put(node: N, names: Mapping[Span, tree.Expr]) -> N:
    """The node with names in the places of constants; itself where it holds none."""
    changed: dict[str, Any] = {}
    for f in fields(node):
        if f.name in ("span", "doc"):
            continue
        value = getattr(node, f.name)
        made = _put_value(value, names)
        if made is not value:
            changed[f.name] = made
    return replace(node, **changed) if changed else node


def _put_value(value: Any, names: Mapping[Span, tree.Expr]) -> Any:
    if isinstance(value, tree.Number | tree.Duration | tree.Unary) and value.span in names:
        return names[value.span]
    if isinstance(value, tree.Node):
        return _put(value, names)
    if isinstance(value, tuple):
        made = tuple(_put_value(v, names) for v in value)
        return made if any(a is not b for a, b in zip(made, value, strict=True)) else value
    return value


# ------------------------------------------------------------------------------------ what depends on it


def _places(graph: Graph, root: int, constants: Iterable[Constant]) -> dict[int, int]:
    """By the number of each constant, the node that stands for it, where the condition reaches it."""
    named = {f"{_NAME}{c.number}": c.number for c in constants}
    return {
        named[graph[n].data[0]]: n
        for n in graph.reach([root])
        if graph[n].op == "injected" and graph[n].data[0] in named
    }


def _depends(graph: Graph, root: int, places: Iterable[int]) -> dict[int, frozenset[int]]:
    open_ = frozenset(places)
    out: dict[int, frozenset[int]] = {}
    for n in graph.reach([root]):
        below = [out[a] for a in graph[n].args if a in out]
        on = frozenset((n,)) if n in open_ else frozenset[int]().union(*below)
        if on:
            out[n] = on
    return out


def _refused(low: Lowerer, event: str, root: int, constants: Sequence[Constant]) -> dict[Span, str]:
    """The constants whose other values would change what is counted or asked, and why they cannot be
    swept."""
    graph = low.graph(event)
    by_name = {f"{_NAME}{c.number}": c.span for c in constants}
    reasons: dict[Span, str] = {}
    for n in graph.reach([root]):
        node = graph[n]
        if node.op in ("counter", "reaches"):
            store = low.stores[node.data[0]]
            for name in _counted_by(low, store, set()):
                reasons.setdefault(by_name[name], _COUNTED.format(store.text))
    depends = _depends(graph, root, _places(graph, root, constants).values())
    for n, on in depends.items():
        node = graph[n]
        sound = node.operation.run is not None or node.operation.binds or node.op in STATIC
        if not sound and node.op != "injected":
            why = _MODEL.format(node.data[0]) if node.op in ("model", "remote") else _ELEMENTS
            reasons.update({by_name[graph[p].data[0]]: why for p in on})
        elif any(not _answerable(graph, a) for a in _below(graph, n, depends)):
            reasons.update({by_name[graph[p].data[0]]: _ELEMENTS for p in on})
    return reasons


def _counted_by(low: Lowerer, store: Store, seen: set[str]) -> set[str]:
    """The names of open constants that what a store counts depends on."""
    if store.identity in seen:
        return set()
    seen.add(store.identity)
    out: set[str] = set()
    for source in store.sources:
        graph = low.graph(source.event)
        for n in graph.reach(source.nodes):
            node = graph[n]
            if node.op == "injected" and str(node.data[0]).startswith(_NAME):
                out.add(node.data[0])
            elif node.op in ("counter", "reaches"):
                out |= _counted_by(low, low.stores[node.data[0]], seen)
    return out


def _below(graph: Graph, n: int, depends: Mapping[int, frozenset[int]]) -> list[int]:
    """The nodes under an open one that are worked out for each element of a list with it."""
    out, stack = [], [a for a in graph[n].args if a not in depends and graph[a].binders]
    while stack:
        top = stack.pop()
        out.append(top)
        stack.extend(a for a in graph[top].args if graph[a].binders)
    return out


def _answerable(graph: Graph, n: int) -> bool:
    node = graph[n]
    return node.operation.run is not None or node.operation.binds or node.op in STATIC or node.op == "element"


def _needs(graph: Graph, root: int, depends: Mapping[int, frozenset[int]]) -> tuple[int, ...]:
    """The border: nodes that depend on no constant and no element, from which all others are worked out."""
    out: set[int] = set()
    seen: set[int] = set()
    stack = [root]
    while stack:
        top = stack.pop()
        if top in seen:
            continue
        seen.add(top)
        node = graph[top]
        if top not in depends and not node.binders:
            if node.op != "const":
                out.add(top)
            continue
        if node.op != "injected":
            stack.extend(node.args)
    return tuple(sorted(out))


def _part(
    analysis: Analysis, low: Lowerer, lowered: LoweredRule, root: int, constants: Sequence[Constant]
) -> Part:
    graph = low.graph(lowered.event)
    places = _places(graph, root, constants)
    depends = _depends(graph, root, places.values())
    always: list[int] = []
    if root not in depends:
        always = [root]
    elif graph[root].op == "and":
        always = [a for a in graph[root].args if a not in depends]
        rest = [a for a in graph[root].args if a in depends]
        root = join_conditions(low, "and", rest, Scope(lowered.event))
        depends = _depends(graph, root, places.values())
    held = []
    here = {r.name: r for r in analysis.rules[lowered.event]}
    for name in lowered.exempt_by:
        if name in here and (here[name].live or not lowered.live):
            held.append(_fired(graph, name, not lowered.live))
    return Part(
        lowered.event,
        graph,
        lowered,
        root,
        tuple(always),
        tuple(held),
        _needs(graph, root, depends),
        places,
        depends,
    )


def _fired(graph: Graph, name: str, shadow: bool) -> int:
    return graph.add("fired", (), (name, shadow), BOOL)


def always_true(analysis: Analysis, part: Part) -> int:
    """One condition: everything that is the same for every setting holds, and no rule exempts."""
    low, scope = analysis.lowerer, Scope(part.event)
    parts = [*part.always, *(negate(low, h, scope) for h in part.held)]
    return join_conditions(low, "and", parts, scope)
