"""What of two bundles is written otherwise: by rule, by counter, and what only looks different."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from quell.engine.compile import Analysis, Build
from quell.engine.lowered import LoweredRule, Store
from quell.grammar import tree
from quell.grammar.literals import spell_duration
from quell.grammar.printer import print_declaration, print_expression
from quell.replay.compare_prints import Prints
from quell.replay.report_data import CounterChange

MOST_NAMED = 5
"""Names that one sentence gives; it counts the others."""
ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class RulePair:
    """One rule in both bundles, or in one. `changed` says what of it is written otherwise; `dressed` what
    decisions show of it beside their message: its name, tags and severity differ."""

    name: str
    status: Literal["same", "changed", "new", "gone", "renamed"]
    was: str | None
    mode_before: str
    mode_after: str
    changed: tuple[str, ...] = ()
    dressed: bool = False

    @property
    def shadow(self) -> bool:
        """Whether it is what the rule would have done that is compared."""
        return {self.mode_before, self.mode_after} <= {"shadow", "off", ""} and "shadow" in (
            self.mode_before,
            self.mode_after,
        )


@dataclass(slots=True)
class Written:
    """What two bundles say otherwise. `rules` stand in order of name."""

    rules: list[RulePair] = field(default_factory=list)
    counters: list[CounterChange] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)

    @property
    def renamed(self) -> dict[str, str]:
        """New names by old ones."""
        return {r.was: r.name for r in self.rules if r.was is not None and r.was != r.name}


def written(before: Build, after: Build) -> Written:
    """Compare what two bundles say."""
    a, b = _Side(before.analysis), _Side(after.analysis)
    rules = [_pair(a, b, was, name) for was, name in sorted(_matched(a.rules, b.rules), key=_pair_key)]
    return Written(rules, _counters(before, after), _looks(a, b, rules))


class _Side:
    """One bundle, with the digests of its expressions."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.prints = Prints(analysis)
        self.rules = analysis.symbols.rules
        self.lowered: dict[str, list[LoweredRule]] = {}
        for rules in analysis.rules.values():
            for rule in rules:
                self.lowered.setdefault(rule.name, []).append(rule)

    def mode(self, rule: str) -> str:
        """`live`, `shadow` or `off`."""
        mode = self.rules[rule].mode
        return "live" if mode is None else mode.name

    def told(self, rule: str, of: Callable[[LoweredRule], str]) -> dict[str, str]:
        """What a rule says, by what the event types are that it is on."""
        return {self.prints.event(r.event): of(r) for r in self.lowered.get(rule, ())}


def _matched(
    before: Mapping[str, tree.Rule], after: Mapping[str, tree.Rule]
) -> list[tuple[str | None, str | None]]:
    """Rules by their names in both bundles; those of another name by the names they had formerly."""
    out: list[tuple[str | None, str | None]] = [(n, n) for n in after if n in before]
    left = {n: r for n, r in before.items() if n not in after}
    for name, rule in after.items():
        if name in before:
            continue
        ours = {name, *(f.name for f in rule.formerly)}
        was = next((n for n, r in left.items() if ours & {n, *(f.name for f in r.formerly)}), None)
        if was is not None:
            del left[was]
        out.append((was, name))
    return out + [(name, None) for name in left]


def _pair_key(pair: tuple[str | None, str | None]) -> str:
    return pair[1] or pair[0] or ""


def _pair(a: _Side, b: _Side, was: str | None, name: str | None) -> RulePair:
    if was is None:
        assert name is not None
        return RulePair(name, "new", None, "", b.mode(name))
    if name is None:
        return RulePair(was, "gone", None, a.mode(was), "")
    changed = tuple(what for what, differs in _parts(a, b, was, name) if differs)
    status: Any = "renamed" if was != name else "changed" if changed else "same"
    dressed = was != name or _dress(a.rules[was]) != _dress(b.rules[name])
    return RulePair(
        name, status, was if was != name else None, a.mode(was), b.mode(name), changed, dressed
    )  # fmt: skip


def _dress(rule: tree.Rule) -> tuple[Any, ...]:
    return (tuple(t.plain for t in rule.tags), rule.severity and rule.severity.name)


def _parts(a: _Side, b: _Side, was: str, name: str) -> Iterable[tuple[str, bool]]:
    """Each part of a rule, and whether it is written otherwise."""
    yield "events", _events(a, was) != _events(b, name)
    if was in a.lowered and name in b.lowered:
        yield "condition", _differ(a, b, was, name, lambda s, r: s.prints.of(r.event, r.condition))
        yield "effects", _differ(a, b, was, name, lambda s, r: s.prints.effects(r))
        yield "rollout", _differ(a, b, was, name, lambda s, r: s.prints.rollout(r))
        yield "message", _differ(a, b, was, name, lambda s, r: s.prints.message(r))
    else:  # a rule that is off is no part of the graph
        for part in ("condition", "effects", "rollout", "message"):
            yield part, _spelled(a.rules[was], part) != _spelled(b.rules[name], part)
    yield "mode", a.mode(was) != b.mode(name)


def _events(side: _Side, rule: str) -> frozenset[str]:
    symbols = side.analysis.symbols
    named = [e for ident in side.rules[rule].events for e in symbols.members.get(ident.name, ())]
    return frozenset(side.prints.event(e) for e in named)


def _differ(a: _Side, b: _Side, was: str, name: str, of: Callable[[_Side, LoweredRule], str]) -> bool:
    """Whether a part differs on an event type that both rules are on."""
    old, new = a.told(was, lambda r: of(a, r)), b.told(name, lambda r: of(b, r))
    return any(old[e] != new[e] for e in old.keys() & new.keys())


