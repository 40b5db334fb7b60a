"""How each operation of the graph is said in SQL, where SQL can say exactly what it means.

A form takes a node and the SQL of its arguments and gives SQL, or `No` with the reason why Python must do
it. NULL is missing. DuckDB's functions are strict as the operations are, but where a form says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quell.engine.graph import Graph, Node
from quell.engine.operations import EARLIEST, EXACT, LARGEST, LATEST, LONGEST
from quell.grammar.types import Type
from quell.replay.sql_patterns import alternation, any_word, by_class, gateable, pattern_sql
from quell.replay.sql_values import Columns, plain_literal
from quell.signals.characters import TEXT_CAP
from quell.signals.functions import REGISTRY
from quell.signals.list_patterns import PatternList
from quell.signals.list_words import WordList
from quell.signals.policy_lists import PolicyList

_NOTHING = Type("missing")
_AS_DOUBLE = "::DOUBLE"
_PYTHON = "{python}"
_MANY = 200
"""Entries of a list file up to which they are written into the SQL."""


@dataclass(frozen=True, slots=True)
class No:
    """Why SQL cannot say it, in the analyst's words."""

    why: str


class Around(Protocol):
    """What forms need of the translator: the graph, types of columns, list files, the SQL of a constant as
    another type, and functions of batches."""

    @property
    def graph(self) -> Graph: ...
    @property
    def columns(self) -> Columns: ...
    @property
    def lists(self) -> Mapping[str, PolicyList]: ...
    def like(self, number: int, type_: Type) -> str: ...
    def true(self, number: int) -> str: ...
    def model(self, node: Node) -> str: ...
    def points(self, node: Node) -> str: ...
    def python(self, node: Node, why: str) -> str: ...
    def gate(self, text: int) -> str | None: ...


Form = Callable[[Around, Node, Sequence[str]], "str | No"]
FORMS: dict[str, Form] = {}


def _plain(template: str) -> Form:
    return lambda w, n, a: template.format(*a)


def element(node: Node) -> str:
    """The name of an element variable."""
    return f"el_{node.data[0]}"


# -------------------------------------------------------------- arithmetic


def _finite(text: str) -> str:
    return f"CASE WHEN isfinite({text}) THEN {text} END"


def _between(text: str, low: int, high: int) -> str:
    return f"CASE WHEN {text} BETWEEN {low} AND {high} THEN {text} END"


_SIGNS = {
    "add": "+", "subtract": "-", "multiply": "*", "time_add": "+", "time_subtract": "-", "time_between": "-",
    "duration_add": "+", "duration_subtract": "-",
}  # fmt: skip


def _arithmetic(w: Around, node: Node, a: Sequence[str]) -> str:
    text = f"({a[0]} {_SIGNS[node.op]} {a[1]})"
    low, high = node.bounds
    kind = node.type.kind
    if node.op == "time_between":
        return text
    if kind == "number":
        return text if low > -LARGEST and high < LARGEST else _finite(text)
    least, most = (EARLIEST, LATEST) if kind == "time" else (-LONGEST, LONGEST)
    return text if least < low and high < most else _between(text, least, most)


for _name in _SIGNS:
    FORMS[_name] = _arithmetic


def _double(w: Around, number: int, text: str) -> str:
    """A number, or a duration as one."""
    return text if w.graph[number].type.kind == "number" else f"({text})::DOUBLE"


def _divisor(w: Around, node: Node) -> float | None:
    value = w.graph.value(node.args[1]) if w.graph.is_const(node.args[1]) else None
    return None if value is None else float(value)


def _divide(w: Around, node: Node, a: Sequence[str]) -> str:
    x, y = (_double(w, n, t) for n, t in zip(node.args, a, strict=True))
    divisor = _divisor(w, node)
    if divisor is not None and abs(divisor) >= 1:
        return f"({x} / {y})"
    return f"CASE WHEN {y} <> 0e0 AND isfinite({x} / {y}) THEN {x} / {y} END"


def _modulo(w: Around, node: Node, a: Sequence[str]) -> str:
    # DuckDB's remainder has the sign of what is divided, Python's that of the divisor.
    x, y = a
    rest = f"({x} % {y})"
    divisor = _divisor(w, node)
    if divisor is not None and divisor > 0:
        return f"CASE WHEN {rest} < 0e0 THEN {rest} + {y} ELSE {rest} END"
    return (
        f"CASE WHEN {y} <> 0e0 THEN CASE WHEN {rest} <> 0e0 AND ({rest} < 0e0) <> ({y} < 0e0)"
        f" THEN {rest} + {y} ELSE {rest} END END"
    )


def _floor_divide(w: Around, node: Node, a: Sequence[str]) -> str | No:
    """As C Python works it out: the remainder first, then what is left is divided, and is nearly whole."""
    x, y = (_double(w, n, t) for n, t in zip(node.args, a, strict=True))
    rest = f"({x} % {y})"
    whole = (
        f"(({x} - {rest}) / {y} - CASE WHEN {rest} <> 0e0 AND ({rest} < 0e0) <> ({y} < 0e0)"
        " THEN 1e0 ELSE 0e0 END)"
    )
    near = f"(floor({whole}) + CASE WHEN {whole} - floor({whole}) > 0.5e0 THEN 1e0 ELSE 0e0 END)"
    return f"CASE WHEN {y} <> 0e0 AND isfinite({whole}) THEN {near} END"


def _scale(sign: str) -> Form:
    def form(w: Around, node: Node, a: Sequence[str]) -> str:
        # The cast rounds halves to even; what is too long is left out before.
        product = f"(({a[0]})::DOUBLE {sign} {a[1]})"
        guard = f"{a[1]} <> 0e0 AND " if sign == "/" else ""
        return f"CASE WHEN {guard}abs({product}) <= 4e18 THEN {product}::BIGINT END"

    return form


