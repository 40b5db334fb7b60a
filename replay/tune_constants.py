"""The constants in a rule's condition: what may be swept, and what may not, with the reason.

A constant is a number, a percentage or a duration that something is compared with, in the rule's own `when`
or in a let, function or score that it reads. Constants are numbered from 1: those of the rule itself first,
each in the order in which a reader meets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from quell.engine.compile import Analysis
from quell.engine.resolve import events_named
from quell.grammar import tree
from quell.grammar.diagnostics import Report, did_you_mean, place
from quell.grammar.source import Span

Kind = Literal["number", "percent", "duration"]
LONGEST_TEXT = 120
"""Characters of a comparison that are shown."""


class NoSweep(ValueError):
    """Something that cannot be swept as asked. `hint` is what to try."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class NoEvents(NoSweep):
    """A history on which the rule is asked about no event."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant that can be swept.

    `number` is its name for `--constant`; `value` what it says (durations in microseconds), `text` how it is
    written at `span`, `compared` the comparison it stands in. `inside` is the declaration that holds it, such
    as `let newcomer`, None for the rule's own condition; `readers` are the other rules that read it there.
    """

    number: int
    span: Span
    kind: Kind
    value: float
    text: str
    compared: str
    place: str
    inside: str | None = None
    readers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fixed:
    """A constant that is not swept, and why."""

    span: Span
    text: str
    compared: str
    place: str
    why: str


@dataclass(slots=True)
class Found:
    """The constants of a rule, numbered, and those that are not swept."""

    rule: tree.Rule
    constants: list[Constant] = field(default_factory=list)
    fixed: list[Fixed] = field(default_factory=list)

    def refuse(self, reasons: dict[Span, str]) -> None:
        """Take constants out of what is swept, and number the others anew."""
        kept: list[Constant] = []
        for c in self.constants:
            if c.span in reasons:
                self.fixed.append(Fixed(c.span, c.text, c.compared, c.place, reasons[c.span]))
            else:
                kept.append(replace(c, number=len(kept) + 1))
        self.constants = kept


def rule_of(analysis: Analysis, name: str) -> tree.Rule:
    """A rule that is decided. Raises NoSweep for one that is not there, or is off."""
    rules = analysis.symbols.rules
    rule = rules.get(name)
    if rule is None or rule.condition is None:
        hint = did_you_mean(name, rules) or (
            f"the rules are {', '.join(f'`{r}`' for r in list(rules)[:6])}{', …' * (len(rules) > 6)}"
            if rules
            else None
        )
        raise NoSweep(f"there is no rule `{name}`", hint)
    if rule.mode is not None and rule.mode.name == "off":
        raise NoSweep(f"`{name}` is off, so no event is asked about it", "give it mode shadow first")
    return rule


def find(analysis: Analysis, name: str) -> Found:
    """The constants of a rule. Raises NoSweep for a rule that is not there."""
    rule = rule_of(analysis, name)
    finder = _Finder(analysis, rule)
    assert rule.condition is not None
    finder.visit(rule.condition, _Place())
    found = finder.found
    found.constants.sort(key=lambda c: c.inside is not None)
    found.refuse({})
    return found


def chosen(found: Found, asked: Sequence[str]) -> list[Constant]:
    """The constants that are asked for by number, or by a part of the comparison's text. Raises NoSweep."""
    out = [_chosen(found, each.strip()) for each in asked]
    if len({c.number for c in out}) < len(out):
        raise NoSweep("the same constant is asked for twice", "two different ones make a grid")
    if len(out) > 2:
        raise NoSweep("at most two constants are swept together")
    return out


