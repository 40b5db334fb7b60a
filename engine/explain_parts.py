"""Expressions of a policy with the values of their parts on one event.

The tree gives the parts as they are written, the graph their values: each part is lowered again, which
finds the node it became.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from quell.engine.explain_missing import why_missing
from quell.engine.explain_notes import note, reading, tell
from quell.engine.explanation import Part, Role
from quell.engine.graph import Node
from quell.engine.interpret import Interpreter, NotRead
from quell.engine.lower import Lowerer, Scope
from quell.engine.settle import ready
from quell.grammar import tree
from quell.grammar.diagnostics import Report
from quell.grammar.printer import print_expression
from quell.grammar.source import Source

MAX_PARTS = 400
"""Parts that one expression is taken apart into; what lies deeper is shown whole."""
MAX_OPENED = 12
"""How many named conditions are opened inside one another."""

_LITERALS = (tree.Number, tree.Bool, tree.Duration, tree.Missing, tree.Regex)


@dataclass(slots=True)
class Piece:
    """A part while it is worked out: `node` in the event's graph, None where the compiler left it out."""

    kind: str
    text: str
    node: int | None
    children: list[Piece] = field(default_factory=list)
    role: Role = ""
    points: float | None = None

    def copy(self) -> Piece:
        """The same, with nothing said of any event."""
        inside = [c.copy() for c in self.children]
        return Piece(self.kind, self.text, self.node, inside, points=self.points)

    def junction(self) -> str:
        """`and` or `or` when that is what the part comes to, seen through names and parentheses."""
        if self.kind in ("and", "or"):
            return self.kind
        return self.children[0].junction() if self.kind == "let" and self.children else ""


@dataclass(frozen=True, slots=True)
class Known:
    """An expression that was taken apart before, with the names that were met. It holds the expression, so
    that no other one gets its identity."""

    expr: tree.Expr
    piece: Piece
    named: dict[str, None]


Pieces = dict[tuple[Any, ...], Known]
"""What was taken apart before, on whatever event."""


