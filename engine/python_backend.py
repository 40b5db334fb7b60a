"""The Python back end: one straight function per event type.

The function takes the decoded event `e` and its time `at`, feeds the counters that the event counts in,
and gives the rules that matched, each with what holds it back, its message and the values its effects
need. Cheap conditions stand first; what is costly and needed in several places is worked out at most
once, and only where an undecided rule needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from quell.engine.backend_facts import Facts, Leaf, gather
from quell.engine.counter_expressions import write_reading
from quell.engine.expressions import Expressions, Names, closes, is_atom, wrap, wrap_or
from quell.engine.graph import ELEMENTS, Graph, Node
from quell.engine.lowered import LoweredEffect, LoweredRule
from quell.engine.order import Stage, Write, effect_nodes
from quell.engine.plan import Block
from quell.engine.waves import Ask, Schedule
from quell.grammar.types import Type


@dataclass(frozen=True, slots=True)
class Question:
    """A remote model that a function asks: its node, and the types of its inputs."""

    model: str
    node: int
    types: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A generated function before it is linked to a state: its source, and what each name stands for.

    `rules` are the rules in order of name, as the function's hits number them; `asked` the remote models, as
    its questions number them: where there are any, the function is a generator. It yields lists of pairs,
    a model's number and its inputs, is sent the answers by number, and returns the hits.
    """

    event: str
    source: str
    needs: dict[str, tuple[str, Any]]
    rules: tuple[LoweredRule, ...]
    asked: tuple[Question, ...] = ()


def generate(
    event: str,
    graph: Graph,
    steps: Schedule,
    leaf: Callable[[str], Leaf],
    known: Mapping[int, str],
    places: Mapping[str, str],
) -> Program:
    """The function of an event. `known` names nodes that the policy names; `places` says where a rule
    stands, for the comment above it."""
    facts = gather(event, graph, steps, leaf, known, places)
    first = _Writer(facts, {})
    first.write()
    return _Writer(facts, first.sites).write()


