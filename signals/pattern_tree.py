"""RE2 patterns read into a small tree, for what RE2's binding does not tell: required texts, lints.

The tree follows the syntax at https://github.com/google/re2/wiki/Syntax. `parse` reads patterns that
RE2 has accepted already; for anything it does not know it gives None, and then nothing is concluded.
Places are offsets in characters from the start of the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

MAX_DEPTH = 100
"""Groups nest at most this deep; `parse` gives None beyond it."""

EdgeKind = Literal["text start", "line start", "text end", "line end", "word edge", "no word edge"]


@dataclass(frozen=True, slots=True)
class Char:
    """One character, of either case when `fold`. `raw` says that it is not an escape."""

    at: int
    end: int
    char: str
    fold: bool
    raw: bool = True


@dataclass(frozen=True, slots=True)
class Dot:
    """Any character; `newline` says whether also a line break."""

    at: int
    end: int
    newline: bool


@dataclass(frozen=True, slots=True)
class Range:
    """Part of a class: characters from `low` to `high`."""

    at: int
    low: str
    high: str
    raw: bool = True


@dataclass(frozen=True, slots=True)
class Named:
    """Part of a class, or a class by itself: ``\\d``, ``[:alpha:]``, ``\\p{Greek}``, by its spelling."""

    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Class:
    """One character of a class."""

    at: int
    end: int
    negated: bool
    parts: tuple[Range | Named, ...]
    fold: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """A place between characters."""

    at: int
    end: int
    kind: EdgeKind


@dataclass(frozen=True, slots=True)
class Run:
    """Items one after another; none at all match the empty text."""

    at: int
    end: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several branches."""

    at: int
    end: int
    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """An item again and again, `most` times at most (None: any number). `mark` is where the count stands."""

    at: int
    end: int
    item: Node
    least: int
    most: int | None
    mark: int


Node: TypeAlias = Char | Dot | Class | Edge | Run | Choice | Repeat

_COUNT = re.compile(r"\{([0-9]{1,4})(,([0-9]{1,4})?)?\}")
_GROUP = re.compile(r"\(\?(?:P?<([^>]*)>|([imsU]*(?:-[imsU]+)?)([:)]))")
_HEX = re.compile(r"\\x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))")
_OCTAL = re.compile(r"\\(0[0-7]{0,2}|[1-7][0-7]{1,2})")
_PROPERTY = re.compile(r"\\[pP](?:\{[^}]*\}|[^{])")
_POSIX = re.compile(r"\[:\^?[a-z]+:\]")
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class _Unknown(Exception):
    """Something this reader does not know."""


@dataclass(slots=True)
class _Open:
    """A group being read."""

    at: int
    flags: frozenset[str]
    began: int
    branches: list[Node]
    items: list[Node]


def parse(pattern: str, flags: str = "") -> Node | None:
    """The tree of a pattern that RE2 accepts, or None when there is something in it that is not known here.

    `flags` are those behind the closing slash. The subset read is all of RE2's syntax but ``\\C``.
    """
    try:
        return _Reader(pattern, flags).read()
    except (_Unknown, IndexError, ValueError, OverflowError):
        return None


