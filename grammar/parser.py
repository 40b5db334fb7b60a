"""Text to tree: a file is cut into declarations, and each is parsed by itself.

A declaration starts at the left margin and its other lines are indented, so one that is broken never
hides the errors of the next, and an editor re-parses only what changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.resources import files
from threading import RLock
from typing import Any

from lark import Lark, Token
from lark.exceptions import UnexpectedInput, UnexpectedToken
from lark.lark import PostLex
from lark.lexer import PatternStr
from lark.parsers.lalr_interactive_parser import InteractiveParser

from quell.grammar import tree
from quell.grammar.build import BuildError
from quell.grammar.build_declarations import Builder
from quell.grammar.diagnostics import Report
from quell.grammar.literals import split_text
from quell.grammar.source import Source, Span
from quell.grammar.syntax_errors import Fault, explain, shown, unknown_declaration

STARTS = ("entity", "shape", "event", "let", "list", "model", "score", "rule", "verdicts", "test")
MAX_FILE = 2_000_000
"""Characters in one policy file; a larger one is refused."""
MAX_DECLARATION = 100_000
"""Characters in one declaration."""
MAX_DEPTH = 120
"""How deeply the nodes of a declaration may nest."""
MAX_ERRORS = 500
"""Declarations of one file that may fail to parse before the rest is left unread."""

_MAX_KEYWORD_NAMES = 300  # in one declaration: each costs a look at all that could stand in its place
_EFFECT = "UNLABEL"  # the terminal that can stand only where an effect begins
_MAX_BRACES = 8  # deeper than policy.lark's STRING lets text nest in braces in text
_WORD = re.compile(r"[^\s(){}\[\]=<>\"'.,:#]+")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One declaration's text: where it begins, and the comment directly above it."""

    start: int
    text: str
    doc: str


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
        for rule in self.lark.rules:  # as read they are tokens, which compare slowly: a tenth of the time
            rule.origin.name = str(rule.origin.name)
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
            parser = self.lark.parse_interactive(text, start=start)
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
        accepts = error.interactive_parser.accepts() if self._names_left >= 0 else set()
        if "NAME" not in accepts or _EFFECT in accepts:
            return False
        token = error.token
        error.interactive_parser.feed_token(Token.new_borrow_pos("NAME", token.value, token))
        return True

    def explain(self, error: UnexpectedInput, text: str, start: str) -> Fault:
        """What to say about an error that `read` raised."""
        with self.lock:
            at = error.pos_in_stream
            whole = at is None or (isinstance(error, UnexpectedToken) and error.token.type == "$END")
            parser = self.until(text if whole else text[:at], start)
            return explain(error, parser, text, start)

    def until(self, text: str, start: str) -> InteractiveParser:
        """The parser as it stands behind `text`, which is the beginning of a `start`.

        Where parsing failed, the parser has already closed what the wrong token made it close; this one
        has not, and so knows all that could have stood there.
        """
        parser = self.lark.parse_interactive(text, start=start)
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
            raise BuildError("bad-text", "a comment cannot stand in braces", self.builder.at(token))
        self.builder.comments.append(self.builder.at(token))
        return token

    def _nested(self, text: str, offset: int) -> tree.Expr:
        """An expression in braces; raises BuildError with the place in the file."""
        file = self.builder.file
        span = Span(file, offset, offset + len(text))
        if self._level >= _MAX_BRACES:
            raise BuildError("too-deep", "text nests too deeply here", span, "give it a name with let")
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


def parse(source: Source, report: Report) -> tree.PolicyFile:
    """All declarations of a file that parse; what does not is reported."""
    if not is_readable(source, report):
        return tree.PolicyFile(source.name, ())
    out = []
    failed = 0
    for chunk in split(source, report):
        declaration = parse_chunk(source.name, chunk, report)
        if declaration is not None:
            out.append(declaration)
            continue
        failed += 1
        if failed == MAX_ERRORS:
            report.add(
                "syntax",
                f"{MAX_ERRORS} declarations of this file do not read, and the rest is left unread",
                Span(source.name, chunk.start, chunk.start),
                hint="is this a policy file?",
            )
            break
    return tree.PolicyFile(source.name, tuple(out))


