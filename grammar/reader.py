"""The one parser there is: Lark's, for policy.lark.

It reads one declaration, or one expression, at a time; `quell.grammar.parser` cuts files into these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, cached_property
from importlib.resources import files
from threading import RLock
from typing import Any

from lark import Lark, Token
from lark.exceptions import UnexpectedInput, UnexpectedToken
from lark.lark import PostLex
from lark.lexer import PatternStr

from quell.grammar import tree
from quell.grammar.build import BuildError
from quell.grammar.build_declarations import Builder
from quell.grammar.literals import split_text
from quell.grammar.source import Span
from quell.grammar.syntax_errors import explain
from quell.grammar.syntax_mistake import Fault

STARTS = ("entity", "shape", "event", "let", "list", "model", "score", "rule", "verdicts", "test")

_MAX_KEYWORD_NAMES = 300  # in one declaration: each costs a look at all that could stand in its place
_EFFECT = "UNLABEL"  # the terminal that can stand only where an effect begins
_MAX_BRACES = 8  # deeper than policy.lark's STRING lets text nest in braces in text
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Parser = Any
"""Lark's InteractiveParser, whose methods have no types."""


class _WholeWords(PostLex):
    """Lets the lexer read a name everywhere, so that `order` is never the keyword `or` and a rest."""

    always_accept = ("NAME",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens as they are."""
        return stream


class Reader:
    """Lark and the builder it calls while it parses. One text at a time: the lock sees to that."""

    def __init__(self) -> None:
        self.builder = Builder(self._nested)
        self.lark = Lark(
            files("quell.grammar").joinpath("policy.lark").read_text(encoding="utf-8"),
            parser="lalr",
            lexer="contextual",
            start=[*STARTS, "expr"],
            transformer=self.builder,
            keep_all_tokens=True,
            maybe_placeholders=True,
            postlex=_WholeWords(),
            lexer_callbacks={"COMMENT": self._comment},
        )
        self.lock = RLock()
        self._level = 0
        self._names_left = 0

    def read(self, text: str, start: str, file: str, offset: int) -> tuple[Any, list[Span]]:
        """The node that `text` says, and its comments. Raises UnexpectedInput or BuildError."""
        with self.lock:
            builder = self.builder
            before = builder.file, builder.offset, builder.comments
            builder.file, builder.offset, builder.comments = file, offset, []
            try:
                self._names_left = _MAX_KEYWORD_NAMES
                return self.lark.parse(text, start=start, on_error=self._as_name), builder.comments
            finally:
                builder.file, builder.offset, builder.comments = before

    @cached_property
    def keywords(self) -> dict[str, str]:
        """The words that are reserved somewhere, and the names of their terminals."""
        words = {t.pattern.value: t.name for t in self.lark.terminals if isinstance(t.pattern, PatternStr)}
        return {word: name for word, name in words.items() if word.isidentifier()}

    @cached_property
    def _keyword_types(self) -> frozenset[str]:
        return frozenset(self.keywords.values())

    def reserved(self, text: str, start: str) -> set[int]:
        """The numbers of the reserved names in `text`, where names stand as `` `name\0number` ``.

        A keyword is one only where the parser can take it, so a name needs its backquotes just where
        the parser, about to read the name, could take the keyword.
        """
        found: set[int] = set()
        with self.lock:
            parser: Parser = self.lark.parse_interactive(text, start=start)
            for token in parser.iter_parse():
                if token.type == "QUOTED" and "\0" in token:
                    name, number = token.strip("`").split("\0")
                    accepts = parser.accepts()
                    keyword = self.keywords[name]
                    if keyword in accepts or (_EFFECT in accepts and keyword in parser.choices()):
                        found.add(int(number))
                elif token.type == "STRING" and "\0" in token:
                    for kind, _, piece in split_text(token):
                        found |= self.reserved(piece, "expr") if kind == "expression" else set()
        return found

    def _as_name(self, error: UnexpectedInput) -> bool:
        """Read a keyword as a name where only that can stand.

        The lexer chooses by the parser's state, and one state serves a name wherever it stands: behind
        `with actor` it takes a field called `from` for the keyword that may follow other names. Among a
        rule's effects any name may stand, as a verdict, and there the keyword is rather a mistake.
        """
        if not isinstance(error, UnexpectedToken) or error.token.type not in self._keyword_types:
            return False
        self._names_left -= 1
        parser: Parser = error.interactive_parser
        accepts = parser.accepts() if self._names_left >= 0 else set()
        if "NAME" not in accepts or _EFFECT in accepts:
            return False
        token = error.token
        parser.feed_token(Token.new_borrow_pos("NAME", token.value, token))
        return True

    def explain(self, error: UnexpectedInput, text: str, start: str) -> Fault:
        """What to say about an error that `read` raised."""
        with self.lock:
            at = error.pos_in_stream
            whole = at is None or (isinstance(error, UnexpectedToken) and error.token.type == "$END")
            parser = self.until(text if whole else text[:at], start)
            return explain(error, parser, text, start)

    def until(self, text: str, start: str) -> Parser:
        """The parser as it stands behind `text`, which is the beginning of a `start`.

        Where parsing failed, the parser has already closed what the wrong token made it close; this one
        has not, and so knows all that could have stood there.
        """
        parser: Parser = self.lark.parse_interactive(text, start=start)
        while True:
            token = None
            try:
                for token in parser.lexer_thread.lex(parser.parser_state):
                    parser.feed_token(token)
                return parser
            except UnexpectedToken:
                if token is None or token.type not in self._keyword_types or "NAME" not in parser.accepts():
                    return parser
                parser.feed_token(Token.new_borrow_pos("NAME", token.value, token))

    def _comment(self, token: Token) -> Token:
        if self._level:
            span = self.builder.at(token)
            raise BuildError("bad-text", "a comment cannot stand in braces", span, "put it behind the text")
        self.builder.comments.append(self.builder.at(token))
        return token

    def _nested(self, text: str, offset: int) -> tree.Expr:
        """An expression in braces; raises BuildError with the place in the file."""
        file = self.builder.file
        if _PLAIN_NAME.fullmatch(text) and text not in self.keywords:  # most are, and parsing takes longer
            return tree.Name(text, span=Span(file, offset, offset + len(text)))
        span = Span(file, offset, offset + len(text))
        if self._level >= _MAX_BRACES:
            raise BuildError("too-deep", "text nests too deeply here", span, "give it a name with `let`")
        self._level += 1
        try:
            node: tree.Expr = self.read(text, "expr", file, offset)[0]
        except UnexpectedInput as error:
            fault = self.explain(error, text, "expr")
            place = Span(file, offset + fault.offset, offset + fault.offset + fault.length)
            raise BuildError(fault.code, fault.message, place, fault.hint, fault.replacement) from None
        finally:
            self._level -= 1
        return node


@cache
def reader() -> Reader:
    """The one reader, made when it is first needed: that takes a quarter of a second."""
    return Reader()
