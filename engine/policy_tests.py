"""Runs the tests that stand beside the rules.

    report = run_tests(read_bundle("policies", Report()))

Each test has a memory of its own and a clock that starts at 2026-01-01T12:00:00Z; `after`, and `every` of
a `repeat`, move it, and an event's `at` is the clock unless the test writes another. Rollouts are taken
as complete, and shadow rules run as they do in service: `expect fired` is true of them, a verdict is
never theirs. A test that looks at a rule which is off is skipped and told as such. Without a place, an
expectation speaks of the last event before it, `expect send` of everything sent so far and `expect
label` of what holds now; `on the first`, `on the last` and `on event 3` count the events of the
`given` above.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from quell.engine.bundle import Files
from quell.engine.compile import Analysis, Build, ParseCache, analyse, build
from quell.engine.decision import Refused
from quell.engine.events import Decoded, Refusal
from quell.engine.explain import Account, Explainer
from quell.engine.lower import Lowerer, Scope
from quell.engine.policy_test_expect import Expectation
from quell.engine.policy_test_judge import MAX_TOLD, Seen, SoFar, concerned, happened, holds, values_of
from quell.engine.policy_test_report import Failure, TestReport, TestResult, report_of
from quell.engine.policy_test_steps import (
    START,
    EventStep,
    LabelStep,
    ReadTest,
    TestReader,
    supplied_names,
)
from quell.engine.policy_test_values import NOW, clock_evaluator, now_node, supplied_value
from quell.engine.policy_test_values import values_of as event_values
from quell.engine.settle import Hit
from quell.engine.stepper import Stepper
from quell.grammar import tree
from quell.grammar.diagnostics import PolicyError
from quell.grammar.source import Source
from quell.signals.show import show_time

Chosen = Callable[[tree.Test], bool]
"""Which tests to run."""


def run_tests(bundle: Files | Analysis, chosen: Chosen = lambda test: True) -> TestReport:
    """Run the tests of a bundle, in order of place. Raises PolicyError for a bundle with errors."""
    analysis = bundle if isinstance(bundle, Analysis) else analyse(bundle, lints=False)
    if analysis.report.errors:
        raise PolicyError(analysis.diagnostics, analysis.files.sources)
    tests = [t for t in analysis.symbols.tests if chosen(t)]
    results = [run_test(made, test) for made, test in ready_tests(analysis, tests)]
    by_title = {r.title: r for r in results}
    return report_of([by_title[t.title.plain or ""] for t in tests])


def ready_tests(
    bundle: Analysis, tests: Sequence[tree.Test], *, together: bool = False
) -> Iterator[tuple[Build, ReadTest]]:
    """Tests of a bundle without errors, each with the bundle made ready for it: the names that it supplies
    are leaves. Tests that supply the same names come together; `together` makes one bundle for all."""
    cache, every = ParseCache(), frozenset[str]().union(*map(supplied_names, tests))
    for names in [every] if together else dict.fromkeys(map(supplied_names, tests)):
        wanted = [t for t in tests if together or supplied_names(t) == names]
        made, reads = _made(bundle, cache, names, wanted)
        for test in reads:
            yield made, test


def event_of(
    made: Build, step: EventStep, clock: int, number: int
) -> tuple[Decoded | Refusal, dict[str, object]]:
    """An event of a step at a time of the test's clock, the test's event of that number, and the values of
    the names that are supplied with it."""
    graph, schema = made.analysis.lowerer.graph(step.event), made.analysis.symbols.schemas[step.event]
    value = clock_evaluator(graph, clock).value
    supplied = {n: supplied_value(w, value) for n, w in step.supplied.items()}
    values = event_values(schema, step.values, graph, clock, number)
    return made.decoder.from_values(step.event, values), supplied


def _made(
    bundle: Analysis, cache: ParseCache, names: frozenset[str], wanted: list[tree.Test]
) -> tuple[Build, list[ReadTest]]:
    """The bundle with names that tests supply and with what they look at, and those tests."""
    titles = {t.title.plain for t in wanted}
    reads: list[ReadTest] = []

    def read(lowerer: Lowerer) -> None:
        reader = TestReader(lowerer, lowerer.report)
        for test in lowerer.symbols.tests:
            made = reader.read(test) if test.title.plain in titles else None
            reads.extend([made] if made is not None else [])

    analysis = analyse(
        bundle.files, None, cache, names, lints=False, extend=read, lists=bundle.lists, models=bundle.models
    )
    return build(analysis, all_fields=True, rolled_out=True), reads


def run_test(made: Build, test: ReadTest) -> TestResult:
    """Run one test. What did not hold is looked at in a second run, which takes everything down."""
    sources = made.analysis.files.sources
    file, line = _place(test.written.title, sources)
    result = TestResult(test.written.title.plain or "", file, line, "passed")
    if test.off:
        result.outcome = "skipped"
        result.why = f"{', '.join(f'`{r}`' for r in test.off)} {'is' if len(test.off) == 1 else 'are'} off"
        return result
    first = _Run(made, test, frozenset())
    failed = first.run()
    result.events, result.expectations = first.given, first.judged
    if failed:
        second = _Run(made, test, frozenset(number for number, _ in failed))
        second.run()
        result.outcome, result.failures = "failed", second.failures
    return result


def _place(node: tree.Node, sources: dict[str, Source]) -> tuple[str, int]:
    source = sources.get(node.span.file)
    return node.span.file, source.position(node.span.start).line if source is not None else 0


class _Run:
    """One run of a test. Of the events numbered in `detail` everything is kept, for the failures."""

    def __init__(self, made: Build, test: ReadTest, detail: frozenset[int]) -> None:
        self._supplied: dict[str, object] = {}
        self._made = made
        self._test = test
        self._detail = detail
        self._engine = Stepper(made, injected=self._supplied)
        self._explainer = Explainer(self._engine)
        self._clock = START
        self._sends: Counter[str] = Counter()
        self._seen: dict[int, Seen] = {}
        self.given = 0
        self.judged = 0
        self.failures: list[Failure] = []
        self._failed: list[tuple[int, tree.Node]] = []

    def run(self) -> list[tuple[int, tree.Node]]:
        """Run it; gives the number of the event and the step of everything that failed."""
        for step in self._test.steps:
            if isinstance(step, LabelStep):
                self._label(step)
            elif isinstance(step, Expectation):
                self._judge(step)
            elif not self._give(step):
                break
        return self._failed

    def _label(self, step: LabelStep) -> None:
        ref, until = step.written.entity, None if step.lasts is None else self._clock + step.lasts
        state = self._engine.state
        state.label(ref.kind.name, step.written.label.plain or "").set(ref.id.plain or "", self._clock, until)

    # ---------------------------------------------------------------- events

    def _give(self, step: EventStep) -> bool:
        """Give the events of a step; False when one was refused."""
        self._seen = {}
        looked_at = {step.count - 1, *(e.index for e in step.expected if e.index is not None)}
        for index in range(step.count):
            self._clock += step.every if index else step.after
            self.given += 1
            refused = self._give_one(step, index, index in looked_at)
            if refused is not None:
                self._fail(step.written, f"event {self.given} was refused: {refused}", None)
                return False
        return True

    def _give_one(self, step: EventStep, index: int, look: bool) -> str | None:
        """Give one event; gives the reason when it was refused."""
        decoded, supplied = event_of(self._made, step, self._clock, self.given)
        self._supplied.clear()
        self._supplied.update(supplied)
        self._supplied[NOW] = self._clock
        if isinstance(decoded, Refusal):
            return str(decoded)
        watch = _Watch(self._explainer, step, index, self.given in self._detail) if look else None
        decision = self._engine.decide_decoded(decoded, watch.look if watch is not None else None)
        if isinstance(decision, Refused):
            return decision.message
        for sent in decision.sends:
            self._sends[sent.sink] += 1
        if watch is not None:
            seen = Seen(self.given, step.event, self._clock, decision)
            watch.tell(seen)
            for expectation in step.expected:
                if expectation.index == index and isinstance(expectation.written, tree.ExpectLabel):
                    seen.results[id(expectation)] = self._labelled(expectation.written)
            self._seen[index] = seen
        return None

    def _labelled(self, written: tree.ExpectLabel) -> bool:
        held = self._engine.state.labels.get((written.entity.kind.name, written.label.plain or ""))
        return held is not None and held.has(written.entity.id.plain or "", self._clock)

    # --------------------------------------------------------------- judging

    def _judge(self, expectation: Expectation) -> None:
        self.judged += 1
        written = expectation.written
        labelled = self._labelled(written) if isinstance(written, tree.ExpectLabel) else False
        so_far = SoFar(self._sends, labelled)
        last = max(self._seen, default=-1)
        seen = self._seen.get(last if expectation.index is None else expectation.index)
        if not holds(expectation, seen, so_far):
            self._fail(written, happened(expectation, seen, so_far), seen, expectation)

    def _fail(
        self, written: tree.Node, what: str, seen: Seen | None, expectation: Expectation | None = None
    ) -> None:
        self._failed.append((seen.number if seen is not None else 0, written))
        sources = self._made.analysis.files.sources
        failure = Failure(*_place(written, sources), _spell(written, sources), what)
        if seen is not None and expectation is not None:
            failure.number, failure.event, failure.at = seen.number, seen.event, show_time(seen.clock)
            failure.decision = seen.decision
            failure.condition = seen.conditions.get(id(expectation))
            failure.rules = concerned(expectation, seen)
            if seen.explanation is not None:
                roots = [r.condition for r in failure.rules[:MAX_TOLD]]
                roots += [failure.condition] if failure.condition is not None else []
                failure.values = values_of(seen.explanation, roots)
        self.failures.append(failure)


class _Watch:
    """Looks at one event while it is decided, for the expectations that speak of it."""

    def __init__(self, explainer: Explainer, step: EventStep, index: int, detail: bool) -> None:
        self._explainer = explainer
        self._expected = [e for e in step.expected if e.index == index]
        self._event = step.event
        self._detail = detail
        self._account: Account | None = None
        self._seen: list[tuple[Expectation, object]] = []

    def look(self, decoded: Decoded, hits: list[Hit]) -> None:
        """Note what the expectations' conditions and texts are."""
        interpreter = self._explainer.interpreter(decoded, hits)
        for expectation in self._expected:
            if expectation.node is not None:
                self._seen.append((expectation, interpreter.value(expectation.node)))
        if self._detail:
            self._account = self._explainer.account(decoded, hits)
            self._conditions(self._account)

    def _conditions(self, account: Account) -> None:
        """Take the conditions of `expect value` apart, so that their names are explained too."""
        lowerer = self._explainer.engine.bundle.analysis.lowerer
        scope = Scope(self._event, {NOW: now_node(lowerer, self._event)})
        for expectation in self._expected:
            if isinstance(expectation.written, tree.ExpectValue):
                account.look_at(id(expectation), expectation.written.condition, scope)

    def tell(self, seen: Seen) -> None:
        """Hand over what was noted."""
        seen.results.update({id(expectation): value for expectation, value in self._seen})
        if self._account is not None:
            seen.explanation = self._account.explanation(seen.decision)
            seen.conditions = self._account.looked_at


def _spell(node: tree.Node, sources: dict[str, Source]) -> str:
    source = sources.get(node.span.file)
    text = source.text[node.span.start : node.span.end] if source is not None else ""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return " ".join(word for line in lines for word in line.split())
