"""Tests of a bundle read and checked: each step with its event type, values and expectations as nodes.

The same reading serves `quell check`, which reports, and the runner, which runs what was read. Names
that a test supplies (`with spam = 0.9`) are read in a bundle lowered with them as leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from quell.engine.lower import Lowerer, Scope, template
from quell.engine.lower_counters import MAX_WINDOW
from quell.engine.lower_operators import label_ok
from quell.engine.operations import LATEST
from quell.engine.policy_test_values import NOW, ValueReader, Written, now_node
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Report, did_you_mean
from quell.grammar.source import Span

START = 1_767_268_800_000_000
"""When every test's clock starts: 2026-01-01T12:00:00Z."""
MAX_EVENTS = 100_000
"""Events that one test may give."""


@dataclass(slots=True)
class LabelStep:
    """`given label`: it lasts so many microseconds, None for good."""

    written: tree.GivenLabel
    lasts: int | None


@dataclass(slots=True)
class Expectation:
    """One expectation. `index` is the event it speaks of, counted from 0 among those of the step before it;
    None for what holds by then: the labels, and all that was sent. `node` is the condition of `expect value`
    or the text of `expect message`."""

    written: tree.Expect
    event: str
    index: int | None
    node: int | None = None


@dataclass(slots=True)
class EventStep:
    """`given E`: so many events, the first after `after`, the others `every` apart, in microseconds."""

    written: tree.GivenEvent
    event: str
    values: dict[str, Written]
    supplied: dict[str, int]
    count: int
    after: int
    every: int
    expected: list[Expectation] = field(default_factory=list)


@dataclass(slots=True)
class ReadTest:
    """A test ready to run: its steps in order. Expectations stand in order too, and at their event step.

    `supplied` are the names whose value it supplies; `off` the rules that it looks at and that are off.
    """

    written: tree.Test
    steps: list[LabelStep | EventStep | Expectation]
    supplied: frozenset[str]
    off: tuple[str, ...]


def supplied_names(test: tree.Test) -> frozenset[str]:
    """The names whose value a test supplies."""
    given = (s for s in test.steps if isinstance(s, tree.GivenEvent))
    return frozenset(ident.name for s in given for ident, _ in s.injected)


