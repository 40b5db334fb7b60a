"""Labels that are an expression of the policy language, worked out by a bundle of two rules.

One rule matches where the expression is true and one where it is false; what is missing has no label. The two
are replayed beside the bundle, with the counters that the expression reads and nothing else of it: a label
that looked at what the policies do would judge them by themselves, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from quell.engine.compile import Analysis, Build, build, used_fields
from quell.engine.graph import Graph
from quell.engine.lowered import LoweredRule, Store
from quell.engine.order import order
from quell.grammar import tree
from quell.grammar.diagnostics import Report
from quell.replay.history import History
from quell.replay.history_ingest import ingest
from quell.replay.labels import Labels, LabelsError, Truth, truth_of
from quell.replay.named_values import NotAValue, lowered
from quell.replay.train_labels import ValueLabel

POSITIVE, NEGATIVE = "\U0010ffff positive", "\U0010ffff negative"
"""Names that no rule of a bundle can have."""
_OWN = {
    "fired": "fires",
    "labelled": "labels",
    "label_age": "labels",
    "remote": "asks of a remote model",
}


class RuleLabels(Labels):
    """Labels by an expression; made from the bundle that is judged, which stays as it is."""

    def __init__(self, label: ValueLabel, build_: Build, format: Any = None) -> None:
        self.text = label.text
        self._format = format
        nodes = lowered(build_.analysis, label.wanted)
        self._build = build(_two_rules(build_.analysis, nodes, label.text))

    def attach(self, history: History) -> Truth:
        """The two rules decide the history as it was read, where its columns are enough; else it is read once
        more for them."""
        from quell.replay.run import decide

        name = f"{history.schema}_labels"
        if self._has_columns(history):
            outcome = decide(replace(history, build=self._build), name)
            rows = f"SELECT n, rule FROM {outcome.table('hits')}"
        else:
            own = ingest(
                history.db,
                f"{name}_history",
                self._build,
                history.files,
                order=history.order,
                format=self._format,
            )
            outcome = decide(own, name)
            rows = (
                f"SELECT a.n, h.rule FROM {outcome.table('hits')} h JOIN {own.table('all')} o USING (n) "
                f"JOIN {history.table('all')} a ON a.file = o.file AND a.row = o.row"
            )
        found = truth_of(
            history, self.text, f"SELECT n, rule = '{POSITIVE}' AS label, NULL::BIGINT AS known FROM ({rows})"
        )
        if not found.labelled.positive and not found.labelled.negative:
            raise LabelsError(f"the label `{self.text}` is missing on every event of the history")
        return found

    def _has_columns(self, history: History) -> bool:
        analysis = self._build.analysis
        return all(
            used_fields(analysis, event) <= {f.name for _, f in history.columns[event]}
            for event in analysis.symbols.schemas
        )


def _two_rules(analysis: Analysis, nodes: Mapping[str, int], text: str) -> Analysis:
    """A bundle that says of each event whether an expression is true or false."""
    low = analysis.lowerer
    stores: dict[str, Store] = {}
    rules: dict[str, list[LoweredRule]] = {event: [] for event in analysis.symbols.schemas}
    written = {name: _rule(name, sorted(nodes)) for name in (POSITIVE, NEGATIVE)}
    for event, node in nodes.items():
        graph = low.graph(event)
        if graph[node].type.kind not in ("bool", "missing"):
            raise NotAValue(f"the label `{text}` is a {graph[node].type}, not a condition", "compare it")
        other = graph.add("not", (node,), (), graph[node].type)
        for name, condition in ((POSITIVE, node), (NEGATIVE, other)):
            rules[event].append(LoweredRule(written[name], event, condition, (), None, None, (), True))
    _gather(analysis, nodes, text, stores)
    stages, report = {}, Report()
    for event in analysis.symbols.schemas:
        graph = low.graph(event)
        stages[event] = order(event, graph, rules[event], stores, report)
    if report.found:
        raise NotAValue(f"the label `{text}` cannot be worked out: {report.found[0].message}")
    symbols = replace(analysis.symbols, rules=written)
    return replace(analysis, symbols=symbols, rules=rules, stages=stages)


def _rule(name: str, events: list[str]) -> tree.Rule:
    return tree.Rule(tree.Ident(name), tuple(tree.Ident(e) for e in events), tree.Bool(True), ())


def _gather(analysis: Analysis, nodes: Mapping[str, int], text: str, stores: dict[str, Store]) -> None:
    """The counters that an expression reads, those that these read too. Raises NotAValue where it looks at
    what the policies do."""
    low = analysis.lowerer
    queue = [(event, [node]) for event, node in nodes.items()]
    while queue:
        event, roots = queue.pop()
        for identity in _read(low.graph(event), roots, text):
            store = low.stores[identity]
            if identity in stores:
                continue
            stores[identity] = store
            for source in store.sources:
                if source.rule is not None:
                    raise _judges_itself(text, "fires")
                queue.append((source.event, list(source.nodes)))


def _read(graph: Graph, roots: list[int], text: str) -> list[str]:
    out = []
    for number in graph.reach(roots):
        node = graph[number]
        if node.op in _OWN:
            raise _judges_itself(text, _OWN[node.op])
        if node.op in ("counter", "reaches"):
            out.append(node.data[0])
    return out


def _judges_itself(text: str, what: str) -> NotAValue:
    return NotAValue(
        f"the label `{text}` looks at what a policy {what}, which would judge the policies by themselves",
        "take what the history says of the event, such as $.label",
    )
