"""Expressions and small parts of declarations to text on one line.

Parentheses stand in the tree as `Group`; where a tree made by hand leaves one out that is needed, it is
added, so the text always means the tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from lark.exceptions import UnexpectedInput

from quell.grammar import literals, tree
from quell.grammar.build import BuildError
from quell.grammar.reader import reader
from quell.grammar.source import Span

OR, AND, NOT, COMPARE, COALESCE, ADD, MULTIPLY, NEGATE, POSTFIX, ATOM = range(10)
"""How tightly the kinds of expression bind, as the grammar's rules nest."""

_BINARY = {"??": COALESCE, "+": ADD, "-": ADD, "*": MULTIPLY, "/": MULTIPLY, "//": MULTIPLY, "%": MULTIPLY}
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Named = tree.Ident | tree.Name | tree.TypeName | tree.Target


def level(expr: tree.Expr) -> int:
    """How tightly an expression binds."""
    match expr:
        case tree.Junction():
            return OR if expr.op == "or" else AND
        case tree.Unary():
            return NOT if expr.op == "not" else NEGATE
        case tree.Compare() | tree.Word() | tree.Is() | tree.Quantified():
            return COMPARE
        case tree.Binary():
            return _BINARY[expr.op]
        case tree.Number():
            return ATOM if expr.value >= 0 else NEGATE
        case tree.Attribute() | tree.Index():
            return POSTFIX
    return ATOM


