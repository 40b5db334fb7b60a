"""Well-typed expressions as text, for every construct of the language.

A kind is a word: bool, number, text, time, duration, ip, User, Server, enum, `item` (a record), or
``list<kind>``. An expression is its text and how tightly it binds, so that parentheses stand where they
must and sometimes where they need not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from quell.grammar.types import Type
from quell.signals.functions import REGISTRY
from quell.signals.registry import Function, Parameter
from tests.strategies_words import (
    COLOURS,
    ELEMENT_NAMES,
    IDS,
    LITERALS,
    REGEXES,
    TEXTS,
    ZONES,
    Dice,
    quote,
    spell,
)

OR, AND, NOT, COMPARE, COALESCE, ADD, MULTIPLY, NEGATE, ATOM = range(9)
SCALARS = ("number", "text", "bool", "duration", "time", "User", "Server", "enum", "ip")
TEXTUAL = ("text", "User", "Server", "enum", "ip")
ORDERED = ("number", "duration", "time", "text")
KEYS = ("User", "text", "Server", "number", "bool", "enum", "ip", "time", "duration")


class Expr(NamedTuple):
    """An expression's text and how tightly it binds."""

    text: str
    level: int = ATOM


@dataclass(frozen=True, slots=True)
class Value:
    """Something with a name: a field, a let, a function of the bundle, a score.

    `needs` are the fields that an event must have for it; `fired` says that it looks at firings; `counter`
    are the events that something of kind `event` may stand for.
    """

    name: str
    kind: str
    needs: frozenset[str] = frozenset()
    fired: bool = False
    parameters: tuple[str, ...] | None = None
    counter: tuple[str, ...] = ()
    score: bool = False


