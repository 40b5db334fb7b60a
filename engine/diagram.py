"""The evaluation graph as a picture: fields and signals on the left, rules on the right.

`diagram` chooses what to show, each shared node once; `quell.engine.diagram_text` writes it down.
Operations that have no name and are needed in one place only are left out: their inputs lead straight to
what is made of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from quell.engine.compile import Analysis
from quell.engine.counter_words import word_of
from quell.engine.graph import Graph, Node
from quell.engine.lower_stores import total_type
from quell.engine.lowered import IDENTITY_SHOWN, LoweredEffect, LoweredRule, Store, StoreSource
from quell.engine.order import effect_nodes
from quell.grammar import tree
from quell.grammar.types import Type
from quell.signals.show import show, show_duration

Detail = Literal["names", "conditions", "all"]
Kind = Literal[
    "field", "counter", "list", "label", "model", "fired", "value", "shared", "condition", "operation", "rule"
]

LONGEST_LABEL = 60
"""Characters of an expression that a node shows."""

_LISTS = ("list_in", "list_match", "list_found", "list_row")
_LABELS = ("labelled", "label_age")
_COUNTERS = ("counter", "reaches")


End = tuple[str, str, bool]
"""Where an arrow begins: a shape's key, what the arrow says, whether it is dashed."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A node of the picture: its key, its kind, its lines, and the event type it belongs to (empty for
    what event types share)."""

    key: str
    kind: Kind
    lines: tuple[str, ...]
    event: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """From what is needed to what needs it; `dashed` for what acts through firings."""

    start: str
    end: str
    label: str = ""
    dashed: bool = False


@dataclass(slots=True)
class Diagram:
    """Shapes by key and arrows, both in the order of their adding, each once."""

    title: str
    shapes: dict[str, Shape] = field(default_factory=dict)
    arrows: dict[Arrow, None] = field(default_factory=dict)

    def put(self, shape: Shape) -> str:
        """Add a shape unless it is there; gives its key."""
        self.shapes.setdefault(shape.key, shape)
        return shape.key

    def join(self, start: str, end: str, label: str = "", dashed: bool = False) -> None:
        """Add an arrow."""
        if start != end:
            self.arrows[Arrow(start, end, label, dashed)] = None

    def events(self) -> list[str]:
        """The event types that have shapes, in order of their adding."""
        return list(dict.fromkeys(s.event for s in self.shapes.values() if s.event))


def diagram(
    analysis: Analysis,
    events: Collection[str] | None = None,
    rules: Collection[str] | None = None,
    detail: Detail = "names",
) -> Diagram:
    """The picture of some event types and rules (None: all). `detail` says whether the parts of each
    rule's condition, or all operations, are shown besides what has a name or is shared."""
    picture = Diagram(analysis.files.name)
    shown = {
        event: [r for r in lowered if rules is None or r.name in rules]
        for event, lowered in sorted(analysis.rules.items())
        if events is None or event in events
    }
    drawers = {event: _Drawer(analysis, event, picture, chosen, detail) for event, chosen in shown.items()}
    wanted: dict[str, None] = {}
    for drawer in drawers.values():
        wanted.update(dict.fromkeys(drawer.draw_rules()))
    _feed(analysis, drawers, wanted)
    _settle(picture)
    return picture


def _settle(picture: Diagram) -> None:
    """Give what only one event type has to do with to that event type."""
    beside: dict[str, list[str]] = {}
    for arrow in picture.arrows:
        beside.setdefault(arrow.start, []).append(arrow.end)
        beside.setdefault(arrow.end, []).append(arrow.start)
    todo = [key for key, shape in picture.shapes.items() if not shape.event]
    while todo:
        left = []
        for key in todo:
            events = {picture.shapes[other].event for other in beside.get(key, ())} - {""}
            if len(events) == 1:
                picture.shapes[key] = replace(picture.shapes[key], event=events.pop())
            elif not events:
                left.append(key)
        todo = left if len(left) < len(todo) else []


def _feed(analysis: Analysis, drawers: Mapping[str, _Drawer], wanted: dict[str, None]) -> None:
    """Draw what feeds each counter that is read, and the counters that this needs in turn."""
    todo = sorted(wanted)
    done: set[str] = set()
    while todo:
        identity = todo.pop(0)
        if identity in done:
            continue
        done.add(identity)
        store = analysis.lowerer.stores[identity]
        for source in store.sources:
            drawer = drawers.get(source.event)
            if drawer is not None:
                todo += [i for i in drawer.draw_source(store, source) if i not in done]


