"""Hypothesis strategies for trees: every kind of node, and only trees that some text gives.

Parentheses are nodes (`Group`), so what is drawn keeps to the nesting of the grammar: `expr(least, …)`
draws what may stand where an expression must bind at least as tightly as `least`. What stands in braces
in text has no records and no patterns that the text would end in, and holds text with braces only once.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from quell.grammar import literals, tree
from quell.grammar.reader import reader
from quell.grammar.spelling import ADD, AND, ATOM, COALESCE, COMPARE, MULTIPLY, NEGATE, NOT, OR, POSTFIX
from quell.grammar.tree import Expr, Ident

Some = st.SearchStrategy[Any]

KEYWORDS = tuple(sorted(reader().keywords))
PLAIN_NAMES = (
    "a",
    "author",
    "at",
    "content",
    "count",
    "x",
    "urls",
    "User",
    "_",
    "links_1m",
    "text",
    "number",
)
BRACES = 2
"""How often text may nest in braces in text."""


def _chars(without: str = "") -> st.SearchStrategy[str]:
    return st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0" + without)


plain_names = st.sampled_from(PLAIN_NAMES)
names = st.one_of(
    plain_names, plain_names, st.sampled_from(KEYWORDS), st.text(_chars("`"), min_size=1, max_size=6)
)
idents = names.map(Ident)
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
counts = st.integers(1, 1_000_000)


def many(strategy: Some, least: int = 0, most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    """Tuples of a few of what `strategy` gives."""
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


# ---------------------------------------------------------------- expressions

whole = st.integers(0, 2**53)
positive = st.floats(0, allow_nan=False, allow_infinity=False)
numbers = st.one_of(whole, positive).map(tree.Number)
percents = st.one_of(st.sampled_from([0, 0.8, 0.25, 1, 1.5, 0.005]), positive)
durations = st.integers(0, literals.LARGEST_DURATION).map(tree.Duration)
plain_texts = strings.map(lambda s: tree.Text((s,) if s else ()))


@st.composite
def regexes(draw: st.DrawFn, in_braces: bool = False) -> tree.Regex:
    """Patterns as the lexer reads them: escapes in pairs, classes closed, no `*` first."""
    no = '{}"`#' if in_braces else ""
    plain = _chars("\\[]" + no)
    escape = _chars("/" + no).map(lambda c: "\\" + c)
    inside = st.one_of(_chars("\\]/[" + no), escape, st.just("/"))
    piece = st.one_of(plain, plain, escape, many(inside, 1).map(lambda p: "[" + "".join(p) + "]"))
    pattern = "".join(draw(many(piece, 1, 6)))
    flags = draw(st.sampled_from(["", "i", "is"]))
    return tree.Regex("x" + pattern if pattern.startswith("*") else pattern, flags)


@st.composite
def texts(draw: st.DrawFn, depth: int = 2, room: int = BRACES) -> tree.Text:
    """Text with expressions in it, where there is room for more braces."""
    if not room or depth <= 0:
        return draw(plain_texts)
    parts: list[str | Expr] = []
    for part in draw(many(st.one_of(strings, expr(OR, depth - 1, room - 1)))):
        if isinstance(part, str) and (not part or (parts and isinstance(parts[-1], str))):
            continue
        parts.append(part)
    return tree.Text(tuple(parts))


def _leaves(depth: int, room: int) -> list[Some]:
    in_braces = room < BRACES
    return [
        names.map(tree.Name),
        numbers,
        percents.map(lambda value: tree.Number(value, True)),
        durations,
        texts(depth, room),
        regexes(in_braces),
        st.booleans().map(tree.Bool),
        st.just(tree.Missing()),
        idents.map(tree.Fired),
    ]


def records(depth: int, room: int = BRACES) -> st.SearchStrategy[tree.Record]:
    """`{ name: value }`."""
    return many(st.tuples(idents, expr(OR, depth - 1, room))).map(tree.Record)


@st.composite
def counters(draw: st.DrawFn, depth: int, room: int) -> tree.Counter:
    """Counters with at least one clause."""
    any_expr, additive = expr(OR, depth - 1, room), expr(ADD, depth - 1, room)
    said = draw(
        st.sets(
            st.sampled_from(["by", "as", "per", "within", "ever", "resolution", "before", "where"]),
            min_size=1,
        )
    )
    before: Some = st.one_of(st.just("this"), additive)
    return tree.Counter(
        draw(idents),
        draw(many(any_expr, 1, 2)),
        draw(st.none() | any_expr),
        draw(many(any_expr, 1, 2)) if "by" in said else (),
        draw(many(any_expr, 1, 2)) if "as" in said else (),
        draw(additive) if "per" in said else None,
        draw(additive) if "within" in said else None,
        "ever" in said and "within" not in said,
        draw(additive) if "resolution" in said else None,
        draw(before) if "before" in said else None,
        draw(any_expr) if "where" in said else None,
    )


def _atoms(depth: int, room: int) -> list[Some]:
    inner = expr(OR, depth - 1, room)
    return [
        inner.map(tree.Group),
        many(inner).map(tree.ListLiteral),
        *([records(depth, room)] if room == BRACES else []),
        st.builds(tree.Filter, idents, inner, st.none() | inner),
        st.builds(tree.Call, idents, many(inner)),
        counters(depth, room),
    ]


def _binary(own: int, ops: tuple[str, ...], depth: int, room: int) -> Some:
    left, right = expr(own, depth - 1, room), expr(own + 1, depth - 1, room)
    return st.builds(tree.Binary, st.sampled_from(ops), left, right)


def _comparisons(depth: int, room: int) -> list[Some]:
    side = expr(COALESCE, depth - 1, room)
    words = st.sampled_from(["contains", "matches", "starts with", "ends with", "in", "labelled", "reaches"])
    ops = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    return [
        st.builds(tree.Compare, side, many(st.tuples(ops, side), 1, 2)),
        st.builds(tree.Word, words, side, side, st.booleans()),
        st.builds(tree.Is, side, st.sampled_from(["missing", "present"]), st.booleans()),
        st.builds(tree.Quantified, st.sampled_from(["any", "all", "none"]), expr(COMPARE, depth - 1, room)),
    ]


@cache
def expr(least: int = OR, depth: int = 3, room: int = BRACES) -> Some:
    """Expressions that bind at least as tightly as `least`, nested `depth` deep at most."""
    if depth <= 0:
        return st.one_of(_leaves(0, room))

    def choices() -> Some:
        inner, sides = depth - 1, expr(POSTFIX, depth - 1, room)
        kinds: list[tuple[int, Some]] = [
            (OR, st.builds(tree.Junction, st.just("or"), many(expr(AND, inner, room), 2))),
            (AND, st.builds(tree.Junction, st.just("and"), many(expr(NOT, inner, room), 2))),
            (NOT, st.builds(tree.Unary, st.just("not"), expr(NOT, inner, room))),
            *((COMPARE, strategy) for strategy in _comparisons(depth, room)),
            (COALESCE, _binary(COALESCE, ("??",), depth, room)),
            (ADD, _binary(ADD, ("+", "-"), depth, room)),
            (MULTIPLY, _binary(MULTIPLY, ("*", "/", "//", "%"), depth, room)),
            (NEGATE, st.builds(tree.Unary, st.just("-"), expr(NEGATE, inner, room))),
            (POSTFIX, st.builds(tree.Attribute, sides, idents)),
            (POSTFIX, st.builds(tree.Index, sides, expr(OR, inner, room))),
            *((ATOM, strategy) for strategy in _leaves(depth, room) + _atoms(depth, room)),
        ]
        return st.one_of([strategy for own, strategy in kinds if own >= least])

    return st.deferred(choices)


# --------------------------------------------------------------- declarations

paths = many(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        plain_names,
        st.integers(0, 10**9),
        st.none(),
    )
).map(tree.Path)
literal = st.one_of(
    numbers,
    whole.map(lambda n: tree.Number(-n)),
    percents.map(lambda value: tree.Number(value, True)),
    durations,
    texts(),
    st.booleans().map(tree.Bool),
    st.just(tree.Missing()),
    many(expr(OR, 1)).map(tree.ListLiteral),
)
enums = st.builds(tree.TypeName, st.just("one of"), values=many(strings, 1), optional=st.booleans())


@cache
def types(depth: int = 2) -> st.SearchStrategy[tree.TypeName]:
    """Types, lists of lists among them."""
    element = st.none() | types(depth - 1) if depth else st.none()
    return st.one_of(st.builds(tree.TypeName, names, element, optional=st.booleans()), enums)


fields = st.builds(tree.FieldDecl, idents, types(), paths, st.none() | literal)
columns = st.builds(tree.Column, idents, types())
value = expr()
additive = expr(ADD)
target = expr(POSTFIX)

entities = st.builds(tree.Entity, idents, many(plain_texts))
shapes = st.builds(tree.Shape, idents, many(fields, 1))
events = st.builds(
    tree.EventDecl,
    idents,
    st.none() | plain_texts,
    many(st.tuples(paths, literal), most=2),
    many(idents, most=2),
    many(fields),
)
lets = st.builds(tree.Let, idents, st.none() | many(st.builds(tree.Parameter, idents, types()), 1), value)
lists = st.builds(tree.ListDecl, idents, plain_texts, idents, many(columns))
models = st.builds(
    tree.Model,
    idents,
    plain_texts,
    st.booleans(),
    many(st.tuples(idents, value)),
    many(columns),
    st.none() | value,
    st.none() | value,
)
points = st.builds(
    tree.Points, st.one_of(whole, positive, whole.map(lambda n: -n)), value, st.none() | texts()
)
scores = st.builds(tree.Score, idents, many(points, 1))
verdicts = st.builds(tree.Verdicts, many(idents, most=2), many(idents, 1), st.none() | idents)

limits = st.none() | st.builds(tree.Limit, counts, many(value, most=2), additive)
targets = st.one_of(
    st.builds(tree.Target, st.just("rule"), names),
    st.builds(tree.Target, st.just("tag"), strings),
    st.just(tree.Target("all")),
)
effects = st.one_of(
    st.builds(tree.Verdict, idents, limit=limits),
    st.builds(tree.SetLabel, target, plain_texts, st.none() | additive, limit=limits),
    st.builds(tree.RemoveLabel, target, plain_texts, limit=limits),
    st.builds(tree.Send, plain_texts, st.none() | records(2), limit=limits),
    st.builds(tree.Exempt, many(targets, 1), limit=limits),
)
rules = st.builds(
    tree.Rule,
    idents,
    many(idents, most=2),
    st.none() | value,
    many(effects),
    because=st.none() | texts(),
    mode=st.none() | idents,
    rollout=st.none() | st.builds(tree.Rollout, percents, many(value, 1, 2)),
    tags=many(plain_texts),
    owner=st.none() | plain_texts,
    severity=st.none() | idents,
    formerly=many(idents),
)

places = st.one_of(
    st.none(),
    st.sampled_from([tree.Where("first"), tree.Where("last")]),
    st.builds(tree.Where, st.just("number"), counts),
)
refs = st.builds(tree.EntityRef, idents, plain_texts)


@st.composite
def given_events(draw: st.DrawFn) -> tree.GivenEvent:
    """Steps with an event; `every` only beside `repeat`."""
    repeat = draw(st.none() | counts)
    every = draw(st.none() | additive) if repeat is not None else None
    injected = draw(many(st.tuples(idents, expr(OR, 2)), most=2))
    return tree.GivenEvent(
        draw(idents), draw(records(2)), draw(st.none() | additive), repeat, every, injected
    )


negated = st.booleans()
steps = st.one_of(
    st.builds(tree.GivenLabel, plain_texts, refs, st.none() | additive),
    given_events(),
    st.builds(tree.ExpectVerdict, idents, st.none() | idents, negated, places),
    st.builds(tree.ExpectFired, idents, negated, places),
    st.builds(tree.ExpectLabel, plain_texts, refs, negated, places),
    st.builds(tree.ExpectSend, plain_texts, st.none() | st.integers(0, 1_000_000), negated, places),
    st.builds(tree.ExpectValue, value, negated, places),
    st.builds(tree.ExpectMessage, texts(), idents, negated, places),
)
tests = st.builds(tree.Test, plain_texts, many(steps, 1))

declarations = st.one_of(
    entities, shapes, events, lets, lists, models, scores, verdicts, rules, rules, tests, tests
)
