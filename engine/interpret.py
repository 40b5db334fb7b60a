"""A reference interpreter: any node's value on one event, straight from what the operations mean.

It shares nothing with the generated code but the rows of `operations` and the state's own methods, so
it is what `explain` shows, what tests look at, and the judge of the back ends. It is asked after the
event was counted and before the decision is settled: counters include the event, labels and limits do
not yet have what the decision changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quell.engine.counter_words import word_of
from quell.engine.decision import Asked
from quell.engine.events import Decoded
from quell.engine.graph import Graph, Node
from quell.engine.link import all_of, any_of, make_store, present_of, rises, without
from quell.engine.lowered import LoweredRule, Store, StoreSource
from quell.engine.operations import evaluate_pure
from quell.engine.settle import Hit
from quell.signals.counters import each, keys_of
from quell.signals.memory import Memory
from quell.signals.patterns import search
from quell.signals.state import State

if TYPE_CHECKING:
    from quell.engine.compile import Build

Leaf = Callable[[Node, Sequence[Any]], Any]
"""The value of a node that no row of `operations` can give, from the values of its arguments."""


class NotRead(Exception):
    """A field that the bundle's decoder leaves out because no rule reads it."""


class Evaluator:
    """The values of one graph's nodes, each worked out once; what stands in lists, once per element.

    Depth is no danger: only the element variables nest calls, and the language bounds those.
    """

    def __init__(self, graph: Graph, leaf: Leaf) -> None:
        self.graph = graph
        self._leaf = leaf
        self._memo: list[dict[int, Any]] = [{}]
        self._elements: dict[int, Any] = {}

    def value(self, number: int) -> Any:
        """The value of a node, None for missing. Raises NotRead when it needs a field not decoded."""
        stack = [number]
        while stack:
            top = stack[-1]
            if self._has(top):
                stack.pop()
                continue
            node = self.graph[top]
            needed = node.args[:1] if node.operation.binds else node.args
            waiting = [a for a in needed if not self._has(a)]
            if waiting:
                stack.extend(waiting)
                continue
            self._keep(node, self._apply(node, [self._get(a) for a in needed]))
            stack.pop()
        return self._get(number)

    def elements(self, number: int) -> list[tuple[Any, Any]] | None:
        """For an `any`, `all`, `map` or `filter`: every element with what the body gives for it; None
        when the list is missing."""
        node = self.graph[number]
        return self._each(node, self.value(node.args[0]))

    def _has(self, number: int) -> bool:
        if number in self._memo[0]:
            return True
        return bool(self.graph[number].binders) and any(number in memo for memo in self._memo[1:])

    def _get(self, number: int) -> Any:
        return next(memo[number] for memo in reversed(self._memo) if number in memo)

    def _keep(self, node: Node, value: Any) -> None:
        self._memo[-1 if node.binders else 0][node.id] = value

    def _apply(self, node: Node, values: list[Any]) -> Any:
        row = node.operation
        if node.op == "const":
            held = node.data[0]
            return list(held) if isinstance(held, tuple) and node.type.kind == "list" else held
        if node.op == "element":
            return self._elements[node.data[0]]
        if row.binds:
            return self._through(node, values[0])
        if row.run is not None:
            return evaluate_pure(row, node.data, values)
        return self._leaf(node, values)

    def _each(self, node: Node, elements: list[Any] | None) -> list[tuple[Any, Any]] | None:
        if elements is None:
            return None
        variable, body = node.data[0], node.args[1]
        out = []
        for element in elements:
            self._elements[variable] = element
            self._memo.append({})
            try:
                out.append((element, self.value(body)))
            finally:
                self._memo.pop()
        return out

    def _through(self, node: Node, elements: list[Any] | None) -> Any:
        found = self._each(node, elements)
        if found is None:
            return None
        bodies = [body for _, body in found]
        if node.op == "any":
            return any_of(bodies)
        if node.op == "all":
            return all_of(bodies)
        if node.op == "map":
            return present_of(bodies)
        return [element for element, body in found if body is True]


Reader = Callable[[Any, int], Any]


@dataclass(slots=True)
class FieldReaders:
    """How each field of a bundle's decoded events is read, made when first asked for."""

    build: Build
    _made: dict[tuple[str, str], Reader | None] = field(default_factory=dict)

    def read(self, decoded: Decoded, name: str) -> Any:
        """The value of a field. Raises NotRead when the decoder leaves it out."""
        key = (decoded.event, name)
        if key not in self._made:
            self._made[key] = self._make(decoded.event, name)
        reader = self._made[key]
        if reader is None:
            raise NotRead(f"`{name}` of `{decoded.event}` is not decoded: no rule reads it")
        return reader(decoded.e, decoded.at)

    def _make(self, event: str, name: str) -> Reader | None:
        try:
            return self.build.reader(event, name)
        except KeyError:
            return None


