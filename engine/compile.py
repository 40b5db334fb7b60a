"""The whole pipeline on a page: a bundle's files to functions that decide events.

    parse → resolve → lower (names, types, graph) → order → lint        `analyse`
    plan → generate → link                                                `build`

Each pass reports what it finds and goes on with the rest, so that all errors of a bundle come in one
run. A bundle with an error is never built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quell.engine.bundle import Files
from quell.engine.cascade import silence
from quell.engine.decision import ModelUsed
from quell.engine.events import Decoder
from quell.engine.graph import TooLarge, verify
from quell.engine.link import Linked, link
from quell.engine.lints import lint
from quell.engine.lists import load_lists
from quell.engine.lower import Lowerer
from quell.engine.lower_all import lower_everything
from quell.engine.lower_remote import declare_remotes
from quell.engine.lower_rules import lower_rules
from quell.engine.lowered import LoweredRule, NamedValue
from quell.engine.models import load_models, used_models
from quell.engine.order import Stage, order, stage_nodes
from quell.engine.policy_test_checks import check_tests
from quell.engine.python_backend import Program, generate
from quell.engine.resolve import resolve
from quell.engine.symbols import Symbols
from quell.engine.waves import schedule
from quell.grammar.diagnostics import Diagnostic, PolicyError, Report
from quell.grammar.parser import parse
from quell.grammar.tree import PolicyFile
from quell.grammar.types import is_textual
from quell.signals.models import Model
from quell.signals.policy_lists import PolicyList


@dataclass(slots=True)
class Analysis:
    """A bundle read and checked: graphs, rules in stages, and every finding."""

    files: Files
    report: Report
    symbols: Symbols
    lowerer: Lowerer
    lists: dict[str, PolicyList]
    models: dict[str, Model]
    rules: dict[str, list[LoweredRule]] = field(default_factory=dict)
    stages: dict[str, tuple[Stage, ...]] = field(default_factory=dict)
    values: dict[str, list[NamedValue]] = field(default_factory=dict)

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """All findings in order of place."""
        return self.report.sorted()

    def version(self) -> str:
        """A digest of everything that the bundle's answers depend on."""
        digest = hashlib.sha256()
        for name in sorted(self.files.sources):
            digest.update(f"{name}\0{self.files.sources[name].text}\0".encode())
        for name in sorted(self.lists):
            digest.update(f"{name}\0{self.lists[name].digest}\0".encode())
        for name in sorted(self.models):
            digest.update(f"{name}\0{self.models[name].digest}\0".encode())
        digest.update(repr(self.files.settings).encode())
        return digest.hexdigest()[:16]


class ParseCache:
    """Parsed files by name and text, so that an edit to one file re-reads only that one."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, PolicyFile, list[Diagnostic]]] = {}

    def parse(self, files: Files, report: Report) -> list[PolicyFile]:
        """Every file's declarations, in order of name."""
        out = []
        for name in sorted(files.sources):
            source = files.sources[name]
            known = self._known.get(name)
            if known is None or known[0] != source.text:
                own = Report()
                known = (source.text, parse(source, own), own.found)
                self._known[name] = known
            report.extend(known[2])
            out.append(known[1])
        for gone in set(self._known) - set(files.sources):
            del self._known[gone]
        return out


def analyse(
    files: Files,
    report: Report | None = None,
    cache: ParseCache | None = None,
    injected: frozenset[str] = frozenset(),
    lints: bool = True,
    extend: Callable[[Lowerer], None] | None = None,
    lists: dict[str, PolicyList] | None = None,
    models: dict[str, Model] | None = None,
) -> Analysis:
    """Read and check a bundle.

    The runner of tests analyses it once more: with `injected`, the names whose value a test supplies, with
    `extend`, which lowers what tests look at before counters are put in order, and with the `lists` and
    `models` that are already loaded.
    """
    report = report if report is not None else Report()
    cache = cache or ParseCache()
    parsed = cache.parse(files, report)
    unread = list(report.found)
    symbols = resolve(parsed, report)
    lists = load_lists(symbols, files, report, lints) if lists is None else lists
    models = load_models(symbols, files, report) if models is None else models
    lowerer = Lowerer(symbols, report, injected, models=models)
    declare_remotes(lowerer)
    analysis = Analysis(files, report, symbols, lowerer, lists, models)
    try:
        analysis.rules = lower_rules(lowerer)
        analysis.values = lower_everything(lowerer)
        if extend is not None:
            extend(lowerer)
    except TooLarge as error:
        report.add("too-costly", str(error), lowerer.here, hint="split the policy, or share parts with let")
        return analysis
    for event in symbols.schemas:
        rules = analysis.rules[event]
        graph = lowerer.graph(event)
        analysis.stages[event] = order(event, graph, rules, lowerer.stores, report)
        schedule(graph, analysis.stages[event], report)
    if lints:
        lint(analysis)
    if extend is None and not injected:
        check_tests(
            analysis,
            lambda names: analyse(files, None, cache, names, lints=False, lists=lists, models=models),
        )
    report.found = silence(report.found, unread, files.sources, symbols)
    return analysis


