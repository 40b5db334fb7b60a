"""Names that nothing uses: lets, lists, models, scores, shapes, entities, labels, parameters, elements.

A rule and a test use what they mention, whatever the rule's mode; a let, list, model or score passes on
what it mentions only when it is used itself. Fields are no names in this sense: an event may declare all
that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from quell.engine.graph import Graph
from quell.engine.lints_tree import Written
from quell.engine.lowered import LoweredRule
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Report

_ROOTS = (tree.EventDecl, tree.Rule, tree.Test)
_KINDS: tuple[tuple[type[tree.Declaration], str], ...] = (
    (tree.Let, "let"),
    (tree.ListDecl, "list"),
    (tree.Model, "model"),
    (tree.Score, "score"),
    (tree.Shape, "shape"),
    (tree.Entity, "entity"),
)
Label = tuple[str, str]
"""An entity's kind and a label of it."""


def lint_names(written: Written, report: Report) -> None:
    """Report declarations that nothing reaches."""
    roots = [d.names for d in written.declared if isinstance(d.declaration, _ROOTS)]
    others = [d for d in written.declared if not isinstance(d.declaration, _ROOTS)]
    mentions = {_ident(d.declaration).name: d.names for d in others}
    mentioned = {name for names in mentions.values() for name in names}
    used = _reached(roots, mentions)
    for declared in written.declared:
        declaration = declared.declaration
        for site in declared.sites:
            if isinstance(site, tree.Filter):
                _element(site, report)
        kind = next((k for cls, k in _KINDS if isinstance(declaration, cls)), None)
        if kind is None:
            continue
        ident = _ident(declaration)
        if ident.name not in used:
            by_unused = ident.name in mentioned
            message = f"nothing uses the {kind} `{ident.name}`"
            if by_unused:
                message = f"the {kind} `{ident.name}` is used only by names that nothing uses"
            report.add("unused-name", message, ident.span, hint="take it away, or use it")
        if isinstance(declaration, tree.Let):
            _parameters(declaration, declared.names, report)


def _ident(declaration: tree.Declaration) -> tree.Ident:
    ident: tree.Ident = declaration.name  # type: ignore[attr-defined]  # everything but tests and verdicts has one
    return ident


def _reached(roots: Iterable[set[str]], mentions: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    stack = [name for names in roots for name in names]
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack.extend(mentions.get(name, ()))
    return seen


def _parameters(let: tree.Let, names: set[str], report: Report) -> None:
    for parameter in let.parameters or ():
        if parameter.name.name not in names:
            report.add(
                "unused-name",
                f"`{let.name.name}` never uses its parameter `{parameter.name.name}`",
                parameter.name.span,
                hint="take it away",
            )


def _element(site: tree.Filter, report: Report) -> None:
    name = site.variable.name
    if site.condition is None:
        return
    if not any(isinstance(n, tree.Name) and n.name == name for n in tree.walk(site.condition)):
        report.add(
            "unused-name",
            f"this condition does not look at `{name}`, so it takes all elements or none",
            site.variable.span,
            hint=f"say something about `{name}` after where",
        )


# -------------------------------------------------------------------- labels


def lint_labels(
    symbols: Symbols, graphs: dict[str, Graph], rules: dict[str, list[LoweredRule]], report: Report
) -> None:
    """Report labels that nothing sets, removes or looks at."""
    known = {e for lowered in rules.values() for r in lowered for e in _rule_labels(r)}
    known |= {label for graph in graphs.values() for label in _graph_labels(graph)}
    known |= {label for test in symbols.tests for label in _test_labels(test)}
    lowered_rules = {r.name for lowered in rules.values() for r in lowered}
    left_out = [rule for name, rule in symbols.rules.items() if name not in lowered_rules]
    texts = {text for rule in left_out for text in _written_labels(rule)}
    for entity in symbols.entities.values():
        for label in entity.labels:
            plain = label.plain or ""
            if (entity.name.name, plain) not in known and plain not in texts:
                report.add(
                    "unused-name",
                    f'nothing sets or looks at the label "{plain}" of `{entity.name.name}`',
                    label.span,
                    hint="take it away, or use it",
                )


def _rule_labels(rule: LoweredRule) -> Iterator[Label]:
    for effect in rule.effects:
        if effect.kind in ("label", "unlabel"):
            yield effect.entity, effect.name


def _graph_labels(graph: Graph) -> Iterator[Label]:
    for node in graph.nodes:
        if node.op in ("labelled", "label_age"):
            yield node.data[0], node.data[1]


def _test_labels(test: tree.Test) -> Iterator[Label]:
    for step in test.steps:
        if isinstance(step, tree.GivenLabel | tree.ExpectLabel):
            yield step.entity.kind.name, step.label.plain or ""


def _written_labels(rule: tree.Rule) -> Iterator[str]:
    """The labels that a rule sets or removes which is off, and so was left out of the graph."""
    for effect in rule.effects:
        if isinstance(effect, tree.SetLabel | tree.RemoveLabel):
            yield effect.label.plain or ""