class Speller:
    """Spells nodes. With `source`, the text that the spans point into, literals keep their spelling.

    Raises ValueError for a tree made by hand that no text means, such as a record in braces in text.
    """

    def __init__(self, source: str | None = None) -> None:
        self._source = source
        self._probing: list[Named] | None = None
        self._reserved: set[int] = set()
        self._flat: dict[int, str] = {}

    # -------------------------------------------------------------- names

    def name(self, node: Named) -> str:
        """A name, in backquotes where it would not read as one without."""
        name = node.name
        if not _PLAIN_NAME.fullmatch(name):
            return f"`{name}`"
        if name not in reader().keywords:
            return name
        if self._probing is not None:
            self._probing.append(node)
            return f"`{name}\0{len(self._probing) - 1}`"
        return f"`{name}`" if id(node) in self._reserved else name

    def names(self, nodes: Iterable[Named]) -> str:
        """Names with commas between."""
        return ", ".join(self.name(n) for n in nodes)

    def forget(self) -> None:
        """Forget what was spelled, since names may now be spelled otherwise."""
        self._flat.clear()

    def settle(self, spell: Callable[[], str], start: str) -> str:
        """What `spell` gives, with those names in backquotes that are reserved where they stand.

        The first time, each name that may be reserved is in backquotes and numbered; reading that text
        says which of them are reserved, and the second time only those are quoted.
        """
        self._probing = []
        try:
            text = spell()
            probed = self._probing
        finally:
            self._probing = None
            self.forget()
        if probed:
            try:
                reserved = reader().reserved(text, start)
            except (UnexpectedInput, BuildError):  # a tree made by hand that no text means
                reserved = set(range(len(probed)))
            self._reserved |= {id(probed[i]) for i in reserved}
            text = spell()
        return text

    # ----------------------------------------------------------- literals

    def _written(self, span: Span) -> str:
        return self._source[span.start : span.end] if self._source is not None else ""

    def number(self, node: tree.Number) -> str:
        """A number or percentage."""
        read = literals.percent if node.percent else literals.number
        written = self._written(node.span)
        if written and written[0].isdecimal() and written.endswith("%") == node.percent:
            try:
                if read(written) == node.value:
                    return written
            except ValueError:  # the span points elsewhere: a tree that was changed since
                pass
        return literals.spell_percent(node.value) if node.percent else literals.spell_number(node.value)

    def duration(self, node: tree.Duration) -> str:
        """A duration as it was spelled, if it was."""
        if node.text and literals.duration(node.text) == node.micros:
            return node.text
        return literals.spell_duration(node.micros)

    def text(self, node: tree.Text) -> str:
        """Text in quotes, with its expressions in braces."""
        raw = self._raw_parts(node)
        out = ['"']
        for i, part in enumerate(node.parts):
            if isinstance(part, str):
                out.append(raw[i] if raw else literals.quote(part)[1:-1])
                continue
            inside = self.flat(part)
            if not literals.fits_in_braces(inside):
                raise ValueError(f"in braces in text `{inside}` would mean something else")
            out.append(f"{{{inside}}}")
        return "".join(out) + '"'

    def _raw_parts(self, node: tree.Text) -> list[str]:
        """The parts as the source spells them, or nothing when it holds something else."""
        written = self._written(node.span)
        if len(written) < 2 or written[0] != '"' or written[-1] != '"':
            return []
        try:
            split = literals.split_text(written)
        except literals.LiteralError:
            return []
        same = [text if kind == "text" else None for kind, _, text in split]
        if not split or same != [part if isinstance(part, str) else None for part in node.parts]:
            return []
        ends = [*(offset - 1 for _, offset, _ in split[1:]), len(written) - 1]
        return [written[offset:end] for (_, offset, _), end in zip(split, ends, strict=True)]

    # -------------------------------------------------------- expressions

    def flat(self, expr: tree.Expr, least: int = OR) -> str:
        """An expression on one line; in parentheses when it binds less tightly than `least`."""
        text = self._flat.get(id(expr))
        if text is None:
            text = self._flat[id(expr)] = self._spell(expr)
        return text if level(expr) >= least else f"({text})"

    def exprs(self, exprs: Iterable[tree.Expr]) -> str:
        """Expressions with commas between."""
        return ", ".join(self.flat(e) for e in exprs)

    def _spell(self, expr: tree.Expr) -> str:
        match expr:
            case tree.Name():
                return self.name(expr)
            case tree.Number():
                return self.number(expr)
            case tree.Duration():
                return self.duration(expr)
            case tree.Text():
                return self.text(expr)
            case tree.Regex():
                return literals.spell_regex(expr.pattern, expr.flags)
            case tree.Bool():
                return "true" if expr.value else "false"
            case tree.Missing():
                return "missing"
            case tree.Group():
                return f"({self.flat(expr.inner)})"
            case tree.Fired():
                return f"fired {self.name(expr.rule)}"
            case tree.Attribute():
                return f"{self.flat(expr.target, POSTFIX)}.{self.name(expr.name)}"
            case tree.Index():
                return f"{self.flat(expr.target, POSTFIX)}[{self.flat(expr.key)}]"
            case tree.ListLiteral():
                return f"[{self.exprs(expr.items)}]"
            case tree.Record():
                return (
                    "{ " + ", ".join(self.pair(*pair) for pair in expr.pairs) + " }" if expr.pairs else "{}"
                )
            case tree.Filter():
                return "[" + " ".join(self.filter_parts(expr)) + "]"
            case tree.Call():
                return f"{self.name(expr.function)}({self.exprs(expr.args)})"
            case tree.Counter():
                return f"{self.name(expr.function)}({' '.join(self.counter_parts(expr))})"
        return self._operation(expr)

    def _operation(self, expr: tree.Expr) -> str:
        match expr:
            case tree.Unary(op="-"):
                return f"-{self.flat(expr.operand, NEGATE)}"
            case tree.Unary():
                return f"not {self.flat(expr.operand, NOT)}"
            case tree.Binary():
                own = _BINARY[expr.op]
                return f"{self.flat(expr.left, own)} {expr.op} {self.flat(expr.right, own + 1)}"
            case tree.Compare():
                rest = (f" {op} {self.flat(operand, COALESCE)}" for op, operand in expr.rest)
                return self.flat(expr.first, COALESCE) + "".join(rest)
            case tree.Word():
                return f"{self.flat(expr.left, COALESCE)} {word_op(expr)} {self.flat(expr.right, COALESCE)}"
            case tree.Is():
                return f"{self.flat(expr.operand, COALESCE)} {is_op(expr)}"
            case tree.Quantified():
                return f"{expr.quantifier} {self.flat(expr.operand, COMPARE)}"
            case tree.Junction():
                least = AND if expr.op == "or" else NOT
                return f" {expr.op} ".join(self.flat(item, least) for item in expr.items)
        raise TypeError(f"{type(expr).__name__} is no expression of the tree")

    def pair(self, name: tree.Ident, value: tree.Expr) -> str:
        """`name: value` of a record."""
        return f"{self.name(name)}: {self.flat(value)}"

    def filter_parts(self, expr: tree.Filter) -> list[str]:
        """What stands between the brackets of a filter, part by part."""
        parts = [f"{self.name(expr.variable)} of {self.flat(expr.source)}"]
        return parts if expr.condition is None else [*parts, f"where {self.flat(expr.condition)}"]

    def counter_parts(self, expr: tree.Counter) -> list[str]:
        """What stands between the parentheses of a counter, part by part; its `where` last."""
        events = self.exprs(expr.events)
        parts = [f"{self.flat(expr.value)} of {events}" if expr.value is not None else events]
        if expr.by:
            parts.append(f"by {self.exprs(expr.by)}")
        if expr.reading:
            parts.append(f"as {self.exprs(expr.reading)}")
        if expr.per is not None:
            parts.append(f"per {self.flat(expr.per, ADD)}")
        if expr.within is not None:
            parts.append(f"within {self.flat(expr.within, ADD)}")
        if expr.ever:
            parts.append("ever")
        if expr.resolution is not None:
            parts.append(f"resolution {self.flat(expr.resolution, ADD)}")
        if expr.before == "this":
            parts.append("before this")
        elif isinstance(expr.before, tree.Expr):
            parts.append(f"before {self.flat(expr.before, ADD)} ago")
        if expr.where is not None:
            parts.append(f"where {self.flat(expr.where)}")
        return parts

    # ------------------------------------------------ parts of declarations

    def type(self, node: tree.TypeName) -> str:
        """A type."""
        mark = "?" if node.optional else ""
        if node.values:
            return "one of [" + ", ".join(literals.quote(v) for v in node.values) + "]" + mark
        element = f"<{self.type(node.element)}>" if node.element is not None else ""
        return self.name(node) + element + mark

    def limit(self, node: tree.Limit) -> str:
        """`limit N per key every W`."""
        keys = f" per {self.exprs(node.keys)}" if node.keys else ""
        return f"limit {node.count}{keys} every {self.flat(node.every, ADD)}"

    def target(self, node: tree.Target) -> str:
        """What an exemption names."""
        if node.kind == "rule":
            return self.name(node)
        return "all" if node.kind == "all" else f"tag {literals.quote(node.name)}"

    def entity(self, node: tree.EntityRef) -> str:
        """`User "u1"`."""
        return f"{self.name(node.kind)} {self.text(node.id)}"

    def where(self, node: tree.Where | None) -> str:
        """Which event an expectation speaks of, with a space before it."""
        if node is None:
            return ""
        return f" on event {node.number}" if node.kind == "number" else f" on the {node.kind}"


def word_op(expr: tree.Word) -> str:
    """The word between the operands, with its `not`."""
    return f"not {expr.op}" if expr.negated else expr.op


def is_op(expr: tree.Is) -> str:
    """What follows the operand."""
    return f"is not {expr.what}" if expr.negated else f"is {expr.what}"
