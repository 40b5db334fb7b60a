"""Tests of a bundle read and checked: each step with its event type, values and expectations as nodes.

The same reading serves `quell check`, which reports, and the runner, which runs what was read. Names
that a test supplies (`with spam = 0.9`) are read in a bundle lowered with them as leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from quell.engine.lower import Lowerer, Scope
from quell.engine.lower_windows import MAX_WINDOW
from quell.engine.operations import LATEST
from quell.engine.policy_test_expect import Expectation, ExpectationReader
from quell.engine.policy_test_values import Literal, ValueReader, Written
from quell.engine.schema import Field
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
class EventStep:
    """`given E`: so many events, the first after `after`, the others `every` apart, in microseconds."""

    written: tree.GivenEvent
    event: str
    values: dict[str, Written]
    supplied: dict[str, Written]
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
    """Reads the tests of a bundle into a lowerer's graphs, reporting what is wrong with them.

    `places` has, for each finding of the report, the step that led to it.
    """

    __test__ = False  # pytest would otherwise collect it

    def __init__(self, lowerer: Lowerer, report: Report) -> None:
        self.lowerer = lowerer
        self.report = report
        self.places: list[Span] = []
        self.symbols: Symbols = lowerer.symbols
        self._values = ValueReader(lowerer, report)
        self._expectations = ExpectationReader(lowerer, report)

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
                out.extend([made] if made is not None else [])
            self._place(written.span)
        if not expects:
            message = "this test expects nothing, so it cannot fail"
            self.report.add("bad-test", message, test.title.span, hint="write expect …")
            self._place(test.title.span)
        return out

    def _place(self, span: Span) -> None:
        self.places.extend([span] * (len(self.report.found) - len(self.places)))

    def _expect(self, written: tree.Expect, step: EventStep | None) -> Expectation | None:
        if step is None:
            return self._expectations.read(written, None, 0)
        made = self._expectations.read(written, step.event, step.count)
        if made is not None:
            step.expected.append(made)
        return made

    def _within_bounds(self, clock: int, events: int, written: tree.GivenEvent) -> None:
        if events > MAX_EVENTS:
            message = f"a test may give {MAX_EVENTS:,} events, and this makes {events:,}"
            self.report.add("bad-test", message, written.span, hint="repeat fewer times")
        elif clock > LATEST - MAX_WINDOW:
            self.report.add("bad-test", "the clock of this test runs past the year 9999", written.span)

    # ---------------------------------------------------------------- given

    def _label_step(self, written: tree.GivenLabel) -> LabelStep | None:
        if not self._expectations.entity_label(written.entity, written.label):
            return None
        lasts = None
        if written.duration is not None:
            lasts = self._duration(written.duration, "how long a label lasts", least=1)
            if lasts is None:
                return None
        return LabelStep(written, lasts)

    def _event_step(self, written: tree.GivenEvent) -> EventStep | None:
        name = written.event.name
        schema = self.symbols.schemas.get(name)
        if schema is None:
            self._unknown_event(written.event)
            return None
        before = len(self.report.found)
        values = self._values.record(written.values, name, schema.fields, name)
        told = dict(schema.when)
        for f in schema.fields:
            if f.name in values and f.path in told:
                self._same_as_told(written, f.name, values[f.name], told[f.path], name)
        after = self._duration(written.after, "what follows `after`") if written.after is not None else 0
        every = self._duration(written.every, "what follows `every`") if written.every is not None else 0
        supplied = self._supplied(written, name)
        if after is None or every is None or len(self.report.found) > before:
            return None
        return EventStep(written, name, values, supplied, written.repeat or 1, after, every)

    def _same_as_told(
        self, written: tree.GivenEvent, name: str, value: Written, told: Any, event: str
    ) -> None:
        if isinstance(value, Literal) and value.value != told:
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
            hint = (
                "a clock runs forwards; for a late event give its `at`, such as now - 1h"
                if value < 0
                else None
            )
            words = "longer than nothing" if least else "no less than nothing"
            self.report.add("bad-window", f"{what} must be {words} and at most 3660d", expr.span, hint=hint)
            return None
        return int(value)

    def _supplied(self, written: tree.GivenEvent, event: str) -> dict[str, Written]:
        out: dict[str, Written] = {}
        for ident, expr in written.injected:
            value = self._supply(ident, expr, event, out)
            if value is not None:
                out[ident.name] = value
        return out

    def _supply(
        self, ident: tree.Ident, expr: tree.Expr, event: str, known: dict[str, Written]
    ) -> Written | None:
        if ident.name in known:
            self.report.add("bad-test", f"`{ident.name}` is supplied twice", ident.span)
            return None
        symbols = self.symbols
        let = symbols.lets.get(ident.name)
        if let is not None and let.parameters is not None:
            message = f"`{ident.name}` is a function, and a test supplies values"
            self.report.add("bad-test", message, ident.span)
            return None
        if let is None and ident.name not in symbols.scores and ident.name not in symbols.models:
            self._not_supplied(ident, event)
            return None
        typed = self.lowerer.typed(tree.Name(ident.name, span=ident.span), Scope(event))
        if typed is None:
            return None
        wanted = typed[1]
        answer = self.lowerer.remotes.get(ident.name)
        if answer is not None and isinstance(expr, tree.Record) and answer.gives:
            fields = tuple(Field(name, type_, (name,)) for name, type_ in answer.gives)
            return self._values.record(expr, event, fields, ident.name)
        if answer is not None and isinstance(expr, tree.Missing):
            return Literal(None)
        element = wanted.element if wanted.element is not None else wanted
        if answer is not None and answer.gives:
            message = f"`{ident.name}` gives several values"
            shown = ", ".join(f"{name}: …" for name, _ in answer.gives)
            self.report.add("bad-test", message, expr.span, hint=f"write {ident.name} = {{ {shown} }}")
            return None
        if element.kind in ("regex", "record", "missing"):
            message = f"`{ident.name}` is a {wanted}, which a test cannot supply"
            self.report.add("bad-test", message, ident.span)
            return None
        value = self._values.scalar(expr, wanted.maybe(), event, ident.name)
        return value if self._possible(ident, expr, value) else None

    def _possible(self, ident: tree.Ident, expr: tree.Expr, value: Literal | int | None) -> bool:
        """Whether a model can give what a test supplies for it; reported where it cannot."""
        model = self.lowerer.models.get(ident.name)
        if model is None or not isinstance(value, Literal) or value.value is None:
            return True
        low, high = model.bounds
        if low <= value.value <= high:
            return True
        hint = f"write {value.value:g}%" if model.probability and 1 < value.value <= 100 else None
        what = "from 0 to 1" if model.probability else f"at least {low:g}"
        self.report.add("bad-test", f"the model `{ident.name}` gives numbers {what}", expr.span, hint=hint)
        return False

    def _not_supplied(self, ident: tree.Ident, event: str) -> None:
        schema = self.symbols.schemas[event]
        if schema.field(ident.name) is not None:
            where = f"write it in the record: {{ {ident.name}: … }}"
            self.report.add("bad-test", f"`{ident.name}` is a field of `{event}`", ident.span, hint=where)
            return
        names = [n for n, d in self.symbols.lets.items() if d.parameters is None]
        hint = did_you_mean(ident.name, [*names, *self.symbols.scores, *self.symbols.models])
        self.report.add(
            "unknown-name", f"no let, score or model is called `{ident.name}`", ident.span, hint=hint
        )


def _rule_of(step: tree.Given | tree.Expect) -> tree.Ident | None:
    """The rule that an expectation names."""
    return step.rule if isinstance(step, tree.ExpectVerdict | tree.ExpectFired | tree.ExpectMessage) else None


def _mode(rule: tree.Rule) -> str:
    return rule.mode.name if rule.mode is not None else "live"
