"""The tree: what a policy says, as it says it.

Nodes are immutable. A node's span is no part of its equality, so a tree printed and parsed again
equals itself. Parentheses stay in the tree (`Group`), since a reader meant something by them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Literal

from quell.grammar.source import NOWHERE, Span


@dataclass(frozen=True, slots=True)
class Node:
    """Anything that stands somewhere in a policy."""

    span: Span = field(default=NOWHERE, compare=False, repr=False, kw_only=True)


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Expr(Node):
    """An expression."""


@dataclass(frozen=True, slots=True)
class Number(Expr):
    """`3`, `0.5`, `1_000`, `80%` (value 0.8, percent true)."""

    value: float
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Duration(Expr):
    """`1h30m`; the value in microseconds. `text` keeps the spelling for messages and lints."""

    micros: int
    text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Text(Expr):
    """Text in quotes: plain parts and the expressions in braces between them."""

    parts: tuple[str | Expr, ...]

    @property
    def plain(self) -> str | None:
        """The text when no expression stands in it, else None."""
        if not self.parts:
            return ""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], str) else None


@dataclass(frozen=True, slots=True)
class Regex(Expr):
    """`/…/i`: the pattern as RE2 reads it, and its flags."""

    pattern: str
    flags: str = ""


@dataclass(frozen=True, slots=True)
class Bool(Expr):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Missing(Expr):
    """`missing`."""


@dataclass(frozen=True, slots=True)
class ListLiteral(Expr):
    """`[a, b]`."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Record(Expr):
    """`{ name: value }`, as events in tests and payloads of sends are written."""

    pairs: tuple[tuple[Ident, Expr], ...]


@dataclass(frozen=True, slots=True)
class Ident(Node):
    """A name where it is declared or referred to."""

    name: str


@dataclass(frozen=True, slots=True)
class Name(Expr):
    """A name used as a value: a field, a let, a list, a model, a score, an event, an element."""

    name: str


@dataclass(frozen=True, slots=True)
class Attribute(Expr):
    """`target.name`."""

    target: Expr
    name: Ident


@dataclass(frozen=True, slots=True)
class Index(Expr):
    """`table[key]`."""

    target: Expr
    key: Expr


@dataclass(frozen=True, slots=True)
class Group(Expr):
    """`( … )`."""

    inner: Expr


@dataclass(frozen=True, slots=True)
class Fired(Expr):
    """`fired rule`."""

    rule: Ident


@dataclass(frozen=True, slots=True)
class Unary(Expr):
    """`-x` or `not x`."""

    op: Literal["-", "not"]
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Expr):
    """Arithmetic and `??`."""

    op: Literal["+", "-", "*", "/", "//", "%", "??"]
    left: Expr
    right: Expr


CompareOp = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Compare(Expr):
    """`a < b`, or a chain `a < b <= c`, as in Python."""

    first: Expr
    rest: tuple[tuple[CompareOp, Expr], ...]


WordOp = Literal["contains", "matches", "starts with", "ends with", "in", "labelled", "reaches"]


@dataclass(frozen=True, slots=True)
class Word(Expr):
    """`left contains right` and its kin, each perhaps with `not` before the word."""

    op: WordOp
    left: Expr
    right: Expr
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Is(Expr):
    """`x is missing`, `x is present`, `x is not missing`, `x is not present`."""

    operand: Expr
    what: Literal["missing", "present"]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Junction(Expr):
    """`a and b and c`, or the same with `or`; at least two items."""

    op: Literal["and", "or"]
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Quantified(Expr):
    """`any`, `all` or `none` before a list and its comparison."""

    quantifier: Literal["any", "all", "none"]
    operand: Expr


@dataclass(frozen=True, slots=True)
class Filter(Expr):
    """`[x of xs where condition]`."""

    variable: Ident
    source: Expr
    condition: Expr | None


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """`f(a, b)`: a function of the registry, of the bundle, or an entity's kind."""

    function: Ident
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Counter(Expr):
    """`count(message by author within 1h before this where …)` and the rest of the family.

    `value` stands before `of`; `events` are names of events and shapes, or `fired rule`.
    """

    function: Ident
    events: tuple[Expr, ...]
    value: Expr | None = None
    by: tuple[Expr, ...] = ()
    reading: tuple[Expr, ...] = ()
    per: Expr | None = None
    within: Expr | None = None
    ever: bool = False
    resolution: Expr | None = None
    before: Expr | Literal["this"] | None = None
    where: Expr | None = None


