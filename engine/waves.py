"""What waits for remote models: which steps of an event are decided at once and which after the answers.

A step that needs a remote answer, or the firing of a rule or the writing of a counter that does, is
late; all others are early, decided when the event is admitted. Remote models are asked in waves: those
whose gate and inputs need no answer first, then those that need theirs, and so on. What late steps read
of the state is read when the event is admitted, so that events in between do not show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from quell.engine.graph import Graph, Node
from quell.engine.lowered import LoweredRule
from quell.engine.order import Stage, Write, effect_nodes, reads_present, stage_nodes
from quell.engine.plan import conjuncts
from quell.grammar.diagnostics import Report

_STATE = ("counter", "reaches", "labelled", "label_age")
_KLEENE = ("and", "or", "not", "any", "all")


@dataclass(frozen=True, slots=True)
class Need:
    """A late step's need of an answer. It is open when all of `sure` are true and none of `open` is false;
    then it needs the answer, unless it is `settled` by all of those being true already. `sure` need no
    answer at all; of `open`, a missing answer makes none true or false that the answer could change."""

    sure: tuple[int, ...]
    open: tuple[int, ...]
    settled: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One remote model to ask: its node, and every step's need of it."""

    node: int
    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """An event's steps in order: `early`, then the `waves` of questions, then `late`. `held` are the
    values that must be worked out before the first answer is waited for."""

    early: tuple[Stage, ...]
    waves: tuple[tuple[Ask, ...], ...] = ()
    late: tuple[Stage, ...] = ()
    held: tuple[int, ...] = ()


@dataclass(slots=True)
class _Remote:
    """Which nodes of a graph need an answer."""

    graph: Graph
    _known: dict[int, frozenset[int]] = field(default_factory=dict)

    def of(self, number: int) -> frozenset[int]:
        """The remote nodes that a node needs, itself included."""
        for inner in self.graph.reach([number]):
            if inner not in self._known:
                node = self.graph[inner]
                below = frozenset().union(*(self._known[a] for a in node.args))
                self._known[inner] = below | {inner} if node.op == "remote" else below
        return self._known[number]

    def steady(self, number: int) -> bool:
        """Whether what a condition is with an answer missing stays so whatever the answer is: then it is
        missing, or cannot be changed."""
        for inner in self.graph.reach([number]):
            node = self.graph[inner]
            if any(self.of(a) for a in node.args) and node.op != "remote":
                row = node.operation
                if not (node.op in _KLEENE or (row.strict and not row.binds)):
                    return False
        return True


def schedule(graph: Graph, stages: tuple[Stage, ...], report: Report | None = None) -> Schedule:
    """The steps of an event in order. What cannot be had is reported, if a report is given."""
    remote = _Remote(graph)
    if not any(n.op == "remote" for n in graph.nodes):
        return Schedule(stages)
    split = _Split(graph, remote)
    for stage in stages:
        split.stage(stage)
    if not split.late:
        return Schedule(stages)
    roots = list(stage_nodes(split.late))
    asked = sorted(frozenset().union(*(remote.of(r) for r in roots)))
    held = _held(graph, remote, split, [*roots, *asked])
    if report is not None:
        _refuse(graph, remote, split, [*roots, *asked], asked, held, report)
    waves = _waves(graph, split, asked)
    return Schedule(tuple(split.early), waves, tuple(split.late), tuple(sorted(held)))


class _Split:
    """Stages taken apart into what is early and what is late."""

    def __init__(self, graph: Graph, remote: _Remote) -> None:
        self.graph = graph
        self.remote = remote
        self.early: list[Stage] = []
        self.late: list[Stage] = []
        self.rules: set[str] = set()
        self.stores: set[str] = set()

    def stage(self, stage: Stage) -> None:
        """Take in the next stage."""
        writes = [w for w in stage.writes if self._write_waits(w)]
        self.stores |= {w.store.identity for w in writes}
        rules = [r for r in stage.rules if self._rule_waits(r)]
        self.rules |= {r.name for r in rules}
        now = Stage(
            tuple(w for w in stage.writes if w not in writes),
            tuple(r for r in stage.rules if r.name not in self.rules),
        )
        if now.writes or now.rules:
            self.early.append(now)
        if writes or rules:
            self.late.append(Stage(tuple(writes), tuple(rules)))

    def waits(self, roots: Iterable[int]) -> bool:
        """Whether something is known only after the answers."""
        return any(self.remote.of(r) for r in roots) or any(
            self.late_leaf(self.graph[n]) for n in self.graph.reach(list(roots))
        )

    def late_leaf(self, node: Node) -> bool:
        """Whether a node looks at what a late step does."""
        if node.op == "fired":
            return node.data[0] in self.rules
        return reads_present(node) and node.data[0] in self.stores

    def _write_waits(self, write: Write) -> bool:
        return write.source.rule in self.rules or self.waits(write.source.nodes)

    def _rule_waits(self, rule: LoweredRule) -> bool:
        return any(e in self.rules for e in rule.exempt_by) or self.waits(
            [rule.condition, *effect_nodes(rule)]
        )


