"""The parser's output to the tree of `quell.grammar.tree`, while it parses.

Lark calls one method here per rule of policy.lark, from the leaves up, with all that the rule matched:
tokens (every one of them), nodes, and None for each symbol of an optional part that was left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from lark import Token

from quell.grammar import literals, tree
from quell.grammar.source import Span

Nested = Callable[[str, int], tree.Expr]
Items = list[Any]


class BuildError(Exception):
    """A declaration that parses but says no tree: a bad literal, a clause twice."""

    def __init__(
        self, code: str, message: str, span: Span, hint: str | None = None, replacement: str | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.hint = code, message, span, hint
        self.replacement = replacement


class Part(NamedTuple):
    """A clause, or another piece that is no node by itself."""

    key: str
    content: Any
    span: Span


class Base:
    """Places and literals, which all builders need."""

    def __init__(self, nested: Nested) -> None:
        self._nested = nested
        self.file = ""
        self.offset = 0
        self.comments: list[Span] = []

    def at(self, token: Token) -> Span:
        """The place of a token."""
        start = self.offset + cast(int, token.start_pos)
        return Span(self.file, start, start + len(token.value))

    def _begin(self, item: Any) -> int:
        kind = type(item)
        if kind is Token:
            return cast(int, self.offset + item.start_pos)
        return cast(int, self._begin(item[0]) if kind is tuple else item.span.start)

    def _span(self, items: Items) -> Span:
        """From the first to the last of `items` that is there; the first always is, or the second."""
        start = self._begin(items[0] if items[0] is not None else items[1])
        last = -1
        while items[last] is None:
            last -= 1
        item = items[last]
        while type(item) is tuple:
            item = item[-1]
        if type(item) is Token:
            return Span(self.file, start, self.offset + cast(int, item.end_pos))
        return Span(self.file, start, item.span.end)

    def _literal(self, token: Token, read: Callable[[str], Any]) -> Any:
        try:
            return read(token.value)
        except literals.LiteralError as error:
            span = self.at(token)
            start = span.start + error.offset
            end = span.end if error.offset == 0 else start + 1
            raise BuildError(error.code, str(error), Span(self.file, start, end), error.hint) from None

    def _text(self, token: Token) -> tree.Text:
        value = token.value
        if "\\" not in value and "{" not in value and "}" not in value:
            return tree.Text((value[1:-1],) if len(value) > 2 else (), span=self.at(token))
        span = self.at(token)
        parts: list[str | tree.Expr] = []
        for kind, offset, text in self._literal(token, literals.split_text):
            parts.append(text if kind == "text" else self._nested(text, span.start + offset))
        return tree.Text(tuple(parts), span=span)

    def _plain(self, token: Token) -> tree.Text:
        text = self._text(token)
        if text.plain is None:
            raise BuildError(
                "bad-text", "this text must be plain, without braces", text.span, "write `{{` for a brace"
            )
        return text

    def _count(self, token: Token, least: int) -> int:
        value = self._literal(token, literals.number)
        if not isinstance(value, int) or value < least or value > 1_000_000:
            shown = token.value if len(token.value) <= 40 else token.value[:39] + "…"
            raise BuildError(
                "bad-number", f"`{shown}` must be a whole number from {least} to 1000000", self.at(token)
            )
        return value

    @staticmethod
    def _once(clauses: list[Part], what: str) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for key, content, span in clauses:
            if key in said:
                raise BuildError("repeated-clause", f"{what} has `{key}` twice", span, f"keep one `{key}`")
            said[key] = content
        return said

    def name(self, items: Items) -> tree.Ident:
        token = items[0]
        return tree.Ident(token.value.strip("`"), span=self.at(token))

    def names(self, items: Items) -> tuple[Any, ...]:
        return tuple(items[::2])

    def texts(self, items: Items) -> tuple[tree.Text, ...]:
        return tuple(self._plain(t) for t in items[::2])


class Expressions(Base):
    """Expressions and counters."""

    exprs = Base.names

    def number(self, items: Items) -> tree.Number:
        return tree.Number(self._literal(items[0], literals.number), span=self.at(items[0]))

    def percent(self, items: Items) -> tree.Number:
        return tree.Number(self._literal(items[0], literals.percent), True, span=self.at(items[0]))

    def duration(self, items: Items) -> tree.Duration:
        token = items[0]
        return tree.Duration(self._literal(token, literals.duration), token.value, span=self.at(token))

    def text(self, items: Items) -> tree.Text:
        return self._text(items[0])

    def regex(self, items: Items) -> tree.Regex:
        pattern, flags = literals.regex(items[0].value)
        return tree.Regex(pattern, flags, span=self.at(items[0]))

    def true(self, items: Items) -> tree.Bool:
        return tree.Bool(True, span=self.at(items[0]))

    def false(self, items: Items) -> tree.Bool:
        return tree.Bool(False, span=self.at(items[0]))

    def missing(self, items: Items) -> tree.Missing:
        return tree.Missing(span=self.at(items[0]))

    def fired(self, items: Items) -> tree.Fired:
        return tree.Fired(items[1], span=self._span(items))

    def name_value(self, items: Items) -> tree.Name:
        return tree.Name(items[0].name, span=items[0].span)

    def attribute(self, items: Items) -> tree.Attribute:
        return tree.Attribute(items[0], items[2], span=self._span(items))

    def index(self, items: Items) -> tree.Index:
        return tree.Index(items[0], items[2], span=self._span(items))

    def group(self, items: Items) -> tree.Group:
        return tree.Group(items[1], span=self._span(items))

    def list_literal(self, items: Items) -> tree.ListLiteral:
        found = tuple(i for i in items if isinstance(i, tree.Expr))
        return tree.ListLiteral(found, span=self._span(items))

    def filter(self, items: Items) -> tree.Filter:
        return tree.Filter(items[1], items[3], items[5], span=self._span(items))

    def call(self, items: Items) -> tree.Call:
        return tree.Call(items[0], items[2] or (), span=self._span(items))

    def pair(self, items: Items) -> tuple[tree.Ident, tree.Expr]:
        return items[0], items[2]

    def record(self, items: Items) -> tree.Record:
        return tree.Record(tuple(i for i in items if type(i) is tuple), span=self._span(items))

    def minus(self, items: Items) -> tree.Unary:
        return tree.Unary("-", items[1], span=self._span(items))

    def not_(self, items: Items) -> tree.Unary:
        return tree.Unary("not", items[1], span=self._span(items))

    def binary(self, items: Items) -> tree.Binary:
        return tree.Binary(items[1].value, items[0], items[2], span=self._span(items))

    def compare(self, items: Items) -> tree.Compare:
        rest = tuple((items[i].value, items[i + 1]) for i in range(1, len(items), 2))
        return tree.Compare(items[0], rest, span=self._span(items))

    def _word(self, op: tree.WordOp, items: Items) -> tree.Word:
        return tree.Word(op, items[0], items[-1], items[1] is not None, span=self._span(items))

    def contains(self, items: Items) -> tree.Word:
        return self._word("contains", items)

    def matches(self, items: Items) -> tree.Word:
        return self._word("matches", items)

    def starts_with(self, items: Items) -> tree.Word:
        return self._word("starts with", items)

    def ends_with(self, items: Items) -> tree.Word:
        return self._word("ends with", items)

    def in_(self, items: Items) -> tree.Word:
        return self._word("in", items)

    def labelled(self, items: Items) -> tree.Word:
        return self._word("labelled", items)

    def reaches(self, items: Items) -> tree.Word:
        return self._word("reaches", items)

    def is_missing(self, items: Items) -> tree.Is:
        return tree.Is(items[0], "missing", items[2] is not None, span=self._span(items))

    def is_present(self, items: Items) -> tree.Is:
        return tree.Is(items[0], "present", items[2] is not None, span=self._span(items))

    def quantified(self, items: Items) -> tree.Quantified:
        return tree.Quantified(items[0].value, items[1], span=self._span(items))

    def junction_or(self, items: Items) -> tree.Junction:
        return tree.Junction("or", tuple(items[::2]), span=self._span(items))

    def junction_and(self, items: Items) -> tree.Junction:
        return tree.Junction("and", tuple(items[::2]), span=self._span(items))

    # ----------------------------------------------------------- counters

    def by_clause(self, items: Items) -> Part:
        return Part("by", items[1], self._span(items))

    def as_clause(self, items: Items) -> Part:
        return Part("as", items[1], self._span(items))

    def per_clause(self, items: Items) -> Part:
        return Part("per", items[1], self._span(items))

    def within_clause(self, items: Items) -> Part:
        return Part("within", items[1], self._span(items))

    def ever_clause(self, items: Items) -> Part:
        return Part("ever", True, self.at(items[0]))

    def resolution_clause(self, items: Items) -> Part:
        return Part("resolution", items[1], self._span(items))

    def before_this(self, items: Items) -> Part:
        return Part("before", "this", self._span(items))

    def before_ago(self, items: Items) -> Part:
        return Part("before", items[1], self._span(items))

    def where_clause(self, items: Items) -> Part:
        return Part("where", items[1], self._span(items))

    def counter(self, items: Items) -> tree.Counter:
        return self._counter(items, None, items[2], items[3:-1])

    def counter_of(self, items: Items) -> tree.Counter:
        return self._counter(items, items[2], items[4], items[5:-1])

    def _counter(
        self, items: Items, value: tree.Expr | None, events: tuple[tree.Expr, ...], clauses: list[Part]
    ) -> tree.Counter:
        said: dict[str, Any] = {}
        last = -1
        for key, content, span in clauses:
            if key in said:
                raise BuildError(
                    "repeated-clause", f"this counter has `{key}` twice", span, f"keep one `{key}`"
                )
            if key == "ever" and "within" in said:
                raise BuildError(
                    "repeated-clause", "this counter has both `within` and `ever`", span, "keep one of them"
                )
            if _COUNTER_ORDER.index(key) < last:
                raise BuildError(
                    "counter-order",
                    f"`{key}` stands too late in this counter",
                    span,
                    "the order is `by`, `as`, `per`, `within` (or `ever`), `resolution`, `before`, `where`",
                )
            last = _COUNTER_ORDER.index(key)
            said[key] = content
        return tree.Counter(
            items[0],
            events,
            value,
            said.get("by", ()),
            said.get("as", ()),
            said.get("per"),
            said.get("within"),
            said.get("ever", False),
            said.get("resolution"),
            said.get("before"),
            said.get("where"),
            span=self._span(items),
        )


_COUNTER_ORDER = ("by", "as", "per", "within", "ever", "resolution", "before", "where")
