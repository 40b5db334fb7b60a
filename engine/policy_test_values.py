"""The values that tests write for events: checked against the fields' types, made anew for every event.

What a test writes is known before anything runs but for `now`, the test's clock. What it does not write
is neutral: empty text, 0, false, an empty list, the clock for a time, the field's own name for an
entity, the first of several values; an event's `id` is different each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quell.engine.graph import Graph, Node
from quell.engine.interpret import Evaluator
from quell.engine.lower import EXTENT, Lowerer, Scope
from quell.engine.lower_calls import accepts
from quell.engine.resolve import literal_value
from quell.engine.schema import EventSchema, Field
from quell.grammar import tree
from quell.grammar.diagnostics import Report, did_you_mean
from quell.grammar.types import TIME, Type

NOW = "now"
"""What a test calls its clock."""
ADDRESS = "192.0.2.1"
"""The neutral IP address, from a range kept for documentation (RFC 5737)."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written as a literal."""

    value: Any


Written = Literal | int | list["Written"] | dict[str, "Written"]
"""A written value: a literal, a node of the event's graph, or a list or a record of such."""


def now_node(lowerer: Lowerer, event: str) -> int:
    """The clock as a leaf of an event's graph."""
    return lowerer.graph(event).add("injected", (), (NOW,), TIME, bounds=EXTENT["time"], whole=True)


@dataclass(slots=True)
class ValueReader:
    """Reads what tests write into records, for the events of one bundle."""

    lowerer: Lowerer
    report: Report

    def record(
        self, written: tree.Record, event: str, fields: tuple[Field, ...], what: str
    ) -> dict[str, Written]:
        """The values of a record by field; what does not fit is reported and left out."""
        known = {f.name: f for f in fields}
        out: dict[str, Written] = {}
        seen: set[str] = set()
        for ident, expr in written.pairs:
            field = known.get(ident.name)
            if ident.name in seen:
                self.report.add("bad-test", f"`{ident.name}` stands twice in this record", ident.span)
                continue
            seen.add(ident.name)
            if field is None:
                hint = did_you_mean(ident.name, known) or f"it has {', '.join(f'`{n}`' for n in known)}"
                self.report.add(
                    "unknown-field", f"`{what}` has no field `{ident.name}`", ident.span, hint=hint
                )
                continue
            value = self._value(
                expr, field.type if not field.has_default else field.type.maybe(), event, field
            )
            if value is not None:
                out[ident.name] = value
        return out

    def _value(self, expr: tree.Expr, wanted: Type, event: str, field: Field) -> Written | None:
        while isinstance(expr, tree.Group):
            expr = expr.inner
        element = wanted.element
        if isinstance(expr, tree.ListLiteral) and wanted.kind == "list" and element is not None:
            items = [self._value(item, element, event, field) for item in expr.items]
            return None if any(i is None for i in items) else [i for i in items if i is not None]
        if isinstance(expr, tree.Record):
            if wanted.kind == "record":
                return self.record(expr, event, field.record, wanted.name)
            self.report.add(
                "type-mismatch", f"`{field.name}` is a {wanted.present()}, not a record", expr.span
            )
            return None
        return self.scalar(expr, wanted, event, field.name)

    def scalar(self, expr: tree.Expr, wanted: Type, event: str, what: str) -> Literal | int | None:
        """A value of a type; None, and reported, when it is of another or not written out."""
        ok, value = literal_value(expr, wanted)
        if ok:
            return Literal(value)
        if isinstance(expr, tree.Text) and wanted.kind in ("time", "ip", "enum"):
            self._unfit(expr, wanted, "text", what)
            return None
        graph = self.lowerer.graph(event)
        typed = self.lowerer.typed(expr, Scope(event, {NOW: now_node(self.lowerer, event)}))
        if typed is None:
            return None
        node, given = typed
        if not self._written_out(graph, node, expr):
            return None
        if given.kind == "missing" and not wanted.optional:
            message = f"`{what}` is required, and without it no rule sees the event"
            self.report.add("type-mismatch", message, expr.span, hint="leave it out for a neutral value")
            return None
        if not _takes(wanted, given):
            self._unfit(expr, wanted, str(given.present()), what)
            return None
        if wanted.kind == "enum" and not (
            graph.is_const(node) and graph.value(node) in (*wanted.values, None)
        ):
            self._unfit(expr, wanted, "text", what)
            return None
        return node

    def _written_out(self, graph: Graph, node: int, expr: tree.Expr) -> bool:
        """Whether a value depends on nothing but the clock."""
        for number in graph.reach([node]):
            here = graph[number]
            clock = here.op == "injected" and here.data == (NOW,)
            if clock or here.op in ("const", "element") or here.operation.pure:
                continue
            name = expr.name if isinstance(expr, tree.Name) else ""
            what = f"`{name}`" if name else "this"
            message = f"a value in a test is written out, and {what} is known only on an event"
            hint = f'for text write "{name}"' if name else "only `now` may stand in it"
            self.report.add("bad-test", message, expr.span, hint=hint)
            return False
        return True

    def _unfit(self, expr: tree.Expr, wanted: Type, given: str, what: str) -> None:
        hint = None
        if wanted.kind == "time":
            hint = 'write now, now - 2d or "2026-01-31T12:00:00Z"'
        elif wanted.kind == "enum":
            written = expr.plain if isinstance(expr, tree.Text) else None
            hint = did_you_mean(written or "", wanted.values) or "it is one of " + ", ".join(wanted.values)
        elif wanted.kind == "duration":
            hint = "write a duration such as 10m"
        elif wanted.kind == "ip":
            hint = f'write an address such as "{ADDRESS}"'
        elif wanted.kind == "list":
            hint = "write a list such as [ … ]"
        elif wanted.kind in ("text", "entity") and given == "number":
            hint = "put it in quotes"
        said = f'"{expr.plain}"' if isinstance(expr, tree.Text) and expr.plain is not None else f"a {given}"
        self.report.add(
            "type-mismatch", f"`{what}` is a {wanted.present()}, and this is {said}", expr.span, hint=hint
        )


