"""In what order one event's counters are written and its rules decided.

A counter whose condition reads another counter is written after it; a rule is decided after the
counters it reads, after the rules whose firing it looks at, and after those that may exempt from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from quell.engine.graph import Graph, Node
from quell.engine.lowered import LoweredRule, Store, StoreSource
from quell.grammar.diagnostics import Report

Step = tuple[str, str, str]
"""("store", identity, the counted rule or "") or ("rule", name, "")."""


@dataclass(frozen=True, slots=True)
class Write:
    """One source of a store, fed by the event."""

    store: Store
    source: StoreSource


@dataclass(frozen=True, slots=True)
class Stage:
    """What can be done at once: first the writes, then the rules."""

    writes: tuple[Write, ...]
    rules: tuple[LoweredRule, ...]


def effect_nodes(rule: LoweredRule) -> list[int]:
    """Every node that a rule's effects, message and rollout need."""
    out = [*rule.bucket]
    if rule.because is not None:
        out.append(rule.because)
    for effect in rule.effects:
        if effect.target is not None:
            out.append(effect.target)
        out.extend(n for _, n, _ in effect.payload)
        if effect.limit is not None:
            out.extend(effect.limit.keys)
    return out


def stage_nodes(stages: Iterable[Stage]) -> Iterator[int]:
    """Every node that the counters and rules of stages need."""
    for stage in stages:
        for write in stage.writes:
            yield from write.source.nodes
        for rule in stage.rules:
            yield from (rule.condition, *effect_nodes(rule))


def order(
    event: str, graph: Graph, rules: Iterable[LoweredRule], stores: Mapping[str, Store], report: Report
) -> tuple[Stage, ...]:
    """The stages of an event. A ring of dependencies is reported, and nothing returned."""
    by_name = {r.name: r for r in rules}
    writes: dict[Step, Write] = {}
    for identity in sorted(stores):
        for source in stores[identity].sources:
            if source.event == event:
                writes[("store", identity, source.rule or "")] = Write(stores[identity], source)
    of_store: dict[str, list[Step]] = {}
    for step in writes:
        of_store.setdefault(step[1], []).append(step)
    needs: dict[Step, list[Step]] = {}
    for step, write in writes.items():
        s = write.source
        needs[step] = _needed(graph, list(s.nodes), of_store, by_name)
        if s.rule is not None and s.rule in by_name:
            needs[step].append(("rule", s.rule, ""))
    for name, rule in by_name.items():
        needs[("rule", name, "")] = [
            *_needed(graph, [rule.condition, *effect_nodes(rule)], of_store, by_name),
            *(("rule", e, "") for e in rule.exempt_by if e in by_name),
        ]
    levels = _levels(needs, by_name, stores, report)
    if levels is None:
        return ()
    stages: list[Stage] = []
    for level in range(max(levels.values(), default=-1) + 1):
        here = sorted(s for s, at in levels.items() if at == level)
        stages.append(
            Stage(
                tuple(writes[s] for s in here if s[0] == "store"),
                tuple(by_name[s[1]] for s in here if s[0] == "rule"),
            )
        )
    return tuple(stages)


def reads_present(node: Node) -> bool:
    """Whether a node reads a counter with the present event in it."""
    return node.op == "reaches" or (node.op == "counter" and node.data[3] == 0)


def _needed(
    graph: Graph, roots: list[int], of_store: Mapping[str, list[Step]], rules: Mapping[str, LoweredRule]
) -> list[Step]:
    out: list[Step] = []
    for number in graph.reach(roots):
        node = graph[number]
        if reads_present(node):
            out.extend(of_store.get(node.data[0], ()))
        elif node.op == "fired" and node.data[0] in rules:
            out.append(("rule", node.data[0], ""))
    return out


def _levels(
    needs: dict[Step, list[Step]],
    rules: Mapping[str, LoweredRule],
    stores: Mapping[str, Store],
    report: Report,
) -> dict[Step, int] | None:
    levels: dict[Step, int] = {}
    for start in sorted(needs):
        path: list[Step] = []
        stack: list[tuple[Step, bool]] = [(start, False)]
        while stack:
            step, done = stack.pop()
            if done:
                path.pop()
                levels[step] = 1 + max((levels[n] for n in needs[step]), default=-1)
                continue
            if step in levels:
                continue
            if step in path:
                _report_ring(path[path.index(step) :], rules, stores, report)
                return None
            path.append(step)
            stack.append((step, True))
            stack.extend((n, False) for n in needs[step])
    return levels


def _report_ring(
    ring: list[Step], rules: Mapping[str, LoweredRule], stores: Mapping[str, Store], report: Report
) -> None:
    first = min(i for i, s in enumerate(ring) if s[0] == "rule")
    ring = ring[first:] + ring[:first]
    told = [f"`{s[1]}`" if s[0] == "rule" else f"`{stores[s[1]].text}`" for s in ring]
    report.add(
        "cycle",
        f"{told[0]} needs its own decision: " + " → ".join([*told, told[0]]),
        rules[ring[0][1]].rule.name.span,
        hint="a counter of a rule's own firings can be read `before this`",
    )
