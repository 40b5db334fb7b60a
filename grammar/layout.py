"""Expressions that do not fit on a line, or that their writer broke, to several lines.

What an expression looks like depends on the tree, on the width, and on which `and`s and `or`s stand at
the start of a line in the source. Breaking adds to the last only what the next run would break anyway, so
formatting twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from quell.grammar import tree
from quell.grammar.spelling import (
    AND,
    COALESCE,
    COMPARE,
    NEGATE,
    NOT,
    OR,
    POSTFIX,
    Speller,
    is_op,
    level,
    word_op,
)

WIDTH = 100
"""Columns of a line, where there is a choice."""

_DEEPEST = 60
"""The column from which brackets inside brackets are indented no further."""

Piece = str | tuple[tree.Expr, int]
"""Text as it is, or an expression and how tightly it must bind."""


class Layout(Speller):
    """Breaks lines. Lists of lines begin at a column that the caller says, and without indentation;
    every further line has all of its own."""

    def __init__(self, source: str | None = None, width: int = WIDTH) -> None:
        super().__init__(source)
        self._width = width
        self._broken: dict[int, bool] = {}
        self._lines: dict[tuple[int, int, int, int, int, int | None], list[str]] = {}

    def forget(self) -> None:
        super().forget()
        self._lines.clear()

    # ------------------------------------------------- the writer's breaks

    def _breaks(self, junction: tree.Junction) -> list[bool]:
        """For each operand after the first, whether the source breaks the line before it."""
        if self._source is None:
            return [False] * (len(junction.items) - 1)
        gaps = (self._source[a.span.end : b.span.start] for a, b in pairwise(junction.items))
        return ["\n" in gap or "\r" in gap for gap in gaps]

    def broken(self, expr: tree.Node) -> bool:
        """Whether the source breaks a line at an `and` or `or` somewhere inside."""
        if self._source is None:
            return False
        known = self._broken.get(id(expr))
        if known is None:
            own = isinstance(expr, tree.Junction) and any(self._breaks(expr))
            known = self._broken[id(expr)] = own or any(self.broken(child) for child in _laid_out(expr))
        return known

    # ------------------------------------------------------------- layout

    def lines(
        self,
        expr: tree.Expr,
        col: int,
        base: int,
        tail: int = 0,
        least: int = OR,
        next_col: int | None = None,
    ) -> list[str]:
        """`expr`, beginning at column `col`, with `tail` columns to follow its last line.

        Brackets that open here close on a line of their own at column `base`. Operands of `and` and `or`
        that begin a line stand at `next_col` (below the first if it is None), and the word before them.
        Several layouts may be tried for one part, so what was laid out is remembered: else each level of
        nesting could double the work.
        """
        key = (id(expr), col, base, tail, least, next_col)
        known = self._lines.get(key)
        if known is None:
            known = self._lines[key] = self._lay_out(expr, col, base, tail, least, next_col)
        return known

    def _lay_out(
        self, expr: tree.Expr, col: int, base: int, tail: int, least: int, next_col: int | None
    ) -> list[str]:
        flat = self.flat(expr, least)
        if col + len(flat) + tail <= self._width and not self.broken(expr):
            return [flat]
        if level(expr) < least:
            return self._join(["(", (expr, OR), ")"], col, col + 1, tail)
        match expr:
            case tree.Junction():
                return self.junction(expr, col, col if next_col is None else next_col, tail)
            case tree.Group():
                return self._join(["(", (expr.inner, OR), ")"], col, col + 1, tail)
            case tree.ListLiteral() if expr.items:
                return self._bracketed("[", [[(item, OR)] for item in expr.items], "]", base)
            case tree.Record() if expr.pairs:
                pairs = [(f"{self.name(name)}: ", (value, OR)) for name, value in expr.pairs]
                return self._bracketed("{", pairs, "}", base)
            case tree.Call() if expr.args:
                args = [[(arg, OR)] for arg in expr.args]
                return self._bracketed(f"{self.name(expr.function)}(", args, ")", base)
            case tree.Counter() | tree.Filter():
                return self._parts(expr, col, base, tail)
        return self._operation_lines(expr, col, base, tail, flat)

    def _operation_lines(self, expr: tree.Expr, col: int, base: int, tail: int, flat: str) -> list[str]:
        match expr:
            case tree.Unary(op="not"):
                return self._join(["not ", (expr.operand, NOT)], col, col + 4, tail)
            case tree.Unary():
                return self._join(["-", (expr.operand, NEGATE)], col, base, tail)
            case tree.Quantified():
                return self._join([f"{expr.quantifier} ", (expr.operand, COMPARE)], col, base, tail)
            case tree.Word():
                return self._join(
                    [(expr.left, COALESCE), f" {word_op(expr)} ", (expr.right, COALESCE)], col, base, tail
                )
            case tree.Compare():
                pieces: list[Piece] = [(expr.first, COALESCE)]
                for op, operand in expr.rest:
                    pieces += [f" {op} ", (operand, COALESCE)]
                return self._join(pieces, col, base, tail)
            case tree.Binary():
                own = level(expr)
                return self._join([(expr.left, own), f" {expr.op} ", (expr.right, own + 1)], col, base, tail)
            case tree.Is():
                return self._join([(expr.operand, COALESCE), f" {is_op(expr)}"], col, base, tail)
            case tree.Attribute():
                return self._join([(expr.target, POSTFIX), f".{self.name(expr.name)}"], col, base, tail)
            case tree.Index():
                return self._join([(expr.target, POSTFIX), "[", (expr.key, OR), "]"], col, base, tail)
        return [flat]

    def junction(self, expr: tree.Junction, col: int, next_col: int, tail: int) -> list[str]:
        """`a and b`, the first at `col`, those that begin a line at `next_col`, the word before them."""
        breaks = self._breaks(expr)
        if self.broken(expr):
            as_written = self._segments(expr, breaks, col, next_col, tail)
            if (
                all(len(line) <= self._width for line in as_written[1:])
                and col + len(as_written[0]) <= self._width
            ):
                return as_written
        return self._segments(expr, [True] * len(breaks), col, next_col, tail)

    def _segments(
        self, expr: tree.Junction, breaks: list[bool], col: int, next_col: int, tail: int
    ) -> list[str]:
        least = AND if expr.op == "or" else NOT
        indent = " " * (next_col - len(expr.op) - 1)
        out: list[str] = []
        pieces: list[Piece] = [(expr.items[0], least)]
        begin = col
        for item, broken in zip(expr.items[1:], breaks, strict=True):
            if broken:
                _append(out, self._join(pieces, begin, next_col, 0, next_col))
                out.append(f"{indent}{expr.op} ")
                pieces, begin = [], next_col
            else:
                pieces.append(f" {expr.op} ")
            pieces.append((item, least))
        _append(out, self._join(pieces, begin, next_col, tail, next_col))
        return out

    def _join(
        self, pieces: Sequence[Piece], col: int, base: int, tail: int, next_col: int | None = None
    ) -> list[str]:
        """Pieces one after the other, each beginning where the one before it ended."""
        out = [""]
        for i, piece in enumerate(pieces):
            if isinstance(piece, str):
                out[-1] += piece
                continue
            here = col + len(out[0]) if len(out) == 1 else len(out[-1])
            rest = pieces[i + 1 :]
            after = self._head(rest) + (0 if _breakable(rest) else tail)
            more = self.lines(piece[0], here, base, after, piece[1], None if i else next_col)
            out[-1] += more[0]
            out += more[1:]
        return out

    def _head(self, pieces: Sequence[Piece]) -> int:
        """How many columns of `pieces` must stand on the line on which they begin."""
        width = 0
        for piece in pieces:
            flat = piece if isinstance(piece, str) else self.flat(*piece)
            if not isinstance(piece, str) and _breakable([piece]):
                return width + 1 + next(i for i, char in enumerate(flat) if char in "([{")
            width += len(flat)
        return width

    # ----------------------------------------------------------- brackets

    def _bracketed(
        self, before: str, parts: Sequence[Sequence[Piece]], after: str, base: int, between: str = ","
    ) -> list[str]:
        """Parts two columns further in than the closing bracket, as many on a line as fit."""
        base = min(base, _DEEPEST)
        inner = base + 2
        out = [before]
        alone = True  # the line so far takes no more
        for i, part in enumerate(parts):
            end = between if i + 1 < len(parts) else ""
            flat = "".join(p if isinstance(p, str) else self.flat(*p) for p in part) + end
            broken = any(self.broken(p[0]) for p in part if not isinstance(p, str))
            if not alone and not broken and len(out[-1]) + 1 + len(flat) <= self._width:
                out[-1] += " " + flat
                continue
            lines = self._part(part, inner, len(end))
            alone = len(lines) > 1
            out.append(" " * inner + lines[0])
            out += lines[1:]
            out[-1] += end
        return [*out, " " * base + after]

    def _part(self, part: Sequence[Piece], col: int, tail: int) -> list[str]:
        first = part[0]
        if len(part) == 1 and not isinstance(first, str):
            return self.lines(first[0], col, col, tail, next_col=col + 4)
        return self._join(part, col, col, tail)

    def _parts(self, expr: tree.Counter | tree.Filter, col: int, base: int, tail: int) -> list[str]:
        """A counter or a filter: broken before its `where` if that is enough, else at every part."""
        if isinstance(expr, tree.Counter):
            before, after, condition = f"{self.name(expr.function)}(", ")", expr.where
            flat = self.counter_parts(expr)
            parts: list[list[Piece]] = [[part] for part in (flat if condition is None else flat[:-1])]
        else:
            before, after, condition = "[", "]", expr.condition
            parts = [[f"{self.name(expr.variable)} of ", (expr.source, OR)]]
        if condition is None:
            return self._bracketed(before, parts, after, base, "")
        inner = min(base, _DEEPEST) + 2
        column = inner + len("where ")
        head = before + " ".join(
            "".join(p if isinstance(p, str) else self.flat(*p) for p in part) for part in parts
        )
        where = self.lines(condition, column, column, tail + len(after))
        where = [" " * inner + "where " + where[0], *where[1:]]
        simple = isinstance(expr, tree.Counter) or not self.broken(expr.source)
        if simple and col + len(head) <= self._width and all(len(line) <= self._width for line in where):
            return [head, *where[:-1], where[-1] + after]
        opened = self._bracketed(before, parts, after, base, "")
        return [*opened[:-1], *where, opened[-1]]


def _laid_out(expr: tree.Node) -> list[tree.Node]:
    """The parts of an expression that are laid out; the others always stand on one line."""
    if isinstance(expr, tree.Counter):
        return [] if expr.where is None else [expr.where]
    if isinstance(expr, tree.Filter):
        return [expr.source] if expr.condition is None else [expr.source, expr.condition]
    return [] if isinstance(expr, tree.Text) else tree.children(expr)


def _append(out: list[str], lines: list[str]) -> None:
    if out:
        out[-1] += lines[0]
        out += lines[1:]
    else:
        out += lines


def _breakable(pieces: Sequence[Piece]) -> bool:
    """Whether one of the pieces has brackets at which a line can be broken."""
    kinds = (tree.Call, tree.Counter, tree.ListLiteral, tree.Record, tree.Filter)
    return any(isinstance(piece, tuple) and isinstance(piece[0], kinds) for piece in pieces)
