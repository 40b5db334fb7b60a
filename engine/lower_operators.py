"""Operators: their types, and the nodes they make."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from quell.engine import lower_models
from quell.engine.counter_words import always_given, word_of
from quell.engine.graph import ELEMENTS
from quell.grammar import tree
from quell.grammar.diagnostics import did_you_mean
from quell.grammar.source import Span
from quell.grammar.types import BOOL, DURATION, IP, NUMBER, TEXT, TIME, Type, is_textual, list_of
from quell.signals.patterns import check_pattern

if TYPE_CHECKING:
    from quell.engine.lower import Lowerer, Scope

_ARITHMETIC: dict[tuple[str, str, str], tuple[str, Type]] = {
    ("+", "number", "number"): ("add", NUMBER),
    ("-", "number", "number"): ("subtract", NUMBER),
    ("*", "number", "number"): ("multiply", NUMBER),
    ("/", "number", "number"): ("divide", NUMBER),
    ("//", "number", "number"): ("floor_divide", NUMBER),
    ("%", "number", "number"): ("modulo", NUMBER),
    ("+", "time", "duration"): ("time_add", TIME),
    ("+", "duration", "time"): ("time_add", TIME),
    ("-", "time", "duration"): ("time_subtract", TIME),
    ("-", "time", "time"): ("time_between", DURATION),
    ("+", "duration", "duration"): ("duration_add", DURATION),
    ("-", "duration", "duration"): ("duration_subtract", DURATION),
    ("*", "duration", "number"): ("duration_scale", DURATION),
    ("*", "number", "duration"): ("duration_scale", DURATION),
    ("/", "duration", "number"): ("duration_shrink", DURATION),
    ("/", "duration", "duration"): ("divide", NUMBER),
    ("//", "duration", "duration"): ("floor_divide", NUMBER),
}
_MAY_FAIL = {"add", "subtract", "multiply", "divide", "floor_divide", "modulo"} | {
    "time_add", "time_subtract", "duration_add", "duration_subtract", "duration_scale", "duration_shrink"
}  # fmt: skip
_COMPARE = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_LIMITS = {"number": 1.7e308, "time": 2.5e17, "duration": 4e18}


def maybe(type_: Type, *of: Type) -> Type:
    """The type, possibly missing when one of the others may be."""
    return type_.maybe() if any(t.optional for t in of) else type_


def unary(low: Lowerer, node: tree.Unary, scope: Scope) -> int | None:
    """`-x` and `not x`."""
    if node.op == "not":
        made = low.condition(node.operand, scope, "what follows `not`")
        return None if made is None else negate(low, made, scope)
    typed = low.typed(node.operand, scope)
    if typed is None:
        return None
    if typed[1].kind not in ("number", "duration"):
        low.report.add("type-mismatch", f"a {typed[1]} has no negative", node.span)
        return None
    return low.graph(scope.event).add("negate", (typed[0],), (), typed[1])


def negate(low: Lowerer, made: int, scope: Scope) -> int:
    """The node of `not`, without piling up two of them."""
    graph = low.graph(scope.event)
    node = graph[made]
    if node.op == "not":
        return node.args[0]
    return graph.add("not", (made,), (), maybe(BOOL, node.type))


def binary(low: Lowerer, node: tree.Binary, scope: Scope) -> int | None:
    """Arithmetic and `??`."""
    left, right = low.typed(node.left, scope), low.typed(node.right, scope)
    if left is None or right is None:
        return None
    if node.op == "??":
        return _coalesce(low, node, left, right, scope)
    return arithmetic(low, node.op, left, right, scope, node.span)


def arithmetic(
    low: Lowerer, op: str, left: tuple[int, Type], right: tuple[int, Type], scope: Scope, span: Span
) -> int | None:
    """The node of an arithmetic operator between two typed nodes."""
    (a, at), (b, bt) = left, right
    row = _ARITHMETIC.get((op, at.kind, bt.kind))
    if row is None:
        low.report.add(
            "type-mismatch",
            f"`{op}` does not work between a {at} and a {bt}",
            span,
            hint=_arithmetic_hint(op, at, bt),
        )
        return None
    name, type_ = row
    if name in ("time_add", "duration_scale") and at.kind != ("time" if name == "time_add" else "duration"):
        a, b = b, a
    graph = low.graph(scope.event)
    result = maybe(type_, at, bt)
    made = graph.add(name, (a, b), (), result)
    node = graph[made]
    if node.op != name or name not in _MAY_FAIL or node.type.optional:
        return made
    low_bound, high_bound = node.bounds
    limit = _LIMITS[type_.kind]
    safe = -limit < low_bound and high_bound < limit and name not in ("divide", "floor_divide", "modulo")
    if name in ("divide", "duration_shrink") and graph.is_const(b):
        divisor = abs(graph.value(b))
        edge = max(abs(x) for x in graph[a].bounds)
        safe = divisor >= 1 or (divisor > 0 and edge / divisor < limit)
    if name in ("floor_divide", "modulo") and graph.is_const(b):
        safe = abs(graph.value(b)) >= 1
    return made if safe else graph.add(name, (a, b), (), type_.maybe())


def _arithmetic_hint(op: str, a: Type, b: Type) -> str | None:
    kinds = {a.kind, b.kind}
    if "text" in kinds and op == "+":
        return 'text is put together in quotes: "{a} {b}"'
    if kinds == {"duration", "number"}:
        return "a duration divided by a duration is a number: account_age / 1d"
    if kinds == {"time", "number"}:
        return "add a duration such as 10m"
    if "list" in kinds:
        return "size(…) is how many elements a list has"
    return None


def _coalesce(
    low: Lowerer, node: tree.Binary, left: tuple[int, Type], right: tuple[int, Type], scope: Scope
) -> int | None:
    (a, at), (b, bt) = left, right
    type_ = common(at, bt)
    if type_ is None:
        low.report.add(
            "type-mismatch",
            f"`??` stands between a {at} and a {bt}",
            node.span,
            hint="both sides must be of one type",
        )
        return None
    if not at.optional:
        low.report.add(
            "constant-condition",
            "what stands before `??` is never missing, so what follows is never used",
            node.span,
        )
        return a
    result = type_.maybe() if bt.optional else type_.present()
    return low.graph(scope.event).add("coalesce", (a, b), (), result)


def common(a: Type, b: Type) -> Type | None:
    """The type that both values have, or None; text takes in every kind of text but two entities."""
    if a.kind == "missing":
        return b.maybe()
    if b.kind == "missing":
        return a.maybe()
    one, two = a.present(), b.present()
    if one == two:
        return maybe(one, a, b)
    if one.kind == "list" and two.kind == "list" and one.element is not None and two.element is not None:
        element = common(one.element, two.element)
        return None if element is None else maybe(Type("list", element=element.present()), a, b)
    if is_textual(one) and is_textual(two) and not (one.kind == "entity" and two.kind == "entity"):
        return maybe(one if one.kind == "entity" else two if two.kind == "entity" else Type("text"), a, b)
    return None


# -------------------------------------------------------------- comparisons


def compare(low: Lowerer, node: tree.Compare, scope: Scope) -> int | None:
    """A comparison, or a chain of them."""
    operands = [low.typed(node.first, scope), *(low.typed(e, scope) for _, e in node.rest)]
    written = [node.first, *(e for _, e in node.rest)]
    parts: list[int] = []
    failed = False
    for i, (op, _) in enumerate(node.rest):
        left, right = operands[i], operands[i + 1]
        if left is None or right is None:
            failed = True
            continue
        made = _compare(low, op, left, right, (written[i], written[i + 1]), scope, node.span)
        failed = failed or made is None
        if made is not None:
            parts.append(made)
    if failed:
        return None
    return parts[0] if len(parts) == 1 else join_conditions(low, "and", parts, scope)


def _compare(
    low: Lowerer,
    op: tree.CompareOp,
    left: tuple[int, Type],
    right: tuple[int, Type],
    written: tuple[tree.Expr, tree.Expr],
    scope: Scope,
    span: Span,
) -> int | None:
    (a, at), (b, bt) = left, right
    if not _comparable(low, op, at, bt, written, span):
        return None
    if lower_models.compares_raw(low, (a, b), written, scope, span):
        return None
    graph = low.graph(scope.event)
    a, b = _canonical(low, a, at, bt, scope), _canonical(low, b, bt, at, scope)
    for (here, there), expr in (((b, at), written[1]), ((a, bt), written[0])):
        if there.kind == "enum" and graph.is_const(here) and graph.value(here) not in (*there.values, None):
            value = graph.value(here)
            low.report.add(
                "type-mismatch",
                f'"{value}" is none of the values that this can have',
                expr.span,
                hint=did_you_mean(str(value), there.values) or "they are " + ", ".join(there.values),
            )
            return None
    return graph.add(_COMPARE[op], (a, b), (), maybe(BOOL, at, bt))


def _canonical(low: Lowerer, node: int, type_: Type, other: Type, scope: Scope) -> int:
    """Text compared with an address is read as one, where it is one: spellings make no difference."""
    if other.kind != "ip" or type_.kind == "ip" or not is_textual(type_):
        return node
    graph = low.graph(scope.event)
    read = graph.add("call", (node,), ("ip",), IP.maybe())
    return graph.add("coalesce", (read, node), (), maybe(TEXT, type_))


def _canonical_list(low: Lowerer, node: int, type_: Type, other: Type, scope: Scope) -> int:
    """A list of texts in which an address is looked for, each read as one."""
    element = type_.element
    assert element is not None
    if other.kind != "ip" or element.kind == "ip":
        return node
    graph = low.graph(scope.event)
    if graph.is_const(node) and graph.value(node) is not None:
        texts = [graph.const(v, TEXT) for v in graph.value(node)]
        read = [graph.value(_canonical(low, t, TEXT, other, scope)) for t in texts]
        return graph.const(tuple(read), list_of(TEXT))
    variable = graph.add("element", (), (node * ELEMENTS + scope.depth,), element)
    body = _canonical(low, variable, element, other, scope)
    return graph.add("map", (node, body), graph[variable].data, maybe(list_of(TEXT), type_))


def _comparable(
    low: Lowerer, op: str, a: Type, b: Type, written: tuple[tree.Expr, tree.Expr], span: Span
) -> bool:
    if "missing" in (a.kind, b.kind):
        low.report.add(
            "type-mismatch", "nothing equals `missing`", span, hint="write is missing, or is present"
        )
        return False
    if a.kind == b.kind == "entity" and a.name != b.name:
        low.report.add(
            "entity-mismatch",
            f"a {a.present()} is never a {b.present()}",
            span,
            hint=f"compare two of a kind, or make one: {a.name}(…)",
        )
        return False
    ordered = op not in ("==", "!=")
    if ordered and not (a.kind == b.kind and a.kind in ("number", "time", "duration", "text", "enum")):
        low.report.add(
            "type-mismatch",
            f"`{op}` does not work between a {a} and a {b}",
            span,
            hint=_compare_hint(a, b, written),
        )
        return False
    if common(a, b) is None or a.kind in ("record", "regex"):
        low.report.add("type-mismatch", f"a {a} never equals a {b}", span, hint=_compare_hint(a, b, written))
        return False
    return True


def _compare_hint(a: Type, b: Type, written: tuple[tree.Expr, tree.Expr]) -> str | None:
    kinds = {a.kind, b.kind}
    if kinds == {"duration", "number"}:
        number = next((w for w in written if isinstance(w, tree.Number)), None)
        return (
            f"say the unit: {number.value:g}s, {number.value:g}m, …" if number else "divide by a unit: … / 1d"
        )
    if "time" in kinds and "text" in kinds:
        return 'write time("2026-01-31T00:00:00Z")'
    if "time" in kinds and "duration" in kinds:
        return "at - x is a duration"
    if "list" in kinds:
        return "write any … before the comparison, or size(…)"
    if "record" in kinds:
        several = next((w for w, t in zip(written, (a, b), strict=True) if t.kind == "record"), None)
        of = several.name if isinstance(several, tree.Name) else "…"
        return f"it holds several values: take one of them, {of}.…"
    if kinds == {"text", "number"}:
        return "number(…) reads a number from text"
    if kinds == {"bool", "text"} or kinds == {"bool", "number"}:
        return "a condition stands by itself, or with not"
    return None


# ------------------------------------------------------------- and, or, is


def junction(low: Lowerer, node: tree.Junction, scope: Scope) -> int | None:
    """`and` and `or`."""
    parts = [low.condition(i, scope, f"what stands beside `{node.op}`") for i in node.items]
    if any(p is None for p in parts):
        return None
    return join_conditions(low, node.op, [p for p in parts if p is not None], scope)


def join_conditions(low: Lowerer, op: str, parts: list[int], scope: Scope) -> int:
    """`and` or `or` of conditions: nested ones of the same kind are one, repeated ones stand once, in one
    order whatever the policy's; literals are worked in."""
    graph = low.graph(scope.event)
    flat: list[int] = []
    for part in parts:
        flat.extend(graph[part].args if graph[part].op == op else (part,))
    neutral = op == "and"
    kept: list[int] = []
    for part in dict.fromkeys(flat):
        if graph.is_const(part) and graph.value(part) is (not neutral):
            return part
        if not (graph.is_const(part) and graph.value(part) is neutral):
            kept.append(part)
    if not kept:
        return graph.const(neutral, BOOL)
    if len(kept) == 1:
        return kept[0]
    kept.sort()
    return graph.add(op, kept, (), maybe(BOOL, *(graph[k].type for k in kept)))