def _rate(w: Around, node: Node, a: Sequence[str]) -> str | No:
    per, within = node.data
    if within % per == 0:
        return f"({a[0]} / {plain_literal(within // per, 'number')})"
    high = w.graph[node.args[0]].bounds[1]
    if high * per <= EXACT and within <= EXACT:
        return f"({a[0]} * {plain_literal(per, 'number')} / {plain_literal(within, 'number')})"
    return No("a rate per a time that does not part its window is rounded once, which Python does")


FORMS |= {
    "divide": _divide,
    "modulo": _modulo,
    "floor_divide": _floor_divide,
    "negate": _plain("(-{0})"),
    "duration_scale": _scale("*"),
    "duration_shrink": _scale("/"),
    "rate": _rate,
}

# -------------------------------------------------------------- conditions


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
    "not": _plain("(NOT {0})"),
    "is_missing": _plain("({0} IS NULL)"),
    "coalesce": _coalesce,
}

# -------------------------------------------------------------------- text


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


FORMS |= {
    "contains": _plain("contains({0}, {1})"),
    "starts_with": _plain("starts_with({0}, {1})"),
    "ends_with": _plain("ends_with({0}, {1})"),
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


FORMS |= {
    "list_in": _list_in,
    "list_match": _list_match,
    "list_found": lambda w, n, a: _searched(w, n, a, "[]::VARCHAR[]"),
    "list_row": _list_python,
}

# ------------------------------------------------------------------- lists


def _maybe(w: Around, number: int) -> bool:
    return w.graph[number].type.optional


def _list(w: Around, node: Node, a: Sequence[str]) -> str:
    assert node.type.element is not None
    text = f"[{', '.join(w.like(n, node.type.element) for n in node.args)}]"
    if any(w.graph[n].type.optional for n in node.args):
        return f"list_filter({text}, lambda el_p: el_p IS NOT NULL)"
    return text


def _has(w: Around, node: Node, a: Sequence[str]) -> str:
    found = f"list_contains({a[0]}, {a[1]})"
    # An empty list holds nothing, says DuckDB, whatever is looked for.
    return f"CASE WHEN {a[1]} IS NOT NULL THEN {found} END" if _maybe(w, node.args[1]) else found


def _in_set(w: Around, node: Node, a: Sequence[str]) -> str:
    kind = w.graph[node.args[0]].type.kind
    if not node.data:
        return f"CASE WHEN {a[0]} IS NOT NULL THEN FALSE END"
    return f"({a[0]} IN ({', '.join(plain_literal(v, kind) for v in node.data)}))"


def _get(w: Around, node: Node, a: Sequence[str]) -> str:
    return f"struct_extract({a[0]}, '{w.columns.place(w.graph[node.args[0]].type.name, node.data[0])}')"


def _map(w: Around, node: Node, a: Sequence[str]) -> str:
    text = f"list_transform({a[0]}, lambda {element(node)}: {a[1]})"
    if w.graph[node.args[1]].type.optional:
        return f"list_filter({text}, lambda el_p: el_p IS NOT NULL)"
    return text


def _filter(w: Around, node: Node, a: Sequence[str]) -> str:
    return f"list_filter({a[0]}, lambda {element(node)}: {a[1]})"


def some(node: Node, xs: str, body: str) -> str:
    """How many elements of a list have a condition."""
    return f"len(list_filter({xs}, lambda {element(node)}: {body}))"


def _listed(w: Around, node: Node, xs: str) -> str | None:
    """`any` of elements that equal a value, as DuckDB's own search of a list."""
    body = w.graph[node.args[1]]
    sides = [n for n in body.args if w.graph[n].op != "element" or w.graph[n].data != node.data]
    if body.type.optional or len(sides) == len(body.args):
        return None
    if body.op == "eq" and len(sides) == 1 and not w.graph[sides[0]].binders:
        return f"list_contains({xs}, {w.like(sides[0], body.type)})"
    return None


def _any(w: Around, node: Node, a: Sequence[str]) -> str:
    xs, body = a
    listed = _listed(w, node, xs)
    if listed is not None:
        return listed
    found = f"({some(node, xs, body)} > 0)"
    if not w.graph[node.args[1]].type.optional:
        return found
    unsure = f"({some(node, xs, f'{body} IS NULL')} > 0)"
    return f"CASE WHEN {found} THEN TRUE WHEN {unsure} THEN NULL WHEN {xs} IS NOT NULL THEN FALSE END"


def _all(w: Around, node: Node, a: Sequence[str]) -> str:
    xs, body = a
    failed = some(node, xs, f"NOT {body}")
    if not w.graph[node.args[1]].type.optional:
        return f"({failed} = 0)"
    unsure = f"({some(node, xs, f'{body} IS NULL')} > 0)"
    return f"CASE WHEN {failed} > 0 THEN FALSE WHEN {unsure} THEN NULL WHEN {xs} IS NOT NULL THEN TRUE END"


FORMS |= {
    "list": _list,
    "has": _has,
    "in_set": _in_set,
    "get": _get,
    "as_entity": _plain("{0}"),
    "map": _map,
    "filter": _filter,
    "any": _any,
    "all": _all,
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
    maybe = [f"{t} IS NOT NULL" for n, t in zip(node.args, given, strict=True) if _maybe(w, n)]
    if len(given) > 1 and maybe:  # least, for one, passes over what is missing
        return f"CASE WHEN {' AND '.join(maybe)} THEN {text} END"
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