def _spelled(rule: tree.Rule, part: str) -> Any:
    if part == "condition":
        return rule.condition and print_expression(rule.condition)
    return {"effects": rule.effects, "rollout": rule.rollout, "message": rule.because}[part]


# ------------------------------------------------------------------------------- counters


def _counters(before: Build, after: Build) -> list[CounterChange]:
    old, new = _read(before), _read(after)
    out = [_counter(s, "new") for i, s in new.items() if i not in old]
    out += [_counter(s, "longer") for i, s in new.items() if i in old and _longer(s, old[i])]
    out += [_counter(s, "gone") for i, s in old.items() if i not in new]
    return sorted(out, key=lambda c: (("new", "longer", "gone").index(c.status), c.counter))


def _read(build: Build) -> dict[str, Store]:
    """The counters that deciding needs, by what they count."""
    needs = (need for linked in build.programs.values() for need in linked.program.needs.values())
    stores = build.analysis.lowerer.stores
    return {what: stores[what] for kind, what in needs if kind == "store"}


def _longer(new: Store, old: Store) -> bool:
    return old.longest is not None and (new.longest is None or new.longest > old.longest)


def _counter(store: Store, status: Literal["new", "gone", "longer"]) -> CounterChange:
    window = "ever" if store.longest is None else spell_duration(store.longest)
    cold = "" if status == "gone" else ALWAYS if store.longest is None else window
    return CounterChange(store.text, status, window, cold)


# ------------------------------------------------------------------- what only looks different


MESSAGE = "the message is"
_PARTS: dict[str, Callable[[tree.Rule], Any]] = {
    MESSAGE: lambda rule: rule.because,
    "the owner is": lambda rule: rule.owner,
    "the tags are": lambda rule: rule.tags,
    "the severity is": lambda rule: rule.severity,
}


def _looks(a: _Side, b: _Side, rules: list[RulePair]) -> list[str]:
    both = [r for r in rules if r.status not in ("new", "gone")]
    pairs = [(a.rules[r.was or r.name], b.rules[r.name], r) for r in both]
    out = [f"the rule `{r.was}` is called `{r.name}` now" for r in both if r.was]
    out += _renamed_values(a, b)
    out += _renamed_lists(a.analysis, b.analysis)
    for what, part in _PARTS.items():
        named = [
            r.name for x, y, r in pairs if part(x) != part(y) and (what != MESSAGE or "message" in r.changed)
        ]
        if named:
            out.append(f"{_named(named)}: {what} written otherwise")
    out += _comments(a.analysis, b.analysis, {r.name: r.was or r.name for r in both})
    out += _tests(a.analysis, b.analysis)
    layout = a.analysis.version() != b.analysis.version() and not out
    if layout and all(r.status == "same" for r in rules):
        out.append("the files are laid out otherwise, or differ in what no rule reads")
    return out


def _renamed_values(a: _Side, b: _Side) -> list[str]:
    """Lets, scores and models that say the same under another name."""
    old, new = _values(a), _values(b)
    gone = {says: name for name, says in reversed(old.items()) if name not in new}
    return [
        f"`{gone[says]}` is called `{name}` now"
        for name, says in new.items()
        if name not in old and says in gone
    ]


def _values(side: _Side) -> dict[str, frozenset[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for event, values in side.analysis.values.items():
        for value in values:
            said = (side.prints.event(event), side.prints.of(event, value.node))
            found.setdefault(value.name, set()).add(said)
    return {name: frozenset(says) for name, says in sorted(found.items())}


def _renamed_lists(a: Analysis, b: Analysis) -> list[str]:
    def says(analysis: Analysis, name: str) -> tuple[Any, ...]:
        declared = analysis.symbols.lists[name]
        return (declared.kind.name, declared.columns, analysis.lists[name].digest)

    gone = {says(a, n): n for n in reversed(a.lists) if n not in b.lists}
    found = [(gone.get(says(b, n)), n) for n in b.lists if n not in a.lists]
    return [f"the list `{was}` is called `{name}` now" for was, name in found if was is not None]


def _comments(a: Analysis, b: Analysis, was: dict[str, str]) -> list[str]:
    old, new = _declared(a), _declared(b)
    named = []
    for (kind, name), declaration in new.items():
        other = old.get((kind, was.get(name, name) if kind == "rule" else name))
        if other is not None and other.doc.split() != declaration.doc.split():
            named.append(name)
    return [f"{_named(named)}: the comment is written otherwise"] if named else []


def _declared(analysis: Analysis) -> dict[tuple[str, str], tree.Declaration]:
    s = analysis.symbols
    kinds: dict[str, Mapping[str, tree.Declaration]] = {
        "entity": s.entities, "shape": s.shapes, "event": s.events, "let": s.lets, "list": s.lists,
        "model": s.models, "score": s.scores, "rule": s.rules,
    }  # fmt: skip
    return {(kind, name): d for kind, declared in kinds.items() for name, d in declared.items()}


def _tests(a: Analysis, b: Analysis) -> list[str]:
    old, new = ({print_declaration(t) for t in x.symbols.tests} for x in (a, b))
    out = []
    if more := len(new - old):
        out.append(f"{more} test{'s are' if more > 1 else ' is'} new or written otherwise")
    titles = {t.title.plain for t in b.symbols.tests}
    if gone := len({t.title.plain for t in a.symbols.tests} - titles):
        out.append(f"{gone} test{'s are' if gone > 1 else ' is'} gone")
    return out


def _named(names: list[str]) -> str:
    shown = ", ".join(f"`{n}`" for n in names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"
