"""The text that must occur wherever a pattern matches, so that a quick search can rule a match out.

The idea is that of Russ Cox, "Regular Expression Matching with a Trigram Index" (2012): walk the tree,
keep what a node matches exactly where that is one text, and else the best text that it needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from quell.signals.pattern_tree import Char, Choice, Class, Edge, Node, Range, Repeat, Run, parse

MAX_LITERAL = 200
"""Required texts are cut at this length: more would not be found any sooner."""


@dataclass(frozen=True, slots=True)
class _Need:
    """What a node needs: the one text it matches, if it is one, and a text that is in all it matches."""

    exact: str | None
    inside: str


_NOTHING = _Need(None, "")


def required_literal(pattern: str, flags: str = "") -> str | None:
    """A text that occurs in every text in which the pattern is found, or None where none is known.

    With the flag ``i`` it occurs in ``text.casefold()`` and not always in the text itself: RE2 takes the
    Kelvin sign for k and the long s for s, and case folding makes both plain. (The tables of
    ``str.casefold`` are the same in Python 3.11 to 3.13, and a test compares them with RE2's.) Without it,
    parts that a ``(?i)`` in the pattern makes fold are left out.
    """
    tree = parse(pattern, flags)
    if tree is None:
        return None
    return _need(tree, "i" in flags).inside or None


def _need(node: Node, folded: bool) -> _Need:
    if isinstance(node, Char):
        return _char(node.char, node.fold, folded)
    if isinstance(node, Class):
        return _class(node, folded)
    if isinstance(node, Edge):
        return _Need("", "")
    if isinstance(node, Run):
        return _run([_need(item, folded) for item in node.items])
    if isinstance(node, Choice):
        return _choice([_need(branch, folded) for branch in node.branches])
    if isinstance(node, Repeat):
        return _repeat(node, folded)
    return _NOTHING


def _char(char: str, fold: bool, folded: bool) -> _Need:
    if folded:
        char = char.casefold()
    elif fold and not caseless(char):
        return _NOTHING
    return _Need(char, char)


def caseless(char: str) -> bool:
    """Whether a character is its own upper, lower and folded case."""
    return char == char.lower() == char.upper() == char.casefold()


def _class(node: Class, folded: bool) -> _Need:
    if node.negated:
        return _NOTHING
    found: set[str] = set()
    for part in node.parts:
        if not isinstance(part, Range) or part.low != part.high:
            return _NOTHING
        need = _char(part.low, node.fold, folded)
        if need.exact is None:
            return _NOTHING
        found.add(need.exact)
    return _Need(*found, *found) if len(found) == 1 else _NOTHING


def _run(needs: list[_Need]) -> _Need:
    best, current = "", ""
    whole = True
    for need in needs:
        if need.exact is None:
            whole = False
            best = max(best, current, need.inside, key=len)
            current = ""
        elif len(current) < MAX_LITERAL:
            current += need.exact
    best = max(best, current, key=len)
    # A text that was cut is still in all that matches, but no longer all of it.
    if whole and len(best) < MAX_LITERAL:
        return _Need(best, best)
    return _Need(None, best[:MAX_LITERAL])


def _choice(needs: list[_Need]) -> _Need:
    texts = [need.inside for need in needs]
    common = texts[0]
    for text in texts[1:]:
        common = _common(common, text)
    exact = needs[0].exact
    if exact is not None and all(need.exact == exact for need in needs):
        return _Need(exact, exact)
    return _Need(None, common)


def _common(a: str, b: str) -> str:
    """The longest text that is in both, the first of the longest."""
    best = ""
    for start in range(len(a)):
        while start + len(best) < len(a) and a[start : start + len(best) + 1] in b:
            best = a[start : start + len(best) + 1]
    return best


def _repeat(node: Repeat, folded: bool) -> _Need:
    if node.most == 0:
        return _Need("", "")
    need = _need(node.item, folded)
    if node.least == 0:
        return _Need("", "") if need.exact == "" else _NOTHING
    if need.exact is None:
        return need
    text = (need.exact * min(node.least, MAX_LITERAL))[:MAX_LITERAL]
    if node.least == node.most and len(need.exact) * node.least < MAX_LITERAL:
        return _Need(text, text)
    return _Need(None, text)