class _Reader:
    def __init__(self, pattern: str, flags: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.flags = frozenset(flags)
        self.groups = [_Open(0, self.flags, 0, [], [])]

    def read(self) -> Node:
        pattern = self.pattern
        while self.at < len(pattern):
            self._step(pattern[self.at])
        if len(self.groups) != 1:
            raise _Unknown
        return self._close(self.groups.pop(), len(pattern))

    def _step(self, char: str) -> None:
        if char == "(":
            self._open()
        elif char == ")":
            self._end_group()
        elif char == "|":
            self._branch()
        elif char in "*+?" or (char == "{" and _COUNT.match(self.pattern, self.at)):
            self._repeat(char)
        elif char == "[":
            self._add(self._class())
        elif char == "\\":
            self._escape()
        elif char == ".":
            self._add(Dot(self.at, self.at + 1, "s" in self.flags))
        elif char in "^$":
            self._edge(char)
        else:
            self._add(Char(self.at, self.at + 1, char, "i" in self.flags))

    def _add(self, node: Node) -> None:
        self.groups[-1].items.append(node)
        self.at = node.end

    # -------------------------------------------------------------- groups

    def _open(self) -> None:
        flags, end = self.flags, self.at + 1
        if self.pattern.startswith("(?", self.at):
            match = _GROUP.match(self.pattern, self.at)
            if match is None:
                raise _Unknown
            end = match.end()
            if match[1] is None:
                flags = _changed(flags, match[2])
                if match[3] == ")":
                    self.flags, self.at = flags, end
                    return
        if len(self.groups) > MAX_DEPTH:
            raise _Unknown
        self.groups.append(_Open(self.at, self.flags, end, [], []))
        self.flags, self.at = flags, end

    def _end_group(self) -> None:
        group = self.groups.pop()
        if not self.groups:
            raise _Unknown
        inside = self._close(group, self.at)
        # A group of its own even around one item, so that a count behind it takes it whole.
        self._add(Run(group.at, self.at + 1, (inside,)))
        self.flags = group.flags

    def _branch(self) -> None:
        group = self.groups[-1]
        group.branches.append(Run(group.began, self.at, tuple(group.items)))
        group.items = []
        self.at += 1
        group.began = self.at

    def _close(self, group: _Open, end: int) -> Node:
        last = Run(group.began, end, tuple(group.items))
        if not group.branches:
            return last
        branches = (*group.branches, last)
        return Choice(branches[0].at, end, branches)

    # --------------------------------------------------------------- items

    def _repeat(self, char: str) -> None:
        items = self.groups[-1].items
        if not items:
            raise _Unknown
        end = self.at + 1
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1), "{": (0, 0)}[char]
        if char == "{":
            match = _COUNT.match(self.pattern, self.at)
            assert match is not None
            least, end = int(match[1]), match.end()
            most = least if match[2] is None else None if match[3] is None else int(match[3])
        if self.pattern.startswith("?", end):
            end += 1
        item = items.pop()
        self._add(Repeat(item.at, end, item, least, most, self.at))

    def _edge(self, char: str) -> None:
        lines = "m" in self.flags
        kind: EdgeKind
        if char == "^":
            kind = "line start" if lines else "text start"
        else:
            kind = "line end" if lines else "text end"
        self._add(Edge(self.at, self.at + 1, kind))

    def _escape(self) -> None:
        pattern, at = self.pattern, self.at
        kind = pattern[at + 1]
        if kind == "Q":
            stop = pattern.find("\\E", at + 2)
            stop = len(pattern) if stop < 0 else stop
            for place in range(at + 2, stop):
                self._add(Char(place, place + 1, pattern[place], "i" in self.flags))
            self.at = min(stop + 2, len(pattern))
            return
        edges: dict[str, EdgeKind] = {
            "A": "text start",
            "z": "text end",
            "b": "word edge",
            "B": "no word edge",
        }
        if kind in edges:
            self._add(Edge(at, at + 2, edges[kind]))
            return
        named = self._named()
        if named is not None:
            self._add(Class(at, at + len(named.name), False, (named,), "i" in self.flags))
            return
        char, end = self._char()
        self._add(Char(at, end, char, "i" in self.flags, raw=False))

    def _named(self) -> Named | None:
        if self.pattern[self.at + 1] in "dDsSwW":
            return Named(self.at, self.pattern[self.at : self.at + 2])
        match = _PROPERTY.match(self.pattern, self.at)
        return Named(self.at, match[0]) if match else None

    def _char(self) -> tuple[str, int]:
        """The one character that stands, escaped or not, at the present place, and where it ends."""
        pattern, at = self.pattern, self.at
        if pattern[at] != "\\":
            return pattern[at], at + 1
        kind = pattern[at + 1]
        if kind in _CONTROLS:
            return _CONTROLS[kind], at + 2
        if match := _HEX.match(pattern, at):
            point = int(match[1] or match[2], 16)
            if 0xD800 <= point <= 0xDFFF:
                raise _Unknown
            return chr(point), match.end()
        if match := _OCTAL.match(pattern, at):
            return chr(int(match[1], 8)), match.end()
        if kind < "\x80" and not kind.isalnum():
            return kind, at + 2
        raise _Unknown

    # ------------------------------------------------------------- classes

    def _class(self) -> Class:
        began = self.at
        negated = self.pattern.startswith("^", began + 1)
        self.at += 1 + negated
        parts: list[Range | Named] = []
        while not parts or self.pattern[self.at] != "]":
            parts.append(self._part())
        return Class(began, self.at + 1, negated, tuple(parts), "i" in self.flags)

    def _part(self) -> Range | Named:
        at, pattern = self.at, self.pattern
        match = _POSIX.match(pattern, at)
        named = Named(at, match[0]) if match else self._named() if pattern[at] == "\\" else None
        if named is not None:
            self.at = at + len(named.name)
            return named
        low, self.at = self._char()
        high = low
        if pattern.startswith("-", self.at) and not pattern.startswith("]", self.at + 1):
            self.at += 1
            high, self.at = self._char()
        return Range(at, low, high, raw=pattern[at] != "\\")


def _changed(flags: frozenset[str], change: str) -> frozenset[str]:
    on, _, off = change.partition("-")
    return (flags | frozenset(on)) - frozenset(off)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly inside a node."""
    if isinstance(node, Run):
        return node.items
    if isinstance(node, Choice):
        return node.branches
    return (node.item,) if isinstance(node, Repeat) else ()


def walk(node: Node) -> Iterator[Node]:
    """A node and everything inside it, outer before inner, left before right."""
    stack = [node]
    while stack:
        top = stack.pop()
        yield top
        stack.extend(reversed(children(top)))


def copies(node: Node) -> int:
    """How many counted items RE2 unrolls: the most that a pattern can be inside of at once, roughly.

    ``a.{0,100}b`` has 100. What a hostile text can make a search cost grows with it.
    """
    if isinstance(node, Repeat):
        return max(node.least, node.most or 0) * max(1, copies(node.item))
    return sum(copies(inner) for inner in children(node))
