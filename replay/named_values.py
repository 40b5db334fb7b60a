"""Named values of a bundle handed out for every event, by the very function that decides.

    tapped = tap(analysis, wanted(analysis, ["burst", "risk"]))
    engine, tap = Engine(tapped.build), Tap(tapped)
    answer = engine.decide_decoded(decoded, tap.observe)
    tap.row                                # the values, in the order of the columns; None on other events

The values hang on a rule that always matches and that nobody has written: the compiler orders it after
every counter and rule that the values look at, as it does for any rule, and the generated function works
them out where they stand when the event's rules are decided: the event itself is counted, labels and
limits are as they were before it. The rule's hit is taken out before the decision is settled, so that no
decision has a trace of it. Counters that only the values read are kept as well; none is counted
otherwise than it would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from quell.engine.compile import Analysis, Build, build
from quell.engine.events import Decoded
from quell.engine.graph import TooLarge
from quell.engine.lower import Lowerer, Scope
from quell.engine.lower_all import missing_names
from quell.engine.lower_lists import with_columns
from quell.engine.lowered import LoweredEffect, LoweredRule
from quell.engine.order import order
from quell.engine.settle import Hit
from quell.engine.waves import schedule
from quell.grammar import tree
from quell.grammar.diagnostics import Report, did_you_mean
from quell.grammar.types import BOOL, Type

TAP = "\U0010ffff values"
"""The name of the rule that hands the values out: no rule of a bundle can have it, and it sorts last."""


class NotAValue(ValueError):
    """A value that the bundle does not have, or not on the events asked for. `hint` is what to try."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, slots=True)
class Wanted:
    """One value: the column it is written to, and the expression that gives it."""

    column: str
    written: tree.Expr


@dataclass(frozen=True, slots=True)
class Tapped:
    """A bundle whose functions hand values out.

    `types` are the columns in order; `events` the event types that have all of the values, `without` the
    others, each with a value that it lacks; `nodes` the values' nodes in each event's graph.
    """

    build: Build
    types: Mapping[str, Type]
    events: tuple[str, ...]
    without: Mapping[str, str]
    nodes: Mapping[str, tuple[int, ...]]


def wanted(analysis: Analysis, names: Iterable[str]) -> list[Wanted]:
    """The values of these names: fields, lets, scores and models. Raises NotAValue for any other name."""
    return [Wanted(name, tree.Name(name)) for name in dict.fromkeys(_known(analysis, n) for n in names)]


def _known(analysis: Analysis, written: str) -> str:
    symbols = analysis.symbols
    name = written.strip()
    if len(name) > 2 and name[0] == name[-1] == "`":
        name = name[1:-1]
    let = symbols.lets.get(name)
    if let is not None and let.parameters is not None:
        raise NotAValue(f"`{name}` is a function, not a value", f"give a use of it a name: let … = {name}(…)")
    if name in symbols.lists:
        raise NotAValue(f"`{name}` is a list file, not a value", f"give a look into it a name: … in {name}")
    if name in symbols.rules:
        raise NotAValue(f"`{name}` is a rule, not a value", f"give its firing a name: let … = fired {name}")
    if name in nameable(analysis):
        return name
    raise NotAValue(f"nothing is called `{name}`", did_you_mean(name, nameable(analysis)))


def nameable(analysis: Analysis) -> list[str]:
    """Every name that stands for a value of an event, in order."""
    symbols = analysis.symbols
    functions = {name for name, let in symbols.lets.items() if let.parameters is not None}
    return [n for n in symbols.values() if n not in functions and n not in symbols.lists]


def tap(analysis: Analysis, values: Sequence[Wanted], event: str | None = None) -> Tapped:
    """The bundle with these values handed out: on one event type, or on all that have every value.

    Raises NotAValue where none has, or two have values of different types under one name.
    """
    events, without = _events(analysis, values, event)
    low = analysis.lowerer
    with _reporting(low) as found:
        nodes = _nodes(low, values, events)
        types = _types(low, values, events, nodes)
        rules, stages = dict(analysis.rules), dict(analysis.stages)
        for name in analysis.symbols.schemas:
            if name in nodes:
                rules[name] = [*rules[name], _rule(low, name, list(types.items()), nodes[name])]
            # a counter that only the values read is fed by events that have no values of their own, too
            stages[name] = order(name, low.graph(name), rules[name], low.stores, found)
            schedule(low.graph(name), stages[name], found)
        if found.found:
            raise NotAValue(found.found[0].message, found.found[0].hint)
    made = build(replace(analysis, rules=rules, stages=stages))
    return Tapped(made, types, tuple(events), without, nodes)


