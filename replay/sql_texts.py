"""Texts in SQL: what they hold, patterns, and the list files they are looked up in."""

from __future__ import annotations

from collections.abc import Sequence

from quell.engine.graph import Node
from quell.replay.sql_form import Around, Form, No, plain
from quell.replay.sql_patterns import alternation, any_word, by_class, gateable, pattern_sql
from quell.replay.sql_values import plain_literal
from quell.signals.characters import TEXT_CAP
from quell.signals.list_patterns import PatternList
from quell.signals.list_words import WordList

_MANY = 2_000
"""Entries of a list file up to which they are written into the SQL."""
TEXTS: dict[str, Form] = {}
"""The forms of texts and list files."""


def _join(w: Around, node: Node, a: Sequence[str]) -> str | No:
    rest = iter(a)
    parts = []
    for part in node.data:
        if isinstance(part, str):
            parts.append(plain_literal(part, "text"))
        elif part.kind in ("text", "entity", "enum", "ip"):
            parts.append(next(rest))
        else:
            return No(f"text with a {part.present()} in it is written in Python")
    text = " || ".join(parts)
    return parts[0] if len(parts) == 1 else f"left({text}, {TEXT_CAP})"


def _match(w: Around, node: Node, a: Sequence[str]) -> str | No:
    found = pattern_sql(a[0], *node.data)
    if found is None:
        return No("DuckDB does not know all that this pattern is written in")
    gate = w.gate(node.args[0])
    if gate is not None and gateable(*node.data):
        return f"CASE WHEN NOT {gate} THEN FALSE ELSE {found} END"
    if not by_class(node.data[0]):
        return found
    return _in_ascii(w, node, a[0], found, "classes of characters beyond ASCII are looked up in Python")


def _in_ascii(w: Around, node: Node, text: str, found: str, why: str) -> str | No:
    """SQL that is right for ASCII; what else there is goes to Python."""
    if node.binders:
        return No(why)
    return f"CASE WHEN strlen({text}) = length({text}) THEN {found} ELSE {w.python(node, why)} END"


def _fold(w: Around, node: Node, a: Sequence[str]) -> str | No:
    return _in_ascii(
        w, node, a[0], f"lower({a[0]})", "case is folded in Python where a text has more than ASCII"
    )


TEXTS |= {
    "contains": plain("contains({0}, {1})"),
    "starts_with": plain("starts_with({0}, {1})"),
    "ends_with": plain("ends_with({0}, {1})"),
    "join": _join,
    "tell": lambda w, n, a: No("a message is written in Python"),
    "match": _match,
    "fold": _fold,
}

# -------------------------------------------------------------- list files


def _list_in(w: Around, node: Node, a: Sequence[str]) -> str | No:
    listed = w.lists[node.data[0]]
    if listed.kind == "exact" and 0 < len(listed) <= _MANY:
        return f"({a[0]} IN ({', '.join(plain_literal(e, 'text') for e in listed.entries())}))"
    if listed.kind == "prefixes" and 0 < len(listed) <= 20:
        tests = (f"starts_with({a[0]}, {plain_literal(e, 'text')})" for e in listed.entries())
        return f"({' OR '.join(tests)})"
    return No(f"the list `{listed.name}` is looked up in Python")


def _list_python(w: Around, node: Node, a: Sequence[str]) -> No:
    return No(f"the list `{node.data[0]}` is looked up in Python")


def _list_match(w: Around, node: Node, a: Sequence[str]) -> str | No:
    listed = w.lists[node.data[0]]
    if isinstance(listed, PatternList) and all(gateable(*p) for p in listed.patterns):
        whole = alternation(tuple(sorted(listed.patterns)))
        if whole is not None:
            return f"regexp_matches({a[0]}, {plain_literal(whole, 'text')})"
    return _searched(w, node, a, "FALSE")


def _searched(w: Around, node: Node, a: Sequence[str], nothing: str) -> str | No:
    """A list looked for in a text by Python, but for ASCII texts in which nothing of it can be."""
    no = _list_python(w, node, a)
    listed = w.lists[node.data[0]]
    gate = any_word(listed.folded) if isinstance(listed, WordList) else None
    if gate is None or node.binders:
        return no
    found = f"regexp_matches(lower({a[0]}), {plain_literal(gate, 'text')})"
    plain = f"strlen({a[0]}) = length({a[0]})"
    return f"CASE WHEN {plain} AND NOT {found} THEN {nothing} ELSE {w.python(node, no.why)} END"


TEXTS |= {
    "list_in": _list_in,
    "list_match": _list_match,
    "list_found": lambda w, n, a: _searched(w, n, a, "[]::VARCHAR[]"),
    "list_row": _list_python,
}