# --------------------------------------------------------------- declarations


@dataclass(frozen=True, slots=True)
class TypeName(Node):
    """A type as written: `text`, `list<User>?`, `one of ["a", "b"]`."""

    name: str
    element: TypeName | None = None
    values: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Path(Node):
    """`$.message.mentions[*].id`: keys, indexes, and None for every element."""

    segments: tuple[str | int | None, ...]


@dataclass(frozen=True, slots=True)
class FieldDecl(Node):
    """`name type = $.path default literal`."""

    name: Ident
    type: TypeName
    path: Path
    default: Expr | None = None


@dataclass(frozen=True, slots=True)
class Declaration(Node):
    """A declaration; `doc` is the comment directly above it."""

    doc: str = field(default="", compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Entity(Declaration):
    """`entity User labels "spammer"`."""

    name: Ident
    labels: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape(Declaration):
    """Fields that events share, or the elements of a list of records."""

    name: Ident
    fields: tuple[FieldDecl, ...]


@dataclass(frozen=True, slots=True)
class EventDecl(Declaration):
    """`event message from "message_create" when $.v == 2 with actor` and its fields."""

    name: Ident
    wire: Text | None
    when: tuple[tuple[Path, Expr], ...]
    shapes: tuple[Ident, ...]
    fields: tuple[FieldDecl, ...]


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """A parameter of a `let` function."""

    name: Ident
    type: TypeName


@dataclass(frozen=True, slots=True)
class Let(Declaration):
    """A named value, or a function when `parameters` is not None."""

    name: Ident
    parameters: tuple[Parameter, ...] | None
    body: Expr


@dataclass(frozen=True, slots=True)
class Column(Node):
    """A column of a table or an answer of a remote model."""

    name: Ident
    type: TypeName


@dataclass(frozen=True, slots=True)
class ListDecl(Declaration):
    """`list bad from "lists/bad.txt" as domains gives …`."""

    name: Ident
    file: Text
    kind: Ident
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Model(Declaration):
    """A model from a file, or from a remote target with its gate."""

    name: Ident
    source: Text
    remote: bool
    inputs: tuple[tuple[Ident, Expr], ...] = ()
    gives: tuple[Column, ...] = ()
    gate: Expr | None = None
    wait: Expr | None = None


@dataclass(frozen=True, slots=True)
class Points(Node):
    """One line of a score; `points` is negative after `minus`."""

    points: float
    condition: Expr
    because: Text | None = None


@dataclass(frozen=True, slots=True)
class Score(Declaration):
    """Points with their conditions."""

    name: Ident
    items: tuple[Points, ...]


@dataclass(frozen=True, slots=True)
class Limit(Node):
    """`limit N per key every W`."""

    count: int
    keys: tuple[Expr, ...]
    every: Expr


@dataclass(frozen=True, slots=True)
class Effect(Node):
    """Something a rule does when it fires."""

    limit: Limit | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Verdict(Effect):
    """A verdict of the ladder."""

    name: Ident


@dataclass(frozen=True, slots=True)
class SetLabel(Effect):
    """`label target "name" for 30d`."""

    target: Expr
    label: Text
    duration: Expr | None = None


@dataclass(frozen=True, slots=True)
class RemoveLabel(Effect):
    """`unlabel target "name"`."""

    target: Expr
    label: Text


@dataclass(frozen=True, slots=True)
class Send(Effect):
    """`send "sink" { … }`."""

    sink: Text
    payload: Record | None = None


@dataclass(frozen=True, slots=True)
class Target(Node):
    """What an exemption names: a rule, a tag, or everything."""

    kind: Literal["rule", "tag", "all"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Exempt(Effect):
    """`exempt from rule, tag "spam"` or `exempt from all`."""

    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Rollout(Node):
    """`rollout 25% by author`; `share` is from 0 to 1."""

    share: float
    keys: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Rule(Declaration):
    """A condition and what follows."""

    name: Ident
    events: tuple[Ident, ...]
    condition: Expr | None
    effects: tuple[Effect, ...]
    because: Text | None = None
    mode: Ident | None = None
    rollout: Rollout | None = None
    tags: tuple[Text, ...] = ()
    owner: Text | None = None
    severity: Ident | None = None
    formerly: tuple[Ident, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdicts(Declaration):
    """The ladder, lowest first, for some events or for all."""

    events: tuple[Ident, ...]
    ladder: tuple[Ident, ...]
    failure: Ident | None = None


@dataclass(frozen=True, slots=True)
class EntityRef(Node):
    """`User "u1"`."""

    kind: Ident
    id: Text


@dataclass(frozen=True, slots=True)
class GivenLabel(Node):
    """`given label "spammer" on User "u1" for 3d`."""

    label: Text
    entity: EntityRef
    duration: Expr | None = None


@dataclass(frozen=True, slots=True)
class GivenEvent(Node):
    """`given message { … } after 5m repeat 3 every 1s with spam = 0.9`."""

    event: Ident
    values: Record
    after: Expr | None = None
    repeat: int | None = None
    every: Expr | None = None
    injected: tuple[tuple[Ident, Expr], ...] = ()


@dataclass(frozen=True, slots=True)
class Where(Node):
    """Which event an expectation speaks of: `on the first`, `on the last`, `on event 3`."""

    kind: Literal["first", "last", "number"]
    number: int = 0


@dataclass(frozen=True, slots=True)
class ExpectVerdict(Node):
    """`expect [not] block [by rule]`."""

    verdict: Ident
    rule: Ident | None
    negated: bool = False
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class ExpectFired(Node):
    """`expect [not] fired rule`."""

    rule: Ident
    negated: bool = False
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class ExpectLabel(Node):
    """`expect [not] label "spammer" on User "u1"`."""

    label: Text
    entity: EntityRef
    negated: bool = False
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class ExpectSend(Node):
    """`expect send "sink" once`; `times` is None for at least once."""

    sink: Text
    times: int | None
    negated: bool = False
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class ExpectValue(Node):
    """`expect value messages_1m == 12`."""

    condition: Expr
    negated: bool = False
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class ExpectMessage(Node):
    """`expect message "…" by rule`."""

    message: Text
    rule: Ident
    negated: bool = False
    where: Where | None = None


Given = GivenLabel | GivenEvent
Expect = ExpectVerdict | ExpectFired | ExpectLabel | ExpectSend | ExpectValue | ExpectMessage


@dataclass(frozen=True, slots=True)
class Test(Declaration):
    """Cases in order, with state."""

    title: Text
    steps: tuple[Given | Expect, ...]

    __test__ = False  # pytest would otherwise collect it


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """The declarations of one file that parsed, in order."""

    file: str
    declarations: tuple[Declaration, ...]


_places_of: dict[type[Node], tuple[str, ...]] = {}


def _places(kind: type[Node]) -> tuple[str, ...]:
    """The names of a class's fields that may hold nodes, in the order of their places in a policy."""
    if kind is Counter:
        return (
            "function",
            "value",
            "events",
            "by",
            "reading",
            "per",
            "within",
            "resolution",
            "before",
            "where",
        )
    plain = [f for f in fields(kind) if f.name not in ("span", "doc")]
    return tuple(f.name for f in sorted(plain, key=lambda f: bool(f.kw_only)))  # a limit comes last


def children(node: Node) -> list[Node]:
    """The nodes directly inside `node`, in order of place."""
    out: list[Node] = []
    kind = type(node)
    names = _places_of.get(kind)
    if names is None:
        names = _places_of[kind] = _places(kind)
    for name in names:
        value = getattr(node, name)
        if isinstance(value, Node):
            out.append(value)
        elif type(value) is tuple:
            _collect(value, out)
    return out


def _collect(items: tuple[object, ...], out: list[Node]) -> None:
    for item in items:
        if isinstance(item, Node):
            out.append(item)
        elif type(item) is tuple:
            _collect(item, out)


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything inside it, outer before inner. Not recursive, so depth is no danger."""
    stack = [node]
    while stack:
        top = stack.pop()
        yield top
        stack.extend(reversed(children(top)))


def depth(node: Node) -> int:
    """How deeply nodes nest inside `node`."""
    levels = 0
    level = [node]
    while level:
        levels += 1
        level = [child for each in level for child in children(each)]
    return levels


def deeper_than(node: Node, limit: int) -> Node | None:
    """The first node inside `node` that nests more than `limit` deep, if there is one."""
    level = [node]
    for _ in range(limit):
        level = [child for each in level for child in children(each)]
        if not level:
            return None
    return level[0]