def is_(low: Lowerer, node: tree.Is, scope: Scope) -> int | None:
    """`is missing` and `is present`."""
    made = low.typed(node.operand, scope, events=True)
    if made is None:
        return None
    graph = low.graph(scope.event)
    wants_missing = (node.what == "missing") != node.negated
    if not made[1].optional:
        low.report.add(
            "constant-condition",
            f"this is never missing, so `is {'not ' * node.negated}{node.what}` "
            f"is always {str(not wants_missing).lower()}",
            node.span,
        )
        return graph.const(not wants_missing, BOOL)
    counter = graph[made[0]]
    keys_there = not any(graph[k].type.optional for k in counter.args)
    if counter.op == "counter" and keys_there and always_given(counter):
        unseen = word_of(counter.data[1]).unseen
        low.report.add(
            "constant-condition",
            f"where nothing was counted this is {unseen}, so it is missing only while memory is full",
            node.span,
            hint=f"write == {unseen}" if unseen == "0" else "write size(…) == 0",
        )
    missing = graph.add("is_missing", (made[0],), (), BOOL)
    return missing if wants_missing else negate(low, missing, scope)


# -------------------------------------------------------------------- words


def word(low: Lowerer, node: tree.Word, scope: Scope) -> int | None:
    """`contains`, `in`, `matches` and the other words."""
    if node.op == "reaches":
        from quell.engine.lower_counters import reaches

        made = reaches(low, node, scope)
    else:
        made = _WORDS[node.op](low, node, scope)
    if made is None or not node.negated:
        return made
    return negate(low, made, scope)