class TestReader:
    """Reads the tests of a bundle into a lowerer's graphs, reporting what is wrong with them."""

    __test__ = False  # pytest would otherwise collect it

    def __init__(self, lowerer: Lowerer, report: Report) -> None:
        self.lowerer = lowerer
        self.report = report
        self.symbols: Symbols = lowerer.symbols
        self._values = ValueReader(lowerer, report)
        self._sinks = _sinks(self.symbols)

    def read(self, test: tree.Test) -> ReadTest | None:
        """A test ready to run, or None when something in it was reported."""
        before = len(self.report.found)
        with self._reporting():
            steps = self._steps(test)
        if len(self.report.found) > before:
            return None
        rules = [r for s in test.steps if (r := _rule_of(s)) is not None]
        off = [r.name for r in rules if _mode(self.symbols.rules[r.name]) == "off"]
        return ReadTest(test, steps, supplied_names(test), tuple(dict.fromkeys(off)))

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        kept, self.lowerer.report = self.lowerer.report, self.report
        try:
            yield
        finally:
            self.lowerer.report = kept

    def _steps(self, test: tree.Test) -> list[LabelStep | EventStep | Expectation]:
        out: list[LabelStep | EventStep | Expectation] = []
        current: EventStep | None = None
        clock, events, expects, known = START, 0, 0, True
        for written in test.steps:
            if isinstance(written, tree.GivenLabel):
                label = self._label_step(written)
                out.extend([label] if label is not None else [])
            elif isinstance(written, tree.GivenEvent):
                current = self._event_step(written)
                known = current is not None
                if current is not None:
                    out.append(current)
                    events += current.count
                    clock += current.after + (current.count - 1) * current.every
                    self._within_bounds(clock, events, written)
            else:
                expects += 1
                made = self._expect(written, current) if known else None
                if made is not None:
                    out.append(made)
        if not expects:
            message = "this test expects nothing, so it cannot fail"
            self.report.add("bad-test", message, test.title.span, hint="write expect …")
        return out

    def _within_bounds(self, clock: int, events: int, written: tree.GivenEvent) -> None:
        if events > MAX_EVENTS:
            message = f"a test may give {MAX_EVENTS:,} events, and this makes {events:,}"
            self.report.add("bad-test", message, written.span, hint="repeat fewer times")
        elif clock > LATEST - MAX_WINDOW:
            self.report.add("bad-test", "the clock of this test runs past the year 9999", written.span)

    # ---------------------------------------------------------------- given

    def _label_step(self, written: tree.GivenLabel) -> LabelStep | None:
        if not self._entity_label(written.entity, written.label):
            return None
        lasts = None
        if written.duration is not None:
            lasts = self._duration(written.duration, "how long a label lasts", least=1)
            if lasts is None:
                return None
        return LabelStep(written, lasts)

    def _entity_label(self, ref: tree.EntityRef, label: tree.Text) -> bool:
        if ref.kind.name not in self.symbols.entities:
            hint = did_you_mean(ref.kind.name, self.symbols.entities)
            self.report.add("unknown-type", f"there is no entity `{ref.kind.name}`", ref.kind.span, hint=hint)
            return False
        return label_ok(self.lowerer, ref.kind.name, label)

    def _event_step(self, written: tree.GivenEvent) -> EventStep | None:
        name = written.event.name
        schema = self.symbols.schemas.get(name)
        if schema is None:
            self._unknown_event(written.event)
            return None
        before = len(self.report.found)
        values = self._values.record(written.values, name, schema.fields, name)
        told = {path: value for path, value in schema.when}
        for f in schema.fields:
            if f.name in values and f.path in told:
                self._same_as_told(written, f.name, values[f.name], told[f.path], name)
        after = self._duration(written.after, "what follows `after`") if written.after is not None else 0
        every = self._duration(written.every, "what follows `every`") if written.every is not None else 0
        supplied = self._supplied(written, name)
        if after is None or every is None or len(self.report.found) > before:
            return None
        return EventStep(written, name, values, supplied, written.repeat or 1, after, every)

    def _same_as_told(self, written: tree.GivenEvent, name: str, value: Written, told: Any, event: str) -> None:
        graph = self.lowerer.graph(event)
        if isinstance(value, int) and graph.is_const(value) and graph.value(value) != told:
            message = f"an event whose `{name}` is not {told!r} is no `{event}`".replace("'", '"')
            self.report.add("bad-test", message, written.values.span, hint="leave the field out")

    def _unknown_event(self, ident: tree.Ident) -> None:
        if ident.name in self.symbols.events:
            return  # declared but broken, and reported there
        what = "is a shape, and a test gives events" if ident.name in self.symbols.shapes else "is no event"
        members = self.symbols.members.get(ident.name, ())
        hint = f"such as {members[0]}" if members else did_you_mean(ident.name, self.symbols.schemas)
        self.report.add("unknown-event", f"`{ident.name}` {what}", ident.span, hint=hint)

    def _duration(self, expr: tree.Expr, what: str, least: int = 0) -> int | None:
        event = next(iter(self.symbols.schemas), None)
        if event is None:
            return None
        value = self.lowerer.constant(expr, Scope(event), "duration", what)
        if value is None:
            return None
        if not least <= value <= MAX_WINDOW:
            hint = "a clock runs forwards; for a late event give its `at`, such as now - 1h" if value < 0 else None
            words = "longer than nothing" if least else "no less than nothing"
            self.report.add("bad-window", f"{what} must be {words} and at most 3660d", expr.span, hint=hint)
            return None
        return int(value)

    def _supplied(self, written: tree.GivenEvent, event: str) -> dict[str, int]:
        out: dict[str, int] = {}
        for ident, expr in written.injected:
            node = self._supply(ident, expr, event, out)
            if node is not None:
                out[ident.name] = node
        return out

    def _supply(self, ident: tree.Ident, expr: tree.Expr, event: str, known: dict[str, int]) -> int | None:
        if ident.name in known:
            self.report.add("bad-test", f"`{ident.name}` is supplied twice", ident.span)
            return None
        let, symbols = self.symbols.lets.get(ident.name), self.symbols
        if let is not None and let.parameters is not None:
            self.report.add("bad-test", f"`{ident.name}` is a function, and a test supplies values", ident.span)
            return None
        if let is None and ident.name not in symbols.scores and ident.name not in symbols.models:
            self._not_supplied(ident, event)
            return None
        typed = self.lowerer.typed(tree.Name(ident.name, span=ident.span), Scope(event))
        if typed is None:
            return None
        wanted = typed[1]
        if wanted.kind in ("regex", "record", "missing") or (wanted.element and wanted.element.kind == "record"):
            self.report.add("bad-test", f"`{ident.name}` is a {wanted}, which a test cannot supply", ident.span)
            return None
        return self._values.scalar(expr, wanted.maybe(), event, ident.name)

    def _not_supplied(self, ident: tree.Ident, event: str) -> None:
        schema = self.symbols.schemas[event]
        if schema.field(ident.name) is not None:
            hint = f"write it in the record: {{ {ident.name}: … }}"
            self.report.add("bad-test", f"`{ident.name}` is a field of `{event}`", ident.span, hint=hint)
            return
        names = [n for n, d in self.symbols.lets.items() if d.parameters is None]
        hint = did_you_mean(ident.name, [*names, *self.symbols.scores, *self.symbols.models])
        self.report.add("unknown-name", f"no let, score or model is called `{ident.name}`", ident.span, hint=hint)

    # --------------------------------------------------------------- expect

    def _expect(self, written: tree.Expect, step: EventStep | None) -> Expectation | None:
        if step is None:
            if isinstance(written, tree.ExpectLabel) and written.where is None:
                return Expectation(written, "", None) if self._entity_label(written.entity, written.label) else None
            message = "no event was given before this"
            self.report.add("bad-test", message, written.span, hint="write given … above it")
            return None
        index = self._index(written, step)
        if index is None:
            return None
        made = Expectation(written, step.event, index if _speaks_of_event(written) else None)
        if not self._sound(written, step.event, made):
            return None
        step.expected.append(made)
        return made

    def _index(self, written: tree.Expect, step: EventStep) -> int | None:
        where = written.where
        if where is None or where.kind == "last":
            return step.count - 1
        if where.kind == "first":
            return 0
        if 1 <= where.number <= step.count:
            return where.number - 1
        made = "one event" if step.count == 1 else f"{step.count:,} events"
        self.report.add(
            "bad-test",
            f"the step above makes {made}, so there is no event {where.number}",
            where.span,
            hint="events are counted from 1, from the last `given` on",
        )
        return None

    def _sound(self, written: tree.Expect, event: str, made: Expectation) -> bool:
        match written:
            case tree.ExpectVerdict():
                return self._verdict(written, event)
            case tree.ExpectFired():
                return self._rule(written.rule, event) is not None
            case tree.ExpectLabel():
                return self._entity_label(written.entity, written.label)
            case tree.ExpectSend():
                return self._sink(written)
            case tree.ExpectValue():
                names = {NOW: now_node(self.lowerer, event)}
                made.node = self.lowerer.condition(written.condition, Scope(event, names), "what follows `value`")
            case tree.ExpectMessage():
                rule = self._rule(written.rule, event)
                if rule is None:
                    return False
                if rule.because is None:
                    self.report.add("bad-test", f"`{rule.name.name}` has no message", written.rule.span)
                    return False
                made.node = template(self.lowerer, written.message, Scope(event), "tell")
        return made.node is not None

    def _rule(self, ident: tree.Ident, event: str) -> tree.Rule | None:
        rule = self.symbols.rules.get(ident.name)
        if rule is None:
            hint = did_you_mean(ident.name, self.symbols.rules)
            self.report.add("unknown-rule", f"there is no rule `{ident.name}`", ident.span, hint=hint)
            return None
        on = {e for name in rule.events for e in self.symbols.members.get(name.name, ())}
        if event not in on:
            where = ", ".join(f"`{e}`" for e in sorted(on))
            message = f"`{ident.name}` is not on `{event}`, so it says nothing of it"
            self.report.add("not-on-event", message, ident.span, hint=f"it is on {where}" if where else None)
            return None
        return rule

    def _verdict(self, written: tree.ExpectVerdict, event: str) -> bool:
        ladder = self.symbols.ladders[event].verdicts
        name = written.verdict.name
        if name not in ladder:
            hint = did_you_mean(name, ladder) or "the ladder is " + " < ".join(ladder)
            message = f"there is no verdict `{name}` for `{event}`"
            self.report.add("unknown-verdict", message, written.verdict.span, hint=hint)
            return False
        if written.rule is None:
            return True
        rule = self._rule(written.rule, event)
        if rule is None:
            return False
        asked = [e.name.name for e in rule.effects if isinstance(e, tree.Verdict)]
        if name not in asked:
            hint = f"it asks for {asked[0]}" if asked else f"write expect fired {rule.name.name}"
            message = f"`{rule.name.name}` never asks for `{name}`"
            self.report.add("bad-test", message, written.verdict.span, hint=hint)
            return False
        return True

    def _sink(self, written: tree.ExpectSend) -> bool:
        sink = written.sink.plain or ""
        if sink in self._sinks:
            return True
        hint = did_you_mean(sink, self._sinks)
        self.report.add("unknown-word", f'no rule sends anything to "{sink}"', written.sink.span, hint=hint)
        return False


def _speaks_of_event(written: tree.Expect) -> bool:
    """Whether an expectation speaks of one event, and not of what holds by then."""
    return written.where is not None or not isinstance(written, tree.ExpectLabel | tree.ExpectSend)


def _sinks(symbols: Symbols) -> set[str]:
    effects = (e for rule in symbols.rules.values() for e in rule.effects)
    return {e.sink.plain or "" for e in effects if isinstance(e, tree.Send)}


def _rule_of(step: tree.Given | tree.Expect) -> tree.Ident | None:
    """The rule that an expectation names."""
    return step.rule if isinstance(step, tree.ExpectVerdict | tree.ExpectFired | tree.ExpectMessage) else None


def _mode(rule: tree.Rule) -> str:
    return rule.mode.name if rule.mode is not None else "live"


def place_of(span: Span) -> tuple[str, int]:
    """The file and offset of a span."""
    return span.file, span.start