class _Drawer:
    """Draws one event type."""

    def __init__(
        self, analysis: Analysis, event: str, picture: Diagram, rules: list[LoweredRule], detail: Detail
    ) -> None:
        self._analysis = analysis
        self._event = event
        self._picture = picture
        self._graph: Graph = analysis.lowerer.graph(event)
        self._rules = {r.name: r for r in rules}
        self._detail = detail
        self._names = {v.node: v.name for v in reversed(analysis.values.get(event, []))}
        self._drawn: dict[int, str] = {}
        self._read: dict[str, None] = {}
        self._parts = {part for r in rules for part in self._conjuncts(r.condition)}
        self._shared = self._find_shared()

    # ------------------------------------------------------------- choosing

    def _conjuncts(self, condition: int) -> tuple[int, ...]:
        node = self._graph[condition]
        return node.args if node.op == "and" else (condition,)

    def _needs(self, rule: LoweredRule) -> tuple[int, ...]:
        """The nodes drawn for a rule: what decides it, and in full detail what its effects say."""
        said = effect_nodes(rule) if self._detail == "all" else rule.bucket
        return *self._conjuncts(rule.condition), *said

    def _find_shared(self) -> frozenset[int]:
        """The nodes that two others need, or two rules."""
        roots = [n for r in self._rules.values() for n in self._needs(r)]
        users = Counter(roots)
        for number in self._graph.reach(roots):
            users.update(set(self._graph[number].args))
        return frozenset(n for n, times in users.items() if times > 1)

    def _kind(self, node: Node) -> Kind | None:
        """What a node is drawn as itself; None for a leaf and for what is passed through."""
        if node.op in ("model", "remote"):
            return "model"
        if node.id in self._names:
            return "value"
        if node.op in ("const", "field", "fired", "element", "as_entity", "get", *_COUNTERS) or node.binders:
            return None
        if self._detail == "all":
            return "operation"
        if self._detail == "conditions" and node.id in self._parts:
            return "condition"
        return "shared" if node.id in self._shared and node.op not in (*_LISTS, *_LABELS) else None

    # -------------------------------------------------------------- drawing

    def draw_rules(self) -> list[str]:
        """Draw the rules and what they need; gives the counters read."""
        for rule in self._rules.values():
            key = self._picture.put(self._rule(rule))
            self._into(key, self._needs(rule))
            for name in rule.exempt_by:
                if name in self._rules:
                    self._picture.join(self._rule_key(name), key, "exempts", dashed=True)
        return list(self._read)

    def draw_source(self, store: Store, source: StoreSource) -> list[str]:
        """Draw what feeds a counter on this event type; gives the counters read meanwhile."""
        before = set(self._read)
        key = self._store(store)
        self._into(key, source.keys, "by")
        if source.value is not None:
            self._into(key, (source.value,), "of")
        if source.where is not None:
            self._into(key, (source.where,), "where")
        if source.rule is not None:
            start, _, _ = self._fired(source.rule)
            self._picture.join(start, key, "fired", dashed=True)
        return [i for i in self._read if i not in before]

    def _into(self, key: str, nodes: Iterable[int], label: str = "") -> None:
        for number in nodes:
            for start, said, dashed in self._ends(number):
                self._picture.join(start, key, said or label, dashed)

    def _ends(self, root: int) -> list[End]:
        """What stands for a node: itself where it is drawn, or else what it is made of."""
        out: dict[End, None] = {}
        stack, seen = [root], {root}
        while stack:
            number = stack.pop()
            node = self._graph[number]
            if self._kind(node) is not None:
                out[self._draw(node), "", False] = None
                continue
            leaf = self._leaf(node)
            if leaf is not None:
                out[leaf] = None
            for a in reversed(self._inputs(node)):
                if a not in seen:
                    seen.add(a)
                    stack.append(a)
        return list(out)

    def _inputs(self, node: Node) -> tuple[int, ...]:
        """The arguments that arrows come from. A counter's keys lead to the counter, unless another event
        type feeds it; a label's time is left out."""
        if node.op in _COUNTERS:
            sources = self._analysis.lowerer.stores[node.data[0]].sources
            return () if any(s.event == self._event for s in sources) else node.args[:-1]
        return node.args[:1] if node.op in _LABELS else node.args

    def _draw(self, node: Node) -> str:
        """The key of the shape of a node that is drawn as itself, with everything that it needs."""
        kind = self._kind(node)
        assert kind is not None
        if node.id not in self._drawn:
            text = self._names.get(node.id) or self._text(node)
            key = self._picture.put(Shape(f"{self._event}/{node.id}", kind, (text,), self._event))
            self._drawn[node.id] = key
            leaf = self._leaf(node)
            if leaf is not None:
                self._picture.join(leaf[0], key, leaf[1], leaf[2])
            self._into(key, self._inputs(node))
        return self._drawn[node.id]

    # --------------------------------------------------------------- leaves

    def _leaf(self, node: Node) -> End | None:
        """What an operation reads besides its arguments: a field, counter, list, label or firing."""
        put = self._picture.put
        if node.op == "field":
            declared = self._analysis.symbols.schemas[self._event].field(node.data[0])
            line = node.data[0] if declared is None else f"{node.data[0]}: {declared.type}"
            return put(Shape(f"{self._event}.{node.data[0]}", "field", (line,), self._event)), "", False
        if node.op in _COUNTERS:
            self._read[node.data[0]] = None
            store = self._analysis.lowerer.stores[node.data[0]]
            return self._store(store), _window(node, total_type(self._analysis.lowerer, store)), False
        if node.op in _LISTS:
            return put(Shape(f"list {node.data[0]}", "list", (f"list {node.data[0]}",))), "", False
        if node.op in _LABELS:
            entity, label = node.data
            return put(Shape(f"label {entity} {label}", "label", (f'{entity} "{label}"',))), "", False
        return self._fired(node.data[0]) if node.op == "fired" else None

    def _fired(self, rule: str) -> End:
        if rule in self._rules:
            return self._rule_key(rule), "fired", True
        shape = Shape(f"{self._event}!{rule}", "fired", (f"fired {rule}",), self._event)
        return self._picture.put(shape), "", True

    def _store(self, store: Store) -> str:
        known = f"#{store.identity[:IDENTITY_SHOWN]}" + (" (shadow)" if store.shadow else "")
        return self._picture.put(Shape(f"counter {store.identity}", "counter", (_cut(store.text), known)))

    # ---------------------------------------------------------------- texts

    def _rule_key(self, name: str) -> str:
        return self._picture.put(self._rule(self._rules[name]))

    def _rule(self, rule: LoweredRule) -> Shape:
        mode = "" if rule.live else " (shadow)"
        share = "" if rule.share is None else f" {100 * rule.share:.4g}%"
        effects = dict.fromkeys([*(_effect(e) for e in rule.effects), *_exemptions(rule)])
        lines = (f"{rule.name}{mode}{share}", *effects)
        return Shape(f"rule {self._event} {rule.name}", "rule", lines, self._event)

    def _text(self, node: Node) -> str:
        """An unnamed node as the policy writes it, where it is written."""
        span = self._graph.spans.get(node.id)
        source = None if span is None else self._analysis.files.sources.get(span.file)
        if span is None or source is None:
            return node.op.replace("_", " ")
        return _cut(" ".join(source.text[span.start : span.end].split()))


def _window(node: Node, total: Type) -> str:
    """What a reading gives and how far back it looks: `within 10m`, `mean within 1d`, `ever before this`,
    `within 1d reaches 4`; `total` is the type of what reaches a number."""
    _, word, within, before = node.data
    text = "ever" if within is None else f"within {show_duration(within)}"
    said = word_of(word)
    if said.name not in ("count", "distinct"):
        text = f"{said.name} {text}"
    if node.op == "reaches":
        return f"{text} reaches {show(before, total)}"
    if before == "this":
        return text if said.past else f"{text} before this"
    return f"{text} before {show_duration(before)} ago" if before else text


def _effect(effect: LoweredEffect) -> str:
    if effect.kind == "verdict":
        return effect.name
    if effect.kind == "send":
        return f'send "{effect.name}"'
    return f'{effect.kind} {effect.entity} "{effect.name}"'


def _exemptions(rule: LoweredRule) -> list[str]:
    return ["exempt" for e in rule.rule.effects if isinstance(e, tree.Exempt)]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"
