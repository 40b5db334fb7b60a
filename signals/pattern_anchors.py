"""Anchors in patterns that can never match where they stand.

For each anchor, the characters that may stand before and after it are worked out from the tree. One is
called impossible only when none of them lets it match.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from quell.signals.pattern_errors import PatternLint
from quell.signals.pattern_tree import (
    Char,
    Choice,
    Class,
    Dot,
    Edge,
    Named,
    Node,
    Range,
    Repeat,
    Run,
    children,
)

# What may stand directly beside a place: the end of the text, an ASCII letter, digit or underscore, a
# line break, any other ASCII character, any character beyond ASCII.
_TEXT_END, _WORD, _BREAK, _OTHER, _BEYOND = 1, 2, 4, 8, 16
_ANY = _WORD | _BREAK | _OTHER | _BEYOND
_OPEN = _TEXT_END | _ANY

_NAMED = {
    r"\d": _WORD,
    r"\D": _ANY,
    r"\w": _WORD,
    r"\W": _BREAK | _OTHER | _BEYOND,
    r"\s": _BREAK | _OTHER,
    r"\S": _WORD | _OTHER | _BEYOND,
    "[:alnum:]": _WORD,
    "[:alpha:]": _WORD,
    "[:digit:]": _WORD,
    "[:lower:]": _WORD,
    "[:upper:]": _WORD,
    "[:xdigit:]": _WORD,
    "[:word:]": _WORD,
    "[:blank:]": _OTHER,
    "[:space:]": _BREAK | _OTHER,
    "[:punct:]": _OTHER | _WORD,
}


def _kind(char: str) -> int:
    if char > "\x7f":
        return _BEYOND
    if char == "\n":
        return _BREAK
    return _WORD if char.isalnum() or char == "_" else _OTHER


def _kinds(char: str, fold: bool) -> int:
    found = _kind(char)
    if fold and char in "kKsS":
        found |= _BEYOND  # RE2 takes the Kelvin sign for k and the long s for s
    if fold and char in "\u212a\u017f":
        found |= _WORD
    return found


def _class_kinds(node: Class) -> int:
    """Every kind of character that may be in the class; perhaps some more."""
    if node.negated:
        return _ANY & ~_covered(node)
    found = 0
    for part in node.parts:
        if isinstance(part, Named):
            found |= _named_kinds(part.name, node.fold)
        elif part.low == part.high:
            found |= _kinds(part.low, node.fold)
        else:
            found |= _range_kinds(part, node.fold)
    return found


def _named_kinds(name: str, fold: bool) -> int:
    found = _NAMED.get(name, _ANY)
    # The Kelvin sign and the long s come with k and s, and k and s with them.
    return found | _WORD | _BEYOND if fold and found & (_WORD | _BEYOND) else found


def _range_kinds(part: Range, fold: bool) -> int:
    low, high = ord(part.low), ord(part.high)
    found = _BEYOND if high > 0x7F else 0
    for point in range(low, min(high, 0x7F) + 1):
        found |= _kinds(chr(point), fold)
    if fold and high > 0x7F:
        found |= _WORD
    return found


def _covered(node: Class) -> int:
    """The kinds of which a negated class leaves out every character."""
    left_out = {p.name for p in node.parts if isinstance(p, Named)}
    found = 0
    if r"\w" in left_out or "[:word:]" in left_out:
        found |= _WORD
    if left_out & {r"\s", "[:space:]", r"\W"} or any(
        isinstance(p, Range) and p.low <= "\n" <= p.high for p in node.parts
    ):
        found |= _BREAK
    if r"\W" in left_out:
        found |= _OTHER | _BEYOND
    return found


class _Side(NamedTuple):
    """The characters at one side of a node, and whether the node may match the empty text."""

    kinds: int
    empty: bool


def _side(node: Node, last: bool) -> _Side:
    """The first characters (or the last) of what a node matches."""
    if isinstance(node, Char):
        return _Side(_kinds(node.char, node.fold), False)
    if isinstance(node, Dot):
        return _Side(_ANY if node.newline else _ANY & ~_BREAK, False)
    if isinstance(node, Class):
        return _Side(_class_kinds(node), False)
    if isinstance(node, Edge):
        return _Side(0, True)
    if isinstance(node, Repeat):
        inner = _side(node.item, last)
        return _Side(0, True) if node.most == 0 else _Side(inner.kinds, inner.empty or node.least == 0)
    if isinstance(node, Choice):
        sides = [_side(branch, last) for branch in node.branches]
        return _Side(_union(s.kinds for s in sides), any(s.empty for s in sides))
    return _run_side(node.items, last)


def _run_side(items: tuple[Node, ...], last: bool) -> _Side:
    kinds = 0
    for item in reversed(items) if last else items:
        side = _side(item, last)
        kinds |= side.kinds
        if not side.empty:
            return _Side(kinds, False)
    return _Side(kinds, True)


def _union(kinds: Iterator[int]) -> int:
    found = 0
    for kind in kinds:
        found |= kind
    return found


def _beside(side: _Side, outer: int) -> int:
    return side.kinds | (outer if side.empty else 0)


def anchors(tree: Node, pattern: str) -> Iterator[PatternLint]:
    """The anchors that can never match where they stand, or hardly as meant."""
    stack: list[tuple[Node, int, int]] = [(tree, _OPEN, _OPEN)]
    while stack:
        node, before, after = stack.pop()
        if isinstance(node, Edge):
            finding = _edge_finding(node, before, after, pattern)
            if finding is not None:
                yield finding
        elif isinstance(node, Run):
            stack.extend(_placed(node.items, before, after))
        elif isinstance(node, Repeat):
            again = node.most is None or node.most > 1
            first, last = _side(node.item, False), _side(node.item, True)
            stack.append((node.item, before | last.kinds * again, after | first.kinds * again))
        else:
            stack.extend((inner, before, after) for inner in children(node))


def _placed(items: tuple[Node, ...], before: int, after: int) -> Iterator[tuple[Node, int, int]]:
    """The items of a run, each with what may stand before and after it."""
    afters = []
    for item in reversed(items):
        afters.append(after)
        after = _beside(_side(item, False), after)
    for item, behind in zip(items, reversed(afters), strict=True):
        yield item, before, behind
        before = _beside(_side(item, True), before)


def _edge_finding(node: Edge, before: int, after: int, pattern: str) -> PatternLint | None:
    mark = pattern[node.at : node.end]
    if node.kind in ("text start", "line start"):
        allowed = _TEXT_END | (_BREAK if node.kind == "line start" else 0)
        if before & allowed:
            return None
        place = "at the start of the text" + (" or a line" if node.kind == "line start" else "")
        return _impossible(mark, node, f"it matches only {place}, and something always stands before it")
    if node.kind in ("text end", "line end"):
        allowed = _TEXT_END | (_BREAK if node.kind == "line end" else 0)
        if after & allowed:
            return None
        place = "at the end of the text" + (" or a line" if node.kind == "line end" else "")
        return _impossible(mark, node, f"it matches only {place}, and something always stands after it")
    return _word_edge_finding(node, before, after, mark)


def _impossible(mark: str, node: Edge, why: str) -> PatternLint:
    hint = f"for the character itself write \\{mark}" if mark in "^$" else f"take `{mark}` away"
    return PatternLint("regex-anchor", f"`{mark}` can never match here: {why}", node.at, hint)


def _word_edge_finding(node: Edge, before: int, after: int, mark: str) -> PatternLint | None:
    word_before, other_before = bool(before & _WORD), bool(before & ~_WORD)
    word_after, other_after = bool(after & _WORD), bool(after & ~_WORD)
    differ = (word_before and other_after) or (other_before and word_after)
    same = (word_before and word_after) or (other_before and other_after)
    if node.kind == "no word edge":
        if same or not differ:
            return None
        return _impossible(mark, node, "a word always begins or ends at this place")
    if same and not differ:
        letters = (
            "two letters, digits or underscores"
            if word_before
            else "two characters of which none is in a word"
        )
        return _impossible(mark, node, f"it always stands between {letters} (a to z, 0 to 9, _)")
    if (before, after) in ((_BEYOND, _OPEN), (_OPEN, _BEYOND)):
        return PatternLint(
            "regex-anchor",
            f"`{mark}` knows only a to z, 0 to 9 and _: beside another letter it matches only where one of "
            "those stands on its other side",
            node.at,
            r"for any letter write (?:^|[^\pL\pM\pN_]) before the word and (?:$|[^\pL\pM\pN_]) after it, "
            "or keep the words in a list of words",
        )
    return None
