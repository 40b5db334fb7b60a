"""Every condition of a bundle, read once more on each event it is for, so that its parts can be judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from quell.engine.graph import TooLarge
from quell.engine.lints_conditions import Found, Reading, Where, common
from quell.engine.lints_counts import counted_equals
from quell.engine.lints_quiet import Quiet
from quell.engine.lints_tree import Declared, Written
from quell.engine.lints_world import Enough, World
from quell.engine.lints_written import Recorder, Texts, parameters
from quell.engine.lower import Scope
from quell.engine.lowered import LoweredRule, NamedValue
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Report

Site = tuple[tree.Expr, Where]
_NAMED = (tree.Rule, tree.Let, tree.Score, tree.Model)


@dataclass(slots=True)
class Sites:
    """What the lint of conditions looks at, and with what."""

    symbols: Symbols
    recorder: Recorder
    worlds: Mapping[str, World]
    texts: Texts
    rules: Mapping[str, dict[str, LoweredRule]]
    values: Mapping[str, dict[str, int]]
    quiet: Mapping[str, Quiet]

    def lint(self, written: Written, report: Report) -> None:
        """Report what is idle in every condition. A policy that would take too long is left at some point."""
        try:
            for declared in written.declared:
                if isinstance(declared.declaration, _NAMED):
                    report.extend(self._declaration(declared).values())
        except (Enough, TooLarge, RecursionError):
            return

    def _declaration(self, declared: Declared) -> Found:
        sites = [*_sites(declared.declaration), *_nested(declared)]
        if not sites and not declared.equals:
            return {}
        events = list(self._read_on(declared.declaration))
        simple = not declared.equals and not any(where in ("counter", "filter") for _, where in sites)
        if simple and any(self._quiet(declared.declaration, event) for event in events):
            return {}
        return common(self._run(declared, event, sites) for event in events)

    def _quiet(self, declaration: tree.Declaration, event: str) -> bool:
        """Whether there is surely nothing to say about the one condition of a rule or let."""
        quiet = self.quiet[event]
        if isinstance(declaration, tree.Rule) and declaration.condition is not None:
            return quiet.is_quiet(declaration.condition, self.rules[event][declaration.name.name].condition)
        if isinstance(declaration, tree.Let) and declaration.parameters is None:
            node = self.values[event][declaration.name.name]
            is_condition = self.worlds[event].graph[node].type.kind == "bool"
            return not is_condition or quiet.is_quiet(declaration.body, node)
        return False

    def _run(self, declared: Declared, event: str, sites: list[Site]) -> Found:
        self.recorder.made.clear()
        self._record(declared.declaration, event)
        made = self.recorder.made
        out: Found = {}
        for condition, where in sites:
            worlds = [w for event, w in self.worlds.items() if (event, id(condition)) in made]
            out |= common(Reading(w, self.symbols, self.texts, made, where).read(condition) for w in worlds)
        for compare in declared.equals:
            found = counted_equals(compare, made, self.worlds, self.texts)
            if found is not None:
                out[(found.code, found.span)] = found
        return out

    def _read_on(self, declaration: tree.Declaration) -> Iterator[str]:
        """The events on which a declaration means something."""
        for event in self.worlds:
            if isinstance(declaration, tree.Let) and declaration.parameters is not None:
                yield event
                continue
            known = self.rules[event] if isinstance(declaration, tree.Rule) else self.values[event]
            if isinstance(declaration, _NAMED) and declaration.name.name in known:
                yield event

    def _record(self, declaration: tree.Declaration, event: str) -> None:
        low = self.recorder
        if isinstance(declaration, tree.Rule) and declaration.condition is not None:
            shadow = not self.rules[event][declaration.name.name].live
            low.expr(declaration.condition, Scope(event, shadow=shadow))
        elif isinstance(declaration, tree.Let):
            names = parameters(low, declaration, event)
            if names is not None:
                low.expr(declaration.body, Scope(event, names), events=True)
        elif isinstance(declaration, tree.Score):
            for item in declaration.items:
                low.expr(item.condition, Scope(event))
        elif isinstance(declaration, tree.Model):
            for _, expr in declaration.inputs:
                low.expr(expr, Scope(event))


def _sites(declaration: tree.Declaration) -> Iterator[Site]:
    if isinstance(declaration, tree.Rule) and declaration.condition is not None:
        yield declaration.condition, "rule"
    elif isinstance(declaration, tree.Score):
        for item in declaration.items:
            yield item.condition, "points"
    elif isinstance(declaration, tree.Let):
        yield declaration.body, "let"


def _nested(declared: Declared) -> Iterator[Site]:
    for site in declared.sites:
        if isinstance(site, tree.Counter):
            if site.where is not None:
                yield site.where, "counter"
        elif site.condition is not None:
            yield site.condition, "filter"


def named(values: Mapping[str, list[NamedValue]]) -> dict[str, dict[str, int]]:
    """The lets and scores that each event has, with their nodes."""
    return {event: {v.name: v.node for v in found} for event, found in values.items()}