# ------------------------------------------------------------ what is held


def _held(graph: Graph, remote: _Remote, split: _Split, roots: list[int]) -> set[int]:
    """The largest expressions with state in them that need no answer and no element of a list."""
    has_state: dict[int, bool] = {}
    for n in graph.reach(roots):
        node = graph[n]
        has_state[n] = (node.op in _STATE and not split.late_leaf(node)) or any(
            has_state[a] for a in node.args
        )
    out: set[int] = set()
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        n = stack.pop()
        if n in seen or not has_state[n]:
            continue
        seen.add(n)
        node = graph[n]
        if not remote.of(n) and not node.binders and not split.waits([n]):
            out.add(n)
        else:
            stack.extend(node.args)
    return out


def _refuse(
    graph: Graph,
    remote: _Remote,
    split: _Split,
    roots: list[int],
    asked: list[int],
    held: set[int],
    report: Report,
) -> None:
    """Report state that is read under an answer, or beside one in a list, and models asked too early."""
    covered = set(graph.reach(sorted(held)))
    for n in graph.reach(roots):
        node = graph[n]
        if node.op not in _STATE or n in covered or n not in graph.spans:
            continue
        if remote.of(n):
            report.add(
                "waits-for-remote",
                "counters and labels are read when the event comes in, and what this one is read under is "
                "known only with a remote answer",
                graph.spans[n],
                hint="read it under a field of the event",
            )
        elif node.binders:
            report.add(
                "waits-for-remote",
                "inside a list, a counter or label cannot stand beside a remote answer",
                graph.spans[n],
                hint="name the list with its counter in a let, and compare outside of it",
            )
    for n in asked:
        for inner in graph.reach(list(graph[n].args)):
            if split.late_leaf(graph[inner]):
                what = f"`{graph[inner].data[0]}`" if graph[inner].op == "fired" else "this counter"
                report.add(
                    "waits-for-remote",
                    f"`{graph[n].data[0]}` is asked before {what} is decided, which waits for an answer",
                    graph.spans.get(inner, graph.spans[n]),
                    hint="ask it on what is known without remote models",
                )


# ------------------------------------------------------------------- waves


def _waves(graph: Graph, split: _Split, asked: list[int]) -> tuple[tuple[Ask, ...], ...]:
    level: dict[int, int] = {}
    for n in asked:  # in order of number, so that what a model needs comes first
        level[n] = 1 + max((level[a] for a in split.remote.of(n) if a != n), default=-1)
    steps = list(_steps(split))
    out = []
    for at in range(max(level.values()) + 1):
        asks = []
        for n in (m for m in asked if level[m] == at):
            needs = [need for need in (_need(graph, split, step, n) for step in steps) if need is not None]
            asks.append(Ask(n, tuple(dict.fromkeys(needs))))
        out.append(tuple(asks))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class _Step:
    conditions: tuple[int, ...]
    rest: tuple[int, ...]


def _steps(split: _Split) -> Iterator[_Step]:
    """What late steps need: their conditions, and what they are about once those hold."""
    conditions = {r.name: r.condition for stage in (*split.early, *split.late) for r in stage.rules}
    for stage in split.late:
        for source in (w.source for w in stage.writes):
            found = (source.where, conditions.get(source.rule or ""))
            yield _Step(tuple(c for c in found if c is not None), source.counted)
        for rule in stage.rules:
            yield _Step((rule.condition,), tuple(effect_nodes(rule)))


def _need(graph: Graph, split: _Split, step: _Step, asked: int) -> Need | None:
    remote = split.remote
    parts = [p for c in step.conditions for p in conjuncts(graph, c)]
    using = [p for p in parts if asked in remote.of(p)]
    shown = any(asked in remote.of(r) for r in step.rest)
    if not using and not shown:
        return None
    needed_anyway = shown or any(not remote.steady(p) for p in using)
    through = _through(graph, remote, [*using, *step.rest], asked)
    if through is not None:
        parts = [*parts, *conjuncts(graph, graph[through].args[0])]
    return Need(
        tuple(p for p in parts if not split.waits([p])),
        tuple(p for p in parts if remote.of(p) and remote.steady(p)),
        () if needed_anyway else tuple(using),
    )


def _through(graph: Graph, remote: _Remote, roots: list[int], asked: int) -> int | None:
    """The one other remote model that needs the answer, if the step itself does not: then the answer is of
    no use unless that model's gate can still open."""
    using: set[int] = set()
    stack = [r for r in roots if asked in remote.of(r)]
    seen: set[int] = set()
    while stack:
        n = stack.pop()
        if n == asked:
            return None
        if n in seen or asked not in remote.of(n):
            continue
        seen.add(n)
        if graph[n].op == "remote":
            using.add(n)
        else:
            stack.extend(graph[n].args)
    return using.pop() if len(using) == 1 else None
