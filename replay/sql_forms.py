"""The forms of all operations that have one; those of conditions, functions and scores stand here."""

from __future__ import annotations

from collections.abc import Sequence

from quell.engine.graph import Node
from quell.engine.operations import EXACT
from quell.grammar.types import Type
from quell.replay.sql_form import Around, Form, No, maybe, plain
from quell.replay.sql_lists import LISTS
from quell.replay.sql_numbers import NUMBERS
from quell.replay.sql_patterns import gateable
from quell.replay.sql_texts import TEXTS
from quell.replay.sql_values import plain_literal
from quell.signals.functions import REGISTRY

_NOTHING = Type("missing")
_AS_DOUBLE = "::DOUBLE"
_PYTHON = "{python}"
FORMS: dict[str, Form] = {**NUMBERS, **TEXTS, **LISTS}
"""The form of each operation that is no leaf."""


def _whole(value: float) -> bool:
    return abs(value) < EXACT and value == int(value)


def _compare(sign: str) -> Form:
    def form(w: Around, node: Node, a: Sequence[str]) -> str | No:
        left, right = node.args
        x, y = w.like(left, w.graph[right].type), w.like(right, w.graph[left].type)
        if w.graph.is_const(right) and x.endswith(_AS_DOUBLE) and _whole(w.graph.value(right)):
            # A length is counted in whole numbers: it is compared as one.
            return f"({x.removesuffix(_AS_DOUBLE)} {sign} {int(w.graph.value(right))})"
        return f"({x} {sign} {y})"

    return form


for _name, _sign in {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items():
    FORMS[_name] = _compare(_sign)


def _joined(word: str) -> Form:
    return lambda w, n, a: "(" + f" {word} ".join(a) + ")"


def _coalesce(w: Around, node: Node, a: Sequence[str]) -> str:
    return f"coalesce({w.like(node.args[0], node.type)}, {w.like(node.args[1], node.type)})"


FORMS |= {
    "and": _joined("AND"),
    "or": _joined("OR"),
    "not": plain("(NOT {0})"),
    "is_missing": plain("({0} IS NULL)"),
    "coalesce": _coalesce,
}

# -------------------------------------------------------- functions, scores


def _call(w: Around, node: Node, a: Sequence[str]) -> str | No:
    name, *literals = node.data
    row = REGISTRY.get(name)
    assert row is not None
    no = No(f"`{name}` is worked out in Python")
    if row.sql is None or not all(gateable(*v) for v in literals if isinstance(v, tuple)):
        return no
    template = row.sql if isinstance(row.sql, str) else row.sql(*literals)
    if template is None:
        return no
    typed = next((t for n in node.args if (t := w.graph[n].type).element != _NOTHING), node.type)
    given = [w.like(n, typed) for n in node.args]
    if _PYTHON in template and node.binders:
        return no
    python = w.python(node, no.why) if _PYTHON in template else ""
    text = template.format(*given, all=", ".join(given), python=python)
    tests = [f"{t} IS NOT NULL" for n, t in zip(node.args, given, strict=True) if maybe(w, n)]
    if len(given) > 1 and tests:  # least, for one, passes over what is missing
        return f"CASE WHEN {' AND '.join(tests)} THEN {text} END"
    return text


def exact_points(points: Sequence[float]) -> bool:
    """Whether these points add up exactly, in whatever order."""
    ratios = [float(p).as_integer_ratio() for p in points]
    unit = max(below for _, below in ratios)
    return unit <= EXACT and sum(abs(above) * (unit // below) for above, below in ratios) <= EXACT


def _score(w: Around, node: Node, a: Sequence[str]) -> str:
    if not exact_points(node.data):
        return w.points(node)
    terms = (
        f"CASE WHEN {w.true(n)} THEN {plain_literal(p, 'number')} ELSE 0e0 END"
        for p, n in zip(node.data, node.args, strict=True)
    )
    return f"({' + '.join(terms)})"


def _reasons(w: Around, node: Node, a: Sequence[str]) -> str | No:
    pairs = zip(node.args[::2], a[1::2], strict=True)
    texts = ", ".join(f"CASE WHEN {w.true(h)} THEN {t} END" for h, t in pairs)
    return f"list_filter([{texts}], lambda el_p: el_p IS NOT NULL)"


FORMS |= {
    "call": _call,
    "score": _score,
    "reasons": _reasons,
    "model": lambda w, n, a: w.model(n),
}