def _contains(low: Lowerer, node: tree.Word, scope: Scope) -> int | None:
    left, right = low.typed(node.left, scope), low.typed(node.right, scope)
    if left is None or right is None:
        return None
    if left[1].kind == "list":
        return has(low, left, right, node, scope)
    return _text_pair(low, node, left, right, "contains", scope)


def _starts(low: Lowerer, node: tree.Word, scope: Scope) -> int | None:
    left, right = low.typed(node.left, scope), low.typed(node.right, scope)
    if left is None or right is None:
        return None
    return _text_pair(
        low, node, left, right, "starts_with" if node.op == "starts with" else "ends_with", scope
    )


def _text_pair(
    low: Lowerer, node: tree.Word, left: tuple[int, Type], right: tuple[int, Type], op: str, scope: Scope
) -> int | None:
    for (_, type_), written in ((left, node.left), (right, node.right)):
        if not is_textual(type_):
            hint = "write any … before the list" if type_.kind == "list" else None
            if type_.kind == "regex":
                hint = "write … matches /…/"
            low.report.add(
                "type-mismatch", f"`{node.op}` works on text, and this is a {type_}", written.span, hint=hint
            )
            return None
    return low.graph(scope.event).add(op, (left[0], right[0]), (), maybe(BOOL, left[1], right[1]))


