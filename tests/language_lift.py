"""Literals of an expression lifted into fields of the event, so that nothing is left to fold.

The compiler works out at once what does not depend on an event, and so an expression of literals alone never
reaches the generated code. With its literals in fields, whose defaults they are, the same expression does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from quell.grammar import tree
from quell.grammar.parser import parse_expression

_MISSING = ("bool?", "number?", "text?", "duration?", "time?", "list<text>?", "list<number>?")


@dataclass(frozen=True, slots=True)
class Lifted:
    """One literal in a field: where it stood, the field's type, and its value as written (None: missing)."""

    start: int
    end: int
    type: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Lift:
    """An expression with some of its literals in fields; `fields` are lines of an event declaration."""

    expression: str
    fields: str
    count: int


def lift(expression: str, works: Callable[[Lift], bool]) -> Lift:
    """Lift as many literals as `works` allows: some parameters must be written out in the policy."""
    parsed = parse_expression(expression)
    choices = list(_choices(parsed, expression)) if parsed is not None else []
    firsts = [c[0] for c in _outermost(choices)]
    whole = _made(expression, firsts)
    if firsts and works(whole):
        return whole
    taken: list[Lifted] = []
    for choice in choices:
        if any(t.start <= choice[0].start and choice[0].end <= t.end for t in taken):
            continue
        for one in choice:
            if works(_made(expression, [*taken, one])):
                taken.append(one)
                break
    return _made(expression, taken)


def with_fields(policy: str, fields: str) -> str:
    """A policy with more fields in its first event declaration."""
    lines = policy.split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("event "))
    end = at + 1
    while end < len(lines) and re.match(r"[ \t]+\S", lines[end]):
        end += 1
    return "\n".join([*lines[:end], *fields.split("\n"), *lines[end:]])


def _outermost(choices: list[list[Lifted]]) -> Iterator[list[Lifted]]:
    end = -1
    for choice in choices:
        if choice[0].start >= end:
            end = choice[0].end
            yield choice


def _made(expression: str, lifted: list[Lifted]) -> Lift:
    fields: list[str] = []
    for number, one in enumerate(sorted(lifted, key=lambda x: -x.start)):
        name = f"lifted_{number}"
        expression = f"{expression[: one.start]}{name}{expression[one.end :]}"
        default = "" if one.value is None else f" default {one.value}"
        fields.append(f"  {name} {one.type} = $.{name}{default}")
    return Lift(expression, "\n".join(fields), len(lifted))


def _choices(parsed: tree.Expr, written: str) -> Iterator[list[Lifted]]:
    """For each literal, in order of place, the fields that it could be."""
    found: list[tuple[int, int, list[str], str | None]] = []
    for node in tree.walk(parsed):
        start, end = node.span.start, node.span.end
        types = _types(node)
        if types:
            found.append((start, end, types, None if isinstance(node, tree.Missing) else written[start:end]))
    for start, end, types, value in sorted(found, key=lambda f: (f[0], -f[1])):
        yield [Lifted(start, end, type_, value) for type_ in types]


def _types(node: tree.Node) -> list[str]:
    if isinstance(node, tree.Missing):
        return list(_MISSING)
    if isinstance(node, tree.ListLiteral):
        kinds = {tuple(_types(item)) for item in node.items}
        if not node.items:
            return ["list<text>", "list<number>"]
        inner = next(iter(kinds))
        return [f"list<{inner[0]}>"] if len(kinds) == 1 and len(inner) == 1 else []
    if isinstance(node, tree.Text):
        return ["text"] if node.plain is not None else []
    kind = {tree.Number: "number", tree.Duration: "duration", tree.Bool: "bool"}.get(type(node))
    return [kind] if kind is not None else []