def _chosen(found: Found, asked: str) -> Constant:
    if asked.isdecimal():
        known = next((c for c in found.constants if c.number == int(asked)), None)
        if known is None:
            last = len(found.constants)
            raise NoSweep(f"`{found.rule.name.name}` has no constant {asked}", f"they are 1 to {last}")
        return known
    plain = " ".join(asked.split())
    exact = [c for c in found.constants if c.compared == plain]
    matching = exact or [c for c in found.constants if plain and plain in c.compared]
    if len(matching) == 1:
        return matching[0]
    if matching:
        several = ", ".join(f"{c.number}: {c.compared}" for c in matching[:4])
        raise NoSweep(f"`{asked}` is in more than one place", f"choose by number: {several}")
    refused = next((f for f in found.fixed if plain and plain in (f.compared, f.text)), None)
    if refused is not None:
        raise NoSweep(f"`{refused.compared}` cannot be swept: {refused.why}")
    shown = "; ".join(f"{c.number}: {c.compared}" for c in found.constants[:6])
    raise NoSweep(f"no constant stands in `{asked}`", f"choose by number: {shown}" if shown else None)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an expression stands: in which comparison, in which declaration, with which names bound; `fixed`
    is why nothing in it can be swept."""

    compared: Span | None = None
    inside: str | None = None
    bound: frozenset[str] = frozenset()
    fixed: str | None = None


_IN_COUNTER = "it is part of what a counter counts, and another value counts other events"
_IN_LIST = "it is an element of a list, not a threshold"
_IN_TEXT = "it stands in a text"
_IN_MODEL = "it is part of a model's input, as which the model was trained"
_POINTS = "points add up: sweep what the score is compared with"
_REACHES = "`reaches` tells the one event that gets there; write >= to sweep it"
_ARGUMENT = "it is an argument of `{}`"
_LONE = "nothing is compared with it"


class _Finder:
    """Walks a condition in reading order, and through what it names, each named thing once."""

    def __init__(self, analysis: Analysis, rule: tree.Rule) -> None:
        self.analysis, self.rule = analysis, rule
        self.found = Found(rule)
        self._seen: set[tuple[str, bool]] = set()
        self._taken: set[Span] = set()
        symbols = analysis.symbols
        events = [e for ident in rule.events for e in events_named(ident, symbols, Report())]
        self._fields = {f.name for e in events if e in symbols.schemas for f in symbols.schemas[e].fields}

    def visit(self, expr: tree.Node, at: _Place) -> None:
        """One expression and everything in it."""
        match expr:
            case tree.Number() | tree.Duration():
                self._literal(expr, expr, at)
            case tree.Unary(op="-", operand=tree.Number() as literal):
                self._literal(expr, literal, at)
            case tree.Compare():
                here = replace(at, compared=expr.span)
                for operand in (expr.first, *(e for _, e in expr.rest)):
                    self.visit(operand, here)
            case tree.Name():
                self._name(expr.name, at)
            case tree.Call():
                self._call(expr, at)
            case tree.Counter():
                self._all(expr, replace(at, fixed=at.fixed or _IN_COUNTER, compared=expr.span))
            case tree.ListLiteral():
                self._all(expr, replace(at, fixed=at.fixed or _IN_LIST, compared=expr.span))
            case tree.Text():
                self._all(expr, replace(at, fixed=at.fixed or _IN_TEXT, compared=expr.span))
            case tree.Word():
                self.visit(expr.left, at)
                why = at.fixed or (_REACHES if expr.op == "reaches" else None)
                self.visit(expr.right, replace(at, fixed=why, compared=expr.span))
            case tree.Filter():
                self.visit(expr.source, at)
                if expr.condition is not None:
                    inner = replace(at, bound=at.bound | {expr.variable.name}, compared=None)
                    self.visit(expr.condition, inner)
            case _:
                for child in tree.children(expr):
                    self.visit(child, at)

    def _all(self, expr: tree.Node, at: _Place) -> None:
        for child in tree.children(expr):
            self.visit(child, at)

    def _name(self, name: str, at: _Place) -> None:
        symbols = self.analysis.symbols
        if name in at.bound or name in self._fields or at.fixed is _IN_COUNTER:
            return
        if name in symbols.lets:
            if self._enter(name, at):
                self.visit(symbols.lets[name].body, self._within(f"let {name}", at))
        elif name in symbols.scores:
            if self._enter(name, at):
                self._score(symbols.scores[name], replace(self._within(f"score {name}", at), compared=None))
        elif name in symbols.models and self._enter(name, at):
            inside = replace(self._within(f"model {name}", at), fixed=at.fixed or _IN_MODEL)
            for _, written in symbols.models[name].inputs:
                self.visit(written, replace(inside, compared=written.span))

    def _score(self, score: tree.Score, at: _Place) -> None:
        for item in score.items:
            if item.points:
                self._note_points(item, at)
            self.visit(item.condition, at)

    def _note_points(self, item: tree.Points, at: _Place) -> None:
        span = item.span
        text = f"{item.points:g}"
        self.found.fixed.append(Fixed(span, text, self._text(span), self._where(span), at.fixed or _POINTS))

    def _call(self, expr: tree.Call, at: _Place) -> None:
        name, symbols = expr.function.name, self.analysis.symbols
        own = symbols.lets.get(name)
        if own is None or own.parameters is None:
            literal = tree.Number | tree.Duration
            for argument in expr.args:
                why = at.fixed or _ARGUMENT.format(name) if isinstance(argument, literal) else at.fixed
                self.visit(argument, replace(at, fixed=why))
            return
        for argument in expr.args:
            self.visit(argument, replace(at, compared=expr.span))
        if self._enter(name, at):
            names = frozenset(p.name.name for p in own.parameters)
            self.visit(own.body, replace(self._within(f"let {name}", at), bound=names))

    def _enter(self, name: str, at: _Place) -> bool:
        key = (name, at.fixed is not None)
        new = key not in self._seen
        self._seen.add(key)
        return new

    @staticmethod
    def _within(inside: str, at: _Place) -> _Place:
        return replace(at, inside=inside, bound=frozenset())

    def _literal(self, expr: tree.Expr, literal: tree.Number | tree.Duration, at: _Place) -> None:
        span = expr.span
        text, around = self._text(span), at.compared or span
        why = at.fixed or (None if at.compared is not None else _LONE)
        compared, where = self._text(around), self._where(span)
        if span in self._taken or (why is not None and any(f.span == span for f in self.found.fixed)):
            return
        if why is not None:
            self.found.fixed.append(Fixed(span, text, compared, where, why))
            return
        self._taken.add(span)
        self.found.fixed = [f for f in self.found.fixed if f.span != span]
        kind: Kind
        if isinstance(literal, tree.Duration):
            kind, value = "duration", float(literal.micros)
        else:
            sign = -1 if expr is not literal else 1
            kind, value = "percent" if literal.percent else "number", sign * float(literal.value)
        number = len(self.found.constants) + 1
        readers = self._readers(at.inside)
        self.found.constants.append(
            Constant(number, span, kind, value, text, compared, where, at.inside, readers)
        )

    def _readers(self, inside: str | None) -> tuple[str, ...]:
        if inside is None:
            return ()
        name = inside.split(" ", 1)[1]
        reading = reading_rules(self.analysis, name)
        return tuple(r for r in reading if r != self.rule.name.name)

    def _text(self, span: Span) -> str:
        source = self.analysis.files.sources.get(span.file)
        text = " ".join(source.text[span.start : span.end].split()) if source is not None else ""
        return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"

    def _where(self, span: Span) -> str:
        return place(span, self.analysis.files.sources)


def reading_rules(analysis: Analysis, name: str) -> list[str]:
    """The rules that read a let, score or model in any way, through others or counters too."""
    return [r for r, rule in analysis.symbols.rules.items() if name in names_under(analysis, rule)]


def names_under(analysis: Analysis, node: tree.Node) -> set[str]:
    """Every name of a let, score or model that an expression or declaration reads, through others too."""
    symbols = analysis.symbols
    out: set[str] = set()
    stack = [node]
    while stack:
        for inner in tree.walk(stack.pop()):
            if isinstance(inner, tree.Name):
                name = inner.name
            elif isinstance(inner, tree.Call):
                name = inner.function.name
            else:
                continue
            declared = symbols.lets.get(name) or symbols.scores.get(name) or symbols.models.get(name)
            if declared is not None and name not in out:
                out.add(name)
                stack.append(declared)
    return out