@dataclass(slots=True)
class PartMaker:
    """Takes expressions apart on one event. `named` gathers the lets, scores and models that were met;
    `known` has what earlier events asked for, as the parts of an expression are the same on all events of a
    type."""

    interpreter: Interpreter
    lowerer: Lowerer
    sources: dict[str, Source]
    named: dict[str, None] = field(default_factory=dict)
    known: Pieces = field(default_factory=dict)
    _left: int = MAX_PARTS

    def piece(self, expr: tree.Expr, scope: Scope) -> Piece:
        """An expression and its parts."""
        if scope.names or scope.depth:
            return self._apart(expr, scope)
        key = (id(expr), scope.event, scope.shadow, scope.counting, *sorted(self.interpreter.injected))
        if key not in self.known:
            before, self.named = self.named, {}
            made = self._apart(expr, scope)
            self.known[key] = Known(expr, made, self.named)
            self.named = before
        known = self.known[key]
        self.named |= known.named
        return known.piece.copy()

    def _apart(self, expr: tree.Expr, scope: Scope) -> Piece:
        self._left = MAX_PARTS
        with self._quiet():
            return self._piece(expr, scope, 0)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Lowering again says nothing that was not said when the bundle was checked."""
        report, self.lowerer.report = self.lowerer.report, Report()
        try:
            yield
        finally:
            self.lowerer.report = report

    def _piece(self, expr: tree.Expr, scope: Scope, opened: int) -> Piece:
        while isinstance(expr, tree.Group):
            expr = expr.inner
        self._left -= 1
        node = self.lowerer.expr(expr, scope, events=True)
        made = Piece(_kind(expr), self.spell(expr), node)
        if isinstance(expr, tree.Name) and expr.name not in scope.names:
            self._name(expr.name, made, scope, opened)
        elif self._left > 0:
            made.children = [self._piece(e, scope, opened) for e in _operands(expr) if self._speaks(e, scope)]
            own = self._own_function(expr, scope, opened)
            if own is not None:
                made.children.append(own)
        return made

    def _name(self, name: str, made: Piece, scope: Scope, opened: int) -> None:
        symbols = self.lowerer.symbols
        if name in symbols.scores:
            made.kind = "score"
            self.named[name] = None
            if opened == 0:
                made.children = self._lines(symbols.scores[name], scope)
        elif name in symbols.models:
            made.kind = "model"
            self.named[name] = None
            if opened == 0 and name not in self.interpreter.injected:
                made.children = self._inputs(symbols.models[name], scope)
        elif name in symbols.lets:
            made.kind = "let"
            self.named[name] = None
            node = made.node
            condition = node is not None and self.interpreter.graph[node].type.kind == "bool"
            if condition and name not in self.interpreter.injected and opened < MAX_OPENED and self._left > 0:
                body = Scope(scope.event, shadow=scope.shadow)
                made.children = [self._piece(symbols.lets[name].body, body, opened + 1)]

    def _speaks(self, expr: tree.Expr, scope: Scope) -> bool:
        """Whether a part says something that is not written there: no literal, and no list file."""
        if isinstance(expr, tree.Name) and expr.name not in scope.names:
            return expr.name not in self.lowerer.symbols.lists
        return not _is_literal(expr)

    def _lines(self, score: tree.Score, scope: Scope) -> list[Piece]:
        out = []
        for item in score.items:
            if self._left <= 0:
                break
            line = self._piece(item.condition, Scope(scope.event, shadow=scope.shadow), 1)
            line.points = item.points
            out.append(line)
        return out

    def _inputs(self, model: tree.Model, scope: Scope) -> list[Piece]:
        out = []
        for ident, expr in model.inputs:
            if self._left <= 0:
                break
            made = self._piece(expr, Scope(scope.event, shadow=scope.shadow), 1)
            made.text = f"{ident.name} = {made.text}"
            out.append(made)
        return out

    def _own_function(self, expr: tree.Expr, scope: Scope, opened: int) -> Piece | None:
        """The body of a function of the bundle, on the arguments it was given."""
        let = self.lowerer.symbols.lets.get(expr.function.name) if isinstance(expr, tree.Call) else None
        if let is None or let.parameters is None or opened >= MAX_OPENED or not isinstance(expr, tree.Call):
            return None
        names = {}
        for parameter, argument in zip(let.parameters, expr.args, strict=True):
            node = self.lowerer.expr(argument, scope)
            if node is None:
                return None
            names[parameter.name.name] = node
        return self._piece(let.body, replace(scope, names=names), opened + 1)

    # ------------------------------------------------------------- as data

    def spell(self, expr: tree.Expr) -> str:
        """An expression as the policy writes it, on one line."""
        source = self.sources.get(expr.span.file)
        if source is None:
            return print_expression(expr)
        text = source.text[expr.span.start : expr.span.end]
        return text if text and "\n" not in text and "\r" not in text else print_expression(expr)

    def spell_node(self, node: tree.Node) -> str:
        """Anything in a policy as it is written, on one line, without comment lines."""
        source = self.sources.get(node.span.file)
        lines = source.text[node.span.start : node.span.end].splitlines() if source is not None else []
        return " ".join(w for line in lines if not line.lstrip().startswith("#") for w in line.split())

    def value(self, node: int | None) -> tuple[bool, Any]:
        """Whether a node's value is known here, and the value."""
        if node is None or self.interpreter.graph[node].binders:
            return False, None
        try:
            return True, self.interpreter.value(node)
        except NotRead:
            return False, None

    def part(self, piece: Piece) -> Part:
        """A piece and what stands in it as plain data."""
        known, value = self.value(piece.node)
        made = Part(piece.text, piece.kind, None, "", role=piece.role, points=piece.points)
        made.parts = [self.part(c) for c in piece.children]
        if not known or piece.node is None:
            made.shown = "not looked at"
            return made
        node: Node = self.interpreter.graph[piece.node]
        made.value, made.shown = ready(value, node.type), tell(value, node.type)
        made.note = note(self.interpreter, piece.node)
        made.reading = reading(self.interpreter, piece.node)
        if node.type.kind in ("bool", "missing"):
            made.state = "missing" if value is None else "true" if value else "false"
        if value is None:
            made.why = why_missing(self.interpreter, piece.node, self.sources)
        return made


def _kind(expr: tree.Expr) -> str:
    match expr:
        case tree.Junction() | tree.Unary():
            return expr.op
        case tree.Quantified():
            return expr.quantifier
        case tree.Word():
            return expr.op
        case tree.Name():
            return "field"
    return type(expr).__name__.lower()


def _operands(expr: tree.Expr) -> list[tree.Expr]:
    """The expressions directly inside, as far as they have a value by themselves."""
    match expr:
        case tree.Junction():
            return list(expr.items)
        case tree.Unary() | tree.Is():
            return [expr.operand]
        case tree.Binary():
            return [expr.left, expr.right]
        case tree.Compare():
            return [expr.first, *(e for _, e in expr.rest)]
        case tree.Word():
            return [expr.left] if expr.op in ("matches", "labelled", "reaches") else [expr.left, expr.right]
        case tree.Quantified():
            return [subject(expr.operand)]
        case tree.Filter():
            return [expr.source]
        case tree.Attribute():
            return [expr.target]
        case tree.Index():
            return [expr.key]
        case tree.Call():
            return list(expr.args)
        case tree.Counter():
            return list(expr.reading or expr.by)
        case tree.ListLiteral():
            return list(expr.items)
        case tree.Text():
            return [p for p in expr.parts if isinstance(p, tree.Expr)]
    return []


def subject(expr: tree.Expr) -> tree.Expr:
    """The list that stands after `any`, `all` or `none`."""
    while isinstance(expr, tree.Group):
        expr = expr.inner
    if isinstance(expr, tree.Compare):
        return expr.first
    if isinstance(expr, tree.Word):
        return expr.left
    return expr.operand if isinstance(expr, tree.Is) else expr


def _is_literal(expr: tree.Expr) -> bool:
    if isinstance(expr, tree.Text):
        return expr.plain is not None
    if isinstance(expr, tree.ListLiteral):
        return all(_is_literal(i) for i in expr.items)
    return isinstance(expr, _LITERALS)