def _takes(wanted: Type, given: Type) -> bool:
    """Whether a value can stand in a field: as for a parameter, and an id is written as plain text."""
    if wanted.kind in ("entity", "enum") and given.kind == "text":
        return True
    if wanted.kind == given.kind == "list" and wanted.element is not None and given.element is not None:
        return _takes(wanted.element, given.element)
    return accepts(wanted, given)


def clock_evaluator(graph: Graph, clock: int) -> Evaluator:
    """Values of nodes that depend on nothing but the clock."""

    def leaf(node: Node, values: Any) -> Any:
        assert node.op == "injected" and node.data == (NOW,)
        return clock

    return Evaluator(graph, leaf)


def values_of(
    schema: EventSchema, written: Mapping[str, Written], graph: Graph, clock: int, number: int
) -> dict[str, Any]:
    """The run-time values of an event's fields at a time; `number` tells events apart."""
    out = _record(schema.fields, written, clock_evaluator(graph, clock).value, clock)
    told = dict(schema.when)
    for field in schema.fields:
        if field.name in written:
            continue
        if field.path in told:
            out[field.name] = told[field.path]
        elif field.name == "id" and field.required and field.type.kind in ("text", "entity", "number"):
            out[field.name] = number if field.type.kind == "number" else f"e{number}"
    return out


def _record(
    fields: tuple[Field, ...], written: Mapping[str, Written], value: Callable[[int], Any], clock: int
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for field in fields:
        if field.name in written:
            out[field.name] = _made(field, written[field.name], value, clock)
        elif field.required:
            out[field.name] = _neutral(field, clock)
        if out.get(field.name) is None and field.has_default:
            out[field.name] = field.default
    return out


def _made(field: Field, written: Written, value: Callable[[int], Any], clock: int) -> Any:
    if isinstance(written, list):
        return [v for item in written if (v := _made(field, item, value, clock)) is not None]
    if isinstance(written, dict):
        return _record(field.record, written, value, clock)
    return plain_value(written, value)


def plain_value(written: Literal | int, value: Callable[[int], Any]) -> Any:
    """The run-time value of what is neither a list nor a record; `value` gives those of nodes."""
    if isinstance(written, Literal):
        return list(written.value) if isinstance(written.value, list) else written.value
    return value(written)


def supplied_value(written: Written, value: Callable[[int], Any]) -> Any:
    """The run-time value of what a test supplies for a name: as `plain_value`, or a record of such."""
    if isinstance(written, dict):
        return {name: supplied_value(part, value) for name, part in written.items()}
    if isinstance(written, list):
        return [supplied_value(part, value) for part in written]
    return plain_value(written, value)


def _neutral(field: Field, clock: int) -> Any:
    plain: dict[str, Any] = {
        "bool": False,
        "number": 0,
        "text": "",
        "time": clock,
        "duration": 0,
        "ip": ADDRESS,
        "entity": field.name,
        "list": [],
    }
    return field.type.values[0] if field.type.kind == "enum" else plain[field.type.kind]