@dataclass(frozen=True, slots=True)
class Build:
    """A bundle ready to run, without any state."""

    analysis: Analysis
    decoder: Decoder
    programs: Mapping[str, Linked]
    version: str

    def identifier(self, event: str) -> Callable[[Any, int], str | None]:
        """How the `id` of a decoded event is read; None for events that declare none."""
        schema = self.analysis.symbols.schemas[event]
        declared = schema.field("id")
        if declared is None or not is_textual(declared.type):
            return lambda e, at: None
        return self.reader(event, "id")

    def models(self, event: str) -> tuple[ModelUsed, ...]:
        """The models that deciding an event may ask."""
        return used_models(self.programs[event].program, self.analysis.models)

    def reads(self, event: str, name: str) -> bool:
        """Whether a field of an event is decoded at all."""
        try:
            self.decoder.loader(event, name)
        except KeyError:
            return False
        return True

    def reader(self, event: str, name: str) -> Callable[[Any, int], Any]:
        """How a field of a decoded event is read. Raises KeyError for one that is not decoded."""
        leaf = self.decoder.loader(event, name)
        made: Callable[[Any, int], Any] = eval(f"lambda e, at: {leaf.source}", dict(leaf.helpers))
        return made


def build(analysis: Analysis, *, all_fields: bool = False, rolled_out: bool = False) -> Build:
    """Generate and link the functions of a bundle without errors; raises PolicyError for one with.

    `all_fields` decodes every declared field, for tools that show values no rule reads; `rolled_out`
    takes every rollout for complete, as tests do.
    """
    if analysis.report.errors:
        raise PolicyError(analysis.diagnostics, analysis.files.sources)
    symbols = analysis.symbols
    schemas = list(symbols.schemas.values())
    for schema in schemas:
        verify(analysis.lowerer.graph(schema.name))
    used = {
        s.name: {f.name for f in s.fields} if all_fields else used_fields(analysis, s.name) for s in schemas
    }
    if rolled_out:
        analysis = replace(analysis, stages={e: _rolled_out(s) for e, s in analysis.stages.items()})
    settings = analysis.files.settings
    decoder = Decoder(schemas, used, settings.type_path, settings.max_bytes)
    programs = {
        s.name: link(program(analysis, decoder, s.name), analysis.lists, analysis.models) for s in schemas
    }
    return Build(analysis, decoder, programs, analysis.version())


def program(analysis: Analysis, decoder: Decoder, event: str) -> Program:
    """The generated function of one event type."""
    known = {v.node: v.name for v in reversed(analysis.values[event])}
    places = {}
    for rule in analysis.rules[event]:
        span = rule.rule.name.span
        source = analysis.files.sources.get(span.file)
        where = f" ({span.file}:{source.position(span.start).line})" if source is not None else ""
        places[rule.name] = f"rule {rule.name}{where}"
    graph = analysis.lowerer.graph(event)
    return generate(
        event,
        graph,
        schedule(graph, analysis.stages[event]),
        lambda name: decoder.loader(event, name),
        known,
        places,
    )


def _rolled_out(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The stages with every rollout at 100%. A missing key stays outside."""
    return tuple(
        Stage(s.writes, tuple(r if r.share is None else replace(r, share=1) for r in s.rules)) for s in stages
    )


def used_fields(analysis: Analysis, event: str) -> set[str]:
    """The fields that rules and counters of an event read, and its id."""
    graph = analysis.lowerer.graph(event)
    roots = list(stage_nodes(analysis.stages[event]))
    found = {graph[n].data[0] for n in graph.reach(roots) if graph[n].op == "field"}
    schema = analysis.symbols.schemas[event]
    return found | {schema.at} | ({"id"} if schema.field("id") is not None else set())
