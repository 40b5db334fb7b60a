"""What an analyst wrote, beside the graph nodes that it became: for lints that must point at a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quell.engine.lower import EXTENT, Lowerer, Scope
from quell.engine.resolve import named_type
from quell.grammar import tree
from quell.grammar.diagnostics import Report
from quell.grammar.source import Source, Span

MAX_SHOWN = 70
"""Characters of a policy that a message repeats."""


@dataclass(slots=True)
class Recorder(Lowerer):
    """A lowerer that goes over a declaration once more, into the same graphs, and notes the node of every
    expression on the way. Its complaints were made before and go nowhere."""

    made: dict[tuple[str, int], int] = field(default_factory=dict)

    def expr(self, node: tree.Expr, scope: Scope, *, events: bool = False) -> int | None:
        """The node of an expression, noted."""
        made = Lowerer.expr(self, node, scope, events=events)
        if made is not None:
            self.made[(scope.event, id(node))] = made
        return made


def recorder(low: Lowerer) -> Recorder:
    """A recorder over the graphs, stores and lets of a lowerer that is done."""
    return Recorder(
        low.symbols,
        Report(),
        low.injected,
        graphs=low.graphs,
        stores=low.stores,
        counted=low.counted,
        remotes=low.remotes,
        models=low.models,
        _lets=low._lets,
    )


def parameters(low: Lowerer, let: tree.Let, event: str) -> dict[str, int] | None:
    """The nodes that stand for a function's parameters while its body is looked at by itself."""
    names: dict[str, int] = {}
    for i, parameter in enumerate(let.parameters or ()):
        type_ = named_type(parameter.type, low.symbols, low.report, shapes=True)
        if type_ is None:
            return None
        data = (f"parameter {let.name.name} {i}",)
        bounds = EXTENT.get(type_.kind)
        names[parameter.name.name] = low.graph(event).add("injected", (), data, type_, bounds=bounds)
    return names


def bare(node: tree.Expr) -> tree.Expr:
    """An expression without the parentheses around it."""
    while isinstance(node, tree.Group):
        node = node.inner
    return node


def parts(node: tree.Junction) -> list[tree.Expr]:
    """What is joined by one `and` or `or`, also through parentheses."""
    out: list[tree.Expr] = []
    stack: list[tree.Expr] = [*reversed(node.items)]
    while stack:
        top = stack.pop()
        inner = bare(top)
        if isinstance(inner, tree.Junction) and inner.op == node.op:
            stack.extend(reversed(inner.items))
        else:
            out.append(top)
    return out


@dataclass(frozen=True, slots=True)
class Texts:
    """The text of the policies, to show parts of them in messages."""

    sources: Mapping[str, Source]

    def at(self, span: Span) -> str:
        """The text of a span as it stands, empty where there is no file."""
        source = self.sources.get(span.file)
        return source.text[span.start : span.end] if source is not None else ""

    def shown(self, span: Span) -> str:
        """The text of a span on one line and not too long, for a message."""
        line = " ".join(self.at(span).split())
        return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 1].rstrip() + "…"
