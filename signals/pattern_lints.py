"""Lints for patterns that RE2 accepts and that still cannot mean what was meant.

Each says nothing where it is not sure: a pattern that `pattern_tree` cannot read has no findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import unicodedata2

from quell.signals.pattern_anchors import anchors
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
    parse,
    walk,
)

__all__ = ["PatternLint", "lint_pattern"]


def lint_pattern(pattern: str, flags: str = "") -> list[PatternLint]:
    """The findings in a pattern that RE2 accepts, in order of place.

    Codes are ``regex-combining``, ``regex-anchor`` and ``regex-whole``.
    """
    tree = parse(pattern, flags)
    if tree is None:
        return []
    found = [*_combining(tree, pattern), *anchors(tree, pattern), *_whole(tree)]
    return sorted(set(found), key=lambda f: (f.offset, f.code, f.message))


# ------------------------------------------------------ combining characters

_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_JOINED = re.compile("\u200d|[\U0001f3fb-\U0001f3ff]")


def _is_mark(char: str) -> bool:
    return str(unicodedata2.category(char)).startswith("M")


def _combining(tree: Node, pattern: str) -> Iterator[PatternLint]:
    for node in walk(tree):
        if isinstance(node, Class):
            yield from _torn_class(node)
        elif isinstance(node, Run):
            yield from _torn_counts(node, pattern)


def _torn_class(node: Class) -> Iterator[PatternLint]:
    """A base and its mark, typed as one letter, are two members of a class and match alone."""
    before: Range | None = None
    for part in node.parts:
        single = part if isinstance(part, Range) and part.raw and part.low == part.high else None
        if single is not None and before is not None:
            pair = before.low + single.low
            if _is_one(before.low, single.low):
                yield PatternLint(
                    "regex-combining",
                    f"the class takes `{pair}` apart: it matches `{before.low}` alone, and its sign alone",
                    before.at,
                    _instead(pair),
                )
        before = single


def _is_one(base: str, sign: str) -> bool:
    if _is_mark(sign):
        return not _is_mark(base)
    return bool(_FLAG.fullmatch(base + sign) or (_JOINED.match(sign) and ord(base) > 0x2000))


def _instead(pair: str) -> str:
    whole = unicodedata2.normalize("NFC", pair)
    if len(whole) == 1:
        return f"write it as the single character `{whole}` (U+{ord(whole):04X}) or \\x{{{ord(whole):x}}}"
    return "write (?:…|…) with each as a branch of its own"


def _torn_counts(run: Run, pattern: str) -> Iterator[PatternLint]:
    """A count behind a base and its mark counts the mark only."""
    for before, node in zip(run.items, run.items[1:], strict=False):
        if not (isinstance(before, Char) and before.raw and isinstance(node, Repeat)):
            continue
        item = node.item
        if not (isinstance(item, Char) and item.raw and _is_mark(item.char)) or _is_mark(before.char):
            continue
        if _VARIATION.match(item.char) and node.least == 0:
            continue  # ❤ with or without its variation selector: meant so
        pair, count = before.char + item.char, pattern[node.mark : node.end]
        yield PatternLint(
            "regex-combining",
            f"`{count}` counts only the sign on top of `{before.char}`, not all of `{pair}`",
            before.at,
            f"write (?:{pair}){count}",
        )


# -------------------------------------------------------------- whole texts


def _whole(tree: Node) -> Iterator[PatternLint]:
    """Whether the pattern is found in every text, because it may match the empty text anywhere."""
    if not (_free(tree, "start") or _free(tree, "end") or _spans(tree)):
        return
    empty = _empty_branch(tree)
    if empty is not None:
        message = "the pattern matches every text, because a branch of it is empty"
        yield PatternLint("regex-whole", message, empty, "take the | beside nothing away")
        return
    repeats = [n for n in walk(tree) if isinstance(n, Repeat) and n.least == 0]
    at = repeats[0].at if repeats else 0
    hint = "write + in place of *, or say what must be there" if repeats else "say what must be there"
    yield PatternLint("regex-whole", "the pattern matches every text, the empty one too", at, hint)


def _free(node: Node, place: str) -> bool:
    """Whether a node can match the empty text at the start (or end) of any text."""
    if isinstance(node, Edge):
        return node.kind in (f"text {place}", f"line {place}")
    if isinstance(node, Run):
        return all(_free(item, place) for item in node.items)
    if isinstance(node, Choice):
        return any(_free(branch, place) for branch in node.branches)
    if isinstance(node, Repeat):
        return node.least == 0 or _free(node.item, place)
    return False


def _spans(node: Node) -> bool:
    """Whether it is like ``^.*$`` with a dot that takes line breaks: from start to end of any text."""
    while isinstance(node, Run) and len(node.items) == 1:
        node = node.items[0]
    if not isinstance(node, Run):
        return False
    for index, item in enumerate(node.items):
        if _takes_all(item):
            before, after = node.items[:index], node.items[index + 1 :]
            return all(_free(i, "start") for i in before) and all(_free(i, "end") for i in after)
    return False


def _takes_all(node: Node) -> bool:
    while isinstance(node, Run) and len(node.items) == 1:
        node = node.items[0]
    if not (isinstance(node, Repeat) and node.least == 0 and node.most is None):
        return False
    inner = node.item
    while isinstance(inner, Run) and len(inner.items) == 1:
        inner = inner.items[0]
    if isinstance(inner, Dot):
        return inner.newline
    if isinstance(inner, Class) and not inner.negated:
        names = {p.name for p in inner.parts if isinstance(p, Named)}
        return any({low, low.upper()} <= names for low in (r"\s", r"\d", r"\w"))
    return False


def _empty_branch(tree: Node) -> int | None:
    """Where an empty branch stands that makes the whole pattern match everything."""
    for node in walk(tree):
        if isinstance(node, Choice):
            for branch in node.branches:
                if isinstance(branch, Run) and not branch.items:
                    return branch.at
    return None