def has(low: Lowerer, xs: tuple[int, Type], x: tuple[int, Type], node: tree.Word, scope: Scope) -> int | None:
    """Whether a list holds a value."""
    element = xs[1].element
    assert element is not None
    if x[1].kind == "entity" and element.kind == "entity" and x[1].name != element.name:
        low.report.add("entity-mismatch", f"a list of {element} never holds a {x[1].present()}", node.span)
        return None
    if common(element, x[1]) is None or x[1].kind == "missing":
        low.report.add("type-mismatch", f"a {xs[1]} never holds a {x[1]}", node.span)
        return None
    graph = low.graph(scope.event)
    listed = _canonical_list(low, xs[0], xs[1], x[1], scope)
    sought = _canonical(low, x[0], x[1], element, scope)
    if graph.is_const(listed) and graph.value(listed) is not None:
        values = graph.value(listed)
        unique = tuple(dict.fromkeys(values))
        return graph.add("in_set", (sought,), unique, maybe(BOOL, x[1]))
    return graph.add("has", (listed, sought), (), maybe(BOOL, xs[1], x[1]))


def _in(low: Lowerer, node: tree.Word, scope: Scope) -> int | None:
    if (
        isinstance(node.right, tree.Name)
        and node.right.name in low.symbols.lists
        and node.right.name not in scope.names
    ):
        return _in_list_file(low, node, node.right.name, scope)
    left, right = low.typed(node.left, scope), low.typed(node.right, scope)
    if left is None or right is None:
        return None
    if right[1].kind == "list":
        if left[1].kind == "list":
            low.report.add(
                "type-mismatch",
                "a list is not an element of a list",
                node.left.span,
                hint="write any … in …, or overlap(…, …)",
            )
            return None
        return has(low, right, left, node, scope)
    if is_textual(right[1]):
        low.report.add(
            "type-mismatch",
            "`in` looks into lists, and this is text",
            node.right.span,
            hint="write … contains …",
        )
        return None
    low.report.add("type-mismatch", f"`in` looks into lists, and this is a {right[1]}", node.right.span)
    return None