@dataclass(slots=True)
class World:
    """What a bundle has declared so far. `events` gives the fields of each event; `sources` the events that
    each name a counter may count stands for. `focus` says what the bundle is about: `values` of expressions,
    `state`, or any."""

    focus: str = "any"
    fields: dict[str, str] = field(default_factory=dict)
    events: dict[str, frozenset[str]] = field(default_factory=dict)
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    item: dict[str, str] = field(default_factory=dict)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    rules: dict[str, tuple[str, ...]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    @property
    def short(self) -> bool:
        """Whether windows are of seconds and values often the same."""
        return self.focus in ("state", "counters")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: the fields it may use, element variables, the events it is on."""

    fields: frozenset[str]
    events: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    counting: bool = False
    firings: bool = True
    plain: bool = False


def is_list(kind: str) -> bool:
    """Whether a kind is a list's."""
    return kind.startswith("list<")


def element(kind: str) -> str:
    """The kind of a list's elements."""
    return kind[5:-1]


class Maker:
    """Makes expressions. `needs` and `fired` gather what they use."""

    def __init__(self, world: World, dice: Dice) -> None:
        self.world = world
        self.dice = dice
        self.needs: set[str] = set()
        self.fired = False
        self.budget = 60

    # ------------------------------------------------------------ front door

    def make(self, kind: str, place: Place, depth: int = 2, least: int = OR) -> str:
        """The text of an expression that binds at least as tightly as `least`."""
        made = self._any(kind, place, depth)
        loose = made.level < least or (made.level < ATOM and self.dice.chance(10))
        return f"({made.text})" if loose else made.text

    def _any(self, kind: str, place: Place, depth: int) -> Expr:
        self.budget -= 1
        if depth <= 0 or self.budget <= 0 or self.dice.chance(10 if self.world.focus == "values" else 25):
            return self._leaf(kind, place)
        if is_list(kind):
            return self._list(kind, place, depth - 1)
        return _MAKERS[kind](self, place, depth - 1)

    # --------------------------------------------------------------- leaves

    def _leaf(self, kind: str, place: Place) -> Expr:
        options: list[Value | str] = [n for n, k in place.names.items() if k == kind]
        options += [
            Value(n, kind, frozenset((n,)))
            for n, k in sorted(self.world.fields.items())
            if k == kind and n in place.fields
        ]
        options += [
            v for v in self.world.values if v.kind == kind and v.parameters is None and self.fits(v, place)
        ]
        if self.world.short and kind == "User" and self.dice.chance(60):
            return self.use(_AUTHOR)
        if options and not self.dice.chance(12 if self.world.focus == "values" else 25):
            chosen = self.dice.pick(options)
            return Expr(spell(chosen)) if isinstance(chosen, str) else self.use(chosen)
        return self._literal(kind, place)

    def fits(self, value: Value, place: Place) -> bool:
        """Whether a named value may stand in a place."""
        return (
            value.needs <= place.fields
            and (place.firings or not value.fired)
            and not (value.fired and place.counting)
        )

    def use(self, value: Value) -> Expr:
        """A named value."""
        self.needs |= value.needs
        self.fired = self.fired or value.fired
        return Expr(spell(value.name))

    def _simple(self, place: Place) -> Expr:
        """A condition that is true now and then."""
        choice = self.dice.below(6)
        if choice == 0:
            return Expr(f"{self.use(_AUTHOR).text} == {quote(self.dice.pick(IDS))}", COMPARE)
        if choice == 1:
            return Expr(
                f"{self.use(_CONTENT).text} contains {quote(self.dice.pick(('a', '', 'e')))}", COMPARE
            )
        if choice == 2:
            return Expr(
                f"{self.use(_AUTHOR).text} labelled {quote(self.dice.lean(self.world.labels['User']))}",
                COMPARE,
            )
        if choice == 3:
            return self.stateful(place, 0)
        if choice == 4:
            return Expr(self.dice.pick(("true", "true", "false")))
        name = self.dice.pick(sorted(n for n in place.fields if n in self.world.fields))
        return Expr(f"{self.use(Value(name, '', frozenset((name,)))).text} is present", COMPARE)

    def _literal(self, kind: str, place: Place) -> Expr:
        if kind == "bool" and not place.plain:
            return self._simple(place)
        if is_list(kind):
            inner = element(kind)
            if inner == "item":
                return self._items()
            items = [self._leaf(inner, place).text for _ in range(self.dice.between(1, 3))]
            if self.dice.chance(5):
                items.append("missing")
            return Expr("[" + ", ".join(items) + "]")
        if kind == "enum":
            return self.use(Value("colour", "enum", frozenset(("colour",))))
        if kind == "item":
            return Expr(f"first({self._items().text})")
        return Expr(self.dice.pick(LITERALS[kind]) if not place.plain else _SHORT[kind])

    def _items(self) -> Expr:
        return self.use(Value("items", "list<item>", frozenset(("items",))))

    # --------------------------------------------------------------- numbers

    def number(self, place: Place, depth: int) -> Expr:
        """A number."""
        choice = self.dice.below(11)
        if choice <= 2:
            op, level = self.dice.pick(
                (("+", ADD), ("-", ADD), ("*", MULTIPLY), ("/", MULTIPLY), ("//", MULTIPLY), ("%", MULTIPLY))
            )
            left, right = (
                self.make("number", place, depth, level),
                self.make("number", place, depth, level + 1),
            )
            return Expr(f"{left} {op} {right}", level)
        if choice <= 4 and not place.plain and self.world.focus != "values":
            return self.counter(place, depth)
        if choice == 5:
            return Expr(f"-{self.make('number', place, depth, NEGATE)}", NEGATE)
        if choice == 6:
            op = self.dice.pick(("/", "//"))
            return Expr(
                f"{self.make('duration', place, depth, MULTIPLY)} {op} {self.make('duration', place, depth, NEGATE)}",
                MULTIPLY,
            )
        if choice == 7:
            return Expr(f"size({self.make(self._some_list(), place, depth)})")
        return self._general("number", place, depth)

    def counter(
        self, place: Place, depth: int, kind: str = "number", lists: bool = False, reach: bool = False
    ) -> Expr:
        """A counter that gives a kind of value; with `lists` one that is read under a list, with `reach` one
        that `reaches` may follow. Where there is none, a plain value."""
        from tests.strategies_counters import counter, of_named

        if not lists and not reach and self.dice.chance(20):
            made = of_named(self, kind, place)
            if made is not None:
                return made
        made = counter(self, place, depth, kind, lists, reach)
        return made if made is not None else self._leaf(f"list<{kind}>" if lists else kind, place)

    # ------------------------------------------------------------ conditions

    def condition(self, place: Place, depth: int) -> Expr:
        """A bool."""
        return self.dice.pick(_PLAIN_CONDITIONS if place.plain else _CONDITIONS)(self, place, depth)

    def junction(self, place: Place, depth: int) -> Expr:
        """`and` or `or`."""
        op, level = self.dice.pick((("and", AND), ("or", OR)))
        parts = [self.make("bool", place, depth, level + 1) for _ in range(self.dice.between(2, 3))]
        if self.dice.chance(3):
            parts.append("missing")
        return Expr(f" {op} ".join(parts), level)

    def negation(self, place: Place, depth: int) -> Expr:
        """`not`."""
        return Expr(f"not {self.make('bool', place, depth, NOT)}", NOT)

    def comparison(self, place: Place, depth: int) -> Expr:
        """A comparison or a chain of them."""
        kind = self.dice.pick(ORDERED)
        parts = [self.make(kind, place, depth, COALESCE)]
        for _ in range(self.dice.pick((1, 1, 1, 2))):
            parts += [
                self.dice.pick((">", ">=", "<", "<=", "==", "!=")),
                self.make(kind, place, depth, COALESCE),
            ]
        return Expr(" ".join(parts), COMPARE)

    def equality(self, place: Place, depth: int) -> Expr:
        """`==` or `!=`, of every kind there is."""
        kind = self.dice.pick(("User", "enum", "ip", "bool", "Server", "list<text>", "list<number>"))
        op = self.dice.pick(("==", "!="))
        left = self.make(kind, place, depth, COALESCE)
        if kind == "enum":
            right = quote(self.dice.pick(COLOURS[:3]))
        elif kind == "ip" and self.dice.chance(50):
            texts = ("10.0.0.1", "2001:DB8::1", "::FFFF:10.0.0.2", "nothing")
            right = (
                quote(self.dice.pick(texts))
                if self.dice.chance(50)
                else self.make("text", place, depth, COALESCE)
            )
        elif kind in ("User", "Server") and self.dice.chance(30):
            right = quote(self.dice.pick(("u1", "s1", "")))
        else:
            right = self.make(kind, place, depth, COALESCE)
        return Expr(f"{left} {op} {right}", COMPARE)

    def word(self, place: Place, depth: int) -> Expr:
        """`contains`, `matches` and their kin."""
        left = self.make(self._textual(), place, depth, COALESCE)
        return Expr(f"{left} {self._word_tail(place, depth)}", COMPARE)

    def _word_tail(self, place: Place, depth: int) -> str:
        negated = "not " if self.dice.chance(20) else ""
        choice = self.dice.below(5)
        searched = [n for n, k in sorted(self.world.lists.items()) if k in ("words", "patterns")]
        looked_up = [n for n, k in sorted(self.world.lists.items()) if k not in ("words", "patterns")]
        if choice == 0 and not place.plain:
            return f"{negated}matches {self.dice.pick(REGEXES)}"
        if choice == 1 and searched:
            return f"{negated}matches {spell(self.dice.pick(searched))}"
        if choice == 2 and looked_up:
            return f"{negated}in {spell(self.dice.pick(looked_up))}"
        op = self.dice.pick(("contains", "starts with", "ends with"))
        return f"{negated}{op} {self.make('text', place, depth, COALESCE)}"

    def membership(self, place: Place, depth: int) -> Expr:
        """`in` and `contains` with lists."""
        kind = self.dice.pick(("text", "number", "User", "enum", "ip", "duration"))
        value = self.make(kind, place, depth, COALESCE)
        if kind == "enum":
            items = '["red", "violet"]'
        elif kind == "ip" and self.dice.chance(50):
            items = (
                '["10.0.0.1", "2001:DB8::1"]'
                if self.dice.chance(50)
                else self.make("list<text>", place, depth, COALESCE)
            )
        else:
            items = self.make(f"list<{kind}>", place, depth, COALESCE)
        negated = "not " if self.dice.chance(20) else ""
        if self.dice.chance(30):
            return Expr(f"{items} {negated}contains {value}", COMPARE)
        return Expr(f"{value} {negated}in {items}", COMPARE)

    def quantified(self, place: Place, depth: int) -> Expr:
        """`any`, `all` or `none`."""
        word = self.dice.pick(("any", "all", "none"))
        choice = self.dice.below(6)
        if choice == 0:
            xs = self.make(f"list<{self.dice.pick(('text', 'User'))}>", place, depth, COALESCE)
            return Expr(f"{word} {xs} {self._word_tail(place, depth)}", COMPARE)
        if choice == 1 and not place.plain:
            return Expr(
                f"{word} {self.counter(place, depth, lists=True).text} >= {self.make('number', place, 0, COALESCE)}",
                COMPARE,
            )
        if choice == 2:
            xs = self.make("list<User>", place, depth, COALESCE)
            return Expr(f"{word} {xs} labelled {quote(self.dice.lean(self.world.labels['User']))}", COMPARE)
        if choice == 3:
            return Expr(f"{word} {self.make('list<bool>', place, depth, COALESCE)}", COMPARE)
        kind = self.dice.pick(("number", "text", "duration"))
        xs, x = self.make(f"list<{kind}>", place, depth, COALESCE), self.make(kind, place, depth, COALESCE)
        return Expr(f"{word} {xs} {self.dice.pick(('>', '<=', '==', '!='))} {x}", COMPARE)

    def presence(self, place: Place, depth: int) -> Expr:
        """`is missing` and `is present`."""
        kind = self.dice.pick((*SCALARS, "list<text>", "bool", "number"))
        negated = "not " if self.dice.chance(20) else ""
        if self.dice.chance(20) and not place.plain and self.world.focus != "values":
            text = self.counter(place, depth, "event").text
            if text.startswith(("first(", "last(")):
                return Expr(f"{text} is {negated}missing", COMPARE)
        return Expr(
            f"{self.make(kind, place, depth, COALESCE)} is {negated}{self.dice.pick(('missing', 'present'))}",
            COMPARE,
        )

    def stateful(self, place: Place, depth: int) -> Expr:
        """Labels, firings, `reaches`, counters compared."""
        choice = self.dice.below(7)
        rules = sorted(self.world.rules) if place.firings and not place.counting else []
        if choice == 0 and rules:
            self.fired = True
            return Expr(f"fired {spell(self.dice.pick(rules))}")
        if choice == 1 and not place.plain and place.events and not place.names:
            kind, edges = self.dice.pick(_EDGES)
            made = self.counter(place, depth, kind, reach=True)
            if "(" in made.text and _REACHING.match(made.text):
                negated = "not " if self.dice.chance(15) else ""
                return Expr(f"{made.text} {negated}reaches {self.dice.pick(edges)}", COMPARE)
        if choice <= 3 and not place.plain:
            op = self.dice.pick((">=", ">", "<", "==", "!="))
            return Expr(f"{self.counter(place, depth).text} {op} {self.dice.below(4)}", COMPARE)
        named = [
            v
            for v in self.world.values
            if v.kind == "number" and v.parameters is None and self.fits(v, place)
        ]
        if choice == 4 and named:
            return Expr(
                f"{self.use(self.dice.pick(named)).text} {self.dice.pick(('>', '<='))} {self.dice.below(3)}",
                COMPARE,
            )
        kind = self.dice.lean(("User", "User", "Server"))
        labels = self.world.labels[kind]
        if not labels:
            return self.comparison(place, depth)
        negated = "not " if self.dice.chance(20) else ""
        carrier = (
            self.use(_AUTHOR).text
            if kind == "User" and self.dice.chance(60)
            else self.make(kind, place, depth, COALESCE)
        )
        return Expr(f"{carrier} {negated}labelled {quote(self.dice.lean(labels))}", COMPARE)

    def truth(self, place: Place, depth: int) -> Expr:
        """A bool that is a value."""
        return self._general("bool", place, depth)

    # ------------------------------------------------------- the other kinds

    def text(self, place: Place, depth: int) -> Expr:
        """A text."""
        if self.dice.chance(25) and not place.plain:
            return Expr(self.template(place))
        return self._general("text", place, depth)

    def template(self, place: Place) -> str:
        """Text with expressions in braces."""
        inner = replace(place, plain=True)
        out = []
        for _ in range(self.dice.between(1, 3)):
            if self.dice.chance(50):
                out.append(quote(self.dice.pick(TEXTS[1:9]))[1:-1])
            kind = self.dice.pick(
                (*SCALARS, "list<text>", "list<number>", "bool", "list<time>", "item", "list<item>")
            )
            out.append("{" + self.make(kind, inner, self.dice.below(2)) + "}")
        return '"' + "".join(out) + '"'

    def time(self, place: Place, depth: int) -> Expr:
        """A time."""
        choice = self.dice.below(4)
        if choice == 0:
            return Expr(
                f"{self.make('time', place, depth, ADD)} + {self.make('duration', place, depth, MULTIPLY)}",
                ADD,
            )
        if choice == 1:
            return Expr(
                f"{self.make('time', place, depth, ADD)} - {self.make('duration', place, depth, MULTIPLY)}",
                ADD,
            )
        if choice == 2:
            return Expr(
                f"{self.make('duration', place, depth, ADD)} + {self.make('time', place, depth, MULTIPLY)}",
                ADD,
            )
        return self._general("time", place, depth)

    def duration(self, place: Place, depth: int) -> Expr:
        """A duration."""
        choice = self.dice.below(7)
        if choice == 0:
            return Expr(
                f"{self.make('time', place, depth, ADD)} - {self.make('time', place, depth, MULTIPLY)}", ADD
            )
        if choice == 1:
            op = self.dice.pick("+-")
            return Expr(
                f"{self.make('duration', place, depth, ADD)} {op} {self.make('duration', place, depth, MULTIPLY)}",
                ADD,
            )
        if choice == 2:
            op = self.dice.pick("*/")
            return Expr(
                f"{self.make('duration', place, depth, MULTIPLY)} {op} {self.make('number', place, depth, NEGATE)}",
                MULTIPLY,
            )
        if choice == 3:
            return Expr(
                f"{self.make('number', place, depth, MULTIPLY)} * {self.make('duration', place, depth, NEGATE)}",
                MULTIPLY,
            )
        if choice == 4:
            return Expr(f"-{self.make('duration', place, depth, NEGATE)}", NEGATE)
        if choice == 5 and not place.plain:
            return Expr(
                f"label_age({self.make('User', place, depth)}, {quote(self.dice.lean(self.world.labels['User']))})"
            )
        return self._general("duration", place, depth)

    def address(self, place: Place, depth: int) -> Expr:
        """An IP address."""
        return self._general("ip", place, depth)

    def user(self, place: Place, depth: int) -> Expr:
        """An entity."""
        if self.dice.chance(20) and not place.plain:
            return Expr(f"User({self.make(self._textual(), place, depth)})")
        return self._general("User", place, depth)

    def _textual(self) -> str:
        return self.dice.pick(("text", "text", *TEXTUAL))

    def _some_list(self) -> str:
        return f"list<{self.dice.pick(('text', 'number', 'User', 'text', 'item', 'ip', 'bool'))}>"

    # ------------------------------------------ what every kind of value has

    def _general(self, kind: str, place: Place, depth: int) -> Expr:
        """`??`, functions, records, tables, the first of a list, counters."""
        choice = self.dice.below(8)
        if not place.plain and self.dice.chance(_COUNTERS[self.world.focus]):
            return self.counter(place, depth, kind)
        if choice == 0:
            right = "missing" if self.dice.chance(10) else self.make(kind, place, depth, ADD)
            return Expr(f"{self.make(kind, place, depth, COALESCE)} ?? {right}", COALESCE)
        if choice == 1 and kind != "bool":
            return Expr(f"{self.dice.pick(('first', 'last'))}({self.make(f'list<{kind}>', place, depth)})")
        if choice == 2 and not place.plain:
            columns = [
                (t, c) for t, cs in sorted(self.world.tables.items()) for c, k in cs.items() if k == kind
            ]
            if columns:
                table, column = self.dice.pick(columns)
                return Expr(f"{spell(table)}[{self.make(self._textual(), place, depth)}].{spell(column)}")
        if choice == 3 and "items" in place.fields:
            members = [m for m, k in sorted(self.world.item.items()) if k == kind]
            if members:
                return Expr(f"{self.make('item', place, depth, ATOM)}.{spell(self.dice.pick(members))}")
        if choice == 4:
            own = [
                v
                for v in self.world.values
                if v.kind == kind and v.parameters is not None and self.fits(v, place)
            ]
            if own and not place.plain:
                return self._own(self.dice.pick(own), place, depth)
        return self._function(kind, place, depth)

    def _own(self, value: Value, place: Place, depth: int) -> Expr:
        args = [
            "missing" if self.dice.chance(4) else self.make(k, place, depth) for k in value.parameters or ()
        ]
        return Expr(f"{self.use(value).text}({', '.join(args)})")

    def _function(self, kind: str, place: Place, depth: int) -> Expr:
        rows = _FUNCTIONS.get(kind, ())
        rows = tuple(r for r in rows if not (place.plain and _literal_text(r)))
        if not rows:
            return self._leaf(kind, place)
        row = self.dice.pick(rows)
        if row.attribute and self.dice.chance(40):
            return Expr(f"{self.make('text', place, depth, ATOM)}.{row.name}")
        parameters = list(row.parameters)
        if row.variadic:
            parameters += [parameters[-1]] * self.dice.below(3)
        required = sum(p.default is None for p in parameters)
        kept = parameters[: self.dice.between(required, len(parameters))]
        args = [self._argument(p, kind, place, depth) for p in kept]
        return Expr(f"{row.name}({', '.join(args)})")

    def _argument(self, parameter: Parameter, kind: str, place: Place, depth: int) -> str:
        type_ = parameter.type
        if parameter.literal:
            return self._written(parameter)
        if type_.kind != "var" and self.dice.chance(2):
            return "missing"
        if type_.kind == "var":
            return self.make(kind, place, depth)
        if type_.kind == "list" and type_.element is not None:
            if type_.element.kind != "var":
                return self.make(f"list<{type_.element.kind}>", place, depth)
            return self.make(kind if is_list(kind) else "list<text>", place, depth)
        return self.make(self._textual() if type_.kind == "text" else type_.kind, place, depth)

    def _written(self, parameter: Parameter) -> str:
        if parameter.type.kind == "number":
            return str(self.dice.below(16))
        if parameter.name == "zone":
            return quote(self.dice.pick(ZONES))
        if parameter.type.kind == "regex" or (parameter.type.kind == "var" and self.dice.chance(50)):
            return self.dice.pick(REGEXES)
        return quote(self.dice.pick(("a", "foo", "é", "  ")))

    # ------------------------------------------------------------------ lists

    def _list(self, kind: str, place: Place, depth: int) -> Expr:
        inner = element(kind)
        choice = self.dice.below(7)
        if choice == 0:
            name = self.dice.pick(ELEMENT_NAMES)
            name = f"{name}_{len(place.names)}" if name in place.names or name in self.world.taken else name
            body = replace(place, names={**place.names, name: inner})
            source = self.make(kind, place, depth, OR)
            return Expr(f"[{spell(name)} of {source} where {self.make('bool', body, depth)}]")
        if choice == 1 and inner != "item":
            count = self.dice.between(1, 3)
            return Expr("[" + ", ".join(self.make(inner, place, depth) for _ in range(count)) + "]")
        if choice == 2 and "items" in place.fields and inner in self.world.item.values():
            members = [m for m, k in sorted(self.world.item.items()) if k == inner]
            return Expr(f"{self.make('list<item>', place, depth, ATOM)}.{spell(self.dice.pick(members))}")
        if choice == 3 and inner in ("text", "bool"):
            rows = [r.name for r in REGISTRY.rows() if r.attribute and r.result.kind == inner]
            return Expr(f"{self.make('list<text>', place, depth, ATOM)}.{self.dice.pick(rows)}")
        if choice == 4:
            right = "[]" if self.dice.chance(30) else self.make(kind, place, depth, ADD)
            return Expr(f"{self.make(kind, place, depth, COALESCE)} ?? {right}", COALESCE)
        if choice == 5 and inner == "text" and not place.plain:
            return self._found(place, depth)
        often = _COUNTERS[self.world.focus] * (3 if inner == "number" else 1)
        if inner != "item" and not place.plain and self.dice.chance(often):
            return self.counter(place, depth, inner, lists=True)
        if inner != "item" and not place.plain and self.dice.chance(often):
            return self.counter(place, depth, kind)
        if inner in ("text", "number", "User", "ip", "bool", "duration", "time") and self.dice.chance(30):
            return Expr(f"distinct_of({self.make(kind, place, depth)})")
        return self._function(kind, place, depth)

    def _found(self, place: Place, depth: int) -> Expr:
        scores = [v for v in self.world.values if v.score and self.fits(v, place)]
        if scores and self.dice.chance(40):
            return Expr(f"reasons({self.use(self.dice.pick(scores)).text})")
        if not self.world.lists:
            return self._function("list<text>", place, depth)
        return Expr(
            f"found({self.make('text', place, depth)}, {spell(self.dice.pick(sorted(self.world.lists)))})"
        )


def _literal_text(row: Function) -> bool:
    return any(p.literal for p in row.parameters)


def _results(row: Function) -> list[str]:
    kind = _kind(row.result)
    if kind == "N":
        values = next(p.type.values for p in row.parameters if p.type.kind == "var")
        return list(values)
    if kind == "T":
        return []
    return [kind]


def _kind(type_: Type) -> str:
    if type_.kind == "list" and type_.element is not None:
        return f"list<{_kind(type_.element)}>"
    return type_.name if type_.kind == "var" else type_.kind


_FUNCTIONS: dict[str, tuple[Function, ...]] = {}
for _row in REGISTRY.rows():
    if not _row.form:
        for _name in _results(_row):
            _FUNCTIONS[_name] = (*_FUNCTIONS.get(_name, ()), _row)

_EDGES = (("number", ("1", "2", "3", "2.5")), ("number", ("1", "2", "3")), ("duration", ("1s", "90s")))
_REACHING = re.compile(r"(?:count|distinct|sum)\(")
COUNTED_LISTS = ("list<User>", "list<text>", "list<number>")
_AUTHOR = Value("author", "User", frozenset(("author",)))
_CONTENT = Value("content", "text", frozenset(("content",)))
_COUNTERS = {"any": 12, "values": 0, "state": 25, "counters": 25}
"""How many of a hundred values of a kind are counters."""
_SHORT = {
    "bool": "true",
    "number": "7",
    "text": "first(words(`content`))",
    "time": "at",
    "duration": "90s",
    "ip": "addr",
    "User": "author",
    "Server": "server",
}
"""What stands in braces where a literal would need quotes."""

_CONDITIONS: tuple[Callable[[Maker, Place, int], Expr], ...] = (
    Maker.comparison,
    Maker.junction,
    Maker.word,
    Maker.stateful,
    Maker.quantified,
    Maker.negation,
    Maker.presence,
    Maker.membership,
    Maker.truth,
    Maker.equality,
    Maker.junction,
    Maker.stateful,
)
_PLAIN_CONDITIONS = (Maker.comparison, Maker.truth, Maker.presence, Maker.negation, Maker.junction)
_MAKERS: dict[str, Callable[[Maker, Place, int], Expr]] = {
    "bool": Maker.condition,
    "number": Maker.number,
    "text": Maker.text,
    "time": Maker.time,
    "duration": Maker.duration,
    "ip": Maker.address,
    "User": Maker.user,
    "Server": lambda m, p, d: m._general("Server", p, d),
    "enum": lambda m, p, d: m._leaf("enum", p),
    "item": lambda m, p, d: Expr(f"{m.dice.pick(('first', 'last'))}({m.make('list<item>', p, d)})"),
}
