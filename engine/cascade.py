"""What follows from a declaration that cannot be read, told apart from what is wrong by itself.

A broken entity takes its kind away from every field, and those fields from every rule. Only the cause is
worth a message: findings about names that a broken declaration would have given are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Diagnostic
from quell.grammar.source import Source

_FOLLOWING = frozenset(
    (
        "bad-event",
        "bad-test",
        "not-on-event",
        "unknown-event",
        "unknown-field",
        "unknown-function",
        "unknown-label",
        "unknown-name",
        "unknown-rule",
        "unknown-type",
        "unknown-verdict",
        "unknown-word",
    )
)
_QUOTED = re.compile(r'`([^`]+)`|"([^"]+)"')
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\"[^\"\n]*\"|`[^`\n]+`")


def silence(
    found: Iterable[Diagnostic], unread: Iterable[Diagnostic], sources: Mapping[str, Source], symbols: Symbols
) -> list[Diagnostic]:
    """The findings without those that follow from the declarations that `unread` is about."""
    lost: set[str] = set()
    for cause in unread:
        source = sources.get(cause.span.file)
        if source is not None:
            lost |= _names(source, cause.span.start)
    if not lost:
        return list(found)
    _spread(symbols, lost)
    return [d for d in found if d.code not in _FOLLOWING or not lost & _subjects(d)]


def _subjects(d: Diagnostic) -> set[str]:
    return {a or b for a, b in _QUOTED.findall(d.message)}


def _names(source: Source, offset: int) -> set[str]:
    """The names that the declaration around a place would have given."""
    first = source.position(offset).line
    while first > 1 and (source.line(first)[:1] in ("", " ", "\t", "#")):
        first -= 1
    last = first + 1
    while last <= source.lines and source.line(last)[:1] in ("", " ", "\t", "#"):
        last += 1
    lines = [_WORD.findall(source.line(n).split("#")[0]) for n in range(first, last)]
    words = [w.strip('`"') for line in lines for w in line]
    if words[:1] == ["entity"] or words[:1] == ["verdicts"]:
        return set(words[1:])
    out = set(words[1:2])
    if words[:1] == ["event"] or words[:1] == ["shape"]:
        out |= {line[0].strip('`"') for line in lines[1:] if line}
    return out


def _spread(symbols: Symbols, lost: set[str]) -> None:
    """Add the fields that are lost with their type, and the events that are lost with their shape."""
    shaped: list[tree.Shape | tree.EventDecl] = [*symbols.shapes.values(), *symbols.events.values()]
    size = -1
    while len(lost) > size:
        size = len(lost)
        for declared in shaped:
            lost.update(f.name.name for f in declared.fields if _type_lost(f.type, lost))
            if isinstance(declared, tree.EventDecl) and any(s.name in lost for s in declared.shapes):
                lost.add(declared.name.name)
                lost.update(f.name.name for f in declared.fields)


def _type_lost(written: tree.TypeName, lost: set[str]) -> bool:
    return written.name in lost or (written.element is not None and _type_lost(written.element, lost))