def is_readable(source: Source, report: Report | None = None) -> bool:
    """Whether a file is text, and no larger than a policy file may be; why it is not is reported."""
    report = Report() if report is None else report
    if len(source.text) > MAX_FILE:
        report.add(
            "unreadable-file",
            f"this file has {len(source.text):,} characters, and a policy file may have {MAX_FILE:,}",
            Span(source.name, 0, 0),
            hint="split it, or move its data into a list file",
        )
        return False
    odd = _NO_TEXT.search(source.text)
    if odd is not None:
        report.add(
            "unreadable-file",
            f"this file holds `{shown(odd[0])}`, which no text does",
            Span(source.name, odd.start(), odd.end()),
            hint="a policy file is text in UTF-8",
        )
    return odd is None


def split(source: Source, report: Report) -> Iterator[Chunk]:
    """The declarations of a file as text, each from its margin to the next one's comment."""
    heads: list[int] = []
    orphan = False
    for number in range(1, source.lines + 1):
        line = _line(source, number)
        if not line.strip() or line[0] == "#":
            continue
        if line[0] not in " \t":
            heads.append(number)
        elif not heads and not orphan and not line.lstrip().startswith("#"):
            orphan = True
            end = source.offset(number) + len(source.line(number))
            report.add(
                "stray-indent",
                "this line is indented but belongs to no declaration",
                Span(source.name, end - len(line.lstrip()), end),
                hint="a declaration begins at the left margin",
            )
    for i, head in enumerate(heads):
        last = heads[i + 1] - 1 if i + 1 < len(heads) else source.lines
        while last > head and _is_margin_comment_or_blank(source.line(last)):
            last -= 1
        start = source.offset(head) + len(source.line(head)) - len(_line(source, head))
        end = source.offset(last) + len(source.line(last))
        yield Chunk(start, source.text[start:end], _doc(source, head))


def _line(source: Source, number: int) -> str:
    line = source.line(number)
    return line.removeprefix("\ufeff") if number == 1 else line


def _is_margin_comment_or_blank(line: str) -> bool:
    return not line.strip() or line[0] == "#"


def _doc(source: Source, head: int) -> str:
    lines: list[str] = []
    number = head - 1
    while number >= 1 and _line(source, number).startswith("#"):
        lines.append(_line(source, number).lstrip("#").removeprefix(" ").rstrip())
        number -= 1
    return "\n".join(reversed(lines))


def parse_chunk(
    file: str, chunk: Chunk, report: Report, comments: list[Span] | None = None
) -> tree.Declaration | None:
    """One declaration, or None with the reason reported. Its comments are added to `comments`."""
    match = _WORD.match(chunk.text)
    word = match[0] if match else chunk.text[:1]
    place = Span(file, chunk.start, chunk.start + len(word))
    if word not in STARTS:
        _add(report, unknown_declaration(word, chunk.text, STARTS), file, chunk.start)
        return None
    if len(chunk.text) > MAX_DECLARATION:
        report.add(
            "too-deep",
            f"this declaration has {len(chunk.text):,} characters, and one may have {MAX_DECLARATION:,}",
            place,
            hint="move long lists into a list file",
        )
        return None
    node, found = _parse(chunk.text, word, file, chunk.start, report)
    if not isinstance(node, tree.Declaration) or _too_deep(node, "declaration", place, report):
        return None
    if comments is not None:
        comments.extend(found)
    return replace(node, doc=chunk.doc) if chunk.doc else node


def parse_expression(text: str, file: str = "", offset: int = 0, report: Report | None = None) -> tree.Expr | None:
    """An expression by itself, or None with the reason reported."""
    report = Report() if report is None else report
    node, _ = _parse(text, "expr", file, offset, report)
    place = Span(file, offset, offset + len(text))
    if not isinstance(node, tree.Expr) or _too_deep(node, "expression", place, report):
        return None
    return node


def _too_deep(node: tree.Node, what: str, place: Span, report: Report) -> bool:
    if tree.depth(node) <= MAX_DEPTH:
        return False
    report.add("too-deep", f"this {what} nests too deeply to be read", place, hint="give its parts names with let")
    return True


def _parse(text: str, start: str, file: str, offset: int, report: Report) -> tuple[object, list[Span]]:
    try:
        return reader().read(text, start, file, offset)
    except UnexpectedInput as error:
        _add(report, reader().explain(error, text, start), file, offset)
    except BuildError as inner:
        report.add(inner.code, inner.message, inner.span, hint=inner.hint, replacement=inner.replacement)
    return None, []


def _add(report: Report, fault: Fault, file: str, offset: int) -> None:
    span = Span(file, offset + fault.offset, offset + fault.offset + fault.length)
    report.add(fault.code, fault.message, span, hint=fault.hint, replacement=fault.replacement)
