"""One walk over everything that was declared, for the lints that look at what is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from quell.engine.symbols import Symbols
from quell.grammar import tree

_LEAVES = frozenset(
    (tree.Ident, tree.Name, tree.Number, tree.Duration, tree.Bool, tree.Missing, tree.Regex, tree.Path)
)
_NO_NUMBER = (tree.Text, tree.Bool, tree.Duration, tree.ListLiteral)
_LITERALS = (tree.Number, tree.Duration, tree.Bool, tree.Missing)


@dataclass(slots=True)
class Declared:
    """What stands in one declaration: every name it mentions, and what its conditions are made of.

    `sites` are conditions inside expressions: those after `where`. `equals` are comparisons with ``==`` that
    may be of numbers.
    """

    declaration: tree.Declaration
    names: set[str] = field(default_factory=set)
    sites: list[tree.Counter | tree.Filter] = field(default_factory=list)
    equals: list[tree.Compare] = field(default_factory=list)


@dataclass(slots=True)
class Written:
    """Everything that was declared. `fired` are the rules whose firing something reads.

    `mixed` are junctions that stand without parentheses in one of the other kind; `matched` the patterns
    after `matches`; `products` the multiplications.
    """

    declared: list[Declared] = field(default_factory=list)
    fired: set[str] = field(default_factory=set)
    mixed: list[tree.Junction] = field(default_factory=list)
    patterns: list[tree.Regex] = field(default_factory=list)
    matched: set[int] = field(default_factory=set)
    durations: list[tree.Duration] = field(default_factory=list)
    products: list[tree.Binary] = field(default_factory=list)


def read(symbols: Symbols) -> Written:
    """Walk over a bundle's declarations, in order of kind and name; of tests only what uses names."""
    out = Written()
    tables = (
        symbols.entities, symbols.shapes, symbols.events, symbols.lets, symbols.lists, symbols.models,
        symbols.scores, symbols.rules,
    )  # fmt: skip
    for table in tables:
        for declaration in table.values():
            here = Declared(declaration)
            out.declared.append(here)
            _walk([declaration], here, out)
    for test in symbols.tests:
        here = Declared(test)
        out.declared.append(here)
        quiet = Written()  # a test's durations and firings are its own affair
        for step in test.steps:
            _step(step, here, quiet)
        out.mixed += quiet.mixed
    return out


def _step(step: tree.Given | tree.Expect, here: Declared, out: Written) -> None:
    """The names and conditions of one step of a test. Its events are mostly literals, and many."""
    if isinstance(step, tree.GivenEvent):
        here.names.add(step.event.name)
        here.names.update(name.name for name, _ in step.injected)
        values = [v for _, v in (*step.values.pairs, *step.injected) if not isinstance(v, _LITERALS)]
        _walk([v for v in values if not (isinstance(v, tree.Text) and v.plain is not None)], here, out)
    elif isinstance(step, tree.GivenLabel | tree.ExpectLabel):
        here.names.add(step.entity.kind.name)
    elif isinstance(step, tree.ExpectValue):
        _walk([step.condition], here, out)
    elif isinstance(step, tree.ExpectMessage):
        _walk([step.message], here, out)


def _walk(stack: list[tree.Node], here: Declared, out: Written) -> None:
    children, notes = tree.children, _NOTES
    while stack:
        top = stack.pop()
        kind = type(top)
        note = notes.get(kind)
        if note is not None:
            note(top, here, out)
        if kind not in _LEAVES:
            stack.extend(children(top))


def _name(node: tree.Name, here: Declared, out: Written) -> None:
    here.names.add(node.name)


def _call(node: tree.Call, here: Declared, out: Written) -> None:
    here.names.add(node.function.name)


def _type(node: tree.TypeName, here: Declared, out: Written) -> None:
    here.names.add(node.name)


def _shapes(node: tree.EventDecl, here: Declared, out: Written) -> None:
    here.names.update(s.name for s in node.shapes)


def _rule(node: tree.Rule, here: Declared, out: Written) -> None:
    here.names.update(e.name for e in node.events)


def _fired(node: tree.Fired, here: Declared, out: Written) -> None:
    out.fired.add(node.rule.name)


def _site(node: tree.Counter | tree.Filter, here: Declared, out: Written) -> None:
    here.sites.append(node)


def _compare(node: tree.Compare, here: Declared, out: Written) -> None:
    sides = (node.first, node.rest[0][1])
    if len(node.rest) == 1 and node.rest[0][0] == "==" and not any(isinstance(s, _NO_NUMBER) for s in sides):
        here.equals.append(node)


def _junction(node: tree.Junction, here: Declared, out: Written) -> None:
    out.mixed.extend(i for i in node.items if isinstance(i, tree.Junction) and i.op != node.op)


def _regex(node: tree.Regex, here: Declared, out: Written) -> None:
    out.patterns.append(node)


def _word(node: tree.Word, here: Declared, out: Written) -> None:
    if node.op == "matches":
        right = node.right.inner if isinstance(node.right, tree.Group) else node.right
        out.matched.add(id(right))


def _duration(node: tree.Duration, here: Declared, out: Written) -> None:
    out.durations.append(node)


def _binary(node: tree.Binary, here: Declared, out: Written) -> None:
    if node.op == "*":
        out.products.append(node)


_NOTES: dict[type[tree.Node], Callable[..., None]] = {
    tree.Name: _name,
    tree.Call: _call,
    tree.TypeName: _type,
    tree.EventDecl: _shapes,
    tree.Rule: _rule,
    tree.Fired: _fired,
    tree.Counter: _site,
    tree.Filter: _site,
    tree.Compare: _compare,
    tree.Junction: _junction,
    tree.Regex: _regex,
    tree.Word: _word,
    tree.Duration: _duration,
    tree.Binary: _binary,
}
