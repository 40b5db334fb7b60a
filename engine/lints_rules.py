"""Lints about rules as wholes: without effect, twice, outdone by another, without a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from quell.engine.graph import Graph
from quell.engine.lowered import LoweredRule
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Related, Report
from quell.grammar.source import Span

Lowered = Mapping[str, list[LoweredRule]]
"""The rules of every event that are live or in shadow."""


def is_live(rule: tree.Rule) -> bool:
    """Whether a rule acts."""
    return rule.mode is None or rule.mode.name == "live"


def events_of(symbols: Symbols, rule: tree.Rule) -> set[str]:
    """The events that a rule is on."""
    return {e for ident in rule.events for e in symbols.members.get(ident.name, ())}


def _place(rule: tree.Rule) -> tuple[str, int]:
    return rule.name.span.file, rule.name.span.start


# ----------------------------------------------------------------- no effect


def lint_effects(symbols: Symbols, fired: set[str], report: Report) -> None:
    """Report rules that nobody notices, and exemptions that meet no rule."""
    for name, rule in symbols.rules.items():
        if rule.rollout is not None and rule.rollout.share == 0:
            hint = "write mode shadow to watch it, or mode off"
            report.add("no-effect", f"`{name}` never fires: its rollout is 0%", rule.rollout.span, hint=hint)
        elif is_live(rule) and not rule.effects and name not in fired:
            report.add(
                "no-effect",
                f"nothing happens when `{name}` fires, and nothing reads that it did",
                rule.name.span,
                hint="write then … after its condition, or mode shadow to watch it",
            )
        for effect in rule.effects:
            if isinstance(effect, tree.Exempt):
                _exemption(symbols, rule, effect, report)


def _exemption(symbols: Symbols, rule: tree.Rule, effect: tree.Exempt, report: Report) -> None:
    here = events_of(symbols, rule)
    for target in effect.targets:
        hit = [r for r in _hit(symbols, target) if r is not rule]
        if hit and here and not any(here & events_of(symbols, r) for r in hit):
            what = f"`{target.name}`" if target.kind == "rule" else f'every rule with the tag "{target.name}"'
            report.add(
                "no-effect",
                f"`{rule.name.name}` exempts from {what}, which is on other events",
                target.span,
                hint=f"it is on {_listed(symbols, hit)}",
            )


def _hit(symbols: Symbols, target: tree.Target) -> list[tree.Rule]:
    if target.kind == "rule":
        return [symbols.rules[target.name]] if target.name in symbols.rules else []
    if target.kind == "tag":
        return [r for r in symbols.rules.values() if any(t.plain == target.name for t in r.tags)]
    return []


def _listed(symbols: Symbols, rules: Iterable[tree.Rule]) -> str:
    return ", ".join(f"`{e}`" for e in sorted(set().union(*(events_of(symbols, r) for r in rules))))


# ---------------------------------------------------------------- duplicates


def lint_duplicates(lowered: Lowered, report: Report) -> None:
    """Report a rule where another does the same on the same events, and perhaps on more."""
    same: dict[tuple[object, ...], list[LoweredRule]] = {}
    meanings: dict[str, list[tuple[object, ...]]] = {}
    rules: dict[str, tree.Rule] = {}
    for event, here in lowered.items():
        for rule in here:
            meaning = (event, *_meaning(rule))
            same.setdefault(meaning, []).append(rule)
            meanings.setdefault(rule.name, []).append(meaning)
            rules[rule.name] = rule.rule
    for name in sorted(meanings, key=lambda n: _place(rules[n])):
        other = _other(name, meanings, same, rules)
        if other is not None:
            report.add(
                "duplicate-rule",
                f"`{name}` does what `{other.name.name}` does, under the same condition",
                rules[name].name.span,
                hint="take one of them away, or say what sets them apart",
                related=[Related(other.name.span, "the other one")],
            )


def _meaning(rule: LoweredRule) -> tuple[object, ...]:
    exempting = [e for e in rule.rule.effects if isinstance(e, tree.Exempt)]
    exempt = tuple(sorted((t.kind, t.name) for e in exempting for t in e.targets))
    effects = frozenset(rule.effects)
    return rule.condition, effects, exempt, rule.live, rule.share, rule.bucket, rule.exempt_by


def _other(
    name: str,
    meanings: Mapping[str, list[tuple[object, ...]]],
    same: Mapping[tuple[object, ...], list[LoweredRule]],
    rules: Mapping[str, tree.Rule],
) -> tree.Rule | None:
    """The first rule that does all that this one does; of two that are equal, the second is the copy."""
    mine = meanings[name]
    common: dict[str, int] = {}
    for meaning in mine:
        for rule in same[meaning]:
            common[rule.name] = common.get(rule.name, 0) + 1
    covering = [n for n, count in common.items() if n != name and count == len(mine)]
    wider = [n for n in covering if len(meanings[n]) > len(mine) or _place(rules[n]) < _place(rules[name])]
    return rules[min(wider, key=lambda n: _place(rules[n]))] if wider else None


# ------------------------------------------------------------------ verdicts


def lint_verdicts(symbols: Symbols, lowered: Lowered, graphs: Mapping[str, Graph], report: Report) -> None:
    """Report verdicts that can never be the answer: the lowest of the ladder, and those outdone by a rule
    that fires whenever theirs does."""
    outdone: dict[str, list[tuple[LoweredRule, LoweredRule, str]]] = {}
    counts: dict[str, int] = {}
    for event, here in lowered.items():
        ladder = symbols.ladders[event].verdicts
        certain = _certain(here)
        for rule in here:
            verdict = _verdict(rule)
            if verdict is None or not rule.live:
                continue
            counts[rule.name] = counts.get(rule.name, 0) + 1
            for other, asked in _above(rule, graphs[event], certain):
                if asked in ladder and verdict in ladder and ladder.index(asked) > ladder.index(verdict):
                    outdone.setdefault(rule.name, []).append((rule, other, asked))
                    break
    for name, found in outdone.items():
        if len(found) == counts[name]:
            _tell_outdone(*found[0], report)
    for declared in symbols.rules.values():
        _lowest(symbols, declared, report)


def _verdict(rule: LoweredRule) -> str | None:
    return next((e.name for e in rule.effects if e.kind == "verdict"), None)


def _certain(rules: Iterable[LoweredRule]) -> dict[int, list[LoweredRule]]:
    """By condition, the live rules that ask for their verdict whenever they match."""
    out: dict[int, list[LoweredRule]] = {}
    for rule in rules:
        held_back = rule.share is not None and rule.share < 1
        if rule.live and not held_back and any(e.kind == "verdict" and e.limit is None for e in rule.effects):
            out.setdefault(rule.condition, []).append(rule)
    return out


def _above(
    rule: LoweredRule, graph: Graph, certain: Mapping[int, list[LoweredRule]]
) -> Iterator[tuple[LoweredRule, str]]:
    """The rules that match whenever this one does and are exempted only when it is, with their verdicts."""
    node = graph[rule.condition]
    for condition in (rule.condition, *(node.args if node.op == "and" else ())):
        for other in certain.get(condition, ()):
            asked = _verdict(other)
            if other.name != rule.name and asked is not None and set(other.exempt_by) <= set(rule.exempt_by):
                yield other, asked


def _tell_outdone(rule: LoweredRule, other: LoweredRule, asked: str, report: Report) -> None:
    written = next(e for e in rule.rule.effects if isinstance(e, tree.Verdict))
    verdict = written.name.name
    report.add(
        "unreachable-verdict",
        f"`{verdict}` is never the answer: `{other.name}` asks for {asked} whenever `{rule.name}` fires",
        written.name.span,
        hint="take the verdict away, or narrow the other rule",
        related=[Related(other.rule.name.span, "the other rule")],
    )


def _lowest(symbols: Symbols, rule: tree.Rule, report: Report) -> None:
    events = events_of(symbols, rule)
    for effect in rule.effects:
        if isinstance(effect, tree.Verdict) and events:
            name = effect.name.name
            if all(symbols.ladders[e].verdicts[0] == name for e in events):
                report.add(
                    "unreachable-verdict",
                    f"`{name}` changes nothing: it is the answer anyway when no rule fires",
                    effect.name.span,
                    hint="to keep other rules from firing, write exempt from …",
                )


# --------------------------------------------------------------------- tests


_BY_RULE = (tree.ExpectVerdict, tree.ExpectFired, tree.ExpectMessage)


def lint_tests(symbols: Symbols, report: Report) -> None:
    """Report live rules that no test names; once, where there is no test at all."""
    live = [r for r in symbols.rules.values() if is_live(r)]
    if not live:
        return
    if not symbols.tests:
        first = min(live, key=_place)
        count = f"none of the {len(live)} rules" if len(live) > 1 else f"`{first.name.name}`"
        told = f"{count} has a test" if len(live) > 1 else f"{count} has no test"
        _untested(told, first, first.name.span, report)
        return
    named = {name for test in symbols.tests for name in _named(test)}
    for rule in live:
        if rule.name.name not in named:
            _untested(f"no test names `{rule.name.name}`", rule, rule.name.span, report)


def _named(test: tree.Test) -> Iterator[str]:
    for step in test.steps:
        rule = step.rule if isinstance(step, _BY_RULE) else None
        if rule is not None:
            yield rule.name


def _untested(message: str, rule: tree.Rule, span: Span, report: Report) -> None:
    event = rule.events[0].name if rule.events else "…"
    report.add(
        "missing-test",
        message,
        span,
        hint=f'write test "…" with given {event} {{ … }} and expect fired {rule.name.name}',
    )
