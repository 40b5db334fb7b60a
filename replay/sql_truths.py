"""Conditions whose truth alone matters: SQL that is TRUE where one is true, and FALSE or NULL elsewhere.

In a projection DuckDB works out every part of an AND. In a CASE it looks at the later ones only where the
earlier ones left rows, so what is cheap stands first and keeps the rest from most rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from quell.engine.graph import Node
from quell.replay.sql_form import Around
from quell.replay.sql_lists import some

_TIERS = (
    re.compile(r"\bquell_"),
    re.compile(r"\bregexp_"),
    re.compile(r"\b(?:contains|list_\w+|string_split|lower|upper|replace|trim|sha256|strlen)\("),
)
"""What makes SQL costly, the costliest first."""
DEAREST = len(_TIERS)
"""The tier of what asks Python."""


def tier(text: str) -> int:
    """How costly SQL is, 0 for what costs next to nothing."""
    return next((len(_TIERS) - i for i, pattern in enumerate(_TIERS) if pattern.search(text)), 0)


def _by_tier(texts: Sequence[str]) -> list[list[str]]:
    tiers: dict[int, list[str]] = {}
    for text in texts:
        tiers.setdefault(tier(text), []).append(text)
    return [tiers[t] for t in sorted(tiers)]


def _and(w: Around, node: Node, a: Sequence[str]) -> str:
    groups = [f"({' AND '.join(g)})" for g in _by_tier([w.true(n) for n in node.args])]
    text = groups.pop()
    for group in reversed(groups):
        text = f"CASE WHEN {group} THEN {text} END"
    return text


def _or(w: Around, node: Node, a: Sequence[str]) -> str:
    groups = [f"({' OR '.join(g)})" for g in _by_tier([w.true(n) for n in node.args])]
    text = groups.pop()
    for group in reversed(groups):
        text = f"CASE WHEN {group} THEN TRUE ELSE {text} END"
    return text


def _coalesce(w: Around, node: Node, a: Sequence[str]) -> str:
    first, second = node.args
    if w.graph.is_const(second) and w.graph.value(second) is False:
        return w.true(first)
    return f"coalesce({', '.join(a)})"


def _any(w: Around, node: Node, a: Sequence[str]) -> str:
    return f"({some(node, a[0], w.true(node.args[1]))} > 0)"


def _all(w: Around, node: Node, a: Sequence[str]) -> str:
    return f"({some(node, a[0], f'({w.true(node.args[1])}) IS NOT TRUE')} = 0)"


TRUTHS: dict[str, Callable[[Around, Node, Sequence[str]], str]] = {
    "and": _and,
    "or": _or,
    "coalesce": _coalesce,
}
"""Operations that are said otherwise where only their truth matters."""
MAYBE: dict[str, Callable[[Around, Node, Sequence[str]], str]] = {"any": _any, "all": _all}
"""The same where an element's condition may be missing."""