class Interpreter(Evaluator):
    """The values of the nodes of one event's graph on one event.

    `hits` are the rules that matched as the generated function gave them; which of them fired decides
    what `fired` reads and what counters of firings took in. `injected` holds the values that a test
    supplies, `asked` what remote models gave, by the number of the question.
    """

    def __init__(
        self,
        build: Build,
        state: State,
        decoded: Decoded,
        hits: Iterable[Hit],
        injected: Mapping[str, Any] | None = None,
        readers: FieldReaders | None = None,
        asked: Mapping[int, Asked] | None = None,
    ) -> None:
        super().__init__(build.analysis.lowerer.graph(decoded.event), self._state_leaf)
        self.build = build
        self.state = state
        self.decoded = decoded
        self._readers = readers if readers is not None else FieldReaders(build)
        self.injected = injected if injected is not None else {}
        questions = build.programs[decoded.event].program.asked
        self.asked = {questions[number].node: a for number, a in (asked or {}).items()}
        rules = build.programs[decoded.event].program.rules
        self.rules: dict[str, LoweredRule] = {r.name: r for r in rules}
        self._fired = {rules[index].name for index, why, _, _ in hits if why is None}
        self._own: dict[str, list[Any]] = {}
        self.full: set[str] = set()

    @property
    def now(self) -> int:
        """The time at which the event counts."""
        return self.state.clock.now(self.decoded.at)

    def field(self, name: str) -> Any:
        """The value of a field of the event. Raises NotRead when the decoder leaves it out."""
        return self._readers.read(self.decoded, name)

    def fired(self, rule: str, *, shadow: bool = False) -> bool:
        """Whether a rule fired on this event; a shadow rule only in the eyes of shadow rules."""
        found = self.rules.get(rule)
        return found is not None and (found.live or shadow) and rule in self._fired

    def store(self, identity: str) -> Any:
        """The store of a counter; an empty one where nothing was ever counted."""
        found = self.state.stores.get(identity)
        if found is None:
            found = make_store(self.build.analysis.lowerer.stores[identity], Memory(began=self.state.began))
        return found

    def own(self, identity: str) -> list[Any]:
        """The keys under which this event was counted in a store, worked out from the store's sources."""
        if identity not in self._own:
            spec = self.build.analysis.lowerer.stores[identity]
            here = (s for s in spec.sources if s.event == self.decoded.event)
            self._own[identity] = [k for s in here for k in self._counted(s, spec)]
        return self._own[identity]

    def _counted(self, source: StoreSource, spec: Store) -> list[Any]:
        if source.rule is not None and not self.fired(source.rule, shadow=spec.shadow):
            return []
        if source.where is not None and self.value(source.where) is not True:
            return []
        if source.value is not None and spec.kind != "event" and self.value(source.value) in (None, []):
            return []
        return keys_of(*(self.value(k) for k in source.keys)) if source.keys else [()]

    # --------------------------------------------------------------- leaves

    def _state_leaf(self, node: Node, values: Sequence[Any]) -> Any:
        if node.op == "field":
            return self.field(node.data[0])
        if node.op == "remote":
            asked = self.asked.get(node.id)
            return None if asked is None else asked.value
        if node.op == "clock":
            return self.now
        if node.op == "fired":
            return self.fired(node.data[0], shadow=node.data[1])
        if node.op == "injected":
            return (
                self.injected[node.data[0]]
                if node.data[0] in self.injected
                else (values[0] if values else None)
            )
        if node.op == "counter":
            return self._counter(node, values)
        if node.op == "reaches":
            return self._reaches(node, values)
        if node.op == "model":
            return self.build.analysis.models[node.data[0]].predict(values)
        if any(v is None for v in values):
            return None
        if node.op == "labelled":
            held = self.state.labels.get(node.data)
            return held is not None and held.has(*values)
        if node.op == "label_age":
            held = self.state.labels.get(node.data)
            return None if held is None else held.age(*values)
        if node.op == "match":
            return bool(search(*node.data)(values[0]))
        listed = self.build.analysis.lists[node.data[0]]
        if node.op == "list_in":
            return listed.contains(values[0])
        if node.op == "list_match":
            return bool(listed.found(values[0]))
        if node.op == "list_found":
            return listed.found(values[0])
        assert node.op == "list_row", node.op
        return listed.row(values[0])

    def _counter(self, node: Node, values: Sequence[Any]) -> Any:
        *keys, at = values
        if any(k is None for k in keys):
            return None
        for i, key in enumerate(keys):
            if self.graph[node.args[i]].type.kind == "list":
                every = each(key)
                return present_of(
                    [self.reading(node.data, [*keys[:i], k, *keys[i + 1 :]], at) for k in every]
                )
        return self.reading(node.data, keys, at)

    def reading(self, data: tuple[Any, ...], parts: Sequence[Any], at: int) -> Any:
        """What a counter says under one key. `data` is that of its node: the store, the reading, how far back
        it looks, and how long ago the window ends, or `"this"` for all but the present event. A store that
        cannot tell since memory is full is noted in `full`, and not on the decision: no rule asked."""
        reported = self.state.memory.full
        before = len(reported)
        value = self._read(data, parts, at)
        self.full.update(reported[before:])
        del reported[before:]
        return value

    def _read(self, data: tuple[Any, ...], parts: Sequence[Any], at: int) -> Any:
        identity, word, within, before = data
        store, key = self.store(identity), parts[0] if len(parts) == 1 else tuple(parts)
        ago = before if isinstance(before, int) else 0
        if word not in ("count", "distinct"):
            if ago:
                return getattr(store, f"{word}_ago")(key, at, within, ago)
            own = self.own(identity).count(key) if before == "this" else 0
            return getattr(store, word)(key, at, within, own if word_of(word).past else own > 0)
        if ago:
            return store.count_ago(key, at, within, ago)
        now = store.total(key) if within is None else store.count(key, at, within)
        return without(now, self._added(identity, word, key, at, within)) if before == "this" else now

    def _added(self, identity: str, word: str, key: Any, at: int, within: int | None) -> int:
        """How much of a count the present event added."""
        own = self.own(identity)
        if word == "count":
            return own.count(key)
        added: int = self.store(identity).new(key, at, within) if key in own else 0
        return added

    def _reaches(self, node: Node, values: Sequence[Any]) -> bool | None:
        identity, word, within, threshold = node.data
        *keys, at = values
        if any(k is None for k in keys):
            return False
        key = keys[0] if len(keys) == 1 else tuple(keys)
        if key not in self.own(identity):
            return False
        now = self.reading((identity, word, within, 0), keys, at)
        return rises(now, self.reading((identity, word, within, "this"), keys, at), threshold)
