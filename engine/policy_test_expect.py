"""Expectations of tests read and checked: what each speaks of, and whether it could hold at all."""

from __future__ import annotations

from dataclasses import dataclass

from quell.engine.lower import Lowerer, Scope, template
from quell.engine.lower_operators import label_ok
from quell.engine.policy_test_values import NOW, now_node
from quell.engine.symbols import Symbols
from quell.grammar import tree
from quell.grammar.diagnostics import Report, did_you_mean


@dataclass(slots=True)
class Expectation:
    """One expectation. `index` is the event it speaks of, counted from 0 among those of the step before it;
    None for what holds by then: the labels, and all that was sent. `node` is the condition of `expect value`
    or the text of `expect message`."""

    written: tree.Expect
    event: str
    index: int | None
    node: int | None = None


class ExpectationReader:
    """Reads expectations into a lowerer's graphs, reporting what is wrong with them."""

    def __init__(self, lowerer: Lowerer, report: Report) -> None:
        self.lowerer = lowerer
        self.report = report
        self.symbols: Symbols = lowerer.symbols
        self._sinks = _sinks(self.symbols)

    def read(self, written: tree.Expect, event: str | None, count: int) -> Expectation | None:
        """One expectation after a step that gives so many events of a type (None: none was given yet); None
        when something is wrong with it, which is reported."""
        if event is None:
            if isinstance(written, tree.ExpectLabel) and written.where is None:
                return (
                    Expectation(written, "", None)
                    if self.entity_label(written.entity, written.label)
                    else None
                )
            message = "no event was given before this"
            self.report.add("bad-test", message, written.span, hint="write given … above it")
            return None
        index = self._index(written, count)
        if index is None:
            return None
        made = Expectation(written, event, index if _speaks_of_event(written) else None)
        if not self._sound(written, event, made):
            return None
        return made

    def _index(self, written: tree.Expect, count: int) -> int | None:
        where = written.where
        if where is None or where.kind == "last":
            return count - 1
        if where.kind == "first":
            return 0
        if 1 <= where.number <= count:
            return where.number - 1
        made = "one event" if count == 1 else f"{count:,} events"
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
                return self.entity_label(written.entity, written.label)
            case tree.ExpectSend():
                return self._sink(written)
            case tree.ExpectValue():
                names = {NOW: now_node(self.lowerer, event)}
                made.node = self.lowerer.condition(
                    written.condition, Scope(event, names), "what follows `value`"
                )
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

    def entity_label(self, ref: tree.EntityRef, label: tree.Text) -> bool:
        """Whether an entity and its label are declared; reported when not."""
        if ref.kind.name not in self.symbols.entities:
            hint = did_you_mean(ref.kind.name, self.symbols.entities)
            self.report.add("unknown-type", f"there is no entity `{ref.kind.name}`", ref.kind.span, hint=hint)
            return False
        return label_ok(self.lowerer, ref.kind.name, label)


def _speaks_of_event(written: tree.Expect) -> bool:
    """Whether an expectation speaks of one event, and not of what holds by then."""
    return written.where is not None or not isinstance(written, tree.ExpectLabel | tree.ExpectSend)


def _sinks(symbols: Symbols) -> set[str]:
    effects = (e for rule in symbols.rules.values() for e in rule.effects)
    return {e.sink.plain or "" for e in effects if isinstance(e, tree.Send)}
