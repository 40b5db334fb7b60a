"""Expressions to graph nodes, checked on the way: types, missing values, entity kinds.

An expression means something on an event, so it is lowered once per event type that uses it; the same
complaint from two events is one complaint. `Lowerer.expr` gives a node, or None when something was
reported, and then whatever contains it stays silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quell.engine import (
    lower_calls,
    lower_counted_events,
    lower_counters,
    lower_lists,
    lower_models,
    lower_operators,
    lower_remote,
)
from quell.engine.graph import Graph, TooLarge
from quell.engine.lowered import Store
from quell.engine.operations import EARLIEST, LARGEST, LATEST, LONGEST
from quell.engine.symbols import Symbols
from quell.engine.unknown_names import unknown_name
from quell.grammar import tree
from quell.grammar.diagnostics import Report, did_you_mean
from quell.grammar.literals import spell_path
from quell.grammar.source import NOWHERE, Span
from quell.grammar.types import BOOL, DURATION, MISSING, NUMBER, REGEX, TEXT, TIME, Type, is_event
from quell.signals.models import Model
from quell.signals.remote_types import RemoteSpec

EXTENT: dict[str, tuple[float, float]] = {
    "number": (-LARGEST, LARGEST),
    "time": (EARLIEST, LATEST),
    "duration": (-LONGEST, LONGEST),
}
"""The least and greatest value of a type, in microseconds for times and durations."""

MAX_ENTERED = 10_000
"""Functions, scores and lets that one of them may use, each counted every time it is worked out."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands: on which event, with which elements and parameters, read by what.

    `shadow` says that a shadow rule is reading, which sees the firings of shadow rules; `counting` that
    the expression stands inside a counter; `depth` counts the element variables around it.
    """

    event: str
    names: Mapping[str, int] = field(default_factory=dict)
    shadow: bool = False
    counting: bool = False
    depth: int = 0

    def bind(self, name: str, node: int) -> Scope:
        """This scope with one more element variable."""
        return replace(self, names={**self.names, name: node}, depth=self.depth + 1)


MAX_NESTED = 110
"""How many expressions may stand inside one another, those of lets counted where they are used. Python's
own stack and its compiler hold more than what this makes."""
MAX_NESTED_ELEMENTS = 60
"""The same where an element of a list is looked at: such expressions cannot be kept in variables."""


@dataclass(slots=True)
class Lowerer:
    """The graphs under construction, one per event type, and the counters' stores they share.

    `counted` says of every node that stands for a counted event what was written. `here` is the declaration
    being lowered, for what is told of the whole. `injected` names lets, scores and models whose value a test
    may supply; without one they are what they are.
    """

    symbols: Symbols
    report: Report
    injected: frozenset[str] = frozenset()
    graphs: dict[str, Graph] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)
    counted: dict[tuple[str, int], tuple[tree.Counter, Scope]] = field(default_factory=dict)
    remotes: dict[str, RemoteSpec] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    here: Span = NOWHERE
    _lets: dict[tuple[str, str, bool, bool], int | None] = field(default_factory=dict)
    _fields: dict[tuple[str, str], int] = field(default_factory=dict)
    _stack: list[str] = field(default_factory=list)
    _entered: int = 0
    _depth: int = 0

    def graph(self, event: str) -> Graph:
        """The graph of an event type."""
        if event not in self.graphs:
            self.graphs[event] = Graph(event)
        return self.graphs[event]

    # ---------------------------------------------------------- expressions

    def expr(self, node: tree.Expr, scope: Scope, *, events: bool = False) -> int | None:
        """The node of an expression, or None when something in it was reported. Only where `events` says so
        may it stand for a counted event."""
        if self._depth >= (MAX_NESTED_ELEMENTS if scope.depth else MAX_NESTED):
            self._too_deep(node)
            return None
        self._depth += 1
        try:
            made = _LOWER[type(node)](self, node, scope)
        finally:
            self._depth -= 1
        if made is None:
            return None
        graph = self.graph(scope.event)
        graph.spans.setdefault(made, node.span)
        if not events and is_event(graph[made].type):
            lower_counted_events.refuse(self, node, made, scope.event)
            return None
        return made

    def _too_deep(self, node: tree.Expr) -> None:
        through = ": " + " → ".join([*self._stack[:3], "…"]) if self._stack else ""
        self.report.add(
            "too-deep",
            f"this stands on too many other expressions, one inside the other{through}",
            self.here if self.here is not NOWHERE else node.span,
            hint="shorten the chain: let fewer lets use one another",
        )

    def condition(self, node: tree.Expr, scope: Scope, what: str = "this") -> int | None:
        """The node of something that must be true or false."""
        made = self.expr(node, scope)
        if made is None:
            return None
        type_ = self.graph(scope.event)[made].type
        if type_.kind not in ("bool", "missing"):
            self.report.add(
                "not_a_condition".replace("_", "-"),
                f"{what} is a {type_.present()}, not a condition",
                node.span,
                hint=_condition_hint(type_),
            )
            return None
        return made

    def typed(self, node: tree.Expr, scope: Scope, *, events: bool = False) -> tuple[int, Type] | None:
        """The node of an expression and its type."""
        made = self.expr(node, scope, events=events)
        return None if made is None else (made, self.graph(scope.event)[made].type)

    def constant(self, node: tree.Expr, scope: Scope, kind: str, what: str) -> Any | None:
        """The value of an expression of a kind that must be known before anything runs."""
        made = self.typed(node, scope)
        if made is None:
            return None
        number, type_ = made
        graph = self.graph(scope.event)
        if type_.kind != kind:
            hint = "write a duration such as 10m" if kind == "duration" else None
            self.report.add(
                "type-mismatch", f"{what} must be a {kind}, and this is a {type_}", node.span, hint=hint
            )
            return None
        if not graph.is_const(number) or graph.value(number) is None:
            self.report.add(
                "not-constant",
                f"{what} must be the same for every event",
                node.span,
                hint="write it out, such as 10m",
            )
            return None
        return graph.value(number)

    # ---------------------------------------------------------------- names

    def name(self, node: tree.Name, scope: Scope) -> int | None:
        """The node of a name used as a value."""
        symbols, name = self.symbols, node.name
        if name in scope.names:
            return scope.names[name]
        schema = symbols.schemas.get(scope.event)
        declared = schema.field(name) if schema is not None else None
        if declared is not None:
            return self.field(scope.event, name)
        if name in symbols.lets:
            return self._let(name, node.span, scope)
        if name in symbols.scores:
            return self._injected_or(name, scope, lambda: self._score(name, scope))
        if name in symbols.models:
            return self._injected_or(name, scope, lambda: self._model(name, scope))
        if name in symbols.lists:
            self.report.add(
                "type-mismatch",
                f"`{name}` is a list file, not a value",
                node.span,
                hint=f"write … in {name}, … matches {name}, found(…, {name}) or {name}[…]",
            )
            return None
        return self._unknown(name, node.span, scope)

    def _unknown(self, name: str, span: Span, scope: Scope) -> int | None:
        symbols = self.symbols
        if name in symbols.field_events:
            having = ", ".join(f"`{e}`" for e in sorted(symbols.field_events[name])[:3])
            self.report.add(
                "not-on-event",
                f"`{scope.event}` has no field `{name}`",
                span,
                hint=f"it is a field of {having}",
            )
            return None
        if (
            name in symbols.events
            or name in symbols.rules
            or name in symbols.entities
            or name in symbols.shapes
        ):
            kind = next(k for k, t in _KINDS if name in getattr(symbols, t))
            hint = f"write fired {name}" if kind == "rule" else None
            self.report.add("unknown-name", f"`{name}` is a {kind}, not a value", span, hint=hint)
            return None
        message, hint = unknown_name(symbols, name, span, scope.names)
        self.report.add("unknown-name", message, span, hint=hint)
        return None

    def field(self, event: str, name: str) -> int:
        """The leaf of a field."""
        known = self._fields.get((event, name))
        if known is not None:
            return known
        declared = self.symbols.schemas[event].field(name)
        assert declared is not None
        made = self.graph(event).add(
            "field",
            (),
            (name,),
            declared.type,
            bounds=EXTENT.get(declared.type.kind),
            whole=declared.type.kind != "number",
            said=("field", spell_path(declared.path)),
        )
        self._fields[(event, name)] = made
        return made

    def clock(self, event: str) -> int:
        """The leaf with the time at which an event counts: what counters and labels are read at."""
        return self.graph(event).add("clock", (), (), TIME, bounds=EXTENT["time"], whole=True)

    def _let(self, name: str, span: Span, scope: Scope) -> int | None:
        let = self.symbols.lets[name]
        if let.parameters is not None:
            self.report.add(
                "wrong-arguments",
                f"`{name}` is a function",
                span,
                hint=f"write {name}({', '.join('…' for _ in let.parameters)})",
            )
            return None
        return self._injected_or(name, scope, lambda: self.let_value(name, scope))

    def let_value(self, name: str, scope: Scope) -> int | None:
        """The node of a let without parameters on an event."""
        key = (scope.event, name, scope.shadow, scope.counting)
        if key in self._lets:
            return self._lets[key]
        let = self.symbols.lets[name]
        if not self.enter(name, let.name.span):
            return None
        try:
            made = self.expr(let.body, _own(scope), events=True)
        finally:
            self._stack.pop()
        self._lets[key] = made
        return made

    def _model(self, name: str, scope: Scope) -> int | None:
        """The node of a model on an event."""
        key = (scope.event, name, scope.shadow, scope.counting)
        if key not in self._lets:
            lower = lower_remote.remote if self.symbols.models[name].remote else lower_models.model
            self._lets[key] = lower(self, name, _own(scope))
        return self._lets[key]

    def _score(self, name: str, scope: Scope) -> int | None:
        """The node of a score on an event."""
        key = (scope.event, name, scope.shadow, scope.counting)
        if key not in self._lets:
            self._lets[key] = lower_lists.score(self, self.symbols.scores[name], _own(scope))
        return self._lets[key]

    def reasons(self, name: str, scope: Scope) -> int | None:
        """The node of a score's reasons on an event. Kept like a let: reasons that name other reasons
        twice, over and over, would otherwise be worked out endlessly."""
        key = (scope.event, f"{name}\0reasons", scope.shadow, scope.counting)
        if key not in self._lets:
            self._lets[key] = lower_lists.reasons(self, self.symbols.scores[name], _own(scope))
        return self._lets[key]

    def enter(self, name: str, span: Span) -> bool:
        """Begin to work a name out; False, and reported, when it is being worked out already.

        Functions that use others twice, over and over, are many times their text; past MAX_ENTERED
        TooLarge is raised.
        """
        self._entered = self._entered + 1 if self._stack else 1
        if self._entered > MAX_ENTERED:
            raise TooLarge(f"`{self._stack[0]}` uses other functions and scores over {MAX_ENTERED:,} times")
        if name not in self._stack:
            self._stack.append(name)
            return True
        ring = [*self._stack[self._stack.index(name) :], name]
        self.report.add(
            "cycle",
            f"`{name}` needs itself: " + " → ".join(ring),
            span,
            hint="a let cannot use itself, not even through others",
        )
        return False

    def leave(self) -> None:
        """End what `enter` began."""
        self._stack.pop()

    def _injected_or(self, name: str, scope: Scope, make: Callable[[], int | None]) -> int | None:
        if name not in self.injected:
            return make()
        made = make()
        if made is None:
            return None
        type_ = self.graph(scope.event)[made].type
        return self.graph(scope.event).add(
            "injected", (made,), (name,), type_.maybe(), bounds=EXTENT.get(type_.kind)
        )


_KINDS = (("event", "events"), ("rule", "rules"), ("entity", "entities"), ("shape", "shapes"))


def _own(scope: Scope) -> Scope:
    """The scope of a declaration that is used in `scope`: it sees no parameter or element from there."""
    return Scope(scope.event, shadow=scope.shadow, counting=scope.counting)


def _condition_hint(type_: Type) -> str | None:
    if type_.kind == "number":
        return "compare it, such as > 0"
    if type_.kind == "list":
        return "write any … or size(…) > 0"
    if type_.kind == "text":
        return 'compare it, such as == "…" or != ""'
    return None


def _literal(type_: Type) -> Callable[[Lowerer, Any, Scope], int]:
    def lower(low: Lowerer, node: Any, scope: Scope) -> int:
        return low.graph(scope.event).const(node.value, type_)

    return lower


def _duration(low: Lowerer, node: tree.Duration, scope: Scope) -> int:
    return low.graph(scope.event).const(node.micros, DURATION)


def _missing(low: Lowerer, node: tree.Missing, scope: Scope) -> int:
    return low.graph(scope.event).const(None, MISSING)


def _regex(low: Lowerer, node: tree.Regex, scope: Scope) -> int | None:
    if not lower_operators.pattern_ok(low, node):
        return None
    return low.graph(scope.event).const((node.pattern, node.flags), REGEX)


def _group(low: Lowerer, node: tree.Group, scope: Scope) -> int | None:
    return low.expr(node.inner, scope, events=True)


def _text(low: Lowerer, node: tree.Text, scope: Scope) -> int | None:
    return template(low, node, scope, "join")


def template(low: Lowerer, node: tree.Text, scope: Scope, op: str) -> int | None:
    """Text with expressions in braces: `join` is missing when one of them is, `tell` prints `?`."""
    graph = low.graph(scope.event)
    if node.plain is not None:
        return graph.const(node.plain, TEXT)
    args: list[int] = []
    data: list[str | Type] = []
    optional = False
    for part in node.parts:
        if isinstance(part, str):
            data.append(part)
            continue
        made = low.typed(part, scope)
        if made is None:
            return None
        if made[1].kind == "regex":
            low.report.add("type-mismatch", "a pattern cannot stand in text", part.span)
            return None
        args.append(made[0])
        data.append(lower_lists.with_columns(low, made[1].present()))
        optional = optional or made[1].optional
    type_ = TEXT.maybe() if optional and op == "join" else TEXT
    return graph.add(op, args, tuple(data), type_)


def _fired(low: Lowerer, node: tree.Fired, scope: Scope) -> int | None:
    name = node.rule.name
    if name not in low.symbols.rules:
        low.report.add(
            "unknown-rule",
            f"there is no rule `{name}`",
            node.rule.span,
            hint=did_you_mean(name, low.symbols.rules),
        )
        return None
    if scope.counting:
        low.report.add(
            "bad-counter",
            "a counter counts before any rule is decided, so `fired` cannot stand inside",
            node.span,
            hint=f"count the firings: count(fired {name} by … within …)",
        )
        return None
    return low.graph(scope.event).add("fired", (), (name, scope.shadow), BOOL)


_LOWER: dict[type[tree.Expr], Callable[[Lowerer, Any, Scope], int | None]] = {
    tree.Number: _literal(NUMBER),
    tree.Bool: _literal(BOOL),
    tree.Duration: _duration,
    tree.Missing: _missing,
    tree.Regex: _regex,
    tree.Text: _text,
    tree.Group: _group,
    tree.Name: Lowerer.name,
    tree.Fired: _fired,
    tree.Unary: lower_operators.unary,
    tree.Binary: lower_operators.binary,
    tree.Compare: lower_operators.compare,
    tree.Junction: lower_operators.junction,
    tree.Is: lower_operators.is_,
    tree.Word: lower_operators.word,
    tree.ListLiteral: lower_lists.literal,
    tree.Record: lower_lists.stray_record,
    tree.Attribute: lower_lists.attribute,
    tree.Index: lower_lists.index,
    tree.Quantified: lower_lists.quantified,
    tree.Filter: lower_lists.filtered,
    tree.Call: lower_calls.call,
    tree.Counter: lower_counters.counter,
}