def lowered(analysis: Analysis, value: Wanted) -> dict[str, int]:
    """The node of a value on each event type that has all that it needs. Raises NotAValue where none has."""
    events, _ = _events(analysis, [value], None)
    with _reporting(analysis.lowerer):
        return {event: nodes[0] for event, nodes in _nodes(analysis.lowerer, [value], events).items()}


@contextmanager
def _reporting(low: Lowerer) -> Iterator[Report]:
    """A report of what is wrong with the values alone: the bundle's own stays as it is."""
    kept, low.report = low.report, Report()
    try:
        yield low.report
    finally:
        low.report = kept


def _nodes(low: Lowerer, values: Sequence[Wanted], events: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The values' nodes on each event."""
    try:
        return {name: tuple(_lowered(low, value, name) for value in values) for name in events}
    except TooLarge as error:
        raise NotAValue(str(error)) from error


def _events(
    analysis: Analysis, values: Sequence[Wanted], event: str | None
) -> tuple[list[str], dict[str, str]]:
    """The event types that have every value, and for the others a name that they lack."""
    schemas = analysis.symbols.schemas
    if event is not None and event not in schemas:
        raise NotAValue(f"there is no event `{event}`", did_you_mean(event, schemas))
    found: list[str] = []
    without: dict[str, str] = {}
    for name in schemas if event is None else [event]:
        lacks = next((f for v in values if (f := _lacking(analysis, v, name)) is not None), None)
        if lacks is None:
            found.append(name)
        else:
            without[name] = lacks
    if found:
        return found, without
    if event is not None:
        raise NotAValue(f"`{event}` has no `{without[event]}`", _having(analysis, without[event]))
    raise NotAValue(
        "no event has all of these values: "
        + ", ".join(f"`{name}` has no `{lacks}`" for name, lacks in list(without.items())[:4]),
        "ask for the values of one event at a time",
    )


def _having(analysis: Analysis, name: str) -> str | None:
    having = sorted(analysis.symbols.field_events.get(name, ()))
    return f"it is a field of {', '.join(f'`{e}`' for e in having[:3])}" if having else None


def _lacking(analysis: Analysis, value: Wanted, event: str) -> str | None:
    """A field that a value needs and an event does not have."""
    stand_in = tree.Let(tree.Ident(value.column), None, value.written)
    return min(missing_names(analysis.lowerer, stand_in, event), default=None)


def _lowered(low: Lowerer, value: Wanted, event: str) -> int:
    told = len(low.report.found)
    made = low.expr(value.written, Scope(event))
    if made is None:
        found = low.report.found[told:]
        raise NotAValue(
            f"`{value.column}` has no value on `{event}`: {found[0].message}"
            if found
            else f"`{value.column}` has no value on `{event}`",
            found[0].hint if found else None,
        )
    return made


def _types(
    low: Lowerer, values: Sequence[Wanted], events: Sequence[str], nodes: Mapping[str, tuple[int, ...]]
) -> dict[str, Type]:
    """The columns' types; optional where any event's value is."""
    out: dict[str, Type] = {}
    for i, value in enumerate(values):
        found = [with_columns(low, low.graph(e)[nodes[e][i]].type) for e in events]
        if any(t.kind == "regex" for t in found):
            raise NotAValue(f"`{value.column}` is a pattern, which has no value of its own")
        if len({t.present() for t in found}) > 1:
            told = " and ".join(f"a {t.present()} on `{e}`" for t, e in zip(found, events, strict=True))
            raise NotAValue(f"`{value.column}` is {told}", "ask for one event with --event")
        out[value.column] = found[0].maybe() if any(t.optional for t in found) else found[0]
    return out


def _rule(low: Lowerer, event: str, columns: Sequence[tuple[str, Type]], nodes: Sequence[int]) -> LoweredRule:
    """The rule that hands the values out: it always matches, and what it would send are the values."""
    payload = tuple((name, node, type_) for (name, type_), node in zip(columns, nodes, strict=True))
    rule = tree.Rule(tree.Ident(TAP), (tree.Ident(event),), tree.Bool(True), ())
    always = low.graph(event).const(True, BOOL)
    return LoweredRule(
        rule, event, always, (LoweredEffect("send", TAP, payload=payload),), None, None, (), True
    )


class Tap:
    """Takes the values of each event while it is decided; `row` has those of the latest."""

    def __init__(self, tapped: Tapped) -> None:
        programs = tapped.build.programs
        self.row: tuple[Any, ...] | None = None
        self._numbers = {e: len(programs[e].program.rules) - 1 for e in tapped.events}

    def observe(self, decoded: Decoded, hits: list[Hit]) -> None:
        """Take the values out of the hits."""
        self.row = None
        number = self._numbers.get(decoded.event)
        if number is None:
            return
        for place, hit in enumerate(hits):
            if hit[0] == number:
                self.row = tuple(hits.pop(place)[3][0][0].values())
                return
