"""Calls: functions of the registry, of the bundle, entity kinds, and the forms the compiler evaluates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from quell.engine.counter_words import MOST_VALUES
from quell.engine.lower_operators import common, label_node, list_identity, maybe
from quell.engine.resolve import named_type
from quell.grammar import tree
from quell.grammar.diagnostics import did_you_mean
from quell.grammar.source import Span
from quell.grammar.types import TEXT, Type, entity, is_textual, list_of
from quell.signals.functions import REGISTRY
from quell.signals.registry import Function, Parameter

if TYPE_CHECKING:
    from quell.engine.lower import Lowerer, Scope


def call(low: Lowerer, node: tree.Call, scope: Scope) -> int | None:
    """`f(a, b)`."""
    name = node.function.name
    if name in low.symbols.lets:
        return _own_function(low, node, low.symbols.lets[name], scope)
    if name in low.symbols.entities:
        return _entity(low, node, scope)
    if name in _FORMS:
        return _FORMS[name](low, node, scope)
    row = REGISTRY.get(name)
    if row is None or row.form:
        if row is not None:
            low.report.add(
                "bad-counter",
                f"`{name}` counts events, and this says neither which nor how far back",
                node.span,
                hint=f"write {row.spelled()}",
            )
            return None
        known = [
            *REGISTRY.names(),
            *low.symbols.entities,
            *(n for n, d in low.symbols.lets.items() if d.parameters is not None),
        ]
        low.report.add(
            "unknown-function",
            f"there is no function `{name}`",
            node.function.span,
            hint=did_you_mean(name, known),
        )
        for argument in node.args:
            low.expr(argument, scope)
        return None
    typed = [low.typed(a, scope) for a in node.args]
    if any(t is None for t in typed):
        return None
    return apply(low, row, [t for t in typed if t is not None], scope, node.span, [a.span for a in node.args])


def apply(
    low: Lowerer,
    row: Function,
    args: list[tuple[int, Type]],
    scope: Scope,
    span: Span,
    places: Sequence[Span] = (),
) -> int | None:
    """The node of a registry function on typed arguments."""
    where = [*places, *([span] * (len(args) - len(places)))]
    filled = _fill(low, row, args, scope, span)
    if filled is None:
        return None
    parameters = [row.parameters[min(i, len(row.parameters) - 1)] for i in range(len(filled))]
    bound: dict[str, Type] = {}
    fits = [
        _fits(low, row, p, a, bound, where[i] if i < len(where) else span)
        for i, (p, a) in enumerate(zip(parameters, filled, strict=True))
    ]
    if not all(fits):
        return None
    return _node(low, row, parameters, filled, bound, scope, span)


def _fill(
    low: Lowerer, row: Function, args: list[tuple[int, Type]], scope: Scope, span: Span
) -> list[tuple[int, Type]] | None:
    """The arguments with defaults for those left out; None, and reported, when there are too many or few."""
    most = len(row.parameters)
    least = sum(p.default is None for p in row.parameters)
    if len(args) < least or (len(args) > most and not row.variadic):
        takes = f"{least}" if least == most else f"{least} to {most}"
        takes = f"at least {least}" if row.variadic else takes
        low.report.add(
            "wrong-arguments",
            f"`{row.name}` takes {takes} argument{'s' * (takes != '1')}, and this gives it {len(args)}",
            span,
            hint=f"it is written {row.spelled()}",
        )
        return None
    graph = low.graph(scope.event)
    out = list(args)
    for parameter in row.parameters[len(args) :]:
        if parameter.default is None:
            break  # the variadic one, left out
        type_ = parameter.type.present()
        out.append((graph.const(parameter.default, type_), type_))
    return out


def _fits(
    low: Lowerer,
    row: Function,
    parameter: Parameter,
    arg: tuple[int, Type],
    bound: dict[str, Type],
    span: Span,
) -> bool:
    problem = match(parameter.type, arg[1], bound)
    if problem is None:
        return True
    hint = f"it is written {row.spelled()}"
    if arg[1].kind == "list" and parameter.type.kind != "list":
        hint = "to apply it to every element, write [x of … where …] or list.name"
    low.report.add(
        "type-mismatch",
        f"`{parameter.name}` of `{row.name}` is {problem}, and this is a {arg[1]}",
        span,
        hint=hint,
    )
    return False


def match(wanted: Type, given: Type, bound: dict[str, Type]) -> str | None:
    """None when a value of `given` can be the argument of a parameter of type `wanted`, else what is
    wanted. `bound` gathers what each type variable stands for."""
    if given.kind == "missing":
        return None
    if wanted.kind == "var":
        known = bound.get(wanted.name)
        if known is None:
            if (
                wanted.values
                and given.kind not in wanted.values
                and not (is_textual(given) and "text" in wanted.values)
            ):
                return "a " + " or ".join(wanted.values)
            bound[wanted.name] = given.present()
            return None
        joined = common(known, given)
        if joined is None:
            return f"a {known}"
        bound[wanted.name] = joined.present()
        return None
    if wanted.kind == "list":
        if given.kind != "list" or given.element is None or wanted.element is None:
            return f"a {wanted.present()}"
        return None if match(wanted.element, given.element, bound) is None else f"a {wanted.present()}"
    if wanted.kind == "text":
        return None if is_textual(given) else "text"
    return None if wanted.kind == given.kind else f"a {wanted.present()}"


def substitute(type_: Type, bound: dict[str, Type]) -> Type:
    """A result type with its variables replaced."""
    if type_.kind == "var":
        found = bound.get(type_.name, TEXT)
        return found.maybe() if type_.optional else found
    if type_.kind == "list" and type_.element is not None:
        return replace(type_, element=substitute(type_.element, bound))
    return type_


def _node(
    low: Lowerer,
    row: Function,
    parameters: list[Parameter],
    args: list[tuple[int, Type]],
    bound: dict[str, Type],
    scope: Scope,
    span: Span,
) -> int | None:
    graph = low.graph(scope.event)
    literals: list[Any] = []
    values: list[tuple[int, Type]] = []
    for parameter, (made, type_) in zip(parameters, args, strict=True):
        if not parameter.literal:
            values.append((made, type_))
            continue
        if not graph.is_const(made) or graph.value(made) is None:
            low.report.add(
                "wrong-arguments",
                f"`{parameter.name}` of `{row.name}` must be written out, the same for every event",
                span,
            )
            return None
        literals.append(graph.value(made))
    if row.prepare is not None:
        try:
            row.prepare(*literals)
        except ValueError as error:
            low.report.add("wrong-arguments", str(error), span)
            return None
    type_ = maybe(substitute(row.result, bound), *(t for _, t in values))
    bounds = _values_bounds(low, values, scope) if row.name == "size" else row.bounds
    if bounds is None and type_.kind in ("number", "duration", "time"):
        from quell.engine.lower import EXTENT

        bounds = EXTENT[type_.kind]
    return graph.add("call", [v for v, _ in values], (row.name, *literals), type_, bounds=bounds)


def _values_bounds(low: Lowerer, args: list[tuple[int, Type]], scope: Scope) -> tuple[float, float] | None:
    """How many values a list can hold: what `values` gives is bounded."""
    row = REGISTRY.get("size")
    node = low.graph(scope.event)[args[0][0]]
    if node.op == "counter" and node.data[1] == "values":
        return (0, MOST_VALUES)
    return row.bounds if row is not None else None


# --------------------------------------------------------- the bundle's own


def _own_function(low: Lowerer, node: tree.Call, let: tree.Let, scope: Scope) -> int | None:
    name = let.name.name
    if let.parameters is None:
        low.report.add(
            "wrong-arguments", f"`{name}` is a value, not a function", node.span, hint=f"write {name}"
        )
        return None
    typed = [low.typed(a, scope) for a in node.args]
    if len(typed) != len(let.parameters):
        low.report.add(
            "wrong-arguments",
            f"`{name}` takes {len(let.parameters)} argument{'s' * (len(let.parameters) != 1)}, "
            f"and this gives it {len(typed)}",
            node.span,
        )
        return None
    names: dict[str, int] = {}
    for parameter, arg, written in zip(let.parameters, typed, node.args, strict=True):
        wanted = named_type(parameter.type, low.symbols, low.report, shapes=True)
        if arg is None or wanted is None:
            return None
        if not accepts(wanted, arg[1]):
            low.report.add(
                "type-mismatch",
                f"`{parameter.name.name}` of `{name}` is a {wanted}, and this is a {arg[1]}",
                written.span,
            )
            return None
        names[parameter.name.name] = arg[0]
    if not low.enter(name, let.name.span):
        return None
    try:
        return low.expr(let.body, replace(scope, names=names))
    finally:
        low.leave()


def accepts(wanted: Type, given: Type) -> bool:
    """Whether a value can stand for a parameter. A missing one always can: what uses it is missing."""
    if given.kind == "missing":
        return True
    if wanted.kind == "entity" and given.kind == "entity":
        return wanted.name == given.name
    if wanted.kind == "text":
        return is_textual(given)
    if (
        wanted.kind == "list"
        and given.kind == "list"
        and wanted.element is not None
        and given.element is not None
    ):
        return accepts(wanted.element, given.element)
    return wanted.present() == given.present()


def _entity(low: Lowerer, node: tree.Call, scope: Scope) -> int | None:
    name = node.function.name
    if len(node.args) != 1:
        low.report.add(
            "wrong-arguments", f"`{name}` takes 1 argument, the id", node.span, hint=f'write {name}("…")'
        )
        return None
    made = low.typed(node.args[0], scope)
    if made is None:
        return None
    if not is_textual(made[1]):
        low.report.add(
            "type-mismatch",
            f"an id is text, and this is a {made[1]}",
            node.args[0].span,
            hint=f'write {name}("{{…}}")',
        )
        return None
    return low.graph(scope.event).add("as_entity", (made[0],), (), maybe(entity(name), made[1]))


# -------------------------------------------------------------------- forms


def _found(low: Lowerer, node: tree.Call, scope: Scope) -> int | None:
    if (
        len(node.args) != 2
        or not isinstance(node.args[1], tree.Name)
        or node.args[1].name not in low.symbols.lists
    ):
        low.report.add(
            "wrong-arguments", "`found` takes text and a list", node.span, hint="write found(content, slurs)"
        )
        return None
    name = node.args[1].name
    text = low.typed(node.args[0], scope)
    if text is None:
        return None
    if not is_textual(text[1]):
        low.report.add(
            "type-mismatch", f"`found` looks into text, and this is a {text[1]}", node.args[0].span
        )
        return None
    type_ = maybe(list_of(TEXT), text[1])
    return low.graph(scope.event).add("list_found", (text[0],), (name,), type_, said=list_identity(low, name))


def _label_age(low: Lowerer, node: tree.Call, scope: Scope) -> int | None:
    if len(node.args) != 2 or not isinstance(node.args[1], tree.Text) or node.args[1].plain is None:
        low.report.add(
            "wrong-arguments",
            "`label_age` takes an entity and a label",
            node.span,
            hint='write label_age(author, "spammer")',
        )
        return None
    target = low.typed(node.args[0], scope)
    if target is None:
        return None
    return label_node(low, "label_age", target, node.args[0], node.args[1], scope)


def _reasons(low: Lowerer, node: tree.Call, scope: Scope) -> int | None:
    if (
        len(node.args) != 1
        or not isinstance(node.args[0], tree.Name)
        or node.args[0].name not in low.symbols.scores
    ):
        low.report.add(
            "wrong-arguments", "`reasons` takes a score", node.span, hint="write reasons(raid_risk)"
        )
        return None
    name = node.args[0].name
    return low.reasons(name, scope)


_FORMS = {"found": _found, "label_age": _label_age, "reasons": _reasons}