def _in_list_file(low: Lowerer, node: tree.Word, name: str, scope: Scope) -> int | None:
    left = low.typed(node.left, scope)
    if left is None:
        return None
    kind = low.symbols.lists[name].kind.name
    if left[1].kind == "list":
        low.report.add(
            "type-mismatch",
            f"a {left[1]} is not an entry",
            node.left.span,
            hint="write any, all or none before it",
        )
        return None
    if not is_textual(left[1]):
        low.report.add(
            "type-mismatch", f"entries of `{name}` are text, and this is a {left[1]}", node.left.span
        )
        return None
    if kind in ("words", "patterns"):
        low.report.add(
            "type-mismatch",
            f"`{name}` holds {kind}, which occur in text",
            node.span,
            hint=f"write … matches {name}",
        )
        return None
    return low.graph(scope.event).add(
        "list_in", (left[0],), (name,), maybe(BOOL, left[1]), said=list_identity(low, name)
    )


def list_identity(low: Lowerer, name: str) -> tuple[Any, ...]:
    """What a list is, beside its name and its contents: its file and kind."""
    declared = low.symbols.lists[name]
    return ("list", declared.file.plain, declared.kind.name)


def _matches(low: Lowerer, node: tree.Word, scope: Scope) -> int | None:
    left = low.typed(node.left, scope)
    right = node.right.inner if isinstance(node.right, tree.Group) else node.right
    if left is not None and not is_textual(left[1]):
        hint = "write any, all or none before it" if left[1].kind == "list" else None
        low.report.add(
            "type-mismatch", f"`matches` works on text, and this is a {left[1]}", node.left.span, hint=hint
        )
        left = None
    if isinstance(right, tree.Regex):
        ok = pattern_ok(low, right)
        if left is None or not ok:
            return None
        return low.graph(scope.event).add(
            "match", (left[0],), (right.pattern, right.flags), maybe(BOOL, left[1])
        )
    if isinstance(right, tree.Name) and right.name in low.symbols.lists:
        if left is None:
            return None
        kind = low.symbols.lists[right.name].kind.name
        if kind not in ("words", "patterns"):
            low.report.add(
                "type-mismatch", f"`{right.name}` holds {kind}", node.span, hint=f"write … in {right.name}"
            )
            return None
        return low.graph(scope.event).add(
            "list_match", (left[0],), (right.name,), maybe(BOOL, left[1]), said=list_identity(low, right.name)
        )
    if isinstance(right, tree.Name) and low.expr(right, scope) is None:
        return None  # told: nothing is called so
    low.report.add(
        "type-mismatch",
        "after `matches` stands a pattern or a list of words or patterns",
        right.span,
        hint="write matches /…/i; to look for text, write contains",
    )
    return None