@dataclass(slots=True)
class _Writer:
    """Writes one function. The first pass counts where each variable is worked out (`sites`); the second
    knows from that which need no guard."""

    facts: Facts
    counted: Mapping[Any, int]
    names: Names = field(default_factory=Names)
    sites: dict[Any, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    indent: int = 1
    x: Expressions = field(init=False)
    graph: Graph = field(init=False)
    local: dict[int, str] = field(default_factory=dict)
    found: dict[int, str] = field(default_factory=dict)
    available: list[set[Any]] = field(default_factory=lambda: [set()])
    own: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.graph = self.facts.graph
        self.x = Expressions(self.graph, self.names, self._leaf, self._state, self._scanned)
        self.numbers = {r.name: i for i, r in enumerate(self.facts.numbered)}
        self.names.block(self._function_name())
        self._block_leaves()
        for name in sorted(self.facts.fired):
            if self._rule(name) is not None:
                self.flags[name] = self._fresh(f"fired_{name}")
        for number in self.facts.lazy:
            self.local[number] = self._name(number)
        for number in self.facts.asked:
            self.local[number] = self.x.variables[number] = self._name(number)
            self.available[0].add(number)
        for text in sorted(self.facts.scans):
            self.found[text] = self._fresh(f"found_in_{self._base(text)}")

    # --------------------------------------------------------------- naming

    def _block_leaves(self) -> None:
        """Keep the names that reading the fields uses from all others: the decoder has spelled them."""
        for number in self.facts.fields:
            for helper in self.facts.leaf(self.graph[number].data[0]).helpers:
                self.names.block(helper)

    def _name(self, number: int) -> str:
        return self._fresh(self._base(number))

    def _base(self, number: int) -> str:
        node = self.graph[number]
        if number in self.facts.known:
            return self.facts.known[number]
        if node.op == "field":
            return str(node.data[0])
        if node.op == "call":
            return f"{node.data[0]}_of"
        if node.op == "remote":
            return str(node.data[0])
        return {"counter": "counted", "fold": "folded", "join": "text"}.get(node.op, f"{node.op}_")

    def _fresh(self, base: str) -> str:
        clean = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in base) or "value"
        clean = clean if not clean[0].isdigit() else "_" + clean
        name, n = clean, 1
        while name in self.taken or self.names.reserved(name):
            n += 1
            name = f"{clean}_{n}"
        self.taken.add(name)
        self.names.block(name)
        return name

    # -------------------------------------------------------------- writing

    def write(self) -> Program:
        """The whole function."""
        self._write_stages(self.facts.early)
        for wave in self.facts.waves:
            self._write_wave(wave)
        self._write_stages(self.facts.late)
        body = self.lines
        self.lines, self.indent = [], 1
        self._write_head()
        parts = [
            f"def {self._function_name()}(e, at, now):",
            f"    {_docstring(f'Decide one `{self.facts.event}`.')}",
            *self.lines,
            *body,
        ]
        parts.append("    return hits")
        asked = tuple(self._question(n) for n in self.facts.asked)
        needs = dict(self.names.needs)
        return Program(self.facts.event, "\n".join(parts) + "\n", needs, self.facts.numbered, asked)

    def _question(self, number: int) -> Question:
        node = self.graph[number]
        return Question(str(node.data[0]), number, tuple(self.graph[a].type for a in node.args[1:]))

    def _function_name(self) -> str:
        clean = "".join(c if c.isascii() and c.isalnum() else "_" for c in self.facts.event)
        return f"decide_{clean}"

    def _write_head(self) -> None:
        self.line("hits = []")
        worked_out = sorted(
            self.sites, key=lambda w: (isinstance(w, tuple), w if isinstance(w, int) else w[1])
        )
        for what in worked_out:
            if self._hoisted(what):
                self.line(f"{self.local[what]} = {self._leaf_source(self.graph[what])}")
        unset = [self._variable(w) for w in worked_out if self._guarded(w) and not self._hoisted(w)]
        if unset:
            self.line(" = ".join(unset) + " = UNSET")
        if self.facts.asked:
            self.line(" = ".join(self.local[n] for n in self.facts.asked) + " = None")
        if self.flags:
            self.line(" = ".join(self.flags.values()) + " = False")
        for name in sorted(set(self.own.values())):
            self.line(f"{name} = []")

    def line(self, text: str) -> None:
        """One line at the present indent."""
        self.lines.append("    " * self.indent + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """A block; what is worked out inside is not known after it."""
        self.line(head)
        self.indent += 1
        self.available.append(set())
        yield
        for gone in self.available.pop():
            self.x.variables.pop(gone, None)
        self.indent -= 1

    # ------------------------------------------------------------ variables

    def _hoisted(self, number: Any) -> bool:
        """Whether a field is read at the top: it is needed in several places, and cheap."""
        return (
            isinstance(number, int) and self.graph[number].op == "field" and self.counted.get(number, 2) > 1
        )

    def _guarded(self, number: Any) -> bool:
        return self.counted.get(number, 2) > 1

    def _variable(self, number: Any) -> str:
        return self.local[number] if isinstance(number, int) else self.found[number[1]]

    def _is_available(self, what: Any) -> bool:
        return any(what in scope for scope in self.available)

    def missing(self, roots: list[int]) -> list[Any]:
        """The variables that expressions over the roots need and that are not worked out yet, inner first."""
        needed: dict[Any, None] = {}
        seen: set[int] = set()

        def visit(number: int) -> None:
            if number in seen or number in self.x.variables:
                return
            seen.add(number)
            node = self.graph[number]
            for a in node.args:
                visit(a)
            if node.op in ("match", "list_match") and not node.binders:
                scan = ("scan", node.args[0])
                if not self._is_available(scan):
                    needed[scan] = None
            if number in self.local and not self._is_available(number):
                needed[number] = None

        for root in roots:
            visit(root)
        return list(needed)

    def prepare(self, roots: list[int]) -> None:
        """Write lines that work out every variable which expressions over the roots need."""
        for what in self.missing(roots):
            if not self._is_available(what):
                self._work_out(what)

    def _work_out(self, what: Any) -> None:
        self.sites[what] = self.sites.get(what, 0) + 1
        if self._hoisted(what):
            self._now_available(what)
            return
        name = self._variable(what)
        inner = list(self.graph[what].args) if isinstance(what, int) else [what[1]]
        if self._guarded(what):
            with self.block(f"if {name} is UNSET:"):
                self.prepare(inner)
                self.line(f"{name} = {self._expression(what)}")
        else:
            self.prepare(inner)
            self.line(f"{name} = {self._expression(what)}")
        self._now_available(what)

    def _now_available(self, what: Any) -> None:
        self.available[-1].add(what)
        if isinstance(what, int):
            self.x.variables[what] = self.local[what]

    def _expression(self, what: Any) -> str:
        if isinstance(what, int):
            text = self.x.value(what)
            return text[1:-1] if text.startswith("(") and closes(text, 0) else text
        text = what[1]
        wanted = self.facts.scans[text]
        scan = self.names.take("scan", tuple(wanted), "scan")
        value = self.x.value(text)
        if not self.graph[text].type.optional:
            return f"{scan}({value})"
        if is_atom(value):
            return f"() if {value} is None else {scan}({value})"
        name = self.x.temporary()
        return f"() if ({name} := {value}) is None else {scan}({name})"

    # --------------------------------------------------------------- leaves

    def _leaf_source(self, node: Node) -> str:
        found = self.facts.leaf(node.data[0])
        for name, helper in found.helpers.items():
            self.names.put(name, ("object", helper))
        return found.source

    def _leaf(self, node: Node) -> str:
        if node.op == "field":
            return self._leaf_source(node)
        if node.op == "element":
            return f"x{node.data[0] % ELEMENTS}"
        if node.op == "injected":
            return self._injected(node)
        rule = self._rule(node.data[0])
        if rule is None or not (rule.live or node.data[1]):
            return "False"
        return self.flags[rule.name]

    def _injected(self, node: Node) -> str:
        """What a test supplies, or else the value itself."""
        supplied, name = self.names.take("injected", None, "injected"), repr(node.data[0])
        if not node.args:
            return f"{supplied}.get({name})"
        return f"({supplied}[{name}] if {name} in {supplied} else {self.x.value(node.args[0])})"

    def _scanned(self, node: Node) -> tuple[str, int] | None:
        """The variable with what a scan found in a node's text, and the node's number there."""
        if node.binders:
            return None
        return self.found[node.args[0]], self.facts.scans[node.args[0]].index((node.op, node.data))

    def _rule(self, name: str) -> LoweredRule | None:
        return self.facts.rules.get(name)

    # ---------------------------------------------------------------- state

    def _store(self, identity: str) -> str:
        store = self.facts.stores.get(identity)
        base = store.kind if store is not None else "counter"
        return self.names.take("store", identity, f"{base}_{identity[:4]}")

    def _state(self, node: Node) -> str:
        return write_reading(node, self.x, self._store, self._own)

    def _own(self, identity: str) -> str | None:
        """The variable with the keys under which the present event was counted, if it can be."""
        if identity not in self.facts.stores:
            return None
        if identity not in self.own:
            self.own[identity] = self._fresh(f"own_{identity[:4]}")
        return self.own[identity]

    def _write_store(self, write: Write) -> None:
        """The lines that count the event."""
        source, store = write.source, write.store
        if source.rule is not None:
            rule = self._rule(source.rule)
            if rule is None or not (rule.live or store.shadow):
                return
        self.line(_comment(store.text))
        parts = list(source.counted)
        needed = parts if store.kind != "event" else list(source.keys)  # an event has a value or it has none
        tests = [self.flags[source.rule]] if source.rule is not None else []
        with_where = [source.where] if source.where is not None else []
        with self._conditions(tests, with_where):
            self.prepare(parts)
            held = [self._atom(p, p == source.value and store.kind != "event") for p in parts]
            absent = [
                f"{h} is not None" for h, p in zip(held, needed, strict=False) if self.graph[p].type.optional
            ]
            if source.value is not None and store.kind != "event" and self._listed(source.value):
                absent.append(held[-1])  # of an empty list nothing is counted
            with self._conditions(absent, []):
                self._count(write, held)

    def _listed(self, number: int) -> bool:
        return self.graph[number].type.kind == "list"

    def _atom(self, number: int, counted: bool = False) -> str:
        """A value as a name or a literal, kept in a variable where it may be missing, or is a list that is
        `counted` and may be empty."""
        text = self.x.value(number)
        if is_atom(text) or not (self.graph[number].type.optional or (counted and self._listed(number))):
            return text
        name = self._fresh("key")
        self.line(f"{name} = {text}")
        return name

    @contextmanager
    def _conditions(self, tests: list[str], nodes: list[int]) -> Iterator[None]:
        """A block under tests and conditions, or none when there are none."""
        heads = list(tests)
        heads += [self.branch(n, True) for n in nodes]
        if not heads:
            yield
            return
        with self.block(f"if {' and '.join(wrap_or(h) for h in heads)}:"):
            yield

    def _count(self, write: Write, held: list[str]) -> None:
        source, store = write.source, write.store
        name = self._store(store.identity)
        keys = held[: len(source.keys)]
        listed = any(self._listed(k) for k in source.keys)
        value = f"{held[-1]}, " if source.value is not None else ""
        own = self._own(store.identity) if store.identity in self.facts.own else None
        if listed:
            many = f"{self.names.take('helper', 'keys_of', 'keys_of')}({', '.join(keys)})"
            if own is not None:
                self.line(f"{own} += {many}")
                many = own
            self.line(f"{name}.add_each({many}, {value}now)")
            return
        key = keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
        self.line(f"{name}.add({key}, {value}now)")
        if own is not None:
            self.line(f"{own}.append({key})")

    # ---------------------------------------------------------------- waves

    def _write_stages(self, stages: tuple[tuple[Stage, tuple[Block, ...]], ...]) -> None:
        for stage, blocks in stages:
            for write in stage.writes:
                self._write_store(write)
            self._write_blocks(blocks)

    def _write_wave(self, wave: tuple[Ask, ...]) -> None:
        """The lines that ask remote models, where an undecided step needs their answers."""
        self.line("wanted = []")
        before = dict(self.sites)
        self.available.append(set())
        for ask in wave:
            self._write_ask(ask)
        for gone in self.available.pop():
            self.x.variables.pop(gone, None)
        looked_at = [w for w, n in self.sites.items() if n > before.get(w, 0)]
        with self.block("if wanted:"):
            self.prepare(list(self.facts.held))
            self.line("answers = yield wanted")
            for ask in wave:
                index = self.facts.asked.index(ask.node)
                self.line(f"{self.local[ask.node]} = answers.get({index})")
            # What was worked out with these answers missing is worked out anew.
            stale = sorted(self._variable(w) for w in looked_at if self._stale(w))
            if stale:
                self.line(" = ".join(stale) + " = UNSET")

    def _stale(self, what: Any) -> bool:
        root = what if isinstance(what, int) else what[1]
        return any(n in self.facts.asked for n in self.graph.reach([root]))

    def _write_ask(self, ask: Ask) -> None:
        node = self.graph[ask.node]
        asking = self._fresh(f"ask_{node.data[0]}")
        self.line(f"{asking} = False")
        for need in ask.needs:
            depth = self._open(list(need.sure))
            needed = list(dict.fromkeys([*need.open, *need.settled]))
            self.prepare(needed)
            tests = [f"not {wrap(self.x.false(n))}" for n in need.open]
            if need.settled:
                tests.append("not (" + " and ".join(wrap_or(self.x.true(n)) for n in need.settled) + ")")
            self.line(f"if {' and '.join(tests)}:" if tests else "if True:")
            self.line(f"    {asking} = True")
            self._close(depth)
        with self.block(f"if {asking}:"):
            depth = self._open([node.args[0]])
            inputs = list(node.args[1:])
            self.prepare(inputs)
            given = "".join(f"{self.x.value(n)}, " for n in inputs)
            self.line(f"wanted.append(({self.facts.asked.index(ask.node)}, ({given})))")
            self._close(depth)

    # ---------------------------------------------------------------- rules

    def _close(self, depth: int) -> None:
        """End blocks that `_open` opened."""
        for _ in range(depth):
            for gone in self.available.pop():
                self.x.variables.pop(gone, None)
            self.indent -= 1

    def _write_blocks(self, blocks: tuple[Block, ...]) -> None:
        for block in blocks:
            if block.rule is not None:
                self.line(_comment(self.facts.places.get(block.rule.name, block.rule.name)))
            depth = self._open(list(block.conditions))
            if block.rule is not None:
                self._write_hit(block.rule)
            else:
                self._write_blocks(block.blocks)
            self._close(depth)

    def _open(self, conditions: list[int]) -> int:
        """Open the blocks in which all conditions hold; those that need nothing new share a line."""
        depth = 0
        while conditions:
            self_contained = [self.branch(conditions.pop(0), True)]
            while conditions and not self.missing([conditions[0]]):
                self_contained.append(self.branch(conditions.pop(0), True))
            heads = (
                [wrap_or(h) for h in self_contained if h != "True"]
                if len(self_contained) > 1
                else self_contained
            )
            self.line(f"if {' and '.join(heads) or 'True'}:")
            self.indent += 1
            self.available.append(set())
            depth += 1
        return depth

    def branch(self, number: int, wanted: bool) -> str:
        """An expression that holds when a condition is `wanted`, after lines that work out what it needs.

        In a choice, costly alternatives are worked out only when the cheap ones leave it open.
        """
        node = self.graph[number]
        if not self.missing([number]) or number in self.local:
            self.prepare([number])
            return self.x.true(number) if wanted else self.x.false(number)
        if node.op == "not":
            return self.branch(node.args[0], not wanted)
        if node.op not in ("and", "or"):
            self.prepare([number])
            return self.x.true(number) if wanted else self.x.false(number)
        choice = (node.op == "or") == wanted
        costs = self.facts.costs
        cheap = [a for a in node.args if not self.missing([a])]
        costly = sorted((a for a in node.args if self.missing([a])), key=costs.cost)
        joiner = " or " if choice else " and "
        say = self.x.true if wanted else self.x.false
        start = joiner.join(wrap_or(say(a)) for a in cheap) if cheap else self.branch(costly.pop(0), wanted)
        if not costly:
            return f"({start})" if choice else start
        result = self._fresh("holds")
        self.line(f"{result} = {start}")
        for a in costly:
            with self.block(f"if not {result}:" if choice else f"if {result}:"):
                self.line(f"{result} = {self.branch(a, wanted)}")
        return result

    def _write_hit(self, rule: LoweredRule) -> None:
        """What is noted of a rule that matched."""
        index = self.numbers[rule.name]
        self.prepare(effect_nodes(rule))
        held = self._held_back(rule)
        if rule.name in self.facts.fired:
            if held == "None":
                self.line(f"{self.flags[rule.name]} = True")
            else:
                self.line(f"held = {held}")
                self.line(f"{self.flags[rule.name]} = held is None")
                held = "held"
        message = self.x.value(rule.because) if rule.because is not None else "None"
        values = [self._effect(e) for e in rule.effects]
        self.line(
            f"hits.append(({index}, {held}, {message}, ({', '.join(values)}{',' * (len(values) == 1)})))"
        )

    def _held_back(self, rule: LoweredRule) -> str:
        """An expression with the reason why a rule that matched does not fire, or None."""
        out = "None"
        if rule.share is not None:
            inside = self.names.take("helper", "inside", "inside")
            keys = "".join(f"{self.x.value(k)}, " for k in rule.bucket)
            out = f"None if {inside}({rule.first_name!r}, {rule.share!r}, ({keys})) else 'rollout'"
        for name in reversed(rule.exempt_by):
            if self._rule(name) is not None and (self._rule(name) or rule).live:
                out = f"{'exempt by ' + name!r} if {self.flags[name]} else {out}"
        return out

    def _effect(self, effect: LoweredEffect) -> str:
        """The values of an effect: its target or payload, then its limit's key."""
        parts: list[str] = []
        if effect.target is not None:
            parts.append(self.x.value(effect.target))
        elif effect.kind == "send":
            pairs = (f"{name!r}: {self.x.value(n)}" for name, n, _ in effect.payload)
            parts.append("{" + ", ".join(pairs) + "}")
        else:
            parts.append("None")
        if effect.limit is not None:
            keys = "".join(f"{self.x.value(k)}, " for k in effect.limit.keys)
            parts.append(f"({keys})")
        return f"({', '.join(parts)},)"


def _comment(text: str) -> str:
    """A comment of one line, whatever the names of rules and files are: nothing in it can end it."""
    return "# " + "".join(c if c.isprintable() else "?" for c in text)


def _docstring(text: str) -> str:
    """A docstring. A name in backquotes may hold quotes and backslashes, which must not end it."""
    plain = text.isprintable() and '"' not in text and "\\" not in text
    return f'"""{text}"""' if plain else repr(text)