_check_once = lru_cache(maxsize=4_096)(check_pattern)


def pattern_ok(low: Lowerer, node: tree.Regex) -> bool:
    """Whether RE2 takes a pattern; reported when not."""
    problem = _check_once(node.pattern, node.flags)
    if problem is None:
        return True
    low.report.add("bad-regex", problem.message, node.span, hint=problem.hint)
    return False


def _labelled(low: Lowerer, node: tree.Word, scope: Scope) -> int | None:
    target = low.typed(node.left, scope)
    if not isinstance(node.right, tree.Text) or node.right.plain is None:
        hint = f'write labelled "{node.right.name}"' if isinstance(node.right, tree.Name) else None
        message = "after `labelled` stands a label in quotes"
        low.report.add("type-mismatch", message, node.right.span, hint=hint)
        return None
    if target is None:
        return None
    return label_node(low, "labelled", target, node.left, node.right, scope)


def label_node(
    low: Lowerer, op: str, target: tuple[int, Type], written: tree.Expr, label: tree.Text, scope: Scope
) -> int | None:
    """The node that reads a label of an entity."""
    type_ = target[1]
    if type_.kind != "entity":
        hint = (
            "write any, all or none before it"
            if type_.kind == "list"
            else "labels sit on entities, such as User"
        )
        low.report.add("type-mismatch", f"a {type_} carries no labels", written.span, hint=hint)
        return None
    if not label_ok(low, type_.name, label):
        return None
    graph = low.graph(scope.event)
    clock = low.clock(scope.event)
    if op == "labelled":
        return graph.add("labelled", (target[0], clock), (type_.name, label.plain), maybe(BOOL, type_))
    return graph.add(
        "label_age", (target[0], clock), (type_.name, label.plain), DURATION.maybe(), bounds=(0, 4e18)
    )


def label_ok(low: Lowerer, kind: str, label: tree.Text) -> bool:
    """Whether an entity's declaration lists the label; reported when not."""
    known = low.symbols.labels(kind)
    if label.plain in known:
        return True
    low.report.add(
        "unknown-label",
        f"`{kind}` has no label {label.plain!r}".replace("'", '"'),
        label.span,
        hint=did_you_mean(label.plain or "", known)
        or (f"its labels are {', '.join(known)}" if known else f'write entity {kind} labels "{label.plain}"'),
    )
    return False


_WORDS = {
    "contains": _contains,
    "starts with": _starts,
    "ends with": _starts,
    "in": _in,
    "matches": _matches,
    "labelled": _labelled,
}
